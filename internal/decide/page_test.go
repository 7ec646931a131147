package decide_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"cordon/internal/approval"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// change does something to the record.
func (w *world) change(f func(context.Context, *sim.DynamoDB) error) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		if err := f(ctx, w.aws.DynamoDB()); err != nil {
			w.t.Fatal(err)
		}
	})
}

// save is what a step does that has something to record.
func (w *world) save(step string, v any) {
	w.t.Helper()
	w.change(func(ctx context.Context, db *sim.DynamoDB) error {
		return record.SaveStep(ctx, db, incidents, inc.ID, step, v)
	})
}

// verified is what authorize does with the decision that stands.
func (w *world) verified() {
	w.t.Helper()
	d := w.decision()
	w.change(func(ctx context.Context, db *sim.DynamoDB) error {
		return record.NoteDecision(ctx, db, incidents, "e", *d)
	})
}

func (w *world) close(s record.State) {
	w.t.Helper()
	w.change(func(ctx context.Context, db *sim.DynamoDB) error {
		return record.Close(ctx, db, incidents, inc.ID, "e", s, w.clock.Now())
	})
}

func (w *world) wait(d time.Duration) { w.clock.Run(func() { w.clock.Sleep(d) }) }

// asked again, in a second round.
func (w *world) again(problem incident.Problem) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		if _, err := w.asking.Run(ctx, approval.Input{Incident: inc, Execution: "e", Round: 2, Token: "token-2", Problem: problem}); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *world) newer() {
	w.t.Helper()
	next := inc
	next.ID = strings.TrimSuffix(inc.ID, "1") + "2"
	w.change(func(ctx context.Context, db *sim.DynamoDB) error {
		_, err := record.Claim(ctx, db, incidents, record.Head{Incident: next, Execution: "x"})
		return err
	})
}

// Whoever comes too late, or with what is no request, is told which it is.
func TestEachEndHasItsPage(t *testing.T) {
	titles := map[string]string{}
	for _, c := range []struct {
		name      string
		happens   func(*world)
		get, post int
		says      string
	}{
		{"expired", func(w *world) { w.wait(24 * time.Hour) }, 410, 410, "expired"},
		{"superseded", func(w *world) { w.again(incident.Problem{Error: "Refused", Cause: `{"errorMessage":"x"}`}) }, 410, 410, "asked again"},
		{"a newer incident", func(w *world) { w.newer() }, 410, 410, "newer incident"},
		{"closed without it", func(w *world) { w.close(record.Kept) }, 410, 410, "closed"},
		{"decided", func(w *world) { w.post(terminate...); w.verified() }, 200, 409, "Aiko Tanaka"},
		{"decided and closed", func(w *world) { w.post(terminate...); w.verified(); w.close(record.Terminated) }, 200, 409, "Aiko Tanaka"},
		{"decided and expired", func(w *world) { w.post(terminate...); w.verified(); w.wait(25 * time.Hour) }, 200, 409, "Aiko Tanaka"},
		{"unknown", func(w *world) { w.link = "/d/" + inc.ID + ".7/secret" }, 404, 404, "no such request"},
	} {
		w := open(t)
		w.open()
		c.happens(w)
		before := w.changes()
		decision, got := w.decision(), w.got
		shown := w.get(w.link)
		posted := w.post("decision", "release", "instance", inc.InstanceID, "name", "Bob")
		for _, r := range []struct {
			reply
			want int
		}{{shown, c.get}, {posted, c.post}} {
			if r.status != r.want || !strings.Contains(html.UnescapeString(r.body), c.says) || strings.Contains(r.body, "<form") {
				t.Errorf("%s: %d, want %d that says %q and has no form:\n%s", c.name, r.status, r.want, c.says, text(r.body))
			}
		}
		if fmt.Sprint(before) != fmt.Sprint(w.changes()) || fmt.Sprint(got) != fmt.Sprint(w.got) || (decision == nil) != (w.decision() == nil) {
			t.Errorf("%s: something was recorded or delivered", c.name)
		}
		title := regexp.MustCompile(`<h1>(.*?)</h1>`).FindString(shown.body)
		if other, taken := titles[title]; taken && c.get != 200 {
			t.Errorf("%s has the title of %s: %s", c.name, other, title)
		}
		titles[title] = c.name
	}
}

