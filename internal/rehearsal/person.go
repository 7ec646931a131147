package rehearsal

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/sim"
)

// Question is what reaches a person by mail.
type Question struct {
	Link       string       // as in the mail
	InstanceID string       // what the page wants typed
	Page       http.Handler // the decision page; it runs on the virtual clock
	Sleep      func(time.Duration)

	deliver func(event []byte)
	user    string
	forged  string // how the header is that they send in place of Verified Access's
	two     bool   // people must decide on a termination: another one comes after this
}

// As is the question as it reaches another person, by their name in Identity
// Center. Where links are what lets people in, nobody asks who they are.
func (q Question) As(user string) Question {
	q.user = user
	return q
}

// Two users of Identity Center.
const (
	User      = "rehearsal"
	Colleague = "colleague"
)

// Operator is who a rehearsed order comes from, as the gateway would say.
const Operator = "arn:aws:sts::111122223333:assumed-role/Responder/rehearsal"

// reserved is a session of a role that Identity Center made, less the user's name.
const reserved = "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Responder_0123456789abcdef/"

// Order posts an operator's decision, without a socket, and returns the status.
func (q Question) Order(incidentID, body string) int {
	return q.order(Operator, incidentID, body).Code
}

// orders decides by command as a user of Identity Center does: about the request of
// the mail, and as the second where somebody's is the first, having read whose.
func (q Question) orders(user string, c incident.Choice) (status int) {
	caller := Operator
	if user != "" {
		caller = reserved + user
	}
	_, request, _ := strings.Cut(q.Link, "/d/") // INCIDENT.ROUND, and a secret where links have one
	request, _, _ = strings.Cut(request, "/")
	dot := strings.LastIndexByte(request, '.')
	if dot < 0 {
		return http.StatusBadRequest
	}
	id, round := request[:dot], json.Number(request[dot+1:])
	decision, override := c, c == incident.TerminateAnyway
	if override {
		decision = incident.Terminate
	}
	for n, tries, first := 0, patience, ""; n < tries; n++ {
		if n > 0 {
			q.Sleep(Delay)
		}
		body, err := json.Marshal(map[string]any{"round": round, "decision": decision, "override": override, "reason": "Rehearsed.", "first": first})
		if err != nil {
			return http.StatusBadRequest
		}
		answer := q.order(caller, id, string(body))
		if status = answer.Code; status == http.StatusConflict {
			var said struct{ First string }
			if json.Unmarshal(answer.Body.Bytes(), &said) == nil && said.First != "" && first == "" {
				first = said.First
				tries++ // that was no failure
				continue
			}
		}
		if status < http.StatusInternalServerError {
			return status
		}
	}
	return status
}

func (q Question) order(caller, incidentID, body string) *httptest.ResponseRecorder {
	u, err := url.Parse(q.Link)
	if err != nil {
		panic(err) // parsed before it was mailed
	}
	u.Path = "/operator/" + incidentID
	r := httptest.NewRequest(http.MethodPost, u.String(), strings.NewReader(body))
	r = r.WithContext(incident.WithCaller(r.Context(), caller))
	r.RemoteAddr = address
	r.Header.Set("User-Agent", "cordon rehearse")
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	q.Page.ServeHTTP(answer, r)
	return answer
}

// Deliver puts another event on the bus while the person thinks.
func (q Question) Deliver(event []byte) { q.deliver(event) }

// Person answers a question, on the virtual clock, which stands still for as
// long as the person blocks on the real world.
type Person func(Question)

// Delay is how long after the request a rehearsed decision arrives, and how
// long a person waits who was told that it did not work.
const Delay = time.Minute

// patience is how often a person tries who is told that it did not work.
const patience = 5

// Decides is a person who opens the page a minute after the mail, reads it, and
// posts that choice with the instance ID typed. Told that it could not be
// recorded or delivered, they try again. Where a second person is wanted, a
// colleague decides the same.
func Decides(choice string) Person {
	return func(q Question) {
		q.Sleep(Delay)
		decides(q, choice)
	}
}

func decides(q Question, choice string) (status int) {
	if status = decideAs(q.As(User), choice); status == http.StatusAccepted && q.two {
		q.two = false
		status = decideAs(q.As(Colleague), choice)
	}
	return status
}

// DecidesAs is one user of Identity Center who decides alone, a minute later.
func DecidesAs(user, choice string) Person {
	return func(q Question) {
		q.Sleep(Delay)
		decideAs(q.As(user), choice)
	}
}

// decideAs returns how the page answered at last: 202 where a second person, or
// another try, is wanted.
func decideAs(q Question, choice string) (status int) {
	for n := range patience {
		if n > 0 {
			q.Sleep(Delay)
		}
		shown := q.visit(http.MethodGet, nil)
		if status = shown.Code; status >= http.StatusInternalServerError {
			continue
		}
		posted := q.visit(http.MethodPost, Form(shown.Body.String(), choice, q.InstanceID))
		if posted.Code == http.StatusConflict && strings.Contains(posted.Body.String(), `name="first"`) { // read whose is the first, and press again
			posted = q.visit(http.MethodPost, Form(posted.Body.String(), choice, q.InstanceID))
		}
		undelivered := posted.Code == http.StatusAccepted && !q.two
		if status = posted.Code; status < http.StatusInternalServerError && !undelivered {
			return status
		}
	}
	return status
}

