package asl_test

import (
	"strings"
	"testing"
	"time"

	"cordon/internal/asl"
)

const lambda = `"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"`

// What a machine comes to. Each group cites where AWS says so; "recorded" is what
// AWS answered when somebody asked it, such as the histories published with
// https://github.com/localstack/localstack/tree/main/tests/aws/services/stepfunctions.
func TestLanguage(t *testing.T) {
	tests := map[string]struct {
		states string // of a JSONata machine, the first one starts
		input  string
		tasks  map[string]task
		output string // of an execution that succeeds
		error  string // name of one that fails
		cause  string // a part of its cause
		refuse string // a part of the reason why it is refused, as it runs
		status asl.Status
		took   time.Duration
	}{
		// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
		"a Pass hands its input on": {states: `"A": {"Type": "Pass", "End": true}`, input: `{"b": 1.0, "a": [ ]}`, output: `{"b":1.0,"a":[]}`},
		"only a whole string is an expression": {
			states: `"A": {"Type": "Pass", "Output": {"a": "a {% 1", "b": "% 1 %", "c": "{% 1 + 1 %}", "d": "$states.input", "e.$": "$"}, "End": true}`,
			output: `{"a":"a {% 1","b":"% 1 %","c":2,"d":"$states.input","e.$":"$"}`,
		},
		"marks within spaces are a text, recorded": {states: `"A": {"Type": "Pass", "Output": {"a": " {% 1 %} ", "b": "{%2%}"}, "End": true}`, output: `{"a":" {% 1 %} ","b":2}`},
		"pairs of escapes":                         {states: `"A": {"Type": "Pass", "Output": ["{% '\\ud83d\\ude00' %}", "{% $length($parse('\"\\\\ud83d\\\\ude00\"')) %}"], "End": true}`, output: `["😀",1]`},
		"half a character":                         {states: `"A": {"Type": "Pass", "Output": "{% $parse($states.input) %}", "End": true}`, input: `"\"\\ud83d\""`, refuse: "half a character"},
		"output may be any JSON":                   {states: `"A": {"Type": "Pass", "Output": [null, 0, 0.1, {"k": "{% $states.input.a %}"}], "End": true}`, input: `{"a": []}`, output: `[null,0,0.1,{"k":[]}]`},
		"an undefined result fails": {
			states: `"A": {"Type": "Pass", "Output": {"x": {"y": "{% $states.input.nope %}"}}, "End": true}`,
			error:  "States.QueryEvaluationError",
			cause:  "An error occurred while executing the state 'A' (entered at the event id #2). The JSONata expression '$states.input.nope' specified for the field 'Output/x/y' returned nothing (undefined).",
		},
		"a function that is none, recorded": {
			states: `"A": {"Type": "Pass", "Output": {"F": "{% $randomSeeded(1) %}"}, "End": true}`, error: "States.QueryEvaluationError",
			cause: "An error occurred while executing the state 'A' (entered at the event id #2). The JSONata expression '$randomSeeded(1)' specified for the field 'Output/F' threw an error during evaluation. T1006: Attempted to invoke a non-function",
		},
		"a function is no output":           {states: `"A": {"Type": "Pass", "Output": "{% $sum %}", "End": true}`, refuse: "a function cannot be written"},
		"a function in an output":           {states: `"A": {"Type": "Pass", "Output": "{% {'f': function($x){$x}} %}", "End": true}`, refuse: "a function cannot be written"},
		"an undefined member is left out":   {states: `"A": {"Type": "Pass", "Output": "{% {'a': $states.input.nope, 'b': null} %}", "End": true}`, output: `{"b":null}`},
		"a filter with one match":           {states: `"A": {"Type": "Pass", "Output": {"one": "{% $states.input.l[x=1] %}", "kept": "{% $states.input.l[x=1][] %}", "f": "{% $filter($states.input.l, function($v){$v.x=1}) %}"}, "End": true}`, input: `{"l": [{"x": 1}, {"x": 2}]}`, output: `{"one":{"x":1},"kept":[{"x":1}],"f":{"x":1}}`},
		"numbers are JavaScript's":          {states: `"A": {"Type": "Pass", "Output": "{% [1.0, 10/2, 0.1+0.2, 1e20, 1e21, 1e-7, 0.000001, -0, 123456789012345678] %}", "End": true}`, output: `[1,5,0.30000000000000004,100000000000000000000,1e+21,1e-7,0.000001,0,123456789012345680]`},
		"no number, measured":               {states: `"A": {"Type": "Pass", "Output": "{% {'k': 1/0} %}", "End": true}`, output: `{"k":"Infinity"}`},
		"texts are escaped no more than so": {states: `"A": {"Type": "Pass", "Output": "{% '<&>\" \n é \u2028' %}", "End": true}`, output: "\"<&>\\\" \\n é \u2028\""},
		"functions of Step Functions": {
			states: `"A": {"Type": "Pass", "Output": {"p": "{% $partition([1,2,3,4], 3) %}", "r": "{% $range(0, 10, 3) %}", "down": "{% $range(3, 1, -1) %}", "h": "{% $hash('a', 'SHA-1') %}", "j": "{% $parse('{\"a\": [-0, 1.5]}') %}", "u": "{% $length($uuid()) %}", "s": "{% $random(7) = $random(7) %}"}, "End": true}`,
			output: `{"p":[[1,2,3],[4]],"r":[0,3,6,9],"down":[3,2,1],"h":"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8","j":{"a":[0,1.5]},"u":36,"s":true}`,
		},
		"$range of one number, recorded": {states: `"A": {"Type": "Pass", "Output": "{% $range(1, 9, 9) %}", "End": true}`, output: `1`},
		"$random of no number":           {states: `"A": {"Type": "Pass", "Output": "{% $random(0/0) %}", "End": true}`, refuse: "not a number"},
		"$range from no number":          {states: `"A": {"Type": "Pass", "Output": "{% $range(0/0, 3, 1) %}", "End": true}`, refuse: "not a number"},
		"$random of a large integer":     {states: `"A": {"Type": "Pass", "Output": "{% $random($states.input) %}", "End": true}`, input: `9007199254740993`, refuse: "9007199254740993"},
		"$now is the machine's clock":    {states: `"A": {"Type": "Wait", "Seconds": 60, "Next": "B"}, "B": {"Type": "Pass", "Output": "{% [$now(), $now('[H01]:[m01]'), $fromMillis($millis())] %}", "End": true}`, output: `["2026-01-01T00:01:00.000Z","00:01","2026-01-01T00:01:00.000Z"]`, took: time.Minute},
		"$match says index":              {states: `"A": {"Type": "Pass", "Output": "{% $match('xaby', /a(b)/) %}", "End": true}`, output: `{"match":"ab","index":1,"groups":["b"]}`},
		"recursion that does not end":    {states: `"A": {"Type": "Pass", "Output": "{% ($f := function($x){$f($x)}; $f(1)) %}", "End": true}`, refuse: "takes too long"},

		"no catcher hides a limit of ours": {states: `"A": {` + lambda + `, "Arguments": "{% $pad('', 1.5) %}", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, refuse: "$pad to a width"},
		"a variable hides a function":      {states: `"A": {"Type": "Pass", "Assign": {"round": 3}, "Next": "B"}, "B": {"Type": "Pass", "Output": "{% $round + 1 %}", "End": true}`, output: `4`},

		// Measured: https://github.com/floci-io/floci/issues/2665 and /2689 (the names of fields), /2676 (functions), /2737 (limits).
		"the place in an array":   {states: `"A": {"Type": "Pass", "Output": {"l": [1, "{% $nope %}"]}, "End": true}`, error: "States.QueryEvaluationError", cause: "for the field 'Output/l[1]' returned nothing"},
		"the place in a rule":     {states: `"A": {"Type": "Choice", "Choices": [{"Condition": "{% $nope %}", "Next": "B"}]}, "B": {"Type": "Succeed"}`, error: "States.QueryEvaluationError", cause: "for the field 'Choices[0]/Condition' returned nothing"},
		"the place in a catcher":  {states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["E"], "Next": "B"}, {"ErrorEquals": ["States.ALL"], "Output": {"v": "{% $nope %}"}, "Next": "B"}], "End": true}, "B": {"Type": "Succeed"}`, tasks: map[string]task{"A": failing("Boom", "", 1)}, error: "States.QueryEvaluationError", cause: "for the field 'Catch[1]/Output/v' returned nothing"},
		"$random is Java's":       {states: `"A": {"Type": "Pass", "Output": "{% $random(42) %}", "End": true}`, output: `0.7275636800328681`},
		"$parse of no JSON":       {states: `"A": {"Type": "Pass", "Output": "{% $parse('{') %}", "End": true}`, error: "States.QueryEvaluationError", cause: "threw an error during evaluation. D3137: Invalid JSON"},
		"$eval is none":           {states: `"A": {"Type": "Pass", "Output": "{% $eval('1') %}", "End": true}`, error: "States.QueryEvaluationError", cause: "T1006: Attempted to invoke a non-function"},
		"too many numbers":        {states: `"A": {"Type": "Pass", "Output": "{% $count([1..873783]) %}", "End": true}`, error: "States.QueryEvaluationError", cause: "threw an error during evaluation: Expression evaluation memory limit exceeded: Check for excessive memory usage"},
		"an array stays an array": {states: `"A": {"Type": "Pass", "Output": "{% $states.input.one.tags %}", "End": true}`, input: `{"one": [{"tags": ["x"]}]}`, output: `["x"]`}, // as jsonata@2.0.6, on which several evaluators differ

		// AWS fails and its words are not known: what does not show them is well.
		"unknown words, not shown":  {states: `"A": {` + lambda + `, "TimeoutSeconds": "{% 0 %}", "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "caught", "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, output: `"caught"`},
		"unknown words, handed on":  {states: `"A": {` + lambda + `, "TimeoutSeconds": "{% 0 %}", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, refuse: "AWS's words are not known"},
		"unknown words, read":       {states: `"A": {` + lambda + `, "TimeoutSeconds": "{% 0 %}", "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput.Cause %}", "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, refuse: "AWS's words are not known"},
		"a heartbeat as long as it": {states: `"A": {` + lambda + `, "TimeoutSeconds": 5, "HeartbeatSeconds": "{% 5 %}", "End": true}`, refuse: "HeartbeatSeconds must be below TimeoutSeconds"},
		"a loop of long steps":      {states: `"A": {"Type": "Pass", "Output": "{% $sum($distinct([1..2000])) %}", "Next": "C"}, "C": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "Z"}], "Default": "A"}, "Z": {"Type": "Succeed"}`, refuse: "takes too long"},

		// https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
		"Assign and Output are evaluated side by side": {
			states: `"A": {"Type": "Pass", "Assign": {"x": 1, "y": 10}, "Next": "B"},
				"B": {"Type": "Pass", "Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Output": "{% [$x, $y] %}", "Next": "C"},
				"C": {"Type": "Pass", "Output": "{% [$states.input, $x, $y] %}", "End": true}`,
			output: `[1,10,10,1]`, // an array in an array constructor is spread
		},
		"a failed Output assigns nothing": {
			states: `"A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
				"B": {` + lambda + `, "Assign": {"x": 2}, "Output": "{% $nope %}", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}], "End": true},
				"C": {"Type": "Pass", "Output": "{% $x %}", "End": true}`,
			output: `1`,
		},
		"branches read outer variables, theirs stay inside": {
			states: `"A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
				"P": {"Type": "Parallel", "Branches": [
					{"StartAt": "P1", "States": {"P1": {"Type": "Pass", "Assign": {"y": "{% $x + 1 %}"}, "Next": "P2"}, "P2": {"Type": "Pass", "Output": "{% $y %}", "End": true}}},
					{"StartAt": "Q1", "States": {"Q1": {"Type": "Pass", "Output": "{% $exists($y) %}", "End": true}}}],
					"Output": "{% [$states.result, $exists($y)] %}", "End": true}`,
			output: `[2,false,false]`,
		},
		"a variable may hold null": {states: `"A": {"Type": "Pass", "Assign": {"x": null}, "Next": "B"}, "B": {"Type": "Pass", "Output": "{% [$x = null, $x] %}", "End": true}`, output: `[true,null]`},

		// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html; recorded
		"context of a Pass": {
			states: `"A": {"Type": "Pass", "Output": "{% $states.context %}", "End": true}`, input: `{"i": 1}`,
			output: `{"Execution":{"Id":"arn:execution","Input":{"i":1},"Name":"one","RoleArn":"arn:role","StartTime":"2026-01-01T00:00:00Z","RedriveCount":0},"StateMachine":{"Id":"arn:machine","Name":"machine"},"State":{"Name":"A","EnteredTime":"2026-01-01T00:00:00Z"}}`,
		},

		"a time with a part of a second": {states: `"W": {"Type": "Wait", "Timestamp": "2026-01-01T00:00:01.25Z", "Next": "A"}, "A": {"Type": "Pass", "Output": "{% $states.context.State.EnteredTime %}", "End": true}`, output: `"2026-01-01T00:00:01.250Z"`, took: 1250 * time.Millisecond},

		// https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html; recorded
		"the rule's Output is its own, the state's is Default's": {
			states: `"A": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.c %}", "Output": "rule", "Assign": {"x": "r"}, "Next": "B"}], "Default": "B", "Output": "default", "Assign": {"x": "d"}},
				"B": {"Type": "Pass", "Output": "{% [$states.input, $x] %}", "End": true}`,
			input: `{"c": true}`, output: `["rule","r"]`,
		},
		"Default takes the state's Output": {
			states: `"A": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.c %}", "Output": "rule", "Next": "B"}], "Default": "B", "Output": "default"}, "B": {"Type": "Pass", "End": true}`,
			input:  `{"c": false}`, output: `"default"`,
		},
		"the first rule that holds": {
			states: `"A": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "X"}, {"Condition": "{% 1 = 1 %}", "Next": "B"}, {"Condition": true, "Next": "X"}]}, "B": {"Type": "Pass", "End": true}, "X": {"Type": "Fail"}`,
			output: `{}`,
		},
		"no rule holds": {
			states: `"A": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "B"}]}, "B": {"Type": "Pass", "End": true}`, error: "States.Runtime",
			cause: "An error occurred while executing the state 'A' (entered at the event id #2). Failed to transition out of the state. The state does not point to a next state.",
		},
		"a condition that is no boolean": {
			states: `"A": {"Type": "Choice", "Choices": [{"Condition": "{% 5 %}", "Next": "B"}]}, "B": {"Type": "Pass", "End": true}`, error: "States.QueryEvaluationError", cause: "Expected 'boolean', but was 'number' for value: 5",
		},

		// https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
		"Wait for seconds":           {states: `"A": {"Type": "Wait", "Seconds": "{% $states.input.n %}", "End": true}`, input: `{"n": 90}`, output: `{"n":90}`, took: 90 * time.Second},
		"Wait until":                 {states: `"A": {"Type": "Wait", "Timestamp": "{% $fromMillis($millis() + 5000) %}", "End": true}`, output: `{}`, took: 5 * time.Second},
		"Wait until a time gone by":  {states: `"A": {"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z", "End": true}`, output: `{}`},
		"Wait for a part of seconds": {states: `"A": {"Type": "Wait", "Seconds": "{% 1.5 %}", "End": true}`, refuse: "AWS's words are not known"},
		"Wait for a text":            {states: `"A": {"Type": "Wait", "Seconds": "{% '5' %}", "End": true}`, error: "States.QueryEvaluationError", cause: "Expected 'number', but was 'string'"},
		// Recorded: tests/aws/services/stepfunctions/v2/scenarios, test_wait_timestamp_jsonata. A time
		// of the form that AWS names, which RFC 3339 has not, nobody has asked for.
		"Wait until a word":       {states: `"A": {"Type": "Wait", "Timestamp": "{% 'soon' %}", "End": true}`, error: "States.QueryEvaluationError", cause: "executing the state 'A' (entered at the event id #2). The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: soon"},
		"Wait until 25 o'clock":   {states: `"A": {"Type": "Wait", "Timestamp": "{% '2026-01-01T25:00:00Z' %}", "End": true}`, error: "States.QueryEvaluationError", cause: "format string: 2026-01-01T25:00:00Z"},
		"Wait until a comma":      {states: `"A": {"Type": "Wait", "Timestamp": "{% '2026-01-01T00:00:01,5Z' %}", "End": true}`, error: "States.QueryEvaluationError", cause: "format string: 2026-01-01T00:00:01,5Z"},
		"Wait until a nanosecond": {states: `"A": {"Type": "Wait", "Timestamp": "{% '2026-01-01T00:00:01.000000001Z' %}", "End": true}`, output: `{}`, took: time.Second + 1},
		"Wait until a small t":    {states: `"A": {"Type": "Wait", "Timestamp": "{% '2026-01-01t00:00:01Z' %}", "End": true}`, refuse: "nobody knows whether"},
		"Wait until a minute":     {states: `"A": {"Type": "Wait", "Timestamp": "{% '2026-01-01T00:01Z' %}", "End": true}`, refuse: "nobody knows whether"},
		"Wait until a number":     {states: `"A": {"Type": "Wait", "Timestamp": "{% 5 %}", "End": true}`, refuse: "AWS's words are not known"},
		"Wait for a lifetime":     {states: `"A": {"Type": "Wait", "Timestamp": "{% '2126-01-01T00:00:00Z' %}", "End": true}`, refuse: "2147483647 seconds"},

		// https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html
		"Fail":                   {states: `"A": {"Type": "Fail", "Error": "E", "Cause": "{% 'because ' & $states.input.w %}"}`, input: `{"w": "x"}`, error: "E", cause: "because x"},
		"Fail without a word":    {states: `"A": {"Type": "Fail"}`, status: asl.FailedRun},
		"Fail with a number":     {states: `"A": {"Type": "Fail", "Error": "{% 5 %}"}`, error: "States.QueryEvaluationError"},
		"Succeed with an Output": {states: `"A": {"Type": "Succeed", "Output": "{% $states.input.a %}"}`, input: `{"a": 1}`, output: `1`},

		// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
		"a result is the output":    {states: `"A": {` + lambda + `, "End": true}`, tasks: map[string]task{"A": answering([]int{1})}, output: `[1]`},
		"Assign and Output see it":  {states: `"A": {` + lambda + `, "Assign": {"r": "{% $states.result.a %}"}, "Output": "{% [$states.input, $states.result] %}", "Next": "B"}, "B": {"Type": "Pass", "Output": "{% [$states.input, $r] %}", "End": true}`, input: `0`, tasks: map[string]task{"A": answering(map[string]int{"a": 1})}, output: `[0,{"a":1},1]`},
		"an error nobody catches":   {states: `"A": {` + lambda + `, "End": true}`, tasks: map[string]task{"A": failing("Boom", "why", 1)}, error: "Boom", cause: "why"},
		"retried until it is well":  {states: `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["Boom"]}], "End": true}`, tasks: map[string]task{"A": failing("Boom", "", 3)}, output: `"well"`, took: 7 * time.Second},
		"retries are three":         {states: `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["Boom"]}], "End": true}`, tasks: map[string]task{"A": failing("Boom", "", 4)}, error: "Boom", took: 7 * time.Second},
		"MaxAttempts 0 is no retry": {states: `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}], "End": true}`, tasks: map[string]task{"A": failing("Boom", "", 1)}, error: "Boom"},
		"MaxDelaySeconds caps":      {states: `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 3, "MaxAttempts": 4, "BackoffRate": 3, "MaxDelaySeconds": 10}], "End": true}`, tasks: map[string]task{"A": failing("Boom", "", 4)}, output: `"well"`, took: 32 * time.Second},
		"each retrier counts for itself": {
			states: `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["One"], "MaxAttempts": 1}, {"ErrorEquals": ["Two"], "MaxAttempts": 1, "IntervalSeconds": 5}], "End": true}`,
			tasks: map[string]task{"A": func() task {
				names := []string{"One", "Two"}
				return func(*run, asl.Task) (any, error) {
					if len(names) == 0 {
						return 1, nil
					}
					name := names[0]
					names = names[1:]
					return nil, &asl.Failure{Name: name}
				}
			}()}, output: `1`, took: 6 * time.Second,
		},
		"a state entered again may retry again": {
			states: `"A": {` + lambda + `, "Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["Boom"], "Next": "A"}], "End": true}`,
			tasks:  map[string]task{"A": failing("Boom", "", 3)}, output: `"well"`, took: 2 * time.Second,
		},
		"the first catcher that names it": {
			states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["Other"], "Next": "X"}, {"ErrorEquals": ["Boom", "Bang"], "Output": {"in": "{% $states.input %}", "e": "{% $states.errorOutput.Error %}"}, "Assign": {"c": "{% $states.errorOutput.Cause %}"}, "Next": "B"}, {"ErrorEquals": ["States.ALL"], "Next": "X"}], "End": true},
				"B": {"Type": "Pass", "Output": "{% [$states.input, $c] %}", "End": true}, "X": {"Type": "Fail"}`,
			input: `1`, tasks: map[string]task{"A": failing("Boom", "why", 1)}, output: `[{"in":1,"e":"Boom"},"why"]`,
		},
		"a caught state without Output": {states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, tasks: map[string]task{"A": failing("Boom", "why", 1)}, output: `{"Error":"Boom","Cause":"why"}`},
		"a bad Output is caught":        {states: `"A": {` + lambda + `, "Output": "{% $nope %}", "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "{% $states.errorOutput.Error %}", "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, output: `"States.QueryEvaluationError"`},
		"a bad catcher is not":          {states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $nope %}", "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, tasks: map[string]task{"A": failing("Boom", "", 1)}, error: "States.QueryEvaluationError"},
		// Recorded: localstack/localstack, tests/aws/services/stepfunctions/v2/scenarios, test_catch_states_runtime, in JSONPath.
		"nothing takes States.Runtime": {states: `"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Condition": false, "Next": "B"}]}, "B": {"Type": "Succeed"}}}],
			"Retry": [{"ErrorEquals": ["States.Runtime"]}], "Catch": [{"ErrorEquals": ["States.Runtime"], "Next": "C"}, {"ErrorEquals": ["States.ALL"], "Next": "C"}], "End": true}, "C": {"Type": "Pass", "End": true}`, error: "States.Runtime", cause: "Failed to transition out of the state"},
		"Iterator, as it was called":       {states: `"M": {"Type": "Map", "Items": [1, 2], "Iterator": {"StartAt": "A", "States": {"A": {"Type": "Pass", "Output": "{% $states.input * 2 %}", "End": true}}}, "End": true}`, output: `[2,4]`},
		"another role, evaluated":          {states: `"A": {` + lambda + `, "Credentials": {"RoleArn": "{% $states.input %}"}, "End": true}`, input: `"arn:aws:iam::123456789012:role/other"`, output: `{}`},
		"another role, of nothing":         {states: `"A": {` + lambda + `, "Credentials": {"RoleArn": "{% $nope %}"}, "End": true}`, error: "States.QueryEvaluationError", cause: "for the field 'Credentials/RoleArn' returned nothing"},
		"a long cause":                     {states: `"A": {"Type": "Fail", "Error": "E", "Cause": "{% $join($map([1..3277], function(){'é123456789'})) %}"}`, refuse: "a cause of more than 32768"},
		"a long error":                     {states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, tasks: map[string]task{"A": failing(strings.Repeat("E", 257), "", 1)}, refuse: "more than 256 characters"},
		"a bad Assign beside a bad Output": {states: `"A": {"Type": "Pass", "Assign": {"x": "{% $nope %}"}, "Output": "{% $nope %}", "End": true}`, refuse: "AWS's words are not known"},
		"another role":                     {states: `"A": {` + lambda + `, "Credentials": {"RoleArn": "arn:aws:iam::123456789012:role/other"}, "End": true}`, tasks: map[string]task{"A": failing("X", "c", 1)}, error: "X", cause: "c"},
		"a Fail without a cause":           {states: `"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "X"}}}], "Catch": [{"ErrorEquals": ["X"], "Output": "caught", "Next": "C"}], "End": true}, "C": {"Type": "Pass", "End": true}`, output: `"caught"`},
		"a Fail without a cause, shown":    {states: `"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "X"}}}], "Catch": [{"ErrorEquals": ["X"], "Next": "C"}], "End": true}, "C": {"Type": "Pass", "End": true}`, refuse: "words are not known"},
		"a task's own States.Runtime":      {states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["States.Runtime"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, tasks: map[string]task{"A": failing("States.Runtime", "", 1)}, refuse: "that Step Functions did not raise"},
		"an error without a name": {
			states: `"P": {"Type": "Parallel", "Branches": [{"StartAt": "F", "States": {"F": {"Type": "Fail"}}}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`,
			refuse: "a failure without a name",
		},
		"an error without a name, recorded": { // tests/aws/services/stepfunctions/v2/scenarios, test_map_state_catch_empty_fail
			states: `"M": {"Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}, "Catch": [{"ErrorEquals": ["Internal Error"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`,
			status: asl.FailedRun,
		},
		"RetryCount": {states: `"A": {` + lambda + `, "Arguments": "{% $states.context.State.RetryCount %}", "Retry": [{"ErrorEquals": ["States.ALL"]}], "End": true}`, tasks: map[string]task{"A": func(_ *run, one asl.Task) (any, error) {
			if one.Attempt < 2 {
				return nil, &asl.Failure{Name: "Boom"}
			}
			return one.Arguments, nil
		}}, output: `2`, took: 3 * time.Second},
		"a plain error has a name too": {states: `"A": {` + lambda + `, "End": true}`, tasks: map[string]task{"A": func(*run, asl.Task) (any, error) { return nil, errPlain }}, error: "States.TaskFailed", cause: "plain"},

		// https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html; recorded
		"a time-out":                   {states: `"A": {` + lambda + `, "TimeoutSeconds": 5, "End": true}`, tasks: map[string]task{"A": never}, error: "States.Timeout", status: asl.FailedRun, took: 5 * time.Second},
		"a caught time-out, recorded":  {states: `"A": {` + lambda + `, "TimeoutSeconds": "{% $states.input.t %}", "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "X"}, {"ErrorEquals": ["States.Timeout"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}, "X": {"Type": "Fail"}`, input: `{"t": 5}`, tasks: map[string]task{"A": never}, output: `{"Error":"States.Timeout","Cause":""}`, took: 5 * time.Second},
		"a missed heartbeat, recorded": {states: `"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 600, "HeartbeatSeconds": 5, "End": true}`, error: "States.Timeout", took: 5 * time.Second},
		"a heartbeat of no token":      {states: `"A": {` + lambda + `, "HeartbeatSeconds": 5, "End": true}`, tasks: map[string]task{"A": never}, refuse: "a missed heartbeat"},
		"a heartbeat by its own name":  {states: `"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 600, "HeartbeatSeconds": 5, "Catch": [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, output: `{"Error":"States.Timeout","Cause":""}`, took: 5 * time.Second},
		"no time-out lasts a year":     {states: `"A": {` + lambda + `, "End": true}`, tasks: map[string]task{"A": never}, status: asl.TimedOut, took: 365 * 24 * time.Hour},
		"a late answer has no effect": {
			states: `"A": {` + lambda + `, "TimeoutSeconds": 5, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "B"}], "End": true}, "B": {"Type": "Wait", "Seconds": 60, "End": true}`,
			tasks:  map[string]task{"A": func(r *run, _ asl.Task) (any, error) { r.clock.Sleep(30 * time.Second); return "late", nil }}, output: `{"Error":"States.Timeout","Cause":""}`, took: 65 * time.Second,
		},
		"too long a result, recorded": {
			states: `"A": {` + lambda + `, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "End": true}, "B": {"Type": "Pass", "End": true}`, tasks: map[string]task{"A": answering(strings.Repeat("é", 140000))},
			output: `{"Error":"States.DataLimitExceeded","Cause":"The state/task 'lambda' returned a result with a size exceeding the maximum number of bytes service limit."}`,
		},
		"too long an output": {states: `"A": {"Type": "Pass", "Output": "{% $join($map([1..30000], function($v){'0123456789'})) %}", "End": true}`, error: "States.DataLimitExceeded"},

		// https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
		"a token": {
			states: `"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Arguments": {"t": "{% $states.context.Task.Token %}"}, "Output": "{% $states.result.r %}", "End": true}`,
			tasks: map[string]task{"A": func(r *run, one asl.Task) (any, error) {
				r.clock.At(r.clock.Now().Add(time.Hour), func() { _ = r.SendTaskSuccess(one.Token, []byte(`{"r": 5}`)) })
				return "not the result", nil
			}}, output: `5`, took: time.Hour,
		},
		"a token that fails": {
			states: `"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true}`,
			tasks:  map[string]task{"A": func(r *run, one asl.Task) (any, error) { return 1, r.SendTaskFailure(one.Token, "No", "thanks") }}, error: "No", cause: "thanks",
		},
		"heartbeats keep it": {
			states: `"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "HeartbeatSeconds": 10, "End": true}`,
			tasks: map[string]task{"A": func(r *run, one asl.Task) (any, error) {
				for range 5 {
					r.clock.Sleep(9 * time.Second)
					_ = r.SendTaskHeartbeat(one.Token)
				}
				return 1, nil
			}}, error: "States.Timeout", took: 55 * time.Second,
		},
		"no token elsewhere": {states: `"A": {` + lambda + `, "Arguments": "{% $states.context.Task.Token %}", "End": true}`, error: "States.QueryEvaluationError"},

		// https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html
		"results in the order of the branches": {
			states: `"P": {"Type": "Parallel", "Arguments": {"n": 1}, "Branches": [
				{"StartAt": "P1", "States": {"P1": {"Type": "Wait", "Seconds": 9, "End": true}}},
				{"StartAt": "Q1", "States": {"Q1": {"Type": "Succeed", "Output": "q"}}}], "End": true}`,
			output: `[{"n":1},"q"]`, took: 9 * time.Second,
		},
		"one branch fails, the others are left": {
			states: `"P": {"Type": "Parallel", "Branches": [
				{"StartAt": "P1", "States": {"P1": {"Type": "Wait", "Seconds": 9, "Next": "P2"}, "P2": {` + lambda + `, "End": true}}},
				{"StartAt": "Q1", "States": {"Q1": {"Type": "Fail", "Error": "E", "Cause": "c"}}}],
				"Catch": [{"ErrorEquals": ["E"], "Next": "B"}], "End": true}, "B": {"Type": "Wait", "Seconds": 1, "End": true}`,
			tasks: map[string]task{"P2": func(*run, asl.Task) (any, error) { panic("the branch went on") }}, output: `{"Error":"E","Cause":"c"}`, took: time.Second,
		},
		"a whole Parallel is retried": {
			states: `"P": {"Type": "Parallel", "Branches": [{"StartAt": "P1", "States": {"P1": {` + lambda + `, "End": true}}}, {"StartAt": "Q1", "States": {"Q1": {"Type": "Pass", "End": true}}}],
				"Retry": [{"ErrorEquals": ["Boom"]}], "End": true}`,
			tasks: map[string]task{"P1": failing("Boom", "", 1)}, output: `["well",{}]`, took: time.Second,
		},

		// https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
		"Map over its input": {states: `"M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $states.input * 2 %}", "End": true}}}, "End": true}`, input: `[1,2]`, output: `[2,4]`},
		"Map over nothing":   {states: `"M": {"Type": "Map", "Items": [], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Fail"}}}, "End": true}`, output: `[]`},
		// Recorded: tests/aws/services/stepfunctions/v2/scenarios, test_map_state_items_input_types and test_map_state_items_eval_jsonata_fail.
		"Map over an input that is no array": {states: `"M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}, "End": true}`, input: `{"a": "b"}`, error: "States.QueryEvaluationError", cause: "executing the state 'M' (entered at the event id #2). Map state input must be an array but was: {\"a\":\"b\"}"},
		"Map over a function":                {states: `"M": {"Type": "Map", "Items": "{% function($x){$x} %}", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}, "End": true}`, error: "States.QueryEvaluationError", cause: "The JSONata expression 'function($x){$x}' specified for the field 'Items' returned an unsupported result type."},
		"Map over no array":                  {states: `"M": {"Type": "Map", "Items": "{% $states.input %}", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}, "End": true}`, input: `{"a": 1}`, error: "States.QueryEvaluationError", cause: "The JSONata expression '$states.input' specified for the field 'Items' returned an unexpected result type. Expected 'array', but was 'object' for value: {\"a\":1}"},
		"Map with a selector":                {states: `"M": {"Type": "Map", "Items": "{% $states.input.l %}", "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}", "i": "{% $states.context.Map.Item.Index %}", "k": "{% $states.input.k %}"}, "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% [$states.input, $states.context.State.Name] %}", "End": true}}}, "End": true}`, input: `{"l": ["a", "b"], "k": 9}`, output: `[[{"v":"a","i":0,"k":9},"I"],[{"v":"b","i":1,"k":9},"I"]]`},
		"a state within a Map reads of it":   {states: `"M": {"Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $states.context.Map.Item.Index %}", "End": true}}}, "End": true}`, refuse: "sees $states.context.Map"},
		"a state within a Map reads all":     {states: `"M": {"Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $states.context %}", "End": true}}}, "End": true}`, refuse: "sees $states.context.Map"},
		"a Map within a Map":                 {states: `"M": {"Type": "Map", "Items": [[7, 8]], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Map", "ItemSelector": "{% $states.context.Map.Item.Value %}", "ItemProcessor": {"StartAt": "J", "States": {"J": {"Type": "Pass", "End": true}}}, "End": true}}}, "End": true}`, output: `[[7,8]]`},
		// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html#contextobject-map
		"Map says where items come from": {states: `"M": {"Type": "Map", "Items": ["a"], "ItemSelector": "{% $states.context.Map.Item %}", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}, "End": true}`, output: `[{"Index":0,"Value":"a","Source":"STATE_DATA"}]`},
		"Map two at a time":              {states: `"M": {"Type": "Map", "MaxConcurrency": "{% 2 %}", "Items": [3, 1, 1, 1], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Wait", "Seconds": "{% $states.input %}", "End": true}}}, "End": true}`, output: `[3,1,1,1]`, took: 3 * time.Second},
		"Map of forty at most":           {states: `"M": {"Type": "Map", "Items": "{% [1..41] %}", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Wait", "Seconds": 1, "Output": 0, "End": true}}}, "Output": "{% $count($states.result) %}", "End": true}`, output: `41`, took: 2 * time.Second},
		"Map that tolerates, unused":     {states: `"M": {"Type": "Map", "Items": [1], "ToleratedFailureCount": 1, "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}, "End": true}`, output: `[1]`},
		"Map that tolerates, used":       {states: `"M": {"Type": "Map", "Items": [1], "ToleratedFailurePercentage": 100, "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Fail"}}}, "End": true}`, refuse: "tolerates failures"},
		"Map fails with its item":        {states: `"M": {"Type": "Map", "Items": [0, 1], "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 1 %}", "Next": "F"}], "Default": "W"}, "W": {"Type": "Wait", "Seconds": 99, "End": true}, "F": {"Type": "Fail", "Error": "E"}}}, "End": true}`, error: "E"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.input == "" {
				test.input = "{}"
			}
			if test.status == "" {
				test.status = asl.Succeeded
				if test.error != "" {
					test.status = asl.FailedRun
				}
			}
			r := execute(t, 0, machine(test.states), test.input, test.tasks)
			got := r.Result()
			if test.refuse != "" || got.Refused != "" {
				if test.refuse == "" || !strings.Contains(got.Refused, test.refuse) {
					t.Errorf("refused with %q, want %q", got.Refused, test.refuse)
				}
				return
			}
			if got.Status != test.status || got.Error != test.error || string(got.Output) != test.output || !strings.Contains(got.Cause, test.cause) {
				t.Errorf("got %s %s, error %q, cause %q\nwant %s %s, error %q, cause with %q", got.Status, got.Output, got.Error, got.Cause,
					test.status, test.output, test.error, test.cause)
			}
			if took := r.ended.Sub(start); took != test.took {
				t.Errorf("took %v, want %v", took, test.took)
			}
		})
	}
}
