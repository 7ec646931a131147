package rehearsal_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

const plainIncident = "111122223333.us-east-1." + plainInstance + ".1"

// months is when somebody comes back to an incident of events/plain.json.
var months = time.Date(2026, 6, 20, 9, 0, 0, 0, time.UTC)

// wish is the event by which an operator asks to decide about an incident.
func wish(id string, at time.Time) []byte {
	return []byte(fmt.Sprintf(`{"version": "0", "id": "5f1d3c20-7b1a-4c7e-9d7e-0000000000aa", "source": "cordon", "detail-type": "Cordon Decision Wanted",
		"account": "111122223333", "region": "us-east-1", "time": %q, "resources": [], "detail": {"stack": "cordon", "incident": %q}}`, at.Format(time.RFC3339), id))
}

// later rehearses a decision on the incident of an account that an earlier run left.
func later(account []byte, choice string) rehearsal.Options {
	o := decides(options(wish(plainIncident, months)), choice)
	o.Account = account
	return o
}

// order answers as an operator does, who is known to IAM.
func order(round int, choice incident.Choice, force bool) rehearsal.Person {
	return func(q rehearsal.Question) {
		q.Sleep(rehearsal.Delay)
		q.Order(plainIncident, fmt.Sprintf(`{"round": %d, "decision": %q, "reason": "months later", "force": %t}`, round, choice, force))
	}
}

// first is the plain incident, decided or not.
func first(t *testing.T, choice string) rehearsal.Result {
	t.Helper()
	return run(t, decides(options(readFile(t, "plain.json")), choice))
}

// state is that of the newest head of the plain instance in the record.
func recorded(t *testing.T, account []byte) (states []string) {
	t.Helper()
	a, err := rehearsal.ReadAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range a.Incidents {
		if s := i.Item.Text("state"); s != "" && i.Table == "incidents" && strings.HasPrefix(i.Item.Text("sk"), "incident#") {
			states = append(states, s)
		}
	}
	return states
}

// TestDecidedLater: months after nobody decided, or somebody decided to keep it
// isolated, everything can still be decided, by page and by IAM.
func TestDecidedLater(t *testing.T) {
	own := afterwards(t, around(t, readFile(t, "plain.json"), func(object) {}), plainInstance)
	for _, c := range []struct {
		before string // the first decision
		person rehearsal.Person
		ending string
		state  string // in the record
	}{
		{"none", rehearsal.Decides("release"), "Released", "released"},
		{"keep", rehearsal.Decides("release"), "Released", "released"},
		{"none", order(2, incident.Release, false), "Released", "released"},
		{"keep", order(2, incident.Release, false), "Released", "released"},
		{"none", rehearsal.Decides("terminate"), "Terminated", "terminated"},
		{"keep", order(2, incident.Terminate, false), "Terminated", "terminated"},
		{"none", order(2, incident.Keep, false), "Kept isolated", "kept"},
		{"keep", rehearsal.Decides("keep"), "Kept isolated", "kept"},
		{"none", nil, "Isolated, undecided", "open"},
		{"keep", nil, "Kept isolated", "kept"},
	} {
		t.Run(c.before+", then "+c.ending, func(t *testing.T) {
			o := later(first(t, c.before).Account, "none")
			o.Person = c.person
			r := run(t, o)
			if states := recorded(t, r.Account); r.Ending != c.ending || !slices.Equal(states, []string{c.state}) {
				t.Fatalf("ended as %q by way of %v, recorded as %v; want %q, %s\nmails %q", r.Ending, path(t, r), states, c.ending, c.state, subjects(r))
			}
			now := afterwards(t, r.Account, plainInstance)
			switch c.ending {
			case "Released":
				if fmt.Sprint(now.Groups, now.Protected, now.DeletedToo) != fmt.Sprint(own.Groups, own.Protected, own.DeletedToo) {
					t.Errorf("not as it was before the incident:\n%v\nwas\n%v", now, own)
				}
			case "Terminated":
				if now.State != "terminated" && now.State != "shutting-down" {
					t.Errorf("it is %s", now.State)
				}
			default:
				if g := now.groupsOf(); !slices.Equal(g, []string{"quarantine-sg"}) {
					t.Errorf("it stays in %v, want quarantine", g)
				}
			}
			if len(r.Mails) < 2 || !strings.HasPrefix(r.Mails[0].Subject, "[DECIDE]") {
				t.Errorf("people got %q; want to be asked, and told how it ended", subjects(r))
			}
		})
	}
}

