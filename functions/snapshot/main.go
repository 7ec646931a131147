// Command snapshot takes and locks one snapshot set of all volumes of an instance.
package main

import (
	"cordon/internal/lambdafn"
	"cordon/internal/snapshot"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(snapshot.New(lambdafn.Host(), ec2.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
