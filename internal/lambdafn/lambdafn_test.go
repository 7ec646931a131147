package lambdafn_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type input struct {
	Number int
	Secret string
}

type output struct {
	Text  string
	Ratio float64
}

// step answers with what its function says.
type step func(context.Context, input) (output, error)

func (s step) Run(ctx context.Context, in input) (output, error) { return s(ctx, in) }

func handler(t *testing.T, s step) lambdafn.Handler {
	t.Helper()
	h, err := lambdafn.Handle(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// failure is an error as aws-lambda-go takes it: by value, nothing around it.
// Whatever else it is given it reports by its Go type, which no Catch matches.
func failure(t *testing.T, err error) messages.InvokeResponse_Error {
	t.Helper()
	e, ok := err.(messages.InvokeResponse_Error) //nolint:errorlint // a wrapped one is what this refuses
	if !ok {
		t.Fatalf("%T: %v, want a messages.InvokeResponse_Error", err, err)
	}
	if e.ShouldExit {
		t.Error("the environment would be thrown away for an ordinary error")
	}
	return e
}

func TestHandle(t *testing.T) {
	h := handler(t, func(_ context.Context, in input) (output, error) {
		return output{Text: fmt.Sprint("<", in.Number, ">&"), Ratio: 0.5}, nil
	})
	out, err := h.Invoke(t.Context(), []byte(`{"Number": 7, "other": []}`))
	if err != nil || string(out) != `{"Text":"<7>&","Ratio":0.5}` {
		t.Errorf("%s, %v", out, err)
	}
	broken := errors.New("environment variable TABLE is not set")
	if h, err := lambdafn.Handle(step(nil), broken); h != nil || !errors.Is(err, broken) {
		t.Errorf("a step that could not be made: %v, want its error and no handler", err)
	}
}

func TestErrorNames(t *testing.T) {
	api := func(code string) error {
		return &smithy.OperationError{ServiceID: "EC2", OperationName: "DescribeInstances", Err: &smithy.GenericAPIError{Code: code, Message: "no"}}
	}
	tests := map[string]struct {
		err  error
		want string
	}{
		"ours":                          {incident.ErrRefused, "Refused"},
		"ours, wrapped":                 {fmt.Errorf("a: %w", fmt.Errorf("b: %w", fmt.Errorf("c: %w", incident.ErrNotContained))), "NotContained"},
		"ours, joined":                  {errors.Join(errors.New("first"), fmt.Errorf("x: %w", incident.ErrInstanceNotFound)), "InstanceNotFound"},
		"ours and an API's":             {fmt.Errorf("%w: %w", incident.ErrRefused, api("OperationNotPermitted")), "Refused"},
		"an API's and ours":             {fmt.Errorf("%w: %w", api("InvalidInstanceID.NotFound"), incident.ErrInstanceNotFound), "InstanceNotFound"},
		"an API's joined with ours":     {errors.Join(api("RequestLimitExceeded"), incident.ErrNotContained), "NotContained"},
		"ours and out of time":          {errors.Join(context.DeadlineExceeded, incident.ErrNotContained), "NotContained"},
		"an API's":                      {fmt.Errorf("describe: %w", api("UnauthorizedOperation")), "UnauthorizedOperation"},
		"a modelled one":                {fmt.Errorf("write: %w", &types.ProvisionedThroughputExceededException{}), "ProvisionedThroughputExceededException"},
		"the last of several attempts":  {&retry.MaxAttemptsError{Attempt: 6, Err: api("Unavailable")}, "Unavailable"},
		"an API's, joined":              {errors.Join(errors.New("first"), api("Throttling")), "Throttling"},
		"an API's and out of time":      {errors.Join(context.DeadlineExceeded, api("Throttling")), "Throttling"},
		"an API's without a code":       {api(""), "Unexpected"},
		"no code, and out of time":      {errors.Join(api(""), context.DeadlineExceeded), "OutOfTime"},
		"out of time":                   {fmt.Errorf("describe: %w", context.DeadlineExceeded), "OutOfTime"},
		"cancelled":                     {&aws.RequestCanceledError{Err: context.Canceled}, "OutOfTime"},
		"anything else":                 {fmt.Errorf("describe: %w", io.ErrUnexpectedEOF), "Unexpected"},
		"joined, none of them with one": {errors.Join(errors.New("a"), errors.New("b")), "Unexpected"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := handler(t, func(context.Context, input) (output, error) { return output{}, tt.err })
			out, err := h(t.Context(), []byte(`{}`))
			if out != nil {
				t.Errorf("an output beside the error: %s", out)
			}
			e := failure(t, err)
			if e.Type != tt.want {
				t.Errorf("named %q, want %q", e.Type, tt.want)
			}
			// The name need not be said twice; all else must be.
			if !slices.Contains([]string{e.Message, e.Message + ": " + e.Type, e.Type + ": " + e.Message}, tt.err.Error()) {
				t.Errorf("message %q, want %q", e.Message, tt.err)
			}
		})
	}
}

func TestInputAndOutputThatAreNone(t *testing.T) {
	ran := false
	h := handler(t, func(_ context.Context, in input) (output, error) {
		ran = true
		zero := 0.0
		return output{Ratio: 1 / zero}, nil // JSON has no infinity
	})
	for _, payload := range []string{"", "x", `{"Number":"seven"}`, `[]`, `{"Number":1`, `{} {}`, `{"Secret":"hunter2"`, `{"Secret":"hunter2","Number":"hunter2"}`} {
		_, err := h(t.Context(), []byte(payload))
		e := failure(t, err)
		if e.Type != "InputInvalid" || ran {
			t.Errorf("input %q: %s, ran: %v; want InputInvalid and a step that did not run", payload, e.Type, ran)
		}
		if strings.Contains(e.Message, "hunter2") {
			t.Errorf("%q repeats the input", e.Message)
		}
	}
	_, err := h(t.Context(), []byte(`{}`))
	if e := failure(t, err); e.Type != "OutputInvalid" || !ran {
		t.Errorf("an output that is not JSON: %s, ran: %v; want OutputInvalid", e.Type, ran)
	}
}

func TestHost(t *testing.T) {
	h := lambdafn.Host()
	t.Setenv("CORDON_TEST", "x")
	if got := h.Getenv("CORDON_TEST"); got != "x" {
		t.Errorf("Getenv: %q", got)
	}
	a, b := make([]byte, 32), make([]byte, 32)
	for _, r := range [][]byte{a, b} {
		if _, err := io.ReadFull(h.Rand, r); err != nil {
			t.Fatal(err)
		}
	}
	if string(a) == string(b) {
		t.Error("the same secret twice")
	}
	// Each must run side by side: every call here waits for all the others.
	got := make([]bool, 8)
	arrived, all := make(chan struct{}, len(got)), make(chan struct{})
	go func() {
		for range got {
			<-arrived
		}
		close(all)
	}()
	h.Each(len(got), func(n int) {
		arrived <- struct{}{}
		select {
		case <-all:
			got[n] = true
		case <-t.Context().Done():
		case <-time.After(10 * time.Second):
		}
	})
	if diff := cmp.Diff([]bool{true, true, true, true, true, true, true, true}, got); diff != "" {
		t.Errorf("not run side by side, or not waited for (-want +got):\n%s", diff)
	}
	h.Each(0, func(int) { t.Error("called for nothing") })
}

// environment is that of a function: nothing is looked for elsewhere.
func environment(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none",
		"AWS_RETRY_MODE": "", "AWS_MAX_ATTEMPTS": "", "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, value)
	}
}

