// Command release puts back exactly what was recorded before Cordon changed it.
package main

import (
	"cordon/internal/lambdafn"
	"cordon/internal/release"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	cfg := lambdafn.Config()
	table := dynamodb.NewFromConfig(cfg)
	lambdafn.Start(release.New(lambdafn.Host(), ec2.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg),
		elbv2.NewFromConfig(cfg), elb.NewFromConfig(cfg), kms.NewFromConfig(cfg), table, table))
}
