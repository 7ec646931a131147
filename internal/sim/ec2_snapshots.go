package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// DescribeVolumes tells of volumes, attached or not.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html
func (c *EC2) DescribeVolumes(ctx context.Context, in *ec2.DescribeVolumesInput, _ ...func(*ec2.Options)) (*ec2.DescribeVolumesOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeVolumes", resources: concerned(in.VolumeIds, in.Filters),
		takes: []string{"VolumeIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeVolumes)
}

func (c *EC2) describeVolumes(in *ec2.DescribeVolumesInput) (*ec2.DescribeVolumesOutput, error) {
	id := func(v *types.Volume) *string { return v.VolumeId }
	found, next, err := description[types.Volume]{
		action: "DescribeVolumes", all: c.Volumes, id: id, ids: in.VolumeIds, missing: "InvalidVolume.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*types.Volume) []string{
			"volume-id": one(id),
			"status":    enum(func(v *types.Volume) types.VolumeState { return v.State }),
			"attachment.instance-id": func(v *types.Volume) []string {
				var ids []string
				for _, a := range v.Attachments {
					ids = append(ids, aws.ToString(a.InstanceId))
				}
				return ids
			},
		},
		tags: func(v *types.Volume) []types.Tag { return v.Tags },
	}.find(c)
	return &ec2.DescribeVolumesOutput{Volumes: dereferenced(found), NextToken: next}, err
}

// pendingFor is how long a snapshot of a volume is pending.
func (c *EC2) pendingFor(s *types.Snapshot) time.Duration {
	if seconds := c.a.ec2.quirks.copySeconds; seconds > 0 && aws.ToString(s.VolumeId) == arbitrary {
		return time.Duration(seconds) * time.Second
	}
	if c.quirks.snapshotSeconds > 0 {
		return time.Duration(c.quirks.snapshotSeconds) * time.Second
	}
	return 30*time.Second + time.Duration(aws.ToInt32(s.VolumeSize))*15*time.Second
}

// completeSnapshots: data is copied after the point in time was fixed, for as long as it takes.
func (c *EC2) completeSnapshots() {
	now := c.a.now()
	for _, s := range c.Snapshots {
		if s.State != types.SnapshotStatePending || s.StartTime == nil {
			continue
		}
		took, whole := now.Sub(*s.StartTime), c.pendingFor(s)
		if took < whole {
			s.Progress = aws.String(fmt.Sprintf("%d%%", max(0, took*100/whole)))
			continue
		}
		end := s.StartTime.Add(whole)
		refused := slices.Contains(c.refused, *s.SnapshotId)
		if refused || c.fails(aws.ToString(s.VolumeId)) {
			s.State, s.StateMessage = types.SnapshotStateError, aws.String("Internal error: the data could not be copied")
			if refused {
				s.StateMessage = aws.String("Given key ID is not accessible")
			}
			// https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-considerations.html
			c.Locks = slices.DeleteFunc(c.Locks, func(l *types.LockedSnapshotsInfo) bool { return *l.SnapshotId == *s.SnapshotId })
			continue
		}
		s.State, s.Progress, s.CompletionTime = types.SnapshotStateCompleted, aws.String("100%"), &end
		if l := c.lock(*s.SnapshotId); l != nil && l.LockDurationStartTime == nil {
			l.LockDurationStartTime = &end
			l.LockExpiresOn = new(end.AddDate(0, 0, int(aws.ToInt32(l.LockDuration))))
		}
	}
	for _, l := range c.Locks {
		if l.LockExpiresOn != nil && !now.Before(*l.LockExpiresOn) {
			l.LockState = types.LockStateExpired
		}
	}
}

// fails says whether the next snapshot of a volume to end ends in error.
func (c *EC2) fails(volume string) bool {
	failed := 0
	for _, s := range c.Snapshots {
		if aws.ToString(s.VolumeId) == volume && s.State == types.SnapshotStateError {
			failed++
		}
	}
	return slices.Contains(c.quirks.failingSnapshots, volume) || failed < c.quirks.snapshotFailures[volume]
}

