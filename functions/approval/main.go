// Command approval opens the request for a decision and mails the link.
package main

import (
	"cordon/internal/approval"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

func main() {
	cfg := lambdafn.Config()
	db := dynamodb.NewFromConfig(cfg)
	lambdafn.Start(approval.New(lambdafn.Host(), sns.NewFromConfig(cfg), kms.NewFromConfig(cfg), sfn.NewFromConfig(cfg), db, db))
}
