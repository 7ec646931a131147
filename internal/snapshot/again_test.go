package snapshot_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/scene"
	"cordon/internal/sim"
	"cordon/internal/snapshot"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// behaves is scene.File with a Behaviour.
func behaves(text string) string {
	return strings.Replace(scene.File, "{", `{"Behaviour": {`+text+`},`, 1)
}

// attached is scene.File with a volume that is attached when the set stands.
var attached = strings.Replace(behaves(`"VolumesMoved": [{"Seconds": 60, "VolumeId": "vol-new", "InstanceId": "i-0aaaaaaaaaaaaaaaa", "Device": "/dev/sdg"}]`),
	`{"VolumeId": "vol-data", "Size": 100}`, `{"VolumeId": "vol-data", "Size": 100}, {"VolumeId": "vol-new"}`, 1)

// standing counts the snapshots of each volume that stand and are locked.
func standing(out snapshot.Output) map[string]int {
	n := map[string]int{}
	for _, sn := range out.Set {
		if sn.State == "completed" && sn.Locked && !sn.Duplicate {
			n[sn.VolumeID]++
		}
	}
	return n
}

func noted(out snapshot.Output) map[string]string {
	m := map[string]string{}
	for _, n := range out.Notes {
		m[n.What] = n.Detail
	}
	return m
}

// A snapshot that fails is made again, three times at most. What failed first
// stays in the record, with the reason.
func TestFailedIsMadeAgain(t *testing.T) {
	for failures, want := range map[string]struct {
		status  incident.Status
		members int
		reason  string
	}{
		"1": {incident.OK, 3, "1 failed and were made again"},
		"3": {incident.OK, 5, "3 failed and were made again"},
		"4": {incident.Failed, 5, "of vol-data failed (Internal error: the data could not be copied)"},
		"9": {incident.Failed, 5, "of vol-data failed (Internal error: the data could not be copied)"},
	} {
		s := scene.Open(t, behaves(`"SnapshotFailures": {"vol-data": `+failures+`}`))
		out := must(t)(run(t.Context(), s))
		if out.Status != want.status || len(out.Set) != want.members || !strings.Contains(out.Reason, want.reason) || out.Complete != (want.status == incident.OK) {
			t.Errorf("%s failures: got %+v", failures, out)
		}
		if n := len(snapshots(t, s)); n != want.members {
			t.Errorf("%s failures: %d snapshots in the account", failures, n)
		}
		for _, sn := range out.Set {
			if (sn.State == "error") != (sn.Reason != "") || sn.Superseded && sn.State != "error" {
				t.Errorf("%s failures: got %+v", failures, sn)
			}
		}
	}
}

// What was attached since is snapshotted alone, and that it shows another moment
// is told.
func TestAttachedSince(t *testing.T) {
	s := scene.Open(t, attached)
	must(t)(look(t.Context(), s, false))
	out := must(t)(run(t.Context(), s))
	if d := cmp.Diff(map[string]int{"vol-root": 1, "vol-data": 1, "vol-new": 1}, standing(out)); d != "" || !out.Complete {
		t.Errorf("%+v\n%s", out, d)
	}
	if later := noted(out)["later"]; !strings.Contains(later, "of vol-new") {
		t.Errorf("notes are %v", out.Notes)
	}
	for _, sn := range snapshots(t, s) {
		if tags := tagsOf(sn); *sn.VolumeId == "vol-new" && (tags["cordon:device"] != "/dev/sdg" || tags["cordon:incident"] != s.Incident.ID) {
			t.Errorf("tags are %v", tags)
		}
	}
}

// A volume that is taken off before the set can be made is evidence all the
// same, as long as it exists.
func TestDetached(t *testing.T) {
	moved := `"VolumesMoved": [{"Seconds": 60, "VolumeId": "vol-data"DELETED}]`
	for deleted, want := range map[string]map[string]int{
		"":                  {"vol-root": 1, "vol-data": 1},
		`, "Deleted": true`: {"vol-root": 1},
	} {
		s := scene.Open(t, behaves(strings.Replace(moved, "DELETED", deleted, 1)), scene.Fault(t, "ec2:CreateSnapshots#1=denied"))
		if _, err := look(t.Context(), s, false); err == nil {
			t.Fatal("the fault did not hit")
		}
		s.Wait(time.Hour)
		out := must(t)(run(t.Context(), s))
		if d := cmp.Diff(want, standing(out)); d != "" {
			t.Errorf("%q: %+v\n%s", deleted, out, d)
		}
		_, detached := noted(out)["detached"]
		_, gone := noted(out)["volumeGone"]
		if detached != (deleted == "") || gone != (deleted != "") || out.Complete != (deleted == "") {
			t.Errorf("%q: got %+v", deleted, out)
		}
	}
}

