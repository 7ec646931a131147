package audience_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/audience"
	"cordon/internal/incident"
	"cordon/internal/lambdafn"
	"cordon/internal/sim"
	"cordon/internal/vtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/google/go-cmp/cmp"
)

const (
	topic  = "arn:aws:sns:eu-west-1:123456789012:cordon"
	others = "arn:aws:sns:eu-west-1:123456789012:cordon-escalation"
)

// to is a subscription as aws sns list-subscriptions tells of it.
func to(topic, protocol, endpoint string, confirmed bool) types.Subscription {
	arn := "PendingConfirmation"
	if confirmed {
		arn = topic + ":0a0b0c0d-" + endpoint
	}
	return types.Subscription{TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, SubscriptionArn: &arn, Owner: aws.String("123456789012")}
}

func open(t *testing.T, faults []sim.Fault, all ...types.Subscription) (*sim.Account, *vtime.Clock) {
	t.Helper()
	file, err := json.Marshal(map[string]any{"Reservations": []any{}, "NetworkInterfaces": []any{}, "Subscriptions": all})
	if err != nil {
		t.Fatal(err)
	}
	clock := vtime.New(1, time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC))
	a, err := sim.Open(sim.Settings{Clock: clock, Seed: 1, Faults: faults}, file)
	if err != nil {
		t.Fatal(err)
	}
	return a, clock
}

// look runs the step as Lambda does, with the event of a schedule.
func look(t *testing.T, a *sim.Account, clock *vtime.Clock, escalation string) (audience.Counts, error) {
	t.Helper()
	env := map[string]string{"TOPIC_ARN": topic, "ESCALATION_TOPIC_ARN": escalation}
	h, err := lambdafn.Handle(audience.New(incident.Host{Getenv: func(n string) string { return env[n] }}, a.SNS()))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	clock.Run(func() {
		out, err = h(context.Background(), []byte(`{"version":"0","source":"aws.events","detail-type":"Scheduled Event","detail":{}}`))
	})
	if err != nil {
		return audience.Counts{}, err
	}
	var o audience.Output
	if err := json.Unmarshal(out, &o); err != nil {
		t.Fatal(err)
	}
	return o.Counts, nil
}

