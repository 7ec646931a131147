package decide_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"cordon/internal/access"
	"cordon/internal/approval"
	"cordon/internal/decide"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
)

const (
	accessInstance = "arn:aws:ec2:eu-west-1:123456789012:verified-access-instance/vai-0123456789abcdef0"
	accessProvider = "arn:aws:ec2:eu-west-1:123456789012:verified-access-trust-provider/vatp-0123456789abcdef0"
	responders     = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/cordon-responders/6d0ecf831eec9f09"
	readers        = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/cordon-readers/0123456789abcdef"
)

// signIn is a deployment behind Verified Access.
func signIn(approvers string) map[string]string {
	return map[string]string{
		"APPROVAL_IDENTITY": "VerifiedAccess", "APPROVERS_FOR_TERMINATION": approvers,
		"ACCESS_INSTANCE": accessInstance, "ACCESS_PROVIDER": accessProvider, "ACCESS_RESPONDERS": responders,
	}
}

// known is a world in which the user u1 comes as responders do.
func known(t *testing.T, approvers string, faults ...sim.Fault) *world {
	t.Helper()
	w := openWith(t, options{settings: signIn(approvers), faults: faults})
	w.as, w.door = "u1", responders
	return w
}

// by posts a decision as a user who opened the page before.
func (w *world) by(user string, values ...string) reply {
	w.t.Helper()
	w.as, w.form = user, nil
	return w.post(append([]string{"instance", inc.InstanceID}, values...)...)
}

// firstOfTwo is the oldest decision of a first person; nil if there is none.
func (w *world) firstOfTwo() *incident.Decision {
	w.t.Helper()
	if all := w.firsts(); len(all) > 0 {
		return &all[0]
	}
	return nil
}

func (w *world) firsts() (all []incident.Decision) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		var err error
		if all, err = record.LoadFirsts(ctx, w.aws.DynamoDB(), decisions, inc.ID, 1); err != nil {
			w.t.Fatal(err)
		}
	})
	return all
}

// TestSignedIn: who decides is who Verified Access says, whatever is typed, and the
// link holds no secret.
func TestSignedIn(t *testing.T) {
	w := known(t, "1")
	if w.link != "/d/"+inc.ID+".1" {
		t.Fatalf("the link is %s", w.link)
	}
	page := w.open()
	if page.status != http.StatusOK || !strings.Contains(page.body, "name-of-u1") || strings.Contains(page.body, `name="name"`) {
		t.Errorf("%d: the page does not say who has signed in, or asks for a name", page.status)
	}
	got := w.by("u1", "decision", "keep", "name", "The Director", "identity", "root")
	d := w.decision()
	if got.status != http.StatusOK || d == nil || len(w.got) != 1 {
		t.Fatalf("%d, decision %+v, delivered %v", got.status, d, w.got)
	}
	w.sealed(d)
	if d.Person != "name-of-u1" || d.Identity != incident.ByAccess+"u1" || d.Address != "203.0.113.7, 10.0.1.17" {
		t.Errorf("recorded %q, %q, from %q", d.Person, d.Identity, d.Address)
	}
	if !strings.Contains(got.body, "verified by IAM Identity Center") {
		t.Error("the page does not say how the person is known")
	}
	if d := known(t, "1"); d.by("u2", "decision", "terminate").status != http.StatusOK {
		t.Error("where one person is enough, one person's termination is not recorded")
	}
}

