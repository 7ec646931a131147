package rehearsal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
)

// A stopped execution leaves everything as it is and people told; redriven, it goes on
// from there, and who decides then is heard: the request has its new token.
func TestStoppedWhileAskedAndRedriven(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "none")
	o.Script = script(t, `{"stops": [{"at": 400}]}`)
	stopped := run(t, o)
	if stopped.Status != "ABORTED" || !slices.Contains(subjects(stopped), "[URGENT] Incident response itself ended badly") {
		t.Errorf("%s, mails %q", stopped.Status, subjects(stopped))
	}
	o.Script = script(t, `{"stops": [{"at": 400}], "redrives": [{"at": 1000}], "people": [{"after": 1500, "choice": "release"}]}`)
	r := run(t, o)
	at := r.Calls[slices.IndexFunc(r.Calls, func(c rehearsal.Call) bool { return c.Action == "SendTaskSuccess" })].At
	last := r.Calls[len(r.Calls)-1].At
	if r.Ending != "Released" || at < 1500 || last > at+600 {
		t.Errorf("ended as %q, decided after %v s, over after %v s", r.Ending, at, last)
	}
	if again := count(r.States, "Isolate instance"); again != 1 {
		t.Errorf("isolated %d times: what was well runs again", again)
	}
}

// What failed ends in a Fail state, which a redrive enters again and which calls
// nothing; people are told once more that it ended badly.
func TestRedrivenNotContained(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "none")
	o.Script = script(t, `{"storms": [{"from": 0, "until": 1000000, "calls": "ec2:ModifyNetworkInterfaceAttribute", "kind": "denied"}], "redrives": [{"at": 900000}]}`)
	r := run(t, o)
	if n := len(r.States); r.Ending != "Not contained" || r.Status != "FAILED" || count(r.States, "Not contained") != 2 || r.States[n-2] != "Not contained" {
		t.Fatalf("%s by way of %q", r.Status, r.States)
	}
	for _, c := range r.Calls {
		if c.At >= 900_000 && c.By != "notify" {
			t.Errorf("the redrive called %s:%s of %s", c.Service, c.Action, c.By)
		}
	}
	last := r.Mails[len(r.Mails)-1]
	if before := r.Mails[len(r.Mails)-2]; last.At < 900_000 || before.At > 900_000 || !strings.Contains(last.Subject, "ended badly") {
		t.Errorf("mails %q", subjects(r))
	}
}

// A redrive of an execution from which another one has taken the incident over finds
// that out, and leaves the incident to it.
func TestRedrivenAfterItWasTakenOver(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "none")
	o.Script = script(t, `{"stops": [{"at": 0.5}], "events": [{"at": 50}], "redrives": [{"at": 400}]}`)
	if r := run(t, o); r.Ending != "Joined open incident" || r.Happened["event more, Isolated, undecided"] != 1 {
		t.Errorf("ended as %q by way of %q; %v", r.Ending, r.States, r.Happened)
	}
}

// Nothing happens where there is nothing to stop, or to redrive.
func TestRedriveOfNothing(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "keep")
	quiet := run(t, o)
	o.Script = script(t, `{"stops": [{"at": 20000}], "redrives": [{"at": 10}, {"at": 30000}]}`)
	if r := run(t, o); r.Ending != quiet.Ending || r.Happened["stop"]+r.Happened["redrive"] != 0 {
		t.Errorf("ended as %q, undisturbed as %q; %v", r.Ending, quiet.Ending, r.Happened)
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// A decision is not carried out by an execution that has lost its incident: people are
// asked anew about what the other one found, and that is what is done. Until they are,
// nothing else keeps the older decision from being carried out.
func TestRedrivenWithADecision(t *testing.T) {
	event := readFile(t, "plain.json")
	worse := string(plainEvent(t, func(d object) { d["id"], d["severity"], d["type"] = "another", 9, "Trojan:EC2/DropPoint" }))
	for step, c := range map[string]struct {
		choice, ending string
		again          float64 // when it is redriven: while the other isolates, or right before it asks
	}{"terminate": {"terminate", "Terminated", 1}, "release": {"release", "Released", 0.5}} {
		o := decides(options(event), c.choice)
		quiet := run(t, o)
		at := int(quiet.Calls[slices.IndexFunc(quiet.Calls, func(c rehearsal.Call) bool { return c.By == step })].At)
		o.Account = undone(t, event, at+3)
		o.Script = script(t, fmt.Sprintf(`{
			"storms": [{"from": %d, "until": %d, "calls": "ec2:Describe*", "by": %q, "kind": "throttled"}],
			"stops": [{"at": %d}], "events": [{"at": %d, "event": %s}], "redrives": [{"at": %g}]}`, at, at+4, step, at+2, at+4, worse, float64(at+4)+c.again))
		r := run(t, o)
		if r.Ending != "Joined open incident" || r.Happened["event more, "+c.ending] != 1 {
			t.Errorf("%s: ended as %q by way of %q; %v", c.choice, r.Ending, path(t, r), r.Happened)
		}
		for _, c := range r.Calls {
			if anew := rehearsal.Seconds(at + 60); c.By == step && c.At > rehearsal.Seconds(at+4) && c.At < anew && c.Mutating {
				t.Errorf("%s: %s:%s at %v, before people could decide anew", step, c.Service, c.Action, c.At)
			}
		}
	}
}

// Whoever lost its incident to an execution that ended without having contained the
// instance takes it over in turn, as a finding that comes then would.
func TestRedrivenAfterTheOwnerEnded(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "none")
	o.Script = script(t, `{"stops": [{"at": 0.5}, {"at": 50.5}], "events": [{"at": 50}], "redrives": [{"at": 400, "first": true}]}`)
	r := run(t, o)
	if r.Ending != "Isolated, undecided" || r.IsolatedAt == nil || *r.IsolatedAt < 400 {
		t.Errorf("ended as %q by way of %q, isolated at %v", r.Ending, path(t, r), r.IsolatedAt)
	}
}

// An execution that was stopped before it could tell people, and redriven after another
// one has released the instance, does not tell them that it is isolated.
func TestRedrivenAfterItWasReleased(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "release")
	quiet := run(t, o)
	tells := func(c rehearsal.Call) bool { return c.By == "notify" && c.Action == "Publish" }
	at := int(quiet.Calls[slices.IndexFunc(quiet.Calls, tells)].At)
	o.Script = script(t, fmt.Sprintf(`{
		"storms": [{"from": %d, "until": %d, "calls": "sns:Publish", "by": "notify", "kind": "throttled"}],
		"stops": [{"at": %d}], "others": [{"at": %d, "what": "reconnect"}], "events": [{"at": %d}], "redrives": [{"at": %d, "first": true}]}`, at-1, at+15, at+10, at+5, at+20, at+3000))
	r := run(t, o)
	if r.Happened["redrive"] != 1 || r.Happened["event more, Released"] != 1 {
		t.Fatalf("ended as %q by way of %q; %v", r.Ending, path(t, r), r.Happened)
	}
	told := 0
	for _, m := range r.Mails {
		if strings.Contains(m.Subject, "isolated automatically") {
			if told++; m.At > rehearsal.Seconds(at+3000) {
				t.Errorf("%q at %v, after it was released", m.Subject, m.At)
			}
		}
	}
	if told != 1 {
		t.Errorf("mails %q: whoever has the incident tells that it is isolated, once", subjects(r))
	}
	if r.Ending != "Already decided" {
		t.Errorf("ended as %q by way of %q", r.Ending, path(t, r))
	}
}
