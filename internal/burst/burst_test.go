package burst_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cordon/internal/asl"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Lambda runs this many invocations at once in an account, and as few as ten in a new one.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	ordinary   = 1000
	newAccount = 10
)

// ratio is how much longer than the buckets make it the last of a burst may take.
const ratio = 1.15

// open is how long an interface may stand in the conversion group.
const open = 5 * time.Second

// outcome is what became of a run.
type outcome struct {
	contained  int           // instances of which every interface is in the quarantine group
	converted  int           // interfaces that came there through the conversion group, which ends their flows
	last       time.Duration // until the last of them was
	open       time.Duration // the longest stay in the conversion group
	protected  int           // instances kept from termination, their volumes with them
	locked     int           // snapshots
	calls      int           // requests of EC2
	throttled  int           // of these
	changes    int           // of these, changes of interfaces
	turned     int           // invocations that Lambda refused
	mails      int
	executions []asl.Result
}

// ended is how many executions ended in a state.
func (out outcome) ended(name string) (n int) {
	for _, e := range out.executions {
		if s := e.States; len(s) > 0 && s[len(s)-1].State == name {
			n++
		}
	}
	return n
}

// measure makes a run.
func measure(t *testing.T, o options) outcome {
	t.Helper()
	for k, v := range map[string]string{
		"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(k, v)
	}
	var out outcome
	synctest.Test(t, func(t *testing.T) {
		w := deploy(t, o)
		for _, e := range w.run() {
			out.executions = append(out.executions, e.Result())
		}
		if err := w.account.Unknown(); err != nil {
			t.Fatal(err)
		}
		out.calls, out.turned, out.mails = w.calls, w.turned, len(w.account.Mails())
		for action, n := range w.throttled {
			out.throttled += n
			if action == "ModifyNetworkInterfaceAttribute" {
				out.changes = n
			}
		}
		out.read(w)
	})
	return out
}

// read reads the account's calls: what a step says of itself counts for nothing.
func (out *outcome) read(w *world) {
	quarantine := map[string]bool{}
	converting := map[string]time.Time{}
	inside := map[string]int{}
	protected := map[string]int{}
	for _, c := range w.account.Calls() {
		if !c.Effective {
			continue
		}
		switch in := c.Input.(type) {
		case *ec2.CreateSecurityGroupInput:
			if aws.ToString(in.GroupName) == "quarantine-sg" {
				quarantine[aws.ToString(c.Output.(*ec2.CreateSecurityGroupOutput).GroupId)] = true
			}
		case *ec2.ModifyNetworkInterfaceAttributeInput:
			id := aws.ToString(in.NetworkInterfaceId)
			if !quarantine[in.Groups[0]] {
				converting[id] = c.At
				continue
			}
			if at, ok := converting[id]; ok {
				out.converted++
				out.open = max(out.open, c.Ended.Sub(at))
				delete(converting, id)
			}
			instance := id[:len("eni-0")+8]
			if inside[instance]++; inside[instance] == w.interfaces {
				out.contained++
				out.last = max(out.last, c.Ended.Sub(start))
			}
		case *ec2.ModifyInstanceAttributeInput:
			// Two attributes of the instance are otherwise than they should be, and one of its volumes.
			if protected[aws.ToString(in.InstanceId)]++; protected[aws.ToString(in.InstanceId)] == 3 {
				out.protected++
			}
		case *ec2.LockSnapshotInput:
			out.locked++
		}
	}
	if len(converting) > 0 {
		out.open = time.Hour // some stand there still
	}
}

// before counts the states that the execution entered before its instance was contained.
func (out outcome) before() (n int) {
	for _, s := range out.executions[0].States {
		if s.Entered.Before(start.Add(out.last)) {
			n++
		}
	}
	return n
}