// TestOrderIsRecorded: who decided is in the record as IAM knows them.
func TestOrderIsRecorded(t *testing.T) {
	o := later(first(t, "none").Account, "none")
	o.Person = order(2, incident.Release, false)
	a, err := rehearsal.ReadAccount(run(t, o).Account)
	if err != nil {
		t.Fatal(err)
	}
	all := a.Decisions()
	if len(all) != 1 || !strings.HasPrefix(all[0].Identity, incident.ByIAM+"arn:aws:sts::") || all[0].Person == "" {
		t.Errorf("the record of decisions: %+v", all)
	}
}

// deleteGroup takes the instance's own group out of the account, as somebody may
// in months.
func deleteGroup(t *testing.T, account []byte) ([]byte, any) {
	t.Helper()
	var group any
	return changed(t, account, func(a object) {
		id := foreign(t, a)
		a["SecurityGroups"] = slices.DeleteFunc(a["SecurityGroups"].([]any), func(g any) bool {
			if g.(object)["GroupId"] == id {
				group = g
			}
			return g.(object)["GroupId"] == id
		})
	}), group
}

// TestReleasedInPart: a group that was deleted meanwhile keeps its interface
// isolated, people are told which and why, and once it is mended the release is
// run again, until all is back.
func TestReleasedInPart(t *testing.T) {
	own := afterwards(t, around(t, readFile(t, "plain.json"), func(object) {}), plainInstance)
	without, group := deleteGroup(t, first(t, "none").Account)
	r := run(t, later(without, "release"))
	last := r.Mails[len(r.Mails)-1]
	if r.Ending != "Released" || !strings.Contains(last.Subject, "NOT all is back") || !strings.Contains(last.Body, "no longer exists") || !strings.Contains(last.Body, "cordon decide") {
		t.Fatalf("ended as %q, told:\n%s\n%s", r.Ending, last.Subject, last.Body)
	}
	if now := afterwards(t, r.Account, plainInstance).groupsOf(); !slices.Contains(now, "quarantine-sg") {
		t.Fatalf("it is in %v: what its own group let in is not known, and yet it is connected", now)
	}

	again := later(r.Account, "none")
	again.Event = wish(plainIncident, months.Add(30*24*time.Hour))
	silent := run(t, again)
	if silent.Ending != "Released" || silent.SealedAt != nil && *silent.SealedAt > 0 {
		t.Errorf("nobody answered: ended as %q", silent.Ending)
	}
	if callsTo(silent, func(c rehearsal.Call) bool { return c.Mutating && (c.Service == "ec2" || c.Service == "autoscaling") }) > 0 {
		t.Error("nobody answered, and something was changed")
	}

	again.Person = order(3, incident.Terminate, false)
	if r := run(t, again); r.Ending != "Released" || afterwards(t, r.Account, plainInstance).State != "running" {
		t.Errorf("terminated on a request that is about another release alone: %q", r.Ending)
	}

	again.Person = rehearsal.Decides("release")
	again.Account = changed(t, r.Account, func(a object) { a["SecurityGroups"] = append(a["SecurityGroups"].([]any), group) })
	whole := run(t, again)
	if last := whole.Mails[len(whole.Mails)-1]; whole.Ending != "Released" || strings.Contains(last.Subject, "NOT") {
		t.Errorf("mended and released again: %q, told %q\n%s", whole.Ending, last.Subject, last.Body)
	}
	if now := afterwards(t, whole.Account, plainInstance); fmt.Sprint(now.Groups, now.Protected) != fmt.Sprint(own.Groups, own.Protected) {
		t.Errorf("not as it was:\n%v\nwas\n%v", now, own)
	}

	done := later(whole.Account, "release")
	done.Event = wish(plainIncident, months.Add(60*24*time.Hour))
	if r := run(t, done); r.Ending != "Already decided" || !strings.Contains(r.Mails[0].Body, "all that was recorded is back") {
		t.Errorf("all is back, and asked again: %q, %q", r.Ending, subjects(r))
	}
}

