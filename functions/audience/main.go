// Command audience looks whether anybody is subscribed to what Cordon says.
package main

import (
	"cordon/internal/audience"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/service/sns"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(audience.New(lambdafn.Host(), sns.NewFromConfig(cfg)))
}
