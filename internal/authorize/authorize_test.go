package authorize_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/authorize"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

func run(ctx context.Context, s *scene.Scene, tag bool) (authorize.Output, error) {
	step, err := authorize.New(s.Host, s.EC2(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		return authorize.Output{}, err
	}
	return step.Run(ctx, authorize.Input{Incident: s.Incident, Round: 1, Tag: tag, Execution: scene.Execution})
}

func TestVerifiedDecisionIsNoted(t *testing.T) {
	for _, c := range []incident.Choice{incident.Terminate, incident.Keep, incident.Release} {
		s := scene.Open(t, scene.File)
		s.Decide(t, c, nil, nil)
		got, err := run(t.Context(), s, false)
		if err != nil {
			t.Fatal(err)
		}
		want := authorize.Output{
			Report: incident.Report{Status: incident.OK}, Because: "seen in the logs",
			Decision: c, Person: "Sato", DecidedAt: s.Incident.OpenedAt,
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second })); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if noted := s.Head(t).Decision; noted != c {
			t.Errorf("the head says %q: steps under way would not see the decision", noted)
		}
		if tags := s.Tags(t); tags["cordon:decision"] != "" {
			t.Errorf("a decision that was only noted marked the instance: %v", tags)
		}
	}
}

// What is decided before anything is isolated ends the waiting, and is for the
// execution that asked, as long as the incident is its own.
func TestAskedBefore(t *testing.T) {
	for _, c := range []incident.Choice{incident.Isolate, incident.Leave} {
		s := scene.Open(t, scene.File)
		s.AskBefore(t)
		s.Decide(t, c, nil, nil)
		for range 2 { // its answer was lost
			got, err := run(t.Context(), s, false)
			if err != nil || got.Decision != c || got.Person != "Sato" {
				t.Fatalf("%s: %+v, %v", c, got, err)
			}
		}
		if h := s.Head(t); h.Decision != c || h.Asking {
			t.Errorf("%s: the head says %q, asking %v", c, h.Decision, h.Asking)
		}
		if _, err := run(t.Context(), s, true); !errors.Is(err, incident.ErrRefused) {
			t.Errorf("%s: a mark for termination: %v, want a refusal", c, err)
		}
	}
}

func TestAskedBeforeAndNobodyAnswers(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.AskBefore(t)
	for range 2 {
		if _, err := run(t.Context(), s, false); !errors.Is(err, incident.ErrUndecided) {
			t.Fatalf("%v, want undecided", err)
		}
	}
	if s.Head(t).Asking {
		t.Error("the head says that people are still asked: a critical finding would take over from nobody")
	}
}

// Two executions that isolate one instance would undo each other.
func TestTakenOverWhileAsked(t *testing.T) {
	for _, decide := range []func(*testing.T, *scene.Scene){
		func(*testing.T, *scene.Scene) {},
		func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Isolate, nil, nil) },
		func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Leave, nil, nil) },
		// The other one asks about its evidence by now: asked again, this one
		// would put its task behind that link.
		func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Isolate, nil, nil); s.Ask(t, 2) },
	} {
		s := scene.Open(t, scene.File)
		s.AskBefore(t)
		s.TakeOver(t)
		decide(t, s)
		if _, err := run(t.Context(), s, false); !errors.Is(err, incident.ErrSuperseded) || errors.Is(err, incident.ErrUndecided) {
			t.Errorf("%v, want superseded: another execution has the incident", err)
		}
		if h := s.Head(t); h.Decision != "" || h.Execution != "arn:another" {
			t.Errorf("the head is changed: %+v", h)
		}
	}
}

// No isolation that nobody decided: forged, expired, about another machine.
func TestUnverifiedIsolation(t *testing.T) {
	for name, change := range map[string]func(*incident.Decision){
		"forged":          func(d *incident.Decision) { d.MAC[0] ^= 1 },
		"expired":         func(d *incident.Decision) { d.ExpiresAt = d.DecidedAt },
		"another machine": func(d *incident.Decision) { d.AttachedAt = d.AttachedAt.Add(time.Hour) },
		"another choice":  func(d *incident.Decision) { d.Choice = incident.Isolate },
	} {
		s := scene.Open(t, scene.File)
		s.AskBefore(t)
		sealedAs := incident.Isolate
		if name == "another choice" {
			sealedAs = incident.Leave
		}
		if name == "expired" || name == "another machine" {
			s.Decide(t, sealedAs, change, nil)
		} else {
			s.Decide(t, sealedAs, nil, change)
		}
		if out, err := run(t.Context(), s, false); !errors.Is(err, incident.ErrRefused) || s.Head(t).Decision != "" {
			t.Errorf("%s: %+v, %v: want it refused and not noted", name, out, err)
		}
	}
}

