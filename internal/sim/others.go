package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Others are everybody in the account but this stack: its owner, a drift job, an
// intruder. What they do is no call of ours, and is done at once. Where EC2 would
// refuse, or there is nothing to do it to, nothing happens.
type Others struct{ a *Account }

// Others act in the account.
func (a *Account) Others() Others { return Others{a} }

// Do makes others do one of Doings to an instance, and says whether that changed
// anything.
func (o Others) Do(what, instance string) (changed bool, err error) {
	do, ok := doings[what]
	if !ok {
		return false, fmt.Errorf("others cannot %q; they can %s", what, strings.Join(Doings(), ", "))
	}
	if i := o.a.ec2.instance(instance); i != nil && i.State.Name != types.InstanceStateNameTerminated {
		if changed = do(o.a.ec2, i); changed {
			o.a.happened["others "+what]++
		}
	}
	return changed, nil
}

// Write puts an item of strings into a table, where there is none yet, and says
// whether it did.
func (o Others) Write(table string, texts map[string]string) (changed bool) {
	all := map[string]dynamodbtypes.AttributeValue{}
	for name, text := range texts {
		all[name] = &dynamodbtypes.AttributeValueMemberS{Value: text}
	}
	_, err := o.a.dynamodb.putItem(&dynamodb.PutItemInput{TableName: &table, Item: all, ConditionExpression: aws.String("attribute_not_exists(pk)")}, false)
	return err == nil
}

// Doings are what others can do.
func Doings() []string { return sortedKeys(doings) }

var doings = map[string]func(*EC2, *types.Instance) (changed bool){
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-stop-start-works.html
	"stop": func(c *EC2, i *types.Instance) bool {
		if i.State.Name != types.InstanceStateNameRunning {
			return false
		}
		i.State = state(types.InstanceStateNameStopped)
		return true
	},
	"restart": func(c *EC2, i *types.Instance) bool {
		if i.State.Name != types.InstanceStateNameRunning && i.State.Name != types.InstanceStateNameStopped {
			return false
		}
		i.State, i.LaunchTime = state(types.InstanceStateNameRunning), aws.Time(c.a.now())
		return true
	},
	// Whoever may terminate may take the protection off first.
	"terminate": func(c *EC2, i *types.Instance) bool {
		if i.State.Name == types.InstanceStateNameShuttingDown {
			return false
		}
		c.attributes(*i.InstanceId).DisableApiTermination = &types.AttributeBooleanValue{Value: aws.Bool(false)}
		_, err := c.terminateInstances(&ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}})
		return err == nil
	},
	"attach": func(c *EC2, i *types.Instance) bool {
		if i.State.Name == types.InstanceStateNameShuttingDown || len(c.attached(*i.InstanceId)) == 0 {
			return false
		}
		id, n, now := c.id("eni"), int32(len(c.attached(*i.InstanceId))), c.a.now()
		first := c.attached(*i.InstanceId)[0]
		open := slices.IndexFunc(c.SecurityGroups, func(g *types.SecurityGroup) bool {
			return aws.ToString(g.VpcId) == aws.ToString(first.VpcId) && !slices.ContainsFunc(g.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == "cordon:group" })
		})
		if open < 0 {
			return false
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
		return true
	},
	// The first interface goes back to a group that is not ours.
	"reconnect": func(c *EC2, i *types.Instance) bool {
		for _, e := range c.attached(*i.InstanceId) {
			for _, g := range c.SecurityGroups {
				if aws.ToString(g.VpcId) != aws.ToString(e.VpcId) || slices.ContainsFunc(g.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == "cordon:group" }) {
					continue
				}
				was := slices.Clone(e.Groups)
				if _, err := c.modifyNetworkInterfaceAttribute(&ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: e.NetworkInterfaceId, Groups: []string{*g.GroupId}}); err != nil {
					return false
				}
				c.a.cloudtrail.changes = append(c.a.cloudtrail.changes, Change{At: c.a.now(), NetworkInterface: *e.NetworkInterfaceId, Groups: []string{*g.GroupId}})
				return len(was) != 1 || aws.ToString(was[0].GroupId) != *g.GroupId
			}
		}
		return false
	},
	"open groups": func(c *EC2, _ *types.Instance) (changed bool) {
		all := []types.IpPermission{{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}}
		for _, id := range c.ours() {
			for _, egress := range []bool{false, true} {
				_, err := c.authorize(id, egress, all) // already open: nothing happens
				changed = changed || err == nil
			}
		}
		c.a.cloudtrail.changes = append(c.a.cloudtrail.changes, Change{At: c.a.now(), Groups: c.ours()})
		return changed
	},
	// A group in use cannot be deleted.
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
	"delete groups": func(c *EC2, _ *types.Instance) (changed bool) {
		for _, id := range c.ours() {
			if !slices.ContainsFunc(c.NetworkInterfaces, func(e *types.NetworkInterface) bool {
				return slices.ContainsFunc(e.Groups, func(g types.GroupIdentifier) bool { return aws.ToString(g.GroupId) == id })
			}) {
				c.SecurityGroups = slices.DeleteFunc(c.SecurityGroups, func(g *types.SecurityGroup) bool { return aws.ToString(g.GroupId) == id })
				c.Rules = slices.DeleteFunc(c.Rules, func(r *types.SecurityGroupRule) bool { return aws.ToString(r.GroupId) == id })
				changed = true
			}
		}
		return changed
	},
	"forge tag": func(c *EC2, i *types.Instance) bool {
		_, err := c.createTags(&ec2.CreateTagsInput{Resources: []string{*i.InstanceId}, Tags: []types.Tag{{Key: aws.String("cordon:decision"), Value: aws.String("terminate")}}})
		return err == nil
	},
	"remove tags": func(c *EC2, i *types.Instance) bool {
		had := len(i.Tags)
		i.Tags = slices.DeleteFunc(i.Tags, func(t types.Tag) bool { return strings.HasPrefix(aws.ToString(t.Key), "cordon:") })
		return len(i.Tags) < had
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
	By    string // of this function alone, whose role has lost a right; empty: everybody's
	Kind  Kind   // Denied, NotFound, Throttled or Unavailable
}

func (s Storm) hits(name string, by *Invocation, at time.Time) bool {
	begin, all := strings.CutSuffix(s.Calls, "*")
	return (name == s.Calls || all && strings.HasPrefix(name, begin)) && !at.Before(s.From) && at.Before(s.Until) &&
		(s.By == "" || by != nil && by.Function == s.By)
}

// storming is the place of the first storm that a call is in; -1 if it is in none.
func (a *Account) storming(name string, by *Invocation) int {
	return slices.IndexFunc(a.settings.Storms, func(s Storm) bool { return s.hits(name, by, a.now()) })
}

// refusedBy is what a storm answers a call that came through to it.
func (a *Account) refusedBy(storm int, op operation) error {
	if storm < 0 {
		return nil
	}
	kind := a.settings.Storms[storm].Kind
	a.stormed[storm] = true
	a.happened["storm "+string(kind)]++
	return refusalOf(kind, op)
}

// Stormed tells of each storm whether it refused a call.
func (a *Account) Stormed() []bool { return slices.Clone(a.stormed) }

// Storms tells whether the calls of a storm can be any: whether a service that is
// known here begins so.
func Storms(calls string) bool {
	begin, all := strings.CutSuffix(calls, "*")
	for service := range serviceIDs {
		name := service + ":"
		if all && strings.HasPrefix(name, begin) || strings.HasPrefix(begin, name) && len(calls) > len(name) {
			return true
		}
	}
	return false
}
