package exposure_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"cordon/internal/exposure"
	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// crowded is the scene's account with everything that may stay open.
var crowded = strings.Replace(strings.Replace(scene.File, "{", `{
	"VpcAttributes": {"vpc-2": {"VpcId": "vpc-2", "EnableDnsSupport": {"Value": false}}},
	"Sessions": [
		{"SessionId": "alice-1", "Target": "`+scene.Instance+`", "Status": "Connected", "Owner": "arn:aws:iam::123456789012:user/alice"},
		{"SessionId": "bob-1", "Target": "`+scene.Instance+`", "Status": "Terminated", "Owner": "arn:aws:iam::123456789012:user/bob"},
		{"SessionId": "carol-1", "Target": "i-0other", "Status": "Connected", "Owner": "arn:aws:iam::123456789012:user/carol"}],
	"RouteTables": [
		{"RouteTableId": "rtb-1", "VpcId": "vpc-1", "OwnerId": "123456789012", "Routes": [
			{"DestinationCidrBlock": "10.9.0.0/16", "VpcPeeringConnectionId": "pcx-1", "State": "active"},
			{"DestinationCidrBlock": "10.8.0.0/16", "VpcPeeringConnectionId": "pcx-dead", "State": "blackhole"}]},
		{"RouteTableId": "rtb-2", "VpcId": "vpc-2", "OwnerId": "444455556666"},
		{"RouteTableId": "rtb-3", "VpcId": "vpc-3", "OwnerId": "777788889999"}],`, 1),
	`"NetworkInterfaces": [`, `"NetworkInterfaces": [
	{"NetworkInterfaceId": "eni-nat", "VpcId": "vpc-1", "InterfaceType": "nat_gateway"},
	{"NetworkInterfaceId": "eni-nlb", "VpcId": "vpc-2", "InterfaceType": "network_load_balancer"},
	{"NetworkInterfaceId": "eni-tgw", "VpcId": "vpc-1", "InterfaceType": "transit_gateway"},
	{"NetworkInterfaceId": "eni-vpce", "VpcId": "vpc-1", "InterfaceType": "vpc_endpoint"},
	{"NetworkInterfaceId": "eni-eice", "VpcId": "vpc-1", "InterfaceType": "ec2_instance_connect_endpoint"},
	{"NetworkInterfaceId": "eni-lambda", "VpcId": "vpc-1", "InterfaceType": "lambda"},
	{"NetworkInterfaceId": "eni-far", "VpcId": "vpc-3", "InterfaceType": "nat_gateway"},`, 1)

var instance = incident.Instance{
	ID: scene.Instance, VPCs: []string{"vpc-1", "vpc-2"}, Metadata: incident.MetadataV1,
	Tags: map[string]string{"Name": "node", "kubernetes.io/cluster/prod": "owned"},
}

func run(ctx context.Context, s *scene.Scene, i incident.Instance) (exposure.Output, error) {
	step, err := exposure.New(s.Host, s.EC2(), s.SSM(), s.DynamoDB())
	if err != nil {
		return exposure.Output{}, err
	}
	return step.Run(ctx, exposure.Input{Incident: s.Incident, Instance: i})
}

// said is what an output says of each kind.
func said(o exposure.Output) map[string]string {
	m := map[string]string{}
	for _, x := range o.Openings {
		m[x.What] = strings.TrimSpace(string(x.State) + " " + x.Detail)
	}
	return m
}

func TestFound(t *testing.T) {
	out, err := run(t.Context(), scene.Open(t, crowded), instance)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"nat": "found eni-nat in vpc-1", "balancer": "found eni-nlb in vpc-2", "transit": "found eni-tgw in vpc-1", "endpoint": "found eni-vpce in vpc-1",
		"connect": "found eni-eice in vpc-1", "peering": "found pcx-1", "shared": "found vpc-2 of 444455556666", "dns": "found vpc-1",
		"metadata": "found IMDSv1", "cluster": "found kubernetes.io/cluster/prod=owned", "session": "found alice-1 of arn:aws:iam::123456789012:user/alice",
	}
	if d := cmp.Diff(want, said(out)); d != "" || out.Status != incident.OK {
		t.Errorf("%+v (-want +got):\n%s", out.Report, d)
	}
	for _, line := range (message.Language{}).StaysOpen(incident.Isolation{}, incident.Credentials{}, out) {
		if strings.Contains(line, ": found ") {
			t.Errorf("there are no words for %q", line)
		}
	}
}

