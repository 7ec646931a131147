package sim_test

import (
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const (
	group       = "web-asg"
	targetGroup = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/web/1"
)

// scaled is the account around the plain event, its instance one of two in a
// group with a target group and a classic balancer.
func scaled(t *testing.T, change func(map[string]any)) []byte {
	t.Helper()
	return changed(t, func(file map[string]any) {
		file["AutoScalingGroups"] = []any{map[string]any{"AutoScalingGroupName": group, "MinSize": 1, "MaxSize": 2, "DesiredCapacity": 2,
			"HealthCheckType": "ELB", "TargetGroupARNs": []any{targetGroup}, "LoadBalancerNames": []any{"old"}}}
		file["AutoScalingInstances"] = []any{map[string]any{"InstanceId": victim, "AutoScalingGroupName": group, "LifecycleState": "InService"}}
		file["TargetHealthDescriptions"] = map[string]any{targetGroup: []any{
			map[string]any{"Target": map[string]any{"Id": victim, "Port": 80}},
			map[string]any{"Target": map[string]any{"Id": victim, "Port": 8080}},
		}}
		file["LoadBalancerDescriptions"] = []any{map[string]any{"LoadBalancerName": "old", "Instances": []any{map[string]any{"InstanceId": victim}}}}
		if change != nil {
			change(file)
		}
	})
}

func lifecycle(t *testing.T, a *sim.Account) string {
	t.Helper()
	out, err := a.AutoScaling().DescribeAutoScalingInstances(t.Context(), &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{victim, "i-in-no-group"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.AutoScalingInstances) == 0 {
		return ""
	}
	return *out.AutoScalingInstances[0].LifecycleState
}

func desired(t *testing.T, a *sim.Account) int32 {
	t.Helper()
	out, err := a.AutoScaling().DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
	if err != nil {
		t.Fatal(err)
	}
	return *out.AutoScalingGroups[0].DesiredCapacity
}

func healthOf(t *testing.T, a *sim.Account) string {
	t.Helper()
	out, err := a.ElasticLoadBalancingV2().DescribeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(targetGroup)})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, d := range out.TargetHealthDescriptions {
		all = append(all, string(d.TargetHealth.State))
	}
	return strings.Join(all, " ")
}

func standby(a *sim.Account, t *testing.T, shrink bool) error {
	_, err := a.AutoScaling().EnterStandby(t.Context(), &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String(group), InstanceIds: []string{victim}, ShouldDecrementDesiredCapacity: &shrink})
	return err
}

func back(a *sim.Account, t *testing.T) error {
	_, err := a.AutoScaling().ExitStandby(t.Context(), &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String(group), InstanceIds: []string{victim}})
	return err
}

// An instance takes a while into standby, and is out of the balancers at once.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
func TestStandby(t *testing.T) {
	a, clock := world(t, scaled(t, nil))
	wantCode(t, back(a, t), "ValidationError", "is not in Standby")
	if err := standby(a, t, true); err != nil {
		t.Fatal(err)
	}
	if got := lifecycle(t, a); got != "EnteringStandby" {
		t.Errorf("right after the call it is %s", got)
	}
	wantCode(t, standby(a, t, true), "ValidationError", "is not in InService")
	wantCode(t, back(a, t), "ValidationError", "is not in Standby")
	if got := healthOf(t, a); got != "draining draining" {
		t.Errorf("its targets are %s", got)
	}
	clock.Sleep(time.Minute)
	if got, n := lifecycle(t, a), desired(t, a); got != "Standby" || n != 1 {
		t.Errorf("after a minute: %s, desired capacity %d", got, n)
	}
	if err := back(a, t); err != nil {
		t.Fatal(err)
	}
	if got, n := lifecycle(t, a), desired(t, a); got != "Pending" || n != 2 {
		t.Errorf("right after it is back: %s, desired capacity %d", got, n)
	}
	if got := healthOf(t, a); got != "initial draining" {
		t.Errorf("a group knows one port of its target group: %s", got)
	}
	clock.Sleep(10 * time.Minute)
	if got, health := lifecycle(t, a), healthOf(t, a); got != "InService" || health != "initial" {
		t.Errorf("later: %s, targets %s", got, health)
	}
}

