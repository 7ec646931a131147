// Package eventpattern matches events against EventBridge event patterns.
//
// It follows the documentation and, where that is silent, Event Ruler, the
// library that AWS published as what EventBridge matches with. What it does not
// know it refuses by name: a pattern that is read here means what it means in
// EventBridge.
//
//   - https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
//   - https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
//   - https://github.com/aws/event-ruler
package eventpattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxBranches is how many combinations $or may spread into before EventBridge
// refuses the rule.
const maxBranches = 1000

// Pattern is a pattern that was read. It is never changed: share it freely.
type Pattern struct {
	branches []branch // the pattern without $or: one of them must match
}

// branch holds, by the field's path with dots, what the field may be. All
// fields must match, each by any of its matchers.
type branch map[string][]matcher

// Parse reads a pattern. An error names the field, the operator and the rule.
func Parse(pattern []byte) (*Pattern, error) {
	v, err := decode(pattern, true)
	if err != nil {
		return nil, fmt.Errorf("reading an event pattern: %w", err)
	}
	o, ok := v.(object)
	if !ok {
		return nil, errors.New("reading an event pattern: it must be a JSON object")
	}
	branches, err := compile([]branch{{}}, "", o, false)
	if err != nil {
		return nil, fmt.Errorf("reading an event pattern: %w", err)
	}
	return &Pattern{branches}, nil
}

// compile adds the fields of o, found at path, to every branch, and returns the
// branches: more than it was given where there is an $or.
func compile(branches []branch, path string, o object, insideOr bool) ([]branch, error) {
	if len(o) == 0 {
		return nil, fmt.Errorf("%s: an empty object is not allowed in a pattern", where(path))
	}
	for _, f := range o {
		at := join(path, f.name)
		if f.name == "$or" {
			alternatives, ok := f.value.([]any)
			if !ok || len(alternatives) < 2 {
				return nil, fmt.Errorf("%s: $or needs a list of two objects at least", where(at))
			}
			var all []branch
			for _, a := range alternatives {
				alternative, ok := a.(object)
				if !ok {
					return nil, fmt.Errorf("%s: $or takes objects only", where(at))
				}
				// Every alternative starts from what holds without it.
				some := make([]branch, len(branches))
				for n, b := range branches {
					some[n] = maps.Clone(b)
				}
				some, err := compile(some, path, alternative, true)
				if err != nil {
					return nil, err
				}
				if all = append(all, some...); len(all) > maxBranches {
					return nil, fmt.Errorf("%s: more than %d combinations, EventBridge refuses such a rule", where(at), maxBranches)
				}
			}
			branches = all
			continue
		}
		if _, operator := operators[f.name]; operator && insideOr {
			return nil, fmt.Errorf("%s: %q is an operator and cannot name a field inside $or", where(at), f.name)
		}
		switch v := f.value.(type) {
		case object:
			var err error
			if branches, err = compile(branches, at, v, insideOr); err != nil {
				return nil, err
			}
		case []any:
			values, err := matchers(at, v)
			if err != nil {
				return nil, err
			}
			for _, b := range branches {
				if _, twice := b[at]; twice {
					return nil, fmt.Errorf("%s: the field is constrained twice; write all its values in one list", where(at))
				}
				b[at] = values
			}
		default:
			return nil, fmt.Errorf("%s: a value must stand in a list, write [%s]", where(at), text(f.value))
		}
	}
	return branches, nil
}

// Match tells whether the pattern matches the event, which must be a JSON
// object. Of a key that the event has twice, the last value counts.
func (p *Pattern) Match(event []byte) (bool, error) {
	e, err := Read(event)
	return err == nil && p.Matches(e), err
}

// Event is an event as patterns see it.
type Event struct{ fields map[string][]leaf }

// Read reads an event once for any number of patterns.
func Read(event []byte) (Event, error) {
	v, err := decode(event, false)
	if err != nil {
		return Event{}, fmt.Errorf("reading an event: %w", err)
	}
	o, ok := v.(object)
	if !ok {
		return Event{}, errors.New("reading an event: it must be a JSON object")
	}
	f := flattener{fields: map[string][]leaf{}}
	f.object("", o, nil)
	return Event{f.fields}, nil
}

// Matches reports whether the pattern matches an event.
func (p *Pattern) Matches(e Event) bool {
	for _, b := range p.branches {
		if b.match(slices.Sorted(maps.Keys(b)), e.fields, nil) {
			return true
		}
	}
	return false
}

// match tries every value of the first path that fits the elements chosen so
// far. Two fields never match from different elements of one array:
// https://github.com/aws/event-ruler#json-array-matching
func (b branch) match(paths []string, fields map[string][]leaf, chosen membership) bool {
	if len(paths) == 0 {
		return true
	}
	absent := true
	for _, l := range fields[paths[0]] {
		together, ok := chosen.with(l.in)
		if !ok {
			continue
		}
		absent = false
		if slices.ContainsFunc(b[paths[0]], func(m matcher) bool { return m.value != nil && m.value(l.value) }) &&
			b.match(paths[1:], fields, together) {
			return true
		}
	}
	return absent && slices.ContainsFunc(b[paths[0]], func(m matcher) bool { return m.absent }) &&
		b.match(paths[1:], fields, chosen)
}

// leaf is a value of the event that is neither object nor array. Arrays are
// crushed out: their elements are values of the field, and in tells of which
// element of which array the value is a part.
type leaf struct {
	value any // string, json.Number, bool or nil
	in    membership
}

// membership gives the index of the element by the number of the array.
type membership map[int]int

// with returns both memberships as one, and false if they speak of different
// elements of the same array.
func (m membership) with(o membership) (membership, bool) {
	if len(o) == 0 {
		return m, true
	}
	both := membership{}
	maps.Copy(both, m)
	for array, index := range o {
		if i, ok := both[array]; ok && i != index {
			return nil, false
		}
		both[array] = index
	}
	return both, true
}

type flattener struct {
	fields map[string][]leaf
	arrays int
}

func (f *flattener) object(path string, o object, in membership) {
	last := make(map[string]int, len(o))
	for n, field := range o {
		last[field.name] = n
	}
	for n, field := range o {
		if last[field.name] == n {
			f.value(join(path, field.name), field.value, in)
		}
	}
}

func (f *flattener) value(path string, v any, in membership) {
	switch v := v.(type) {
	case object:
		f.object(path, v, in)
	case []any:
		array := f.arrays
		f.arrays++
		for n, e := range v {
			within := in
			switch e.(type) {
			case object, []any:
				// A plain element is a value like any other: only objects can
				// hold two fields that must be of the same element.
				within, _ = in.with(membership{array: n})
			}
			f.value(path, e, within)
		}
	default:
		f.fields[path] = append(f.fields[path], leaf{v, in})
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func where(path string) string {
	if path == "" {
		return "the pattern"
	}
	return path
}

// text shows a value in a message.
func text(v any) string {
	if _, ok := v.(object); ok {
		return "{…}"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}
