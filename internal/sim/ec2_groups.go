package sim

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// rulesAtMost is how many rules a group may have in each direction.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
const rulesAtMost = 60

// rules are those of a group in one direction.
func (w *world) rules(group string, egress bool) []*types.SecurityGroupRule {
	var all []*types.SecurityGroupRule
	for _, r := range w.Rules {
		if aws.ToString(r.GroupId) == group && aws.ToBool(r.IsEgress) == egress {
			all = append(all, r)
		}
	}
	return all
}

// withRules are groups as EC2 tells them: rules of the same protocol and ports as one permission.
func (w *world) withRules(groups []*types.SecurityGroup) []*types.SecurityGroup {
	all := clone(groups)
	for _, g := range all {
		g.IpPermissions = permissions(w.rules(*g.GroupId, false))
		g.IpPermissionsEgress = permissions(w.rules(*g.GroupId, true))
	}
	return all
}

func permissions(rules []*types.SecurityGroupRule) []types.IpPermission {
	all := []types.IpPermission{} // no rules is told as an empty list
	for _, r := range rules {
		p := types.IpPermission{IpProtocol: r.IpProtocol, FromPort: r.FromPort, ToPort: r.ToPort}
		if *r.IpProtocol == "-1" {
			p.FromPort, p.ToPort = nil, nil
		}
		n := slices.IndexFunc(all, func(o types.IpPermission) bool {
			return *o.IpProtocol == *p.IpProtocol && same(o.FromPort, p.FromPort) && same(o.ToPort, p.ToPort)
		})
		if n < 0 {
			n, all = len(all), append(all, p)
		}
		switch to := &all[n]; {
		case r.CidrIpv4 != nil:
			to.IpRanges = append(to.IpRanges, types.IpRange{CidrIp: r.CidrIpv4, Description: r.Description})
		case r.CidrIpv6 != nil:
			to.Ipv6Ranges = append(to.Ipv6Ranges, types.Ipv6Range{CidrIpv6: r.CidrIpv6, Description: r.Description})
		case r.PrefixListId != nil:
			to.PrefixListIds = append(to.PrefixListIds, types.PrefixListId{PrefixListId: r.PrefixListId, Description: r.Description})
		case r.ReferencedGroupInfo != nil:
			i := r.ReferencedGroupInfo
			to.UserIdGroupPairs = append(to.UserIdGroupPairs, types.UserIdGroupPair{
				GroupId: i.GroupId, UserId: i.UserId, VpcId: i.VpcId,
				PeeringStatus: i.PeeringStatus, VpcPeeringConnectionId: i.VpcPeeringConnectionId, Description: r.Description,
			})
		}
	}
	return all
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// sameRule tells whether two rules allow the same.
func sameRule(a, b *types.SecurityGroupRule) bool {
	group := func(r *types.SecurityGroupRule) *string {
		if r.ReferencedGroupInfo == nil {
			return nil
		}
		return r.ReferencedGroupInfo.GroupId
	}
	return *a.GroupId == *b.GroupId && aws.ToBool(a.IsEgress) == aws.ToBool(b.IsEgress) && *a.IpProtocol == *b.IpProtocol &&
		same(a.FromPort, b.FromPort) && same(a.ToPort, b.ToPort) && same(a.CidrIpv4, b.CidrIpv4) && same(a.CidrIpv6, b.CidrIpv6) &&
		same(a.PrefixListId, b.PrefixListId) && same(group(a), group(b))
}

// ruled takes permissions apart into rules, one for each peer, as EC2 does.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
func (c *EC2) ruled(group string, egress bool, all []types.IpPermission) ([]*types.SecurityGroupRule, error) {
	var rules []*types.SecurityGroupRule
	for _, p := range all {
		protocol, from, to, err := portRange(p)
		if err != nil {
			return nil, err
		}
		before := len(rules)
		add := func(description *string) *types.SecurityGroupRule {
			r := &types.SecurityGroupRule{
				GroupId: &group, GroupOwnerId: aws.String(c.a.account()), IsEgress: &egress,
				IpProtocol: &protocol, FromPort: &from, ToPort: &to, Description: description,
			}
			rules = append(rules, r)
			return r
		}
		for _, r := range p.IpRanges {
			cidr, err := block(r.CidrIp, false)
			if err != nil {
				return nil, err
			}
			add(r.Description).CidrIpv4 = cidr
		}
		for _, r := range p.Ipv6Ranges {
			cidr, err := block(r.CidrIpv6, true)
			if err != nil {
				return nil, err
			}
			add(r.Description).CidrIpv6 = cidr
		}
		for _, r := range p.PrefixListIds {
			add(r.Description).PrefixListId = r.PrefixListId
		}
		for _, r := range p.UserIdGroupPairs {
			if r.GroupId == nil {
				return nil, unknown("ec2", "AuthorizeSecurityGroup", "a referenced group without GroupId")
			}
			add(r.Description).ReferencedGroupInfo = &types.ReferencedSecurityGroup{
				GroupId: r.GroupId, UserId: cmp.Or(r.UserId, aws.String(c.a.account())),
				VpcId: r.VpcId, PeeringStatus: r.PeeringStatus, VpcPeeringConnectionId: r.VpcPeeringConnectionId,
			}
		}
		if len(rules) == before {
			return nil, ec2Error("InvalidParameterValue", "No source or destination specified for protocol %s", protocol)
		}
	}
	return rules, nil
}

// portRange: all protocols are all ports; TCP and UDP need both ends.
func portRange(p types.IpPermission) (protocol string, from, to int32, err error) {
	protocol = strings.ToLower(aws.ToString(p.IpProtocol))
	protocol = cmp.Or(map[string]string{"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}[protocol], protocol)
	switch protocol {
	case "":
		return "", 0, 0, ec2Error("MissingParameter", "The request must contain the parameter ipProtocol")
	case "tcp", "udp":
		if p.FromPort == nil || p.ToPort == nil {
			return "", 0, 0, ec2Error("InvalidParameterValue", "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.")
		}
		if *p.FromPort < 0 || *p.ToPort > 65535 || *p.FromPort > *p.ToPort {
			return "", 0, 0, ec2Error("InvalidParameterValue", "Invalid value '%d-%d' for portRange.", *p.FromPort, *p.ToPort)
		}
		return protocol, *p.FromPort, *p.ToPort, nil
	case "icmp", "icmpv6":
		from, to = -1, -1
		if p.FromPort != nil {
			from = *p.FromPort
		}
		if p.ToPort != nil {
			to = *p.ToPort
		}
		return protocol, from, to, nil
	}
	return protocol, -1, -1, nil
}

// block is an address range in its canonical form.
func block(cidr *string, six bool) (*string, error) {
	p, err := netip.ParsePrefix(aws.ToString(cidr))
	if err != nil || p.Addr().Is4() == six {
		return nil, ec2Error("InvalidParameterValue", "CIDR block %s is malformed", aws.ToString(cidr))
	}
	return aws.String(p.Masked().String()), nil
}

// DescribeSecurityGroups tells of groups with their rules.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
func (c *EC2) DescribeSecurityGroups(ctx context.Context, in *ec2.DescribeSecurityGroupsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeSecurityGroups", resources: concerned(in.GroupIds, in.Filters),
		takes: []string{"GroupIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeSecurityGroups)
}

func (c *EC2) describeSecurityGroups(in *ec2.DescribeSecurityGroupsInput) (*ec2.DescribeSecurityGroupsOutput, error) {
	type group = types.SecurityGroup
	id := func(g *group) *string { return g.GroupId }
	found, next, err := description[group]{
		action: "DescribeSecurityGroups", all: c.SecurityGroups, id: id, ids: in.GroupIds, missing: "InvalidGroup.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*group) []string{
			"group-id":   one(id),
			"group-name": one(func(g *group) *string { return g.GroupName }),
			"vpc-id":     one(func(g *group) *string { return g.VpcId }),
		},
		tags: func(g *group) []types.Tag { return g.Tags },
	}.find(c)
	return &ec2.DescribeSecurityGroupsOutput{SecurityGroups: dereferenced(c.withRules(found)), NextToken: next}, err
}

// DescribeSecurityGroupRules tells of rules one by one.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html
func (c *EC2) DescribeSecurityGroupRules(ctx context.Context, in *ec2.DescribeSecurityGroupRulesInput, _ ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupRulesOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeSecurityGroupRules", resources: concerned(in.SecurityGroupRuleIds, in.Filters),
		takes: []string{"SecurityGroupRuleIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeSecurityGroupRules)
}

func (c *EC2) describeSecurityGroupRules(in *ec2.DescribeSecurityGroupRulesInput) (*ec2.DescribeSecurityGroupRulesOutput, error) {
	type rule = types.SecurityGroupRule
	id := func(r *rule) *string { return r.SecurityGroupRuleId }
	found, next, err := description[rule]{
		action: "DescribeSecurityGroupRules", all: c.Rules, id: id, ids: in.SecurityGroupRuleIds, missing: "InvalidSecurityGroupRuleId.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*rule) []string{
			"security-group-rule-id": one(id),
			"group-id":               one(func(r *rule) *string { return r.GroupId }),
		},
		tags: func(r *rule) []types.Tag { return r.Tags },
	}.find(c)
	return &ec2.DescribeSecurityGroupRulesOutput{SecurityGroupRules: dereferenced(found), NextToken: next}, err
}

// CreateSecurityGroup makes a group that lets nothing in and everything out.
// Two groups of a VPC never have the same name.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
func (c *EC2) CreateSecurityGroup(ctx context.Context, in *ec2.CreateSecurityGroupInput, _ ...func(*ec2.Options)) (*ec2.CreateSecurityGroupOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "CreateSecurityGroup", mutating: true, resources: []string{aws.ToString(in.VpcId)},
		needs: []string{"GroupName", "Description", "VpcId"},
		takes: []string{"TagSpecifications"},
	}, in, c.createSecurityGroup)
}

// namedAs is what a group's name and description may hold.
const namedAs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/()#,@[]+=&;{}!$*"

func (c *EC2) createSecurityGroup(in *ec2.CreateSecurityGroupInput) (*ec2.CreateSecurityGroupOutput, error) {
	for _, s := range []string{*in.GroupName, *in.Description} {
		if len(s) == 0 || len(s) > 255 || strings.Trim(s, namedAs) != "" {
			return nil, ec2Error("InvalidParameterValue", "Value (%s) is invalid. Character sets beyond ASCII are not supported, and it may have 255 characters.", s)
		}
	}
	if strings.HasPrefix(*in.GroupName, "sg-") {
		return nil, ec2Error("InvalidParameterValue", "Group names may not be in the format sg-*")
	}
	if *in.GroupName == "default" {
		return nil, ec2Error("InvalidGroup.Reserved", "The security group 'default' is reserved")
	}
	vpc := c.vpc(*in.VpcId)
	if vpc == nil {
		return nil, ec2Error("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", *in.VpcId)
	}
	for _, g := range c.SecurityGroups {
		if aws.ToString(g.VpcId) == *in.VpcId && aws.ToString(g.GroupName) == *in.GroupName {
			return nil, ec2Error("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", *in.GroupName, *in.VpcId)
		}
	}
	if len(c.SecurityGroups) >= cmp.Or(c.quirks.groupLimit, 2500) {
		return nil, ec2Error("SecurityGroupLimitExceeded", "The maximum number of security groups for this account has been reached.")
	}
	tags, err := specified(in.TagSpecifications, types.ResourceTypeSecurityGroup)
	if err != nil {
		return nil, err
	}
	g := &types.SecurityGroup{GroupId: c.id("sg"), GroupName: in.GroupName, Description: in.Description, VpcId: in.VpcId, OwnerId: aws.String(c.a.account()), Tags: tags}
	c.SecurityGroups = append(c.SecurityGroups, g)
	c.allowAllOut(vpc, *g.GroupId)
	return &ec2.CreateSecurityGroupOutput{
		GroupId: g.GroupId, Tags: g.Tags,
		SecurityGroupArn: aws.String("arn:aws:ec2:" + c.a.region() + ":" + c.a.account() + ":security-group/" + *g.GroupId),
	}, nil
}

// allowAllOut are the rules of a new group: all IPv4 out, and all IPv6 out where the VPC has IPv6.
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
func (c *EC2) allowAllOut(vpc *types.Vpc, group string) {
	rule := func() *types.SecurityGroupRule {
		return &types.SecurityGroupRule{
			GroupId: &group, GroupOwnerId: aws.String(c.a.account()), IsEgress: aws.Bool(true),
			IpProtocol: aws.String("-1"), FromPort: aws.Int32(-1), ToPort: aws.Int32(-1),
		}
	}
	four := rule()
	four.CidrIpv4 = aws.String("0.0.0.0/0")
	c.addRule(four)
	if vpc != nil && len(vpc.Ipv6CidrBlockAssociationSet) > 0 {
		six := rule()
		six.CidrIpv6 = aws.String("::/0")
		c.addRule(six)
	}
}

func (c *EC2) addRule(r *types.SecurityGroupRule) {
	r.SecurityGroupRuleId = c.id("sgr")
	r.SecurityGroupRuleArn = aws.String("arn:aws:ec2:" + c.a.region() + ":" + c.a.account() + ":security-group-rule/" + *r.SecurityGroupRuleId)
	c.Rules = append(c.Rules, r)
}

// AuthorizeSecurityGroupIngress adds all of the rules or none.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
func (c *EC2) AuthorizeSecurityGroupIngress(ctx context.Context, in *ec2.AuthorizeSecurityGroupIngressInput, _ ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "AuthorizeSecurityGroupIngress", mutating: true, resources: []string{aws.ToString(in.GroupId)},
		needs: []string{"GroupId", "IpPermissions"},
	}, in, func(in *ec2.AuthorizeSecurityGroupIngressInput) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
		added, err := c.authorize(*in.GroupId, false, in.IpPermissions)
		return &ec2.AuthorizeSecurityGroupIngressOutput{Return: aws.Bool(true), SecurityGroupRules: added}, err
	})
}

