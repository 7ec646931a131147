package preserve_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/preserve"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

const (
	targets  = "web/1 " + scene.Instance + ":80 draining\nweb/1 " + scene.Instance + ":8080 draining\ndb/2 10.2.0.5:5432 draining\ndb/2 10.2.0.6:5432 healthy\nelsewhere/3 10.2.0.5:5432 healthy"
	classics = "old i-0bbbbbbbbbbbbbbbb\nother i-0bbbbbbbbbbbbbbbb"
)

// Out of its group before isolation, and out of every balancer: by ID, by
// address, classic. An address of another VPC is another machine's.
func TestLeavesService(t *testing.T) {
	s := scene.Open(t, scene.Scaled)
	got, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := preserve.Output{Report: incident.Report{Status: incident.OK}, Scaling: incident.Standby, Refused: []string{}, Hazards: []string{},
		Set: append(slices.Clone(all),
			"deregistered 10.2.0.5:5432 from target group targetgroup/db/2",
			"deregistered from classic load balancer old",
			"deregistered "+scene.Instance+":80 from target group targetgroup/web/1",
			"deregistered "+scene.Instance+":8080 from target group targetgroup/web/1",
			"standby in Auto Scaling group web-asg")}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(scene.Service{Lifecycle: "EnteringStandby", Desired: 1, Targets: targets, Classics: classics}, s.Service(t)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	priors := s.Priors(t)
	for key, value := range map[string]string{
		scene.Instance + " autoScalingGroup":                           `{"group":"web-asg","detached":false,"desired":2}`,
		scene.TargetGroup + "db/2 target 10.2.0.5:5432":                `{"group":"` + scene.TargetGroup + `db/2","id":"10.2.0.5","port":5432}`,
		scene.TargetGroup + "web/1 target " + scene.Instance + ":8080": `{"group":"` + scene.TargetGroup + `web/1","id":"` + scene.Instance + `","port":8080}`,
		"old classicBalancer":                                          "true",
	} {
		if priors[key] != value {
			t.Errorf("prior %s is %s, want %s", key, priors[key], value)
		}
	}
}

// What is not done of its own group's doing is still told by a later run.
func TestKillInService(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, scene.Scaled, faults...) }, run)
}

func TestAutoScaling(t *testing.T) {
	for _, c := range []struct {
		name             string
		old, new         string // in the account
		action, capacity string
		scaling          incident.Scaling
		service          scene.Service // without balancers
		says             string        // in what was set, refused, or a hazard
	}{
		{"replaced", "", "", "standby", "replace", incident.Standby, scene.Service{Lifecycle: "EnteringStandby", Desired: 2}, "standby in Auto Scaling group web-asg"},
		{"detached", "", "", "detach", "shrink", incident.Detached, scene.Service{Lifecycle: "Detaching", Desired: 1}, "detached from Auto Scaling group web-asg"},
		{"at its minimum", `"MinSize": 1`, `"MinSize": 2`, "standby", "shrink", incident.Standby, scene.Service{Lifecycle: "EnteringStandby", Desired: 2}, "cannot be made smaller, so it launches a replacement"},
		{"in standby already", `"InService"`, `"Standby"`, "standby", "shrink", incident.Standby, scene.Service{Lifecycle: "Standby", Desired: 2}, "standby in Auto Scaling group web-asg"},
		{"on its way out", `"InService"`, `"Terminating"`, "standby", "shrink", incident.InService, scene.Service{Lifecycle: "Terminating", Desired: 2}, "in group web-asg it is Terminating"},
		{"short lives", `"MinSize": 1`, `"MinSize": 1, "MaxInstanceLifetime": 604800`, "standby", "shrink", incident.Standby, scene.Service{Lifecycle: "EnteringStandby", Desired: 1}, "replaces instances older than 7 days"},
		{"a group that goes", `"MinSize": 1`, `"MinSize": 1, "Status": "Delete in progress"`, "standby", "shrink", incident.Standby, scene.Service{Lifecycle: "EnteringStandby", Desired: 1}, "is going (Delete in progress)"},
		{"a refresh", `"TargetGroups"`, `"InstanceRefreshes": [{"AutoScalingGroupName": "web-asg", "InstanceRefreshId": "r-1", "Status": "InProgress", "Preferences": {"StandbyInstances": "Terminate"}}], "TargetGroups"`,
			"standby", "shrink", incident.Standby, scene.Service{Lifecycle: "EnteringStandby", Desired: 1}, "runs instance refresh r-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			account := scene.Scaled
			if c.old != "" {
				account = strings.Replace(account, c.old, c.new, 1)
			}
			s := scene.Open(t, account)
			s.Set("AUTO_SCALING_ACTION", c.action)
			s.Set("AUTO_SCALING_CAPACITY", c.capacity)
			got, err := run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			now := s.Service(t)
			now.Targets, now.Classics = "", ""
			if d := cmp.Diff(c.service, now); d != "" || got.Scaling != c.scaling {
				t.Errorf("scaling is %q, want %q; (-want +got):\n%s", got.Scaling, c.scaling, d)
			}
			if said := strings.Join(append(append(got.Set, got.Refused...), got.Hazards...), "; "); !strings.Contains(said, c.says) {
				t.Errorf("said %q, want %q in it", said, c.says)
			}
			again, err := run(t.Context(), s)
			if d := cmp.Diff(got, again); err != nil || d != "" {
				t.Errorf("run again: %v (-once +twice):\n%s", err, d)
			}
		})
	}
}

