package asl

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cordon/internal/jsonata"
)

// Execution is one run of a machine.
type Execution struct {
	machine *Machine
	world   *World
	info    ExecutionInfo
	query   *evaluator
	tokens  map[string]*call
	calls   []*call // under way, in the order of their start
	input   *value
	root    *region
	at      *place // where the states are, or were when the execution ended

	redrives int
	started  time.Time // on this execution's first start
	ended    time.Time // the newest end
	redriven time.Time // the newest redrive

	result  Result
	fatal   *Failure // ended the execution whatever its states say
	stored  int      // bytes of all variables
	context []any    // the parts of $states.context that never change
	waiters []func()
}

// aborted is what a state returns that was left because something else ended it.
var aborted = &Failure{Name: "aborted"}

// Start begins an execution as a task on the world's clock. It is called from a
// task, or before Clock.Run. An input that is not JSON or is longer than
// MaxPayload, which AWS would not start with, fails the execution.
func (m *Machine) Start(w *World, info ExecutionInfo, input json.RawMessage) *Execution {
	in, err := compact(input)
	if err == nil && len(in) > MaxPayload {
		err = fmt.Errorf("%d bytes, %d at most", len(in), MaxPayload)
	}
	if info.StartTime.IsZero() {
		info.StartTime = w.Clock.Now()
	}
	e := &Execution{machine: m, world: w, info: info, input: newValue(in), root: &region{}, at: &place{}, tokens: map[string]*call{}, started: w.Clock.Now()}
	e.query = newEvaluator(w.Rand, w.Clock.Now)
	e.result.Status = Running
	if err != nil {
		e.fatal = &Failure{Name: runtimeError, Cause: "Invalid execution input: " + err.Error()}
		e.root.over = true
	}
	w.Clock.Go(func() {
		e.event("ExecutionStarted")
		e.measure(e.input)
		e.run()
	})
	return e
}

// run goes from where the states are to an end. The machine's time-out counts from
// here, so from a redrive anew; the longest an execution may run from its first start.
func (e *Execution) run() {
	limit := e.started.Add(maxDuration * time.Second)
	if e.machine.timeout > 0 {
		own := e.world.Clock.Now().Add(time.Duration(e.machine.timeout) * time.Second)
		if own.Before(limit) {
			limit = own
		}
	}
	cancel := e.world.Clock.At(limit, func() { e.end(&Failure{Name: timeoutError}) })
	out, f := e.walk(e.root, e.at, e.machine.states, e.input, (*scope)(nil).inner(), nil, func(*Failure) {})
	cancel()
	if e.fatal == nil && f != nil && f.guess {
		e.fatal = refusal(f)
	}
	switch {
	case e.fatal != nil && e.fatal.Name == timeoutError:
		// Its history names States.Timeout; DescribeExecution tells of no error. Measured:
		// https://github.com/floci-io/floci/issues/2733
		e.result.Status = TimedOut
	case e.fatal == stopped:
		e.result.Status = AbortedRun
	case e.fatal != nil:
		e.result.Status, e.result.Error, e.result.Cause = FailedRun, e.fatal.Name, e.fatal.Cause
		if e.fatal.refused {
			e.result.Refused = e.fatal.Cause
		}
	case f != nil:
		e.result.Status, e.result.Error, e.result.Cause = FailedRun, f.Name, f.Cause
	default:
		e.result.Status, e.result.Output = Succeeded, out.raw
	}
	e.record(map[Status]string{Succeeded: "ExecutionSucceeded", FailedRun: "ExecutionFailed", TimedOut: "ExecutionTimedOut", AbortedRun: "ExecutionAborted"}[e.result.Status])
	e.root.end() // calls that nobody waits for any more
	e.ended = e.world.Clock.Now()
	for _, wake := range e.waiters {
		wake()
	}
	e.waiters = nil
	if e.world.Ended != nil {
		e.world.Ended(e.Result())
	}
}

// refusal ends an execution that would show words that AWS does not say.
func refusal(f *Failure) *Failure {
	return &Failure{Name: runtimeError, refused: true, Cause: "AWS's words are not known for this " + f.Name + ": " + f.Cause}
}

// end stops the execution from outside its states.
func (e *Execution) end(f *Failure) {
	if e.fatal == nil && !e.root.over {
		e.fatal = f
		e.root.end()
	}
}

