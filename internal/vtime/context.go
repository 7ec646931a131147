package vtime

import (
	"context"
	"slices"
	"time"
)

// Deadline is a context that ends at t on the virtual clock, when parent ends,
// or when the cancel function is called. Contexts derived from it end in the
// same instant, on the same goroutine, with context.DeadlineExceeded.
//
// A parent that was itself derived from a Deadline of this clock ends it in that
// instant too. Another parent (a context.WithCancel of the caller's own) ends it
// when the task that ended the parent next sleeps or ends.
func (c *Clock) Deadline(parent context.Context, t time.Time) (context.Context, context.CancelFunc) {
	d := &deadline{Context: parent, at: t, done: make(chan struct{})}
	// The context handed out is the standard library's own, so that what is
	// derived from it, through WithValue too, is cancelled without a goroutine.
	ctx, cancel := context.WithCancel(d)
	stop := func() {}
	switch ended := parent.Err(); {
	case ended != nil:
		d.end(ended)
	case !t.After(c.now):
		d.end(context.DeadlineExceeded)
	default:
		d.ctx = ctx
		stop = c.timer(t, func() { d.end(context.DeadlineExceeded) })
		if above, ok := parent.Value(deadlineKey{}).(*deadline); ok {
			above.below = append(slices.DeleteFunc(above.below, (*deadline).ended), d)
			if parent.Done() != above.ctx.Done() {
				c.linked = append(c.linked, d)
			}
		} else if parent.Done() != nil {
			c.linked = append(c.linked, d)
		}
	}
	d.stop = stop
	return ctx, func() { d.end(context.Canceled); cancel() }
}

// timer queues a call that does not sleep.
func (c *Clock) timer(t time.Time, fire func()) (cancel func()) {
	if c.ending {
		return func() {}
	}
	c.ids++
	return c.enqueue(&entry{at: t, id: c.ids, fire: fire})
}

// endLinked ends the contexts whose parent has ended without telling us.
func (c *Clock) endLinked() {
	kept := c.linked[:0]
	for _, d := range c.linked {
		if err := d.Context.Err(); err != nil {
			d.end(err)
		}
		if d.err == nil {
			kept = append(kept, d)
		}
	}
	clear(c.linked[len(kept):])
	c.linked = kept
}

type deadlineKey struct{}

// deadline is the root below a context handed out by Clock.Deadline.
type deadline struct {
	context.Context // the parent: its values only
	at              time.Time
	done            chan struct{}
	err             error
	ctx             context.Context // what was handed out
	stop            func()
	after           func()
	below           []*deadline
}

func (d *deadline) end(err error) {
	if d.err != nil {
		return
	}
	d.err = err
	if d.stop != nil {
		d.stop()
	}
	close(d.done)
	if d.after != nil {
		d.after()
	}
	for _, b := range d.below {
		b.end(err)
	}
	d.below = nil
}

// AfterFunc is how the standard library learns of the end without a goroutine;
// it registers one function, for the context that Deadline derives.
func (d *deadline) AfterFunc(f func()) func() bool {
	d.after = f
	return func() bool {
		was := d.after != nil && d.err == nil
		d.after = nil
		return was
	}
}

// Deadline is the earlier of this context's and its parent's.
func (d *deadline) Deadline() (time.Time, bool) {
	if t, ok := d.Context.Deadline(); ok && t.Before(d.at) {
		return t, true
	}
	return d.at, true
}

func (d *deadline) ended() bool           { return d.err != nil }
func (d *deadline) Done() <-chan struct{} { return d.done }
func (d *deadline) Err() error            { return d.err }

// Value hides the parent's own cancellation from the standard library, which
// would else find it by a value and take it for ours.
func (d *deadline) Value(key any) any {
	if key == (deadlineKey{}) {
		return d
	}
	return d.Context.Value(key)
}
