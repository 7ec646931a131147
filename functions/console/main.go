// Command console keeps what an instance shows on its console.
package main

import (
	"cordon/internal/console"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(console.New(lambdafn.Host(), ec2.NewFromConfig(cfg), s3.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
