package lambdafn_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// event is what an HTTP API sends, payload format 2.0.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func event(method, path, query string) events.APIGatewayV2HTTPRequest {
	return events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: query,
		Headers: map[string]string{"content-type": "application/x-www-form-urlencoded", "user-agent": "curl/8", "x-forwarded-for": "203.0.113.9"},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			DomainName: "api.example.com",
			HTTP:       events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: method, Path: path, SourceIP: "192.0.2.1"},
		},
	}
}

// ask serves one event and returns what the handler saw and what was answered.
func ask(t *testing.T, e events.APIGatewayV2HTTPRequest, h http.HandlerFunc) (*http.Request, events.APIGatewayV2HTTPResponse) {
	t.Helper()
	var seen *http.Request
	out, err := lambdafn.HandleHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		h(w, r)
	}))(t.Context(), jsonOf(t, e))
	if err != nil {
		t.Fatal(err)
	}
	var a events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	return seen, a
}

func nothing(http.ResponseWriter, *http.Request) {}

func TestRequest(t *testing.T) {
	type request struct{ Method, Host, Path, Query, Remote, Agent, Type string }
	e := event("GET", "/d/123456789012.eu-west-1.i-0a.1.1/s-_", "a=1&b=%3D%26")
	r, _ := ask(t, e, nothing)
	got := request{r.Method, r.Host, r.URL.Path, r.URL.RawQuery, r.RemoteAddr, r.UserAgent(), r.Header.Get("Content-Type")}
	want := request{"GET", "api.example.com", "/d/123456789012.eu-west-1.i-0a.1.1/s-_", "a=1&b=%3D%26", "192.0.2.1:0", "curl/8", "application/x-www-form-urlencoded"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e.RequestContext.HTTP.SourceIP = "2001:db8::1"
	if r, _ := ask(t, e, nothing); r.RemoteAddr != "[2001:db8::1]:0" {
		t.Errorf("RemoteAddr %q: the address of who decides is the gateway's word, in net/http's form", r.RemoteAddr)
	}
}

// TestCaller: who calls is what the gateway verified. No header makes anybody
// somebody.
func TestCaller(t *testing.T) {
	const arn = "arn:aws:sts::123456789012:assumed-role/Responder/sato"
	e := event("POST", "/operator/x", "")
	for _, name := range []string{"x-amzn-iam-user-arn", "x-caller", "authorization", "requestcontext", "x-amzn-request-context"} {
		e.Headers[name] = arn
	}
	for _, a := range []*events.APIGatewayV2HTTPRequestContextAuthorizerDescription{nil, {}, {Lambda: map[string]any{"iam": arn}}} {
		e.RequestContext.Authorizer = a
		if r, _ := ask(t, e, nothing); incident.Caller(r.Context()) != "" {
			t.Errorf("without IAM authorization the caller is %q", incident.Caller(r.Context()))
		}
	}
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: arn},
	}
	if r, _ := ask(t, e, nothing); incident.Caller(r.Context()) != arn {
		t.Errorf("the caller is %q, want %q", incident.Caller(r.Context()), arn)
	}
}

// TestPath: an HTTP API decodes rawPath, whatever its name says. What it then
// holds belongs to the path, and must not begin a query or another host.
// https://github.com/honojs/hono/issues/2156
func TestPath(t *testing.T) {
	for _, path := range []string{"/", "/d/a b", "/d/a?secret=1", "/d/a#b", "/d/100%", "/d/%zz", "/d/%2e%2e", "/d/../x", "//evil.example/x", "/d/日本", "/d/a;b=c", `/d/\`, "/d/\r\nX: y"} {
		r, _ := ask(t, event("GET", path, "q=1"), nothing)
		if r.URL.Path != path || r.URL.RawQuery != "q=1" || r.Host != "api.example.com" {
			t.Errorf("path %q became %q, query %q, host %q", path, r.URL.Path, r.URL.RawQuery, r.Host)
		}
	}
}

func TestBody(t *testing.T) {
	form := "decision=keep&name=Sat%C5%8D"
	plain := event("POST", "/d/x", "")
	plain.Body = form
	encoded := plain
	encoded.Body, encoded.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(form)), true
	for name, e := range map[string]events.APIGatewayV2HTTPRequest{"plain": plain, "base64": encoded} {
		_, a := ask(t, e, func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, r.Method, " ", r.ContentLength, " ", r.PostForm.Get("decision"), " ", r.PostForm.Get("name"))
		})
		if want := "POST 28 keep Satō"; a.Body != want || a.IsBase64Encoded {
			t.Errorf("%s: %q, want %q", name, a.Body, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	_, a := ask(t, event("GET", "/", ""), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Add("Vary", "A")
		w.Header().Add("Vary", "B")
		w.WriteHeader(http.StatusGone)
		_, _ = io.WriteString(w, "<p>")
		_, _ = io.WriteString(w, "隔離")
	})
	want := events.APIGatewayV2HTTPResponse{
		StatusCode: http.StatusGone, Body: "<p>隔離",
		Headers: map[string]string{"Content-Type": "text/html; charset=utf-8", "Vary": "A,B"},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, a := ask(t, event("GET", "/", ""), nothing); a.StatusCode != http.StatusOK {
		t.Errorf("a handler that says nothing: %d, want 200 as net/http has it", a.StatusCode)
	}
}

// TestNoRequest: what no gateway sends is an error with a name, and no handler
// is asked.
func TestNoRequest(t *testing.T) {
	base64 := event("POST", "/", "")
	base64.Body, base64.IsBase64Encoded = "???", true
	for name, payload := range map[string][]byte{
		"no JSON": []byte("x"), "another shape": []byte(`{"headers":[]}`), "a body that is not base64": jsonOf(t, base64),
		"a method that is none": jsonOf(t, event("GET /x", "/", "")),
	} {
		h := lambdafn.HandleHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: the handler was asked", name) }))
		out, err := h(t.Context(), payload)
		if e := failure(t, err); out != nil || e.Type == "" || strings.Contains(e.Type, ".") || strings.HasSuffix(e.Type, "Error") {
			t.Errorf("%s: %s, named %q", name, out, e.Type)
		}
	}
}
