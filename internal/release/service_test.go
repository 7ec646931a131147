package release_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/preserve"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

// preserved is an isolated instance that preserve took out of service, with a
// decision to release it, some time later.
func preserved(t *testing.T, account, action string, later time.Duration, faults ...sim.Fault) *scene.Scene {
	t.Helper()
	s := scene.Open(t, account, faults...)
	s.Set("AUTO_SCALING_ACTION", action)
	return preservedIn(t, s, later)
}

// preservedIn is preserved in a scene that is open already.
func preservedIn(t *testing.T, s *scene.Scene, later time.Duration) *scene.Scene {
	t.Helper()
	step, err := preserve.New(s.Host, s.EC2(), s.AutoScaling(), s.ElasticLoadBalancingV2(), s.ElasticLoadBalancing(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.Run(t.Context(), preserve.Input{Incident: s.Incident, Execution: scene.Execution}); err != nil {
		t.Fatal(err)
	}
	s.Isolate(t)
	s.Wait(later)
	s.Decide(t, incident.Release, nil, nil)
	return s
}

const (
	member  = "service in Auto Scaling group web-asg"
	place80 = scene.Instance + ":80 in target group " + scene.TargetGroup + "web/1"
)

// In service as before: in its group, and in each balancer on each port.
func TestBackInService(t *testing.T) {
	for _, action := range []string{"standby", "detach"} {
		t.Run(action, func(t *testing.T) {
			before := scene.Open(t, scene.Scaled).Service(t)
			s := preserved(t, scene.Scaled, action, 10*time.Minute)
			got, err := run(t.Context(), s)
			if err != nil || got.Status != incident.OK || !got.Connected || !slices.Contains(got.Restored, member) || !slices.Contains(got.Restored, place80) {
				t.Fatalf("got %+v, %v", got, err)
			}
			s.Wait(time.Hour)
			// A target is new to its group: it is not checked yet.
			want := before
			want.Targets = strings.NewReplacer(
				"db/2 10.2.0.5:5432 healthy\ndb/2 10.2.0.6:5432 healthy", "db/2 10.2.0.6:5432 healthy\ndb/2 10.2.0.5:5432 initial",
				":80 healthy", ":80 initial", ":8080 unhealthy", ":8080 initial").Replace(before.Targets)
			if d := cmp.Diff(want, s.Service(t)); d != "" {
				t.Errorf("(-before +after):\n%s", d)
			}
			if d := cmp.Diff(flags, s.Flags(t)); d != "" {
				t.Errorf("flags (-before +after):\n%s", d)
			}
		})
	}
}

// The network comes first: a group ends what it finds in service and cannot reach.
func TestNetworkBeforeService(t *testing.T) {
	s := preserved(t, scene.Scaled, "standby", 10*time.Minute)
	from := len(s.Calls())
	if _, err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range s.Changes(from) {
		if !strings.HasPrefix(c, "dynamodb") && (len(order) == 0 || order[len(order)-1] != c) {
			order = append(order, c)
		}
	}
	want := []string{
		"ec2:ModifyNetworkInterfaceAttribute", "ec2:ModifyInstanceAttribute", "autoscaling:ExitStandby",
		"elasticloadbalancingv2:RegisterTargets", "elasticloadbalancing:RegisterInstancesWithLoadBalancer", "ec2:ModifyInstanceAttribute",
	}
	if d := cmp.Diff(want, order); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Connections drain before an instance is in standby, and only then it can come
// back: tried again for a while, then told.
func TestStillLeaving(t *testing.T) {
	slow := strings.Replace(scene.Scaled, "{", `{"Behaviour": {"StandbySeconds": 600},`, 1)
	s := preserved(t, slow, "standby", time.Minute)
	if out, err := run(t.Context(), s); err == nil {
		t.Errorf("got %+v, want an error that is tried again", out)
	}
	if d := cmp.Diff(before, s.Groups(t)); d != "" {
		t.Errorf("the network waited for it (-before +after):\n%s", d)
	}
	s.Wait(5 * time.Minute)
	out, err := run(t.Context(), s)
	if err != nil || out.Status != incident.Partial || !out.Connected || len(out.NotBack) != 1 || !strings.Contains(out.NotBack[0], "EnteringStandby, its connections drain; release it again") {
		t.Errorf("got %+v, %v", out, err)
	}
	s.Wait(10 * time.Minute)
	if out, err := run(t.Context(), s); err != nil || out.Status != incident.OK {
		t.Errorf("released again: %+v, %v", out, err)
	}
}

// What cannot come back is told, and everything else is back.
func TestServiceNotBack(t *testing.T) {
	elsewhere := strings.Replace(scene.Scaled, `"TargetGroups"`, `"Spare": 1, "TargetGroups"`, 1)
	for _, c := range []struct {
		name      string
		account   string
		meanwhile func(*testing.T, *scene.Scene)
		notBack   string
	}{
		{
			"a full group", strings.Replace(scene.Scaled, `"MaxSize": 3, "DesiredCapacity": 2`, `"MaxSize": 1, "DesiredCapacity": 1, "Spare": 1`, 1), nil,
			member + ": AutoScalingGroup web-asg has min-size=1, max-size=1, and desired-size=1.",
		},
		{
			"another's now", elsewhere, func(t *testing.T, s *scene.Scene) {
				s.Remember(t, scene.Instance, "autoScalingGroup", `{"group":"api-asg"}`)
			},
			"service in Auto Scaling group api-asg: it is in Auto Scaling group web-asg now; left as it is",
		},
		{"a target group that is gone", elsewhere, func(t *testing.T, s *scene.Scene) {
			s.Remember(t, "arn:gone", "target i:1", `{"group":"arn:gone","id":"`+scene.Instance+`","port":1}`)
		}, scene.Instance + ":1 in target group arn:gone: the target group no longer exists"},
		{"an address that is another's", elsewhere, func(t *testing.T, s *scene.Scene) {
			s.Remember(t, scene.TargetGroup+"db/2", "target 10.2.0.9:1", `{"group":"`+scene.TargetGroup+`db/2","id":"10.2.0.9","port":1}`)
		}, "10.2.0.9:1 in target group " + scene.TargetGroup + "db/2: the address is not one of " + scene.Instance + " any more"},
		{
			"a balancer that is gone", elsewhere, func(t *testing.T, s *scene.Scene) { s.Remember(t, "gone", "classicBalancer", "true") },
			"classic load balancer gone: it no longer exists",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, c.account)
			if c.meanwhile != nil {
				c.meanwhile(t, s)
			}
			preservedIn(t, s, 10*time.Minute)
			for range 2 {
				got, err := run(t.Context(), s)
				if err != nil || got.Status != incident.Partial || !got.Connected || len(got.NotBack) != 1 || !strings.HasPrefix(got.NotBack[0], c.notBack) {
					t.Errorf("got %+v, %v, want only %q not back", got, err, c.notBack)
				}
			}
		})
	}
}

// The desired capacity is told where coming back made the group larger.
func TestDesiredCapacity(t *testing.T) {
	account := strings.Replace(scene.Scaled, `"MinSize": 1`, `"MinSize": 2`, 1) // so it cannot shrink
	s := preserved(t, account, "standby", 10*time.Minute)
	got, err := run(t.Context(), s)
	if err != nil || !slices.Contains(got.Restored, member+", whose desired capacity was 2 and is 3") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestKillInService(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
		return preserved(t, scene.Scaled, "standby", 10*time.Minute, faults...)
	}, run)
}
