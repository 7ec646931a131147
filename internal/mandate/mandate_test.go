package mandate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/mandate"
	"cordon/internal/scene"
)

// A decision that is not this person's, for this incident, request and machine,
// now, must never be acted on.
func TestRead(t *testing.T) {
	forge := func(f func(*incident.Decision)) func(*testing.T, *scene.Scene) {
		return func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Terminate, nil, f) }
	}
	seal := func(f func(*incident.Decision)) func(*testing.T, *scene.Scene) {
		return func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Terminate, f, nil) }
	}
	// replayed is another decision, seal and all, copied to where this one would
	// stand. Whoever may write the table may do that.
	replayed := func(f func(*incident.Decision)) func(*testing.T, *scene.Scene) {
		return func(t *testing.T, s *scene.Scene) {
			var other incident.Decision
			s.Decide(t, incident.Terminate, f, func(d *incident.Decision) { other = *d })
			s.Replay(t, other)
		}
	}
	// moved stands under the request asked for and was sealed for another one.
	moved := func(f func(*incident.Decision)) func(*testing.T, *scene.Scene) {
		return func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Terminate, f, func(d *incident.Decision) { d.Incident, d.Round = s.Incident.ID, 1 })
		}
	}
	for _, c := range []struct {
		name   string
		decide func(*testing.T, *scene.Scene)
		after  time.Duration
		why    string // part of the refusal; empty: believed
	}{
		{"as it was made", seal(nil), 0, ""},
		{"a second before it expires", seal(nil), 7*24*time.Hour - time.Second, ""},
		{"when it expires", seal(nil), 7 * 24 * time.Hour, "expired at"},
		{"nobody has decided", func(*testing.T, *scene.Scene) {}, 0, "nobody has decided"},
		{"people were asked again since", func(t *testing.T, s *scene.Scene) {
			seal(nil)(t, s)
			s.Ask(t, 2)
		}, 0, "superseded"},
		{"the instance has a newer incident", func(t *testing.T, s *scene.Scene) {
			seal(nil)(t, s)
			s.Next(t, 2, s.Incident.ID)
		}, 0, "a newer one is open"},
		{"identity added", forge(func(d *incident.Decision) { d.Identity = incident.ByIAM + "arn:aws:iam::123456789012:user/sato" }), 0, "seal"},
		{"force added", forge(func(d *incident.Decision) { d.Force = true }), 0, "seal"},
		{"reason changed", forge(func(d *incident.Decision) { d.Reason = "a drill" }), 0, "seal"},
		{"another address", forge(func(d *incident.Decision) { d.Address = "192.0.2.99" }), 0, "seal"},
		{"another browser", forge(func(d *incident.Decision) { d.Agent = "curl" }), 0, "seal"},
		{"other facts", forge(func(d *incident.Decision) { d.Facts = incident.Hash("all is well") }), 0, "seal"},
		{"another page shown", seal(func(d *incident.Decision) { d.Facts, d.Shown = incident.Hash("{}"), "{ }" }), 0, "was shown"},
		{"as shown", seal(func(d *incident.Decision) { d.Facts, d.Shown = incident.Hash("{}"), "{}" }), 0, ""},
		{"an older version of Cordon", seal(func(d *incident.Decision) { d.Version = 2 }), 0, "another version"},
		{"another version claimed", forge(func(d *incident.Decision) { d.Version = 2 }), 0, "another version"},
		{"choice changed", forge(func(d *incident.Decision) { d.Choice = incident.Release }), 0, "seal"},
		{"override added", forge(func(d *incident.Decision) { d.Override = true }), 0, "seal"},
		{"expiry moved", forge(func(d *incident.Decision) { d.ExpiresAt = d.ExpiresAt.Add(time.Hour) }), 0, "seal"},
		{"another person", forge(func(d *incident.Decision) { d.Person = "Tanaka" }), 0, "seal"},
		{"no seal", forge(func(d *incident.Decision) { d.MAC = nil }), 0, "no valid seal"},
		{"seal cut short", forge(func(d *incident.Decision) { d.MAC = d.MAC[:31] }), 0, "no valid seal"},
		{"overlong seal", forge(func(d *incident.Decision) { d.MAC = make([]byte, 10_000) }), 0, "no valid seal"},
		{"one bit of the seal", forge(func(d *incident.Decision) { d.MAC[7] ^= 1 }), 0, "seal"},
		{"copied from another incident", moved(func(d *incident.Decision) { d.Incident = "123456789012.eu-west-1.i-other.1" }), 0, "seal"},
		{"copied from another request", moved(func(d *incident.Decision) { d.Round = 2 }), 0, "seal"},
		{"replayed from another incident", replayed(func(d *incident.Decision) { d.Incident = "123456789012.eu-west-1.i-other.1" }), 0, "another incident"},
		{"replayed from another request", replayed(func(d *incident.Decision) { d.Round = 2 }), 0, "another request"},
		{"sealed for another instance", seal(func(d *incident.Decision) { d.InstanceID = "i-other" }), 0, "another instance"},
		{"sealed for an earlier machine", seal(func(d *incident.Decision) { d.AttachedAt = d.AttachedAt.Add(-time.Hour) }), 0, "another machine"},
		{"sealed and no decision", seal(func(d *incident.Decision) { d.Choice = "destroy" }), 0, "want terminate, keep or release"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			c.decide(t, s)
			s.Wait(c.after)
			r, err := mandate.NewReader(s.Host, s.KMS(), s.DynamoDB(), s.DynamoDB())
			if err != nil {
				t.Fatal(err)
			}
			d, err := r.Read(t.Context(), s.Incident, 1, "")
			switch {
			case c.why == "" && err != nil:
				t.Errorf("a true decision is refused: %v", err)
			case c.why == "" && d.Choice != incident.Terminate:
				t.Errorf("the decision reads %q", d.Choice)
			case c.why != "" && !errors.Is(err, scene.Refusal(c.why)):
				t.Errorf("error is %v, want a refusal: an instance could be terminated on it", err)
			case c.why != "" && !strings.Contains(err.Error(), c.why):
				t.Errorf("refused with %q, want it to say %q", err, c.why)
			}
		})
	}
}

