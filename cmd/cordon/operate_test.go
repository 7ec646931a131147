package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/approval"
	api "cordon/internal/decide"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"
)

const (
	one      = "123456789012.eu-west-1.i-0a.1"
	operator = "arn:aws:sts::123456789012:assumed-role/Responder/sato"
)

// site is a deployed stack with one incident about which people were asked.
type site struct {
	*deployed
	t      *testing.T
	aws    *sim.Account
	at     time.Time
	host   incident.Host
	ask    *approval.Step
	wishes []incident.Wish
	deaf   bool   // the machine does nothing about a wish
	lost   bool   // EventBridge takes no event
	caller string // who the gateway says calls; empty: it refuses
}

func (s *site) Now() time.Time        { return s.at }
func (s *site) Sleep(d time.Duration) { s.at = s.at.Add(d) }

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, at: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC), caller: operator}
	var err error
	if s.aws, err = sim.Open(sim.Settings{Clock: s, Account: "123456789012", Region: "eu-west-1"}, nil); err != nil {
		t.Fatal(err)
	}
	s.aws.SFN().OnSuccess = func(string, string) error { return nil }
	env := map[string]string{
		"INCIDENTS_TABLE": "cordon-incidents", "DECISIONS_TABLE": "cordon-decisions", "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:cordon",
		"DATA_KEY_ID": "data", "MAC_KEY_ID": "mac", "LANGUAGE": "en", "APPROVAL_HOURS": "24", "APPROVAL_IDENTITY": "Link", "APPROVERS_FOR_TERMINATION": "1", "API_URL": "https://api.example.com", "ASKED_EMAIL": "security@example.com",
	}
	s.host = incident.Host{Now: s.Now, Rand: endless{}, Getenv: func(n string) string { return env[n] }, Each: func(n int, f func(int)) {
		for i := range n {
			f(i)
		}
	}}
	db := s.aws.DynamoDB()
	if s.ask, err = approval.New(s.host, s.aws.SNS(), s.aws.KMS(), s.aws.SFN(), db, db); err != nil {
		t.Fatal(err)
	}
	h, err := api.New(s.host, s.aws.KMS(), s.aws.SFN(), s.aws.Keys(), db, db)
	if err != nil {
		t.Fatal(err)
	}
	s.deployed = &deployed{
		stack: "cordon", account: "123456789012", region: "eu-west-1", url: "https://api.example.com",
		topics:      []topic{{"notifications", "arn:aws:sns:eu-west-1:123456789012:cordon"}},
		incidentsIn: "cordon-incidents", decisionsIn: "cordon-decisions", records: db, bus: s, sns: s.aws.SNS(), now: s.Now, sleep: s.Sleep,
		send: func(r *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			if s.caller == "" { // as an HTTP API answers who may not
				rec.WriteHeader(http.StatusForbidden)
				_, _ = rec.WriteString(`{"message":"Forbidden"}`)
				return rec.Result(), nil
			}
			h.ServeHTTP(rec, r.WithContext(incident.WithCaller(r.Context(), s.caller)))
			return rec.Result(), nil
		},
	}
	inc := s.incident(1)
	s.must(func(ctx context.Context) error {
		_, err := record.Claim(ctx, db, "cordon-incidents", record.Head{Incident: inc, Execution: "e"})
		return err
	})
	s.request(1)
	return s
}

// endless is no randomness at all, which nobody here depends on.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func (s *site) incident(n int) incident.Incident {
	f := incident.Finding{ID: "f", Type: "Backdoor:EC2/\x1b[31mX", Severity: 8, InstanceID: "i-0a"}
	return incident.Incident{
		ID: incident.NewID("123456789012.eu-west-1.i-0a", n), Account: "123456789012", Region: "eu-west-1", InstanceID: "i-0a",
		AttachedAt: s.at.Add(-time.Hour), OpenedAt: s.at, Finding: f,
	}
}