// Wait parks the task that calls it until the execution has ended.
func (e *Execution) Wait() {
	if e.result.Status == Running {
		e.world.Clock.Wait(func(wake func()) { e.waiters = append(e.waiters, wake) })
	}
}

// Status is RUNNING until the execution has ended.
func (e *Execution) Status() Status { return e.result.Status }

// Result is what is known so far; it is final once the status is not RUNNING.
func (e *Execution) Result() Result {
	r := e.result
	r.States = slices.Clone(r.States)
	return r
}

// event adds one event to the history and returns its number. The one that
// reaches the limit is that which ends the execution.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
func (e *Execution) event(kind string) int {
	if e.result.History >= MaxHistory-1 {
		e.end(&Failure{Name: runtimeError, Cause: "The execution reached the maximum number of history events (" + strconv.Itoa(MaxHistory) + ")."})
		return e.result.History
	}
	e.record(kind)
	return e.result.History
}

// aborted is the event of what is left because something beside it failed. There is
// none where the execution itself is ended: https://github.com/floci-io/floci/issues/2733
func (e *Execution) aborted(kind string) {
	if e.fatal == nil {
		e.event(kind)
	}
}

func (e *Execution) record(kind string) {
	e.result.History++
	if e.world.Recorded != nil {
		e.world.Recorded(kind)
	}
}

func (e *Execution) measure(v *value) { e.result.MaxPayload = max(e.result.MaxPayload, len(v.raw)) }

// visit is one stay in a state.
type visit struct {
	state   *state
	region  *region
	place   *place
	scope   *scope
	input   *value
	item    *item // of the Map around it
	number  int   // of the event of its entering
	entered time.Time
	attempt int
	token   string
	index   int // in the result's States
}

// item is what $states.context.Map.Item says.
type item struct {
	index int
	value *value
}

// walk runs states from the first, or from where a redrive finds them, to an end. over is called at the end: before the
// event of the state that it leaves unfinished, as AWS tells it.
func (e *Execution) walk(r *region, p *place, s *states, input *value, sc *scope, it *item, over func(*Failure)) (*value, *Failure) {
	for {
		if r.over {
			over(aborted)
			return nil, aborted
		}
		if p.state == nil {
			p.state, p.input, p.scope = s.byName[s.start], input, sc
		}
		st := p.state
		v := &visit{state: st, region: r, place: p, scope: p.scope, input: p.input, item: it, entered: e.world.Clock.Now(), index: len(e.result.States)}
		v.number = e.event(st.kind + "StateEntered")
		e.result.States = append(e.result.States, Visit{State: st.name, Type: st.kind, Entered: v.entered})
		e.tell(v, Move{Kind: Entered})
		out, next, f := e.stay(v)
		if f == aborted || r.over {
			over(aborted)
			e.aborted(st.kind + "StateAborted")
			e.tell(v, Move{Kind: Aborted})
			return nil, aborted
		}
		e.result.States[v.index].Left = e.world.Clock.Now()
		if f != nil {
			over(f)
			if st.kind == "Task" && r != e.root && f.Name != runtimeError && f.Name != queryError {
				e.event("TaskStateAborted") // that of a branch, as AWS has it
			}
			e.tell(v, Move{Kind: Failed, Failure: f})
			return nil, f
		}
		e.event(st.kind + "StateExited")
		e.tell(v, Move{Kind: Left, Next: next})
		if next == "" {
			p.out = out
			over(nil)
			return out, nil
		}
		p.state, p.input, p.branches = s.byName[next], out, nil
	}
}

func (e *Execution) tell(v *visit, m Move) {
	if e.world.Moved != nil {
		m.At, m.State, m.Type = e.world.Clock.Now(), v.state.name, v.state.kind
		e.world.Moved(m)
	}
}

