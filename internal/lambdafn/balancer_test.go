package lambdafn_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// balanced serves one event of a balancer, and returns what the handler saw, its
// body, and what was answered. The events in testdata are in the form of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
func balanced(t *testing.T, payload []byte, h http.HandlerFunc) (seen *http.Request, body string, answered events.ALBTargetGroupResponse) {
	t.Helper()
	out, err := lambdafn.HandleHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen, body = r, string(b)
		h(w, r)
	}))(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &answered); err != nil {
		t.Fatal(err)
	}
	return seen, body, answered
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBalancer: both forms in which a balancer passes a request on become the
// same request, and each is answered in its own form.
func TestBalancer(t *testing.T) {
	type request struct{ Method, Host, Path, Query, Remote, Agent, Type, Body, Door string }
	want := request{
		Method: "POST", Host: "decide.example.com", Path: "/d/111122223333.eu-west-1.i-0abc.1.1", Query: "a=1&a=%3D2&b=",
		Remote: "10.0.1.17:0", Agent: "Mozilla/5.0", Type: "application/x-www-form-urlencoded", Body: "decision=keep&name=Sat%C5%8D",
		Door: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/cordon-responders/6d0ecf831eec9f09",
	}
	say := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Add("Vary", "A")
		w.Header().Add("Vary", "B")
		w.WriteHeader(http.StatusGone)
		_, _ = io.WriteString(w, "<p>隔離")
	}
	for name, test := range map[string]struct {
		query string
		want  events.ALBTargetGroupResponse
	}{
		"balancer-multi.json": {want.Query, events.ALBTargetGroupResponse{
			StatusCode: 410, StatusDescription: "410 Gone", Body: "<p>隔離",
			MultiValueHeaders: map[string][]string{"Content-Type": {"text/html; charset=utf-8"}, "Vary": {"A", "B"}},
		}},
		// Of two values only the last is sent.
		"balancer-single.json": {"a=%3D2&b=", events.ALBTargetGroupResponse{
			StatusCode: 410, StatusDescription: "410 Gone", Body: "<p>隔離",
			Headers: map[string]string{"Content-Type": "text/html; charset=utf-8", "Vary": "A,B"},
		}},
	} {
		r, body, answered := balanced(t, file(t, name), say)
		want.Query = test.query
		got := request{r.Method, r.Host, r.URL.Path, r.URL.RawQuery, r.RemoteAddr, r.UserAgent(), r.Header.Get("Content-Type"), body, incident.Door(r.Context())}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the request (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.want, answered); diff != "" {
			t.Errorf("%s: the answer (-want +got):\n%s", name, diff)
		}
		if incident.Caller(r.Context()) != "" {
			t.Errorf("%s: a balancer made the caller %q", name, incident.Caller(r.Context()))
		}
	}
}

// TestBalancerShowsEveryHeader: a header that a client sends beside the one that
// Verified Access adds must be seen, or the wrong one of two could be believed.
func TestBalancerShowsEveryHeader(t *testing.T) {
	r, _, _ := balanced(t, file(t, "balancer-multi.json"), nothing)
	if diff := cmp.Diff([]string{"first", "second"}, r.Header.Values("X-Amzn-Ava-User-Context")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDoor: through which door a request came is the word of AWS, which no header,
// and no request of the public API, can take.
func TestDoor(t *testing.T) {
	e := event("POST", "/d/x", "")
	for _, name := range []string{"requestcontext", "x-amzn-elb", "x-forwarded-for", "targetgrouparn"} {
		e.Headers[name] = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/cordon-responders/6d0ecf831eec9f09"
	}
	e.Body = `{"requestContext":{"elb":{"targetGroupArn":"arn"}}}`
	if r, _ := ask(t, e, nothing); incident.Door(r.Context()) != "" {
		t.Errorf("the public API is the door %q", incident.Door(r.Context()))
	}
}

// TestBalancerPath: a path is no query and no other host, whatever it holds.
func TestBalancerPath(t *testing.T) {
	for _, path := range []string{"/d/a?secret=1", "/d/%zz", "/d/%2e%2e", "//evil.example/x", "/d/日本", "/d/\r\nX: y"} {
		quoted, err := json.Marshal(path)
		if err != nil {
			t.Fatal(err)
		}
		payload := strings.Replace(string(file(t, "balancer-multi.json")), `"/d/111122223333.eu-west-1.i-0abc.1.1"`, string(quoted), 1)
		r, _, _ := balanced(t, []byte(payload), nothing)
		if r.URL.Path != path || r.Host != "decide.example.com" {
			t.Errorf("path %q became %q, host %q", path, r.URL.Path, r.Host)
		}
	}
}

// TestBalancerHealth: the check of a balancer has next to no headers, and is
// answered all the same.
func TestBalancerHealth(t *testing.T) {
	payload := `{"requestContext":{"elb":{"targetGroupArn":"arn"}},"httpMethod":"GET","path":"/","queryStringParameters":{},"headers":{"user-agent":"ELB-HealthChecker/2.0"},"body":"","isBase64Encoded":false}`
	r, _, answered := balanced(t, []byte(payload), nothing)
	if r.UserAgent() != "ELB-HealthChecker/2.0" || answered.StatusCode != http.StatusOK {
		t.Errorf("agent %q, answer %d", r.UserAgent(), answered.StatusCode)
	}
	h := lambdafn.HandleHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was asked") }))
	for _, bad := range []string{`{"requestContext":{"elb":{}},"headers":[]}`, `{"requestContext":{"elb":{}},"httpMethod":"GET","body":"???","isBase64Encoded":true}`, `{"requestContext":{"elb":{}},"httpMethod":"GET /x"}`} {
		if out, err := h(t.Context(), []byte(bad)); out != nil || failure(t, err).Type == "" {
			t.Errorf("%s: answered %s, %v", bad, out, err)
		}
	}
}
