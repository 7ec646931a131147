// Package snapshot takes one set of snapshots of all volumes of an instance,
// locks it, and says how far it is. What of it fails or disappears, and a volume
// that was attached since, is snapshotted again by itself.
//
// CreateSnapshots and CreateSnapshot have no client token. A snapshot is found
// by its tag before it is made again, and by the record where EC2 does not show
// it yet. Made twice all the same, because an answer was lost, it is told by its
// start time, which all snapshots of one request share: of each volume the
// earliest that did not fail is the evidence, the others are tagged as
// duplicates.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeInstanceTypesAPIClient
	ec2.DescribeSnapshotsAPIClient
	ec2.DescribeVolumesAPIClient
	CreateSnapshot(context.Context, *ec2.CreateSnapshotInput, ...func(*ec2.Options)) (*ec2.CreateSnapshotOutput, error)
	CreateSnapshots(context.Context, *ec2.CreateSnapshotsInput, ...func(*ec2.Options)) (*ec2.CreateSnapshotsOutput, error)
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
	DescribeLockedSnapshots(context.Context, *ec2.DescribeLockedSnapshotsInput, ...func(*ec2.Options)) (*ec2.DescribeLockedSnapshotsOutput, error)
	LockSnapshot(context.Context, *ec2.LockSnapshotInput, ...func(*ec2.Options)) (*ec2.LockSnapshotOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

// Input names the incident. Contained is false before isolation, when a set
// that exists and is locked is all there is to wait for.
type Input struct {
	Incident  incident.Incident `json:"incident"`
	Execution string            `json:"execution"` // ARN of the one that asks
	Entry     string            `json:"entry"`     // of that execution into the state that asks: the same when it is retried
	Contained bool              `json:"contained"`
}

// Runs is how long one invocation may run: the function's time-out. A set that it
// was about to take is another's to take after that.
const Runs = 20 * time.Second

// Output says how far the set is. Until Done the machine asks again.
type Output = incident.Snapshots

// Step takes snapshots.
type Step struct {
	host      incident.Host
	ec2       EC2
	incidents Incidents

	table, stack string
	days         int32 // how long snapshots are locked after they are completed
	dry          bool  // a dry run: say what would be done
}

// maxDays is the longest lock there is.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LockSnapshot.html
const maxDays = 36500

// New reads INCIDENTS_TABLE, STACK_NAME and RETENTION_DAYS, and, where it is
// set, DRY_RUN.
func New(host incident.Host, ec2 EC2, incidents Incidents) (*Step, error) {
	s := &Step{host: host, ec2: ec2, incidents: incidents, dry: host.Getenv("DRY_RUN") == "true"}
	var err error
	for name, to := range map[string]*string{"INCIDENTS_TABLE": &s.table, "STACK_NAME": &s.stack} {
		if *to, err = host.Setting(name); err != nil {
			return nil, err
		}
	}
	days, err := host.Number("RETENTION_DAYS")
	if err != nil {
		return nil, err
	}
	if days != math.Trunc(days) || days > maxDays {
		return nil, fmt.Errorf("environment variable RETENTION_DAYS: %v is not a whole number of days from 1 to %d", days, maxDays)
	}
	s.days = int32(days)
	return s, nil
}

// stepName is the record key of this step. Its value is the last Output.
const stepName = "snapshot"

// look is what stands before the step does anything.
type look struct {
	instance types.Instance
	gone     bool // the account does not know the instance any more
	tagged   []types.Snapshot
	recorded Output
	stored   record.Stored // recorded as it was read
	released bool          // by a standing decision
}

// Run is safe to repeat. It makes the set if there is none, locks what is not
// locked, makes again what the last look found lacking, and says how far it is.
// Its error wraps incident.ErrSuperseded where another execution has the incident.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if s.dry {
		return s.rehearse(ctx, in)
	}
	l, err := s.look(ctx, in)
	if err != nil {
		return Output{}, err
	}
	set, err := s.find(ctx, l)
	if err != nil {
		return Output{}, err
	}
	known := remember(l)
	var refused refusals
	switch {
	case len(set) > 0 || (l.gone || ended(l.instance)) && len(known) > 0:
		// A volume can be snapshotted without its instance.
		if set, refused, err = s.again(ctx, in, l, set, known); err != nil {
			return Output{}, err
		}
	case l.released:
		return s.done(ctx, in, Output{Report: skipped("released by a person before a snapshot was taken"), Done: true, Released: true})
	case l.gone:
		return Output{}, fmt.Errorf("snapshot %s: %w", in.Incident.InstanceID, incident.ErrInstanceNotFound)
	case ended(l.instance):
		return s.done(ctx, in, Output{
			Report: incident.Report{Status: incident.Failed, Reason: fmt.Sprintf("the instance is %s, and which volumes it had is not known", l.instance.State.Name)},
			Done:   true,
		})
	case len(known) == 0:
		out := Output{Report: skipped("the instance has no EBS volume"), Done: true}
		out.NotIn, out.Notes = s.notIn(ctx, l), notes(in, l, nil, nil)
		return s.done(ctx, in, out)
	default:
		// Which volumes there are is written before anything is asked of EC2: one
		// that is detached meanwhile would be forgotten. It is also what keeps another
		// invocation from taking the set once more.
		about := Output{Report: incident.Report{Status: incident.OK, Reason: "about to be taken"}, Volumes: known}
		lease := record.Lease{Incident: in.Incident.ID, Act: stepName, Holder: in.Execution + " " + in.Entry}
		if err := lease.Begin(ctx, s.incidents, s.table, l.stored, listed(about), s.host.Now(), Runs); err != nil {
			return Output{}, err
		}
		if set, err = s.create(ctx, in.Incident, l.instance); err != nil {
			return Output{}, errors.Join(err, s.save(ctx, in, about)) // so that nobody waits for this one
		}
		// Written before anything else: an answer that was not lost must not be
		// lost now.
		if err := s.save(ctx, in, Output{Report: incident.Report{Status: incident.OK, Reason: "taken"}, Set: set.snapshots(), Volumes: known}); err != nil {
			return Output{}, err
		}
	}
	var notIn, trouble []string
	var unread string
	s.host.Each(3, func(n int) {
		switch n {
		case 0:
			notIn = s.notIn(ctx, l)
		case 1:
			known, unread = s.described(ctx, in.Incident.InstanceID, known)
		case 2:
			trouble, err = s.secure(ctx, set)
		}
	})
	if err != nil {
		return Output{}, err
	}
	out := judge(in, l, set, known, trouble, refused, s.host.Now())
	out.NotIn, out.Notes = notIn, notes(in, l, set, known)
	if unread != "" {
		out.Notes = append(out.Notes, incident.Note{What: "volumesUnread", Detail: unread})
	}
	return s.done(ctx, in, out)
}

