//go:build e2e && linux

package e2e_test

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// appRoles are the roles whose credentials are denied to isolated instances.
const appRoles = "arn:aws:iam::" + account + ":role/app-*"

// role makes a role for the instance, with a profile of the same name.
func (sc *scene) role() {
	sc.Helper()
	const trust = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`
	_, err := sc.d.iam.CreateRole(sc.Context(), &iam.CreateRoleInput{RoleName: &sc.served, AssumeRolePolicyDocument: aws.String(trust)})
	sc.must(err)
	_, err = sc.d.iam.CreateInstanceProfile(sc.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: &sc.served})
	sc.must(err)
	_, err = sc.d.iam.AddRoleToInstanceProfile(sc.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &sc.served, RoleName: &sc.served})
	sc.must(err)
}

// policies are the names of the inline policies of the instance's role.
func (sc *scene) policies() []string {
	sc.Helper()
	out, err := sc.d.iam.ListRolePolicies(sc.Context(), &iam.ListRolePoliciesInput{RoleName: &sc.served})
	sc.must(err)
	return out.PolicyNames
}

// serve puts the instance into an Auto Scaling group with a target group and a
// classic balancer of its own, and behind one more of each.
func (sc *scene) serve(subnet string) {
	sc.Helper()
	ctx := sc.Context()
	var arns, names []string
	for _, suffix := range []string{"-group", "-hand"} {
		name := sc.served + suffix
		group, err := sc.d.elbv2.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{
			Name: &name, VpcId: &sc.vpc, Port: aws.Int32(8080), Protocol: elbv2types.ProtocolEnumHttp, TargetType: elbv2types.TargetTypeEnumInstance,
		})
		sc.must(err)
		arns = append(arns, *group.TargetGroups[0].TargetGroupArn)
		_, err = sc.d.elb.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{LoadBalancerName: &name, Subnets: []string{subnet}, Listeners: []elbtypes.Listener{
			{Protocol: aws.String("HTTP"), LoadBalancerPort: 80, InstancePort: aws.Int32(8080)},
		}})
		sc.must(err)
		names = append(names, name)
	}
	_, err := sc.d.autoscaling.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &sc.served, InstanceId: &sc.instance, MinSize: aws.Int32(0), MaxSize: aws.Int32(3), DesiredCapacity: aws.Int32(0),
		VPCZoneIdentifier: &subnet, TargetGroupARNs: arns[:1], LoadBalancerNames: names[:1],
	})
	sc.must(err)
	_, err = sc.d.autoscaling.AttachInstances(ctx, &autoscaling.AttachInstancesInput{AutoScalingGroupName: &sc.served, InstanceIds: []string{sc.instance}})
	sc.must(err)
	_, err = sc.d.elbv2.RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &arns[1], Targets: []elbv2types.TargetDescription{{Id: &sc.instance, Port: aws.Int32(8080)}}})
	sc.must(err)
	_, err = sc.d.elb.RegisterInstancesWithLoadBalancer(ctx, &elb.RegisterInstancesWithLoadBalancerInput{LoadBalancerName: &names[1], Instances: []elbtypes.Instance{{InstanceId: &sc.instance}}})
	sc.must(err)
}

// service is the part of the account that sends work to the instance.
func (sc *scene) service() map[string]any {
	sc.Helper()
	ctx := sc.Context()
	groups, err := sc.d.autoscaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{sc.served}})
	sc.must(err)
	instances, err := sc.d.autoscaling.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{sc.instance}})
	sc.must(err)
	targets, err := sc.d.elbv2.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{Names: []string{sc.served + "-group", sc.served + "-hand"}})
	sc.must(err)
	health := map[string][]elbv2types.TargetHealthDescription{}
	for _, g := range targets.TargetGroups {
		out, err := sc.d.elbv2.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
		sc.must(err)
		health[*g.TargetGroupArn] = out.TargetHealthDescriptions
	}
	classics, err := sc.d.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{LoadBalancerNames: []string{sc.served + "-group", sc.served + "-hand"}})
	sc.must(err)
	profile, err := sc.d.iam.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &sc.served})
	sc.must(err)
	return map[string]any{
		"AutoScalingGroups": groups.AutoScalingGroups, "AutoScalingInstances": instances.AutoScalingInstances,
		"TargetGroups": targets.TargetGroups, "TargetHealthDescriptions": health, "LoadBalancerDescriptions": classics.LoadBalancerDescriptions,
		"InstanceProfiles": []iamtypes.InstanceProfile{*profile.InstanceProfile},
	}
}

// working is where the instance is sent work now, as moto tells it.
func (sc *scene) working() []string {
	sc.Helper()
	service := sc.service()
	var all []string
	for _, i := range service["AutoScalingInstances"].([]autoscalingtypes.AutoScalingInstanceDetails) {
		all = append(all, *i.AutoScalingGroupName+" "+*i.LifecycleState)
	}
	for _, g := range service["TargetGroups"].([]elbv2types.TargetGroup) {
		for _, h := range service["TargetHealthDescriptions"].(map[string][]elbv2types.TargetHealthDescription)[*g.TargetGroupArn] {
			if *h.Target.Id == sc.instance {
				all = append(all, "target group "+*g.TargetGroupName)
			}
		}
	}
	for _, b := range service["LoadBalancerDescriptions"].([]elbtypes.LoadBalancerDescription) {
		if slices.ContainsFunc(b.Instances, func(i elbtypes.Instance) bool { return *i.InstanceId == sc.instance }) {
			all = append(all, "classic balancer "+*b.LoadBalancerName)
		}
	}
	slices.Sort(all)
	return all
}
