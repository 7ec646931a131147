package sim_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

const (
	primaryInterface = "eni-0c0ffee0c0ffee0a1"
	victimVPC        = "vpc-0aa11bb22cc33dd44"
)

// changed is the account around the plain event after a change to its file.
func changed(t *testing.T, change func(map[string]any)) []byte {
	t.Helper()
	var file map[string]any
	if err := json.Unmarshal(around(t), &file); err != nil {
		t.Fatal(err)
	}
	change(file)
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entry(file map[string]any, key string, n int) map[string]any {
	return file[key].([]any)[n].(map[string]any)
}

func theInstance(file map[string]any) map[string]any {
	return entry(entry(file, "Reservations", 0), "Instances", 0)
}

func by(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}

// must is the answer of a call that succeeds.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func instance(t *testing.T, c *sim.EC2) types.Instance {
	t.Helper()
	out, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{victim}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Reservations[0].Instances[0]
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
func TestDescribeInstances(t *testing.T) {
	a, _ := world(t, around(t))
	i := instance(t, a.EC2())
	var embedded []string
	for _, n := range i.NetworkInterfaces {
		embedded = append(embedded, *n.NetworkInterfaceId)
	}
	if i.State.Name != "running" || len(i.BlockDeviceMappings) != 2 || len(embedded) != 2 || embedded[0] != primaryInterface || len(i.NetworkInterfaces[0].Ipv6Addresses) != 1 {
		t.Errorf("the instance is %+v", i)
	}
	// What is answered is the caller's: writing into it changes nothing.
	*i.NetworkInterfaces[0].Groups[0].GroupId = "sg-mine"
	if g := *instance(t, a.EC2()).NetworkInterfaces[0].Groups[0].GroupId; g == "sg-mine" {
		t.Error("an answer is still part of the account")
	}
	_, err := a.EC2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{victim, "i-gone"}})
	wantCode(t, err, "InvalidInstanceID.NotFound", "'i-gone'")
	_, err = a.EC2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{victim}, MaxResults: aws.Int32(5)})
	wantCode(t, err, "InvalidParameterCombination", "")
	// A filter that finds nothing is no error.
	out, err := a.EC2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: by("instance-id", "i-gone")})
	if err != nil || len(out.Reservations) != 0 {
		t.Errorf("a filter without a match: %v, %v", out, err)
	}
	if _, err := a.EC2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: by("hypervisor", "xen")}); err == nil || !strings.Contains(err.Error(), "does not know filter hypervisor") {
		t.Errorf("an unknown filter: %v", err)
	}
}

// A page may be shorter than asked for; only the token tells that it is the last.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
func TestPages(t *testing.T) {
	a, _ := world(t, changed(t, func(f map[string]any) { f["Behaviour"] = map[string]any{"PageSize": 2} }))
	var found []string
	pages := ec2.NewDescribeNetworkInterfacesPaginator(a.EC2(), &ec2.DescribeNetworkInterfacesInput{Filters: by("vpc-id", victimVPC)})
	n := 0
	for ; pages.HasMorePages(); n++ {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range out.NetworkInterfaces {
			found = append(found, *i.NetworkInterfaceId)
		}
	}
	if n != 3 || len(found) != 5 || len(slices.Compact(slices.Sorted(slices.Values(found)))) != 5 {
		t.Errorf("%d pages with %v, want 3 with five interfaces", n, found)
	}
	_, err := a.EC2().DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NextToken: aws.String("mine")})
	wantCode(t, err, "InvalidPaginationToken", "")
	_, err = a.EC2().DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(1)})
	wantCode(t, err, "InvalidParameterValue", "")
}

