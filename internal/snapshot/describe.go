package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// instance describes the instance, which a set that stands already can do
// without.
func (s *Step) instance(ctx context.Context, id string) (i types.Instance, gone bool, err error) {
	out, err := s.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorCode() == "InvalidInstanceID.NotFound" {
		return types.Instance{}, true, nil
	}
	if err != nil {
		return types.Instance{}, false, fmt.Errorf("describe %s: %w", id, err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			if aws.ToString(i.InstanceId) == id {
				return i, false, nil
			}
		}
	}
	return types.Instance{}, true, nil
}

func ended(i types.Instance) bool {
	return i.State != nil && (i.State.Name == types.InstanceStateNameShuttingDown || i.State.Name == types.InstanceStateNameTerminated)
}

// volumes are the EBS volumes attached now.
func volumes(i types.Instance) []string {
	var all []string
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			all = append(all, aws.ToString(m.Ebs.VolumeId))
		}
	}
	return all
}

// devices names the device of each volume attached now.
func devices(i types.Instance) map[string]string {
	all := map[string]string{}
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			all[aws.ToString(m.Ebs.VolumeId)] = aws.ToString(m.DeviceName)
		}
	}
	return all
}

// describe lists snapshots of this account.
func (s *Step) describe(ctx context.Context, f types.Filter) ([]types.Snapshot, error) {
	var all []types.Snapshot
	pages := ec2.NewDescribeSnapshotsPaginator(s.ec2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{f}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for snapshots by %s: %w", aws.ToString(f.Name), err)
		}
		all = append(all, page.Snapshots...)
	}
	return all, nil
}

// notIn lists what no snapshot holds: the disks inside the host, which only the
// instance's type tells of. That it could not be read is told, and costs nothing
// else. Of an instance that is gone, what was recorded holds.
func (s *Step) notIn(ctx context.Context, l look) []string {
	i := l.instance
	if i.InstanceType == "" {
		return l.recorded.NotIn
	}
	out, err := s.ec2.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{i.InstanceType}})
	if err != nil {
		return []string{fmt.Sprintf("whether a %s has disks of its own could not be read: %v", i.InstanceType, err)}
	}
	var all []string
	for _, t := range out.InstanceTypes {
		if t.InstanceStorageInfo == nil {
			continue
		}
		for _, d := range t.InstanceStorageInfo.Disks {
			all = append(all, fmt.Sprintf("%d × %d GB %s inside the host", aws.ToInt32(d.Count), aws.ToInt64(d.SizeInGB), d.Type))
		}
	}
	return all
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}
