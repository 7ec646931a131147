package sim

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// DescribeVpcEndpoints tells of endpoints of every type.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcEndpoints.html
func (c *EC2) DescribeVpcEndpoints(ctx context.Context, in *ec2.DescribeVpcEndpointsInput, _ ...func(*ec2.Options)) (*ec2.DescribeVpcEndpointsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeVpcEndpoints", resources: concerned(in.VpcEndpointIds, in.Filters),
		takes: []string{"VpcEndpointIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeVpcEndpoints)
}

func (c *EC2) describeVpcEndpoints(in *ec2.DescribeVpcEndpointsInput) (*ec2.DescribeVpcEndpointsOutput, error) {
	type endpoint = types.VpcEndpoint
	id := func(e *endpoint) *string { return e.VpcEndpointId }
	found, next, err := description[endpoint]{
		action: "DescribeVpcEndpoints", all: c.VpcEndpoints, id: id, ids: in.VpcEndpointIds, missing: "InvalidVpcEndpointId.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 1, token: in.NextToken,
		fields: map[string]func(*endpoint) []string{
			"vpc-endpoint-id":    one(id),
			"vpc-id":             one(func(e *endpoint) *string { return e.VpcId }),
			"service-name":       one(func(e *endpoint) *string { return e.ServiceName }),
			"vpc-endpoint-type":  enum(func(e *endpoint) types.VpcEndpointType { return e.VpcEndpointType }),
			"vpc-endpoint-state": enum(func(e *endpoint) types.State { return e.State }),
		},
		tags: func(e *endpoint) []types.Tag { return e.Tags },
	}.find(c)
	return &ec2.DescribeVpcEndpointsOutput{VpcEndpoints: dereferenced(found), NextToken: next}, err
}

// DescribeRouteTables tells of route tables. A subnet that no table names uses
// the VPC's main one, which a filter by subnet does not find.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html
func (c *EC2) DescribeRouteTables(ctx context.Context, in *ec2.DescribeRouteTablesInput, _ ...func(*ec2.Options)) (*ec2.DescribeRouteTablesOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeRouteTables", resources: concerned(in.RouteTableIds, in.Filters),
		takes: []string{"RouteTableIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeRouteTables)
}

func (c *EC2) describeRouteTables(in *ec2.DescribeRouteTablesInput) (*ec2.DescribeRouteTablesOutput, error) {
	type table = types.RouteTable
	id := func(t *table) *string { return t.RouteTableId }
	associations := func(of func(types.RouteTableAssociation) string) func(*table) []string {
		return func(t *table) []string {
			var all []string
			for _, a := range t.Associations {
				all = append(all, of(a))
			}
			return all
		}
	}
	found, next, err := description[table]{
		action: "DescribeRouteTables", all: c.RouteTables, id: id, ids: in.RouteTableIds, missing: "InvalidRouteTableID.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*table) []string{
			"route-table-id":        one(id),
			"vpc-id":                one(func(t *table) *string { return t.VpcId }),
			"association.subnet-id": associations(func(a types.RouteTableAssociation) string { return aws.ToString(a.SubnetId) }),
			"association.main": associations(func(a types.RouteTableAssociation) string {
				if aws.ToBool(a.Main) {
					return "true"
				}
				return "false"
			}),
		},
		tags: func(t *table) []types.Tag { return t.Tags },
	}.find(c)
	return &ec2.DescribeRouteTablesOutput{RouteTables: dereferenced(found), NextToken: next}, err
}

// DescribeSubnets tells of subnets.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html
func (c *EC2) DescribeSubnets(ctx context.Context, in *ec2.DescribeSubnetsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSubnetsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeSubnets", resources: concerned(in.SubnetIds, in.Filters),
		takes: []string{"SubnetIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeSubnets)
}

func (c *EC2) describeSubnets(in *ec2.DescribeSubnetsInput) (*ec2.DescribeSubnetsOutput, error) {
	id := func(s *types.Subnet) *string { return s.SubnetId }
	found, next, err := description[types.Subnet]{
		action: "DescribeSubnets", all: c.Subnets, id: id, ids: in.SubnetIds, missing: "InvalidSubnetID.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*types.Subnet) []string{
			"subnet-id": one(id),
			"vpc-id":    one(func(s *types.Subnet) *string { return s.VpcId }),
		},
		tags: func(s *types.Subnet) []types.Tag { return s.Tags },
	}.find(c)
	return &ec2.DescribeSubnetsOutput{Subnets: dereferenced(found), NextToken: next}, err
}

// DescribeVpcAttribute tells one attribute a call. A new VPC's resolver answers.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcAttribute.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcAttribute.html
func (c *EC2) DescribeVpcAttribute(ctx context.Context, in *ec2.DescribeVpcAttributeInput, _ ...func(*ec2.Options)) (*ec2.DescribeVpcAttributeOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeVpcAttribute", resources: []string{aws.ToString(in.VpcId)}, needs: []string{"VpcId", "Attribute"},
	}, in, func(in *ec2.DescribeVpcAttributeInput) (*ec2.DescribeVpcAttributeOutput, error) {
		if !slices.ContainsFunc(c.NetworkInterfaces, func(i *types.NetworkInterface) bool { return aws.ToString(i.VpcId) == *in.VpcId }) && c.vpc(*in.VpcId) == nil {
			return nil, ec2Error("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", *in.VpcId)
		}
		if in.Attribute != types.VpcAttributeNameEnableDnsSupport {
			return nil, unknown("ec2", "DescribeVpcAttribute", "attribute "+string(in.Attribute))
		}
		on := true
		if at := c.VpcAttributes[*in.VpcId]; at != nil && at.EnableDnsSupport != nil {
			on = aws.ToBool(at.EnableDnsSupport.Value)
		}
		return &ec2.DescribeVpcAttributeOutput{VpcId: in.VpcId, EnableDnsSupport: &types.AttributeBooleanValue{Value: &on}}, nil
	})
}

// DescribePrefixLists tells of the prefix lists of AWS's services.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribePrefixLists.html
func (c *EC2) DescribePrefixLists(ctx context.Context, in *ec2.DescribePrefixListsInput, _ ...func(*ec2.Options)) (*ec2.DescribePrefixListsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribePrefixLists", resources: concerned(in.PrefixListIds, in.Filters),
		takes: []string{"PrefixListIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describePrefixLists)
}

func (c *EC2) describePrefixLists(in *ec2.DescribePrefixListsInput) (*ec2.DescribePrefixListsOutput, error) {
	id := func(p *types.PrefixList) *string { return p.PrefixListId }
	found, next, err := description[types.PrefixList]{
		action: "DescribePrefixLists", all: c.PrefixLists, id: id, ids: in.PrefixListIds, missing: "InvalidPrefixListID.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 1, token: in.NextToken,
		fields: map[string]func(*types.PrefixList) []string{
			"prefix-list-id":   one(id),
			"prefix-list-name": one(func(p *types.PrefixList) *string { return p.PrefixListName }),
		},
	}.find(c)
	return &ec2.DescribePrefixListsOutput{PrefixLists: dereferenced(found), NextToken: next}, err
}
