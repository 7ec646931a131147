// Package faults_test runs incidents under faults: one at every call, all pairs
// within isolation and within termination, and what seeds draw. After each
// run the invariants of internal/rehearsal are checked; docs/reliability.md says
// what came of it.
package faults_test

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

var (
	full    = flag.Bool("full", false, "run the whole campaign, and report: make test-faults")
	every   = flag.Bool("every", false, "with one fault of every kind at every call, and not of one kind each: make test-faults ALL=1")
	singles = flag.Int("singles", math.MaxInt, "how many of the runs with one fault with -full, spread over them")
	seeds   = flag.Int("seeds", 10_000, "how many random runs with -full")
	from    = flag.Int("from", 1, "the first of them")
	share   = flag.String("share", "1/1", "which part of the runs with one fault with -full: 2/3 is every third of them, from the second on")
	out     = flag.String("out", "../../bin/faults", "where what replays a violation is written")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A run leaves megabytes behind and keeps little: to collect at each doubling
	// takes a third more processor time. Without the limit two workers hold 2 GB.
	debug.SetGCPercent(1000)
	debug.SetMemoryLimit(1 << 30)
	os.Exit(m.Run())
}

func unchanged(*rehearsal.Options) {}

// How many trials with one fault a thinned incident has: of every kind at every call,
// and of one kind at each call.
const mostThinned, mostThinnedOnce = 400, 40

// hit is one fault: a call of an incident's undisturbed run, and what goes wrong there.
type hit struct {
	base *base
	call rehearsal.Call
	kind sim.Kind
}

// what names a hit by what a function calls, wherever it does, and the fault there.
func (h hit) what() string {
	return fmt.Sprintf("%s, %s:%s=%s", h.call.By, h.call.Service, h.call.Action, h.kind)
}

// alone are the trials with these faults, one each.
func alone(hits []hit) []trial {
	var trials []trial
	for _, h := range hits {
		trials = append(trials, trial{h.base, 1, h.base.under(fault(h.call, h.kind))})
	}
	return trials
}

// single is every kind at every call, but for thinned incidents, of which only some are.
func single(all []*base) []hit {
	var hits []hit
	for _, b := range all {
		own := hitsOf(b)
		if b.thinned {
			own = thin(own, mostThinned)
		}
		hits = append(hits, own...)
	}
	return withEveryKind(hits, all)
}

func hitsOf(b *base) []hit {
	var hits []hit
	for _, c := range b.undisturbed.Calls {
		for _, k := range kinds(c) {
			hits = append(hits, hit{b, c, k})
		}
	}
	return hits
}

// everyHit is every kind at every call of all incidents.
func everyHit(all []*base) []hit {
	var hits []hit
	for _, b := range all {
		hits = append(hits, hitsOf(b)...)
	}
	return hits
}

// once is one kind at every call, but for thinned incidents. The kinds take turns at
// what a function calls, over all incidents.
func once(all []*base) []hit {
	var hits []hit
	turn := map[string]int{}
	for _, b := range all {
		calls := b.undisturbed.Calls
		if b.thinned {
			calls = thin(calls, mostThinnedOnce)
		}
		for _, c := range calls {
			h := hit{base: b, call: c}
			at, usual := h.what(), kinds(c)
			h.kind = usual[turn[at]%len(usual)]
			turn[at]++
			hits = append(hits, h)
		}
	}
	return withEveryKind(hits, all)
}

// withEveryKind adds one hit for each kind at what a function calls that did not come.
func withEveryKind(hits []hit, all []*base) []hit {
	came := map[string]bool{}
	for _, h := range hits {
		came[h.what()] = true
	}
	for _, h := range everyHit(all) {
		if !came[h.what()] {
			hits, came[h.what()] = append(hits, h), true
		}
	}
	return hits
}

// reach is how much of what there is some hits come to.
type reach struct {
	calls, whole int // of all incidents, of those that are not thinned
	whats        int // kinds of fault at what a function calls
}

func reached(hits []hit) reach {
	var r reach
	calls, whats := map[string]bool{}, map[string]bool{}
	for _, h := range hits {
		whats[h.what()] = true
		if call := h.base.name + " " + fault(h.call, ""); !calls[call] {
			calls[call] = true
			r.calls++
			if !h.base.thinned {
				r.whole++
			}
		}
	}
	r.whats = len(whats)
	return r
}

// pairs are two faults at two calls of one function in its first run that does
// something, each of the kinds that differ for what the function does next.
func pairs(all []*base) []trial {
	var trials []trial
	for _, p := range []struct{ base, function string }{{"plain, kept", "isolate"}, {"plain, terminated", "terminate"}} {
		b := all[slices.IndexFunc(all, func(b *base) bool { return b.name == p.base })]
		var calls []rehearsal.Call
		for _, c := range b.undisturbed.Calls {
			if c.By == p.function && (len(calls) == 0 || c.At-calls[0].At < 15) {
				calls = append(calls, c)
			}
		}
		for n, first := range calls {
			for _, second := range calls[n+1:] {
				for _, k := range []sim.Kind{sim.Throttled, sim.Lost, sim.KilledBefore, sim.KilledAfter} {
					for _, l := range []sim.Kind{sim.Throttled, sim.Lost, sim.KilledBefore, sim.KilledAfter} {
						if slices.Contains(kinds(first), k) && slices.Contains(kinds(second), l) {
							trials = append(trials, trial{b, 1, b.under(fault(first, k), fault(second, l))})
						}
					}
				}
			}
		}
	}
	return trials
}

