package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/asl"
	"cordon/internal/vtime"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run is an execution in a small world: each task is a function of its arguments.
type run struct {
	*asl.Execution
	clock  *vtime.Clock
	trace  []string // state, kind and virtual seconds of every move
	calls  []string // state and arguments of every attempt
	events []string // of the history, by type
	ended  time.Time
}

var errPlain = errors.New("plain")

type task func(r *run, t asl.Task) (any, error)

func execute(t *testing.T, seed uint64, definition, input string, tasks map[string]task) *run {
	t.Helper()
	m, err := asl.Parse([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	return executeMachine(m, seed, input, tasks)
}

func executeMachine(m *asl.Machine, seed uint64, input string, tasks map[string]task) *run {
	return executeLater(m, seed, input, tasks, func(*run) {})
}

// executeLater has more done, besides, before the clock runs.
func executeLater(m *asl.Machine, seed uint64, input string, tasks map[string]task, more func(*run)) *run {
	r := &run{clock: vtime.New(seed, start)}
	w := &asl.World{Clock: r.clock, Rand: r.clock.Rand("test")}
	w.Moved = func(m asl.Move) {
		r.trace = append(r.trace, fmt.Sprintf("%s %s %g", m.State, m.Kind, m.At.Sub(start).Seconds()))
	}
	w.Recorded = func(event string) { r.events = append(r.events, event) }
	w.Ended = func(asl.Result) { r.ended = r.clock.Now() }
	w.Invoke = func(ctx context.Context, one asl.Task) (json.RawMessage, error) {
		r.calls = append(r.calls, one.State+string(one.Arguments))
		f := tasks[one.State]
		if f == nil {
			return json.RawMessage(`{}`), nil
		}
		v, err := f(r, one)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			r.trace = append(r.trace, one.State+" came too late")
		}
		return json.Marshal(v)
	}
	info := asl.ExecutionInfo{ID: "arn:execution", Name: "one", RoleArn: "arn:role", MachineID: "arn:machine", MachineName: "machine"}
	r.clock.Run(func() {
		r.Execution = m.Start(w, info, json.RawMessage(input))
		more(r)
	})
	return r
}

// machine wraps states in a definition.
func machine(states string) string {
	name := strings.SplitN(states, `"`, 3)[1]
	return fmt.Sprintf(`{"QueryLanguage": "JSONata", "StartAt": %q, "States": {%s}}`, name, states)
}

func failing(name, cause string, times int) task {
	return func(_ *run, _ asl.Task) (any, error) {
		if times--; times >= 0 {
			return nil, &asl.Failure{Name: name, Cause: cause}
		}
		return "well", nil
	}
}

func answering(v any) task { return func(*run, asl.Task) (any, error) { return v, nil } }

func never(r *run, _ asl.Task) (any, error) {
	r.clock.Wait(func(func()) {})
	return nil, nil
}
