package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
)

const (
	notifications = "arn:aws:sns:eu-west-1:123456789012:cordon"
	escalations   = "arn:aws:sns:eu-west-1:123456789012:cordon-escalation"
	person        = "security@example.com"
)

// mailed is a stack whose two topics have asked a person each, and the link of
// each confirmation mail.
func mailed(t *testing.T, faults ...sim.Fault) (s *site, link map[string]string) {
	t.Helper()
	s = newSite(t)
	var err error
	if s.aws, err = sim.Open(sim.Settings{Clock: s, Account: "123456789012", Region: "eu-west-1", Faults: faults}, nil); err != nil {
		t.Fatal(err)
	}
	s.sns, s.topics = s.aws.SNS(), []topic{{"notifications", notifications}, {"escalations", escalations}}
	link = map[string]string{}
	for _, arn := range []string{notifications, escalations} {
		if _, err := s.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("email"), Endpoint: aws.String(person)}); err != nil {
			t.Fatal(err)
		}
		link[arn] = "https://sns.eu-west-1.amazonaws.com/confirmation.html?TopicArn=" + arn + "&Token=" + s.aws.SNS().Token(arn, person) + "&Endpoint=" + person
	}
	return s, link
}

// subscribes runs the command with what is pasted where it is not shown, or
// written to standard input where nobody types.
func (s *site) subscribes(c subscribe, pasted string, types bool) told {
	var out, errs bytes.Buffer
	given := streams{in: strings.NewReader(pasted), out: &out, err: &errs}
	if types {
		given.in, given.hidden = nobody{}, func() (string, error) { return pasted, nil }
	}
	bad := c.run(s.t.Context(), given, s.deployed)
	return told{out.String(), errs.String(), bad}
}

// nobody is a standard input from which nothing may be read.
type nobody struct{}

func (nobody) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// signed is how the one subscription of a topic is confirmed.
func (s *site) signed(topic string) string {
	s.t.Helper()
	out, err := s.sns.ListSubscriptionsByTopic(s.t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Subscriptions) != 1 || !strings.HasPrefix(*out.Subscriptions[0].SubscriptionArn, "arn:") {
		return "gone or not confirmed"
	}
	how, err := s.sns.GetSubscriptionAttributes(s.t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: out.Subscriptions[0].SubscriptionArn})
	if err != nil {
		s.t.Fatal(err)
	}
	return how.Attributes["ConfirmationWasAuthenticated"]
}

// TestSubscribeConfirms: however the link or the token comes, it confirms with a
// signature, a scanner cannot end it, and the token stands nowhere.
func TestSubscribeConfirms(t *testing.T) {
	for name, give := range map[string]func(s *site, link, token string) told{
		"a link that is typed":              func(s *site, link, _ string) told { return s.subscribes(subscribe{}, link, true) },
		"a token that is typed":             func(s *site, _, token string) told { return s.subscribes(subscribe{}, token, true) },
		"a link on standard input":          func(s *site, link, _ string) told { return s.subscribes(subscribe{}, link+"\n", false) },
		"a token on standard input, with -": func(s *site, _, token string) told { return s.subscribes(subscribe{Token: "-"}, token+"\n", false) },
		"a token as an argument":            func(s *site, _, token string) told { return s.subscribes(subscribe{Token: token}, "", true) },
		"a link as an argument":             func(s *site, link, _ string) told { return s.subscribes(subscribe{Token: link}, "", false) },
	} {
		t.Run(name, func(t *testing.T) {
			s, link := mailed(t)
			for _, arn := range []string{escalations, notifications} { // the second topic first: a token does not say its own
				token := s.aws.SNS().Token(arn, person)
				got := give(s, link[arn], token)
				if s.signed(arn) != "true" || !strings.Contains(got.out, "nobody can end it without AWS credentials") {
					t.Errorf("%s: %s, %+v", arn, s.signed(arn), got)
				}
				// Until both are heard, the exit says so.
				if (got.bad == nil) != (arn == notifications) || got.bad != nil && !errors.Is(got.bad, errBad) {
					t.Errorf("%s: ends with %v", arn, got.bad)
				}
				if text := got.out + got.err; strings.Contains(text, token) {
					t.Errorf("the token is shown:\n%s", text)
				}
				s.aws.SNS().ClickUnsubscribe(arn, person)
				if s.signed(arn) != "true" {
					t.Error("a scanner has ended it")
				}
			}
		})
	}
}

