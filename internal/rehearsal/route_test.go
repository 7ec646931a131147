package rehearsal_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/rehearsal"

	"github.com/google/go-cmp/cmp"
)

const (
	plainInstance = "i-0c0ffee0c0ffee001"
	primary       = "eni-0c0ffee0c0ffee0a1"
)

// Stretches of the way that routes share.
var (
	seen   = []string{"Read the finding", "Choose what to do"}
	told   = slices.Concat(seen, []string{"Tell why nothing was changed", "Choose the ending"})
	tried  = slices.Concat(seen, []string{"Protect and snapshot", "Isolate instance"})
	asked  = slices.Concat(tried, []string{"Narrow its credentials", "Start the memory capture", "Look at what stays open", "Was it a dry run?", "Tell people", "Gather evidence and ask"})
	sealed = slices.Concat(asked, []string{"Is it contained now?", "Make sure it is sealed", "Was it undone?", "Carry out the decision"})
	// The journal is a moment behind what was recorded.
	closed = []string{"Close the incident", "Is it closed?", "Wait for the journal", "Close the incident", "Is it closed?", "Name the ending"}
	signed = []string{"Sign how it stands", "Is it signed?", "Wait to sign", "Sign how it stands", "Is it signed?", "Name the ending"}
	hash   = []string{"Is the image hashed?", "Hash the image", "Is the image hashed?"}
	hashed = slices.Concat(hash, []string{"Are the copies done?"}, closed)
	// Without an evidence account there is nothing to wait for.
	uncopied  = slices.Concat([]string{"Are the copies done?"}, closed)
	freed     = slices.Concat(asked, []string{"Let running steps end", "Release instance", "Allow its credentials again", "End the capture"})
	released  = slices.Concat(freed, hash, uncopied, []string{"Released"})
	undecided = slices.Concat(sealed, []string{"Tell that nobody decided"}, hash, []string{"Are the copies done?"}, signed, []string{"Isolated, undecided"})
	// Where a brake asks before isolating, and is told to isolate.
	askedWay   = slices.Concat(seen, []string{"Ask before isolating", "Verify before isolating"})
	goAhead    = slices.Concat(askedWay, []string{"What was decided before isolating?"}, undecided[len(seen):])
	unanswered = slices.Concat(askedWay, []string{"Tell that it was not isolated"}, signed, []string{"Not contained"})
)

// Mails, by how their subjects begin.
const (
	isolatedMail = "[URGENT] EC2 instance isolated automatically"
	askedMail    = "[DECIDE] Terminate, keep or release?"
	nobodyMail   = "Isolated, undecided"
	repeatMail   = "Finding repeats what was already decided"
	joinedMail   = "Another finding"
	beforeMail   = "[DECIDE NOW] NOT isolated"
	silenceMail  = "[URGENT] Nobody decided, EC2 instance NOT isolated"
	pausedMail   = "[URGENT] PAUSED, EC2 instance NOT isolated"
	typeMail     = "[URGENT] Finding of an excepted type, NOT isolated"
	exemptMail   = "[URGENT] Exempt EC2 instance NOT isolated"
	dryMail      = "[DRY RUN] EC2 instance NOT isolated"
	machineMail  = "[URGENT] Incident response itself ended badly"
)

// contained is the plain instance isolated for good: whatever would have ended
// it or its evidence is off.
func contained(state string) machineState {
	return machineState{
		State: state, Groups: map[string][]string{primary: {"quarantine-sg"}, "eni-00289b551e6302762": {"quarantine-sg"}},
		Protected: "true true stop", Snapshots: []string{"completed locked", "completed locked"},
	}
}

// route is one way through the machine.
type route struct {
	name     string
	event    []byte
	account  []byte // nil: built around the event
	settings map[string]string
	decision string

	ending, status string
	path           []string
	mails          []string      // how the subjects begin
	after          *machineState // nil: exactly as before
}

