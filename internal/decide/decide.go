// Package decide is the page behind the mailed link, and the one place where a
// person's decision is recorded. Mail scanners open every link, and some submit
// forms: GET and HEAD only ever show, and POST wants the instance ID typed.
//
// Operators decide on a route of their own, as who they are in IAM; see operator.go.
//
// It may write a decision and not read any, call no EC2, and start nothing.
package decide

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cordon/internal/access"
	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// KMS is the part of the KMS API this function calls. It decrypts what was
// encrypted for purpose=token only.
type KMS interface {
	GenerateMac(context.Context, *kms.GenerateMacInput, ...func(*kms.Options)) (*kms.GenerateMacOutput, error)
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// SFN is the part of the Step Functions API this function calls.
type SFN interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
}

// Incidents is the part of DynamoDB this function calls on the incidents table.
type Incidents interface {
	record.Querier
}

// Decisions is the part of DynamoDB this function calls on the decisions table.
type Decisions interface {
	record.Putter
}

const (
	bodyMax   = 256 << 10          // bytes of a form, which carries what was shown: 128 volumes come to 90 KiB
	orderMax  = 16 << 10           // bytes of an operator's order
	nameMax   = 200                // characters; the seal covers them, and KMS seals 4,096 bytes at most
	reasonMax = 1000               // characters
	agentMax  = 300                // characters
	validFor  = 7 * 24 * time.Hour // no termination later than this after the decision
)

// Handler serves /d/REQUEST/SECRET, where REQUEST is INCIDENT.ROUND, and
// /operator/INCIDENT. Where people sign in, it is /d/REQUEST.
type Handler struct {
	host      incident.Host
	kms       KMS
	sfn       SFN
	incidents Incidents
	decisions Decisions
	page      *page

	incidentsTable, decisionsTable, dataKey, macKey string

	access     *access.Reader // nil: whoever has a link decides
	responders string         // ARN of the target group through which those come who may decide
	two        bool           // people must decide on a termination
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE, DATA_KEY_ID, MAC_KEY_ID, LANGUAGE,
// APPROVAL_IDENTITY and APPROVERS_FOR_TERMINATION; with VerifiedAccess also
// ACCESS_INSTANCE, ACCESS_PROVIDER and ACCESS_RESPONDERS.
func New(host incident.Host, kms KMS, sfn SFN, keys Keys, incidents Incidents, decisions Decisions) (*Handler, error) {
	h := &Handler{host: host, kms: kms, sfn: sfn, incidents: incidents, decisions: decisions}
	var code, identity string
	for _, setting := range []struct {
		name string
		to   *string
	}{
		{"INCIDENTS_TABLE", &h.incidentsTable},
		{"DECISIONS_TABLE", &h.decisionsTable},
		{"DATA_KEY_ID", &h.dataKey},
		{"MAC_KEY_ID", &h.macKey},
		{"LANGUAGE", &code},
		{"APPROVAL_IDENTITY", &identity},
	} {
		v, err := host.Setting(setting.name)
		if err != nil {
			return nil, err
		}
		*setting.to = v
	}
	language, err := message.In(code)
	if err != nil {
		return nil, fmt.Errorf("environment variable LANGUAGE: %w", err)
	}
	h.page = newPage(language)
	signIn, err := incident.SignIn(identity)
	if err != nil {
		return nil, fmt.Errorf("environment variable APPROVAL_IDENTITY: %w", err)
	}
	if signIn {
		if h.access, err = access.NewReader(host, keys); err != nil {
			return nil, err
		}
		if h.responders, err = host.Setting("ACCESS_RESPONDERS"); err != nil {
			return nil, err
		}
	}
	approvers, err := host.Number("APPROVERS_FOR_TERMINATION")
	if err != nil {
		return nil, err
	}
	if h.two, err = incident.Two(approvers); err != nil {
		return nil, fmt.Errorf("environment variable APPROVERS_FOR_TERMINATION: %w", err)
	}
	if h.two && !signIn {
		return nil, errors.New("two people must decide on a termination, and with links nobody is known: APPROVAL_IDENTITY must be VerifiedAccess")
	}
	return h, nil
}

// ServeHTTP shows the page, or records one decision. Nothing is logged: the
// path holds the secret, the form what people typed.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id, ok := strings.CutPrefix(r.URL.Path, operatorPath); ok {
		writeJSON(w, h.operate(r, id))
		return
	}
	h.page.write(w, r.Method, h.serve(r))
}

