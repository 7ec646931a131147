package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/internal/incident"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// base is an incident that is run under faults.
type base struct {
	name       string
	event      []byte
	account    []byte
	parameters map[string]string
	decision   string
	script     rehearsal.Script // what happens besides, faults or not
	thinned    bool             // long, or much like another: not every kind at every call is tried

	undisturbed rehearsal.Result
	racing      []json.RawMessage // further findings about the same instance
}

type object = map[string]any

func (b *base) options() rehearsal.Options {
	o := rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Event: b.event, Account: b.account, Parameters: b.parameters, Seed: 1}
	if b.decision != "none" {
		o.Person = rehearsal.Decides(b.decision)
	}
	o.Script = &b.script
	return o
}

// under is the incident's own script with faults.
func (b *base) under(faults ...string) rehearsal.Script {
	s := clone(b.script)
	s.Faults = append(s.Faults, faults...)
	return s
}

// days are longer than anything is tried for.
const days = 30 * 24 * 3600

// lost is a right that nobody has for a while, or what a service does not find.
func lost(calls string, kind sim.Kind, from, until float64) rehearsal.Script {
	return rehearsal.Script{Storms: []rehearsal.Storm{{From: from, Until: until, Calls: calls, Kind: kind}}}
}

// roleLost is a right that one function lacks for a while.
func roleLost(by, calls string, from, until float64) rehearsal.Script {
	return rehearsal.Script{Storms: []rehearsal.Storm{{From: from, Until: until, Calls: calls, By: by, Kind: sim.Denied}}}
}

// once made, nobody changes them
var loaded = sync.OnceValues(func() ([]*base, error) { return load(unchanged) })

