package cordon_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/internal/asl"
	"cordon/internal/incident"
	"cordon/internal/isolate"
	"cordon/internal/snapshot"
	"cordon/internal/template"
)

// machine is the definition as far as these checks read it. The interpreter
// says whether it is valid; what is asked here is whether it is ours.
type machine struct {
	StartAt string
	States  map[string]*state
}

type state struct {
	Type, Comment, Resource, Next, Default, Error string
	End                                           bool
	Arguments, Output, Seconds, TimeoutSeconds    any
	Assign                                        map[string]any
	Retry                                         []retrier
	Catch                                         []transition
	Choices                                       []transition
	Branches                                      []machine
}

type retrier struct {
	ErrorEquals    []string
	MaxAttempts    *int
	JitterStrategy string
}

// transition is a Catch or a rule of a Choice.
type transition struct {
	ErrorEquals []string
	Condition   string
	Assign      map[string]any
	Output      any
	Next        string
}

const (
	invoke = "arn:aws:states:::lambda:invoke"
	wait   = invoke + ".waitForTaskToken"

	// crowded is Lambda's answer when as many invocations run as the account may have, ten in a new one.
	// https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
	crowded = "Lambda.TooManyRequestsException"
)

// once are the tasks that are not retried where they stand: isolation, or the
// mail that tells of it, would wait. Each is tried again later, with patience.
var once = []string{"Protect the instance", "Start the snapshots", "Start the memory capture", "Look at what stays open"}

// checks hold for the definition. Each lists what it finds wrong.
var checks = map[string]func(setting, machine) []string{
	"tasks are functions of ours, bounded, caught and retried": tasks,
	"error names are those that something raises":              errorNames,
	"variables are assigned before they are read":              variables,
	"expressions call what Step Functions has":                 calls,
	"states are explained, unique and reachable":               states,
	"endings are those of the README":                          endings,
	"isolation does not wait":                                  isolation,
	"no state gives up before its function does":               timeouts,
	"who changes the account says who it is":                   identified,
}

// setting is what the definition is held against.
type setting struct {
	timeouts map[string]time.Duration // of the functions, by name
	errors   []string                 // names that our steps raise
	endings  []string                 // of the README
}

func TestDefinition(t *testing.T) {
	s := readSetting(t)
	m := parseMachine(t, cordon.Definition)
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range check(s, m) {
				t.Error(wrong)
			}
		})
	}
}

