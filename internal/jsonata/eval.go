package jsonata

import (
	"errors"
	"math"
	"slices"
)

// Limits of Step Functions, as they were measured: an evaluation 100 deep is well,
// and a sequence of 873,782 numbers; one more of either fails.
// https://github.com/floci-io/floci/issues/2737
const (
	maxDepth  = 100
	maxMemory = 873_782 * 8 // bytes
)

// An error is made for each failure: it is given the name of what fails.
func depthError() error {
	return &Error{Text: "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive"}
}

func memoryError() error {
	return &Error{Text: "Expression evaluation memory limit exceeded: Check for excessive memory usage"}
}

// frame holds the variables of a block or a function.
type frame struct {
	vars  map[string]any
	outer *frame
}

func (f *frame) inner() *frame { return &frame{outer: f} }

func (f *frame) bind(name string, v any) {
	if f.vars == nil {
		f.vars = map[string]any{}
	}
	f.vars[name] = v
}

// evaluation is one evaluation of an expression.
// https://github.com/jsonata-js/jsonata/blob/v2.0.6/src/jsonata.js
type evaluation struct {
	*Runtime
	lookUp func(name string) (any, bool)
	depth  int
	steps  int

	unordered bool // an object was gone through whose keys nobody knows the order of
	infinite  bool // a number without end was asked whether it is one
	inexact   bool // whole numbers were compared of which nobody knows whether they are the same
}

// keys are an object's, in the order in which they are gone through.
func (e *evaluation) keys(o *Object) []string {
	e.unordered = e.unordered || o.mixed
	return o.keys
}

// beside evaluates what stands behind an item that failed. The reference evaluates all
// items of an array or object side by side and tells of the error that comes first in
// time, so that the words are not known where there is another.
func (e *evaluation) beside(err error, depth int, others []*node, input any, f *frame) error {
	for _, other := range others {
		e.depth = depth
		if _, second := e.eval(other, input, f); second != nil && second.Error() != err.Error() {
			return Unworded(err)
		}
	}
	return err
}

func (e *evaluation) variable(name string, f *frame) any {
	for ; f != nil; f = f.outer {
		if v, there := f.vars[name]; there {
			return v
		}
	}
	if v, there := e.lookUp(name); there {
		return v
	}
	if n := e.natives[name]; n != nil {
		return n
	}
	return nil
}

// charge counts a value that is gone through or made as steps, so that neither time
// nor memory goes on for ever where a step is long.
func (e *evaluation) charge(v any) {
	if s, is := v.(string); is {
		e.steps -= len(s) / 256
	}
	items, _ := list(v)
	e.steps -= len(items) / 8
}

// enter counts an array or object that is gone into, and says whether there are steps
// left: one that holds another twice, and that one the next, takes little memory and
// never ends. Whoever gets false stops where it is; the evaluation ends as errBeyond.
func (e *evaluation) enter(size int) bool {
	e.steps -= 1 + size/8
	return e.steps >= 0
}

func (e *evaluation) eval(n *node, input any, f *frame) (any, error) {
	e.depth++
	if e.depth > maxDepth {
		return nil, depthError()
	}
	if e.steps--; e.steps < 0 {
		return nil, errBeyond
	}
	v, err := e.evalKind(n, input, f)
	if err != nil {
		return nil, err
	}
	if n.kind != variable {
		e.charge(v)
	}
	for _, filter := range n.filters {
		if tuples, is := v.(*stream); is {
			v, err = e.filterTuples(filter, tuples, f)
		} else {
			v, err = e.filter(filter, v, f)
		}
		if err != nil {
			return nil, err
		}
	}
	if n.group != nil && n.kind != path {
		if _, is := v.(*stream); is {
			return nil, Unsupported("a grouping of what is looked for from below")
		}
		if v, err = e.group(n.group.pairs, v, f); err != nil {
			return nil, err
		}
	}
	e.depth--
	if s, is := v.(*array); is && s.sequence {
		s.keep = s.keep || n.keepArray
		switch {
		case len(s.items) == 0:
			return nil, nil
		case len(s.items) == 1 && !s.keep:
			return s.items[0], nil
		case len(s.items)*8 > maxMemory:
			return nil, memoryError()
		}
	}
	return v, nil
}