// bases are the incidents, each with its undisturbed run.
func bases(t testing.TB) []*base {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// load makes the incidents of a mutant, or of what is not changed.
func load(change func(*rehearsal.Options)) (all []*base, err error) {
	read := func(name string) []byte {
		b, failed := os.ReadFile("../../events/" + name)
		err = errors.Join(err, failed)
		return b
	}
	must := func(b []byte, failed error) []byte {
		err = errors.Join(err, failed)
		return b
	}
	plain := read("plain.json")
	around := func(event []byte, behaviour object) []byte {
		return must(small(must(sim.Around(event)), 64, behaviour))
	}
	hour := map[string]string{"ApprovalHours": "1"}
	with := func(m map[string]string, more ...string) map[string]string {
		all := maps.Clone(m)
		for n := 0; n < len(more); n += 2 {
			all[more[n]] = more[n+1]
		}
		return all
	}
	askFirst := with(hour, "MaxIsolationsPerHour", "0")
	signedIn := map[string]string{
		"ApprovalIdentity": "VerifiedAccess", "ApproversForTermination": "2", "AccessDomain": "decide.example.com",
		"AccessInstance":   "arn:aws:ec2:us-east-1:111122223333:verified-access-instance/vai-0123456789abcdef0",
		"AccessProvider":   "arn:aws:ec2:us-east-1:111122223333:verified-access-trust-provider/vatp-0123456789abcdef0",
		"AccessResponders": "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/cordon-responders/6d0ecf831eec9f09",
	}
	elsewhere := map[string]string{
		"EvidenceRoleArn": "arn:aws:iam::999988887777:role/cordon-evidence", "EvidenceKeyArn": "arn:aws:kms:us-east-1:999988887777:key/evidence", "EvidenceExternalId": "external",
	}
	person := func(after float64, choice incident.Choice, as string) rehearsal.Choosing {
		return rehearsal.Choosing{After: after, Choice: choice, As: as}
	}
	people := func(all ...rehearsal.Choosing) rehearsal.Script { return rehearsal.Script{People: all} }
	byCommand := rehearsal.Script{People: []rehearsal.Choosing{
		{After: 60, Choice: incident.Terminate, As: "sato", Order: true}, {After: 150, Choice: incident.Terminate, As: "tanaka", Order: true},
	}}
	// Later not even described, so that the retries after the first few hundred are short.
	neverMoved := lost("ec2:ModifyNetworkInterfaceAttribute", sim.Denied, 0, days)
	neverMoved.Storms = append(neverMoved.Storms, roleLost("isolate", "ec2:Describe*", 400, days).Storms...)
	everyVolume, failed := volumes(around(plain, nil))
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	all = []*base{
		{name: "plain, terminated", event: plain, account: around(plain, nil), decision: "terminate"},
		{name: "plain, released", event: plain, account: around(plain, nil), decision: "release"},
		{name: "plain, kept", event: plain, account: around(plain, nil), decision: "keep"},
		{name: "nobody answers", event: plain, account: around(plain, nil), decision: "none", parameters: hour},
		{
			name: "several VPCs, dual stack", event: read("dual-stack-interfaces.json"),
			account: must(small(read("accounts/dual-stack-interfaces.json"), 512, nil)), decision: "terminate",
		},
		{
			name: "Auto Scaling and balancers", event: read("auto-scaling.json"),
			account: must(small(read("accounts/auto-scaling.json"), 512, nil)), decision: "release",
		},
		{name: "no SSM", event: read("no-ssm.json"), account: must(small(read("accounts/no-ssm.json"), 512, nil)), decision: "keep"},
		{name: "memory fails", event: plain, account: around(plain, object{"AgentLostAfterSeconds": 1}), decision: "terminate"},
		{name: "termination refused", event: plain, account: around(plain, object{"FailingSnapshots": everyVolume}), decision: "terminate", parameters: hour, thinned: true},
		{name: "dry run", event: plain, account: around(plain, nil), decision: "none", parameters: map[string]string{"DryRun": "true"}},
		{name: "asked before isolating", event: plain, account: around(plain, nil), decision: "isolate", parameters: askFirst},
		{name: "asked first, nobody answers", event: plain, account: around(plain, nil), decision: "none", parameters: askFirst},
		{name: "credentials denied", event: read("command-and-control-dns.json"), account: around(read("command-and-control-dns.json"), nil), decision: "terminate", parameters: map[string]string{"CredentialRoles": "arn:aws:iam::111122223333:role/*"}},
		{name: "paused", event: plain, account: must(small(read("accounts/paused.json"), 512, nil)), decision: "none"},
		{name: "a sample", event: read("sample-flag.json"), account: around(read("sample-flag.json"), nil), decision: "none"},
		{name: "two people terminate", event: plain, account: around(plain, nil), decision: "terminate", parameters: signedIn},

		{name: "two people by command", event: plain, account: around(plain, nil), decision: "none", parameters: signedIn, script: byCommand, thinned: true},
		{name: "the second refuses", event: plain, account: around(plain, nil), decision: "none", parameters: signedIn, script: people(person(60, incident.Terminate, rehearsal.User), person(150, incident.Keep, rehearsal.Colleague)), thinned: true},
		{name: "the first thinks better of it", event: plain, account: around(plain, nil), decision: "none", parameters: signedIn, script: people(person(60, incident.Terminate, rehearsal.User), person(150, incident.Release, rehearsal.User)), thinned: true},
		{name: "one person twice", event: plain, account: around(plain, nil), decision: "none", parameters: with(signedIn, "ApprovalHours", "1"), script: people(person(60, incident.Terminate, rehearsal.User), person(150, incident.Terminate, rehearsal.User)), thinned: true},
		{name: "nobody seconds it", event: plain, account: around(plain, nil), decision: "none", parameters: with(signedIn, "ApprovalHours", "1"), script: people(person(60, incident.Terminate, rehearsal.User)), thinned: true},
		{name: "reminded, escalated", event: plain, account: around(plain, nil), decision: "none", parameters: map[string]string{"ApprovalHours": "8", "EscalationEmail": "boss@example.com"}, thinned: true},
		{name: "asked first, reminded", event: plain, account: around(plain, nil), decision: "none", parameters: with(askFirst, "ApprovalHours", "4", "EscalationEmail", "boss@example.com"), thinned: true},
		{name: "copies elsewhere", event: plain, account: around(plain, nil), decision: "keep", parameters: elsewhere, thinned: true},
		{name: "no conversion", event: plain, account: around(plain, nil), decision: "keep", parameters: map[string]string{"ConvertConnections": "false"}, thinned: true},
		{name: "credentials allowed again", event: plain, account: around(plain, nil), decision: "release", parameters: map[string]string{"CredentialRoles": "arn:aws:iam::111122223333:role/*"}, thinned: true},
		{name: "its turn comes", event: plain, account: must(queued(around(plain, nil), plain)), decision: "keep", thinned: true},
		{name: "exempt", event: plain, account: around(plain, nil), decision: "none", parameters: map[string]string{"ExemptInstances": "i-0c0ffee0c0ffee001"}},
		{name: "protection denied", event: plain, account: around(plain, nil), decision: "keep", script: roleLost("preserve", "dynamodb:*", 0, days), thinned: true},
		{name: "contained late", event: plain, account: around(plain, nil), decision: "keep", script: lost("ec2:ModifyNetworkInterfaceAttribute", sim.Throttled, 0, 150), thinned: true},
		{name: "never contained", event: plain, account: around(plain, nil), decision: "none", script: neverMoved, thinned: true},
		{name: "a decision that cannot be verified", event: plain, account: around(plain, nil), decision: "keep", script: lost("kms:VerifyMac", sim.Unavailable, 30, 240), thinned: true},
		{name: "never verified before isolating", event: plain, account: around(plain, nil), decision: "isolate", parameters: askFirst, script: lost("kms:VerifyMac", sim.Denied, 0, days), thinned: true},
		{name: "gone before it is marked", event: plain, account: around(plain, nil), decision: "terminate", script: lost("ec2:DescribeInstances", sim.NotFound, 30, days), thinned: true},
		{name: "gone before it is released", event: plain, account: around(plain, nil), decision: "release", script: lost("ec2:DescribeInstance*", sim.NotFound, 61, days), thinned: true},
	}
	byName := map[string]*base{}
	undisturbed := func(b *base) {
		o := b.options()
		change(&o)
		r, failed := rehearsal.Run(o)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", b.name, failed))
		}
		b.undisturbed, byName[b.name] = r, b
		b.racing, failed = racing(b.event)
		err = errors.Join(err, failed)
		all = append(all, b)
	}
	begun := all
	all = nil
	for _, b := range begun {
		undisturbed(b)
	}
	if err != nil {
		return nil, err
	}
	worse, failed := racing(plain)
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	later := read("decide-later.json")
	for _, after := range []struct {
		before  string
		changed func(account []byte) ([]byte, error) // since; may be nil
		base
	}{
		{"nobody answers", nil, base{name: "joined by a second finding", event: read("second-finding.json"), decision: "none"}},
		{"plain, released", nil, base{name: "a repeat after a release", event: read("after-release.json"), decision: "none"}},
		{"plain, released", nil, base{name: "a worse one after a release", event: worse[1], decision: "release", thinned: true}},
		{"plain, kept", nil, base{name: "decided later", event: later, decision: "release"}},
		{"nobody seconds it", nil, base{name: "decided later by two, by command", event: later, decision: "none", script: byCommand, thinned: true}},
		{"nobody answers", nil, base{name: "asked later, nobody answers", event: later, decision: "none", thinned: true}},
		{"plain, kept", nil, base{name: "never verified later", event: later, decision: "release", script: lost("kms:VerifyMac", sim.Denied, 0, days), thinned: true}},
		{"plain, kept", putBack, base{name: "opened by hand, asked later", event: later, decision: "none", parameters: hour, thinned: true}},
		{"plain, kept", without("SecurityGroups", isForeign), base{name: "released in part", event: later, decision: "release", thinned: true}},
		{"released in part", nil, base{name: "terminated after that", event: later, decision: "terminate", parameters: hour, thinned: true}},
		{"plain, kept", without("Reservations", func(object) bool { return true }), base{name: "asked later about one that is gone", event: later, decision: "none"}},
	} {
		b := after.base
		b.account = byName[after.before].undisturbed.Account
		if after.changed != nil {
			b.account = must(after.changed(b.account))
		}
		if b.parameters == nil {
			b.parameters = byName[after.before].parameters
		}
		undisturbed(&b)
	}
	return all, err
}