func (h *Handler) serve(r *http.Request) answer {
	v, refused := h.visitor(r)
	switch {
	case refused != nil:
		return *refused
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return h.show(r, v)
	case r.Method != http.MethodPost:
		return answer{status: http.StatusMethodNotAllowed, notice: "method"}
	case !v.decides:
		return answer{status: http.StatusForbidden, notice: "reader"}
	}
	return h.post(r, v)
}

func (h *Handler) show(r *http.Request, v visitor) answer {
	q, a := h.find(r)
	switch {
	case q == nil:
		return a
	case q.decided():
		return h.progress(r.Context(), q, answer{status: http.StatusOK, notice: "progress", decision: q.noted()})
	case q.closed(h.host.Now()) != "":
		return h.gone(q)
	case r.URL.Query().Has("progress"):
		return answer{status: http.StatusOK, notice: "handed", again: true, back: true}
	}
	return h.form(r.Context(), q, v, form{}, nil)
}

// request is a request whose secret the visitor knows.
type request struct {
	record.Request
	head  record.Head
	next  *record.Request // that people were asked since; nil where they were not
	newer bool            // the instance has a newer incident
}

// find is the request that the path names, if the path has its secret too, or
// whoever asks has signed in. A
// request that does not exist takes the same way as a wrong secret: one read, one
// comparison.
func (h *Handler) find(r *http.Request) (*request, answer) {
	unknown := answer{status: http.StatusNotFound, notice: "known"}
	id, round, secret, ok := splitPath(r.URL.Path, h.access == nil)
	if !ok {
		return nil, unknown
	}
	stored, next, err := record.FindRequest(r.Context(), h.incidents, h.incidentsTable, id, round)
	if err != nil {
		return nil, broken
	}
	hash := ""
	if stored != nil {
		hash = stored.SecretHash
	}
	if h.access == nil && !matches(hash, secret) || stored == nil { // compare in either case
		return nil, unknown
	}
	q, err := h.around(r.Context(), *stored, next)
	if err != nil {
		return nil, broken
	}
	return q, answer{}
}

// around reads what else tells whether somebody may still decide on a request.
func (h *Handler) around(ctx context.Context, stored record.Request, next *record.Request) (*request, error) {
	head, newer, err := record.FindHead(ctx, h.incidents, h.incidentsTable, stored.Incident)
	return &request{Request: stored, head: head, next: next, newer: newer}, err
}

// decided tells whether a decision on this request was verified. One that was
// only recorded a moment ago this function cannot know of (ADR 3).
func (q *request) decided() bool {
	return q.head.Decision != "" && q.head.Decided.Round == q.Round
}

// noted is that decision, as far as authorize's note has it.
func (q *request) noted() *incident.Decision {
	n := q.head.Decided
	return &incident.Decision{Round: n.Round, Choice: q.head.Decision, Person: n.Person, Identity: n.Identity, Seconds: n.Seconds, DecidedAt: n.At}
}

// closed names why nobody may decide on a request any more, which is also the
// notice that says so; empty where somebody may.
func (q *request) closed(now time.Time) string {
	switch {
	case q.newer:
		return "newer"
	case q.next != nil:
		return "superseded"
	case q.head.State != record.Open && !q.head.Again:
		return "over"
	case !now.Before(q.ExpiresAt):
		return "expired"
	}
	return ""
}

// gone is the answer where nobody may decide any more. What was decided on an
// earlier request is said, where there is something.
func (h *Handler) gone(q *request) answer {
	a := answer{status: http.StatusGone, notice: q.closed(h.host.Now()), incident: q.Incident}
	if q.head.Decision != "" {
		a.decision = q.noted()
	}
	return a
}

// broken is the answer where AWS does not answer us. Whether something was
// recorded is not known; recording is safe to repeat.
var broken = answer{status: http.StatusServiceUnavailable, notice: "broken"}

