package snapshot_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/scene"
	"cordon/internal/sim"
	"cordon/internal/snapshot"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func look(ctx context.Context, s *scene.Scene, contained bool) (snapshot.Output, error) {
	step, err := snapshot.New(s.Host, s.EC2(), s.DynamoDB())
	if err != nil {
		return snapshot.Output{}, err
	}
	return step.Run(ctx, snapshot.Input{Incident: s.Incident, Execution: scene.Execution, Contained: contained})
}

// run looks as the machine does, until there is nothing left to wait for.
func run(ctx context.Context, s *scene.Scene) (snapshot.Output, error) {
	for range 100 {
		out, err := look(ctx, s, true)
		if err != nil || out.Done {
			return out, err
		}
		s.Wait(30 * time.Minute)
	}
	return snapshot.Output{}, errors.New("never done")
}

func must(t *testing.T) func(snapshot.Output, error) snapshot.Output {
	return func(out snapshot.Output, err error) snapshot.Output {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// snapshots are those of the account.
func snapshots(t *testing.T, s *scene.Scene) []types.Snapshot {
	t.Helper()
	out, err := s.EC2().DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Snapshots
}

// locked are the snapshots that nobody can delete, and for how many days.
func locked(t *testing.T, s *scene.Scene) map[string]int32 {
	t.Helper()
	out, err := s.EC2().DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{})
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]int32{}
	for _, l := range out.Snapshots {
		m[*l.SnapshotId] = *l.LockDuration
	}
	return m
}

func tagsOf(sn types.Snapshot) map[string]string {
	m := map[string]string{}
	for _, t := range sn.Tags {
		m[*t.Key] = *t.Value
	}
	return m
}

func TestTakesAndLocks(t *testing.T) {
	s := scene.Open(t, scene.File)
	first := must(t)(look(t.Context(), s, false))
	if !first.Done || first.Complete || first.Status != incident.OK {
		t.Errorf("before isolation: got %+v, want a set that is locked and under way, and nothing to wait for", first)
	}
	all := snapshots(t, s)
	if len(all) != 2 {
		t.Fatalf("%d snapshots, want one of each volume", len(all))
	}
	for _, sn := range all {
		device := map[string]string{"vol-root": "/dev/xvda", "vol-data": "/dev/sdf"}[*sn.VolumeId]
		want := map[string]string{
			"cordon:incident": s.Incident.ID, "cordon:stack": scene.Stack, "cordon:instance": scene.Instance,
			"cordon:volume": *sn.VolumeId, "cordon:device": device, "Name": "cordon " + s.Incident.ID,
		}
		if d := cmp.Diff(want, tagsOf(sn)); d != "" {
			t.Errorf("tags of %s (-want +got):\n%s", *sn.SnapshotId, d)
		}
		if days := locked(t, s)[*sn.SnapshotId]; days != 30 {
			t.Errorf("%s is locked for %d days: it can be deleted", *sn.SnapshotId, days)
		}
	}
	second := must(t)(look(t.Context(), s, true))
	if second.Done || second.Complete || second.Status != incident.OK || second.Reason == "" {
		t.Errorf("under way: got %+v", second)
	}
	out := must(t)(run(t.Context(), s))
	if !out.Complete || out.Status != incident.OK || out.Reason != "" || len(out.Missing) != 0 {
		t.Errorf("at the end: got %+v", out)
	}
	if d := cmp.Diff([]string{"1 × 75 GB ssd inside the host"}, out.NotIn); d != "" {
		t.Errorf("what no snapshot holds (-want +got):\n%s", d)
	}
	for _, sn := range out.Set {
		if !sn.Locked || sn.State != "completed" || sn.Duplicate {
			t.Errorf("got %+v", sn)
		}
		if sn.VolumeID == "vol-root" && (!sn.Encrypted || !strings.HasSuffix(sn.KMSKey, "key/theirs")) {
			t.Errorf("the victim's key, whose owner can destroy the evidence, is not told: %+v", sn)
		}
	}
	if n := len(snapshots(t, s)); n != 2 {
		t.Errorf("%d snapshots after several looks", n)
	}
}

