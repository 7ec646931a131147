package rehearsal_test

import (
	"fmt"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

const terraform = "arn:aws:sts::111122223333:assumed-role/Terraform/drift-job"

// undone is the account around an event, where somebody puts the instance's first
// interface back into the groups it had, at each of these seconds.
func undone(t testing.TB, event []byte, seconds ...int) []byte {
	t.Helper()
	return around(t, event, func(a object) {
		i := a["NetworkInterfaces"].([]any)[0].(object)
		var groups, all []any
		for _, g := range i["Groups"].([]any) {
			groups = append(groups, g.(object)["GroupId"])
		}
		for _, s := range seconds {
			all = append(all, object{"Seconds": s, "NetworkInterfaceId": i["NetworkInterfaceId"], "Groups": groups, "Arn": terraform})
		}
		a["Behaviour"] = object{"Undone": all}
	})
}

// mailed are the mails whose subject has a text, in order.
func mailed(r rehearsal.Result, subject string) (all []rehearsal.Mail) {
	for _, m := range r.Mails {
		if strings.Contains(m.Subject, subject) {
			all = append(all, m)
		}
	}
	return all
}

// Somebody puts the old groups back while people decide, twice. Each time it is
// found at the next look, put right and told, with the name as soon as CloudTrail
// has it; the second time alarms. Nobody decides, and it ends sealed.
func TestUndoneWhilePeopleDecide(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "none")
	o.Account = undone(t, event, 1000, 30000)
	var alarms int
	r, calls, err := rehearsal.Recorded(o, func(step string, _, out []byte) {
		if step == "drift" && strings.Contains(string(out), `"alarm":"drifted again"`) {
			alarms++
		}
	})
	if err != nil || len(r.Broken) > 0 {
		t.Fatal(err, r.Broken)
	}
	if r.Ending != "Isolated, undecided" {
		t.Errorf("ends as %q", r.Ending)
	}
	told, named := mailed(r, "Somebody undid"), mailed(r, "Who undid")
	if len(told) != 2 || len(named) != 1 {
		t.Fatalf("%d mails about two drifts, %d about who it was", len(told), len(named))
	}
	for n, seconds := range []float64{1000, 30000} {
		if late := float64(told[n].At) - seconds; late < 0 || late > 1900 {
			t.Errorf("drift %d at %v is told %v seconds later", n+1, seconds, late)
		}
		if !strings.Contains(told[n].Body, fmt.Sprintf("Time %d: ", n+1)) {
			t.Errorf("the mail does not say which time it is:\n%s", told[n].Body)
		}
	}
	// In the first hour the look is quicker than CloudTrail, and then it is not.
	if late := named[0].At - told[0].At; strings.Contains(told[0].Body, terraform) || late > 310 || !strings.Contains(named[0].Body, terraform) {
		t.Errorf("%v seconds after the mail about the first:\n%s", late, named[0].Body)
	}
	if !strings.Contains(told[1].Body, terraform) {
		t.Errorf("nobody is named in the mail about the second:\n%s", told[1].Body)
	}
	if alarms == 0 {
		t.Error("the second drift does not alarm")
	}
	// Every look is of isolate, and each repair within its invocation.
	looks := 0
	for _, c := range calls {
		if c.By != nil && c.By.Function == "isolate" && c.Action == "DescribeSecurityGroups" {
			looks++
		}
	}
	if looks < 30 {
		t.Errorf("%d looks in %s hours", looks, "24")
	}
}

// A drift in the first minutes is found within five, whatever is being gathered.
func TestUndoneAtOnce(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "none")
	o.Account = undone(t, event, 90)
	r := run(t, o)
	told := mailed(r, "Somebody undid")
	if len(told) != 1 || told[0].At > 90+330 {
		t.Errorf("told: %v", told)
	}
}

// What was undone after the decision is found before it is carried out, and told.
func TestUndoneAfterTheDecision(t *testing.T) {
	for decision, ending := range map[string]string{"keep": "Kept isolated", "terminate": "Terminated"} {
		event := readFile(t, "plain.json")
		o := decides(options(event), decision)
		o.Account = undone(t, event, 600)
		r := run(t, o)
		if told := mailed(r, "Somebody undid"); r.Ending != ending || len(told) != 1 || !strings.Contains(told[0].Body, terraform) {
			t.Errorf("%s: ends as %q, told %v", decision, r.Ending, told)
		}
	}
}

// A look that cannot be made is told, once in a row, and looks go on.
func TestLookFails(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "none")
	o.Account = undone(t, event, 4000)
	calm := run(t, decides(options(event), "none"))
	n := 0
	for _, c := range calm.Calls {
		if c.Action == "DescribeSecurityGroups" && c.At < 3600 {
			n++
		}
	}
	for at := n + 1; at <= n+61; at++ {
		o.Faults = append(o.Faults, sim.Fault{Service: "ec2", Action: "DescribeSecurityGroups", Number: at, Kind: sim.Denied})
	}
	r := run(t, o)
	failed, told := mailed(r, "could not be verified"), mailed(r, "Somebody undid")
	if r.Ending != "Isolated, undecided" || len(failed) != 1 || len(told) != 1 {
		t.Errorf("ends as %q; %d mails that it could not be verified, %d of the drift: %v", r.Ending, len(failed), len(told), subjects(r))
	}
}

// A week without an answer, with somebody who undoes it all the time, stays far
// below the events that an execution may have.
func TestAWeekOfDrift(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "none")
	var all []int
	for s := 600; s < 7*24*3600; s += 1750 {
		all = append(all, s)
	}
	o.Account, o.Parameters = undone(t, event, all...), map[string]string{"ApprovalHours": "168"}
	r, events, err := rehearsal.Counted(o)
	if err != nil || len(r.Broken) > 0 {
		t.Fatal(err, r.Broken)
	}
	if r.Ending != "Isolated, undecided" || events > 8000 {
		t.Errorf("ends as %q after %d events", r.Ending, events)
	}
	t.Logf("%d events, %d mails about %d drifts", events, len(mailed(r, "Somebody undid")), len(all))
}