func (s *site) must(f func(context.Context) error) {
	s.t.Helper()
	if err := f(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// request opens a request as the machine does.
func (s *site) request(round int) {
	s.t.Helper()
	s.must(func(ctx context.Context) error {
		h, err := record.LoadHead(ctx, s.records, s.incidentsIn, one)
		if err != nil {
			return err
		}
		_, err = s.ask.Run(ctx, approval.Input{Incident: s.incident(1), Execution: h.Execution, Round: round, Token: fmt.Sprint("secret-token-", round)})
		return err
	})
}

func (s *site) close(state record.State) {
	s.t.Helper()
	s.must(func(ctx context.Context) error {
		return record.Close(ctx, s.aws.DynamoDB(), "cordon-incidents", one, "e", state, s.at)
	})
}

// PutEvents is the bus, and the machine behind it.
func (s *site) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	if s.lost {
		return &eventbridge.PutEventsOutput{FailedEntryCount: 1, Entries: []eventtypes.PutEventsResultEntry{{ErrorCode: aws.String("ThrottlingException"), ErrorMessage: aws.String("slow down")}}}, nil
	}
	for _, e := range in.Entries {
		var w incident.Wish
		if err := json.Unmarshal([]byte(aws.ToString(e.Detail)), &w); err != nil || aws.ToString(e.Source) != "cordon" || aws.ToString(e.DetailType) != "Cordon Decision Wanted" {
			s.t.Errorf("the event %v: %v", e, err)
		}
		s.wishes = append(s.wishes, w)
		if s.deaf {
			continue
		}
		h, err := record.LoadHead(ctx, s.records, s.incidentsIn, w.Incident)
		if err == nil {
			err = record.Reopen(ctx, s.aws.DynamoDB(), s.incidentsIn, h, fmt.Sprint("later-", len(s.wishes)))
		}
		if err != nil {
			s.t.Error(err)
		}
		s.request(len(s.wishes) + 1)
	}
	return &eventbridge.PutEventsOutput{}, nil
}

// told is what a command printed.
type told struct {
	out, err string
	bad      error
}

func (s *site) run(f func(context.Context, streams, *deployed) error) told {
	var out, errs bytes.Buffer
	bad := f(s.t.Context(), streams{out: &out, err: &errs}, s.deployed)
	return told{out.String(), errs.String(), bad}
}

func (s *site) decides(choice string, more ...func(*decide)) told {
	c := &decide{Incident: one, Decision: choice, Reason: "a pentest"}
	for _, f := range more {
		f(c)
	}
	return s.run(c.run)
}

func (s *site) standing(round int) (incident.Decision, bool) {
	s.t.Helper()
	d, found, err := record.LoadDecision(s.t.Context(), s.records, s.decisionsIn, one, round)
	if err != nil {
		s.t.Fatal(err)
	}
	return d, found
}

func TestDecideOnAnOpenRequest(t *testing.T) {
	s := newSite(t)
	if got := s.decides("release", func(c *decide) { c.Force = true }); got.bad != nil || !strings.Contains(got.out, "recorded and delivered") {
		t.Errorf("%+v", got)
	}
	d, found := s.standing(1)
	if !found || d.Choice != incident.Release || !d.Force || d.Identity != incident.ByIAM+operator || d.Reason != "a pentest" {
		t.Errorf("recorded: %v, %+v", found, d)
	}
	if len(s.wishes) > 0 {
		t.Error("a new request was asked for although one was open")
	}
	if got := s.decides("release", func(c *decide) { c.Force = true }); got.bad != nil || !strings.Contains(got.out, "stood already") {
		t.Errorf("again: %+v", got)
	}
	if got := s.decides("terminate"); !errors.Is(got.bad, errBad) || !strings.Contains(got.out, "Somebody else") || !strings.Contains(got.out, "release by Responder/sato") {
		t.Errorf("another decision: %+v", got)
	}
}

// TestDecideLater: closed, left, or with a request that has expired, people are
// asked once more, and the decision is made on that request.
func TestDecideLater(t *testing.T) {
	for name, before := range map[string]func(*site){
		"kept":    func(s *site) { s.close(record.Kept) },
		"expired": func(s *site) { s.Sleep(90 * 24 * time.Hour) },
		"kept, months ago": func(s *site) {
			s.close(record.Kept)
			s.Sleep(90 * 24 * time.Hour)
		},
		"the execution is dead": func(s *site) {
			s.aws.SFN().OnSuccess = func(token, _ string) error {
				if token == "secret-token-1" {
					return sim.ErrTaskTimedOut
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			before(s)
			got := s.decides("release")
			if got.bad != nil || !strings.Contains(got.out, "recorded and delivered") || !strings.Contains(got.err, "Nobody works on incident "+one) {
				t.Errorf("%+v", got)
			}
			if d, found := s.standing(2); !found || d.Choice != incident.Release {
				t.Errorf("on the new request: %v, %+v", found, d)
			}
			if len(s.wishes) != 1 || s.wishes[0] != (incident.Wish{Stack: "cordon", Incident: one}) {
				t.Errorf("asked for: %+v", s.wishes)
			}
		})
	}
}

// TestDecideAgain: a decision stands on a request that has not expired, and nothing
// came of it. Only who says so gets a new request.
func TestDecideAgain(t *testing.T) {
	s := newSite(t)
	if got := s.decides("keep"); got.bad != nil {
		t.Fatalf("%+v", got)
	}
	if got := s.decides("release"); !errors.Is(got.bad, errBad) || !strings.Contains(got.out, "--again") || len(s.wishes) > 0 {
		t.Errorf("without --again: %+v, asked for %+v", got, s.wishes)
	}
	if got := s.decides("release", func(c *decide) { c.Again = true }); got.bad != nil || !strings.Contains(got.out, "recorded and delivered") || len(s.wishes) != 1 {
		t.Errorf("with --again: %+v, asked for %+v", got, s.wishes)
	}
	if d, found := s.standing(2); !found || d.Choice != incident.Release {
		t.Errorf("on the new request: %v, %+v", found, d)
	}
}

func TestDecideRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*site)
		choice string
		change func(*decide)
		says   []string
	}{
		"no decision":         {nil, "destroy", nil, []string{"terminate, keep or release"}},
		"no reason":           {nil, "release", func(c *decide) { c.Reason = " " }, []string{"--reason"}},
		"not an ID":           {nil, "release", func(c *decide) { c.Incident = "i-0a" }, []string{"ACCOUNT.REGION.INSTANCE.NUMBER", "cordon list"}},
		"an unknown incident": {nil, "release", func(c *decide) { c.Incident = strings.TrimSuffix(one, "1") + "7" }, []string{"is not in the record", "cordon list"}},
		"another account":     {nil, "release", func(c *decide) { c.Incident = strings.Replace(one, "123456789012", "999988887777", 1) }, []string{"account 999988887777", "credentials"}},
		"another Region":      {nil, "release", func(c *decide) { c.Incident = strings.Replace(one, "eu-west-1", "us-east-1", 1) }, []string{"us-east-1", "--region"}},
		"override to release": {nil, "release", func(c *decide) { c.Override = true }, []string{"--override belongs to terminate"}},
		"force to terminate":  {nil, "terminate", func(c *decide) { c.Force = true }, []string{"--force belongs to release"}},
		"not what is asked":   {nil, "isolate", nil, []string{"not among those"}},
		"terminated":          {func(s *site) { s.close(record.Terminated) }, "release", nil, []string{"ended with the termination"}},
		"a newer incident": {func(s *site) {
			s.close(record.Kept)
			s.must(func(ctx context.Context) error {
				_, err := record.Claim(ctx, s.aws.DynamoDB(), s.incidentsIn, record.Head{Incident: s.incident(2), Execution: "x"})
				return err
			})
		}, "release", nil, []string{"has a newer one"}},
		"no rights at the gateway":  {func(s *site) { s.caller = "" }, "release", nil, []string{"the gateway refused", "execute-api:Invoke", "Nothing was recorded"}},
		"nothing answers the event": {func(s *site) { s.deaf = true; s.close(record.Kept) }, "release", nil, []string{"no request was opened within 3m0s", "a mail says so"}},
		"the event is not taken":    {func(s *site) { s.lost = true; s.close(record.Kept) }, "release", nil, []string{"EventBridge did not take", "slow down"}},
		"the gateway has a bad moment": {func(s *site) {
			s.send = func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: io.NopCloser(strings.NewReader("<html>"))}, nil
			}
		}, "release", nil, []string{"503", "again is safe"}},
		"no connection": {func(s *site) {
			s.send = func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
		}, "release", nil, []string{"again is safe"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if c.before != nil {
				c.before(s)
			}
			var more []func(*decide)
			if c.change != nil {
				more = append(more, c.change)
			}
			got := s.decides(c.choice, more...)
			if got.bad == nil {
				t.Fatalf("no error: %+v", got)
			}
			for _, part := range c.says {
				if !strings.Contains(got.bad.Error(), part) {
					t.Errorf("%q does not say %q", got.bad, part)
				}
			}
			if d, found := s.standing(1); found {
				t.Errorf("recorded all the same: %+v", d)
			}
		})
	}
}