// The instance is terminated before the set can be made, and its volumes are
// kept: each is snapshotted alone.
func TestInstanceEnded(t *testing.T) {
	s := scene.Open(t, strings.ReplaceAll(scene.File, `"DeleteOnTermination": true`, `"DeleteOnTermination": false`), scene.Fault(t, "ec2:CreateSnapshots#1=denied"))
	if _, err := look(t.Context(), s, false); err == nil {
		t.Fatal("the fault did not hit")
	}
	s.Terminate(t)
	s.Wait(time.Hour)
	out := must(t)(run(t.Context(), s))
	if d := cmp.Diff(map[string]int{"vol-root": 1, "vol-data": 1}, standing(out)); d != "" || !out.Complete {
		t.Errorf("%+v\n%s", out, d)
	}
}

// A duplicate takes the place of evidence that failed, and is a duplicate no
// longer.
func TestDuplicateTakesOver(t *testing.T) {
	s := scene.Open(t, behaves(`"SnapshotFailures": {"vol-data": 1}`))
	s.Snapshot(t)
	s.Wait(time.Minute)
	s.Snapshot(t)
	if out := must(t)(look(t.Context(), s, true)); len(out.Set) != 4 || !out.Set[3].Duplicate {
		t.Fatalf("got %+v", out)
	}
	out := must(t)(run(t.Context(), s))
	if !out.Complete || out.Status != incident.OK || len(snapshots(t, s)) != 4 {
		t.Errorf("got %+v, want nothing made again", out)
	}
	for _, sn := range snapshots(t, s) {
		mark, there := tagsOf(sn)["cordon:duplicate"]
		if *sn.VolumeId == "vol-data" && sn.State == "completed" && (mark != "" || !there || locked(t, s)[*sn.SnapshotId] == 0) {
			t.Errorf("%s is the evidence now and marked %q, locked %d days", *sn.SnapshotId, mark, locked(t, s)[*sn.SnapshotId])
		}
	}
}

// A snapshot that never completes is not waited for for ever.
func TestNeverCompletes(t *testing.T) {
	s := scene.Open(t, behaves(`"SnapshotSeconds": 100000000`))
	for day := range 9 {
		out := must(t)(look(t.Context(), s, true))
		if out.Done != (day >= 7) { // the looks take a moment, too
			t.Fatalf("day %d: got %+v", day, out)
		}
		if out.Done && (out.Complete || out.Status != incident.Partial || !strings.Contains(out.Reason, "not waited for any longer after 7 days; 0 of 2 completed")) {
			t.Errorf("at the end: got %+v", out)
		}
		s.Wait(24 * time.Hour)
	}
}

// What EC2 refuses is told and tried at ten looks; a limit that ends by itself
// is waited out.
func TestMakingAgainIsRefused(t *testing.T) {
	var faults []sim.Fault
	for n := range 30 {
		faults = append(faults, sim.Fault{Service: "ec2", Action: "CreateSnapshot", Number: n + 1, Kind: sim.Denied})
	}
	s := scene.Open(t, attached, faults...)
	must(t)(look(t.Context(), s, false))
	out := must(t)(run(t.Context(), s))
	if out.Status != incident.Partial || out.Complete || !strings.Contains(out.Reason, "no snapshot of vol-new; snapshot vol-new again: ") || !cmp.Equal(out.Missing, []string{"vol-new"}) {
		t.Errorf("got %+v", out)
	}
	tried := 0
	for _, c := range s.Calls() {
		if c.Action == "CreateSnapshot" {
			tried++
		}
	}
	if tried != 10 {
		t.Errorf("tried %d times", tried)
	}

	// Somebody's own snapshot of a volume that takes only one at a time.
	s = scene.Open(t, strings.Replace(attached, `{"VolumeId": "vol-new"}`, `{"VolumeId": "vol-new", "VolumeType": "st1", "Size": 4000}`, 1))
	must(t)(look(t.Context(), s, false))
	if _, err := s.EC2().CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: aws.String("vol-new")}); err != nil {
		t.Fatal(err)
	}
	if out = must(t)(run(t.Context(), s)); !out.Complete || standing(out)["vol-new"] != 1 {
		t.Errorf("got %+v", out)
	}
}