// splitPath takes /d/INCIDENT.ROUND/SECRET apart, or /d/INCIDENT.ROUND.
func splitPath(path string, withSecret bool) (id string, round int, secret string, ok bool) {
	parts := strings.Split(path, "/")
	if !withSecret {
		parts = append(parts, "")
	}
	if len(parts) != 4 || parts[0] != "" || parts[1] != "d" || len(parts[2]) > 300 || len(parts[3]) > 100 {
		return "", 0, "", false
	}
	id, number, _ := cutLast(parts[2], ".")
	round, err := strconv.Atoi(number)
	if _, _, bad := incident.SplitID(id); err != nil || bad != nil || round < 1 {
		return "", 0, "", false
	}
	return id, round, parts[3], true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// matches compares in constant time; what is no hash matches nothing.
func matches(stored, secret string) bool {
	want, err := hex.DecodeString(stored)
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(got[:], want) == 1 && err == nil
}

// form is what a person typed and chose, and the ticket that came with the page.
type form struct {
	choice, instance, name, reason string
	ticket                         ticket
	first                          string // the decision that this one seconds, by its mark
	force                          bool   // of an operator only
}

// read takes a form of at most bodyMax; the notice says what is wrong with it.
func read(r *http.Request) (form, *answer) {
	unreadable := &answer{status: http.StatusBadRequest, notice: "form"}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return form{}, &answer{status: http.StatusUnsupportedMediaType, notice: "form"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMax+1))
	if err != nil {
		return form{}, unreadable
	}
	if len(body) > bodyMax {
		return form{}, &answer{status: http.StatusRequestEntityTooLarge, notice: "large"}
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, unreadable
	}
	for _, v := range values {
		if len(v) > 1 { // which of the two was meant?
			return form{}, unreadable
		}
	}
	return form{
		choice: values.Get("decision"), instance: tidy(values.Get("instance")), name: tidy(values.Get("name")),
		reason: tidy(values.Get("reason")), ticket: ticket{Shown: values.Get("shown"), Proof: values.Get("proof")},
		first: values.Get("first"),
	}, nil
}

// tidy makes text that comes back from the record as it went in: the seal is
// over what is stored, and JSON has no place for what is not UTF-8.
func tidy(s string) string {
	return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
}

// wrong lists, by name, what a person must mend before the form counts.
func (f form) wrong(q *request) []string {
	var all []string
	switch {
	case slices.Contains(q.Choices(), incident.Choice(f.choice)):
	case f.choice == string(incident.TerminateAnyway):
		all = append(all, "override") // nobody has been told yet what would be lost
	default:
		all = append(all, "choice")
	}
	if f.instance != q.head.Incident.InstanceID {
		all = append(all, "instance")
	}
	if f.name == "" {
		all = append(all, "name")
	}
	if f.reason == "" {
		all = append(all, "reason")
	}
	if utf8.RuneCountInString(f.name) > nameMax || utf8.RuneCountInString(f.reason) > reasonMax {
		all = append(all, "long")
	}
	if f.force && f.choice != string(incident.Release) {
		all = append(all, "force")
	}
	return all
}

func (h *Handler) post(r *http.Request, v visitor) answer {
	f, bad := read(r)
	if bad != nil {
		return *bad
	}
	if v.name != "" { // and not what was typed
		f.name = v.name
	}
	q, a := h.find(r)
	switch {
	case q == nil:
		return a
	case q.decided():
		ours := incident.Decision{Choice: incident.Choice(f.choice), Person: f.name, Identity: v.identity}
		standing := q.noted()
		a := answer{status: http.StatusConflict, notice: "taken", decision: standing}
		if standing.Choice == ours.Choice && standing.Person == ours.Person && standing.Identity == ours.Identity {
			a.notice = "own"
		}
		return h.progress(r.Context(), q, a)
	case q.closed(h.host.Now()) != "":
		return h.gone(q)
	}
	shown, err := h.redeem(r.Context(), q, v, f.ticket)
	wrong := f.wrong(q)
	switch {
	case errors.Is(err, errForged):
		return answer{status: http.StatusForbidden, notice: "tampered"}
	case errors.Is(err, errStale):
		return h.form(r.Context(), q, v, f, append(wrong, "stale"))
	case err != nil:
		return broken
	case len(wrong) > 0:
		return h.form(r.Context(), q, v, f, wrong)
	}
	d := h.decision(r, q, f, v.identity)
	d.Address = v.from(r, d.Address)
	d.Facts, d.Shown = incident.Hash(shown), shown
	a = h.record(r.Context(), d, f.first)
	if a.first != nil { // whoever is to second a decision sees whose it is, and says it again
		return h.second(r.Context(), q, v, f, *a.first)
	}
	return a
}

