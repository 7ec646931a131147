package asl

import (
	"errors"
	"time"
)

// place is where the states of an execution, or of a branch, are: what a redrive goes
// on from. It is kept as each state is left, so that nothing is lost by an end.
type place struct {
	state    *state // nil before the first
	input    *value
	scope    *scope
	branches []*place // of the newest attempt at a Parallel
	out      *value   // of the last state, once that is left
}

// stopped ends what somebody stops.
var stopped = &Failure{Name: "stopped"}

// Stop is StopExecution: states that wait are left, and what was invoked goes on to
// its own end and answers nobody. One that has ended stays as it is. It is called
// from a task on the clock, or from what Clock.At calls.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
func (e *Execution) Stop() { e.end(stopped) }

// Limits of a redrive.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
const (
	redrivable     = 14 * 24 * time.Hour // since the end
	redriveHistory = 24999               // events, which one that is redriven has not reached
	maxRedrives    = 1000                // https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
)

// ErrNotRedrivable is RedriveExecution's answer about an execution that runs, or was
// well, or ended too long ago, by the name that Step Functions gives it.
var ErrNotRedrivable = errors.New("ExecutionNotRedrivable")

// Redrive is RedriveExecution: an execution that failed, timed out or was stopped goes
// on, as itself, with the state that was not well. Its input and variables are as they
// were; its retries, its time-out and that of the machine begin anew; a task gets
// another token. Of a Parallel only those branches go on that had not come to their
// end, each with its own such state, but all where the data was too long. A Fail state
// fails again, and a Wait until a moment that has passed is over.
// https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
//
// Nobody documents which events follow ExecutionRedriven, and whether a Wait waits its
// Seconds once more; here the state is entered again, and it does. What nobody has recorded is refused, with an UnsupportedError: an execution
// within a Map, and one that this interpreter itself had ended.
func (e *Execution) Redrive() error {
	now := e.world.Clock.Now()
	switch {
	case e.result.Status == Running, e.result.Status == Succeeded, e.at.state == nil,
		now.Sub(e.ended) > redrivable, now.Sub(e.started) >= maxDuration*time.Second,
		e.result.History >= redriveHistory, e.redrives >= maxRedrives:
		return ErrNotRedrivable
	case e.result.Refused != "":
		return unsupported(e.at.state.name, "a redrive after: %s", e.result.Refused)
	}
	if name := e.at.within("Map"); name != "" {
		return unsupported(name, "a redrive within a Map")
	}
	e.redrives++
	e.redriven, e.root, e.fatal, e.context = now, &region{}, nil, nil
	e.result.Status, e.result.Error, e.result.Cause = Running, "", ""
	e.world.Clock.Go(func() {
		e.event("ExecutionRedriven")
		e.run()
	})
	return nil
}

// within names a state of a kind in which the states are, empty for none.
func (p *place) within(kind string) string {
	if p.state == nil || p.out != nil {
		return ""
	}
	if p.state.kind == kind {
		return p.state.name
	}
	for _, b := range p.branches {
		if name := b.within(kind); name != "" {
			return name
		}
	}
	return ""
}
