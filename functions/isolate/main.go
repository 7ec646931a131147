// Command isolate cuts an instance off from the network.
package main

import (
	"cordon/internal/isolate"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(isolate.New(lambdafn.Host(), ec2.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