// Names and values are case-sensitive; * is any text, ? any character; values
// are alternatives, filters conditions.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html#Filtering_Resources_CLI
func TestFilters(t *testing.T) {
	a, _ := world(t, around(t))
	for _, tt := range []struct {
		filters []types.Filter
		want    int
	}{
		{by("group-name", "web"), 1},
		{by("group-name", "Web"), 0},
		{by("group-name", "w?b"), 1},
		{by("group-name", "*"), 2},
		{by("group-name", "*s"), 1},
		{by("group-name", `\*`), 0},
		{by("group-name", "web", "endpoints"), 2},
		{append(by("group-name", "web"), by("vpc-id", "vpc-other")...), 0},
		{by("tag:Name", "x"), 0},
		{by("tag-key", "Name"), 0},
	} {
		out, err := a.EC2().DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: tt.filters})
		if err != nil || len(out.SecurityGroups) != tt.want {
			t.Errorf("%v found %d groups (%v), want %d", tt.filters, len(out.SecurityGroups), err, tt.want)
		}
	}
	_, err := a.EC2().DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: by("group-name", make([]string, 201)...)})
	wantCode(t, err, "FilterLimitExceeded", "")
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
func TestInstanceAttributes(t *testing.T) {
	a, _ := world(t, around(t))
	c := a.EC2()
	on := &types.AttributeBooleanValue{Value: aws.Bool(true)}
	id := aws.String(victim)
	for _, tt := range []struct {
		name, code string
		in         ec2.ModifyInstanceAttributeInput
	}{
		{"none", "InvalidParameterCombination", ec2.ModifyInstanceAttributeInput{}},
		{"two", "InvalidParameterCombination", ec2.ModifyInstanceAttributeInput{DisableApiStop: on, DisableApiTermination: on}},
		{"no such device", "InvalidInstanceAttributeValue", ec2.ModifyInstanceAttributeInput{BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{
			{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(false)}},
			{DeviceName: aws.String("/dev/sdz"), Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(false)}},
		}}},
		{"unknown behavior", "InvalidParameterValue", ec2.ModifyInstanceAttributeInput{InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: aws.String("sleep")}}},
		{"groups of two interfaces", "InvalidInstanceID", ec2.ModifyInstanceAttributeInput{Groups: []string{"sg-0a1b2c3d4e5f60718"}}},
	} {
		tt.in.InstanceId = id
		_, err := c.ModifyInstanceAttribute(t.Context(), &tt.in)
		wantCode(t, err, tt.code, "")
	}
	_, err := c.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: aws.String("i-gone"), DisableApiStop: on})
	wantCode(t, err, "InvalidInstanceID.NotFound", "")

	read := func(n types.InstanceAttributeName) *ec2.DescribeInstanceAttributeOutput {
		return must[*ec2.DescribeInstanceAttributeOutput](t)(c.DescribeInstanceAttribute(t.Context(), &ec2.DescribeInstanceAttributeInput{InstanceId: id, Attribute: n}))
	}
	if out := read(types.InstanceAttributeNameDisableApiTermination); *out.DisableApiTermination.Value || out.DisableApiStop != nil {
		t.Errorf("before: %+v; want termination protection off, and no other attribute", out)
	}
	must[*ec2.ModifyInstanceAttributeOutput](t)(c.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: id, DisableApiTermination: on}))
	must[*ec2.ModifyInstanceAttributeOutput](t)(c.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{
		InstanceId:                        id,
		InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: aws.String("terminate")},
	}))
	must[*ec2.ModifyInstanceAttributeOutput](t)(c.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{
		InstanceId:          id,
		BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{{DeviceName: aws.String("/dev/xvda"), Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(false)}}},
	}))
	// What was changed outlives the run.
	file, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	a, _ = world(t, file)
	c = a.EC2()
	if !*read(types.InstanceAttributeNameDisableApiTermination).DisableApiTermination.Value || *read(types.InstanceAttributeNameDisableApiStop).DisableApiStop.Value ||
		*read(types.InstanceAttributeNameInstanceInitiatedShutdownBehavior).InstanceInitiatedShutdownBehavior.Value != "terminate" ||
		*read(types.InstanceAttributeNameBlockDeviceMapping).BlockDeviceMappings[0].Ebs.DeleteOnTermination {
		t.Error("an attribute is not what it was changed to")
	}
	_, err = c.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{victim}})
	wantCode(t, err, "OperationNotPermitted", "disableApiTermination")
}

