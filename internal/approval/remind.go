package approval

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/sns"
)

const (
	// soon is how long the machine waits between two reminding calls in the first
	// hour, when most people decide, and never less later.
	soon = 5 * time.Minute
	// calls is how many reminding calls fit into a request's time after that hour.
	// One is nine events of the execution's history, which holds 25,000; five
	// requests of a week, and the looks beside them, must fit (ADR 18).
	calls = 72
	// grace is how long the page has to deliver a decision itself. Ending the
	// waiting in the same moment would have the page say that nobody waited.
	grace = time.Minute
	// The first reminder; each later one after twice the time of the one before.
	first, firstBefore = time.Hour, 15 * time.Minute
)

// remind looks whether somebody has decided meanwhile, which the machine then
// acts on although nobody could deliver it, and reminds and escalates when it is
// time. Nothing waits behind this call.
func (s *Step) remind(ctx context.Context, in Input) (Output, error) {
	out := Output{Report: incident.Report{Status: incident.OK}, Wait: int(soon / time.Second)}
	ours, err := s.owns(ctx, in)
	if err != nil {
		return Output{}, err
	}
	if !ours { // the one that has it asks and reminds
		out.Over, out.Reason = true, "another execution has the incident"
		return out, nil
	}
	request, found, err := record.LoadRequest(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round)
	if err != nil {
		return Output{}, fmt.Errorf("read request %d of incident %s: %w", in.Round, in.Incident.ID, err)
	}
	if !found {
		out.Report = incident.Report{Status: incident.Skipped, Reason: "nobody is asked yet"}
		return out, nil
	}
	decision, decided, err := record.LoadDecision(ctx, s.decisions, s.decisionsTable, in.Incident.ID, in.Round)
	if err != nil {
		return Output{}, fmt.Errorf("look for a standing decision: %w", err)
	}
	now := s.host.Now()
	// Redriven, an execution waits for the time of a request once more. Nobody can
	// decide on this one any more, so that there is nothing to wait for.
	out.Over = decided && !now.Before(decision.DecidedAt.Add(grace)) || !decided && !now.Before(request.ExpiresAt.Add(grace))
	if now.Sub(request.OpenedAt) >= time.Hour {
		out.Wait = int(max(soon, s.valid/calls) / time.Second)
	}
	if decided || request.MailedAt.IsZero() || !now.Before(request.ExpiresAt) {
		return out, nil
	}
	firsts, err := s.firsts(ctx, in.Incident.ID, in.Round)
	if err != nil {
		return out, err
	}
	// Neither waits for the success of the other.
	return out, errors.Join(s.escalate(ctx, in, request, firsts, now), s.again(ctx, in, request, firsts, now))
}

// again reminds people, with the same link, if that is due.
func (s *Step) again(ctx context.Context, in Input, request record.Request, firsts []incident.Decision, now time.Time) error {
	due := s.due(request, now)
	// That a second person is wanted is told at once.
	wanted := len(firsts) > len(request.Firsts)
	if due <= request.Reminders && !wanted {
		return nil
	}
	secret, err := s.decrypt(ctx, in, request.Secret)
	if err != nil {
		return fmt.Errorf("decrypt the link's secret: %w", err)
	}
	letter := s.letter(in, request, now)
	letter.Kind, letter.Link = message.Reminded, s.link(request, secret)
	switch {
	case request.Before != "":
		letter.Kind = message.RemindedBefore
	case request.Later != "":
		letter.Kind = message.RemindedLater
	}
	if len(firsts) > 0 {
		letter.Kind, letter.Decision = message.OneOfTwo, waiting(firsts)
	}
	if err := s.publish(ctx, s.topic, letter); err != nil {
		return fmt.Errorf("remind people: %w", err)
	}
	if wanted {
		told := []record.Earlier{}
		for _, f := range firsts {
			told = append(told, record.OfFirst(f))
		}
		if err := record.NoteFirsts(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round, told); err != nil {
			return fmt.Errorf("note whose decision wants a second: %w", err)
		}
	}
	if err := record.NoteReminders(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round, due); err != nil {
		return fmt.Errorf("note that people were reminded: %w", err)
	}
	return nil
}

// due is how many reminders should have gone by now: after one, three, seven,
// fifteen … times the first interval. Those that were missed are not made up for.
func (s *Step) due(r record.Request, now time.Time) int {
	interval := first
	if r.Before != "" { // nothing is isolated yet, and it may be talking
		interval = firstBefore
	}
	interval = min(interval, s.valid/4)
	n := 0
	for at := r.OpenedAt.Add(interval); !at.After(now); at = at.Add(interval) {
		n++
		interval *= 2
	}
	return n
}

// escalate tells others, once, after half of the request's time, or an eighth
// where nothing is isolated yet. A request about what nobody works on is left to
// who wished for it: silence changes nothing then.
//
// The mail has no link. Whoever has it can decide, and the address of an
// escalation is often a pager or a ticket that many read, for ever. It says who
// has the link, and the way to decide without one.
func (s *Step) escalate(ctx context.Context, in Input, r record.Request, firsts []incident.Decision, now time.Time) error {
	after := s.valid / 2
	if r.Before != "" {
		after = s.valid / 8
	}
	if s.escalation == "" || r.Later != "" || !r.EscalatedAt.IsZero() || now.Before(r.OpenedAt.Add(after)) {
		return nil
	}
	letter := s.letter(in, r, now)
	letter.Kind, letter.Asked, letter.Decision = message.Escalated, s.asked, waiting(firsts)
	if r.Before != "" {
		letter.Kind = message.EscalatedBefore
	} else if _, err := record.LoadStep(ctx, s.incidents, s.incidentsTable, in.Incident.ID, "isolate", &letter.Isolation); err != nil {
		return fmt.Errorf("read how it is isolated: %w", err)
	}
	if err := s.publish(ctx, s.escalation, letter); err != nil {
		return fmt.Errorf("escalate: %w", err)
	}
	if err := record.NoteEscalated(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round, now); err != nil {
		return fmt.Errorf("note that it was escalated: %w", err)
	}
	return nil
}

// waiting is the newest decision that waits for a second person's, for people to
// read; none is zero.
func waiting(firsts []incident.Decision) message.Decision {
	if len(firsts) == 0 {
		return message.Decision{}
	}
	d := firsts[len(firsts)-1]
	return message.Decision{Choice: d.Chosen(), Person: d.Person, Reason: d.Reason, Part: incident.Unseconded, At: d.DecidedAt}
}

// letter is what every mail about a request says.
func (s *Step) letter(in Input, r record.Request, now time.Time) message.Letter {
	return message.Letter{
		Incident: in.Incident, Finding: in.Incident.Finding, Instance: in.Instance, Protection: in.Protection,
		Until: r.ExpiresAt, Left: r.ExpiresAt.Sub(now), Choices: r.Choices(), Reason: r.Before + r.Later,
		SignIn: s.signIn, Two: s.two,
	}
}

// link is the address of a request. Its secret stays unsaid where people sign in;
// it is drawn all the same, so that a change back to links needs no new request.
func (s *Step) link(r record.Request, secret string) string {
	address := s.api + "/d/" + r.Incident + "." + strconv.Itoa(r.Round)
	if s.signIn {
		return address
	}
	return address + "/" + secret
}

func (s *Step) publish(ctx context.Context, topic string, letter message.Letter) error {
	subject, body := s.language.Mail(letter)
	_, err := s.sns.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Subject: &subject, Message: &body})
	return err
}