// TestNoOtherWayIn: without a header that Verified Access signed for this instance,
// now, through the balancer, nobody sees or decides anything, and nothing is read.
func TestNoOtherWayIn(t *testing.T) {
	sign := func(w *world, instance, provider string) string {
		h, err := w.aws.Keys().Header(instance, provider, "u1", "sato")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for name, c := range map[string]struct {
		door, path string
		headers    func(*world) []string
		status     int
	}{
		"no header": {responders, "", func(*world) []string { return nil }, http.StatusForbidden},
		"a name":    {responders, "", func(*world) []string { return []string{"sato"} }, http.StatusForbidden},
		"another instance": {responders, "", func(w *world) []string {
			return []string{sign(w, strings.Replace(accessInstance, "vai-0", "vai-1", 1), accessProvider)}
		}, http.StatusForbidden},
		"another provider": {responders, "", func(w *world) []string { return []string{sign(w, accessInstance, "https://idp.example.com")} }, http.StatusForbidden},
		"twice":            {responders, "", func(w *world) []string { return []string{sign(w, accessInstance, accessProvider), "x.y.z"} }, http.StatusForbidden},
		"expired": {responders, "", func(w *world) []string {
			h := sign(w, accessInstance, accessProvider)
			w.do(func(context.Context) { w.clock.Sleep(2 * time.Minute) })
			return []string{h}
		}, http.StatusForbidden},
		"the public API":     {"", "", func(w *world) []string { return []string{sign(w, accessInstance, accessProvider)} }, http.StatusNotFound},
		"with a secret":      {responders, "/secret", func(w *world) []string { return []string{sign(w, accessInstance, accessProvider)} }, http.StatusNotFound},
		"an unknown request": {responders, "9", func(w *world) []string { return []string{sign(w, accessInstance, accessProvider)} }, http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			w := known(t, "1")
			form := w.filled("decision", "terminate", "instance", inc.InstanceID).Encode()
			before, calls := w.changes(), len(w.aws.Calls())
			headers := c.headers(w)
			rec := httptest.NewRecorder()
			w.do(func(ctx context.Context) {
				if c.door != "" {
					ctx = incident.WithDoor(ctx, c.door)
				}
				r := httptest.NewRequestWithContext(ctx, method, api+w.link+c.path, strings.NewReader(form))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				for _, h := range headers {
					r.Header.Add(access.Header, h)
				}
				w.handler.ServeHTTP(rec, r)
			})
			if rec.Code != c.status || strings.Contains(rec.Body.String(), inc.InstanceID) {
				t.Errorf("%s, %s: %d, want %d and nothing of the instance", name, method, rec.Code, c.status)
			}
			if name != "an unknown request" && len(w.aws.Calls()) != calls {
				t.Errorf("%s, %s: AWS was called", name, method)
			}
			w.untouched(name, before)
		}
	}
}

// none has no keys: nobody answers.
type none struct{}

func (none) Key(context.Context, string) ([]byte, bool, error) {
	return nil, false, errors.New("no route to host")
}

// TestKeyCannotBeHad: then it is not known who asks, which is no forgery, and
// nobody is let in.
func TestKeyCannotBeHad(t *testing.T) {
	w := known(t, "1")
	env := signIn("1")
	for _, name := range []string{"INCIDENTS_TABLE", "DECISIONS_TABLE", "DATA_KEY_ID", "MAC_KEY_ID"} {
		env[name] = name
	}
	env["LANGUAGE"] = "en"
	h, err := decide.New(incident.Host{Now: w.clock.Now, Each: w.clock.Each, Getenv: func(n string) string { return env[n] }}, w.aws.KMS(), w.aws.SFN(), none{}, w.aws.DynamoDB(), w.aws.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	w.handler = h
	if got := w.get(w.link); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d, want 503", got.status)
	}
}

// TestReaderDecidesNothing: at the readers' address the page has no form, and a
// form from elsewhere counts for nothing, whoever sends it.
func TestReaderDecidesNothing(t *testing.T) {
	w := known(t, "1")
	w.open()
	before := w.changes()
	w.door = readers
	page := w.get(w.link)
	if page.status != http.StatusOK || strings.Contains(page.body, "<form") || !strings.Contains(page.body, inc.InstanceID) {
		t.Errorf("%d: readers should see everything but the form", page.status)
	}
	if got := w.post("decision", "keep", "instance", inc.InstanceID); got.status != http.StatusForbidden {
		t.Errorf("a reader's POST: %d, want 403", got.status)
	}
	w.untouched("a reader", before)
}

// TestFormIsForItsVisitor: a browser that is signed in sends what another site
// makes it send. The form in it is its maker's, and not this visitor's.
func TestFormIsForItsVisitor(t *testing.T) {
	w := known(t, "1")
	w.as = "u2"
	w.open()
	before := w.changes()
	w.as = "u1"
	if got := w.post("decision", "terminate", "instance", inc.InstanceID); got.status != http.StatusForbidden {
		t.Errorf("another visitor's form: %d, want 403", got.status)
	}
	w.untouched("another visitor's form", before)
}

// TestTwoPeople: the first person's termination is recorded and delivered to
// nobody; the second sees whose it is before theirs counts.
func TestTwoPeople(t *testing.T) {
	w := known(t, "2")
	got := w.by("u1", "decision", "terminate")
	first := w.firstOfTwo()
	if got.status != http.StatusAccepted || first == nil || w.decision() != nil || len(w.got) > 0 {
		t.Fatalf("the first: %d, %+v, decided %v, delivered %v", got.status, first, w.decision(), w.got)
	}
	w.sealed(first)
	for range 2 { // double click, back button
		if got := w.by("u1", "decision", "terminate"); got.status != http.StatusAccepted || w.decision() != nil || len(w.got) > 0 {
			t.Fatalf("the first again: %d, decided %v, delivered %v", got.status, w.decision(), w.got)
		}
	}
	// Who may not be second: the same person, whatever they send.
	if got := w.by("u1", "decision", "terminate", "first", first.Mark()); w.decision() != nil || len(w.got) > 0 {
		t.Fatalf("the first seconds themself: %d", got.status)
	}
	got = w.by("u2", "decision", "terminate", "reason", "seen it too", "first", "made up")
	if got.status != http.StatusConflict || w.decision() != nil || !strings.Contains(got.body, "name-of-u1") || !strings.Contains(got.body, "seen it too") {
		t.Fatalf("the second is not shown who was first, or must type everything again: %d\n%s", got.status, got.body)
	}
	// They press again, with what the page gave them.
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input [^>]*>`).FindAllString(got.body, -1) {
		if attribute(m, "type") == "hidden" {
			form.Set(attribute(m, "name"), attribute(m, "value"))
		}
	}
	w.form = form
	got = w.post("decision", "terminate", "instance", inc.InstanceID, "reason", "seen it too")
	d := w.decision()
	if got.status != http.StatusOK || d == nil || len(w.got) != 1 {
		t.Fatalf("the second: %d, %+v, delivered %v", got.status, d, w.got)
	}
	w.sealed(d)
	if d.First != first.Mark() || d.Seconds != "name-of-u1" || !strings.Contains(got.body, "name-of-u1") || d.Identity != incident.ByAccess+"u2" || d.ExpiresAt.After(first.ExpiresAt) || !strings.Contains(d.Shown, "name-of-u1") {
		t.Errorf("recorded %+v: want it to second the first, to expire with it, and to say that the first was shown", d)
	}
	if err := incident.TwoPeople(*first, *d); err != nil {
		t.Error(err)
	}
}

// TestSecondDisagrees: to keep and to release takes one person, also after
// somebody decided to terminate.
func TestSecondDisagrees(t *testing.T) {
	for _, choice := range []string{"keep", "release"} {
		w := known(t, "2")
		w.by("u1", "decision", "terminate")
		got := w.by("u2", "decision", choice)
		if d := w.decision(); got.status != http.StatusOK || d == nil || string(d.Choice) != choice || d.First != "" || len(w.got) != 1 {
			t.Errorf("%s: %d, %+v, delivered %v", choice, got.status, d, w.got)
		}
		if got := w.by("u3", "decision", "terminate"); got.status == http.StatusOK || len(w.got) != 1 {
			t.Errorf("a second after %s: %d, delivered %v", choice, got.status, w.got)
		}
	}
}

// TestPageShowsWhoWasFirst: from the next look on, whoever opens the page sees whose
// decision waits for theirs; and what was shown stands in their own.
func TestPageShowsWhoWasFirst(t *testing.T) {
	w := known(t, "2")
	w.by("u1", "decision", "terminate")
	w.as = "u2"
	if page := w.open(); strings.Contains(page.body, "name-of-u1") {
		t.Fatal("this test wants a page that cannot know yet")
	}
	w.do(func(ctx context.Context) {
		if _, err := w.asking.Run(ctx, approval.Input{Incident: inc, Execution: "e", Instance: incident.Instance{ID: inc.InstanceID}, Round: 1, Remind: true}); err != nil {
			t.Fatal(err)
		}
	})
	page := w.open()
	if !strings.Contains(page.body, "name-of-u1") || !strings.Contains(page.body, "a second person is wanted") {
		t.Errorf("the page does not say whose decision waits:\n%s", page.body)
	}
	w.by("u2", "decision", "keep")
	if d := w.decision(); d == nil || strings.Count(d.Shown, "name-of-u1") != 1 {
		t.Errorf("recorded %+v", d)
	}
}

// incomplete is a world in which a termination was refused, so that one without
// complete evidence is offered, and two must decide.
func incomplete(t *testing.T, faults ...sim.Fault) *world {
	t.Helper()
	w := openWith(t, options{settings: signIn("2"), problem: incident.Problem{Error: string(incident.ErrEvidence)}, faults: faults})
	w.as, w.door = "u1", responders
	return w
}

// TestFirstThinksAgain: who was the first to terminate and then wants it without
// complete evidence has both recorded, and each waits for a second of its own kind.
// What they cannot have, they are told.
func TestFirstThinksAgain(t *testing.T) {
	w := incomplete(t)
	post := func(user, choice, reason string, status int, says string) reply {
		t.Helper()
		got := w.by(user, "decision", choice, "reason", reason)
		if got.status != status || !strings.Contains(got.body, says) {
			t.Errorf("%s, %s because %s: %d, want %d and %q", user, choice, reason, got.status, status, says)
		}
		return got
	}
	post("u1", "terminate", "seen", http.StatusAccepted, "second person is needed")
	post("u1", "terminate", "seen", http.StatusAccepted, "second person is needed")
	post("u1", "terminate", "for another reason", http.StatusConflict, "stands as it was recorded")
	for range 2 {
		post("u1", "terminate-anyway", "it cannot wait", http.StatusAccepted, "it cannot wait")
	}
	post("u1", "terminate-anyway", "for another reason", http.StatusConflict, "it cannot wait")
	post("u1", "terminate", "seen", http.StatusAccepted, "seen")
	all := w.firsts()
	if len(all) != 2 || all[0].Override || !all[1].Override || all[0].Reason != "seen" || all[1].Reason != "it cannot wait" || w.decision() != nil || len(w.got) > 0 {
		t.Fatalf("first decisions %+v, decided %+v, delivered %v", all, w.decision(), w.got)
	}
	w.sealed(&all[0])
	w.sealed(&all[1])
	post("u2", "terminate", "me too", http.StatusConflict, "seen")
	post("u2", "terminate-anyway", "me too", http.StatusConflict, "it cannot wait")
	got := w.by("u2", "decision", "terminate-anyway", "reason", "me too", "first", all[1].Mark())
	d := w.decision()
	if got.status != http.StatusOK || d == nil || !d.Override || d.First != all[1].Mark() || len(w.got) != 1 {
		t.Errorf("%d, %+v, delivered %v", got.status, d, w.got)
	}
}

// TestSecondCannotDoWithoutEvidence: what the first person's decision waits for,
// the second's cannot skip: it is the first of its kind, and waits as well.
func TestSecondCannotDoWithoutEvidence(t *testing.T) {
	w := incomplete(t)
	w.by("u1", "decision", "terminate")
	plain := w.firstOfTwo().Mark()
	for range 2 {
		if got := w.by("u2", "decision", "terminate-anyway", "first", plain); got.status != http.StatusAccepted || w.decision() != nil || len(w.got) > 0 {
			t.Errorf("%d, %+v", got.status, w.decision())
		}
	}
	all := w.firsts()
	if len(all) != 2 || all[1].Identity != incident.ByAccess+"u2" {
		t.Fatalf("first decisions %+v", all)
	}
	// The first comes round to it.
	if got := w.by("u1", "decision", "terminate-anyway", "first", all[1].Mark()); got.status != http.StatusOK || !w.decision().Override || w.decision().Seconds != "name-of-u2" {
		t.Errorf("%d, %+v", got.status, w.decision())
	}
	// Who waits for no evidence is seconded by who does, and the evidence is waited for.
	w = incomplete(t)
	w.by("u1", "decision", "terminate-anyway")
	if got := w.by("u2", "decision", "terminate", "first", w.firstOfTwo().Mark()); got.status != http.StatusOK || w.decision().Override {
		t.Errorf("%d, %+v", got.status, w.decision())
	}
}

// TestTwoOperators: the same at the operators' route, for sessions that Identity
// Center names. Others could be one person twice.
func TestTwoOperators(t *testing.T) {
	const sso = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_CordonResponder_0123456789abcdef/"
	const terminate = `{"round": 1, "decision": "terminate", "reason": "seen", "first": "FIRST"}`
	with := func(first string) string { return strings.Replace(terminate, "FIRST", first, 1) }
	w := known(t, "2")
	if status, got := w.order(sato, inc.ID, with("")); status != http.StatusForbidden || got.Notice != decide.NoticeUnproven {
		t.Errorf("a session that anybody names: %d, %+v", status, got)
	}
	if status, got := w.order(sso+"sato", inc.ID, with("")); status != http.StatusAccepted || got.Notice != decide.NoticeFirst || len(w.got) > 0 {
		t.Fatalf("the first: %d, %+v", status, got)
	}
	mark := w.firstOfTwo().Mark()
	if status, got := w.order(sso+"SATO", inc.ID, with(mark)); status != http.StatusAccepted || got.Notice != decide.NoticeFirst || w.decision() != nil {
		t.Errorf("the same person: %d, %+v", status, got)
	}
	status, got := w.order(sso+"tanaka", inc.ID, with(""))
	if status != http.StatusConflict || got.Notice != decide.NoticeSecond || got.First != mark || got.Standing == nil || !strings.HasSuffix(got.Standing.Identity, "/sato") {
		t.Fatalf("the second, who has not seen the first: %d, %+v", status, got)
	}
	if got := w.by("u2", "decision", "terminate", "first", mark); got.status != http.StatusConflict || w.decision() != nil || !strings.Contains(got.body, "another way") && !strings.Contains(got.body, "known through this page") {
		t.Errorf("on the page: %d", got.status)
	}
	if status, got := w.order(sso+"tanaka", inc.ID, with(got.First)); status != http.StatusOK || got.Notice != decide.NoticeRecorded || len(w.got) != 1 {
		t.Errorf("the second: %d, %+v, delivered %v", status, got, w.got)
	}
}

// TestTwoPeopleConverge: each call of either visit that changes something is lost
// or killed once; the same people press again, and the end is the same.
func TestTwoPeopleConverge(t *testing.T) {
	both := func(w *world) {
		for range 3 {
			if w.by("u1", "decision", "terminate").status == http.StatusAccepted {
				break
			}
		}
		first := w.firstOfTwo()
		if first == nil {
			w.t.Fatal("the first decision is lost")
		}
		for range 3 {
			switch w.by("u2", "decision", "terminate", "first", first.Mark()).status {
			case http.StatusOK, http.StatusGone: // gone: it was delivered, and the answer was lost
				return
			}
		}
	}
	count := func(w *world) map[string]int {
		all := map[string]int{}
		for _, c := range w.aws.Calls() {
			if c.Service+":"+c.Action != "dynamodb:GetItem" { // the tests' own
				all[c.Service+":"+c.Action]++
			}
		}
		return all
	}
	calm := known(t, "2")
	before := count(calm)
	both(calm)
	for call, last := range count(calm) {
		for n := before[call] + 1; n <= last; n++ {
			for _, kind := range []string{"unavailable", "lost", "killed-before", "killed-after"} {
				what := fmt.Sprintf("%s#%d=%s", call, n, kind)
				fault, err := sim.ParseFault(what)
				if err != nil {
					t.Fatal(err)
				}
				w := known(t, "2", fault)
				both(w)
				first, d := w.firstOfTwo(), w.decision()
				if first == nil || d == nil || first.Identity != incident.ByAccess+"u1" || d.Identity != incident.ByAccess+"u2" || d.First != first.Mark() || len(w.got) != 1 {
					t.Errorf("%s: first %+v, second %+v, delivered %v", what, first, d, w.got)
				}
			}
		}
	}
}

// TestTwoPeopleNeedAnIdentity: with links the function does not start.
func TestTwoPeopleNeedAnIdentity(t *testing.T) {
	w := open(t)
	try := func(change map[string]string) error {
		env := signIn("2")
		for _, name := range []string{"INCIDENTS_TABLE", "DECISIONS_TABLE", "DATA_KEY_ID", "MAC_KEY_ID"} {
			env[name] = name
		}
		env["LANGUAGE"] = "en"
		for k, v := range change {
			env[k] = v
		}
		_, err := decide.New(incident.Host{Getenv: func(n string) string { return env[n] }}, w.aws.KMS(), w.aws.SFN(), w.aws.Keys(), w.aws.DynamoDB(), w.aws.DynamoDB())
		return err
	}
	if err := try(nil); err != nil {
		t.Fatal(err)
	}
	if err := try(map[string]string{"APPROVAL_IDENTITY": "Link"}); err == nil || !strings.Contains(err.Error(), "VerifiedAccess") {
		t.Errorf("two people with links: %v", err)
	}
	for _, name := range []string{"APPROVAL_IDENTITY", "ACCESS_INSTANCE", "ACCESS_PROVIDER", "ACCESS_RESPONDERS", "APPROVERS_FOR_TERMINATION"} {
		if err := try(map[string]string{name: ""}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
