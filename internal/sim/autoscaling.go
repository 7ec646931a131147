package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// AutoScaling is the part of EC2 Auto Scaling that the steps touch. It launches
// nothing: a replacement is only seen in the desired capacity.
type AutoScaling struct {
	a *Account
	scaling
	before *scaling             // before the newest write, for a stale read
	since  map[string]time.Time // when an instance's lifecycle last began to change
	failed map[string]time.Time // since when an instance fails its group's health check

	standbySeconds int // Behaviour StandbySeconds: how long an instance is on its way; 0 is 15
}

// scaling is what the account file tells.
type scaling struct {
	Groups    []*types.AutoScalingGroup           // without instances, which are in Instances
	Instances []*types.AutoScalingInstanceDetails // the truth of who is in which group
	Refreshes []*types.InstanceRefresh
}

func newAutoScaling(a *Account) *AutoScaling {
	return &AutoScaling{a: a, since: map[string]time.Time{}, failed: map[string]time.Time{}}
}

func (c *AutoScaling) sections() []section {
	groups := kept("AutoScalingGroups", &c.Groups)
	groups.save = func() any { c.pass(); return c.withInstances(c.Groups) }
	return []section{groups, kept("AutoScalingInstances", &c.Instances), kept("InstanceRefreshes", &c.Refreshes)}
}

func (c *AutoScaling) behaviours() []section {
	return []section{optional("StandbySeconds", &c.standbySeconds)}
}

// settle makes one truth of what both keys of the file may tell: a group that
// only its instance names has no bounds that matter.
func (c *AutoScaling) settle() error {
	if err := distinct("AutoScalingGroups:", c.Groups, "AutoScalingGroupName", func(g *types.AutoScalingGroup) *string { return g.AutoScalingGroupName }); err != nil {
		return err
	}
	if err := distinct("AutoScalingInstances:", c.Instances, "InstanceId", func(i *types.AutoScalingInstanceDetails) *string { return i.InstanceId }); err != nil {
		return err
	}
	for _, g := range c.Groups {
		for _, i := range g.Instances {
			switch known := c.instance(aws.ToString(i.InstanceId)); {
			case known == nil:
				c.Instances = append(c.Instances, &types.AutoScalingInstanceDetails{InstanceId: i.InstanceId, AutoScalingGroupName: g.AutoScalingGroupName,
					LifecycleState: aws.String(string(i.LifecycleState)), HealthStatus: i.HealthStatus, AvailabilityZone: i.AvailabilityZone,
					InstanceType: i.InstanceType, LaunchTemplate: i.LaunchTemplate, ProtectedFromScaleIn: i.ProtectedFromScaleIn})
			case aws.ToString(known.AutoScalingGroupName) != *g.AutoScalingGroupName:
				return fmt.Errorf("AutoScalingGroups: %s has instance %s, which AutoScalingInstances has in %s", *g.AutoScalingGroupName, *i.InstanceId, aws.ToString(known.AutoScalingGroupName))
			}
		}
		g.Instances = nil
	}
	for _, i := range c.Instances {
		if aws.ToString(i.AutoScalingGroupName) == "" {
			return fmt.Errorf("AutoScalingInstances: instance %s has no AutoScalingGroupName", *i.InstanceId)
		}
		if aws.ToString(i.LifecycleState) == "" {
			i.LifecycleState = aws.String(string(types.LifecycleStateInService))
		}
		i.HealthStatus = cmp.Or(i.HealthStatus, aws.String("Healthy"))
		i.ProtectedFromScaleIn = cmp.Or(i.ProtectedFromScaleIn, aws.Bool(false))
		if c.group(*i.AutoScalingGroupName) == nil {
			c.Groups = append(c.Groups, &types.AutoScalingGroup{AutoScalingGroupName: i.AutoScalingGroupName})
		}
	}
	for _, g := range c.Groups {
		in := int32(0)
		for _, i := range c.Instances {
			if *i.AutoScalingGroupName == *g.AutoScalingGroupName && types.LifecycleState(*i.LifecycleState) == types.LifecycleStateInService {
				in++
			}
		}
		g.MinSize = cmp.Or(g.MinSize, aws.Int32(0))
		g.DesiredCapacity = cmp.Or(g.DesiredCapacity, &in)
		g.MaxSize = cmp.Or(g.MaxSize, aws.Int32(max(*g.DesiredCapacity, in)+1000))
		g.HealthCheckType = cmp.Or(g.HealthCheckType, aws.String("EC2"))
	}
	return nil
}

