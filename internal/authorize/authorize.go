// Package authorize verifies what a person decided and lets the other steps
// know: by a note in the record, and, for a termination, by the tag without
// which the role of terminate may terminate nothing.
package authorize

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/mandate"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
}

// KMS is the part of the KMS API this step calls.
type KMS interface {
	mandate.Verifier
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Updater
}

// Decisions is the decisions table.
type Decisions interface {
	record.Getter
}

// Input names the request whose decision is to be verified. Tag asks for the
// mark on the instance, which only a decision to terminate gets.
type Input struct {
	Incident incident.Incident `json:"incident"`
	Round    int               `json:"round"`
	Tag      bool              `json:"tag"`
	// Execution is the ARN of the execution that asks. It must still be the one that
	// has the incident.
	Execution string `json:"execution"`
	// Withdraw takes the note of a decision back that could not be carried out, where
	// people are not asked again; nothing is verified.
	Withdraw bool `json:"withdraw"`
}

// Output is the decision. Where the instance was to be marked and is gone,
// Status is skipped and Reason says so.
type Output struct {
	incident.Report
	Decision  incident.Choice `json:"decision"`
	Person    string          `json:"person"`
	Seconds   string          `json:"seconds"` // whose decision it seconds; empty where one person is enough
	Because   string          `json:"because"` // why, as typed; may be empty
	DecidedAt time.Time       `json:"decidedAt"`
}

// Step verifies decisions.
type Step struct {
	host      incident.Host
	ec2       EC2
	incidents Incidents
	decisions *mandate.Reader

	table string
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE and MAC_KEY_ID.
func New(host incident.Host, ec2 EC2, kms KMS, incidents Incidents, decisions Decisions) (*Step, error) {
	reader, err := mandate.NewReader(host, kms, incidents, decisions)
	if err != nil {
		return nil, err
	}
	table, err := host.Setting("INCIDENTS_TABLE")
	if err != nil {
		return nil, err
	}
	return &Step{host: host, ec2: ec2, incidents: incidents, decisions: reader, table: table}, nil
}

// Run is safe to repeat: the note and the tag come out the same. Its error
// wraps incident.ErrRefused where the decision does not hold, and
// incident.ErrSuperseded, whatever was decided, where another execution has the
// incident or a newer one came after it.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if in.Withdraw {
		return s.withdraw(ctx, in)
	}
	d, err := s.decisions.Read(ctx, in.Incident, in.Round, in.Execution)
	if errors.Is(err, incident.ErrUndecided) {
		// That another has the incident, or that it is not known, comes first.
		if over := s.unanswered(ctx, in); over != nil {
			return Output{}, over
		}
	}
	if err != nil {
		return Output{}, err
	}
	out := Output{
		Report: incident.Report{Status: incident.OK}, Because: d.Reason,
		Decision: d.Choice, Person: d.Person, Seconds: d.Seconds, DecidedAt: d.DecidedAt,
	}
	if d.Choice == incident.Isolate || d.Choice == incident.Leave {
		if in.Tag {
			return Output{}, refuseTag(in, d)
		}
		return out, s.answered(ctx, in, d)
	}
	if !in.Tag {
		if err := s.superseded(in, record.NoteDecision(ctx, s.incidents, s.table, in.Execution, d)); err != nil {
			return Output{}, fmt.Errorf("note the decision on %s: %w", in.Incident.ID, err)
		}
		return out, nil
	}
	if d.Choice != incident.Terminate {
		return Output{}, refuseTag(in, d)
	}
	if gone, err := s.mark(ctx, in); err != nil {
		return Output{}, err
	} else if gone != "" {
		out.Report = incident.Report{Status: incident.Skipped, Reason: gone}
	}
	return out, nil
}

// withdraw leaves the note of whoever took the incident over alone.
func (s *Step) withdraw(ctx context.Context, in Input) (Output, error) {
	err := record.WithdrawDecision(ctx, s.incidents, s.table, in.Incident.ID, in.Execution)
	if errors.Is(err, record.ErrTaken) {
		return Output{Report: incident.Report{Status: incident.Skipped, Reason: "another execution has the incident"}}, nil
	}
	if err != nil {
		return Output{}, fmt.Errorf("take back the note of a decision that was not carried out: %w", err)
	}
	return Output{Report: incident.Report{Status: incident.OK}}, nil
}

func refuseTag(in Input, d incident.Decision) error {
	return mandate.Refuse("the decision on request %d of incident %s is %s, not terminate; nothing is marked for termination", in.Round, in.Incident.ID, d.Choice)
}

// answered ends the waiting of an execution that asked before it isolated, in
// one write: either this execution goes on with the incident or the one that
// took it over, never both.
func (s *Step) answered(ctx context.Context, in Input, d incident.Decision) error {
	err := record.Answer(ctx, s.incidents, s.table, in.Incident.ID, in.Execution, d)
	return s.superseded(in, err)
}

// unanswered does the same where nobody decided.
func (s *Step) unanswered(ctx context.Context, in Input) error {
	q, found, err := record.LoadRequest(ctx, s.incidents, s.table, in.Incident.ID, in.Round)
	if err != nil || !found || q.Before == "" {
		return err
	}
	return s.superseded(in, record.Answer(ctx, s.incidents, s.table, in.Incident.ID, in.Execution, incident.Decision{}))
}

func (s *Step) superseded(in Input, err error) error {
	if errors.Is(err, record.ErrTaken) {
		return fmt.Errorf("incident %s was taken over while a person was asked: another execution works on it: %w", in.Incident.ID, incident.ErrSuperseded)
	}
	return err
}

// tagLimit is how many tags of its owner a resource can have.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
const tagLimit = 50

// mark writes the tag, or says that there is nothing left to mark.
func (s *Step) mark(ctx context.Context, in Input) (gone string, err error) {
	id := in.Incident.InstanceID
	i, err := mandate.Machine(ctx, s.ec2, in.Incident)
	switch {
	case errors.Is(err, incident.ErrInstanceNotFound):
		return id + " is gone: the account does not know it any more", nil
	case err != nil:
		return "", err
	case mandate.Dead(i):
		return fmt.Sprintf("%s is %s already", id, i.State.Name), nil
	}
	value := mandate.TagValue(in.Incident.ID, in.Round)
	own := slices.DeleteFunc(slices.Clone(i.Tags), func(t types.Tag) bool {
		return strings.HasPrefix(aws.ToString(t.Key), "aws:") // do not count
	})
	at := slices.IndexFunc(own, func(t types.Tag) bool { return aws.ToString(t.Key) == mandate.Tag })
	switch {
	case at >= 0 && aws.ToString(own[at].Value) == value:
		return "", nil
	case at < 0 && len(own) >= tagLimit:
		return "", mandate.Refuse("%s has %d tags and no room for %s, without which nothing may terminate it; remove one of its tags and decide again", id, len(own), mandate.Tag)
	}
	_, err = s.ec2.CreateTags(ctx, &ec2.CreateTagsInput{
		Resources: []string{id},
		Tags:      []types.Tag{{Key: aws.String(mandate.Tag), Value: &value}},
	})
	if err != nil {
		return "", fmt.Errorf("tag %s with %s: %w", id, mandate.Tag, err)
	}
	return "", nil
}
