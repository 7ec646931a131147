// Package terminate ends one instance that a person decided to end.
//
// It believes nothing it is told: it reads the decision again, looks at the
// machine, its mark, its isolation and its evidence, and refuses on any doubt.
package terminate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/mandate"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeSnapshotsAPIClient
	DescribeInstanceAttribute(context.Context, *ec2.DescribeInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error)
	ModifyInstanceAttribute(context.Context, *ec2.ModifyInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.ModifyInstanceAttributeOutput, error)
	TerminateInstances(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

// KMS is the part of the KMS API this step calls.
type KMS interface {
	mandate.Verifier
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

// Decisions is the decisions table.
type Decisions interface {
	record.Getter
}

// Input names the request on which a person decided to terminate.
type Input struct {
	Incident  incident.Incident `json:"incident"`
	Round     int               `json:"round"`
	Execution string            `json:"execution"` // ARN of the one that asks
}

// Output says what became of the instance. Where it was gone without our doing,
// Reason says so.
type Output struct {
	incident.Report
	State string `json:"state"` // "shutting-down" or "terminated"
}

// Step terminates an instance.
type Step struct {
	host      incident.Host
	ec2       EC2
	incidents Incidents
	decisions *mandate.Reader

	table, stack string
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE, MAC_KEY_ID and STACK_NAME.
func New(host incident.Host, ec2 EC2, kms KMS, incidents Incidents, decisions Decisions) (*Step, error) {
	reader, err := mandate.NewReader(host, kms, incidents, decisions)
	if err != nil {
		return nil, err
	}
	s := &Step{host: host, ec2: ec2, incidents: incidents, decisions: reader}
	for name, to := range map[string]*string{"INCIDENTS_TABLE": &s.table, "STACK_NAME": &s.stack} {
		if *to, err = host.Setting(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// stepName is the record key of this step.
const stepName = "terminate"

// state is what the step knows when it runs again, written before the call that
// it announces.
type state struct {
	CalledAt time.Time                     `json:"calledAt"` // when the instance was first about to be terminated; zero before
	Lifted   []types.InstanceAttributeName `json:"lifted"`   // protection that this step took off and has not put back
}

// Run is safe to repeat: a termination whose answer was lost is found by the
// instance's state. Its error wraps incident.ErrRefused where there is doubt,
// incident.ErrEvidence where that is about evidence alone, or incident.ErrSuperseded
// where another execution has the incident.
// Whatever goes wrong before EC2 accepts the termination, protection that was
// taken off is put back.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	var st state
	if _, err := record.LoadStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, &st); err != nil {
		return Output{}, err
	}
	i, err := s.verify(ctx, in)
	if errors.Is(err, incident.ErrInstanceNotFound) {
		return Output{}, err // EC2 forgets and remembers: the machine asks again before it believes it
	}
	if errors.Is(err, incident.ErrSuperseded) {
		return Output{}, err // whoever has the incident protected the instance anew, or has released it since
	}
	if err != nil {
		return Output{}, s.protect(ctx, in, st, err)
	}
	if mandate.Dead(i) {
		return gone(in, st, string(i.State.Name)), nil
	}
	return s.terminate(ctx, in, st)
}

// gone is the outcome where the instance has ended. That it has is what was
// decided, whoever did it.
func gone(in Input, st state, now string) Output {
	out := Output{Report: incident.Report{Status: incident.OK}, State: now}
	if st.CalledAt.IsZero() {
		out.Reason = fmt.Sprintf("%s was %s before Cordon terminated it: somebody or something else did", in.Incident.InstanceID, now)
	}
	return out
}

// verify reads the decision and looks at everything a termination rests on. A
// dead instance needs no more than the decision.
func (s *Step) verify(ctx context.Context, in Input) (types.Instance, error) {
	d, err := s.decisions.ReadAs(ctx, in.Incident, in.Round, in.Execution, incident.Terminate)
	if err != nil {
		return types.Instance{}, err
	}
	i, err := mandate.Machine(ctx, s.ec2, in.Incident)
	if err != nil || mandate.Dead(i) {
		return i, err
	}
	if want := mandate.TagValue(in.Incident.ID, in.Round); !tagged(i.Tags, mandate.Tag, want) {
		return i, mandate.Refuse("%s does not carry the tag %s with %s: the termination was not authorized, or somebody removed the mark", in.Incident.InstanceID, mandate.Tag, want)
	}
	checks := []func() error{func() error { return s.isolated(ctx, in) }}
	if !d.Override {
		checks = append(checks, func() error { return s.evidenced(ctx, in, i) })
	}
	errs := make([]error, len(checks))
	s.host.Each(len(checks), func(n int) { errs[n] = checks[n]() })
	return i, errors.Join(errs...)
}

// terminate takes protection off, terminates and verifies. What it takes off is
// written down first, so that a later run can put it back.
func (s *Step) terminate(ctx context.Context, in Input, st state) (Output, error) {
	id := in.Incident.InstanceID
	on, err := s.protection(ctx, id)
	if err != nil {
		return Output{}, s.protect(ctx, in, st, err)
	}
	for _, a := range on {
		if !slices.Contains(st.Lifted, a) {
			st.Lifted = append(st.Lifted, a)
		}
	}
	if st.CalledAt.IsZero() {
		st.CalledAt = s.host.Now()
	}
	if err := s.save(ctx, in, st); err != nil {
		return Output{}, s.protect(ctx, in, st, err)
	}
	for _, a := range on {
		if err := s.set(ctx, id, a, false); err != nil {
			return Output{}, s.protect(ctx, in, st, err)
		}
	}
	// Without SkipOsShutdown the system would be shut down first, and an
	// intruder's shutdown hooks with it.
	out, err := s.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}, SkipOsShutdown: aws.Bool(true)})
	if err != nil {
		return s.unanswered(ctx, in, st, fmt.Errorf("terminate %s: %w", id, err))
	}
	i, err := mandate.Machine(ctx, s.ec2, in.Incident)
	switch {
	case err != nil:
		return Output{}, fmt.Errorf("verify that %s terminates: %w", id, err)
	case !mandate.Dead(i):
		return Output{}, fmt.Errorf("verify that %s terminates: EC2 accepted it (%s) and shows it as %s", id, accepted(out), stateOf(i))
	}
	return gone(in, st, string(i.State.Name)), nil
}

// unanswered tells a termination that was refused from one whose answer was lost.
func (s *Step) unanswered(ctx context.Context, in Input, st state, refused error) (Output, error) {
	i, err := mandate.Machine(ctx, s.ec2, in.Incident)
	switch {
	case err == nil && mandate.Dead(i):
		return gone(in, st, string(i.State.Name)), nil
	}
	return Output{}, s.protect(ctx, in, st, errors.Join(refused, err))
}

// protections are what keeps TerminateInstances from terminating.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
var protections = []types.InstanceAttributeName{types.InstanceAttributeNameDisableApiStop, types.InstanceAttributeNameDisableApiTermination}

// protection lists what of it is on.
func (s *Step) protection(ctx context.Context, id string) ([]types.InstanceAttributeName, error) {
	found, errs := make([]bool, len(protections)), make([]error, len(protections))
	s.host.Each(len(protections), func(n int) {
		out, err := s.ec2.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: protections[n]})
		if err != nil {
			errs[n] = fmt.Errorf("read %s of %s: %w", protections[n], id, err)
			return
		}
		for _, v := range []*types.AttributeBooleanValue{out.DisableApiStop, out.DisableApiTermination} {
			found[n] = found[n] || v != nil && aws.ToBool(v.Value)
		}
	})
	var on []types.InstanceAttributeName
	for n, a := range protections {
		if found[n] {
			on = append(on, a)
		}
	}
	return on, errors.Join(errs...)
}

