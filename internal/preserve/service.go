package preserve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
)

// AutoScaling is the part of the EC2 Auto Scaling API this step calls.
type AutoScaling interface {
	autoscaling.DescribeAutoScalingGroupsAPIClient
	autoscaling.DescribeAutoScalingInstancesAPIClient
	autoscaling.DescribeInstanceRefreshesAPIClient
	DetachInstances(context.Context, *autoscaling.DetachInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.DetachInstancesOutput, error)
	EnterStandby(context.Context, *autoscaling.EnterStandbyInput, ...func(*autoscaling.Options)) (*autoscaling.EnterStandbyOutput, error)
}

// ElasticLoadBalancingV2 is the part of the Elastic Load Balancing API, version 2, this step calls.
type ElasticLoadBalancingV2 interface {
	elbv2.DescribeTargetGroupsAPIClient
	elbv2.DescribeTargetHealthAPIClient
	DeregisterTargets(context.Context, *elbv2.DeregisterTargetsInput, ...func(*elbv2.Options)) (*elbv2.DeregisterTargetsOutput, error)
}

// ElasticLoadBalancing is the part of the API of classic load balancers this step calls.
type ElasticLoadBalancing interface {
	elb.DescribeLoadBalancersAPIClient
	DeregisterInstancesFromLoadBalancer(context.Context, *elb.DeregisterInstancesFromLoadBalancerInput, ...func(*elb.Options)) (*elb.DeregisterInstancesFromLoadBalancerOutput, error)
}

// earlier is what was recorded before: by a run whose answer was lost, or by the
// incident that this one inherits from. What a release puts back is told again.
type earlier struct {
	membership *incident.Membership
	targets    []incident.Target
	classics   []string
}

func (s *Step) earlier(ctx context.Context, inc incident.Incident) (earlier, error) {
	var done earlier
	for _, id := range []string{inc.Inherits, inc.ID} {
		if id == "" {
			continue
		}
		all, err := record.Priors(ctx, s.incidents, s.table, id)
		if err != nil {
			return earlier{}, err
		}
		for _, p := range all {
			if err := done.add(p); err != nil {
				return earlier{}, fmt.Errorf("prior %s of %s in incident %s: %w", p.Attribute, p.Resource, id, err)
			}
		}
	}
	return done, nil
}

func (done *earlier) add(p record.Prior) error {
	switch kind, _, _ := strings.Cut(p.Attribute, " "); kind {
	case incident.PriorMembership:
		done.membership = &incident.Membership{}
		return json.Unmarshal(p.Value, done.membership)
	case incident.PriorTarget:
		var t incident.Target
		err := json.Unmarshal(p.Value, &t)
		if !slices.Contains(done.targets, t) {
			done.targets = append(done.targets, t)
		}
		return err
	case incident.PriorClassic:
		if !slices.Contains(done.classics, p.Resource) {
			done.classics = append(done.classics, p.Resource)
		}
	}
	return nil
}

// results are what earlier runs did.
func (done earlier) results() []result {
	var all []result
	for _, t := range done.targets {
		all = append(all, result{name: targetName(t)})
	}
	for _, name := range done.classics {
		all = append(all, result{name: classicName(name)})
	}
	return all
}

// once is every thing once, by name: what went wrong wins.
func once(lists ...[]result) []result {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b result) int {
		rank := func(r result) int {
			switch {
			case r.err != nil:
				return 0
			case r.refused != "":
				return 1
			}
			return 2
		}
		return cmp.Or(strings.Compare(a.name, b.name), rank(a)-rank(b))
	})
	return slices.CompactFunc(all, func(a, b result) bool { return a.name == b.name && b.err == nil && b.refused == "" })
}

