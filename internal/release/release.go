// Package release puts back what Cordon changed, exactly as it was recorded, by
// the decision of a person who found a false alarm.
//
// Interfaces come first: they are what people wait for. An interface goes back
// into all of its recorded groups or stays where it is. If one of those groups
// was deleted meanwhile, the rest of them would be a guess at who may talk to
// the instance; it stays isolated and people are told. So does one that
// somebody has put elsewhere since: it is not touched.
package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/mandate"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeSecurityGroupsAPIClient
	DescribeInstanceAttribute(context.Context, *ec2.DescribeInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error)
	ModifyInstanceAttribute(context.Context, *ec2.ModifyInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.ModifyInstanceAttributeOutput, error)
	ModifyNetworkInterfaceAttribute(context.Context, *ec2.ModifyNetworkInterfaceAttributeInput, ...func(*ec2.Options)) (*ec2.ModifyNetworkInterfaceAttributeOutput, error)
}

// AutoScaling is the part of the EC2 Auto Scaling API this step calls.
type AutoScaling interface {
	autoscaling.DescribeAutoScalingGroupsAPIClient
	autoscaling.DescribeAutoScalingInstancesAPIClient
	AttachInstances(context.Context, *autoscaling.AttachInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.AttachInstancesOutput, error)
	ExitStandby(context.Context, *autoscaling.ExitStandbyInput, ...func(*autoscaling.Options)) (*autoscaling.ExitStandbyOutput, error)
}

// ElasticLoadBalancingV2 is the part of the Elastic Load Balancing API, version 2, this step calls.
type ElasticLoadBalancingV2 interface {
	elbv2.DescribeTargetHealthAPIClient
	RegisterTargets(context.Context, *elbv2.RegisterTargetsInput, ...func(*elbv2.Options)) (*elbv2.RegisterTargetsOutput, error)
}