// TestWireTellsWhatTheAccountTold: over a whole incident, a client reads from
// the wire what the account answered. A field lost on the way would change what
// is measured here.
func TestWireTellsWhatTheAccountTold(t *testing.T) {
	heard := 0
	measure(t, options{findings: 1, interfaces: 2, volumes: 2, concurrency: ordinary, heard: func(operation string, told, read any) {
		heard++
		if diff := gocmp.Diff(told, read, cmpopts.EquateEmpty(), gocmp.FilterPath(func(p gocmp.Path) bool {
			last := p.Last().String()
			return last == ".ResultMetadata" || last == ".noSmithyDocumentSerde" || last == ".Body" // streams are other values
		}, gocmp.Ignore())); diff != "" {
			t.Errorf("%s (-told +read):\n%s", operation, diff)
		}
	}})
	if heard < 50 {
		t.Errorf("only %d answers were read", heard)
	}
}

// TestBurstIsContained: more findings at once than EC2 has tokens for, in an
// ordinary account and in a new one. No instance is lost, none keeps the flows
// it had, none stands open, and no evidence is given up.
func TestBurstIsContained(t *testing.T) {
	for _, o := range []options{
		{findings: 50, interfaces: 1, volumes: 1, concurrency: ordinary},
		{findings: 40, interfaces: 2, volumes: 1, concurrency: newAccount},
	} {
		t.Run(fmt.Sprint(o.concurrency), func(t *testing.T) { measure(t, o).hold(t, o) })
	}
}

// breaker is how many isolations an hour pass it by default.
const breaker = 10

// TestBreakerHoldsABurst: with the breaker as it is by default ten are isolated
// and people are asked about every other one, which nobody answers.
func TestBreakerHoldsABurst(t *testing.T) {
	o := options{findings: 30, interfaces: 1, volumes: 1, concurrency: ordinary, braked: true}
	measure(t, o).holdBraked(t, o)
}

func (out outcome) holdBraked(t *testing.T, o options) {
	t.Helper()
	if out.contained != breaker || out.converted != breaker || out.open > open {
		t.Errorf("%d instances are contained, %d interfaces converted, the longest open for %v; want %d of each", out.contained, out.converted, out.open, breaker)
	}
	if got, want := out.ended("Not contained"), o.findings-breaker; got != want {
		t.Errorf("%d executions end Not contained, want %d: the others are lost without a word", got, want)
	}
	// One asks and one tells that nobody answered.
	if want := 2 * (o.findings - breaker); out.mails < want {
		t.Errorf("%d mails were sent, %d at least", out.mails, want)
	}
}

// hold holds a run to what must be true of every burst.
func (out outcome) hold(t *testing.T, o options) {
	t.Helper()
	if out.contained != o.findings {
		t.Errorf("%d of %d instances are contained: the others are lost", out.contained, o.findings)
	}
	if out.converted != o.findings*o.interfaces {
		t.Errorf("%d of %d interfaces were converted: the flows of the others live on", out.converted, o.findings*o.interfaces)
	}
	if out.open > open {
		t.Errorf("an interface stood open to the world for %v", out.open)
	}
	if out.protected != o.findings || out.locked != o.findings*o.volumes {
		t.Errorf("%d instances are protected and %d snapshots locked, of %d and %d", out.protected, out.locked, o.findings, o.findings*o.volumes)
	}
	if out.changes > 0 {
		t.Errorf("EC2 refused %d changes of interfaces: the queue lets too many through", out.changes)
	}
}

// TestFlat: what an incident takes does not grow with its instance.
func TestFlat(t *testing.T) {
	f := flat(t, 3)
	if f.ratio > 1.10 {
		t.Errorf("15 interfaces take %.3f times as long as one", f.ratio)
	}
	for _, out := range f.outcomes {
		if n := out.before(); n > 6 {
			t.Errorf("%d states are entered before the instance is contained", n)
		}
		if got, want := len(out.executions[0].States), len(f.outcomes[0].executions[0].States); got != want {
			t.Errorf("an incident enters %d states, with one interface and one volume %d", got, want)
		}
	}
}

type flatness struct {
	one, fifteen time.Duration // on the average
	ratio        float64
	outcomes     []outcome // the first is of one interface and one volume
}

