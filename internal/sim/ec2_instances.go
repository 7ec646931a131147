package sim

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// described are the reservations as EC2 tells them: with the interfaces and
// groups of each instance, whose truth is elsewhere.
func (c *EC2) described() []*types.Reservation {
	all := clone(c.Reservations)
	for _, r := range all {
		for n := range r.Instances {
			i := &r.Instances[n]
			i.NetworkInterfaces, i.SecurityGroups = nil, nil
			for n, eni := range c.attached(*i.InstanceId) {
				i.NetworkInterfaces = append(i.NetworkInterfaces, embedded(eni))
				if n == 0 {
					i.SecurityGroups = clone(eni.Groups)
				}
			}
		}
	}
	return all
}

// embedded is an interface as DescribeInstances tells it.
func embedded(e *types.NetworkInterface) types.InstanceNetworkInterface {
	to := types.InstanceNetworkInterface{
		Attachment: &types.InstanceNetworkInterfaceAttachment{
			AttachTime: e.Attachment.AttachTime, AttachmentId: e.Attachment.AttachmentId, DeleteOnTermination: e.Attachment.DeleteOnTermination,
			DeviceIndex: e.Attachment.DeviceIndex, NetworkCardIndex: e.Attachment.NetworkCardIndex, Status: e.Attachment.Status,
		},
		Description: e.Description, Groups: clone(e.Groups), InterfaceType: aws.String(string(e.InterfaceType)), MacAddress: e.MacAddress,
		NetworkInterfaceId: e.NetworkInterfaceId, OwnerId: e.OwnerId, PrivateDnsName: e.PrivateDnsName, PrivateIpAddress: e.PrivateIpAddress,
		SourceDestCheck: e.SourceDestCheck, Status: e.Status, SubnetId: e.SubnetId, VpcId: e.VpcId,
	}
	if a := e.Association; a != nil {
		to.Association = &types.InstanceNetworkInterfaceAssociation{CarrierIp: a.CarrierIp, CustomerOwnedIp: a.CustomerOwnedIp, IpOwnerId: a.IpOwnerId, PublicDnsName: a.PublicDnsName, PublicIp: a.PublicIp}
	}
	for _, ip := range e.Ipv6Addresses {
		to.Ipv6Addresses = append(to.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: ip.Ipv6Address, IsPrimaryIpv6: ip.IsPrimaryIpv6})
	}
	for _, ip := range e.PrivateIpAddresses {
		to.PrivateIpAddresses = append(to.PrivateIpAddresses, types.InstancePrivateIpAddress{Primary: ip.Primary, PrivateDnsName: ip.PrivateDnsName, PrivateIpAddress: ip.PrivateIpAddress})
	}
	return to
}

// DescribeInstances tells of instances, those terminated within the last hour too.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
func (c *EC2) DescribeInstances(ctx context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeInstances", resources: concerned(in.InstanceIds, in.Filters),
		takes: []string{"InstanceIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeInstances)
}

func (c *EC2) describeInstances(in *ec2.DescribeInstancesInput) (*ec2.DescribeInstancesOutput, error) {
	for _, id := range in.InstanceIds {
		if c.instance(id) == nil {
			return nil, noInstance(slices.DeleteFunc(slices.Clone(in.InstanceIds), func(id string) bool { return c.instance(id) != nil })...)
		}
	}
	// Each instance is looked for alone: a filter takes instances, not reservations.
	var all []*types.Reservation
	for _, r := range c.described() {
		for _, i := range r.Instances {
			alone := *r
			alone.Instances = []types.Instance{i}
			all = append(all, &alone)
		}
	}
	only := func(of func(*types.Instance) *string) func(*types.Reservation) []string {
		return one(func(r *types.Reservation) *string { return of(&r.Instances[0]) })
	}
	found, next, err := description[types.Reservation]{
		action: "DescribeInstances", all: all, id: func(r *types.Reservation) *string { return r.Instances[0].InstanceId }, ids: in.InstanceIds,
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*types.Reservation) []string{
			"instance-id":         only(func(i *types.Instance) *string { return i.InstanceId }),
			"instance-state-name": only(func(i *types.Instance) *string { return (*string)(&i.State.Name) }),
			"vpc-id":              only(func(i *types.Instance) *string { return i.VpcId }),
			"iam-instance-profile.arn": only(func(i *types.Instance) *string {
				if p := i.IamInstanceProfile; p != nil {
					return p.Arn
				}
				return nil
			}),
			"subnet-id": only(func(i *types.Instance) *string { return i.SubnetId }),
		},
		tags: func(r *types.Reservation) []types.Tag { return r.Instances[0].Tags },
	}.find(c)
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeInstancesOutput{NextToken: next}
	for _, r := range found {
		if n := len(out.Reservations) - 1; n >= 0 && aws.ToString(out.Reservations[n].ReservationId) == aws.ToString(r.ReservationId) {
			out.Reservations[n].Instances = append(out.Reservations[n].Instances, r.Instances...)
			continue
		}
		out.Reservations = append(out.Reservations, *r)
	}
	return out, nil
}

