package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Others are everybody in the account but this stack: its owner, a drift job, an
// intruder. What they do is no call of ours, and is done at once. Where EC2 would
// refuse, or there is nothing to do it to, nothing happens.
type Others struct{ a *Account }

// Others act in the account.
func (a *Account) Others() Others { return Others{a} }

// Do makes others do one of Doings to an instance.
func (o Others) Do(what, instance string) error {
	do, ok := doings[what]
	if !ok {
		return fmt.Errorf("others cannot %q; they can %s", what, strings.Join(Doings(), ", "))
	}
	if i := o.a.ec2.instance(instance); i != nil && i.State.Name != types.InstanceStateNameTerminated {
		do(o.a.ec2, i)
	}
	return nil
}

// Doings are what others can do.
func Doings() []string { return sortedKeys(doings) }

var doings = map[string]func(*EC2, *types.Instance){
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-stop-start-works.html
	"stop": func(c *EC2, i *types.Instance) {
		if i.State.Name == types.InstanceStateNameRunning {
			i.State = state(types.InstanceStateNameStopped)
		}
	},
	"restart": func(c *EC2, i *types.Instance) {
		if i.State.Name == types.InstanceStateNameRunning || i.State.Name == types.InstanceStateNameStopped {
			i.State, i.LaunchTime = state(types.InstanceStateNameRunning), aws.Time(c.a.now())
		}
	},
	// Whoever may terminate may take the protection off first.
	"terminate": func(c *EC2, i *types.Instance) {
		c.attributes(*i.InstanceId).DisableApiTermination = &types.AttributeBooleanValue{Value: aws.Bool(false)}
		_, _ = c.terminateInstances(&ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}}) // refused: nothing happens
	},
	"attach": func(c *EC2, i *types.Instance) {
		if i.State.Name == types.InstanceStateNameShuttingDown || len(c.attached(*i.InstanceId)) == 0 {
			return
		}
		id, n, now := c.id("eni"), int32(len(c.attached(*i.InstanceId))), c.a.now()
		first := c.attached(*i.InstanceId)[0]
		open := slices.IndexFunc(c.SecurityGroups, func(g *types.SecurityGroup) bool {
			return aws.ToString(g.VpcId) == aws.ToString(first.VpcId) && !slices.ContainsFunc(g.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == "cordon:group" })
		})
		if open < 0 {
			return
		}
		g := c.SecurityGroups[open]
		c.NetworkInterfaces = append(c.NetworkInterfaces, &types.NetworkInterface{
			NetworkInterfaceId: id, VpcId: first.VpcId, SubnetId: first.SubnetId, OwnerId: first.OwnerId, AvailabilityZone: first.AvailabilityZone,
			Status: types.NetworkInterfaceStatusInUse, InterfaceType: types.NetworkInterfaceTypeInterface,
			Groups: []types.GroupIdentifier{{GroupId: g.GroupId, GroupName: g.GroupName}},
			Attachment: &types.NetworkInterfaceAttachment{
				AttachmentId: c.id("eni-attach"), InstanceId: i.InstanceId, DeviceIndex: &n, AttachTime: &now,
				Status: types.AttachmentStatusAttached, DeleteOnTermination: aws.Bool(false),
			},
		})
		c.a.cloudtrail.changes = append(c.a.cloudtrail.changes, Change{At: now, NetworkInterface: *id, Groups: []string{*g.GroupId}})
	},
	// The first interface goes back to a group that is not ours.
	"reconnect": func(c *EC2, i *types.Instance) {
		for _, e := range c.attached(*i.InstanceId) {
			for _, g := range c.SecurityGroups {
				if aws.ToString(g.VpcId) != aws.ToString(e.VpcId) || slices.ContainsFunc(g.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == "cordon:group" }) {
					continue
				}
				if _, err := c.modifyNetworkInterfaceAttribute(&ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: e.NetworkInterfaceId, Groups: []string{*g.GroupId}}); err == nil {
					c.a.cloudtrail.changes = append(c.a.cloudtrail.changes, Change{At: c.a.now(), NetworkInterface: *e.NetworkInterfaceId, Groups: []string{*g.GroupId}})
				}
				return
			}
		}
	},
	"open groups": func(c *EC2, _ *types.Instance) {
		all := []types.IpPermission{{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}}
		for _, id := range c.ours() {
			_, _ = c.authorize(id, false, all) // already open: nothing happens
			_, _ = c.authorize(id, true, all)
		}
		c.a.cloudtrail.changes = append(c.a.cloudtrail.changes, Change{At: c.a.now(), Groups: c.ours()})
	},
	// A group in use cannot be deleted.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
	"delete groups": func(c *EC2, _ *types.Instance) {
		for _, id := range c.ours() {
			if !slices.ContainsFunc(c.NetworkInterfaces, func(e *types.NetworkInterface) bool {
				return slices.ContainsFunc(e.Groups, func(g types.GroupIdentifier) bool { return aws.ToString(g.GroupId) == id })
			}) {
				c.SecurityGroups = slices.DeleteFunc(c.SecurityGroups, func(g *types.SecurityGroup) bool { return aws.ToString(g.GroupId) == id })
				c.Rules = slices.DeleteFunc(c.Rules, func(r *types.SecurityGroupRule) bool { return aws.ToString(r.GroupId) == id })
			}
		}
	},
	"forge tag": func(c *EC2, i *types.Instance) {
		_, _ = c.createTags(&ec2.CreateTagsInput{Resources: []string{*i.InstanceId}, Tags: []types.Tag{{Key: aws.String("cordon:decision"), Value: aws.String("terminate")}}})
	},
	"remove tags": func(c *EC2, i *types.Instance) {
		i.Tags = slices.DeleteFunc(i.Tags, func(t types.Tag) bool { return strings.HasPrefix(aws.ToString(t.Key), "cordon:") })
	},
}

// ours are the groups that this stack has made.
func (c *EC2) ours() []string {
	var all []string
	for _, g := range c.SecurityGroups {
		if slices.ContainsFunc(g.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == "cordon:group" }) {
			all = append(all, *g.GroupId)
		}
	}
	return all
}

// Storm is a time in which calls are refused: throttling everywhere, a permission
// that is lost for a while.
type Storm struct {
	From  time.Time
	Until time.Time
	Calls string // SERVICE:ACTION; * for all that begin so
	Kind  Kind   // Denied, Throttled or Unavailable
}

func (s Storm) hits(name string, at time.Time) bool {
	begin, all := strings.CutSuffix(s.Calls, "*")
	return (name == s.Calls || all && strings.HasPrefix(name, begin)) && !at.Before(s.From) && at.Before(s.Until)
}

// storming is the kind of the first storm that a call is in.
func (a *Account) storming(name string) Kind {
	for _, s := range a.settings.Storms {
		if s.hits(name, a.now()) {
			return s.Kind
		}
	}
	return ""
}
