package snapshot_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"
	"cordon/internal/scene"
	"cordon/internal/sim"
	"cordon/internal/snapshot"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// answers is a service's end of the wire.
type answers func(*http.Request) (*http.Response, error)

func (a answers) Do(r *http.Request) (*http.Response, error) { return a(r) }

// wired is an account whose first call of CreateSnapshots goes through the SDK's
// own client, with the retry policy of production. Every request that arrives
// has its effect, and its answer is lost.
type wired struct {
	*sim.EC2
	lose     answers
	requests int
	used     bool
}

func (w *wired) CreateSnapshots(ctx context.Context, in *ec2.CreateSnapshotsInput, opts ...func(*ec2.Options)) (*ec2.CreateSnapshotsOutput, error) {
	if w.used {
		return w.EC2.CreateSnapshots(ctx, in, opts...)
	}
	w.used = true
	return ec2.NewFromConfig(aws.Config{
		Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}, Retryer: lambdafn.Retryer,
		HTTPClient: answers(func(r *http.Request) (*http.Response, error) {
			w.requests++
			if _, err := w.EC2.CreateSnapshots(ctx, in); err != nil {
				return nil, err
			}
			return w.lose(r)
		}),
	}).CreateSnapshots(ctx, in, opts...)
}

// TestSentOnce: a second set made blindly would be a second request of the same
// invocation. The SDK must leave that to the machine, whose next look finds the
// set by its tag.
func TestSentOnce(t *testing.T) {
	for name, lose := range map[string]answers{
		"broken connection": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"503": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(
				`<Response><Errors><Error><Code>Unavailable</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID></Response>`))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := scene.Open(t, scene.File)
				w := &wired{EC2: s.EC2(), lose: lose}
				step, err := snapshot.New(s.Host, w, s.DynamoDB())
				if err != nil {
					t.Fatal(err)
				}
				in := snapshot.Input{Incident: s.Incident, Execution: scene.Execution, Contained: true}
				if out, err := step.Run(t.Context(), in); err == nil {
					t.Errorf("a lost answer is no error: %+v", out)
				}
				if w.requests != 1 {
					t.Errorf("CreateSnapshots was sent %d times by one invocation, want once", w.requests)
				}
				s.Wait(2 * time.Second)
				out := must(t)(step.Run(t.Context(), in))
				if n := len(snapshots(t, s)); n != 2 || len(out.Set) != 2 || out.Status != incident.OK {
					t.Errorf("%d snapshots of two volumes; the next look says %+v", n, out)
				}
			})
		})
	}
}