// TestShowsWhoWasFirst: where two must decide, the first's decision is seen while it
// waits for a second, and as what it was afterwards.
func TestShowsWhoWasFirst(t *testing.T) {
	s := newSite(t)
	first := incident.Decision{Incident: one, Round: 1, Choice: incident.Terminate, Override: true, Person: "sato", Reason: "seen", DecidedAt: s.at, MAC: []byte("of the first")}
	s.must(func(ctx context.Context) error {
		_, err := record.DecideFirst(ctx, s.aws.DynamoDB(), s.decisionsIn, first)
		return err
	})
	shows := func() string { return s.run((&show{Incident: one}).run).out }
	if out := s.run((&list{}).run).out; !strings.Contains(out, "open, one of two decided to terminate") {
		t.Errorf("a second person is wanted, and the list says\n%s", out)
	}
	if out := shows(); !strings.Contains(out, "terminate without complete evidence by sato") || !strings.Contains(out, "the first of two, not seconded: seen") {
		t.Errorf("while it waits:\n%s", out)
	}
	s.must(func(ctx context.Context) error {
		d := first
		d.Person, d.First, d.Seconds, d.MAC = "tanaka", first.Mark(), "sato", []byte("of the second")
		_, err := record.Decide(ctx, s.aws.DynamoDB(), s.decisionsIn, d)
		return err
	})
	if out := s.run((&list{}).run).out; strings.Contains(out, "one of two") {
		t.Errorf("it is decided, and the list says\n%s", out)
	}
	if out := shows(); !strings.Contains(out, "by sato () the first of two: seen") && !strings.Contains(out, "by sato (), the first of two: seen") || !strings.Contains(out, "by tanaka (), the second of two: seen") {
		t.Errorf("afterwards:\n%s", out)
	}
	var i struct {
		Decisions []struct{ Person, Seconds, Part string }
	}
	if err := json.Unmarshal([]byte(s.run((&show{Incident: one, JSON: true}).run).out), &i); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(i.Decisions); got != "[{sato  first} {tanaka sato second}]" {
		t.Errorf("show --json: %s", got)
	}
}

