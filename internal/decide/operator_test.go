package decide_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/decide"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

const sato = "arn:aws:sts::123456789012:assumed-role/Responder/sato"

// order posts what an operator sends, as the gateway passes it on.
func (w *world) order(caller, incidentID, body string) (int, decide.Receipt) {
	w.t.Helper()
	var rec *httptest.ResponseRecorder
	w.do(func(ctx context.Context) {
		if caller != "" {
			ctx = incident.WithCaller(ctx, caller)
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, api+"/operator/"+incidentID, strings.NewReader(body))
		r.RemoteAddr = "192.0.2.8:0"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("User-Agent", "cordon")
		rec = httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
	})
	var got decide.Receipt
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		w.t.Fatalf("the receipt %q: %v", rec.Body, err)
	}
	if strings.Contains(rec.Body.String(), "token-1") {
		w.t.Error("the receipt holds the task token")
	}
	return rec.Code, got
}

const release = `{"round": 1, "decision": "release", "reason": "a pentest"}`

// TestOrder: an operator decides as who the gateway says they are, sealed, and
// the waiting machine gets it.
func TestOrder(t *testing.T) {
	w := open(t)
	status, got := w.order(sato, inc.ID, `{"round": 1, "decision": "release", "reason": "a pentest", "force": true}`)
	want := decide.Receipt{Notice: decide.NoticeRecorded, Wrong: []string{}, Standing: &decide.Standing{
		Decision: incident.Release, Person: "Responder/sato", Identity: incident.ByIAM + sato, Reason: "a pentest",
	}}
	if got.Standing != nil {
		want.Standing.DecidedAt = got.Standing.DecidedAt
	}
	if diff := cmp.Diff(want, got); diff != "" || status != http.StatusOK {
		t.Errorf("status %d (-want +got):\n%s", status, diff)
	}
	d := w.decision()
	if d == nil {
		t.Fatal("nothing is recorded")
	}
	if d.Choice != incident.Release || !d.Force || d.Identity != incident.ByIAM+sato || d.Address != "192.0.2.8" || !w.aws.KMS().Verifies("mac", d.Signed(), d.MAC) {
		t.Errorf("recorded and sealed: %+v", d)
	}
	if len(w.got) != 1 || w.got[0] != `{"decision":"release","round":1}` {
		t.Errorf("the machine got %q", w.got)
	}
	if status, again := w.order(sato, inc.ID, `{"round": 1, "decision": "release", "reason": "a pentest", "force": true}`); status != http.StatusConflict || again.Notice != decide.NoticeOwn {
		t.Errorf("the same again: %d, %+v", status, again)
	}
	if status, other := w.order("arn:aws:iam::123456789012:user/mallory", inc.ID, release); status != http.StatusConflict || other.Notice != decide.NoticeTaken || other.Standing == nil || other.Standing.Person != "Responder/sato" {
		t.Errorf("a second person is told %d, %+v; want whose decision stands", status, other)
	}
}

// TestOrdersThatAreNone: nothing is recorded, and the receipt says why.
func TestOrdersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		caller, incident, body string
		status                 int
		notice                 string
		wrong                  []string
	}{
		"nobody, as without authorization": {"", inc.ID, release, http.StatusForbidden, decide.NoticeStranger, nil},
		"another incident":                 {sato, strings.Replace(inc.ID, ".1", ".2", 1), release, http.StatusNotFound, decide.NoticeUnknown, nil},
		"no incident":                      {sato, "x", release, http.StatusNotFound, decide.NoticeUnknown, nil},
		"another request":                  {sato, inc.ID, `{"round": 2, "decision": "release"}`, http.StatusNotFound, decide.NoticeUnknown, nil},
		"no request":                       {sato, inc.ID, `{"decision": "release"}`, http.StatusNotFound, decide.NoticeUnknown, nil},
		"not JSON":                         {sato, inc.ID, `decision=release`, http.StatusBadRequest, decide.NoticeUnreadable, nil},
		"two orders":                       {sato, inc.ID, release + release, http.StatusBadRequest, decide.NoticeUnreadable, nil},
		"a field that is not known":        {sato, inc.ID, `{"round": 1, "decision": "terminate", "unless": "it is needed"}`, http.StatusBadRequest, decide.NoticeUnreadable, nil},
		"too large":                        {sato, inc.ID, `{"reason": "` + strings.Repeat("x", 17<<10) + `"}`, http.StatusRequestEntityTooLarge, decide.NoticeLarge, nil},
		"no choice":                        {sato, inc.ID, `{"round": 1, "reason": "x"}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"choice"}},
		"a choice that was not asked":      {sato, inc.ID, `{"round": 1, "decision": "isolate", "reason": "x"}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"choice"}},
		"force to terminate":               {sato, inc.ID, `{"round": 1, "decision": "terminate", "force": true, "reason": "x"}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"force"}},
		"override before a refusal":        {sato, inc.ID, `{"round": 1, "decision": "terminate", "override": true, "reason": "x"}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"override"}},
		"no reason":                        {sato, inc.ID, `{"round": 1, "decision": "keep", "reason": " "}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"reason"}},
		"override to release":              {sato, inc.ID, `{"round": 1, "decision": "release", "override": true, "reason": "x"}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"override"}},
		"a reason that is a novel":         {sato, inc.ID, `{"round": 1, "decision": "keep", "reason": "` + strings.Repeat("x", 1001) + `"}`, http.StatusUnprocessableEntity, decide.NoticeWrong, []string{"long"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			status, got := w.order(c.caller, c.incident, c.body)
			if status != c.status || got.Notice != c.notice || !slices.Equal(got.Wrong, c.wrong) {
				t.Errorf("%d, %+v; want %d, %s, %v", status, got, c.status, c.notice, c.wrong)
			}
			if d := w.decision(); d != nil || len(w.got) > 0 {
				t.Errorf("recorded: %v, delivered: %q", d, w.got)
			}
		})
	}
}

