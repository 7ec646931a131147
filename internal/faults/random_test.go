package faults_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"

	"cordon/internal/incident"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// drawn is what a seed does to an incident.
func drawn(all []*base, seed uint64) trial {
	r := rand.New(rand.NewPCG(seed, 8))
	t := trial{base: pick(all, r.Float64()), seed: 1 + r.Uint64N(1<<32)}
	t.script = t.base.under()
	calls := t.base.undisturbed.Calls
	s := &t.script

	// Faults come in clusters as often as alone.
	at := r.IntN(len(calls))
	hit := map[string]bool{}
	for range r.IntN(5) {
		if r.IntN(2) == 0 {
			at = r.IntN(len(calls))
		} else {
			at = min(at+r.IntN(8), len(calls)-1)
		}
		all := kinds(calls[at])
		f := fault(calls[at], all[r.IntN(len(all))])
		name := fault(calls[at], "")
		if !hit[name] {
			s.Faults, hit[name] = append(s.Faults, f), true
		}
	}
	if r.IntN(4) == 0 {
		return held(t)
	}
	end := float64(calls[len(calls)-1].At) + 60
	moment := func() float64 {
		if r.IntN(2) == 0 {
			return round(r.Float64() * min(end, 30))
		}
		return round(r.Float64() * min(end, 4000))
	}
	for r.IntN(3) == 0 && len(s.Storms) < 3 {
		from := moment()
		storm := rehearsal.Storm{
			From: from, Until: round(from + []float64{2, 10, 60, 300}[r.IntN(4)]),
			Calls: storms[r.IntN(len(storms))], Kind: []sim.Kind{sim.Denied, sim.Throttled, sim.Unavailable}[r.IntN(3)],
		}
		// One role that lost a right, as often as everybody's, and for as long as it takes.
		if by := calls[r.IntN(len(calls))].By; storm.Kind == sim.Denied && by != "" && r.IntN(2) == 0 {
			storm.By, storm.Until = by, round(from+[]float64{60, 600, 6000, days}[r.IntN(4)])
		}
		s.Storms = append(s.Storms, storm)
	}
	for r.IntN(2) == 0 && len(s.Others) < 3 {
		s.Others = append(s.Others, rehearsal.Doing{At: moment(), What: sim.Doings()[r.IntN(len(sim.Doings()))]})
	}
	for r.IntN(3) == 0 && len(s.Events) < 3 {
		d := rehearsal.Delivery{At: round(r.Float64() * 60)}
		if n := r.IntN(len(t.base.racing) + 2); n < len(t.base.racing) {
			d.Event = t.base.racing[n]
		}
		s.Events = append(s.Events, d)
	}
	for r.IntN(3) == 0 && len(s.People) < 3 {
		all := incident.Choices
		s.People = append(s.People, rehearsal.Choosing{After: round(r.Float64() * 120), Choice: all[r.IntN(len(all))]})
	}
	for r.IntN(5) == 0 && len(s.Skew) < 3 {
		if s.Skew == nil {
			s.Skew = map[string]rehearsal.Skew{}
		}
		if name := calls[r.IntN(len(calls))].By; name != "" {
			s.Skew[name] = rehearsal.Skew(round(r.Float64()*2 - 1))
		}
	}
	operated(s, rand.New(rand.NewPCG(seed, 9)), end)
	deceived(&t, rand.New(rand.NewPCG(seed, 10)), end)
	hurried(s, rand.New(rand.NewPCG(seed, 11)), end, t.base.racing)
	dispossessed(s, rand.New(rand.NewPCG(seed, 12)), t.base)
	t.script = clone(t.script)
	return held(t)
}

// held gives a trial that has nothing but faults the seed of the incident's undisturbed
// run, against which it is held: with another one, that would be run as well.
func held(t trial) trial {
	if len(t.script.Faults) > 0 && reflect.DeepEqual(t.script, t.base.under(t.script.Faults...)) {
		t.seed = 1
	}
	return t
}

// pick is the incident at a place between 0 and 1, where each has as much room as its weight.
func pick(all []*base, at float64) *base {
	total := 0.0
	for _, b := range all {
		total += b.weight()
	}
	at *= total
	for _, b := range all {
		if at -= b.weight(); at < 0 {
			return b
		}
	}
	return all[len(all)-1]
}

// weight is how often an incident is drawn: one that takes many calls the less often,
// since most of them are the same rounds again, and the longest forty times in 10,000.
func (b *base) weight() float64 {
	const usual, least = 330, 0.13
	return min(1, max(least, usual/float64(len(b.undisturbed.Calls))))
}

