package rehearsal_test

import (
	"fmt"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"
)

// subscribes has an address mailed, and the link or the token in that mail used.
func subscribes(t *testing.T, s *sim.SNS, topic, address, how string) {
	t.Helper()
	if _, err := s.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: &address}); err != nil {
		t.Error(err)
	}
	switch how {
	case "link":
		s.Click(topic, address)
	case "token":
		token := s.Token(topic, address)
		if _, err := s.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &token, AuthenticateOnUnsubscribe: aws.String("true")}); err != nil {
			t.Error(err)
		}
	}
}

// TestAudience lets looks pass as the template has them on a schedule, and holds
// what each answers against who is subscribed then. The alarm is quiet where one
// of the last two answered: TestAudienceIsLookedFor.
func TestAudience(t *testing.T) {
	const address, boss = "security@example.com", "boss@example.com"
	for escalation, want := range map[string][]bool{
		"":   {false, false, true, false, true, true, true, true, true},
		boss: {false, false, false, false, false, false, true, false, true},
	} {
		o := options(readFile(t, "plain.json"))
		o.Parameters = map[string]string{"EscalationEmail": escalation}
		got, calls, err := rehearsal.Scheduled(o, len(want), func(look int, s *sim.SNS, topic, others string) {
			switch look {
			case 1:
				subscribes(t, s, topic, address, "")
			case 2:
				s.Click(topic, address)
			case 3: // a scanner opens the link at the end of a mail
				s.ClickUnsubscribe(topic, address)
			case 4:
				subscribes(t, s, topic, address, "token")
			case 5:
				s.ClickUnsubscribe(topic, address)
				subscribes(t, s, others, boss, "")
			case 6:
				s.Click(others, boss)
			case 7:
				s.ClickUnsubscribe(others, boss)
			case 8:
				subscribes(t, s, others, boss, "token")
				s.ClickUnsubscribe(others, boss)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("escalation to %q: what the looks answered (-want +got):\n%s", escalation, diff)
		}
		for _, c := range calls {
			if c.By != nil && c.Mutating {
				t.Errorf("looking changes something: %s", c.Action)
			}
		}
	}
}

// TestAudienceIsRepeated: one look that is refused is repeated within the minute,
// so that a hiccup of SNS does not add up to half an hour of silence.
func TestAudienceIsRepeated(t *testing.T) {
	o := options(readFile(t, "plain.json"))
	o.Faults = []sim.Fault{{Service: "sns", Action: "ListSubscriptionsByTopic", Number: 2, Kind: sim.Throttled}, {Service: "sns", Action: "ListSubscriptionsByTopic", Number: 3, Kind: sim.KilledBefore}}
	got, calls, err := rehearsal.Scheduled(o, 3, func(look int, s *sim.SNS, topic, _ string) {
		if look == 0 {
			subscribes(t, s, topic, "security@example.com", "link")
		}
	})
	if err != nil || fmt.Sprint(got) != "[true true true]" {
		t.Errorf("%v, %v", got, err)
	}
	looks := 0
	for _, c := range calls {
		if c.Action == "ListSubscriptionsByTopic" {
			looks++
		}
	}
	if looks != 5 {
		t.Errorf("%d calls, want one a look and two that were repeated", looks)
	}
}