// leaveGroup puts the instance out of reach of its Auto Scaling group, which
// would end it and launch another once isolation fails its health check.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
func (s *Step) leaveGroup(ctx context.Context, inc incident.Incident, done earlier, out *Output) []result {
	const what = "Auto Scaling"
	answer, err := s.scaling.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{inc.InstanceID}})
	if err != nil {
		return []result{outcome(what, fmt.Errorf("look for the Auto Scaling group of %s: %w", inc.InstanceID, err))}
	}
	if len(answer.AutoScalingInstances) == 0 {
		if m := done.membership; m != nil && m.Detached {
			out.Scaling = incident.Detached
			return []result{{name: "detached from Auto Scaling group " + m.Group}}
		}
		out.Scaling = incident.Ungrouped
		return nil
	}
	i := answer.AutoScalingInstances[0]
	m := incident.Membership{Group: aws.ToString(i.AutoScalingGroupName), Detached: s.detach}
	out.Scaling = incident.InService
	switch state := scalingtypes.LifecycleState(aws.ToString(i.LifecycleState)); state {
	case scalingtypes.LifecycleStateInService:
	case scalingtypes.LifecycleStateEnteringStandby, scalingtypes.LifecycleStateStandby:
		out.Scaling = incident.Standby
		s.hazards(ctx, &m, out)
		if was := done.membership; s.shrink && was != nil && was.Desired != nil && aws.ToInt32(m.Desired) >= *was.Desired {
			out.Hazards = append(out.Hazards, replaced(m.Group))
		}
		return []result{{name: "standby in Auto Scaling group " + m.Group}}
	case scalingtypes.LifecycleStateDetaching:
		out.Scaling = incident.Detached
		return []result{{name: "detached from Auto Scaling group " + m.Group}}
	default:
		return []result{{name: what, refused: fmt.Sprintf("in group %s it is %s, and only an instance in service can be taken out of it", m.Group, state)}}
	}
	// Leaving, an instance leaves the group's balancers too, on every port, so
	// these are recorded before.
	places, err := s.placesOf(ctx, inc, s.hazards(ctx, &m, out))
	if err != nil {
		return []result{{name: what, err: err}}
	}
	if err := s.remember(ctx, inc, record.Prior{Resource: inc.InstanceID, Attribute: incident.PriorMembership}, m); err != nil {
		return []result{{name: what, err: err}}
	}
	if s.dry {
		places = append(places, result{name: "taking it out of Auto Scaling group " + m.Group})
		for n := range places {
			places[n].would = true
		}
		return places
	}
	if err := s.leave(ctx, inc.InstanceID, m.Group, s.shrink); err != nil {
		if !s.shrink || !invalid(err) {
			return []result{outcome(what, fmt.Errorf("take %s out of group %s: %w", inc.InstanceID, m.Group, err))}
		}
		// A group does not shrink below its minimum. Left in service, the instance
		// would be ended: one machine more is the smaller harm.
		if again := s.leave(ctx, inc.InstanceID, m.Group, false); again != nil {
			return []result{outcome(what, fmt.Errorf("take %s out of group %s: %w", inc.InstanceID, m.Group, errors.Join(again, err)))}
		}
		out.Hazards = append(out.Hazards, replaced(m.Group))
	}
	if s.detach {
		out.Scaling = incident.Detached
		return append(places, result{name: "detached from Auto Scaling group " + m.Group})
	}
	out.Scaling = incident.Standby
	return append(places, result{name: "standby in Auto Scaling group " + m.Group})
}

// placesOf records where a group's own balancers have the instance.
func (s *Step) placesOf(ctx context.Context, inc incident.Incident, g scalingtypes.AutoScalingGroup) ([]result, error) {
	var all []result
	for _, arn := range g.TargetGroupARNs {
		targets, err := s.targetsIn(ctx, arn, func(id string) bool { return id == inc.InstanceID })
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			if err := s.rememberTarget(ctx, inc, t); err != nil {
				return nil, err
			}
			all = append(all, result{name: targetName(t)})
		}
	}
	for _, name := range g.LoadBalancerNames {
		out, err := s.classics.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{LoadBalancerNames: []string{name}})
		var gone *elbtypes.AccessPointNotFoundException
		if errors.As(err, &gone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at classic load balancer %s: %w", name, err)
		}
		for _, b := range out.LoadBalancerDescriptions {
			if !has(b, inc.InstanceID) {
				continue
			}
			if err := s.remember(ctx, inc, record.Prior{Resource: name, Attribute: incident.PriorClassic}, true); err != nil {
				return nil, err
			}
			all = append(all, result{name: classicName(name)})
		}
	}
	return all, nil
}

func replaced(group string) string {
	return "Auto Scaling group " + group + " cannot be made smaller, so it launches a replacement"
}

// leave takes an instance out of service; shrink lowers the desired capacity,
// so that no replacement is launched.
func (s *Step) leave(ctx context.Context, id, group string, shrink bool) error {
	if s.detach {
		_, err := s.scaling.DetachInstances(ctx, &autoscaling.DetachInstancesInput{AutoScalingGroupName: &group, InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: &shrink})
		return err
	}
	_, err := s.scaling.EnterStandby(ctx, &autoscaling.EnterStandbyInput{AutoScalingGroupName: &group, InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: &shrink})
	return err
}

