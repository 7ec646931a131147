package sim

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// subscription is one as SNS has it. Its ARN is there from the beginning, and is
// told of in lists only once it is confirmed.
type subscription struct {
	types.Subscription
	arn           string
	token         string    // of the newest confirmation mail
	asked         time.Time // when that mail went
	confirmed     bool
	authenticated bool // only its owner and the topic's can end it
}

const (
	pendingARN = "PendingConfirmation" // in lists, in the place of an ARN
	// What is not confirmed within two days is deleted, and its token with it.
	// https://aws.amazon.com/about-aws/whats-new/2023/05/amazon-sns-automatic-deletion-unconfirmed-subscriptions/
	pendingFor = 48 * time.Hour
	// https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html
	subscriptionsPage = 100
)

// sections is the account file's Subscriptions, as aws sns list-subscriptions
// answers. One that has an ARN is confirmed, by the link in the mail.
func (s *SNS) sections() []section {
	return []section{{"Subscriptions", func(from *value) error {
		all, err := as(from, decoded[[]types.Subscription])
		if err != nil {
			return err
		}
		for _, one := range clone(all) {
			s.add(one, aws.ToString(one.SubscriptionArn) != pendingARN)
		}
		return nil
	}, func() any {
		all := []types.Subscription{}
		for _, one := range s.subscriptions {
			all = append(all, one.Subscription)
		}
		return all
	}}}
}

func (s *SNS) add(one types.Subscription, confirmed bool) *subscription {
	made := &subscription{Subscription: one, confirmed: confirmed, asked: s.a.now()}
	made.arn = aws.ToString(one.SubscriptionArn)
	if !confirmed {
		made.arn = aws.ToString(one.TopicArn) + ":" + s.a.token("subscription", aws.ToString(one.TopicArn), aws.ToString(one.Protocol), aws.ToString(one.Endpoint))[:32]
		made.SubscriptionArn = aws.String(pendingARN)
	}
	s.subscriptions = append(s.subscriptions, made)
	return made
}

// settle forgets what was not confirmed in time.
func (s *SNS) settle() {
	s.subscriptions = slices.DeleteFunc(s.subscriptions, func(one *subscription) bool {
		return !one.confirmed && one.asked.Add(pendingFor).Before(s.a.now())
	})
}

// Token is what stands in the newest confirmation mail to an address; empty if
// none went.
func (s *SNS) Token(topic, endpoint string) string {
	for _, one := range s.subscriptions {
		if aws.ToString(one.TopicArn) == topic && aws.ToString(one.Endpoint) == endpoint {
			return one.token
		}
	}
	return ""
}

// Click is somebody, or a scanner, who opens the link in a confirmation mail.
func (s *SNS) Click(topic, endpoint string) {
	for _, one := range s.subscriptions {
		if aws.ToString(one.TopicArn) == topic && aws.ToString(one.Endpoint) == endpoint {
			one.confirm()
		}
	}
}

// ClickUnsubscribe is the same with the link at the end of every mail. Where a
// signature is asked for, it does nothing.
// https://docs.aws.amazon.com/sns/latest/api/API_Unsubscribe.html
func (s *SNS) ClickUnsubscribe(topic, endpoint string) {
	s.subscriptions = slices.DeleteFunc(s.subscriptions, func(one *subscription) bool {
		return aws.ToString(one.TopicArn) == topic && aws.ToString(one.Endpoint) == endpoint && one.confirmed && !one.authenticated
	})
}

func (one *subscription) confirm() {
	one.confirmed = true
	one.SubscriptionArn = &one.arn
}

func (s *SNS) known(topic string) error {
	if topic != s.a.settings.Topic && topic != s.a.settings.Escalation {
		return &types.NotFoundException{Message: aws.String("Topic does not exist")}
	}
	return nil
}

// ListSubscriptionsByTopic tells of the subscriptions of a topic, a page at a time.
// https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html
func (s *SNS) ListSubscriptionsByTopic(ctx context.Context, in *sns.ListSubscriptionsByTopicInput, _ ...func(*sns.Options)) (*sns.ListSubscriptionsByTopicOutput, error) {
	return invoke(ctx, s.a, operation{service: "sns", action: "ListSubscriptionsByTopic", resources: []string{aws.ToString(in.TopicArn)}, needs: []string{"TopicArn"}, takes: []string{"NextToken"}}, in,
		func(in *sns.ListSubscriptionsByTopicInput, _ bool) (*sns.ListSubscriptionsByTopicOutput, error) {
			if err := s.known(*in.TopicArn); err != nil {
				return nil, err
			}
			s.settle()
			var all []types.Subscription
			for _, one := range s.subscriptions {
				if aws.ToString(one.TopicArn) == *in.TopicArn {
					all = append(all, one.Subscription)
				}
			}
			from := 0
			if in.NextToken != nil {
				n, err := strconv.Atoi(*in.NextToken)
				if err != nil || n < 0 || n > len(all) {
					return nil, &types.InvalidParameterException{Message: aws.String("Invalid parameter: NextToken")}
				}
				from = n
			}
			out := &sns.ListSubscriptionsByTopicOutput{Subscriptions: all[from:min(from+subscriptionsPage, len(all))]}
			if from+subscriptionsPage < len(all) {
				out.NextToken = aws.String(strconv.Itoa(from + subscriptionsPage))
			}
			return clone(out), nil
		})
}

