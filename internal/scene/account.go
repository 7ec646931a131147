package scene

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// File is an account with a running instance that has two interfaces in two
// VPCs, two volumes, and this stack's quarantine groups, which are empty.
const File = `{
  "Reservations": [{"ReservationId": "r-1", "OwnerId": "123456789012", "Instances": [{
    "InstanceId": "i-0aaaaaaaaaaaaaaaa", "InstanceType": "m5d.large", "State": {"Code": 16, "Name": "running"}, "RootDeviceName": "/dev/xvda",
    "Tags": [{"Key": "Name", "Value": "web"}],
    "BlockDeviceMappings": [
      {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-root", "DeleteOnTermination": true}},
      {"DeviceName": "/dev/sdf", "Ebs": {"VolumeId": "vol-data", "DeleteOnTermination": true}}
    ]
  }]}],
  "Volumes": [
    {"VolumeId": "vol-root", "Size": 8, "Encrypted": true, "KmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/theirs"},
    {"VolumeId": "vol-data", "Size": 100}
  ],
  "InstanceAttributes": {"i-0aaaaaaaaaaaaaaaa": {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}}},
  "InstanceTypes": [{"InstanceType": "m5d.large", "MemoryInfo": {"SizeInMiB": 8192}, "InstanceStorageSupported": true,
    "InstanceStorageInfo": {"TotalSizeInGB": 75, "Disks": [{"Count": 1, "SizeInGB": 75, "Type": "ssd"}]}}],
  "NetworkInterfaces": [
    {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "SubnetId": "subnet-1", "Groups": [{"GroupId": "sg-web"}, {"GroupId": "sg-ssh"}],
     "Attachment": {"AttachmentId": "eni-attach-1", "InstanceId": "i-0aaaaaaaaaaaaaaaa", "DeviceIndex": 0, "AttachTime": "2026-01-01T12:00:00Z"}},
    {"NetworkInterfaceId": "eni-2", "VpcId": "vpc-2", "SubnetId": "subnet-2", "Groups": [{"GroupId": "sg-db"}],
     "Attachment": {"AttachmentId": "eni-attach-2", "InstanceId": "i-0aaaaaaaaaaaaaaaa", "DeviceIndex": 1, "AttachTime": "2026-02-01T12:00:00Z"}}
  ],
  "SecurityGroups": [
    {"GroupId": "sg-web", "GroupName": "web", "VpcId": "vpc-1"},
    {"GroupId": "sg-ssh", "GroupName": "ssh", "VpcId": "vpc-1"},
    {"GroupId": "sg-db", "GroupName": "db", "VpcId": "vpc-2"},
    {"GroupId": "sg-other", "GroupName": "other", "VpcId": "vpc-1"},
    {"GroupId": "sg-q1", "GroupName": "quarantine-sg", "VpcId": "vpc-1", "IpPermissions": [], "IpPermissionsEgress": [],
     "Tags": [{"Key": "cordon:group", "Value": "quarantine"}, {"Key": "cordon:stack", "Value": "cordon"}]},
    {"GroupId": "sg-q2", "GroupName": "quarantine-sg", "VpcId": "vpc-2", "IpPermissions": [], "IpPermissionsEgress": [],
     "Tags": [{"Key": "cordon:group", "Value": "quarantine"}, {"Key": "cordon:stack", "Value": "cordon"}]},
    {"GroupId": "sg-c1", "GroupName": "cordon-capture", "VpcId": "vpc-1", "IpPermissions": [], "IpPermissionsEgress": [],
     "Tags": [{"Key": "cordon:group", "Value": "capture"}, {"Key": "cordon:stack", "Value": "cordon"}]}
  ]
}`

// Paged is File where EC2 shows one thing a page.
var Paged = strings.Replace(File, "{", `{"Behaviour": {"PageSize": 1},`, 1)

