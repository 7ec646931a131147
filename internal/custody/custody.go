// Package custody copies the incident's snapshots into an evidence account, where
// nobody of the incident's account can delete them or withdraw their key.
//
// Each snapshot goes in two steps. It is copied here under a key of this stack:
// one under AWS's default key cannot be shared, and the key of the victim's
// volumes is not for others to use. That copy is shared with the evidence account
// alone, and copied there with that account's own credentials, under its own key,
// and locked at once, so that it is locked even if nobody looks any more when it
// completes. Then the copy here is deleted.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
//
// CopySnapshot has no client token. A copy is found by its tags before it is made
// again, and by the record where EC2 does not show it yet.
package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// EC2 is the part of the EC2 API this step calls in this account.
type EC2 interface {
	ec2.DescribeSnapshotsAPIClient
	CopySnapshot(context.Context, *ec2.CopySnapshotInput, ...func(*ec2.Options)) (*ec2.CopySnapshotOutput, error)
	DeleteSnapshot(context.Context, *ec2.DeleteSnapshotInput, ...func(*ec2.Options)) (*ec2.DeleteSnapshotOutput, error)
	ModifySnapshotAttribute(context.Context, *ec2.ModifySnapshotAttributeInput, ...func(*ec2.Options)) (*ec2.ModifySnapshotAttributeOutput, error)
}

// Evidence is the part of the EC2 API this step calls in the evidence account,
// each call with that account's credentials. stacks/evidence.yaml allows it.
type Evidence interface {
	ec2.DescribeSnapshotsAPIClient
	CopySnapshot(context.Context, *ec2.CopySnapshotInput, ...func(*ec2.Options)) (*ec2.CopySnapshotOutput, error)
	DescribeLockedSnapshots(context.Context, *ec2.DescribeLockedSnapshotsInput, ...func(*ec2.Options)) (*ec2.DescribeLockedSnapshotsOutput, error)
	LockSnapshot(context.Context, *ec2.LockSnapshotInput, ...func(*ec2.Options)) (*ec2.LockSnapshotOutput, error)
}

