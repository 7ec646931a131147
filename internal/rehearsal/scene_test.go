package rehearsal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"cordon"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// object is a JSON object to be spoiled for a test.
type object = map[string]any

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../events/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed is a JSON object with changes.
func changed(t testing.TB, b []byte, change func(object)) []byte {
	t.Helper()
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	change(o)
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plainEvent is events/plain.json with changes to its detail.
func plainEvent(t testing.TB, change func(detail object)) []byte {
	t.Helper()
	return changed(t, readFile(t, "plain.json"), func(e object) { change(e["detail"].(object)) })
}

// around is the account built around an event, with changes.
func around(t testing.TB, event []byte, change func(object)) []byte {
	t.Helper()
	b, err := sim.Around(event)
	if err != nil {
		t.Fatal(err)
	}
	return changed(t, b, change)
}

// options are those of an event with seed 1 and nobody who decides.
func options(event []byte) rehearsal.Options {
	return rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Event: event, Seed: 1}
}

func decides(o rehearsal.Options, choice string) rehearsal.Options {
	o.Person = nil
	if choice != "none" {
		o.Person = rehearsal.Decides(choice)
	}
	return o
}

// run rehearses; a violated invariant fails the test, whatever it is about.
func run(t testing.TB, o rehearsal.Options) rehearsal.Result {
	t.Helper()
	r, err := rehearsal.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Broken) > 0 {
		t.Errorf("violated: %s", strings.Join(r.Broken, "; "))
	}
	return r
}

// topLevel are the names of the states that are not inside a branch.
func topLevel(t testing.TB) map[string]bool {
	t.Helper()
	var m struct{ States map[string]json.RawMessage }
	if err := json.Unmarshal(cordon.Definition, &m); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for name := range m.States {
		names[name] = true
	}
	return names
}

// path is the way through the states at the top level.
func path(t testing.TB, r rehearsal.Result) []string {
	t.Helper()
	top, way := topLevel(t), []string{}
	for _, s := range r.States {
		if top[s] {
			way = append(way, s)
		}
	}
	return way
}

// machineState is what a responder wants to know of an instance afterwards.
type machineState struct {
	State      string              // of the instance
	Groups     map[string][]string // names, by interface
	Protected  string              // termination, stop, what a shutdown does
	DeletedToo []string            // volumes that go when the instance goes
	Snapshots  []string            // "STATE locked", sorted
}

func afterwards(t testing.TB, account []byte, instance string) machineState {
	t.Helper()
	a, err := rehearsal.ReadAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	var more struct {
		InstanceAttributes map[string]map[string]struct{ Value any }
		LockedSnapshots    []types.LockedSnapshotsInfo
		Volumes            []types.Volume
	}
	if err := json.Unmarshal(account, &more); err != nil {
		t.Fatal(err)
	}
	m := machineState{State: "gone", Groups: map[string][]string{}}
	i, ok := a.Instance(instance)
	if ok {
		m.State = "running"
		if i.State != nil {
			m.State = string(i.State.Name)
		}
	}
	for _, n := range a.Interfaces(instance) {
		id := aws.ToString(n.NetworkInterfaceId)
		for _, g := range n.Groups {
			m.Groups[id] = append(m.Groups[id], aws.ToString(g.GroupName))
		}
		slices.Sort(m.Groups[id])
	}
	attribute := func(name string, absent any) any {
		if v, ok := more.InstanceAttributes[instance][name]; ok && v.Value != nil {
			return v.Value
		}
		return absent
	}
	m.Protected = fmt.Sprint(attribute("DisableApiTermination", false), " ", attribute("DisableApiStop", false), " ", attribute("InstanceInitiatedShutdownBehavior", "stop"))
	for _, v := range i.BlockDeviceMappings {
		if v.Ebs != nil && aws.ToBool(v.Ebs.DeleteOnTermination) {
			m.DeletedToo = append(m.DeletedToo, aws.ToString(v.Ebs.VolumeId))
		}
	}
	for _, s := range a.Snapshots {
		locked := " unlocked"
		if slices.ContainsFunc(more.LockedSnapshots, func(l types.LockedSnapshotsInfo) bool {
			return aws.ToString(l.SnapshotId) == aws.ToString(s.SnapshotId)
		}) {
			locked = " locked"
		}
		m.Snapshots = append(m.Snapshots, string(s.State)+locked)
	}
	slices.Sort(m.Snapshots)
	return m
}

// groupsOf are the group names of every interface, each set once.
func (m machineState) groupsOf() []string {
	var all []string
	for _, g := range m.Groups {
		all = append(all, strings.Join(g, "+"))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func subjects(r rehearsal.Result) []string {
	all := []string{}
	for _, m := range r.Mails {
		all = append(all, m.Subject)
	}
	return all
}

// callsTo counts the calls of a service that match.
func callsTo(r rehearsal.Result, match func(rehearsal.Call) bool) int {
	n := 0
	for _, c := range r.Calls {
		if match(c) {
			n++
		}
	}
	return n
}

func asJSONBytes(v any) []byte { return []byte(asJSON(v)) }

func jsonOf(t testing.TB, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