func TestDefinitionIsValidAsDeployed(t *testing.T) {
	sm, ok := deployment(t).StateMachine()
	if !ok {
		t.Fatal("the template has no state machine")
	}
	if want := "statemachines/incident-response.asl.json"; sm.DefinitionURI != want {
		t.Errorf("the template deploys %q, the rehearsal runs %q", sm.DefinitionURI, want)
	}
	text, err := template.Substitute(cordon.Definition, sm.Substitutions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := asl.Parse(text); err != nil {
		t.Error(err)
	}
}

// TestChecksFind plants a fault for each thing that is checked.
func TestChecksFind(t *testing.T) {
	s := readSetting(t)
	const (
		tasksCheck     = "tasks are functions of ours, bounded, caught and retried"
		errorsCheck    = "error names are those that something raises"
		variablesCheck = "variables are assigned before they are read"
		callsCheck     = "expressions call what Step Functions has"
		statesCheck    = "states are explained, unique and reachable"
		endingsCheck   = "endings are those of the README"
		isolationCheck = "isolation does not wait"
		timeoutsCheck  = "no state gives up before its function does"
		callersCheck   = "who changes the account says who it is"

		isolate  = "States/Isolate instance/"
		evidence = "States/Gather evidence and ask/Branches/"
		protect  = "States/Protect and snapshot/Branches/0/States/Protect the instance/"
	)
	type edits map[string]any // by path; nil removes
	for _, test := range []struct {
		name, check string
		edits       edits
		want        string
	}{
		{"another integration", tasksCheck, edits{isolate + "Resource": "arn:aws:states:::aws-sdk:ec2:terminateInstances"}, "Isolate instance: calls"},
		{"a function by its ARN", tasksCheck, edits{isolate + "Arguments/FunctionName": "arn:aws:lambda:eu-west-1:111122223333:function:x"}, "Isolate instance: calls"},
		{"no time-out", tasksCheck, edits{isolate + "TimeoutSeconds": nil}, "Isolate instance: is not bounded"},
		{"no catch", tasksCheck, edits{isolate + "Catch": nil}, "Isolate instance: does not catch"},
		{"a narrow catch", tasksCheck, edits{isolate + "Catch/2/ErrorEquals": []any{"NotContained"}}, "Isolate instance: does not catch"},
		{"no retry", tasksCheck, edits{isolate + "Retry": nil}, "Isolate instance: is not retried"},
		{"a narrow retry", tasksCheck, edits{isolate + "Retry/3/ErrorEquals": []any{"NotContained"}}, "Isolate instance: is not retried"},
		{"no jitter", tasksCheck, edits{isolate + "Retry/1/JitterStrategy": nil}, "Isolate instance: retries in step"},
		{"no patience with a crowded Lambda", tasksCheck, edits{isolate + "Retry/2/MaxAttempts": 6}, "Isolate instance: is lost"},
		{"a task that should be tried once", tasksCheck, edits{protect + "Retry": []any{map[string]any{"ErrorEquals": []any{"States.ALL"}, "JitterStrategy": "FULL"}}}, "Protect the instance: is retried"},
		{"no token", tasksCheck, edits{evidence + "3/States/Wait for a person/Branches/0/States/Ask for a decision/Arguments/Payload/token": nil}, "Ask for a decision: is not given its token"},
		{"a token for a step that needs none", tasksCheck, edits{isolate + "Arguments/Payload/token": "{% $states.context.Task.Token %}"}, "Isolate instance: is given a token"},

		{"a name nothing raises", errorsCheck, edits{"States/Terminate instance/Retry/0/ErrorEquals": []any{"Denied"}}, `nothing raises "Denied"`},
		{"a name that is caught nowhere", errorsCheck, edits{evidence + "3/States/Release was decided/Error": "Let go"}, `nobody catches "Let go"`},
		{"a name of a step that no state knows", errorsCheck, edits{"States/Terminate instance/Retry/0/ErrorEquals": []any{"Refused", "Undecided", "Superseded"}}, `no state knows "EvidenceIncomplete"`},

		{"a variable nobody assigns", variablesCheck, edits{isolate + "Arguments/Payload/capture": "{% $captures %}"}, "Isolate instance: reads $captures"},
		{"a variable only one path assigns", variablesCheck, edits{isolate + "Catch/2/Assign/isolation": nil, "States/Read the finding/Assign/isolation": nil}, "reads $isolation"},
		{"a variable of a branch, outside", variablesCheck, edits{"States/Close the incident/Arguments/Payload/memory": "{% $memoryNow %}"}, "Close the incident: reads $memoryNow"},
		{"a variable that the same Assign makes", variablesCheck, edits{"States/Read the finding/Assign/more": "{% $round %}"}, "Read the finding: reads $round"},
		{"a branch that assigns an outer variable", variablesCheck, edits{evidence + "1/States/Begin with the snapshots/Assign/memory": 1}, "Begin with the snapshots: assigns $memory"},

		{"eval", callsCheck, edits{"States/Read the finding/Assign/reason": "{% $eval($states.result.Payload.reason) %}"}, "$eval"},
		{"a function of nobody", callsCheck, edits{"States/Read the finding/Assign/reason": "{% $clean('$eval(1)') %}"}, "$clean"},

		{"no comment", statesCheck, edits{isolate + "Comment": ""}, "Isolate instance: does not say why"},
		{"an unreachable state", statesCheck, edits{"States/Choose the ending/Choices/0/Next": "Already gone"}, "Joined open incident: is never reached"},
		{"two states of one name", statesCheck, edits{protect + "../Terminated": map[string]any{"Type": "Pass", "Comment": "x", "End": true}}, "Terminated: there are two"},

		{"an ending that the README lacks", endingsCheck, edits{"States/Forgotten": map[string]any{"Type": "Succeed"}}, "Forgotten: is not in the README"},
		{"an ending that only the README has", endingsCheck, edits{"States/Already gone": nil}, "Already gone: is in the README only"},
		{"Not contained as a success", endingsCheck, edits{"States/Not contained/Type": "Succeed"}, "Not contained: must alarm"},
		{"an ending that alarms", endingsCheck, edits{"States/Already gone/Type": "Fail"}, "Already gone: must not alarm"},
		{"an ending without a name", endingsCheck, edits{"States/Tell people/End": true, "States/Tell people/Next": nil}, "Tell people: ends without"},

		{"a long try before isolation", isolationCheck, edits{protect + "TimeoutSeconds": 11}, "lasts 11 s"},
		{"a second try before isolation", isolationCheck, edits{"States/Protect and snapshot/Retry": []any{map[string]any{"ErrorEquals": []any{"States.ALL"}}}}, "is retried"},
		{"isolation that hangs", isolationCheck, edits{isolate + "TimeoutSeconds": 16}, "Isolate instance: may hang"},
		{"isolation that is not last before", isolationCheck, edits{"States/Protect and snapshot/Next": "Tell people"}, "does not lead to isolation"},
		{"a release beside a sealing", isolationCheck, edits{"States/Let running steps end/Seconds": 10}, "Let running steps end: is shorter"},

		{"isolate's function outlives the state", timeoutsCheck, edits{isolate + "TimeoutSeconds": 13}, "Isolate instance: gives up after 13 s"},
		{"another execution's name", callersCheck, edits{protect + "Arguments/Payload/execution": "{% $states.context.Execution.Name %}"}, "Protect the instance: passes"},
		{"one entry for all", callersCheck, edits{isolate + "Arguments/Payload/entry": "{% $states.context.State.Name %}"}, "Isolate instance: passes"},
		{"a retry of what is another's", callersCheck, edits{isolate + "Retry/0/MaxAttempts": 3}, "Isolate instance: is retried where"},
		{"a decision carried out for whoever asks", callersCheck, edits{"States/Terminate instance/Arguments/Payload/execution": nil}, "Terminate instance: passes"},

		{"terminate's function outlives the state", timeoutsCheck, edits{"States/Terminate instance/TimeoutSeconds": 50}, "Terminate instance: gives up after 50 s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := checks[test.check](s, parseMachine(t, edited(t, cordon.Definition, test.edits)))
			if !slices.ContainsFunc(found, func(w string) bool { return strings.Contains(w, test.want) }) {
				t.Errorf("found %q, want one with %q", found, test.want)
			}
		})
	}
}