// attributes are those that DescribeInstances does not tell.
func (c *EC2) attributes(id string) *ec2.DescribeInstanceAttributeOutput {
	at := c.InstanceAttributes[id]
	if at == nil {
		at = &ec2.DescribeInstanceAttributeOutput{}
		c.InstanceAttributes[id] = at
	}
	if at.DisableApiTermination == nil {
		at.DisableApiTermination = &types.AttributeBooleanValue{Value: aws.Bool(false)}
	}
	if at.DisableApiStop == nil {
		at.DisableApiStop = &types.AttributeBooleanValue{Value: aws.Bool(false)}
	}
	if at.InstanceInitiatedShutdownBehavior == nil {
		at.InstanceInitiatedShutdownBehavior = &types.AttributeValue{Value: aws.String(string(types.ShutdownBehaviorStop))}
	}
	return at
}

// DescribeInstanceAttribute tells one attribute a call.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceAttribute.html
func (c *EC2) DescribeInstanceAttribute(ctx context.Context, in *ec2.DescribeInstanceAttributeInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeInstanceAttribute", resources: []string{aws.ToString(in.InstanceId)},
		needs: []string{"InstanceId", "Attribute"},
	}, in, c.describeInstanceAttribute)
}

func (c *EC2) describeInstanceAttribute(in *ec2.DescribeInstanceAttributeInput) (*ec2.DescribeInstanceAttributeOutput, error) {
	i := c.instance(*in.InstanceId)
	if i == nil {
		return nil, noInstance(*in.InstanceId)
	}
	if i.State.Name == types.InstanceStateNameTerminated {
		return nil, incorrectState(i)
	}
	at := c.attributes(*in.InstanceId)
	out := &ec2.DescribeInstanceAttributeOutput{InstanceId: in.InstanceId}
	switch in.Attribute {
	case types.InstanceAttributeNameDisableApiTermination:
		out.DisableApiTermination = at.DisableApiTermination
	case types.InstanceAttributeNameDisableApiStop:
		out.DisableApiStop = at.DisableApiStop
	case types.InstanceAttributeNameInstanceInitiatedShutdownBehavior:
		out.InstanceInitiatedShutdownBehavior = at.InstanceInitiatedShutdownBehavior
	case types.InstanceAttributeNameBlockDeviceMapping:
		out.BlockDeviceMappings = i.BlockDeviceMappings
	case types.InstanceAttributeNameGroupSet:
		if all := c.attached(*in.InstanceId); len(all) > 0 {
			out.Groups = all[0].Groups
		}
	default:
		return nil, unknown("ec2", "DescribeInstanceAttribute", "attribute "+string(in.Attribute))
	}
	return out, nil
}

func incorrectState(i *types.Instance) error {
	return ec2Error("IncorrectInstanceState", "The instance '%s' is in the state %s, which is not valid for this operation", *i.InstanceId, i.State.Name)
}

