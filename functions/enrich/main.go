// Command enrich decides what a finding means for this account.
package main

import (
	"cordon/internal/enrich"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(enrich.New(lambdafn.Host(), ec2.NewFromConfig(cfg), s3.NewFromConfig(cfg),
		ssm.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg), sfn.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