// People are asked for as long as a request is open on which nobody decided, not
// for as long as the incident's head says so.
func TestListSaysWhoIsAsked(t *testing.T) {
	s := newSite(t)
	s.close(record.Kept)
	s.must(func(ctx context.Context) error {
		h, err := record.LoadHead(ctx, s.aws.DynamoDB(), "cordon-incidents", one)
		if err != nil {
			return err
		}
		return record.Reopen(ctx, s.aws.DynamoDB(), "cordon-incidents", h, "later")
	})
	lists := func() string { return s.run((&list{}).run).out }
	if out := lists(); !strings.Contains(out, "kept, asking") {
		t.Errorf("people are asked, and the list says\n%s", out)
	}
	s.Sleep(25 * time.Hour)
	if out := lists(); strings.Contains(out, "asking") {
		t.Errorf("the request is over, and the list says\n%s", out)
	}
}

// TestListAndShow: what there is, plainly and as JSON; nothing by which anybody
// could decide, and nothing that a terminal would obey.
func TestListAndShow(t *testing.T) {
	s := newSite(t)
	s.must(func(ctx context.Context) error {
		_, err := record.Remember(ctx, s.aws.DynamoDB(), s.incidentsIn, s.host, s.incident(1), []record.Prior{{Resource: "eni-1", Attribute: "groups", Value: []byte(`["sg-1"]`), At: s.at}})
		return err
	})
	if got := s.decides("keep"); got.bad != nil {
		t.Fatal(got.bad)
	}
	s.close(record.Kept)
	for n, c := range []record.Closing{{Ending: "Isolated, undecided", Report: "incidents/x/reports/a.html"}, {Ending: "Kept isolated", Report: "incidents/x/reports/b.html"}, {}} {
		s.must(func(ctx context.Context) error {
			run := fmt.Sprint("run-", 9-n) // not in the order of their names
			_, err := record.BeginClosing(ctx, s.aws.DynamoDB(), s.incidentsIn, one, run, s.at.Add(time.Duration(n)*time.Hour))
			if err != nil || c.Ending == "" {
				return err
			}
			return record.EndClosing(ctx, s.aws.DynamoDB(), s.incidentsIn, one, run, c)
		})
	}
	s.Sleep(time.Hour)
	s.must(func(ctx context.Context) error {
		_, err := record.Claim(ctx, s.aws.DynamoDB(), s.incidentsIn, record.Head{Incident: s.incident(2), Execution: "x"})
		return err
	})
	link := regexp.MustCompile(`/d/\S+/(\S+)`).FindStringSubmatch(s.aws.Mails()[0].Body)[1]
	all := map[string]told{
		"list": s.run((&list{}).run), "list --json": s.run((&list{JSON: true}).run),
		"show": s.run((&show{Incident: one}).run), "show --json": s.run((&show{Incident: one, JSON: true}).run),
	}
	for name, got := range all {
		if got.bad != nil {
			t.Fatalf("%s: %v", name, got.bad)
		}
		for what, secret := range map[string]string{"the link's secret": link, "a task token": "secret-token", "a key's work": "secretHash", "an escape": "\x1b"} {
			if strings.Contains(got.out, secret) {
				t.Errorf("%s prints %s:\n%s", name, what, got.out)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(all["list"].out), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], strings.TrimSuffix(one, "1")+"2") || !strings.Contains(lines[0], "open") || !strings.Contains(lines[1], "kept") {
		t.Errorf("the list, the newest first:\n%s", all["list"].out)
	}
	if a, b, c := strings.Index(all["show"].out, "Isolated, undecided: incidents/x/reports/a.html"), strings.Index(all["show"].out, "Kept isolated: incidents/x/reports/b.html"), strings.Index(all["show"].out, "none is signed"); a < 0 || b < a || c < b {
		t.Errorf("show does not name the reports in order, and that of one that signed nothing:\n%s", all["show"].out)
	}
	for _, part := range []string{"kept", "groups of eni-1", `["sg-1"]`, "keep by Responder/sato", operator, "a pentest"} {
		if !strings.Contains(all["show"].out, part) {
			t.Errorf("show does not say %q:\n%s", part, all["show"].out)
		}
	}
	var i struct {
		Incident, State string
		Requests        []struct{ Round int }
		Decisions       []struct{ Decision, Identity string }
		Priors          []struct{ Resource string }
		Release         *struct{}
	}
	if err := json.Unmarshal([]byte(all["show --json"].out), &i); err != nil {
		t.Fatal(err)
	}
	if i.Incident != one || i.State != "kept" || len(i.Requests) != 1 || len(i.Decisions) != 1 || i.Decisions[0].Decision != "keep" || len(i.Priors) != 1 || i.Release != nil {
		t.Errorf("show --json: %+v", i)
	}
	if got := s.run((&show{Incident: "x"}).run); got.bad == nil || !strings.Contains(got.bad.Error(), "cordon list") {
		t.Errorf("show x: %v", got.bad)
	}
}

// TestSigned: the request carries a signature for the gateway over what is sent.
func TestSigned(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example"}
	cfg := aws.Config{Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil })}
	sent := func(body string) string {
		var got *http.Request
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/operator/"+one, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = signed(cfg, "eu-west-1", func() time.Time { return at }, func(r *http.Request) (*http.Response, error) {
			got = r
			return &http.Response{}, nil
		})(r)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := io.ReadAll(got.Body); err != nil || string(left) != body {
			t.Errorf("sent %q, %v; want what was signed", left, err)
		}
		return got.Header.Get("Authorization")
	}
	const body = `{"round":1}`
	want, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/operator/"+one, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	// echo -n '{"round":1}' | sha256sum
	const hash = "c9454709ccc41c4f2b6a1fe44a2e980dc4a39dc87f6d3ab46d3c9fb4d0903e92"
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, want, hash, "execute-api", "eu-west-1", at); err != nil {
		t.Fatal(err)
	}
	got := sent(body)
	if got != want.Header.Get("Authorization") || !strings.Contains(got, "/20260301/eu-west-1/execute-api/aws4_request") {
		t.Errorf("signed %q, want %q", got, want.Header.Get("Authorization"))
	}
	if sent(`{"round":2}`) == got {
		t.Error("two bodies have one signature")
	}
	if _, err := signed(aws.Config{}, "eu-west-1", time.Now, nil)(want); err == nil {
		t.Error("without credentials: no error")
	}
}