// text is a page without its style.
func text(page string) string {
	return html.UnescapeString(regexp.MustCompile(`(?s)<style>.*</style>|<[^>]*>`).ReplaceAllString(page, ""))
}

// A form counts if this page made it, for this request, with these facts around
// it, not long ago.
func TestTheFormIsOurs(t *testing.T) {
	for name, change := range map[string]func(*world){
		"no ticket":          func(w *world) { w.form = map[string][]string{"x": {"y"}} },
		"no proof":           func(w *world) { w.form.Del("proof") },
		"nothing shown":      func(w *world) { w.form.Del("shown") },
		"a later time":       func(w *world) { w.form.Set("proof", "9"+w.form.Get("proof")) },
		"no time":            func(w *world) { w.form.Set("proof", "x."+w.form.Get("proof")) },
		"another proof":      func(w *world) { w.form.Set("proof", w.form.Get("proof")[:20]+strings.Repeat("A", 34)) },
		"a short proof":      func(w *world) { w.form.Set("proof", w.form.Get("proof")[:20]) },
		"odd letters":        func(w *world) { w.form.Set("proof", w.form.Get("proof")+"=!") },
		"other facts":        func(w *world) { w.form.Set("shown", other(t)) },
		"no facts":           func(w *world) { w.form.Set("shown", "AAAA") },
		"of another request": func(w *world) { w.form = secondRound(t) },
		"seal of a decision": func(w *world) {
			w.form.Set("proof", "1."+base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
		},
		"shown and proof swap": func(w *world) {
			a, b := w.form.Get("shown"), w.form.Get("proof")
			w.form.Set("shown", b)
			w.form.Set("proof", a)
		},
	} {
		w := open(t)
		w.open()
		change(w)
		before := w.changes()
		if got := w.post(terminate...); got.status != http.StatusForbidden || strings.Contains(got.body, "<form") {
			t.Errorf("%s: %d:\n%s", name, got.status, text(got.body))
		}
		w.untouched(name, before)
	}
}

// other facts, as the page would carry them.
func other(t *testing.T) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString([]byte(`{"state":"all is well"}`))
}

// secondRound is a true form of the same incident's second request.
func secondRound(t *testing.T) map[string][]string {
	t.Helper()
	w := open(t)
	w.again(incident.Problem{})
	for _, line := range strings.Split(w.aws.Mails()[1].Body, "\n") {
		if path, ok := strings.CutPrefix(line, api); ok {
			w.link = path
		}
	}
	w.open()
	return w.form
}

// A tab that was left open is asked once more, with what is known by now, and
// keeps what was typed.
func TestAnOldFormIsAskedAgain(t *testing.T) {
	w := open(t)
	w.open()
	w.wait(31 * time.Minute)
	worse := isolation
	worse.Contained, worse.Sealed = false, false
	w.save("isolate", worse)
	before := w.changes()
	got := w.post(terminate...)
	for _, want := range []string{"more than 30 minutes ago", "NOT every network interface is contained", `value="Aiko Tanaka"`, `value="terminate" required aria-describedby="does-terminate" checked`, `href="#decide"`} {
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
			t.Errorf("%d, and the page lacks %q", got.status, want)
		}
	}
	w.untouched("an old form", before)
	w.form = nil
	if got := w.post(terminate...); got.status != http.StatusOK {
		t.Errorf("the new form: %d", got.status)
	}
	w = open(t)
	w.open()
	w.wait(29 * time.Minute)
	if got := w.post(terminate...); got.status != http.StatusOK {
		t.Errorf("a form of 29 minutes: %d", got.status)
	}
}

