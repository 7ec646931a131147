package terminate

import (
	"context"
	"fmt"
	"slices"

	"cordon/internal/incident"
	"cordon/internal/mandate"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// names are those that isolate gives to the group that lets nothing through;
// the second where somebody else uses the first.
var names = []string{"quarantine-sg", "quarantine-sg-cordon"}

// isolated refuses unless every interface is in a quarantine group of this
// stack, in no other, and that group is closed.
func (s *Step) isolated(ctx context.Context, in Input) error {
	id := in.Incident.InstanceID
	var interfaces []types.NetworkInterface
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.ec2, &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{filter("attachment.instance-id", id)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("describe the interfaces of %s: %w", id, err)
		}
		interfaces = append(interfaces, page.NetworkInterfaces...)
	}
	if len(interfaces) == 0 {
		return mandate.Refuse("%s shows no network interface, so nobody can tell whether it is isolated", id)
	}
	groups, err := s.groups(ctx, interfaces)
	if err != nil {
		return err
	}
	var doubts []string
	for _, i := range interfaces {
		if why := s.open(i, groups); why != "" {
			doubts = append(doubts, fmt.Sprintf("interface %s %s", aws.ToString(i.NetworkInterfaceId), why))
		}
	}
	if len(doubts) > 0 {
		slices.Sort(doubts)
		return mandate.Refuse("%s is not isolated: %s", id, and(doubts))
	}
	return nil
}

// groups describes every group that an interface is in. A filter, unlike a list
// of IDs, does not fail over one that is gone.
func (s *Step) groups(ctx context.Context, interfaces []types.NetworkInterface) (map[string]types.SecurityGroup, error) {
	var ids []string
	for _, i := range interfaces {
		for _, g := range i.Groups {
			ids = append(ids, aws.ToString(g.GroupId))
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := map[string]types.SecurityGroup{}
	if len(ids) == 0 {
		return found, nil
	}
	pages := ec2.NewDescribeSecurityGroupsPaginator(s.ec2, &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{filter("group-id", ids...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the groups that the interfaces are in: %w", err)
		}
		for _, g := range page.SecurityGroups {
			found[aws.ToString(g.GroupId)] = g
		}
	}
	return found, nil
}

// open says why an interface is not known to be cut off; empty if it is.
func (s *Step) open(i types.NetworkInterface, groups map[string]types.SecurityGroup) string {
	if len(i.Groups) != 1 {
		return fmt.Sprintf("is in %d groups, not in quarantine alone", len(i.Groups))
	}
	id := aws.ToString(i.Groups[0].GroupId)
	g, found := groups[id]
	switch {
	case !found:
		return fmt.Sprintf("is in group %s, which cannot be described", id)
	case !slices.Contains(names, aws.ToString(g.GroupName)),
		!tagged(g.Tags, "cordon:group", "quarantine"), !tagged(g.Tags, "cordon:stack", s.stack):
		return fmt.Sprintf("is in group %s (%s), which is not this stack's quarantine", id, aws.ToString(g.GroupName))
	case len(g.IpPermissions)+len(g.IpPermissionsEgress) > 0:
		return fmt.Sprintf("is in quarantine group %s, to which somebody has added rules", id)
	}
	return ""
}

// evidenced refuses, with incident.ErrEvidence, unless every volume that is
// attached now has a completed snapshot of this incident.
func (s *Step) evidenced(ctx context.Context, in Input, i types.Instance) error {
	snapshots := map[string][]types.Snapshot{}
	pages := ec2.NewDescribeSnapshotsPaginator(s.ec2, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"},
		Filters:  []types.Filter{filter("tag:cordon:incident", in.Incident.ID)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("describe the snapshots of incident %s: %w", in.Incident.ID, err)
		}
		for _, sn := range page.Snapshots {
			snapshots[aws.ToString(sn.VolumeId)] = append(snapshots[aws.ToString(sn.VolumeId)], sn)
		}
	}
	var doubts []string
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		volume := aws.ToString(m.Ebs.VolumeId)
		if why := lacking(snapshots[volume]); why != "" {
			doubts = append(doubts, fmt.Sprintf("volume %s (%s) %s", volume, aws.ToString(m.DeviceName), why))
		}
	}
	if len(doubts) > 0 {
		return fmt.Errorf("%w: evidence is not complete: %s. Wait for it, or decide again and choose to terminate without it", incident.ErrEvidence, and(doubts))
	}
	return nil
}

// lacking says why a volume's snapshots are no evidence; empty if one is.
func lacking(snapshots []types.Snapshot) string {
	why := "has no snapshot of this incident"
	for _, sn := range snapshots {
		switch {
		case slices.ContainsFunc(sn.Tags, func(t types.Tag) bool {
			return aws.ToString(t.Key) == "cordon:duplicate" && aws.ToString(t.Value) != ""
		}):
			continue
		case sn.State == types.SnapshotStateCompleted:
			return ""
		}
		why = fmt.Sprintf("has snapshot %s, which is %s (%s)", aws.ToString(sn.SnapshotId), sn.State, aws.ToString(sn.Progress))
	}
	return why
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}