// Scaled is File where the instance is in an Auto Scaling group and behind
// balancers: by ID on two ports, by an address, and a classic one. The others
// there are none of the incident's business.
var Scaled = strings.Replace(strings.Replace(File, `"NetworkInterfaceId": "eni-2",`, `"NetworkInterfaceId": "eni-2", "PrivateIpAddress": "10.2.0.5",`, 1), "{", `{
  "AutoScalingGroups": [{"AutoScalingGroupName": "web-asg", "MinSize": 1, "MaxSize": 3, "DesiredCapacity": 2, "HealthCheckType": "ELB",
    "TargetGroupARNs": ["`+TargetGroup+`web/1"]}],
  "AutoScalingInstances": [{"InstanceId": "`+Instance+`", "AutoScalingGroupName": "web-asg", "LifecycleState": "InService"}],
  "TargetGroups": [
    {"TargetGroupArn": "`+TargetGroup+`web/1", "VpcId": "vpc-1", "Port": 80, "TargetType": "instance"},
    {"TargetGroupArn": "`+TargetGroup+`db/2", "VpcId": "vpc-2", "Port": 5432, "TargetType": "ip"},
    {"TargetGroupArn": "`+TargetGroup+`elsewhere/3", "VpcId": "vpc-9", "Port": 5432, "TargetType": "ip"}
  ],
  "TargetHealthDescriptions": {
    "`+TargetGroup+`web/1": [
      {"Target": {"Id": "`+Instance+`", "Port": 80}, "TargetHealth": {"State": "healthy"}},
      {"Target": {"Id": "`+Instance+`", "Port": 8080}, "TargetHealth": {"State": "unhealthy"}}],
    "`+TargetGroup+`db/2": [
      {"Target": {"Id": "10.2.0.5", "Port": 5432}, "TargetHealth": {"State": "healthy"}},
      {"Target": {"Id": "10.2.0.6", "Port": 5432}, "TargetHealth": {"State": "healthy"}}],
    "`+TargetGroup+`elsewhere/3": [{"Target": {"Id": "10.2.0.5", "Port": 5432}, "TargetHealth": {"State": "healthy"}}]
  },
  "LoadBalancerDescriptions": [
    {"LoadBalancerName": "old", "Instances": [{"InstanceId": "`+Instance+`"}, {"InstanceId": "i-0bbbbbbbbbbbbbbbb"}]},
    {"LoadBalancerName": "other", "Instances": [{"InstanceId": "i-0bbbbbbbbbbbbbbbb"}]}
  ],`, 1)

// TargetGroup is what the ARNs of Scaled's target groups begin with.
const TargetGroup = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/"

// Put moves an interface into groups, whoever does it.
func (s *Scene) Put(t testing.TB, eni string, groups ...string) {
	t.Helper()
	if _, err := s.EC2().ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &eni, Groups: groups}); err != nil {
		t.Fatal(err)
	}
}

// Isolate does what isolate and preserve have done when a person decides.
func (s *Scene) Isolate(t testing.TB) {
	t.Helper()
	s.Remember(t, "eni-1", "groups", `["sg-web","sg-ssh"]`)
	s.Remember(t, "eni-2", "groups", `["sg-db"]`)
	s.Put(t, "eni-1", "sg-q1")
	s.Put(t, "eni-2", "sg-q2")
	s.Remember(t, Instance, "disableApiTermination", "false")
	s.Remember(t, Instance, "disableApiStop", "false")
	s.Remember(t, Instance, "instanceInitiatedShutdownBehavior", `"terminate"`)
	s.Remember(t, "vol-root", "deleteOnTermination", "true")
	s.Remember(t, "vol-data", "deleteOnTermination", "true")
	on := &types.AttributeBooleanValue{Value: aws.Bool(true)}
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiTermination: on})
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiStop: on})
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: aws.String("stop")}})
	for _, device := range []string{"/dev/xvda", "/dev/sdf"} {
		s.Modify(t, &ec2.ModifyInstanceAttributeInput{BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{{
			DeviceName: &device, Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(false)},
		}}})
	}
}

// Modify changes an attribute of the instance, whoever does it.
func (s *Scene) Modify(t testing.TB, in *ec2.ModifyInstanceAttributeInput) {
	t.Helper()
	in.InstanceId = aws.String(Instance)
	if _, err := s.EC2().ModifyInstanceAttribute(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// Snapshot takes the incident's snapshots and lets them complete.
func (s *Scene) Snapshot(t testing.TB) {
	t.Helper()
	key, value := "cordon:incident", s.Incident.ID
	_, err := s.EC2().CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(Instance)},
		TagSpecifications:     []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{{Key: &key, Value: &value}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Tag writes a tag on a resource, whoever does it.
func (s *Scene) Tag(t testing.TB, id, key, value string) {
	t.Helper()
	if _, err := s.EC2().CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: &key, Value: &value}}}); err != nil {
		t.Fatal(err)
	}
}