func (s *scaling) group(name string) *types.AutoScalingGroup {
	return find(s.Groups, name, func(g *types.AutoScalingGroup) *string { return g.AutoScalingGroupName })
}

func (s *scaling) instance(id string) *types.AutoScalingInstanceDetails {
	return find(s.Instances, id, func(i *types.AutoScalingInstanceDetails) *string { return i.InstanceId })
}

// withInstances are groups as AWS tells them.
func (s *scaling) withInstances(groups []*types.AutoScalingGroup) []*types.AutoScalingGroup {
	all := clone(groups)
	for _, g := range all {
		for _, i := range s.Instances {
			if *i.AutoScalingGroupName == *g.AutoScalingGroupName {
				g.Instances = append(g.Instances, types.Instance{InstanceId: i.InstanceId, LifecycleState: types.LifecycleState(*i.LifecycleState), HealthStatus: i.HealthStatus,
					AvailabilityZone: i.AvailabilityZone, InstanceType: i.InstanceType, LaunchTemplate: i.LaunchTemplate, ProtectedFromScaleIn: i.ProtectedFromScaleIn})
			}
		}
	}
	return all
}

func invokeAutoScaling[I, O any](ctx context.Context, c *AutoScaling, op operation, in *I, effect func(*I) (*O, error)) (*O, error) {
	op.service = "autoscaling"
	return invoke(ctx, c.a, op, in, func(in *I, stale bool) (*O, error) {
		c.pass()
		if stale && c.before != nil {
			now := c.scaling
			c.scaling = *c.before
			defer func() { c.scaling = now }()
		}
		var was *scaling
		if op.mutating {
			was = new(clone(c.scaling))
		}
		out, err := effect(in)
		if err != nil {
			return nil, err
		}
		if op.mutating {
			c.before = was
		}
		return clone(out), nil
	})
}

// wrongScaling is how Auto Scaling refuses: one code for everything.
func wrongScaling(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationError", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// DescribeAutoScalingInstances ignores IDs that no group has.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html
func (c *AutoScaling) DescribeAutoScalingInstances(ctx context.Context, in *autoscaling.DescribeAutoScalingInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingInstancesOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "DescribeAutoScalingInstances", resources: in.InstanceIds, needs: []string{"InstanceIds"}}, in,
		func(in *autoscaling.DescribeAutoScalingInstancesInput) (*autoscaling.DescribeAutoScalingInstancesOutput, error) {
			out := &autoscaling.DescribeAutoScalingInstancesOutput{}
			for _, i := range c.Instances {
				if slices.Contains(in.InstanceIds, *i.InstanceId) {
					out.AutoScalingInstances = append(out.AutoScalingInstances, *i)
				}
			}
			return out, nil
		})
}

// DescribeAutoScalingGroups ignores names that no group has.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
func (c *AutoScaling) DescribeAutoScalingGroups(ctx context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "DescribeAutoScalingGroups", resources: in.AutoScalingGroupNames, needs: []string{"AutoScalingGroupNames"}}, in,
		func(in *autoscaling.DescribeAutoScalingGroupsInput) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
			out := &autoscaling.DescribeAutoScalingGroupsOutput{}
			for _, g := range c.withInstances(c.Groups) {
				if slices.Contains(in.AutoScalingGroupNames, *g.AutoScalingGroupName) {
					out.AutoScalingGroups = append(out.AutoScalingGroups, *g)
				}
			}
			return out, nil
		})
}

