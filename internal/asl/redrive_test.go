package asl_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/asl"

	"github.com/google/go-cmp/cmp"
)

// at does something so many seconds after the start.
func at(seconds int, do func(r *run)) func(*run) {
	return func(r *run) { r.clock.At(start.Add(time.Duration(seconds)*time.Second), func() { do(r) }) }
}

func stop(r *run) { r.Stop() }

// redrive keeps what was answered in the trace.
func redrive(r *run) {
	if err := r.Redrive(); err != nil {
		r.trace = append(r.trace, err.Error())
	}
}

func executeAnd(t *testing.T, definition, input string, tasks map[string]task, more ...func(*run)) *run {
	t.Helper()
	m, err := asl.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return executeLater(m, 1, input, tasks, func(r *run) {
		for _, one := range more {
			one(r)
		}
	})
}

// sleeping takes so many seconds the first time, and none afterwards.
func sleeping(seconds int) task {
	return func(r *run, one asl.Task) (any, error) {
		d := time.Duration(seconds) * time.Second
		seconds = 0
		r.clock.Sleep(d)
		return one.State, nil
	}
}

// What goes on in a redrive, by kind of state.
// https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
func TestRedriveGoesOnWithWhatWasNotWell(t *testing.T) {
	before := `"Before": {` + lambda + `, "Arguments": {}, "Assign": {"kept": "{% $states.result %}"}, "Output": 7, "Next": "A"}, `
	for name, c := range map[string]struct {
		states string
		tasks  map[string]task
		more   []func(*run)
		calls  []string // all attempts, before and after
		output string
		status asl.Status
	}{
		"a Task that failed, with its input and variables": {
			before + `"A": {` + lambda + `, "Arguments": {"in": "{% $states.input %}", "kept": "{% $kept %}"}, "End": true}`,
			map[string]task{"Before": answering("was"), "A": failing("E", "", 1)},
			[]func(*run){at(60, redrive)},
			[]string{`Before{}`, `A{"in":7,"kept":"was"}`, `A{"in":7,"kept":"was"}`},
			`"well"`, asl.Succeeded,
		},
		"a Task that was stopped": {
			before + `"A": {` + lambda + `, "Arguments": {"kept": "{% $kept %}"}, "End": true}`,
			map[string]task{"Before": answering("was"), "A": sleeping(30)},
			[]func(*run){at(10, stop), at(20, redrive)},
			[]string{`Before{}`, `A{"kept":"was"}`, `A{"kept":"was"}`},
			`"A"`, asl.Succeeded,
		},
		"its retries begin anew": {
			`"A": {` + lambda + `, "Arguments": {"n": "{% $states.context.State.RetryCount %}"}, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "End": true}`,
			map[string]task{"A": failing("E", "", 3)},
			[]func(*run){at(60, redrive)},
			[]string{`A{"n":0}`, `A{"n":1}`, `A{"n":0}`, `A{"n":1}`},
			`"well"`, asl.Succeeded,
		},
		"a Choice chooses again, a Fail fails again": {
			`"A": {"Type": "Choice", "Choices": [{"Condition": "{% $states.context.Execution.RedriveCount > 1 %}", "Next": "Z"}], "Default": "F"}, "F": {"Type": "Fail", "Error": "E"}, ` + end,
			nil,
			[]func(*run){at(60, redrive), at(120, redrive)},
			nil, "", asl.FailedRun,
		},
		"what failed without an answer": {
			`"A": {"Type": "Choice", "Choices": [{"Condition": "{% $states.context.Execution.RedriveCount = 1 %}", "Output": "well", "Next": "Z"}]}, ` + end,
			nil,
			[]func(*run){at(60, redrive)},
			nil, `"well"`, asl.Succeeded,
		},
		"the context knows of it": {
			`"A": {` + lambda + `, "Arguments": {"n": "{% $states.context.Execution.RedriveCount %}", "at": "{% $states.context.Execution.RedriveTime %}"}, "End": true}`,
			map[string]task{"A": answering("well")}, // fails first: there is no time of a redrive
			[]func(*run){at(60, redrive)},
			[]string{`A{"n":1,"at":"2026-01-01T00:01:00Z"}`},
			`"well"`, asl.Succeeded,
		},
		"only the branches that were not well": {
			`"P": {"Type": "Parallel", "Branches": [` +
				`{"StartAt": "B", "States": {"B": {` + lambda + `, "Arguments": "{% 1 %}", "End": true}}}, ` +
				`{"StartAt": "C", "States": {"C": {` + lambda + `, "Arguments": "{% 2 %}", "Assign": {"c": "{% $states.result %}"}, "Next": "D"}, "D": {` + lambda + `, "Arguments": "{% $c %}", "End": true}}}, ` +
				`{"StartAt": "E", "States": {"E": {` + lambda + `, "Arguments": "{% 3 %}", "End": true}}}], "End": true}`,
			map[string]task{"B": answering("b"), "C": answering("c"), "D": sleeping(30), "E": sleeping(30)},
			[]func(*run){at(10, stop), at(20, redrive)},
			[]string{"B1", "C2", "E3", `D"c"`, `D"c"`, "E3"},
			`["b","D","E"]`, asl.Succeeded,
		},
		"a branch that another one's failure ended": {
			`"P": {"Type": "Parallel", "Branches": [` +
				`{"StartAt": "B", "States": {"B": {` + lambda + `, "Arguments": "{% 1 %}", "End": true}}}, ` +
				`{"StartAt": "C", "States": {"C": {` + lambda + `, "Arguments": "{% 2 %}", "End": true}}}], "End": true}`,
			map[string]task{"B": failing("E", "", 1), "C": sleeping(30)},
			[]func(*run){at(40, redrive)},
			[]string{"B1", "C2", "B1", "C2"},
			`["well","C"]`, asl.Succeeded,
		},
		"a Parallel in a Parallel": {
			`"P": {"Type": "Parallel", "Branches": [{"StartAt": "Q", "States": {"Q": {"Type": "Parallel", "Branches": [` +
				`{"StartAt": "B", "States": {"B": {` + lambda + `, "Arguments": "{% 1 %}", "End": true}}}, ` +
				`{"StartAt": "C", "States": {"C": {` + lambda + `, "Arguments": "{% 2 %}", "End": true}}}], "End": true}}}], "End": true}`,
			map[string]task{"B": answering("b"), "C": sleeping(30)},
			[]func(*run){at(10, stop), at(20, redrive)},
			[]string{"B1", "C2", "C2"},
			`[["b","C"]]`, asl.Succeeded,
		},
		"a retry of a Parallel has all branches, after a redrive too": {
			`"P": {"Type": "Parallel", "Branches": [` +
				`{"StartAt": "B", "States": {"B": {` + lambda + `, "Arguments": "{% 1 %}", "End": true}}}, ` +
				`{"StartAt": "C", "States": {"C": {` + lambda + `, "Arguments": "{% 2 %}", "Next": "D"}, "D": {` + lambda + `, "Arguments": "{% 3 %}", "End": true}}}], "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "End": true}`,
			map[string]task{"B": answering("b"), "C": answering("c"), "D": failing("E", "", 3)},
			[]func(*run){at(60, redrive)},
			[]string{"B1", "C2", "D3", "B1", "C2", "D3", "D3", "B1", "C2", "D3"},
			`["b","well"]`, asl.Succeeded,
		},
		"a Parallel whose data was too long, whole": {
			`"P": {"Type": "Parallel", "Branches": [` +
				`{"StartAt": "B", "States": {"B": {` + lambda + `, "Arguments": "{% 1 %}", "End": true}}}, ` +
				`{"StartAt": "C", "States": {"C": {` + lambda + `, "Arguments": "{% 2 %}", "End": true}}}], "End": true}`,
			map[string]task{"B": answering(strings.Repeat("x", asl.MaxPayload/2)), "C": answering(strings.Repeat("x", asl.MaxPayload/2))},
			[]func(*run){at(60, redrive)},
			[]string{"B1", "C2", "B1", "C2"},
			"", asl.FailedRun,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := executeAnd(t, machine(c.states), `{}`, c.tasks, c.more...)
			got := r.Result()
			if got.Status != c.status || string(got.Output) != c.output {
				t.Errorf("%s %s %s %q, want %s %s", got.Status, got.Output, got.Error, r.trace, c.status, c.output)
			}
			if len(r.calls) != len(c.calls) || !cmp.Equal(slices.Sorted(slices.Values(r.calls)), slices.Sorted(slices.Values(c.calls))) {
				t.Errorf("called %q, want %q", r.calls, c.calls)
			}
		})
	}
}

