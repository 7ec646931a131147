package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

// A dry run reads all that the real one reads, says what each step would do, and
// leaves the account as it was, this stack's own record included.
func TestDryRunSaysWhatItWouldDo(t *testing.T) {
	for _, c := range []struct {
		event, account string
		says           []string
	}{
		{"plain.json", "", []string{
			"DRY RUN", "The finding is real",
			"it would go from sg-0", "through the conversion group, which it would make, into the capture group, which it would make",
			"it would take one set of snapshots of vol-", "lock it for 30 days", "it would stream the memory over SSM", "disableApiTermination", "a dry run asks nobody",
		}},
		{"auto-scaling.json", "accounts/auto-scaling.json", []string{"taking it out of Auto Scaling group", "deregistered", "from target group", "from classic load balancer"}},
		{"no-ssm.json", "accounts/no-ssm.json", []string{"Memory: not done: dry run: the instance has no SSM agent"}},
	} {
		o := options(readFile(t, c.event))
		if c.account != "" {
			o.Account = readFile(t, c.account)
		}
		o.Parameters = map[string]string{"DryRun": "true"}
		r := run(t, o)
		if r.Ending != "Rehearsed" || len(r.Mails) != 1 {
			t.Fatalf("%s: ended as %q with mails %q", c.event, r.Ending, subjects(r))
		}
		for _, want := range c.says {
			if !strings.Contains(r.Mails[0].Body, want) {
				t.Errorf("%s: the mail lacks %q:\n%s", c.event, want, r.Mails[0].Body)
			}
		}
		for _, step := range []string{"preserve", "snapshot", "isolate", "memory"} {
			if s := r.Steps[step]; s.Status != "skipped" || !strings.HasPrefix(s.Reason, "dry run: ") {
				t.Errorf("%s: %s is %+v, want it skipped for the dry run", c.event, step, s)
			}
		}
		was, is := jsonOf(t, r.Before).(object), jsonOf(t, r.Account).(object)
		delete(is, "InstanceAttributes") // once read, the model tells the defaults, too
		delete(was, "InstanceAttributes")
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s: the account is not as it was:\n%s", c.event, diff)
		}
		if n := callsTo(r, func(call rehearsal.Call) bool {
			return call.Mutating && !slices.Contains([]string{"s3", "sns"}, call.Service)
		}); n > 0 {
			t.Errorf("%s: %d calls that change more than the kept event and a mail", c.event, n)
		}
	}
}

// A finding that a brake holds and that nobody can be told of must alarm.
func TestHeldAndUntold(t *testing.T) {
	var faults []sim.Fault
	for n := range 7 { // as often as the mail is tried
		faults = append(faults, sim.Fault{Service: "sns", Action: "Publish", Number: n + 1, Kind: sim.Denied})
	}
	for name, parameters := range map[string]map[string]string{
		"exempt":   {"ExemptInstances": plainInstance},
		"unlisted": {"NeverFindingTypes": "*"},
		"dry run":  {"DryRun": "true"},
	} {
		o := options(readFile(t, "plain.json"))
		o.Parameters, o.Faults = parameters, faults
		r, err := rehearsal.Run(o)
		if err != nil {
			t.Fatal(err)
		}
		// Told by no mail of its own, it ends otherwise than undisturbed: that is
		// the alarm.
		if r.Ending != "Not contained" || r.Status != "FAILED" || slices.ContainsFunc(r.Violations, func(v string) bool { return v != "Converges" }) {
			t.Errorf("%s: ended as %q, %s, violated %v", name, r.Ending, r.Status, r.Violations)
		}
	}
}

// A finding whose pause switch is written by an intruder is told like any other.
func TestPauseIsToldEvenIfMailsFailOnce(t *testing.T) {
	o := options(readFile(t, "plain.json"))
	o.Account, o.Faults = readFile(t, "accounts/paused.json"), []sim.Fault{{Service: "sns", Action: "Publish", Number: 1, Kind: sim.Lost}}
	if r := run(t, o); r.Ending != "Not contained" || !strings.HasPrefix(subjects(r)[0], pausedMail) {
		t.Errorf("ended as %q, mails %q", r.Ending, subjects(r))
	}
}

// While a person is asked, nothing is touched; once decided, the way is that of
// any finding, and people are asked anew, not again.
func TestIsolatedAfterTheAnswer(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "isolate")
	o.Parameters = always
	r := run(t, o)
	asked := r.Mails[0].At
	for _, c := range r.Calls {
		if c.Mutating && c.Service == "ec2" && c.At < asked+60 {
			t.Errorf("%s:%s at %.3f, and the answer came a minute after %.3f", c.Service, c.Action, float64(c.At), float64(asked))
		}
	}
	if r.IsolatedAt == nil || *r.IsolatedAt > asked+65 {
		t.Errorf("isolated at %v, decided at %.3f: want it within seconds", r.IsolatedAt, float64(asked+60))
	}
	if mails := subjects(r); !strings.HasPrefix(mails[2], askedMail) {
		t.Errorf("mails %q: the second question is about an isolated instance, and no decision failed before", mails)
	}
	if told := r.Mails[1].Body; !strings.Contains(told, "A person was asked first, and decided to isolate it: 0 isolations") || strings.Contains(told, "Why: ") {
		t.Errorf("the mail does not say how it came to be isolated:\n%s", told)
	}
}
