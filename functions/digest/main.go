// Command digest hashes the memory image in the evidence bucket.
package main

import (
	"cordon/internal/digest"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(digest.New(lambdafn.Host(), s3.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
