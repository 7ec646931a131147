// Package credentials denies the credentials of an instance's own role, for that
// instance alone, and allows them again by a person's decision. Stolen, they
// work from anywhere, whatever security groups say.
//
// It is off unless the operator names the roles that it may touch. IAM knows no
// condition on the content of an inline policy, so whoever may write a denial
// may write an allowance: this function is worth an administrator's of those
// roles, which is why nothing else is in it.
package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"cordon/internal/incident"
	"cordon/internal/mandate"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
}

// IAM is the part of the IAM API this step calls.
type IAM interface {
	GetInstanceProfile(context.Context, *iam.GetInstanceProfileInput, ...func(*iam.Options)) (*iam.GetInstanceProfileOutput, error)
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput, ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error)
	PutRolePolicy(context.Context, *iam.PutRolePolicyInput, ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error)
	DeleteRolePolicy(context.Context, *iam.DeleteRolePolicyInput, ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error)
}

// KMS is the part of the KMS API this step calls.
type KMS interface {
	mandate.Verifier
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
	record.Querier
}

// Decisions is the decisions table.
type Decisions interface {
	record.Getter
}

// Input says what to deny, or on which request a person decided to release.
type Input struct {
	Incident  incident.Incident `json:"incident"`
	Execution string            `json:"execution"` // ARN of the one that asks
	Want      incident.Denial   `json:"want"`      // narrowed, denied, or allowed
	Round     int               `json:"round"`     // of the decision to release; read for allowed only
}

// Output is how things are now.
type Output = incident.Credentials

// Step denies credentials.
type Step struct {
	host      incident.Host
	ec2       EC2
	iam       IAM
	incidents Incidents
	decisions *mandate.Reader

	table, stack, roles string
	dry                 bool // a dry run: say what would be done
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE, MAC_KEY_ID, STACK_NAME and
// CREDENTIAL_ROLES, a pattern of role ARNs with *, or "off"; and, where it is
// set, DRY_RUN.
func New(host incident.Host, ec2 EC2, iam IAM, kms KMS, incidents Incidents, decisions Decisions) (*Step, error) {
	reader, err := mandate.NewReader(host, kms, incidents, decisions)
	if err != nil {
		return nil, err
	}
	s := &Step{host: host, ec2: ec2, iam: iam, incidents: incidents, decisions: reader, dry: host.Getenv("DRY_RUN") == "true"}
	for name, to := range map[string]*string{"INCIDENTS_TABLE": &s.table, "STACK_NAME": &s.stack, "CREDENTIAL_ROLES": &s.roles} {
		if *to, err = host.Setting(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// stepName is the record key of this step.
const stepName = "credentials"

// Run is safe to repeat. What is denied stays denied until a person decided to
// release: it never goes back by itself from denied to narrowed. Its error wraps
// incident.ErrSuperseded where another execution has the incident, which may have
// released the instance since.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if s.roles == "off" {
		return Output{
			Report: incident.Report{Status: incident.Skipped, Reason: "the credentials of its role are not denied: CredentialRoles is empty"},
			State:  incident.Allowed, Shared: []string{},
		}, nil
	}
	switch in.Want {
	case incident.Narrowed, incident.Denied:
		return s.deny(ctx, in)
	case incident.Allowed:
		return s.allow(ctx, in)
	}
	return Output{}, fmt.Errorf("credentials of %s: want %q is not narrowed, denied or allowed", in.Incident.InstanceID, in.Want)
}

func (s *Step) deny(ctx context.Context, in Input) (Output, error) {
	if !s.dry { // which opens no incident
		if _, err := record.Own(ctx, s.incidents, s.table, in.Incident.ID, in.Execution); err != nil {
			return Output{}, err
		}
	}
	out := Output{State: incident.Allowed, Shared: []string{}}
	role, why, err := s.role(ctx, in.Incident, &out)
	if err != nil {
		return Output{}, err
	}
	if why != "" {
		out.Report = incident.Report{Status: incident.Skipped, Reason: why}
		if s.dry {
			return out, nil
		}
		return s.done(ctx, in, out)
	}
	if s.dry {
		out.Report = incident.Report{Status: incident.Skipped, Reason: "dry run: the credentials of role " + out.Role + " would be denied to this instance"}
		return out, nil
	}
	var before Output
	if _, err := record.LoadStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, &before); err != nil {
		return Output{}, err
	}
	want := in.Want
	if before.State == incident.Denied && before.Role == out.Role {
		want = incident.Denied
	}
	name := policyName(in.Incident.InstanceID)
	value, err := json.Marshal(name)
	if err != nil {
		return Output{}, fmt.Errorf("encode the name of a policy: %w", err)
	}
	prior := record.Prior{Resource: role, Attribute: incident.PriorRolePolicy, Value: value, At: s.host.Now()}
	if _, err := record.Remember(ctx, s.incidents, s.table, s.host, in.Incident, []record.Prior{prior}); err != nil {
		return Output{}, err
	}
	document, err := policy(want, instanceARN(out.Role, in.Incident))
	if err != nil {
		return Output{}, err
	}
	if _, err := s.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}); err != nil {
		if reason := refusal(err); reason != "" {
			out.Report = incident.Report{Status: incident.Failed, Reason: reason}
			return s.done(ctx, in, out)
		}
		return Output{}, fmt.Errorf("deny the credentials of %s: %w", in.Incident.InstanceID, err)
	}
	if err := s.verify(ctx, role, name, document); err != nil {
		return Output{}, err
	}
	out.Report, out.State, out.Policy = incident.Report{Status: incident.OK}, want, name
	return s.done(ctx, in, out)
}

