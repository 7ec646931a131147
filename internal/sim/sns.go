package sim

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// SNS holds the stack's topics. What is published becomes a Mail, whoever is
// subscribed.
type SNS struct {
	a             *Account
	subscriptions []*subscription
	mailed        int  // confirmation mails, so that each has a token of its own
	Reconfirms    bool // see ConfirmSubscription
}

func newSNS(a *Account) *SNS { return &SNS{a: a} }

// Publish sends a mail to everyone who subscribed.
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func (s *SNS) Publish(ctx context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "sns", action: "Publish", mutating: true, resources: []string{aws.ToString(in.TopicArn)},
		needs: []string{"Message"},
		takes: []string{"TopicArn", "Subject"},
	}, in, s.publish)
}

func (s *SNS) publish(in *sns.PublishInput, _ bool) (*sns.PublishOutput, error) {
	wrong := func(what string) error {
		return &types.InvalidParameterException{Message: aws.String("Invalid parameter: " + what)}
	}
	arn := aws.ToString(in.TopicArn)
	if parts := strings.Split(arn, ":"); len(parts) != 6 || parts[0] != "arn" || parts[2] != "sns" {
		return nil, wrong("TopicArn Reason: An ARN must have at least 6 elements, not " + arn)
	}
	message := *in.Message
	if message == "" {
		return nil, wrong("Empty message")
	}
	if !utf8.ValidString(message) {
		return nil, wrong("Message Reason: not UTF-8")
	}
	if len(message) > 262144 { // bytes, not characters
		return nil, wrong("Message too long")
	}
	if in.Subject != nil && !isSubject(*in.Subject) {
		return nil, wrong("Subject")
	}
	if err := s.known(arn); err != nil {
		return nil, err
	}
	// Without a subject, mail has this one.
	// https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
	subject := "AWS Notification Message"
	if in.Subject != nil {
		subject = *in.Subject
	}
	return &sns.PublishOutput{MessageId: aws.String(s.a.mail(arn, subject, message))}, nil
}

// isSubject: UTF-8 text with no line breaks or control characters, and less
// than 100 characters long.
func isSubject(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) < 100 &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}