// A group does not shrink below its minimum, nor grow over its maximum.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_EnterStandby.html
func TestCapacityBounds(t *testing.T) {
	bounds := func(least, most int) []byte {
		return scaled(t, func(file map[string]any) {
			g := entry(file, "AutoScalingGroups", 0)
			g["MinSize"], g["MaxSize"] = least, most
		})
	}
	a, clock := world(t, bounds(2, 2))
	wantCode(t, standby(a, t, true), "ValidationError", "min-size=2")
	if err := standby(a, t, false); err != nil {
		t.Errorf("with a replacement it is refused: %v", err)
	}
	clock.Sleep(time.Minute)
	wantCode(t, back(a, t), "ValidationError", "max-size=2")
}

// What is detached is no member any more, and may be attached again.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AttachInstances.html
func TestDetachAndAttach(t *testing.T) {
	a, clock := world(t, scaled(t, nil))
	_, err := a.AutoScaling().DetachInstances(t.Context(), &autoscaling.DetachInstancesInput{AutoScalingGroupName: aws.String(group), InstanceIds: []string{victim}, ShouldDecrementDesiredCapacity: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	attach := func() error {
		_, err := a.AutoScaling().AttachInstances(t.Context(), &autoscaling.AttachInstancesInput{AutoScalingGroupName: aws.String(group), InstanceIds: []string{victim}})
		return err
	}
	wantCode(t, attach(), "ValidationError", "already part of")
	clock.Sleep(time.Minute)
	if got := lifecycle(t, a); got != "" {
		t.Errorf("detached it is %s", got)
	}
	if err := attach(); err != nil {
		t.Fatal(err)
	}
	clock.Sleep(time.Minute)
	if got, n := lifecycle(t, a), desired(t, a); got != "InService" || n != 2 {
		t.Errorf("attached it is %s, desired capacity %d", got, n)
	}
}

// A group ends what its balancer cannot reach, whatever protects the instance
// from people, but not what is in standby.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html
func TestHealthCheckEndsWhatIsIsolated(t *testing.T) {
	for _, safe := range []bool{false, true} {
		a, clock := world(t, scaled(t, func(file map[string]any) {
			for _, g := range file["SecurityGroups"].([]any) {
				g.(map[string]any)["IpPermissions"] = []any{}
			}
		}))
		if safe {
			if err := standby(a, t, true); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			clock.Sleep(time.Minute)
			instance(t, a.EC2())
		}
		if got, want := instance(t, a.EC2()).State.Name == "running", safe; got != want {
			t.Errorf("in standby: %v; running after ten minutes: %v", safe, got)
		}
	}
}

// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
func TestTargets(t *testing.T) {
	a, clock := world(t, scaled(t, nil))
	b := a.ElasticLoadBalancingV2()
	deregister := func(arn string, targets ...elbv2types.TargetDescription) error {
		_, err := b.DeregisterTargets(t.Context(), &elbv2.DeregisterTargetsInput{TargetGroupArn: &arn, Targets: targets})
		return err
	}
	if err := deregister(targetGroup, elbv2types.TargetDescription{Id: aws.String("i-never-there")}); err != nil {
		t.Errorf("a target that is not there: %v", err)
	}
	if err := deregister(targetGroup, elbv2types.TargetDescription{Id: aws.String(victim)}); err != nil {
		t.Fatal(err)
	}
	if got := healthOf(t, a); got != "draining healthy" {
		t.Errorf("without a port only that of the group is meant: %s", got)
	}
	wantCode(t, deregister(targetGroup+"x", elbv2types.TargetDescription{Id: aws.String(victim)}), "TargetGroupNotFound", "")
	clock.Sleep(delayOfTargets)
	if got := healthOf(t, a); got != "healthy" {
		t.Errorf("after the delay: %s", got)
	}
	if _, err := b.RegisterTargets(t.Context(), &elbv2.RegisterTargetsInput{TargetGroupArn: aws.String(targetGroup), Targets: []elbv2types.TargetDescription{{Id: aws.String(victim), Port: aws.Int32(80)}, {Id: aws.String(victim), Port: aws.Int32(8080)}}}); err != nil {
		t.Fatal(err)
	}
	if got := healthOf(t, a); got != "healthy initial" {
		t.Errorf("registered again, one of them for nothing: %s", got)
	}
	_, err := b.RegisterTargets(t.Context(), &elbv2.RegisterTargetsInput{TargetGroupArn: aws.String(targetGroup), Targets: []elbv2types.TargetDescription{{Id: aws.String("i-gone")}}})
	wantCode(t, err, "InvalidTarget", "i-gone")
}

const delayOfTargets = 300 * time.Second

// https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/Welcome.html
func TestClassicBalancers(t *testing.T) {
	a, _ := world(t, scaled(t, nil))
	c := a.ElasticLoadBalancing()
	instances := []elbtypes.Instance{{InstanceId: aws.String(victim)}}
	count := func() int {
		out, err := c.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.LoadBalancerDescriptions[0].Instances)
	}
	for n, want := range []int{0, 0} { // twice: the second changes nothing
		if _, err := c.DeregisterInstancesFromLoadBalancer(t.Context(), &elb.DeregisterInstancesFromLoadBalancerInput{LoadBalancerName: aws.String("old"), Instances: instances}); err != nil || count() != want {
			t.Errorf("deregistration %d: %v, %d instances left", n+1, err, count())
		}
	}
	for n, want := range []int{1, 1} {
		if _, err := c.RegisterInstancesWithLoadBalancer(t.Context(), &elb.RegisterInstancesWithLoadBalancerInput{LoadBalancerName: aws.String("old"), Instances: instances}); err != nil || count() != want {
			t.Errorf("registration %d: %v, %d instances", n+1, err, count())
		}
	}
	_, err := c.RegisterInstancesWithLoadBalancer(t.Context(), &elb.RegisterInstancesWithLoadBalancerInput{LoadBalancerName: aws.String("other"), Instances: instances})
	wantCode(t, err, "LoadBalancerNotFound", "other")
}

// Either key of the file is enough, and both must agree.
func TestScalingInTheFile(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"instances alone": func(file map[string]any) { delete(file, "AutoScalingGroups") },
		"groups alone": func(file map[string]any) {
			delete(file, "AutoScalingInstances")
			entry(file, "AutoScalingGroups", 0)["Instances"] = []any{map[string]any{"InstanceId": victim, "LifecycleState": "InService"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := world(t, scaled(t, change))
			if got := lifecycle(t, a); got != "InService" {
				t.Errorf("the instance is %q", got)
			}
			if err := standby(a, t, false); err != nil {
				t.Error(err)
			}
			b, err := a.JSON()
			if err != nil {
				t.Fatal(err)
			}
			again, _ := world(t, b)
			if got := lifecycle(t, again); got != "EnteringStandby" && got != "Standby" {
				t.Errorf("in the account that is left it is %q", got)
			}
		})
	}
	for want, change := range map[string]func(map[string]any){
		"has in other": func(file map[string]any) {
			entry(file, "AutoScalingInstances", 0)["AutoScalingGroupName"] = "other"
			entry(file, "AutoScalingGroups", 0)["Instances"] = []any{map[string]any{"InstanceId": victim}}
		},
		"has no AutoScalingGroupName": func(file map[string]any) {
			delete(entry(file, "AutoScalingInstances", 0), "AutoScalingGroupName")
		},
		"has no Target.Id": func(file map[string]any) {
			file["TargetHealthDescriptions"] = map[string]any{targetGroup: []any{map[string]any{}}}
		},
	} {
		_, err := sim.Open(sim.Settings{Clock: &wall{begun}}, scaled(t, change))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
}

// A page is followed by its marker; the last has none.
func TestTargetGroupsInPages(t *testing.T) {
	a, _ := world(t, scaled(t, func(file map[string]any) {
		file["Behaviour"] = map[string]any{"PageSize": 1}
		file["TargetGroups"] = []any{map[string]any{"TargetGroupArn": targetGroup}, map[string]any{"TargetGroupArn": targetGroup + "2"}}
	}))
	var arns []string
	pages := elbv2.NewDescribeTargetGroupsPaginator(a.ElasticLoadBalancingV2(), &elbv2.DescribeTargetGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.TargetGroups {
			arns = append(arns, *g.TargetGroupArn)
		}
	}
	if len(arns) != 2 || arns[0] == arns[1] {
		t.Errorf("found %v", arns)
	}
}
