// Command exposure works out what isolation leaves open around an instance.
package main

import (
	"cordon/internal/exposure"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(exposure.New(lambdafn.Host(), ec2.NewFromConfig(cfg), ssm.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