// AuthorizeSecurityGroupEgress adds all of the rules or none.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupEgress.html
func (c *EC2) AuthorizeSecurityGroupEgress(ctx context.Context, in *ec2.AuthorizeSecurityGroupEgressInput, _ ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupEgressOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "AuthorizeSecurityGroupEgress", mutating: true, resources: []string{aws.ToString(in.GroupId)},
		needs: []string{"GroupId", "IpPermissions"},
	}, in, func(in *ec2.AuthorizeSecurityGroupEgressInput) (*ec2.AuthorizeSecurityGroupEgressOutput, error) {
		added, err := c.authorize(*in.GroupId, true, in.IpPermissions)
		return &ec2.AuthorizeSecurityGroupEgressOutput{Return: aws.Bool(true), SecurityGroupRules: added}, err
	})
}

func noGroup(id string) error {
	return ec2Error("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
}

func (c *EC2) authorize(group string, egress bool, all []types.IpPermission) ([]types.SecurityGroupRule, error) {
	if c.group(group) == nil {
		return nil, noGroup(group)
	}
	rules, err := c.ruled(group, egress, all)
	if err != nil {
		return nil, err
	}
	for n, r := range rules {
		if slices.ContainsFunc(rules[:n], func(o *types.SecurityGroupRule) bool { return sameRule(o, r) }) {
			return nil, ec2Error("InvalidParameterValue", "The same permission must not appear multiple times")
		}
		if slices.ContainsFunc(c.Rules, func(o *types.SecurityGroupRule) bool { return sameRule(o, r) }) {
			return nil, ec2Error("InvalidPermission.Duplicate", "the specified rule already exists: %s", group)
		}
		if r.ReferencedGroupInfo != nil && c.group(*r.ReferencedGroupInfo.GroupId) == nil {
			return nil, noGroup(*r.ReferencedGroupInfo.GroupId)
		}
		if r.PrefixListId != nil && c.prefixList(*r.PrefixListId) == nil {
			return nil, ec2Error("InvalidPrefixListID.NotFound", "The prefix list ID '%s' does not exist", *r.PrefixListId)
		}
	}
	if len(c.rules(group, egress))+len(rules) > rulesAtMost {
		return nil, ec2Error("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	for _, r := range rules {
		c.addRule(r)
	}
	return dereferenced(rules), nil
}

// RevokeSecurityGroupIngress takes all of the rules away or none.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
func (c *EC2) RevokeSecurityGroupIngress(ctx context.Context, in *ec2.RevokeSecurityGroupIngressInput, _ ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "RevokeSecurityGroupIngress", mutating: true, resources: append([]string{aws.ToString(in.GroupId)}, in.SecurityGroupRuleIds...),
		needs: []string{"GroupId", "SecurityGroupRuleIds"},
	}, in, func(in *ec2.RevokeSecurityGroupIngressInput) (*ec2.RevokeSecurityGroupIngressOutput, error) {
		gone, err := c.revoke(*in.GroupId, false, in.SecurityGroupRuleIds)
		return &ec2.RevokeSecurityGroupIngressOutput{Return: aws.Bool(true), RevokedSecurityGroupRules: gone}, err
	})
}

