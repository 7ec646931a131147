package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
)

// service is who sends work to the instance now, as far as it was recorded.
type service struct {
	group     string // Auto Scaling group that has it; empty if none
	lifecycle scalingtypes.LifecycleState
	desired   *int32                       // capacity of the recorded group
	targets   map[string][]incident.Target // by target group, those that drain left out
	gone      map[string]bool              // target groups and classic balancers that are no more
	classics  map[string]bool              // classic balancers that have it
}

// lookAtService asks about what was recorded, and about nothing else.
func (s *Step) lookAtService(ctx context.Context, w *world) error {
	w.service = service{targets: map[string][]incident.Target{}, gone: map[string]bool{}, classics: map[string]bool{}}
	var arns []string
	for _, t := range w.was.targets {
		if !slices.Contains(arns, t.Group) {
			arns = append(arns, t.Group)
		}
	}
	healths := make([]*elbv2.DescribeTargetHealthOutput, len(arns))
	balancers := make([]*elb.DescribeLoadBalancersOutput, len(w.was.classics))
	errs := make([]error, 1+len(arns)+len(balancers))
	s.host.Each(len(errs), func(n int) {
		switch {
		case n == 0:
			errs[n] = s.lookAtMembership(ctx, w)
		case n <= len(arns):
			healths[n-1], errs[n] = s.balancers.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &arns[n-1]})
		default:
			name := w.was.classics[n-1-len(arns)]
			balancers[n-1-len(arns)], errs[n] = s.classics.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{LoadBalancerNames: []string{name}})
		}
	})
	for n, name := range slices.Concat([]string{""}, arns, w.was.classics) {
		var answer smithy.APIError
		if errors.As(errs[n], &answer) && slices.Contains([]string{"TargetGroupNotFound", "LoadBalancerNotFound"}, answer.ErrorCode()) {
			w.service.gone[name], errs[n] = true, nil
		}
		if errs[n] != nil && name != "" {
			errs[n] = fmt.Errorf("look at %s: %w", name, errs[n])
		}
	}
	for n, h := range healths {
		if h == nil {
			continue
		}
		for _, d := range h.TargetHealthDescriptions {
			if d.Target != nil && (d.TargetHealth == nil || d.TargetHealth.State != elbv2types.TargetHealthStateEnumDraining) {
				w.service.targets[arns[n]] = append(w.service.targets[arns[n]], incident.Target{Group: arns[n], ID: aws.ToString(d.Target.Id), Port: aws.ToInt32(d.Target.Port)})
			}
		}
	}
	for n, b := range balancers {
		if b == nil {
			continue
		}
		for _, d := range b.LoadBalancerDescriptions {
			w.service.classics[w.was.classics[n]] = slices.ContainsFunc(d.Instances, func(i elbtypes.Instance) bool { return aws.ToString(i.InstanceId) == w.id })
		}
	}
	return errors.Join(errs...)
}

func (s *Step) lookAtMembership(ctx context.Context, w *world) error {
	m := w.was.member
	if m == nil {
		return nil
	}
	out, err := s.scaling.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{w.id}})
	if err != nil {
		return fmt.Errorf("look for the Auto Scaling group of %s: %w", w.id, err)
	}
	for _, i := range out.AutoScalingInstances {
		w.service.group, w.service.lifecycle = aws.ToString(i.AutoScalingGroupName), scalingtypes.LifecycleState(aws.ToString(i.LifecycleState))
	}
	groups, err := s.scaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{m.Group}})
	if err != nil {
		return fmt.Errorf("describe Auto Scaling group %s: %w", m.Group, err)
	}
	for _, g := range groups.AutoScalingGroups {
		w.service.desired = g.DesiredCapacity
	}
	return nil
}

// patience is how long an instance may be on its way out of its group before
// people are told, instead of asking again: connections drain first.
const patience = 3 * time.Minute

