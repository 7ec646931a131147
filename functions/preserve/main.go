// Command preserve protects an instance and its volumes from being destroyed.
package main

import (
	"cordon/internal/lambdafn"
	"cordon/internal/preserve"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

func main() {
	cfg := lambdafn.Config()
	lambdafn.Start(preserve.New(lambdafn.Host(), ec2.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg),
		elbv2.NewFromConfig(cfg), elb.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
}
