package asl_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon/internal/asl"
)

// Events are counted as in histories recorded on AWS: a Pass is two, a task that
// is well five, a token one more, each retry three more.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
func TestHistoryIsCountedAsAWSCounts(t *testing.T) {
	token := `"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "HeartbeatSeconds": 1, "End": true}`
	tests := map[string]struct {
		states string
		tasks  map[string]task
		want   int
	}{
		"Pass":            {`"A": {"Type": "Pass", "End": true}`, nil, 4},
		"Fail":            {`"A": {"Type": "Fail"}`, nil, 3},
		"bad expression":  {`"A": {"Type": "Pass", "Output": "{% $nope %}", "End": true}`, nil, 4},
		"no rule":         {`"A": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "Z"}]}, ` + end, nil, 3},
		"Task":            {`"A": {` + lambda + `, "End": true}`, nil, 7},
		"Task that fails": {`"A": {` + lambda + `, "End": true}`, map[string]task{"A": failing("E", "", 1)}, 6},
		"Task, caught":    {`"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["E"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, map[string]task{"A": failing("E", "", 1)}, 9},
		"Task, one retry": {`"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["E"]}], "End": true}`, map[string]task{"A": failing("E", "", 1)}, 10},
		"token, no heart": {token, nil, 7},
		"Parallel of two": {`"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}, {"StartAt": "C", "States": {"C": {"Type": "Pass", "End": true}}}], "End": true}`, nil, 10},
		"Map of two":      {`"M": {"Type": "Map", "Items": [1, 2], "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}, "End": true}`, nil, 14},
		// Read off AWS: https://github.com/floci-io/floci/issues/2868
		"Parallel, retried":          {`"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "E"}}}], "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}], "End": true}`, nil, 8},
		"Parallel, caught":           {`"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": "{% $nope %}", "End": true}}}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}], "End": true}, ` + end, nil, 10},
		"a branch's task fails":      {`"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {` + lambda + `, "End": true}}}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}], "End": true}, ` + end, map[string]task{"B": failing("E", "", 1)}, 13},
		"Parallel, a bad catcher":    {`"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "E"}}}], "Catch": [{"ErrorEquals": ["E"], "Output": "{% $nope %}", "Next": "Z"}], "End": true}, ` + end, nil, 8},
		"Map, an iteration fails":    {`"M": {"Type": "Map", "Items": [1, 2], "MaxConcurrency": 1, "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": "{% $nope %}", "End": true}}}, "End": true}`, nil, 9},
		"Map of nothing":             {`"M": {"Type": "Map", "Items": [], "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}, "End": true}`, nil, 6},
		"Map of what is not there":   {`"M": {"Type": "Map", "Items": "{% $nope %}", "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}, "End": true}`, nil, 5},
		"bad Arguments, tried twice": {`"A": {` + lambda + `, "Arguments": "{% $nope %}", "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}], "End": true}`, nil, 5},
		"wait, check, again":         {`"W": {"Type": "Wait", "Seconds": 1, "Next": "A"}, "A": {` + lambda + `, "Next": "C"}, "C": {"Type": "Choice", "Choices": [{"Condition": true, "Next": "Z"}]}, ` + end, nil, 13},
	}
	for name, test := range tests {
		r := execute(t, 0, machine(test.states), `{}`, test.tasks).Result()
		if r.History != test.want {
			t.Errorf("%s: %d events, want %d", name, r.History, test.want)
		}
	}
}

// The types of events and their order are those of histories recorded on AWS: see
// localstack/localstack, tests/aws/services/stepfunctions/v2/scenarios, assign and
// timeouts (test_service_lambda_map_timeout).
func TestHistoryIsToldAsAWSTellsIt(t *testing.T) {
	iteration := "MapIterationStarted PassStateEntered PassStateExited MapIterationSucceeded"
	inner := `"MaxConcurrency": 1, "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}, "End": true}`
	for name, test := range map[string]struct {
		states string
		tasks  map[string]task
		want   string
	}{
		"Task that fails":   {`"A": {` + lambda + `, "End": true}`, map[string]task{"A": failing("E", "", 1)}, "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskFailed ExecutionFailed"},
		"Task that is late": {`"A": {` + lambda + `, "TimeoutSeconds": 1, "End": true}`, map[string]task{"A": never}, "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskTimedOut ExecutionFailed"},
		"too long a result": {`"A": {` + lambda + `, "End": true}`, map[string]task{"A": answering(strings.Repeat("x", asl.MaxPayload))}, "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskFailed ExecutionFailed"},
		"a job":             {`"A": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": true}`, map[string]task{"A": answering("x")}, "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded"},
		"bad expression":    {`"A": {` + lambda + `, "Arguments": "{% $nope %}", "End": true}`, nil, "ExecutionStarted TaskStateEntered EvaluationFailed ExecutionFailed"},
		"Map, one by one":   {`"M": {"Type": "Map", "Items": [1, 2], ` + inner, nil, "ExecutionStarted MapStateEntered MapStateStarted " + iteration + " " + iteration + " MapStateSucceeded MapStateExited ExecutionSucceeded"},
		"Map of no array":   {`"M": {"Type": "Map", ` + inner, nil, "ExecutionStarted MapStateEntered EvaluationFailed MapStateFailed ExecutionFailed"},
		"Map that fails":    {`"M": {"Type": "Map", "Items": [1, 2], "MaxConcurrency": 1, "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "E"}}}, "End": true}`, nil, "ExecutionStarted MapStateEntered MapStateStarted MapIterationStarted FailStateEntered MapIterationFailed MapStateFailed ExecutionFailed"},
		"Map of two, one late": {
			`"M": {"Type": "Map", "Items": [9, 1], "ItemProcessor": {"StartAt": "A", "States": {"A": {` + lambda + `, "TimeoutSeconds": "{% $states.input %}", "End": true}}}, "End": true}`,
			map[string]task{"A": never},
			"ExecutionStarted MapStateEntered MapStateStarted MapIterationStarted MapIterationStarted TaskStateEntered TaskScheduled TaskStarted TaskStateEntered TaskScheduled TaskStarted " +
				"TaskTimedOut MapIterationFailed TaskStateAborted MapIterationAborted TaskStateAborted MapStateFailed ExecutionFailed",
		},
		"Map of three, two late at once": {
			`"M": {"Type": "Map", "Items": [3, 1, 1], "ItemProcessor": {"StartAt": "A", "States": {"A": {` + lambda + `, "TimeoutSeconds": "{% $states.input %}", "End": true}}}, "End": true}`,
			map[string]task{"A": never},
			"ExecutionStarted MapStateEntered MapStateStarted MapIterationStarted MapIterationStarted MapIterationStarted" + strings.Repeat(" TaskStateEntered TaskScheduled TaskStarted", 3) +
				" TaskTimedOut TaskTimedOut MapIterationFailed TaskStateAborted MapIterationAborted TaskStateAborted MapIterationAborted TaskStateAborted MapStateFailed ExecutionFailed",
		},
		"late at once, one of them caught": {
			`"P": {"Type": "Parallel", "Branches": [
				{"StartAt": "A", "States": {"A": {` + lambda + `, "TimeoutSeconds": 1, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "W"}], "End": true}, "W": {"Type": "Pass", "End": true}}},
				{"StartAt": "B", "States": {"B": {` + lambda + `, "TimeoutSeconds": 1, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "V"}], "End": true}, "V": {"Type": "Pass", "End": true}}}], "End": true}`,
			map[string]task{"A": never, "B": never},
			"ExecutionStarted ParallelStateEntered ParallelStateStarted" + strings.Repeat(" TaskStateEntered TaskScheduled TaskStarted", 2) +
				" TaskTimedOut TaskTimedOut" + strings.Repeat(" TaskStateExited PassStateEntered PassStateExited", 2) + " ParallelStateSucceeded ParallelStateExited ExecutionSucceeded",
		},
		"Map in a Parallel that fails": {
			`"P": {"Type": "Parallel", "Branches": [
				{"StartAt": "M", "States": {"M": {"Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9, "End": true}}}, "End": true}}},
				{"StartAt": "V", "States": {"V": {"Type": "Wait", "Seconds": 1, "Next": "F"}, "F": {"Type": "Fail"}}}], "End": true}`, nil,
			"ExecutionStarted ParallelStateEntered ParallelStateStarted MapStateEntered MapStateStarted MapIterationStarted WaitStateEntered WaitStateEntered WaitStateExited FailStateEntered " +
				"MapIterationAborted WaitStateAborted MapStateAborted ParallelStateFailed ExecutionFailed",
		},
		"Succeed and a rule": {`"C": {"Type": "Choice", "Choices": [{"Condition": true, "Next": "S"}]}, "S": {"Type": "Succeed"}`, nil, "ExecutionStarted ChoiceStateEntered ChoiceStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded"},
	} {
		r := execute(t, 0, machine(test.states), `{}`, test.tasks)
		if got := strings.Join(r.events, " "); got != test.want || r.Result().History != len(r.events) {
			t.Errorf("%s: %d events, %s\nwant %s", name, r.Result().History, got, test.want)
		}
	}
}

// The event that ends the execution is number 25,000.
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
func TestLoopForEverEndsAtTheLimit(t *testing.T) {
	for name, states := range map[string]string{
		"Pass":     `"A": {"Type": "Pass", "Next": "C"}, "C": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "Z"}], "Default": "A"}, ` + end,
		"Parallel": `"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 1, "Next": "B"}}}, {"StartAt": "C", "States": {"C": {"Type": "Wait", "Seconds": 2, "Next": "C"}}}], "End": true}`,
		"Retry":    `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 99999999, "BackoffRate": 1}], "End": true}`,
	} {
		r := execute(t, 0, machine(states), `{}`, map[string]task{"A": failing("E", "", 1_000_000)}).Result()
		if r.Status != asl.FailedRun || r.History != asl.MaxHistory || !strings.Contains(r.Cause, "25000") {
			t.Errorf("%s: %s after %d events, %s", name, r.Status, r.History, r.Cause)
		}
	}
}

func TestMachineTimesOut(t *testing.T) {
	r := execute(t, 0, `{"QueryLanguage": "JSONata", "TimeoutSeconds": 30, "StartAt": "A", "States": {
		"A": {`+lambda+`, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "Next": "B"}, "B": {"Type": "Wait", "Seconds": 9, "End": true}}}`, `{}`, map[string]task{"A": never})
	got := r.Result()
	if got.Status != asl.TimedOut || got.Error != "" || r.ended.Sub(start) != 30*time.Second {
		t.Errorf("%s %q after %v, want TIMED_OUT without an error after 30s: no state may catch it", got.Status, got.Error, r.ended.Sub(start))
	}
	// https://github.com/floci-io/floci/issues/2733
	if last := r.events[len(r.events)-2:]; !slices.Equal(last, []string{"TaskStarted", "ExecutionTimedOut"}) {
		t.Errorf("the history ends with %q, want no state left before it", last)
	}
}

func TestTokensAreGoodOnce(t *testing.T) {
	var token string
	seen := map[string]error{}
	r := execute(t, 0, machine(`"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true, "Output": "{% $states.result %}"}`), `{}`, map[string]task{
		"A": func(r *run, one asl.Task) (any, error) {
			token = one.Token
			r.clock.Sleep(time.Second)
			seen["nonsense"] = r.SendTaskSuccess("nonsense", []byte(`1`))
			seen["not JSON"] = r.SendTaskSuccess(token, []byte(`{`))
			seen["too long"] = r.SendTaskSuccess(token, []byte(`"`+strings.Repeat("x", asl.MaxPayload)+`"`))
			seen["heartbeat"] = r.SendTaskHeartbeat(token)
			seen["first"] = r.SendTaskSuccess(token, []byte(` {"n": 1} `))
			seen["second"] = r.SendTaskSuccess(token, []byte(`2`))
			seen["failure"] = r.SendTaskFailure(token, "E", "")
			return 1, nil
		},
	})
	seen["afterwards"] = r.SendTaskSuccess(token, []byte(`3`))
	for what, want := range map[string]error{
		"nonsense": asl.ErrInvalidToken, "not JSON": asl.ErrInvalidOutput, "too long": asl.ErrInvalidOutput, "heartbeat": nil, "first": nil,
		"second": asl.ErrTaskTimedOut, "failure": asl.ErrTaskTimedOut, "afterwards": asl.ErrTaskDoesNotExist,
	} {
		if !errors.Is(seen[what], want) {
			t.Errorf("%s: %v, want %v", what, seen[what], want)
		}
	}
	if got := string(r.Result().Output); got != `{"n":1}` {
		t.Errorf("output %s, want the first answer", got)
	}
}

func TestEachAttemptHasATokenOfItsOwn(t *testing.T) {
	tokens := map[string]bool{}
	execute(t, 0, machine(`"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Retry": [{"ErrorEquals": ["E"]}], "End": true}`), `{}`, map[string]task{
		"A": func(r *run, one asl.Task) (any, error) {
			tokens[one.Token] = true
			return 1, r.SendTaskFailure(one.Token, "E", "")
		},
	})
	if len(tokens) != 4 || tokens[""] {
		t.Errorf("%d tokens for four attempts", len(tokens))
	}
}

func TestMovesTellTheStory(t *testing.T) {
	r := execute(t, 0, machine(`"A": {`+lambda+`, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "P"}], "End": true},
		"P": {"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 5, "End": true}}}, {"StartAt": "C", "States": {"C": {"Type": "Fail"}}}], "End": true}`), `{}`,
		map[string]task{"A": failing("E", "", 2)})
	want := []string{"A entered 0", "A retried 0", "A caught 1", "A left 1", "P entered 1", "B entered 1", "C entered 1", "C failed 1", "B aborted 1", "P failed 1"}
	if !slices.Equal(r.trace, want) {
		t.Errorf("moves %q\nwant %q", r.trace, want)
	}
	var names []string
	for _, v := range r.Result().States {
		names = append(names, v.State)
	}
	if got := strings.Join(names, " "); got != "A P B C" {
		t.Errorf("states %s", got)
	}
}

// busy has ties, jitter, random numbers and a failure in one branch of three.
const busy = `"M": {"Type": "Map", "Items": "{% [1..20] %}", "MaxConcurrency": 7, "ItemProcessor": {"StartAt": "T", "States": {
		"T": {` + lambda + `, "Arguments": {"i": "{% $states.input %}", "u": "{% $uuid() %}"}, "Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "FULL", "MaxAttempts": 9}], "Next": "W"},
		"W": {"Type": "Wait", "Seconds": 1, "End": true}}}, "Next": "S"},
	"S": {"Type": "Pass", "Output": "{% $shuffle([1..9]) %}", "End": true}`

func busyTask(r *run, one asl.Task) (any, error) {
	r.clock.Sleep(time.Duration(len(r.calls)%3) * time.Second)
	if len(r.calls)%4 == 0 {
		return nil, &asl.Failure{Name: "E"}
	}
	return len(r.calls), nil
}

func TestSameSeedSameExecution(t *testing.T) {
	m, err := asl.Parse([]byte(machine(busy)))
	if err != nil {
		t.Fatal(err)
	}
	story := func(seed uint64) string {
		r := executeMachine(m, seed, `{}`, map[string]task{"T": busyTask})
		return fmt.Sprint(r.trace, r.calls, string(r.Result().Output), r.Result().History, r.ended)
	}
	first := story(5)
	// Worlds share the machine and nothing else; the race detector looks on.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if story(5) != first {
					t.Error("two runs of one seed differ: a violation could not be replayed")
				}
			}
		})
	}
	wg.Wait()
	if story(6) == first {
		t.Error("another seed tells the same story")
	}
}

func BenchmarkExecution(b *testing.B) {
	m, err := asl.Parse([]byte(machine(busy)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		executeMachine(m, 5, `{}`, map[string]task{"T": busyTask})
	}
}