// What was shown stands in the decision, word for word, and under its seal.
func TestWhatWasShownIsSealed(t *testing.T) {
	w := open(t)
	page := text(w.open().body)
	// What changes after the page was read is not what was read.
	failed := snapshots
	failed.Set = []incident.Snapshot{{ID: "snap-1", VolumeID: "vol-1", State: "error"}}
	w.save("snapshot", failed)
	w.post(terminate...)
	d := w.decision()
	if d == nil || d.Facts != incident.Hash(d.Shown) {
		t.Fatalf("%+v", d)
	}
	w.sealed(d)
	var shown any
	if err := json.Unmarshal([]byte(d.Shown), &shown); err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			// Codes of the form are values, not text.
			if n++; v != "" && !strings.Contains(page, v) && v != "en" && v != "terminate" && v != "keep" && v != "release" {
				t.Errorf("%q is in the record and was not on the page", v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(shown)
	if n < 40 || !strings.Contains(d.Shown, "locked against deletion") || strings.Contains(d.Shown, "failed") {
		t.Errorf("%d texts were shown: %s", n, d.Shown)
	}
	form, seal := sealedTexts(w)
	if !strings.HasPrefix(form, "cordon form 2\n") || !strings.HasPrefix(seal, "cordon decision ") {
		t.Errorf("a proof of a form could pass for the seal of a decision: %q, %q", form, seal)
	}
}

// sealedTexts are the first and the last text that a MAC was made of.
func sealedTexts(w *world) (first, last string) {
	for _, c := range w.aws.Calls() {
		if in, ok := c.Input.(*kms.GenerateMacInput); ok {
			if first == "" {
				first = string(in.Message)
			}
			last = string(in.Message)
		}
	}
	return first, last
}

// The largest page there is can be decided on.
func TestTheLargestFormFits(t *testing.T) {
	o := options{language: "ja", incident: inc, instance: incident.Instance{ID: inc.InstanceID, Name: strings.Repeat("漢", 256), Tags: map[string]string{}}}
	for n := range 50 {
		o.instance.Tags[fmt.Sprintf("owner%d", n)] = strings.Repeat(string(rune('一'+n)), 256)
	}
	many := incident.Snapshots{Report: incident.Report{Status: incident.Partial, Reason: strings.Repeat("r", 400)}}
	for n := range 128 {
		h := incident.Hash(fmt.Sprint(n))
		many.Set = append(many.Set, incident.Snapshot{ID: "snap-" + h[:17], VolumeID: "vol-" + h[17:34], Device: "/dev/sdf", State: "pending", Progress: "37%", KMSKey: "arn:aws:kms:eu-west-1:123456789012:key/" + h[:36]})
	}
	all := isolation
	for n := range 15 {
		all.Interfaces = append(all.Interfaces, incident.Interface{ID: fmt.Sprintf("eni-%017d", n), VPC: "vpc-1", Where: incident.Open, Reason: strings.Repeat("w", 300)})
	}
	o.steps = map[string]any{"isolate": all, "snapshot": many}
	w := openWith(t, o)
	w.open()
	n := len(w.filled(terminate...).Encode())
	t.Logf("%d bytes", n)
	if got := w.post("decision", "terminate", "instance", inc.InstanceID, "name", strings.Repeat("漢", 200), "reason", strings.Repeat("漢", 1000)); got.status != http.StatusOK {
		t.Errorf("a form of %d bytes: %d", n, got.status)
	}
}

// Gaps stand on their own, and each decision says what it means as things stand.
func TestWhatIsAtStake(t *testing.T) {
	moving := incident.Snapshots{
		Report:  incident.Report{Status: incident.OK},
		Set:     []incident.Snapshot{{ID: "snap-1", VolumeID: "vol-1", State: "pending", Progress: "40%", Locked: true}, {ID: "snap-2", VolumeID: "vol-2", State: "error"}},
		Missing: []string{"vol-3"}, NotIn: []string{"ephemeral0"},
	}
	capturing := isolation
	capturing.Sealed = false
	capturing.Drifts, capturing.Undone, capturing.UndoneAt = 2, []string{"eni-1"}, begun
	w := openWith(t, options{steps: map[string]any{"isolate": capturing, "snapshot": moving, "memory": map[string]any{"command": "c-1"}}, instance: incident.Instance{
		ID: inc.InstanceID, Tags: map[string]string{"Owner": "payments", "Name": "x", "aws:owner": "no", "Secret": "no"},
	}, incident: inc})
	page := w.get(w.link).body
	part := func(from, to string) string {
		_, rest, _ := strings.Cut(page, from)
		inside, _, _ := strings.Cut(rest, to)
		return html.UnescapeString(inside)
	}
	for where, want := range map[string][]string{
		part("Gaps in the evidence", "</div>"): {"NO snapshot of volume vol-3", "snap-2 (vol-2): failed", "ephemeral0"},
		part(`id="does-terminate"`, "</div>"):  {"snapshot snap-1 of volume vol-1, 40%", "a snapshot of volume vol-3", "the memory capture", "the seal", "cannot be undone"},
		part(`id="does-release"`, "</div>"):    {"cut short", "the memory capture", "vol-3", "EBS completes them"},
		part(`id="instance-is"`, "</section>"): {`Owner: "payments"`},
		part(`id="found"`, "</section>"):       {"behaves as if somebody else had control of it", "8 (high)", inc.Finding.Type},
		part(`id="done"`, "</section>"):        {"memory is being captured", "Others undid the isolation 2 times", "2026-11-24 02:00:09 UTC"},
		part("This request ends", "</p>"):      {"2026-11-25 02:00:00 UTC", "left", "stays isolated and nothing is terminated"},
		part(`id="earlier"`, "</section>"):     {"Nobody has decided yet."},
	} {
		for _, s := range want {
			if !strings.Contains(where, s) {
				t.Errorf("the page lacks %q in %s", s, where)
			}
		}
	}
	if strings.Contains(page, "Secret") || strings.Contains(page, "aws:owner") {
		t.Error("a tag that says nothing of the owner is shown")
	}
	w = open(t)
	w.save("memory", map[string]any{"result": incident.Memory{Report: incident.Report{Status: incident.OK}, Done: true, Object: "memory/1"}})
	full := snapshots
	full.NotIn = nil
	w.save("snapshot", full)
	for _, want := range []string{"No gap is known.", "it would wait for nothing more"} {
		if page := w.get(w.link).body; !strings.Contains(page, want) {
			t.Errorf("where nothing is amiss the page lacks %q", want)
		}
	}
}

// Who is asked again reads who decided before.
func TestWhoDecidedSoFar(t *testing.T) {
	w := open(t)
	w.post(terminate...)
	w.again(incident.Problem{Error: "Refused", Cause: `{"errorMessage":"it is not isolated"}`})
	for _, line := range strings.Split(w.aws.Mails()[1].Body, "\n") {
		if path, ok := strings.CutPrefix(line, api); ok {
			w.link = path
		}
	}
	page := html.UnescapeString(w.get(w.link).body)
	if want := `Request 1: Terminate, by "Aiko Tanaka", at ` + w.decision().DecidedAt.Format("2006-01-02 15:04:05") + " UTC"; !strings.Contains(page, want) {
		t.Errorf("the page lacks %q:\n%s", want, text(page))
	}
}

// After a decision the page says how far it is, as often as it is loaded.
func TestProgress(t *testing.T) {
	decide := func(choice string) func(*world) {
		return func(w *world) {
			w.post("decision", choice, "instance", inc.InstanceID, "name", "Aiko Tanaka")
			w.verified()
		}
	}
	for _, c := range []struct {
		name  string
		steps []func(*world)
		want  []string // after the last of them
		not   []string
	}{
		{"terminate, evidence pending", []func(*world){decide("terminate"), func(w *world) {
			w.save("snapshot", incident.Snapshots{Report: incident.Report{Status: incident.OK}, Set: []incident.Snapshot{{ID: "snap-1", VolumeID: "vol-1", State: "pending"}}})
		}}, []string{"Done: The decision is recorded: Terminate", "Done: It is verified", "Not yet: The evidence is brought to its end", "Not yet: The instance is terminated"}, []string{"being terminated"}},
		{
			"terminating",
			[]func(*world){decide("terminate"), func(w *world) { w.save("terminate", map[string]any{"calledAt": begun}) }},
			[]string{"Done: The evidence is at its end", "Done: The instance is being terminated, since 2026-11-24 02:00:00 UTC", "Not yet: The instance is terminated"},
			nil,
		},
		{"terminated", []func(*world){decide("terminate"), func(w *world) { w.close(record.Terminated) }}, []string{"Done: The instance is terminated and the incident closed, 2026-11-24"}, []string{"Not yet"}},
		{
			"refused",
			[]func(*world){decide("terminate"), func(w *world) { w.askedAgainWithoutForgetting() }},
			[]string{"Not carried out: It could not be carried out:", "it is not isolated", "newer mail"},
			[]string{"Not yet"},
		},
		{"kept", []func(*world){decide("keep"), func(w *world) { w.close(record.Kept) }}, []string{"Done: The incident is closed and the instance stays isolated"}, []string{"Not yet"}},
		{"to be released", []func(*world){decide("release")}, []string{"Not yet: Everything is put back as it was"}, nil},
		{"released", []func(*world){decide("release"), func(w *world) { w.close(record.Released) }}, []string{"Done: The instance is released"}, []string{"Not yet", "Not carried out"}},
		{"released in part", []func(*world){decide("release"), func(w *world) {
			w.save("release", incident.Restoration{Report: incident.Report{Status: incident.Partial, Reason: "x"}, NotBack: []string{"eni-9: gone"}})
			w.close(record.Released)
		}}, []string{"Not carried out: Not everything is back: eni-9: gone"}, []string{"Not yet"}},
	} {
		w := open(t)
		for _, step := range c.steps {
			step(w)
		}
		before := w.changes()
		for range 2 {
			got := w.get(w.link + "?progress")
			said := text(got.body)
			for _, want := range append(c.want, "Aiko Tanaka", "the name is a claim") {
				if got.status != http.StatusOK || !strings.Contains(said, want) {
					t.Errorf("%s: %d, and the page lacks %q:\n%s", c.name, got.status, want, said)
				}
			}
			for _, not := range c.not {
				if strings.Contains(said, not) {
					t.Errorf("%s: the page says %q:\n%s", c.name, not, said)
				}
			}
		}
		if fmt.Sprint(before) != fmt.Sprint(w.changes()) {
			t.Errorf("%s: a look changed something", c.name)
		}
	}
}

// askedAgainWithoutForgetting is the moment between a new request and the end of
// the note of the last decision.
func (w *world) askedAgainWithoutForgetting() {
	w.t.Helper()
	w.change(func(ctx context.Context, db *sim.DynamoDB) error {
		_, err := record.OpenRequest(ctx, db, incidents, record.Request{Incident: inc.ID, Round: 2, SecretHash: "00", Problem: "it is not isolated", ExpiresAt: begun.Add(48 * time.Hour)})
		return err
	})
}

// Between a decision and its verification nothing is known of it here.
func TestBeforeItIsVerified(t *testing.T) {
	w := open(t)
	w.post(terminate...)
	got := w.get(w.link + "?progress")
	if got.status != http.StatusOK || !strings.Contains(got.body, "No decision has been verified yet") || strings.Contains(got.body, "<form") {
		t.Errorf("%d:\n%s", got.status, text(got.body))
	}
	if again := w.post("decision", "release", "instance", inc.InstanceID, "name", "Bob"); again.status != http.StatusConflict || !strings.Contains(again.body, "Aiko Tanaka") {
		t.Errorf("the second person: %d:\n%s", again.status, text(again.body))
	}
	w.verified()
	own := w.post(terminate...)
	if own.status != http.StatusConflict || strings.Contains(own.body, "was not recorded") {
		t.Errorf("one's own once more: %d:\n%s", own.status, text(own.body))
	}
}