// ModifyInstanceAttribute changes one attribute a call.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
func (c *EC2) ModifyInstanceAttribute(ctx context.Context, in *ec2.ModifyInstanceAttributeInput, _ ...func(*ec2.Options)) (*ec2.ModifyInstanceAttributeOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "ModifyInstanceAttribute", mutating: true, resources: append([]string{aws.ToString(in.InstanceId)}, in.Groups...),
		needs: []string{"InstanceId"},
		takes: []string{"DisableApiTermination", "DisableApiStop", "InstanceInitiatedShutdownBehavior", "BlockDeviceMappings", "Groups"},
	}, in, c.modifyInstanceAttribute)
}

func (c *EC2) modifyInstanceAttribute(in *ec2.ModifyInstanceAttributeInput) (*ec2.ModifyInstanceAttributeOutput, error) {
	named := 0
	for _, is := range []bool{in.DisableApiTermination != nil, in.DisableApiStop != nil, in.InstanceInitiatedShutdownBehavior != nil, in.BlockDeviceMappings != nil, in.Groups != nil} {
		if is {
			named++
		}
	}
	switch {
	case named == 0:
		return nil, ec2Error("InvalidParameterCombination", "No attributes specified.")
	case named > 1:
		return nil, ec2Error("InvalidParameterCombination", "Fields for multiple attribute types specified")
	}
	i := c.instance(*in.InstanceId)
	if i == nil {
		return nil, noInstance(*in.InstanceId)
	}
	if i.State.Name == types.InstanceStateNameTerminated || i.State.Name == types.InstanceStateNameShuttingDown {
		return nil, incorrectState(i)
	}
	at := c.attributes(*in.InstanceId)
	switch {
	case in.DisableApiTermination != nil:
		if i.InstanceLifecycle == types.InstanceLifecycleTypeSpot && aws.ToBool(in.DisableApiTermination.Value) {
			return nil, ec2Error("UnsupportedOperation", "The operation is not supported for Spot Instances: disableApiTermination of '%s'", *in.InstanceId)
		}
		at.DisableApiTermination = clone(in.DisableApiTermination)
	case in.DisableApiStop != nil:
		at.DisableApiStop = clone(in.DisableApiStop)
	case in.InstanceInitiatedShutdownBehavior != nil:
		switch v := aws.ToString(in.InstanceInitiatedShutdownBehavior.Value); v {
		case "stop", "terminate":
			at.InstanceInitiatedShutdownBehavior = clone(in.InstanceInitiatedShutdownBehavior)
		default:
			return nil, ec2Error("InvalidParameterValue", "Invalid value '%s' for instanceInitiatedShutdownBehavior", v)
		}
	case in.BlockDeviceMappings != nil:
		if err := c.mapDevices(i, in.BlockDeviceMappings); err != nil {
			return nil, err
		}
	case in.Groups != nil:
		all := c.attached(*in.InstanceId)
		if len(all) != 1 {
			return nil, ec2Error("InvalidInstanceID", "There are multiple interfaces attached to instance '%s'. Please specify an interface ID for the operation instead.", *in.InstanceId)
		}
		if err := c.setGroups(all[0], in.Groups); err != nil {
			return nil, err
		}
	}
	return &ec2.ModifyInstanceAttributeOutput{}, nil
}

// mapDevices sets DeleteOnTermination of mapped devices, of all of them or of none.
func (c *EC2) mapDevices(i *types.Instance, all []types.InstanceBlockDeviceMappingSpecification) error {
	device := func(name *string) *types.EbsInstanceBlockDevice {
		for _, m := range i.BlockDeviceMappings {
			if aws.ToString(m.DeviceName) == aws.ToString(name) {
				return m.Ebs
			}
		}
		return nil
	}
	for _, m := range all {
		if m.NoDevice != nil || m.VirtualName != nil || m.Ebs == nil || m.Ebs.DeleteOnTermination == nil || m.Ebs.VolumeId != nil {
			return unknown("ec2", "ModifyInstanceAttribute", "a block device mapping without DeleteOnTermination alone")
		}
		if device(m.DeviceName) == nil {
			return ec2Error("InvalidInstanceAttributeValue", "No device is currently mapped at %s", aws.ToString(m.DeviceName))
		}
	}
	for _, m := range all {
		device(m.DeviceName).DeleteOnTermination = aws.Bool(*m.Ebs.DeleteOnTermination)
	}
	c.tellVolumes(i)
	return nil
}