// TestConfigIsTheLoaders: what a client does with our configuration is what it
// does with the one that the SDK loads, but for what is ours.
func TestConfigIsTheLoaders(t *testing.T) {
	for _, endpoint := range []string{"", "http://127.0.0.1:1"} {
		environment(t)
		t.Setenv("AWS_ENDPOINT_URL", endpoint)
		want, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := lambdafn.Config()
		key := func(cfg aws.Config) aws.Credentials {
			c, err := cfg.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
		}
		if diff := cmp.Diff(key(want), key(got)); diff != "" {
			t.Errorf("credentials (-want +got):\n%s", diff)
		}
		for _, cfg := range []*aws.Config{&want, &got} {
			// What is ours, what was compared, and where the loader looked.
			cfg.Credentials, cfg.HTTPClient, cfg.Retryer, cfg.ConfigSources, cfg.Logger = nil, nil, nil, nil, nil
			cfg.RestrictFilePermissions = "" // of files, which are not read
		}
		if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("endpoint %q (-want +got):\n%s", endpoint, diff)
		}
	}
}

// service is an API that gives every call the same answer.
type service struct {
	status int
	body   string
	err    error
	calls  int
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.calls++
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{
		StatusCode: s.status, Request: r, Header: http.Header{
			"Content-Type": {"application/x-amz-json-1.0"}, "X-Amz-Crc32": {fmt.Sprint(crc32.ChecksumIEEE([]byte(s.body)))},
		},
		Body: io.NopCloser(strings.NewReader(s.body)), ContentLength: int64(len(s.body)),
	}, nil
}

