package decide

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"cordon/internal/access"
	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"
)

// Keys are the public keys of Verified Access. No other net is reached than by it.
type Keys interface {
	access.Keys
}

// forwardedMax bounds the addresses on the way, in characters: the last is the
// balancer's word, what is before it may be anybody's.
const forwardedMax = 300

// visitor is who asks for the page, as far as it is known.
type visitor struct {
	name     string // of a user of Identity Center; empty with a link
	identity string
	decides  bool // whether they may decide; else they may look
}

// visitor admits whoever comes. With links that is everybody, and the link's
// secret is asked for later; else whom Verified Access signed for, through the
// balancer, and nobody else.
func (h *Handler) visitor(r *http.Request) (visitor, *answer) {
	if h.access == nil {
		return visitor{identity: incident.ByLink, decides: true}, nil
	}
	door := incident.Door(r.Context())
	if door == "" { // the public API, or whoever invokes the function as if they were it
		return visitor{}, &answer{status: http.StatusNotFound, notice: "known"}
	}
	person, err := h.access.Person(r.Context(), r.Header)
	var refused access.Refused
	switch {
	case errors.As(err, &refused):
		return visitor{}, &answer{status: http.StatusForbidden, notice: "stranger", why: string(refused)}
	case err != nil:
		return visitor{}, &broken
	}
	return visitor{name: person.Name, identity: incident.ByAccess + person.ID, decides: door == h.responders}, nil
}

// from is where a request came from, as the gateway or the balancer says.
func (v visitor) from(r *http.Request, remote string) string {
	if v.name == "" {
		return remote
	}
	return message.Plain(strings.Join(r.Header.Values("X-Forwarded-For"), ", "), forwardedMax)
}

// first records the decision of the first of two people, or returns the one that
// stands, to somebody who is surely another person and has seen whose it is. Every
// other case is an answer.
func (h *Handler) first(ctx context.Context, d incident.Decision, seen string) (incident.Decision, *answer) {
	if !d.Proven() {
		return incident.Decision{}, &answer{status: http.StatusForbidden, notice: NoticeUnproven}
	}
	sealed, err := h.seal(ctx, d)
	if err != nil {
		return incident.Decision{}, &broken
	}
	standing, err := record.DecideFirst(ctx, h.decisions, h.decisionsTable, sealed)
	if errors.Is(err, record.ErrTaken) && d.Override && !standing.Override {
		// That one waits for all evidence, whoever's it is, and this one does not: it
		// is not seconded by this one, and takes nothing back.
		standing, err = record.DecideOverride(ctx, h.decisions, h.decisionsTable, sealed)
	}
	waits := &answer{status: http.StatusAccepted, notice: NoticeFirst, decision: &standing, back: true}
	if err == nil {
		return incident.Decision{}, waits
	}
	if !errors.Is(err, record.ErrTaken) {
		return incident.Decision{}, &broken
	}
	switch err := incident.TwoPeople(standing, d); {
	case errors.Is(err, incident.ErrSamePerson) && standing.Override == d.Override && standing.Reason == d.Reason: // the answer to the first try may be lost
		return incident.Decision{}, waits
	case errors.Is(err, incident.ErrSamePerson):
		return incident.Decision{}, &answer{status: http.StatusConflict, notice: NoticeOwnFirst, decision: &standing, back: true}
	case err != nil:
		return incident.Decision{}, &answer{status: http.StatusConflict, notice: NoticeOtherWay, decision: &standing}
	case seen != standing.Mark():
		return incident.Decision{}, &answer{status: http.StatusConflict, notice: NoticeSecond, decision: &standing, first: &standing}
	}
	return standing, nil
}
