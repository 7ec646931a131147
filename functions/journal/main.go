// Command journal writes each change of the record into the incident's journal.
package main

import (
	"cordon/internal/journal"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(journal.New(lambdafn.Host(), s3.NewFromConfig(cfg)))
}
