package rehearsal_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// hits are the faults that a single call can meet and that end by themselves.
// What changes nothing cannot be lost.
var hits = map[bool][]sim.Kind{
	true:  {sim.Denied, sim.Throttled, sim.Lost, sim.KilledBefore, sim.KilledAfter},
	false: {sim.Denied, sim.Throttled, sim.KilledBefore},
}

// sweep are faults on the first call of each action by each function: one kind
// in turn, or every kind where all is true.
func sweep(calls []sim.Call, all bool) []sim.Fault {
	done := map[string]bool{}
	var faults []sim.Fault
	for _, c := range calls {
		function := "the rules"
		if c.By != nil {
			function = c.By.Function
		}
		key := function + " " + c.Service + ":" + c.Action
		if done[key] {
			continue
		}
		done[key] = true
		kinds := hits[c.Mutating]
		if !all {
			kinds = kinds[len(done)%len(kinds):][:1]
		}
		for _, k := range kinds {
			faults = append(faults, sim.Fault{Service: c.Service, Action: c.Action, Number: c.Number, Kind: k})
		}
	}
	return faults
}

// A call that fails once changes neither the ending nor what holds.
func TestOneFaultChangesNothing(t *testing.T) {
	event := readFile(t, "plain.json")
	for _, c := range []struct {
		decision string
		of       string // only the calls of that function, by every kind; empty: of all, by one kind each
		settings map[string]string
	}{
		{"terminate", "", nil}, {"terminate", "terminate", nil}, {"release", "release", nil},
		{"leave", "enrich", always}, {"leave", "approval", always}, {"isolate", "authorize", always}, {"leave", "", always}, {"none", "", map[string]string{"DryRun": "true"}},
	} {
		t.Run(strings.TrimSpace(fmt.Sprint(c.decision, " ", c.of, " ", c.settings)), func(t *testing.T) {
			o := decides(options(event), c.decision)
			o.Parameters = c.settings
			// A small memory is captured by the same calls, only fewer of them.
			o.Account = around(t, event, func(a object) { a["Behaviour"] = object{"MemoryGiB": 1} })
			undisturbed, calls, err := rehearsal.Recorded(o, func(string, []byte, []byte) {})
			if err != nil {
				t.Fatal(err)
			}
			if c.of != "" {
				var some []sim.Call
				for _, call := range calls {
					if call.By != nil && call.By.Function == c.of {
						some = append(some, call)
					}
				}
				calls = some
			}
			faults := sweep(calls, c.of != "")
			if testing.Short() {
				faults = faults[:min(len(faults), 5)]
			}
			for f, how := range tryAll(o, undisturbed, faults) {
				t.Errorf("with memory of 1 GiB: cordon rehearse --decision %s --fault %v events/plain.json\n\t%s", c.decision, f, how)
			}
		})
	}
}

// always asks before it isolates.
var always = map[string]string{"MaxIsolationsPerHour": "0"}

// tryAll runs each fault alone and says what went wrong with it.
func tryAll(o rehearsal.Options, undisturbed rehearsal.Result, faults []sim.Fault) map[sim.Fault]string {
	wrong := map[sim.Fault]string{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	work := make(chan sim.Fault)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for f := range work {
				if how := try(o, undisturbed, f); how != "" {
					mu.Lock()
					wrong[f] = how
					mu.Unlock()
				}
			}
		})
	}
	for _, f := range faults {
		work <- f
	}
	close(work)
	workers.Wait()
	return wrong
}

func try(o rehearsal.Options, undisturbed rehearsal.Result, f sim.Fault) string {
	o.Faults, o.Undisturbed = []sim.Fault{f}, &undisturbed
	r, err := rehearsal.Run(o)
	switch {
	case err != nil:
		return err.Error()
	case len(r.Broken) > 0:
		return strings.Join(r.Broken, "; ")
	case r.Ending != undisturbed.Ending:
		return fmt.Sprintf("ended as %q, undisturbed as %q", r.Ending, undisturbed.Ending)
	}
	return ""
}