// A Wait until a moment that has passed is over at once; Seconds are waited anew.
func TestRedrivenWait(t *testing.T) {
	for name, c := range map[string]struct {
		until string
		ends  float64
	}{
		"Seconds":              {`"Seconds": 60`, 160},
		"Timestamp, passed":    {`"Timestamp": "2026-01-01T00:01:00Z"`, 100},
		"Timestamp, to come":   {`"Timestamp": "2026-01-01T00:03:00Z"`, 180},
		"Timestamp, of a past": {`"Timestamp": "{% $fromMillis($toMillis($states.context.Execution.StartTime) + 30000) %}"`, 100},
	} {
		early := at(20, stop)
		r := executeAnd(t, machine(`"A": {"Type": "Wait", `+c.until+`, "End": true}`), `{}`, nil, early, at(100, redrive))
		if got := r.ended.Sub(start).Seconds(); got != c.ends || r.Status() != asl.Succeeded {
			t.Errorf("%s: ended %s after %g s, want %g", name, r.Status(), got, c.ends)
		}
	}
}

// The token of before is of no use, that of the redriven task is; and a function that
// ran when the execution was stopped runs to its end and is not heard.
func TestRedrivenTaskHasANewToken(t *testing.T) {
	var tokens []string
	var old error
	ask := `"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "TimeoutSeconds": 100, "End": true}`
	r := executeAnd(t, machine(ask), `{}`, map[string]task{"A": func(r *run, one asl.Task) (any, error) {
		tokens = append(tokens, one.Token)
		return "sent", nil
	}}, at(90, stop), at(1000, redrive), at(1095, func(r *run) {
		old = r.SendTaskSuccess(tokens[0], json.RawMessage(`"old"`))
		if err := r.SendTaskSuccess(tokens[1], json.RawMessage(`"new"`)); err != nil {
			t.Error(err)
		}
	}))
	if got := r.Result(); string(got.Output) != `"new"` || !errors.Is(old, asl.ErrTaskTimedOut) {
		t.Errorf("%s %s; the old token: %v", got.Status, got.Output, old)
	}

	r = executeAnd(t, machine(`"A": {`+lambda+`, "End": true}`), `{}`, map[string]task{"A": sleeping(30)}, at(10, stop), at(20, redrive))
	if got := r.Result(); got.Status != asl.Succeeded || r.ended.Sub(start) != 20*time.Second {
		t.Errorf("%s after %s, want what the second answered at once", got.Status, r.ended.Sub(start))
	}
}

