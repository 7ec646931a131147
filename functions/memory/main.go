// Command memory streams an isolated instance's RAM into the evidence bucket.
package main

import (
	"cordon/internal/lambdafn"
	"cordon/internal/memory"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	cfg := lambdafn.Config()
	bucket := s3.NewFromConfig(cfg)
	lambdafn.Start(memory.New(lambdafn.Host(), ec2.NewFromConfig(cfg), ssm.NewFromConfig(cfg), bucket, s3.NewPresignClient(bucket), dynamodb.NewFromConfig(cfg)))
}
