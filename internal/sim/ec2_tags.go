package sim

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// tagsAtMost is how many tags a resource may have, besides those of AWS.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
const tagsAtMost = 50

func tooManyTags() error {
	return ec2Error("TagLimitExceeded", "The maximum number of tags per resource, %d, has been reached", tagsAtMost)
}

func reservedTag(t types.Tag) bool {
	return strings.HasPrefix(strings.ToLower(aws.ToString(t.Key)), "aws:")
}

// taggable is a resource with its tags.
type taggable struct {
	id   *string
	kind types.ResourceType
	tags *[]types.Tag
}

// taggables are all resources that may have tags, by kind.
func (w *world) taggables() []taggable {
	var all []taggable
	for _, v := range w.instances() {
		all = append(all, taggable{v.InstanceId, types.ResourceTypeInstance, &v.Tags})
	}
	for _, v := range w.NetworkInterfaces {
		all = append(all, taggable{v.NetworkInterfaceId, types.ResourceTypeNetworkInterface, &v.TagSet})
	}
	for _, v := range w.SecurityGroups {
		all = append(all, taggable{v.GroupId, types.ResourceTypeSecurityGroup, &v.Tags})
	}
	for _, v := range w.Snapshots {
		all = append(all, taggable{v.SnapshotId, types.ResourceTypeSnapshot, &v.Tags})
	}
	for _, v := range w.Volumes {
		all = append(all, taggable{v.VolumeId, types.ResourceTypeVolume, &v.Tags})
	}
	return all
}

// tags are those of a resource; nil for one that does not exist.
func (w *world) tags(id string) *[]types.Tag {
	for _, t := range w.taggables() {
		if aws.ToString(t.id) == id {
			return t.tags
		}
	}
	return nil
}

// DescribeTags tells each tag of each resource.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html
func (c *EC2) DescribeTags(ctx context.Context, in *ec2.DescribeTagsInput, _ ...func(*ec2.Options)) (*ec2.DescribeTagsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DescribeTags", resources: concerned(nil, in.Filters),
		takes: []string{"Filters", "MaxResults", "NextToken"},
	}, in, c.describeTags)
}

func (c *EC2) describeTags(in *ec2.DescribeTagsInput) (*ec2.DescribeTagsOutput, error) {
	var all []*types.TagDescription
	for _, r := range c.taggables() {
		for _, t := range *r.tags {
			all = append(all, &types.TagDescription{ResourceId: r.id, ResourceType: r.kind, Key: t.Key, Value: t.Value})
		}
	}
	type tag = types.TagDescription
	found, next, err := description[tag]{
		action: "DescribeTags", all: all, filters: in.Filters, max: in.MaxResults, least: 5, token: in.NextToken,
		fields: map[string]func(*tag) []string{
			"resource-id":   one(func(t *tag) *string { return t.ResourceId }),
			"resource-type": enum(func(t *tag) types.ResourceType { return t.ResourceType }),
			"key":           one(func(t *tag) *string { return t.Key }),
			"value":         one(func(t *tag) *string { return t.Value }),
		},
	}.find(c)
	return &ec2.DescribeTagsOutput{Tags: dereferenced(found), NextToken: next}, err
}

// CreateTags adds tags, or replaces the values of those that are there, on all
// of the resources or on none.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
func (c *EC2) CreateTags(ctx context.Context, in *ec2.CreateTagsInput, _ ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "CreateTags", mutating: true, resources: in.Resources,
		needs: []string{"Resources", "Tags"},
	}, in, c.createTags)
}

func (c *EC2) createTags(in *ec2.CreateTagsInput) (*ec2.CreateTagsOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	after := map[string][]types.Tag{}
	for _, id := range in.Resources {
		now := c.tags(id)
		if now == nil {
			return nil, noResource(id)
		}
		all := slices.Clone(*now)
		for _, t := range in.Tags {
			all = slices.DeleteFunc(all, func(o types.Tag) bool { return aws.ToString(o.Key) == *t.Key })
			all = append(all, types.Tag{Key: t.Key, Value: aws.String(aws.ToString(t.Value))})
		}
		if len(slices.DeleteFunc(slices.Clone(all), reservedTag)) > tagsAtMost {
			return nil, tooManyTags()
		}
		after[id] = all
	}
	for id, all := range after {
		*c.tags(id) = all
	}
	return &ec2.CreateTagsOutput{}, nil
}

// noResource is the answer to a resource that cannot have tags because it does not exist.
func noResource(id string) error {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "i":
		return noInstance(id)
	case "snap":
		return ec2Error("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
	case "vol":
		return ec2Error("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
	case "sg":
		return noGroup(id)
	case "eni":
		return ec2Error("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", id)
	}
	return ec2Error("InvalidID", "The ID '%s' is not valid", id)
}

// checkTags refuses what no tag may be.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Tag.html
func checkTags(all []types.Tag) error {
	for n, t := range all {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case key == "" || utf8.RuneCountInString(key) > 127:
			return ec2Error("InvalidParameterValue", "Tag key '%s' must have between 1 and 127 characters", key)
		case utf8.RuneCountInString(value) > 256:
			return ec2Error("InvalidParameterValue", "Tag value of '%s' exceeds the maximum length of 256 characters", key)
		case reservedTag(t):
			return ec2Error("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		case slices.ContainsFunc(all[:n], func(o types.Tag) bool { return *o.Key == key }):
			return ec2Error("InvalidParameterValue", "Duplicate tag key '%s' specified.", key)
		}
	}
	return nil
}

// specified are the tags that a call gives what it makes.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagSpecification.html
func specified(all []types.TagSpecification, kind types.ResourceType) ([]types.Tag, error) {
	if len(all) == 0 {
		return nil, nil
	}
	if len(all) > 1 || all[0].ResourceType != kind {
		return nil, ec2Error("InvalidParameterValue", "Tag specification resource type must have the value '%s', once", kind)
	}
	if err := checkTags(all[0].Tags); err != nil {
		return nil, err
	}
	if len(all[0].Tags) > tagsAtMost {
		return nil, tooManyTags()
	}
	return clone(all[0].Tags), nil
}

// DeleteTags takes tags away; what is not there is no error. A tag with a value
// goes only if it has that value, and an empty value is one.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
func (c *EC2) DeleteTags(ctx context.Context, in *ec2.DeleteTagsInput, _ ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "DeleteTags", mutating: true, resources: in.Resources,
		needs: []string{"Resources", "Tags"},
	}, in, c.deleteTags)
}

func (c *EC2) deleteTags(in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	for _, id := range in.Resources {
		if c.tags(id) == nil {
			return nil, noResource(id)
		}
	}
	for _, id := range in.Resources {
		tags := c.tags(id)
		*tags = slices.DeleteFunc(*tags, func(o types.Tag) bool {
			return slices.ContainsFunc(in.Tags, func(t types.Tag) bool {
				return aws.ToString(o.Key) == *t.Key && (t.Value == nil || aws.ToString(o.Value) == *t.Value)
			})
		})
	}
	return &ec2.DeleteTagsOutput{}, nil
}
