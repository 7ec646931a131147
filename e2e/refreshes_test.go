package e2e_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"

	"cordon/e2e"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/smithy-go"
)

// scalingGroups are the names of the groups that Auto Scaling has.
type scalingGroups []string

func (all scalingGroups) DescribeAutoScalingGroups(_ context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	out := &autoscaling.DescribeAutoScalingGroupsOutput{}
	for _, name := range in.AutoScalingGroupNames {
		if slices.Contains(all, name) {
			out.AutoScalingGroups = append(out.AutoScalingGroups, types.AutoScalingGroup{AutoScalingGroupName: &name})
		}
	}
	return out, nil
}

func TestGroupsHaveNoRefreshes(t *testing.T) {
	server := httptest.NewServer(&e2e.Ours{Refreshes: &e2e.Refreshes{AutoScaling: scalingGroups{"web"}}})
	t.Cleanup(server.Close)
	c := autoscaling.New(autoscaling.Options{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
	})})
	out, err := c.DescribeInstanceRefreshes(t.Context(), &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String("web")})
	if err != nil || len(out.InstanceRefreshes) > 0 {
		t.Errorf("refreshes of a group: %+v, %v", out, err)
	}
	for name, in := range map[string]*autoscaling.DescribeInstanceRefreshesInput{
		"another group":               {AutoScalingGroupName: aws.String("db")},
		"an answer in pages":          {AutoScalingGroupName: aws.String("web"), MaxRecords: aws.Int32(1)},
		"refreshes by their identity": {AutoScalingGroupName: aws.String("web"), InstanceRefreshIds: []string{"r"}},
	} {
		_, err := c.DescribeInstanceRefreshes(t.Context(), in)
		var answer smithy.APIError
		if !errors.As(err, &answer) || answer.ErrorCode() != "ValidationError" {
			t.Errorf("%s: %v; want a ValidationError", name, err)
		}
	}
}
