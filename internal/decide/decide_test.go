package decide_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/access"
	"cordon/internal/approval"
	"cordon/internal/decide"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
	"cordon/internal/vtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"
)

const (
	incidents = "cordon-incidents"
	decisions = "cordon-decisions"
	api       = "https://api.example.com"
)

var (
	begun = time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	inc   = incident.Incident{
		ID: "123456789012.eu-west-1.i-0123456789abcdef0.1", Account: "123456789012", Region: "eu-west-1", InstanceID: "i-0123456789abcdef0",
		AttachedAt: begun.Add(-time.Hour), OpenedAt: begun,
		Finding: incident.Finding{
			ID: "f1", Type: "Backdoor:EC2/C&CActivity.B", Severity: 8, Region: "eu-west-1", AccountID: "123456789012",
			InstanceID: "i-0123456789abcdef0", Title: "It talks to a command server.", Role: "ACTOR",
		},
	}
	isolation = incident.Isolation{
		Report: incident.Report{Status: incident.OK}, Contained: true, Sealed: true, At: begun.Add(9 * time.Second),
		Interfaces: []incident.Interface{{ID: "eni-1", VPC: "vpc-1", Where: incident.Quarantined}}, StaysOpen: []string{"dns"},
	}
	snapshots = incident.Snapshots{
		Report: incident.Report{Status: incident.OK},
		Set:    []incident.Snapshot{{ID: "snap-1", VolumeID: "vol-1", Device: "/dev/xvda", State: "completed", Locked: true, KMSKey: "key-1"}},
		NotIn:  []string{"ephemeral0"},
	}
)

// world is an account with one isolated instance about which people were asked.
type world struct {
	t       *testing.T
	clock   *vtime.Clock
	aws     *sim.Account
	handler http.Handler
	asking  *approval.Step
	link    string // path of the mailed link
	token   string // of the task that waits; empty when none does
	got     []string
	as      string     // user of Identity Center who sends; empty: nobody signs
	door    string     // ARN of the target group that a request comes through
	form    url.Values // the hidden fields of the page when it was opened last
}

type options struct {
	language string
	incident incident.Incident
	instance incident.Instance
	steps    map[string]any
	faults   []sim.Fault
	before   string           // why people are asked before anything is isolated
	problem  incident.Problem // why the last decision was not carried out
	db       func(*world) decide.Decisions
	settings map[string]string // other than those of links
}

func open(t *testing.T, faults ...sim.Fault) *world { return openWith(t, options{faults: faults}) }

