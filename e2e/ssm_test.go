package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cordon/e2e"
)

const commandDocument = `{"schemaVersion": "2.2", "parameters": {
	"Incident": {"type": "String", "allowedPattern": "^[0-9A-Za-z.-]+$"}, "executionTimeout": {"type": "String", "allowedPattern": "^[1-9][0-9]+$"}},
	"mainSteps": [{"action": "aws:runShellScript", "inputs": {"timeoutSeconds": "{{ executionTimeout }}", "runCommand": ["echo '{{ Incident }}'", "exit"]}}]}`

// host is one that is heard of or not, and notes what it was told to run.
type host struct {
	deaf  atomic.Bool
	there bool
	block bool
	ran   atomic.Value
}

func (h *host) Runs(context.Context, string) (bool, error)  { return h.there, nil }
func (h *host) Hears(context.Context, string) (bool, error) { return !h.deaf.Load(), nil }

func (h *host) Run(ctx context.Context, _, script string) (string, int, error) {
	h.ran.Store(script)
	if h.block {
		<-ctx.Done()
	}
	return "said", 0, nil
}

// runCommand is SSM with one document and an agent on i-1.
type runCommand struct {
	t    *testing.T
	ours *e2e.Ours
}

func newRunCommand(t *testing.T, h *host) runCommand {
	t.Helper()
	s := &e2e.SSM{Host: h}
	if err := s.AddDocument("capture", []byte(commandDocument)); err != nil {
		t.Fatal(err)
	}
	s.AddAgent("i-1")
	t.Cleanup(s.Close)
	return runCommand{t, &e2e.Ours{SSM: s}}
}

// call makes a call and returns the answer, or the code of the error.
func (c runCommand) call(action, input string) (map[string]any, string) {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.ours.ServeHTTP(w, withTarget(signed("ssm", "POST", "/", input), "AmazonSSM."+action))
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		c.t.Fatalf("%s: %v: %s", action, err, w.Body)
	}
	if w.Code != http.StatusOK {
		code, _ := out["__type"].(string)
		return nil, code
	}
	return out, ""
}

func (c runCommand) send() string {
	c.t.Helper()
	out, code := c.call("SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "Parameters": {"Incident": ["a.1"], "executionTimeout": ["60"]}}`)
	if code != "" {
		c.t.Fatal(code)
	}
	id, _ := out["Command"].(map[string]any)["CommandId"].(string)
	return id
}

// becomes waits for a status of the command.
func (c runCommand) becomes(id, want string) map[string]any {
	c.t.Helper()
	var out map[string]any
	var code string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if out, code = c.call("GetCommandInvocation", `{"CommandId": "`+id+`", "InstanceId": "i-1"}`); code == "" && out["Status"] == want {
			return out
		}
	}
	c.t.Fatalf("the command is %v %s; want %s", out, code, want)
	return nil
}

func TestCommandsRunWithTheirParameters(t *testing.T) {
	h := &host{there: true}
	c := newRunCommand(t, h)
	id := c.send()
	if _, code := c.call("GetCommandInvocation", `{"CommandId": "`+id+`", "InstanceId": "i-1"}`); code != "InvocationDoesNotExist" {
		t.Errorf("SSM knows a command at once: %q", code)
	}
	if out := c.becomes(id, "Success"); out["StandardOutputContent"] != "said" {
		t.Errorf("the invocation: %v", out)
	}
	if got := h.ran.Load(); got != "echo 'a.1'\nexit" {
		t.Errorf("the host ran %q", got)
	}
	out, _ := c.call("ListCommands", `{"Filters": [{"key": "DocumentName", "value": "capture"}]}`)
	if all, _ := out["Commands"].([]any); len(all) != 1 {
		t.Errorf("commands are %v", out)
	}
}

func TestCommandsWaitForTheirHost(t *testing.T) {
	h := &host{there: true}
	h.deaf.Store(true)
	c := newRunCommand(t, h)
	id := c.send()
	c.becomes(id, "Delayed")
	if h.ran.Load() != nil {
		t.Error("a host that hears nothing ran it")
	}
	h.deaf.Store(false)
	c.becomes(id, "Success")
}

