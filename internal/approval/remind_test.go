package approval_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/approval"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
)

const (
	topic  = "arn:aws:sns:eu-west-1:123456789012:cordon"
	others = "arn:aws:sns:eu-west-1:123456789012:cordon-escalation"
)

// escalating is a world with somebody to tell when nobody decides.
func escalating(t *testing.T, hours string, faults ...sim.Fault) *world {
	t.Helper()
	w := open(t, faults...)
	var err error
	w.step, err = approval.New(w.host(map[string]string{"APPROVAL_HOURS": hours, "ESCALATION_EMAIL": "boss@example.com", "ESCALATION_TOPIC_ARN": others}),
		w.aws.SNS(), w.aws.KMS(), w.aws.SFN(), w.aws.DynamoDB(), w.aws.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start(in approval.Input) {
	w.t.Helper()
	in.Incident, in.Execution, in.Instance, in.Round, in.Token = inc, "x", instance, 1, "token-1"
	w.do(func(ctx context.Context) {
		if _, err := w.step.Run(ctx, in); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *world) remind() (out approval.Output, err error) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		out, err = w.step.Run(ctx, approval.Input{Incident: inc, Execution: "x", Instance: instance, Round: 1, Remind: true})
	})
	return out, err
}

// wait reminds as the machine does, for a time.
func (w *world) wait(d time.Duration) (last approval.Output) {
	w.t.Helper()
	for until := w.clock.Now().Add(d); ; {
		out, err := w.remind()
		if err != nil {
			w.t.Fatal(err)
		}
		next := time.Duration(out.Wait) * time.Second
		if next < 5*time.Minute {
			w.t.Fatalf("the machine would look again after %s, and fill its history", next)
		}
		if w.clock.Now().Add(next).After(until) {
			return out
		}
		w.clock.Run(func() { w.clock.Sleep(next) })
	}
}

// Nobody decides: reminders come at growing intervals, with the same link and the
// time that is left, and others are told once, without the link.
func TestReminders(t *testing.T) {
	for name, c := range map[string]struct {
		hours     string
		in        approval.Input
		reminders []time.Duration // after the request was opened
		escalated time.Duration   // 0: not
		subject   string          // of reminders
		stake     string
	}{
		"isolated":     {"24", approval.Input{}, hours(1, 3, 7, 15), 12 * time.Hour, "[DECIDE] Nobody has decided", "only a release brings it back"},
		"for a week":   {"168", approval.Input{}, hours(1, 3, 7, 15, 31, 63, 127), 84 * time.Hour, "[DECIDE] Nobody has decided", "only a release brings it back"},
		"for an hour":  {"1", approval.Input{}, hours(.25, .75), 30 * time.Minute, "[DECIDE] Nobody has decided", "only a release brings it back"},
		"not isolated": {"24", approval.Input{Before: "ten at once"}, hours(.25, .75, 1.75, 3.75, 7.75, 15.75), 3 * time.Hour, "[DECIDE NOW] Still NOT isolated", "the intruder is at work now"},
		"months later": {"24", approval.Input{Later: "it was kept"}, hours(1, 3, 7, 15), 0, "[DECIDE] You were asked once more", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := escalating(t, c.hours)
			w.start(c.in)
			length := w.request(1).ExpiresAt.Sub(begun)
			w.wait(length)
			var at []time.Duration
			var told time.Duration
			slack := max(5*time.Minute, length/72)
			for _, m := range w.aws.Mails()[1:] {
				after := m.At.Sub(begun)
				switch m.Topic {
				case others:
					told = after
					if !strings.HasPrefix(m.Subject, "[ESCALATION]") || !strings.Contains(m.Body, c.stake) || !strings.Contains(m.Body, "security@example.com") || !strings.Contains(m.Body, "cordon decide "+inc.ID) {
						t.Errorf("told others:\n%s\n%s", m.Subject, m.Body)
					}
					if strings.Contains(m.Body, api) {
						t.Error("whoever reads the pager can decide: the link is in the escalation")
					}
				case topic:
					at = append(at, after)
					if left := message(length - after); !strings.HasPrefix(m.Subject, c.subject) || !strings.Contains(m.Subject, left) {
						t.Errorf("after %s: %q, want it to say that %s are left", after, m.Subject, left)
					}
				}
			}
			if len(at) != len(c.reminders) {
				t.Fatalf("reminded after %v, want %v", at, c.reminders)
			}
			for n, want := range c.reminders {
				if late := at[n] - want; late < 0 || late > slack {
					t.Errorf("reminder %d after %s, want %s", n+1, at[n], want)
				}
			}
			if late := told - c.escalated; c.escalated == 0 && told != 0 || c.escalated > 0 && (late < 0 || late > slack) {
				t.Errorf("others are told after %s, want %s", told, c.escalated)
			}
			links := w.links()
			for _, link := range links {
				holds(t, link, w.request(1))
			}
			if len(links) != 1+len(c.reminders) {
				t.Errorf("%d links in %d mails", len(links), 1+len(c.reminders))
			}
		})
	}
}