// You can't enable termination protection for Spot Instances.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
func TestSpotHasNoTerminationProtection(t *testing.T) {
	a, _ := world(t, changed(t, func(f map[string]any) { theInstance(f)["InstanceLifecycle"] = "spot" }))
	_, err := a.EC2().ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: aws.String(victim), DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
	wantCode(t, err, "UnsupportedOperation", "")
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
func TestModifyNetworkInterfaceAttribute(t *testing.T) {
	a, _ := world(t, changed(t, func(f map[string]any) {
		f["SecurityGroups"] = append(f["SecurityGroups"].([]any), map[string]any{"GroupId": "sg-abroad", "VpcId": "vpc-other"})
	}))
	c := a.EC2()
	managed := must[*ec2.DescribeVpcEndpointsOutput](t)(c.DescribeVpcEndpoints(t.Context(), &ec2.DescribeVpcEndpointsInput{Filters: by("vpc-endpoint-type", "Interface")})).VpcEndpoints[0].NetworkInterfaceIds[0]
	groups := must[*ec2.DescribeSecurityGroupsOutput](t)(c.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{Filters: by("vpc-id", victimVPC)})).SecurityGroups
	web := *groups[0].GroupId
	for _, tt := range []struct{ eni, group, code string }{
		{"eni-gone", web, "InvalidNetworkInterfaceID.NotFound"},
		{primaryInterface, "sg-gone", "InvalidGroup.NotFound"},
		{primaryInterface, "sg-abroad", "InvalidParameter"},
		{managed, web, "AuthFailure"},
	} {
		_, err := c.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &tt.eni, Groups: []string{web, tt.group}})
		wantCode(t, err, tt.code, "")
	}
	_, err := c.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String(primaryInterface), Groups: []string{}})
	wantCode(t, err, "InvalidParameterCombination", "")
	if got := instance(t, c).NetworkInterfaces[0].Groups; len(got) != 1 || *got[0].GroupId != web {
		t.Errorf("after refusals the interface is in %v", got)
	}
	other := *groups[1].GroupId
	must[*ec2.ModifyNetworkInterfaceAttributeOutput](t)(c.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String(primaryInterface), Groups: []string{other}}))
	i := instance(t, c)
	if *i.SecurityGroups[0].GroupId != other || *i.NetworkInterfaces[0].Groups[0].GroupName != "endpoints" || *i.NetworkInterfaces[1].Groups[0].GroupId != web {
		t.Errorf("the groups are %v, %v", i.SecurityGroups, i.NetworkInterfaces)
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupEgress.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
func TestSecurityGroups(t *testing.T) {
	a, _ := world(t, around(t))
	c := a.EC2()
	in := &ec2.CreateSecurityGroupInput{
		GroupName: aws.String("q"), Description: aws.String("d"), VpcId: aws.String(victimVPC),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}},
	}
	made := must[*ec2.CreateSecurityGroupOutput](t)(c.CreateSecurityGroup(t.Context(), in))
	_, err := c.CreateSecurityGroup(t.Context(), in)
	wantCode(t, err, "InvalidGroup.Duplicate", "")
	for code, bad := range map[string]ec2.CreateSecurityGroupInput{
		"InvalidVpcID.NotFound": {GroupName: aws.String("r"), Description: aws.String("d"), VpcId: aws.String("vpc-gone")},
		"InvalidParameterValue": {GroupName: aws.String("r"), Description: aws.String("ünlisted"), VpcId: aws.String(victimVPC)},
		"InvalidGroup.Reserved": {GroupName: aws.String("default"), Description: aws.String("d"), VpcId: aws.String(victimVPC)},
	} {
		_, err := c.CreateSecurityGroup(t.Context(), &bad)
		wantCode(t, err, code, "")
	}

	rules := func() map[string]types.SecurityGroupRule {
		all := map[string]types.SecurityGroupRule{}
		out := must[*ec2.DescribeSecurityGroupRulesOutput](t)(c.DescribeSecurityGroupRules(t.Context(), &ec2.DescribeSecurityGroupRulesInput{Filters: by("group-id", *made.GroupId)}))
		for _, r := range out.SecurityGroupRules {
			all[fmt.Sprint(*r.IsEgress, " ", *r.IpProtocol, " ", *r.FromPort, " ", aws.ToString(r.CidrIpv4), aws.ToString(r.CidrIpv6), aws.ToString(r.PrefixListId))] = r
		}
		return all
	}
	// A new group is open outwards, by IPv6 too where the VPC has it.
	first := rules()
	if diff := cmp.Diff([]string{"true -1 -1 0.0.0.0/0", "true -1 -1 ::/0"}, slices.Sorted(maps.Keys(first))); diff != "" {
		t.Errorf("a new group has other rules (-want +got):\n%s", diff)
	}

	tcp := func(p types.IpPermission) []types.IpPermission {
		p.IpProtocol, p.FromPort, p.ToPort = aws.String("tcp"), aws.Int32(443), aws.Int32(443)
		return []types.IpPermission{p}
	}
	authorize := func(p []types.IpPermission) error {
		_, err := c.AuthorizeSecurityGroupEgress(t.Context(), &ec2.AuthorizeSecurityGroupEgressInput{GroupId: made.GroupId, IpPermissions: p})
		return err
	}
	if err := authorize(tcp(types.IpPermission{IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.1.200/32")}}})); err != nil {
		t.Fatal(err)
	}
	for code, bad := range map[string][]types.IpPermission{
		// One that is there refuses the others of the call too.
		"InvalidPermission.Duplicate":  tcp(types.IpPermission{IpRanges: []types.IpRange{{CidrIp: aws.String("10.9.9.9/32")}, {CidrIp: aws.String("10.0.1.200/32")}}}),
		"InvalidPrefixListID.NotFound": tcp(types.IpPermission{PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-gone")}}}),
		"InvalidGroup.NotFound":        tcp(types.IpPermission{UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: aws.String("sg-gone")}}}),
		"InvalidParameterValue":        tcp(types.IpPermission{IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.300/32")}}}),
		"MissingParameter":             {{IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}}}},
	} {
		err := authorize(bad)
		wantCode(t, err, code, "")
	}
	wantCode(t, authorize([]types.IpPermission{{IpProtocol: aws.String("tcp"), IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}}}}), "InvalidParameterValue", "Must specify both")
	if got := len(rules()); got != 3 {
		t.Errorf("after refusals there are %d rules, want 3", got)
	}
	// In a permission the rules of the same ports are one.
	if err := authorize(tcp(types.IpPermission{Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: aws.String("2001:db8::1/128")}}})); err != nil {
		t.Fatal(err)
	}
	g := must[*ec2.DescribeSecurityGroupsOutput](t)(c.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*made.GroupId}})).SecurityGroups[0]
	if len(g.IpPermissionsEgress) != 2 || len(g.IpPermissions) != 0 || len(g.Tags) != 1 || g.IpPermissionsEgress[0].FromPort != nil {
		t.Errorf("the group is %+v", g)
	}

	revoke := func(ids ...string) error {
		_, err := c.RevokeSecurityGroupEgress(t.Context(), &ec2.RevokeSecurityGroupEgressInput{GroupId: made.GroupId, SecurityGroupRuleIds: ids})
		return err
	}
	var open []string
	for _, r := range first {
		open = append(open, *r.SecurityGroupRuleId)
	}
	wantCode(t, revoke(append(open, "sgr-gone")...), "InvalidSecurityGroupRuleId.NotFound", "")
	_, err = c.RevokeSecurityGroupIngress(t.Context(), &ec2.RevokeSecurityGroupIngressInput{GroupId: made.GroupId, SecurityGroupRuleIds: open})
	wantCode(t, err, "InvalidSecurityGroupRuleId.NotFound", "")
	if got := len(rules()); got != 4 {
		t.Errorf("a refused call took rules away: %d, want 4", got)
	}
	if err := revoke(open...); err != nil || len(rules()) != 2 {
		t.Errorf("revoked: %v, %d rules, want 2", err, len(rules()))
	}
}

// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
func TestSecurityGroupLimits(t *testing.T) {
	a, _ := world(t, changed(t, func(f map[string]any) { f["Behaviour"] = map[string]any{"SecurityGroupLimit": 3} }))
	c := a.EC2()
	create := func(name string) (*ec2.CreateSecurityGroupOutput, error) {
		return c.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{GroupName: &name, Description: aws.String("d"), VpcId: aws.String(victimVPC)})
	}
	made := must[*ec2.CreateSecurityGroupOutput](t)(create("third"))
	_, err := create("fourth")
	wantCode(t, err, "SecurityGroupLimitExceeded", "")
	p := types.IpPermission{IpProtocol: aws.String("-1")}
	for n := range 59 {
		p.IpRanges = append(p.IpRanges, types.IpRange{CidrIp: aws.String(fmt.Sprintf("10.0.0.%d/32", n))})
	}
	_, err = c.AuthorizeSecurityGroupEgress(t.Context(), &ec2.AuthorizeSecurityGroupEgressInput{GroupId: made.GroupId, IpPermissions: []types.IpPermission{p}})
	wantCode(t, err, "RulesPerSecurityGroupLimitExceeded", "")
	must[*ec2.AuthorizeSecurityGroupIngressOutput](t)(c.AuthorizeSecurityGroupIngress(t.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: made.GroupId, IpPermissions: []types.IpPermission{p}}))
}

func snap(t *testing.T, c *sim.EC2) (*ec2.CreateSnapshotsOutput, error) {
	t.Helper()
	return c.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(victim)},
		TagSpecifications:     []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{{Key: aws.String("cordon:incident"), Value: aws.String("n")}}}},
	})
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
func TestSnapshots(t *testing.T) {
	a, clock := world(t, around(t))
	c := a.EC2()
	made := must[*ec2.CreateSnapshotsOutput](t)(snap(t, c))
	if len(made.Snapshots) != 2 || made.Snapshots[0].State != "pending" || *made.Snapshots[0].Progress != "0%" {
		t.Fatalf("made %+v, want two that are pending", made.Snapshots)
	}
	states := func() string {
		var all []string
		out := must[*ec2.DescribeSnapshotsOutput](t)(c.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: by("tag:cordon:incident", "n")}))
		for _, s := range out.Snapshots {
			all = append(all, fmt.Sprint(s.State, " ", aws.ToString(s.Progress)))
		}
		return strings.Join(all, ", ")
	}
	// The small volume is done long before the large one.
	clock.Sleep(3 * time.Minute)
	if got := states(); got != "completed 100%, pending 11%" {
		t.Errorf("after three minutes: %s", got)
	}
	// Progress outlives the run.
	file, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	a, later := world(t, file)
	later.now, c = clock.now, a.EC2()
	later.Sleep(time.Hour)
	if got := states(); got != "completed 100%, completed 100%" {
		t.Errorf("after an hour: %s", got)
	}
	// No client token: every call makes a set of its own, five pending at most.
	for range 5 {
		must[*ec2.CreateSnapshotsOutput](t)(snap(t, c))
	}
	_, err = snap(t, c)
	wantCode(t, err, "ConcurrentSnapshotLimitExceeded", "")
}

func TestSnapshotsRefusedAndFailed(t *testing.T) {
	a, clock := world(t, changed(t, func(f map[string]any) {
		entry(f, "Volumes", 1)["VolumeType"] = "st1"
		f["Behaviour"] = map[string]any{"FailingSnapshots": []any{entry(f, "Volumes", 0)["VolumeId"]}, "SnapshotSeconds": 60}
	}))
	c := a.EC2()
	made := must[*ec2.CreateSnapshotsOutput](t)(snap(t, c))
	_, err := snap(t, c)
	wantCode(t, err, "ConcurrentSnapshotLimitExceeded", "") // the set is made whole or not at all
	for _, s := range made.Snapshots {
		must[*ec2.LockSnapshotOutput](t)(c.LockSnapshot(t.Context(), &ec2.LockSnapshotInput{SnapshotId: s.SnapshotId, LockMode: types.LockModeGovernance, LockDuration: aws.Int32(30)}))
	}
	clock.Sleep(time.Minute)
	out := must[*ec2.DescribeSnapshotsOutput](t)(c.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{}))
	if len(out.Snapshots) != 2 || out.Snapshots[0].State != "error" || aws.ToString(out.Snapshots[0].StateMessage) == "" || out.Snapshots[1].State != "completed" {
		t.Errorf("the snapshots are %+v", out.Snapshots)
	}
	// A snapshot that fails is no longer locked, and cannot be.
	// https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-considerations.html
	locked := must[*ec2.DescribeLockedSnapshotsOutput](t)(c.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{*made.Snapshots[0].SnapshotId, *made.Snapshots[1].SnapshotId}}))
	if len(locked.Snapshots) != 1 || *locked.Snapshots[0].SnapshotId != *made.Snapshots[1].SnapshotId {
		t.Errorf("locked are %+v", locked.Snapshots)
	}
	_, err = c.LockSnapshot(t.Context(), &ec2.LockSnapshotInput{SnapshotId: made.Snapshots[0].SnapshotId, LockMode: types.LockModeGovernance, LockDuration: aws.Int32(30)})
	wantCode(t, err, "IncorrectState", "")
	none, _ := world(t, changed(t, func(f map[string]any) { delete(theInstance(f), "BlockDeviceMappings"); delete(f, "Volumes") }))
	_, err = snap(t, none.EC2())
	wantCode(t, err, "InvalidParameterValue", "no volumes")
}