// CreateSnapshot takes one volume alone, attached or not. There is no client
// token here either.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html
func (c *EC2) CreateSnapshot(ctx context.Context, in *ec2.CreateSnapshotInput, _ ...func(*ec2.Options)) (*ec2.CreateSnapshotOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "CreateSnapshot", mutating: true, resources: []string{aws.ToString(in.VolumeId)},
		needs: []string{"VolumeId"},
		takes: []string{"Description", "TagSpecifications"},
	}, in, c.createSnapshot)
}

func (c *EC2) createSnapshot(in *ec2.CreateSnapshotInput) (*ec2.CreateSnapshotOutput, error) {
	v := c.volume(*in.VolumeId)
	if v == nil {
		return nil, ec2Error("InvalidVolume.NotFound", "The volume '%s' does not exist.", *in.VolumeId)
	}
	tags, err := specified(in.TagSpecifications, types.ResourceTypeSnapshot)
	if err != nil {
		return nil, err
	}
	if err := c.busy(v); err != nil {
		return nil, err
	}
	s := c.begin(v, in.Description, tags)
	c.Snapshots = append(c.Snapshots, s)
	return &ec2.CreateSnapshotOutput{
		SnapshotId: s.SnapshotId, VolumeId: s.VolumeId, VolumeSize: s.VolumeSize, Description: s.Description, Encrypted: s.Encrypted, KmsKeyId: s.KmsKeyId,
		OwnerId: s.OwnerId, Progress: s.Progress, StartTime: s.StartTime, State: s.State, StorageTier: s.StorageTier, Tags: s.Tags,
	}, nil
}

// busy is the refusal where a volume has as many pending snapshots as it may.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
func (c *EC2) busy(v *types.Volume) error {
	pending := 0
	for _, s := range c.Snapshots {
		if aws.ToString(s.VolumeId) == *v.VolumeId && s.State == types.SnapshotStatePending {
			pending++
		}
	}
	most := 5
	if v.VolumeType == types.VolumeTypeSt1 || v.VolumeType == types.VolumeTypeSc1 {
		most = 1
	}
	if pending >= most {
		return ec2Error("ConcurrentSnapshotLimitExceeded", "Maximum allowed in-progress snapshots for a single volume exceeded.")
	}
	return nil
}

// begin is a snapshot of a volume as it is now, pending.
func (c *EC2) begin(v *types.Volume, description *string, tags []types.Tag) *types.Snapshot {
	return &types.Snapshot{
		SnapshotId: c.id("snap"), VolumeId: v.VolumeId, VolumeSize: v.Size, Description: aws.String(aws.ToString(description)),
		Encrypted: aws.Bool(aws.ToBool(v.Encrypted)), KmsKeyId: v.KmsKeyId, OwnerId: aws.String(c.account()), Progress: aws.String("0%"),
		StartTime: c.second(), State: types.SnapshotStatePending, StorageTier: types.StorageTierStandard, Tags: slices.Clone(tags),
	}
}

// CreateSnapshots takes one crash-consistent set over the volumes of an
// instance: all of them or none. The answer comes while they are pending.
// There is no client token: a call made twice makes two sets.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
func (c *EC2) CreateSnapshots(ctx context.Context, in *ec2.CreateSnapshotsInput, _ ...func(*ec2.Options)) (*ec2.CreateSnapshotsOutput, error) {
	var id []string
	if in.InstanceSpecification != nil {
		id = []string{aws.ToString(in.InstanceSpecification.InstanceId)}
	}
	return invokeEC2(ctx, c, operation{
		action: "CreateSnapshots", mutating: true, resources: id,
		needs: []string{"InstanceSpecification"},
		takes: []string{"Description", "TagSpecifications", "CopyTagsFromSource"},
	}, in, c.createSnapshots)
}