// Groups are those of each interface, sorted.
func (s *Scene) Groups(t testing.TB) map[string][]string {
	t.Helper()
	m := map[string][]string{}
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.EC2(), &ec2.DescribeNetworkInterfacesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.NetworkInterfaces {
			for _, g := range i.Groups {
				m[*i.NetworkInterfaceId] = append(m[*i.NetworkInterfaceId], *g.GroupId)
			}
			slices.Sort(m[*i.NetworkInterfaceId])
		}
	}
	return m
}

// State is that of the instance.
func (s *Scene) State(t testing.TB) types.InstanceStateName {
	t.Helper()
	return s.describe(t).State.Name
}

func (s *Scene) describe(t testing.TB) types.Instance {
	t.Helper()
	out, err := s.EC2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{Instance}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Reservations[0].Instances[0]
}

// Flags are the protections of the instance and its volumes.
type Flags struct {
	Termination, Stop bool
	Shutdown          string
	Delete            map[string]bool // DeleteOnTermination, by volume
}

// Flags reads them.
func (s *Scene) Flags(t testing.TB) Flags {
	t.Helper()
	f := Flags{Delete: map[string]bool{}}
	for _, a := range []types.InstanceAttributeName{types.InstanceAttributeNameDisableApiTermination, types.InstanceAttributeNameDisableApiStop, types.InstanceAttributeNameInstanceInitiatedShutdownBehavior} {
		out, err := s.EC2().DescribeInstanceAttribute(t.Context(), &ec2.DescribeInstanceAttributeInput{InstanceId: aws.String(Instance), Attribute: a})
		if err != nil {
			t.Fatal(err)
		}
		if v := out.DisableApiTermination; v != nil {
			f.Termination = aws.ToBool(v.Value)
		}
		if v := out.DisableApiStop; v != nil {
			f.Stop = aws.ToBool(v.Value)
		}
		if v := out.InstanceInitiatedShutdownBehavior; v != nil {
			f.Shutdown = aws.ToString(v.Value)
		}
	}
	for _, m := range s.describe(t).BlockDeviceMappings {
		f.Delete[*m.Ebs.VolumeId] = aws.ToBool(m.Ebs.DeleteOnTermination)
	}
	return f
}

// Tags are those of the instance.
func (s *Scene) Tags(t testing.TB) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, tag := range s.describe(t).Tags {
		m[*tag.Key] = *tag.Value
	}
	return m
}

// Terminate ends the instance, as somebody other than Cordon would.
func (s *Scene) Terminate(t testing.TB) {
	t.Helper()
	if _, err := s.EC2().TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{Instance}}); err != nil {
		t.Fatal(err)
	}
}

// Allow opens a group to the world, as an intruder would.
func (s *Scene) Allow(t testing.TB, group string) {
	t.Helper()
	_, err := s.EC2().AuthorizeSecurityGroupEgress(t.Context(), &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &group, IpPermissions: []types.IpPermission{{
		IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// Service is who sends work to the instance.
type Service struct {
	Lifecycle string // in its Auto Scaling group; empty if it is in none
	Desired   int32  // capacity of web-asg
	Targets   string // "NAME/ID ID:PORT STATE", those of every target group, in order
	Classics  string // "BALANCER ID", in order
}

// Service reads it.
func (s *Scene) Service(t testing.TB) Service {
	t.Helper()
	var of Service
	members, err := s.AutoScaling().DescribeAutoScalingInstances(t.Context(), &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{Instance}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range members.AutoScalingInstances {
		of.Lifecycle = *i.LifecycleState
	}
	groups, err := s.AutoScaling().DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"web-asg"}})
	if err != nil {
		t.Fatal(err)
	}
	of.Desired = *groups.AutoScalingGroups[0].DesiredCapacity
	var all []string
	for _, name := range []string{"web/1", "db/2", "elsewhere/3"} {
		out, err := s.ElasticLoadBalancingV2().DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(TargetGroup + name)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range out.TargetHealthDescriptions {
			all = append(all, fmt.Sprintf("%s %s:%d %s", name, *d.Target.Id, *d.Target.Port, d.TargetHealth.State))
		}
	}
	of.Targets = strings.Join(all, "\n")
	balancers, err := s.ElasticLoadBalancing().DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})
	if err != nil {
		t.Fatal(err)
	}
	all = nil
	for _, b := range balancers.LoadBalancerDescriptions {
		for _, i := range b.Instances {
			all = append(all, *b.LoadBalancerName+" "+*i.InstanceId)
		}
	}
	slices.Sort(all)
	of.Classics = strings.Join(all, "\n")
	return of
}
