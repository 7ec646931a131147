package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"cordon/internal/rehearsal"
)

func asBytes(t testing.TB, r rehearsal.Result) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A seed that found something must find it again, on any machine.
func TestSameSeedSameBytes(t *testing.T) {
	for _, decision := range []string{"terminate", "release"} {
		o := decides(options(readFile(t, "plain.json")), decision)
		o.Seed = 7
		first, again := asBytes(t, run(t, o)), asBytes(t, run(t, o))
		if !bytes.Equal(first, again) {
			n := 0
			for n < min(len(first), len(again)) && first[n] == again[n] {
				n++
			}
			t.Errorf("%s: two runs of the same seed differ: …%s… and …%s…", decision, first[max(0, n-80):min(len(first), n+80)], again[max(0, n-80):min(len(again), n+80)])
		}
	}
}

// Latencies and the order of what happens at once decide nothing.
func TestEverySeedEndsAlike(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for _, decision := range []string{"terminate", "keep", "release", "none"} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			o := decides(options(readFile(t, "plain.json")), decision)
			want := run(t, o)
			var calls [][]byte
			for seed := range seeds {
				o.Seed = uint64(seed) + 2
				r := run(t, o)
				if r.Ending != want.Ending || r.Status != want.Status {
					t.Errorf("seed %d ended as %q (%s), seed 1 as %q (%s)", o.Seed, r.Ending, r.Status, want.Ending, want.Status)
				}
				b, err := json.Marshal(r.Calls)
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, b)
			}
			if bytes.Equal(calls[0], calls[1]) {
				t.Error("two seeds made the same run: the seed decides nothing")
			}
		})
	}
}

// Worlds share nothing that changes.
func TestWorldsAreIndependent(t *testing.T) {
	var all []rehearsal.Options
	for seed := range uint64(2) {
		for _, decision := range []string{"terminate", "keep", "release", "none"} {
			o := decides(options(readFile(t, "plain.json")), decision)
			o.Seed = seed + 1
			all = append(all, o)
		}
	}
	alone := make([][]byte, len(all))
	for n, o := range all {
		alone[n] = asBytes(t, run(t, o))
	}
	together := make([]rehearsal.Result, len(all))
	failed := make([]error, len(all))
	var worlds sync.WaitGroup
	for n := range all {
		worlds.Go(func() { together[n], failed[n] = rehearsal.Run(all[n]) })
	}
	worlds.Wait()
	for n := range all {
		if failed[n] != nil {
			t.Error(failed[n])
		} else if !bytes.Equal(asBytes(t, together[n]), alone[n]) {
			t.Errorf("world %d of %d went otherwise beside others than alone", n, len(all))
		}
	}
	if slices.EqualFunc(alone[:1], alone[4:5], bytes.Equal) {
		t.Error("two seeds made the same run")
	}
}

func BenchmarkIncident(b *testing.B) {
	o := decides(options(readFile(b, "plain.json")), "terminate")
	for b.Loop() {
		r, err := rehearsal.Run(o)
		if err != nil {
			b.Fatal(err)
		}
		if r.Ending != "Terminated" {
			b.Fatalf("ended as %q", r.Ending)
		}
	}
}

// The calls of a whole incident, with few parts of memory: what a campaign of
// faults costs, a run.
func BenchmarkSmallIncident(b *testing.B) {
	o := decides(options(plainEvent(b, func(detail object) {
		detail["resource"].(object)["instanceDetails"].(object)["instanceType"] = "t3.nano"
	})), "terminate")
	for b.Loop() {
		if _, err := rehearsal.Run(o); err != nil {
			b.Fatal(err)
		}
	}
}