func openWith(t *testing.T, o options) *world {
	t.Helper()
	if o.language == "" {
		o.language = "en"
	}
	if o.incident.ID == "" {
		o.incident, o.instance = inc, incident.Instance{ID: inc.InstanceID, Name: "web-1", Type: "m5.large"}
	}
	if o.steps == nil {
		o.steps = map[string]any{"isolate": isolation, "snapshot": snapshots}
	}
	clock := vtime.New(1, begun)
	account, err := sim.Open(sim.Settings{Clock: clock, Seed: 1, Faults: o.faults}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clock, aws: account, token: "token-1"}
	account.SFN().OnSuccess = func(token, output string) error {
		if token != w.token {
			return sim.ErrTaskTimedOut
		}
		w.token, w.got = "", append(w.got, output)
		return nil
	}
	env := map[string]string{
		"INCIDENTS_TABLE": incidents, "DECISIONS_TABLE": decisions, "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:cordon",
		"DATA_KEY_ID": "data", "MAC_KEY_ID": "mac", "LANGUAGE": o.language, "APPROVAL_HOURS": "24", "APPROVAL_IDENTITY": "Link", "APPROVERS_FOR_TERMINATION": "1", "API_URL": api, "ASKED_EMAIL": "security@example.com",
	}
	maps.Copy(env, o.settings)
	host := incident.Host{Now: clock.Now, Rand: clock.Rand("host"), Each: clock.Each, Getenv: func(name string) string { return env[name] }}
	asking, err := approval.New(host, account.SNS(), account.KMS(), account.SFN(), account.DynamoDB(), account.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	w.asking = asking
	w.do(func(ctx context.Context) {
		if _, err := record.Claim(ctx, account.DynamoDB(), incidents, record.Head{Incident: o.incident, Execution: "e"}); err != nil {
			t.Fatal(err)
		}
		for name, v := range o.steps {
			if err := record.SaveStep(ctx, account.DynamoDB(), incidents, o.incident.ID, name, v); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := asking.Run(ctx, approval.Input{Incident: o.incident, Execution: "e", Instance: o.instance, Round: 1, Token: "token-1", Before: o.before, Problem: o.problem}); err != nil {
			t.Fatal(err)
		}
	})
	for _, line := range strings.Split(account.Mails()[0].Body, "\n") {
		if path, ok := strings.CutPrefix(line, api); ok {
			w.link = path
		}
	}
	var db decide.Decisions = account.DynamoDB()
	if o.db != nil {
		db = o.db(w)
	}
	if w.handler, err = decide.New(host, account.KMS(), account.SFN(), account.Keys(), account.DynamoDB(), db); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) do(f func(context.Context)) {
	w.t.Helper()
	w.clock.Run(func() {
		ctx, end := w.clock.Deadline(w.t.Context(), w.clock.Now().Add(10*time.Second))
		defer end()
		f(sim.WithInvocation(ctx, &sim.Invocation{Function: "decide", Kill: end}))
	})
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (w *world) send(method, path, kind, body string) (got reply) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		r := httptest.NewRequestWithContext(ctx, method, api+path, strings.NewReader(body))
		r.RemoteAddr = "192.0.2.7:0"
		r.Header.Set("User-Agent", "Mozilla/5.0")
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		if w.door != "" {
			r = r.WithContext(incident.WithDoor(r.Context(), w.door))
			r.Header.Set("X-Forwarded-For", "203.0.113.7, 10.0.1.17")
		}
		if w.as != "" {
			signed, err := w.aws.Keys().Header(accessInstance, accessProvider, w.as, "name-of-"+w.as)
			if err != nil {
				w.t.Fatal(err)
			}
			r.Header.Set(access.Header, signed)
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		got = reply{rec.Code, rec.Header(), rec.Body.String()}
	})
	return got
}

func (w *world) get(path string) reply { w.t.Helper(); return w.send(http.MethodGet, path, "", "") }

// post sends the form as a person does who opened the page before: with the
// hidden fields that it had then. Where it had no form any more, with those of
// the last time, like a tab that was left open.
func (w *world) post(values ...string) reply {
	w.t.Helper()
	return w.send(http.MethodPost, w.link, "application/x-www-form-urlencoded", w.filled(values...).Encode())
}

func (w *world) filled(values ...string) url.Values {
	w.t.Helper()
	if w.form == nil {
		w.open()
	}
	v := url.Values{"reason": {"confirmed"}}
	for name, value := range w.form {
		v[name] = value
	}
	for i := 0; i < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return v
}

// open looks at the page and keeps the hidden fields of its form.
func (w *world) open() reply {
	w.t.Helper()
	got := w.get(w.link)
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input [^>]*>`).FindAllString(got.body, -1) {
		if attribute(m, "type") == "hidden" {
			form.Set(attribute(m, "name"), attribute(m, "value"))
		}
	}
	if len(form) > 0 {
		w.form = form
	}
	return got
}

// decision is what stands in the table; nil if nothing does.
func (w *world) decision() (d *incident.Decision) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		got, found, err := record.LoadDecision(ctx, w.aws.DynamoDB(), decisions, inc.ID, 1)
		if err != nil {
			w.t.Fatal(err)
		}
		if found {
			d = &got
		}
	})
	return d
}

// sealed checks the decision as authorize does.
func (w *world) sealed(d *incident.Decision) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		out, err := w.aws.KMS().VerifyMac(ctx, &kms.VerifyMacInput{KeyId: aws.String("mac"), MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256, Message: d.Signed(), Mac: d.MAC})
		if err != nil || !out.MacValid {
			w.t.Errorf("the seal does not hold: nobody could act on the decision: %v", err)
		}
	})
}

// changes are the calls that changed something.
func (w *world) changes() []string {
	var all []string
	for _, c := range w.aws.Calls() {
		if c.Mutating {
			all = append(all, c.Service+":"+c.Action)
		}
	}
	return all
}

func (w *world) untouched(what string, before []string) {
	w.t.Helper()
	if diff := cmp.Diff(before, w.changes()); diff != "" || len(w.got) > 0 || w.decision() != nil {
		w.t.Errorf("%s changed something:\n%s\ndelivered: %v", what, diff, w.got)
	}
}

var terminate = []string{"decision", "terminate", "instance", inc.InstanceID, "name", "Aiko Tanaka", "reason", "confirmed"}

func TestPageShowsWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		language string
		want     []string
	}{
		{"en", []string{`lang="en"`, "Terminate", "Keep isolated", "Release", "Every network interface is in quarantine.", "cannot be undone", "2026-11-25 02:00", "UTC", "8 (high)", "locked against deletion"}},
		{"ja", []string{`lang="ja"`, "終了する", "隔離を継続する", "解放する", "すべてのネットワークインターフェイスが隔離されています。", "元に戻せません", "8 (高)"}},
	} {
		w := openWith(t, options{language: c.language})
		got := w.get(w.link)
		if got.status != http.StatusOK {
			t.Fatalf("%d:\n%s", got.status, got.body)
		}
		text := html.UnescapeString(got.body)
		for _, want := range append(c.want, inc.InstanceID, "web-1", inc.Account, inc.Region, inc.Finding.Type, inc.Finding.Title, "eni-1", "snap-1", "vol-1", "key-1", "ephemeral0") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page lacks %q", c.language, want)
			}
		}
		if hole := regexp.MustCompile(`page\.[a-z]|head\.[a-z]|\{[a-z]+\}|ZgotmplZ|0001-01-01`).FindString(regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(text, "")); hole != "" {
			t.Errorf("%s: %q is not for readers", c.language, hole)
		}
	}
}

// Before anything is isolated there are two choices, and none of the others.
func TestAskedBefore(t *testing.T) {
	ask := options{before: "ten were isolated within an hour", steps: map[string]any{}}
	for language, want := range map[string][]string{
		"en": {"NOT isolated", "ten were isolated within an hour", `value="isolate"`, `value="leave"`, "Decide whether to isolate"},
		"ja": {"隔離していません", `value="isolate"`, "隔離しない"},
	} {
		ask.language = language
		w := openWith(t, ask)
		got := w.get(w.link)
		for _, text := range want {
			if !strings.Contains(html.UnescapeString(got.body), text) {
				t.Errorf("%s: the page lacks %q", language, text)
			}
		}
		for _, text := range []string{`value="terminate"`, `value="release"`, `value="terminate-anyway"`, "stays isolated"} {
			if strings.Contains(got.body, text) {
				t.Errorf("%s: the page offers %q", language, text)
			}
		}
	}
	for _, choice := range []string{"isolate", "leave"} {
		w := openWith(t, ask)
		got := w.post("decision", choice, "instance", inc.InstanceID, "name", "Aiko Tanaka")
		d := w.decision()
		if got.status != http.StatusOK || d == nil || string(d.Choice) != choice || len(w.got) != 1 {
			t.Fatalf("%s: %d, %+v, delivered %v", choice, got.status, d, w.got)
		}
		w.sealed(d)
	}
	for before, choices := range map[string][]string{ask.before: {"terminate", "keep", "release", "none", ""}, "": {"isolate", "leave"}} {
		for _, choice := range choices {
			w := openWith(t, options{before: before})
			changes := w.changes()
			if got := w.post("decision", choice, "instance", inc.InstanceID, "name", "Aiko Tanaka"); got.status != http.StatusUnprocessableEntity {
				t.Errorf("%q where %q was asked: %d, want 422", choice, before, got.status)
			}
			w.untouched(choice, changes)
		}
	}
}

// The record of a capture under way is not its result.
func TestMemoryUnderWay(t *testing.T) {
	for want, state := range map[string]any{
		"Memory: failed: no curl": map[string]any{"result": incident.Memory{Report: incident.Report{Status: incident.Failed, Reason: "no curl"}, Done: true}},
		"Memory: ok":              map[string]any{"result": incident.Memory{Report: incident.Report{Status: incident.OK}, Done: true, Object: "memory/1", Bytes: 7}},
		"Memory: under way":       map[string]any{"command": "c-1", "outcome": nil, "result": nil},
		"Memory: under way<":      map[string]any{"outcome": incident.Memory{Report: incident.Report{Status: incident.OK}, Done: true, Object: "memory/1", Bytes: 7}},
	} {
		w := openWith(t, options{steps: map[string]any{"isolate": isolation, "memory": state}})
		if got := w.get(w.link); !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, got.body)
		}
	}
}

// Scanners open every link in a mail, with GET or HEAD, and every link on what
// they find; some submit the forms that they find.
func TestScannersDecideNothing(t *testing.T) {
	w := open(t)
	before := w.changes()
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
		got := w.send(method, w.link, "", "")
		if got.status != http.StatusOK || (method == http.MethodHead) != (got.body == "") {
			t.Errorf("%s: %d with %d bytes", method, got.status, len(got.body))
		}
	}
	page := w.get(w.link).body
	for _, m := range regexp.MustCompile(`(?:href|src|action|formaction)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "#") {
			w.get(m[1])
		}
	}
	w.get(w.link + "?decision=terminate&instance=" + inc.InstanceID + "&name=scanner")
	w.untouched("opening links", before)

	// As found: hidden and filled fields, and for good measure each radio button.
	for _, choice := range []string{"", "terminate", "keep", "release"} {
		form := url.Values{}
		for _, m := range regexp.MustCompile(`<input [^>]*>`).FindAllString(page, -1) {
			name, value := attribute(m, "name"), attribute(m, "value")
			if kind := attribute(m, "type"); kind != "radio" && kind != "checkbox" {
				form.Set(name, value)
			}
		}
		if choice != "" {
			form.Set("decision", choice)
		}
		got := w.send(http.MethodPost, w.link, "application/x-www-form-urlencoded", form.Encode())
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("a form sent as found: %d, want 422", got.status)
		}
		form.Set("name", "John Smith") // some fill in what looks like a name
		if got := w.send(http.MethodPost, w.link, "application/x-www-form-urlencoded", form.Encode()); got.status != http.StatusUnprocessableEntity {
			t.Errorf("a form with a made-up name: %d, want 422", got.status)
		}
	}
	w.untouched("submitting the form as found", before)
}

