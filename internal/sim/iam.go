package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// IAM holds instance profiles, and the inline policies of their roles.
type IAM struct {
	a        *Account
	Profiles []*types.InstanceProfile
	Policies map[string]map[string]string // documents, by name of the role and of the policy
	before   map[string]map[string]string // before the newest write, for a stale read
}

func newIAM(a *Account) *IAM { return &IAM{a: a, Policies: map[string]map[string]string{}} }

func (c *IAM) sections() []section {
	return []section{kept("InstanceProfiles", &c.Profiles), kept("RolePolicies", &c.Policies)}
}

// settle makes the profiles that only an instance tells of: with a role of the
// same name, which is what the console makes.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
func (c *IAM) settle() error {
	if c.Policies == nil {
		c.Policies = map[string]map[string]string{}
	}
	if err := distinct("InstanceProfiles:", c.Profiles, "InstanceProfileName", func(p *types.InstanceProfile) *string { return p.InstanceProfileName }); err != nil {
		return err
	}
	for _, i := range c.a.ec2.instances() {
		if i.IamInstanceProfile == nil {
			continue
		}
		arn := aws.ToString(i.IamInstanceProfile.Arn)
		name := arn[strings.LastIndex(arn, "/")+1:]
		if name == "" {
			return fmt.Errorf("Reservations: instance %s has an IamInstanceProfile without Arn", *i.InstanceId)
		}
		if c.profile(name) == nil {
			role := strings.Replace(arn, ":instance-profile/", ":role/", 1)
			c.Profiles = append(c.Profiles, &types.InstanceProfile{InstanceProfileName: &name, Arn: &arn, Roles: []types.Role{{RoleName: &name, Arn: &role, Path: aws.String("/")}}})
		}
	}
	return nil
}

func (c *IAM) profile(name string) *types.InstanceProfile {
	return find(c.Profiles, name, func(p *types.InstanceProfile) *string { return p.InstanceProfileName })
}

// role is a role that some profile has.
func (c *IAM) role(name string) *types.Role {
	for _, p := range c.Profiles {
		for n := range p.Roles {
			if aws.ToString(p.Roles[n].RoleName) == name {
				return &p.Roles[n]
			}
		}
	}
	return nil
}

func noEntity(what, name string) error {
	return &types.NoSuchEntityException{Message: aws.String("The " + what + " with name " + name + " cannot be found.")}
}

func invokeIAM[I, O any](ctx context.Context, c *IAM, op operation, in *I, effect func(*I) (*O, error)) (*O, error) {
	op.service = "iam"
	return invoke(ctx, c.a, op, in, func(in *I, stale bool) (*O, error) {
		if stale && c.before != nil {
			now := c.Policies
			c.Policies = c.before
			defer func() { c.Policies = now }()
		}
		was := clone(c.Policies)
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

// GetInstanceProfile tells the role of a profile.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
func (c *IAM) GetInstanceProfile(ctx context.Context, in *iam.GetInstanceProfileInput, _ ...func(*iam.Options)) (*iam.GetInstanceProfileOutput, error) {
	return invokeIAM(ctx, c, operation{action: "GetInstanceProfile", resources: []string{aws.ToString(in.InstanceProfileName)}, needs: []string{"InstanceProfileName"}}, in,
		func(in *iam.GetInstanceProfileInput) (*iam.GetInstanceProfileOutput, error) {
			p := c.profile(*in.InstanceProfileName)
			if p == nil {
				return nil, noEntity("Instance Profile", *in.InstanceProfileName)
			}
			return &iam.GetInstanceProfileOutput{InstanceProfile: p}, nil
		})
}

// inlineLimit is how many characters all inline policies of a role may have,
// white space aside.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const inlineLimit = 10240

// PutRolePolicy writes an inline policy, over one of the same name.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
func (c *IAM) PutRolePolicy(ctx context.Context, in *iam.PutRolePolicyInput, _ ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error) {
	return invokeIAM(ctx, c, operation{action: "PutRolePolicy", mutating: true, resources: []string{aws.ToString(in.RoleName)}, needs: []string{"RoleName", "PolicyName", "PolicyDocument"}}, in,
		func(in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
			role := c.role(*in.RoleName)
			if role == nil {
				return nil, noEntity("role", *in.RoleName)
			}
			if strings.HasPrefix(aws.ToString(role.Path), "/aws-service-role/") || strings.HasPrefix(aws.ToString(role.Path), "/aws-reserved/") {
				return nil, &types.UnmodifiableEntityException{Message: aws.String("Cannot perform the operation on the protected role '" + *in.RoleName + "' - this role is only modifiable by AWS")}
			}
			var document map[string]any
			if json.Unmarshal([]byte(*in.PolicyDocument), &document) != nil || document["Statement"] == nil {
				return nil, &types.MalformedPolicyDocumentException{Message: aws.String("Syntax errors in policy.")}
			}
			size := 0
			for name, text := range c.Policies[*in.RoleName] {
				if name != *in.PolicyName {
					size += len(strings.Join(strings.Fields(text), ""))
				}
			}
			if size+len(strings.Join(strings.Fields(*in.PolicyDocument), "")) > inlineLimit {
				return nil, &types.LimitExceededException{Message: aws.String(fmt.Sprintf("Maximum policy size of %d bytes exceeded for role %s", inlineLimit, *in.RoleName))}
			}
			if c.Policies[*in.RoleName] == nil {
				c.Policies[*in.RoleName] = map[string]string{}
			}
			c.Policies[*in.RoleName][*in.PolicyName] = *in.PolicyDocument
			return &iam.PutRolePolicyOutput{}, nil
		})
}

// GetRolePolicy answers the document URL-encoded.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html
func (c *IAM) GetRolePolicy(ctx context.Context, in *iam.GetRolePolicyInput, _ ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error) {
	return invokeIAM(ctx, c, operation{action: "GetRolePolicy", resources: []string{aws.ToString(in.RoleName)}, needs: []string{"RoleName", "PolicyName"}}, in,
		func(in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
			text, ok := c.Policies[*in.RoleName][*in.PolicyName]
			if !ok {
				return nil, noEntity("role policy", *in.PolicyName)
			}
			encoded := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
			return &iam.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: &encoded}, nil
		})
}

// DeleteRolePolicy removes an inline policy.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html
func (c *IAM) DeleteRolePolicy(ctx context.Context, in *iam.DeleteRolePolicyInput, _ ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	return invokeIAM(ctx, c, operation{action: "DeleteRolePolicy", mutating: true, resources: []string{aws.ToString(in.RoleName)}, needs: []string{"RoleName", "PolicyName"}}, in,
		func(in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
			if _, ok := c.Policies[*in.RoleName][*in.PolicyName]; !ok {
				return nil, noEntity("role policy", *in.PolicyName)
			}
			delete(c.Policies[*in.RoleName], *in.PolicyName)
			if len(c.Policies[*in.RoleName]) == 0 {
				delete(c.Policies, *in.RoleName)
			}
			return &iam.DeleteRolePolicyOutput{}, nil
		})
}