// again are two faults at one call that changes something outside the stack: as it is
// first made, and as it is made again because of that. No undisturbed run has the second.
func again(all []*base) []trial {
	var trials []trial
	for _, b := range all {
		if b.name != "plain, kept" && b.name != "plain, terminated" {
			continue
		}
		for _, c := range b.undisturbed.Calls {
			if !c.Mutating || !slices.Contains([]string{"ec2", "ssm", "autoscaling"}, c.Service) {
				continue
			}
			next := c
			next.Number++
			for _, k := range []sim.Kind{sim.Throttled, sim.Lost, sim.KilledAfter} {
				trials = append(trials, trial{b, 1, b.under(fault(c, k), fault(next, k))})
			}
		}
	}
	return trials
}

func random(all []*base, from, n int) []trial {
	var trials []trial
	for seed := range n {
		trials = append(trials, drawn(all, uint64(from+seed)))
	}
	return trials
}

// thin is every so manieth, at most n of them.
func thin[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	some := make([]T, n)
	for i := range some {
		some[i] = all[i*len(all)/n]
	}
	return some
}

// shared is a share of the hits: the shares of a campaign make up the whole.
func shared(t *testing.T, hits []hit, share string) (some []hit) {
	t.Helper()
	var which, of int
	if n, err := fmt.Sscanf(share, "%d/%d", &which, &of); n != 2 || err != nil || which < 1 || which > of {
		t.Fatalf("-share %q: want N/M", share)
	}
	for n := which - 1; n < len(hits); n += of {
		some = append(some, hits[n])
	}
	return some
}

// TestFaults is the campaign: whole with -full, else a sample that takes seconds.
func TestFaults(t *testing.T) {
	began, worked := time.Now(), processorTime(t)
	all := bases(t)
	e := newEngine(unchanged)
	for _, b := range all {
		e.run(trial{b, 1, b.under()}, e.seen)
	}
	hits := once(all)
	if *every {
		hits = single(all)
	}
	hits = thin(shared(t, hits, *share), *singles)
	one, both, drawn := alone(hits), append(pairs(all), again(all)...), random(all, *from, *seeds)
	if !*full {
		one, both, drawn = thin(one, 100), thin(both, 20), thin(drawn, 40)
	}
	if testing.Short() {
		one, both, drawn = thin(one, 1), thin(both, 1), random(all, 1, 200)
	}
	// What the base incidents do not come by themselves: TestEveryWay, where not all
	// is run.
	var led []trial
	if *full {
		led = ways(all)
	}
	var r report
	var costs []string
	r.bases(all)
	for _, part := range []struct {
		name   string
		trials []trial
	}{{"every way", led}, {"one fault", one}, {"two faults", both}, {"random", drawn}} {
		if *only != "" && part.name != *only {
			continue
		}
		before := processorTime(t)
		r.part(t, e, part.name, part.trials)
		costs = append(costs, fmt.Sprintf("%s %.1f s", part.name, (processorTime(t)-before).Seconds()))
	}
	r.reach(reached(hits), reached(everyHit(all)))
	r.coverage(t, e.seen, *full && *only == "")
	if *full {
		fmt.Print(r.String())
		fmt.Printf("took %.1f s, %.1f s of processor time: %s\ndigest %x\n", time.Since(began).Seconds(), (processorTime(t) - worked).Seconds(), strings.Join(costs, ", "), r.digest.Sum(nil))
	}
}

// What a campaign without ALL says of itself: one fault at every call of the incidents
// that are not thinned, and every kind of fault at whatever a function calls.
func TestEveryCallIsHit(t *testing.T) {
	all := bases(t)
	hits := once(all)
	of := reached(everyHit(all))
	for _, got := range []reach{reached(hits), reached(single(all))} {
		if got.whole != of.whole || got.whats != of.whats {
			t.Errorf("%+v is hit of %+v", got, of)
		}
	}
	if len(hits) < 5000 {
		t.Errorf("%d runs with one fault, want 5,000", len(hits))
	}
	for _, b := range all {
		of := reached(hitsOf(b)).calls
		if got := reached(slices.DeleteFunc(slices.Clone(hits), func(h hit) bool { return h.base != b })).calls; got < min(of, mostThinnedOnce) {
			t.Errorf("%s: a fault at %d of %d calls", b.name, got, of)
		}
	}
}

