package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/jsonata"
)

// Names of errors that the interpreter itself raises.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
const (
	queryError   = "States.QueryEvaluationError"
	timeoutError = "States.Timeout"
	runtimeError = "States.Runtime"
	limitError   = "States.DataLimitExceeded"
	allErrors    = "States.ALL"
	taskFailed   = "States.TaskFailed"
	heartbeat    = "States.HeartbeatTimeout"
)

// expression is one {% … %}, compiled.
type expression struct {
	*jsonata.Expression
	source string // between the marks, trimmed, as AWS quotes it
	mayMap bool   // may read $states.context.Map
}

// reads are readings of $states, and withoutMap those that are surely not of its context's Map.
var (
	reads      = regexp.MustCompile(`\$states\b`)
	withoutMap = regexp.MustCompile(`\$states\s*\.\s*(input|result|errorOutput|context\s*\.\s*(Execution|StateMachine|State|Task))\b`)
)

// isExpression says whether a string is JSONata: it begins and ends with the marks.
func isExpression(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, "{%") && strings.HasSuffix(s, "%}")
}

// compile reads an expression; states is what $states holds in that field besides
// input and context.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func compile(at, s, states string) (*expression, error) {
	source := strings.TrimSpace(s[2 : len(s)-2])
	x, err := jsonata.Compile(source)
	if err != nil {
		if what := jsonata.Unsupported(""); errors.As(err, &what) {
			return nil, unsupported(at, "%v", err)
		}
		return nil, invalid(at, "%v", err)
	}
	for _, name := range x.States {
		switch name {
		case "", "input", "context", states:
		case "result", "errorOutput":
			return nil, invalid(at, "$states.%s is not there in this field", name)
		default:
			return nil, unsupported(at, "$states.%s", name)
		}
	}
	mayMap := len(reads.FindAllString(source, -1)) > len(withoutMap.FindAllString(source, -1))
	return &expression{x, source, mayMap}, nil
}

// template is a JSON value in which strings may be expressions.
type template struct {
	literal json.RawMessage // when nothing in it is to be evaluated
	expr    *expression
	keys    []string    // of an object
	items   []*template // of an object or array
	object  bool
}

// parseTemplate reads a value; at is its place in the definition, and states as
// in compile.
func parseTemplate(at string, raw json.RawMessage, states string) (*template, error) {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, invalid(at, "%v", err)
		}
		if isExpression(s) { // https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
			e, err := compile(at, s, states)
			return &template{expr: e}, err
		}
		// One that has a space before its marks and after them is a text, as recorded:
		// localstack/localstack, tests/aws/services/stepfunctions/v2/outputdecl.
		if strings.HasPrefix(s, "{%") || strings.HasSuffix(s, "%}") {
			return nil, unsupported(at, "the text %s, which the guide calls improperly opened or closed", s)
		}
	case '{':
		fields, err := members(at, raw)
		if err != nil {
			return nil, err
		}
		t := &template{object: true}
		plain := true
		for _, f := range fields {
			item, err := parseTemplate(at+"/"+f.name, f.raw, states)
			if err != nil {
				return nil, err
			}
			plain = plain && item.literal != nil
			t.keys, t.items = append(t.keys, f.name), append(t.items, item)
		}
		if !plain {
			return t, nil
		}
	case '[':
		var raws []json.RawMessage
		if err := json.Unmarshal(raw, &raws); err != nil {
			return nil, invalid(at, "%v", err)
		}
		t := &template{}
		plain := true
		for i, r := range raws {
			item, err := parseTemplate(at+"/"+strconv.Itoa(i), r, states)
			if err != nil {
				return nil, err
			}
			plain = plain && item.literal != nil
			t.items = append(t.items, item)
		}
		if !plain {
			return t, nil
		}
	}
	if c := raw[0]; (c == '-' || '0' <= c && c <= '9') && json.Unmarshal(raw, new(float64)) != nil {
		return nil, unsupported(at, "the number %s, which no double holds", raw)
	}
	literal, err := compact(raw)
	if err != nil {
		return nil, invalid(at, "%v", err)
	}
	return &template{literal: literal}, nil
}

// expressions are those in a template, in order.
func (t *template) expressions() []*expression {
	if t == nil {
		return nil
	}
	if t.expr != nil {
		return []*expression{t.expr}
	}
	var all []*expression
	for _, item := range t.items {
		all = append(all, item.expressions()...)
	}
	return all
}

// names binds what an expression may read.
type names struct {
	states    map[string]*value // input, result, errorOutput, context
	all       *value            // $states as a whole, from the first time it is read
	variables *scope
	within    bool // a Map's iteration
}

// evaluate fills a template in. field is its name, as AWS quotes it in errors.
func (q *evaluator) evaluate(t *template, field string, n names) (*value, *Failure) {
	if t.literal != nil {
		return newValue(t.literal), nil
	}
	b, f := q.fill(q.room[:0], t, field, n)
	if f != nil {
		return nil, f
	}
	q.room = b
	v := newValue(bytes.Clone(b))
	if t.object {
		v.members = make(map[string]json.RawMessage, len(t.keys))
		for i, key := range t.keys {
			v.members[key] = v.raw[q.spans[i].from:q.spans[i].to]
		}
	}
	return v, nil
}