// TestNewerIncidentWins: a decision about an older incident never undoes what a
// newer one did, whether that was there before or came while people were asked.
func TestNewerIncidentWins(t *testing.T) {
	kept := first(t, "keep")
	news := decides(options(plainEvent(t, func(d object) {
		d["severity"], d["type"], d["id"] = 9, "Trojan:EC2/DropPoint", "000000000000000000000000000000b2"
	})), "keep")
	news.Account = kept.Account
	second := run(t, news)
	if states := recorded(t, second.Account); !slices.Equal(states, []string{"kept", "kept"}) {
		t.Fatalf("this test wants two incidents that were kept; recorded %v", states)
	}
	r := run(t, later(second.Account, "release"))
	if r.Ending != "Already decided" || !strings.Contains(r.Mails[0].Body, "decide on that one") {
		t.Errorf("ended as %q, told %q", r.Ending, subjects(r))
	}
	if now := afterwards(t, r.Account, plainInstance).groupsOf(); !slices.Equal(now, []string{"quarantine-sg"}) {
		t.Errorf("it is in %v: the release of an older incident undid the newer", now)
	}
	newest := later(second.Account, "release")
	newest.Event = wish(strings.TrimSuffix(plainIncident, "1")+"2", months)
	own := afterwards(t, around(t, readFile(t, "plain.json"), func(object) {}), plainInstance)
	if r := run(t, newest); r.Ending != "Released" || fmt.Sprint(afterwards(t, r.Account, plainInstance).Groups) != fmt.Sprint(own.Groups) {
		t.Errorf("the newest is released with what the older one recorded: ended as %q, groups %v", r.Ending, afterwards(t, r.Account, plainInstance).Groups)
	}

	// The newer one comes after the request was opened.
	meanwhile := later(kept.Account, "none")
	meanwhile.Person = func(q rehearsal.Question) {
		if !strings.Contains(q.Link, plainIncident+".2/") {
			return // of the newer one, on which nobody decides
		}
		q.Deliver(changed(t, news.Event, func(e object) { e["time"] = months.Format(time.RFC3339) }))
		q.Sleep(time.Minute)
		if status := q.Order(plainIncident, `{"round": 2, "decision": "release"}`); status != 410 {
			t.Errorf("decided on an incident that is over: %d, want 410", status)
		}
	}
	meanwhile.Seed = 2
	r, err := rehearsal.Run(meanwhile)
	if err != nil {
		t.Fatal(err)
	}
	if now := afterwards(t, r.Account, plainInstance).groupsOf(); !slices.Equal(now, []string{"quarantine-sg"}) {
		t.Errorf("it is in %v", now)
	}
}

// TestAnotherMachine: with another root volume it is another system under the
// same ID. A release refuses, says why and how; forced, it does what it can and
// lists what it is not sure of.
func TestAnotherMachine(t *testing.T) {
	account := changed(t, first(t, "none").Account, func(a object) {
		text := strings.ReplaceAll(asJSON(a), root(t, a), "vol-0another")
		for k := range a {
			if k != "Incidents" && k != "Snapshots" { // these are of what there was
				delete(a, k)
			}
		}
		var other object
		if err := json.Unmarshal([]byte(text), &other); err != nil {
			t.Fatal(err)
		}
		for k, v := range other {
			if k != "Incidents" && k != "Snapshots" { // these are of what there was
				a[k] = v
			}
		}
	})
	r := run(t, later(account, "release"))
	if r.Ending != "Isolated, undecided" || !slices.Contains(path(t, r), "Ask once more") {
		t.Fatalf("ended as %q by way of %v", r.Ending, path(t, r))
	}
	// Five releases were refused: put back by hand, a repeat of the finding would end
	// as one of what was decided.
	if d := noted(t, r.Account); d != "" {
		t.Errorf("the record still says that it was decided: %s", d)
	}
	told := slices.ContainsFunc(r.Mails, func(m rehearsal.Mail) bool {
		return strings.Contains(m.Body, "is not the machine of the incident any more") && strings.Contains(m.Body, "--force")
	})
	if now := afterwards(t, r.Account, plainInstance).groupsOf(); !told || !slices.Equal(now, []string{"quarantine-sg"}) {
		t.Errorf("told why: %v; it is in %v\n%q", told, now, subjects(r))
	}
	o := later(account, "none")
	o.Person = order(2, incident.Release, false)
	// A release that was refused is no decision any more: a repeat of the finding
	// on an instance that is open again must not end "Already decided".
	if d := noted(t, run(t, o).Account); d != "" {
		t.Errorf("the record still says that it was decided: %s", d)
	}
	o.Person = order(2, incident.Release, true)
	r = run(t, o)
	last := r.Mails[len(r.Mails)-1]
	if r.Ending != "Released" || !strings.Contains(last.Subject, "NOT all is back") || !strings.Contains(last.Body, "root volume is vol-0another") {
		t.Errorf("forced: ended as %q, told\n%s\n%s", r.Ending, last.Subject, last.Body)
	}
	own := afterwards(t, around(t, readFile(t, "plain.json"), func(object) {}), plainInstance)
	if now := afterwards(t, r.Account, plainInstance); fmt.Sprint(now.Groups) != fmt.Sprint(own.Groups) {
		t.Errorf("forced: it is in %v, was in %v", now.Groups, own.Groups)
	}
}

