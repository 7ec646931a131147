package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"cordon"
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

	undisturbed rehearsal.Result
	racing      []json.RawMessage // further findings about the same instance
}

type object = map[string]any

func (b *base) options() rehearsal.Options {
	o := rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Event: b.event, Account: b.account, Parameters: b.parameters, Seed: 1}
	if b.decision != "none" {
		o.Person = rehearsal.Decides(b.decision)
	}
	return o
}

// bases are the incidents, each with its undisturbed run.
func bases(t testing.TB) []*base {
	t.Helper()
	all, err := load(unchanged)
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
		return must(small(must(sim.Around(event)), behaviour))
	}
	hour := map[string]string{"ApprovalHours": "1"}
	with := func(m map[string]string, name, value string) map[string]string {
		all := map[string]string{name: value}
		for k, v := range m {
			all[k] = v
		}
		return all
	}
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
			account: must(small(read("accounts/dual-stack-interfaces.json"), nil)), decision: "terminate",
		},
		{
			name: "Auto Scaling and balancers", event: read("auto-scaling.json"),
			account: must(small(read("accounts/auto-scaling.json"), nil)), decision: "release",
		},
		{name: "no SSM", event: read("no-ssm.json"), account: must(small(read("accounts/no-ssm.json"), nil)), decision: "keep"},
		{name: "memory fails", event: plain, account: around(plain, object{"AgentLostAfterSeconds": 1}), decision: "terminate"},
		{name: "termination refused", event: plain, account: around(plain, object{"FailingSnapshots": everyVolume}), decision: "terminate", parameters: hour},
		{name: "dry run", event: plain, account: around(plain, nil), decision: "none", parameters: map[string]string{"DryRun": "true"}},
		{name: "asked before isolating", event: plain, account: around(plain, nil), decision: "isolate", parameters: with(hour, "MaxIsolationsPerHour", "0")},
		{name: "asked first, nobody answers", event: plain, account: around(plain, nil), decision: "none", parameters: with(hour, "MaxIsolationsPerHour", "0")},
		{name: "credentials denied", event: read("command-and-control-dns.json"), account: around(read("command-and-control-dns.json"), nil), decision: "terminate", parameters: map[string]string{"CredentialRoles": "arn:aws:iam::111122223333:role/*"}},
		{name: "paused", event: plain, account: must(small(read("accounts/paused.json"), nil)), decision: "none"},
		{name: "a sample", event: read("sample-flag.json"), account: around(read("sample-flag.json"), nil), decision: "none"},
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
	}
	for _, b := range all {
		undisturbed(b)
	}
	if err != nil {
		return nil, err
	}
	for _, after := range []struct{ name, before, event, decision string }{
		{"joined by a second finding", "nobody answers", "second-finding.json", "none"},
		{"a repeat after a release", "plain, released", "after-release.json", "none"},
		{"decided later", "plain, kept", "decide-later.json", "release"},
	} {
		b := &base{
			name: after.name, event: read(after.event), account: byName[after.before].undisturbed.Account,
			decision: after.decision, parameters: byName[after.before].parameters,
		}
		undisturbed(b)
		all = append(all, b)
	}
	return all, err
}

// racing are other findings about the instance of an event: another type, more
// severe, and an older state of the same that arrives late.
func racing(event []byte) (all []json.RawMessage, err error) {
	for _, change := range []func(detail, service object){
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
		b, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// small is an account whose instances have little memory and whose snapshots
// complete soon: the same calls, only fewer of each.
func small(account []byte, behaviour object) ([]byte, error) {
	var a object
	if err := json.Unmarshal(account, &a); err != nil {
		return nil, err
	}
	for _, r := range a["Reservations"].([]any) {
		for _, i := range r.(object)["Instances"].([]any) {
			i.(object)["InstanceType"] = "t3.nano"
		}
	}
	delete(a, "InstanceTypes")
	all, _ := a["Behaviour"].(object)
	if all == nil {
		all = object{}
	}
	all["SnapshotSeconds"] = 20
	for k, v := range behaviour {
		all[k] = v
	}
	a["Behaviour"] = all
	return json.MarshalIndent(a, "", " ")
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
