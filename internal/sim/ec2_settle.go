package sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// settle fills in what an account file may leave out, and refuses what cannot be.
func (c *EC2) settle() error {
	if c.Reservations == nil {
		return errors.New("Reservations is lacking: give what `aws ec2 describe-instances` answers")
	}
	if c.NetworkInterfaces == nil {
		return errors.New("NetworkInterfaces is lacking: give what `aws ec2 describe-network-interfaces` answers")
	}
	if c.InstanceAttributes == nil {
		c.InstanceAttributes = map[string]*ec2.DescribeInstanceAttributeOutput{}
	}
	for _, service := range sortedKeys(c.quirks.resolves) {
		if _, err := netip.ParseAddr(c.quirks.resolves[service]); err != nil {
			return fmt.Errorf("Behaviour: Resolves: %s: %q is not an address", service, c.quirks.resolves[service])
		}
	}
	if err := c.named(); err != nil {
		return err
	}
	embedded := c.settleInstances()
	if err := c.settleInterfaces(); err != nil {
		return err
	}
	for _, e := range embedded {
		if i := c.networkInterface(e.id); i == nil || i.Attachment == nil || aws.ToString(i.Attachment.InstanceId) != e.instance {
			return fmt.Errorf("Reservations: instance %s has the interface %s, which NetworkInterfaces does not have as its own", e.instance, e.id)
		}
	}
	if err := c.settleGroups(); err != nil {
		return err
	}
	for _, i := range c.instances() {
		all := c.attached(*i.InstanceId)
		if len(all) == 0 {
			if i.State.Name == types.InstanceStateNameTerminated || i.State.Name == types.InstanceStateNameShuttingDown {
				continue
			}
			return fmt.Errorf("NetworkInterfaces: instance %s has none; each instance needs an entry with its Attachment.InstanceId", *i.InstanceId)
		}
		i.VpcId, i.SubnetId = cmp.Or(i.VpcId, all[0].VpcId), cmp.Or(i.SubnetId, all[0].SubnetId)
		i.PrivateIpAddress = cmp.Or(i.PrivateIpAddress, all[0].PrivateIpAddress)
	}
	if err := c.settleVolumes(); err != nil {
		return err
	}
	if err := c.settleOthers(); err != nil {
		return err
	}
	for _, e := range c.VpcEndpoints {
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html
		e.VpcEndpointType = cmp.Or(e.VpcEndpointType, types.VpcEndpointTypeGateway)
		e.PrivateDnsEnabled = cmp.Or(e.PrivateDnsEnabled, aws.Bool(e.VpcEndpointType == types.VpcEndpointTypeInterface))
		e.PolicyDocument = cmp.Or(e.PolicyDocument, aws.String(fullAccess))
		e.State = cmp.Or(e.State, "available")
	}
	for _, s := range c.Snapshots {
		s.OwnerId = cmp.Or(s.OwnerId, aws.String(c.a.account()))
		s.State = cmp.Or(s.State, types.SnapshotStateCompleted)
		s.StartTime = cmp.Or(s.StartTime, c.second())
	}
	return nil
}