// record seals a decision, stores it unless there is one, and delivers what stands.
// Where two people must decide, that is the second's; seen is the mark of the first
// decision that they have been shown.
func (h *Handler) record(ctx context.Context, unsealed incident.Decision, seen string) answer {
	if h.two && unsealed.Choice == incident.Terminate {
		first, a := h.first(ctx, unsealed, seen)
		if a != nil {
			return *a
		}
		unsealed.First, unsealed.Seconds = first.Mark(), first.Person
		if first.ExpiresAt.Before(unsealed.ExpiresAt) {
			unsealed.ExpiresAt = first.ExpiresAt
		}
	}
	decision, err := h.seal(ctx, unsealed)
	if err != nil {
		return broken
	}
	standing, err := record.Decide(ctx, h.decisions, h.decisionsTable, decision)
	first := err == nil
	if err != nil && !errors.Is(err, record.ErrTaken) {
		return broken
	}
	delivered := h.deliver(ctx, standing)
	switch {
	case !first:
		return taken(standing, decision, delivered)
	case delivered == nil:
		return answer{status: http.StatusOK, notice: "recorded", decision: &standing, again: true}
	case nobodyWaits(delivered):
		return answer{status: http.StatusGone, notice: "nobody", decision: &standing, again: true}
	}
	return answer{status: http.StatusAccepted, notice: "undelivered", decision: &standing, again: true}
}

// taken is the answer to whoever was not first: whose decision stands, and
// whether it has reached the machine. That nobody waits is then no news.
func taken(standing, ours incident.Decision, delivered error) answer {
	a := answer{status: http.StatusConflict, notice: "taken", decision: &standing, again: true}
	if standing.Choice == ours.Choice && standing.Person == ours.Person && standing.Identity == ours.Identity &&
		standing.Reason == ours.Reason && standing.Override == ours.Override && standing.Force == ours.Force {
		a.notice = "own"
	}
	if delivered != nil && !nobodyWaits(delivered) {
		a.undelivered = true
	}
	return a
}

func (h *Handler) decision(r *http.Request, q *request, f form, identity string) incident.Decision {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	now := h.host.Now().UTC()
	choice, override := incident.Choice(f.choice), false
	if choice == incident.TerminateAnyway {
		choice, override = incident.Terminate, true
	}
	return incident.Decision{
		Version:  incident.DecisionVersion,
		Incident: q.Incident, Round: q.Round, InstanceID: q.head.Incident.InstanceID, AttachedAt: q.head.Incident.AttachedAt,
		Choice: choice, Person: f.name, Identity: identity, Reason: f.reason, Override: override, Force: f.force,
		Address: tidy(address), Agent: message.Plain(r.UserAgent(), agentMax),
		DecidedAt: now, ExpiresAt: now.Add(validFor),
	}
}

// result is what the waiting task gets.
type result struct {
	Decision incident.Choice `json:"decision"`
	Round    int             `json:"round"`
}

// deliver hands a recorded decision to the task that waits for it. The token is
// read now, not before: approval looks for a decision after it has replaced the
// token, so one of the two always finds what the other wrote.
func (h *Handler) deliver(ctx context.Context, d incident.Decision) error {
	q, _, err := record.FindRequest(ctx, h.incidents, h.incidentsTable, d.Incident, d.Round)
	if err != nil {
		return fmt.Errorf("read the task token: %w", err)
	}
	if q == nil || len(q.Token) == 0 {
		return fmt.Errorf("request %d of incident %s has no task token", d.Round, d.Incident)
	}
	token, err := h.kms.Decrypt(ctx, &kms.DecryptInput{KeyId: &h.dataKey, CiphertextBlob: q.Token, EncryptionContext: map[string]string{
		"purpose": "token", "incident": d.Incident, "round": strconv.Itoa(d.Round),
	}})
	if err != nil {
		return fmt.Errorf("decrypt the task token: %w", err)
	}
	output, err := json.Marshal(result{Decision: d.Choice, Round: d.Round})
	if err != nil {
		return fmt.Errorf("encode the decision: %w", err)
	}
	plain, text := string(token.Plaintext), string(output)
	if _, err := h.sfn.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &plain, Output: &text}); err != nil {
		return fmt.Errorf("deliver the decision: %w", err)
	}
	return nil
}

// nobodyWaits: the task is over or its execution has ended.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
func nobodyWaits(err error) bool {
	var timedOut *sfntypes.TaskTimedOut
	var unknown *sfntypes.TaskDoesNotExist
	var invalid *sfntypes.InvalidToken
	return errors.As(err, &timedOut) || errors.As(err, &unknown) || errors.As(err, &invalid)
}
