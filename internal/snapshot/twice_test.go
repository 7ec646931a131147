package snapshot_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"
	"cordon/internal/snapshot"
)

// An execution that was stopped and redriven runs beside what it had invoked
// before, wherever that one is: there is one set.
func TestTwoAtOnce(t *testing.T) {
	invoke := func(t *testing.T, s *scene.Scene, db snapshot.Incidents, entry string) error {
		t.Helper()
		step, err := snapshot.New(s.Host, s.EC2(), db)
		if err != nil {
			t.Fatal(err)
		}
		_, err = step.Run(t.Context(), snapshot.Input{Incident: s.Incident, Execution: scene.Execution, Entry: entry})
		return err
	}
	for n := 1; ; n++ {
		s := scene.Open(t, scene.File)
		db := &scene.Beside{DynamoDB: s.DynamoDB(), At: n}
		db.Do = func() {
			if err := invoke(t, s, s.DynamoDB(), "after the redrive"); err != nil && !errors.Is(err, record.ErrTaken) {
				t.Errorf("before call %d: %v", n, err)
			}
		}
		if err := invoke(t, s, db, "before the stop"); err != nil && !errors.Is(err, record.ErrTaken) {
			t.Errorf("before call %d: %v", n, err)
		}
		if db.Calls < n {
			break
		}
		if out := must(t)(run(t.Context(), s)); !out.Complete || len(out.Set) != 2 {
			t.Errorf("before call %d: %+v", n, out)
		}
		made := 0
		for _, c := range s.Calls() {
			if c.Action == "CreateSnapshots" {
				made++
			}
		}
		if made != 1 {
			t.Errorf("before call %d: %d sets were made", n, made)
		}
	}
}

// One that is killed where it was about to take the set keeps its own retry for no
// moment, and another for as long as it might have run.
func TestKilledAboutToTakeIt(t *testing.T) {
	for entry, waits := range map[string]bool{"one": false, "two": true} {
		s := scene.Open(t, scene.File, scene.Fault(t, "ec2:CreateSnapshots#1=killed-before"))
		take := func(entry string) error {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			step, err := snapshot.New(s.Host, s.EC2(), s.DynamoDB())
			if err != nil {
				t.Fatal(err)
			}
			_, err = step.Run(sim.WithInvocation(ctx, &sim.Invocation{Function: "snapshot", Kill: end}), snapshot.Input{Incident: s.Incident, Execution: scene.Execution, Entry: entry})
			return err
		}
		if err := take("one"); err == nil {
			t.Fatal("it was not killed")
		}
		if err := take(entry); errors.Is(err, record.ErrTaken) != waits || !waits && err != nil {
			t.Errorf("%s: %v", entry, err)
		}
		s.Wait(snapshot.Runs + 3*time.Second)
		if err := take(entry); err != nil {
			t.Errorf("%s, later: %v", entry, err)
		}
		if n := len(snapshots(t, s)); n != 2 {
			t.Errorf("%s: %d snapshots of two volumes", entry, n)
		}
	}
}

// Whoever had the incident before takes nothing.
func TestSuperseded(t *testing.T) {
	s := scene.Open(t, scene.File)
	step, err := snapshot.New(s.Host, s.EC2(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	from := len(s.Calls())
	if out, err := step.Run(t.Context(), snapshot.Input{Incident: s.Incident, Execution: "arn:another"}); !errors.Is(err, incident.ErrSuperseded) {
		t.Errorf("%+v, %v", out, err)
	}
	if all := s.Changes(from); len(all) > 0 {
		t.Errorf("%v", all)
	}
}