// tellVolumes makes the volumes of an instance tell of it what it tells of them.
func (c *EC2) tellVolumes(i *types.Instance) {
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		v := c.volume(aws.ToString(m.Ebs.VolumeId))
		for n := range v.Attachments {
			if aws.ToString(v.Attachments[n].InstanceId) == *i.InstanceId {
				v.Attachments[n].DeleteOnTermination = m.Ebs.DeleteOnTermination
			}
		}
	}
}

// How long an instance is shutting down, and how long EC2 remembers it after.
const (
	hardStop   = 3 * time.Second
	softStop   = 45 * time.Second // the system is asked to shut down, with all that runs in it
	remembered = time.Hour
)

// TerminateInstances ends all of the instances or none. The answer comes while
// they shut down.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
func (c *EC2) TerminateInstances(ctx context.Context, in *ec2.TerminateInstancesInput, _ ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "TerminateInstances", mutating: true, resources: in.InstanceIds,
		needs: []string{"InstanceIds"},
		takes: []string{"SkipOsShutdown"},
	}, in, c.terminateInstances)
}

func (c *EC2) terminateInstances(in *ec2.TerminateInstancesInput) (*ec2.TerminateInstancesOutput, error) {
	for _, id := range in.InstanceIds {
		i := c.instance(id)
		if i == nil {
			return nil, noInstance(id)
		}
		if i.State.Name != types.InstanceStateNameTerminated && aws.ToBool(c.attributes(id).DisableApiTermination.Value) {
			return nil, ec2Error("OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", id)
		}
	}
	out := &ec2.TerminateInstancesOutput{}
	for _, id := range in.InstanceIds {
		i := c.instance(id)
		change := types.InstanceStateChange{InstanceId: i.InstanceId, PreviousState: i.State}
		if i.State.Name != types.InstanceStateNameTerminated && i.State.Name != types.InstanceStateNameShuttingDown {
			i.State = state(types.InstanceStateNameShuttingDown)
			i.StateReason = &types.StateReason{Code: aws.String("Client.UserInitiatedShutdown"), Message: aws.String("Client.UserInitiatedShutdown: User initiated shutdown")}
			how := softStop
			if aws.ToBool(in.SkipOsShutdown) {
				how = hardStop
			}
			i.StateTransitionReason = aws.String("User initiated (" + c.a.now().Add(how).UTC().Format(transition) + " GMT)")
		}
		change.CurrentState = i.State
		out.TerminatingInstances = append(out.TerminatingInstances, change)
	}
	return out, nil
}

// transition is how StateTransitionReason has a time.
const transition = "2006-01-02 15:04:05"

var transitionTime = regexp.MustCompile(`\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)`)

// ends is when an instance that shuts down is terminated.
func (c *EC2) ends(i *types.Instance) (time.Time, bool) {
	m := transitionTime.FindStringSubmatch(aws.ToString(i.StateTransitionReason))
	if m == nil {
		return time.Time{}, false
	}
	t, err := time.Parse(transition, m[1])
	return t, err == nil
}

// endInstances terminates what has shut down, and forgets what is long gone.
// Volumes and interfaces go with their instance or become free.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
func (c *EC2) endInstances() {
	now := c.a.now()
	for _, i := range c.instances() {
		if i.State.Name != types.InstanceStateNameShuttingDown {
			continue
		}
		if end, ok := c.ends(i); ok && now.Before(end) {
			continue
		}
		i.State = state(types.InstanceStateNameTerminated)
		for _, m := range i.BlockDeviceMappings {
			if m.Ebs != nil {
				c.detach(i, m.Ebs)
			}
		}
		for _, e := range c.attached(*i.InstanceId) {
			if aws.ToBool(e.Attachment.DeleteOnTermination) {
				c.NetworkInterfaces = slices.DeleteFunc(c.NetworkInterfaces, func(o *types.NetworkInterface) bool { return o == e })
				continue
			}
			e.Attachment, e.Status = nil, types.NetworkInterfaceStatusAvailable
		}
		i.BlockDeviceMappings, i.VpcId, i.SubnetId, i.PrivateIpAddress, i.PublicIpAddress, i.Ipv6Address = nil, nil, nil, nil, nil, nil
	}
	for _, r := range c.Reservations {
		r.Instances = slices.DeleteFunc(r.Instances, func(i types.Instance) bool {
			end, ok := c.ends(&i)
			gone := i.State.Name == types.InstanceStateNameTerminated && ok && !now.Before(end.Add(remembered))
			if gone {
				delete(c.InstanceAttributes, *i.InstanceId)
			}
			return gone
		})
	}
	c.Reservations = slices.DeleteFunc(c.Reservations, func(r *types.Reservation) bool { return len(r.Instances) == 0 })
}

