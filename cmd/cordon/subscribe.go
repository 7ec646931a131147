package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"cordon/internal/audience"
	"cordon/internal/message"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"
)

type subscribe struct {
	where      `embed:""`
	Token      string `help:"Confirm with the token of the confirmation mail, or its whole link; - reads it from standard input. Without it you are asked, and what you paste is not shown: a command line stays in the shell's history." placeholder:"TOKEN" xor:"what"`
	Email      string `help:"Have a confirmation mail sent to this address." placeholder:"ADDRESS" xor:"what"`
	Escalation bool   `help:"With --email: for what others are told when nobody decides."`
}

// topic is one of the stack's.
type topic struct {
	what string // is said there
	arn  string
}

// topics is the part of SNS that an operator calls.
type topics interface {
	sns.ListSubscriptionsByTopicAPIClient
	Subscribe(context.Context, *sns.SubscribeInput, ...func(*sns.Options)) (*sns.SubscribeOutput, error)
	ConfirmSubscription(context.Context, *sns.ConfirmSubscriptionInput, ...func(*sns.Options)) (*sns.ConfirmSubscriptionOutput, error)
	GetSubscriptionAttributes(context.Context, *sns.GetSubscriptionAttributesInput, ...func(*sns.Options)) (*sns.GetSubscriptionAttributesOutput, error)
}

// Run confirms a subscription, has one asked for, or lists them.
func (c *subscribe) Run(s streams) error {
	ctx := context.Background()
	d, err := c.find(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, s, d)
}

func (c *subscribe) run(ctx context.Context, s streams, d *deployed) error {
	if c.Email != "" {
		return c.ask(ctx, s, d)
	}
	if c.Escalation {
		return errors.New("--escalation belongs to --email; a link or a token says itself what it is for")
	}
	text, err := c.read(s)
	if err != nil {
		return err
	}
	safe := true
	if text != "" {
		if safe, err = d.confirm(ctx, s.out, text); err != nil {
			return err
		}
	}
	heard, err := d.listen(ctx, s.out)
	if err != nil {
		return err
	}
	if !safe || !heard {
		return errBad
	}
	return nil
}

// ask has SNS send a confirmation mail. It answers with words instead of an ARN
// unless somebody has confirmed already.
// https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
func (c *subscribe) ask(ctx context.Context, s streams, d *deployed) error {
	to := d.topics[0]
	if c.Escalation {
		if len(d.topics) < 2 {
			return fmt.Errorf("the stack %s tells nobody when nobody decides; deploy it with EscalationEmail first", d.stack)
		}
		to = d.topics[1]
	}
	out, err := d.sns.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &to.arn, Protocol: aws.String("email"), Endpoint: &c.Email})
	if err != nil {
		return explain("ask for the subscription", err)
	}
	if strings.HasPrefix(aws.ToString(out.SubscriptionArn), "arn:") {
		fmt.Fprintf(s.out, "%s is subscribed to %s already; cordon subscribe says how.\n", message.Plain(c.Email, 320), to.what)
		return nil
	}
	fmt.Fprintf(s.out, "SNS mails %s. Do not open the link in that mail, copy it: then run cordon subscribe, within two days.\n", message.Plain(c.Email, 320))
	return nil
}

// pasted is more than any link of SNS has.
const pasted = 64 << 10

// read takes the link or the token from where it is not shown, if that can be.
func (c *subscribe) read(s streams) (string, error) {
	text := c.Token
	switch {
	case text == "" && s.hidden != nil:
		fmt.Fprint(s.err, "Link or token of the confirmation mail (not shown; only Enter lists who is subscribed): ")
		line, err := s.hidden()
		fmt.Fprintln(s.err)
		if err != nil {
			return "", fmt.Errorf("read the link: %w", err)
		}
		text = line
	case text == "" || text == "-":
		b, err := io.ReadAll(io.LimitReader(s.in, pasted+1))
		if err != nil {
			return "", fmt.Errorf("read the link from standard input: %w", err)
		}
		text = string(b)
	}
	if len(text) > pasted {
		return "", errors.New("that is more than a link; give the link or the token alone")
	}
	return strings.TrimSpace(text), nil
}

