package lambdafn_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"cordon/internal/lambdafn"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// TestOneAttempt: a step that sends a call with one attempt must get one,
// whatever the policy, on each client that it does so with. Everything else is
// retried.
func TestOneAttempt(t *testing.T) {
	// Per call, a client whose attempts are set replaces the policy's number:
	// finalizeOperationRetryMaxAttempts in each service's api_client.go.
	clients := map[string]func(context.Context, aws.Config, int) error{
		"ec2": func(ctx context.Context, cfg aws.Config, n int) error {
			_, err := ec2.NewFromConfig(cfg).DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{}, func(o *ec2.Options) { o.RetryMaxAttempts = n })
			return err
		},
		"ssm": func(ctx context.Context, cfg aws.Config, n int) error {
			_, err := ssm.NewFromConfig(cfg).ListCommands(ctx, &ssm.ListCommandsInput{}, func(o *ssm.Options) { o.RetryMaxAttempts = n })
			return err
		},
		"s3": func(ctx context.Context, cfg aws.Config, n int) error {
			_, err := s3.NewFromConfig(cfg).ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String("b")}, func(o *s3.Options) { o.RetryMaxAttempts = n })
			return err
		},
	}
	for _, service := range []struct {
		name string
		service
	}{
		{"503", service{status: http.StatusServiceUnavailable}},
		{"broken connection", service{err: io.ErrUnexpectedEOF}},
	} {
		for name, call := range clients {
			t.Run(name+" "+service.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for attempts, want := range map[int]int{0: lambdafn.Retryer().MaxAttempts(), 1: 1} {
						end := service.service
						cfg := aws.Config{Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}, Retryer: lambdafn.Retryer, HTTPClient: &end}
						if err := call(t.Context(), cfg, attempts); err == nil {
							t.Error("no error")
						}
						if end.calls != want {
							t.Errorf("RetryMaxAttempts %d: sent %d times, want %d", attempts, end.calls, want)
						}
					}
				})
			})
		}
	}
}
