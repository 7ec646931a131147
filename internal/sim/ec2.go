package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// EC2 is the part of EC2 that the steps touch.
type EC2 struct {
	a     *Account
	owner string // another account's ID; empty for this one
	world
	before  *world   // before the newest write, where a stale read may ask for it
	ids     int      // IDs given out
	refused []string // copies whose key may not be used
	quirks  quirks
}

// world is all there is, one list for each key of the account file. Each thing
// is told once: what two answers of AWS both tell is derived in one of them.
type world struct {
	Reservations       []*types.Reservation // truth of DeleteOnTermination of volumes
	InstanceAttributes map[string]*ec2.DescribeInstanceAttributeOutput
	Volumes            []*types.Volume
	Snapshots          []*types.Snapshot
	Locks              []*types.LockedSnapshotsInfo
	Shared             map[string][]string       // accounts that may use a snapshot
	NetworkInterfaces  []*types.NetworkInterface // truth of attachments and groups
	SecurityGroups     []*types.SecurityGroup    // without rules, which are in Rules
	Rules              []*types.SecurityGroupRule
	VpcEndpoints       []*types.VpcEndpoint
	RouteTables        []*types.RouteTable
	Subnets            []*types.Subnet
	Vpcs               []*types.Vpc
	VpcAttributes      map[string]*ec2.DescribeVpcAttributeOutput // what is told of them; the rest is EC2's default
	ConsoleOutputs     map[string]*ec2.GetConsoleOutputOutput     // by instance, as the CLI prints them: in plain text
	PrefixLists        []*types.PrefixList
	InstanceTypes      []*types.InstanceTypeInfo
}

// quirks are EC2's part of the account file's Behaviour.
type quirks struct {
	pageSize         int      // most that a page holds; 0 is 1000
	groupLimit       int      // security groups in the Region at most; 0 is 2500
	failingSnapshots []string // volumes whose snapshots end in error
	snapshotSeconds  int      // how long a snapshot is pending; 0 grows with the volume

	copySeconds      int                 // how long a copy is pending; 0 grows with the volume
	keyRefuses       bool                // copies end in error
	snapshotFailures map[string]int      // how many snapshots of a volume end in error, the first ones
	volumesMoved     []*volumeMoving     // others attach a volume, or take it off
	snapshotsDeleted []*snapshotDeletion // others delete what snapshots of a volume there are
	// resolves are the names of services that private hosted zones lead to
	// addresses elsewhere, in every VPC: "ssm" to "10.9.0.10".
	resolves map[string]string
}

func newEC2(a *Account) *EC2 {
	return &EC2{a: a, world: world{InstanceAttributes: map[string]*ec2.DescribeInstanceAttributeOutput{}}}
}

func (c *EC2) sections() []section {
	reservations := kept("Reservations", &c.Reservations)
	reservations.save = func() any { c.pass(); return c.described() }
	groups := kept("SecurityGroups", &c.SecurityGroups)
	groups.save = func() any { return c.withRules(c.SecurityGroups) }
	return []section{
		reservations, groups,
		kept("InstanceAttributes", &c.InstanceAttributes),
		kept("Volumes", &c.Volumes),
		kept("Snapshots", &c.Snapshots),
		kept("LockedSnapshots", &c.Locks),
		kept("SharedSnapshots", &c.Shared),
		kept("NetworkInterfaces", &c.NetworkInterfaces),
		kept("SecurityGroupRules", &c.Rules),
		kept("VpcEndpoints", &c.VpcEndpoints),
		kept("RouteTables", &c.RouteTables),
		kept("Subnets", &c.Subnets),
		kept("Vpcs", &c.Vpcs),
		kept("VpcAttributes", &c.VpcAttributes),
		kept("ConsoleOutputs", &c.ConsoleOutputs),
		kept("PrefixLists", &c.PrefixLists),
		kept("InstanceTypes", &c.InstanceTypes),
	}
}

func (c *EC2) behaviours() []section {
	return []section{
		optional("PageSize", &c.quirks.pageSize),
		optional("SecurityGroupLimit", &c.quirks.groupLimit),
		optional("FailingSnapshots", &c.quirks.failingSnapshots),
		optional("SnapshotSeconds", &c.quirks.snapshotSeconds),
		optional("SnapshotFailures", &c.quirks.snapshotFailures),
		optional("VolumesMoved", &c.quirks.volumesMoved),
		optional("SnapshotsDeleted", &c.quirks.snapshotsDeleted),
		optional("Resolves", &c.quirks.resolves),
	}
}

