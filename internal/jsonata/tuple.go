package jsonata

import (
	"maps"
	"math"
	"slices"
)

// tuple is an item of a path in which @, # or % binds variables, with what they are for it.
type tuple struct {
	at   any
	vars map[string]any
}

func (t *tuple) with(at any, name string, v any) *tuple {
	next := &tuple{at: at, vars: maps.Clone(t.vars)}
	if name != "" {
		next.set(name, v)
	}
	return next
}

func (t *tuple) set(name string, v any) {
	if t.vars == nil {
		t.vars = map[string]any{}
	}
	t.vars[name] = v
}

// frame holds a tuple's variables.
func (t *tuple) frame(outer *frame) *frame {
	return &frame{vars: maps.Clone(t.vars), outer: outer}
}

// context is what an expression about an item is evaluated with.
func context(item any, f *frame) (any, *frame) {
	if t, is := item.(*tuple); is {
		return t.at, t.frame(f)
	}
	return item, f
}

// together is what a value of a grouping is evaluated with: an item, or those of a key.
func together(data any, f *frame) (any, *frame) {
	items, is := data.([]any)
	if !is || len(items) == 0 {
		return context(data, f)
	}
	if _, is := items[0].(*tuple); !is {
		return data, f
	}
	return context(reduced(items), f)
}

// stream are the tuples of a path. The reference forgets of those that it has sorted
// that they are some.
type stream struct {
	items  []any // *tuple
	sorted bool
}

const streamSorted = Unsupported("a predicate or a grouping on what @ or # bound, sorted")

func (e *evaluation) tupleStep(n *node, input []any, before *stream, f *frame) (*stream, error) {
	s := &stream{}
	switch {
	case n.kind == order:
		items := input
		if before != nil {
			items = before.items
		}
		v, err := e.order(n, items, f)
		if err != nil {
			return nil, err
		}
		s.items, _ = list(v)
		if before != nil {
			s.sorted = before.sorted || len(items) > 1
			break
		}
		for i, item := range s.items {
			s.items[i] = (&tuple{}).with(item, n.index, float64(i))
		}
	default:
		if before == nil {
			before = &stream{}
			for _, item := range input {
				before.items = append(before.items, &tuple{at: item})
			}
		}
		for _, item := range before.items {
			t := item.(*tuple)
			v, err := e.eval(n, t.at, t.frame(f))
			if err != nil {
				return nil, err
			}
			if inner, is := v.(*stream); is {
				if inner.sorted {
					return nil, streamSorted
				}
				for _, item := range inner.items {
					of := item.(*tuple)
					next := t.with(of.at, "", nil)
					for name, v := range of.vars {
						next.set(name, v)
					}
					s.items = append(s.items, next)
				}
				continue
			}
			values, is := list(v)
			if !is && v != nil {
				values = []any{v}
			}
			for i, v := range values {
				if e.steps--; e.steps < 0 {
					return nil, errBeyond
				}
				next := t.with(v, "", nil)
				if n.focus != "" {
					next = t.with(t.at, n.focus, v)
				}
				if n.index != "" {
					next.set(n.index, float64(i))
				}
				if n.ancestor != nil {
					next.set(n.ancestor.label, t.at)
				}
				s.items = append(s.items, next)
			}
		}
	}
	for _, stage := range n.stages {
		if stage.kind == position {
			for i, item := range s.items {
				item.(*tuple).set(stage.text, float64(i))
			}
			continue
		}
		var err error
		if s, err = e.filterTuples(stage, s, f); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (e *evaluation) filterTuples(by *node, s *stream, f *frame) (*stream, error) {
	if at, is := by.number(); is {
		i := int(math.Floor(at))
		if i < 0 {
			i += len(s.items)
		}
		if i < 0 || i >= len(s.items) {
			return &stream{sorted: s.sorted}, nil
		}
		return &stream{items: s.items[i : i+1], sorted: s.sorted}, nil
	}
	if s.sorted {
		return nil, streamSorted
	}
	v, err := e.filter(by, slices.Clone(s.items), f)
	if err != nil {
		return nil, err
	}
	items, _ := list(v)
	return &stream{items: items}, nil
}

// reduced is one tuple of several, whose values are put together.
func reduced(items []any) *tuple {
	first := items[0].(*tuple)
	if len(items) == 1 {
		return first
	}
	all := first.with(first.at, "", nil)
	for _, item := range items[1:] {
		t := item.(*tuple)
		all.at = appended(all.at, t.at)
		for name, v := range t.vars {
			all.set(name, appended(all.vars[name], v))
		}
	}
	return all
}