func (e *evaluation) evalKind(n *node, input any, f *frame) (any, error) {
	switch n.kind {
	case path:
		return e.path(n, input, f)
	case binary:
		return e.binary(n, input, f)
	case unary:
		return e.unary(n, input, f)
	case name:
		return e.lookup(input, n.text), nil
	case text:
		return n.text, nil
	case literal:
		return n.value, nil
	case wildcard:
		return e.wild(input), nil
	case descendants:
		if input == nil {
			return nil, nil
		}
		all := sequence()
		e.descend(input, all)
		return all, nil
	case condition:
		v, err := e.eval(n.left, input, f)
		switch {
		case err != nil:
			return nil, err
		case e.truth(v):
			return e.eval(n.right, input, f)
		case n.third != nil:
			return e.eval(n.third, input, f)
		}
		return nil, nil
	case block:
		var v any
		inner := f.inner()
		for _, one := range n.list {
			var err error
			if v, err = e.eval(one, input, inner); err != nil {
				return nil, err
			}
		}
		return v, nil
	case bind:
		v, err := e.eval(n.right, input, f)
		if err != nil {
			return nil, err
		}
		f.bind(n.left.text, v)
		return v, nil
	case call:
		return e.call(n, input, f, nil)
	case variable:
		if n.text == "" {
			return input, nil
		}
		return e.variable(n.text, f), nil
	case closure:
		return &lambda{params: n.params, body: n.left, input: input, frame: f, thunk: n.thunk, check: n.check}, nil
	case partial:
		return e.partial(n, input, f)
	case apply:
		return e.apply(n, input, f)
	case transform:
		return e.transform(n, f), nil
	case parent:
		return e.variable(n.slot.label, f), nil
	}
	return nil, errors.New("a node of kind " + string(n.kind))
}

func (e *evaluation) path(n *node, input any, f *frame) (any, error) {
	items, is := list(input)
	if !is || n.list[0].kind == variable {
		items = []any{input}
	}
	var result any
	var tuples *stream
	bound := false // by a step so far
	for i, step := range n.list {
		var err error
		bound = bound || step.isTuple()
		if i == 0 && step.cons {
			result, err = e.eval(step, sequence(items...), f)
		} else if bound {
			if tuples, err = e.tupleStep(step, items, tuples, f); err != nil {
				return nil, err
			}
			continue
		} else {
			result, err = e.step(step, items, f, i == len(n.list)-1)
		}
		if err != nil {
			return nil, err
		}
		if items, is = list(result); !is {
			// A first step that makes no array, which JavaScript indexes as it comes.
			if s, text := result.(string); !text || s == "" {
				break
			}
			return nil, Unsupported("a path from a text")
		}
		if len(items) == 0 {
			break
		}
	}
	if tuples != nil && n.carries {
		result = tuples
	} else if tuples != nil {
		all := sequence()
		for _, item := range tuples.items {
			all.items = append(all.items, item.(*tuple).at)
		}
		result = all
	} else if bound {
		return nil, Unsupported("a variable that is bound to an array as it is written")
	}
	if n.keepSingleton && !(tuples != nil && n.carries) {
		s, is := result.(*array)
		if !is {
			if items, plain := list(result); plain {
				s, is = &array{items: items}, true
			}
		}
		switch {
		case !is:
			return nil, Unsupported("[] of nothing")
		case s.cons && !s.sequence:
			s = sequence(s)
		default:
			s = &array{items: s.items, sequence: s.sequence, cons: s.cons}
		}
		s.keep = true
		result = s
	}
	switch {
	case n.group == nil:
	case tuples == nil:
		return e.group(n.group.pairs, result, f)
	case tuples.sorted || len(tuples.items) == 0:
		return nil, streamSorted
	default:
		return e.group(n.group.pairs, tuples.items, f)
	}
	return result, nil
}

func (e *evaluation) step(n *node, input []any, f *frame, last bool) (any, error) {
	if n.kind == order {
		sorted, err := e.order(n, input, f)
		for _, stage := range n.stages {
			if err == nil {
				sorted, err = e.filter(stage, sorted, f)
			}
		}
		return sorted, err
	}
	var results []any
	for _, item := range input {
		v, err := e.eval(n, item, f)
		for _, stage := range n.stages {
			if err == nil {
				v, err = e.filter(stage, v, f)
			}
		}
		if err != nil {
			return nil, err
		}
		if v != nil {
			results = append(results, v)
		}
	}
	if last && len(results) == 1 {
		if s, is := results[0].(*array); is && !s.sequence {
			return s, nil
		}
		if plain, is := results[0].([]any); is {
			return plain, nil
		}
	}
	flat := sequence()
	for _, v := range results {
		items, is := list(v)
		if s, noted := v.(*array); !is || noted && s.cons {
			flat.items = append(flat.items, v)
		} else {
			flat.items = append(flat.items, items...)
		}
	}
	return flat, nil
}