// TestTwoPeople: where two must decide, one person's decision terminates nothing,
// and neither does a second that is not another person's, about this machine, now.
func TestTwoPeople(t *testing.T) {
	const sato, tanaka = incident.ByAccess + "f4-1", incident.ByAccess + "f4-2"
	type decisions struct {
		first       func(*incident.Decision) // nil: there is none
		firstChoice incident.Choice
		second      func(*incident.Decision) // changes it before it is sealed
		forge       func(*incident.Decision) // and after
		alone       bool                     // it seconds nothing
	}
	by := func(identity string) func(*incident.Decision) {
		return func(d *incident.Decision) { d.Identity = identity }
	}
	and := func(all ...func(*incident.Decision)) func(*incident.Decision) {
		return func(d *incident.Decision) {
			for _, f := range all {
				f(d)
			}
		}
	}
	override := func(d *incident.Decision) { d.Override = true }
	for name, c := range map[string]struct {
		decisions
		after time.Duration
		why   string
	}{
		"two people":                   {decisions{first: by(sato), second: by(tanaka)}, 0, ""},
		"one alone":                    {decisions{second: by(tanaka), alone: true}, 0, "needs two"},
		"the second without the first": {decisions{first: by(sato), second: by(tanaka), alone: true}, 0, "needs two"},
		"the same person":              {decisions{first: by(sato), second: by(sato)}, 0, "the same person"},
		"links":                        {decisions{first: by(incident.ByLink), second: by(incident.ByLink)}, 0, "tells this person"},
		"a link and a known person":    {decisions{first: by(incident.ByLink), second: by(tanaka)}, 0, "tells this person"},
		"the first is gone":            {decisions{second: and(by(tanaka), func(d *incident.Decision) { d.First = "another" })}, 0, "not there"},
		"another first":                {decisions{first: by(sato), second: and(by(tanaka), func(d *incident.Decision) { d.First = "another" })}, 0, "not there"},
		"another first, not sealed":    {decisions{first: by(sato), second: by(tanaka), forge: func(d *incident.Decision) { d.First += "0" }}, 0, "seal"},
		"the first decided to keep":    {decisions{first: by(sato), firstChoice: incident.Keep, second: by(tanaka)}, 0, "seconds one to keep"},
		"the first about another":      {decisions{first: and(by(sato), func(d *incident.Decision) { d.AttachedAt = d.AttachedAt.Add(time.Hour) }), second: by(tanaka)}, 0, "another machine"},
		"the first expired":            {decisions{first: and(by(sato), func(d *incident.Decision) { d.ExpiresAt = d.DecidedAt.Add(time.Hour) }), second: by(tanaka)}, time.Hour, "expired at"},
		"the second expired":           {decisions{first: by(sato), second: and(by(tanaka), func(d *incident.Decision) { d.ExpiresAt = d.DecidedAt.Add(time.Hour) })}, time.Hour, "expired at"},
		"an older version":             {decisions{first: and(by(sato), func(d *incident.Decision) { d.Version = 3 }), second: by(tanaka)}, 0, "another version"},
		"only the second overrides":    {decisions{first: by(sato), second: and(by(tanaka), override)}, 0, "although evidence is incomplete"},
		"the second names another":     {decisions{first: by(sato), second: and(by(tanaka), func(d *incident.Decision) { d.Seconds = "Suzuki" })}, 0, "says that it seconds"},
		"both override":                {decisions{first: and(by(sato), override), second: and(by(tanaka), override)}, 0, ""},
		"only the first overrides":     {decisions{first: and(by(sato), override), second: by(tanaka)}, 0, ""},
		"the page and the command":     {decisions{first: by(sato), second: by(incident.ByIAM + "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_R_0/tanaka")}, 0, "cannot be told apart"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			s.Set("APPROVERS_FOR_TERMINATION", "2")
			mark, person := "", ""
			if c.first != nil {
				if c.firstChoice == "" {
					c.firstChoice = incident.Terminate
				}
				first := s.DecideFirst(t, c.firstChoice, c.first)
				mark, person = first.Mark(), first.Person
			}
			s.Decide(t, incident.Terminate, func(d *incident.Decision) {
				if !c.alone {
					d.First, d.Seconds = mark, person
				}
				c.second(d)
			}, c.forge)
			s.Wait(c.after)
			r, err := mandate.NewReader(s.Host, s.KMS(), s.DynamoDB(), s.DynamoDB())
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Read(t.Context(), s.Incident, 1, "")
			if c.why == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if c.why != "" && (!errors.Is(err, incident.ErrRefused) || !strings.Contains(err.Error(), c.why)) {
				t.Errorf("error is %v, want a refusal with %q", err, c.why)
			}
		})
	}
	for _, choice := range []incident.Choice{incident.Keep, incident.Release} {
		s := scene.Open(t, scene.File)
		s.Set("APPROVERS_FOR_TERMINATION", "2")
		s.Decide(t, choice, nil, nil)
		r, err := mandate.NewReader(s.Host, s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(t.Context(), s.Incident, 1, ""); err != nil {
			t.Errorf("%s needs one person: %v", choice, err)
		}
	}
	s := scene.Open(t, scene.File)
	for _, n := range []string{"0", "3", "1.5", "two"} {
		s.Set("APPROVERS_FOR_TERMINATION", n)
		if _, err := mandate.NewReader(s.Host, s.KMS(), s.DynamoDB(), s.DynamoDB()); err == nil || !strings.Contains(err.Error(), "APPROVERS_FOR_TERMINATION") {
			t.Errorf("%s people: %v", n, err)
		}
	}
}

