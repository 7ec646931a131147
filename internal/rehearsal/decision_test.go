package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/rehearsal"
)

// A decision that was refused must not come back when another execution takes
// the incident over: round one's terminate would destroy the instance although
// nobody was asked again.
func TestOldDecisionsDoNotReturn(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "terminate")
	o.Account = withoutSnapshots(t, event)
	refused := run(t, o)
	if refused.Ending != "Isolated, undecided" {
		t.Fatalf("ended as %q: this test wants terminations that were refused for want of evidence", refused.Ending)
	}

	// Meanwhile somebody repaired the snapshots and put the interfaces back.
	own := afterwards(t, around(t, event, func(object) {}), "i-0c0ffee0c0ffee001")
	next := options(readFile(t, "repeat.json"))
	next.Account = changed(t, refused.Account, func(a object) {
		delete(a, "Behaviour")
		for _, s := range a["Snapshots"].([]any) {
			s.(object)["State"], s.(object)["Progress"] = "completed", "100%"
		}
		for _, i := range a["NetworkInterfaces"].([]any) {
			groups := i.(object)["Groups"].([]any)
			if len(groups) == 1 && groups[0].(object)["GroupName"] == "quarantine-sg" {
				i.(object)["Groups"] = []any{object{"GroupId": foreign(t, a), "GroupName": "web"}}
			}
		}
	})
	r := run(t, next)
	if r.Ending != "Isolated, undecided" || len(r.Violations) > 0 {
		t.Errorf("ended as %q, violations %v: nobody decided since", r.Ending, r.Violations)
	}
	if now := afterwards(t, r.Account, "i-0c0ffee0c0ffee001"); slices.Equal(now.groupsOf(), own.groupsOf()) {
		t.Error("what was put back behind our back was not isolated again")
	}
	if asked := slices.ContainsFunc(subjects(r), func(s string) bool { return strings.HasPrefix(s, "[DECIDE") }); !asked {
		t.Errorf("people got %q: they were not asked again", subjects(r))
	}
}

// withoutSnapshots is the account around an event, where every snapshot fails.
func withoutSnapshots(t *testing.T, event []byte) []byte {
	t.Helper()
	return around(t, event, func(a object) {
		var volumes []any
		for _, v := range a["Volumes"].([]any) {
			volumes = append(volumes, v.(object)["VolumeId"])
		}
		a["Behaviour"] = object{"FailingSnapshots": volumes}
	})
}

// Evidence that will never be complete blocks a termination, and says so. To do
// without it is a choice of its own on the request that follows, by name.
func TestTerminatedWithoutEvidence(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "none")
	o.Account = withoutSnapshots(t, event)
	asked := 0
	o.Person = func(q rehearsal.Question) {
		asked++
		choice := "terminate-anyway"
		if asked == 2 {
			choice = "terminate" // it was refused, and is refused again
		}
		rehearsal.Decides(choice)(q)
		if asked == 1 { // not offered yet
			rehearsal.Decides("terminate")(q)
		}
	}
	r := run(t, o)
	again := mailed(r, "[DECIDE AGAIN]")
	if r.Ending != "Terminated" || asked != 3 || len(again) != 2 {
		t.Fatalf("ended as %q after %d questions: %q", r.Ending, asked, subjects(r))
	}
	if m := again[0]; !strings.Contains(m.Body, "evidence is not complete: volume vol-") || !strings.Contains(m.Body, "Terminate without complete evidence") {
		t.Errorf("people are not told what is missing, or not what they can do:\n%s", m.Body)
	}
	a, err := rehearsal.ReadAccount(r.Account)
	if err != nil {
		t.Fatal(err)
	}
	var overrides []int
	for _, d := range a.Decisions() {
		if d.Override && d.Choice == incident.Terminate && d.Person != "" {
			overrides = append(overrides, d.Round)
		}
	}
	if !slices.Equal(overrides, []int{3}) {
		t.Errorf("overrides recorded on requests %v, want 3", overrides)
	}
}

// foreign is the group that the instance's interfaces had as their own.
func foreign(t *testing.T, account object) string {
	t.Helper()
	for _, g := range account["SecurityGroups"].([]any) {
		if g.(object)["GroupName"] == "web" {
			return g.(object)["GroupId"].(string)
		}
	}
	t.Fatal("the account has no group web")
	return ""
}