func attribute(tag, name string) string {
	if m := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(tag); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

func TestPostDecides(t *testing.T) {
	w := open(t)
	got := w.post(terminate...)
	if got.status != http.StatusOK {
		t.Fatalf("%d:\n%s", got.status, got.body)
	}
	d := w.decision()
	if d == nil {
		t.Fatal("the page says that it is recorded, and nothing is")
	}
	w.sealed(d)
	want := incident.Decision{
		Version:  incident.DecisionVersion,
		Incident: inc.ID, Round: 1, InstanceID: inc.InstanceID, AttachedAt: inc.AttachedAt, Choice: incident.Terminate, Person: "Aiko Tanaka", Identity: incident.ByLink,
		Reason: "confirmed", Address: "192.0.2.7", Agent: "Mozilla/5.0", Facts: incident.Hash(d.Shown), Shown: d.Shown, DecidedAt: d.DecidedAt, ExpiresAt: d.DecidedAt.Add(7 * 24 * time.Hour), MAC: d.MAC,
	}
	if diff := cmp.Diff(want, *d); diff != "" || d.DecidedAt.Before(begun) {
		t.Errorf("recorded decision (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"decision":"terminate","round":1}`}, w.got); diff != "" {
		t.Errorf("what the machine got (-want +got):\n%s", diff)
	}
}

// The seal stands in the item that is put: it is made before.
func TestSealComesFirst(t *testing.T) {
	w := open(t, sim.Fault{Service: "kms", Action: "GenerateMac", Number: 3, Kind: sim.Denied}) // after the page's and the form's
	if got := w.post(terminate...); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d, want 503", got.status)
	}
	if w.decision() != nil || len(w.got) > 0 {
		t.Fatal("a decision without a seal was recorded: nobody could ever act on it, and nobody decide again")
	}
	if got := w.post(terminate...); got.status != http.StatusOK {
		t.Errorf("deciding again: %d", got.status)
	}
}

func TestOneDecision(t *testing.T) {
	w := open(t)
	w.post(terminate...)
	first := w.decision()
	second := w.post("decision", "release", "instance", inc.InstanceID, "name", "Bob <b>Brown</b>")
	if second.status != http.StatusConflict {
		t.Errorf("the second decision: %d, want 409", second.status)
	}
	for _, want := range []string{"Aiko Tanaka", "Terminate", first.DecidedAt.Format("2006-01-02 15:04:05") + " UTC", "Yours was not recorded"} {
		if !strings.Contains(second.body, want) {
			t.Errorf("the second person is not told %q:\n%s", want, second.body)
		}
	}
	again := w.post(terminate...)
	if again.status != http.StatusConflict || strings.Contains(again.body, "was not recorded") {
		t.Errorf("a double click: %d:\n%s", again.status, again.body)
	}
	if diff := cmp.Diff(first, w.decision()); diff != "" {
		t.Errorf("the decision changed (-first +now):\n%s", diff)
	}
	if len(w.got) != 1 {
		t.Errorf("the machine got %v, want one answer", w.got)
	}
}

// Two people at the same instant: one of them is first.
func TestBothAtOnce(t *testing.T) {
	w := open(t)
	w.open()
	statuses := make([]int, 2)
	w.do(func(ctx context.Context) {
		w.clock.Each(2, func(n int) {
			v := url.Values{"decision": {[]string{"terminate", "release"}[n]}, "instance": {inc.InstanceID}, "name": {[]string{"Aiko", "Bob"}[n]}, "reason": {"confirmed"}}
			for name, value := range w.form {
				v[name] = value
			}
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, api+w.link, strings.NewReader(v.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			statuses[n] = rec.Code
		})
	})
	slices.Sort(statuses)
	d := w.decision()
	if d == nil || len(w.got) != 1 || w.got[0] != `{"decision":"`+string(d.Choice)+`","round":1}` {
		t.Fatalf("recorded %+v, delivered %v", d, w.got)
	}
	// Whoever delivers first, the other finds that nobody waits any more.
	if statuses[1] == http.StatusOK {
		t.Errorf("both were told that theirs counts: %v", statuses)
	}
}

func TestDeliveredAgain(t *testing.T) {
	for _, c := range []struct {
		fault  sim.Fault
		status int // of the first answer
	}{
		{sim.Fault{Service: "sfn", Action: "SendTaskSuccess", Number: 1, Kind: sim.Unavailable}, http.StatusAccepted},
		{sim.Fault{Service: "sfn", Action: "SendTaskSuccess", Number: 1, Kind: sim.Lost}, http.StatusAccepted},
		{sim.Fault{Service: "sfn", Action: "SendTaskSuccess", Number: 1, Kind: sim.KilledBefore}, http.StatusAccepted},
		{sim.Fault{Service: "kms", Action: "Decrypt", Number: 1, Kind: sim.Throttled}, http.StatusAccepted},
		{sim.Fault{Service: "dynamodb", Action: "PutItem", Number: 6, Kind: sim.Lost}, http.StatusServiceUnavailable},
		{sim.Fault{Service: "dynamodb", Action: "PutItem", Number: 6, Kind: sim.KilledAfter}, http.StatusServiceUnavailable},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			w := open(t, c.fault)
			got := w.post(terminate...)
			if got.status != c.status {
				t.Fatalf("%d, want %d; unmet faults %v; calls %v", got.status, c.status, w.aws.Unmet(), w.changes())
			}
			d := w.decision()
			if d == nil {
				t.Fatal("the decision is lost")
			}
			if got := w.post(terminate...); got.status != http.StatusConflict || strings.Contains(got.body, "did not take it") {
				t.Errorf("sent again: %d:\n%s", got.status, got.body)
			}
			if diff := cmp.Diff([]string{`{"decision":"terminate","round":1}`}, w.got); diff != "" {
				t.Errorf("what the machine got (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(d, w.decision()); diff != "" {
				t.Errorf("the decision changed (-first +now):\n%s", diff)
			}
		})
	}
}

// Another person's visit delivers a decision that had not arrived; it is not theirs.
func TestDeliveredByTheNextPerson(t *testing.T) {
	w := open(t, sim.Fault{Service: "sfn", Action: "SendTaskSuccess", Number: 1, Kind: sim.Unavailable})
	w.post(terminate...)
	got := w.post("decision", "release", "instance", inc.InstanceID, "name", "Bob")
	if got.status != http.StatusConflict || !strings.Contains(got.body, "Aiko Tanaka") {
		t.Errorf("%d:\n%s", got.status, got.body)
	}
	if diff := cmp.Diff([]string{`{"decision":"terminate","round":1}`}, w.got); diff != "" {
		t.Errorf("what the machine got (-want +got):\n%s", diff)
	}
}

func TestNobodyWaits(t *testing.T) {
	w := open(t)
	w.token = ""
	got := w.post(terminate...)
	if got.status != http.StatusGone || w.decision() == nil || strings.Contains(got.body, "TaskTimedOut") {
		t.Errorf("%d, recorded %v:\n%s", got.status, w.decision() != nil, got.body)
	}
}

// tokenChanger replaces the task token at the last moment, as approval does
// when the machine asks anew while a person presses the button.
type tokenChanger struct {
	*sim.DynamoDB
	w *world
}

func (c tokenChanger) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	sealed, err := c.w.aws.KMS().Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("data"), Plaintext: []byte("token-2"), EncryptionContext: map[string]string{
		"purpose": "token", "incident": inc.ID, "round": "1",
	}})
	if err != nil {
		return nil, err
	}
	if err := record.ReplaceToken(ctx, c.DynamoDB, incidents, inc.ID, 1, sealed.CiphertextBlob); err != nil {
		return nil, err
	}
	c.w.token = "token-2"
	return c.DynamoDB.PutItem(ctx, in, o...)
}

