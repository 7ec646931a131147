// Package close signs how an execution leaves an incident: in a report for people
// and a manifest of what was seen, decided and kept. Where a decision was carried
// out it closes it, too: in the record, which lets the next finding about the
// instance open a new one, and in a last mail that says what there is.
package close

import (
	"context"
	"errors"
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
	Ending      string               `json:"ending"`    // name of the last state
	Stands      bool                 `json:"stands"`    // nothing is closed, and people were told: sign how it stands, and leave it so
	Problem     incident.Problem     `json:"problem"`   // where it stands so: what went wrong last
	Decision    Decision             `json:"decision"`
	Isolation   incident.Isolation   `json:"isolation"`
	Protection  incident.Protection  `json:"protection"`
	Credentials incident.Credentials `json:"credentials"`
	Snapshots   incident.Snapshots   `json:"snapshots"`
	Custody     incident.Custody     `json:"custody"`
	Memory      incident.Memory      `json:"memory"`
	Digest      incident.Digest      `json:"digest"`
	Restoration incident.Restoration `json:"restoration"`
}

// Decision is what the machine carries of the decision that was carried out.
type Decision struct {
	Choice  incident.Choice `json:"choice"`
	Person  string          `json:"person"`  // empty where the machine does not know it any more
	Seconds string          `json:"seconds"` // whose decision it seconds; empty where one person is enough
	Reason  string          `json:"reason"`
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

// standing are the endings that leave an incident as it is. Those of an incident
// that is closed are of an execution that asked people once more, for nothing.
var standing = map[string]message.Kind{
	"Isolated, undecided": message.Undecided,
	notContained:          message.NotContained,
	"Kept isolated":       message.KeptIsolated,
	"Released":            message.Released,
}

const notContained = "Not contained"

// paused is the problem of an execution that read the pause switch only after it had
// opened the incident.
const paused = "Paused"

// Run is safe to repeat: closing the same way again changes nothing. Its error wraps
// incident.ErrSuperseded where another execution has the incident: how it ends is
// that one's to sign. Where the answer to the mail was lost it is sent twice, because
// once too often is better than not at all.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	ending, closes := endings[in.Ending]
	kind, leaves := standing[in.Ending]
	if in.Stands && !leaves || !in.Stands && !closes {
		return Output{}, fmt.Errorf("end incident %s: %q is no such ending", in.Incident.ID, in.Ending)
	}
	_, run, ok := strings.Cut(in.Execution, ":execution:")
	if !ok {
		return Output{}, fmt.Errorf("manifest of incident %s: %q is no ARN of an execution", in.Incident.ID, in.Execution)
	}
	_, run, _ = strings.Cut(run, ":") // the machine's name
	head, err := s.own(ctx, in)
	if err != nil {
		return Output{}, err
	}
	now := s.host.Now()
	endedAt, err := record.BeginClosing(ctx, s.incidents, s.table, in.Incident.ID, run, now)
	if err != nil {
		return Output{}, fmt.Errorf("end incident %s: %w", in.Incident.ID, err)
	}
	if endedAt.Equal(now) { // noted this moment: the journal cannot have it, and to look would read back fifty entries
		return waiting(late), nil
	}
	wait := patience
	if in.Ending == notContained {
		wait = haste
	}
	journal := s.journal(ctx, in.Incident.ID, run)
	if !journal.Complete && s.host.Now().Sub(endedAt) < wait {
		return waiting(journal.Reason), nil
	}
	noted, err := s.noted(ctx, in.Incident.ID)
	if err != nil {
		return Output{}, err
	}
	b := noted.facts(in)
	b.Format, b.ClosedAt, b.State, b.Journal = manifest.Format, endedAt, ending.state, journal
	b.Retention = int(s.retention / (24 * time.Hour))
	if in.Stands {
		kind = stands(&b, kind, head)
	} else {
		kind = ending.kind
	}
	page, err := s.sign(ctx, b, noted.priors, run, kind)
	if err != nil {
		return Output{}, err
	}
	if err := record.EndClosing(ctx, s.incidents, s.table, in.Incident.ID, run, record.Closing{Ending: in.Ending, Manifest: page.manifest, Report: page.report}); err != nil {
		return Output{}, fmt.Errorf("note the manifest of incident %s: %w", in.Incident.ID, err)
	}
	if in.Stands {
		return Output{Report: incident.Report{Status: incident.OK}}, nil
	}
	if err := record.Close(ctx, s.incidents, s.table, in.Incident.ID, in.Execution, ending.state, s.host.Now()); err != nil {
		if errors.Is(err, record.ErrTaken) { // perhaps by another execution, since it was looked at
			_, now := s.own(ctx, in)
			err = errors.Join(err, now)
		}
		return Output{}, fmt.Errorf("close incident %s as %s: %w", in.Incident.ID, ending.state, err)
	}
	subject, body := s.language.Mail(message.Letter{
		Kind: kind, Incident: in.Incident, Finding: in.Incident.Finding, Instance: in.Instance,
		Decision:  message.Decision{Choice: in.Decision.Choice, Person: in.Decision.Person, Seconds: in.Decision.Seconds, Reason: in.Decision.Reason},
		Isolation: b.Isolation, Protection: b.Protection, Credentials: b.Credentials, Snapshots: b.Snapshots, Memory: b.Memory, Digest: b.Digest, Console: b.Console, Custody: b.Custody, Restoration: b.Restoration,
		Report: page.report,
	})
	if _, err := s.sns.Publish(ctx, &sns.PublishInput{TopicArn: &s.topic, Subject: &subject, Message: &body}); err != nil {
		return Output{}, fmt.Errorf("send the last mail of incident %s: %w: %w", in.Incident.ID, incident.ErrNotTold, err)
	}
	return Output{Report: incident.Report{Status: incident.OK}}, nil
}

// own fails unless the incident is still this execution's. That a newer one follows
// does not matter: what is signed is of this one.
func (s *Step) own(ctx context.Context, in Input) (record.Head, error) {
	h, _, err := record.FindHead(ctx, s.incidents, s.table, in.Incident.ID)
	if err == nil {
		err = h.Own(in.Execution)
	}
	if err != nil {
		return record.Head{}, fmt.Errorf("end incident %s: %w", in.Incident.ID, err)
	}
	return h, nil
}

// stands is how an incident is that nothing is changed of: its state, the decision
// that made it so, and what there is to tell of it.
func stands(b *body, kind message.Kind, h record.Head) message.Kind {
	b.State = h.State
	if h.State != record.Open {
		b.Decision = Decision{Choice: h.Decision, Person: h.Decided.Person, Seconds: h.Decided.Seconds}
	}
	if kind != message.NotContained {
		return kind
	}
	switch {
	case b.Restoration.Connected: // and only the closing failed
		b.Decision = Decision{Choice: incident.Release, Person: b.Restoration.Person, Reason: b.Restoration.Because}
		return message.Released
	case h.Decision == incident.Leave: // the same
		b.Decision = Decision{Choice: h.Decision, Person: h.Decided.Person}
		return message.Released
	case !b.Isolation.Since.IsZero():
		return message.NotSealed // it was contained
	case b.Problem.Error == paused:
		return message.Paused
	case b.Isolation.Status == incident.Skipped:
		return message.NotIsolated // nobody decided that it should be
	}
	return kind
}
