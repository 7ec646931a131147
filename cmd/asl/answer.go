package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"cordon/internal/asl"
	"cordon/internal/jsonata"
	"cordon/internal/vtime"
)

type document struct {
	definition, input json.RawMessage
	mocks             map[string][]mock
	time              string
}

// What else a document says is a note about the case, such as its name, but where the
// input is missing: then it may be that, misspelt. Without a definition or its mocks a
// case comes to nothing anyway.
func (d *document) UnmarshalJSON(b []byte) error {
	more, err := exactly(b, map[string]any{"definition": &d.definition, "input": &d.input, "mocks": &d.mocks, "time": &d.time})
	if err == nil && d.input == nil {
		err = more
	}
	return err
}

// mock is one of its three kinds.
type mock struct {
	result  json.RawMessage
	name    *string // of an error
	cause   string
	pending bool
}

func (m *mock) UnmarshalJSON(b []byte) error {
	more, err := exactly(b, map[string]any{"return": &m.result, "error": &m.name, "cause": &m.cause, "pending": &m.pending})
	if err := errors.Join(err, more); err != nil {
		return fmt.Errorf("a mock: %w", err)
	}
	kinds := 0
	for _, is := range []bool{m.result != nil, m.name != nil, m.pending} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New(`a mock has one of "return", "error" and "pending"`)
	}
	if m.result != nil {
		if err := unambiguous(m.result); err != nil {
			return fmt.Errorf("a mock: %w", err)
		}
	}
	return nil
}

// exactly reads an object whose fields have these names, letter by letter, each once
// at most, and says apart what other fields it has.
func exactly(b []byte, to map[string]any) (more, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	seen := map[any]bool{}
	var unknown []error
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		field, known := to[name.(string)] // a key is always one
		switch {
		case !known:
			unknown, field = append(unknown, fmt.Errorf("unknown field %q", name)), new(json.RawMessage)
		case seen[name]:
			return nil, fmt.Errorf("the field %q is given twice", name)
		}
		seen[name] = true
		if err := d.Decode(field); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return errors.Join(unknown...), nil
}

// unambiguous refuses JSON of which it is not known what AWS makes: a number that no double
// holds, a key that is given twice, and half a character.
func unambiguous(raw json.RawMessage) error {
	if err := json.Unmarshal(raw, new(any)); err != nil {
		return err
	}
	if asl.RepeatsKey(raw) {
		return errors.New("a key is given twice")
	}
	if jsonata.HalfCharacter(raw) {
		return errors.New("half a character")
	}
	return nil
}

type outcome struct {
	Status asl.Status      `json:"status"`
	Output json.RawMessage `json:"output"`
	Error  *string         `json:"error"`
	Cause  *string         `json:"cause"`
	Calls  []taskCall      `json:"calls"`
}

type taskCall struct {
	State     string          `json:"state"`
	Arguments json.RawMessage `json:"arguments"`
}

type refusal struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
}

// answer is the line for a document, or for what was found in the place of one.
func answer(doc []byte, bad error) (line []byte) {
	refuse := func(reason string) []byte { return encode(refusal{"UNSUPPORTED", reason}) }
	if bad != nil {
		return refuse(bad.Error())
	}
	defer func() {
		if v := recover(); v != nil {
			var p *vtime.Panic
			if err, ok := v.(error); ok && errors.As(err, &p) {
				v = p.Value
			}
			line = refuse(fmt.Sprintf("the interpreter broke down: %v", v))
		}
	}()
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		return refuse("not a document: " + err.Error())
	}
	if !utf8.Valid(doc) {
		return refuse("not a document: not UTF-8")
	}
	out, err := run(d)
	if err != nil {
		return refuse(err.Error())
	}
	return encode(out)
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(`{"status":"UNSUPPORTED","reason":"the outcome cannot be written as JSON"}`)
	}
	line := bytes.TrimSpace(b.Bytes())
	for char, escaped := range lineEnds { // these stand in strings only
		line = bytes.ReplaceAll(line, []byte(char), []byte(escaped))
	}
	return line
}

// lineEnds are what some readers take for the end of a line besides \n.
var lineEnds = map[string]string{"\u0085": `\u0085`, "\u2028": `\u2028`, "\u2029": `\u2029`}

// start is when every execution starts; nothing may depend on it.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func run(d document) (*outcome, error) {
	if d.time != "" && d.time != "virtual" {
		return nil, fmt.Errorf("time %q, only virtual is known", d.time)
	}
	if d.definition == nil {
		return nil, errors.New("the document has no definition")
	}
	var text string
	if json.Unmarshal(d.definition, &text) == nil && text != "" { // as CreateStateMachine takes it
		d.definition = json.RawMessage(text)
	}
	machine, err := asl.Parse(d.definition)
	if err != nil {
		return nil, err
	}
	if d.input == nil {
		d.input = json.RawMessage("{}")
	}

	if err := unambiguous(d.input); err != nil {
		return nil, fmt.Errorf("the input: %w", err)
	}
	if len(d.input) > asl.MaxPayload {
		return nil, fmt.Errorf("an input of %d bytes, %d at most", len(d.input), asl.MaxPayload)
	}

	clock := vtime.New(0, start) // 0: ties go by index
	out := &outcome{Calls: []taskCall{}}
	taken := map[string]int{}
	var refused error
	var execution *asl.Execution
	world := &asl.World{Clock: clock, Rand: clock.Rand("asl")}
	world.Invoke = func(_ context.Context, task asl.Task) (json.RawMessage, error) {
		out.Calls = append(out.Calls, taskCall{task.State, task.Arguments})
		n := taken[task.State]
		taken[task.State]++
		if n >= len(d.mocks[task.State]) {
			if refused == nil {
				refused = fmt.Errorf("the mocks of %q are used up: attempt %d has none", task.State, n+1)
			}
			return nil, &asl.Failure{Name: "MocksUsedUp"}
		}
		m := d.mocks[task.State][n]
		switch {
		case m.pending && task.Token == "":
			clock.Wait(func(func()) {})
		case m.pending:
		case task.Token != "": // its holder answers after the call that handed it out has returned
			clock.Go(func() {
				var err error
				if m.name != nil {
					err = execution.SendTaskFailure(task.Token, *m.name, m.cause)
				} else {
					err = execution.SendTaskSuccess(task.Token, m.result)
				}
				if err != nil && refused == nil && !errors.Is(err, asl.ErrTaskTimedOut) && !errors.Is(err, asl.ErrTaskDoesNotExist) {
					refused = fmt.Errorf("the answer of %q: %w", task.State, err)
				}
			})
			return nil, nil
		case m.name != nil:
			return nil, &asl.Failure{Name: *m.name, Cause: m.cause}
		}
		return m.result, nil
	}
	info := asl.ExecutionInfo{
		ID:   "arn:aws:states:us-east-1:123456789012:execution:machine:execution",
		Name: "execution", RoleArn: "arn:aws:iam::123456789012:role/machine",
		MachineID: "arn:aws:states:us-east-1:123456789012:stateMachine:machine", MachineName: "machine",
	}
	clock.Run(func() { execution = machine.Start(world, info, d.input) })
	if refused != nil {
		return nil, refused
	}
	r := execution.Result()
	if r.Refused != "" {
		return nil, errors.New(r.Refused)
	}
	if r.Status == asl.Running {
		return nil, errors.New("the execution never ends")
	}
	out.Status, out.Output = r.Status, r.Output
	if r.Error != "" {
		out.Error = &r.Error
	}
	if r.Cause != "" {
		out.Cause = &r.Cause
	}
	return out, nil
}