// A refresh that waits for instances in standby ends none of them.
func TestNoHazard(t *testing.T) {
	for _, refresh := range []string{
		`{"AutoScalingGroupName": "web-asg", "InstanceRefreshId": "r-1", "Status": "InProgress", "Preferences": {"StandbyInstances": "Wait"}}`,
		`{"AutoScalingGroupName": "web-asg", "InstanceRefreshId": "r-1", "Status": "InProgress"}`,
		`{"AutoScalingGroupName": "web-asg", "InstanceRefreshId": "r-1", "Status": "Successful", "Preferences": {"StandbyInstances": "Terminate"}}`,
	} {
		s := scene.Open(t, strings.Replace(scene.Scaled, `"TargetGroups"`, `"InstanceRefreshes": [`+refresh+`], "TargetGroups"`, 1))
		if got, err := run(t.Context(), s); err != nil || len(got.Hazards) > 0 {
			t.Errorf("%s: hazards %q, error %v", refresh, got.Hazards, err)
		}
	}
}

// What cannot be read is a hazard; it keeps nothing from being done.
func TestHazardsUnknown(t *testing.T) {
	s := scene.Open(t, scene.Scaled, scene.Fault(t, "autoscaling:DescribeInstanceRefreshes#1=denied"))
	got, err := run(t.Context(), s)
	if err != nil || got.Scaling != incident.Standby || len(got.Hazards) != 1 || !strings.Contains(got.Hazards[0], "could not be read") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// One thing that fails keeps none of the others; the machine runs it again.
func TestOneServiceFails(t *testing.T) {
	for fault, left := range map[string]scene.Service{
		"autoscaling:EnterStandby#1=throttled":                                   {Lifecycle: "InService", Desired: 2, Targets: targets, Classics: classics},
		"elasticloadbalancing:DeregisterInstancesFromLoadBalancer#1=unavailable": {Lifecycle: "EnteringStandby", Desired: 1, Targets: targets, Classics: "old i-0aaaaaaaaaaaaaaaa\nold i-0bbbbbbbbbbbbbbbb\nother i-0bbbbbbbbbbbbbbbb"},
		"elasticloadbalancingv2:DescribeTargetGroups#1=throttled":                {Lifecycle: "EnteringStandby", Desired: 1, Targets: strings.Replace(targets, "5:5432 draining", "5:5432 healthy", 1), Classics: classics},
	} {
		s := scene.Open(t, scene.Scaled, scene.Fault(t, fault))
		if _, err := run(t.Context(), s); err == nil {
			t.Errorf("%s: no error, so nobody tries again", fault)
		}
		if d := cmp.Diff(left, s.Service(t)); d != "" {
			t.Errorf("%s (-want +got):\n%s", fault, d)
		}
		if got, err := run(t.Context(), s); err != nil || got.Status != incident.OK {
			t.Errorf("%s: run again: %+v, %v", fault, got, err)
		}
		if d := cmp.Diff(scene.Service{Lifecycle: "EnteringStandby", Desired: 1, Targets: targets, Classics: classics}, s.Service(t)); d != "" {
			t.Errorf("%s: run again (-want +got):\n%s", fault, d)
		}
	}
}

func TestSettings(t *testing.T) {
	for name, value := range map[string]string{"AUTO_SCALING_ACTION": "suspend", "AUTO_SCALING_CAPACITY": "", "INCIDENTS_TABLE": ""} {
		s := scene.Open(t, scene.File)
		s.Set(name, value)
		if _, err := run(t.Context(), s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: error is %v", name, value, err)
		}
	}
}
