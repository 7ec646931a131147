package asl

import "encoding/json"

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
	p, n := v.place, len(v.state.branches)
	if p.branches == nil || v.attempt > 0 {
		p.branches = make([]*place, n)
		for i := range p.branches {
			p.branches[i] = &place{}
		}
	}
	results := make([]*value, n)
	for i, one := range p.branches {
		results[i] = one.out // of a redrive, what was well before
	}
	f := e.fan(v.region, results, n, func(i int, r *region) (*value, *Failure) {
		return e.walk(r, p.branches[i], v.state.branches[i], input, v.scope.inner(), v.item, func(*Failure) {})
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
		if v.state.neutral {
			return nil, &Failure{Name: runtimeError, refused: true, Cause: "a Map in JSONPath over what is no array"}
		}
		if t := v.state.items; t != nil {
			return nil, wrongType(t.expr, "Items", "array", list)
		}
		// Recorded: localstack/localstack, tests/aws/services/stepfunctions/v2/scenarios, test_map_state_items_input_types.
		return nil, &Failure{Name: queryError, own: true, Cause: "Map state input must be an array but was: " + string(list.raw)}
	}
	var items []json.RawMessage
	if err := json.Unmarshal(list.raw, &items); err != nil {
		return nil, &Failure{Name: runtimeError, own: true, Cause: err.Error()}
	}
	width := mapWidth
	if t := v.state.maxConcurrency; t != nil {
		most, f := e.seconds(t, "MaxConcurrency", 0, n)
		if f != nil {
			return nil, f
		}
		if most > 0 {
			width = min(width, most)
		}
	}
	tolerates := false
	for _, limit := range []struct {
		t     *template
		field string
	}{{v.state.toleratedCount, "ToleratedFailureCount"}, {v.state.toleratedPercentage, "ToleratedFailurePercentage"}} {
		if limit.t == nil {
			continue
		}
		tolerates = true
		if _, f := e.seconds(limit.t, limit.field, 0, n); f != nil {
			return nil, f
		}
	}
	e.event("MapStateStarted")
	together := min(width, len(items)) // these have all started before any enters a state
	for range together {
		e.event("MapIterationStarted")
	}
	over := func(f *Failure) {
		switch {
		case f == aborted:
			e.aborted("MapIterationAborted")
		case f != nil:
			e.event("MapIterationFailed")
		default:
			e.event("MapIterationSucceeded")
		}
	}
	results := make([]*value, len(items))
	f := e.fan(v.region, results, width, func(i int, r *region) (*value, *Failure) {
		if i >= together {
			e.event("MapIterationStarted")
		}
		it := &item{index: i, value: newValue(items[i])}
		input := it.value
		if t := v.state.itemSelector; t != nil && !r.over {
			inside := *v
			inside.item = it
			n := e.names(&inside)
			n.within = false // here it is known
			var f *Failure
			if input, f = e.query.evaluate(t, "ItemSelector", n); f != nil {
				over(f)
				return nil, f
			}
		}
		if len(input.raw) > MaxPayload {
			return nil, e.tooMuch(v.state.name, "passes")
		}
		e.measure(input)
		return e.walk(r, &place{}, v.state.branches[0], input, v.scope.inner(), it, over)
	})
	if tolerates && f != nil && f != aborted {
		return nil, &Failure{Name: runtimeError, refused: true, Cause: "an iteration of the inline Map '" + v.state.name + "' failed, and it tolerates failures"}
	}
	return e.gather(v, results, f)
}

// gather makes one array of the branches' outputs.
func (e *Execution) gather(v *visit, results []*value, f *Failure) (*value, *Failure) {
	if f != nil {
		return nil, f
	}
	e.event(v.state.kind + "StateSucceeded")
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
