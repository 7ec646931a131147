// Command drift tells people what others undid of an isolation, and who it was.
package main

import (
	"cordon/internal/drift"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(drift.New(lambdafn.Host(), cloudtrail.NewFromConfig(cfg), sns.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