// One volume alone is snapshotted whether it is attached or not. A number of
// them may fail, and others may move volumes and delete snapshots meanwhile.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html
func TestCreateSnapshotOfOneVolume(t *testing.T) {
	var volume, instance string
	a, clock := world(t, changed(t, func(f map[string]any) {
		volume, instance = entry(f, "Volumes", 0)["VolumeId"].(string), theInstance(f)["InstanceId"].(string)
		f["Volumes"] = append(f["Volumes"].([]any), map[string]any{"VolumeId": "vol-loose"})
		f["Behaviour"] = map[string]any{
			"SnapshotFailures": map[string]any{volume: 1}, "SnapshotSeconds": 60,
			"VolumesMoved": []any{
				map[string]any{"Seconds": 600, "VolumeId": "vol-loose", "InstanceId": instance, "Device": "/dev/sdz"},
				map[string]any{"Seconds": 900, "VolumeId": volume, "Deleted": true},
			},
			"SnapshotsDeleted": []any{map[string]any{"Seconds": 1200, "VolumeId": "vol-loose"}},
		}
	}))
	c := a.EC2()
	one := func(id string) (*ec2.CreateSnapshotOutput, error) {
		return c.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &id, TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{{Key: aws.String("of"), Value: &id}},
		}}})
	}
	states := func() (all []string) {
		for _, s := range must[*ec2.DescribeSnapshotsOutput](t)(c.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})).Snapshots {
			all = append(all, *s.VolumeId+" "+string(s.State))
		}
		return all
	}
	for range 2 {
		made := must[*ec2.CreateSnapshotOutput](t)(one(volume))
		if made.State != "pending" || made.StartTime == nil || len(made.Tags) != 1 {
			t.Errorf("made is %+v", made)
		}
		clock.Sleep(2 * time.Minute)
	}
	locked := must[*ec2.CreateSnapshotOutput](t)(one("vol-loose")).SnapshotId
	must[*ec2.LockSnapshotOutput](t)(c.LockSnapshot(t.Context(), &ec2.LockSnapshotInput{SnapshotId: locked, LockMode: types.LockModeGovernance, LockDuration: aws.Int32(30)}))
	clock.Sleep(2 * time.Minute)
	if got, want := states(), []string{volume + " error", volume + " completed", "vol-loose completed"}; !slices.Equal(got, want) {
		t.Errorf("snapshots are %v, want %v", got, want)
	}
	_, err := one("vol-gone")
	wantCode(t, err, "InvalidVolume.NotFound", "")

	attached := func() (all []string) {
		out := must[*ec2.DescribeInstancesOutput](t)(c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{instance}}))
		for _, m := range out.Reservations[0].Instances[0].BlockDeviceMappings {
			all = append(all, *m.Ebs.VolumeId)
		}
		return all
	}
	before := attached()
	clock.Sleep(5 * time.Minute)
	if got := attached(); len(got) != len(before)+1 || got[len(got)-1] != "vol-loose" {
		t.Errorf("attached are %v", got)
	}
	clock.Sleep(5 * time.Minute)
	if got := attached(); slices.Contains(got, volume) {
		t.Errorf("attached are %v", got)
	}
	_, err = one(volume)
	wantCode(t, err, "InvalidVolume.NotFound", "")
	clock.Sleep(5 * time.Minute)
	if got := states(); slices.Contains(got, "vol-loose completed") {
		t.Errorf("snapshots are %v", got)
	}
	for _, wrong := range []string{`{"VolumesMoved": [{"Seconds": 1, "VolumeId": "vol-0"}]}`, `{"SnapshotsDeleted": [{"VolumeId": "vol-loose"}]}`} {
		file := changed(t, func(f map[string]any) {
			f["Volumes"] = append(f["Volumes"].([]any), map[string]any{"VolumeId": "vol-loose"})
			f["Behaviour"] = json.RawMessage(wrong)
		})
		if _, err := sim.Open(sim.Settings{Clock: &wall{begun}}, file); err == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
}

