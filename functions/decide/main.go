// Command decide shows the page and records the decision.
package main

import (
	"cordon/internal/decide"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

func main() {
	cfg := lambdafn.Config()
	db := dynamodb.NewFromConfig(cfg)
	lambdafn.ServeHTTP(decide.New(lambdafn.Host(), kms.NewFromConfig(cfg), sfn.NewFromConfig(cfg), lambdafn.Keys(), db, db))
}