// TestRetries drives the SDK's own client in virtual time. A call that is
// refused must end before isolate's time does, or what it opened stays open.
func TestRetries(t *testing.T) {
	environment(t)
	answer := func(status int, code string) service {
		return service{status: status, body: `{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"no"}`}
	}
	for name, tt := range map[string]struct {
		service service
		calls   int
		name    string
	}{
		"throttled":    {answer(400, "ThrottlingException"), 6, "ThrottlingException"},
		"unavailable":  {answer(500, "InternalServerError"), 6, "InternalServerError"},
		"disconnected": {service{err: io.ErrUnexpectedEOF}, 6, "Unexpected"},
		"denied":       {answer(400, "AccessDeniedException"), 1, "AccessDeniedException"},
		"refused":      {answer(400, "ConditionalCheckFailedException"), 1, "ConditionalCheckFailedException"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := lambdafn.Config()
				cfg.HTTPClient = &tt.service
				db := dynamodb.NewFromConfig(cfg)
				h := handler(t, func(ctx context.Context, _ input) (output, error) {
					_, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("t"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "x"}}})
					return output{}, err
				})
				// A burst: the SDK's own limiter would stop trying again after a
				// few dozen of these.
				for n := range 100 {
					tt.service.calls = 0
					start := time.Now()
					_, err := h(t.Context(), []byte(`{}`))
					if e := failure(t, err); e.Type != tt.name {
						t.Fatalf("call %d is named %s, want %s: %s", n, e.Type, tt.name, e.Message)
					}
					if tt.service.calls != tt.calls {
						t.Fatalf("call %d was attempted %d times, want %d", n, tt.service.calls, tt.calls)
					}
					if took := time.Since(start); took > 9*time.Second {
						t.Fatalf("call %d took %v: too little is left of isolate's 14 s to close what it opened", n, took)
					}
				}
			})
		})
	}
}

// TestOutOfTimeWhileWaiting: a deadline that comes while the SDK waits for its
// next attempt is named for what it is.
func TestOutOfTimeWhileWaiting(t *testing.T) {
	environment(t)
	synctest.Test(t, func(t *testing.T) {
		cfg := lambdafn.Config()
		cfg.HTTPClient = &service{err: io.ErrUnexpectedEOF}
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		h := handler(t, func(ctx context.Context, _ input) (output, error) {
			_, err := dynamodb.NewFromConfig(cfg).GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("t"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "x"}}})
			return output{}, fmt.Errorf("read: %w", err)
		})
		_, err := h(ctx, []byte(`{}`))
		if e := failure(t, err); e.Type != "OutOfTime" {
			t.Errorf("named %s, want OutOfTime: %s", e.Type, e.Message)
		}
	})
}

func TestConfig(t *testing.T) {
	environment(t)
	cfg := lambdafn.Config()
	if n := cfg.Retryer().MaxAttempts(); n != 6 {
		t.Errorf("%d attempts, want 6", n)
	}
	client, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		t.Fatalf("HTTP client %T", cfg.HTTPClient)
	}
	// Two connections that hang must leave isolate time to try a third.
	if dial, header := client.GetDialer().Timeout, client.GetTransport().ResponseHeaderTimeout; dial <= 0 || header <= 0 || 2*(dial+header) > 14*time.Second {
		t.Errorf("a connection may hang for %v, an answer for %v", dial, header)
	}
}

// jsonOf is v as JSON.
func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
