package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asl is the command, built once.
var asl string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "asl")
	if err != nil {
		panic(err)
	}
	asl = filepath.Join(dir, "asl")
	out, err := exec.Command("go", "build", "-o", asl, ".").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func lines(t *testing.T, input string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), asl)
	cmd.Stdin = strings.NewReader(input)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil || errors.String() != "" {
		t.Fatalf("%v, stderr %q; want exit 0 and silence", err, errors.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

const (
	pass = `{"definition": {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Output": "{% $states.input.n + 1 %}", "End": true}}}, "input": {"n": 1}, "time": "virtual"}`
	task = `{"definition": {"QueryLanguage": "JSONata", "StartAt": "A", "States": {
  "A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"n": "{% $states.input.n %}"}, "TimeoutSeconds": 5,
    "Retry": [{"ErrorEquals": ["E"]}], "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "B"}], "End": true},
  "B": {"Type": "Pass", "End": true}}},
  "input": {"n": 1}, "mocks": {"A": MOCKS}}`
	items = `{"definition": {"QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": {"Type": "Map", "Items": [0, 1, 2], "ItemProcessor": {"StartAt": "A", "States": {
  "A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Arguments": "{% $states.input %}", "Retry": [{"ErrorEquals": ["E"]}], "End": true}}}, "End": true}}},
  "mocks": {"A": MOCKS}}`
	token = `{"definition": {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Arguments": {}, "Next": "B"},
  "B": {"Type": "Pass", "Output": "{% $states.input.nope %}", "End": true}}}, "mocks": {"A": MOCKS}}`
	passed = `{"status":"SUCCEEDED","output":2,"error":null,"cause":null,"calls":[]}`
)

func TestAnswers(t *testing.T) {
	mocks := func(doc, mocks string) string { return strings.Replace(doc, "MOCKS", mocks, 1) }
	tests := map[string]struct{ doc, want string }{
		"Pass":                 {pass, passed},
		"a return":             {mocks(task, `[{"return": {"Payload": null}}]`), `{"status":"SUCCEEDED","output":{"Payload":null},"error":null,"cause":null,"calls":[{"state":"A","arguments":{"n":1}}]}`},
		"null is a return":     {mocks(task, `[{"return": null}]`), `{"status":"SUCCEEDED","output":null,"error":null,"cause":null,"calls":[{"state":"A","arguments":{"n":1}}]}`},
		"each attempt its own": {mocks(task, `[{"error": "E", "cause": "c"}, {"return": 2}]`), `{"status":"SUCCEEDED","output":2,"error":null,"cause":null,"calls":[{"state":"A","arguments":{"n":1}},{"state":"A","arguments":{"n":1}}]}`},
		"an error":             {mocks(task, `[{"error": "F", "cause": "<c>"}]`), `{"status":"FAILED","output":null,"error":"F","cause":"<c>","calls":[{"state":"A","arguments":{"n":1}}]}`},
		"pending":              {mocks(task, `[{"pending": true}]`), `{"status":"SUCCEEDED","output":{"Error":"States.Timeout","Cause":""},"error":null,"cause":null,"calls":[{"state":"A","arguments":{"n":1}}]}`},
		"in order of start":    {mocks(items, `[{"error": "E"}, {"return": "b"}, {"return": "c"}, {"return": "a"}]`), `{"status":"SUCCEEDED","output":["a","b","c"],"error":null,"cause":null,"calls":[{"state":"A","arguments":0},{"state":"A","arguments":1},{"state":"A","arguments":2},{"state":"A","arguments":0}]}`},
		"ends of lines":        {mocks(task, "[{\"return\": \"a\u0085b\u2028c\u2029d\"}]"), `{"status":"SUCCEEDED","output":"a\u0085b\u2028c\u2029d","error":null,"cause":null,"calls":[{"state":"A","arguments":{"n":1}}]}`},
		"a note on the case":   {strings.Replace(pass, `{"def`, `{"name": "a sum", "expected": {"status": "FAILED"}, "def`, 1), passed},
		"no input is {}":       {`{"definition": {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}}`, `{"status":"SUCCEEDED","output":{},"error":null,"cause":null,"calls":[]}`},
		"a token's holder answers after the call": {mocks(token, `[{"return": 1}]`), `{"status":"FAILED","output":null,"error":"States.QueryEvaluationError","cause":"An error occurred while executing the state 'B' (entered at the event id #8). The JSONata expression '$states.input.nope' specified for the field 'Output' returned nothing (undefined).","calls":[{"state":"A","arguments":{}}]}`},
		"a token's holder fails it":               {mocks(token, `[{"error": "E", "cause": "c"}]`), `{"status":"FAILED","output":null,"error":"E","cause":"c","calls":[{"state":"A","arguments":{}}]}`},
		"a machine's time-out":                    {`{"definition": {"QueryLanguage": "JSONata", "TimeoutSeconds": 3, "StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 9, "End": true}}}}`, `{"status":"TIMED_OUT","output":null,"error":null,"cause":null,"calls":[]}`},
	}
	for name, test := range tests {
		if diff := cmp.Diff([]string{test.want}, lines(t, test.doc)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRefusesByName(t *testing.T) {
	mocks := func(mocks string) string { return strings.Replace(task, "MOCKS", mocks, 1) }
	for doc, reason := range map[string]string{
		mocks(`[{"return": 1, "pending": true}]`): `a mock has one of`,
		mocks(`[]`):                                                `mocks of "A" are used up`,
		mocks(`[{"error": "E"}]`):                                  `attempt 2 has none`,
		mocks(`[{"returns": 1}]`):                                  `unknown field "returns"`,
		mocks(`[{"return": 1e400}]`):                               `1e400`,
		mocks(`[{"Return": 1}]`):                                   `unknown field "Return"`,
		mocks(`[{"error": "E", "error": "F"}]`):                    `"error" is given twice`,
		mocks(`[{"return": "\ud83d"}]`):                            `half a character`,
		mocks(`[{"return": {"a": {"b": 1, "b": 2}}}]`):             `given twice`,
		strings.Replace(pass, `{"n": 1}`, `[{"n": 1, "n": 1}]`, 1): `given twice`,
		mocks(`{"return": 1}`):                                     `not a document`,
		`{"definition": {"StartAt": "A"}}`:                         `States is missing`,
		`{"definition": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}}`: `JSONPath`,
		`{"input": 1}`: `no definition`,
		strings.Replace(pass, `"input"`, `"Input"`, 1):                                     `unknown field "Input"`,
		`{"definition": {}, "name": "1", "inputs": 1}`:                                     `unknown field "inputs"`,
		`{"definition": {}` + strings.Repeat(`, "another": 1`, 300_000) + `, "inputs": 1}`: `unknown field "inputs"`, // in no time
		strings.Replace(pass, `"input"`, `"time": "virtual", "input"`, 1):                  `"time" is given twice`,
		strings.Replace(pass, `{"n": 1}`, `{"n": "\ud83d\u0041"}`, 1):                      `half a character`,
		`[1]`:                                `not a document`,
		`7`:                                  `not a document`,
		`{"definition": {}, "time": "real"}`: `time "real"`,
		strings.Replace(pass, `{"n": 1}`, `1e400`, 1):    `1e400`,
		strings.Replace(pass, `{"n": 1}`, "\"\xff\"", 1): `not UTF-8`,
		`{"a": `:   `ends before it is complete`,
		`nonsense`: `not JSON`,
	} {
		got := lines(t, doc)
		var line struct{ Status, Reason string }
		if err := json.Unmarshal([]byte(got[0]), &line); err != nil || len(got) != 1 || line.Status != "UNSUPPORTED" || !strings.Contains(line.Reason, reason) {
			t.Errorf("%s\ngot  %q\nwant one UNSUPPORTED line with %q", doc, got, reason)
		}
		if strings.Contains(strings.Join(got, ""), "goroutine") {
			t.Errorf("a stack trace: %s", got)
		}
	}
}

// One line a document, however the documents are laid out and whatever stands between them.
func TestReadsOneDocumentAfterAnother(t *testing.T) {
	bad := "bad"
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(pass), "", "  "); err != nil {
		t.Fatal(err)
	}
	indented := b.String()
	flat := strings.Replace(pass, `{"n": 1}`, "{\"n\": 1, \"l\": [\n{\"input\": 1},\n{\"mocks\": [\n{\"time\": 1}]}\n]}", 1)
	for name, test := range map[string]struct {
		input string
		want  []string
	}{
		"on lines":                                          {pass + "\n" + pass + "\n", []string{passed, passed}},
		"without a last line end":                           {pass + "\n" + pass, []string{passed, passed}},
		"on one line":                                       {pass + " " + pass + pass, []string{passed, passed, passed}},
		"over lines":                                        {indented + "\n\n" + indented, []string{passed, passed}},
		"one ends where one begins":                         {indented + pass + "\n" + pass, []string{passed, passed, passed}},
		"with Windows line ends":                            {strings.ReplaceAll(indented, "\n", "\r\n") + "\r\n" + pass + "\r\n", []string{passed, passed}},
		"with marks of byte order":                          {"\ufeff" + pass + "\n\ufeff" + pass, []string{passed, passed}},
		"ends of lines of old":                              {pass + "\r" + pass + "\r", []string{passed, passed}},
		"after one too deep":                                {strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "\n" + pass, []string{bad, passed}},
		"after one without an end":                          {strings.Repeat("[", 20000) + "\n" + pass, []string{bad, passed}},
		"after a syntax error":                              {"{\"a\": }\n" + pass, []string{bad, passed}},
		"before one on its line":                            {pass + " }\n" + pass, []string{passed, bad, passed}},
		"after one cut short":                               {`{"definition": {"StartAt"` + "\n" + pass + "\n" + pass, []string{bad, passed, passed}},
		"after two cut short":                               {`{"definition": {"StartAt"` + "\n" + `{ "definition": {` + "\n" + pass, []string{bad, bad, passed}},
		"a part looks like one":                             {flat, []string{passed}},
		"begins otherwise, after one cut short":             {`{"definition": {"StartAt"` + "\n" + `{"time": "virtual", ` + pass[1:len(pass)-len(`, "time": "virtual"}`)] + "}\n" + pass, []string{bad, passed, passed}},
		"begins with a note, after one cut short":           {`{"definition": {` + "\n" + `{"name": "a sum", ` + pass[1:] + "\n" + pass, []string{bad, passed, passed}},
		"begins otherwise, over lines, after one cut short": {`{"definition": {"StartAt"` + "\n" + `{"input": {"n": 1},` + "\n" + pass[1:len(pass)-len(`, "input": {"n": 1}, "time": "virtual"}`)] + "}\n" + pass, []string{bad, passed, passed}},
		"after a torn string":                               {`{"definition": "abc` + "\n" + pass, []string{bad, passed}},
		"after words":                                       {"this is\n" + pass, []string{bad, passed}},
		"nothing":                                           {"\n  \n", []string{""}},
	} {
		got := lines(t, test.input)
		for i, line := range got {
			if strings.HasPrefix(line, `{"status":"UNSUPPORTED"`) {
				got[i] = bad
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