func TestNewestTokenIsAnswered(t *testing.T) {
	w := openWith(t, options{db: func(w *world) decide.Decisions { return tokenChanger{w.aws.DynamoDB(), w} }})
	if got := w.post(terminate...); got.status != http.StatusOK || len(w.got) != 1 {
		t.Errorf("%d, delivered %v: the task that waits now got nothing", got.status, w.got)
	}
}

// What is not a link of ours looks the same, costs the same, and tells nothing.
func TestWrongLinks(t *testing.T) {
	w := open(t)
	before := w.changes()
	request, secret, _ := strings.Cut(strings.TrimPrefix(w.link, "/d/"), "/")
	other := strings.Replace(request, "i-0123456789abcdef0", "i-0ffffffffffffffff", 1)
	flipped := "A" + secret[1:]
	if flipped == secret {
		flipped = "B" + secret[1:]
	}
	calls := func(f func()) []string {
		n := len(w.aws.Calls())
		f()
		var all []string
		for _, c := range w.aws.Calls()[n:] {
			all = append(all, c.Service+":"+c.Action)
		}
		return all
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		var want reply
		wantCalls := calls(func() {
			want = w.send(method, "/d/"+request+"/"+flipped, "application/x-www-form-urlencoded", "decision=terminate&instance="+inc.InstanceID+"&name=x")
		})
		if want.status != http.StatusNotFound || strings.Contains(want.body, inc.InstanceID) {
			t.Errorf("%s with a wrong secret: %d:\n%s", method, want.status, want.body)
		}
		for path, looked := range map[string]bool{
			"/d/" + other + "/" + secret: true, "/d/" + request + "/" + strings.Repeat("A", len(secret)): true, "/d/" + request + "2/" + secret: true,
			"/d/" + request + "/" + strings.ToUpper(secret): true, "/d/" + request + "/" + secret + "=": true, "/d/" + request + "/": true,
			"/d/" + strings.TrimSuffix(request, ".1") + "/" + secret: false, "/d/" + request + ".0/" + secret: false, "/d/../" + secret: false, "/": false, "/d": false,
			"/d/" + request + "/" + secret + "/more": false, "/d/" + strings.Repeat("a", 9000) + "/x": false, "/d/x.y.z.-1.1/x": false,
		} {
			var got reply
			gotCalls := calls(func() {
				got = w.send(method, path, "application/x-www-form-urlencoded", "decision=terminate&instance="+inc.InstanceID+"&name=x")
			})
			if diff := cmp.Diff(want.body, got.body); got.status != http.StatusNotFound || diff != "" {
				t.Errorf("%s %s: %d, and the page differs:\n%s", method, path, got.status, diff)
			}
			if looked {
				if diff := cmp.Diff(wantCalls, gotCalls); diff != "" {
					t.Errorf("%s %s: an unknown request can be told from a wrong secret:\n%s", method, path, diff)
				}
			}
		}
	}
	w.untouched("guessing", before)
}

