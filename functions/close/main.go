// Command close signs the manifest of an incident, ends it in the record and
// sends the last mail.
package main

import (
	closing "cordon/internal/close"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(closing.New(lambdafn.Host(), sns.NewFromConfig(cfg), s3.NewFromConfig(cfg), kms.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
