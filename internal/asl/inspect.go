package asl

import (
	"encoding/json"
	"slices"
	"strconv"
)

// StateInfo is a state as a test of a definition wants to see it.
type StateInfo struct {
	Path    string // where it stands, as in /States/Act/Branches/0/States/Isolate
	Name    string
	Type    string
	Comment string
	Scope   int      // states of one number share variables; 0 is the machine itself
	Outer   int      // the scope around this one, -1 for the machine
	Start   bool     // begins its scope
	End     bool     // may end its scope
	Targets []string // states that may follow, in the order of the definition
	Inner   []int    // scopes of a Parallel's branches or a Map's processor

	Resource     string
	HasTimeout   bool
	HasHeartbeat bool
	Timeout      int // seconds, 0 when it is an expression or absent
	Heartbeat    int
	Arguments    json.RawMessage // as they stand in the definition, expressions unevaluated
	Assigned     []string        // variables of the state's own Assign
	Reads        []string        // variables that its own expressions read, handlers and rules aside
	Expressions  []Expression    // all of them, handlers and rules included
	Choices      []ChoiceInfo
	Default      string
	Retry        []RetryInfo
	Catch        []CatchInfo
}

// ChoiceInfo is a rule of a Choice.
type ChoiceInfo struct {
	Next     string
	Assigned []string
	Reads    []string // Condition, Assign and Output
}

// RetryInfo is a retrier, defaults filled in.
type RetryInfo struct {
	Errors          []string
	IntervalSeconds int
	MaxAttempts     int
	BackoffRate     float64
	MaxDelaySeconds int // 0 for none
	FullJitter      bool
}

// CatchInfo is a catcher.
type CatchInfo struct {
	Errors   []string
	Next     string
	Assigned []string
	Reads    []string
}

// Expression is one {% … %} and what it uses.
type Expression struct {
	Field     string // Arguments, Output, Choices/0/Condition, Catch/0/Assign, …
	Source    string
	Variables []string // without the dollar
	States    []string // of $states.NAME: the names
	Functions []string // that it calls
}

// Comment is the machine's.
func (m *Machine) Comment() string { return m.comment }

// TimeoutSeconds is the machine's, 0 when it has none.
func (m *Machine) TimeoutSeconds() int { return m.timeout }

// StartAt is the machine's first state.
func (m *Machine) StartAt() string { return m.states.start }

// States are all states, inner ones after the state they are in, in the order of
// the definition. Every one is reachable: Parse sees to that.
func (m *Machine) States() []StateInfo {
	var all []StateInfo
	scopes := 0
	var add func(path string, s *states, scope, outer int)
	add = func(path string, s *states, scope, outer int) {
		for _, name := range s.order {
			st := s.byName[name]
			at := path + "/States/" + name
			i := len(all)
			all = append(all, st.info(at))
			all[i].Scope, all[i].Outer, all[i].Start = scope, outer, name == s.start
			for n, branch := range st.branches {
				scopes++
				all[i].Inner = append(all[i].Inner, scopes)
				inner := at + "/ItemProcessor"
				if st.kind == "Parallel" {
					inner = at + "/" + numbered("Branches", n)
				}
				add(inner, branch, scopes, scope)
			}
		}
	}
	add("", m.states, 0, -1)
	return all
}

func (s *state) info(path string) StateInfo {
	i := StateInfo{
		Path: path, Name: s.name, Type: s.kind, Comment: s.comment, Targets: s.targets(),
		End:      s.ends(),
		Resource: s.resource, HasTimeout: s.timeout != nil, HasHeartbeat: s.heartbeat != nil,
		Arguments: s.rawArguments, Assigned: s.assign.names(), Default: s.byRule,
	}
	for _, n := range []struct {
		t  *template
		to *int
	}{{s.timeout, &i.Timeout}, {s.heartbeat, &i.Heartbeat}} {
		if n.t != nil && n.t.literal != nil {
			*n.to, _ = wholeNumber(n.t.literal)
		}
	}
	note := func(field string, templates ...*template) (reads []string) {
		for _, t := range templates {
			for _, e := range t.expressions() {
				i.Expressions = append(i.Expressions, Expression{
					Field: field, Source: e.source, Variables: e.Variables, States: e.States, Functions: e.Functions,
				})
				reads = append(reads, e.Variables...)
			}
		}
		slices.Sort(reads)
		return slices.Compact(reads)
	}
	for _, own := range []struct {
		field string
		t     *template
	}{
		{"Arguments", s.arguments},
		{"Credentials", s.credentials},
		{"TimeoutSeconds", s.timeout},
		{"HeartbeatSeconds", s.heartbeat},
		{"Seconds", s.seconds},
		{"Timestamp", s.timestamp},
		{"Error", s.errorName},
		{"Cause", s.cause},
		{"Items", s.items},
		{"ItemSelector", s.itemSelector},
		{"MaxConcurrency", s.maxConcurrency},
		{"Assign", s.assign},
		{"Output", s.output},
	} {
		i.Reads = append(i.Reads, note(own.field, own.t)...)
	}
	slices.Sort(i.Reads)
	i.Reads = slices.Compact(i.Reads)
	for n, c := range s.choices {
		i.Choices = append(i.Choices, ChoiceInfo{
			Next: c.next, Assigned: c.assign.names(),
			Reads: note(numbered("Choices", n), c.condition, c.assign, c.output),
		})
	}
	for _, r := range s.retry {
		i.Retry = append(i.Retry, RetryInfo{
			Errors: slices.Clone(r.errors), IntervalSeconds: r.interval, MaxAttempts: r.maxAttempts,
			BackoffRate: r.backoff, MaxDelaySeconds: r.maxDelay, FullJitter: r.fullJitter,
		})
	}
	for n, c := range s.catch {
		i.Catch = append(i.Catch, CatchInfo{
			Errors: slices.Clone(c.errors), Next: c.next, Assigned: c.assign.names(),
			Reads: note(numbered("Catch", n), c.assign, c.output),
		})
	}
	return i
}

func numbered(field string, n int) string { return field + "/" + strconv.Itoa(n) }

// names are the members of an object, of an Assign above all.
func (t *template) names() []string {
	if t == nil {
		return nil
	}
	return slices.Clone(t.keys)
}
