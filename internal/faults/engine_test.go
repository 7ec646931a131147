package faults_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"cordon/internal/asl"
	"cordon/internal/rehearsal"
)

// trial is one run: a base incident and what goes wrong in it.
type trial struct {
	base   *base
	seed   uint64
	script rehearsal.Script
}

// outcome is what came of a trial.
type outcome struct {
	digest [sha256.Size]byte
	ending string
	broken []string // invariants, with how they are
	err    error    // of the rehearsal itself

	happened map[string]int // what was done to it, and came to something
}

// names are the invariants that do not hold.
func (o outcome) names() []string {
	var all []string
	for _, b := range o.broken {
		name, _, _ := strings.Cut(b, ":")
		all = append(all, name)
	}
	if o.err != nil {
		all = append(all, "error")
	}
	return all
}

// move is one way from a state to the next.
type move struct{ from, to string }

// way are the states and transitions that were seen.
type way struct {
	states map[string]bool
	moves  map[move]bool
}

func newWay() way { return way{map[string]bool{}, map[move]bool{}} }

func (w way) note(m asl.Move) {
	switch m.Kind {
	case asl.Entered:
		w.states[m.State] = true
	case asl.Left, asl.Caught:
		if m.Next != "" {
			w.moves[move{m.State, m.Next}] = true
		}
	}
}

func (w way) add(o way) {
	for s := range o.states {
		w.states[s] = true
	}
	for m := range o.moves {
		w.moves[m] = true
	}
}

// engine runs trials, on as many workers as there are cores. Nothing that it says
// depends on how many.
type engine struct {
	change func(*rehearsal.Options) // a mutant's definition or template
	mu     sync.Mutex
	seen   way
}

func newEngine(change func(*rehearsal.Options)) *engine {
	return &engine{change: change, seen: newWay()}
}

func (e *engine) all(trials []trial) []outcome {
	done := make([]outcome, len(trials))
	var workers sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			seen := newWay()
			for n := range next {
				done[n] = e.run(trials[n], seen)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			e.seen.add(seen)
		})
	}
	for n := range trials {
		next <- n
	}
	close(next)
	workers.Wait()
	return done
}

func (e *engine) run(t trial, seen way) outcome {
	o := t.options()
	e.change(&o)
	o.Way, o.Brief = seen.note, true
	r, err := rehearsal.Run(o)
	if err != nil {
		return outcome{err: err, digest: sha256.Sum256([]byte(err.Error()))}
	}
	return outcome{digest: digest(r), ending: r.Ending, broken: r.Broken, happened: r.Happened}
}

func (t trial) options() rehearsal.Options {
	o := t.base.options()
	o.Seed, o.Script = t.seed, &t.script
	if t.seed == 1 {
		o.Undisturbed = &t.base.undisturbed
	}
	return o
}

// digest is what a run looked like from outside.
func digest(r rehearsal.Result) (sum [sha256.Size]byte) {
	h := sha256.New()
	line := func(words ...string) {
		for _, w := range words {
			_, _ = io.WriteString(h, w) // a hash takes everything
			_, _ = h.Write([]byte{0})
		}
	}
	line(r.Ending, r.Status)
	line(r.States...)
	for _, c := range r.Calls {
		at, _ := c.At.MarshalJSON()
		line(c.Service, c.Action, c.Error, string(at))
		line(c.Resources...)
	}
	for _, m := range r.Mails {
		line(m.Subject, m.Body)
	}
	line(r.Broken...)
	h.Sum(sum[:0])
	return sum
}

// shrink leaves out of a trial what its violation does not need.
func (e *engine) shrink(t trial) trial {
	wanted := e.run(t, newWay()).names()
	still := func(t trial) bool {
		now := e.run(t, newWay()).names()
		return len(wanted) > 0 && slices.Contains(now, wanted[0])
	}
	for again := true; again; {
		again = false
		for _, less := range lesser(t.script) {
			smaller := t
			smaller.script = less
			if still(smaller) {
				t, again = smaller, true
				break
			}
		}
	}
	return t
}

// lesser are the scripts that have one thing less.
func lesser(s rehearsal.Script) []rehearsal.Script {
	var all []rehearsal.Script
	without := func(n int, cut func(*rehearsal.Script, int)) {
		for i := range n {
			less := clone(s)
			cut(&less, i)
			all = append(all, less)
		}
	}
	without(len(s.Events), func(s *rehearsal.Script, i int) { s.Events = slices.Delete(s.Events, i, i+1) })
	without(len(s.People), func(s *rehearsal.Script, i int) { s.People = slices.Delete(s.People, i, i+1) })
	without(len(s.Others), func(s *rehearsal.Script, i int) { s.Others = slices.Delete(s.Others, i, i+1) })
	without(len(s.Storms), func(s *rehearsal.Script, i int) { s.Storms = slices.Delete(s.Storms, i, i+1) })
	without(len(s.Faults), func(s *rehearsal.Script, i int) { s.Faults = slices.Delete(s.Faults, i, i+1) })
	without(len(s.Redrives), func(s *rehearsal.Script, i int) { s.Redrives = slices.Delete(s.Redrives, i, i+1) })
	without(len(s.Stops), func(s *rehearsal.Script, i int) { s.Stops = slices.Delete(s.Stops, i, i+1) })
	without(len(s.Skew), func(s *rehearsal.Script, i int) {
		names := make([]string, 0, len(s.Skew))
		for name := range s.Skew {
			names = append(names, name)
		}
		slices.Sort(names)
		delete(s.Skew, names[i])
	})
	return all
}

// clone is a script through its file, as a replay reads it.
func clone(s rehearsal.Script) rehearsal.Script {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a script is not JSON: %v", err))
	}
	c, err := rehearsal.ParseScript(b)
	if err != nil {
		panic(fmt.Sprintf("a script of ours: %v", err))
	}
	return *c
}