// account is the ID of the account that this EC2 is of.
func (c *EC2) account() string { return cmp.Or(c.owner, c.a.account()) }

// ec2Error is an answer of EC2, which has no types for its errors.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func ec2Error(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// invokeEC2 makes a call.
func invokeEC2[I, O any](ctx context.Context, c *EC2, op operation, in *I, effect func(*I) (*O, error)) (*O, error) {
	op.service = "ec2"
	return invoke(ctx, c.a, op, in, func(in *I, stale bool) (*O, error) {
		if !stale {
			c.pass()
		}
		return withPast(c.a, op, &c.world, &c.before, stale, func() (*O, error) {
			if stale {
				c.pass() // in the world that is asked
			}
			return effect(in)
		})
	})
}

// id is a new ID, such as sg-0123456789abcdef0, that the account does not have yet.
func (c *EC2) id(prefix string) *string {
	for {
		c.ids++
		id := prefix + "-0" + c.a.token("id", prefix, c.ids)[:16]
		if c.tags(id) == nil && !slices.ContainsFunc(c.Rules, func(r *types.SecurityGroupRule) bool { return aws.ToString(r.SecurityGroupRuleId) == id }) {
			return &id
		}
	}
}

// second is now as EC2 tells it, which knows no fractions.
func (c *EC2) second() *time.Time { return new(c.a.now().UTC().Truncate(time.Second)) }

// pass lets time do what it does: snapshots complete, instances end.
func (c *EC2) pass() {
	c.completeSnapshots()
	c.changeVolumes()
	c.a.autoscaling.pass()
	c.endInstances()
	c.a.cloudtrail.pass()
}

// find finds a thing in a list by its ID.
func find[T any](all []*T, id string, of func(*T) *string) *T {
	for _, v := range all {
		if aws.ToString(of(v)) == id {
			return v
		}
	}
	return nil
}

func (w *world) vpc(id string) *types.Vpc {
	return find(w.Vpcs, id, func(v *types.Vpc) *string { return v.VpcId })
}

func (w *world) subnet(id string) *types.Subnet {
	return find(w.Subnets, id, func(v *types.Subnet) *string { return v.SubnetId })
}

func (w *world) group(id string) *types.SecurityGroup {
	return find(w.SecurityGroups, id, func(v *types.SecurityGroup) *string { return v.GroupId })
}

func (w *world) networkInterface(id string) *types.NetworkInterface {
	return find(w.NetworkInterfaces, id, func(v *types.NetworkInterface) *string { return v.NetworkInterfaceId })
}

func (w *world) volume(id string) *types.Volume {
	return find(w.Volumes, id, func(v *types.Volume) *string { return v.VolumeId })
}

func (w *world) snapshot(id string) *types.Snapshot {
	return find(w.Snapshots, id, func(v *types.Snapshot) *string { return v.SnapshotId })
}

func (w *world) lock(id string) *types.LockedSnapshotsInfo {
	return find(w.Locks, id, func(v *types.LockedSnapshotsInfo) *string { return v.SnapshotId })
}

func (w *world) prefixList(id string) *types.PrefixList {
	return find(w.PrefixLists, id, func(v *types.PrefixList) *string { return v.PrefixListId })
}

// instances are all instances, in the order of the file.
func (w *world) instances() []*types.Instance {
	var all []*types.Instance
	for _, r := range w.Reservations {
		for n := range r.Instances {
			all = append(all, &r.Instances[n])
		}
	}
	return all
}

func (w *world) instance(id string) *types.Instance {
	return find(w.instances(), id, func(v *types.Instance) *string { return v.InstanceId })
}

// attached are an instance's interfaces, the primary one first.
func (w *world) attached(instanceID string) []*types.NetworkInterface {
	var all []*types.NetworkInterface
	for _, i := range w.NetworkInterfaces {
		if i.Attachment != nil && aws.ToString(i.Attachment.InstanceId) == instanceID {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b *types.NetworkInterface) int {
		return int(aws.ToInt32(a.Attachment.DeviceIndex) - aws.ToInt32(b.Attachment.DeviceIndex))
	})
	return all
}

func noInstance(ids ...string) error {
	if len(ids) == 1 {
		return ec2Error("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", ids[0])
	}
	return ec2Error("InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(ids, ", "))
}
