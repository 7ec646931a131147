package terminate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/scene"
	"cordon/internal/sim"
	"cordon/internal/terminate"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func run(ctx context.Context, s *scene.Scene) (terminate.Output, error) {
	step, err := terminate.New(s.Host, s.EC2(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		return terminate.Output{}, err
	}
	return step.Run(ctx, terminate.Input{Incident: s.Incident, Round: 1, Execution: scene.Execution})
}

// ready is an instance of which everything is as it must be.
func ready(t *testing.T, faults ...sim.Fault) *scene.Scene {
	t.Helper()
	s := scene.Open(t, scene.File, faults...)
	s.Isolate(t)
	s.Snapshot(t)
	s.Wait(48 * time.Hour)
	s.Tag(t, scene.Instance, "cordon:decision", s.Incident.ID+"/1")
	return s
}

func decided(t *testing.T, faults ...sim.Fault) *scene.Scene {
	t.Helper()
	s := ready(t, faults...)
	s.Decide(t, incident.Terminate, nil, nil)
	return s
}

func dead(s types.InstanceStateName) bool {
	return s == types.InstanceStateNameShuttingDown || s == types.InstanceStateNameTerminated
}

func TestTerminates(t *testing.T) {
	s := decided(t)
	got, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := terminate.Output{Report: incident.Report{Status: incident.OK}, State: "shutting-down"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !dead(s.State(t)) {
		t.Errorf("the instance is %s", s.State(t))
	}
	for _, c := range s.Calls() {
		if in, ok := c.Input.(*ec2.TerminateInstancesInput); ok && !aws.ToBool(in.SkipOsShutdown) {
			t.Error("the system is shut down first, and an intruder's hooks with it")
		}
	}
}

// An interface or a snapshot on a second page counts as one on the first.
func TestPages(t *testing.T) {
	s := scene.Open(t, scene.Paged)
	s.Isolate(t)
	s.Snapshot(t)
	s.Wait(48 * time.Hour)
	s.Tag(t, scene.Instance, "cordon:decision", s.Incident.ID+"/1")
	s.Decide(t, incident.Terminate, nil, nil)
	s.Put(t, "eni-2", "sg-db")
	if _, err := run(t.Context(), s); !errors.Is(err, incident.ErrRefused) || !strings.Contains(fmt.Sprint(err), "eni-2") {
		t.Errorf("error is %v, want a refusal over the second page", err)
	}
	s.Put(t, "eni-2", "sg-q2")
	if _, err := run(t.Context(), s); err != nil || !dead(s.State(t)) {
		t.Errorf("%v, %s", err, s.State(t))
	}
}

// A group is our quarantine by name, purpose and stack; whoever may name a group
// may not pass for it.
func TestFalseQuarantine(t *testing.T) {
	second := strings.LastIndex(scene.File, `{"GroupId": "sg-q2"`)
	for from, to := range map[string]string{
		`"quarantine-sg"`: `"quarantine-sg-2"`, `"Value": "quarantine"`: `"Value": "capture"`, `"Value": "cordon"`: `"Value": "another"`,
	} {
		s := scene.Open(t, scene.File[:second]+strings.Replace(scene.File[second:], from, to, 1))
		s.Isolate(t)
		s.Snapshot(t)
		s.Wait(48 * time.Hour)
		s.Tag(t, scene.Instance, "cordon:decision", s.Incident.ID+"/1")
		s.Decide(t, incident.Terminate, nil, nil)
		if _, err := run(t.Context(), s); !errors.Is(err, incident.ErrRefused) || !strings.Contains(fmt.Sprint(err), "sg-q2") {
			t.Errorf("%s: error is %v, want a refusal over sg-q2", to, err)
		}
	}
}

// What was tagged as a duplicate is not what people were told is the evidence.
func TestDuplicateIsNoEvidence(t *testing.T) {
	s := decided(t)
	out, err := s.EC2().DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Tag(t, *out.Snapshots[0].SnapshotId, "cordon:duplicate", "snap-1")
	if _, err := run(t.Context(), s); !errors.Is(err, incident.ErrEvidence) || dead(s.State(t)) {
		t.Errorf("error is %v, %s, want a refusal", err, s.State(t))
	}
}

// A lost answer is looked for at once: the instance says that it was accepted.
func TestLostAnswer(t *testing.T) {
	s := decided(t, scene.Fault(t, "ec2:TerminateInstances#1=lost"))
	got, err := run(t.Context(), s)
	if err != nil || got.Status != incident.OK || got.Reason != "" || got.State != "shutting-down" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// EC2 accepted it and does not show it yet: protection stays off, and the next
// run sees it.
func TestStaleState(t *testing.T) {
	s := decided(t)
	looks := 0
	for _, c := range s.Calls() {
		if c.Action == "DescribeInstances" {
			looks++
		}
	}
	s = decided(t, sim.Fault{Service: "ec2", Action: "DescribeInstances", Number: looks + 2, Kind: sim.Stale})
	if _, err := run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "accepted it (shutting-down) and shows it as running") {
		t.Errorf("error is %v, want one that is tried again", err)
	}
	got, err := run(t.Context(), s)
	if err != nil || got.Status != incident.OK || got.Reason != "" {
		t.Errorf("the next run: %+v, %v, want our own termination", got, err)
	}
}

// On any doubt nothing is changed: a machine that is killed wrongly is not
// brought back.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		doubt func(*testing.T, *scene.Scene)
		why   string
	}{
		{"nobody decided", func(*testing.T, *scene.Scene) {}, "nobody has decided"},
		{"keep", func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Keep, nil, nil) }, "is keep, not terminate"},
		{"release", func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Release, nil, nil) }, "is release, not terminate"},
		{"forged", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Keep, nil, func(d *incident.Decision) { d.Choice = incident.Terminate })
		}, "seal"},
		{"another incident", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, func(d *incident.Decision) { d.Incident = "123456789012.eu-west-1.i-0aaaaaaaaaaaaaaaa.2" }, func(d *incident.Decision) { d.Incident = s.Incident.ID })
		}, "seal"},
		{"expired", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Wait(8 * 24 * time.Hour)
		}, "expired"},
		{"another machine", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Incident.AttachedAt = s.Incident.AttachedAt.Add(time.Hour)
		}, "another machine"},
		{"another machine, decided on", func(t *testing.T, s *scene.Scene) {
			s.Incident.AttachedAt = s.Incident.AttachedAt.Add(time.Hour)
			s.Decide(t, incident.Terminate, func(d *incident.Decision) { d.AttachedAt = s.Incident.AttachedAt }, nil)
		}, "not the machine of the incident"},
		{"marked for another round", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Tag(t, scene.Instance, "cordon:decision", s.Incident.ID+"/2")
		}, "does not carry the tag"},
		{"in its old groups again", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Put(t, "eni-2", "sg-db")
		}, "eni-2 is in group sg-db (db), which is not this stack's quarantine"},
		{"in a second group", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Put(t, "eni-1", "sg-q1", "sg-other")
		}, "eni-1 is in 2 groups"},
		{"still in the capture group", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Put(t, "eni-1", "sg-c1")
		}, "not this stack's quarantine"},
		{"quarantine opened", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, nil, nil)
			s.Allow(t, "sg-q2")
		}, "sg-q2, to which somebody has added rules"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ready(t)
			c.doubt(t, s)
			from := len(s.Calls())
			_, err := run(t.Context(), s)
			if !errors.Is(err, scene.Refusal(c.why)) || !strings.Contains(fmt.Sprint(err), c.why) {
				t.Errorf("error is %v, want a refusal that says %q", err, c.why)
			}
			if changes := s.Changes(from); len(changes) > 0 {
				t.Errorf("it refuses and changes all the same: %v", changes)
			}
			if f := s.Flags(t); !f.Termination || !f.Stop {
				t.Errorf("protection is off: %+v", f)
			}
		})
	}
}

