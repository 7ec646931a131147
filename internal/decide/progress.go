package decide

import (
	"context"
	"strings"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"
)

// stage is one thing on the way from a decision to its end.
type stage struct {
	Text  string
	State string // "done", "open" or "bad"
}

// progress adds to an answer how far a verified decision is, from what the steps
// have recorded. The page may be loaded again as often as one likes.
func (h *Handler) progress(ctx context.Context, q *request, a answer) answer {
	k, err := h.know(ctx, q.Incident)
	if err != nil {
		return broken
	}
	a.again, a.incident = true, q.Incident
	a.stages = h.stages(q, k)
	return a
}

func (h *Handler) stages(q *request, k known) []stage {
	l, head := h.page.l, q.head
	step := func(done bool, then, now string, facts ...string) stage {
		if done {
			return stage{l.Text("step."+then, facts...), "done"}
		}
		return stage{l.Text("step."+now, facts...), "open"}
	}
	closedAt := l.Time(head.ClosedAt)
	all := []stage{
		{l.Text("step.recorded", "choice", l.Choice(head.Decision), "person", l.Stranger(head.Decided.Person), "at", l.Time(head.Decided.At)), "done"},
		{l.Text("step.verified"), "done"},
	}
	evidence := step(len(l.Waits(k.evidence, k.isolation)) == 0, "evidence.done", "evidence")
	closed := head.State != record.Open && !head.Again
	switch head.Decision {
	case incident.Terminate:
		all = append(all, evidence)
		if !k.termination.CalledAt.IsZero() {
			all = append(all, stage{l.Text("step.terminating", "at", l.Time(k.termination.CalledAt)), "done"})
		}
		all = append(all, step(head.State == record.Terminated, "terminated", "terminate", "at", closedAt))
	case incident.Keep:
		all = append(all, evidence, step(closed && head.State == record.Kept, "kept", "keep", "at", closedAt))
	case incident.Release:
		released := head.State == record.Released && closed
		if released && k.restoration.Status != incident.OK && len(k.restoration.NotBack) > 0 {
			all = append(all, stage{l.Text("step.released.partly", "what", strings.Join(plain(k.restoration.NotBack), "; ")), "bad"})
		}
		all = append(all, step(released, "released", "release", "at", closedAt))
	case incident.Isolate:
		all = append(all, step(k.isolation.Contained, "isolated", "isolate", "at", l.Time(k.isolation.At)))
	case incident.Leave:
		all = append(all, step(closed, "left", "leave", "at", closedAt))
	}
	if q.next != nil && head.State == record.Open {
		// What was still to come will not.
		for len(all) > 0 && all[len(all)-1].State == "open" {
			all = all[:len(all)-1]
		}
		all = append(all, stage{l.Text("step.refused", "reason", message.Plain(q.next.Problem, 800)), "bad"})
	}
	return all
}