// TestSubscribeRefuses what cannot be this stack's, before anything is called,
// and repeats none of it.
func TestSubscribeRefuses(t *testing.T) {
	const secret = "2336412f37fb687f5d51e6e2425c464de257e9a829aa2d84"
	for name, test := range map[string]struct{ text, want string }{
		"another host":             {"https://sns.eu-west-1.amazonaws.com.evil.example/confirmation.html?TopicArn=" + notifications + "&Token=" + secret, "leads to"},
		"a link that is rewritten": {"https://nam02.safelinks.example/?url=https%3A%2F%2Fsns&Token=" + secret, "rewrites links"},
		"another Region":           {"https://sns.us-east-1.amazonaws.com/confirmation.html?TopicArn=" + notifications + "&Token=" + secret, "leads to"},
		"no TLS":                   {"http://sns.eu-west-1.amazonaws.com/confirmation.html?TopicArn=" + notifications + "&Token=" + secret, "leads to"},
		"a name before the host":   {"https://" + secret + "@sns.eu-west-1.amazonaws.com/?TopicArn=" + notifications + "&Token=" + secret, "leads to"},
		"another topic":            {"https://sns.eu-west-1.amazonaws.com/confirmation.html?TopicArn=arn:aws:sns:eu-west-1:123456789012:other&Token=" + secret, "none that the stack cordon sends to"},
		"no token":                 {"https://sns.eu-west-1.amazonaws.com/confirmation.html?TopicArn=" + notifications, "no Token"},
		"two lines":                {"https://sns.eu-west-1.amazonaws.com/confirmation.html?TopicArn=" + notifications + "&Token=" + secret[:20] + "\n" + secret[20:], "no link"},
		"no link":                  {"https://%zz/" + secret, "no link"},
		"a sentence":               {"please confirm " + secret, "neither a link nor a token"},
		"part of a token":          {"2336412f", "neither a link nor a token"},
		"a whole mail":             {strings.Repeat(secret, 2000), "more than a link"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := mailed(t)
			before := len(s.aws.Calls())
			got := s.subscribes(subscribe{}, test.text, true)
			if got.bad == nil || errors.Is(got.bad, errBad) || !strings.Contains(got.bad.Error(), test.want) {
				t.Errorf("%v; want %q", got.bad, test.want)
			}
			if len(s.aws.Calls()) != before {
				t.Error("AWS is asked all the same")
			}
			if text := got.out + got.err + got.bad.Error(); strings.Contains(text, secret[:20]) || strings.Contains(text, secret[20:]) {
				t.Errorf("what was pasted is repeated:\n%s", text)
			}
		})
	}
}

// loud is SNS that repeats the token in its errors.
type loud struct {
	topics
	code string
}

func (l loud) ConfirmSubscription(_ context.Context, in *sns.ConfirmSubscriptionInput, _ ...func(*sns.Options)) (*sns.ConfirmSubscriptionOutput, error) {
	return nil, &smithy.GenericAPIError{Code: l.code, Message: "not with " + *in.Token}
}

func TestSubscribeSaysWhatIsWrong(t *testing.T) {
	s, link := mailed(t)
	unknown := strings.Repeat("ab", 60)
	if got := s.subscribes(subscribe{}, unknown, true); got.bad == nil || !strings.Contains(got.bad.Error(), "two days") || strings.Contains(got.bad.Error(), unknown) {
		t.Errorf("a token that SNS does not know: %v", got.bad)
	}
	s.Sleep(49 * time.Hour)
	if got := s.subscribes(subscribe{}, link[notifications], true); got.bad == nil || !strings.Contains(got.bad.Error(), "two days") {
		t.Errorf("a token that is too old: %v", got.bad)
	}
	if got := s.subscribes(subscribe{Escalation: true}, "", true); got.bad == nil || !strings.Contains(got.bad.Error(), "--email") {
		t.Errorf("--escalation alone: %v", got.bad)
	}
	for code, want := range map[string]string{"AuthorizationError": "may not", "AccessDenied": "may not", "InternalError": "confirm the subscription"} {
		s.sns = loud{s.aws.SNS(), code}
		token := strings.Repeat("cd", 60)
		if got := s.subscribes(subscribe{}, token, true); got.bad == nil || !strings.Contains(got.bad.Error(), want) || strings.Contains(got.bad.Error(), token) {
			t.Errorf("%s: %v", code, got.bad)
		}
	}
}

// TestConfirmedByTheLinkBefore: what SNS makes of a second confirmation AWS does
// not say. Whichever it is, the command tells what is so.
func TestConfirmedByTheLinkBefore(t *testing.T) {
	for _, reconfirms := range []bool{false, true} {
		s, link := mailed(t)
		s.topics = s.topics[:1]
		s.aws.SNS().Reconfirms = reconfirms
		s.aws.SNS().Click(notifications, person)
		if got := s.subscribes(subscribe{}, "", true); got.bad != nil || !strings.Contains(got.out, "confirmed by its link; whoever opens the link at the end of a mail ends it. Subscription arn:") {
			t.Errorf("listed: %+v", got)
		}
		got := s.subscribes(subscribe{}, link[notifications], true)
		if reconfirms {
			if got.bad != nil || strings.Contains(got.out, "ends it") {
				t.Errorf("changed: %+v", got)
			}
			continue
		}
		if !errors.Is(got.bad, errBad) || !strings.Contains(got.out, "aws sns unsubscribe --region eu-west-1 --subscription-arn "+notifications+":") || !strings.Contains(got.out, "cordon subscribe --email") {
			t.Errorf("not changed: %+v", got)
		}
	}
}