// root is the root volume of the plain instance.
func root(t *testing.T, a object) string {
	t.Helper()
	for _, r := range a["Reservations"].([]any) {
		for _, i := range r.(object)["Instances"].([]any) {
			for _, m := range i.(object)["BlockDeviceMappings"].([]any) {
				if m.(object)["DeviceName"] == i.(object)["RootDeviceName"] {
					return m.(object)["Ebs"].(object)["VolumeId"].(string)
				}
			}
		}
	}
	t.Fatal("the account has no root volume")
	return ""
}

// noted is the decision that the plain incident's head notes.
func noted(t *testing.T, account []byte) string {
	t.Helper()
	a, err := rehearsal.ReadAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range a.Incidents {
		if d := i.Item.Text("decision"); d != "" && i.Table == "incidents" {
			return d
		}
	}
	return ""
}

// TestWishesThatLeadNowhere: nothing changes, and people are told why.
func TestWishesThatLeadNowhere(t *testing.T) {
	kept := first(t, "keep").Account
	for name, c := range map[string]struct {
		id, account, ending, told string
	}{
		"no such incident":   {strings.TrimSuffix(plainIncident, "1") + "7", "", "Already decided", "is not in the record"},
		"no such instance":   {"111122223333.us-east-1.i-0none.1", "", "Already decided", "is not in the record"},
		"another account":    {"999988887777.us-east-1." + plainInstance + ".1", "", "Already decided", "of account 999988887777"},
		"another Region":     {"111122223333.eu-west-1." + plainInstance + ".1", "", "Already decided", "in eu-west-1"},
		"it is gone":         {plainIncident, "gone", "Already gone", ""},
		"it was terminated":  {plainIncident, "terminated", "Already gone", "does not exist any more, and nobody decided so here"},
		"a seal that is not": {plainIncident, "forged", "Kept isolated", "seal"},
	} {
		t.Run(name, func(t *testing.T) {
			o := later(kept, "none")
			o.Event = wish(c.id, months)
			switch c.account {
			case "gone":
				o.Account = changed(t, kept, func(a object) { a["Reservations"], a["NetworkInterfaces"] = []any{}, []any{} })
			case "terminated":
				o.Account = changed(t, kept, func(a object) {
					i := a["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object)
					i["State"], i["NetworkInterfaces"] = object{"Name": "terminated", "Code": 48}, []any{}
					a["NetworkInterfaces"] = []any{}
				})
			case "forged":
				// Somebody who may write the table puts a decision there by hand.
				o.Account = changed(t, kept, func(a object) { forge(a, 2) })
			}
			r := run(t, o)
			told := slices.ContainsFunc(r.Mails, func(m rehearsal.Mail) bool { return strings.Contains(m.Body, c.told) })
			if r.Ending != c.ending || !told {
				bodies := ""
				for _, m := range r.Mails {
					bodies += m.Subject + "\n" + m.Body + "\n"
				}
				t.Errorf("ended as %q by way of %v; want %q and people told of %q\n%s", r.Ending, path(t, r), c.ending, c.told, bodies)
			}
			if n := callsTo(r, func(c rehearsal.Call) bool {
				return c.Mutating && c.Service == "ec2" && strings.HasPrefix(c.Action, "Modify")
			}); n > 0 {
				t.Errorf("%d calls changed something", n)
			}
		})
	}
}

// TestLateNotContained: what could not be contained, and was left to people, is
// released from the record too.
func TestLateNotContained(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of faults")
	}
	event := readFile(t, "plain.json")
	r := run(t, decides(options(event), "none"))
	open := changed(t, r.Account, func(a object) { // moved out again by hand, and nobody works on it
		for _, i := range a["NetworkInterfaces"].([]any) {
			i.(object)["Groups"] = []any{object{"GroupId": foreign(t, a), "GroupName": "web"}}
		}
	})
	o := later(open, "keep")
	if r := run(t, o); r.Ending != "Kept isolated" || !slices.Equal(afterwards(t, r.Account, plainInstance).groupsOf(), []string{"quarantine-sg"}) {
		t.Errorf("kept: ended as %q in %v", r.Ending, afterwards(t, r.Account, plainInstance).groupsOf())
	}
	if r := run(t, later(open, "none")); r.Ending != "Not contained" || r.Status != "FAILED" {
		t.Errorf("nobody answered, and it is open: ended as %q, %s", r.Ending, r.Status)
	}
}

