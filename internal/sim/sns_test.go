package sim_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func TestPublish(t *testing.T) {
	for _, tt := range []struct {
		name, topic     string
		subject         *string
		message         string
		code, text      string
		wantMailSubject string
	}{
		{name: "99 characters of more than a byte", topic: topicARN, subject: aws.String(strings.Repeat("隔", 99)), message: "x", wantMailSubject: strings.Repeat("隔", 99)},
		{name: "no subject", topic: topicARN, message: "x", wantMailSubject: "AWS Notification Message"},
		{name: "256 KB", topic: topicARN, subject: aws.String("s"), message: strings.Repeat("x", 262144), wantMailSubject: "s"},
		{name: "100 characters", topic: topicARN, subject: aws.String(strings.Repeat("x", 100)), message: "x", code: "InvalidParameter", text: "Subject"},
		{name: "a line break", topic: topicARN, subject: aws.String("a\nb"), message: "x", code: "InvalidParameter", text: "Subject"},
		{name: "an escape character", topic: topicARN, subject: aws.String("a\x1b[0m"), message: "x", code: "InvalidParameter", text: "Subject"},
		{name: "an empty subject", topic: topicARN, subject: aws.String(""), message: "x", code: "InvalidParameter", text: "Subject"},
		{name: "no message", topic: topicARN, subject: aws.String("s"), message: "", code: "InvalidParameter", text: "Empty message"},
		{name: "256 KB in bytes, not characters", topic: topicARN, subject: aws.String("s"), message: strings.Repeat("隔", 100_000), code: "InvalidParameter", text: "Message too long"},
		{name: "another topic", topic: topicARN + "x", subject: aws.String("s"), message: "x", code: "NotFound", text: "Topic does not exist"},
		{name: "no ARN", topic: "topic", subject: aws.String("s"), message: "x", code: "InvalidParameter", text: "TopicArn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := services(t)
			out, err := a.SNS().Publish(t.Context(), &sns.PublishInput{TopicArn: &tt.topic, Subject: tt.subject, Message: &tt.message})
			mails := a.Mails()
			if tt.code != "" {
				wantCode(t, err, tt.code, tt.text)
				if len(mails) != 0 {
					t.Errorf("a refused message was mailed: %v", mails)
				}
				return
			}
			if err != nil || aws.ToString(out.MessageId) == "" {
				t.Fatalf("answer %v, %v", out, err)
			}
			if len(mails) != 1 || mails[0].Subject != tt.wantMailSubject || mails[0].Body != tt.message {
				t.Errorf("mailed %d times, not once as it was published", len(mails))
			}
		})
	}
}