func TestRoutes(t *testing.T) {
	plain := readFile(t, "plain.json")
	severe := changed(t, plain, func(e object) { e["detail"].(object)["severity"] = 9; e["detail"].(object)["id"] = "b0b" })
	second := readFile(t, "second-finding.json")
	left := func(decision string) []byte { return run(t, decides(options(plain), decision)).Account }
	afterNone, afterRelease, afterKeep, afterTerminate := left("none"), left("release"), left("keep"), left("terminate")
	refusing := around(t, plain, func(a object) {
		for _, n := range a["NetworkInterfaces"].([]any) {
			n.(object)["RequesterManaged"] = true // EC2 lets nobody but the requester change it
		}
	})
	in := func(state string) []byte {
		return around(t, plain, func(a object) {
			instance := a["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object)
			instance["State"] = object{"Name": state}
		})
	}
	web := map[string][]string{primary: {"web"}, "eni-00289b551e6302762": {"web"}}
	// What stays of an incident that was released: its snapshots, which go on.
	free := machineState{State: "running", Groups: web, Protected: "false false stop", DeletedToo: []string{"vol-0932ce9ee22dd811f"}, Snapshots: []string{"pending locked", "pending locked"}}
	with := func(m machineState, change func(*machineState)) *machineState {
		change(&m)
		return &m
	}
	shut := contained("terminated")
	shut.Groups = map[string][]string{} // its interfaces went with it
	shut.Protected = "false false stop" // or EC2 would not terminate it
	kept := contained("running")
	gone := []string{"EC2 instance of a finding is gone already"}

	tagged := around(t, plain, func(a object) {
		instance := a["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object)
		tags, _ := instance["Tags"].([]any)
		instance["Tags"] = append(tags, object{"Key": "cordon-exempt", "Value": "yes"})
	})
	arrives := eventTime(t, plain)
	pausedFor := func(d time.Duration) []byte {
		return around(t, plain, func(a object) {
			a["Parameters"] = []any{object{"Name": "/cordon/pause", "Type": "String", "Value": arrives.Add(d).Format(time.RFC3339), "LastModifiedDate": arrives.Add(-2 * time.Hour)}}
		})
	}
	// grouped puts the instance into a group with so many others.
	grouped := func(others int) []byte {
		return around(t, plain, func(a object) {
			a["AutoScalingInstances"] = []any{object{"InstanceId": plainInstance, "AutoScalingGroupName": "web", "LifecycleState": "Standby"}}
			a["AutoScalingGroups"] = []any{object{"AutoScalingGroupName": "web", "DesiredCapacity": others + 1, "MinSize": 0, "MaxSize": 9}}
		})
	}
	dry := map[string]string{"DryRun": "true"}
	before := func(decision string) []byte {
		o := decides(options(plain), decision)
		o.Parameters = always
		return run(t, o).Account
	}
	leftAlone, notAnswered := before("leave"), before("none")
	rehearsed := slices.Concat(tried, []string{"Narrow its credentials", "Start the memory capture", "Look at what stays open", "Was it a dry run?", "Tell what would have been done", "Rehearsed"})

	for _, c := range []route{
		{
			"terminate", plain, nil, nil, "terminate", "Terminated", "SUCCEEDED",
			slices.Concat(sealed, []string{"Authorize the termination", "Terminate instance"}, hashed, []string{"Terminated"}),
			[]string{isolatedMail, askedMail, "Decided, not yet carried out: Terminate", "Closed: EC2 instance terminated"},
			&shut,
		},
		{
			"keep", plain, nil, nil, "keep", "Kept isolated", "SUCCEEDED",
			slices.Concat(sealed, hashed, []string{"Kept isolated"}),
			[]string{isolatedMail, askedMail, "Decided, not yet carried out: Keep isolated", "Closed: EC2 instance stays isolated"},
			&kept,
		},
		{
			"release", plain, nil, nil, "release", "Released", "SUCCEEDED", released,
			[]string{isolatedMail, askedMail, "Closed: EC2 instance released"},
			&free,
		},
		{
			"nobody answers", plain, nil, nil, "none", "Isolated, undecided", "SUCCEEDED", undecided,
			[]string{isolatedMail, askedMail, nobodyMail},
			&kept,
		},

		{
			"EC2 refuses every change of groups", plain, refusing, nil, "terminate", "Not contained", "FAILED",
			slices.Concat(tried, []string{"Tell that it is not contained", "Gather evidence and ask", "Is it contained now?"}, signed, []string{"Not contained"}),
			[]string{"[URGENT] EC2 instance NOT isolated", machineMail},
			&machineState{State: "running", Groups: web, Protected: "true true stop", Snapshots: []string{"completed locked", "pending locked"}},
		},
		{
			"a member's finding at the delegated administrator", readFile(t, "delegated-administrator.json"), nil, nil, "none", "Not contained", "FAILED",
			slices.Concat(told, []string{"Not contained"}),
			[]string{"[URGENT] Instance of another account NOT isolated", machineMail},
			nil,
		},

		{
			"not in the account", plain, []byte(`{"Reservations": [], "NetworkInterfaces": []}`), nil, "none", "Already gone", "SUCCEEDED",
			[]string{"Read the finding", "Tell that it could not be read", "Is it gone?", "Already gone"},
			gone, nil,
		},
		{"terminated", plain, in("terminated"), nil, "none", "Already gone", "SUCCEEDED", slices.Concat(told, []string{"Already gone"}), gone, nil},
		{"shutting down", plain, in("shutting-down"), nil, "none", "Already gone", "SUCCEEDED", slices.Concat(told, []string{"Already gone"}), gone, nil},
		{"after a termination", second, afterTerminate, nil, "none", "Already gone", "SUCCEEDED", slices.Concat(told, []string{"Already gone"}), gone, nil},

		{
			"a second finding while open", second, afterNone, nil, "terminate", "Joined open incident", "SUCCEEDED",
			slices.Concat(told, []string{"Joined open incident"}),
			[]string{joinedMail},
			nil,
		},
		{
			"a repeat while open", readFile(t, "repeat.json"), afterNone, nil, "terminate", "Joined open incident", "SUCCEEDED",
			slices.Concat(told, []string{"Joined open incident"}),
			[]string{joinedMail},
			nil,
		},
		{
			"a repeat after release", readFile(t, "after-release.json"), afterRelease, nil, "terminate", "Already decided", "SUCCEEDED",
			slices.Concat(told, []string{"Already decided"}),
			[]string{repeatMail},
			nil,
		},
		{
			"a repeat after keep", readFile(t, "repeat.json"), afterKeep, nil, "terminate", "Already decided", "SUCCEEDED",
			slices.Concat(told, []string{"Already decided"}),
			[]string{repeatMail},
			nil,
		},
		{
			"a new type after release", second, afterRelease, nil, "keep", "Kept isolated", "SUCCEEDED",
			slices.Concat(sealed, hashed, []string{"Kept isolated"}),
			[]string{isolatedMail, askedMail, "Decided, not yet carried out: Keep isolated", "Closed: EC2 instance stays isolated"},
			with(kept, func(m *machineState) {
				m.Snapshots = []string{"completed locked", "completed locked", "completed locked", "completed locked"}
			}),
		},
		{
			"more severe after release", severe, afterRelease, nil, "release", "Released", "SUCCEEDED", released,
			[]string{isolatedMail, askedMail, "Closed: EC2 instance released"},
			with(free, func(m *machineState) {
				m.Snapshots = []string{"completed locked", "pending locked", "pending locked", "pending locked"}
			}),
		},
		// The second incident found the instance in our groups: what it had
		// before is known to the first one only.
		{
			"more severe after keep, released", severe, afterKeep, nil, "release", "Released", "SUCCEEDED",
			slices.Concat(freed, []string{"Is the image hashed?"}, uncopied, []string{"Released"}), // nothing of its memory was to be had
			[]string{isolatedMail, askedMail, "Closed: EC2 instance released"},
			with(free, func(m *machineState) {
				m.Snapshots = []string{"completed locked", "completed locked", "pending locked", "pending locked"}
			}),
		},

		{"a sample by its flag", readFile(t, "sample-flag.json"), nil, nil, "terminate", "Nothing to do", "SUCCEEDED", slices.Concat(seen, []string{"Nothing to do"}), nil, nil},
		{"a sample by a string", readFile(t, "sample-value-only.json"), nil, nil, "terminate", "Nothing to do", "SUCCEEDED", slices.Concat(seen, []string{"Nothing to do"}), nil, nil},
		{"archived", readFile(t, "archived.json"), nil, nil, "terminate", "Nothing to do", "SUCCEEDED", slices.Concat(seen, []string{"Nothing to do"}), nil, nil},
		{"below the threshold set", plain, nil, map[string]string{"SeverityThreshold": "9"}, "terminate", "Nothing to do", "SUCCEEDED", slices.Concat(seen, []string{"Nothing to do"}), nil, nil},
		{
			"exempt", plain, nil,
			map[string]string{"ExemptInstances": "i-0," + plainInstance},
			"terminate", "Nothing to do", "SUCCEEDED",
			slices.Concat(told, []string{"Nothing to do"}),
			[]string{exemptMail},
			nil,
		},

		{
			"exempt by its tag", plain, tagged,
			map[string]string{"ExemptTag": "cordon-exempt=yes"},
			"terminate", "Nothing to do", "SUCCEEDED",
			slices.Concat(told, []string{"Nothing to do"}),
			[]string{exemptMail},
			nil,
		},
		{"a tag that no parameter names", plain, tagged, nil, "none", "Isolated, undecided", "SUCCEEDED", undecided, []string{isolatedMail, askedMail, nobodyMail}, &kept},
		{
			"a type that is not to be acted on", plain, nil,
			map[string]string{"FindingTypes": "CryptoCurrency:*"},
			"terminate", "Nothing to do", "SUCCEEDED",
			slices.Concat(told, []string{"Nothing to do"}),
			[]string{typeMail},
			nil,
		},
		{
			"a type that is never acted on", plain, nil,
			map[string]string{"NeverFindingTypes": "Recon:*, backdoor:ec2/*"},
			"terminate", "Nothing to do", "SUCCEEDED",
			slices.Concat(told, []string{"Nothing to do"}),
			[]string{typeMail},
			nil,
		},
		{"paused", plain, pausedFor(time.Hour), nil, "terminate", "Not contained", "FAILED", slices.Concat(told, []string{"Not contained"}), []string{pausedMail, machineMail}, nil},
		{"paused, and that has ended", plain, pausedFor(-time.Minute), nil, "none", "Isolated, undecided", "SUCCEEDED", undecided, []string{isolatedMail, askedMail, nobodyMail}, &kept},
		{
			"paused for ever", plain, pausedFor(1000 * time.Hour),
			map[string]string{"PauseHours": "1"},
			"none", "Isolated, undecided", "SUCCEEDED", undecided,
			[]string{isolatedMail, askedMail, nobodyMail},
			&kept,
		}, // it was written two hours ago

		{"too many, isolate", plain, nil, always, "isolate", "Isolated, undecided", "SUCCEEDED", goAhead, []string{beforeMail, isolatedMail, askedMail, nobodyMail}, &kept},
		{
			"too many, leave", plain, nil, always, "leave", "Released", "SUCCEEDED",
			slices.Concat(askedWay, []string{"What was decided before isolating?"}, closed, []string{"Released"}),
			[]string{beforeMail, "Closed: EC2 instance left alone"},
			nil,
		},
		{"too many, nobody answers", plain, nil, always, "none", "Not contained", "FAILED", unanswered, []string{beforeMail, silenceMail, machineMail}, nil},
		{"too many, an answer to another question", plain, nil, always, "terminate", "Not contained", "FAILED", unanswered, []string{beforeMail, silenceMail, machineMail}, nil},
		{"too many, and critical", severe, nil, always, "none", "Isolated, undecided", "SUCCEEDED", undecided, []string{isolatedMail, askedMail, nobodyMail}, &kept},
		{"a repeat of what was left alone", readFile(t, "repeat.json"), leftAlone, nil, "none", "Already decided", "SUCCEEDED", slices.Concat(told, []string{"Already decided"}), []string{repeatMail}, nil},
		{"a repeat of what nobody answered", readFile(t, "repeat.json"), notAnswered, nil, "none", "Isolated, undecided", "SUCCEEDED", undecided, []string{isolatedMail, askedMail, nobodyMail}, &kept},
		{"half of a group is isolated", plain, grouped(1), nil, "isolate", "Isolated, undecided", "SUCCEEDED", undecided, []string{isolatedMail, askedMail, nobodyMail}, &kept},
		{
			"more than a share of a group", plain, grouped(1),
			map[string]string{"MaxGroupPercent": "49"},
			"isolate", "Isolated, undecided", "SUCCEEDED", goAhead,
			[]string{beforeMail, isolatedMail, askedMail, nobodyMail},
			&kept,
		},

		{"a dry run", plain, nil, dry, "terminate", "Rehearsed", "SUCCEEDED", rehearsed, []string{dryMail}, nil},
		{
			"a dry run of a finding that is exempt", plain, nil,
			map[string]string{"DryRun": "true", "ExemptInstances": plainInstance},
			"terminate", "Nothing to do", "SUCCEEDED",
			slices.Concat(told, []string{"Nothing to do"}),
			[]string{exemptMail},
			nil,
		},
		{
			"a dry run while an incident is open", second, afterNone, dry, "terminate", "Joined open incident", "SUCCEEDED",
			slices.Concat(told, []string{"Joined open incident"}),
			[]string{joinedMail},
			nil,
		},
		{"a dry run of what would be asked", plain, nil, map[string]string{"DryRun": "true", "MaxIsolationsPerHour": "0"}, "isolate", "Rehearsed", "SUCCEEDED", rehearsed, []string{dryMail}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := decides(options(c.event), c.decision)
			o.Account, o.Parameters = c.account, c.settings
			r := run(t, o)
			if r.Ending != c.ending || r.Status != c.status || !r.Matched {
				t.Errorf("ended as %q (%s), want %q (%s)", r.Ending, r.Status, c.ending, c.status)
			}
			if diff := cmp.Diff(c.path, path(t, r)); diff != "" {
				t.Errorf("went another way (-want +went):\n%s", diff)
			}
			// Reminders are in delivery_test.go.
			reminder := func(s string) bool { return strings.Contains(s, " left: ") }
			if got := slices.DeleteFunc(subjects(r), reminder); !slices.EqualFunc(got, c.mails, strings.HasPrefix) {
				t.Errorf("people got %q, want %q", got, c.mails)
			}
			was, is := afterwards(t, r.Before, r.InstanceID), afterwards(t, r.Account, r.InstanceID)
			want := was
			if c.after != nil {
				want = *c.after
			}
			if diff := cmp.Diff(want, is); diff != "" {
				t.Errorf("the account is otherwise (-want +is):\n%s", diff)
			}
			if c.after == nil && callsTo(r, func(c rehearsal.Call) bool { return c.Mutating && c.Service == "ec2" }) > 0 {
				t.Error("something was changed that then looked the same; nothing was to be changed")
			}
		})
	}
}

// A finding of another account names an instance that may exist in ours by
// chance: it is not even described.
func TestAnotherAccountsFindingIsNotLookedInto(t *testing.T) {
	r := run(t, options(readFile(t, "delegated-administrator.json")))
	if n := callsTo(r, func(c rehearsal.Call) bool { return c.Service == "ec2" || c.Service == "ssm" }); n > 0 {
		t.Errorf("%d calls to EC2 and SSM", n)
	}
	if len(r.Mails) == 0 || !strings.Contains(r.Mails[0].Body, r.InstanceID) {
		t.Errorf("nobody was told of %s: %q", r.InstanceID, subjects(r))
	}
}

// Events that start no incident are told where somebody must look.
func TestUnmatchedEvents(t *testing.T) {
	for event, told := range map[string]bool{
		"attack-sequence.json":          true,
		"access-key-with-instance.json": true,
		"below-threshold.json":          false,
	} {
		t.Run(event, func(t *testing.T) {
			o := decides(options(readFile(t, event)), "terminate")
			r := run(t, o)
			if r.Matched || r.Ending != "" || r.Status != "" || len(r.States) > 0 {
				t.Errorf("an incident was started: matched %v, %q %q %q", r.Matched, r.Ending, r.Status, r.States)
			}
			if len(r.Mails) > 0 != told {
				t.Errorf("%d mails, told should be %v", len(r.Mails), told)
			}
			if n := callsTo(r, func(c rehearsal.Call) bool { return c.Service != "sns" }); n > 0 || !told && len(r.Calls) > 0 {
				t.Errorf("calls were made that tell nobody: %v", r.Calls)
			}
		})
	}
}

func eventTime(t *testing.T, event []byte) time.Time {
	t.Helper()
	var e struct{ Time time.Time }
	if err := json.Unmarshal(event, &e); err != nil || e.Time.IsZero() {
		t.Fatal("the event has no time", err)
	}
	return e.Time.UTC()
}