// The duration of a lock starts when the snapshot is complete.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LockSnapshot.html
func TestLockSnapshot(t *testing.T) {
	a, clock := world(t, changed(t, func(f map[string]any) { f["Behaviour"] = map[string]any{"SnapshotSeconds": 600} }))
	c := a.EC2()
	id := must[*ec2.CreateSnapshotsOutput](t)(snap(t, c)).Snapshots[0].SnapshotId
	lock := func(id string, days int32) (*ec2.LockSnapshotOutput, error) {
		return c.LockSnapshot(t.Context(), &ec2.LockSnapshotInput{SnapshotId: &id, LockMode: types.LockModeGovernance, LockDuration: &days})
	}
	if out := must[*ec2.LockSnapshotOutput](t)(lock(*id, 30)); out.LockState != "governance" || out.LockDurationStartTime != nil || out.LockExpiresOn != nil {
		t.Errorf("the lock of a pending snapshot is %+v", out)
	}
	_, err := lock("snap-gone", 30)
	wantCode(t, err, "InvalidSnapshot.NotFound", "")
	_, err = lock(*id, 0)
	wantCode(t, err, "InvalidParameterValue", "")
	look := func() types.LockedSnapshotsInfo {
		return must[*ec2.DescribeLockedSnapshotsOutput](t)(c.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{*id}})).Snapshots[0]
	}
	clock.Sleep(time.Hour)
	l := look()
	if l.LockDurationStartTime == nil || !l.LockExpiresOn.Equal(l.LockDurationStartTime.AddDate(0, 0, 30)) || !l.LockDurationStartTime.Equal(begun.Add(10*time.Minute)) {
		t.Errorf("the lock of a completed snapshot is %+v", l)
	}
	clock.Sleep(30 * 24 * time.Hour)
	if l := look(); l.LockState != "expired" {
		t.Errorf("after thirty days the lock is %s", l.LockState)
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
func TestTags(t *testing.T) {
	a, _ := world(t, around(t))
	c := a.EC2()
	create := func(id string, tags ...types.Tag) error {
		_, err := c.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{victim, id}, Tags: tags})
		return err
	}
	one := types.Tag{Key: aws.String("k"), Value: aws.String("v")}
	wantCode(t, create("i-gone", one), "InvalidInstanceID.NotFound", "")
	wantCode(t, create(victim, types.Tag{Key: aws.String("aws:x"), Value: aws.String("v")}), "InvalidParameterValue", "reserved")
	wantCode(t, create(victim, types.Tag{Key: aws.String("k"), Value: aws.String(strings.Repeat("v", 257))}), "InvalidParameterValue", "256")
	var many []types.Tag
	for n := range 49 {
		many = append(many, types.Tag{Key: aws.String(fmt.Sprint(n)), Value: aws.String("")})
	}
	wantCode(t, create(victim, many...), "TagLimitExceeded", "") // Name and Owner are there
	if got := len(instance(t, c).Tags); got != 2 {
		t.Errorf("refused calls left %d tags, want 2", got)
	}
	if err := create(primaryInterface, many[:48]...); err != nil {
		t.Error(err)
	}
	if err := create(primaryInterface, types.Tag{Key: aws.String("0"), Value: aws.String("new")}); err != nil {
		t.Errorf("a new value for a tag of a full resource: %v", err)
	}
	// With another value a tag stays, without one it goes, and an empty value is one.
	for _, tt := range []struct {
		tag  types.Tag
		left int
	}{
		{types.Tag{Key: aws.String("0"), Value: aws.String("")}, 50},
		{types.Tag{Key: aws.String("0"), Value: aws.String("new")}, 49},
		{types.Tag{Key: aws.String("1")}, 48},
		{types.Tag{Key: aws.String("gone")}, 48},
	} {
		if _, err := c.DeleteTags(t.Context(), &ec2.DeleteTagsInput{Resources: []string{victim}, Tags: []types.Tag{tt.tag}}); err != nil {
			t.Error(err)
		}
		if got := len(instance(t, c).Tags); got != tt.left {
			t.Errorf("after deleting %s there are %d tags, want %d", *tt.tag.Key, got, tt.left)
		}
	}
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
func TestTerminateInstances(t *testing.T) {
	a, clock := world(t, around(t))
	c := a.EC2()
	_, err := c.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{victim, "i-gone"}})
	wantCode(t, err, "InvalidInstanceID.NotFound", "")
	if s := instance(t, c).State.Name; s != "running" {
		t.Fatalf("a refused call left the instance %s", s)
	}
	terminate := func() types.InstanceStateChange {
		return must[*ec2.TerminateInstancesOutput](t)(c.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{victim}, SkipOsShutdown: aws.Bool(true)})).TerminatingInstances[0]
	}
	if s := terminate(); s.PreviousState.Name != "running" || s.CurrentState.Name != "shutting-down" {
		t.Errorf("terminated from %s to %s", s.PreviousState.Name, s.CurrentState.Name)
	}
	if i := instance(t, c); i.State.Name != "shutting-down" || len(i.NetworkInterfaces) != 2 {
		t.Errorf("at once the instance is %s with %d interfaces", i.State.Name, len(i.NetworkInterfaces))
	}
	_, err = c.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: aws.String(victim), DisableApiStop: &types.AttributeBooleanValue{Value: aws.Bool(true)}})
	wantCode(t, err, "IncorrectInstanceState", "")
	_, err = snap(t, c)
	wantCode(t, err, "IncorrectInstanceState", "")
	clock.Sleep(10 * time.Second)
	i := instance(t, c)
	if i.State.Name != "terminated" || len(i.NetworkInterfaces) != 0 || len(i.BlockDeviceMappings) != 0 || i.VpcId != nil {
		t.Errorf("later the instance is %+v", i)
	}
	if s := terminate(); s.PreviousState.Name != "terminated" || s.CurrentState.Name != "terminated" {
		t.Errorf("again: from %s to %s", s.PreviousState.Name, s.CurrentState.Name)
	}
	// The root volume and the primary interface went with it, the others are free.
	volumes := must[*ec2.DescribeVolumesOutput](t)(c.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{})).Volumes
	if len(volumes) != 1 || volumes[0].State != "available" || len(volumes[0].Attachments) != 0 {
		t.Errorf("the volumes are %+v", volumes)
	}
	free := must[*ec2.DescribeNetworkInterfacesOutput](t)(c.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: by("status", "available")})).NetworkInterfaces
	if len(free) != 1 || free[0].Attachment != nil {
		t.Errorf("the free interfaces are %+v", free)
	}
	_, err = c.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{primaryInterface}})
	wantCode(t, err, "InvalidNetworkInterfaceID.NotFound", "")
	file, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := world(t, file); instance(t, again.EC2()).State.Name != "terminated" {
		t.Error("the next run does not know that the instance is terminated")
	}
	clock.Sleep(time.Hour)
	_, err = c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{victim}})
	wantCode(t, err, "InvalidInstanceID.NotFound", "")
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html
func TestNetwork(t *testing.T) {
	a, _ := world(t, around(t))
	c := a.EC2()
	subnet := instance(t, c).SubnetId
	for name, want := range map[string]int{"association.subnet-id": 1, "route-table-id": 0} {
		out := must[*ec2.DescribeRouteTablesOutput](t)(c.DescribeRouteTables(t.Context(), &ec2.DescribeRouteTablesInput{Filters: by(name, *subnet)}))
		if len(out.RouteTables) != want {
			t.Errorf("%s found %d route tables, want %d", name, len(out.RouteTables), want)
		}
	}
	if out := must[*ec2.DescribeSubnetsOutput](t)(c.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{SubnetIds: []string{*subnet}})); len(out.Subnets) != 1 {
		t.Errorf("the subnets are %v", out.Subnets)
	}
	if out := must[*ec2.DescribePrefixListsOutput](t)(c.DescribePrefixLists(t.Context(), &ec2.DescribePrefixListsInput{Filters: by("prefix-list-name", "com.amazonaws.us-east-1.s3")})); len(out.PrefixLists) != 1 {
		t.Errorf("the prefix lists are %v", out.PrefixLists)
	}
	if out := must[*ec2.DescribeVpcEndpointsOutput](t)(c.DescribeVpcEndpoints(t.Context(), &ec2.DescribeVpcEndpointsInput{Filters: by("vpc-id", victimVPC)})); len(out.VpcEndpoints) != 4 {
		t.Errorf("there are %d endpoints, want 4", len(out.VpcEndpoints))
	}
	_, err := c.DescribeVpcEndpoints(t.Context(), &ec2.DescribeVpcEndpointsInput{VpcEndpointIds: []string{"vpce-gone"}})
	wantCode(t, err, "InvalidVpcEndpointId.NotFound", "")
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-types.html
func TestDescribeInstanceTypes(t *testing.T) {
	a, _ := world(t, around(t))
	for name, gib := range map[string]float64{"t3.nano": 0.5, "m6i.large": 8, "c6i.xlarge": 8, "r5.24xlarge": 768, "t4g.medium": 4} {
		out, err := a.EC2().DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{types.InstanceType(name)}})
		if err != nil || float64(*out.InstanceTypes[0].MemoryInfo.SizeInMiB) != gib*1024 {
			t.Errorf("%s: %+v, %v; want %v GiB", name, out, err, gib)
		}
	}
	_, err := a.EC2().DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{"abacus.large"}})
	wantCode(t, err, "InvalidInstanceType", "")
}

