package lambdafn

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// ServeHTTP serves an http.Handler behind an API Gateway HTTP API (payload
// format 2.0) until Lambda ends the process.
func ServeHTTP(h http.Handler, err error) {
	if err != nil {
		exit(err)
	}
	lambda.Start(logged(HandleHTTP(h)))
}

// HandleHTTP translates between the gateway's events and net/http. Cookies,
// which the gateway keeps apart from other headers, are left out: the page uses
// none.
func HandleHTTP(h http.Handler) Handler {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, named(err)
		}
		r, err := request(ctx, e)
		if err != nil {
			return nil, named(err)
		}
		w := &answer{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, r)
		return json.Marshal(w.event())
	}
}

func request(ctx context.Context, e events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := io.Reader(strings.NewReader(e.Body))
	if e.IsBase64Encoded {
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	// Who calls, on a route with IAM authorization: the gateway's word, for which a
	// header is no substitute.
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
	if a := e.RequestContext.Authorizer; a != nil && a.IAM != nil {
		ctx = incident.WithCaller(ctx, a.IAM.UserARN)
	}
	// The gateway decodes rawPath, so that it may hold a ? or a % of its own.
	u := url.URL{Scheme: "https", Host: e.RequestContext.DomainName, Path: e.RawPath, RawQuery: e.RawQueryString}
	r, err := http.NewRequestWithContext(ctx, e.RequestContext.HTTP.Method, u.String(), bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	for k, v := range e.Headers {
		r.Header.Set(k, v)
	}
	r.RemoteAddr = net.JoinHostPort(e.RequestContext.HTTP.SourceIP, "0")
	r.RequestURI = u.RequestURI()
	return r, nil
}

// answer is a ResponseWriter that keeps what is written; answers are small.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) event() events.APIGatewayV2HTTPResponse {
	out := events.APIGatewayV2HTTPResponse{StatusCode: a.status, Headers: map[string]string{}, Body: a.body.String()}
	for k, v := range a.header {
		out.Headers[k] = strings.Join(v, ",")
	}
	return out
}
