package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// ElasticLoadBalancingV2 is the target groups of application and network load balancers.
type ElasticLoadBalancingV2 struct {
	a        *Account
	Groups   []*types.TargetGroup
	Targets  map[string][]*types.TargetHealthDescription // by ARN of the group
	draining map[*types.TargetHealthDescription]time.Time
}

func newBalancers(a *Account) *ElasticLoadBalancingV2 {
	return &ElasticLoadBalancingV2{a: a, Targets: map[string][]*types.TargetHealthDescription{}, draining: map[*types.TargetHealthDescription]time.Time{}}
}

func (b *ElasticLoadBalancingV2) sections() []section {
	targets := kept("TargetHealthDescriptions", &b.Targets)
	targets.save = func() any { b.pass(); return b.Targets }
	return []section{kept("TargetGroups", &b.Groups), targets}
}

// settle makes the groups that only their targets tell of.
func (b *ElasticLoadBalancingV2) settle() error {
	if b.Targets == nil {
		b.Targets = map[string][]*types.TargetHealthDescription{}
	}
	if err := distinct("TargetGroups:", b.Groups, "TargetGroupArn", func(g *types.TargetGroup) *string { return g.TargetGroupArn }); err != nil {
		return err
	}
	for _, arn := range sortedKeys(b.Targets) {
		g := b.group(arn)
		if g == nil {
			g = &types.TargetGroup{TargetGroupArn: &arn}
			b.Groups = append(b.Groups, g)
		}
		for n, t := range b.Targets[arn] {
			if t == nil || t.Target == nil || aws.ToString(t.Target.Id) == "" {
				return fmt.Errorf("TargetHealthDescriptions: %s: entry %d has no Target.Id", arn, n+1)
			}
			if g.TargetType == "" && !strings.HasPrefix(*t.Target.Id, "i-") {
				g.TargetType = types.TargetTypeEnumIp
			}
			if t.TargetHealth == nil {
				t.TargetHealth = &types.TargetHealth{State: types.TargetHealthStateEnumHealthy}
			}
			if t.TargetHealth.State == types.TargetHealthStateEnumDraining {
				b.draining[t] = b.a.now()
			}
		}
	}
	for _, g := range b.Groups {
		g.TargetType = cmp.Or(g.TargetType, types.TargetTypeEnumInstance)
		g.TargetGroupName = cmp.Or(g.TargetGroupName, aws.String(nameIn(*g.TargetGroupArn)))
		if g.VpcId == nil {
			g.VpcId = b.vpcOf(*g.TargetGroupArn)
		}
		for _, t := range b.Targets[*g.TargetGroupArn] {
			t.Target.Port = cmp.Or(t.Target.Port, g.Port, aws.Int32(80))
		}
		g.Port = cmp.Or(g.Port, aws.Int32(80))
	}
	return nil
}

// nameIn is the name in arn:…:targetgroup/NAME/ID.
func nameIn(arn string) string {
	if parts := strings.Split(arn, "/"); len(parts) > 1 {
		return parts[1]
	}
	return arn
}

// vpcOf is where the targets of a group are, as far as the account knows them.
func (b *ElasticLoadBalancingV2) vpcOf(arn string) *string {
	for _, t := range b.Targets[arn] {
		for _, e := range b.a.ec2.NetworkInterfaces {
			if e.Attachment != nil && aws.ToString(e.Attachment.InstanceId) == *t.Target.Id || slices.Contains(addresses(e), *t.Target.Id) {
				return e.VpcId
			}
		}
	}
	return nil
}

func addresses(e *ec2types.NetworkInterface) []string {
	all := []string{aws.ToString(e.PrivateIpAddress)}
	for _, a := range e.PrivateIpAddresses {
		all = append(all, aws.ToString(a.PrivateIpAddress))
	}
	for _, a := range e.Ipv6Addresses {
		all = append(all, aws.ToString(a.Ipv6Address))
	}
	return all
}

func (b *ElasticLoadBalancingV2) group(arn string) *types.TargetGroup {
	return find(b.Groups, arn, func(g *types.TargetGroup) *string { return g.TargetGroupArn })
}

// targets are the places in a group that a target and, where given, a port name.
func (b *ElasticLoadBalancingV2) targets(arn, id string, port *int32) []*types.TargetHealthDescription {
	var all []*types.TargetHealthDescription
	for _, t := range b.Targets[arn] {
		if *t.Target.Id == id && (port == nil || aws.ToInt32(t.Target.Port) == *port) {
			all = append(all, t)
		}
	}
	return all
}

