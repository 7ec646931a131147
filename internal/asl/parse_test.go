package asl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon/internal/asl"
)

const end = `"Z": {"Type": "Pass", "End": true}`

// What Step Functions would not accept, and what only this interpreter does not
// know, are told apart, each by name.
func TestParseRefuses(t *testing.T) {
	task := func(fields string) string {
		return machine(`"A": {` + lambda + `, ` + fields + `, "Next": "Z"}, ` + end)
	}
	invalid := map[string]struct{ definition, why string }{
		"not JSON":                      {`{"StartAt": `, "unexpected end"},
		"no StartAt":                    {`{"QueryLanguage": "JSONata", "States": {` + end + `}}`, "StartAt is missing"},
		"unknown StartAt":               {`{"QueryLanguage": "JSONata", "StartAt": "Y", "States": {` + end + `}}`, `no state "Y"`},
		"unknown target":                {machine(`"A": {"Type": "Pass", "Next": "B"}`), `no state "B"`},
		"a state nobody reaches":        {machine(`"A": {"Type": "Pass", "End": true}, ` + end), "never reached"},
		"Next and End":                  {machine(`"A": {"Type": "Pass", "Next": "Z", "End": true}, ` + end), "needs Next or End"},
		"neither":                       {machine(`"A": {"Type": "Pass"}`), "needs Next or End"},
		"a field twice":                 {machine(`"A": {"Type": "Pass", "End": true, "End": true}`), "given twice"},
		"a name twice":                  {machine(`"A": {"Type": "Map", "ItemProcessor": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}, "End": true}`), "has this name"},
		"JSONPath fields":               {machine(`"A": {"Type": "Pass", "ResultPath": "$.x", "End": true}`), "ResultPath is a field of JSONPath"},
		"JSONata that does not compile": {machine(`"A": {"Type": "Pass", "Output": "{% 1 + %}", "End": true}`), "S0207: Unexpected end of expression"},
		"an error of null":              {task(`"Catch": [{"ErrorEquals": [null], "Next": "Z"}]`), "array of strings"},
		"States.ALL in company":         {task(`"Retry": [{"ErrorEquals": ["States.ALL", "X"]}]`), "alone"},
		"States.ALL first":              {task(`"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}, {"ErrorEquals": ["X"], "Next": "Z"}]`), "last"},
		"an interval of 0":              {task(`"Retry": [{"ErrorEquals": ["X"], "IntervalSeconds": 0}]`), "IntervalSeconds"},
		"a backoff below 1":             {task(`"Retry": [{"ErrorEquals": ["X"], "BackoffRate": 0.5}]`), "BackoffRate"},
		"a jitter of its own":           {task(`"Retry": [{"ErrorEquals": ["X"], "JitterStrategy": "SOME"}]`), "JitterStrategy"},
		"a heartbeat past the time-out": {task(`"TimeoutSeconds": 5, "HeartbeatSeconds": 5`), "below TimeoutSeconds"},
		"a time-out of null":            {task(`"TimeoutSeconds": null`), "whole number"},
		"a wait of null":                {machine(`"A": {"Type": "Wait", "Seconds": null, "End": true}`), "whole number"},
		"a time-out in words":           {task(`"TimeoutSeconds": "5"`), "whole number"},
		"no Resource":                   {machine(`"A": {"Type": "Task", "End": true}`), "Resource is missing"},
		"a Resource in words":           {machine(`"A": {"Type": "Task", "Resource": "my function", "End": true}`), "must be an ARN"},
		"Wait without a time":           {machine(`"A": {"Type": "Wait", "End": true}`), "needs Seconds or Timestamp"},
		"Choice without rules":          {machine(`"A": {"Type": "Choice", "Default": "Z", "Choices": []}, ` + end), "Choices is missing"},
		"a condition in words":          {machine(`"A": {"Type": "Choice", "Choices": [{"Condition": "true", "Next": "Z"}]}, ` + end), "Condition must be"},
		"a delay below the interval":    {task(`"Retry": [{"ErrorEquals": ["X"], "IntervalSeconds": 5, "MaxDelaySeconds": 5}]`), "above IntervalSeconds"},
		"no terminal state":             {machine(`"A": {"Type": "Pass", "Next": "A"}`), "Workflow has no terminal state"},
		"a name at the top":             {machine(`"A": {"Type": "Pass", "Output": {"v": "{% phone %}"}, "End": true}`), "at /States/A/Output/v: Reference to 'phone' at the top level is not supported."},
		"a result too early":            {task(`"Arguments": "{% $states.result %}"`), "$states.result is not there"},
		"a result of a Pass":            {machine(`"A": {"Type": "Pass", "Output": "{% $states.result %}", "End": true}`), "$states.result is not there"},
		"an error outside a catcher":    {task(`"Output": "{% $states.errorOutput %}"`), "$states.errorOutput is not there"},
		"a result in a catcher":         {task(`"Catch": [{"ErrorEquals": ["X"], "Output": "{% $states.result %}", "Next": "Z"}]`), "$states.result is not there"},
		"a variable's name":             {machine(`"A": {"Type": "Pass", "Assign": {"_x": 1}, "End": true}`), "cannot be the name"},
		"too long a variable's name":    {machine(`"A": {"Type": "Pass", "Assign": {"` + strings.Repeat("x", 81) + `": 1}, "End": true}`), "cannot be the name"},
		"too long a state's name":       {machine(`"` + strings.Repeat("x", 81) + `": {"Type": "Pass", "End": true}`), "1 to 80 characters"},
		"JSONPath in a JSONata machine": {machine(`"A": {"Type": "Pass", "QueryLanguage": "JSONPath", "End": true}`), "cannot be in JSONPath"},
		"a timestamp without offset":    {machine(`"A": {"Type": "Wait", "Timestamp": "2026-01-01T00:00:00", "End": true}`), "String does not match RFC3339 timestamp"},
		"waiting for ever":              {machine(`"A": {"Type": "Wait", "Seconds": 100000000, "End": true}`), "from 0 to 99999999"},
		"assigning states":              {machine(`"A": {"Type": "Pass", "Assign": {"states": 1}, "End": true}`), "cannot be the name"},
		"a variable of the outer scope": {machine(`"A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"}, "P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Assign": {"x": 2}, "End": true}}}], "End": true}`), "outer scope"},
	}
	for name, test := range invalid {
		_, err := asl.Parse([]byte(test.definition))
		var bad *asl.InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: %v, want an InvalidError with %q", name, err, test.why)
		}
	}
	unsupported := map[string]struct{ definition, what string }{
		"JSONPath, the default":     {`{"StartAt": "Z", "States": {` + end + `}}`, "query language JSONPath"},
		"JSONPath in between":       {`{"StartAt": "A", "States": {"A": {"Type": "Pass", "QueryLanguage": "JSONata", "Next": "B"}, "B": {"Type": "Pass", "InputPath": "$.x", "End": true}}}`, "field InputPath"},
		"newer JSONata":             {machine(`"A": {"Type": "Pass", "Output": "{% $a ?? 1 %}", "End": true}`), "newer than JSONata 2.0.6"},
		"JSONata's newer operators": {machine(`"A": {"Type": "Pass", "Output": "{% $states.input.a ?? 1 %}", "End": true}`), "the operator ??"},
		"a distributed Map":         {machine(`"A": {"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Z", "States": {` + end + `}}, "End": true}`), "DISTRIBUTED"},
		"a field nobody knows":      {machine(`"A": {"Type": "Pass", "Colour": "red", "End": true}`), "the field Colour"},
		"a field of another type":   {machine(`"A": {"Type": "Pass", "Seconds": 1, "End": true}`), "the field Seconds"},
		"a time-out of a Parallel":  {machine(`"A": {"Type": "Parallel", "TimeoutSeconds": 1, "Branches": [{"StartAt": "Z", "States": {` + end + `}}], "End": true}`), "the field TimeoutSeconds"},
		"Catch on a Pass":           {machine(`"A": {"Type": "Pass", "Catch": [], "End": true}`), "the field Catch"},
		"a language of a Map":       {machine(`"A": {"Type": "Map", "ItemProcessor": {"QueryLanguage": "JSONata", "StartAt": "Z", "States": {` + end + `}}, "End": true}`), "the field QueryLanguage"},
		"an odd timestamp":          {machine(`"A": {"Type": "Wait", "Timestamp": "2026-01-01T00:00Z", "End": true}`), "the time 2026-01-01T00:00Z"},
		"JSONata without an end":    {machine(`"A": {"Type": "Pass", "Output": ["{% 1"], "End": true}`), "improperly opened"},
		"JSONata before a space":    {machine(`"A": {"Type": "Pass", "Output": "{% 1 %} ", "End": true}`), "improperly opened"},
		"arguments in a list":       {task(`"Arguments": [1]`), "neither an object nor"},
		"a selector in words":       {machine(`"A": {"Type": "Map", "ItemSelector": "x", "ItemProcessor": {"StartAt": "Z", "States": {` + end + `}}, "End": true}`), "neither an object nor"},
		"half a character":          {machine(`"A": {"Type": "Pass", "Output": "\ude00", "End": true}`), "half a character"},
		"half one in an expression": {machine(`"A": {"Type": "Pass", "Output": "{% '\\ud83d' %}", "End": true}`), "half a character"},
		"a number past a double":    {machine(`"A": {"Type": "Pass", "Output": {"n": [-1e400]}, "End": true}`), "the number -1e400"},
		"a state nobody knows":      {machine(`"A": {"Type": "Loop", "End": true}`), "type Loop"},
	}
	for name, test := range unsupported {
		_, err := asl.Parse([]byte(test.definition))
		var bad *asl.UnsupportedError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), test.what) {
			t.Errorf("%s: %v, want an UnsupportedError with %q", name, err, test.what)
		}
	}
}