// A service that fails says nothing about the decision: the machine tries again
// and nobody is asked again.
func TestReadFails(t *testing.T) {
	for _, f := range []string{"dynamodb:GetItem#1=unavailable", "kms:VerifyMac#1=throttled", "kms:VerifyMac#1=denied"} {
		s := scene.Open(t, scene.File, scene.Fault(t, f))
		s.Decide(t, incident.Terminate, nil, nil)
		r, err := mandate.NewReader(s.Host, s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(t.Context(), s.Incident, 1, ""); err == nil || errors.Is(err, incident.ErrRefused) {
			t.Errorf("%s: error is %v, want one that is no refusal", f, err)
		}
	}
}

func TestMachine(t *testing.T) {
	s := scene.Open(t, scene.File)
	if i, err := mandate.Machine(t.Context(), s.EC2(), s.Incident); err != nil || *i.InstanceId != scene.Instance {
		t.Errorf("the machine of the incident is not found: %v", err)
	}
	successor := s.Incident
	successor.AttachedAt = successor.AttachedAt.Add(time.Hour)
	if _, err := mandate.Machine(t.Context(), s.EC2(), successor); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("a machine with another attach time: error is %v, want a refusal", err)
	}
	nobody := s.Incident
	nobody.InstanceID = "i-0bbbbbbbbbbbbbbbb"
	if _, err := mandate.Machine(t.Context(), s.EC2(), nobody); !errors.Is(err, incident.ErrInstanceNotFound) {
		t.Errorf("an instance that does not exist: error is %v", err)
	}
}