// STS is the part of the STS API this step calls.
type STS interface {
	AssumeRole(context.Context, *sts.AssumeRoleInput, ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

// Input is the incident and its snapshots as they are.
type Input struct {
	Incident  incident.Incident  `json:"incident"`
	Snapshots incident.Snapshots `json:"snapshots"`
	Gone      bool               `json:"gone"` // the instance does not exist any more: what was taken of it is all there is, whatever was decided
}

// Output says how far the copies are. Until Done the machine asks again.
type Output = incident.Custody

// Step copies snapshots.
type Step struct {
	host      incident.Host
	ec2       EC2
	evidence  Evidence
	sts       STS
	incidents Incidents

	table, stack              string
	role, account             string // of the evidence account; empty where none is configured
	key, transfer, externalID string
	days                      int32
}

// New reads INCIDENTS_TABLE, STACK_NAME, RETENTION_DAYS, EVIDENCE_ROLE_ARN,
// EVIDENCE_KEY_ARN, EVIDENCE_EXTERNAL_ID and TRANSFER_KEY_ARN. Where the role is
// "off", nothing is copied.
func New(host incident.Host, ec2 EC2, evidence Evidence, sts STS, incidents Incidents) (*Step, error) {
	s := &Step{host: host, ec2: ec2, evidence: evidence, sts: sts, incidents: incidents}
	var err error
	for name, to := range map[string]*string{
		"INCIDENTS_TABLE": &s.table, "STACK_NAME": &s.stack, "EVIDENCE_ROLE_ARN": &s.role, "EVIDENCE_KEY_ARN": &s.key,
		"EVIDENCE_EXTERNAL_ID": &s.externalID, "TRANSFER_KEY_ARN": &s.transfer,
	} {
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
	if s.role == off {
		return s, nil
	}
	parts := strings.Split(s.role, ":") // arn:aws:iam::ACCOUNT:role/NAME
	if len(parts) != 6 || parts[4] == "" {
		return nil, fmt.Errorf("environment variable EVIDENCE_ROLE_ARN: %q is not the ARN of a role", s.role)
	}
	s.account = parts[4]
	return s, nil
}

const (
	stepName = "custody"
	off      = "off"
	// maxDays is the longest lock there is.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LockSnapshot.html
	maxDays = 36500
	// patience is how long the evidence account's copy is tried for. A copy to
	// another key is a full one; two of them of the largest volumes take days.
	patience = 3 * 24 * time.Hour
	// patienceThere is how long one that is under way there by then is waited for:
	// what it is made of must not be deleted before.
	patienceThere = 7 * 24 * time.Hour
	// mostOf is how often one copy is begun: the first, and two that make it again.
	mostOf = 3
	// mostRefusals is how many looks in a row may be refused something.
	mostRefusals = 10
	// hiding is how long EC2 may not show a snapshot that it made.
	// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
	hiding = 15 * time.Minute
)

// Tags of a copy. Its volume ID is arbitrary, so all that it is stands in tags.
// Here it must not look like the evidence, which cordon:incident marks.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
const (
	tagTransfer = "cordon:transfer" // here: of which incident
	tagIncident = "cordon:incident" // there
	tagSource   = "cordon:source"
	tagStack    = "cordon:stack"
	tagAccount  = "cordon:account"
	tagInstance = "cordon:instance"
	tagVolume   = "cordon:volume"
	tagDevice   = "cordon:device"
)

// Run is safe to repeat: it takes each copy one step further, and says how far
// all are.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if s.role == off {
		return listed(Output{Report: incident.Report{Status: incident.Skipped, Reason: "no evidence account is configured"}, Done: true, Off: true}), nil
	}
	var out Output
	if _, err := record.LoadStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, &out); err != nil {
		return Output{}, err
	}
	h, err := record.LoadHead(ctx, s.incidents, s.table, in.Incident.ID)
	if err != nil {
		return Output{}, err
	}
	out.Account, out.Decided = s.account, h.Decision != ""
	released := h.Decision == incident.Release && !in.Gone
	if out.Released && !released {
		resume(&out)
	}
	out.Released = released
	added := want(&out, in.Snapshots)
	if !added && out.Done {
		return listed(out), nil
	}
	out.Done = false
	// Patience counts from the snapshot that was last to complete: snapshots may take
	// longer than copies are waited for.
	if added || out.BegunAt.IsZero() {
		out.BegunAt = s.host.Now().UTC()
	}
	var refused []refusal
	switch {
	case s.account == in.Incident.Account:
		refused = []refusal{{why: "the evidence account is the incident's own", last: true}}
	case released:
		if refused, err = s.end(ctx, in.Incident); err != nil {
			return Output{}, err
		}
		refused = append(refused, refusal{why: "the instance was released", last: true})
	case len(out.Copies) > 0:
		if refused, err = s.advance(ctx, in.Incident, &out); err != nil {
			// What was begun side by side is written down: nothing of it is begun twice.
			return Output{}, errors.Join(err, record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, listed(out)))
		}
	}
	s.judge(in, &out, refused)
	if err := s.tidy(ctx, in.Incident, out); err != nil {
		return Output{}, err
	}
	out = listed(out)
	return out, record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, out)
}

// resume begins again what a release ended that was not carried out, or found
// nothing to release. What the evidence account has by then is found by its tags.
func resume(out *Output) {
	out.Done, out.BegunAt, out.Refusals = false, time.Time{}, 0
	for n, c := range out.Copies {
		if c.State != incident.Copied {
			out.Copies[n] = incident.Copy{Source: c.Source, VolumeID: c.VolumeID, Device: c.Device, State: incident.Waiting}
		}
	}
}

// tidy deletes, once nothing is waited for any more, what is on its way here to
// nowhere. What a copy under way there is made of stays.
func (s *Step) tidy(ctx context.Context, inc incident.Incident, out Output) error {
	left := slices.DeleteFunc(slices.Clone(out.Copies), func(c incident.Copy) bool {
		return c.State == incident.Copied || c.State == incident.Copying || c.Transfer == ""
	})
	if !out.Done || out.Released || len(left) == 0 { // end did it
		return nil
	}
	here, err := described(ctx, s.ec2, tagTransfer, inc.ID)
	if err != nil {
		return fmt.Errorf("look for copies here: %w", err)
	}
	for _, c := range left {
		if _, err := s.clear(ctx, of(here, c.Source)); err != nil {
			return err
		}
	}
	return nil
}

// end deletes what is on its way.
func (s *Step) end(ctx context.Context, inc incident.Incident) ([]refusal, error) {
	here, err := described(ctx, s.ec2, tagTransfer, inc.ID)
	if err != nil {
		return nil, fmt.Errorf("look for copies here: %w", err)
	}
	return s.clear(ctx, here)
}