// Both ends of a connection must allow it, and something must lead there.
// Private DNS of an endpoint takes the name for the whole VPC.
// https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
func TestReach(t *testing.T) {
	only := func(p map[string]any) func(map[string]any) {
		p["IpProtocol"], p["FromPort"], p["ToPort"] = "tcp", 443, 443
		return func(f map[string]any) { entry(f, "SecurityGroups", 0)["IpPermissionsEgress"] = []any{p} }
	}
	endpoints := func(change func(e map[string]any)) func(map[string]any) {
		return func(f map[string]any) {
			for n := range f["VpcEndpoints"].([]any) {
				change(entry(f, "VpcEndpoints", n))
			}
		}
	}
	route := func(to, over string) map[string]any {
		return map[string]any{"DestinationCidrBlock": to, over: "x-1", "State": "active"}
	}
	// central: no endpoint in the VPC, private hosted zones that lead to 10.9.0.10,
	// and no other routes.
	// https://docs.aws.amazon.com/whitepapers/latest/building-scalable-secure-multi-vpc-network-infrastructure/centralized-access-to-vpc-private-endpoints.html
	central := func(routes ...any) func(map[string]any) {
		return func(f map[string]any) {
			delete(f, "VpcEndpoints")
			f["Behaviour"] = map[string]any{"Resolves": map[string]any{"ssm": "10.9.0.10", "s3": "10.9.0.10"}}
			entry(f, "RouteTables", 0)["Routes"] = routes
		}
	}
	for _, tt := range []struct {
		name    string
		change  func(map[string]any)
		ssm, s3 bool
	}{
		{"as it is", func(map[string]any) {}, true, true},
		{"nothing out", func(f map[string]any) { entry(f, "SecurityGroups", 0)["IpPermissionsEgress"] = []any{} }, false, false},
		{"out to the endpoint's address", only(map[string]any{"IpRanges": []any{map[string]any{"CidrIp": "10.0.1.200/32"}}}), true, false},
		{"out to another address", only(map[string]any{"IpRanges": []any{map[string]any{"CidrIp": "10.0.1.9/32"}}}), false, false},
		{"out to the Internet by IPv6", only(map[string]any{"Ipv6Ranges": []any{map[string]any{"CidrIpv6": "::/0"}}}), false, false},
		{"on another port", func(f map[string]any) {
			entry(f, "SecurityGroups", 0)["IpPermissionsEgress"] = []any{map[string]any{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": []any{map[string]any{"CidrIp": "0.0.0.0/0"}}}}
		}, false, false},
		{"out to the endpoint's group", func(f map[string]any) {
			only(map[string]any{"UserIdGroupPairs": []any{map[string]any{"GroupId": entry(f, "SecurityGroups", 1)["GroupId"]}}})(f)
		}, true, false},
		{"out to the prefix list", func(f map[string]any) {
			only(map[string]any{"PrefixListIds": []any{map[string]any{"PrefixListId": entry(f, "PrefixLists", 0)["PrefixListId"]}}})(f)
		}, false, true},
		{"the endpoint lets nothing in", func(f map[string]any) { entry(f, "SecurityGroups", 1)["IpPermissions"] = []any{} }, false, true},
		{"the endpoint lets in others", func(f map[string]any) {
			entry(f, "SecurityGroups", 1)["IpPermissions"] = []any{map[string]any{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": []any{map[string]any{"CidrIp": "10.7.0.0/16"}}}}
		}, false, true},
		{"the endpoint lets in the instance's group", func(f map[string]any) {
			entry(f, "SecurityGroups", 1)["IpPermissions"] = []any{map[string]any{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": []any{map[string]any{"GroupId": entry(f, "SecurityGroups", 0)["GroupId"]}}}}
		}, true, true},
		{"endpoints gone, Internet there", func(f map[string]any) { delete(f, "VpcEndpoints") }, true, true},
		{"endpoints without private DNS", endpoints(func(e map[string]any) { e["PrivateDnsEnabled"] = false }), true, true},
		{"endpoints pending", endpoints(func(e map[string]any) { e["State"] = "pending" }), true, true},
		{"endpoints gone, no route", func(f map[string]any) { delete(f, "VpcEndpoints"); entry(f, "RouteTables", 0)["Routes"] = []any{} }, false, false},
		{"no route table", func(f map[string]any) { delete(f, "RouteTables") }, true, false},
		{"names lead to a central endpoint", central(route("10.9.0.0/16", "TransitGatewayId")), true, true},
		{"over a peering", central(route("10.9.0.10/32", "VpcPeeringConnectionId")), true, true},
		{"no route there", central(route("10.8.0.0/16", "TransitGatewayId")), false, false},
		{"a more specific route elsewhere", central(route("10.9.0.0/16", "TransitGatewayId"), route("10.9.0.0/24", "NatGatewayId")), false, false},
		{"the transit gateway is gone", central(func() map[string]any {
			r := route("10.9.0.0/16", "TransitGatewayId")
			r["State"] = "blackhole"
			return r
		}()), false, false},
		{"not let out to it", func(f map[string]any) {
			central(route("10.9.0.0/16", "TransitGatewayId"))(f)
			only(map[string]any{"IpRanges": []any{map[string]any{"CidrIp": "10.9.1.0/24"}}})(f)
		}, false, false},
		{"let out to its network", func(f map[string]any) {
			central(route("10.9.0.0/16", "TransitGatewayId"))(f)
			only(map[string]any{"IpRanges": []any{map[string]any{"CidrIp": "10.9.0.0/28"}}})(f)
		}, true, true},
		{"an endpoint of the VPC's own comes first", func(f map[string]any) {
			doors := f["VpcEndpoints"]
			central(route("10.9.0.0/16", "TransitGatewayId"))(f)
			f["VpcEndpoints"] = doors
			entry(f, "SecurityGroups", 1)["IpPermissions"] = []any{}
		}, false, true},
		{"the main route table", func(f map[string]any) {
			entry(entry(f, "RouteTables", 0), "Associations", 0)["Main"] = true
			delete(entry(entry(f, "RouteTables", 0), "Associations", 0), "SubnetId")
		}, true, true},
	} {
		a, _ := world(t, changed(t, tt.change))
		for service, want := range map[string]bool{"ssm": tt.ssm, "s3": tt.s3} {
			if got, why := a.Reaches(victim, service); got != want || got == (why != "") {
				t.Errorf("%s: %s reached is %v (%s), want %v", tt.name, service, got, why, want)
			}
		}
	}
}
