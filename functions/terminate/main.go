// Command terminate looks again at everything and terminates that one instance.
package main

import (
	"cordon/internal/lambdafn"
	"cordon/internal/terminate"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	cfg := lambdafn.Config()
	table := dynamodb.NewFromConfig(cfg)
	lambdafn.Start(terminate.New(lambdafn.Host(), ec2.NewFromConfig(cfg), kms.NewFromConfig(cfg), table, table))
}