// DescribeInstanceRefreshes tells of the refreshes of a group, the newest first.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeInstanceRefreshes.html
func (c *AutoScaling) DescribeInstanceRefreshes(ctx context.Context, in *autoscaling.DescribeInstanceRefreshesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "DescribeInstanceRefreshes", resources: []string{aws.ToString(in.AutoScalingGroupName)}, needs: []string{"AutoScalingGroupName"}}, in,
		func(in *autoscaling.DescribeInstanceRefreshesInput) (*autoscaling.DescribeInstanceRefreshesOutput, error) {
			if _, err := c.named(in.AutoScalingGroupName); err != nil {
				return nil, err
			}
			out := &autoscaling.DescribeInstanceRefreshesOutput{}
			for _, r := range c.Refreshes {
				if aws.ToString(r.AutoScalingGroupName) == *in.AutoScalingGroupName {
					out.InstanceRefreshes = append(out.InstanceRefreshes, *r)
				}
			}
			return out, nil
		})
}

func (c *AutoScaling) named(name *string) (*types.AutoScalingGroup, error) {
	if g := c.group(aws.ToString(name)); g != nil {
		return g, nil
	}
	return nil, wrongScaling("AutoScalingGroup name not found - AutoScalingGroup %s not found", aws.ToString(name))
}

// member is an instance of the group in one of these states.
func (c *AutoScaling) member(group, id string, states ...types.LifecycleState) (*types.AutoScalingInstanceDetails, error) {
	i := c.instance(id)
	if i == nil || *i.AutoScalingGroupName != group {
		return nil, wrongScaling("The instance %s is not part of Auto Scaling group %s.", id, group)
	}
	if !slices.Contains(states, types.LifecycleState(*i.LifecycleState)) {
		var names []string
		for _, s := range states {
			names = append(names, string(s))
		}
		return nil, wrongScaling("The instance %s is not in %s.", id, strings.Join(names, " or "))
	}
	return i, nil
}

// one takes a single instance: the steps ask for no more.
func (c *AutoScaling) one(action string, ids []string) (string, error) {
	if len(ids) != 1 {
		return "", unknown("autoscaling", action, fmt.Sprintf("a call with %d instances", len(ids)))
	}
	return ids[0], nil
}

// EnterStandby takes an instance out of service and keeps it in the group,
// where no health check ends it. It leaves the group's balancers.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
func (c *AutoScaling) EnterStandby(ctx context.Context, in *autoscaling.EnterStandbyInput, _ ...func(*autoscaling.Options)) (*autoscaling.EnterStandbyOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "EnterStandby", mutating: true, resources: append([]string{aws.ToString(in.AutoScalingGroupName)}, in.InstanceIds...),
		needs: []string{"AutoScalingGroupName", "ShouldDecrementDesiredCapacity", "InstanceIds"}}, in,
		func(in *autoscaling.EnterStandbyInput) (*autoscaling.EnterStandbyOutput, error) {
			err := c.leave("EnterStandby", in.AutoScalingGroupName, in.InstanceIds, *in.ShouldDecrementDesiredCapacity, types.LifecycleStateEnteringStandby, types.LifecycleStateInService)
			return &autoscaling.EnterStandbyOutput{}, err
		})
}

// DetachInstances takes an instance out of the group for good.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html
func (c *AutoScaling) DetachInstances(ctx context.Context, in *autoscaling.DetachInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DetachInstancesOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "DetachInstances", mutating: true, resources: append([]string{aws.ToString(in.AutoScalingGroupName)}, in.InstanceIds...),
		needs: []string{"AutoScalingGroupName", "ShouldDecrementDesiredCapacity", "InstanceIds"}}, in,
		func(in *autoscaling.DetachInstancesInput) (*autoscaling.DetachInstancesOutput, error) {
			err := c.leave("DetachInstances", in.AutoScalingGroupName, in.InstanceIds, *in.ShouldDecrementDesiredCapacity, types.LifecycleStateDetaching, types.LifecycleStateInService, types.LifecycleStateStandby)
			return &autoscaling.DetachInstancesOutput{}, err
		})
}

