// Package vtime runs tasks on a virtual clock, one at a time.
//
// A task runs until it sleeps, waits or ends; then the task that is due next
// runs, and the clock shows the time at which that one was due. Ties are broken
// by the seed. Exactly one task runs at any moment, so what tasks share needs no
// lock, and the same seed gives the same run, byte for byte.
//
// Everything but New and Run is called from a task or from Idle, never from a
// goroutine of the caller's own.
package vtime

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Clock is a virtual clock and the tasks that live on it.
type Clock struct {
	// Idle, when set, is called by Run whenever nothing is due at the present
	// instant: before the clock moves on to what is due later, and when nothing
	// is due at all while tasks are still parked. The clock stands still while
	// it runs, so it may block on the real world (a person at a page), and it
	// may queue work with Go. It returns true to be asked again once what it
	// queued has run as far as it can at this instant, false to let the clock
	// move on or, with nothing left that is due, to let Run end.
	Idle func() bool

	now    time.Time
	seed   uint64
	ties   *rand.Rand
	queue  queue
	alive  []*task // started and not ended, in order of start
	ids    uint64
	seq    uint64
	cur    *task     // the task that runs, nil between two
	free   []*worker // whose task has ended
	ending bool      // Run is unwinding what is left
	parked int
	failed *Panic
	linked []*deadline // contexts whose parent may end without telling us
}