func (q *evaluator) fill(b []byte, t *template, field string, n names) ([]byte, *Failure) {
	switch {
	case t.literal != nil:
		return append(b, t.literal...), nil
	case t.expr != nil:
		result, f := q.run(t.expr, field, n)
		if f != nil {
			return nil, f
		}
		out, err := jsonata.Encode(b, result)
		if err != nil {
			return nil, evaluationFailure(t.expr, field, err)
		}
		q.steps -= (len(out) - len(b)) / 16
		return out, nil
	}
	open, end := byte('['), byte(']')
	if t.object {
		open, end = '{', '}'
	}
	top := len(b) == 0
	if top {
		q.spans = q.spans[:0]
	}
	b = append(b, open)
	for i, item := range t.items {
		if i > 0 {
			b = append(b, ',')
		}
		part := field + "[" + strconv.Itoa(i) + "]"
		if t.object {
			part = field + "/" + t.keys[i]
			b = append(jsonata.AppendString(b, t.keys[i]), ':')
		}
		var f *Failure
		from := len(b)
		if b, f = q.fill(b, item, part, n); f != nil {
			return nil, f
		}
		if top {
			q.spans = append(q.spans, span{from, len(b)})
		}
	}
	return append(b, end), nil
}

// evaluator evaluates for one execution: its functions draw from the execution's
// clock and random source.
type evaluator struct {
	runtime *jsonata.Runtime
	steps   int    // left to all evaluations of the execution together
	room    []byte // for a text that is not finished
	spans   []span // of the members of the object that room is, by their place in its template
}

type span struct{ from, to int }

func newEvaluator(random rand.Source, now func() time.Time) *evaluator {
	return &evaluator{runtime: jsonata.NewRuntime(now, functions(random)), steps: executionSteps}
}

// How many steps an evaluation, and all of an execution together, may take: more is
// a loop for ever. They are counted, so that the limit is the same on every machine.
const (
	evaluationSteps = 2_000_000
	executionSteps  = 20_000_000
)

// run evaluates one expression; undefined is a failure.
func (q *evaluator) run(e *expression, field string, n names) (any, *Failure) {
	if n.within && e.mayMap {
		// The guide has it in ItemSelector alone, and https://github.com/floci-io/floci/pull/1588 saw it nowhere else.
		return nil, &Failure{Name: runtimeError, refused: true, Cause: fmt.Sprintf("nobody knows whether a state within a Map sees $states.context.Map: %s", e.source)}
	}
	var unread error
	result, steps, err := q.runtime.Eval(e.Expression, min(evaluationSteps, q.steps), func(name string) (any, bool) {
		v := n.variables.lookup(name)
		if name == "states" {
			v = n.all
		}
		if v == nil {
			return nil, false
		}
		d, err := v.data()
		if err != nil {
			unread = err
		}
		return d, true
	})
	q.steps -= steps
	if unread != nil {
		err = unread
	}
	if err != nil {
		return nil, evaluationFailure(e, field, err)
	}
	if result == nil {
		return nil, &Failure{Name: queryError, own: true, Cause: fmt.Sprintf(
			"The JSONata expression '%s' specified for the field '%s' returned nothing (undefined).", e.source, field)}
	}
	if jsonata.IsLambda(result) {
		// Recorded: localstack/localstack, tests/aws/services/stepfunctions/v2/scenarios, test_map_state_items_eval_jsonata_fail.
		return nil, &Failure{Name: queryError, own: true, Cause: fmt.Sprintf(
			"The JSONata expression '%s' specified for the field '%s' returned an unsupported result type.", e.source, field)}
	}
	return result, nil
}

// together is $states with all that it holds.
func together(states map[string]*value) *value {
	return &value{lazy: func() (any, error) {
		keys := slices.Sorted(maps.Keys(states))
		values := make([]any, len(keys))
		for i, key := range keys {
			var err error
			if values[i], err = states[key].data(); err != nil {
				return nil, err
			}
		}
		return jsonata.NewObject(keys, values...), nil
	}}
}

func evaluationFailure(e *expression, field string, err error) *Failure {
	if jsonata.Beyond(err) {
		return &Failure{Name: runtimeError, refused: true, Cause: fmt.Sprintf("the JSONata expression '%s' of the field '%s' is beyond this interpreter: %v", e.source, field, err)}
	}
	known := &jsonata.Error{}
	sure := errors.As(err, &known) && known.Known()
	joint := ". "
	if sure && known.Code == "" {
		joint = ": "
	}
	return &Failure{Name: queryError, own: true, guess: !sure, Cause: fmt.Sprintf(
		"The JSONata expression '%s' specified for the field '%s' threw an error during evaluation%s%v", e.source, field, joint, err)}
}

// wrongType is AWS's wording for a result of another type than the field takes.
func wrongType(e *expression, field, want string, got *value) *Failure {
	return &Failure{Name: queryError, own: true, Cause: fmt.Sprintf(
		"The JSONata expression '%s' specified for the field '%s' returned an unexpected result type. Expected '%s', but was '%s' for value: %s",
		e.source, field, want, typeName(got.raw), got.raw)}
}

func typeName(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// scope holds variables. What a branch or an iteration assigns stays in its own
// scope; it reads the scopes around it.
// https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
type scope struct {
	outer *scope
	names map[string]*value
}

func (s *scope) lookup(name string) *value {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v
		}
	}
	return nil
}

func (s *scope) inner() *scope { return &scope{outer: s, names: map[string]*value{}} }
