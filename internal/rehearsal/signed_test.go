package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// kept gives the pages and the number of manifests that a run left.
func kept(r rehearsal.Result) (pages []string, manifests int) {
	for key, b := range r.Bucket.Objects {
		switch {
		case strings.Contains(key, "/reports/"):
			pages = append(pages, string(b))
		case strings.Contains(key, "/manifests/"):
			manifests++
		}
	}
	return pages, manifests
}

// requesterManaged is the plain account, where EC2 lets nobody change an interface.
func requesterManaged(t *testing.T) []byte {
	t.Helper()
	return around(t, readFile(t, "plain.json"), func(a object) {
		for _, n := range a["NetworkInterfaces"].([]any) {
			n.(object)["RequesterManaged"] = true
		}
	})
}

// TestEveryEndingLeavesAReport: each ending of an incident that was opened leaves
// one manifest and one page that says how it stands; what opened none leaves none.
func TestEveryEndingLeavesAReport(t *testing.T) {
	plain := readFile(t, "plain.json")
	for name, c := range map[string]struct {
		event    []byte
		account  []byte
		settings map[string]string
		decision string
		script   *rehearsal.Script
		ending   string
		page     string // empty: there is none
	}{
		"nobody decided":   {event: plain, decision: "none", ending: "Isolated, undecided", page: "stays isolated: nobody decided in time"},
		"not contained":    {event: plain, account: requesterManaged(t), decision: "none", ending: "Not contained", page: "is NOT contained"},
		"nobody asked yet": {event: plain, settings: map[string]string{"MaxIsolationsPerHour": "0"}, decision: "none", ending: "Not contained", page: "is NOT isolated: a person was asked first"},
		"not sealed": {
			event: plain, decision: "terminate", ending: "Not contained", page: "could not verify that every interface is in quarantine",
			script: &rehearsal.Script{Storms: []rehearsal.Storm{{From: 20, Until: 7200, Calls: "ec2:DescribeNetworkInterfaces", Kind: sim.Unavailable}}},
		},
		"left alone":                 {event: plain, settings: map[string]string{"MaxIsolationsPerHour": "0"}, decision: "leave", ending: "Released", page: "Left alone"},
		"asked once more, undecided": {event: wish(plainIncident, months), account: first(t, "none").Account, decision: "none", ending: "Isolated, undecided", page: "stays isolated: nobody decided in time"},
		"asked once more, kept":      {event: wish(plainIncident, months), account: first(t, "keep").Account, decision: "none", ending: "Kept isolated", page: "stays isolated, as decided by"},
		"a dry run":                  {event: plain, settings: map[string]string{"DryRun": "true"}, decision: "none", ending: "Rehearsed"},
		"already decided":            {event: plain, account: first(t, "keep").Account, decision: "none", ending: "Already decided"},
		"a sample":                   {event: readFile(t, "sample-flag.json"), decision: "none", ending: "Nothing to do"},
	} {
		t.Run(name, func(t *testing.T) {
			o := decides(options(c.event), c.decision)
			o.Account, o.Parameters, o.Script, o.Keep = c.account, c.settings, c.script, true
			r := run(t, o)
			pages, manifests := kept(r)
			if r.Ending != c.ending {
				t.Fatalf("ended as %q by way of %q", r.Ending, path(t, r))
			}
			if c.page == "" {
				if len(pages)+manifests > 0 {
					t.Errorf("%d pages, %d manifests of what is no incident", len(pages), manifests)
				}
				return
			}
			if len(pages) != 1 || manifests != 1 || !strings.Contains(pages[0], c.page) {
				t.Errorf("%d manifests; the pages do not say %q: %q", manifests, c.page, pages)
			}
			// People are told before anything is signed, where nothing is closed.
			signs := slices.IndexFunc(r.Calls, func(c rehearsal.Call) bool { return c.Action == "Sign" })
			if last := r.Mails[len(r.Mails)-1]; slices.Contains(path(t, r), "Sign how it stands") && last.At > r.Calls[signs].At && !strings.HasPrefix(last.Subject, machineMail) {
				t.Errorf("%q was sent after the signature", last.Subject)
			}
		})
	}
}

