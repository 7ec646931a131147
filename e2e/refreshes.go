package e2e

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/smithy-go"
)

// Refreshes tells the instance refreshes of groups that moto has: none, which
// moto cannot tell.
//
//   - https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeInstanceRefreshes.html
//   - https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
type Refreshes struct {
	AutoScaling autoscaling.DescribeAutoScalingGroupsAPIClient
}

type refreshes struct {
	XMLName xml.Name `xml:"DescribeInstanceRefreshesResult"`
	Items   struct{} `xml:"InstanceRefreshes"`
}

func (s *Refreshes) serve(ctx context.Context, p Parameters) (any, error) {
	for name := range p {
		if !slices.Contains([]string{"Action", "Version", "AutoScalingGroupName"}, name) {
			return nil, refused("ValidationError", "%s is not known here", name)
		}
	}
	name := p.Value("AutoScalingGroupName")
	if name == "" {
		return nil, refused("ValidationError", "1 validation error detected: Value at 'autoScalingGroupName' failed to satisfy constraint: Member must not be null")
	}
	out, err := s.AutoScaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	var answer smithy.APIError
	switch {
	case errors.As(err, &answer):
		return nil, refused(answer.ErrorCode(), "%s", answer.ErrorMessage())
	case err != nil:
		return nil, fmt.Errorf("look for the group: %w", err)
	case len(out.AutoScalingGroups) == 0:
		return nil, refused("ValidationError", "AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name)
	}
	return refreshes{}, nil
}
