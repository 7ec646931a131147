// Package notify tells people: what happened, what is contained, what is not,
// what comes next. The state machine calls it, and EventBridge rules do: for
// findings that nobody acts on by machine, for executions that ended badly, and
// for the pause switch.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cordon/internal/finding"
	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// SNS is the part of the SNS API this step calls.
type SNS interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
}

// Step notifies.
type Step struct {
	sns          SNS
	incidents    Incidents
	topic, table string
	language     message.Language
}

// New reads TOPIC_ARN, LANGUAGE and INCIDENTS_TABLE.
func New(host incident.Host, sns SNS, incidents Incidents) (*Step, error) {
	topic, err := host.Setting("TOPIC_ARN")
	if err != nil {
		return nil, err
	}
	table, err := host.Setting("INCIDENTS_TABLE")
	if err != nil {
		return nil, err
	}
	code, err := host.Setting("LANGUAGE")
	if err != nil {
		return nil, err
	}
	language, err := message.In(code)
	if err != nil {
		return nil, fmt.Errorf("environment variable LANGUAGE: %w", err)
	}
	return &Step{sns: sns, incidents: incidents, topic: topic, table: table, language: language}, nil
}

// Input is what the state machine tells, or, without a Kind, an event that a
// rule delivered as it was.
type Input struct {
	Kind        message.Kind         `json:"kind"`
	Execution   string               `json:"execution"` // ARN of the execution that tells how its incident stands; empty where the mail is true whosever it is
	Incident    incident.Incident    `json:"incident"`
	Finding     incident.Finding     `json:"finding"`
	Instance    incident.Instance    `json:"instance"`
	Isolation   incident.Isolation   `json:"isolation"`
	Exposure    incident.Exposure    `json:"exposure"`
	Protection  incident.Protection  `json:"protection"`
	Credentials incident.Credentials `json:"credentials"`
	Snapshots   incident.Snapshots   `json:"snapshots"`
	Custody     incident.Custody     `json:"custody"`
	Memory      incident.Memory      `json:"memory"`
	Restoration incident.Restoration `json:"restoration"`
	Problem     incident.Problem     `json:"problem"`
	Reason      string               `json:"reason"`
	Brakes      []string             `json:"brakes"`
	Decision    Decision             `json:"decision"`
	Event       json.RawMessage      `json:"event"` // as EventBridge delivered it
}

// Decision is what the machine carries of a decision that was verified.
type Decision struct {
	Choice  incident.Choice `json:"choice"`
	Person  string          `json:"person"`
	Seconds string          `json:"seconds"` // whose decision it seconds; empty where one person is enough
	Reason  string          `json:"reason"`
}

// UnmarshalJSON takes what lacks a kind for a raw event. An envelope has none,
// and whatever else is in it must not keep people from being told.
func (in *Input) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil || fields["kind"] == nil {
		*in = Input{Event: append(json.RawMessage{}, b...)}
		return nil //nolint:nilerr // people are told of it as it is
	}
	type plain Input
	return json.Unmarshal(b, (*plain)(in))
}

// Output says whether people were told.
type Output = incident.Report

// Run sends one mail, or none where a raw event is a sample or archived, or where
// another execution has the incident: that one tells how it stands. A
// repeated run tells twice rather than never: SNS knows no idempotency here.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	letter, why := compose(in)
	if why != "" {
		return Output{Status: incident.Skipped, Reason: why}, nil
	}
	unknown := ""
	if in.Execution != "" {
		_, err := record.Own(ctx, brief{s.incidents}, s.table, in.Incident.ID, in.Execution)
		switch {
		case errors.Is(err, incident.ErrSuperseded):
			return Output{Status: incident.Skipped, Reason: err.Error()}, nil
		case err != nil: // a mail too many is better than an isolation that nobody hears of
			unknown = "told without knowing whose the incident is: " + err.Error()
		}
	}
	subject, body := s.language.Mail(letter)
	if _, err := s.sns.Publish(ctx, &sns.PublishInput{TopicArn: &s.topic, Subject: &subject, Message: &body}); err != nil {
		return Output{}, fmt.Errorf("send the mail %q: %w", letter.Kind, err)
	}
	return Output{Status: incident.OK, Reason: unknown}, nil
}

// brief asks twice at most. A table that does not answer takes seven seconds each
// time, and the function has 25: the mail must still go out.
type brief struct{ Incidents }

