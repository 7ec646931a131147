package decide

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
)

// operatorPath is the route of operators, behind IAM authorization; the incident
// follows.
const operatorPath = "/operator/"

// Order is what an operator sends: a decision on one request.
type Order struct {
	Round    int             `json:"round"` // which request of the incident: the one that the operator read
	Decision incident.Choice `json:"decision"`
	Reason   string          `json:"reason"`
	Override bool            `json:"override"` // terminate although evidence is incomplete, where that was refused before
	Force    bool            `json:"force"`    // release although it is not the same machine any more
	First    string          `json:"first"`    // the decision that this one seconds, by the First of a receipt; where two people must decide
}

// Receipt is what an operator is told.
type Receipt struct {
	Notice      string    `json:"notice"`      // one of the Notice constants
	Wrong       []string  `json:"wrong"`       // of the order, with NoticeWrong: "choice", "override", "force", "long"
	Undelivered bool      `json:"undelivered"` // it stands, and the machine has not got it yet
	Standing    *Standing `json:"standing"`    // null where there is none, or none that is known
	First       string    `json:"first"`       // with NoticeSecond, names the decision that whoever asks may second
}

// Standing is the decision that stands.
type Standing struct {
	Decision  incident.Choice `json:"decision"`
	Override  bool            `json:"override"` // to terminate although evidence is incomplete
	Person    string          `json:"person"`
	Seconds   string          `json:"seconds"` // whose decision it seconds; empty where one person is enough
	Identity  string          `json:"identity"`
	Reason    string          `json:"reason"`
	DecidedAt time.Time       `json:"decidedAt"`
}

// Stands is a decision as people are told of it.
func Stands(d incident.Decision) *Standing {
	return &Standing{Decision: d.Choice, Override: d.Override, Person: d.Person, Seconds: d.Seconds, Identity: d.Identity, Reason: d.Reason, DecidedAt: d.DecidedAt}
}

// What a receipt says. The page has a text for most of them.
const (
	NoticeRecorded    = "recorded"    // it stands, and the machine has it
	NoticeUndelivered = "undelivered" // it stands, and the machine has not got it yet
	NoticeTaken       = "taken"       // somebody else's stands
	NoticeOwn         = "own"         // this very decision stood already
	NoticeNobody      = "nobody"      // it stands, and nothing waits for it any more
	NoticeGone        = "gone"        // the request is over
	NoticeUnknown     = "known"       // there is no such request
	NoticeWrong       = "wrong"       // the order cannot be carried out as it is
	NoticeUnreadable  = "form"        // the order cannot be read
	NoticeLarge       = "large"       // the order is too large
	NoticeMethod      = "method"      // it was not posted
	NoticeBroken      = "broken"      // AWS does not answer
	NoticeStranger    = "stranger"    // the gateway did not say who calls

	// Where two people must decide on a termination.
	NoticeFirst    = "first"    // yours is the first, and another person's is wanted
	NoticeSecond   = "second"   // somebody's is the first: read whose, and second it by First
	NoticeUnproven = "unproven" // nothing tells you from another person
	NoticeOtherWay = "otherWay" // the first is known in another way, so the two of you cannot be told apart
	NoticeOwnFirst = "ownFirst" // yours is the first, recorded otherwise before; that one stands
)

// operate records an operator's decision. Who they are is what the gateway says,
// which is nobody where the route has no authorization.
func (h *Handler) operate(r *http.Request, id string) answer {
	caller := incident.Caller(r.Context())
	if caller == "" {
		return answer{status: http.StatusForbidden, notice: NoticeStranger}
	}
	if r.Method != http.MethodPost {
		return answer{status: http.StatusMethodNotAllowed, notice: NoticeMethod}
	}
	o, bad := readOrder(r)
	if bad != nil {
		return *bad
	}
	unknown := answer{status: http.StatusNotFound, notice: NoticeUnknown}
	if _, _, err := incident.SplitID(id); err != nil || o.Round < 1 {
		return unknown
	}
	stored, next, err := record.FindRequest(r.Context(), h.incidents, h.incidentsTable, id, o.Round)
	if err != nil {
		return broken
	}
	if stored == nil {
		return unknown
	}
	q, err := h.around(r.Context(), *stored, next)
	if err != nil {
		return broken
	}
	if q.closed(h.host.Now()) != "" {
		a := h.gone(q)
		a.notice = NoticeGone
		return a
	}
	// The ID of the incident names the instance, so nothing is typed twice here.
	f := form{
		choice: string(o.Decision), instance: q.head.Incident.InstanceID, name: person(caller),
		reason: tidy(o.Reason), force: o.Force,
	}
	if o.Override && o.Decision == incident.Terminate {
		f.choice = string(incident.TerminateAnyway)
	}
	wrong := f.wrong(q)
	if o.Override && o.Decision != incident.Terminate {
		wrong = append(wrong, "override")
	}
	if len(wrong) > 0 {
		return answer{status: http.StatusUnprocessableEntity, notice: NoticeWrong, wrong: wrong}
	}
	return h.record(r.Context(), h.decision(r, q, f, incident.ByIAM+caller), o.First)
}

// person is a short name for a caller: what follows the kind of principal.
func person(arn string) string {
	if _, name, ok := strings.Cut(arn, "/"); ok {
		return name
	}
	return arn[strings.LastIndex(arn, ":")+1:]
}

func readOrder(r *http.Request) (Order, *answer) {
	unreadable := &answer{status: http.StatusBadRequest, notice: NoticeUnreadable}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return Order{}, &answer{status: http.StatusUnsupportedMediaType, notice: NoticeUnreadable}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, orderMax+1))
	if err != nil {
		return Order{}, unreadable
	}
	if len(body) > orderMax {
		return Order{}, &answer{status: http.StatusRequestEntityTooLarge, notice: NoticeLarge}
	}
	var o Order
	d := json.NewDecoder(strings.NewReader(string(body)))
	// What is not understood may be what was meant.
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || d.More() {
		return Order{}, unreadable
	}
	return o, nil
}

func writeJSON(w http.ResponseWriter, a answer) {
	r := Receipt{Notice: a.notice, Wrong: append([]string{}, a.wrong...), Undelivered: a.undelivered || a.notice == NoticeUndelivered}
	if d := a.decision; d != nil {
		r.Standing = Stands(*d)
	}
	if a.first != nil {
		r.First = a.first.Mark()
	}
	b, err := json.Marshal(r)
	if err != nil {
		http.Error(w, "receipt", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	_, _ = w.Write(b) // whoever asked and has gone away is nothing to act on
}