// Subscribe asks the owner of an address. To ask again sends another mail while
// nobody has confirmed, and changes nothing afterwards.
// https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
func (s *SNS) Subscribe(ctx context.Context, in *sns.SubscribeInput, _ ...func(*sns.Options)) (*sns.SubscribeOutput, error) {
	return invoke(ctx, s.a, operation{service: "sns", action: "Subscribe", mutating: true, resources: []string{aws.ToString(in.TopicArn)}, needs: []string{"Protocol", "TopicArn"}, takes: []string{"Endpoint", "ReturnSubscriptionArn"}}, in,
		func(in *sns.SubscribeInput, _ bool) (*sns.SubscribeOutput, error) {
			if err := s.known(*in.TopicArn); err != nil {
				return nil, err
			}
			if *in.Protocol != "email" {
				return nil, unknown("sns", "Subscribe", "protocol "+*in.Protocol)
			}
			s.settle()
			n := slices.IndexFunc(s.subscriptions, func(one *subscription) bool {
				return aws.ToString(one.TopicArn) == *in.TopicArn && aws.ToString(one.Endpoint) == aws.ToString(in.Endpoint)
			})
			var one *subscription
			if n >= 0 {
				one = s.subscriptions[n]
			} else {
				one = s.add(types.Subscription{TopicArn: in.TopicArn, Protocol: in.Protocol, Endpoint: in.Endpoint, Owner: &s.a.settings.Account}, false)
			}
			if !one.confirmed {
				s.mailed++
				one.token, one.asked = s.a.token("confirmation", one.arn, s.mailed), s.a.now()
			}
			arn := "pending confirmation"
			if one.confirmed || in.ReturnSubscriptionArn {
				arn = one.arn
			}
			return &sns.SubscribeOutput{SubscriptionArn: &arn}, nil
		})
}

// ConfirmSubscription takes the token of a confirmation mail. Whether a second
// one, with AuthenticateOnUnsubscribe, changes a subscription that is confirmed
// already, AWS does not say: Reconfirms has it do so.
// https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
func (s *SNS) ConfirmSubscription(ctx context.Context, in *sns.ConfirmSubscriptionInput, _ ...func(*sns.Options)) (*sns.ConfirmSubscriptionOutput, error) {
	return invoke(ctx, s.a, operation{service: "sns", action: "ConfirmSubscription", mutating: true, resources: []string{aws.ToString(in.TopicArn)}, needs: []string{"Token", "TopicArn"}, takes: []string{"AuthenticateOnUnsubscribe"}}, in,
		func(in *sns.ConfirmSubscriptionInput, _ bool) (*sns.ConfirmSubscriptionOutput, error) {
			if err := s.known(*in.TopicArn); err != nil {
				return nil, err
			}
			s.settle()
			for _, one := range s.subscriptions {
				if aws.ToString(one.TopicArn) != *in.TopicArn || one.token == "" || one.token != *in.Token {
					continue
				}
				if !one.confirmed || s.Reconfirms {
					one.authenticated = aws.ToString(in.AuthenticateOnUnsubscribe) == "true"
				}
				one.confirm()
				return &sns.ConfirmSubscriptionOutput{SubscriptionArn: &one.arn}, nil
			}
			return nil, &types.InvalidParameterException{Message: aws.String("Invalid parameter: Token")}
		})
}

// GetSubscriptionAttributes tells, of a subscription, how it was confirmed.
// https://docs.aws.amazon.com/sns/latest/api/API_GetSubscriptionAttributes.html
func (s *SNS) GetSubscriptionAttributes(ctx context.Context, in *sns.GetSubscriptionAttributesInput, _ ...func(*sns.Options)) (*sns.GetSubscriptionAttributesOutput, error) {
	return invoke(ctx, s.a, operation{service: "sns", action: "GetSubscriptionAttributes", resources: []string{aws.ToString(in.SubscriptionArn)}, needs: []string{"SubscriptionArn"}}, in,
		func(in *sns.GetSubscriptionAttributesInput, _ bool) (*sns.GetSubscriptionAttributesOutput, error) {
			s.settle()
			for _, one := range s.subscriptions {
				if one.arn == *in.SubscriptionArn {
					return &sns.GetSubscriptionAttributesOutput{Attributes: map[string]string{
						"SubscriptionArn": one.arn, "TopicArn": aws.ToString(one.TopicArn), "Protocol": aws.ToString(one.Protocol), "Endpoint": aws.ToString(one.Endpoint),
						"Owner": aws.ToString(one.Owner), "PendingConfirmation": strconv.FormatBool(!one.confirmed), "ConfirmationWasAuthenticated": strconv.FormatBool(one.authenticated),
					}}, nil
				}
			}
			return nil, &types.NotFoundException{Message: aws.String("Subscription does not exist")}
		})
}