// New is a clock that shows start. Tasks that are due at the same instant run in
// an order drawn from the seed, except with seed 0: then the task that was made
// first goes first.
func New(seed uint64, start time.Time) *Clock {
	return &Clock{now: start, seed: seed, ties: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // the seed must decide
}

// Panic is what Run panics with after a task did.
type Panic struct {
	Value any    // what the task panicked with
	Stack []byte // where
}

func (p *Panic) Error() string {
	return fmt.Sprintf("a task panicked: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap gives the task's own error, where it panicked with one.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// Now is the virtual time.
func (c *Clock) Now() time.Time { return c.now }

// Parked is how many tasks wait for a wake that nobody has sent yet. After Run
// it is how many were still waiting when nothing was left that could wake them.
func (c *Clock) Parked() int { return c.parked }

// Next is when the next task is due; false if none is. With Idle it lets another
// clock lead this one: Idle waits there until then.
func (c *Clock) Next() (time.Time, bool) {
	if len(c.queue) == 0 {
		return time.Time{}, false
	}
	return c.queue[0].at, true
}

// Rand is a stream of random numbers that depends on the seed and on name only,
// so that what one reader draws does not change what another does.
func (c *Clock) Rand(name string) *rand.ChaCha8 {
	h := fnv.New64a()
	h.Write([]byte(name)) // a hash.Hash never returns an error
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], c.seed)
	binary.LittleEndian.PutUint64(key[8:], h.Sum64())
	return rand.NewChaCha8(key)
}

// Run runs main and every task started since, until none is left that is due.
// Tasks that are still parked then are unwound: their deferred calls run, what
// they queue is dropped. A panic of a task becomes a panic of Run, with a *Panic.
func (c *Clock) Run(main func()) {
	c.parked, c.failed = 0, nil
	c.Go(main)
	c.loop()
	if c.failed != nil {
		panic(c.failed)
	}
}

func (c *Clock) loop() {
	defer c.unwind() // after a panic of Idle too
	for c.failed == nil && c.more() {
		e := heap.Pop(&c.queue).(*entry)
		c.now = e.at
		c.resume(e)
		c.endLinked()
	}
}

// more says whether something is due, after asking Idle where nothing is due now.
func (c *Clock) more() bool {
	for {
		none := len(c.queue) == 0
		if !none && !c.queue[0].at.After(c.now) {
			return true
		}
		if none && c.parked == 0 {
			return false
		}
		if c.Idle == nil || !c.Idle() {
			return len(c.queue) > 0
		}
	}
}

// Go starts f as a task, due now.
func (c *Clock) Go(f func()) { c.At(c.now, f) }

// At starts f as a task at t, or now if t has passed. cancel takes it off the
// queue again, so that a time-out that is no longer needed does not prolong the
// run; once f has started it does nothing.
func (c *Clock) At(t time.Time, f func()) (cancel func()) {
	if c.ending {
		return func() {}
	}
	c.ids++
	return c.push(t, &task{id: c.ids, f: f})
}

// Sleep lets others run until d has passed.
func (c *Clock) Sleep(d time.Duration) {
	t := c.running("Sleep")
	c.push(c.now.Add(d), t)
	c.park(t)
}

// Wait parks the task that calls it until the wake that it gave to register is
// called. Waking twice, or before register returns, is harmless. A task that
// nobody wakes does not keep Run from ending.
func (c *Clock) Wait(register func(wake func())) {
	t := c.running("Wait")
	woken := false
	c.parked++
	register(func() {
		if !woken && !c.ending {
			woken = true
			c.parked--
			c.push(c.now, t)
		}
	})
	c.park(t)
}

// Each runs f(0) to f(n-1) side by side and returns when all have returned.
func (c *Clock) Each(n int, f func(int)) {
	if n <= 0 {
		return
	}
	c.Wait(func(wake func()) {
		left := n
		for i := range n {
			c.Go(func() {
				defer func() {
					if left--; left == 0 {
						wake()
					}
				}()
				f(i)
			})
		}
	})
}

type task struct {
	id     uint64
	f      func()
	worker *worker // nil until it has started
	ended  bool
}

func (c *Clock) running(what string) *task {
	if c.ending {
		runtime.Goexit() // a deferred call of a task that is being unwound
	}
	if c.cur == nil {
		panic("vtime: " + what + " called outside a task")
	}
	return c.cur
}

// park hands back to Run and returns when the task is resumed.
func (c *Clock) park(t *task) {
	t.worker.yield(struct{}{})
	if c.ending {
		runtime.Goexit()
	}
}

// resume lets a task run until it parks or ends.
func (c *Clock) resume(e *entry) {
	if e.fire != nil {
		e.fire()
		return
	}
	t := e.task
	c.cur = t
	if t.worker == nil {
		t.worker = c.worker()
		t.worker.task = t
		c.alive = append(c.alive, t)
	}
	t.worker.next()
	c.cur = nil
	if t.ended {
		i := slices.Index(c.alive, t)
		c.alive = slices.Delete(c.alive, i, i+1)
		c.free = append(c.free, t.worker)
	}
}

// worker runs tasks, one after the other. It is a coroutine: to switch to it and
// back takes no scheduler, and no other thread is woken. It is used again because
// its stack has grown by then.
type worker struct {
	task  *task
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

func (c *Clock) worker() *worker {
	if last := len(c.free) - 1; last >= 0 {
		w := c.free[last]
		c.free = c.free[:last]
		return w
	}
	w := &worker{}
	w.next, w.stop = iter.Pull(func(yield func(struct{}) bool) {
		w.yield = yield
		for again := true; again; again = yield(struct{}{}) {
			c.start(w.task)
		}
	})
	return w
}

func (c *Clock) start(t *task) {
	defer func() {
		// During a Goexit, which is how a task is unwound, recover gives nil.
		if v := recover(); v != nil && c.failed == nil {
			c.failed = &Panic{Value: v, Stack: debug.Stack()}
		}
		t.ended = true
	}()
	t.f()
}

// unwind ends the tasks that nothing will wake, in order of start, so that no
// goroutine outlives Run. A Goexit takes whoever called next with it, hence the
// goroutines.
func (c *Clock) unwind() {
	c.ending = true
	c.queue = nil
	for _, t := range c.alive {
		var gone sync.WaitGroup
		gone.Go(func() { t.worker.next() })
		gone.Wait()
	}
	for _, w := range c.free {
		w.stop()
	}
	c.alive, c.free, c.linked = nil, nil, nil
	c.ending = false
}

// entry is a task, or a call that never sleeps, and when it is due.
type entry struct {
	at    time.Time
	tie   uint64
	id    uint64
	seq   uint64
	task  *task
	fire  func()
	index int // in the queue, -1 when off it
}

func (c *Clock) push(at time.Time, t *task) (cancel func()) {
	return c.enqueue(&entry{at: at, id: t.id, task: t})
}

func (c *Clock) enqueue(e *entry) (cancel func()) {
	if e.at.Before(c.now) {
		e.at = c.now
	}
	if c.seed != 0 {
		e.tie = c.ties.Uint64()
	}
	c.seq++
	e.seq = c.seq
	heap.Push(&c.queue, e)
	return func() {
		if e.index >= 0 && !c.ending {
			heap.Remove(&c.queue, e.index)
		}
	}
}

type queue []*entry

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if d := a.at.Compare(b.at); d != 0 {
		return d < 0
	}
	if a.tie != b.tie {
		return a.tie < b.tie
	}
	if a.id != b.id {
		return a.id < b.id
	}
	return a.seq < b.seq
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = -1
	return e
}