// "The state machine level timeout is reset to 0"; the history goes on, with
// ExecutionRedriven, and the ID stays.
func TestRedriveOfAnExecutionThatTimedOut(t *testing.T) {
	timed := strings.Replace(machine(`"A": {`+lambda+`, "Arguments": "{% $states.context.Execution.Id %}", "End": true}`), "{", `{"TimeoutSeconds": 50, `, 1)
	r := executeAnd(t, timed, `{}`, map[string]task{"A": never}, at(60, redrive))
	if got := r.Result(); got.Status != asl.TimedOut || r.ended.Sub(start) != 110*time.Second {
		t.Errorf("%s after %s, want TIMED_OUT after 110 s", got.Status, r.ended.Sub(start))
	}
	if want := []string{`A"arn:execution"`, `A"arn:execution"`}; !cmp.Equal(r.calls, want) {
		t.Errorf("called %q, want %q", r.calls, want)
	}
	once := "TaskStateEntered TaskScheduled TaskStarted ExecutionTimedOut"
	if got, want := strings.Join(r.events, " "), "ExecutionStarted "+once+" ExecutionRedriven "+once; got != want {
		t.Errorf("history %q, want %q", got, want)
	}
	if got := r.Result().History; got != len(r.events) {
		t.Errorf("%d events counted, %d told", got, len(r.events))
	}
}