// TestSilenceIsolatesNothing: a colleague put the kept instance back by hand, and
// somebody wishes to decide. A decision that is refused, and then nobody: it stays
// as it was when people were asked, and the ending says so.
func TestSilenceIsolatesNothing(t *testing.T) {
	open := changed(t, first(t, "keep").Account, func(a object) {
		for _, i := range a["NetworkInterfaces"].([]any) {
			i.(object)["Groups"] = []any{object{"GroupId": foreign(t, a), "GroupName": "web"}}
		}
		forge(a, 2)
	})
	r := run(t, later(open, "none"))
	if groups := afterwards(t, r.Account, plainInstance).groupsOf(); r.Ending != "Not contained" || slices.Contains(groups, "quarantine-sg") {
		t.Errorf("ended as %q in %v by way of %v", r.Ending, groups, path(t, r))
	}
}

// TestReleaseStandsWithoutItsNote: a release is carried out and cannot be closed;
// somebody asks to decide once more, that decision is refused, and with it the note
// of the release goes. The finding comes again: what a person put back is left alone.
func TestReleaseStandsWithoutItsNote(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "release")
	own := afterwards(t, around(t, o.Event, func(object) {}), plainInstance).groupsOf()
	o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 30, Until: 100_000, Calls: "kms:Sign", Kind: sim.Denied}}}
	r := run(t, o)
	if r.Ending != "Released" || !slices.Equal(recorded(t, r.Account), []string{"open"}) {
		t.Fatalf("this test wants a release that could not be closed, and it ended as %q, recorded as %v", r.Ending, recorded(t, r.Account))
	}
	o = later(changed(t, r.Account, func(a object) { forge(a, 2) }), "none")
	if r = run(t, o); r.Ending != "Not contained" || !slices.Contains(path(t, r), "May it be asked once more?") {
		t.Fatalf("this test wants a late decision that is refused, and it ended as %q by way of %v", r.Ending, path(t, r))
	}
	o = decides(options(readFile(t, "plain.json")), "none")
	o.Account = r.Account
	r = run(t, o)
	if groups := afterwards(t, r.Account, plainInstance).groupsOf(); r.Ending != "Already decided" || !slices.Equal(groups, own) {
		t.Errorf("the repeat ended as %q, and it is in %v; want it left alone in %v", r.Ending, groups, own)
	}
}

// TestLeftAloneStandsWithoutItsClosing: a person decides to leave it alone, and that
// cannot be closed. The finding comes again: it is not isolated against that.
func TestLeftAloneStandsWithoutItsClosing(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "leave")
	own := afterwards(t, around(t, o.Event, func(object) {}), plainInstance).groupsOf()
	o.Parameters = map[string]string{"MaxIsolationsPerHour": "0"}
	o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 30, Until: 100_000, Calls: "kms:Sign", Kind: sim.Denied}}}
	left := run(t, o)
	if left.Ending != "Released" || !slices.Equal(recorded(t, left.Account), []string{"open"}) {
		t.Fatalf("this test wants a decision to leave it that could not be closed, and it ended as %q, recorded as %v", left.Ending, recorded(t, left.Account))
	}
	o = decides(options(readFile(t, "plain.json")), "none")
	o.Account = left.Account
	r := run(t, o)
	if groups := afterwards(t, r.Account, plainInstance).groupsOf(); r.Ending != "Already decided" || !slices.Equal(groups, own) {
		t.Errorf("the repeat ended as %q, and it is in %v; want it left alone in %v", r.Ending, groups, own)
	}
	r = run(t, later(left.Account, "release"))
	asked := mailed(r, "You are asked once more")
	if len(asked) != 1 || !strings.Contains(asked[0].Body, "was decided to be left alone") || r.Ending != "Released" || !slices.Equal(recorded(t, r.Account), []string{"released"}) {
		t.Errorf("asked once more it ended as %q, recorded as %v; asked %+v", r.Ending, recorded(t, r.Account), asked)
	}
}