// Evidence first, unless a person chose by name to do without.
func TestEvidence(t *testing.T) {
	for _, c := range []struct {
		name string
		file string
		take func(*testing.T, *scene.Scene)
		why  string
	}{
		{"no snapshot", scene.File, func(*testing.T, *scene.Scene) {}, "volume vol-root (/dev/xvda) has no snapshot of this incident; volume vol-data (/dev/sdf) has no snapshot"},
		{"still pending", scene.File, func(t *testing.T, s *scene.Scene) { s.Snapshot(t) }, "which is pending"},
		{"one failed", strings.Replace(scene.File, "{", `{"Behaviour": {"FailingSnapshots": ["vol-data"]},`, 1), func(t *testing.T, s *scene.Scene) {
			s.Snapshot(t)
			s.Wait(48 * time.Hour)
		}, "volume vol-data (/dev/sdf) has snapshot"},
		{"of another incident", scene.File, func(t *testing.T, s *scene.Scene) {
			mine := s.Incident.ID
			s.Incident.ID = "123456789012.eu-west-1.i-0aaaaaaaaaaaaaaaa.7"
			s.Snapshot(t)
			s.Incident.ID = mine
			s.Wait(48 * time.Hour)
		}, "no snapshot of this incident"},
	} {
		for _, override := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, override %t", c.name, override), func(t *testing.T) {
				s := scene.Open(t, c.file)
				s.Isolate(t)
				c.take(t, s)
				s.Tag(t, scene.Instance, "cordon:decision", s.Incident.ID+"/1")
				s.Decide(t, incident.Terminate, func(d *incident.Decision) { d.Override = override }, nil)
				_, err := run(t.Context(), s)
				if override {
					if err != nil || !dead(s.State(t)) {
						t.Errorf("a person chose to do without evidence: %v, %s", err, s.State(t))
					}
					return
				}
				if !errors.Is(err, incident.ErrEvidence) || errors.Is(err, incident.ErrRefused) || !strings.Contains(fmt.Sprint(err), c.why) {
					t.Errorf("error is %v, want a refusal that says %q", err, c.why)
				}
				if dead(s.State(t)) {
					t.Error("terminated without evidence")
				}
			})
		}
	}
}