// ElasticLoadBalancing is the part of the API of classic load balancers this step calls.
type ElasticLoadBalancing interface {
	elb.DescribeLoadBalancersAPIClient
	RegisterInstancesWithLoadBalancer(context.Context, *elb.RegisterInstancesWithLoadBalancerInput, ...func(*elb.Options)) (*elb.RegisterInstancesWithLoadBalancerOutput, error)
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

// Input names the request on which a person decided to release.
type Input struct {
	Incident  incident.Incident `json:"incident"`
	Round     int               `json:"round"`
	Execution string            `json:"execution"` // ARN of the one that asks
}

// Output is what is back and what is not. It tells of the state found at the
// end, so a run that finds everything done says the same as the one that did it.
type Output = incident.Restoration

// Step releases an instance.
type Step struct {
	host      incident.Host
	ec2       EC2
	scaling   AutoScaling
	balancers ElasticLoadBalancingV2
	classics  ElasticLoadBalancing
	incidents Incidents
	decisions *mandate.Reader

	table, stack string
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE, MAC_KEY_ID and STACK_NAME.
func New(host incident.Host, ec2 EC2, scaling AutoScaling, balancers ElasticLoadBalancingV2, classics ElasticLoadBalancing, kms KMS, incidents Incidents, decisions Decisions) (*Step, error) {
	reader, err := mandate.NewReader(host, kms, incidents, decisions)
	if err != nil {
		return nil, err
	}
	s := &Step{host: host, ec2: ec2, scaling: scaling, balancers: balancers, classics: classics, incidents: incidents, decisions: reader}
	for name, to := range map[string]*string{"INCIDENTS_TABLE": &s.table, "STACK_NAME": &s.stack} {
		if *to, err = host.Setting(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// stepName is the record key of this step.
const stepName = "release"

// begun is what stands there until it ended.
type begun struct {
	incident.Restoration
	BeganAt time.Time `json:"beganAt"`
}

// ended is what stands there then. The time outlives every note of a decision: held
// against that of the last isolation it says whether the instance is where a person
// put it, whatever was asked and refused since (enrich).
type ended struct {
	incident.Restoration
	EndedAt time.Time `json:"endedAt"`
}

// Run is safe to repeat, also after it has said that something is not back. Its
// error wraps incident.ErrSuperseded where another execution has the incident,
// incident.ErrRefused where the decision does not hold, or where it is
// not the same machine any more and the decision does not say to do what can be done,
// and incident.ErrInstanceNotFound where there is none any more to put back. A call that
// EC2 did not carry out is an error, after everything else was tried, so that
// the machine runs it again; what can never come back is in NotBack.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	d, err := s.decisions.ReadAs(ctx, in.Incident, in.Round, in.Execution, incident.Release)
	if err != nil {
		return Output{}, err
	}
	i, err := mandate.Machine(ctx, s.ec2, in.Incident)
	if err == nil && mandate.Dead(i) {
		// EC2 describes a terminated one for an hour; gone it is all the same.
		return Output{}, fmt.Errorf("release %s: it is %s: %w", in.Incident.InstanceID, i.State.Name, incident.ErrInstanceNotFound)
	}
	if err == nil {
		err = mandate.Root(i, in.Incident)
	}
	other := err
	switch {
	case errors.Is(err, incident.ErrRefused) && d.Force:
	case errors.Is(err, incident.ErrRefused):
		return Output{}, fmt.Errorf("%w; what can be put back all the same is put back by: cordon decide %s release --force", err, in.Incident.ID)
	case err != nil:
		return Output{}, err
	}
	// Written before anything goes back: whoever finds an interface of ours outside
	// our groups must know that it was us.
	begun := begun{BeganAt: s.host.Now().UTC(), Restoration: incident.Restoration{
		Report: incident.Report{Status: incident.Failed, Reason: "it began, and its end is not known"}, Restored: []string{}, NotBack: []string{}, Person: d.Person, Because: d.Reason,
	}}
	if err := record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, begun); err != nil {
		return Output{}, err
	}
	was, err := s.recorded(ctx, in.Incident)
	if err != nil {
		return Output{}, err
	}
	out, err := s.restore(ctx, in, was, other != nil)
	if err != nil {
		return Output{}, err
	}
	if other != nil {
		out.NotBack = append(out.NotBack, in.Incident.InstanceID+": "+strings.TrimPrefix(other.Error(), incident.ErrRefused.Error()+": "))
		out.Report = notBack(out.NotBack)
	}
	return s.done(ctx, in, d, out)
}

// done names who decided: the branch that asked them was ended by their release.
func (s *Step) done(ctx context.Context, in Input, d incident.Decision, out Output) (Output, error) {
	out.Person, out.Because = d.Person, d.Reason
	return out, record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, ended{out, s.host.Now().UTC()})
}

// restore looks, puts back what is not, and looks again. other: it is known not
// to be the machine of the incident any more.
func (s *Step) restore(ctx context.Context, in Input, was prior, other bool) (Output, error) {
	before, err := s.look(ctx, in.Incident, was, other)
	if err != nil {
		return Output{}, err
	}
	// The network first: a group ends an instance in service that does not
	// answer. Termination protection is the last to go. None waits for the
	// success of another.
	refused := map[string]string{}
	var failed []error
	for _, things := range before.phases() {
		failed = append(failed, s.putBack(ctx, things, refused))
	}
	after, err := s.look(ctx, in.Incident, was, other)
	if err := errors.Join(errors.Join(failed...), err); err != nil {
		return Output{}, err
	}
	return after.report(refused)
}

// phases are all things, those that go back together in one.
func (w world) phases() [][]thing {
	return [][]thing{w.interfaces(), w.flags(), w.membership(), w.places(), w.guard()}
}

// putBack notes in refused what can only come back once people have changed
// something else.
func (s *Step) putBack(ctx context.Context, things []thing, refused map[string]string) error {
	errs := make([]error, len(things))
	s.host.Each(len(things), func(n int) {
		if t := things[n]; !t.back && t.never == "" && t.put != nil {
			errs[n] = t.put(ctx)
		}
	})
	for n, err := range errs {
		var answer smithy.APIError
		switch {
		case err == nil:
		case errors.As(err, &answer) && slices.Contains(refusals, answer.ErrorCode()):
			refused[things[n].name], errs[n] = fmt.Sprintf("%s (%s)", answer.ErrorMessage(), answer.ErrorCode()), nil
		default:
			errs[n] = fmt.Errorf("put back %s: %w", things[n].name, err)
		}
	}
	return errors.Join(errs...)
}

// refusals are the answers of Auto Scaling and of balancers that stay as they
// are however often they are asked.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
// https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_RegisterInstancesWithLoadBalancer.html
var refusals = []string{"ValidationError", "InvalidTarget", "TargetGroupNotFound", "TooManyTargets", "TooManyRegistrationsForTargetId", "LoadBalancerNotFound", "InvalidInstance"}

// report tells how things are now. That something that could come back did not,
// although AWS accepted it, is an error: it may only not show yet.
func (w world) report(refused map[string]string) (Output, error) {
	out := Output{Report: incident.Report{Status: incident.OK}, Connected: true, Restored: []string{}, NotBack: []string{}}
	for _, t := range slices.Concat(w.phases()...) {
		why := cmp.Or(t.never, refused[t.name])
		switch {
		case t.back:
			out.Restored = append(out.Restored, t.name)
		case why != "":
			out.NotBack = append(out.NotBack, t.name+": "+why)
			out.Connected = out.Connected && !t.attached
		default:
			return Output{}, fmt.Errorf("verify the release of %s: AWS does not show %s as it was", w.id, t.name)
		}
	}
	if len(out.NotBack) > 0 {
		out.Report = notBack(out.NotBack)
	}
	return out, nil
}

func notBack(what []string) incident.Report {
	return incident.Report{Status: incident.Partial, Reason: "not back: " + strings.Join(what, "; ")}
}