// TestOrderLater: on an incident that is closed nobody decides, until people are
// asked about it once more; and not when the instance has a newer one.
func TestOrderLater(t *testing.T) {
	w := open(t)
	head := func() (h record.Head) {
		w.do(func(ctx context.Context) {
			var err error
			if h, err = record.LoadHead(ctx, w.aws.DynamoDB(), incidents, inc.ID); err != nil {
				t.Fatal(err)
			}
		})
		return h
	}
	change := func(f func(context.Context) error) {
		w.do(func(ctx context.Context) {
			if err := f(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	gone := func(when string) {
		t.Helper()
		if status, got := w.order(sato, inc.ID, release); status != http.StatusGone || got.Notice != decide.NoticeGone {
			t.Errorf("%s: %d, %+v; want 410", when, status, got)
		}
		if got := w.get(w.link); got.status != http.StatusGone {
			t.Errorf("%s, the page: %d, want 410", when, got.status)
		}
	}
	change(func(ctx context.Context) error {
		return record.Close(ctx, w.aws.DynamoDB(), incidents, inc.ID, "e", record.Kept, begun)
	})
	gone("kept isolated")
	kept := head()
	change(func(ctx context.Context) error {
		return record.Reopen(ctx, w.aws.DynamoDB(), incidents, kept, "later")
	})
	if got := w.get(w.link); got.status != http.StatusOK {
		t.Errorf("asked once more: the page answers %d", got.status)
	}
	newer := inc
	newer.ID = strings.TrimSuffix(inc.ID, "1") + "2"
	change(func(ctx context.Context) error {
		_, err := record.Claim(ctx, w.aws.DynamoDB(), incidents, record.Head{Incident: newer, Execution: "x"})
		return err
	})
	gone("a newer incident is open")
	if w.decision() != nil {
		t.Error("something was recorded all the same")
	}
}

// TestOrderUndelivered: what is recorded stands, and the operator is told what
// became of its delivery.
func TestOrderUndelivered(t *testing.T) {
	w := open(t, fault(t, "sfn:SendTaskSuccess#1=unavailable"))
	if status, got := w.order(sato, inc.ID, release); status != http.StatusAccepted || got.Notice != decide.NoticeUndelivered || !got.Undelivered {
		t.Errorf("%d, %+v; want it recorded and not delivered", status, got)
	}
	if status, got := w.order(sato, inc.ID, release); status != http.StatusConflict || got.Notice != decide.NoticeOwn || got.Undelivered || len(w.got) != 1 {
		t.Errorf("again: %d, %+v, delivered %q; want it delivered", status, got, w.got)
	}
	w = open(t)
	w.clock.Run(func() { w.clock.Sleep(25 * time.Hour) })
	if status, _ := w.order(sato, inc.ID, release); status != http.StatusGone {
		t.Errorf("on an expired request: %d", status)
	}
}

func fault(t *testing.T, text string) sim.Fault {
	t.Helper()
	f, err := sim.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