func TestCommandsAreCancelled(t *testing.T) {
	c := newRunCommand(t, &host{there: true, block: true})
	id := c.send()
	c.becomes(id, "InProgress")
	if _, code := c.call("CancelCommand", `{"CommandId": "`+id+`", "InstanceIds": ["i-1"]}`); code != "" {
		t.Fatal(code)
	}
	c.becomes(id, "Cancelled")
}

func TestNobodyHasASession(t *testing.T) {
	out, code := newRunCommand(t, &host{there: true}).call("DescribeSessions", `{"State": "Active", "Filters": [{"key": "Target", "value": "i-1"}]}`)
	if sessions, ok := out["Sessions"].([]any); code != "" || !ok || len(sessions) > 0 {
		t.Errorf("sessions of an instance: %v %q; want none", out, code)
	}
}

func TestRunCommandRefuses(t *testing.T) {
	c := newRunCommand(t, &host{there: true})
	gone := newRunCommand(t, &host{})
	const good = `"Parameters": {"Incident": ["a"], "executionTimeout": ["60"]}`
	for name, try := range map[string]struct {
		to            runCommand
		action, input string
		want          string
	}{
		"an unknown document":          {c, "SendCommand", `{"DocumentName": "other", "InstanceIds": ["i-1"]}`, "InvalidDocument"},
		"no document":                  {c, "SendCommand", `{"InstanceIds": ["i-1"]}`, "ValidationException"},
		"an instance without an agent": {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-2"], ` + good + `}`, "InvalidInstanceId"},
		"an instance that is gone":     {gone, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], ` + good + `}`, "InvalidInstanceId"},
		"a parameter too few":          {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "Parameters": {"Incident": ["a"]}}`, "InvalidParameters"},
		"a parameter too many":         {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "Parameters": {"Incident": ["a"], "executionTimeout": ["60"], "More": ["a"]}}`, "InvalidParameters"},
		"a parameter of another form":  {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "Parameters": {"Incident": ["a b"], "executionTimeout": ["60"]}}`, "InvalidParameters"},
		"an execution without end":     {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "Parameters": {"Incident": ["a"], "executionTimeout": ["999999"]}}`, "InvalidParameters"},
		"a delivery too short":         {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "TimeoutSeconds": 29, ` + good + `}`, "ValidationException"},
		"a comment too long":           {c, "SendCommand", `{"DocumentName": "capture", "InstanceIds": ["i-1"], "Comment": "` + strings.Repeat("a", 101) + `", ` + good + `}`, "ValidationException"},
		"a field that is not known":    {c, "SendCommand", `{"DocumentName": "capture", "OutputS3BucketName": "b"}`, "SerializationException"},
		"another filter":               {c, "DescribeInstanceInformation", `{"Filters": [{"Key": "Colour", "Values": ["a"]}]}`, "InvalidFilterKey"},
		"a page too large":             {c, "DescribeInstanceInformation", `{"MaxResults": 51}`, "ValidationException"},
		"another filter of commands":   {c, "ListCommands", `{"Filters": [{"key": "Colour", "value": "a"}]}`, "InvalidFilterKey"},
		"a time that is none":          {c, "ListCommands", `{"Filters": [{"key": "InvokedAfter", "value": "now"}]}`, "ValidationException"},
		"sessions in no state":         {c, "DescribeSessions", `{}`, "ValidationException"},
		"another filter of sessions":   {c, "DescribeSessions", `{"State": "Active", "Filters": [{"key": "Colour", "value": "a"}]}`, "InvalidFilterKey"},
		"too many sessions":            {c, "DescribeSessions", `{"State": "Active", "MaxResults": 201}`, "ValidationException"},
		"no such invocation":           {c, "GetCommandInvocation", `{"CommandId": "a", "InstanceId": "i-1"}`, "InvocationDoesNotExist"},
		"no such command":              {c, "CancelCommand", `{"CommandId": "a"}`, "InvalidCommandId"},
	} {
		if name == "another filter of commands" || name == "a time that is none" {
			id := try.to.send() // a filter is looked at where there is something to filter
			try.to.becomes(id, "Success")
		}
		if out, code := try.to.call(try.action, try.input); code != try.want {
			t.Errorf("%s is answered with %v %q; want %s", name, out, code, try.want)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	c.ours.ServeHTTP(w, withTarget(r, "AmazonSSM.ListCommands"))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "MissingAuthenticationToken") {
		t.Errorf("without a signature: %d %s", w.Code, w.Body)
	}
}
