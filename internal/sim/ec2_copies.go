package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// copiesAtMost are the copies that one account has under way in a Region.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-copy-snapshot.html
const copiesAtMost = 20

// arbitrary is the volume that a copy says it is of.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
const arbitrary = "vol-ffffffff"

// CopySnapshot begins a copy of a completed snapshot, of this account's or one
// that is shared with it. There is no client token. Whether the keys may be used
// is found out later: then the copy ends in error.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
func (c *EC2) CopySnapshot(ctx context.Context, in *ec2.CopySnapshotInput, opts ...func(*ec2.Options)) (*ec2.CopySnapshotOutput, error) {
	c, err := c.as(ctx, opts)
	if err != nil {
		return nil, err
	}
	return invokeEC2(ctx, c, operation{
		action: "CopySnapshot", mutating: true, resources: []string{aws.ToString(in.SourceSnapshotId)},
		needs: []string{"SourceSnapshotId", "SourceRegion"},
		takes: []string{"Description", "Encrypted", "KmsKeyId", "TagSpecifications"},
	}, in, c.copySnapshot)
}

func (c *EC2) copySnapshot(in *ec2.CopySnapshotInput) (*ec2.CopySnapshotOutput, error) {
	if *in.SourceRegion != c.a.region() {
		return nil, unknown("ec2", "CopySnapshot", "a copy from another Region")
	}
	if in.KmsKeyId != nil && !aws.ToBool(in.Encrypted) {
		return nil, ec2Error("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	source, shared := c.snapshot(*in.SourceSnapshotId), false
	if here := c.a.ec2; source == nil && c != here && slices.Contains(here.Shared[*in.SourceSnapshotId], c.account()) {
		here.completeSnapshots()
		source, shared = here.snapshot(*in.SourceSnapshotId), true
	}
	if source == nil {
		return nil, ec2Error("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", *in.SourceSnapshotId)
	}
	if source.State != types.SnapshotStateCompleted {
		return nil, ec2Error("IncorrectState", "The snapshot '%s' is not in the state completed", *in.SourceSnapshotId)
	}
	tags, err := specified(in.TagSpecifications, types.ResourceTypeSnapshot)
	if err != nil {
		return nil, err
	}
	pending := 0
	for _, s := range c.Snapshots {
		if aws.ToString(s.VolumeId) == arbitrary && s.State == types.SnapshotStatePending {
			pending++
		}
	}
	if pending >= copiesAtMost {
		return nil, ec2Error("ResourceLimitExceeded", "Too many snapshot copies in progress. The limit is %d for this destination region.", copiesAtMost)
	}
	s := c.begin(&types.Volume{VolumeId: aws.String(arbitrary), Size: source.VolumeSize, Encrypted: aws.Bool(aws.ToBool(in.Encrypted) || aws.ToBool(source.Encrypted)), KmsKeyId: in.KmsKeyId}, in.Description, tags)
	if shared && aws.ToBool(source.Encrypted) && aws.ToString(source.KmsKeyId) != c.a.settings.Evidence.Transfer || c.quirks.keyRefuses {
		c.refused = append(c.refused, *s.SnapshotId)
	}
	c.Snapshots = append(c.Snapshots, s)
	return &ec2.CopySnapshotOutput{SnapshotId: s.SnapshotId, Tags: s.Tags}, nil
}

// DeleteSnapshot deletes a snapshot that is not locked.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html
func (c *EC2) DeleteSnapshot(ctx context.Context, in *ec2.DeleteSnapshotInput, _ ...func(*ec2.Options)) (*ec2.DeleteSnapshotOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DeleteSnapshot", mutating: true, resources: []string{aws.ToString(in.SnapshotId)}, needs: []string{"SnapshotId"},
	}, in, func(in *ec2.DeleteSnapshotInput) (*ec2.DeleteSnapshotOutput, error) {
		if c.snapshot(*in.SnapshotId) == nil {
			return nil, ec2Error("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", *in.SnapshotId)
		}
		if l := c.lock(*in.SnapshotId); l != nil && l.LockState != types.LockStateExpired {
			return nil, ec2Error("SnapshotLocked", "The snapshot '%s' is locked and can't be deleted.", *in.SnapshotId)
		}
		c.Snapshots = slices.DeleteFunc(c.Snapshots, func(s *types.Snapshot) bool { return *s.SnapshotId == *in.SnapshotId })
		delete(c.Shared, *in.SnapshotId)
		return &ec2.DeleteSnapshotOutput{}, nil
	})
}

// ModifySnapshotAttribute lets other accounts use a snapshot. One of them twice
// is no error.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html
func (c *EC2) ModifySnapshotAttribute(ctx context.Context, in *ec2.ModifySnapshotAttributeInput, _ ...func(*ec2.Options)) (*ec2.ModifySnapshotAttributeOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "ModifySnapshotAttribute", mutating: true, resources: []string{aws.ToString(in.SnapshotId)},
		needs: []string{"SnapshotId", "Attribute", "OperationType", "UserIds"},
	}, in, func(in *ec2.ModifySnapshotAttributeInput) (*ec2.ModifySnapshotAttributeOutput, error) {
		if in.Attribute != types.SnapshotAttributeNameCreateVolumePermission || in.OperationType != types.OperationTypeAdd {
			return nil, unknown("ec2", "ModifySnapshotAttribute", fmt.Sprintf("%s of %s", in.OperationType, in.Attribute))
		}
		if c.snapshot(*in.SnapshotId) == nil {
			return nil, ec2Error("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", *in.SnapshotId)
		}
		if c.Shared == nil {
			c.Shared = map[string][]string{}
		}
		for _, id := range in.UserIds {
			if !slices.Contains(c.Shared[*in.SnapshotId], id) {
				c.Shared[*in.SnapshotId] = append(c.Shared[*in.SnapshotId], id)
			}
		}
		return &ec2.ModifySnapshotAttributeOutput{}, nil
	})
}

// SlowCopies has copies take that long from now on, those under way too.
func (c *EC2) SlowCopies(seconds int) { c.a.ec2.quirks.copySeconds = seconds }

// Unlock takes a snapshot's lock off, here or in the evidence account, as whoever
// has ec2:UnlockSnapshot can in governance mode.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UnlockSnapshot.html
func (o Others) Unlock(snapshot string) {
	for _, c := range []*EC2{o.a.ec2, o.a.sts.there} {
		c.Locks = slices.DeleteFunc(c.Locks, func(l *types.LockedSnapshotsInfo) bool { return *l.SnapshotId == snapshot })
	}
}

// Delete deletes a snapshot, here or in the evidence account, that is not locked.
func (o Others) Delete(snapshot string) {
	for _, c := range []*EC2{o.a.ec2, o.a.sts.there} {
		if c.lock(snapshot) == nil {
			c.Snapshots = slices.DeleteFunc(c.Snapshots, func(s *types.Snapshot) bool { return *s.SnapshotId == snapshot })
		}
	}
}