func TestOutputs(t *testing.T) {
	stack := cftypes.Stack{StackId: aws.String("arn:aws:cloudformation:eu-west-1:123456789012:stack/cordon/x")}
	for _, o := range []string{"DecisionUrl", "IncidentsTableName", "DecisionsTableName", "TopicArn", "EvidenceBucketName", "SigningKeyArn"} {
		if _, err := outputs("cordon", stack); err == nil || !strings.Contains(err.Error(), "has no output") {
			t.Errorf("without %s: %v", o, err)
		}
		stack.Outputs = append(stack.Outputs, cftypes.Output{OutputKey: aws.String(o), OutputValue: aws.String("the " + o)})
	}
	stack.Parameters = []cftypes.Parameter{{ParameterKey: aws.String("RetentionDays"), ParameterValue: aws.String("90")}}
	d, err := outputs("cordon", stack)
	if err != nil || d.evidenceIn != "the EvidenceBucketName" || d.signingKey != "the SigningKeyArn" || d.retentionDays != 90 || d.account != "123456789012" || d.region != "eu-west-1" || d.url != "the DecisionUrl" || d.incidentsIn != "the IncidentsTableName" || d.decisionsIn != "the DecisionsTableName" || len(d.topics) != 1 || d.topics[0].arn != "the TopicArn" {
		t.Errorf("%+v, %v", d, err)
	}
	stack.Outputs = append(stack.Outputs, cftypes.Output{OutputKey: aws.String("EscalationTopicArn"), OutputValue: aws.String("the other")})
	if d, err := outputs("cordon", stack); err != nil || len(d.topics) != 2 || d.topics[1].arn != "the other" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestOperatorsRights: the policy in docs/operators.md allows what the commands
// call and nothing else. Too little, and nobody can decide when it matters.
func TestOperatorsRights(t *testing.T) {
	text, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/operators.md has no policy")
	}
	var policy struct {
		Statement []struct {
			Sid, Effect string
			Action      any
			Condition   map[string]map[string]string
		}
	}
	if err := json.Unmarshal(block[1], &policy); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range policy.Statement {
		switch a := s.Action.(type) {
		case string:
			got = append(got, a)
		case []any:
			for _, one := range a {
				got = append(got, fmt.Sprint(one))
			}
		}
		if s.Sid == "AskOnceMore" {
			want := map[string]map[string]string{ // a call may bring several events, so both keys hold several values
				"ForAllValues:StringEquals": {"events:source": incident.WishSource, "events:detail-type": incident.WishType},
				"Null":                      {"events:source": "false", "events:detail-type": "false"},
			}
			if d := cmp.Diff(want, s.Condition); d != "" {
				t.Errorf("who may put events may put others than these (-want +got):\n%s", d)
			}
		}
	}
	want := []string{"cloudformation:DescribeStacks", "execute-api:Invoke"}
	for service, calls := range map[string]reflect.Type{"dynamodb": reflect.TypeFor[records](), "events": reflect.TypeFor[bus](), "sns": reflect.TypeFor[topics]()} {
		for m := range calls.Methods() {
			want = append(want, service+":"+m.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what the commands call and what the policy allows (-called +allowed):\n%s", d)
	}
}
