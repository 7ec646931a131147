package asl

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// handlers reads Retry and Catch.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
func (p *parser) handlers(f *fields, s *state) error {
	var raws []json.RawMessage
	f.into("Retry", &raws, "an array")
	for i, raw := range raws {
		r, err := newFields(fmt.Sprintf("%s/Retry/%d", f.at, i), raw)
		if err != nil {
			return err
		}
		r.text("Comment")
		one := retrier{errors: errorNames(r, i == len(raws)-1), interval: 1, maxAttempts: 3, backoff: 2}
		if r.into("IntervalSeconds", &one.interval, "a whole number") && (one.interval < 1 || one.interval > maxTimeout) {
			r.fail(invalid(r.at, "IntervalSeconds must be from 1 to %d", maxTimeout))
		}
		if r.into("MaxAttempts", &one.maxAttempts, "a whole number") && (one.maxAttempts < 0 || one.maxAttempts > maxTimeout) {
			r.fail(invalid(r.at, "MaxAttempts must be from 0 to %d", maxTimeout))
		}
		if r.into("BackoffRate", &one.backoff, "a number") && one.backoff < 1 {
			r.fail(invalid(r.at, "BackoffRate must be 1 or more"))
		}
		if r.into("MaxDelaySeconds", &one.maxDelay, "a whole number") && (one.maxDelay < 1 || one.maxDelay >= 31622400) {
			r.fail(invalid(r.at, "MaxDelaySeconds must be from 1 to 31622399"))
		} else if one.maxDelay > 0 && one.maxDelay <= one.interval {
			r.fail(invalid(r.at, "MaxDelaySeconds must be above IntervalSeconds"))
		}
		switch jitter := r.text("JitterStrategy"); jitter {
		case "", "NONE":
		case "FULL":
			one.fullJitter = true
		default:
			r.fail(invalid(r.at, "JitterStrategy must be FULL or NONE"))
		}
		if err := r.done(); err != nil {
			return err
		}
		s.retry = append(s.retry, one)
	}
	raws = nil
	f.into("Catch", &raws, "an array")
	for i, raw := range raws {
		c, err := newFields(fmt.Sprintf("%s/Catch/%d", f.at, i), raw)
		if err != nil {
			return err
		}
		c.states = "errorOutput"
		c.text("Comment")
		one := catcher{errors: errorNames(c, i == len(raws)-1), next: c.text("Next"), assign: p.assignment(c), output: c.template("Output")}
		if one.next == "" {
			c.fail(invalid(c.at, "Next is missing"))
		}
		if err := c.done(); err != nil {
			return err
		}
		s.catch = append(s.catch, one)
	}
	return f.err
}

// errorNames reads ErrorEquals. States.ALL stands alone, and in the last handler.
func errorNames(f *fields, last bool) []string {
	var given []*string
	f.into("ErrorEquals", &given, "an array of strings")
	var names []string
	for _, name := range given {
		if name == nil {
			f.fail(invalid(f.at+"/ErrorEquals", "must be an array of strings"))
			return nil
		}
		names = append(names, *name)
	}
	switch {
	case len(names) == 0:
		f.fail(invalid(f.at, "ErrorEquals is missing or empty"))
	case slices.Contains(names, allErrors) && len(names) > 1:
		f.fail(invalid(f.at, "States.ALL must be alone in ErrorEquals"))
	case slices.Contains(names, allErrors) && !last:
		f.fail(invalid(f.at, "States.ALL must be in the last handler"))
	}
	return names
}

// matches says whether ErrorEquals names a failure. Nothing takes States.Runtime, not
// even its name, as recorded: localstack/localstack,
// tests/aws/services/stepfunctions/v2/scenarios, test_catch_states_runtime. States.ALL
// takes all else, and States.TaskFailed all else but States.Timeout; on AWS States.ALL
// did catch States.DataLimitExceeded, whatever the guide says.
func matches(names []string, f *Failure) bool {
	if f.Name == runtimeError {
		return false
	}
	for _, name := range names {
		switch name {
		case f.Name, allErrors:
			return true
		case taskFailed:
			if f.Name != timeoutError {
				return true
			}
		case heartbeat:
			if f.heartbeat {
				return true
			}
		}
	}
	return false
}

// unsure says why nobody knows whether a handler of the state takes a failure: a task
// or a Fail state may give the name that is Step Functions' own, and it may give none,
// where the guide says of the wildcards that they match every known name.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
func (s *state) unsure(f *Failure) string {
	named := func(names ...string) bool {
		has := func(errors []string) bool {
			return slices.ContainsFunc(errors, func(name string) bool { return slices.Contains(names, name) })
		}
		return slices.ContainsFunc(s.retry, func(r retrier) bool { return has(r.errors) }) ||
			slices.ContainsFunc(s.catch, func(c catcher) bool { return has(c.errors) })
	}
	switch {
	case f.Name == runtimeError && !f.raised && named(runtimeError, allErrors, taskFailed):
		return "nobody knows whether a handler takes a States.Runtime that Step Functions did not raise"
	case f.Name == "" && named(allErrors, taskFailed):
		return "nobody knows whether " + allErrors + " takes a failure without a name"
	}
	return ""
}

// retries counts, for one visit of a state, what each retrier has spent.
type retries struct {
	state *state
	spent []int
	total int
}

// next says how long to wait before the state is tried again, and false when it is not.
// The first retrier that names the failure decides; when its attempts are used
// up, no later one is asked.
func (r *retries) next(f *Failure, random rand.Source) (time.Duration, bool) {
	if r.spent == nil {
		r.spent = make([]int, len(r.state.retry))
	}
	for i, one := range r.state.retry {
		if !matches(one.errors, f) {
			continue
		}
		if r.spent[i] >= one.maxAttempts {
			return 0, false
		}
		delay := float64(one.interval) * math.Pow(one.backoff, float64(r.spent[i]))
		if one.maxDelay > 0 {
			delay = min(delay, float64(one.maxDelay))
		}
		delay = min(delay, maxTimeout)
		r.spent[i]++
		r.total++
		if one.fullJitter {
			delay *= fraction(random)
		}
		return time.Duration(delay * float64(time.Second)), true
	}
	return 0, false
}

// catcher is the place of the first catcher that names a failure, -1 for none.
func (s *state) catcher(f *Failure) int {
	return slices.IndexFunc(s.catch, func(c catcher) bool { return matches(c.errors, f) })
}

// shows says whether the cause of what is caught may be seen afterwards.
func (c *catcher) shows() bool {
	return c.output == nil || slices.ContainsFunc(append(c.output.expressions(), c.assign.expressions()...), func(e *expression) bool {
		return slices.Contains(e.States, "errorOutput") || slices.Contains(e.States, "")
	})
}
