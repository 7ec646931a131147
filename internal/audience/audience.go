// Package audience looks whether anybody is subscribed to what Cordon says. A
// topic takes every message, and SNS delivers those to nobody without an error:
// only the list of subscriptions tells.
package audience

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// SNS is the part of the SNS API this step calls.
type SNS interface {
	sns.ListSubscriptionsByTopicAPIClient
}

// Step looks.
type Step struct {
	sns SNS

	topic      string
	escalation string // empty where nobody is to be told that nobody decides
}

// New reads TOPIC_ARN, and ESCALATION_TOPIC_ARN, which may be empty.
func New(host incident.Host, sns SNS) (*Step, error) {
	topic, err := host.Setting("TOPIC_ARN")
	if err != nil {
		return nil, err
	}
	return &Step{sns: sns, topic: topic, escalation: host.Getenv("ESCALATION_TOPIC_ARN")}, nil
}

// Input is nothing: whatever the schedule sends.
type Input struct{}

// Output is what the log and the alarm see: numbers, no addresses.
type Output struct {
	Counts Counts `json:"counts"`
}

// Counts are subscriptions. Those of escalations are 0 where nobody is to be told.
type Counts struct {
	Notifications int `json:"notifications"` // that are confirmed and reach people
	Escalations   int `json:"escalations"`
	Deaf          int `json:"deaf"`   // of both topics: not confirmed, or deleted, so they get nothing
	Others        int `json:"others"` // of both topics: queues, functions, streams
}

// Run changes nothing. It fails where nobody hears what is said: its answer is
// what keeps the alarm quiet, and no answer raises it.
func (s *Step) Run(ctx context.Context, _ Input) (Output, error) {
	var c Counts
	err := s.count(ctx, "notifications", s.topic, &c.Notifications, &c)
	if s.escalation != "" { // looked at although nobody may hear notifications: both are said at once
		err = errors.Join(err, s.count(ctx, "escalations", s.escalation, &c.Escalations, &c))
	}
	return Output{c}, err
}

func (s *Step) count(ctx context.Context, what, topic string, people *int, c *Counts) error {
	pages := sns.NewListSubscriptionsByTopicPaginator(s.sns, &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	deaf, others := 0, 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list who is subscribed to %s: %w", what, err)
		}
		for _, one := range page.Subscriptions {
			switch {
			case !Confirmed(one):
				deaf++
			case Reaches(one):
				*people++
			default:
				others++
			}
		}
	}
	c.Deaf += deaf
	c.Others += others
	if *people == 0 {
		return fmt.Errorf("nobody is subscribed to %s: %d are not confirmed or deleted, %d reach no person", what, deaf, others)
	}
	return nil
}

// Confirmed tells whether SNS delivers to a subscription. In the place of an ARN
// stands PendingConfirmation or Deleted where it does not.
// https://docs.aws.amazon.com/sdk-for-ruby/v3/developer-guide/sns-example-create-subscription.html
// https://repost.aws/knowledge-center/sns-cross-account-subscription
func Confirmed(s types.Subscription) bool {
	return strings.HasPrefix(aws.ToString(s.SubscriptionArn), "arn:")
}

// Reaches tells whether a subscription is a person's: mail, a text message, a
// telephone, or an address on the web, as pagers and chats have. Queues,
// functions and streams are often archives or forwarders of logs; that one of
// them wakes somebody cannot be seen from here, so none of them counts.
// The protocols: https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
func Reaches(s types.Subscription) bool {
	switch aws.ToString(s.Protocol) {
	case "email", "email-json", "sms", "application", "http", "https":
		return true
	}
	return false
}