// stay tries a state until it succeeds, is caught or fails for good.
func (e *Execution) stay(v *visit) (out *value, next string, f *Failure) {
	tries := retries{state: v.state}
	for {
		out, next, f = e.try(v)
		if f == nil || f == aborted || v.region.over {
			return out, next, f
		}
		if f.refused {
			e.end(f)
			return nil, "", aborted
		}
		f = e.worded(v, f)
		if why := cmp.Or(tooWordy(f), v.state.unsure(f)); why != "" {
			e.end(&Failure{Name: runtimeError, refused: true, Cause: why})
			return nil, "", aborted
		}
		delay, again := tries.next(f, e.world.Rand)
		if !again {
			break
		}
		e.tell(v, Move{Kind: Retried, Failure: f, Attempt: v.attempt})
		if !e.park(v.region, e.world.Clock.Now().Add(delay), nil) {
			return nil, "", aborted
		}
		v.attempt = tries.total
	}
	e.failed(v, f)
	i := v.state.catcher(f)
	if i < 0 {
		if f.Name == limitError {
			v.place.branches = nil // which is redriven whole
		}
		return nil, "", f
	}
	c := v.state.catch[i]
	if (f.guess || f.bare) && c.shows() {
		e.end(refusal(f))
		return nil, "", aborted
	}
	e.tell(v, Move{Kind: Caught, Failure: f, Next: c.next})
	b := append(jsonata.AppendString([]byte(`{"Error":`), f.Name), `,"Cause":`...)
	n := e.names(v)
	n.states["errorOutput"] = newValue(append(jsonata.AppendString(b, f.Cause), '}'))
	out, f = e.leave(v, fmt.Sprintf("Catch[%d]/", i), c.assign, c.output, n, n.states["errorOutput"])
	switch {
	case f == nil:
		return out, c.next, nil
	case f.refused:
		e.end(f)
		return nil, "", aborted
	}
	f = e.worded(v, f)
	if why := tooWordy(f); why != "" {
		e.end(&Failure{Name: runtimeError, refused: true, Cause: why})
		return nil, "", aborted
	}
	e.failed(v, f)
	return nil, "", f
}

// tooWordy says that a failure is longer than events of the history take. Nobody knows
// whether it is cut off.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_ExecutionFailedEventDetails.html
func tooWordy(f *Failure) string {
	if utf8.RuneCountInString(f.Name) > 256 || utf8.RuneCountInString(f.Cause) > 32768 {
		return "nobody knows what becomes of an error of more than 256 characters, or a cause of more than 32768"
	}
	return ""
}

// failed counts the event of a Parallel or Map that is not tried again. There is
// none of a States.Runtime, as in histories read off AWS: https://github.com/floci-io/floci/issues/2868
func (e *Execution) failed(v *visit, f *Failure) {
	if len(v.state.branches) > 0 && f.Name != runtimeError {
		e.event(v.state.kind + "StateFailed")
	}
}

// worded begins the cause of what the interpreter raised with the state and the
// number of its event, as AWS does.
func (e *Execution) worded(v *visit, f *Failure) *Failure {
	if !f.own {
		return f
	}
	if f.Name == queryError {
		e.event("EvaluationFailed")
	}
	return &Failure{Name: f.Name, guess: f.guess, raised: true, Cause: fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s",
		v.state.name, v.number, f.Cause)}
}

// try runs a state once.
func (e *Execution) try(v *visit) (out *value, next string, f *Failure) {
	s := v.state
	switch s.kind {
	case "Choice":
		return e.choose(v)
	case "Fail":
		return nil, "", e.fail(v)
	case "Wait":
		if f := e.wait(v); f != nil {
			return nil, "", f
		}
	case "Task", "Parallel", "Map":
		var result *value
		switch s.kind {
		case "Task":
			result, f = e.task(v)
		case "Parallel":
			result, f = e.parallel(v)
		default:
			result, f = e.iterate(v)
		}
		if f != nil {
			return nil, "", f
		}
		n := e.names(v)
		n.states["result"] = result
		out, f = e.leave(v, "", s.assign, s.output, n, result)
		return out, s.next, f
	}
	out, f = e.leave(v, "", s.assign, s.output, e.names(v), v.input)
	return out, s.next, f
}

// leave evaluates Assign and Output side by side: both read the variables as they
// were, and neither takes effect if the other fails. part is the part of the state
// they stand in, as AWS names it in errors: Catch[0]/, Choices[1]/ or none.
// https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
func (e *Execution) leave(v *visit, part string, assign, output *template, n names, otherwise *value) (*value, *Failure) {
	assigned := map[string]*value{}
	total := 0
	if assign != nil {
		for i, name := range assign.keys {
			one, f := e.query.evaluate(assign.items[i], part+"Assign/"+name, n)
			if f != nil {
				if output != nil {
					_, other := e.query.evaluate(output, part+"Output", n)
					f.guess = f.guess || other != nil // which of both is told nobody knows
				}
				return nil, f
			}
			if total += len(one.raw); total > MaxPayload {
				return nil, e.tooMuch(v.state.name, "assigns")
			}
			assigned[name] = one
		}
	}
	out := otherwise
	if output != nil {
		var f *Failure
		if out, f = e.query.evaluate(output, part+"Output", n); f != nil {
			return nil, f
		}
	}
	if len(out.raw) > MaxPayload {
		return nil, e.tooLong(v.state.name)
	}
	e.measure(out)
	for name, one := range assigned {
		e.stored += len(one.raw)
		if was := v.scope.names[name]; was != nil {
			e.stored -= len(was.raw)
		}
		v.scope.names[name] = one
	}
	if e.stored > maxStored {
		return nil, e.tooMuch(v.state.name, "stores")
	}
	return out, nil
}