func (b brief) GetItem(ctx context.Context, in *dynamodb.GetItemInput, options ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return b.Incidents.GetItem(ctx, in, append(options, func(o *dynamodb.Options) { o.RetryMaxAttempts = 2 })...)
}

// compose gathers the facts of a mail, or says why none is sent.
func compose(in Input) (message.Letter, string) {
	if in.Kind == "" {
		return delivered(in.Event)
	}
	letter := message.Letter{
		Kind: in.Kind, Incident: in.Incident, Finding: in.Finding, Instance: in.Instance, Isolation: in.Isolation,
		Exposure: in.Exposure, Protection: in.Protection, Credentials: in.Credentials, Snapshots: in.Snapshots, Custody: in.Custody, Memory: in.Memory, Restoration: in.Restoration, Problem: in.Problem, Reason: in.Reason, Brakes: in.Brakes,
		Decision: message.Decision{Choice: in.Decision.Choice, Person: in.Decision.Person, Seconds: in.Decision.Seconds, Reason: in.Decision.Reason},
	}
	// Where the first step failed there is only the event.
	if w, wanted := finding.DecodeWish(in.Event); wanted && letter.Incident.ID == "" {
		letter.Incident = named(w.Incident)
		return letter, ""
	}
	if letter.Finding.ID == "" && len(in.Event) > 0 {
		f, _, err := finding.Decode(in.Event)
		letter.Finding = f
		if err != nil && letter.Reason == "" {
			letter.Reason = err.Error()
		}
	}
	return letter, ""
}

// named is what an incident's ID says of it; nothing where that is none.
func named(id string) incident.Incident {
	key, _, err := incident.SplitID(id)
	if err != nil {
		return incident.Incident{}
	}
	part := strings.Split(key, ".") // account, Region, instance
	return incident.Incident{ID: id, Account: part[0], Region: part[1], InstanceID: part[2]}
}

// status is what is told of an execution that ended: never its input or output.
// https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
type status struct {
	Kind   string `json:"detail-type"`
	Source string `json:"source"`
	Region string `json:"region"`
	Detail struct {
		ExecutionARN string `json:"executionArn"`
		Name         string `json:"name"`
		Status       string `json:"status"`
		Error        string `json:"error"`
	} `json:"detail"`
}

// change is what is told of the pause switch: that it was written or removed,
// never its value.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html
type change struct {
	Detail struct {
		Name      string `json:"name"`
		Operation string `json:"operation"`
	} `json:"detail"`
}

// delivered composes the mail about an event that a rule delivered.
func delivered(event json.RawMessage) (message.Letter, string) {
	switch kind := detailType(event); kind {
	case "GuardDuty Finding":
		f, flags, err := finding.Decode(event)
		switch {
		case err != nil:
			return message.Letter{Kind: message.Unreadable, Reason: err.Error()}, ""
		case flags.Sample:
			return message.Letter{}, "the finding is a sample"
		case flags.Archived:
			return message.Letter{}, "the finding is archived"
		}
		return message.Letter{Kind: message.Told, Finding: f, Reason: "resource type " + flags.ResourceType}, ""
	case "Step Functions Execution Status Change":
		var e status
		if err := json.Unmarshal(event, &e); err != nil {
			return message.Letter{Kind: message.Stopped, Reason: "the event about it could not be read: " + err.Error()}, ""
		}
		return message.Letter{Kind: message.Stopped, Execution: message.Execution{
			ARN: e.Detail.ExecutionARN, Name: e.Detail.Name, Status: e.Detail.Status, Error: e.Detail.Error,
		}}, ""
	case "Parameter Store Change":
		var e change
		if err := json.Unmarshal(event, &e); err != nil {
			return message.Letter{Kind: message.Switched, Reason: "the event about it could not be read: " + err.Error()}, ""
		}
		return message.Letter{Kind: message.Switched, Reason: fmt.Sprintf("%s: %s", e.Detail.Name, e.Detail.Operation)}, ""
	default:
		return message.Letter{Kind: message.Unreadable, Reason: fmt.Sprintf("an event of detail type %q is none that is known here", kind)}, ""
	}
}

// detailType is the envelope's own key, whatever the rest is.
func detailType(event json.RawMessage) string {
	var fields map[string]json.RawMessage
	var kind string
	if json.Unmarshal(event, &fields) != nil || json.Unmarshal(fields["detail-type"], &kind) != nil {
		return ""
	}
	return kind
}