// want adds the snapshots that are to be copied and are not on the list. Only a
// completed one can be.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-copy-snapshot.html
func want(o *Output, s incident.Snapshots) (added bool) {
	for _, sn := range s.Set {
		known := slices.ContainsFunc(o.Copies, func(c incident.Copy) bool { return c.Source == sn.ID })
		if known || sn.Duplicate || sn.Superseded || sn.State != string(types.SnapshotStateCompleted) {
			continue
		}
		o.Copies = append(o.Copies, incident.Copy{Source: sn.ID, VolumeID: sn.VolumeID, Device: sn.Device, State: incident.Waiting})
		added = true
	}
	return added
}

// refusal is what keeps a copy from going on.
type refusal struct {
	why    string
	count  bool // it is not going to end by itself
	last   bool // trying again cannot help
	hidden bool // EC2 does not show yet what it made
}

// answered makes an answer of AWS that is no success a refusal to tell of; any
// other error is one of the step. More copies at once than a Region allows ends
// by itself.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-copy-snapshot.html
func answered(what string, err error) (refusal, error) {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return refusal{}, fmt.Errorf("%s: %w", what, err)
	}
	busy := slices.Contains([]string{"ResourceLimitExceeded", "RequestLimitExceeded", "ConcurrentSnapshotLimitExceeded"}, answer.ErrorCode())
	return refusal{why: fmt.Sprintf("%s: %s: %s", what, answer.ErrorCode(), answer.ErrorMessage()), count: !busy, hidden: answer.ErrorCode() == "InvalidSnapshot.NotFound"}, nil
}

// advance takes each copy one step further.
func (s *Step) advance(ctx context.Context, inc incident.Incident, out *Output) ([]refusal, error) {
	as, err := s.assume(ctx, inc)
	if err != nil {
		r, err := answered("take the role "+s.role, err)
		return []refusal{r}, err
	}
	var here, there []types.Snapshot
	errs := make([]error, 2)
	s.host.Each(2, func(n int) {
		if n == 0 {
			here, errs[n] = described(ctx, s.ec2, tagTransfer, inc.ID)
		} else {
			there, errs[n] = described(ctx, s.evidence, tagIncident, inc.ID, as)
		}
	})
	if errs[0] != nil {
		return nil, fmt.Errorf("look for copies here: %w", errs[0])
	}
	locked := map[string]bool{}
	if errs[1] == nil {
		locked, errs[1] = s.locked(ctx, there, as)
	}
	if errs[1] != nil {
		r, err := answered("look for copies in account "+s.account, errs[1])
		return []refusal{r}, err
	}
	refusals, errs := make([][]refusal, len(out.Copies)), make([]error, len(out.Copies))
	s.host.Each(len(out.Copies), func(n int) {
		c := &out.Copies[n]
		if c.State == incident.NotCopied {
			return
		}
		at := stage{here: of(here, c.Source), there: of(there, c.Source), locked: locked, late: s.host.Now().Sub(out.BegunAt) > patience, as: as}
		refusals[n], errs[n] = s.step(ctx, inc, c, at)
		var whys []string
		for _, r := range refusals[n] {
			whys = append(whys, r.why)
		}
		c.Reason = cmp.Or(strings.Join(whys, "; "), map[bool]string{true: c.Reason}[c.State == incident.NotCopied])
	})
	return slices.Concat(refusals...), errors.Join(errs...)
}

// stage is what stands of one copy.
type stage struct {
	here, there []types.Snapshot
	locked      map[string]bool
	late        bool // patience is over
	as          func(*ec2.Options)
}