// deceived lets somebody forge a decision or, where people sign in, who they are, in
// one run of twelve or three, and has one of eight in Japanese. It draws from a stream of
// its own, too.
func deceived(t *trial, r *rand.Rand, end float64) {
	if r.IntN(8) == 0 {
		t.base = japanese(t.base)
	}
	if r.IntN(12) == 0 {
		t.script.Others = append(t.script.Others, rehearsal.Doing{At: round(r.Float64() * min(end, 120)), What: []string{"forge decision", "forge release"}[r.IntN(2)]})
	}
	if t.base.parameters["ApprovalIdentity"] == "VerifiedAccess" && r.IntN(3) == 0 {
		all := incident.Choices
		t.script.People = append(t.script.People, rehearsal.Choosing{
			After: round(r.Float64() * 120), Choice: all[r.IntN(len(all))], As: []string{"sato", rehearsal.User}[r.IntN(2)], Forged: sim.Forgeries[r.IntN(len(sim.Forgeries))],
		})
	}
}

// operated lets an operator who waits for what was invoked stop the execution and
// redrive it, in one run of five without an event more. It draws from a stream of its
// own, so that the other runs are what they were.
func operated(s *rehearsal.Script, r *rand.Rand, end float64) {
	if len(s.Events) > 0 || r.IntN(5) > 0 {
		return
	}
	for range 1 + r.IntN(2) {
		at := round(r.Float64() * min(end, []float64{3, 30, 4000}[r.IntN(3)]))
		if r.IntN(6) > 0 {
			s.Stops = append(s.Stops, rehearsal.Moving{At: at})
		}
		if r.IntN(6) > 0 {
			s.Redrives = append(s.Redrives, rehearsal.Moving{At: round(at + slowest + r.Float64()*[]float64{10, 600, 10_000, days}[r.IntN(4)])})
		}
	}
	s.Redrives = slices.DeleteFunc(s.Redrives, func(again rehearsal.Moving) bool {
		return slices.ContainsFunc(s.Stops, func(stop rehearsal.Moving) bool { return again.At >= stop.At && again.At < stop.At+slowest })
	})
}

// hurried lets an operator who does not wait do the same in one run of eight, also
// where an event more comes meanwhile and another execution takes the incident over. It
// draws from a stream of its own, too.
func hurried(s *rehearsal.Script, r *rand.Rand, end float64, racing []json.RawMessage) {
	if r.IntN(8) > 0 {
		return
	}
	soon := func(at float64) float64 { return round(at + r.Float64()*[]float64{0.3, 3, 30, 600}[r.IntN(4)]) }
	for range 1 + r.IntN(2) {
		at := round(r.Float64() * min(end, []float64{3, 30, 300}[r.IntN(3)]))
		s.Stops = append(s.Stops, rehearsal.Moving{At: at})
		again := soon(at)
		if r.IntN(2) == 0 {
			d := rehearsal.Delivery{At: soon(at)}
			if n := r.IntN(len(racing) + 2); n < len(racing) {
				d.Event = racing[n]
			}
			s.Events = append(s.Events, d)
			if r.IntN(2) == 0 {
				again = soon(d.At)
			}
		}
		s.Redrives = append(s.Redrives, rehearsal.Moving{At: again})
	}
}

// dispossessed lets an execution lose its incident where something is carried out, in one
// run of twenty that has no event more: that fails for a while, others undo the isolation, an operator
// stops the execution, another finding takes the incident over, and the first execution
// is redriven, mostly before people are asked anew. It draws from a stream of its own.
func dispossessed(s *rehearsal.Script, r *rand.Rand, b *base) {
	if len(s.Events) > 0 || r.IntN(20) > 0 {
		return
	}
	acts := slices.DeleteFunc([]string{"authorize", "terminate", "release", "close", "credentials", "memory", "isolate"}, func(f string) bool { return !b.calls(f) })
	if len(acts) == 0 || len(b.racing) == 0 {
		return
	}
	function := acts[r.IntN(len(acts))]
	at := b.first(function, "*") + r.Float64()
	if r.IntN(4) > 0 {
		s.Storms = append(s.Storms, rehearsal.Storm{From: round(max(0, at-1)), Until: round(at + 4), Calls: []string{"ec2:*", "dynamodb:*"}[r.IntN(2)], By: function, Kind: sim.Throttled})
	}
	s.Others = append(s.Others, rehearsal.Doing{At: round(at + 1), What: []string{"reconnect", "attach"}[r.IntN(2)]})
	s.Stops = append(s.Stops, rehearsal.Moving{At: round(at + 1 + r.Float64())})
	taken := at + 2 + 2*r.Float64()
	s.Events = append(s.Events, rehearsal.Delivery{At: round(taken), Event: b.racing[r.IntN(len(b.racing))]})
	again := round(taken + r.Float64()*[]float64{2, 2, 30, 600}[r.IntN(4)])
	s.Redrives = append(s.Redrives, rehearsal.Moving{At: again, First: true})
}

// slowest is how many seconds a function that changes the network may take, and more.
const slowest = 70

// storms are the calls that a storm hits.
var storms = []string{
	"*", "*", "ec2:*", "ec2:Describe*", "ec2:ModifyNetworkInterfaceAttribute", "ec2:CreateSecurityGroup", "ec2:TerminateInstances", "ec2:CreateTags",
	"dynamodb:*", "dynamodb:PutItem", "dynamodb:GetItem", "kms:*", "s3:*", "ssm:*", "sns:*", "sfn:*",
}

func round(f float64) float64 { return math.Round(f*1000) / 1000 }
