package enrich

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// standing is the newest incident of an instance, if it ever had one.
type standing struct {
	head  record.Head
	found bool
}

// races bounds how often another execution may be faster before this one gives
// up and is run again.
const races = 5

func (s *Step) latest(ctx context.Context, instanceKey string) (standing, error) {
	h, found, err := record.Latest(ctx, s.db, s.table, instanceKey)
	return standing{h, found}, err
}

// open finds the incident a finding belongs to, or opens one.
func (s *Step) open(ctx context.Context, execution string, f incident.Finding, attached time.Time, last standing) (Verdict, string, incident.Incident, error) {
	key := incident.InstanceKey(f.AccountID, f.Region, f.InstanceID)
	for range races {
		v, why, inc, err := s.settle(ctx, execution, f, attached, last)
		if err == nil {
			err = s.add(ctx, inc.ID, f)
		}
		if !errors.Is(err, record.ErrTaken) {
			return v, why, inc, err
		}
		if last, err = s.latest(ctx, key); err != nil {
			return "", "", incident.Incident{}, err
		}
	}
	return "", "", incident.Incident{}, fmt.Errorf("open an incident for %s: %w, %d times", f.InstanceID, record.ErrTaken, races)
}

// settle decides once, on the newest incident as it was read; record.ErrTaken
// if that has changed.
func (s *Step) settle(ctx context.Context, execution string, f incident.Finding, attached time.Time, last standing) (Verdict, string, incident.Incident, error) {
	inc := last.head.Incident
	same := last.found && inc.AttachedAt.Equal(attached)
	switch {
	case !same || last.head.State == record.Terminated:
		return s.claim(ctx, execution, f, attached, last)
	case last.head.State == record.Open && last.head.Execution == execution:
		return Act, "", inc, nil
	case last.head.State == record.Open:
		return s.join(ctx, execution, last.head)
	}
	news, err := s.news(ctx, inc, f)
	if err != nil {
		return "", "", inc, err
	}
	if news {
		return s.claim(ctx, execution, f, attached, last)
	}
	return Decided, fmt.Sprintf("a person decided on incident %s (%s), and this finding is neither of a new type nor more severe", inc.ID, last.head.State), inc, nil
}

// claim opens the next incident of the instance.
func (s *Step) claim(ctx context.Context, execution string, f incident.Finding, attached time.Time, last standing) (Verdict, string, incident.Incident, error) {
	inc := incident.Incident{
		Account: f.AccountID, Region: f.Region, InstanceID: f.InstanceID, AttachedAt: attached, OpenedAt: s.host.Now().UTC(), Finding: f,
	}
	number := 1
	if last.found {
		_, n, err := incident.SplitID(last.head.Incident.ID)
		if err != nil {
			return "", "", inc, err
		}
		number = n + 1
		// Kept isolated, the machine stands in our groups: what it had before
		// is known to that incident only.
		if last.head.State == record.Kept && last.head.Incident.AttachedAt.Equal(attached) {
			inc.Inherits = last.head.Incident.ID
		}
	}
	inc.ID = incident.NewID(incident.InstanceKey(f.AccountID, f.Region, f.InstanceID), number)
	h, err := record.Claim(ctx, s.db, s.table, record.Head{Incident: inc, Execution: execution, State: record.Open})
	if errors.Is(err, record.ErrTaken) && h.Execution == execution && h.State == record.Open {
		err = nil // our own, whose answer was lost
	}
	return Act, "", h.Incident, err
}

// join leaves an incident to the execution that has it, or takes it over from
// one that ended before the instance was contained.
func (s *Step) join(ctx context.Context, execution string, h record.Head) (Verdict, string, incident.Incident, error) {
	inc := h.Incident
	joined := fmt.Sprintf("incident %s is open", inc.ID)
	var isolation incident.Isolation
	if _, err := record.LoadStep(ctx, s.db, s.table, inc.ID, "isolate", &isolation); err != nil {
		return "", "", inc, err
	}
	if isolation.Contained {
		return Joined, joined + " and contained", inc, nil
	}
	running, err := s.running(ctx, h.Execution)
	if err != nil {
		return "", "", inc, err
	}
	if running {
		return Joined, joined + " and being worked on", inc, nil
	}
	if err := record.TakeOver(ctx, s.db, s.table, inc.ID, h.Execution, execution); err != nil {
		return "", "", inc, err
	}
	return Act, "", inc, nil
}

func (s *Step) running(ctx context.Context, execution string) (bool, error) {
	out, err := s.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
	var none *types.ExecutionDoesNotExist
	if errors.As(err, &none) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("describe execution %s: %w", execution, err)
	}
	return out.Status == types.ExecutionStatusRunning, nil
}

// news tells whether a finding is of a new type, or more severe than all that
// were decided on with an incident.
func (s *Step) news(ctx context.Context, inc incident.Incident, f incident.Finding) (bool, error) {
	known, err := record.Findings(ctx, s.db, s.table, inc.ID)
	if err != nil {
		return false, err
	}
	known = append(known, inc.Finding)
	newType := !slices.ContainsFunc(known, func(k incident.Finding) bool { return k.Type == f.Type })
	moreSevere := !slices.ContainsFunc(known, func(k incident.Finding) bool { return k.Severity >= f.Severity })
	return newType || moreSevere, nil
}

// add notes that a finding belongs to an incident. An update that is less severe
// must not hide how severe it was: a repeat would then look like news.
func (s *Step) add(ctx context.Context, id string, f incident.Finding) error {
	known, err := record.Findings(ctx, s.db, s.table, id)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(known, func(k incident.Finding) bool { return k.ID == f.ID && k.Severity > f.Severity }) {
		return nil
	}
	return record.AddFinding(ctx, s.db, s.table, id, f)
}