func (e *evaluation) filter(by *node, input any, f *frame) (any, error) {
	items, is := list(input)
	if !is {
		items = []any{input}
	}
	found := sequence()
	if at, is := by.number(); is {
		i := int(math.Floor(at))
		if i < 0 {
			i += len(items)
		}
		if i < 0 || i >= len(items) || items[i] == nil {
			return found, nil
		}
		if _, is := list(items[i]); is {
			return items[i], nil
		}
		return sequence(items[i]), nil
	}
	for i, item := range items {
		of, inner := context(item, f)
		v, err := e.eval(by, of, inner)
		if err != nil {
			return nil, err
		}
		places := []any{v}
		if all, is := list(v); is {
			places = all
		}
		numbers := true
		for _, place := range places {
			_, is, err := finite(place)
			if err != nil {
				return nil, err
			}
			numbers = numbers && is
		}
		if !numbers {
			if e.truth(v) {
				found.items = append(found.items, item)
			}
			continue
		}
		for _, place := range places {
			at, _ := asNumber(place)
			k := math.Floor(at)
			if k < 0 {
				k += float64(len(items))
			}
			if k == float64(i) {
				found.items = append(found.items, item)
			}
		}
	}
	return found, nil
}

func (e *evaluation) group(pairs [][2]*node, input any, f *frame) (any, error) {
	items, is := list(input)
	if !is || len(items) == 0 {
		items = []any{input}
		if is {
			items[0] = nil
		}
	}
	type entry struct {
		data any
		pair int
	}
	groups := map[string]*entry{}
	var keys []string
	for _, item := range items {
		for i, pair := range pairs {
			of, inner := context(item, f)
			v, err := e.eval(pair[0], of, inner)
			if err != nil {
				return nil, err
			}
			key, is := v.(string)
			switch g := groups[key]; {
			case v == nil:
			case !is:
				return nil, &Error{Code: "T1003", Value: v}
			case g == nil:
				groups[key] = &entry{item, i}
				keys = append(keys, key)
			case g.pair != i:
				return nil, &Error{Code: "D1009", Value: key}
			default:
				g.data = appended(g.data, item)
			}
		}
	}
	o := newObject()
	depth := e.depth
	for i, key := range keys {
		of, inner := together(groups[key].data, f)
		v, err := e.eval(pairs[groups[key].pair][1], of, inner)
		if err != nil {
			for _, other := range keys[i+1:] {
				g := groups[other]
				of, inner := together(g.data, f)
				err = e.beside(err, depth, []*node{pairs[g.pair][1]}, of, inner)
			}
			return nil, err
		}
		if v != nil {
			o.set(key, v)
		}
	}
	return o, nil
}

func (e *evaluation) binary(n *node, input any, f *frame) (any, error) {
	left, err := e.eval(n.left, input, f)
	if err != nil {
		return nil, err
	}
	if n.text == "and" || n.text == "or" {
		if e.truth(left) == (n.text == "or") {
			return n.text == "or", nil
		}
		right, err := e.eval(n.right, input, f)
		return e.truth(right), renamed(err, n.text)
	}
	right, err := e.eval(n.right, input, f)
	if err != nil {
		return nil, err
	}
	e.charge(left)
	e.charge(right)
	var v any
	switch n.text {
	case "+", "-", "*", "/", "%":
		v, err = arithmetic(n.text, left, right)
	case "=":
		v = left != nil && right != nil && e.equal(left, right)
	case "!=":
		v = left != nil && right != nil && !e.equal(left, right)
	case "<", "<=", ">", ">=":
		v, err = compare(n.text, left, right)
	case "&":
		v, err = concatenated(left, right)
	case "..":
		v, err = span(left, right)
	case "in":
		items, is := list(right)
		if !is {
			items = []any{right}
		}
		v = left != nil && right != nil && slices.ContainsFunc(items, func(item any) bool { return e.same(left, item) })
	}
	if err != nil {
		return nil, renamed(err, n.text)
	}
	return v, nil
}

func arithmetic(op string, left, right any) (any, error) {
	x, is, err := finite(left)
	if err != nil {
		return nil, err
	}
	if left != nil && !is {
		return nil, &Error{Code: "T2001"}
	}
	y, is, err := finite(right)
	if err != nil {
		return nil, err
	}
	if right != nil && !is {
		return nil, &Error{Code: "T2002"}
	}
	if left == nil || right == nil {
		return nil, nil
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		return x / y, nil
	}
	return math.Mod(x, y), nil
}

