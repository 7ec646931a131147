// Command custody copies an incident's snapshots into the evidence account.
package main

import (
	"cordon/internal/custody"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(custody.New(lambdafn.Host(), ec2.NewFromConfig(cfg), ec2.NewFromConfig(cfg), sts.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