func hours(all ...float64) (out []time.Duration) {
	for _, h := range all {
		out = append(out, time.Duration(h*float64(time.Hour)))
	}
	return out
}

// message is a time left as a mail says it.
func message(d time.Duration) string {
	minutes := int(d / time.Minute)
	switch {
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes < 48*60:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%d days %d h", minutes/60/24, minutes/60%24)
}

// Nobody is told who was not to be, and nobody is reminded of what was decided,
// of a request that was never mailed, or of one that is over.
func TestNoReminder(t *testing.T) {
	w := open(t)
	if out, err := w.remind(); err != nil || out.Status != incident.Skipped || out.Wait != 300 {
		t.Errorf("before anybody is asked: %+v, %v", out, err)
	}
	w.start(approval.Input{})
	w.wait(30 * time.Hour)
	for _, m := range w.aws.Mails() {
		if m.Topic != topic || m.At.After(begun.Add(24*time.Hour)) {
			t.Errorf("after %s to %s: %s", m.At.Sub(begun), m.Topic, m.Subject)
		}
	}

	w = escalating(t, "24")
	w.start(approval.Input{})
	w.decide(1)
	w.wait(20 * time.Hour)
	if n := len(w.aws.Mails()); n != 1 {
		t.Errorf("%d mails about a request that is decided", n)
	}

	w = escalating(t, "24", sim.Fault{Service: "sns", Action: "Publish", Number: 1, Kind: sim.Unavailable})
	if _, err := w.ask(1, "token-1"); err == nil {
		t.Fatal("this test wants a link that was not mailed")
	}
	w.wait(20 * time.Hour)
	if n := len(w.aws.Mails()); n != 0 {
		t.Errorf("%d mails remind of a link that nobody got", n)
	}
}

// A decision that stands ends the waiting, but not in the moment in which the page
// may deliver it itself.
func TestFindsADecision(t *testing.T) {
	w := open(t)
	w.start(approval.Input{})
	w.clock.Run(func() { w.clock.Sleep(time.Minute) })
	w.do(func(ctx context.Context) {
		d := incident.Decision{Incident: inc.ID, Round: 1, Choice: incident.Keep, DecidedAt: w.clock.Now()}
		if _, err := record.Decide(ctx, w.aws.DynamoDB(), decisions, d); err != nil {
			t.Fatal(err)
		}
	})
	if out, err := w.remind(); err != nil || out.Over {
		t.Errorf("in the moment of the decision: %+v, %v", out, err)
	}
	w.clock.Run(func() { w.clock.Sleep(time.Minute) })
	if out, err := w.remind(); err != nil || !out.Over {
		t.Errorf("a minute after the decision: %+v, %v", out, err)
	}
	if len(w.delivered) > 0 {
		t.Errorf("answered a task of which it has no token: %v", w.delivered)
	}
}

// A redriven execution waits for the time of a request once more, whose link is over.
func TestNobodyWaitsForWhatIsOver(t *testing.T) {
	w := open(t)
	w.start(approval.Input{})
	for _, c := range []struct {
		wait time.Duration
		over bool
	}{{24*time.Hour - time.Minute, false}, {time.Minute, false}, {2 * time.Minute, true}} {
		w.clock.Run(func() { w.clock.Sleep(c.wait) })
		if out, err := w.remind(); err != nil || out.Over != c.over {
			t.Errorf("%s after it was opened: %+v, %v", w.clock.Now().Sub(begun), out, err)
		}
	}
}

// Each call that changes something is once refused, once made without an answer,
// once the last. The next call makes up for it, and nobody is left out.
func TestKilledReminder(t *testing.T) {
	day := func(w *world) (err error) {
		w.start(approval.Input{})
		w.clock.Run(func() { w.clock.Sleep(13 * time.Hour) }) // a reminder and the escalation are due
		if _, err = w.remind(); err != nil {
			if _, again := w.remind(); again != nil {
				w.t.Errorf("the next call: %v", again)
			}
		}
		if _, again := w.remind(); again != nil {
			w.t.Error(again)
		}
		return err
	}
	undisturbed := escalating(t, "24")
	if err := day(undisturbed); err != nil {
		t.Fatal(err)
	}
	numbers, tried := map[string]int{}, 0
	for _, c := range undisturbed.aws.Calls() {
		numbers[c.Service+":"+c.Action]++
		if !c.Mutating && c.Action != "Decrypt" || c.At.Before(begun.Add(time.Hour)) {
			continue
		}
		for _, kind := range []sim.Kind{sim.Denied, sim.Lost, sim.KilledBefore, sim.KilledAfter, sim.Late} {
			fault := sim.Fault{Service: c.Service, Action: c.Action, Number: numbers[c.Service+":"+c.Action], Kind: kind}
			tried++
			t.Run(fault.String(), func(t *testing.T) {
				w := escalating(t, "24", fault)
				if err := day(w); err == nil {
					t.Error("the step says that all is well")
				}
				to := map[string]int{}
				for _, m := range w.aws.Mails()[1:] {
					to[m.Topic]++
				}
				// Once too often where an answer was lost; never not at all.
				if to[topic] < 1 || to[topic] > 2 || to[others] < 1 || to[others] > 2 || to[topic]+to[others] > 3 {
					t.Errorf("mails by topic: %v", to)
				}
				r := w.request(1)
				if r.Reminders != 3 || r.EscalatedAt.IsZero() {
					t.Errorf("noted: %d reminders, escalated at %s", r.Reminders, r.EscalatedAt)
				}
			})
		}
	}
	if tried < 5*5 {
		t.Errorf("only %d faults were tried", tried)
	}
}

// pair is a world in which two must decide, and a first person has.
func pair(t *testing.T, faults ...sim.Fault) (w *world, decide func(person string, override bool)) {
	t.Helper()
	w = open(t, faults...)
	var err error
	w.step, err = approval.New(w.host(map[string]string{
		"APPROVAL_IDENTITY": "VerifiedAccess", "APPROVERS_FOR_TERMINATION": "2", "ESCALATION_EMAIL": "boss@example.com", "ESCALATION_TOPIC_ARN": others,
	}), w.aws.SNS(), w.aws.KMS(), w.aws.SFN(), w.aws.DynamoDB(), w.aws.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	return w, func(person string, override bool) {
		t.Helper()
		w.do(func(ctx context.Context) {
			d := incident.Decision{Incident: inc.ID, Round: 1, Choice: incident.Terminate, Override: override, Person: person, Reason: "seen", DecidedAt: w.clock.Now(), MAC: []byte(person)}
			store := record.DecideFirst
			if override {
				store = record.DecideOverride
			}
			if _, err := store(ctx, w.aws.DynamoDB(), decisions, d); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Where two must decide and one has, the others are told at the next look, with whose
// decision it is, and the page knows.
func TestSecondIsWanted(t *testing.T) {
	w, decide := pair(t)
	w.start(approval.Input{})
	w.wait(10 * time.Minute)
	if n := len(w.aws.Mails()); n != 1 {
		t.Fatalf("%d mails before anybody decided", n)
	}
	decide("sato", false)
	w.wait(10 * time.Minute)
	decide("suzuki", true)
	w.wait(10 * time.Minute)
	mails := w.aws.Mails()
	if len(mails) != 3 {
		t.Fatalf("%d mails, want one for each first decision", len(mails)-1)
	}
	for n, want := range []string{"sato", "suzuki"} {
		m := mails[n+1]
		if !strings.HasPrefix(m.Subject, "[DECIDE] One of two decided to terminate") || !strings.Contains(m.Body, want) || !strings.Contains(m.Body, "nobody has seconded it") || !strings.Contains(m.Body, "\n"+api+"/d/"+inc.ID+".1\n") {
			t.Errorf("of the decision of %s:\n%s\n%s", want, m.Subject, m.Body)
		}
	}
	got := fmt.Sprint(w.request(1).Firsts)
	if !strings.Contains(got, "terminate sato") || !strings.Contains(got, "terminate-anyway suzuki") {
		t.Errorf("the page knows of %s", got)
	}
	w.wait(14 * time.Hour)
	escalated := 0
	for _, m := range w.aws.Mails()[3:] {
		if strings.HasPrefix(m.Subject, "[DECIDE] Nobody") {
			t.Errorf("people are told that nobody decided: %s", m.Subject)
		}
		if m.Topic == others {
			escalated++
			if !strings.Contains(m.Body, "suzuki") {
				t.Errorf("others are not told who was first:\n%s", m.Body)
			}
		}
	}
	if escalated != 1 {
		t.Errorf("%d escalations", escalated)
	}
	// Asked again, in another round, people see what became of it.
	if _, err := w.ask(2, "token-2"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(w.request(2).Earlier); !strings.Contains(got, "sato") || strings.Count(got, string(incident.Unseconded)) != 2 {
		t.Errorf("the next request knows of %s", got)
	}
}

// Killed at each call that changes something and run again: whoever is to be the
// second is told, and the page knows.
func TestKilledWantingASecond(t *testing.T) {
	calm, decide := pair(t)
	calm.start(approval.Input{})
	from := len(calm.aws.Calls())
	decide("sato", false)
	if _, err := calm.remind(); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, c := range calm.aws.Calls()[from:] {
		if !c.Mutating || c.Action == "PutItem" { // the decision itself
			continue
		}
		for _, kind := range []sim.Kind{sim.Denied, sim.Lost, sim.KilledBefore, sim.KilledAfter} {
			tried++
			w, decide := pair(t, sim.Fault{Service: c.Service, Action: c.Action, Number: c.Number, Kind: kind})
			w.start(approval.Input{})
			decide("sato", false)
			if _, err := w.remind(); err == nil {
				t.Errorf("%s:%s %s: the step says that all is well", c.Service, c.Action, kind)
			}
			for range 2 {
				if _, err := w.remind(); err != nil {
					t.Error(err)
				}
			}
			if n := len(w.aws.Mails()); n < 2 || n > 3 || len(w.request(1).Firsts) != 1 {
				t.Errorf("%s:%s %s: %d mails, the page knows of %v", c.Service, c.Action, kind, n, w.request(1).Firsts)
			}
		}
	}
	if tried < 8 {
		t.Errorf("only %d faults were tried", tried)
	}
}

// What the topic of the others refuses does not keep those from being reminded who
// can decide, nor the other way round.
func TestMailsDoNotWaitForEachOther(t *testing.T) {
	for number, want := range map[int]string{2: topic, 3: others} {
		w := escalating(t, "24", sim.Fault{Service: "sns", Action: "Publish", Number: number, Kind: sim.Denied})
		w.start(approval.Input{})
		w.clock.Run(func() { w.clock.Sleep(13 * time.Hour) })
		if _, err := w.remind(); err == nil {
			t.Error("a refused mail is no error")
		}
		var to []string
		for _, m := range w.aws.Mails()[1:] {
			to = append(to, m.Topic)
		}
		if !slices.Equal(to, []string{want}) {
			t.Errorf("mailed %v, want %s", to, want)
		}
	}
}

func TestEscalationNeedsATopic(t *testing.T) {
	w := open(t)
	_, err := approval.New(w.host(map[string]string{"ESCALATION_EMAIL": "boss@example.com"}), w.aws.SNS(), w.aws.KMS(), w.aws.SFN(), w.aws.DynamoDB(), w.aws.DynamoDB())
	if err == nil || !strings.Contains(err.Error(), "ESCALATION_TOPIC_ARN") {
		t.Errorf("%v, want an error that names the setting", err)
	}
}
