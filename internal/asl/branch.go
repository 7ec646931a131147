package asl

import (
	"encoding/json"
)

// parallel runs the branches of a Parallel side by side.
func (e *Execution) parallel(v *visit) (*value, *Failure) {
	input := v.input
	if t := v.state.arguments; t != nil {
		var f *Failure
		if input, f = e.query.evaluate(t, "Arguments", e.names(v)); f != nil {
			return nil, f
		}
		e.measure(input)
	}
	e.event("ParallelStateStarted")
	results, f := e.fan(v.region, len(v.state.branches), len(v.state.branches), func(i int, r *region) (*value, *Failure) {
		return e.walk(r, v.state.branches[i], input, v.scope.inner(), v.item)
	})
	return e.gather(v, results, f)
}

// iterate runs an inline Map.
// https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
func (e *Execution) iterate(v *visit) (*value, *Failure) {
	n := e.names(v)
	list := v.input
	if t := v.state.items; t != nil {
		var f *Failure
		if list, f = e.query.evaluate(t, "Items", n); f != nil {
			return nil, f
		}
	}
	if typeName(list.raw) != "array" {
		if t := v.state.items; t != nil {
			return nil, wrongType(t.expr, "Items", "array", list)
		}
		return nil, &Failure{Name: queryError, own: true, Cause: "The state's input is the items of the Map, and is not an array: " + typeName(list.raw)}
	}
	var items []json.RawMessage
	if err := json.Unmarshal(list.raw, &items); err != nil {
		return nil, &Failure{Name: runtimeError, own: true, Cause: err.Error()}
	}
	width := mapWidth
	if t := v.state.maxConcurrency; t != nil {
		most, f := e.seconds(t, "MaxConcurrency", n)
		if f != nil {
			return nil, f
		}
		if most > 0 {
			width = min(width, most)
		}
	}
	e.event("MapStateStarted")
	results, f := e.fan(v.region, len(items), width, func(i int, r *region) (*value, *Failure) {
		e.event("MapIterationStarted")
		it := &item{index: i, value: newValue(items[i])}
		input := it.value
		if t := v.state.itemSelector; t != nil {
			inside := *v
			inside.item = it
			var f *Failure
			if input, f = e.query.evaluate(t, "ItemSelector", e.names(&inside)); f != nil {
				e.event("MapIterationFailed")
				return nil, f
			}
		}
		if len(input.raw) > MaxPayload {
			return nil, e.tooLong(v.state.name)
		}
		e.measure(input)
		out, f := e.walk(r, v.state.branches[0], input, v.scope.inner(), it)
		e.event("MapIterationSucceeded") // or Failed, or Aborted
		return out, f
	})
	return e.gather(v, results, f)
}

// gather makes one array of the branches' outputs.
func (e *Execution) gather(v *visit, results []*value, f *Failure) (*value, *Failure) {
	if f == aborted {
		return nil, f
	}
	e.event(v.state.kind + "StateSucceeded") // or Failed
	if f != nil {
		return nil, f
	}
	b := []byte{'['}
	for i, one := range results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, one.raw...)
	}
	b = append(b, ']')
	if len(b) > MaxPayload {
		return nil, e.tooLong(v.state.name)
	}
	return newValue(b), nil
}
