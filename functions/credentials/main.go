// Command credentials denies the credentials of an instance's own role.
package main

import (
	"cordon/internal/credentials"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	cfg := lambdafn.Config()
	table := dynamodb.NewFromConfig(cfg)
	lambdafn.Start(credentials.New(lambdafn.Host(), ec2.NewFromConfig(cfg), iam.NewFromConfig(cfg), kms.NewFromConfig(cfg), table, table))
}