// set turns one protection on or off: one attribute a call.
func (s *Step) set(ctx context.Context, id string, a types.InstanceAttributeName, on bool) error {
	in := &ec2.ModifyInstanceAttributeInput{InstanceId: &id}
	switch v := (&types.AttributeBooleanValue{Value: &on}); a {
	case types.InstanceAttributeNameDisableApiStop:
		in.DisableApiStop = v
	case types.InstanceAttributeNameDisableApiTermination:
		in.DisableApiTermination = v
	default:
		return fmt.Errorf("set %s of %s: not a protection", a, id)
	}
	if _, err := s.ec2.ModifyInstanceAttribute(ctx, in); err != nil {
		return fmt.Errorf("set %s of %s to %t: %w", a, id, on, err)
	}
	return nil
}

// protect puts back what this step took off and returns why it had to. What
// could not be put back stays on the list, for the next run.
func (s *Step) protect(ctx context.Context, in Input, st state, why error) error {
	if len(st.Lifted) == 0 {
		return why
	}
	var left []types.InstanceAttributeName
	for _, a := range st.Lifted {
		if err := s.set(ctx, in.Incident.InstanceID, a, true); err != nil {
			why = errors.Join(why, fmt.Errorf("and the protection that was taken off is not back: %w", err))
			left = append(left, a)
		}
	}
	st.Lifted = left
	if err := s.save(ctx, in, st); err != nil {
		why = errors.Join(why, err)
	}
	return why
}

func (s *Step) save(ctx context.Context, in Input, st state) error {
	return record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, st)
}

func accepted(out *ec2.TerminateInstancesOutput) string {
	for _, c := range out.TerminatingInstances {
		if c.CurrentState != nil {
			return string(c.CurrentState.Name)
		}
	}
	return "no state told"
}

func stateOf(i types.Instance) string {
	if i.State == nil {
		return "in no state"
	}
	return string(i.State.Name)
}

func tagged(tags []types.Tag, key, value string) bool {
	return slices.ContainsFunc(tags, func(t types.Tag) bool {
		return aws.ToString(t.Key) == key && aws.ToString(t.Value) == value
	})
}

func and(reasons []string) string { return strings.Join(reasons, "; ") }
