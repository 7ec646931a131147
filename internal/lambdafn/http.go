package lambdafn

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// ServeHTTP serves an http.Handler behind an API Gateway HTTP API (payload
// format 2.0), or behind an Application Load Balancer, until Lambda ends the
// process.
func ServeHTTP(h http.Handler, err error) {
	if err != nil {
		exit(err)
	}
	lambda.Start(logged(HandleHTTP(h)))
}

// HandleHTTP translates between the events of either and net/http. Cookies, which
// the gateway keeps apart from other headers, are left out: the page uses none.
func HandleHTTP(h http.Handler) Handler {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		// Both are written by AWS alone; what a client sends is never beside them.
		var from struct {
			RequestContext struct {
				ELB *events.ELBContext `json:"elb"`
			} `json:"requestContext"`
		}
		if err := json.Unmarshal(payload, &from); err != nil {
			return nil, named(err)
		}
		if from.RequestContext.ELB != nil {
			return balanced(ctx, h, payload)
		}
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, named(err)
		}
		// Who calls, on a route with IAM authorization: the gateway's word, for which a
		// header is no substitute.
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
		if a := e.RequestContext.Authorizer; a != nil && a.IAM != nil {
			ctx = incident.WithCaller(ctx, a.IAM.UserARN)
		}
		// The gateway decodes rawPath, so that it may hold a ? or a % of its own.
		u := url.URL{Scheme: "https", Host: e.RequestContext.DomainName, Path: e.RawPath, RawQuery: e.RawQueryString}
		r, err := request(ctx, e.RequestContext.HTTP.Method, u, e.Body, e.IsBase64Encoded)
		if err != nil {
			return nil, named(err)
		}
		for k, v := range e.Headers {
			r.Header.Set(k, v)
		}
		r.RemoteAddr = net.JoinHostPort(e.RequestContext.HTTP.SourceIP, "0")
		w := &answer{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, r)
		return json.Marshal(events.APIGatewayV2HTTPResponse{StatusCode: w.status, Headers: w.single(), Body: w.body.String()})
	}
}

// balanced serves what a balancer passes on. A header that came twice is seen
// twice where its target group has multi-value headers; else only the last is sent.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
func balanced(ctx context.Context, h http.Handler, payload []byte) ([]byte, error) {
	var e events.ALBTargetGroupRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, named(err)
	}
	header, query := http.Header{}, e.MultiValueQueryStringParameters
	for k, v := range e.Headers {
		header.Add(k, v)
	}
	for k, all := range e.MultiValueHeaders {
		for _, v := range all {
			header.Add(k, v)
		}
	}
	if query == nil {
		query = map[string][]string{}
	}
	for k, v := range e.QueryStringParameters {
		query[k] = append(query[k], v)
	}
	var raw []string // the balancer decodes neither path nor query
	for _, k := range slices.Sorted(maps.Keys(query)) {
		for _, v := range query[k] {
			raw = append(raw, k+"="+v)
		}
	}
	u := url.URL{Scheme: "https", Host: header.Get("Host"), Path: e.Path, RawQuery: strings.Join(raw, "&")}
	r, err := request(incident.WithDoor(ctx, e.RequestContext.ELB.TargetGroupArn), e.HTTPMethod, u, e.Body, e.IsBase64Encoded)
	if err != nil {
		return nil, named(err)
	}
	r.Header = header
	// What the balancer appends is the last; what is before it may be anybody's claim.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
	hops := strings.Split(strings.Join(header.Values("X-Forwarded-For"), ","), ",")
	r.RemoteAddr = net.JoinHostPort(strings.TrimSpace(hops[len(hops)-1]), "0")
	w := &answer{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(w, r)
	out := events.ALBTargetGroupResponse{StatusCode: w.status, StatusDescription: fmt.Sprint(w.status, " ", http.StatusText(w.status)), Body: w.body.String()}
	// It reads the kind of header that it sent, and no other.
	if e.MultiValueHeaders != nil {
		out.MultiValueHeaders = w.header
	} else {
		out.Headers = w.single()
	}
	return json.Marshal(out)
}

func request(ctx context.Context, method string, u url.URL, body string, encoded bool) (*http.Request, error) {
	from := io.Reader(strings.NewReader(body))
	if encoded {
		from = base64.NewDecoder(base64.StdEncoding, from)
	}
	b, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
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

// single is the header as one value a name.
func (a *answer) single() map[string]string {
	all := map[string]string{}
	for k, v := range a.header {
		all[k] = strings.Join(v, ",")
	}
	return all
}
