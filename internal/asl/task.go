package asl

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// call is an attempt of a task that is under way.
type call struct {
	closed bool // answered, timed out or left: whatever comes is too late
	result *value
	failed *Failure
	beat   time.Time // the last heartbeat, or the start
	end    time.Time // of its time-out
	told   bool      // the history tells that it timed out
	wake   func()
}

func (c *call) answer(result *value, failed *Failure) {
	if c.closed {
		return
	}
	c.closed, c.result, c.failed = true, result, failed
	if c.wake != nil {
		c.wake()
	}
}

const tokenSuffix = ".waitForTaskToken"

// task makes one attempt.
// https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
func (e *Execution) task(v *visit) (*value, *Failure) {
	s, clock := v.state, e.world.Clock
	c := &call{beat: clock.Now()}
	v.token = ""
	if strings.HasSuffix(s.resource, tokenSuffix) {
		v.token = e.newToken()
		e.tokens[v.token] = c
	}
	n := e.names(v)
	arguments := v.input
	if s.arguments != nil {
		var f *Failure
		if arguments, f = e.query.evaluate(s.arguments, "Arguments", n); f != nil {
			return nil, f
		}
	}
	if len(arguments.raw) > MaxPayload {
		return nil, e.tooMuch(s.name, "passes")
	}
	e.measure(arguments)
	if s.credentials != nil {
		if _, f := e.query.evaluate(s.credentials, "Credentials", n); f != nil {
			return nil, f
		}
	}
	timeout, beats := maxTimeout, 0
	for _, limit := range []struct {
		field string
		t     *template
		to    *int
	}{{"TimeoutSeconds", s.timeout, &timeout}, {"HeartbeatSeconds", s.heartbeat, &beats}} {
		if limit.t == nil {
			continue
		}
		var f *Failure
		if *limit.to, f = e.seconds(limit.t, limit.field, 1, n); f != nil {
			return nil, f
		}
	}
	if beats >= timeout {
		return nil, &Failure{Name: queryError, own: true, guess: true, Cause: "HeartbeatSeconds must be below TimeoutSeconds"}
	}
	end := clock.Now().Add(time.Duration(timeout) * time.Second)
	c.end = end
	e.calls = append(e.calls, c)
	defer func() { e.calls = slices.DeleteFunc(e.calls, func(x *call) bool { return x == c }) }()
	beat := time.Duration(beats) * time.Second

	e.event("TaskScheduled")
	e.event("TaskStarted")
	if strings.HasSuffix(strings.TrimSuffix(s.resource, ":2"), ".sync") {
		e.event("TaskSubmitted")
	}
	ctx, cancel := clock.Deadline(context.Background(), end)
	clock.Go(func() {
		defer cancel()
		e.returned(c, s, v.token, func() (json.RawMessage, error) {
			return e.world.Invoke(ctx, Task{State: s.name, Resource: s.resource, Arguments: arguments.raw, Members: arguments.members, Token: v.token, Attempt: v.attempt})
		})
	})
	timedOut := false
	for !c.closed {
		until := end
		if beat > 0 && c.beat.Add(beat).Before(end) {
			until = c.beat.Add(beat)
		}
		going := e.park(v.region, until, func(wake func()) { c.wake = wake })
		if !going {
			c.closed = true
			return nil, aborted
		}
		switch now := clock.Now(); {
		case c.closed:
		case !now.Before(end):
			c.closed, c.failed, timedOut = true, &Failure{Name: timeoutError}, true
		case beat > 0 && !now.Before(c.beat.Add(beat)) && v.token == "" && !strings.Contains(s.resource, ":activity:"):
			return nil, &Failure{Name: runtimeError, refused: true, Cause: "nobody knows what a missed heartbeat does to " + s.resource + ", which gives no token"}
		case beat > 0 && !now.Before(c.beat.Add(beat)):
			// AWS reports a missed heartbeat under the name of a time-out.
			c.closed, c.failed, timedOut = true, &Failure{Name: timeoutError, heartbeat: true}, true
		}
	}
	if c.failed == nil {
		e.measure(c.result)
		if len(c.result.raw) > MaxPayload {
			c.failed = e.tooLong(resourceType(s.resource))
		}
	}
	switch {
	case timedOut:
		e.tellOfTimeOut(c)
	case c.told:
	case c.failed != nil:
		e.event("TaskFailed")
	default:
		e.event("TaskSucceeded")
	}
	return c.result, c.failed
}

// tellOfTimeOut adds the event of a call that timed out, and those of the calls that
// time out at the same moment: AWS tells of all of them before the first fails what they
// are in. Recorded: localstack/localstack,
// tests/aws/services/stepfunctions/v2/timeouts, test_service_lambda_map_timeout.
func (e *Execution) tellOfTimeOut(c *call) {
	for _, one := range e.calls {
		if one == c || !one.closed && one.end.Equal(e.world.Clock.Now()) {
			if !one.told {
				e.event("TaskTimedOut")
			}
			// What was told of takes no answer any more.
			if one.told = true; one != c {
				one.closed, one.failed = true, &Failure{Name: timeoutError}
			}
		}
	}
}

// returned takes what Invoke returns.
func (e *Execution) returned(c *call, s *state, token string, invoke func() (json.RawMessage, error)) {
	raw, err := invoke()
	if c.closed {
		return
	}
	var named *Failure
	switch {
	case errors.As(err, &named):
		c.answer(nil, &Failure{Name: named.Name, Cause: named.Cause})
	case err != nil:
		c.answer(nil, unexpected(err))
	case token != "":
		e.event("TaskSubmitted")
	default:
		out, err := compact(raw)
		if err != nil {
			c.answer(nil, &Failure{Name: taskFailed, Cause: "the result of " + s.name + " is not JSON: " + err.Error()})
			return
		}
		c.answer(newValue(out), nil)
	}
}

func (e *Execution) newToken() string {
	var b [48]byte
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], e.world.Rand.Uint64())
	}
	return hex.EncodeToString(b[:])
}

func (e *Execution) open(token string) (*call, error) {
	c := e.tokens[token]
	switch {
	case c == nil:
		return nil, ErrInvalidToken
	case c.closed && e.result.Status != Running:
		return nil, ErrTaskDoesNotExist
	case c.closed:
		return nil, ErrTaskTimedOut
	}
	return c, nil
}

// SendTaskSuccess gives a task that waits for its token the result. Like the
// other two it is called from a task on the clock, or from Clock.Idle.
func (e *Execution) SendTaskSuccess(token string, output json.RawMessage) error {
	out, err := compact(output)
	if err != nil || len(out) > MaxPayload {
		return ErrInvalidOutput
	}
	c, err := e.open(token)
	if err != nil {
		return err
	}
	c.answer(newValue(out), nil)
	return nil
}

// SendTaskFailure fails a task that waits for its token.
func (e *Execution) SendTaskFailure(token, name, cause string) error {
	c, err := e.open(token)
	if err != nil {
		return err
	}
	c.answer(nil, &Failure{Name: name, Cause: cause})
	return nil
}

// SendTaskHeartbeat begins a task's HeartbeatSeconds anew.
func (e *Execution) SendTaskHeartbeat(token string) error {
	c, err := e.open(token)
	if err != nil {
		return err
	}
	c.beat = e.world.Clock.Now()
	if c.wake != nil {
		c.wake()
	}
	return nil
}
