// Package lambdafn is the only one that knows Lambda: the SDK's configuration
// and the one retry policy, the host, how a step is served and what its errors
// are called, and the log.
package lambdafn

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
)

const (
	// attempts and maxBackoff end a refused call within about five seconds, nine
	// at the most, so that isolate, which has fourteen, can still close what it
	// opened.
	attempts   = 6
	maxBackoff = 2 * time.Second
	// A connection that hangs must not eat a step's whole time; S3 sends the
	// header of a long CompleteMultipartUpload at once.
	dialTimeout   = 2 * time.Second
	headerTimeout = 5 * time.Second
)

// Config is the SDK configuration of every function, from the variables that
// Lambda sets. The SDK's own loader also knows files, profiles, IMDS, SSO and
// STS, which no function has, and is an eighth of a function's size.
// Without a Region and credentials nothing can run, so it ends the process.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func Config() aws.Config {
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if os.Getenv(name) == "" {
			exit(fmt.Errorf("AWS configuration: %s is not set; this runs in Lambda, which sets it", name))
		}
	}
	cfg := aws.Config{
		Region: os.Getenv("AWS_REGION"),
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))),
		HTTPClient: awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
			WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = headerTimeout }),
		Retryer: Retryer,
		// As the loader sets them: a bucket with default retention takes nothing without a checksum.
		RequestChecksumCalculation:  aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation:  aws.ResponseChecksumValidationWhenSupported,
		RequestMinCompressSizeBytes: 10 << 10,
		AccountIDEndpointMode:       aws.AccountIDEndpointModePreferred,
		DefaultsMode:                aws.DefaultsModeLegacy,
	}
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		cfg.BaseEndpoint = aws.String(endpoint) // where a test has the services
	}
	return cfg
}

// Retryer is the one retry policy. A call whose answer was lost is sent again
// like any other: what must not be done twice and has no client token, its step
// sends with one attempt.
func Retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
		// The SDK's own limiter gives up after a burst of throttling, when it
		// matters most to go on.
		o.RateLimiter = ratelimit.None
	})
}

// Host is what a step gets in production.
func Host() incident.Host {
	return incident.Host{Now: time.Now, Rand: rand.Reader, Each: each, Getenv: os.Getenv}
}

func each(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// Runner is a step.
type Runner[In, Out any] interface {
	Run(context.Context, In) (Out, error)
}

// Handler serves one invocation: JSON in, JSON or a named error out.
type Handler func(context.Context, []byte) ([]byte, error)

// Invoke makes a Handler a lambda.Handler.
func (h Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return h(ctx, payload) }

// Handle makes a step into what Lambda, or a rehearsal, calls. Every error it
// returns from an invocation is a messages.InvokeResponse_Error.
func Handle[In, Out any](step Runner[In, Out], err error) (Handler, error) {
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var in In
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, messages.InvokeResponse_Error{Type: "InputInvalid", Message: "input: " + err.Error()}
		}
		out, err := step.Run(ctx, in)
		if err != nil {
			return nil, named(err)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(out); err != nil {
			return nil, messages.InvokeResponse_Error{Type: "OutputInvalid", Message: "output: " + err.Error()}
		}
		return bytes.TrimSpace(b.Bytes()), nil
	}, nil
}

// Start serves a step until Lambda ends the process.
func Start[In, Out any](step Runner[In, Out], err error) {
	h, err := Handle(step, err)
	if err != nil {
		exit(err)
	}
	lambda.Start(logged(h))
}

// logged is what production serves: its log goes where Lambda collects it.
func logged(h Handler) Handler {
	return Logged(h, os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), os.Stderr)
}

// named turns a chain of errors into the one name that Step Functions sees:
// ours where there is one, else the service's code. Lambda itself would report
// the Go type of the outermost wrapper, which no ErrorEquals matches.
func named(err error) messages.InvokeResponse_Error {
	name := "Unexpected"
	var ours incident.Error
	var api smithy.APIError
	switch {
	case errors.As(err, &ours):
		name = string(ours)
	case errors.As(err, &api) && api.ErrorCode() != "":
		name = api.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		name = "OutOfTime"
	}
	// Who reads the message reads the name beside it.
	text := strings.TrimPrefix(strings.TrimSuffix(err.Error(), ": "+name), name+": ")
	return messages.InvokeResponse_Error{Type: name, Message: text}
}

// Logged writes one line an invocation: how it ended, how long it took, and what
// a metric filter of the template is to see: the word under "alarm" of an answer,
// one of ours, and the numbers under "counts". Nothing else of inputs and outputs
// is logged; they hold task tokens and hostile text.
func Logged(h Handler, function string, to io.Writer) Handler {
	log := slog.New(slog.NewJSONHandler(to, nil)).With("function", function)
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		start := time.Now()
		out, err := h(ctx, payload)
		took := slog.Duration("took", time.Since(start))
		var e messages.InvokeResponse_Error
		if errors.As(err, &e) {
			log.ErrorContext(ctx, "step ended with an error", "error", e.Type, "message", e.Message, took)
		} else {
			var o struct {
				Alarm  string         `json:"alarm"`
				Counts map[string]int `json:"counts"`
			}
			level, more := slog.LevelInfo, []slog.Attr{took}
			told := bytes.Contains(out, []byte(`"alarm"`)) || bytes.Contains(out, []byte(`"counts"`)) // most have neither
			if told && json.Unmarshal(out, &o) == nil {                                               // one that is another's says nothing here
				if o.Alarm != "" {
					level, more = slog.LevelWarn, append(more, slog.String("alarm", o.Alarm))
				}
				if o.Counts != nil {
					more = append(more, slog.Any("counts", o.Counts))
				}
			}
			log.LogAttrs(ctx, level, "step done", more...)
		}
		return out, err
	}
}

func exit(err error) {
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("cannot start", "error", err.Error())
	os.Exit(1)
}