func tasks(_ setting, m machine) (wrong []string) {
	m.walk(func(name string, s *state) {
		if s.Type != "Task" {
			return
		}
		fail := func(format string, a ...any) { wrong = append(wrong, name+": "+fmt.Sprintf(format, a...)) }
		if s.Resource != invoke && s.Resource != wait || s.function() == "" {
			fail("calls %s, not a function of ours", s.Resource)
		}
		switch n, fixed := s.TimeoutSeconds.(float64); {
		case fixed && n <= 0, !fixed && s.TimeoutSeconds != "{% ${ApprovalHours} * 3600 %}":
			fail("is not bounded: TimeoutSeconds %v", s.TimeoutSeconds)
		}
		if n := len(s.Catch); n == 0 || !slices.Equal(s.Catch[n-1].ErrorEquals, []string{"States.ALL"}) {
			fail("does not catch States.ALL last")
		}
		if n := len(s.Retry); slices.Contains(once, name) {
			if n > 0 {
				fail("is retried, and something waits for it")
			}
		} else if n == 0 || !slices.Equal(s.Retry[n-1].ErrorEquals, []string{"States.ALL"}) {
			fail("is not retried for States.ALL last")
		}
		// What States.ALL is retried for may be used up before it is this one's turn.
		if !slices.Contains(once, name) && !slices.ContainsFunc(s.Retry, func(r retrier) bool {
			return slices.Equal(r.ErrorEquals, []string{crowded}) && r.MaxAttempts != nil && *r.MaxAttempts >= 200
		}) {
			fail("is lost where Lambda is crowded")
		}
		for _, r := range s.Retry {
			if (r.MaxAttempts == nil || *r.MaxAttempts > 0) && r.JitterStrategy != "FULL" {
				fail("retries in step with others: JitterStrategy is %q", r.JitterStrategy)
			}
		}
		if token := strings.Contains(fmt.Sprint(s.Arguments), "$states.context.Task.Token"); token && s.Resource != wait {
			fail("is given a token that nobody waits for")
		} else if !token && s.Resource == wait {
			fail("is not given its token: nobody could answer")
		}
	})
	for _, name := range once {
		if !m.has(name) {
			wrong = append(wrong, name+": is excepted, but there is no such state")
		}
	}
	return wrong
}

