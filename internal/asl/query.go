package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recolabs/gnata"
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
	source   string // between the marks, trimmed, as AWS quotes it
	compiled *gnata.Expression
	reading  reading
}

// isExpression says whether a string is JSONata: it begins and ends with the marks.
func isExpression(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, "{%") && strings.HasSuffix(s, "%}")
}

func compile(at, s string) (*expression, error) {
	source := strings.TrimSpace(s[2 : len(s)-2])
	r := read(source)
	if r.newer != "" {
		return nil, invalid(at, "the operator %s is newer than JSONata 2.0.6", r.newer)
	}
	for _, name := range r.calls {
		if name == "eval" {
			return nil, unsupported(at, "$eval, which Step Functions does not have; $parse reads JSON")
		}
	}
	text, err := mend(at, source)
	if err != nil {
		return nil, err
	}
	c, err := gnata.Compile(text)
	if err != nil {
		return nil, invalid(at, "JSONata: %v", err)
	}
	return &expression{source: source, compiled: c, reading: r}, nil
}

// template is a JSON value in which strings may be expressions.
type template struct {
	literal json.RawMessage // when nothing in it is to be evaluated
	expr    *expression
	keys    []string    // of an object
	items   []*template // of an object or array
	object  bool
}

// parseTemplate reads a value; at is its place in the definition.
func parseTemplate(at string, raw json.RawMessage) (*template, error) {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, invalid(at, "%v", err)
		}
		if isExpression(s) {
			e, err := compile(at, s)
			return &template{expr: e}, err
		}
	case '{':
		fields, err := members(at, raw)
		if err != nil {
			return nil, err
		}
		t := &template{object: true}
		plain := true
		for _, f := range fields {
			item, err := parseTemplate(at+"/"+f.name, f.raw)
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
			item, err := parseTemplate(at+"/"+strconv.Itoa(i), r)
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
	variables *scope
}

// evaluate fills a template in. field is its name, as AWS quotes it in errors.
func (q *evaluator) evaluate(t *template, field string, n names) (*value, *Failure) {
	if t.literal != nil {
		return newValue(t.literal), nil
	}
	b, f := q.fill(nil, t, field, n)
	if f != nil {
		return nil, f
	}
	return newValue(b), nil
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
		out, err := appendJSON(b, result)
		if err != nil {
			return nil, evaluationFailure(t.expr, field, err)
		}
		return out, nil
	}
	open, end := byte('['), byte(']')
	if t.object {
		open, end = '{', '}'
	}
	b = append(b, open)
	for i, item := range t.items {
		if i > 0 {
			b = append(b, ',')
		}
		part := field + "/" + strconv.Itoa(i)
		if t.object {
			part = field + "/" + t.keys[i]
			b = append(appendString(b, t.keys[i]), ':')
		}
		var f *Failure
		if b, f = q.fill(b, item, part, n); f != nil {
			return nil, f
		}
	}
	return append(b, end), nil
}

// evaluator evaluates for one execution: its functions draw from the execution's
// clock and random source.
type evaluator struct {
	eval func(*expression, map[string]any) (any, error)
}

func newEvaluator(random rand.Source, now func() time.Time) *evaluator {
	root := gnata.NewCustomEnv(functions(random, now))
	return &evaluator{eval: func(e *expression, bind map[string]any) (any, error) {
		env := root.Clone()
		for name, v := range bind {
			env.Bind(name, v)
		}
		return e.compiled.EvalWithCustomFuncs(&budget{left: evaluationSteps}, nil, env)
	}}
}

// evaluationSteps is how often an evaluation may ask whether it should stop,
// which it does at each turn of a loop: more is a loop for ever.
const evaluationSteps = 1_000_000

var errEvaluationTooLong = errors.New("the evaluation does not end")

// budget is a context that ends after so many looks at it, so that the limit is
// the same on every machine.
type budget struct{ left int }

func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }
func (b *budget) Done() <-chan struct{}       { return nil }
func (b *budget) Value(any) any               { return nil }
func (b *budget) Err() error {
	if b.left--; b.left < 0 {
		return errEvaluationTooLong
	}
	return nil
}

var _ context.Context = (*budget)(nil)

// run evaluates one expression; undefined is a failure.
func (q *evaluator) run(e *expression, field string, n names) (any, *Failure) {
	bind := make(map[string]any, len(e.reading.all)+1)
	for _, name := range e.reading.all {
		v := n.variables.lookup(name)
		if v == nil {
			continue // undefined, as in JSONata
		}
		d, err := v.data()
		if err != nil {
			return nil, evaluationFailure(e, field, err)
		}
		bind[name] = d
	}
	if len(e.reading.states) > 0 {
		states := make(map[string]any, len(n.states))
		for name, v := range n.states {
			d, err := v.data()
			if err != nil {
				return nil, evaluationFailure(e, field, err)
			}
			states[name] = d
		}
		bind["states"] = states
	}
	result, err := q.eval(e, bind)
	if err != nil {
		return nil, evaluationFailure(e, field, err)
	}
	if result == nil {
		return nil, &Failure{Name: queryError, own: true, Cause: fmt.Sprintf(
			"The JSONata expression '%s' specified for the field '%s' returned nothing (undefined).", e.source, field)}
	}
	return result, nil
}

// beyond are errors of the library where JSONata would have gone on: calls nested
// deeper than 100, $pad wider than 10,000.
var beyond = []string{"U1001", "D3010: $pad"}

func evaluationFailure(e *expression, field string, err error) *Failure {
	text := reason(err)
	if errors.Is(err, errEvaluationTooLong) || slices.ContainsFunc(beyond, func(code string) bool { return strings.HasPrefix(text, code) }) {
		return &Failure{Name: runtimeError, refused: true, Cause: fmt.Sprintf("the JSONata expression '%s' of the field '%s' is beyond this interpreter: %s", e.source, field, text)}
	}
	return &Failure{Name: queryError, own: true, Cause: fmt.Sprintf(
		"The JSONata expression '%s' specified for the field '%s' threw an error during evaluation. %s", e.source, field, text)}
}

// reason is an error of JSONata as AWS quotes it: the code, then the reference
// implementation's words where they were seen on AWS.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), "JSONata error ")
	if strings.HasPrefix(text, "T1006") {
		return "T1006: Attempted to invoke a non-function"
	}
	return text
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