// A set whose answer was lost and that is not shown yet is made again. It is
// found later; the earliest is the evidence, the other is marked.
func TestDuplicates(t *testing.T) {
	s := scene.Open(t, scene.File, scene.Fault(t, "ec2:CreateSnapshots#1=lost"), scene.Fault(t, "ec2:DescribeSnapshots#2=stale"))
	if _, err := look(t.Context(), s, false); err == nil {
		t.Fatal("a lost answer is no error")
	}
	s.Wait(2 * time.Second)
	must(t)(look(t.Context(), s, true))
	if n := len(snapshots(t, s)); n != 4 {
		t.Fatalf("%d snapshots: the stale read did not make a second set", n)
	}
	out := must(t)(run(t.Context(), s))
	if !out.Complete || out.Status != incident.OK || !strings.Contains(out.Reason, "2 more were made because an answer was lost") {
		t.Errorf("got %+v", out)
	}
	all := snapshots(t, s)
	slices.SortFunc(all, func(a, b types.Snapshot) int { return a.StartTime.Compare(*b.StartTime) })
	var evidence, duplicates []string
	for _, sn := range out.Set {
		if sn.Duplicate {
			duplicates = append(duplicates, sn.ID)
		} else {
			evidence = append(evidence, sn.ID)
		}
	}
	for n, sn := range all {
		twin, id := tagsOf(sn)["cordon:duplicate"], *sn.SnapshotId
		switch {
		case n < 2 && (twin != "" || !slices.Contains(evidence, id) || locked(t, s)[id] == 0):
			t.Errorf("%s is of the first set and not the locked evidence", id)
		case n >= 2 && (!slices.Contains(evidence, twin) || !slices.Contains(duplicates, id)):
			t.Errorf("%s is of the second set and marked %q", id, twin)
		}
	}
}

// A look that does not see a set that was made and answered makes no second one.
func TestStaleRead(t *testing.T) {
	// Locks and tags are refused, so that the newest write is the set itself.
	var faults []sim.Fault
	for _, f := range []string{"LockSnapshot#1=denied", "LockSnapshot#2=denied", "CreateTags#1=denied", "CreateTags#2=denied", "DescribeSnapshots#2=stale", "DescribeSnapshots#3=stale"} {
		faults = append(faults, scene.Fault(t, "ec2:"+f))
	}
	s := scene.Open(t, scene.File, faults...)
	first := must(t)(look(t.Context(), s, false))
	if first.Done || first.Status != incident.Partial {
		t.Errorf("not locked: got %+v", first)
	}
	out := must(t)(look(t.Context(), s, true))
	if len(out.Set) != 2 || out.Done || out.Complete {
		t.Errorf("got %+v, want two under way", out)
	}
	if out = must(t)(run(t.Context(), s)); !out.Complete || out.Status != incident.OK || out.Reason != "" {
		t.Errorf("at the end: got %+v", out)
	}
	if n := len(snapshots(t, s)); n != 2 {
		t.Errorf("%d snapshots: a stale read made a second set", n)
	}
}

// The invocation dies right after EC2's answer, and the next one is not shown
// the set: the record knows it.
func TestRecordedAtOnce(t *testing.T) {
	s := scene.Open(t, scene.File, scene.Fault(t, "ec2:LockSnapshot#1=killed-before"), scene.Fault(t, "ec2:DescribeSnapshots#2=stale"))
	ctx, end := context.WithCancel(t.Context())
	if _, err := look(sim.WithInvocation(ctx, &sim.Invocation{Kill: end}), s, false); err == nil {
		t.Fatal("the killed run says that all is well")
	}
	must(t)(look(t.Context(), s, false))
	if n := len(snapshots(t, s)); n != 2 {
		t.Errorf("%d snapshots: what EC2 answered was forgotten", n)
	}
}

// Two sets stand: the earlier is locked, once; the later is marked, and may be
// deleted.
func TestEarliestIsEvidence(t *testing.T) {
	s := scene.Open(t, scene.File)
	for range 2 {
		s.Snapshot(t)
		s.Wait(time.Minute)
	}
	from := len(s.Calls())
	out := must(t)(run(t.Context(), s))
	locks := 0
	for _, c := range s.Changes(from) {
		if c == "ec2:LockSnapshot" {
			locks++
		}
	}
	if locks != 2 {
		t.Errorf("%d locks were set over all looks, want one a snapshot of the evidence", locks)
	}
	for n, sn := range out.Set {
		if sn.Duplicate != (n >= 2) || sn.Locked != (n < 2) {
			t.Errorf("got %+v", sn)
		}
	}
}

// One refusal at the very last look is tried again.
func TestLockRefusedOnce(t *testing.T) {
	s := scene.Open(t, scene.File, scene.Fault(t, "ec2:LockSnapshot#1=denied"))
	s.Snapshot(t)
	s.Wait(48 * time.Hour)
	if out := must(t)(run(t.Context(), s)); out.Status != incident.OK || len(locked(t, s)) != 2 {
		t.Errorf("got %+v", out)
	}
}