func (c *EC2) createSnapshots(in *ec2.CreateSnapshotsInput) (*ec2.CreateSnapshotsOutput, error) {
	of := in.InstanceSpecification
	i := c.instance(aws.ToString(of.InstanceId))
	if i == nil {
		return nil, noInstance(aws.ToString(of.InstanceId))
	}
	if i.State.Name == types.InstanceStateNameTerminated || i.State.Name == types.InstanceStateNameShuttingDown {
		return nil, incorrectState(i)
	}
	tags, err := specified(in.TagSpecifications, types.ResourceTypeSnapshot)
	if err != nil {
		return nil, err
	}
	if in.CopyTagsFromSource != "" && in.CopyTagsFromSource != types.CopyTagsFromSourceVolume {
		return nil, ec2Error("InvalidParameterValue", "Value (%s) for parameter copyTagsFromSource is invalid.", in.CopyTagsFromSource)
	}
	var volumes []*types.Volume
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		v := c.volume(aws.ToString(m.Ebs.VolumeId))
		root := aws.ToString(m.DeviceName) == aws.ToString(i.RootDeviceName)
		if root && aws.ToBool(of.ExcludeBootVolume) || slices.Contains(of.ExcludeDataVolumeIds, *v.VolumeId) {
			continue
		}
		volumes = append(volumes, v)
	}
	if len(volumes) == 0 {
		return nil, ec2Error("InvalidParameterValue", "The instance '%s' has no volumes that could be in a snapshot", *i.InstanceId)
	}
	for _, v := range volumes {
		if err := c.busy(v); err != nil {
			return nil, err
		}
	}
	var made []*types.Snapshot
	for _, v := range volumes {
		s := c.begin(v, in.Description, tags)
		if in.CopyTagsFromSource != "" {
			for _, t := range v.Tags {
				if !reservedTag(t) && !slices.ContainsFunc(tags, func(o types.Tag) bool { return *o.Key == *t.Key }) {
					s.Tags = append(s.Tags, t)
				}
			}
		}
		if len(s.Tags) > tagsAtMost {
			return nil, tooManyTags()
		}
		made = append(made, s)
	}
	out := &ec2.CreateSnapshotsOutput{}
	for _, s := range made {
		c.Snapshots = append(c.Snapshots, s)
		out.Snapshots = append(out.Snapshots, types.SnapshotInfo{
			SnapshotId: s.SnapshotId, VolumeId: s.VolumeId, VolumeSize: s.VolumeSize, Description: s.Description,
			Encrypted: s.Encrypted, OwnerId: s.OwnerId, Progress: s.Progress, StartTime: s.StartTime, State: s.State, Tags: s.Tags,
		})
	}
	return out, nil
}

