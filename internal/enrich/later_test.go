package enrich_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cordon/internal/enrich"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
)

// wish is an operator's wish to decide about an incident.
func wish(id string) string {
	return fmt.Sprintf(`{"version": "0", "id": "e-9", "detail-type": "Cordon Decision Wanted", "source": "cordon", "account": "123456789012",
		"time": "2026-06-01T11:59:00Z", "region": "eu-west-1", "detail": {"stack": "cordon", "incident": %q}}`, id)
}

// left is an account with one incident that an execution, now over, has worked on.
func left(t *testing.T, state record.State, released *incident.Restoration, faults ...sim.Fault) *world {
	t.Helper()
	w := open(t, file, faults...)
	first := w.must(event, another)
	isolated := contained
	isolated.StaysOpen = []string{"dns"}
	w.save(first.Incident.ID, "isolate", isolated)
	if released != nil {
		w.save(first.Incident.ID, "release", *released)
	}
	if state != record.Open {
		w.end(first.Incident.ID, state)
	}
	return w
}

var inPart = &incident.Restoration{Report: incident.Report{Status: incident.Partial, Reason: "not back: groups of eni-1"}, Restored: []string{}, NotBack: []string{"groups of eni-1"}}

func TestLater(t *testing.T) {
	whole := &incident.Restoration{Report: incident.Report{Status: incident.OK}, Connected: true}
	for name, c := range map[string]struct {
		state    record.State
		released *incident.Restoration
		verdict  enrich.Verdict
		standing enrich.Standing
		says     string
	}{
		"nobody decided":   {record.Open, nil, enrich.Later, enrich.Undecided, "nobody works on it any more, and no decision of it was carried out; contained as seen when people were asked"},
		"kept":             {record.Kept, nil, enrich.Later, enrich.Kept, "keep the instance isolated; contained as seen when people were asked"},
		"released in part": {record.Released, inPart, enrich.Later, enrich.Released, "did not bring everything back"},
		"released":         {record.Released, whole, enrich.Decided, "", "all that was recorded is back"},
		"left alone":       {record.Released, nil, enrich.Decided, "", "was left alone"},
		"terminated":       {record.Terminated, nil, enrich.Gone, "", "ended with the termination"},
	} {
		t.Run(name, func(t *testing.T) {
			w := left(t, c.state, c.released)
			out := w.must(wish(key+".1"), execution)
			if out.Verdict != c.verdict || out.Standing != c.standing || !strings.Contains(out.Reason, c.says) {
				t.Fatalf("%q, standing %q, because %q; want %q, %q, saying %q", out.Verdict, out.Standing, out.Reason, c.verdict, c.standing, c.says)
			}
			h := w.head(key + ".1")
			if out.Verdict != enrich.Later {
				if h.Execution != another || h.Again {
					t.Errorf("taken over all the same: %+v", h)
				}
				return
			}
			if h.Execution != execution || !h.Again || h.State != c.state || out.Round != 1 || len(out.Known) != 1 || !out.Known[0].Isolation.Contained {
				t.Errorf("head %+v, round %d, known %+v", h, out.Round, out.Known)
			}
			if isolated := out.Known[0].Isolation; (len(isolated.Interfaces) == 0) != (c.state == record.Released) || (len(isolated.StaysOpen) == 0) != (c.state == record.Released) {
				t.Errorf("people would be told how it was isolated, which it is only unless released: %+v", isolated)
			}
			if again := w.must(wish(key+".1"), execution); cmp.Diff(out, again) != "" {
				t.Errorf("run again (-once +twice):\n%s", cmp.Diff(out, again))
			}
		})
	}
}

// TestImageThatWasNotCompleted: what a capture will have been, once its upload is
// completed, is not told as taken.
func TestImageThatWasNotCompleted(t *testing.T) {
	w := left(t, record.Open, nil)
	image := &incident.Memory{Report: incident.Report{Status: incident.OK}, Done: true, Object: "image.lime", Bytes: 8}
	w.save(key+".1", "memory", incident.CaptureRecord{Outcome: image})
	if m := w.must(wish(key+".1"), execution).Known[0].Memory; m.Done || m.Object != image.Object {
		t.Errorf("known as %+v; want it not done", m)
	}
	w.save(key+".1", "memory", incident.CaptureRecord{Outcome: image, Result: image})
	if m := w.must(wish(key+".1"), execution).Known[0].Memory; !m.Done {
		t.Errorf("known as %+v; want it done", m)
	}
}

// TestLaterOnlyOnce: of two wishes one is carried out, and a newer incident ends
// those about the older.
func TestLaterOnlyOnce(t *testing.T) {
	w := left(t, record.Kept, nil)
	w.aws.SFN().Execution = func(arn string) (sim.Execution, bool) {
		return sim.Execution{Status: sfntypes.ExecutionStatusRunning}, arn == execution
	}
	if out := w.must(wish(key+".1"), execution); out.Verdict != enrich.Later {
		t.Fatalf("verdict %q: %s", out.Verdict, out.Reason)
	}
	if out := w.must(wish(key+".1"), execution+"b"); out.Verdict != enrich.Joined || !strings.Contains(out.Reason, "being worked on") {
		t.Errorf("a second wish: %q, %s", out.Verdict, out.Reason)
	}
	newer := left(t, record.Kept, nil)
	if out := newer.must(change(`"severity": 8`, `"severity": 9`), execution); out.Incident.ID != key+".2" {
		t.Fatalf("this test wants a second incident, and got %q %s", out.Verdict, out.Incident.ID)
	}
	if out := newer.must(wish(key+".1"), execution+"c"); out.Verdict != enrich.Joined || !strings.Contains(out.Reason, key+".2") {
		t.Errorf("about the older one: %q, %s", out.Verdict, out.Reason)
	}
	newer.end(key+".2", record.Kept)
	if out := newer.must(wish(key+".1"), execution+"d"); out.Verdict != enrich.Decided || !strings.Contains(out.Reason, key+".2") {
		t.Errorf("about the older one, the newer kept: %q, %s", out.Verdict, out.Reason)
	}
}