func TestNothingThere(t *testing.T) {
	quiet := incident.Instance{ID: scene.Instance, VPCs: []string{"vpc-2"}, Metadata: incident.MetadataOff}
	s := scene.Open(t, strings.Replace(scene.File, "{", `{"VpcAttributes": {"vpc-2": {"VpcId": "vpc-2", "EnableDnsSupport": {"Value": false}}},`, 1))
	out, err := run(t.Context(), s, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range said(out) {
		if got != "none" {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// In a VPC of another account what is not seen may be there all the same.
// What a capture's endpoints let through is told with the rest: where there is no
// capture there is nothing to tell, and of another account's nobody knows.
func TestBuckets(t *testing.T) {
	note := "vpce-0s3 lets through to buckets other than the evidence bucket"
	for _, c := range []struct {
		capture []incident.Capture
		want    []incident.Opening
	}{
		{[]incident.Capture{{VPC: "vpc-1", Complete: true, Notes: []string{note}}}, []incident.Opening{{What: "buckets", State: incident.Found, Detail: note}}},
		{[]incident.Capture{{VPC: "vpc-1", Complete: true}}, []incident.Opening{{What: "buckets", State: incident.None}}},
		{[]incident.Capture{{VPC: "vpc-1", Complete: true, Assumed: []string{"10.9.0.0/16 has endpoints"}}}, []incident.Opening{{What: "buckets", State: incident.Unknown, Detail: "taken for granted: 10.9.0.0/16 has endpoints"}}},
		{[]incident.Capture{{VPC: "vpc-1", Notes: []string{note}}}, nil},
		{nil, nil},
	} {
		s := scene.Open(t, scene.File)
		step, err := exposure.New(s.Host, s.EC2(), s.SSM(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		out, err := step.Run(t.Context(), exposure.Input{Incident: s.Incident, Instance: incident.Instance{ID: scene.Instance, VPCs: []string{"vpc-1"}}, Capture: c.capture})
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(slices.Clone(out.Openings), func(o incident.Opening) bool { return o.What != "buckets" })
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.capture, diff)
		}
	}
}

func TestSharedVPC(t *testing.T) {
	s := scene.Open(t, strings.Replace(scene.File, "{", `{"RouteTables": [{"RouteTableId": "rtb-2", "VpcId": "vpc-2", "OwnerId": "444455556666"}],`, 1))
	out, err := run(t.Context(), s, incident.Instance{ID: scene.Instance, VPCs: []string{"vpc-2"}, Metadata: incident.MetadataOff})
	if err != nil {
		t.Fatal(err)
	}
	got := said(out)
	for _, what := range []string{"nat", "balancer", "transit", "endpoint", "connect"} {
		if got[what] != "unknown not seen from this account in vpc-2 of 444455556666" {
			t.Errorf("%s: %s", what, got[what])
		}
	}
	if out.Status != incident.Partial {
		t.Errorf("%+v, want partial", out.Report)
	}
}

// What cannot be looked up is unknown, with the reason, and the rest is told.
func TestUnknown(t *testing.T) {
	for call, kinds := range map[string][]string{
		"ec2:DescribeNetworkInterfaces#1=denied": {"nat", "balancer", "transit", "endpoint", "connect"},
		"ec2:DescribeRouteTables#1=throttled":    {"peering", "shared"},
		"ec2:DescribeVpcAttribute#1=denied":      {"dns"},
		"ssm:DescribeSessions#1=denied":          {"session"},
	} {
		out, err := run(t.Context(), scene.Open(t, crowded, scene.Fault(t, call)), instance)
		if err != nil {
			t.Fatal(err)
		}
		got := said(out)
		for what, is := range got {
			concerned := false
			for _, k := range kinds {
				concerned = concerned || k == what
			}
			if concerned != strings.HasPrefix(is, "unknown ") || concerned && !strings.Contains(is, ": ") {
				t.Errorf("%s: %s is %s", call, what, is)
			}
		}
		if out.Status != incident.Partial || !strings.Contains(out.Reason, kinds[0]) {
			t.Errorf("%s: %+v", call, out.Report)
		}
	}
	out, err := run(t.Context(), scene.Open(t, crowded), incident.Instance{ID: scene.Instance, VPCs: []string{"vpc-1"}})
	if got := said(out)["metadata"]; err != nil || !strings.HasPrefix(got, "unknown ") {
		t.Errorf("metadata options that nobody told are %q, %v", got, err)
	}
}

// Many of a kind are counted, some are named.
func TestMany(t *testing.T) {
	i := instance
	i.Tags = map[string]string{}
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		i.Tags["karpenter.sh/"+n] = "x"
	}
	out, err := run(t.Context(), scene.Open(t, crowded), i)
	if got := said(out)["cluster"]; err != nil || !strings.HasSuffix(got, "karpenter.sh/e=x (+2)") {
		t.Errorf("%q, %v", got, err)
	}
}

// A dry run looks and records nothing.
func TestDryRun(t *testing.T) {
	s := scene.Open(t, crowded)
	s.Set("DRY_RUN", "true")
	from := len(s.Calls())
	out, err := run(t.Context(), s, instance)
	if err != nil || said(out)["nat"] != "found eni-nat in vpc-1" || len(s.Changes(from)) > 0 {
		t.Errorf("%+v, %v, changed %v", out, err, s.Changes(from))
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, crowded, faults...) },
		func(ctx context.Context, s *scene.Scene) (exposure.Output, error) { return run(ctx, s, instance) })
}