// invalid is Auto Scaling's answer to what its bounds do not allow.
func invalid(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == "ValidationError"
}

// hazards notes what ends an instance in standby all the same, and the group's
// capacity, and returns the group. What it cannot read is a hazard, too.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-max-instance-lifetime.html
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html
func (s *Step) hazards(ctx context.Context, m *incident.Membership, out *Output) (group scalingtypes.AutoScalingGroup) {
	var groups *autoscaling.DescribeAutoScalingGroupsOutput
	var refreshes *autoscaling.DescribeInstanceRefreshesOutput
	var errs [2]error
	s.host.Each(2, func(n int) {
		if n == 0 {
			groups, errs[n] = s.scaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{m.Group}})
			return
		}
		refreshes, errs[n] = s.scaling.DescribeInstanceRefreshes(ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: &m.Group})
	})
	note := func(format string, args ...any) {
		out.Hazards = append(out.Hazards, fmt.Sprintf("Auto Scaling group "+m.Group+" "+format, args...))
	}
	if err := errors.Join(errs[:]...); err != nil {
		note("could not be read (%v): whether it may end the instance in standby is not known", err)
	}
	if errs[0] == nil {
		for _, g := range groups.AutoScalingGroups {
			group = g
			m.Desired = g.DesiredCapacity
			if status := aws.ToString(g.Status); status != "" {
				note("is going (%s) and may take the instance with it; detach the instance from it", status)
			}
			if life := aws.ToInt32(g.MaxInstanceLifetime); life > 0 {
				note("replaces instances older than %d days and may end this one; detach the instance from it", life/86400)
			}
		}
	}
	if errs[1] != nil {
		return group
	}
	for _, r := range refreshes.InstanceRefreshes {
		running := slices.Contains([]scalingtypes.InstanceRefreshStatus{
			scalingtypes.InstanceRefreshStatusPending, scalingtypes.InstanceRefreshStatusInProgress, scalingtypes.InstanceRefreshStatusRollbackInProgress, scalingtypes.InstanceRefreshStatusBaking,
		}, r.Status)
		if running && r.Preferences != nil && r.Preferences.StandbyInstances == scalingtypes.StandbyInstancesTerminate {
			note("runs instance refresh %s, which ends instances in standby; cancel it, or detach the instance", aws.ToString(r.InstanceRefreshId))
		}
	}
	return group
}

// lookers is how many target groups are looked at side by side: an account may
// have thousands, and a throttled API would leave the instance in all of them.
const lookers = 8

// leaveTargets takes the instance out of every target group of its VPCs, by its
// ID and by its addresses.
func (s *Step) leaveTargets(ctx context.Context, inc incident.Incident, i types.Instance) []result {
	const what = "target groups"
	vpcs, mine := map[string]bool{}, map[string]bool{inc.InstanceID: true}
	for _, n := range i.NetworkInterfaces {
		vpcs[aws.ToString(n.VpcId)] = true
		for _, a := range n.PrivateIpAddresses {
			mine[aws.ToString(n.VpcId)+" "+aws.ToString(a.PrivateIpAddress)] = true
		}
		mine[aws.ToString(n.VpcId)+" "+aws.ToString(n.PrivateIpAddress)] = true
		for _, a := range n.Ipv6Addresses {
			mine[aws.ToString(n.VpcId)+" "+aws.ToString(a.Ipv6Address)] = true
		}
	}
	var groups []elbv2types.TargetGroup
	pages := elbv2.NewDescribeTargetGroupsPaginator(s.balancers, &elbv2.DescribeTargetGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return []result{outcome(what, fmt.Errorf("list the target groups: %w", err))}
		}
		for _, g := range page.TargetGroups {
			if vpcs[aws.ToString(g.VpcId)] && (g.TargetType == elbv2types.TargetTypeEnumInstance || g.TargetType == elbv2types.TargetTypeEnumIp) {
				groups = append(groups, g)
			}
		}
	}
	results := make([][]result, len(groups))
	s.host.Each(min(lookers, len(groups)), func(n int) {
		for ; n < len(groups); n += lookers {
			vpc := aws.ToString(groups[n].VpcId)
			targets, err := s.targetsIn(ctx, aws.ToString(groups[n].TargetGroupArn), func(id string) bool { return mine[id] || mine[vpc+" "+id] })
			if err != nil {
				results[n] = []result{outcome(what, err)}
			}
			for _, t := range targets {
				results[n] = append(results[n], s.leaveTarget(ctx, inc, t))
			}
		}
	})
	return slices.Concat(results...)
}

