package lambdafn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"

	"github.com/google/go-cmp/cmp"
)

// TestMain is a function's main where serves asks for one.
func TestMain(m *testing.M) {
	switch os.Getenv("CORDON_TEST_SERVE") {
	case "":
		os.Exit(m.Run())
	case "step":
		lambdafn.Start(step(func(_ context.Context, in input) (output, error) {
			switch in.Number {
			case 1:
				return output{Text: in.Secret + in.Secret}, nil
			case 2:
				return output{Text: in.Secret}, fmt.Errorf("move eni-1: %w: groups stay", incident.ErrNotContained)
			}
			panic("the step is broken")
		}), nil)
	case "filtered":
		lambdafn.Start(filtered{}, nil)
	case "page":
		lambdafn.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.Copy(w, r.Body)
		}), nil)
	case "nothing":
		lambdafn.Start(step(nil), errors.New("environment variable TABLE is not set"))
	}
	os.Exit(99) // none of them returns
}

// filtered answers with what the template's metric filters read, and a secret.
type filtered struct{}

type answer struct {
	Alarm  string         `json:"alarm"`
	Counts map[string]int `json:"counts"`
	Text   string
}

func (filtered) Run(_ context.Context, in input) (answer, error) {
	if in.Number == 1 {
		return answer{Counts: map[string]int{"people": 2}, Text: secret}, nil
	}
	return answer{Alarm: "again", Text: secret}, nil
}

// reply is what a function gave the Runtime API for one invocation.
type reply struct{ Kind, Body string }

// serves runs a function as a process of its own behind a Runtime API that
// hands out the payloads, and returns the replies and what was logged.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func serves(t *testing.T, what string, payloads ...string) (replies []reply, log string) {
	t.Helper()
	given := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) != "next" {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			replies = append(replies, reply{path.Base(r.URL.Path), string(b)})
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if given == len(payloads) {
			w.WriteHeader(http.StatusGone) // ends the process
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", strconv.Itoa(given))
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10))
		_, _ = io.WriteString(w, payloads[given])
		given++
	}))
	defer api.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "CORDON_TEST_SERVE="+what, "AWS_LAMBDA_FUNCTION_NAME=isolate",
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var ended *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &ended) || ended.ExitCode() != 1 {
		t.Fatalf("the function ended with %v\n%s", err, out.String())
	}
	return replies, out.String()
}

// lines are our own lines of a log, without times.
func lines(t *testing.T, log string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log) {
		var l map[string]any
		if json.Unmarshal([]byte(line), &l) != nil || l["level"] == nil {
			continue // aws-lambda-go's
		}
		for _, name := range []string{"time", "took"} {
			if l[name] == nil && l["msg"] != "cannot start" {
				t.Errorf("no %s in %s", name, line)
			}
			delete(l, name)
		}
		all = append(all, l)
	}
	return all
}

// secret stands for a task token: what is logged is kept for weeks, by people
// who may not decide.
const secret = "AQCEAAAAKgAAAAMAAAAAAAAAAQ"

func TestStart(t *testing.T) {
	replies, log := serves(t, "step",
		`{"Number": 1, "Secret": "`+secret+`"}`, `{"Number": 2, "Secret": "`+secret+`"}`, `{"Number": "`+secret+`"}`)
	want := []reply{
		{"response", `{"Text":"` + secret + secret + `","Ratio":0}`},
		{"error", `{"errorMessage":"move eni-1: NotContained: groups stay","errorType":"NotContained"}`},
		{"error", `{"errorMessage":"input: json: cannot unmarshal string into Go struct field input.Number of type int","errorType":"InputInvalid"}`},
	}
	if diff := cmp.Diff(want, replies); diff != "" {
		t.Errorf("what Step Functions is told (-want +got):\n%s", diff)
	}
	if strings.Contains(log, secret) {
		t.Errorf("the log holds what went in or out:\n%s", log)
	}
	if diff := cmp.Diff([]map[string]any{
		{"level": "INFO", "msg": "step done", "function": "isolate"},
		{"level": "ERROR", "msg": "step ended with an error", "function": "isolate", "error": "NotContained", "message": "move eni-1: NotContained: groups stay"},
		{"level": "ERROR", "msg": "step ended with an error", "function": "isolate", "error": "InputInvalid", "message": "input: json: cannot unmarshal string into Go struct field input.Number of type int"},
	}, lines(t, log)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

func TestServeHTTP(t *testing.T) {
	e := event("POST", "/d/x/"+secret, "")
	e.Body = "token=" + secret
	replies, log := serves(t, "page", string(jsonOf(t, e)), "x")
	if len(replies) != 2 || replies[0].Kind != "response" || !strings.Contains(replies[0].Body, `"statusCode":418`) || !strings.Contains(replies[0].Body, e.Body) || replies[1].Kind != "error" {
		t.Errorf("what the gateway is told: %q", replies)
	}
	if strings.Contains(log, secret) {
		t.Errorf("the log holds the link or the form:\n%s", log)
	}
	if l := lines(t, log); len(l) != 2 || l[0]["msg"] != "step done" || l[1]["level"] != "ERROR" {
		t.Errorf("the log: %v", l)
	}
}

// TestWhatFiltersSee: the template's metric filters read these two, and nothing
// else that a step answers is in the log.
func TestWhatFiltersSee(t *testing.T) {
	_, log := serves(t, "filtered", `{"Number": 1}`, `{"Number": 2}`)
	if diff := cmp.Diff([]map[string]any{
		{"level": "INFO", "msg": "step done", "function": "isolate", "counts": map[string]any{"people": 2.0}},
		{"level": "WARN", "msg": "step done", "function": "isolate", "alarm": "again"},
	}, lines(t, log)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	if strings.Contains(log, secret) {
		t.Errorf("the log holds what the step answered:\n%s", log)
	}
}

// TestStartWithoutSettings: a function that cannot work ends and says why,
// before it takes an invocation.
func TestStartWithoutSettings(t *testing.T) {
	replies, log := serves(t, "nothing", `{}`)
	if len(replies) != 0 {
		t.Errorf("it answered: %q", replies)
	}
	want := []map[string]any{{"level": "ERROR", "msg": "cannot start", "error": "environment variable TABLE is not set"}}
	if diff := cmp.Diff(want, lines(t, log)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

// TestPanic: a step that panics is an error of its invocation. The process ends,
// and the next invocation gets a new one.
func TestPanic(t *testing.T) {
	replies, log := serves(t, "step", `{"Number": 3, "Secret": "`+secret+`"}`, `{"Number": 1}`)
	if len(replies) != 1 || replies[0].Kind != "error" || !strings.Contains(replies[0].Body, "the step is broken") {
		t.Errorf("what Step Functions is told: %q", replies)
	}
	if strings.Contains(log, secret) {
		t.Errorf("the log holds what went in:\n%s", log)
	}
}