// A run is the same whatever else runs beside it, on any number of workers.
func TestDigestIsTheSameAgain(t *testing.T) {
	all := bases(t)
	trials := append(alone(thin(single(all), 6)), random(all, 500, 6)...)
	e := newEngine(unchanged)
	together := e.all(trials)
	for n, trial := range trials {
		if alone := e.run(trial, newWay()); alone.digest != together[n].digest {
			t.Errorf("%s, seed %d: another run beside others", trial.base.name, trial.seed)
		}
	}
}

// A replay that does not show the violation says so.
func TestReplayShowsIt(t *testing.T) {
	was := *out
	*out = t.TempDir()
	defer func() { *out = was }()
	e := newEngine(unchanged)
	for _, b := range bases(t) {
		if b.name != "two people by command" {
			continue
		}
		other := *b
		other.undisturbed.Ending = "Elsewhere" // so that every run ends as another
		tr := trial{&other, 1, other.under(fault(b.undisturbed.Calls[0], sim.Throttled))}
		said := violation(t, e, tr, e.run(tr, newWay()))
		if !strings.Contains(said, "Converges") || !strings.Contains(said, "says of it: []; here it is held against") {
			t.Errorf("whoever replays it is not told that the command holds it against nothing:\n%s", said)
		}
		if !strings.Contains(said, "--script "+*out) {
			t.Errorf("the files are not where the replay looks for them, %s:\n%s", *out, said)
		}
	}
}

// violation writes what replays a trial and says how.
func violation(t *testing.T, e *engine, tr trial, o outcome) string {
	t.Helper()
	tr = e.shrink(tr)
	run := tr.options()
	e.change(&run)
	r, err := rehearsal.Run(run)
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(tr.base.name+tr.line())))[:10]
	dir, err2 := filepath.Abs(*out)
	if err2 != nil {
		t.Fatal(err2)
	}
	checkout, err2 := filepath.Abs(root)
	if err2 != nil {
		t.Fatal(err2)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	// As they are: the names of executions and of kept events are of the event's bytes.
	write := func(kind string, b []byte) string {
		file := filepath.Join(dir, name+"-"+kind+".json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if rel, err := filepath.Rel(checkout, file); err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return file
	}
	words := []string{"go run ./cmd/cordon rehearse", fmt.Sprint("--seed ", tr.seed), "--decision " + tr.base.decision, "--account " + write("account", tr.base.account)}
	for _, k := range slices.Sorted(maps.Keys(tr.base.parameters)) {
		words = append(words, "--parameter '"+k+"="+tr.base.parameters[k]+"'")
	}
	words = append(words, "--script "+write("script", []byte(tr.line())), write("event", tr.base.event))
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\tseed %d, shrunk to %s\n", tr.base.name, strings.Join(append(r.Broken, errorText(err)...), "; "), tr.seed, tr.line())
	if err != nil {
		fmt.Fprintf(&b, "\t%v\n", o.err)
	}
	for _, c := range r.Calls {
		if c.Error != "" || c.Mutating && !slices.Contains([]string{"dynamodb", "s3", "kms", "sns", "sfn"}, c.Service) {
			fmt.Fprintf(&b, "\t%9.3f %s %s:%s %s %s\n", float64(c.At), c.By, c.Service, c.Action, strings.Join(c.Resources, " "), c.Error)
		}
	}
	fmt.Fprintf(&b, "\tends as %q, %s\n\treplay: %s", r.Ending, r.Status, strings.Join(words, " "))
	// The command knows no undisturbed run of an incident with people of its own.
	if run.Undisturbed = nil; len(r.Broken) > 0 {
		if alone, err := rehearsal.Run(run); err == nil && !slices.Equal(alone.Broken, r.Broken) {
			fmt.Fprintf(&b, "\n\twhich shows the same run, and says of it: %q; here it is held against the incident's own, which ends as %q", alone.Broken, tr.base.undisturbed.Ending)
		}
	}
	return b.String()
}

func errorText(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

// line is the script as its file holds it.
func (t trial) line() string {
	b, err := json.Marshal(t.script)
	if err != nil {
		panic(err) // numbers and strings
	}
	return string(b)
}

// BenchmarkFaults says how many runs a second one worker makes, and what a run
// costs where others are at work on the same cores.
func BenchmarkFaults(b *testing.B) {
	all := bases(b)
	e := newEngine(unchanged)
	for _, part := range []struct {
		name   string
		trials []trial
	}{{"one", alone(thin(single(all), 400))}, {"random", random(all, 1, 400)}} {
		b.Run(part.name, func(b *testing.B) {
			worked, n := processorTime(b), 0
			for b.Loop() {
				e.run(part.trials[n%len(part.trials)], e.seen)
				n += 7 // meets every trial, and every base soon
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
			b.ReportMetric((processorTime(b)-worked).Seconds()*1000/float64(b.N), "cpu-ms/run")
		})
	}
}

// processorTime is what this process took of it, its own and the kernel's for it.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