func (c *AutoScaling) leave(action string, name *string, ids []string, shrink bool, to types.LifecycleState, from ...types.LifecycleState) error {
	g, err := c.named(name)
	if err != nil {
		return err
	}
	id, err := c.one(action, ids)
	if err != nil {
		return err
	}
	i, err := c.member(*name, id, from...)
	if err != nil {
		return err
	}
	inService := types.LifecycleState(*i.LifecycleState) == types.LifecycleStateInService
	if shrink && inService {
		if *g.DesiredCapacity <= *g.MinSize {
			return wrongScaling("AutoScalingGroup %s has min-size=%d, max-size=%d, and desired-size=%d. To place into standby 1 instance, please update the AutoScalingGroup sizes appropriately.",
				*name, *g.MinSize, *g.MaxSize, *g.DesiredCapacity)
		}
		g.DesiredCapacity = aws.Int32(*g.DesiredCapacity - 1)
	}
	i.LifecycleState = aws.String(string(to))
	c.since[id] = c.a.now()
	for _, arn := range g.TargetGroupARNs {
		c.a.balancers.drain(arn, id)
	}
	for _, b := range g.LoadBalancerNames {
		c.a.classics.remove(b, id)
	}
	return nil
}

// ExitStandby puts an instance back into service, which raises the desired
// capacity, and into the group's balancers.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_ExitStandby.html
func (c *AutoScaling) ExitStandby(ctx context.Context, in *autoscaling.ExitStandbyInput, _ ...func(*autoscaling.Options)) (*autoscaling.ExitStandbyOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "ExitStandby", mutating: true, resources: append([]string{aws.ToString(in.AutoScalingGroupName)}, in.InstanceIds...),
		needs: []string{"AutoScalingGroupName", "InstanceIds"}}, in,
		func(in *autoscaling.ExitStandbyInput) (*autoscaling.ExitStandbyOutput, error) {
			g, err := c.named(in.AutoScalingGroupName)
			if err != nil {
				return nil, err
			}
			id, err := c.one("ExitStandby", in.InstanceIds)
			if err != nil {
				return nil, err
			}
			i, err := c.member(*g.AutoScalingGroupName, id, types.LifecycleStateStandby)
			if err != nil {
				return nil, err
			}
			if err := c.join(g, i); err != nil {
				return nil, err
			}
			return &autoscaling.ExitStandbyOutput{}, nil
		})
}

// AttachInstances puts a running instance that is in no group into one.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AttachInstances.html
func (c *AutoScaling) AttachInstances(ctx context.Context, in *autoscaling.AttachInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.AttachInstancesOutput, error) {
	return invokeAutoScaling(ctx, c, operation{action: "AttachInstances", mutating: true, resources: append([]string{aws.ToString(in.AutoScalingGroupName)}, in.InstanceIds...),
		needs: []string{"AutoScalingGroupName", "InstanceIds"}}, in,
		func(in *autoscaling.AttachInstancesInput) (*autoscaling.AttachInstancesOutput, error) {
			g, err := c.named(in.AutoScalingGroupName)
			if err != nil {
				return nil, err
			}
			id, err := c.one("AttachInstances", in.InstanceIds)
			if err != nil {
				return nil, err
			}
			e := c.a.ec2.instance(id)
			switch {
			case e == nil:
				return nil, wrongScaling("Invalid Instance ID(s): [%s] specified", id)
			case e.State.Name != ec2types.InstanceStateNameRunning:
				return nil, wrongScaling("The instance %s is not in the running state.", id)
			case c.instance(id) != nil:
				return nil, wrongScaling("The instance %s is already part of AutoScalingGroup:%s", id, *c.instance(id).AutoScalingGroupName)
			}
			i := &types.AutoScalingInstanceDetails{InstanceId: &id, AutoScalingGroupName: g.AutoScalingGroupName, HealthStatus: aws.String("Healthy"), ProtectedFromScaleIn: aws.Bool(false)}
			if p := e.Placement; p != nil {
				i.AvailabilityZone = p.AvailabilityZone
			}
			if err := c.join(g, i); err != nil {
				return nil, err
			}
			c.Instances = append(c.Instances, i)
			return &autoscaling.AttachInstancesOutput{}, nil
		})
}

