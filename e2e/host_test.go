//go:build linux

package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cordon/e2e"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// network is one instance, i-1, with two interfaces in one group.
type network struct {
	state  types.InstanceStateName
	egress []types.IpPermission
}

func (n network) DescribeInstances(_ context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	if in.InstanceIds[0] != "i-1" {
		return nil, &smithy.GenericAPIError{Code: "InvalidInstanceID.NotFound"}
	}
	return &ec2.DescribeInstancesOutput{Reservations: []types.Reservation{{Instances: []types.Instance{{State: &types.InstanceState{Name: n.state}}}}}}, nil
}

func (n network) DescribeNetworkInterfaces(context.Context, *ec2.DescribeNetworkInterfacesInput, ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	i := types.NetworkInterface{Groups: []types.GroupIdentifier{{GroupId: aws.String("sg-1")}}}
	return &ec2.DescribeNetworkInterfacesOutput{NetworkInterfaces: []types.NetworkInterface{i, i}}, nil
}

func (n network) DescribeSecurityGroups(_ context.Context, in *ec2.DescribeSecurityGroupsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	if len(in.GroupIds) != 1 { // moto takes a group that is named twice for one that is not there
		return nil, &smithy.GenericAPIError{Code: "InvalidGroup.NotFound"}
	}
	return &ec2.DescribeSecurityGroupsOutput{SecurityGroups: []types.SecurityGroup{{IpPermissionsEgress: n.egress}}}, nil
}

func TestHostsHearWhatTheirGroupsLetOut(t *testing.T) {
	tcp := func(port int32) []types.IpPermission {
		return []types.IpPermission{{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port}}
	}
	for name, c := range map[string]struct {
		instance    string
		network     network
		hears, runs bool
	}{
		"TCP 443":            {"i-1", network{types.InstanceStateNameRunning, tcp(443)}, true, true},
		"TCP 80":             {"i-1", network{types.InstanceStateNameRunning, tcp(80)}, false, true},
		"nothing":            {"i-1", network{types.InstanceStateNameRunning, nil}, false, true},
		"everything":         {"i-1", network{types.InstanceStateNameRunning, []types.IpPermission{{IpProtocol: aws.String("-1")}}}, true, true},
		"a stopped instance": {"i-1", network{types.InstanceStateNameStopped, tcp(443)}, false, false},
		"no instance at all": {"i-2", network{}, false, false},
	} {
		h := &e2e.Shell{EC2: c.network}
		runs, err := h.Runs(t.Context(), c.instance)
		if err != nil || runs != c.runs {
			t.Errorf("%s: runs %t, %v", name, runs, err)
		}
		if hears, err := h.Hears(t.Context(), c.instance); err != nil || hears != c.hears {
			t.Errorf("%s: hears %t, %v", name, hears, err)
		}
	}
}

func TestHostsRunScripts(t *testing.T) {
	h := &e2e.Shell{Dir: t.TempDir(), Certificate: "/certificate"}
	output, exit, err := h.Run(t.Context(), "i-1", `read -r _ at type _ <"$CORDON_PROC/mounts"; echo "$type $CURL_CA_BUNDLE"; [ "$at" = "$CORDON_ROOTS" ] || exit 1; exit 3`)
	if err != nil || exit != 3 || output != "tmpfs /certificate\n" {
		t.Errorf("it said %q, ended with %d, %v", output, exit, err)
	}
	ctx, end := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer end()
	if _, _, err := h.Run(ctx, "i-2", `sleep 600 & echo $! >"$CORDON_LOCKS/pid"; wait`); err != nil {
		t.Fatal(err)
	}
	id, err := os.ReadFile(filepath.Join(h.Dir, "i-2", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	gone(t, strings.TrimSpace(string(id)))
}