func TestClosed(t *testing.T) {
	for name, end := range map[string]func(*world){
		"expired": func(w *world) { w.clock.Run(func() { w.clock.Sleep(24 * time.Hour) }) },
		"incident over": func(w *world) {
			w.do(func(ctx context.Context) {
				if err := record.Close(ctx, w.aws.DynamoDB(), incidents, inc.ID, "e", record.Released, w.clock.Now()); err != nil {
					t.Fatal(err)
				}
			})
		},
	} {
		w := open(t)
		end(w)
		before := w.changes()
		for _, got := range []reply{w.get(w.link), w.post(terminate...)} {
			if got.status != http.StatusGone || strings.Contains(got.body, "<form") {
				t.Errorf("%s: %d:\n%s", name, got.status, got.body)
			}
		}
		w.untouched(name, before)
	}
}

func TestForms(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	w := open(t)
	w.open()
	page := w.form.Encode() + "&reason=confirmed"
	good := page + "&" + url.Values{"decision": {"keep"}, "instance": {inc.InstanceID}, "name": {"Aiko"}}.Encode()
	before := w.changes()
	for _, c := range []struct {
		name, method, kind, body string
		status                   int
	}{
		{"nothing", "POST", "application/x-www-form-urlencoded", "", 422},
		{"no decision", "POST", "application/x-www-form-urlencoded", "instance=" + inc.InstanceID + "&name=A", 422},
		{"unknown decision", "POST", "application/x-www-form-urlencoded", "decision=explode&instance=" + inc.InstanceID + "&name=A", 422},
		{"another instance", "POST", "application/x-www-form-urlencoded", "decision=keep&instance=i-0123456789abcdef1&name=A", 422},
		{"half an instance", "POST", "application/x-www-form-urlencoded", "decision=keep&instance=i-0123456789abcdef&name=A", 422},
		{"no name", "POST", "application/x-www-form-urlencoded", "decision=keep&instance=" + inc.InstanceID + "&name=%20%20", 422},
		{"long name", "POST", "application/x-www-form-urlencoded", "decision=keep&instance=" + inc.InstanceID + "&name=" + strings.Repeat("a", 300), 422},
		{"without evidence, before that was refused", "POST", "application/x-www-form-urlencoded", "decision=terminate-anyway&instance=" + inc.InstanceID + "&name=A", 422},
		{"two decisions", "POST", "application/x-www-form-urlencoded", good + "&decision=terminate", 400},
		{"broken escapes", "POST", "application/x-www-form-urlencoded", good + "&x=%zz", 400},
		{"JSON", "POST", "application/json", `{"decision":"keep"}`, 415},
		{"text", "POST", "text/plain", good, 415},
		{"no type", "POST", "", good, 415},
		{"multipart", "POST", "multipart/form-data; boundary=x", good, 415},
		{"large", "POST", "application/x-www-form-urlencoded", good + "&more=" + long, 413},
		{"PUT", "PUT", "application/x-www-form-urlencoded", good, 405},
		{"DELETE", "DELETE", "", "", 405},
		{"OPTIONS", "OPTIONS", "", "", 405},
	} {
		if c.status == http.StatusUnprocessableEntity {
			c.body = page + "&" + c.body
		}
		got := w.send(c.method, w.link, c.kind, c.body)
		if got.status != c.status {
			t.Errorf("%s: %d, want %d", c.name, got.status, c.status)
		}
		if (got.header.Get("Allow") != "") != (c.status == 405) {
			t.Errorf("%s: Allow %q with %d", c.name, got.header.Get("Allow"), c.status)
		}
	}
	w.untouched("a wrong form", before)
	if got := w.send("POST", w.link, "application/x-www-form-urlencoded; charset=UTF-8", good); got.status != http.StatusOK {
		t.Errorf("a form with a character set: %d", got.status)
	}
}