// rehearse says which volumes would be in the set. It records nothing.
func (s *Step) rehearse(ctx context.Context, in Input) (Output, error) {
	var l look
	var err error
	if l.instance, l.gone, err = s.instance(ctx, in.Incident.InstanceID); err != nil {
		return Output{}, err
	}
	out := Output{Report: skipped("dry run: the instance has no EBS volume"), Done: true}
	if all := volumes(l.instance); len(all) > 0 {
		out.Reason = fmt.Sprintf("dry run: it would take one set of snapshots of %s and lock it for %d days", strings.Join(all, ", "), s.days)
	}
	if l.gone {
		out.Reason = "dry run: the instance is gone"
	} else {
		out.NotIn = s.notIn(ctx, l)
	}
	return listed(out), nil
}

func skipped(why string) incident.Report {
	return incident.Report{Status: incident.Skipped, Reason: why}
}

func (s *Step) done(ctx context.Context, in Input, out Output) (Output, error) {
	out = listed(out)
	return out, s.save(ctx, in, out)
}

func (s *Step) save(ctx context.Context, in Input, out Output) error {
	return record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, listed(out))
}

// listed makes empty lists of those that are nil: the machine counts on lists.
func listed(out Output) Output {
	if out.Set == nil {
		out.Set = []incident.Snapshot{}
	}
	if out.Missing == nil {
		out.Missing = []string{}
	}
	if out.NotIn == nil {
		out.NotIn = []string{}
	}
	if out.Volumes == nil {
		out.Volumes = []incident.Volume{}
	}
	for n := range out.Volumes {
		if out.Volumes[n].Shared == nil {
			out.Volumes[n].Shared = []string{}
		}
	}
	if out.Notes == nil {
		out.Notes = []incident.Note{}
	}
	return out
}

func (s *Step) look(ctx context.Context, in Input) (look, error) {
	inc := in.Incident
	var l look
	errs := make([]error, 4)
	s.host.Each(len(errs), func(n int) {
		switch n {
		case 0:
			l.instance, l.gone, errs[n] = s.instance(ctx, inc.InstanceID)
		case 1:
			l.tagged, errs[n] = s.describe(ctx, filter("tag:"+tagIncident, inc.ID))
		case 2:
			l.stored, errs[n] = record.LoadStored(ctx, s.incidents, s.table, inc.ID, stepName, &l.recorded)
		case 3:
			var h record.Head
			h, errs[n] = record.Own(ctx, s.incidents, s.table, inc.ID, in.Execution)
			l.released = h.Decision == incident.Release
		}
	})
	return l, errors.Join(errs...)
}