func (b *ElasticLoadBalancingV2) add(arn, id string, port *int32) {
	g := b.group(arn)
	if g == nil {
		return
	}
	port = cmp.Or(port, g.Port)
	initial := &types.TargetHealth{State: types.TargetHealthStateEnumInitial, Reason: types.TargetHealthReasonEnumRegistrationInProgress}
	for _, t := range b.targets(arn, id, port) {
		if _, ok := b.draining[t]; ok {
			t.TargetHealth = initial
			delete(b.draining, t)
		}
		return // registered already
	}
	b.Targets[arn] = append(b.Targets[arn], &types.TargetHealthDescription{Target: &types.TargetDescription{Id: &id, Port: port}, TargetHealth: initial})
}

// drain deregisters every port of a target.
func (b *ElasticLoadBalancingV2) drain(arn, id string) { b.remove(b.targets(arn, id, nil)) }

func (b *ElasticLoadBalancingV2) remove(all []*types.TargetHealthDescription) {
	for _, t := range all {
		if _, ok := b.draining[t]; !ok {
			b.draining[t] = b.a.now()
			t.TargetHealth = &types.TargetHealth{State: types.TargetHealthStateEnumDraining, Reason: types.TargetHealthReasonEnumDeregistrationInProgress}
		}
	}
}

// delay is the default of deregistration_delay.timeout_seconds.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
const delay = 300 * time.Second

// pass forgets what has drained, and finds healthy what was registered.
func (b *ElasticLoadBalancingV2) pass() {
	now := b.a.now()
	for _, arn := range sortedKeys(b.Targets) {
		b.Targets[arn] = slices.DeleteFunc(b.Targets[arn], func(t *types.TargetHealthDescription) bool {
			since, ok := b.draining[t]
			if ok && !now.Before(since.Add(delay)) {
				delete(b.draining, t)
				return true
			}
			return false
		})
	}
}

// noTargetGroup is the answer about a target group that does not exist.
func noTargetGroup() error {
	return &types.TargetGroupNotFoundException{Message: aws.String("One or more target groups not found")}
}

func invokeBalancers[I, O any](ctx context.Context, b *ElasticLoadBalancingV2, op operation, in *I, effect func(*I) (*O, error)) (*O, error) {
	op.service = "elasticloadbalancingv2"
	return invoke(ctx, b.a, op, in, func(in *I, _ bool) (*O, error) {
		b.pass()
		out, err := effect(in)
		if err != nil {
			return nil, err
		}
		return clone(out), nil
	})
}

// DescribeTargetGroups tells of all target groups, a page at a time.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html
func (b *ElasticLoadBalancingV2) DescribeTargetGroups(ctx context.Context, in *elbv2.DescribeTargetGroupsInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeTargetGroupsOutput, error) {
	return invokeBalancers(ctx, b, operation{action: "DescribeTargetGroups", takes: []string{"Marker", "PageSize"}}, in,
		func(in *elbv2.DescribeTargetGroupsInput) (*elbv2.DescribeTargetGroupsOutput, error) {
			page, next := marked(b.Groups, in.Marker, b.a.ec2.quirks.pageSize, func(g *types.TargetGroup) string { return *g.TargetGroupArn })
			return &elbv2.DescribeTargetGroupsOutput{TargetGroups: page, NextMarker: next}, nil
		})
}

// marked is a page of a list whose token names the first of the next page.
func marked[T any](all []*T, marker *string, size int, id func(*T) string) ([]T, *string) {
	from := 0
	if marker != nil {
		from = max(0, slices.IndexFunc(all, func(v *T) bool { return id(v) == *marker }))
	}
	var page []T
	for _, v := range all[from:] {
		if len(page) == cmp.Or(size, 400) {
			return page, new(id(v))
		}
		page = append(page, *v)
	}
	return page, nil
}

// DescribeTargetHealth tells of all targets of one group, those draining too.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
func (b *ElasticLoadBalancingV2) DescribeTargetHealth(ctx context.Context, in *elbv2.DescribeTargetHealthInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeTargetHealthOutput, error) {
	return invokeBalancers(ctx, b, operation{action: "DescribeTargetHealth", resources: []string{aws.ToString(in.TargetGroupArn)}, needs: []string{"TargetGroupArn"}}, in,
		func(in *elbv2.DescribeTargetHealthInput) (*elbv2.DescribeTargetHealthOutput, error) {
			if b.group(*in.TargetGroupArn) == nil {
				return nil, noTargetGroup()
			}
			out := &elbv2.DescribeTargetHealthOutput{}
			for _, t := range b.Targets[*in.TargetGroupArn] {
				out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, *t)
			}
			return out, nil
		})
}