// detach takes a volume from an instance that is gone.
func (c *EC2) detach(i *types.Instance, d *types.EbsInstanceBlockDevice) {
	v := c.volume(aws.ToString(d.VolumeId))
	if aws.ToBool(d.DeleteOnTermination) {
		c.Volumes = slices.DeleteFunc(c.Volumes, func(o *types.Volume) bool { return o == v })
		return
	}
	v.Attachments = slices.DeleteFunc(v.Attachments, func(a types.VolumeAttachment) bool { return aws.ToString(a.InstanceId) == *i.InstanceId })
	if len(v.Attachments) == 0 {
		v.State = types.VolumeStateAvailable
	}
}

func state(n types.InstanceStateName) *types.InstanceState {
	code := map[types.InstanceStateName]int32{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}[n]
	return &types.InstanceState{Code: &code, Name: n}
}

// DescribeInstanceTypes tells what a type of instance has. Types that the
// account file lacks are known by their names.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html
func (c *EC2) DescribeInstanceTypes(ctx context.Context, in *ec2.DescribeInstanceTypesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstanceTypesOutput, error) {
	return invokeEC2(ctx, c, operation{action: "DescribeInstanceTypes", needs: []string{"InstanceTypes"}}, in, c.describeInstanceTypes)
}

func (c *EC2) describeInstanceTypes(in *ec2.DescribeInstanceTypesInput) (*ec2.DescribeInstanceTypesOutput, error) {
	out := &ec2.DescribeInstanceTypesOutput{}
	for _, name := range in.InstanceTypes {
		found := find(c.InstanceTypes, string(name), func(t *types.InstanceTypeInfo) *string { return (*string)(&t.InstanceType) })
		if found == nil {
			found = byName(name)
		}
		if found == nil {
			return nil, ec2Error("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
		}
		out.InstanceTypes = append(out.InstanceTypes, *found)
	}
	return out, nil
}

var typeName = regexp.MustCompile(`^([cmrtx])\d+([a-z-]*)\.(nano|micro|small|medium|large|(\d*)xlarge)$`)

// byName is what a type's name says of its memory and processor; nil for names that do not.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-types.html
func byName(name types.InstanceType) *types.InstanceTypeInfo {
	m := typeName.FindStringSubmatch(string(name))
	if m == nil {
		return nil
	}
	mib := map[string]int64{"c": 4, "m": 8, "r": 16, "t": 8, "x": 32}[m[1]] << 10 // of a large
	switch m[3] {
	case "nano":
		mib /= 16
	case "micro":
		mib /= 8
	case "small":
		mib /= 4
	case "medium":
		mib /= 2
	case "xlarge":
		mib *= 2
	case "large":
	default:
		n, err := strconv.ParseInt(m[4], 10, 32)
		if err != nil {
			return nil
		}
		mib *= 2 * n
	}
	processor := types.ArchitectureTypeX8664
	if strings.HasPrefix(m[2], "g") {
		processor = types.ArchitectureTypeArm64
	}
	return &types.InstanceTypeInfo{
		InstanceType: name, MemoryInfo: &types.MemoryInfo{SizeInMiB: &mib},
		ProcessorInfo: &types.ProcessorInfo{SupportedArchitectures: []types.ArchitectureType{processor}},
	}
}
