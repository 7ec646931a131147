package sim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"
)

const person = "a@example.com"

func subscribe(t *testing.T, a *sim.Account) string {
	t.Helper()
	out, err := a.SNS().Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: aws.String(topicARN), Protocol: aws.String("email"), Endpoint: aws.String(person)})
	if err != nil {
		t.Fatal(err)
	}
	return *out.SubscriptionArn
}

func confirm(t *testing.T, a *sim.Account, token string) (string, error) {
	t.Helper()
	out, err := a.SNS().ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: aws.String(topicARN), Token: &token, AuthenticateOnUnsubscribe: aws.String("true")})
	if err != nil {
		return "", err
	}
	return *out.SubscriptionArn, nil
}

// listed are the ARNs that a list tells of.
func listed(t *testing.T, a *sim.Account) (all []string) {
	t.Helper()
	pages := sns.NewListSubscriptionsByTopicPaginator(a.SNS(), &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(topicARN)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Subscriptions {
			all = append(all, *s.SubscriptionArn)
		}
	}
	return all
}

func authenticated(t *testing.T, a *sim.Account, arn string) string {
	t.Helper()
	out, err := a.SNS().GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	return out.Attributes["ConfirmationWasAuthenticated"]
}

// Until it is confirmed, a subscription has words in the place of its ARN, and
// not the same ones in both answers.
// https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
// https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
func TestConfirmedWithASignature(t *testing.T) {
	a := services(t)
	if got := subscribe(t, a); got != "pending confirmation" {
		t.Errorf("Subscribe answers %q", got)
	}
	if diff := cmp.Diff([]string{"PendingConfirmation"}, listed(t, a)); diff != "" {
		t.Error(diff)
	}
	if _, err := confirm(t, a, "another"); err == nil {
		t.Error("a token that nobody was sent confirms")
	} else {
		wantCode(t, err, "InvalidParameter", "Token")
	}
	arn, err := confirm(t, a, a.SNS().Token(topicARN, person))
	if err != nil || !strings.HasPrefix(arn, topicARN+":") {
		t.Fatalf("%q, %v", arn, err)
	}
	if diff := cmp.Diff([]string{arn}, listed(t, a)); diff != "" {
		t.Error(diff)
	}
	if authenticated(t, a, arn) != "true" {
		t.Error("the confirmation was signed, and does not count as such")
	}
	a.SNS().ClickUnsubscribe(topicARN, person)
	if len(listed(t, a)) != 1 {
		t.Error("a link ends what only a signature may end")
	}
	if got := subscribe(t, a); got != arn {
		t.Errorf("who is subscribed already is %q, want the same ARN", got)
	}
}

// The link of the mail confirms without a signature, and then the link at the
// end of every mail ends the subscription. What a second confirmation does to it
// AWS does not say.
// https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
func TestConfirmedByTheLink(t *testing.T) {
	for _, reconfirms := range []bool{false, true} {
		a := services(t)
		a.SNS().Reconfirms = reconfirms
		subscribe(t, a)
		a.SNS().Click(topicARN, person)
		arn := listed(t, a)[0]
		if authenticated(t, a, arn) != "false" {
			t.Error("a click counts as signed")
		}
		again, err := confirm(t, a, a.SNS().Token(topicARN, person))
		if err != nil || again != arn {
			t.Errorf("%q, %v; want %s", again, err, arn)
		}
		if got := authenticated(t, a, arn); got != fmt.Sprint(reconfirms) {
			t.Errorf("confirmed again: %s, want %v", got, reconfirms)
		}
		a.SNS().ClickUnsubscribe(topicARN, person)
		if kept := len(listed(t, a)) == 1; kept != reconfirms {
			t.Errorf("after the link at the end of a mail it is there: %v, want %v", kept, reconfirms)
		}
	}
}

// https://aws.amazon.com/about-aws/whats-new/2023/05/amazon-sns-automatic-deletion-unconfirmed-subscriptions/
func TestPendingForTwoDays(t *testing.T) {
	a, clock := servicesWithClock(t)
	subscribe(t, a)
	first := a.SNS().Token(topicARN, person)
	clock.Sleep(47 * time.Hour)
	if len(listed(t, a)) != 1 {
		t.Error("it is gone after 47 hours")
	}
	clock.Sleep(2 * time.Hour)
	if len(listed(t, a)) != 0 {
		t.Error("it is there after 49 hours")
	}
	if _, err := confirm(t, a, first); err == nil {
		t.Error("its token still confirms")
	}
	subscribe(t, a)
	if a.SNS().Token(topicARN, person) == first {
		t.Error("a second mail has the token of the first")
	}
}

// https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html
func TestSubscriptionsInPages(t *testing.T) {
	var all []map[string]string
	for n := range 201 {
		all = append(all, map[string]string{"SubscriptionArn": fmt.Sprint(topicARN, ":", n), "TopicArn": topicARN, "Protocol": "sqs", "Endpoint": fmt.Sprint("q", n)})
	}
	all = append(all, map[string]string{"SubscriptionArn": "arn:aws:sns:eu-west-1:123456789012:another:1", "TopicArn": topicARN + "x", "Protocol": "sqs", "Endpoint": "q"})
	file, err := json.Marshal(map[string]any{"Reservations": []any{}, "NetworkInterfaces": []any{}, "Subscriptions": all})
	if err != nil {
		t.Fatal(err)
	}
	a, err := sim.Open(sim.Settings{Clock: &wall{begun}}, file)
	if err != nil {
		t.Fatal(err)
	}
	if got := listed(t, a); len(got) != 201 || got[200] != topicARN+":200" {
		t.Errorf("%d subscriptions", len(got))
	}
	if n := len(a.Calls()); n != 3 {
		t.Errorf("%d calls, want three pages of 100", n)
	}
	_, err = a.SNS().ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(topicARN + "y")})
	wantCode(t, err, "NotFound", "Topic")
	out, err := a.JSON()
	if err != nil || strings.Count(string(out), `"SubscriptionArn"`) != 202 {
		t.Errorf("the account tells of %d subscriptions, %v", strings.Count(string(out), `"SubscriptionArn"`), err)
	}
}