// DeregisterTargets succeeds for targets that are not there. Without a port it
// means the port of the group.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
func (b *ElasticLoadBalancingV2) DeregisterTargets(ctx context.Context, in *elbv2.DeregisterTargetsInput, _ ...func(*elbv2.Options)) (*elbv2.DeregisterTargetsOutput, error) {
	return invokeBalancers(ctx, b, operation{action: "DeregisterTargets", mutating: true, resources: concernedTargets(in.TargetGroupArn, in.Targets),
		needs: []string{"TargetGroupArn", "Targets"}}, in,
		func(in *elbv2.DeregisterTargetsInput) (*elbv2.DeregisterTargetsOutput, error) {
			g := b.group(*in.TargetGroupArn)
			if g == nil {
				return nil, noTargetGroup()
			}
			for _, t := range in.Targets {
				b.remove(b.targets(*in.TargetGroupArn, aws.ToString(t.Id), cmp.Or(t.Port, g.Port)))
			}
			return &elbv2.DeregisterTargetsOutput{}, nil
		})
}

// RegisterTargets leaves what is registered as it is.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
func (b *ElasticLoadBalancingV2) RegisterTargets(ctx context.Context, in *elbv2.RegisterTargetsInput, _ ...func(*elbv2.Options)) (*elbv2.RegisterTargetsOutput, error) {
	return invokeBalancers(ctx, b, operation{action: "RegisterTargets", mutating: true, resources: concernedTargets(in.TargetGroupArn, in.Targets),
		needs: []string{"TargetGroupArn", "Targets"}}, in,
		func(in *elbv2.RegisterTargetsInput) (*elbv2.RegisterTargetsOutput, error) {
			g := b.group(*in.TargetGroupArn)
			if g == nil {
				return nil, noTargetGroup()
			}
			for _, t := range in.Targets {
				if g.TargetType == types.TargetTypeEnumInstance && (t.AvailabilityZone != nil || b.a.ec2.instance(aws.ToString(t.Id)) == nil) {
					return nil, &types.InvalidTargetException{Message: aws.String(fmt.Sprintf("The following targets are not in a running state or are not valid: '%s'", aws.ToString(t.Id)))}
				}
			}
			for _, t := range in.Targets {
				b.add(*in.TargetGroupArn, aws.ToString(t.Id), t.Port)
			}
			return &elbv2.RegisterTargetsOutput{}, nil
		})
}

func concernedTargets(arn *string, targets []types.TargetDescription) []string {
	all := []string{aws.ToString(arn)}
	for _, t := range targets {
		all = append(all, aws.ToString(t.Id))
	}
	return all
}

// ElasticLoadBalancing is the classic load balancers, the first generation.
type ElasticLoadBalancing struct {
	a   *Account
	All []*elbtypes.LoadBalancerDescription
}

func newClassics(a *Account) *ElasticLoadBalancing { return &ElasticLoadBalancing{a: a} }

func (c *ElasticLoadBalancing) sections() []section {
	return []section{kept("LoadBalancerDescriptions", &c.All)}
}

func (c *ElasticLoadBalancing) settle() error {
	return distinct("LoadBalancerDescriptions:", c.All, "LoadBalancerName", func(b *elbtypes.LoadBalancerDescription) *string { return b.LoadBalancerName })
}

func (c *ElasticLoadBalancing) named(name string) *elbtypes.LoadBalancerDescription {
	return find(c.All, name, func(b *elbtypes.LoadBalancerDescription) *string { return b.LoadBalancerName })
}

func is(id string) func(elbtypes.Instance) bool {
	return func(i elbtypes.Instance) bool { return aws.ToString(i.InstanceId) == id }
}

func (c *ElasticLoadBalancing) add(name, id string) {
	if b := c.named(name); b != nil && !slices.ContainsFunc(b.Instances, is(id)) {
		b.Instances = append(b.Instances, elbtypes.Instance{InstanceId: &id})
	}
}

func (c *ElasticLoadBalancing) remove(name, id string) {
	if b := c.named(name); b != nil {
		b.Instances = slices.DeleteFunc(b.Instances, is(id))
	}
}