func TestWhoCounts(t *testing.T) {
	for _, test := range []struct {
		name       string
		escalation string
		all        []types.Subscription
		want       audience.Counts
		nobody     []string // what nobody is subscribed to
	}{
		{"nobody at all", "", nil, audience.Counts{}, []string{"notifications: 0 are not confirmed or deleted, 0 reach no person"}},
		{"one that is not confirmed", "", []types.Subscription{to(topic, "email", "a@example.com", false)}, audience.Counts{}, []string{"notifications: 1 are not confirmed"}},
		{"one that was deleted", "", []types.Subscription{{TopicArn: aws.String(topic), Protocol: aws.String("email"), Endpoint: aws.String("a@example.com"), SubscriptionArn: aws.String("Deleted")}}, audience.Counts{}, []string{"notifications: 1 are not confirmed"}},
		{"a person", "", []types.Subscription{to(topic, "email", "a@example.com", true)}, audience.Counts{Notifications: 1}, nil},
		{"each way to a person", "", []types.Subscription{
			to(topic, "email", "a@example.com", true), to(topic, "email-json", "b@example.com", true), to(topic, "sms", "+15550100", true),
			to(topic, "application", "arn:aws:sns:x", true), to(topic, "https", "https://pager.example.com/x", true), to(topic, "http", "http://pager.example.com/x", true),
		}, audience.Counts{Notifications: 6}, nil},
		{"machines only", "", []types.Subscription{to(topic, "sqs", "q", true), to(topic, "lambda", "f", true), to(topic, "firehose", "s", true)}, audience.Counts{}, []string{"notifications: 0 are not confirmed or deleted, 3 reach no person"}},
		{"others only, who are to be told", others, []types.Subscription{to(others, "email", "boss@example.com", true)}, audience.Counts{}, []string{"notifications: 0"}},
		{"no others, who are to be told", others, []types.Subscription{to(topic, "email", "a@example.com", true), to(others, "email", "boss@example.com", false)}, audience.Counts{}, []string{"escalations: 1 are not confirmed"}},
		{"neither", others, nil, audience.Counts{}, []string{"notifications: 0", "escalations: 0"}},
		{"no others, who need not be told", "", []types.Subscription{to(topic, "email", "a@example.com", true), to(others, "email", "boss@example.com", false)}, audience.Counts{Notifications: 1}, nil},
		{"both", others, []types.Subscription{
			to(topic, "email", "a@example.com", true), to(topic, "email", "new@example.com", false), to(topic, "sqs", "q", true), to(others, "https", "https://p", true),
		}, audience.Counts{Notifications: 1, Escalations: 1, Deaf: 1, Others: 1}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, clock := open(t, nil, test.all...)
			got, err := look(t, a, clock, test.escalation)
			if (err != nil) != (test.nobody != nil) {
				t.Fatalf("%+v, %v", got, err)
			}
			for _, what := range test.nobody {
				if !strings.Contains(err.Error(), "nobody is subscribed to "+what) {
					t.Errorf("%v; want that nobody is subscribed to %s", err, what)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if err != nil && strings.Contains(err.Error(), "example.com") {
				t.Errorf("the log would have an address: %v", err)
			}
		})
	}
}

// TestEveryPageIsRead: the only person is on the third page.
func TestEveryPageIsRead(t *testing.T) {
	var all []types.Subscription
	for n := range 230 {
		all = append(all, to(topic, "sqs", fmt.Sprint("queue-", n), true))
	}
	all = append(all, to(topic, "email", "last@example.com", true))
	a, clock := open(t, nil, all...)
	if got, err := look(t, a, clock, ""); err != nil || got.Notifications != 1 || got.Others != 230 {
		t.Errorf("%+v, %v", got, err)
	}
	if n := len(a.Calls()); n != 3 {
		t.Errorf("%d calls, want three pages", n)
	}
}

// TestWhatCannotBeReadIsNotQuiet: an answer would keep the alarm quiet.
func TestWhatCannotBeReadIsNotQuiet(t *testing.T) {
	for _, kind := range []sim.Kind{sim.Denied, sim.Throttled, sim.Unavailable} {
		for n := range 2 {
			fault := sim.Fault{Service: "sns", Action: "ListSubscriptionsByTopic", Number: n + 1, Kind: kind}
			a, clock := open(t, []sim.Fault{fault}, to(topic, "email", "a@example.com", true), to(others, "email", "boss@example.com", true))
			if got, err := look(t, a, clock, others); err == nil {
				t.Errorf("%v: %+v, want an error", fault, got)
			}
			if got, err := look(t, a, clock, others); err != nil || got.Notifications != 1 || got.Escalations != 1 {
				t.Errorf("after %v: %+v, %v", fault, got, err)
			}
		}
	}
}

// TestScanner follows a subscription through its life: pending, confirmed, ended
// by a scanner that follows the link at the end of a mail; and one that was
// confirmed with a signature, which that link does not end.
func TestScanner(t *testing.T) {
	a, clock := open(t, nil, to(topic, "email", "a@example.com", false))
	hears := func(when string, want int) {
		t.Helper()
		if got, err := look(t, a, clock, ""); got.Notifications != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %+v, %v", when, got, err)
		}
	}
	hears("before anybody confirmed", 0)
	a.SNS().Click(topic, "a@example.com")
	hears("confirmed by the link", 1)
	a.SNS().ClickUnsubscribe(topic, "a@example.com")
	hears("ended by a scanner", 0)

	clock.Run(func() {
		if _, err := a.SNS().Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: aws.String(topic), Protocol: aws.String("email"), Endpoint: aws.String("a@example.com")}); err != nil {
			t.Error(err)
		}
		token := a.SNS().Token(topic, "a@example.com")
		if _, err := a.SNS().ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: aws.String(topic), Token: &token, AuthenticateOnUnsubscribe: aws.String("true")}); err != nil {
			t.Error(err)
		}
	})
	a.SNS().ClickUnsubscribe(topic, "a@example.com")
	hears("confirmed with a signature", 1)
}

func TestSettings(t *testing.T) {
	if _, err := audience.New(incident.Host{Getenv: func(string) string { return "" }}, nil); err == nil || !strings.Contains(err.Error(), "TOPIC_ARN") {
		t.Errorf("without a topic: %v", err)
	}
}