// What no snapshot tells is noted.
func TestNotes(t *testing.T) {
	file := strings.NewReplacer(
		`"RootDeviceName": "/dev/xvda",`, `"RootDeviceName": "/dev/xvda", "RootDeviceType": "instance-store", "HibernationOptions": {"Configured": true},`,
		`"VolumeId": "vol-data", "DeleteOnTermination": true`, `"VolumeId": "vol-data", "DeleteOnTermination": false`,
		`{"VolumeId": "vol-data", "Size": 100}`, `{"VolumeId": "vol-data", "Size": 100, "VolumeType": "io2", "MultiAttachEnabled": true,
			"Attachments": [{"InstanceId": "i-0aaaaaaaaaaaaaaaa", "Device": "/dev/sdf"}, {"InstanceId": "i-0bbbbbbbbbbbbbbbb", "Device": "/dev/sdf"}]}`,
	).Replace(scene.File)
	s := scene.Open(t, file)
	out := must(t)(run(t.Context(), s))
	want := map[string]string{"rootInStore": "/dev/xvda", "hibernation": "", "shared": "vol-data: i-0bbbbbbbbbbbbbbbb", "deletedToo": "vol-root"}
	if d := cmp.Diff(want, noted(out)); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
	s.Terminate(t)
	s.Wait(time.Hour)
	delete(want, "deletedToo")
	got := noted(must(t)(look(t.Context(), s, true)))
	for _, what := range []string{"rootInStore", "hibernation"} {
		if got[what] != want[what] {
			t.Errorf("of an instance that is gone, %q is forgotten: %v", what, got)
		}
	}
	// That the volumes cannot be read is no reason to forget the rest.
	s = scene.Open(t, file, scene.Fault(t, "ec2:DescribeVolumes#1=denied"))
	out = must(t)(look(t.Context(), s, true))
	if _, unread := noted(out)["volumesUnread"]; !unread || len(out.Set) != 2 {
		t.Errorf("got %+v", out)
	}
}

// counted notes how often the SDK would send CreateSnapshot.
type counted struct {
	*sim.EC2
	attempts int
}

func (c *counted) CreateSnapshot(ctx context.Context, in *ec2.CreateSnapshotInput, opts ...func(*ec2.Options)) (*ec2.CreateSnapshotOutput, error) {
	var o ec2.Options
	for _, f := range opts {
		f(&o)
	}
	c.attempts = o.RetryMaxAttempts
	return c.EC2.CreateSnapshot(ctx, in, opts...)
}

// Sent again by the SDK after a lost answer, the call would make a second one.
func TestMadeAgainOnce(t *testing.T) {
	s := scene.Open(t, attached)
	must(t)(look(t.Context(), s, false))
	c := &counted{EC2: s.EC2()}
	step, err := snapshot.New(s.Host, c, s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.Wait(time.Hour)
		must(t)(step.Run(t.Context(), snapshot.Input{Incident: s.Incident, Execution: scene.Execution, Contained: true}))
	}
	if c.attempts != 1 {
		t.Errorf("CreateSnapshot is sent %d times by the SDK, want once", c.attempts)
	}
}

func TestKillAgain(t *testing.T) {
	for name, file := range map[string]string{
		"failed":   behaves(`"SnapshotFailures": {"vol-data": 2}`),
		"attached": attached,
		"deleted":  behaves(`"SnapshotsDeleted": [{"Seconds": 90000, "VolumeId": "vol-data"}]`),
	} {
		t.Run(name, func(t *testing.T) {
			scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, file, faults...) },
				func(ctx context.Context, s *scene.Scene) (snapshot.Output, error) {
					if _, err := look(ctx, s, false); err != nil {
						return snapshot.Output{}, err
					}
					out, err := run(ctx, s)
					if err != nil {
						return out, err
					}
					s.Wait(48 * time.Hour)
					out, err = run(ctx, s)
					return quiet(out), err
				})
		})
	}
}

// quiet is an output without the moments in it, which differ with when it was
// done.
func quiet(out snapshot.Output) snapshot.Output {
	for n := range out.Set {
		out.Set[n].StartedAt, out.Set[n].CompletedAt, out.Set[n].ID = time.Time{}, time.Time{}, ""
	}
	for n := range out.Notes {
		if out.Notes[n].What == "later" {
			out.Notes[n].Detail = ""
		}
	}
	return out
}

// The record of one who is not asked is not changed: tags of somebody else's
// snapshot stay as they are.
func TestForeignSnapshotsAreLeft(t *testing.T) {
	s := scene.Open(t, scene.File)
	theirs, err := s.EC2().CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: aws.String("vol-data"), TagSpecifications: []types.TagSpecification{{
		ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("nightly")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	must(t)(run(t.Context(), s))
	for _, sn := range snapshots(t, s) {
		if *sn.SnapshotId == *theirs.SnapshotId && !cmp.Equal(tagsOf(sn), map[string]string{"Name": "nightly"}) {
			t.Errorf("tags are %v", tagsOf(sn))
		}
	}
}