func invokeClassics[I, O any](ctx context.Context, c *ElasticLoadBalancing, op operation, in *I, effect func(*I) (*O, error)) (*O, error) {
	op.service = "elasticloadbalancing"
	return invoke(ctx, c.a, op, in, func(in *I, _ bool) (*O, error) {
		out, err := effect(in)
		if err != nil {
			return nil, err
		}
		return clone(out), nil
	})
}

func (c *ElasticLoadBalancing) all(name *string, instances []elbtypes.Instance) ([]string, error) {
	if c.named(aws.ToString(name)) == nil {
		return nil, &elbtypes.AccessPointNotFoundException{Message: aws.String("There is no ACTIVE Load Balancer named '" + aws.ToString(name) + "'")}
	}
	return concernedInstances(nil, instances), nil
}

func concernedInstances(name *string, instances []elbtypes.Instance) []string {
	var all []string
	if name != nil {
		all = append(all, *name)
	}
	for _, i := range instances {
		all = append(all, aws.ToString(i.InstanceId))
	}
	return all
}

// DescribeLoadBalancers tells of all classic load balancers, a page at a time.
// https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeLoadBalancers.html
func (c *ElasticLoadBalancing) DescribeLoadBalancers(ctx context.Context, in *elb.DescribeLoadBalancersInput, _ ...func(*elb.Options)) (*elb.DescribeLoadBalancersOutput, error) {
	return invokeClassics(ctx, c, operation{action: "DescribeLoadBalancers", resources: in.LoadBalancerNames, takes: []string{"LoadBalancerNames", "Marker", "PageSize"}}, in,
		func(in *elb.DescribeLoadBalancersInput) (*elb.DescribeLoadBalancersOutput, error) {
			all := c.All
			if len(in.LoadBalancerNames) > 0 {
				all = nil
			}
			for _, name := range in.LoadBalancerNames {
				if _, err := c.all(&name, nil); err != nil {
					return nil, err
				}
				all = append(all, c.named(name))
			}
			page, next := marked(all, in.Marker, c.a.ec2.quirks.pageSize, func(b *elbtypes.LoadBalancerDescription) string { return *b.LoadBalancerName })
			return &elb.DescribeLoadBalancersOutput{LoadBalancerDescriptions: page, NextMarker: next}, nil
		})
}

// DeregisterInstancesFromLoadBalancer answers the instances that are left.
// https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DeregisterInstancesFromLoadBalancer.html
func (c *ElasticLoadBalancing) DeregisterInstancesFromLoadBalancer(ctx context.Context, in *elb.DeregisterInstancesFromLoadBalancerInput, _ ...func(*elb.Options)) (*elb.DeregisterInstancesFromLoadBalancerOutput, error) {
	return invokeClassics(ctx, c, operation{action: "DeregisterInstancesFromLoadBalancer", mutating: true, resources: concernedInstances(in.LoadBalancerName, in.Instances),
		needs: []string{"LoadBalancerName", "Instances"}}, in,
		func(in *elb.DeregisterInstancesFromLoadBalancerInput) (*elb.DeregisterInstancesFromLoadBalancerOutput, error) {
			ids, err := c.all(in.LoadBalancerName, in.Instances)
			for _, id := range ids {
				c.remove(*in.LoadBalancerName, id)
			}
			return &elb.DeregisterInstancesFromLoadBalancerOutput{}, err
		})
}

// RegisterInstancesWithLoadBalancer leaves what is registered as it is.
// https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_RegisterInstancesWithLoadBalancer.html
func (c *ElasticLoadBalancing) RegisterInstancesWithLoadBalancer(ctx context.Context, in *elb.RegisterInstancesWithLoadBalancerInput, _ ...func(*elb.Options)) (*elb.RegisterInstancesWithLoadBalancerOutput, error) {
	return invokeClassics(ctx, c, operation{action: "RegisterInstancesWithLoadBalancer", mutating: true, resources: concernedInstances(in.LoadBalancerName, in.Instances),
		needs: []string{"LoadBalancerName", "Instances"}}, in,
		func(in *elb.RegisterInstancesWithLoadBalancerInput) (*elb.RegisterInstancesWithLoadBalancerOutput, error) {
			ids, err := c.all(in.LoadBalancerName, in.Instances)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				if c.a.ec2.instance(id) == nil {
					return nil, &elbtypes.InvalidEndPointException{Message: aws.String("Could not find EC2 instance " + id + ".")}
				}
			}
			for _, id := range ids {
				c.add(*in.LoadBalancerName, id)
			}
			return &elb.RegisterInstancesWithLoadBalancerOutput{}, nil
		})
}