// aToken is what one looks like, as far as AWS says: a few hundred letters and
// digits. What is cut off or has a line break in it is none.
var aToken = regexp.MustCompile(`^[0-9A-Za-z_+/=.-]{16,1000}$`)

// parse takes a token out of what was pasted; topic is empty where that was a
// token alone. No error repeats what was pasted: whoever has it can confirm.
// What a link looks like: https://github.com/awsdocs/aws-doc-sdk-examples/blob/main/javascriptv3/example_code/sns/src/sns_confirmsubscription.js
func (d *deployed) parse(text string) (topic, token string, err error) {
	if !strings.Contains(text, "://") {
		if !aToken.MatchString(text) {
			return "", "", errors.New("that is neither a link nor a token; copy the link of the confirmation mail, or what stands in it between Token= and &")
		}
		return "", text, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", "", errors.New("that is no link; copy it whole, in one line")
	}
	if host := d.snsHost(); u.Scheme != "https" || u.Host != host || u.User != nil {
		return "", "", fmt.Errorf("the link leads to %.100q, and that of the stack's confirmation mails to https://%s. If your mail system rewrites links, give what stands in it between Token= and & alone", u.Scheme+"://"+u.Host, host)
	}
	topic, token = u.Query().Get("TopicArn"), u.Query().Get("Token")
	if topic == "" || !aToken.MatchString(token) {
		return "", "", errors.New("the link has no TopicArn or no Token; copy it whole, in one line")
	}
	for _, t := range d.topics {
		if t.arn == topic {
			return topic, token, nil
		}
	}
	return "", "", fmt.Errorf("the link is for the topic %.300q, which is none that the stack %s sends to; give --stack and --region if it is another stack's", topic, d.stack)
}

// snsHost is where links of SNS lead.
// https://docs.aws.amazon.com/general/latest/gr/sns.html
func (d *deployed) snsHost() string {
	if strings.HasPrefix(d.topics[0].arn, "arn:aws-cn:") {
		return "sns." + d.region + ".amazonaws.com.cn"
	}
	return "sns." + d.region + ".amazonaws.com"
}

// confirm confirms with a signature, and tells whether SNS says the same.
// https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
func (d *deployed) confirm(ctx context.Context, out io.Writer, text string) (safe bool, err error) {
	named, token, err := d.parse(text)
	if err != nil {
		return false, err
	}
	var confirmed *sns.ConfirmSubscriptionOutput
	for _, t := range d.topics {
		if named != "" && t.arn != named {
			continue
		}
		confirmed, err = d.sns.ConfirmSubscription(ctx, &sns.ConfirmSubscriptionInput{TopicArn: &t.arn, Token: &token, AuthenticateOnUnsubscribe: aws.String("true")})
		var wrong *types.InvalidParameterException
		if !errors.As(err, &wrong) {
			break // a token that is another topic's is only wrong here
		}
	}
	var wrong *types.InvalidParameterException
	switch {
	case errors.As(err, &wrong):
		return false, fmt.Errorf("SNS does not take the token (%s). It is good for two days, and a newer mail makes it void; cordon subscribe --email ADDRESS has another sent", without(token, wrong.ErrorMessage()))
	case err != nil:
		return false, errors.New(without(token, explain("confirm the subscription", err).Error()))
	}
	arn := aws.ToString(confirmed.SubscriptionArn)
	how, err := d.authenticated(ctx, arn)
	switch {
	case err != nil:
		fmt.Fprintf(out, "It is confirmed. Whether a link can end it is not known: %s\n\n", explain("ask how it is confirmed", err))
	case how:
		fmt.Fprint(out, "It is confirmed, and nobody can end it without AWS credentials.\n\n")
	default:
		fmt.Fprintf(out, "It was confirmed before, by the link in the mail, and that still counts: whoever opens the link at the end of a mail ends it, a mail scanner, too.\n"+
			"Have it confirmed anew, in a quiet moment, since nobody is told in between:\n  aws sns unsubscribe --region %s --subscription-arn %s\n  cordon subscribe --email ADDRESS\n  cordon subscribe\n\n", d.region, message.Plain(arn, 300))
	}
	return how, nil
}