// step takes one copy one step further.
func (s *Step) step(ctx context.Context, inc incident.Incident, c *incident.Copy, at stage) ([]refusal, error) {
	hidden := s.host.Now().Sub(c.AskedAt) < hiding
	copied, failedThere := best(at.there)
	transferred, failedHere := best(at.here)
	switch {
	case copied != nil:
		c.State, c.ID, c.Progress, c.KMSKey = incident.Copying, aws.ToString(copied.SnapshotId), aws.ToString(copied.Progress), aws.ToString(copied.KmsKeyId)
		if copied.State == types.SnapshotStateCompleted {
			c.State, c.Progress = incident.Copied, ""
		}
		if c.Locked = at.locked[c.ID]; !c.Locked {
			if all, err := refused(s.lock(ctx, c, at.as)); err != nil || len(all) > 0 {
				return all, err
			}
		}
		if c.State == incident.Copying {
			return nil, nil
		}
		return s.clear(ctx, at.here)
	case c.ID != "" && hidden && failedThere == 0:
		return nil, nil
	case at.late:
		c.State, c.Reason = incident.NotCopied, fmt.Sprintf("not waited for any longer after %d days", int(patience.Hours()/24))
		return nil, nil
	case failedThere >= mostOf:
		c.State, c.Reason = incident.NotCopied, fmt.Sprintf("%d copies failed in account %s: %s", failedThere, s.account, why(at.there))
		return s.clear(ctx, at.here)
	case transferred != nil && transferred.State == types.SnapshotStateCompleted:
		return s.copy(ctx, inc, c, aws.ToString(transferred.SnapshotId), at.as)
	case transferred != nil:
		c.State, c.Transfer, c.Progress = incident.Transferring, aws.ToString(transferred.SnapshotId), aws.ToString(transferred.Progress)
		return nil, nil
	case c.Transfer != "" && hidden && failedHere == 0:
		return nil, nil
	case failedHere >= mostOf:
		c.State, c.Reason = incident.NotCopied, fmt.Sprintf("%d copies failed here: %s", failedHere, why(at.here))
		return s.clear(ctx, at.here)
	}
	out, err := s.ec2.CopySnapshot(ctx, s.request(inc, c.Source, s.transfer, tags(map[string]string{
		tagTransfer: inc.ID, tagSource: c.Source, tagStack: s.stack, "Name": "cordon transfer of " + c.Source,
	})), once)
	if err != nil {
		return refused(answered("copy "+c.Source, err))
	}
	c.State, c.Transfer, c.AskedAt, c.Progress = incident.Transferring, aws.ToString(out.SnapshotId), s.host.Now().UTC(), ""
	return nil, nil
}

// copy has the evidence account make its own copy. The permission that it needs
// for it is that of one snapshot, and goes with it.
func (s *Step) copy(ctx context.Context, inc incident.Incident, c *incident.Copy, transfer string, as func(*ec2.Options)) ([]refusal, error) {
	c.Transfer = transfer
	if _, err := s.ec2.ModifySnapshotAttribute(ctx, &ec2.ModifySnapshotAttributeInput{
		SnapshotId: &transfer, Attribute: types.SnapshotAttributeNameCreateVolumePermission, OperationType: types.OperationTypeAdd, UserIds: []string{s.account},
	}); err != nil {
		return refused(answered("share "+transfer, err))
	}
	out, err := s.evidence.CopySnapshot(ctx, s.request(inc, transfer, s.key, tags(map[string]string{
		tagIncident: inc.ID, tagSource: c.Source, tagStack: s.stack, tagAccount: inc.Account, tagInstance: inc.InstanceID, tagVolume: c.VolumeID,
		tagDevice: c.Device, "Name": "cordon " + inc.ID,
	})), once, as)
	if err != nil {
		return refused(answered("copy "+c.Source+" in account "+s.account, err))
	}
	c.State, c.ID, c.AskedAt, c.Progress = incident.Copying, aws.ToString(out.SnapshotId), s.host.Now().UTC(), ""
	r, err := s.lock(ctx, c, as)
	if r.hidden { // the next look locks it
		return nil, nil
	}
	return refused(r, err)
}

// lock locks a copy there, complete or not: its days count from its completion.
// https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-considerations.html
func (s *Step) lock(ctx context.Context, c *incident.Copy, as func(*ec2.Options)) (refusal, error) {
	if _, err := s.evidence.LockSnapshot(ctx, &ec2.LockSnapshotInput{SnapshotId: &c.ID, LockMode: types.LockModeGovernance, LockDuration: &s.days}, as); err != nil {
		return answered("lock "+c.ID, err)
	}
	c.Locked = true
	return refusal{}, nil
}

func (s *Step) request(inc incident.Incident, source, key string, with []types.Tag) *ec2.CopySnapshotInput {
	return &ec2.CopySnapshotInput{
		SourceRegion: &inc.Region, SourceSnapshotId: &source, Encrypted: aws.Bool(true), KmsKeyId: &key,
		Description:       aws.String("Cordon: evidence of incident " + inc.ID),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: with}},
	}
}

// clear deletes what was copied here on the way. The evidence itself stays: the
// role may delete only what carries the tag of a transfer.
func (s *Step) clear(ctx context.Context, here []types.Snapshot) ([]refusal, error) {
	var all []refusal
	for _, sn := range here {
		_, err := s.ec2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: sn.SnapshotId})
		var answer smithy.APIError
		if err == nil || errors.As(err, &answer) && answer.ErrorCode() == "InvalidSnapshot.NotFound" {
			continue
		}
		r, err := answered("delete "+aws.ToString(sn.SnapshotId), err)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// refused is a list of a refusal; nil where it is none.
func refused(r refusal, err error) ([]refusal, error) {
	if err != nil || r.why == "" {
		return nil, err
	}
	return []refusal{r}, nil
}