func (c *AutoScaling) join(g *types.AutoScalingGroup, i *types.AutoScalingInstanceDetails) error {
	if *g.DesiredCapacity >= *g.MaxSize {
		return wrongScaling("AutoScalingGroup %s has min-size=%d, max-size=%d, and desired-size=%d. To attach 1 instance, please update the AutoScalingGroup sizes appropriately.",
			*g.AutoScalingGroupName, *g.MinSize, *g.MaxSize, *g.DesiredCapacity)
	}
	g.DesiredCapacity = aws.Int32(*g.DesiredCapacity + 1)
	i.LifecycleState = aws.String(string(types.LifecycleStatePending))
	c.since[*i.InstanceId] = c.a.now()
	for _, arn := range g.TargetGroupARNs {
		c.a.balancers.add(arn, *i.InstanceId, nil)
	}
	for _, b := range g.LoadBalancerNames {
		c.a.classics.add(b, *i.InstanceId)
	}
	return nil
}

// impatience is how long an instance may fail a health check of its balancer
// before its group ends it.
const impatience = 90 * time.Second

// pass lets time do what it does: lifecycles go on, instances that are gone
// leave, and a group ends the instance in service that its balancer cannot reach.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html
func (c *AutoScaling) pass() {
	now, takes := c.a.now(), time.Duration(cmp.Or(c.standbySeconds, 15))*time.Second
	for _, i := range c.Instances {
		if now.Before(c.since[*i.InstanceId].Add(takes)) {
			continue
		}
		switch types.LifecycleState(*i.LifecycleState) {
		case types.LifecycleStateEnteringStandby:
			i.LifecycleState = aws.String(string(types.LifecycleStateStandby))
		case types.LifecycleStatePending:
			i.LifecycleState = aws.String(string(types.LifecycleStateInService))
		case types.LifecycleStateDetaching:
			i.LifecycleState = aws.String(string(types.LifecycleStateDetached))
		}
	}
	c.Instances = slices.DeleteFunc(c.Instances, func(i *types.AutoScalingInstanceDetails) bool {
		e := c.a.ec2.instance(*i.InstanceId)
		gone := e != nil && e.State.Name == ec2types.InstanceStateNameTerminated
		return gone || types.LifecycleState(*i.LifecycleState) == types.LifecycleStateDetached
	})
	for _, i := range c.Instances {
		id, g := *i.InstanceId, c.group(*i.AutoScalingGroupName)
		if types.LifecycleState(*i.LifecycleState) != types.LifecycleStateInService || !strings.Contains(*g.HealthCheckType, "ELB") ||
			len(g.TargetGroupARNs)+len(g.LoadBalancerNames) == 0 || c.a.ec2.reachable(id) {
			delete(c.failed, id)
			continue
		}
		if _, ok := c.failed[id]; !ok {
			c.failed[id] = now
		}
		if e := c.a.ec2.instance(id); e != nil && !now.Before(c.failed[id].Add(impatience)) {
			i.HealthStatus, i.LifecycleState = aws.String("Unhealthy"), aws.String(string(types.LifecycleStateTerminating))
			e.State = state(ec2types.InstanceStateNameShuttingDown)
			e.StateTransitionReason = aws.String("User initiated (" + now.Add(softStop).UTC().Format(transition) + " GMT)")
		}
	}
}

// reachable tells whether anything may come in to an instance at all.
func (c *EC2) reachable(id string) bool {
	return slices.ContainsFunc(c.attached(id), func(e *ec2types.NetworkInterface) bool {
		return slices.ContainsFunc(e.Groups, func(g ec2types.GroupIdentifier) bool {
			return slices.ContainsFunc(c.Rules, func(r *ec2types.SecurityGroupRule) bool {
				return aws.ToString(r.GroupId) == aws.ToString(g.GroupId) && !aws.ToBool(r.IsEgress)
			})
		})
	})
}
