package approval_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"cordon/internal/approval"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
)

// asks runs the step for an execution.
func (w *world) asks(ctx context.Context, execution, token, before string, round int) error {
	_, err := w.step.Run(ctx, approval.Input{Incident: inc, Execution: execution, Instance: instance, Round: round, Token: token, Before: before})
	return err
}

func (w *world) takeOver(ctx context.Context) {
	if err := record.TakeOver(ctx, w.aws.DynamoDB(), incidents, inc.ID, "x", "y", w.clock.Now()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) noted(ctx context.Context) incident.Choice {
	h, err := record.LoadHead(ctx, w.aws.DynamoDB(), incidents, inc.ID)
	if err != nil {
		w.t.Error(err)
	}
	return h.Decision
}

// An execution that lost the incident leaves what the other one asked alone: a
// decision would reach nobody else, or people be told that nobody waits.
func TestWhoLostTheIncidentChangesNothing(t *testing.T) {
	w := open(t)
	w.do(func(ctx context.Context) {
		w.takeOver(ctx)
		if err := w.asks(ctx, "y", "token-y", "", 2); err != nil {
			t.Error(err)
		}
		if err := record.NoteDecision(ctx, w.aws.DynamoDB(), incidents, "y", incident.Decision{Incident: inc.ID, Round: 2, Choice: incident.Keep}); err != nil {
			t.Error(err)
		}
	})
	before := w.request(2)
	w.do(func(ctx context.Context) {
		for range 2 {
			if err := w.asks(ctx, "x", "token-x", "", 2); !errors.Is(err, incident.ErrSuperseded) {
				t.Errorf("%v, want that it is superseded", err)
			}
		}
		if got := w.noted(ctx); got != incident.Keep {
			t.Errorf("the decision that was verified for the other execution is noted as %q", got)
		}
		out, err := w.step.Run(ctx, approval.Input{Incident: inc, Execution: "x", Instance: instance, Round: 2, Remind: true})
		if err != nil || !out.Over {
			t.Errorf("%+v, %v: it waits on, and reminds people of what another asked", out, err)
		}
	})
	after := w.request(2)
	if w.token(after) != "token-y" || after.SecretHash != before.SecretHash || len(w.links()) != 1 {
		t.Errorf("behind the link is %q, %d links were mailed", w.token(after), len(w.links()))
	}
}

// Both count the rounds before either asks, and the one that lost the incident
// opens the request: the other asks its own question, behind a link of its own.
func TestRequestOfWhoLostIsTakenOver(t *testing.T) {
	open := func(t *testing.T, faults ...sim.Fault) *world {
		w := open(t, faults...)
		w.do(func(ctx context.Context) {
			r := record.Request{Incident: inc.ID, Round: 1, Execution: "x", SecretHash: "00", OpenedAt: w.clock.Now(), ExpiresAt: w.clock.Now(), Before: "ten at once"}
			if _, err := record.OpenRequest(ctx, w.aws.DynamoDB(), incidents, r); err != nil {
				t.Error(err)
			}
			w.takeOver(ctx)
		})
		return w
	}
	check := func(t *testing.T, w *world, token string) {
		t.Helper()
		r := w.request(1)
		if r.Execution != "y" || w.token(r) != token || !slices.Equal(r.Choices(), []incident.Choice{incident.Terminate, incident.Keep, incident.Release}) {
			t.Errorf("people are asked %v for %s, %q waits behind the link", r.Choices(), r.Execution, w.token(r))
		}
		if len(w.links()) == 0 {
			t.Error("nobody was mailed")
		}
		for _, l := range w.links() {
			holds(t, l, r)
		}
	}
	w := open(t)
	w.do(func(ctx context.Context) {
		errs := make([]error, 2) // as after an answer of Lambda that was lost
		w.clock.Each(2, func(n int) { errs[n] = w.asks(ctx, "y", "token", "", 1) })
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	check(t, w, "token")
	killed := 0
	for n := 2; n <= 4; n++ { // the first of each is the test's own
		for _, action := range []string{"PutItem", "UpdateItem"} {
			for _, kind := range []sim.Kind{sim.Lost, sim.KilledBefore, sim.KilledAfter, sim.Denied} {
				fault := sim.Fault{Service: "dynamodb", Action: action, Number: n, Kind: kind}
				w := open(t, fault)
				w.do(func(ctx context.Context) { _ = w.asks(ctx, "y", "token-1", "", 1) })
				if len(w.aws.Unmet()) > 0 {
					continue // there are no more such calls
				}
				killed++
				w.do(func(ctx context.Context) {
					if err := w.asks(ctx, "y", "token-2", "", 1); err != nil {
						t.Errorf("%s: %v", fault, err)
					}
				})
				check(t, w, "token-2")
			}
		}
	}
	if killed != 4*4 { // the step and the request put, the token and the mail noted
		t.Errorf("killed at %d calls", killed)
	}
}

// Both ask, in every order that some seeds make of their calls, while the incident
// goes from one to the other: it is the owner's task that is reached in the end.
func TestTwoExecutionsAskAtOnce(t *testing.T) {
	lost := 0
	for seed := range uint64(60) {
		w, round := openWith(t, seed+1), 0
		w.do(func(ctx context.Context) {
			w.clock.Each(2, func(n int) {
				if n == 0 {
					err := w.asks(ctx, "x", "token-x", "ten at once", 1)
					if errors.Is(err, incident.ErrSuperseded) {
						lost++
					} else if err != nil {
						t.Error(err)
					}
					return
				}
				w.clock.Sleep(time.Duration(seed) * 5 * time.Millisecond)
				w.takeOver(ctx)
				last, err := record.LastRound(ctx, w.aws.DynamoDB(), incidents, inc.ID)
				if round = last + 1; err == nil {
					err = w.asks(ctx, "y", "token-y", "", round)
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
		r, links := w.request(round), w.links()
		if got := w.token(r); got != "token-y" || len(r.Choices()) != 3 {
			t.Errorf("seed %d: of request %d, about %v, %q waits behind the link", seed, round, r.Choices(), got)
		}
		holds(t, links[len(links)-1], r)
	}
	if lost == 0 || lost == 60 {
		t.Errorf("in %d of 60 orders it was superseded: the others were not tried", lost)
	}
}
