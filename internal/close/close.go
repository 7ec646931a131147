// Package close ends an incident: in a report for people and a signed manifest of
// what was seen, decided and kept, in the record, which lets the next finding about the instance open a
// new one, and in a last mail that says what there is.
package close

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// SNS is the part of the SNS API this step calls.
type SNS interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// S3 is the part of the S3 API this step calls, on the evidence bucket.
type S3 interface {
	evidence.Lister
	evidence.Getter
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// KMS is the part of the KMS API this step calls.
type KMS interface {
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Querier
	record.Updater
}

// Decisions is the decisions table.
type Decisions interface {
	record.Querier
}

// Input is how the incident ended and everything the last mail tells.
type Input struct {
	Incident    incident.Incident    `json:"incident"`
	Instance    incident.Instance    `json:"instance"`
	Execution   string               `json:"execution"` // ARN of the execution that closes it
	Event       string               `json:"event"`     // key, in the evidence bucket, of the event that started this execution: after a late decision not the one that opened the incident; empty if it could not be kept
	Ending      string               `json:"ending"`    // name of the last state: "Terminated", "Kept isolated", "Released" or "Already gone"
	Decision    Decision             `json:"decision"`
	Isolation   incident.Isolation   `json:"isolation"`
	Protection  incident.Protection  `json:"protection"`
	Credentials incident.Credentials `json:"credentials"`
	Snapshots   incident.Snapshots   `json:"snapshots"`
	Memory      incident.Memory      `json:"memory"`
	Digest      incident.Digest      `json:"digest"`
	Restoration incident.Restoration `json:"restoration"`
}

// Decision is what the machine carries of the decision that was carried out.
type Decision struct {
	Choice incident.Choice `json:"choice"`
	Person string          `json:"person"` // empty where the machine does not know it any more
	Reason string          `json:"reason"`
}

// Step closes incidents.
type Step struct {
	host      incident.Host
	sns       SNS
	s3        S3
	kms       KMS
	incidents Incidents
	decisions Decisions

	table, decisionsTable, topic, bucket, key string
	retention                                 time.Duration
	language                                  message.Language
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE, TOPIC_ARN, LANGUAGE,
// EVIDENCE_BUCKET, SIGNING_KEY_ID and RETENTION_DAYS.
func New(host incident.Host, sns SNS, s3 S3, kms KMS, incidents Incidents, decisions Decisions) (*Step, error) {
	s := &Step{host: host, sns: sns, s3: s3, kms: kms, incidents: incidents, decisions: decisions}
	var language string
	var err error
	for _, setting := range []struct {
		name string
		to   *string
	}{
		{"INCIDENTS_TABLE", &s.table},
		{"DECISIONS_TABLE", &s.decisionsTable},
		{"TOPIC_ARN", &s.topic},
		{"LANGUAGE", &language},
		{"EVIDENCE_BUCKET", &s.bucket},
		{"SIGNING_KEY_ID", &s.key},
	} {
		if *setting.to, err = host.Setting(setting.name); err != nil {
			return nil, err
		}
	}
	days, err := host.Number("RETENTION_DAYS")
	if err != nil {
		return nil, err
	}
	s.retention = time.Duration(days * float64(24*time.Hour))
	s.language, err = message.In(language)
	return s, err
}

// endings are the ways in which an incident closes, by the machine's name for
// each.
var endings = map[string]struct {
	state record.State
	kind  message.Kind
}{
	"Terminated":    {record.Terminated, message.Terminated},
	"Already gone":  {record.Gone, message.ClosedGone},
	"Kept isolated": {record.Kept, message.KeptIsolated},
	"Released":      {record.Released, message.Released},
}

// Run is safe to repeat: closing the same way again changes nothing. Where the
// answer to the mail was lost it is sent twice, because once too often is better
// than not at all.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	ending, known := endings[in.Ending]
	if !known {
		return Output{}, fmt.Errorf("close incident %s: %q is no ending that closes one", in.Incident.ID, in.Ending)
	}
	_, run, ok := strings.Cut(in.Execution, ":execution:")
	if !ok {
		return Output{}, fmt.Errorf("manifest of incident %s: %q is no ARN of an execution", in.Incident.ID, in.Execution)
	}
	_, run, _ = strings.Cut(run, ":") // the machine's name
	closedAt, err := record.BeginClosing(ctx, s.incidents, s.table, in.Incident.ID, run, s.host.Now())
	if err != nil {
		return Output{}, fmt.Errorf("close incident %s: %w", in.Incident.ID, err)
	}
	journal := s.journal(ctx, in.Incident.ID, run)
	if !journal.Complete && s.host.Now().Sub(closedAt) < patience {
		return Output{Report: incident.Report{Status: incident.OK, Reason: journal.Reason}, Waiting: true}, nil
	}
	noted, err := s.noted(ctx, in.Incident.ID)
	if err != nil {
		return Output{}, err
	}
	// A release ends the branch that knows how far the snapshots came.
	if noted.Snapshots != nil && ending.state == record.Released {
		in.Snapshots = *noted.Snapshots
	}
	b := body{
		Format: manifest.Format, ClosedAt: closedAt, State: ending.state, Input: in, Journal: journal, Retention: int(s.retention / (24 * time.Hour)),
		Console: noted.Console, Custody: noted.Custody, Exposure: noted.Exposure, Drifts: noted.Drift.Known, Begun: noted.begun(),
	}
	if err := s.sign(ctx, b, run, ending.kind); err != nil {
		return Output{}, err
	}
	if err := record.Close(ctx, s.incidents, s.table, in.Incident.ID, ending.state, s.host.Now()); err != nil {
		return Output{}, fmt.Errorf("close incident %s as %s: %w", in.Incident.ID, ending.state, err)
	}
	subject, body := s.language.Mail(message.Letter{
		Kind: ending.kind, Incident: in.Incident, Finding: in.Incident.Finding, Instance: in.Instance,
		Decision:  message.Decision{Choice: in.Decision.Choice, Person: in.Decision.Person, Reason: in.Decision.Reason},
		Isolation: in.Isolation, Protection: in.Protection, Credentials: in.Credentials, Snapshots: in.Snapshots, Memory: in.Memory, Digest: in.Digest, Console: noted.Console, Custody: noted.Custody, Restoration: in.Restoration,
	})
	if _, err := s.sns.Publish(ctx, &sns.PublishInput{TopicArn: &s.topic, Subject: &subject, Message: &body}); err != nil {
		return Output{}, fmt.Errorf("send the last mail of incident %s: %w", in.Incident.ID, err)
	}
	return Output{Report: incident.Report{Status: incident.OK}}, nil
}