// TestWishHoldsNothingBack: whoever may put an event on the bus gets an execution
// that only asks. What is open meanwhile is isolated by a finding all the same.
func TestWishHoldsNothingBack(t *testing.T) {
	for name, c := range map[string]struct {
		isolation incident.Isolation
		verdict   enrich.Verdict
		owner     string
	}{
		"open":      {moved, enrich.Act, execution + "b"},
		"contained": {contained, enrich.Joined, execution},
	} {
		w := open(t, file)
		w.save(w.must(event, another).Incident.ID, "isolate", c.isolation)
		w.aws.SFN().Execution = func(arn string) (sim.Execution, bool) {
			return sim.Execution{Status: sfntypes.ExecutionStatusRunning}, arn == execution
		}
		// A mail says it again days later.
		if out := w.must(wish(key+".1"), execution); out.Verdict != enrich.Later || !strings.Contains(out.Reason, "ontained as seen when people were asked") {
			t.Fatalf("%s: verdict %q: %s", name, out.Verdict, out.Reason)
		}
		out := w.must(event, execution+"b")
		if h := w.head(key + ".1"); out.Verdict != c.verdict || h.Execution != c.owner || h.Again != (c.owner == execution) {
			t.Errorf("%s: %q, %s; head %+v", name, out.Verdict, out.Reason, h)
		}
	}
}

// TestLaterDry: a dry run releases nothing, so nobody is asked.
func TestLaterDry(t *testing.T) {
	w := left(t, record.Kept, nil)
	w.settings["DRY_RUN"] = "true"
	w.build()
	if out := w.must(wish(key+".1"), execution); out.Verdict != enrich.Decided || !strings.Contains(out.Reason, "DryRun") {
		t.Errorf("%q, %s", out.Verdict, out.Reason)
	}
}

// TestLaterKilled: killed anywhere and run again, it says the same and has the
// incident.
func TestLaterKilled(t *testing.T) {
	calm := left(t, record.Kept, nil)
	from := len(calm.aws.Calls())
	want := calm.must(wish(key+".1"), execution)
	for _, call := range calm.aws.Calls()[from:] {
		for _, kind := range []sim.Kind{sim.Denied, sim.Lost, sim.KilledBefore, sim.KilledAfter} {
			if kind == sim.Lost && !call.Mutating {
				continue
			}
			fault := sim.Fault{Service: call.Service, Action: call.Action, Number: call.Number, Kind: kind}
			w := left(t, record.Kept, nil, fault)
			if out, err := w.run(wish(key+".1"), execution); err == nil && out.Capture[0].Complete && len(out.Capture[0].CIDRs) > 0 && cmp.Diff(want, out) != "" {
				t.Errorf("%v: went unnoticed, and it says something else (-undisturbed +got):\n%s", fault, cmp.Diff(want, out))
			}
			if out := w.must(wish(key+".1"), execution); cmp.Diff(want, out) != "" {
				t.Errorf("%v: run again (-undisturbed +got):\n%s", fault, cmp.Diff(want, out))
			}
			if h := w.head(key + ".1"); h.Execution != execution || !h.Again || h.State != record.Kept {
				t.Errorf("%v: head %+v", fault, h)
			}
			if len(w.aws.Unmet()) > 0 {
				t.Errorf("%v never hit", fault)
			}
		}
	}
}

// Only answers that the account does not know the instance count: four other errors and
// one of them close nothing.
func TestGoneOnlyIfOftenSaid(t *testing.T) {
	var faults []sim.Fault
	for n, kind := range []sim.Kind{sim.Throttled, sim.NotFound, sim.Throttled, sim.NotFound, sim.NotFound, sim.NotFound, sim.NotFound} {
		faults = append(faults, sim.Fault{Service: "ec2", Action: "DescribeInstances", Number: n + 2, Kind: kind})
	}
	w := open(t, file, faults...)
	first := w.must(event, execution)
	for n := range len(faults) - 1 {
		if out, err := w.run(event, execution); err == nil {
			t.Fatalf("ask %d: %q", n+1, out.Reason)
		}
	}
	out, err := w.run(event, execution)
	if err != nil || out.Verdict != enrich.Gone || out.Standing != enrich.Vanished || out.Incident.ID != first.Incident.ID {
		t.Errorf("verdict %q, standing %q, %v: want it closed as gone", out.Verdict, out.Standing, err)
	}
}

// Where the incident cannot be read, that comes before that its instance is gone: the
// machine would believe what was not counted, and leave the incident open for ever.
func TestGoneIsNotSaidUnread(t *testing.T) {
	w := open(t, file, sim.Fault{Service: "ec2", Action: "DescribeInstances", Number: 1, Kind: sim.NotFound}, sim.Fault{Service: "dynamodb", Action: "Query", Number: 1, Kind: sim.Denied})
	if _, err := w.run(event, execution); err == nil || errors.Is(err, incident.ErrInstanceNotFound) {
		t.Errorf("%v: want what could not be read", err)
	}
}