func errorNames(is setting, m machine) (wrong []string) {
	var matched, raised []string
	m.walk(func(name string, s *state) {
		for _, c := range s.Catch {
			matched = append(matched, c.ErrorEquals...)
		}
		for _, r := range s.Retry {
			matched = append(matched, r.ErrorEquals...)
		}
		if s.Type == "Fail" {
			raised = append(raised, s.Error)
			if _, top := m.States[name]; !top && !m.catches(s.Error) {
				wrong = append(wrong, fmt.Sprintf("%s: nobody catches %q by name", name, s.Error))
			}
		}
	})
	for _, name := range slices.Compact(slices.Sorted(slices.Values(matched))) {
		if !strings.HasPrefix(name, "States.") && name != crowded && !slices.Contains(is.errors, name) && !slices.Contains(raised, name) {
			wrong = append(wrong, fmt.Sprintf("nothing raises %q", name))
		}
	}
	for _, name := range is.errors {
		if !slices.Contains(matched, name) && !slices.Contains(raised, name) {
			wrong = append(wrong, fmt.Sprintf("no state knows %q: a name exists only where the machine branches on it", name))
		}
	}
	return wrong
}

func (m machine) catches(name string) (found bool) {
	m.walk(func(_ string, s *state) {
		for _, c := range s.Catch {
			found = found || s.Type == "Parallel" && slices.Contains(c.ErrorEquals, name)
		}
	})
	return found
}

// edge is one way out of a state.
type edge struct {
	to     string // empty at an end
	assign map[string]any
	output any
}

func (s *state) edges() []edge {
	var all []edge
	for _, c := range slices.Concat(s.Choices, s.Catch) {
		all = append(all, edge{c.Next, c.Assign, c.Output})
	}
	if s.Type == "Choice" {
		return append(all, edge{s.Default, s.Assign, s.Output})
	}
	return append(all, edge{s.Next, s.Assign, s.Output})
}

// variables holds every reading of a variable against what is assigned on all
// paths that lead there. Assign and Output see the values from before the
// Assign; a branch sees the variables of outside, and keeps its own.
func variables(_ setting, m machine) []string { return m.variables(nil) }