// RevokeSecurityGroupEgress takes all of the rules away or none.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html
func (c *EC2) RevokeSecurityGroupEgress(ctx context.Context, in *ec2.RevokeSecurityGroupEgressInput, _ ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupEgressOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "RevokeSecurityGroupEgress", mutating: true, resources: append([]string{aws.ToString(in.GroupId)}, in.SecurityGroupRuleIds...),
		needs: []string{"GroupId", "SecurityGroupRuleIds"},
	}, in, func(in *ec2.RevokeSecurityGroupEgressInput) (*ec2.RevokeSecurityGroupEgressOutput, error) {
		gone, err := c.revoke(*in.GroupId, true, in.SecurityGroupRuleIds)
		return &ec2.RevokeSecurityGroupEgressOutput{Return: aws.Bool(true), RevokedSecurityGroupRules: gone}, err
	})
}

func (c *EC2) revoke(group string, egress bool, ids []string) ([]types.RevokedSecurityGroupRule, error) {
	if c.group(group) == nil {
		return nil, noGroup(group)
	}
	var gone []types.RevokedSecurityGroupRule
	for _, id := range ids {
		r := find(c.rules(group, egress), id, func(r *types.SecurityGroupRule) *string { return r.SecurityGroupRuleId })
		if r == nil {
			return nil, ec2Error("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '%s' does not exist", id)
		}
		was := types.RevokedSecurityGroupRule{
			SecurityGroupRuleId: r.SecurityGroupRuleId, GroupId: r.GroupId, IsEgress: r.IsEgress, IpProtocol: r.IpProtocol,
			FromPort: r.FromPort, ToPort: r.ToPort, CidrIpv4: r.CidrIpv4, CidrIpv6: r.CidrIpv6, PrefixListId: r.PrefixListId, Description: r.Description,
		}
		if r.ReferencedGroupInfo != nil {
			was.ReferencedGroupId = r.ReferencedGroupInfo.GroupId
		}
		gone = append(gone, was)
	}
	c.Rules = slices.DeleteFunc(c.Rules, func(r *types.SecurityGroupRule) bool { return slices.Contains(ids, *r.SecurityGroupRuleId) })
	return gone, nil
}