// queued is an account in which others wait to be isolated, for ten seconds more
// than may be taken at once.
func queued(account, event []byte) ([]byte, error) {
	var e struct{ Time time.Time }
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	return changed(account, func(a object) {
		all, _ := a["Incidents"].([]any)
		a["Incidents"] = append(all, object{"Table": "incidents", "Item": object{
			"pk": object{"S": "queue#ModifyNetworkInterfaceAttribute"}, "sk": object{"S": "turn"}, "until": object{"N": fmt.Sprint(e.Time.Add(28 * time.Second).UnixMilli())},
		}})
	})
}

// putBack is an account whose interfaces somebody put into a group of their own.
func putBack(account []byte) ([]byte, error) {
	return changed(account, func(a object) {
		for _, g := range a["SecurityGroups"].([]any) {
			if isForeign(g.(object)) {
				for _, i := range a["NetworkInterfaces"].([]any) {
					i.(object)["Groups"] = []any{object{"GroupId": g.(object)["GroupId"], "GroupName": g.(object)["GroupName"]}}
				}
			}
		}
	})
}

// without leaves things out of an account, as if somebody had deleted them.
func without(list string, which func(object) bool) func([]byte) ([]byte, error) {
	return func(account []byte) ([]byte, error) {
		return changed(account, func(a object) {
			a[list] = slices.DeleteFunc(a[list].([]any), func(one any) bool { return which(one.(object)) })
		})
	}
}