// TestHowItIsConfirmedIsNotKnown: the right to ask may lack.
func TestHowItIsConfirmedIsNotKnown(t *testing.T) {
	s, link := mailed(t, sim.Fault{Service: "sns", Action: "GetSubscriptionAttributes", Number: 1, Kind: sim.Denied}, sim.Fault{Service: "sns", Action: "GetSubscriptionAttributes", Number: 2, Kind: sim.Denied})
	got := s.subscribes(subscribe{}, link[notifications], true)
	if !errors.Is(got.bad, errBad) || !strings.Contains(got.out, "Whether a link can end it is not known") || !strings.Contains(got.out, "whether a link can end it is not known (AuthorizationError)") {
		t.Errorf("%+v", got)
	}
}

func TestSubscribeLists(t *testing.T) {
	s, _ := mailed(t)
	file := `{"Reservations": [], "NetworkInterfaces": [], "Subscriptions": [
		{"SubscriptionArn": "` + notifications + `:1", "TopicArn": "` + notifications + `", "Protocol": "https", "Endpoint": "https://pager.example.com/integration/SECRETKEY/enqueue"},
		{"SubscriptionArn": "` + notifications + `:2", "TopicArn": "` + notifications + `", "Protocol": "sqs", "Endpoint": "arn:aws:sqs:eu-west-1:123456789012:archive"},
		{"SubscriptionArn": "PendingConfirmation", "TopicArn": "` + notifications + `", "Protocol": "email", "Endpoint": "new@example.com"},
		{"SubscriptionArn": "` + escalations + `:1", "TopicArn": "` + escalations + `", "Protocol": "lambda", "Endpoint": "arn:aws:lambda:eu-west-1:123456789012:function:f"}]}`
	a, err := sim.Open(sim.Settings{Clock: s, Account: "123456789012", Region: "eu-west-1"}, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	s.sns = a.SNS()
	got := s.subscribes(subscribe{}, "", true)
	want := `notifications (` + notifications + `)
  https       pager.example.com: confirmed by its link; whoever opens the link at the end of a mail ends it. Subscription ` + notifications + `:1
  sqs         arn:aws:sqs:eu-west-1:123456789012:archive: confirmed; counts as nobody, since it may be an archive
  email       new@example.com: not confirmed, or deleted: gets nothing
escalations (` + escalations + `)
  lambda      arn:aws:lambda:eu-west-1:123456789012:function:f: confirmed; counts as nobody, since it may be an archive
  nobody hears this
`
	if got.out != want || !errors.Is(got.bad, errBad) {
		t.Errorf("%v\n%s", got.bad, got.out)
	}
}

func TestSubscribeAsks(t *testing.T) {
	s, _ := mailed(t)
	for arn, c := range map[string]subscribe{notifications: {Email: "new@example.com"}, escalations: {Email: "new@example.com", Escalation: true}} {
		got := s.subscribes(c, "", true)
		token := s.aws.SNS().Token(arn, "new@example.com")
		if got.bad != nil || token == "" || !strings.Contains(got.out, "Do not open the link") || strings.Contains(got.out, token) {
			t.Errorf("%s: %+v", arn, got)
		}
		s.aws.SNS().Click(arn, "new@example.com")
		if got := s.subscribes(c, "", true); got.bad != nil || !strings.Contains(got.out, "subscribed to") {
			t.Errorf("%s, again: %+v", arn, got)
		}
	}
	s.topics = s.topics[:1]
	if got := s.subscribes(subscribe{Email: person, Escalation: true}, "", true); got.bad == nil || !strings.Contains(got.bad.Error(), "EscalationEmail") {
		t.Errorf("a stack that escalates to nobody: %v", got.bad)
	}
}

// TestListAndShowWarn: where nobody is subscribed no mail can say so, and these
// are what an operator looks at.
func TestListAndShowWarn(t *testing.T) {
	for name, run := range map[string]func(*site) told{
		"list": func(s *site) told { return s.run((&list{JSON: true}).run) },
		"show": func(s *site) told { return s.run((&show{Incident: one, JSON: true}).run) },
	} {
		s := newSite(t)
		if got := run(s); got.bad != nil || !strings.Contains(got.err, "Nobody is subscribed to notifications") || strings.Contains(got.out, "subscribed") {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := s.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: aws.String(notifications), Protocol: aws.String("email"), Endpoint: aws.String(person)}); err != nil {
			t.Fatal(err)
		}
		s.aws.SNS().Click(notifications, person)
		if got := run(s); got.bad != nil || got.err != "" {
			t.Errorf("%s, with somebody: %+v", name, got)
		}
		s.topics[0].arn += "-gone"
		if got := run(s); got.bad != nil || !strings.Contains(got.err, "is not known") {
			t.Errorf("%s, where the list is refused: %+v", name, got)
		}
	}
}