// https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
func TestStop(t *testing.T) {
	r := executeAnd(t, machine(`"W": {"Type": "Wait", "Seconds": 60, "Next": "Z"}, `+end), `{}`, nil, at(10, stop), at(11, stop))
	if got := r.Result(); got.Status != asl.AbortedRun || got.Error != "" || r.ended.Sub(start) != 10*time.Second {
		t.Errorf("%s %q after %s, want ABORTED after 10 s", got.Status, got.Error, r.ended.Sub(start))
	}
	if got, want := strings.Join(r.events, " "), "ExecutionStarted WaitStateEntered ExecutionAborted"; got != want {
		t.Errorf("history %q, want %q", got, want)
	}
	r = executeAnd(t, machine(end), `{}`, nil, at(10, stop))
	if got := r.Result(); got.Status != asl.Succeeded {
		t.Errorf("%s, stopped after its end", got.Status)
	}
}

// https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
func TestNotRedrivable(t *testing.T) {
	const day = 24 * 3600
	no := asl.ErrNotRedrivable.Error()
	fails := `"F": {"Type": "Fail", "Error": "E"}`
	each := `"M": {"Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Fail"}}}, "End": true}`
	for name, c := range map[string]struct {
		states, input string
		more          func(*run)
		want          string // empty where it is redriven
	}{
		"it runs":                          {`"W": {"Type": "Wait", "Seconds": 60, "End": true}`, `{}`, at(10, redrive), no},
		"it was well":                      {end, `{}`, at(10, redrive), no},
		"it never began":                   {fails, `{`, at(10, redrive), no},
		"fifteen days ago":                 {fails, `{}`, at(15*day, redrive), no},
		"thirteen days ago":                {fails, `{}`, at(13*day, redrive), ""},
		"a Map":                            {each, `{}`, at(10, redrive), "unsupported at M: a redrive within a Map"},
		"a limit of the interpreter's own": {`"F": {"Type": "Wait", "Timestamp": "{% '2026-01-01t00:00:00z' %}", "End": true}`, `{}`, at(10, redrive), "unsupported at F: a redrive after: nobody knows"},
		"a history that is full": {
			`"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "Z"}], "Default": "A"}, ` + end, `{}`, at(10, redrive), no,
		},
		"a thousand times": {fails, `{}`, func(r *run) {
			for n := range 1001 {
				at(10+n, redrive)(r)
			}
		}, no},
	} {
		r := executeAnd(t, machine(c.states), c.input, nil, c.more)
		var got string
		for _, line := range r.trace {
			if strings.HasPrefix(line, no) || strings.HasPrefix(line, "unsupported") {
				got += line
			}
		}
		if (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A redriven run is the same for the same seed.
func TestRedriveIsTheSameAgain(t *testing.T) {
	states := `"A": {` + lambda + `, "Arguments": "{% $uuid() %}", "Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "FULL"}], "End": true}`
	one := func() string {
		r := executeAnd(t, machine(states), `{}`, map[string]task{"A": failing("E", "", 6)}, at(600, redrive))
		return fmt.Sprint(r.trace, r.calls)
	}
	if a, b := one(), one(); a != b {
		t.Errorf("two runs:\n%s\n%s", a, b)
	}
}
