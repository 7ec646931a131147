package approval_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/approval"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
	"cordon/internal/vtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
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
		Finding: incident.Finding{ID: "f1", Type: "Backdoor:EC2/C&CActivity.B", Severity: 8, Region: "eu-west-1", AccountID: "123456789012"},
	}
	instance = incident.Instance{ID: inc.InstanceID, Name: "web-1"}
)

// world is an account, and a machine in which tasks wait.
type world struct {
	t         *testing.T
	clock     *vtime.Clock
	aws       *sim.Account
	step      *approval.Step
	delivered map[string]string // what each token was answered with
}

func open(t *testing.T, faults ...sim.Fault) *world { return openWith(t, 1, faults...) }

func openWith(t *testing.T, seed uint64, faults ...sim.Fault) *world {
	t.Helper()
	clock := vtime.New(seed, begun)
	account, err := sim.Open(sim.Settings{Clock: clock, Seed: seed, Faults: faults}, []byte(`{"Reservations": [], "NetworkInterfaces": [], "Incidents": [{"Table": "incidents", "Item": {
		"pk": {"S": "123456789012.eu-west-1.i-0123456789abcdef0"}, "sk": {"S": "incident#000001"},
		"state": {"S": "open"}, "execution": {"S": "x"}, "decision": {"S": "release"}, "body": {"S": "{}"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clock, aws: account, delivered: map[string]string{}}
	account.SFN().OnSuccess = func(token, output string) error {
		if _, over := w.delivered[token]; over {
			return sim.ErrTaskTimedOut
		}
		w.delivered[token] = output
		return nil
	}
	w.step, err = approval.New(w.host(nil), account.SNS(), account.KMS(), account.SFN(), account.DynamoDB(), account.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) host(change map[string]string) incident.Host {
	env := map[string]string{
		"INCIDENTS_TABLE": incidents, "DECISIONS_TABLE": decisions, "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:cordon",
		"DATA_KEY_ID": "data", "LANGUAGE": "en", "APPROVAL_HOURS": "24", "APPROVAL_IDENTITY": "Link", "APPROVERS_FOR_TERMINATION": "1", "API_URL": api + "/", "ASKED_EMAIL": "security@example.com",
	}
	for k, v := range change {
		env[k] = v
	}
	return incident.Host{Now: w.clock.Now, Rand: w.clock.Rand("host"), Each: w.clock.Each, Getenv: func(name string) string { return env[name] }}
}

func (w *world) do(f func(context.Context)) {
	w.t.Helper()
	w.clock.Run(func() {
		ctx, end := w.clock.Deadline(w.t.Context(), w.clock.Now().Add(25*time.Second))
		defer end()
		f(sim.WithInvocation(ctx, &sim.Invocation{Function: "approval", Kill: end}))
	})
}

func (w *world) ask(round int, token string) (out approval.Output, err error) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		out, err = w.step.Run(ctx, approval.Input{Incident: inc, Execution: "x", Instance: instance, Round: round, Token: token})
	})
	return out, err
}

func (w *world) request(round int) (r record.Request) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		var found bool
		var err error
		if r, found, err = record.LoadRequest(ctx, w.aws.DynamoDB(), incidents, inc.ID, round); err != nil || !found {
			w.t.Fatalf("request %d: found %v, %v", round, found, err)
		}
	})
	return r
}

// token is what stands behind the link, read as the page reads it.
func (w *world) token(r record.Request) (token string) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		out, err := w.aws.KMS().Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String("data"), CiphertextBlob: r.Token, EncryptionContext: map[string]string{
			"purpose": "token", "incident": r.Incident, "round": fmt.Sprint(r.Round),
		}})
		if err != nil {
			w.t.Fatal(err)
		}
		token = string(out.Plaintext)
	})
	return token
}

// links are those in all mails, in order.
func (w *world) links() []string {
	var all []string
	for _, m := range w.aws.Mails() {
		for _, line := range strings.Split(m.Body, "\n") {
			if strings.HasPrefix(line, api) {
				all = append(all, line)
			}
		}
	}
	return all
}

// holds checks that the link in a mail is that of the request.
func holds(t *testing.T, link string, r record.Request) {
	t.Helper()
	secret, ok := strings.CutPrefix(link, fmt.Sprintf("%s/d/%s.%d/", api, r.Incident, r.Round))
	hash := sha256.Sum256([]byte(secret))
	if !ok || len(secret) < 22 || hex.EncodeToString(hash[:]) != r.SecretHash {
		t.Errorf("the link %q does not open request %s.%d: it was lost", link, r.Incident, r.Round)
	}
}

func TestAsks(t *testing.T) {
	w := open(t)
	out, err := w.ask(1, "token-1")
	if err != nil || out.Status != incident.OK {
		t.Fatalf("%+v, %v", out, err)
	}
	r, links := w.request(1), w.links()
	if len(links) != 1 {
		t.Fatalf("%d links were mailed, want one", len(links))
	}
	holds(t, links[0], r)
	if got := w.token(r); got != "token-1" {
		t.Errorf("behind the link is %q, want the token of the waiting task", got)
	}
	if !r.ExpiresAt.Equal(r.OpenedAt.Add(24 * time.Hour)) {
		t.Errorf("opened %v, ends %v, want a day", r.OpenedAt, r.ExpiresAt)
	}
	mail := w.aws.Mails()[0]
	secret := links[0][strings.LastIndex(links[0], "/")+1:]
	if strings.Contains(mail.Subject, secret) || strings.Contains(mail.Body+mail.Subject, "token-1") {
		t.Error("a secret stands where anybody reads it")
	}
	b, err := w.aws.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.Contains(s, secret) || strings.Contains(s, "token-1") {
		t.Error("the record holds the link's secret or the task token in plain text")
	}
}

// A retry of the machine brings a new token. The link stays, nobody is mailed
// again, and the page reaches the task that waits now.
func TestRetryKeepsTheLink(t *testing.T) {
	w := open(t)
	for _, token := range []string{"token-1", "token-2", "token-3"} {
		if _, err := w.ask(1, token); err != nil {
			t.Fatal(err)
		}
		r := w.request(1)
		if got := w.token(r); got != token {
			t.Errorf("behind the link is %q, want %q: the decision would reach nobody", got, token)
		}
		if links := w.links(); len(links) != 1 {
			t.Errorf("%d mails, want one", len(links))
		}
		holds(t, w.links()[0], r)
	}
}

// Two invocations for one round, as after an answer of Lambda that was lost.
// Whoever is second mails the link of the first, or none.
func TestBothAtOnce(t *testing.T) {
	w := open(t)
	errs := make([]error, 2)
	w.do(func(ctx context.Context) {
		w.clock.Each(2, func(n int) {
			_, errs[n] = w.step.Run(ctx, approval.Input{Incident: inc, Execution: "x", Instance: instance, Round: 1, Token: "token-1"})
		})
	})
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	r, links := w.request(1), w.links()
	if len(links) == 0 {
		t.Fatal("nobody was mailed")
	}
	for _, link := range links {
		holds(t, link, r)
	}
}

func TestRoundsHaveLinksOfTheirOwn(t *testing.T) {
	w := open(t)
	if _, err := w.ask(1, "token-1"); err != nil {
		t.Fatal(err)
	}
	w.do(func(ctx context.Context) {
		_, err := w.step.Run(ctx, approval.Input{
			Incident: inc, Execution: "x", Instance: instance, Round: 2, Token: "token-2",
			Problem: incident.Problem{Error: "Refused", Cause: `{"errorMessage":"snap-1 is pending","errorType":"Refused"}`},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	links := w.links()
	if len(links) != 2 || links[0] == links[1] {
		t.Fatalf("links %v, want two different ones", links)
	}
	holds(t, links[1], w.request(2))
	if !strings.Contains(w.aws.Mails()[1].Body, "snap-1 is pending") || !strings.Contains(w.request(2).Problem, "snap-1 is pending") {
		t.Error("people are asked again and not told why")
	}
}

// A round is asked again only where something was decided before: after a
// decision to isolate, or for an incident that was taken over, it is asked.
func TestLaterRoundWithoutAProblemIsAsked(t *testing.T) {
	w := open(t)
	if _, err := w.ask(2, "t"); err != nil {
		t.Fatal(err)
	}
	if subject := w.aws.Mails()[0].Subject; !strings.HasPrefix(subject, "[DECIDE] ") || w.request(2).Problem != "" {
		t.Errorf("%q tells of a decision that could not be carried out; there was none", subject)
	}
}

func TestAsksBeforeIsolating(t *testing.T) {
	w := open(t)
	w.do(func(ctx context.Context) {
		if _, err := w.step.Run(ctx, approval.Input{Incident: inc, Execution: "x", Instance: instance, Round: 1, Token: "t", Before: "ten were isolated within an hour"}); err != nil {
			t.Fatal(err)
		}
	})
	mail, r := w.aws.Mails()[0], w.request(1)
	for _, want := range []string{"NOT isolated", "ten were isolated within an hour", "Isolate:", "Leave alone:"} {
		if !strings.Contains(mail.Subject+mail.Body, want) {
			t.Errorf("the mail lacks %q:\n%s\n%s", want, mail.Subject, mail.Body)
		}
	}
	if strings.Contains(mail.Body, "Terminate:") || strings.Contains(mail.Body, "stays isolated") {
		t.Errorf("the mail offers what is not to be decided:\n%s", mail.Body)
	}
	if want := []incident.Choice{incident.Isolate, incident.Leave}; !slices.Equal(want, r.Choices()) {
		t.Errorf("the request is about %v, want %v", r.Choices(), want)
	}
	holds(t, w.links()[0], r)
}

func (w *world) decide(round int) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		if _, err := record.Decide(ctx, w.aws.DynamoDB(), decisions, incident.Decision{Incident: inc.ID, Round: round, Choice: incident.Release}); err != nil {
			w.t.Fatal(err)
		}
	})
}

func TestStandingDecisionAnswersAtOnce(t *testing.T) {
	for _, mailed := range []bool{true, false} {
		w := open(t)
		if mailed {
			if _, err := w.ask(1, "token-1"); err != nil {
				t.Fatal(err)
			}
		}
		before := len(w.aws.Mails())
		w.decide(1)
		for range 2 { // a lost answer means the step runs again
			if out, err := w.ask(1, "token-2"); err != nil || out.Status != incident.OK {
				t.Fatalf("%+v, %v", out, err)
			}
		}
		if diff := cmp.Diff(map[string]string{"token-2": `{"decision":"release","round":1}`}, w.delivered); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if len(w.aws.Mails()) != before {
			t.Error("people are asked what they have already decided")
		}
	}
}

// A release that was not carried out must not end the capture of the next round.
func TestAskingAnewForgetsTheLastDecision(t *testing.T) {
	w := open(t)
	noted := func() incident.Choice {
		h, err := record.LoadHead(t.Context(), w.aws.DynamoDB(), incidents, inc.ID)
		if err != nil {
			t.Error(err)
		}
		return h.Decision
	}
	w.clock.Run(func() {
		for _, c := range []struct {
			round int
			want  incident.Choice
		}{{1, incident.Release}, {2, ""}} {
			if _, err := w.step.Run(t.Context(), approval.Input{Incident: inc, Execution: "x", Round: c.round, Token: "token"}); err != nil {
				t.Error(err)
			}
			if got := noted(); got != c.want {
				t.Errorf("after asking in round %d the record says %q, want %q", c.round, got, c.want)
			}
		}
	})
}

func TestDecisionOnAnotherRoundIsNoAnswer(t *testing.T) {
	w := open(t)
	w.decide(1)
	if _, err := w.ask(2, "token-2"); err != nil {
		t.Fatal(err)
	}
	if len(w.delivered) != 0 || len(w.links()) != 1 {
		t.Error("the decision that was refused answered the request that came of it")
	}
}

func TestExpiredRequestIsNotMailed(t *testing.T) {
	w := open(t, sim.Fault{Service: "sns", Action: "Publish", Number: 1, Kind: sim.Unavailable})
	if _, err := w.ask(1, "token-1"); err == nil {
		t.Fatal("the mail was refused, and the step says that all is well")
	}
	w.clock.Run(func() { w.clock.Sleep(24 * time.Hour) })
	out, err := w.ask(1, "token-2")
	if err != nil || out.Status != incident.Skipped || len(w.links()) != 0 {
		t.Errorf("%+v, %v, %d mails: want none about a request that has ended", out, err, len(w.links()))
	}
}

// Every call that changes something is once refused, once made without an
// answer, and once the last thing an invocation does. The step runs again, with
// a new token, as the machine does.
func TestKill(t *testing.T) {
	undisturbed := open(t)
	if _, err := undisturbed.ask(1, "token-1"); err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for _, c := range undisturbed.aws.Calls() {
		numbers[c.Service+":"+c.Action]++
		if !c.Mutating && c.Action != "Encrypt" {
			continue
		}
		for _, kind := range []sim.Kind{sim.Denied, sim.Lost, sim.KilledBefore, sim.KilledAfter, sim.Late} {
			fault := sim.Fault{Service: c.Service, Action: c.Action, Number: numbers[c.Service+":"+c.Action], Kind: kind}
			t.Run(fault.String(), func(t *testing.T) {
				w := open(t, fault)
				if _, err := w.ask(1, "token-1"); err == nil {
					t.Error("the step says that all is well")
				}
				if out, err := w.ask(1, "token-2"); err != nil || out.Status != incident.OK {
					t.Fatalf("%+v, %v", out, err)
				}
				r, links := w.request(1), w.links()
				if len(links) == 0 || len(links) > 2 {
					t.Fatalf("%d links were mailed", len(links))
				}
				for _, link := range links {
					holds(t, link, r)
				}
				if made := kind == sim.Lost || kind == sim.KilledAfter || kind == sim.Late; len(links) == 2 && !(fault.Action == "Publish" && made || fault.Action == "UpdateItem") {
					t.Error("people are mailed twice though the first mail was known to have gone")
				}
				if got := w.token(r); got != "token-2" {
					t.Errorf("behind the link is %q, want the newest token", got)
				}
				if r.MailedAt.IsZero() {
					t.Error("the mail is not noted: every retry mails again")
				}
			})
		}
	}
	if len(numbers) < 5 {
		t.Errorf("only %v were called", numbers)
	}
}

func TestRefusesNonsense(t *testing.T) {
	w := open(t)
	for _, in := range []approval.Input{{Incident: inc, Execution: "x", Round: 1}, {Incident: inc, Execution: "x", Token: "t"}, {Execution: "x", Round: 1, Token: "t"}, {Incident: inc, Round: 1, Token: "t"}} {
		w.do(func(ctx context.Context) {
			if out, err := w.step.Run(ctx, in); err == nil {
				t.Errorf("%+v: %+v, want an error", in, out)
			}
		})
	}
	if n := len(w.aws.Mails()); n != 0 {
		t.Errorf("%d mails about nothing", n)
	}
}

func TestSettings(t *testing.T) {
	w := open(t)
	for _, name := range []string{"INCIDENTS_TABLE", "DECISIONS_TABLE", "TOPIC_ARN", "DATA_KEY_ID", "LANGUAGE", "APPROVAL_HOURS", "API_URL", "ASKED_EMAIL", "APPROVAL_IDENTITY", "APPROVERS_FOR_TERMINATION"} {
		_, err := approval.New(w.host(map[string]string{name: ""}), w.aws.SNS(), w.aws.KMS(), w.aws.SFN(), w.aws.DynamoDB(), w.aws.DynamoDB())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v, want an error that names it", name, err)
		}
	}
}

// TestSignInLinkHoldsNoSecret: where people sign in, the mail is worth nothing to
// whoever else reads it. The request has its secret all the same, unsaid.
func TestSignInLinkHoldsNoSecret(t *testing.T) {
	w := open(t)
	step, err := approval.New(w.host(map[string]string{"APPROVAL_IDENTITY": "VerifiedAccess", "APPROVERS_FOR_TERMINATION": "2"}),
		w.aws.SNS(), w.aws.KMS(), w.aws.SFN(), w.aws.DynamoDB(), w.aws.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	w.step = step
	if _, err := w.ask(1, "token-1"); err != nil {
		t.Fatal(err)
	}
	body := w.aws.Mails()[0].Body
	if !strings.Contains(body, "\n"+api+"/d/"+inc.ID+".1\n") || strings.Count(body, "/d/") != 1 {
		t.Errorf("the link is not the request alone:\n%s", body)
	}
	for text, want := range map[string]bool{"asks you to sign in": true, "needs two people": true, "Whoever has this link": false} {
		if strings.Contains(body, text) != want {
			t.Errorf("%q in the mail: want %v", text, want)
		}
	}
	if r := w.request(1); len(r.Secret) == 0 || r.SecretHash == "" {
		t.Error("the request has no secret: after a change back to links nobody could be reminded")
	}
}