func (s *Step) done(ctx context.Context, in Input, out Output) (Output, error) {
	return out, record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, out)
}

// refusal is IAM's answer that stays as it is however often it is asked; "" for others.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
func refusal(err error) string {
	var limit *iamtypes.LimitExceededException
	var protected *iamtypes.UnmodifiableEntityException
	var gone *iamtypes.NoSuchEntityException
	switch {
	case errors.As(err, &limit):
		return "the role has no room for another inline policy: " + limit.ErrorMessage()
	case errors.As(err, &protected):
		return "IAM lets nobody change this role: " + protected.ErrorMessage()
	case errors.As(err, &gone):
		return "the role is gone: " + gone.ErrorMessage()
	}
	return ""
}

// verify reads back what was written. IAM is eventually consistent: what does
// not show yet is an error, and the machine runs the step again.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html#troubleshoot_general_eventual-consistency
func (s *Step) verify(ctx context.Context, role, name, document string) error {
	out, err := s.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
	if err != nil {
		return fmt.Errorf("read back policy %s of role %s: %w", name, role, err)
	}
	text, err := url.PathUnescape(aws.ToString(out.PolicyDocument))
	if err != nil {
		return fmt.Errorf("read back policy %s of role %s: %w", name, role, err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal([]byte(document), &want), json.Unmarshal([]byte(text), &got)); err != nil {
		return fmt.Errorf("read back policy %s of role %s: %w", name, role, err)
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("read back policy %s of role %s: it is not what was written", name, role)
	}
	return nil
}

// role finds the instance's role and who else has it. why says what keeps this
// step from touching it.
func (s *Step) role(ctx context.Context, inc incident.Incident, out *Output) (name, why string, err error) {
	i, err := mandate.Machine(ctx, s.ec2, inc)
	if err != nil {
		return "", "", err
	}
	profile := i.IamInstanceProfile
	if profile == nil {
		return "", "the instance has no role", nil
	}
	arn := aws.ToString(profile.Arn)
	profileName := arn[strings.LastIndex(arn, "/")+1:]
	answer, err := s.iam.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &profileName})
	var gone *iamtypes.NoSuchEntityException
	switch {
	case errors.As(err, &gone):
		return "", "its instance profile " + profileName + " no longer exists", nil
	case err != nil:
		return "", "", fmt.Errorf("look up the role of instance profile %s: %w", profileName, err)
	case len(answer.InstanceProfile.Roles) == 0:
		return "", "its instance profile " + profileName + " has no role", nil
	}
	role := answer.InstanceProfile.Roles[0] // there is one at most
	out.Role, name = aws.ToString(role.Arn), aws.ToString(role.RoleName)
	path := aws.ToString(role.Path)
	switch {
	case strings.HasPrefix(path, "/aws-reserved/"), strings.HasPrefix(path, "/aws-service-role/"):
		return "", "role " + out.Role + " is AWS's own", nil
	case strings.HasPrefix(name, s.stack+"-"):
		return "", "role " + out.Role + " is one of Cordon's own", nil
	case !incident.Pattern(s.roles).Matches(out.Role):
		return "", "role " + out.Role + " does not match CredentialRoles", nil
	}
	if out.Shared, err = s.shared(ctx, arn, inc.InstanceID); err != nil {
		return "", "", err
	}
	return name, "", nil
}