// isForeign says whether a group is not one of the stack.
func isForeign(g object) bool { return g["Tags"] == nil }

func changed(account []byte, change func(object)) ([]byte, error) {
	var a object
	if err := json.Unmarshal(account, &a); err != nil {
		return nil, err
	}
	change(a)
	return json.MarshalIndent(a, "", " ")
}

// racing are other findings about the instance of an event: another type, more
// severe, and an older state of the same that arrives late.
func racing(event []byte) (all []json.RawMessage, err error) {
	for n, change := range []func(detail, service object){
		func(d, _ object) {
			d["id"], d["type"] = "f0000000000000000000000000000001", "CryptoCurrency:EC2/BitcoinTool.B"
		},
		func(d, _ object) { d["id"], d["severity"] = "f0000000000000000000000000000002", 9.5 },
		func(d, s object) { d["severity"], d["updatedAt"], s["count"] = 7.0, "2020-01-01T00:00:00.000Z", 1 },
	} {
		var e object
		if err := json.Unmarshal(event, &e); err != nil {
			return nil, err
		}
		detail := e["detail"].(object)
		service, ok := detail["service"].(object)
		if !ok {
			return nil, nil // a wish, no finding
		}
		change(detail, service)
		e["id"] = fmt.Sprintf("5f1d3c20-7b1a-4c7e-9d7e-f0000000000%d", n) // each is an event of its own
		b, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// small is an account whose instances have so many MiB of memory, which are captured in
// 6.4 seconds, and whose snapshots complete soon: the same calls, only fewer of each. A
// part of an image, 16 MiB, is no call of ours and costs a run as much as one.
func small(account []byte, mib int, behaviour object) ([]byte, error) {
	var a object
	if err := json.Unmarshal(account, &a); err != nil {
		return nil, err
	}
	for _, r := range a["Reservations"].([]any) {
		for _, i := range r.(object)["Instances"].([]any) {
			i.(object)["InstanceType"] = "t3.nano"
		}
	}
	a["InstanceTypes"] = []any{object{"InstanceType": "t3.nano", "MemoryInfo": object{"SizeInMiB": mib}}}
	all, _ := a["Behaviour"].(object)
	if all == nil {
		all = object{}
	}
	all["SnapshotSeconds"], all["ThroughputMiBps"] = 20, mib*10/64
	for k, v := range behaviour {
		all[k] = v
	}
	a["Behaviour"] = all
	return json.MarshalIndent(a, "", " ")
}

// japanese is an incident whose people read Japanese.
func japanese(b *base) *base {
	other := *b
	other.parameters = map[string]string{"Language": "ja"}
	maps.Copy(other.parameters, b.parameters)
	return &other
}

// volumes are the IDs of an account's volumes.
func volumes(account []byte) (ids []string, err error) {
	a, err := rehearsal.ReadAccount(account)
	for _, v := range a.Volumes {
		ids = append(ids, *v.VolumeId)
	}
	return ids, err
}

// kinds are the faults that make sense at a call. What changes nothing has no
// effect whose answer could be lost, and a read that is late is one that timed out.
func kinds(c rehearsal.Call) []sim.Kind {
	all := []sim.Kind{sim.Denied, sim.NotFound, sim.Throttled, sim.Unavailable, sim.KilledBefore, sim.Timeout}
	if c.Mutating {
		return append(all, sim.Lost, sim.KilledAfter, sim.Late)
	}
	f := sim.Fault{Service: c.Service, Action: c.Action, Number: 1, Kind: sim.Stale}
	if _, err := sim.ParseFault(f.String()); err == nil && consistentLate[c.Service] {
		all = append(all, sim.Stale)
	}
	return all
}

// consistentLate are the services of which the model answers a read from before a write.
var consistentLate = map[string]bool{"ec2": true, "autoscaling": true, "iam": true}

func fault(c rehearsal.Call, k sim.Kind) string {
	return fmt.Sprintf("%s:%s#%d=%s", c.Service, c.Action, c.Number, k)
}