// without is a text of AWS in which the token does not stand.
func without(token, text string) string { return strings.ReplaceAll(text, token, "TOKEN") }

func (d *deployed) authenticated(ctx context.Context, arn string) (bool, error) {
	out, err := d.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn})
	if err != nil {
		return false, err
	}
	return out.Attributes["ConfirmationWasAuthenticated"] == "true", nil
}

// subscriptions are all of a topic.
func (d *deployed) subscriptions(ctx context.Context, t topic) ([]types.Subscription, error) {
	var all []types.Subscription
	pages := sns.NewListSubscriptionsByTopicPaginator(d.sns, &sns.ListSubscriptionsByTopicInput{TopicArn: &t.arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain("list who is subscribed to "+t.what, err)
		}
		all = append(all, page.Subscriptions...)
	}
	return all, nil
}

// reached tells whether a person is among them, as the function audience counts.
func reached(all []types.Subscription) bool {
	return slices.ContainsFunc(all, func(s types.Subscription) bool { return audience.Confirmed(s) && audience.Reaches(s) })
}

// listen lists who is subscribed, and tells whether somebody hears of everything.
func (d *deployed) listen(ctx context.Context, out io.Writer) (heard bool, err error) {
	heard = true
	for _, t := range d.topics {
		all, err := d.subscriptions(ctx, t)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(out, "%s (%s)\n", t.what, t.arn)
		for _, one := range all {
			fmt.Fprintf(out, "  %-10s  %s: %s\n", message.Plain(aws.ToString(one.Protocol), 20), endpoint(one), d.stands(ctx, one))
		}
		if !reached(all) {
			heard = false
			fmt.Fprintln(out, "  nobody hears this")
		}
	}
	return heard, nil
}

// endpoint is where a subscription delivers to. What follows the host of an
// address on the web is often a key, and is left out.
func endpoint(s types.Subscription) string {
	text := aws.ToString(s.Endpoint)
	if strings.HasPrefix(aws.ToString(s.Protocol), "http") {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return "an address on the web"
		}
		text = u.Host
	}
	return message.Plain(text, 320)
}

func (d *deployed) stands(ctx context.Context, s types.Subscription) string {
	switch {
	case !audience.Confirmed(s):
		return "not confirmed, or deleted: gets nothing"
	case !audience.Reaches(s):
		return "confirmed; counts as nobody, since it may be an archive"
	}
	arn := aws.ToString(s.SubscriptionArn)
	switch how, err := d.authenticated(ctx, arn); {
	case err != nil:
		var answer smithy.APIError
		why := err.Error()
		if errors.As(err, &answer) {
			why = answer.ErrorCode()
		}
		return "confirmed; whether a link can end it is not known (" + message.Plain(why, 100) + ")"
	case how:
		return "confirmed; nobody can end it without AWS credentials"
	}
	return "confirmed by its link; whoever opens the link at the end of a mail ends it. Subscription " + message.Plain(arn, 300)
}

// warn says where no mail reaches anybody, which no mail can say.
func (d *deployed) warn(ctx context.Context, out io.Writer) {
	for _, t := range d.topics {
		switch all, err := d.subscriptions(ctx, t); {
		case err != nil:
			fmt.Fprintf(out, "Whether anybody hears of incidents is not known: %v\n", err)
		case !reached(all):
			fmt.Fprintf(out, "Nobody is subscribed to %s: nobody is told. Run cordon subscribe.\n", t.what)
		}
	}
}