// shared are the other instances with the same profile. The denial does not
// reach them: whoever took the role's keys from one of those keeps them.
func (s *Step) shared(ctx context.Context, profile, id string) ([]string, error) {
	all := []string{}
	pages := ec2.NewDescribeInstancesPaginator(s.ec2, &ec2.DescribeInstancesInput{Filters: []types.Filter{
		{Name: aws.String("iam-instance-profile.arn"), Values: []string{profile}},
		{Name: aws.String("instance-state-name"), Values: []string{"pending", "running", "stopping", "stopped"}},
	}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look who else has instance profile %s: %w", profile, err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				if other := aws.ToString(i.InstanceId); other != id {
					all = append(all, other)
				}
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

// allow takes the denial back, by the decision of a person to release.
func (s *Step) allow(ctx context.Context, in Input) (Output, error) {
	if _, err := s.decisions.ReadAs(ctx, in.Incident, in.Round, in.Execution, incident.Release); err != nil {
		return Output{}, err
	}
	out := Output{State: incident.Allowed, Shared: []string{}}
	var removed []string
	err := record.EachPrior(ctx, s.incidents, s.table, in.Incident, func(p record.Prior) error {
		if p.Attribute != incident.PriorRolePolicy || slices.Contains(removed, p.Resource) {
			return nil
		}
		var name string
		if err := json.Unmarshal(p.Value, &name); err != nil {
			return err
		}
		if name != policyName(in.Incident.InstanceID) {
			return fmt.Errorf("%q is not a policy of ours", name)
		}
		_, err := s.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &p.Resource, PolicyName: &name})
		// Gone is as good: an answer was lost, or somebody was faster.
		var gone *iamtypes.NoSuchEntityException
		if err != nil && !errors.As(err, &gone) {
			return fmt.Errorf("allow the credentials of %s again: %w", in.Incident.InstanceID, err)
		}
		removed = append(removed, p.Resource)
		return nil
	})
	if err != nil {
		return Output{}, err
	}
	out.Report = incident.Report{Status: incident.OK}
	if len(removed) == 0 {
		out.Report = incident.Report{Status: incident.Skipped, Reason: "nothing was denied"}
	}
	return s.done(ctx, in, out)
}

func policyName(instance string) string { return "cordon-" + instance }

// instanceARN is the instance as the condition key has it, in the partition of its role.
func instanceARN(role string, inc incident.Incident) string {
	_, rest, _ := strings.Cut(role, ":")
	partition, _, _ := strings.Cut(rest, ":")
	return fmt.Sprintf("arn:%s:ec2:%s:%s:instance/%s", partition, inc.Region, inc.Account, inc.InstanceID)
}

// agent is what the SSM agent needs to run a command, and nothing that reads
// what others keep in SSM.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/ssm-agent-technical-details.html
var agent = []string{
	"ec2messages:*",
	"ssm:DescribeDocument", "ssm:GetDocument", "ssm:ListInstanceAssociations",
	"ssm:UpdateInstanceAssociationStatus", "ssm:UpdateInstanceInformation",
	"ssmmessages:*",
}

type statement struct {
	Sid, Effect string
	Action      string   `json:",omitempty"`
	NotAction   []string `json:",omitempty"`
	Resource    string
	Condition   map[string]map[string]string
}

// policy denies what this one instance's credentials may do. The key is in every
// request made with credentials that EC2 gave out, wherever it is made from.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-ec2-source-instance-arn
func policy(want incident.Denial, instance string) (string, error) {
	s := statement{Sid: "CordonDeniesOneInstance", Effect: "Deny", Resource: "*", Condition: map[string]map[string]string{"ArnEquals": {"ec2:SourceInstanceARN": instance}}}
	if want == incident.Narrowed {
		s.NotAction = agent
	} else {
		s.Action = "*"
	}
	b, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{s}})
	if err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return string(b), nil
}
