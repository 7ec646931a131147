package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"

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

// remember adds the volumes that are attached now to those that earlier looks
// saw: one that was taken off since is evidence all the same.
func remember(l look) []incident.Volume {
	known := slices.Clone(l.recorded.Volumes)
	for n := range known {
		known[n].Attached = false
	}
	for _, m := range l.instance.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		v := incident.Volume{
			ID: aws.ToString(m.Ebs.VolumeId), Device: aws.ToString(m.DeviceName), Attached: true, Deleted: aws.ToBool(m.Ebs.DeleteOnTermination),
		}
		n := slices.IndexFunc(known, func(k incident.Volume) bool { return k.ID == v.ID })
		if n < 0 {
			known = append(known, v)
			continue
		}
		v.Shared = known[n].Shared
		known[n] = v
	}
	return known
}

// described says which of the volumes still exist, and to what else they are
// attached. That it could not be read costs nothing else.
func (s *Step) described(ctx context.Context, instance string, known []incident.Volume) (all []incident.Volume, unread string) {
	var ids []string
	for _, v := range known {
		ids = append(ids, v.ID)
	}
	if len(ids) == 0 {
		return known, ""
	}
	// A filter, unlike a list of IDs, does not fail over a volume that is gone.
	found := map[string]types.Volume{}
	pages := ec2.NewDescribeVolumesPaginator(s.ec2, &ec2.DescribeVolumesInput{Filters: []types.Filter{filter("volume-id", ids...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return known, err.Error()
		}
		for _, v := range page.Volumes {
			found[aws.ToString(v.VolumeId)] = v
		}
	}
	all = slices.Clone(known)
	for n := range all {
		v, exists := found[all[n].ID]
		all[n].Gone, all[n].Shared = !exists && !all[n].Attached, nil
		for _, a := range v.Attachments {
			if id := aws.ToString(a.InstanceId); id != "" && id != instance {
				all[n].Shared = append(all[n].Shared, id)
			}
		}
		slices.Sort(all[n].Shared)
	}
	return all, ""
}

// notes are what whoever reads the snapshots must know, and the snapshots do not
// say.
func notes(in Input, l look, st set, known []incident.Volume) (all []incident.Note) {
	add := func(what, detail string) { all = append(all, incident.Note{What: what, Detail: detail}) }
	dead := l.gone || ended(l.instance)
	if dead { // what was seen while it lived holds
		all = slices.DeleteFunc(slices.Clone(l.recorded.Notes), func(n incident.Note) bool {
			return slices.Contains([]string{"shared", "volumeGone", "detached", "later", "volumesUnread"}, n.What)
		})
	}
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/RootDeviceStorage.html
	if l.instance.RootDeviceType == types.DeviceTypeInstanceStore {
		add("rootInStore", aws.ToString(l.instance.RootDeviceName))
	}
	// Hibernation writes memory to the root volume, from where the next start
	// reads it.
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html
	if h := l.instance.HibernationOptions; h != nil && aws.ToBool(h.Configured) {
		add("hibernation", "")
	}
	for _, v := range known {
		// What the others write is in the snapshot too, and they are not isolated.
		// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volumes-multi.html
		if len(v.Shared) > 0 {
			add("shared", v.ID+": "+strings.Join(v.Shared, ", "))
		}
		switch {
		case v.Gone:
			add("volumeGone", v.ID)
		case !v.Attached && !dead:
			add("detached", v.ID)
		case v.Deleted && v.Attached && in.Contained: // before, preserve has not come so far
			add("deletedToo", v.ID)
		}
	}
	// Only what one request took shows one moment.
	first := st.first()
	for _, m := range st.evidence() {
		if m.StartedAt.After(first) {
			add("later", fmt.Sprintf("%s: %s of %s, the first of %s", m.ID, m.StartedAt.UTC().Format(time.RFC3339), m.VolumeID, first.UTC().Format(time.RFC3339)))
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