// forge puts a release into the table, as whoever may write there could.
func forge(a object, round int) {
	body := fmt.Sprintf(`{"incident": %q, "round": %d, "instanceId": %q, "choice": "release", "person": "mallory", "mac": "%s", "expiresAt": "2030-01-01T00:00:00Z"}`,
		plainIncident, round, plainInstance, strings.Repeat("A", 43)+"=")
	a["Incidents"] = append(a["Incidents"].([]any), object{"Table": "decisions", "Item": object{
		"pk": object{"S": plainIncident}, "sk": object{"S": fmt.Sprintf("request#%03d", round)}, "body": object{"S": body},
	}})
}

// TestUndoneWhileAskedOnceMore: nobody looks while people are asked once more, so
// what was contained then is looked at before it ends.
func TestUndoneWhileAskedOnceMore(t *testing.T) {
	for choice, ending := range map[string]string{"keep": "Kept isolated", "none": "Isolated, undecided"} {
		o := later(first(t, choice).Account, "none")
		o.Account = changed(t, o.Account, func(a object) {
			a["Behaviour"] = object{"Undone": []any{object{"Seconds": 3600, "NetworkInterfaceId": firstInterface(a), "Groups": []any{foreign(t, a)}, "Arn": "arn:aws:iam::111122223333:user/mallory"}}}
		})
		r := run(t, o)
		told := slices.ContainsFunc(r.Mails, func(m rehearsal.Mail) bool { return strings.Contains(m.Subject, "undid") })
		if groups := afterwards(t, r.Account, plainInstance).groupsOf(); r.Ending != ending || !told || !slices.Equal(groups, []string{"quarantine-sg"}) {
			t.Errorf("%s: ended as %q in %v, told %v by way of %v", choice, r.Ending, groups, subjects(r), path(t, r))
		}
	}
}

func firstInterface(a object) string {
	return a["NetworkInterfaces"].([]any)[0].(object)["NetworkInterfaceId"].(string)
}

func TestWishNeedsAnAccount(t *testing.T) {
	for name, o := range map[string]rehearsal.Options{
		"without an account": options(wish(plainIncident, months)),
		"about no incident":  later([]byte(`{"Reservations": [], "NetworkInterfaces": []}`), "none"),
	} {
		if name == "about no incident" {
			o.Event = wish("x", months)
		}
		if _, err := rehearsal.Run(o); err == nil || !strings.Contains(err.Error(), "give ") {
			t.Errorf("%s: %v; want an error that says what to give", name, err)
		}
	}
}

// TestOneFaultChangesNothingLater: each call of a late release fails once, in each
// way that it can for those of release; it ends as undisturbed.
func TestOneFaultChangesNothingLater(t *testing.T) {
	if testing.Short() {
		t.Skip("many rehearsals")
	}
	for _, before := range []string{"none", "keep"} {
		o := later(first(t, before).Account, "release")
		undisturbed, calls, err := rehearsal.Recorded(o, func(string, []byte, []byte) {})
		if err != nil {
			t.Fatal(err)
		}
		faults := sweep(calls, false)
		if before == "keep" {
			faults = nil
			for _, c := range calls {
				if c.By != nil && c.By.Function == "release" && c.Mutating {
					for _, k := range hits[true] {
						faults = append(faults, sim.Fault{Service: c.Service, Action: c.Action, Number: c.Number, Kind: k})
					}
				}
			}
		}
		for f, how := range tryAll(o, undisturbed, faults) {
			t.Errorf("after %s: cordon rehearse --decision release --fault %v\n\t%s", before, f, how)
		}
	}
}