// Form is what a person posts who decided: what they type, and what their browser
// adds from the hidden fields of the page.
func Form(page, choice, instanceID string) url.Values {
	form := url.Values{"decision": {choice}, "instance": {instanceID}, "name": {"Rehearsal"}, "reason": {"Rehearsed: " + choice + "."}}
	const field = `<input type="hidden" name="`
	for _, rest, ok := strings.Cut(page, field); ok; _, rest, ok = strings.Cut(rest, field) {
		name, value, _ := strings.Cut(rest, `" value="`)
		value, _, _ = strings.Cut(value, `">`)
		form.Set(name, html.UnescapeString(value))
	}
	return form
}

// Post reads the page and answers the question, once, and returns the page's status.
func (q Question) Post(choice string) int {
	page := q.visit(http.MethodGet, nil).Body.String()
	return q.visit(http.MethodPost, Form(page, choice, q.InstanceID)).Code
}

// visit calls the page without a socket, as the gateway would.
func (q Question) visit(method string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, q.Link, strings.NewReader(form.Encode()))
	r.RemoteAddr = address
	r.Header.Set("User-Agent", "cordon rehearse")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer := httptest.NewRecorder()
	q.Page.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), visitorKey{}, visitor{q.user, q.forged})))
	return answer
}

// visitor is who calls the page: a user of Identity Center, or somebody who says so.
type visitor struct{ user, forged string }

type visitorKey struct{}

// signed is a request as it reaches the page where people sign in: through the
// balancer, with the header of Verified Access. A browser on loopback is User's.
func (w *world) signed(r *http.Request) (*http.Request, error) {
	if w.access.instance == "" || !strings.HasPrefix(r.URL.Path, "/d/") {
		return r, nil
	}
	who, _ := r.Context().Value(visitorKey{}).(visitor)
	if who.user == "" {
		who.user = User
	}
	var header string
	var err error
	if who.forged != "" {
		header, err = w.account.Keys().Forged(who.forged, w.access.instance, w.access.provider, who.user, who.user)
		w.happened["forged header"]++
	} else {
		header, err = w.account.Keys().Header(w.access.instance, w.access.provider, who.user, who.user)
		w.came[incident.ByAccess+who.user] = true
	}
	if err != nil {
		return nil, err
	}
	r = r.WithContext(incident.WithDoor(r.Context(), w.access.responders))
	r.Header.Set("X-Forwarded-For", r.RemoteAddr)
	r.Header.Set("X-Amzn-Ava-User-Context", header)
	return r, nil
}

// address is where a rehearsed person comes from (RFC 5737: for documentation).
const address = "192.0.2.10:443"

// letters hands mails that are new to whoever watches, and those with a link to
// the person, each link once.
func (w *world) letters() {
	mails := w.account.Mails()
	for _, m := range mails[w.read:] {
		w.read++
		mail := Mail{At: w.since(m.At), Subject: m.Subject, Body: m.Body}
		w.result.Mails = append(w.result.Mails, mail)
		w.watch(Moment{Kind: Mailed, Name: m.Subject, Mail: &mail})
		link := w.link(m.Body)
		if link == "" || w.asked[link] {
			continue
		}
		w.asked[link] = true
		ask := func(p Person) {
			w.clock.Go(func() {
				p(Question{Link: link, InstanceID: w.finding.InstanceID, Page: http.HandlerFunc(w.visit), Sleep: w.clock.Sleep, deliver: w.deliver, two: w.parameter("ApproversForTermination") == "2"})
			})
		}
		if w.Person != nil {
			ask(w.Person)
		}
		w.people(ask)
	}
}

// link is the first address of the decision page in a mail.
func (w *world) link(body string) string {
	_, rest, ok := strings.Cut(body, w.apiURL+"/d/")
	if !ok {
		return ""
	}
	end := strings.IndexAny(rest, " \t\r\n>)")
	if end < 0 {
		end = len(rest)
	}
	return w.apiURL + "/d/" + rest[:end]
}

// visit runs the page as its function would: within its time-out, and with
// nothing of it left once it was killed.
func (w *world) visit(to http.ResponseWriter, r *http.Request) {
	r, err := w.signed(r)
	if err != nil {
		w.problem = err
		return
	}
	if caller := incident.Caller(r.Context()); caller != "" {
		w.came[incident.ByIAM+caller] = true
	}
	ctx, end := w.clock.Deadline(context.WithoutCancel(r.Context()), w.clock.Now().Add(w.pageTimeout))
	defer end()
	ctx = sim.WithInvocation(ctx, &sim.Invocation{Function: pageFunction, Kill: end})
	answer := httptest.NewRecorder()
	w.page.ServeHTTP(answer, r.WithContext(ctx))
	done := StepDone{Status: "ok"}
	if ctx.Err() != nil {
		answer = httptest.NewRecorder()
		answer.WriteHeader(http.StatusInternalServerError) // the gateway's, when the function dies
		done = StepDone{Status: "failed", Reason: "the function died"}
	} else if answer.Code >= http.StatusInternalServerError {
		done = StepDone{Status: "failed", Reason: http.StatusText(answer.Code)}
	}
	w.result.Steps[pageFunction] = done
	w.watch(Moment{Kind: Visited, Name: r.Method, Detail: http.StatusText(answer.Code)})
	for k, v := range answer.Header() {
		to.Header()[k] = v
	}
	to.WriteHeader(answer.Code)
	_, _ = to.Write(answer.Body.Bytes()) // a person who went away is no failure of the page
}