// What a person typed is not lost by a mistake.
func TestMistakesKeepTheRest(t *testing.T) {
	w := open(t)
	got := w.post("decision", "keep", "instance", "i-wrong", "name", `A "B" <c>`, "reason", "because")
	for _, want := range []string{`value="keep" required aria-describedby="does-keep" checked`, `value="i-wrong"`, `A &#34;B&#34; &lt;c&gt;`, ">because</textarea>", `href="#instance"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the form lacks %s:\n%s", want, got.body)
		}
	}
}

// The seal is over what is stored: what JSON would change must be changed before.
func TestOddNamesAreSealed(t *testing.T) {
	for _, name := range []string{"\xff\xfe bad", "田中 愛子", "a\u2028b", "x\x00y", strings.Repeat("漢", 200), "\U0001f600<&>"} {
		w := open(t)
		if got := w.post("decision", "terminate", "instance", " "+inc.InstanceID+" ", "name", name); got.status != http.StatusOK {
			t.Errorf("%q: %d", name, got.status)
			continue
		}
		w.sealed(w.decision())
	}
}

// To terminate without complete evidence is a choice of its own, offered once that
// was refused and people were told what is missing.
func TestOverride(t *testing.T) {
	form := []string{"decision", "terminate-anyway", "instance", inc.InstanceID, "name", "Aiko Tanaka"}
	for problem, offered := range map[incident.Problem]bool{
		{}: false,
		{Error: "Refused", Cause: `{"errorMessage":"it is not isolated"}`}:                      false,
		{Error: "EvidenceIncomplete", Cause: `{"errorMessage":"volume vol-1 has no snapshot"}`}: true,
	} {
		w := openWith(t, options{problem: problem})
		before := w.changes()
		if got := w.get(w.link); strings.Contains(got.body, `value="terminate-anyway"`) != offered {
			t.Errorf("after %q: offered is not %t", problem.Error, offered)
		}
		got := w.post(form...)
		if !offered {
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "offered only after") {
				t.Errorf("after %q: %d, want 422 that says why", problem.Error, got.status)
			}
			w.untouched("an override that nobody offered", before)
			continue
		}
		d := w.decision()
		if got.status != http.StatusOK || d == nil || d.Choice != incident.Terminate || !d.Override {
			t.Fatalf("%d, %+v", got.status, d)
		}
		w.sealed(d)
	}
}

func TestHostileText(t *testing.T) {
	for _, h := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' autofocus onfocus=alert(1) x='`, `</style><form action="https://evil.example">`,
		"</textarea><button>", "x\r\nSet-Cookie: a=b", "\u202eevil\u2066", "javascript:alert(1)", "{{.Style}}", "\xff<", "https://evil.example/d/1/2",
	} {
		o := options{incident: inc, instance: incident.Instance{ID: inc.InstanceID, Name: h, Type: h}}
		o.incident.Finding.Title, o.incident.Finding.Type, o.incident.Finding.Role, o.incident.Finding.ID = h, h, h, h
		bad := isolation
		bad.Reason, bad.Repaired, bad.StaysOpen = h, []string{h}, []string{h}
		bad.Interfaces = append(slices.Clone(bad.Interfaces), incident.Interface{ID: h, VPC: h, Where: incident.Place(h), Reason: h})
		o.steps = map[string]any{
			"isolate":  bad,
			"snapshot": incident.Snapshots{Report: incident.Report{Status: incident.Status(h), Reason: h}, Missing: []string{h}, NotIn: []string{h}, Set: []incident.Snapshot{{ID: h, VolumeID: h, Device: h, State: h, Progress: h, KMSKey: h}}},
			"memory":   map[string]any{"result": incident.Memory{Report: incident.Report{Status: incident.Failed, Reason: h}, Object: h, SHA256: h}},
			"preserve": incident.Protection{Report: incident.Report{Status: incident.Partial, Reason: h}, Set: []string{h}, Refused: []string{h}},
		}
		w := openWith(t, o)
		tame := openWith(t, options{})
		pages := []reply{w.get(w.link), w.post("decision", h, "instance", h, "name", h, "reason", h)}
		w.send(http.MethodPost, w.link, "application/x-www-form-urlencoded", w.filled("decision", "keep", "instance", inc.InstanceID, "name", h, "reason", h).Encode())
		pages = append(pages, w.post(terminate...))
		for n, p := range pages {
			checkPage(t, h, n, p)
		}
		// The same elements stand there, whatever the text in them is.
		if n, m := strings.Count(pages[0].body, "<form"), strings.Count(tame.get(tame.link).body, "<form"); n != m {
			t.Errorf("%q: %d forms, want %d", h, n, m)
		}
	}
}