func flat(t *testing.T, seeds int) flatness {
	t.Helper()
	var f flatness
	for seed := range seeds {
		o := options{findings: 1, interfaces: 1, volumes: 1, concurrency: ordinary, seed: uint64(seed + 1)}
		one := measure(t, o)
		o.interfaces = 15
		fifteen := measure(t, o)
		f.one, f.fifteen = f.one+one.last/time.Duration(seeds), f.fifteen+fifteen.last/time.Duration(seeds)
		f.outcomes = append(f.outcomes, one, fifteen)
	}
	f.outcomes = append(f.outcomes, measure(t, options{findings: 1, interfaces: 1, volumes: 15, concurrency: ordinary, seed: 1}))
	f.ratio = f.fifteen.Seconds() / f.one.Seconds()
	return f
}

var full = flag.Bool("full", false, "measure three hundred findings, as make bench-burst does")

// TestThreeHundred is the benchmark. It measures virtual time, so that it tells
// the same on a slow machine as on a fast one.
func TestThreeHundred(t *testing.T) {
	if !*full {
		t.Skip("takes minutes; make bench-burst runs it")
	}
	ours := options{findings: 300, interfaces: 1, volumes: 2, concurrency: ordinary}
	anew := ours
	anew.concurrency = newAccount
	braked := ours
	braked.braked = true
	bare := ours
	bare.missing = []string{"preserve", "snapshot", "memory"}
	standard := ours
	standard.retryer = func() aws.Retryer { return retry.NewStandard() }
	alone := standard
	alone.change = untried
	limit := bound(ours.findings * ours.interfaces * 2)
	fmt.Printf("%d findings at once, one interface each; EC2's buckets let the last change of an interface through after %v\n\n", ours.findings, limit)
	fmt.Printf("%-52s %9s %9s %8s %6s %6s %9s %9s %9s\n", "", "contained", "converted", "last", "ratio", "open", "protected", "calls", "throttled")
	for _, run := range []struct {
		name string
		options
		held bool
	}{
		{"Cordon", ours, true},
		{"Cordon, Lambda runs 10 at once", anew, true},
		{"Cordon, with the breaker as it is by default", braked, false},
		{"Cordon, were there no evidence to take", bare, false},
		{"Cordon, with the SDK's default policy", standard, false},
		{"the SDK's default policy alone: no retries, no turns", alone, false},
	} {
		out := measure(t, run.options)
		fmt.Printf("%-52s %9d %9d %7.1fs %6.2f %5.1fs %9d %9d %9d\n", run.name, out.contained, out.converted, out.last.Seconds(),
			out.last.Seconds()/limit.Seconds(), out.open.Seconds(), out.protected, out.calls, out.throttled)
		switch {
		case run.braked:
			out.holdBraked(t, run.options)
		case run.held:
			out.hold(t, run.options)
		}
		// With ten at once it is Lambda that the last waits for, not EC2.
		if got := out.last.Seconds() / limit.Seconds(); run.name == "Cordon" && got > ratio {
			t.Errorf("the last is contained after %.3f times the bound, %.2f at most", got, ratio)
		}
	}
	f := flat(t, 12)
	fmt.Printf("\nto contain one instance: %.2fs with 1 interface, %.2fs with 15, ratio %.2f\n", f.one.Seconds(), f.fifteen.Seconds(), f.ratio)
	most := slices.MaxFunc(f.outcomes, func(a, b outcome) int { return cmp.Compare(a.before(), b.before()) })
	fmt.Printf("states entered before it is contained: %d; in the whole incident: %d with 1 interface and 1 volume, %d with 15 interfaces, %d with 15 volumes\n",
		most.before(), len(f.outcomes[0].executions[0].States), len(f.outcomes[1].executions[0].States), len(f.outcomes[len(f.outcomes)-1].executions[0].States))
}

// untried takes all retries out of a definition, and the waiting for a turn.
func untried(definition map[string]any) {
	for _, s := range definition["States"].(map[string]any) {
		state := s.(map[string]any)
		delete(state, "Retry")
		if branches, ok := state["Branches"].([]any); ok {
			for _, b := range branches {
				untried(b.(map[string]any))
			}
		}
		if state["Next"] == "Protect and snapshot" && state["Type"] == "Wait" {
			state["Seconds"] = 0
		}
	}
}
