package asl

import (
	"slices"
	"time"
)

// region is what ends together: an execution, or the branches of one attempt at a
// Parallel or Map. When one branch fails, the others are left where they are.
type region struct {
	over    bool
	inner   []*region
	waiting []*waiter
}

type waiter struct{ wake func() }

func (r *region) child() *region {
	c := &region{over: r.over}
	r.inner = append(r.inner, c)
	return c
}

// drop forgets a child that has ended.
func (r *region) drop(c *region) {
	c.over = true
	r.inner = slices.DeleteFunc(r.inner, func(x *region) bool { return x == c })
}

// end wakes all that waits in a region, to find that it is over.
func (r *region) end() {
	if r.over {
		return
	}
	r.over = true
	for _, w := range r.waiting {
		w.wake()
	}
	for _, c := range r.inner {
		c.end()
	}
}

// park waits until a time (none, when zero) or until what register was given is
// called, and says whether the region still goes on.
func (e *Execution) park(r *region, until time.Time, register func(wake func())) bool {
	if r.over {
		return false
	}
	clock := e.world.Clock
	w := &waiter{}
	cancel := func() {}
	clock.Wait(func(wake func()) {
		w.wake = wake
		r.waiting = append(r.waiting, w)
		if !until.IsZero() {
			cancel = clock.At(until, wake)
		}
		if register != nil {
			register(wake)
		}
	})
	cancel()
	r.waiting = slices.DeleteFunc(r.waiting, func(x *waiter) bool { return x == w })
	return !r.over
}

// fan runs the branches that have no result yet, so many side by side, and puts their
// results in their places. At the first failure the other branches are ended; it returns when all have left
// their states, which takes no time.
func (e *Execution) fan(outer *region, results []*value, width int, run func(i int, r *region) (*value, *Failure)) *Failure {
	var todo []int
	for i, one := range results {
		if one == nil {
			todo = append(todo, i)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	group := outer.child()
	defer outer.drop(group)
	var failure *Failure
	next, running := 0, 0
	last := func() {} // is called by the last branch to end
	ok := e.park(outer, time.Time{}, func(wake func()) {
		var start func()
		start = func() {
			i := todo[next]
			next++
			running++
			e.world.Clock.Go(func() {
				v, f := run(i, group)
				running--
				switch {
				case group.over:
				case f != nil:
					failure = f
					group.end()
					wake()
				default:
					results[i] = v
					if next < len(todo) {
						start()
					} else if running == 0 {
						wake()
					}
				}
				if running == 0 {
					last()
				}
			})
		}
		for range min(width, len(todo)) {
			start()
		}
	})
	if running > 0 {
		e.world.Clock.Wait(func(wake func()) { last = wake })
	}
	if !ok {
		return aborted
	}
	return failure
}
