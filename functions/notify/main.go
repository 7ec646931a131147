// Command notify tells people.
package main

import (
	"cordon/internal/lambdafn"
	"cordon/internal/notify"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(notify.New(lambdafn.Host(), sns.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