// membership is the instance's place in its Auto Scaling group.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
func (w world) membership() []thing {
	m := w.was.member
	if m == nil {
		return nil
	}
	t := thing{name: "service in Auto Scaling group " + m.Group}
	there, state := w.service.group == m.Group, w.service.lifecycle
	switch {
	case w.service.group != "" && !there:
		t.never = "it is in Auto Scaling group " + w.service.group + " now; left as it is"
	case there && slices.Contains([]scalingtypes.LifecycleState{scalingtypes.LifecycleStateInService, scalingtypes.LifecycleStatePending,
		scalingtypes.LifecycleStatePendingWait, scalingtypes.LifecycleStatePendingProceed}, state):
		// Coming back always raises the capacity, whether leaving lowered it or not.
		t.back = true
		if was, is := m.Desired, w.service.desired; was != nil && is != nil && *was != *is {
			t.name += fmt.Sprintf(", whose desired capacity was %d and is %d", *was, *is)
		}
	case there && (state == scalingtypes.LifecycleStateEnteringStandby || state == scalingtypes.LifecycleStateDetaching):
		if w.now.Sub(w.was.left) > patience {
			t.never = fmt.Sprintf("it is still %s, its connections drain; release it again", state)
		}
	case there && state == scalingtypes.LifecycleStateStandby && !m.Detached:
		t.put = func(ctx context.Context) error {
			_, err := w.step.scaling.ExitStandby(ctx, &autoscaling.ExitStandbyInput{AutoScalingGroupName: &m.Group, InstanceIds: []string{w.id}})
			return err
		}
	case !there && m.Detached:
		t.put = func(ctx context.Context) error {
			_, err := w.step.scaling.AttachInstances(ctx, &autoscaling.AttachInstancesInput{AutoScalingGroupName: &m.Group, InstanceIds: []string{w.id}})
			return err
		}
	case !there:
		t.never = "somebody has taken it out of the group since; left as it is"
	default:
		t.never = fmt.Sprintf("it is %s there; left as it is", state)
	}
	return []thing{t}
}

// places are those behind balancers.
func (w world) places() []thing {
	var all []thing
	for _, target := range w.was.targets {
		t := thing{name: fmt.Sprintf("%s:%d in target group %s", target.ID, target.Port, target.Group)}
		switch {
		case w.service.gone[target.Group]:
			t.never = "the target group no longer exists"
		case slices.Contains(w.service.targets[target.Group], target):
			t.back = true
		case target.ID != w.id && !w.hasAddress(target.ID):
			t.never = "the address is not one of " + w.id + " any more"
		default:
			t.put = func(ctx context.Context) error {
				_, err := w.step.balancers.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &target.Group, Targets: []elbv2types.TargetDescription{{Id: &target.ID, Port: &target.Port}}})
				return err
			}
		}
		all = append(all, t)
	}
	for _, name := range w.was.classics {
		t := thing{name: "classic load balancer " + name, back: w.service.classics[name]}
		if w.service.gone[name] {
			t.never = "it no longer exists"
		}
		t.put = func(ctx context.Context) error {
			_, err := w.step.classics.RegisterInstancesWithLoadBalancer(ctx, &elb.RegisterInstancesWithLoadBalancerInput{LoadBalancerName: &name, Instances: []elbtypes.Instance{{InstanceId: &w.id}}})
			return err
		}
		all = append(all, t)
	}
	return all
}

// hasAddress tells whether an address is still one of the instance's.
func (w world) hasAddress(address string) bool {
	for _, i := range w.attached {
		if aws.ToString(i.PrivateIpAddress) == address {
			return true
		}
		for _, a := range i.PrivateIpAddresses {
			if aws.ToString(a.PrivateIpAddress) == address {
				return true
			}
		}
		for _, a := range i.Ipv6Addresses {
			if aws.ToString(a.Ipv6Address) == address {
				return true
			}
		}
	}
	return false
}
