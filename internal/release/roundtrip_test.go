package release_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/isolate"
	"cordon/internal/preserve"
	"cordon/internal/scene"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type object = map[string]any

// drawn is any account with the instance in it: interfaces in several VPCs in
// groups of their own, any flags, maybe an Auto Scaling group, maybe balancers.
func drawn(t *rapid.T) string {
	var enis, groups, volumes, mappings []any
	vpcs := rapid.IntRange(1, 3).Draw(t, "vpcs")
	own := map[string][]string{} // groups of each VPC
	for v := range vpcs {
		vpc := fmt.Sprintf("vpc-%d", v)
		for g := range rapid.IntRange(1, 3).Draw(t, "groups") {
			id := fmt.Sprintf("sg-%d%d", v, g)
			own[vpc] = append(own[vpc], id)
			groups = append(groups, object{"GroupId": id, "GroupName": id, "VpcId": vpc})
		}
	}
	var addresses []string
	for n := range rapid.IntRange(1, 5).Draw(t, "interfaces") {
		vpc := fmt.Sprintf("vpc-%d", rapid.IntRange(0, vpcs-1).Draw(t, "vpc"))
		in := rapid.SliceOfNDistinct(rapid.SampledFrom(own[vpc]), 1, -1, rapid.ID).Draw(t, "in")
		var ids []any
		for _, id := range in {
			ids = append(ids, object{"GroupId": id})
		}
		address := fmt.Sprintf("10.0.0.%d", n+1)
		addresses = append(addresses, vpc+" "+address)
		enis = append(enis, object{
			"NetworkInterfaceId": fmt.Sprintf("eni-%d", n), "VpcId": vpc, "SubnetId": "subnet-" + vpc, "PrivateIpAddress": address, "Groups": ids,
			"Attachment": object{"InstanceId": scene.Instance, "DeviceIndex": n, "AttachTime": scene.AttachedAt},
		})
	}
	for n := range rapid.IntRange(1, 4).Draw(t, "volumes") {
		id := fmt.Sprintf("vol-%d", n)
		volumes = append(volumes, object{"VolumeId": id, "Size": 8})
		mappings = append(mappings, object{"DeviceName": fmt.Sprintf("/dev/sd%c", 'a'+n), "Ebs": object{"VolumeId": id, "DeleteOnTermination": rapid.Bool().Draw(t, "delete")}})
	}
	flag := func(name string) object { return object{"Value": rapid.Bool().Draw(t, name)} }
	account := object{
		"Reservations": []any{object{"Instances": []any{object{"InstanceId": scene.Instance, "InstanceType": "m5.large", "State": object{"Name": "running", "Code": 16}, "BlockDeviceMappings": mappings}}}},
		"Volumes":      volumes, "NetworkInterfaces": enis, "SecurityGroups": groups,
		"InstanceAttributes": object{scene.Instance: object{
			"DisableApiTermination": flag("termination"), "DisableApiStop": flag("stop"),
			"InstanceInitiatedShutdownBehavior": object{"Value": rapid.SampledFrom([]string{"stop", "terminate"}).Draw(t, "shutdown")},
		}},
	}
	targets := object{}
	var arns []any
	for n := range rapid.IntRange(0, 3).Draw(t, "target groups") {
		arn := fmt.Sprintf("%sgroup/%d", scene.TargetGroup, n)
		var all []any
		if rapid.Bool().Draw(t, "by ID") {
			arns = append(arns, arn)
			// A group keeps its instances registered on the port of its target group.
			for _, port := range append([]int{80}, rapid.SliceOfNDistinct(rapid.IntRange(81, 83), 0, 3, rapid.ID).Draw(t, "ports")...) {
				all = append(all, object{"Target": object{"Id": scene.Instance, "Port": port}})
			}
		} else {
			_, address, _ := strings.Cut(rapid.SampledFrom(addresses).Draw(t, "address"), " ")
			all = append(all, object{"Target": object{"Id": address, "Port": 80}}, object{"Target": object{"Id": "10.9.9.9", "Port": 80}})
		}
		targets[arn] = all
	}
	account["TargetHealthDescriptions"] = targets
	if rapid.Bool().Draw(t, "classic") {
		account["LoadBalancerDescriptions"] = []any{object{"LoadBalancerName": "old", "Instances": []any{object{"InstanceId": scene.Instance}}}}
	}
	if rapid.Bool().Draw(t, "scaled") {
		least := rapid.IntRange(0, 2).Draw(t, "least")
		account["AutoScalingGroups"] = []any{object{
			"AutoScalingGroupName": "asg", "MinSize": least, "DesiredCapacity": 2, "MaxSize": 4,
			"TargetGroupARNs": arns[:rapid.IntRange(0, len(arns)).Draw(t, "attached")],
		}}
		account["AutoScalingInstances"] = []any{object{"InstanceId": scene.Instance, "AutoScalingGroupName": "asg"}}
	}
	b, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// outline is an account without what a round trip may change: our own items,
// groups and tags, the desired capacity, and the health of targets.
func outline(t *rapid.T, s *scene.Scene) object {
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var all object
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "Incidents")
	ours := func(g any) bool { return strings.Contains(fmt.Sprint(g.(object)["Tags"]), "cordon:group") }
	var groups []any
	for _, g := range all["SecurityGroups"].([]any) {
		if !ours(g) {
			groups = append(groups, g)
		}
	}
	all["SecurityGroups"] = groups
	delete(all, "SecurityGroupRules") // told by the groups
	if gs, ok := all["AutoScalingGroups"].([]any); ok {
		delete(gs[0].(object), "DesiredCapacity")
	}
	if ts, ok := all["TargetHealthDescriptions"].(object); ok {
		for arn, of := range ts {
			list := of.([]any)
			for _, target := range list {
				delete(target.(object), "TargetHealth")
			}
			slices.SortFunc(list, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			ts[arn] = list
		}
	}
	for _, r := range all["Reservations"].([]any) {
		for _, i := range r.(object)["Instances"].([]any) {
			delete(i.(object), "NetworkInterfaces") // told by the interfaces
			delete(i.(object), "SecurityGroups")
		}
	}
	for _, n := range all["NetworkInterfaces"].([]any) {
		slices.SortFunc(n.(object)["Groups"].([]any), func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return all
}

// Any account in, protected and isolated, released: the same account out.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		account := drawn(r)
		action := rapid.SampledFrom([]string{"standby", "detach"}).Draw(r, "action")
		capacity := rapid.SampledFrom([]string{"replace", "shrink"}).Draw(r, "capacity")
		s := scene.Open(t, account)
		s.Set("AUTO_SCALING_ACTION", action)
		s.Set("AUTO_SCALING_CAPACITY", capacity)
		before := outline(r, s)
		protect, err := preserve.New(s.Host, s.EC2(), s.AutoScaling(), s.ElasticLoadBalancingV2(), s.ElasticLoadBalancing(), s.DynamoDB())
		if err != nil {
			r.Fatal(err)
		}
		cut, err := isolate.New(s.Host, s.EC2(), s.DynamoDB())
		if err != nil {
			r.Fatal(err)
		}
		if out, err := protect.Run(t.Context(), preserve.Input{Incident: s.Incident, Execution: scene.Execution}); err != nil || out.Status != incident.OK {
			r.Fatalf("protect: %+v, %v", out, err)
		}
		if out, err := cut.Run(t.Context(), isolate.Input{Incident: s.Incident, Execution: scene.Execution, Seal: true}); err != nil || !out.Sealed {
			r.Fatalf("isolate: %+v, %v", out, err)
		}
		if diff := gocmp.Diff(before, outline(r, s)); diff == "" {
			r.Fatal("isolation changes nothing")
		}
		s.Wait(10 * time.Minute)
		s.Decide(t, incident.Release, nil, nil)
		if out, err := run(t.Context(), s); err != nil || out.Status != incident.OK || !out.Connected {
			r.Fatalf("release: %+v, %v", out, err)
		}
		s.Wait(time.Hour)
		if diff := gocmp.Diff(before, outline(r, s)); diff != "" {
			r.Errorf("of\n%s\n(-before +after):\n%s", account, diff)
		}
	})
}