// named refuses entries without an ID, and two of the same.
func (c *EC2) named() error {
	for n, r := range c.Reservations {
		if r == nil {
			return fmt.Errorf("Reservations: entry %d is null", n+1)
		}
	}
	for _, err := range []error{
		distinct("Reservations: instance", c.instances(), "InstanceId", func(v *types.Instance) *string { return v.InstanceId }),
		distinct("NetworkInterfaces:", c.NetworkInterfaces, "NetworkInterfaceId", func(v *types.NetworkInterface) *string { return v.NetworkInterfaceId }),
		distinct("SecurityGroups:", c.SecurityGroups, "GroupId", func(v *types.SecurityGroup) *string { return v.GroupId }),
		distinct("Volumes:", c.Volumes, "VolumeId", func(v *types.Volume) *string { return v.VolumeId }),
		distinct("Snapshots:", c.Snapshots, "SnapshotId", func(v *types.Snapshot) *string { return v.SnapshotId }),
		distinct("LockedSnapshots:", c.Locks, "SnapshotId", func(v *types.LockedSnapshotsInfo) *string { return v.SnapshotId }),
		distinct("Vpcs:", c.Vpcs, "VpcId", func(v *types.Vpc) *string { return v.VpcId }),
		distinct("Subnets:", c.Subnets, "SubnetId", func(v *types.Subnet) *string { return v.SubnetId }),
		distinct("VpcEndpoints:", c.VpcEndpoints, "VpcEndpointId", func(v *types.VpcEndpoint) *string { return v.VpcEndpointId }),
		distinct("RouteTables:", c.RouteTables, "RouteTableId", func(v *types.RouteTable) *string { return v.RouteTableId }),
		distinct("PrefixLists:", c.PrefixLists, "PrefixListId", func(v *types.PrefixList) *string { return v.PrefixListId }),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func distinct[T any](what string, all []*T, name string, id func(*T) *string) error {
	seen := map[string]bool{}
	for n, v := range all {
		switch {
		case v == nil:
			return fmt.Errorf("%s entry %d is null", what, n+1)
		case aws.ToString(id(v)) == "":
			return fmt.Errorf("%s entry %d has no %s", what, n+1, name)
		case seen[*id(v)]:
			return fmt.Errorf("%s %s is there twice", what, *id(v))
		}
		seen[*id(v)] = true
	}
	return nil
}

// embed is an interface that a reservation says its instance has.
type embed struct{ instance, id string }

func (c *EC2) settleInstances() []embed {
	var all []embed
	for _, r := range c.Reservations {
		r.ReservationId = cmp.Or(r.ReservationId, c.id("r"))
		r.OwnerId = cmp.Or(r.OwnerId, aws.String(c.a.account()))
	}
	for _, i := range c.instances() {
		if i.State == nil || i.State.Name == "" {
			i.State = state(types.InstanceStateNameRunning)
		}
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
		i.InstanceType = cmp.Or(i.InstanceType, types.InstanceTypeM1Small)
		for _, e := range i.NetworkInterfaces {
			all = append(all, embed{*i.InstanceId, aws.ToString(e.NetworkInterfaceId)})
		}
		i.NetworkInterfaces = nil
		if at := c.InstanceAttributes[*i.InstanceId]; at != nil {
			if i.BlockDeviceMappings == nil {
				i.BlockDeviceMappings = at.BlockDeviceMappings
			}
			at.BlockDeviceMappings, at.Groups = nil, nil
		}
	}
	return all
}

func (c *EC2) settleInterfaces() error {
	for _, i := range c.NetworkInterfaces {
		id := *i.NetworkInterfaceId
		if aws.ToString(i.VpcId) == "" {
			return fmt.Errorf("NetworkInterfaces: %s has no VpcId", id)
		}
		i.OwnerId = cmp.Or(i.OwnerId, aws.String(c.a.account()))
		i.InterfaceType = cmp.Or(i.InterfaceType, types.NetworkInterfaceTypeInterface)
		i.SourceDestCheck = cmp.Or(i.SourceDestCheck, aws.Bool(true))
		i.RequesterManaged = cmp.Or(i.RequesterManaged, aws.Bool(false))
		if i.PrivateIpAddress == nil && len(i.PrivateIpAddresses) > 0 {
			i.PrivateIpAddress = i.PrivateIpAddresses[0].PrivateIpAddress
		}
		if i.PrivateIpAddresses == nil && i.PrivateIpAddress != nil {
			i.PrivateIpAddresses = []types.NetworkInterfacePrivateIpAddress{{Primary: aws.Bool(true), PrivateIpAddress: i.PrivateIpAddress}}
		}
		if i.Attachment == nil {
			i.Status = cmp.Or(i.Status, types.NetworkInterfaceStatusAvailable)
			continue
		}
		i.Status = cmp.Or(i.Status, types.NetworkInterfaceStatusInUse)
		at := i.Attachment
		at.Status = cmp.Or(at.Status, types.AttachmentStatusAttached)
		if at.InstanceId == nil {
			continue // a service's, such as an endpoint's
		}
		if at.AttachTime == nil {
			return fmt.Errorf("NetworkInterfaces: %s has no Attachment.AttachTime", id)
		}
		if at.DeviceIndex == nil {
			if len(c.attached(*at.InstanceId)) > 1 {
				return fmt.Errorf("NetworkInterfaces: %s has no Attachment.DeviceIndex, and it is not the only interface of %s", id, *at.InstanceId)
			}
			at.DeviceIndex = aws.Int32(0)
		}
		at.AttachmentId = cmp.Or(at.AttachmentId, c.id("eni-attach"))
		at.NetworkCardIndex = cmp.Or(at.NetworkCardIndex, aws.Int32(0))
		// The interface that was made with the instance goes with it.
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceSpecification.html
		at.DeleteOnTermination = cmp.Or(at.DeleteOnTermination, aws.Bool(*at.DeviceIndex == 0))
	}
	return nil
}

// settleGroups makes what is only mentioned, and has every rule told once.
func (c *EC2) settleGroups() error {
	rulesToldAlone := c.Rules != nil
	vpcs := map[string]string{} // of groups, as their members tell
	mentioned := []*string{}
	for _, i := range c.NetworkInterfaces {
		mentioned = append(mentioned, i.VpcId)
		for n, g := range i.Groups {
			if aws.ToString(g.GroupId) == "" {
				return fmt.Errorf("NetworkInterfaces: %s: group %d has no GroupId", *i.NetworkInterfaceId, n+1)
			}
			vpcs[*g.GroupId] = *i.VpcId
		}
	}
	for _, g := range c.SecurityGroups {
		mentioned = append(mentioned, g.VpcId)
	}
	for _, s := range c.Subnets {
		mentioned = append(mentioned, s.VpcId)
	}
	for _, e := range c.VpcEndpoints {
		mentioned = append(mentioned, e.VpcId)
	}
	for _, id := range mentioned {
		if id != nil && c.vpc(*id) == nil {
			c.Vpcs = append(c.Vpcs, &types.Vpc{VpcId: id, OwnerId: aws.String(c.a.account())})
		}
	}

	told := c.SecurityGroups
	for _, id := range sortedKeys(vpcs) {
		if g := c.group(id); g == nil {
			g = &types.SecurityGroup{GroupId: aws.String(id), VpcId: aws.String(vpcs[id])}
			c.SecurityGroups = append(c.SecurityGroups, g)
			if len(c.rules(id, true)) == 0 && !rulesToldAlone {
				c.allowAllOut(c.vpc(vpcs[id]), id)
			}
		} else {
			g.VpcId = cmp.Or(g.VpcId, aws.String(vpcs[id]))
		}
	}
	for _, i := range c.NetworkInterfaces {
		for n := range i.Groups {
			g := c.group(*i.Groups[n].GroupId)
			g.GroupName = cmp.Or(g.GroupName, i.Groups[n].GroupName)
		}
	}
	for _, g := range c.SecurityGroups {
		g.GroupName = cmp.Or(g.GroupName, aws.String("group-"+strings.TrimPrefix(*g.GroupId, "sg-")))
		g.Description = cmp.Or(g.Description, g.GroupName)
		g.OwnerId = cmp.Or(g.OwnerId, aws.String(c.a.account()))
	}

	for _, r := range c.Rules {
		if aws.ToString(r.GroupId) == "" || r.IsEgress == nil || r.IpProtocol == nil {
			return fmt.Errorf("SecurityGroupRules: %s needs GroupId, IsEgress and IpProtocol", aws.ToString(r.SecurityGroupRuleId))
		}
		r.SecurityGroupRuleId = cmp.Or(r.SecurityGroupRuleId, c.id("sgr"))
		r.FromPort, r.ToPort = cmp.Or(r.FromPort, aws.Int32(-1)), cmp.Or(r.ToPort, aws.Int32(-1))
	}
	for _, g := range told {
		id := *g.GroupId
		for _, side := range []struct {
			egress bool
			all    []types.IpPermission
		}{{false, g.IpPermissions}, {true, g.IpPermissionsEgress}} {
			if side.all == nil && side.egress && !rulesToldAlone {
				c.allowAllOut(c.vpc(aws.ToString(g.VpcId)), id)
			}
			rules, err := c.ruled(id, side.egress, side.all)
			if err != nil {
				return fmt.Errorf("SecurityGroups: %s: %w", id, err)
			}
			for _, r := range rules {
				if !slices.ContainsFunc(c.Rules, func(o *types.SecurityGroupRule) bool { return sameRule(o, r) }) {
					c.addRule(r)
				}
			}
		}
		g.IpPermissions, g.IpPermissionsEgress = nil, nil
	}

	for _, i := range c.NetworkInterfaces {
		if len(i.Groups) == 0 && !aws.ToBool(i.RequesterManaged) {
			g := c.defaultGroup(*i.VpcId)
			i.Groups = []types.GroupIdentifier{{GroupId: g.GroupId}}
		}
		for n := range i.Groups {
			i.Groups[n].GroupName = c.group(*i.Groups[n].GroupId).GroupName
		}
	}
	return nil
}

// defaultGroup lets its members talk to each other, and out.
// https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
func (c *EC2) defaultGroup(vpc string) *types.SecurityGroup {
	for _, g := range c.SecurityGroups {
		if aws.ToString(g.VpcId) == vpc && aws.ToString(g.GroupName) == "default" {
			return g
		}
	}
	g := &types.SecurityGroup{
		GroupId: c.id("sg"), GroupName: aws.String("default"), Description: aws.String("default VPC security group"),
		VpcId: &vpc, OwnerId: aws.String(c.a.account()),
	}
	c.SecurityGroups = append(c.SecurityGroups, g)
	c.addRule(&types.SecurityGroupRule{
		GroupId: g.GroupId, GroupOwnerId: g.OwnerId, IsEgress: aws.Bool(false), IpProtocol: aws.String("-1"), FromPort: aws.Int32(-1), ToPort: aws.Int32(-1),
		ReferencedGroupInfo: &types.ReferencedSecurityGroup{GroupId: g.GroupId, UserId: g.OwnerId},
	})
	c.allowAllOut(c.vpc(vpc), *g.GroupId)
	return g
}

// settleVolumes joins what instances tell of volumes with what volumes tell of instances.
func (c *EC2) settleVolumes() error {
	for _, v := range c.Volumes {
		for n, at := range v.Attachments {
			i := c.instance(aws.ToString(at.InstanceId))
			if i == nil || slices.ContainsFunc(i.BlockDeviceMappings, func(m types.InstanceBlockDeviceMapping) bool {
				return m.Ebs != nil && aws.ToString(m.Ebs.VolumeId) == *v.VolumeId
			}) {
				continue
			}
			device := cmp.Or(at.Device, aws.String(fmt.Sprintf("/dev/sd%c", 'f'+len(i.BlockDeviceMappings)%20)))
			if n == 0 && len(i.BlockDeviceMappings) == 0 && at.Device == nil {
				device = cmp.Or(i.RootDeviceName, aws.String("/dev/xvda"))
			}
			i.BlockDeviceMappings = append(i.BlockDeviceMappings, types.InstanceBlockDeviceMapping{
				DeviceName: device,
				Ebs:        &types.EbsInstanceBlockDevice{VolumeId: v.VolumeId, AttachTime: at.AttachTime, DeleteOnTermination: at.DeleteOnTermination},
			})
		}
	}
	for _, i := range c.instances() {
		for n, m := range i.BlockDeviceMappings {
			if m.Ebs == nil {
				continue
			}
			if aws.ToString(m.Ebs.VolumeId) == "" {
				return fmt.Errorf("Reservations: instance %s: device %s has no Ebs.VolumeId", *i.InstanceId, aws.ToString(m.DeviceName))
			}
			i.RootDeviceName = cmp.Or(i.RootDeviceName, i.BlockDeviceMappings[0].DeviceName)
			v := c.volume(*m.Ebs.VolumeId)
			if v == nil {
				v = &types.Volume{VolumeId: m.Ebs.VolumeId}
				c.Volumes = append(c.Volumes, v)
			}
			// Only the root volume goes with its instance unless told otherwise.
			// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/preserving-volumes-on-termination.html
			m.Ebs.DeleteOnTermination = cmp.Or(m.Ebs.DeleteOnTermination, aws.Bool(n == 0))
			m.Ebs.Status = cmp.Or(m.Ebs.Status, types.AttachmentStatusAttached)
			at := slices.IndexFunc(v.Attachments, func(a types.VolumeAttachment) bool { return aws.ToString(a.InstanceId) == *i.InstanceId })
			if at < 0 {
				at = len(v.Attachments)
				v.Attachments = append(v.Attachments, types.VolumeAttachment{InstanceId: i.InstanceId})
			}
			a := &v.Attachments[at]
			a.Device, a.VolumeId = cmp.Or(a.Device, m.DeviceName), v.VolumeId
			a.AttachTime = cmp.Or(a.AttachTime, m.Ebs.AttachTime)
			a.State = cmp.Or(a.State, types.VolumeAttachmentStateAttached)
			a.DeleteOnTermination = m.Ebs.DeleteOnTermination
		}
	}
	for _, v := range c.Volumes {
		v.Size = cmp.Or(v.Size, aws.Int32(8))
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
		v.VolumeType = cmp.Or(v.VolumeType, types.VolumeTypeGp2)
		v.Encrypted = cmp.Or(v.Encrypted, aws.Bool(false))
		if v.State == "" {
			v.State = types.VolumeStateAvailable
			if len(v.Attachments) > 0 {
				v.State = types.VolumeStateInUse
			}
		}
	}
	return nil
}