// EC2 refuses once protection is off: it must not stay off while people are
// asked again.
func TestProtectionIsPutBack(t *testing.T) {
	for _, kind := range []sim.Kind{sim.Denied, sim.Throttled, sim.Unavailable} {
		s := decided(t, sim.Fault{Service: "ec2", Action: "TerminateInstances", Number: 1, Kind: kind})
		if _, err := run(t.Context(), s); err == nil {
			t.Errorf("%s: no error", kind)
		}
		if f := s.Flags(t); !f.Termination || !f.Stop {
			t.Errorf("%s: protection stays off: %+v", kind, f)
		}
	}
	// The run that took it off died; by the next one the instance is not isolated
	// any more.
	s := decided(t, sim.Fault{Service: "ec2", Action: "TerminateInstances", Number: 1, Kind: sim.KilledBefore})
	ctx, end := context.WithCancel(t.Context())
	if _, err := run(sim.WithInvocation(ctx, &sim.Invocation{Kill: end}), s); err == nil {
		t.Fatal("the killed run says that all is well")
	}
	if f := s.Flags(t); f.Termination || f.Stop {
		t.Fatalf("the killed run could not have put protection back: %+v", f)
	}
	s.Put(t, "eni-1", "sg-web")
	if _, err := run(t.Context(), s); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("error is %v, want a refusal", err)
	}
	if f := s.Flags(t); !f.Termination || !f.Stop {
		t.Errorf("protection that an earlier run took off stays off: %+v", f)
	}
}

// Protection that was never on is not put on.
func TestProtectionThatWasOff(t *testing.T) {
	s := decided(t, sim.Fault{Service: "ec2", Action: "TerminateInstances", Number: 1, Kind: sim.Denied})
	off := &types.AttributeBooleanValue{Value: aws.Bool(false)}
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiStop: off})
	if _, err := run(t.Context(), s); err == nil {
		t.Error("no error")
	}
	if f := s.Flags(t); !f.Termination || f.Stop {
		t.Errorf("protection is not as it was: %+v", f)
	}
}

func TestGone(t *testing.T) {
	s := decided(t)
	off := &types.AttributeBooleanValue{Value: aws.Bool(false)}
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiStop: off})
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiTermination: off})
	s.Terminate(t)
	got, err := run(t.Context(), s)
	if err != nil || got.Status != incident.OK || !strings.Contains(got.Reason, "somebody or something else") {
		t.Errorf("somebody else terminated it: got %+v, %v", got, err)
	}

	s = scene.Open(t, scene.File)
	s.Incident.InstanceID = "i-0bbbbbbbbbbbbbbbb"
	s.Decide(t, incident.Terminate, func(d *incident.Decision) { d.InstanceID = s.Incident.InstanceID }, nil)
	if got, err = run(t.Context(), s); !errors.Is(err, incident.ErrInstanceNotFound) {
		t.Errorf("EC2 says once that it does not know it: got %+v, %v; it would be called terminated while it runs", got, err)
	}
}

// A gone instance is no reason to believe a forged decision.
func TestGoneNeedsADecision(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Terminate(t)
	if _, err := run(t.Context(), s); !errors.Is(err, incident.ErrUndecided) {
		t.Errorf("error is %v, want a refusal", err)
	}
}

func TestKill(t *testing.T) { scene.Kill(t, decided, run) }

// An execution that has lost the incident changes nothing more: the other one may have
// released the instance, and then protection that was taken off for a termination is not
// to be put on.
func TestSuperseded(t *testing.T) {
	s := decided(t, sim.Fault{Service: "ec2", Action: "TerminateInstances", Number: 1, Kind: sim.KilledBefore})
	ctx, end := context.WithCancel(t.Context())
	if _, err := run(sim.WithInvocation(ctx, &sim.Invocation{Kill: end}), s); err == nil {
		t.Fatal("the killed run says that all is well")
	}
	s.Reopen(t, "arn:another")
	if out, err := run(t.Context(), s); !errors.Is(err, incident.ErrSuperseded) || dead(s.State(t)) {
		t.Errorf("%+v, %v, the instance is %s; want ErrSuperseded", out, err, s.State(t))
	}
	if f := s.Flags(t); f.Termination || f.Stop {
		t.Errorf("protection is put on by whom it does not concern any more: %+v", f)
	}
}