func compare(op string, left, right any) (any, error) {
	x, leftNumber := asNumber(left)
	y, rightNumber := asNumber(right)
	s, leftText := left.(string)
	t, rightText := right.(string)
	switch {
	case left != nil && !leftNumber && !leftText:
		return nil, &Error{Code: "T2010", Value: left}
	case right != nil && !rightNumber && !rightText:
		return nil, &Error{Code: "T2010", Value: right}
	case left == nil || right == nil:
		return nil, nil
	case leftNumber != rightNumber:
		return nil, &Error{Code: "T2009", Value: left, Other: right}
	case leftNumber && x == y && left != right && (large(left) || large(right)):
		return nil, errLarge
	}
	below, above := x < y, x > y
	if leftText {
		below, above = less(s, t), less(t, s)
	}
	switch op {
	case "<":
		return below, nil
	case "<=":
		return leftText && !above || leftNumber && x <= y, nil
	case ">":
		return above, nil
	}
	return leftText && !below || leftNumber && x >= y, nil
}

func concatenated(left, right any) (any, error) {
	a, err := asText(left, false)
	if err != nil {
		return nil, err
	}
	b, err := asText(right, false)
	if err != nil {
		return nil, err
	}
	if len(a)+len(b) > maxMemory {
		return nil, memoryError()
	}
	return a + b, nil
}

// span is what the operator .. makes.
func span(left, right any) (any, error) {
	from, is := asNumber(left)
	if left != nil && (!is || from != math.Trunc(from) || math.IsInf(from, 0)) {
		return nil, &Error{Code: "T2003", Value: left}
	}
	to, is := asNumber(right)
	if right != nil && (!is || to != math.Trunc(to) || math.IsInf(to, 0)) {
		return nil, &Error{Code: "T2004", Value: right}
	}
	if left == nil || right == nil || from > to {
		return nil, nil
	}
	size := to - from + 1
	switch {
	case size > 1e7:
		return nil, &Error{Code: "D2014", Value: size, unsure: true}
	case size*8 > maxMemory:
		return nil, memoryError()
	}
	all := &array{items: make([]any, int(size)), sequence: true}
	for i := range all.items {
		all.items[i] = from + float64(i)
	}
	return all, nil
}

func (e *evaluation) unary(n *node, input any, f *frame) (any, error) {
	switch n.text {
	case "-":
		v, err := e.eval(n.left, input, f)
		if err != nil || v == nil {
			return nil, err
		}
		x, is, err := finite(v)
		if err == nil && !is {
			err = &Error{Code: "D1002", Token: "-", Value: v}
		}
		return -x, err
	case "{":
		return e.group(n.pairs, input, f)
	}
	items := []any{}
	depth := e.depth
	for i, one := range n.list {
		v, err := e.eval(one, input, f)
		if err != nil {
			return nil, e.beside(err, depth, n.list[i+1:], input, f)
		}
		if inner, is := list(v); is && !(one.kind == unary && one.text == "[") {
			items = append(items, inner...)
		} else if v != nil {
			items = append(items, v)
		}
	}
	if n.cons {
		return &array{items: items, cons: true}, nil
	}
	return items, nil
}

func (e *evaluation) lookup(input any, key string) any {
	if items, is := list(input); is && e.enter(len(items)) {
		found := sequence()
		for _, item := range items {
			v := e.lookup(item, key)
			if inner, is := list(v); is {
				found.items = append(found.items, inner...)
			} else if v != nil {
				found.items = append(found.items, v)
			}
		}
		return found
	}
	if o, is := input.(*Object); is {
		return o.values[key]
	}
	return nil
}

func (e *evaluation) wild(input any) any {
	values, _ := list(input)
	if o, is := input.(*Object); is {
		for _, key := range e.keys(o) {
			values = append(values, o.values[key])
		}
	}
	all := []any{}
	plain := false // as soon as an array is appended
	for _, v := range values {
		if items, is := list(v); is {
			plain = true
			all = append(all, e.flattened(items)...)
		} else {
			all = append(all, v)
		}
	}
	if plain {
		return all
	}
	return sequence(all...)
}

func (e *evaluation) flattened(items []any) []any {
	var all []any
	if !e.enter(len(items)) {
		return nil
	}
	for _, item := range items {
		if inner, is := list(item); is {
			all = append(all, e.flattened(inner)...)
		} else {
			all = append(all, item)
		}
	}
	return all
}