// Evidence that somebody deleted is not evidence because it once was. That is
// written down, and then the volumes are snapshotted again.
func TestDeletedSnapshot(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Save(t, "snapshot", snapshot.Output{Done: true, Complete: true, Set: []incident.Snapshot{
		{ID: "snap-1", VolumeID: "vol-root", State: "completed", Locked: true}, {ID: "snap-2", VolumeID: "vol-data", State: "completed", Locked: true},
	}})
	out := must(t)(look(t.Context(), s, true))
	if out.Done || out.Complete || out.Status != incident.Partial || !strings.Contains(out.Reason, "snap-1 of vol-root failed (EC2 does not show it any more: it was deleted)") {
		t.Errorf("got %+v", out)
	}
	if len(snapshots(t, s)) > 0 {
		t.Error("a later point in time took the place of the evidence before that was written down")
	}
	out = must(t)(run(t.Context(), s))
	if !out.Complete || out.Status != incident.OK || out.Reason != "2 failed and were made again" || len(out.Set) != 4 || len(snapshots(t, s)) != 2 {
		t.Errorf("got %+v, want them made again", out)
	}
}

func TestPages(t *testing.T) {
	s := scene.Open(t, scene.Paged)
	must(t)(look(t.Context(), s, false))
	if out := must(t)(run(t.Context(), s)); !out.Complete || out.Status != incident.OK || len(out.Set) != 2 {
		t.Errorf("got %+v", out)
	}
	if n := len(locked(t, s)); n == 0 {
		t.Error("nothing is locked")
	}
}

func TestNoVolumes(t *testing.T) {
	from := strings.Index(scene.File, `"BlockDeviceMappings"`)
	to := from + strings.Index(scene.File[from:], "\n    ]")
	s := scene.Open(t, scene.File[:from]+`"BlockDeviceMappings": [`+scene.File[to:])
	out := must(t)(look(t.Context(), s, true))
	if !out.Done || out.Status != incident.Skipped || len(out.NotIn) != 1 {
		t.Errorf("got %+v, want skipped, and the disks inside the host named", out)
	}
}

func TestRelease(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Note(t, incident.Release)
	out := must(t)(look(t.Context(), s, true))
	if !out.Done || !out.Released || out.Status != incident.Skipped || len(snapshots(t, s)) > 0 {
		t.Errorf("released before a snapshot: got %+v", out)
	}
	s = scene.Open(t, scene.File)
	must(t)(look(t.Context(), s, true))
	s.Note(t, incident.Release)
	out = must(t)(look(t.Context(), s, true))
	if !out.Done || !out.Released || out.Complete || out.Status != incident.Partial {
		t.Errorf("released while under way: got %+v", out)
	}
}

func TestNothingToSnapshot(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Terminate(t)
	s.Wait(time.Hour)
	out := must(t)(look(t.Context(), s, true))
	if !out.Done || out.Status != incident.Failed || out.Reason == "" {
		t.Errorf("a terminated instance: got %+v", out)
	}
	s = scene.Open(t, scene.File)
	s.Incident.InstanceID = "i-0bbbbbbbbbbbbbbbb"
	if _, err := look(t.Context(), s, true); !errors.Is(err, incident.ErrInstanceNotFound) {
		t.Errorf("an instance that does not exist: error is %v", err)
	}
}

// The set outlives the instance.
func TestInstanceGone(t *testing.T) {
	s := scene.Open(t, scene.File)
	must(t)(look(t.Context(), s, true))
	s.Terminate(t)
	if out := must(t)(run(t.Context(), s)); !out.Complete || out.Status != incident.OK {
		t.Errorf("got %+v", out)
	}
}

// What cannot be locked is told, tried at every look, and does not hold up what
// waits for the snapshots for ever.
func TestLockRefused(t *testing.T) {
	var faults []sim.Fault
	for n := range 500 {
		faults = append(faults, sim.Fault{Service: "ec2", Action: "LockSnapshot", Number: n + 1, Kind: sim.Denied})
	}
	s := scene.Open(t, scene.File, faults...)
	if out := must(t)(look(t.Context(), s, false)); out.Done {
		t.Error("before isolation: done, and not locked")
	}
	out := must(t)(run(t.Context(), s))
	if out.Status != incident.Partial || !out.Complete || !strings.Contains(out.Reason, "lock snap-") {
		t.Errorf("got %+v", out)
	}
	if len(locked(t, s)) > 0 {
		t.Error("the faults did not hold")
	}
}

func TestSettings(t *testing.T) {
	s := scene.Open(t, scene.File)
	for _, days := range []string{"", "0", "-1", "1.5", "36501", "NaN", "Inf", "x"} {
		h := s.Host
		get := h.Getenv
		h.Getenv = func(name string) string {
			if name == "RETENTION_DAYS" {
				return days
			}
			return get(name)
		}
		if _, err := snapshot.New(h, s.EC2(), s.DynamoDB()); err == nil {
			t.Errorf("RETENTION_DAYS=%q is accepted", days)
		}
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, scene.File, faults...) }, run)
}
