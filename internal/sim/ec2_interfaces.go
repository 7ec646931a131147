package sim

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// DescribeNetworkInterfaces tells of interfaces, attached or free.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
func (c *EC2) DescribeNetworkInterfaces(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput, _ ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeNetworkInterfaces", resources: concerned(in.NetworkInterfaceIds, in.Filters),
		takes: []string{"NetworkInterfaceIds", "Filters", "MaxResults", "NextToken"},
	}, in, c.describeNetworkInterfaces)
}

func (c *EC2) describeNetworkInterfaces(in *ec2.DescribeNetworkInterfacesInput) (*ec2.DescribeNetworkInterfacesOutput, error) {
	type eni = types.NetworkInterface
	id := func(i *eni) *string { return i.NetworkInterfaceId }
	found, next, err := description[eni]{
		action: "DescribeNetworkInterfaces", all: c.NetworkInterfaces, id: id, ids: in.NetworkInterfaceIds, missing: "InvalidNetworkInterfaceID.NotFound",
		filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*eni) []string{
			"network-interface-id": one(id),
			"interface-type":       enum(func(i *eni) types.NetworkInterfaceType { return i.InterfaceType }),
			"vpc-id":               one(func(i *eni) *string { return i.VpcId }),
			"subnet-id":            one(func(i *eni) *string { return i.SubnetId }),
			"status":               enum(func(i *eni) types.NetworkInterfaceStatus { return i.Status }),
			"group-id": func(i *eni) []string {
				var ids []string
				for _, g := range i.Groups {
					ids = append(ids, aws.ToString(g.GroupId))
				}
				return ids
			},
			"attachment.instance-id": func(i *eni) []string {
				if i.Attachment == nil || i.Attachment.InstanceId == nil {
					return nil
				}
				return []string{*i.Attachment.InstanceId}
			},
		},
		tags: func(i *eni) []types.Tag { return i.TagSet },
	}.find(c)
	return &ec2.DescribeNetworkInterfacesOutput{NetworkInterfaces: dereferenced(found), NextToken: next}, err
}

// ModifyNetworkInterfaceAttribute replaces the groups of an interface.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html
func (c *EC2) ModifyNetworkInterfaceAttribute(ctx context.Context, in *ec2.ModifyNetworkInterfaceAttributeInput, _ ...func(*ec2.Options)) (*ec2.ModifyNetworkInterfaceAttributeOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "ModifyNetworkInterfaceAttribute", mutating: true, resources: append([]string{aws.ToString(in.NetworkInterfaceId)}, in.Groups...),
		needs: []string{"NetworkInterfaceId"},
		takes: []string{"Groups"},
	}, in, c.modifyNetworkInterfaceAttribute)
}

func (c *EC2) modifyNetworkInterfaceAttribute(in *ec2.ModifyNetworkInterfaceAttributeInput) (*ec2.ModifyNetworkInterfaceAttributeOutput, error) {
	i := c.networkInterface(*in.NetworkInterfaceId)
	if i == nil {
		return nil, ec2Error("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", *in.NetworkInterfaceId)
	}
	if len(in.Groups) == 0 {
		return nil, ec2Error("InvalidParameterCombination", "No attributes specified.")
	}
	// A service's interface is not the account's to change.
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
	if aws.ToBool(i.RequesterManaged) {
		return nil, ec2Error("AuthFailure", "You do not have permission to access the specified resource.")
	}
	return &ec2.ModifyNetworkInterfaceAttributeOutput{}, c.setGroups(i, in.Groups)
}

// setGroups puts an interface into groups of its VPC, five at most.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
func (c *EC2) setGroups(i *types.NetworkInterface, ids []string) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) > 5 {
		return ec2Error("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of security groups per interface has been reached.")
	}
	var to []types.GroupIdentifier
	for _, id := range ids {
		g := c.group(id)
		if g == nil {
			return noGroup(id)
		}
		if aws.ToString(g.VpcId) != aws.ToString(i.VpcId) {
			return ec2Error("InvalidParameter", "You have specified two resources that belong to different networks.")
		}
		to = append(to, types.GroupIdentifier{GroupId: g.GroupId, GroupName: g.GroupName})
	}
	i.Groups = to
	return nil
}