func (e *Execution) tooLong(what string) *Failure {
	return &Failure{Name: limitError, Cause: "The state/task '" + what + "' returned a result with a size exceeding the maximum number of bytes service limit."}
}

// tooMuch is a limit that AWS has no recorded words for.
func (e *Execution) tooMuch(what, does string) *Failure {
	return &Failure{Name: limitError, guess: true, Cause: "The state '" + what + "' " + does + " more bytes than the service allows."}
}

// names binds what the expressions of a state may read at this moment.
func (e *Execution) names(v *visit) names {
	states := map[string]*value{"input": v.input, "context": e.contextOf(v)}
	return names{states: states, all: together(states), variables: v.scope, within: v.item != nil}
}

// moment writes a time of $states.context: without a part of a second where there is
// none, else with three digits of it.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html#contextobject-format
func moment(t time.Time) string {
	if t = t.UTC().Truncate(time.Millisecond); t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

// contextOf is $states.context.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
func (e *Execution) contextOf(v *visit) *value {
	return &value{lazy: func() (any, error) {
		if e.context == nil {
			input, err := e.input.data()
			if err != nil {
				return nil, err
			}
			keys := []string{"Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount"}
			parts := []any{e.info.ID, input, e.info.Name, e.info.RoleArn, moment(e.info.StartTime), float64(e.redrives)}
			if e.redrives > 0 {
				keys, parts = append(keys, "RedriveTime"), append(parts, moment(e.redriven))
			}
			e.context = []any{
				jsonata.NewObject(keys, parts...),
				jsonata.NewObject([]string{"Id", "Name"}, e.info.MachineID, e.info.MachineName),
			}
		}
		keys := []string{"Execution", "StateMachine", "State"}
		state := jsonata.NewObject([]string{"Name", "EnteredTime"}, v.state.name, moment(v.entered))
		switch v.state.kind {
		case "Task", "Parallel", "Map":
			state = jsonata.NewObject([]string{"Name", "EnteredTime", "RetryCount"}, v.state.name, moment(v.entered), float64(v.attempt))
		}
		parts := append(slices.Clone(e.context), state)
		if v.token != "" {
			keys, parts = append(keys, "Task"), append(parts, jsonata.NewObject([]string{"Token"}, v.token))
		}
		if v.item != nil {
			one, err := v.item.value.data()
			if err != nil {
				return nil, err
			}
			item := jsonata.NewObject([]string{"Index", "Value", "Source"}, float64(v.item.index), one, "STATE_DATA") // the only source of an inline Map
			keys, parts = append(keys, "Map"), append(parts, jsonata.NewObject([]string{"Item"}, item))
		}
		return jsonata.NewObject(keys, parts...), nil
	}}
}

func (e *Execution) choose(v *visit) (*value, string, *Failure) {
	n := e.names(v)
	for i, rule := range v.state.choices {
		part := fmt.Sprintf("Choices[%d]/", i)
		got, f := e.query.evaluate(rule.condition, part+"Condition", n)
		if f != nil {
			return nil, "", f
		}
		switch string(got.raw) {
		case "true":
			out, f := e.leave(v, part, rule.assign, rule.output, n, v.input)
			return out, rule.next, f
		case "false":
		default:
			return nil, "", wrongType(rule.condition.expr, part+"Condition", "boolean", got)
		}
	}
	if v.state.byRule == "" {
		return nil, "", &Failure{Name: runtimeError, own: true, Cause: "Failed to transition out of the state. The state does not point to a next state."}
	}
	out, f := e.leave(v, "", v.state.assign, v.state.output, n, v.input)
	return out, v.state.byRule, f
}

// fail is the failure that a Fail state names.
func (e *Execution) fail(v *visit) *Failure {
	f := &Failure{bare: v.state.cause == nil}
	for _, part := range []struct {
		t     *template
		field string
		to    *string
	}{{v.state.errorName, "Error", &f.Name}, {v.state.cause, "Cause", &f.Cause}} {
		if part.t == nil {
			continue
		}
		got, failure := e.query.evaluate(part.t, part.field, e.names(v))
		if failure != nil {
			return failure
		}
		if json.Unmarshal(got.raw, part.to) != nil || got.raw[0] != '"' {
			return wrongType(part.t.expr, part.field, "string", got)
		}
	}
	return f
}

func (e *Execution) wait(v *visit) *Failure {
	until := e.world.Clock.Now()
	if t := v.state.seconds; t != nil {
		n, f := e.seconds(t, "Seconds", 0, e.names(v))
		if f != nil {
			return f
		}
		until = until.Add(time.Duration(n) * time.Second)
	} else {
		t := v.state.timestamp
		got, f := e.query.evaluate(t, "Timestamp", e.names(v))
		if f != nil {
			return f
		}
		var text string
		if json.Unmarshal(got.raw, &text) != nil || got.raw[0] != '"' {
			f := wrongType(t.expr, "Timestamp", "string", got)
			f.guess = true
			return f
		}
		at, err := parseTimestamp(text)
		switch {
		case err == nil && at.Sub(until) > math.MaxInt32*time.Second:
			return &Failure{Name: runtimeError, refused: true, Cause: "a wait of more than 2147483647 seconds, which AWS does not take: " + text}
		case err == nil:
			until = at
		case oddTimestamp(text):
			return &Failure{Name: runtimeError, refused: true, Cause: "nobody knows whether AWS takes this for a time: " + text}
		default:
			// Recorded: localstack/localstack, tests/aws/services/stepfunctions/v2/scenarios, test_wait_timestamp_jsonata.
			return &Failure{Name: queryError, own: true, Cause: "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: " + text}
		}
	}
	if !e.park(v.region, until, nil) {
		return aborted
	}
	return nil
}

// parseTimestamp reads the RFC 3339 profile of ISO 8601 that the language takes: an
// upper-case T, and an upper-case Z where there is no offset.
func parseTimestamp(s string) (time.Time, error) {
	if !timestamp.MatchString(s) { // time.Parse takes more, such as a comma
		return time.Time{}, errors.New("not of the form 2016-08-18T17:33:00Z")
	}
	return time.Parse(time.RFC3339Nano, s)
}

// oddTimestamp says whether a text is no such time and yet may be one to AWS.
func oddTimestamp(s string) bool { return !timestamp.MatchString(s) && almostTimestamp.MatchString(s) }

var (
	timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

	// almostTimestamp is what the format that AWS names in its words takes besides.
	// https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/format/DateTimeFormatter.html#ISO_OFFSET_DATE_TIME
	almostTimestamp = regexp.MustCompile(`(?i)^[+-]?\d{4,10}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d*)?)?(Z|[+-]\d\d.*)$`)
)

// seconds evaluates a field that counts seconds, least or more.
func (e *Execution) seconds(t *template, field string, least int, n names) (int, *Failure) {
	got, f := e.query.evaluate(t, field, n)
	if f != nil {
		return 0, f
	}
	number, ok := wholeNumber(got.raw)
	switch {
	case typeName(got.raw) != "number":
		return 0, wrongType(t.expr, field, "number", got)
	case !ok:
		return 0, &Failure{Name: queryError, own: true, guess: true, Cause: fmt.Sprintf("The %s field cannot be parsed as an integer: %s", field, got.raw)}
	case number < least || number > maxTimeout:
		return 0, &Failure{Name: queryError, own: true, guess: true, Cause: fmt.Sprintf("%s must be between %d and %d but was: %d", field, least, maxTimeout, number)}
	}
	return number, nil
}

// wholeNumber reads a JSON number that has no fraction; 5.0 and 5e0 are 5.
func wholeNumber(raw json.RawMessage) (int, bool) {
	var f float64
	if typeName(raw) != "number" || json.Unmarshal(raw, &f) != nil || math.Abs(f) > 1<<53 || f != float64(int(f)) {
		return 0, false
	}
	return int(f), true
}

// resourceType names a resource as AWS does in its causes: lambda for
// arn:aws:states:::lambda:invoke, the ARN itself for a function's.
func resourceType(resource string) string {
	parts := strings.Split(resource, ":")
	if len(parts) < 7 || parts[2] != "states" || parts[4] != "" {
		return resource
	}
	return strings.Join(parts[5:len(parts)-1], ":")
}