// DescribeSnapshots tells of all snapshots that the account may read, those of
// other owners too unless OwnerIds says whose.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
func (c *EC2) DescribeSnapshots(ctx context.Context, in *ec2.DescribeSnapshotsInput, opts ...func(*ec2.Options)) (*ec2.DescribeSnapshotsOutput, error) {
	c, err := c.as(ctx, opts)
	if err != nil {
		return nil, err
	}
	return invokeEC2(ctx, c, operation{
		action: "DescribeSnapshots", resources: concerned(in.SnapshotIds, in.Filters),
		takes: []string{"SnapshotIds", "OwnerIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeSnapshots)
}

func (c *EC2) describeSnapshots(in *ec2.DescribeSnapshotsInput) (*ec2.DescribeSnapshotsOutput, error) {
	all := slices.DeleteFunc(slices.Clone(c.Snapshots), func(s *types.Snapshot) bool {
		owner := aws.ToString(s.OwnerId)
		ours := owner == c.account() && slices.Contains(in.OwnerIds, "self")
		return len(in.OwnerIds) > 0 && !ours && !slices.Contains(in.OwnerIds, owner)
	})
	id := func(s *types.Snapshot) *string { return s.SnapshotId }
	found, next, err := description[types.Snapshot]{
		action: "DescribeSnapshots", all: all, id: id, ids: in.SnapshotIds, missing: "InvalidSnapshot.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*types.Snapshot) []string{
			"snapshot-id": one(id),
			"volume-id":   one(func(s *types.Snapshot) *string { return s.VolumeId }),
			"owner-id":    one(func(s *types.Snapshot) *string { return s.OwnerId }),
			"status":      enum(func(s *types.Snapshot) types.SnapshotState { return s.State }),
		},
		tags: func(s *types.Snapshot) []types.Tag { return s.Tags },
	}.find(c)
	return &ec2.DescribeSnapshotsOutput{Snapshots: dereferenced(found), NextToken: next}, err
}

// LockSnapshot locks a snapshot, pending or completed, for a number of days
// that begin when it is complete.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LockSnapshot.html
func (c *EC2) LockSnapshot(ctx context.Context, in *ec2.LockSnapshotInput, opts ...func(*ec2.Options)) (*ec2.LockSnapshotOutput, error) {
	c, err := c.as(ctx, opts)
	if err != nil {
		return nil, err
	}
	return invokeEC2(ctx, c, operation{
		action: "LockSnapshot", mutating: true, resources: []string{aws.ToString(in.SnapshotId)},
		needs: []string{"SnapshotId", "LockMode", "LockDuration"},
	}, in, c.lockSnapshot)
}

func (c *EC2) lockSnapshot(in *ec2.LockSnapshotInput) (*ec2.LockSnapshotOutput, error) {
	if in.LockMode != types.LockModeGovernance {
		return nil, unknown("ec2", "LockSnapshot", "lock mode "+string(in.LockMode))
	}
	if *in.LockDuration < 1 || *in.LockDuration > 36500 {
		return nil, ec2Error("InvalidParameterValue", "Value (%d) for parameter lockDuration is invalid. It must be between 1 and 36500.", *in.LockDuration)
	}
	s := c.snapshot(*in.SnapshotId)
	if s == nil {
		return nil, ec2Error("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", *in.SnapshotId)
	}
	if s.State != types.SnapshotStatePending && s.State != types.SnapshotStateCompleted {
		return nil, ec2Error("IncorrectState", "The snapshot '%s' is in the state %s and cannot be locked", *in.SnapshotId, s.State)
	}
	l := c.lock(*in.SnapshotId)
	if l == nil {
		l = &types.LockedSnapshotsInfo{SnapshotId: in.SnapshotId, OwnerId: s.OwnerId}
		c.Locks = append(c.Locks, l)
	}
	l.LockState, l.LockDuration, l.LockCreatedOn = types.LockStateGovernance, in.LockDuration, cmp.Or(l.LockCreatedOn, c.second())
	if s.State == types.SnapshotStateCompleted {
		l.LockDurationStartTime = cmp.Or(l.LockDurationStartTime, c.second())
		l.LockExpiresOn = new(l.LockDurationStartTime.AddDate(0, 0, int(*in.LockDuration)))
	}
	return &ec2.LockSnapshotOutput{
		SnapshotId: l.SnapshotId, LockState: l.LockState, LockDuration: l.LockDuration, LockCreatedOn: l.LockCreatedOn,
		LockDurationStartTime: l.LockDurationStartTime, LockExpiresOn: l.LockExpiresOn,
	}, nil
}

// DescribeLockedSnapshots tells of locks, expired ones too.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLockedSnapshots.html
func (c *EC2) DescribeLockedSnapshots(ctx context.Context, in *ec2.DescribeLockedSnapshotsInput, opts ...func(*ec2.Options)) (*ec2.DescribeLockedSnapshotsOutput, error) {
	c, err := c.as(ctx, opts)
	if err != nil {
		return nil, err
	}
	return invokeEC2(ctx, c, operation{
		action: "DescribeLockedSnapshots", resources: concerned(in.SnapshotIds, in.Filters),
		takes: []string{"SnapshotIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeLockedSnapshots)
}

func (c *EC2) describeLockedSnapshots(in *ec2.DescribeLockedSnapshotsInput) (*ec2.DescribeLockedSnapshotsOutput, error) {
	for _, id := range in.SnapshotIds {
		if c.snapshot(id) == nil {
			return nil, ec2Error("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
		}
	}
	// A snapshot that exists and is not locked is no error: it is not in the answer.
	all := slices.DeleteFunc(slices.Clone(c.Locks), func(l *types.LockedSnapshotsInfo) bool {
		return len(in.SnapshotIds) > 0 && !slices.Contains(in.SnapshotIds, *l.SnapshotId)
	})
	found, next, err := description[types.LockedSnapshotsInfo]{
		action: "DescribeLockedSnapshots", all: all, id: func(l *types.LockedSnapshotsInfo) *string { return l.SnapshotId },
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*types.LockedSnapshotsInfo) []string{
			"lock-state": enum(func(l *types.LockedSnapshotsInfo) types.LockState { return l.LockState }),
		},
	}.find(c)
	return &ec2.DescribeLockedSnapshotsOutput{Snapshots: dereferenced(found), NextToken: next}, err
}
