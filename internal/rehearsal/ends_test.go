package rehearsal_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// What was refused to the last is no decision any more: the record must not note it.
func TestRefusedToTheLast(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "terminate")
	o.Account = withoutSnapshots(t, event)
	r := run(t, o)
	if again := mailed(r, "[DECIDE AGAIN]"); r.Ending != "Isolated, undecided" || len(again) != 4 {
		t.Fatalf("ended as %q, asked again %d times by way of %v", r.Ending, len(again), path(t, r))
	}
	if d := noted(t, r.Account); d != "" {
		t.Errorf("the record still notes the decision to %s", d)
	}
}

// A release of ours that fails half-way is told as what it is: nobody is to be
// looked for, and it does not alarm.
func TestHalfReleased(t *testing.T) {
	o := options(readFile(t, "plain.json"))
	// What follows the interfaces is denied for as long as the step is tried.
	o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 90, Until: 3600, Calls: "ec2:ModifyInstanceAttribute", Kind: sim.Denied}}}
	asked := 0
	o.Person = func(q rehearsal.Question) {
		if asked++; asked == 1 {
			rehearsal.Decides("release")(q)
		}
	}
	var alarms int
	r, _, err := rehearsal.Recorded(o, func(step string, _, out []byte) {
		if step == "drift" && strings.Contains(string(out), `"alarm":"drifted again"`) {
			alarms++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	half, foreign := mailed(r, "A release failed half-way"), mailed(r, "Somebody undid")
	if r.Ending != "Isolated, undecided" || len(half) != 1 || len(foreign) > 0 || alarms > 0 {
		t.Errorf("ended as %q; told %d times that a release failed, %d times that somebody undid it, %d alarms: %q", r.Ending, len(half), len(foreign), alarms, subjects(r))
	}
}

// Where only the last mail is not accepted the incident is closed, and people are told
// how it ended by whoever can.
func TestOnlyTheLastMailFails(t *testing.T) {
	for choice, want := range map[string]string{"release": "Closed: EC2 instance released", "keep": "Closed: EC2 instance stays isolated"} {
		o := decides(options(readFile(t, "plain.json")), choice)
		o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 0, Until: 3600, Calls: "sns:*", By: "close", Kind: sim.Denied}}}
		r := run(t, o)
		if len(mailed(r, want)) != 1 || len(mailed(r, "Done, but the incident stays open")) > 0 || strings.Contains(string(r.Account), `"state": {"S": "open"}`) {
			t.Errorf("%s: ended as %q, told %q", choice, r.Ending, subjects(r))
		}
	}
}

// All others learn what was decided, and by whom, while it can still be stopped.
func TestToldOfTheDecision(t *testing.T) {
	for choice, want := range map[string]string{"terminate": "Terminate", "keep": "Keep isolated"} {
		r := run(t, decides(options(readFile(t, "plain.json")), choice))
		told := mailed(r, "Decided, not yet carried out: "+want)
		if len(told) != 1 || !strings.Contains(told[0].Body, `"Rehearsal" decided`) || told[0].At >= r.Mails[len(r.Mails)-1].At {
			t.Errorf("%s: told %q", choice, subjects(r))
		}
	}
}

// An incident whose instance is gone is closed, by whoever finds it so: by a
// decision that comes too late, and by an operator, with what is kept in the mail
// and in a manifest.
func TestGoneIsClosed(t *testing.T) {
	for name, gone := range map[string]func(object){
		"not in the account": func(a object) { a["Reservations"], a["NetworkInterfaces"] = []any{}, []any{} },
		"terminated": func(a object) {
			i := a["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object)
			i["State"], i["NetworkInterfaces"] = object{"Name": "terminated", "Code": 48}, []any{}
			a["NetworkInterfaces"] = []any{}
		},
	} {
		for _, before := range []string{"none", "keep"} {
			o := later(changed(t, first(t, before).Account, gone), "none")
			r := run(t, o)
			last := r.Mails[len(r.Mails)-1]
			if states := recorded(t, r.Account); r.Ending != "Already gone" || !slices.Equal(states, []string{"gone"}) || !strings.Contains(last.Subject, "Closed: EC2 instance is gone") || !strings.Contains(last.Body, "snap-") {
				t.Errorf("%s after %s: ended as %q by way of %v, recorded as %v, told\n%s\n%s", name, before, r.Ending, path(t, r), states, last.Subject, last.Body)
			}
			if callsTo(r, func(c rehearsal.Call) bool { return c.Action == "Sign" }) == 0 {
				t.Errorf("%s after %s: no manifest", name, before)
			}
			again := later(r.Account, "none")
			again.Event = wish(plainIncident, months.Add(24*time.Hour))
			if r := run(t, again); r.Ending != "Already gone" || !slices.Equal(recorded(t, r.Account), []string{"gone"}) {
				t.Errorf("%s, asked again: ended as %q", name, r.Ending)
			}
		}
	}
}

// Whoever terminates the instance while it is decided leaves nothing to release: EC2
// describes it for an hour more, and nobody is asked to mend what is not back.
func TestTerminatedBeforeItIsReleased(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "release")
	o.Script = script(t, `{"others": [{"at": 50, "what": "terminate"}]}`)
	r := run(t, o)
	last := r.Mails[len(r.Mails)-1]
	if r.Ending != "Already gone" || !slices.Equal(recorded(t, r.Account), []string{"gone"}) || !strings.Contains(last.Subject, "Closed: EC2 instance is gone") {
		t.Errorf("ended as %q by way of %v, recorded as %v, told\n%s\n%s", r.Ending, path(t, r), recorded(t, r.Account), last.Subject, last.Body)
	}
}
