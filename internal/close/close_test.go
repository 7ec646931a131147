package close_test

import (
	"context"
	"strings"
	"testing"

	closing "cordon/internal/close"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"
)

func run(ctx context.Context, s *scene.Scene, ending string) (closing.Output, error) {
	step, err := closing.New(s.Host, s.SNS(), s.DynamoDB())
	if err != nil {
		return closing.Output{}, err
	}
	return step.Run(ctx, closing.Input{
		Incident: s.Incident, Ending: ending, Instance: incident.Instance{ID: s.Incident.InstanceID},
		Decision: closing.Decision{Choice: incident.Keep, Person: "Sato"},
		Snapshots: incident.Snapshots{
			Report: incident.Report{Status: incident.OK},
			Set:    []incident.Snapshot{{ID: "snap-1", VolumeID: "vol-1", State: "completed"}},
		},
	})
}

func TestCloses(t *testing.T) {
	for ending, state := range map[string]record.State{"Terminated": record.Terminated, "Kept isolated": record.Kept, "Released": record.Released} {
		s := scene.Open(t, scene.File)
		out, err := run(t.Context(), s, ending)
		if err != nil || out.Status != incident.OK {
			t.Fatalf("%s: %+v, %v", ending, out, err)
		}
		if h := s.Head(t); h.State != state || h.ClosedAt.IsZero() {
			t.Errorf("%s: the record says %s, closed at %v", ending, h.State, h.ClosedAt)
		}
		mails := s.Mails()
		if len(mails) != 1 {
			t.Fatalf("%s: %d mails", ending, len(mails))
		}
		for _, want := range []string{s.Incident.InstanceID, "snap-1", "Sato"} {
			if !strings.Contains(mails[0].Subject+mails[0].Body, want) {
				t.Errorf("%s: the last mail does not say %q:\n%s", ending, want, mails[0].Body)
			}
		}
	}
}

// What was left alone is closed as what was released: a repeat of the finding
// was decided on.
func TestLeftAlone(t *testing.T) {
	s := scene.Open(t, scene.File)
	step, err := closing.New(s.Host, s.SNS(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.Run(t.Context(), closing.Input{Incident: s.Incident, Ending: "Released", Decision: closing.Decision{Choice: incident.Leave, Person: "Sato"}}); err != nil {
		t.Fatal(err)
	}
	if mail := s.Mails()[0]; s.Head(t).State != record.Released || !strings.Contains(mail.Subject, "left alone") || strings.Contains(mail.Body, "was released") {
		t.Errorf("state %s, %s\n%s", s.Head(t).State, mail.Subject, mail.Body)
	}
}

// An incident that nobody decided stays open, and one that is closed stays
// closed as it is.
func TestDoesNotClose(t *testing.T) {
	s := scene.Open(t, scene.File)
	if _, err := run(t.Context(), s, "Isolated, undecided"); err == nil {
		t.Error("an undecided incident is closed")
	}
	if s.Head(t).State != record.Open || len(s.Mails()) > 0 {
		t.Errorf("state is %s, %d mails", s.Head(t).State, len(s.Mails()))
	}
	if _, err := run(t.Context(), s, "Kept isolated"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), s, "Released"); err != nil || s.Head(t).State != record.Released {
		t.Errorf("kept, and released by a later decision: %v, state %s", err, s.Head(t).State)
	}
	if _, err := run(t.Context(), s, "Kept isolated"); err == nil || s.Head(t).State != record.Released {
		t.Errorf("an incident that was released is now %s, %v: nobody has isolated it again", s.Head(t).State, err)
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, scene.File, faults...) },
		func(ctx context.Context, s *scene.Scene) (closing.Output, error) { return run(ctx, s, "Terminated") })
}