// targetsIn are the targets of a group that are ours, but for those that
// somebody has deregistered already.
func (s *Step) targetsIn(ctx context.Context, arn string, mine func(id string) bool) ([]incident.Target, error) {
	out, err := s.balancers.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &arn})
	var gone *elbv2types.TargetGroupNotFoundException
	if errors.As(err, &gone) {
		return nil, nil // deleted since it was listed
	}
	if err != nil {
		return nil, fmt.Errorf("look at the targets of %s: %w", arn, err)
	}
	var all []incident.Target
	for _, d := range out.TargetHealthDescriptions {
		if d.Target == nil || d.TargetHealth != nil && d.TargetHealth.State == elbv2types.TargetHealthStateEnumDraining {
			continue
		}
		if id := aws.ToString(d.Target.Id); mine(id) {
			all = append(all, incident.Target{Group: arn, ID: id, Port: aws.ToInt32(d.Target.Port)})
		}
	}
	return all, nil
}

func targetName(t incident.Target) string {
	return fmt.Sprintf("deregistered %s:%d from target group %s", t.ID, t.Port, t.Group[strings.LastIndex(t.Group, ":")+1:])
}

func (s *Step) rememberTarget(ctx context.Context, inc incident.Incident, t incident.Target) error {
	return s.remember(ctx, inc, record.Prior{Resource: t.Group, Attribute: fmt.Sprintf("%s %s:%d", incident.PriorTarget, t.ID, t.Port)}, t)
}

func (s *Step) leaveTarget(ctx context.Context, inc incident.Incident, t incident.Target) result {
	name := targetName(t)
	if err := s.rememberTarget(ctx, inc, t); err != nil {
		return result{name: name, err: err}
	}
	if s.dry {
		return result{name: name, would: true}
	}
	_, err := s.balancers.DeregisterTargets(ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: &t.Group, Targets: []elbv2types.TargetDescription{{Id: &t.ID, Port: &t.Port}}})
	if err != nil {
		return outcome(name, fmt.Errorf("deregister %s from %s: %w", t.ID, t.Group, err))
	}
	return result{name: name}
}

// leaveClassics takes the instance out of every classic load balancer.
func (s *Step) leaveClassics(ctx context.Context, inc incident.Incident) []result {
	var names []string
	pages := elb.NewDescribeLoadBalancersPaginator(s.classics, &elb.DescribeLoadBalancersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return []result{outcome("classic load balancers", fmt.Errorf("list the classic load balancers: %w", err))}
		}
		for _, b := range page.LoadBalancerDescriptions {
			if has(b, inc.InstanceID) {
				names = append(names, aws.ToString(b.LoadBalancerName))
			}
		}
	}
	results := make([]result, len(names))
	s.host.Each(len(names), func(n int) { results[n] = s.leaveClassic(ctx, inc, names[n]) })
	return results
}

func has(b elbtypes.LoadBalancerDescription, id string) bool {
	return slices.ContainsFunc(b.Instances, func(i elbtypes.Instance) bool { return aws.ToString(i.InstanceId) == id })
}

func classicName(balancer string) string {
	return "deregistered from classic load balancer " + balancer
}

func (s *Step) leaveClassic(ctx context.Context, inc incident.Incident, balancer string) result {
	name := classicName(balancer)
	if err := s.remember(ctx, inc, record.Prior{Resource: balancer, Attribute: incident.PriorClassic}, true); err != nil {
		return result{name: name, err: err}
	}
	if s.dry {
		return result{name: name, would: true}
	}
	_, err := s.classics.DeregisterInstancesFromLoadBalancer(ctx, &elb.DeregisterInstancesFromLoadBalancerInput{
		LoadBalancerName: &balancer, Instances: []elbtypes.Instance{{InstanceId: &inc.InstanceID}},
	})
	if err != nil {
		return outcome(name, fmt.Errorf("deregister %s from %s: %w", inc.InstanceID, balancer, err))
	}
	return result{name: name}
}