func (e *evaluation) descend(v any, all *array) {
	if items, is := list(v); is {
		for _, item := range items {
			if e.enter(0) {
				e.descend(item, all)
			}
		}
		return
	}
	all.items = append(all.items, v)
	if o, is := v.(*Object); is {
		for _, key := range e.keys(o) {
			if e.enter(0) {
				e.descend(o.values[key], all)
			}
		}
	}
}

// order is an order-by.
func (e *evaluation) order(n *node, items []any, f *frame) (any, error) {
	after := func(a, b any) (bool, error) {
		a, inA := context(a, f)
		b, inB := context(b, f)
		for _, t := range n.terms {
			x, err := e.eval(t.by, a, inA)
			if err != nil {
				return false, err
			}
			y, err := e.eval(t.by, b, inB)
			if err != nil {
				return false, err
			}
			if x == nil || y == nil {
				if x == nil && y == nil {
					continue
				}
				return x == nil, nil
			}
			p, leftNumber := asNumber(x)
			q, rightNumber := asNumber(y)
			s, leftText := x.(string)
			u, rightText := y.(string)
			switch {
			case !leftNumber && !leftText:
				return false, &Error{Code: "T2008", Value: x}
			case !rightNumber && !rightText:
				return false, &Error{Code: "T2008", Value: y}
			case leftNumber != rightNumber:
				return false, &Error{Code: "T2007", Value: x, Other: y}
			case leftNumber && p == q && x != y && (large(x) || large(y)):
				return false, errLarge
			case leftNumber && p == q || leftText && s == u:
				continue
			}
			return (leftNumber && p > q || leftText && less(u, s)) != t.descending, nil
		}
		return false, nil
	}
	if len(items) <= 1 {
		return sequence(items...), nil
	}
	return mergeSort(items, after)
}

// mergeSort is stable, as JSONata's, and asks for the same pairs in the same order.
func mergeSort(items []any, after func(a, b any) (bool, error)) ([]any, error) {
	if len(items) <= 1 {
		return items, nil
	}
	middle := len(items) / 2
	left, err := mergeSort(items[:middle], after)
	if err != nil {
		return nil, err
	}
	right, err := mergeSort(items[middle:], after)
	if err != nil {
		return nil, err
	}
	merged := make([]any, 0, len(items))
	for len(left) > 0 && len(right) > 0 {
		swap, err := after(left[0], right[0])
		if err != nil {
			return nil, err
		}
		if swap {
			merged, right = append(merged, right[0]), right[1:]
		} else {
			merged, left = append(merged, left[0]), left[1:]
		}
	}
	return append(append(merged, left...), right...), nil
}

var transformed = newSignature("(oa)")

// transform is the function that | | | makes.
func (e *evaluation) transform(n *node, f *frame) any {
	return &native{arity: 1, check: transformed, call: func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		result := e.clone(args[0])
		found, err := e.eval(n.left, result, f)
		if err != nil || found == nil {
			return result, err
		}
		matches, is := list(found)
		if !is {
			matches = []any{found}
		}
		for _, match := range matches {
			o, isObject := match.(*Object)
			update, err := e.eval(n.right, match, f)
			if err != nil {
				return nil, err
			}
			if update != nil {
				with, is := update.(*Object)
				if !is {
					return nil, &Error{Code: "T2011", Value: update}
				}
				if !isObject {
					return nil, Unsupported("a transformation of what is no object")
				}
				for _, key := range with.keys {
					o.set(key, with.values[key])
				}
			}
			if n.third == nil {
				continue
			}
			gone, err := e.eval(n.third, match, f)
			if err != nil {
				return nil, err
			}
			keys, is := list(gone)
			if !is && gone != nil {
				keys = []any{gone}
			}
			for _, key := range keys {
				s, is := key.(string)
				if !is {
					return nil, &Error{Code: "T2012", Value: gone}
				}
				if isObject {
					o.remove(s)
				}
			}
		}
		return result, nil
	}}
}

func (e *evaluation) clone(v any) any {
	if items, is := list(v); is && e.enter(len(items)) {
		out := make([]any, len(items))
		for i, item := range items {
			out[i] = e.clone(item)
		}
		return out
	}
	if o, is := v.(*Object); is && e.enter(len(o.keys)) {
		out := newObject()
		for _, key := range o.keys {
			out.set(key, e.clone(o.values[key]))
		}
		return out
	}
	return v
}