func checkPage(t *testing.T, h string, n int, p reply) {
	t.Helper()
	if p.status >= 500 {
		t.Errorf("%q, page %d: %d", h, n, p.status)
	}
	allowed := []string{"doctype", "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "div", "ul", "li", "a", "section", "dl", "dt", "dd", "strong", "form", "fieldset", "legend", "input", "label", "span", "textarea", "button"}
	for _, m := range regexp.MustCompile(`</?!?([a-zA-Z0-9]+)([^>]*)>`).FindAllStringSubmatch(p.body, -1) {
		if !slices.Contains(allowed, m[1]) || regexp.MustCompile(`\son[a-z]+=|javascript:|https?://`).MatchString(m[2]) {
			// Within a quoted value an attribute is text.
			if bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(m[2], `""`); slices.Contains(allowed, m[1]) && !regexp.MustCompile(`\son[a-z]+=`).MatchString(bare) && !regexp.MustCompile(`(href|action|src)="(javascript|http)`).MatchString(m[2]) {
				continue
			}
			t.Errorf("%q, page %d: element %s", h, n, m[0])
		}
	}
	if strings.Contains(p.body, `action="https://evil`) || len(p.header["Set-Cookie"]) > 0 {
		t.Errorf("%q, page %d: got through", h, n)
	}
}

func TestHeaders(t *testing.T) {
	w := open(t)
	for _, got := range []reply{w.get(w.link), w.get("/d/x/y"), w.send("HEAD", w.link, "", ""), w.post(), w.send("PUT", w.link, "", ""), w.post(terminate...)} {
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "X-Robots-Tag": "noindex, nofollow",
		} {
			if v := got.header.Get(name); v != want {
				t.Errorf("%d: %s is %q, want %q", got.status, name, v, want)
			}
		}
		policy := got.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%d: the policy lacks %s: %s", got.status, want, policy)
			}
		}
		if strings.Contains(policy, "script") || strings.Contains(policy, "unsafe") {
			t.Errorf("%d: the policy is loose: %s", got.status, policy)
		}
		if m := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(got.body); m != nil {
			hash := sha256.Sum256([]byte(m[1]))
			if want := "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("%d: the browser drops the style: %s is not in %s", got.status, want, policy)
			}
		}
		if regexp.MustCompile(`(?i)<script|\sstyle=|\son[a-z]+=`).MatchString(got.body) {
			t.Errorf("%d: something that the policy forbids is on the page", got.status)
		}
	}
}