// A state of a JSONPath machine may be in JSONata, and the others beside it mean
// the same in both where they query nothing.
func TestParseTakesMixedMachines(t *testing.T) {
	r := execute(t, 0, `{"StartAt": "A", "States": {
		"A": {"QueryLanguage": "JSONata", "Type": "Pass", "Output": "{% 1 + 1 %}", "Next": "B"}, "B": {"Type": "Pass", "End": true}}}`, `{}`, nil)
	if got := string(r.Result().Output); got != "2" {
		t.Errorf("output %s, want 2", got)
	}
	// A Map in JSONPath takes an object for its keys and values, and fails otherwise than in JSONata.
	// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemspath.html
	r = execute(t, 0, `{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": {"StartAt": "A", "States": {
		"A": {"QueryLanguage": "JSONata", "Type": "Pass", "Output": "{% 1 %}", "End": true}}}, "End": true}}}`, `{"a": 1}`, nil)
	if got := r.Result(); !strings.Contains(got.Refused, "in JSONPath") {
		t.Errorf("%s %q, want it refused", got.Status, got.Cause)
	}
}

func TestStatesTellsWhatADefinitionTestNeeds(t *testing.T) {
	m, err := asl.Parse([]byte(`{"QueryLanguage": "JSONata", "Comment": "why", "TimeoutSeconds": 60, "StartAt": "A", "States": {
		"A": {` + lambda + `, "Comment": "first", "TimeoutSeconds": 5, "Arguments": {"x": "{% $states.input.a & $before %}"}, "Assign": {"y": "{% $z.b[c = $w] %}"},
			"Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "FULL"}],
			"Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"e": "{% $states.errorOutput %}"}, "Output": "{% ($local := 1; $map([1], function($v){$v + $local + $far})) %}", "Next": "C"}], "Next": "P"},
		"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": "{% '$no' & /* $no */ $y %}", "End": true}}}], "Next": "C"},
		"C": {"Type": "Choice", "Choices": [{"Condition": "{% $contains($y, /\\$no/) %}", "Assign": {"q": 1}, "Next": "D"}], "Default": "D"},
		"D": {"Type": "Succeed"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	all := m.States()
	if m.Comment() != "why" || m.TimeoutSeconds() != 60 || m.StartAt() != "A" || len(all) != 5 {
		t.Fatalf("machine %q %d %q, %d states", m.Comment(), m.TimeoutSeconds(), m.StartAt(), len(all))
	}
	a, p, b, c, d := all[0], all[1], all[2], all[3], all[4]
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"A reads", strings.Join(a.Reads, " "), "before w z"},
		{"A assigns", strings.Join(a.Assigned, " "), "y"},
		{"A catches", strings.Join(append(a.Catch[0].Reads, a.Catch[0].Assigned...), " "), "far e"},
		{"A retries", a.Retry[0], asl.RetryInfo{Errors: []string{"E"}, IntervalSeconds: 1, MaxAttempts: 3, BackoffRate: 2, FullJitter: true}},
		{"A's targets", strings.Join(a.Targets, " "), "P C"},
		{"A's time-out", a.Timeout, 5},
		{"A's arguments", string(a.Arguments), `{"x": "{% $states.input.a & $before %}"}`},
		{"A starts", a.Start && !p.Start && b.Start, true},
		{"P's inner", p.Inner, []int{1}},
		{"B's scope", []int{b.Scope, b.Outer}, []int{1, 0}},
		{"B's path", b.Path, "/States/P/Branches/0/States/B"},
		{"B reads", strings.Join(b.Reads, " "), "y"},
		{"C's rule", c.Choices[0], asl.ChoiceInfo{Next: "D", Assigned: []string{"q"}, Reads: []string{"y"}}},
		{"ends", []bool{a.End, b.End, c.End, d.End}, []bool{false, true, false, true}},
	} {
		if diff := cmp.Diff(check.want, check.got); diff != "" {
			t.Errorf("%s: %s", check.what, diff)
		}
	}
}
