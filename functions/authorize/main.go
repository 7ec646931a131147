// Command authorize verifies a recorded decision and marks the instance it allows to terminate.
package main

import (
	"cordon/internal/authorize"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	cfg := lambdafn.Config()
	table := dynamodb.NewFromConfig(cfg)
	lambdafn.Start(authorize.New(lambdafn.Host(), ec2.NewFromConfig(cfg), kms.NewFromConfig(cfg), table, table))
}