// Every input has a label, and every link and description points at something.
func TestAccessible(t *testing.T) {
	w := open(t)
	page := w.post("decision", "keep", "instance", "x").body
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("two elements have the id %s", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:href="#|for="|aria-describedby="|aria-labelledby=")([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !ids[m[1]] {
			t.Errorf("%s points at nothing", m[0])
		}
	}
	for _, m := range regexp.MustCompile(`<(?:input|textarea)[^>]*>`).FindAllString(page, -1) {
		if attribute(m, "type") != "hidden" && !strings.Contains(page, `<label for="`+attribute(m, "id")+`"`) {
			t.Errorf("%s has no label", m)
		}
	}
	for _, want := range []string{`<main>`, `name="viewport"`, `<legend>`, `role="alert"`, "prefers-color-scheme: dark"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// A record that cannot be read is no reason to show half of it.
func TestUnreadableRecord(t *testing.T) {
	const reads = 3 // requests, heads, steps
	for n := 1; n <= reads; n++ {
		w := open(t, sim.Fault{Service: "dynamodb", Action: "Query", Number: n, Kind: sim.Unavailable})
		got := w.get(w.link)
		if got.status != http.StatusServiceUnavailable || len(w.aws.Unmet()) > 0 {
			t.Errorf("read %d fails: %d, want 503:\n%s", n, got.status, got.body)
		}
		if got := w.get(w.link); got.status != http.StatusOK {
			t.Errorf("after read %d failed: %d", n, got.status)
		}
	}
}

func TestSettings(t *testing.T) {
	w := open(t)
	for _, name := range []string{"INCIDENTS_TABLE", "DECISIONS_TABLE", "DATA_KEY_ID", "MAC_KEY_ID", "LANGUAGE", "APPROVAL_IDENTITY"} {
		host := incident.Host{Getenv: func(asked string) string {
			if asked == name {
				return ""
			}
			return "en"
		}}
		if _, err := decide.New(host, w.aws.KMS(), w.aws.SFN(), w.aws.Keys(), w.aws.DynamoDB(), w.aws.DynamoDB()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v, want an error that names it", name, err)
		}
	}
}

// Nothing of a visit may be written down: the path holds the secret.
func TestLogsNothing(t *testing.T) {
	stdout, stderr := os.Stdout, os.Stderr
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout, os.Stderr = pipe, pipe
	w := open(t, sim.Fault{Service: "sfn", Action: "SendTaskSuccess", Number: 1, Kind: sim.Denied})
	w.get(w.link)
	w.post(terminate...)
	w.get("/d/x/y")
	os.Stdout, os.Stderr = stdout, stderr
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	written, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(written)) > 0 {
		t.Errorf("written: %s", written)
	}
}