// TestNoSignatureChangesNothingElse: where it cannot be signed how it stands, people
// are told so, and it ends as it would have.
func TestNoSignatureChangesNothingElse(t *testing.T) {
	plain := readFile(t, "plain.json")
	for _, c := range []struct {
		name    string
		account []byte
		ending  string
		calls   string
		until   float64 // seconds from the event
	}{
		{"undecided, the key refuses", nil, "Isolated, undecided", "kms:Sign", 60 * 24 * 3600},
		{"not contained, the key refuses", requesterManaged(t), "Not contained", "kms:Sign", 60 * 24 * 3600},
		{"not contained, the bucket refuses", requesterManaged(t), "Not contained", "s3:PutObject", 900}, // the journal is written afterwards
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decides(options(plain), "none")
			o.Account, o.Script = c.account, &rehearsal.Script{Storms: []rehearsal.Storm{{From: 60, Until: c.until, Calls: c.calls, Kind: sim.Denied}}}
			r := run(t, o)
			if told := mailed(r, "No signed report"); r.Ending != c.ending || len(told) != 1 || !strings.Contains(told[0].Body, "AccessDenied") {
				t.Errorf("ended as %q, told %q", r.Ending, subjects(r))
			}
			if open := recorded(t, r.Account); !slices.Equal(open, []string{"open"}) {
				t.Errorf("the record says %v", open)
			}
		})
	}
}

// TestNoSignatureIsToldInJapanese: that it could not be signed is told in the stack's
// language, and is no violation then either.
func TestNoSignatureIsToldInJapanese(t *testing.T) {
	for decision, subject := range map[string]string{"none": "状況の署名付き報告を作成できません", "keep": "実行済みですが、インシデントを閉じられません"} {
		o := decides(options(readFile(t, "plain.json")), decision)
		o.Parameters = map[string]string{"Language": "ja"}
		o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 60, Until: 60 * 24 * 3600, Calls: "kms:Sign", Kind: sim.Denied}}}
		r := run(t, o)
		if told := mailed(r, subject); len(told) != 1 {
			t.Errorf("%s: told %q", decision, subjects(r))
		}
	}
}

// TestNothingBeforeTheAlarm: where nobody can be told that it is not isolated, the
// execution fails at once, which alarms; no signature comes before.
func TestNothingBeforeTheAlarm(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "none")
	o.Parameters = map[string]string{"MaxIsolationsPerHour": "0"}
	o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 60, Until: 60 * 24 * 3600, Calls: "sns:Publish", Kind: sim.Denied}}}
	r := run(t, o)
	if way := path(t, r); r.Ending != "Not contained" || slices.Contains(way, "Sign how it stands") {
		t.Errorf("ended as %q by way of %q", r.Ending, way)
	}
}

// TestNothingBeforeTheAlarmLater: the same where people were asked once more.
func TestNothingBeforeTheAlarmLater(t *testing.T) {
	open := changed(t, run(t, decides(options(readFile(t, "plain.json")), "none")).Account, func(a object) { // moved out again by hand
		for _, i := range a["NetworkInterfaces"].([]any) {
			i.(object)["Groups"] = []any{object{"GroupId": foreign(t, a), "GroupName": "web"}}
		}
	})
	o := later(open, "none")
	o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 3600, Until: 60 * 24 * 3600, Calls: "sns:Publish", Kind: sim.Denied}}}
	r := run(t, o)
	if way := path(t, r); r.Ending != "Not contained" || !slices.Contains(way, "Tell that nothing changed") || slices.Contains(way, "Sign how it stands") {
		t.Errorf("ended as %q by way of %q", r.Ending, way)
	}
}
