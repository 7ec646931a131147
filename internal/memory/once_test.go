package memory_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"
	"cordon/internal/memory"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// answers is a service's end of the wire.
type answers func(*http.Request) (*http.Response, error)

func (a answers) Do(r *http.Request) (*http.Response, error) { return a(r) }

// loser is how a call's answer is lost. The first call of one action goes
// through the SDK's own client, with the retry policy of production; every
// request that arrives has its effect.
type loser struct {
	lose     answers
	requests int
}

func (l *loser) config(effect func() error) aws.Config {
	return aws.Config{
		Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}, Retryer: lambdafn.Retryer,
		HTTPClient: answers(func(r *http.Request) (*http.Response, error) {
			l.requests++
			if err := effect(); err != nil {
				return nil, err
			}
			return l.lose(r)
		}),
	}
}

type wiredSSM struct {
	*sim.SSM
	*loser
}

func (w wiredSSM) SendCommand(ctx context.Context, in *ssm.SendCommandInput, opts ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	if w.requests > 0 {
		return w.SSM.SendCommand(ctx, in, opts...)
	}
	return ssm.NewFromConfig(w.config(func() error {
		_, err := w.SSM.SendCommand(ctx, in)
		return err
	})).SendCommand(ctx, in, opts...)
}

type wiredS3 struct {
	*sim.S3
	*loser
}

func (w wiredS3) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	if w.requests > 0 {
		return w.S3.CreateMultipartUpload(ctx, in, opts...)
	}
	return s3.NewFromConfig(w.config(func() error {
		_, err := w.S3.CreateMultipartUpload(ctx, in)
		return err
	})).CreateMultipartUpload(ctx, in, opts...)
}

// TestSentOnce: a second capture or upload begun blindly would be a second
// request of the same invocation. The SDK must leave that to the machine, whose
// next look finds what the lost answer told of.
func TestSentOnce(t *testing.T) {
	losses := map[string]answers{
		"broken connection": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"503": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
		},
	}
	for loss, lose := range losses {
		for _, action := range []string{"ssm:SendCommand", "s3:CreateMultipartUpload"} {
			t.Run(action+" "+loss, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRun(t, account())
					l := &loser{lose: lose}
					var ssm memory.SSM = r.SSM()
					var s3 memory.S3 = r.S3()
					if action == "ssm:SendCommand" {
						ssm = wiredSSM{r.SSM(), l}
					} else {
						s3 = wiredS3{r.S3(), l}
					}
					var err error
					if r.step, err = memory.New(host(memoryOn(), r.clock.Now), r.EC2(), ssm, s3, r.S3().Presign(), r.DynamoDB()); err != nil {
						t.Fatal(err)
					}
					if out, err := r.look(); err == nil {
						t.Errorf("a lost answer is no error: %+v", out)
					}
					if l.requests != 1 {
						t.Errorf("%s was sent %d times by one invocation, want once", action, l.requests)
					}
					if out := r.end(); out.Status != incident.OK {
						t.Errorf("the capture came to %s: %s", out.Status, out.Reason)
					}
					if n := r.count(action); n != 1 {
						t.Errorf("%s had its effect %d times, want once", action, n)
					}
				})
			})
		}
	}
}