func TestTerminationIsMarked(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Tag(t, scene.Instance, "cordon:decision", "an earlier incident/1")
	for n := range 48 { // with Name, 50: the mark needs no further room
		s.Tag(t, scene.Instance, fmt.Sprintf("owner:%d", n), "x")
	}
	s.Decide(t, incident.Terminate, nil, nil)
	if _, err := run(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Tags(t)["cordon:decision"], s.Incident.ID+"/1"; got != want {
		t.Errorf("the mark is %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	full := func(t *testing.T, s *scene.Scene) {
		for n := range 49 { // and the tag Name
			s.Tag(t, scene.Instance, fmt.Sprintf("owner:%d", n), "x")
		}
		s.Decide(t, incident.Terminate, nil, nil)
	}
	for _, c := range []struct {
		name   string
		tag    bool
		decide func(*testing.T, *scene.Scene)
		why    string
	}{
		{"nobody decided", false, func(*testing.T, *scene.Scene) {}, "nobody has decided"},
		{"forged", false, func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Keep, nil, func(d *incident.Decision) { d.Choice = incident.Terminate })
		}, "seal"},
		{"keep is no termination", true, func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Keep, nil, nil) }, "keep, not terminate"},
		{"release is no termination", true, func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Release, nil, nil) }, "release, not terminate"},
		{"no room for the tag", true, full, "has 50 tags"},
		{"another machine by that name", true, func(t *testing.T, s *scene.Scene) {
			s.Incident.AttachedAt = s.Incident.AttachedAt.Add(time.Hour)
			s.Decide(t, incident.Terminate, func(d *incident.Decision) { d.AttachedAt = s.Incident.AttachedAt }, nil)
		}, "not the machine of the incident"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			c.decide(t, s)
			from := len(s.Calls())
			_, err := run(t.Context(), s, c.tag)
			if !errors.Is(err, scene.Refusal(c.why)) || !strings.Contains(fmt.Sprint(err), c.why) {
				t.Errorf("error is %v, want a refusal that says %q", err, c.why)
			}
			if changes := s.Changes(from); len(changes) > 0 {
				t.Errorf("it refuses and changes all the same: %v", changes)
			}
		})
	}
}

// Where there is nothing left to mark, the termination that was decided has come
// true; asking people again would be no help.
func TestGone(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Decide(t, incident.Terminate, nil, nil)
	s.Terminate(t)
	out, err := run(t.Context(), s, true)
	if err != nil || out.Status != incident.Skipped || !strings.Contains(out.Reason, "already") {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestKill(t *testing.T) {
	for _, tag := range []bool{false, true} {
		scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
			s := scene.Open(t, scene.File, faults...)
			s.Decide(t, incident.Terminate, nil, nil)
			return s
		}, func(ctx context.Context, s *scene.Scene) (authorize.Output, error) { return run(ctx, s, tag) })
	}
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
		s := scene.Open(t, scene.File, faults...)
		s.AskBefore(t)
		s.Decide(t, incident.Isolate, nil, nil)
		return s
	}, func(ctx context.Context, s *scene.Scene) (authorize.Output, error) { return run(ctx, s, false) })
}

// TestFollowed: people were asked once more, and a newer incident of the instance
// was opened meanwhile. Whatever they decided, the newer one goes on.
func TestFollowed(t *testing.T) {
	for _, decided := range []bool{false, true} {
		s := scene.Open(t, scene.File)
		if decided {
			s.Decide(t, incident.Release, nil, nil)
		}
		step, err := authorize.New(s.Host, s.EC2(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		in := authorize.Input{Incident: s.Incident, Round: 1, Execution: scene.Execution}
		if out, err := step.Run(t.Context(), in); decided && (err != nil || out.Decision != incident.Release) || !decided && !errors.Is(err, incident.ErrUndecided) {
			t.Errorf("decided %v: %+v, %v", decided, out, err)
		}
		taken := in
		taken.Execution = "another"
		if _, err := step.Run(t.Context(), taken); !errors.Is(err, incident.ErrSuperseded) {
			t.Errorf("decided %v, and taken over: %v, want ErrSuperseded", decided, err)
		}
		s.Next(t, 2, s.Incident.ID)
		if _, err := step.Run(t.Context(), in); !errors.Is(err, incident.ErrSuperseded) {
			t.Errorf("decided %v, and a newer incident: %v, want ErrSuperseded", decided, err)
		}
	}
}

// What was refused to the last is taken back, by the execution that has the
// incident and by no other.
func TestWithdraw(t *testing.T) {
	for execution, want := range map[string]incident.Choice{scene.Execution: "", "arn:another": incident.Release} {
		s := scene.Open(t, scene.File)
		s.Decide(t, incident.Release, nil, nil)
		if _, err := run(t.Context(), s, false); err != nil {
			t.Fatal(err)
		}
		step, err := authorize.New(s.Host, s.EC2(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := step.Run(t.Context(), authorize.Input{Incident: s.Incident, Round: 2, Execution: execution, Withdraw: true}); err != nil {
				t.Fatal(err)
			}
		}
		h, err := record.LoadHead(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID)
		if err != nil || h.Decision != want {
			t.Errorf("%s: the record notes %q, want %q (%v)", execution, h.Decision, want, err)
		}
	}
}

// What another execution has taken over is neither noted nor marked, whatever was decided.
func TestSuperseded(t *testing.T) {
	for _, c := range []incident.Choice{incident.Terminate, incident.Release, incident.Keep} {
		for _, tag := range []bool{false, true} {
			s := scene.Open(t, scene.File)
			s.Decide(t, c, nil, nil)
			s.Reopen(t, "arn:another")
			if out, err := run(t.Context(), s, tag); !errors.Is(err, incident.ErrSuperseded) {
				t.Errorf("%s, tag %v: %+v, %v; want ErrSuperseded", c, tag, out, err)
			}
			if s.Head(t).Decision != "" || changesEC2(s) {
				t.Errorf("%s, tag %v: the head says %q, EC2 changed: %v", c, tag, s.Head(t).Decision, changesEC2(s))
			}
		}
	}
}

func changesEC2(s *scene.Scene) bool {
	return slices.ContainsFunc(s.Calls(), func(c sim.Call) bool { return c.Service == "ec2" && c.Mutating })
}