func (m machine) variables(outer []string) (wrong []string) {
	known := map[string][]string{m.StartAt: outer} // on entry, on every path so far
	for changed := true; changed; {
		changed = false
		for _, name := range slices.Sorted(maps.Keys(known)) {
			s := m.States[name]
			if s == nil {
				continue
			}
			for _, e := range s.edges() {
				if e.to == "" {
					continue
				}
				after := slices.Concat(known[name], slices.Collect(maps.Keys(e.assign)))
				slices.Sort(after)
				after = slices.Compact(after)
				before, seen := known[e.to]
				if seen {
					after = slices.DeleteFunc(slices.Clone(before), func(v string) bool { return !slices.Contains(after, v) })
				}
				if !seen || len(after) < len(before) {
					known[e.to], changed = after, true
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		s := m.States[name]
		if s == nil {
			continue
		}
		read := []any{s.Arguments, s.Seconds, s.TimeoutSeconds}
		for _, c := range s.Choices {
			read = append(read, c.Condition)
		}
		for _, e := range s.edges() {
			read = append(read, e.output, e.assign)
			for _, v := range slices.Sorted(maps.Keys(e.assign)) {
				if slices.Contains(outer, v) {
					wrong = append(wrong, fmt.Sprintf("%s: assigns $%s, which is of outside its branch", name, v))
				}
			}
		}
		for _, v := range used(read) {
			if v.kind == variable && v.name != "states" && !slices.Contains(known[name], v.name) {
				wrong = append(wrong, fmt.Sprintf("%s: reads $%s, which is not assigned on every path to it", name, v.name))
			}
		}
		for _, b := range s.Branches {
			wrong = append(wrong, b.variables(known[name])...)
		}
	}
	return wrong
}

const (
	variable = iota
	function
)

type use struct {
	name string
	kind int
}

var (
	quoted = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`)
	dollar = regexp.MustCompile(`\$([A-Za-z_]\w*)(\s*\()?`)
)

// used are the variables and functions of every expression within v.
func used(v any) (all []use) {
	switch v := v.(type) {
	case string:
		if !strings.HasPrefix(v, "{%") {
			return nil
		}
		for _, m := range dollar.FindAllStringSubmatch(quoted.ReplaceAllString(v, "''"), -1) {
			if m[2] != "" {
				all = append(all, use{m[1], function})
			} else {
				all = append(all, use{m[1], variable})
			}
		}
	case []any:
		for _, e := range v {
			all = append(all, used(e)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, used(v[k])...)
		}
	}
	return all
}

// known are the functions of JSONata 2.0.6 and of Step Functions. $eval is not:
// Step Functions refuses it.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
var known = strings.Fields(`
	string length substring substringBefore substringAfter uppercase lowercase trim pad contains split join match replace
	base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl
	number abs floor ceil round power sqrt random formatNumber formatBase formatInteger parseInteger
	sum max min average boolean not exists count append sort reverse shuffle distinct zip
	keys lookup spread merge sift each error assert type now millis fromMillis toMillis map filter single reduce
	partition range hash uuid parse`)

func calls(_ setting, m machine) (wrong []string) {
	m.walk(func(name string, s *state) {
		read := []any{s.Arguments, s.Seconds, s.TimeoutSeconds}
		for _, c := range s.Choices {
			read = append(read, c.Condition)
		}
		for _, e := range s.edges() {
			read = append(read, e.assign, e.output)
		}
		for _, u := range used(read) {
			if u.kind == function && !slices.Contains(known, u.name) {
				wrong = append(wrong, fmt.Sprintf("%s: calls $%s, which Step Functions does not have", name, u.name))
			}
		}
	})
	return wrong
}

func states(_ setting, m machine) (wrong []string) {
	seen := map[string]bool{}
	m.walk(func(name string, s *state) {
		if s.Comment == "" {
			wrong = append(wrong, name+": does not say why it is there")
		}
		if seen[name] {
			wrong = append(wrong, name+": there are two; a responder sees the name only")
		}
		seen[name] = true
	})
	return append(wrong, m.unreached()...)
}

func (m machine) unreached() (wrong []string) {
	reached := map[string]bool{}
	var reach func(string)
	reach = func(name string) {
		s := m.States[name]
		if s == nil || reached[name] {
			return
		}
		reached[name] = true
		for _, e := range s.edges() {
			reach(e.to)
		}
	}
	reach(m.StartAt)
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		if !reached[name] {
			wrong = append(wrong, name+": is never reached")
		}
		for _, b := range m.States[name].Branches {
			wrong = append(wrong, b.unreached()...)
		}
	}
	return wrong
}

func endings(is setting, m machine) (wrong []string) {
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		switch s := m.States[name]; {
		case s.End:
			wrong = append(wrong, name+": ends without an ending")
		case s.Type != "Succeed" && s.Type != "Fail":
		case !slices.Contains(is.endings, name):
			wrong = append(wrong, name+": is not in the README's table of endings")
		case name == "Not contained" && s.Type != "Fail":
			wrong = append(wrong, name+": must alarm, so it must be a Fail state")
		case name != "Not contained" && s.Type == "Fail":
			wrong = append(wrong, name+": must not alarm, so it must be a Succeed state")
		}
	}
	for _, name := range is.endings {
		if s := m.States[name]; s == nil || s.Type != "Succeed" && s.Type != "Fail" {
			wrong = append(wrong, name+": is in the README only")
		}
	}
	m.walk(func(name string, s *state) {
		if _, top := m.States[name]; !top && s.Type == "Succeed" {
			wrong = append(wrong, name+": an ending must stand at the top")
		}
	})
	return wrong
}

func isolation(is setting, m machine) (wrong []string) {
	const first, then, pause = "Protect and snapshot", "Isolate instance", "Let running steps end"
	p, i, w := m.States[first], m.States[then], m.States[pause]
	if p == nil || i == nil || w == nil {
		return []string{"the states around isolation have other names; this check must follow them"}
	}
	if len(p.Retry) > 0 {
		wrong = append(wrong, first+": is retried, and isolation waits for it")
	}
	for _, e := range p.edges() {
		if e.to != then {
			wrong = append(wrong, fmt.Sprintf("%s: does not lead to isolation but to %s", first, e.to))
		}
	}
	for _, b := range p.Branches {
		var seconds float64
		b.walk(func(_ string, s *state) {
			if n, ok := s.TimeoutSeconds.(float64); ok {
				seconds += n
			}
			if len(s.Retry) > 0 || s.Type == "Wait" || s.Type == "Parallel" || s.Type == "Map" {
				seconds += 60 // more than one attempt
			}
		})
		if seconds > 10 {
			wrong = append(wrong, fmt.Sprintf("%s: the branch of %s lasts %v s, and isolation waits for it", first, b.StartAt, seconds))
		}
	}
	m.walk(func(name string, s *state) {
		if n, ok := s.TimeoutSeconds.(float64); s.function() == "isolate" && (!ok || n > 15) {
			wrong = append(wrong, fmt.Sprintf("%s: may hang for %v s with an interface open to the world", name, s.TimeoutSeconds))
		}
	})
	// What the branches had started is not stopped when a release ends them.
	if n, ok := w.Seconds.(float64); !ok || n <= is.timeouts["isolate"].Seconds() {
		wrong = append(wrong, pause+": is shorter than an invocation of isolate may last")
	}
	return wrong
}

// timeouts: a state that gives up while its function still runs starts a second
// one beside it.
func timeouts(is setting, m machine) (wrong []string) {
	m.walk(func(name string, s *state) {
		n, ok := s.TimeoutSeconds.(float64)
		if !ok || s.Resource != invoke {
			return // it waits hours for a person, not for the function
		}
		// Tried once, they may give up while their function still runs, which
		// finishes or is killed between two calls; the next run of the step finds
		// what it did, as after any kill.
		if slices.Contains(once, name) {
			return
		}
		if limit := is.timeouts[s.function()]; limit == 0 || time.Duration(n)*time.Second < limit {
			wrong = append(wrong, fmt.Sprintf("%s: gives up after %v s, the function %s after %v", name, n, s.function(), limit))
		}
	})
	return wrong
}

// identified: a step that changes the account looks whose the incident is, and one that
// two must not do at once tells two entries apart and one from its retry.
func identified(is setting, m machine) (wrong []string) {
	said := map[string]string{
		"execution": "{% $states.context.Execution.Id %}",
		"entry":     "{% $states.context.State.Name & ' ' & $states.context.State.EnteredTime & ' ' & $string($states.context.Execution.RedriveCount) %}",
	}
	needs := map[string][]string{"isolate": {"execution", "entry"}, "snapshot": {"execution", "entry"}}
	for _, function := range []string{"preserve", "memory", "credentials", "authorize", "terminate", "release", "close"} {
		needs[function] = []string{"execution"}
	}
	m.walk(func(name string, s *state) {
		arguments, _ := s.Arguments.(map[string]any)
		payload, _ := arguments["Payload"].(map[string]any)
		for _, what := range needs[s.function()] {
			if payload[what] != said[what] {
				wrong = append(wrong, fmt.Sprintf("%s: passes %v as %s, want %s", name, payload[what], what, said[what]))
			}
		}
		if len(s.Retry) > 0 && needs[s.function()] != nil && (!slices.Contains(s.Retry[0].ErrorEquals, string(incident.ErrSuperseded)) || s.Retry[0].MaxAttempts == nil || *s.Retry[0].MaxAttempts != 0) {
			wrong = append(wrong, name+": is retried where another has the incident")
		}
	})
	for function, runs := range map[string]time.Duration{"isolate": isolate.Runs, "snapshot": snapshot.Runs} {
		if limit := is.timeouts[function]; runs < limit {
			wrong = append(wrong, fmt.Sprintf("the function %s may run for %v, and what it holds is another's after %v", function, limit, runs))
		}
	}
	return wrong
}

// walk visits every state, those of branches included, in order of name.
func (m machine) walk(f func(name string, s *state)) {
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		f(name, m.States[name])
		for _, b := range m.States[name].Branches {
			b.walk(f)
		}
	}
}

func (m machine) has(name string) (found bool) {
	m.walk(func(n string, _ *state) { found = found || n == name })
	return found
}

var functionARN = regexp.MustCompile(`^\$\{([A-Z][A-Za-z]*)FunctionArn\}$`)

// function is the name of the function that a task invokes, or empty.
func (s *state) function() string {
	arguments, _ := s.Arguments.(map[string]any)
	name, _ := arguments["FunctionName"].(string)
	if m := functionARN.FindStringSubmatch(name); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

func parseMachine(t *testing.T, definition []byte) machine {
	t.Helper()
	var m machine
	if err := json.Unmarshal(definition, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func readSetting(t *testing.T) setting {
	t.Helper()
	s := setting{timeouts: map[string]time.Duration{}, errors: errorsOf(t), endings: endingsOf(t)}
	for _, f := range deployment(t).Functions() {
		s.timeouts[functionName(f.LogicalID)] = f.Timeout
	}
	return s
}

// edited is the definition with values set or, where they are nil, removed.
// Every path must lead somewhere, so that a planted fault is one.
func edited(t *testing.T, definition []byte, edits map[string]any) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(definition, &all); err != nil {
		t.Fatal(err)
	}
	for path, value := range edits {
		var steps []string
		for step := range strings.SplitSeq(path, "/") {
			if step == ".." {
				steps = steps[:len(steps)-1]
				continue
			}
			steps = append(steps, step)
		}
		var at any = all
		for _, step := range steps[:len(steps)-1] {
			switch v := at.(type) {
			case map[string]any:
				at = v[step]
			case []any:
				n, err := strconv.Atoi(step)
				if err != nil || n >= len(v) {
					t.Fatalf("%s: no %q in a list of %d", path, step, len(v))
				}
				at = v[n]
			}
		}
		in, ok := at.(map[string]any)
		if !ok {
			t.Fatalf("%s leads nowhere", path)
		}
		last := steps[len(steps)-1]
		if value == nil {
			if _, ok := in[last]; !ok {
				t.Fatalf("%s: there is nothing to remove", path)
			}
			delete(in, last)
			continue
		}
		in[last] = value
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
