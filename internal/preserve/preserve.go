// Package preserve keeps an instance and its volumes from being destroyed while
// there is evidence on them: by people, by the instance itself, by scripts, by
// its Auto Scaling group, which asks for no protection but ends what fails its
// health check. It also stops balancers from sending people to an instance that
// will not answer them.
package preserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	DescribeInstanceAttribute(context.Context, *ec2.DescribeInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error)
	ModifyInstanceAttribute(context.Context, *ec2.ModifyInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.ModifyInstanceAttributeOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
	record.Querier
}

// Input names the incident, and who has it.
type Input struct {
	Incident  incident.Incident `json:"incident"`
	Execution string            `json:"execution"` // ARN of the one that asks
}

// Output is what protects the instance now. Status is partial where AWS refused
// something for good, failed where it refused everything.
type Output = incident.Protection

// Step protects an instance.
type Step struct {
	host      incident.Host
	ec2       EC2
	scaling   AutoScaling
	balancers ElasticLoadBalancingV2
	classics  ElasticLoadBalancing
	incidents Incidents

	table          string
	detach, shrink bool
	dry            bool // a dry run: say what would be done
}

// New reads INCIDENTS_TABLE, AUTO_SCALING_ACTION (standby or detach),
// AUTO_SCALING_CAPACITY (replace or shrink) and, where it is set, DRY_RUN.
func New(host incident.Host, ec2 EC2, scaling AutoScaling, balancers ElasticLoadBalancingV2, classics ElasticLoadBalancing, incidents Incidents) (*Step, error) {
	s := &Step{
		host: host, ec2: ec2, scaling: scaling, balancers: balancers, classics: classics, incidents: incidents,
		dry: host.Getenv("DRY_RUN") == "true",
	}
	var err error
	if s.table, err = host.Setting("INCIDENTS_TABLE"); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name, off, on string
		to            *bool
	}{{"AUTO_SCALING_ACTION", "standby", "detach", &s.detach}, {"AUTO_SCALING_CAPACITY", "replace", "shrink", &s.shrink}} {
		v, err := host.Setting(c.name)
		if err != nil {
			return nil, err
		}
		if v != c.off && v != c.on {
			return nil, fmt.Errorf("environment variable %s: %q is neither %s nor %s", c.name, v, c.off, c.on)
		}
		*c.to = v == c.on
	}
	return s, nil
}

// stepName is the record key of this step.
const stepName = "preserve"

// result is how far one thing came.
type result struct {
	name    string
	refused string // AWS's reason; empty if it is as it should be
	would   bool   // a dry run: it is not as it should be, and stays so
	err     error  // it may be otherwise the next time
}

// Run is safe to repeat: what is as it should be is left alone, and the values
// recorded first stay recorded. Everything is done side by side and nothing
// waits for the success of another, because isolation waits for none of it
// longer than ten seconds. Its error wraps incident.ErrSuperseded where another
// execution has the incident.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	var done earlier
	var unread, own error
	s.host.Each(2, func(n int) {
		switch {
		case n == 0:
			done, unread = s.earlier(ctx, in.Incident)
		case !s.dry: // which opens no incident
			_, own = record.Own(ctx, s.incidents, s.table, in.Incident.ID, in.Execution)
		}
	})
	if err := errors.Join(unread, own); err != nil {
		return Output{}, err
	}
	out := Output{Set: []string{}, Refused: []string{}, Hazards: []string{}}
	set := make([]result, len(attributes))
	var group, volumes, places []result
	s.host.Each(len(attributes)+2, func(n int) {
		switch n {
		case len(attributes):
			group = s.leaveGroup(ctx, in.Incident, done, &out)
		case len(attributes) + 1:
			volumes, places = s.described(ctx, in.Incident)
		default:
			set[n] = s.attribute(ctx, in.Incident, attributes[n])
		}
	})
	var errs []error
	var would []string
	for _, r := range slices.Concat(set, volumes, once(group, places, done.results())) {
		switch {
		case r.would:
			would = append(would, r.name)
		case r.err != nil:
			errs = append(errs, r.err)
		case r.refused != "":
			out.Refused = append(out.Refused, r.name+": "+r.refused)
		default:
			out.Set = append(out.Set, r.name)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Output{}, err
	}
	if s.dry {
		out.Report = incident.Report{Status: incident.Skipped, Reason: "dry run: nothing is to be set"}
		if len(would) > 0 {
			out.Reason = "dry run: it would see to " + strings.Join(would, ", ")
		}
		return out, nil
	}
	switch {
	case len(out.Refused) == 0:
		out.Report = incident.Report{Status: incident.OK}
	case len(out.Set) == 0:
		out.Report = incident.Report{Status: incident.Failed, Reason: "AWS refused all of it: " + strings.Join(out.Refused, "; ")}
	default:
		out.Report = incident.Report{Status: incident.Partial, Reason: "AWS refused " + strings.Join(out.Refused, "; ")}
	}
	return out, record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, out)
}

// attribute is one attribute of the instance: where its value is in an answer,
// what it should be, and how it is asked for.
type attribute struct {
	name types.InstanceAttributeName
	read func(*ec2.DescribeInstanceAttributeOutput) any
	want any
	set  func(*ec2.ModifyInstanceAttributeInput)
}

var attributes = []attribute{
	{
		name: types.InstanceAttributeNameDisableApiTermination,
		read: func(out *ec2.DescribeInstanceAttributeOutput) any { return truth(out.DisableApiTermination) },
		want: true,
		set:  func(in *ec2.ModifyInstanceAttributeInput) { in.DisableApiTermination = yes() },
	},
	{
		name: types.InstanceAttributeNameDisableApiStop,
		read: func(out *ec2.DescribeInstanceAttributeOutput) any { return truth(out.DisableApiStop) },
		want: true,
		set:  func(in *ec2.ModifyInstanceAttributeInput) { in.DisableApiStop = yes() },
	},
	{
		name: types.InstanceAttributeNameInstanceInitiatedShutdownBehavior,
		read: func(out *ec2.DescribeInstanceAttributeOutput) any {
			if v := out.InstanceInitiatedShutdownBehavior; v != nil && v.Value != nil {
				return *v.Value
			}
			return string(types.ShutdownBehaviorStop) // EC2's default
		},
		want: string(types.ShutdownBehaviorStop),
		set: func(in *ec2.ModifyInstanceAttributeInput) {
			in.InstanceInitiatedShutdownBehavior = &types.AttributeValue{Value: aws.String(string(types.ShutdownBehaviorStop))}
		},
	},
}

func truth(v *types.AttributeBooleanValue) bool { return v != nil && aws.ToBool(v.Value) }

func yes() *types.AttributeBooleanValue { return &types.AttributeBooleanValue{Value: aws.Bool(true)} }

func (s *Step) attribute(ctx context.Context, inc incident.Incident, a attribute) result {
	out, err := s.ec2.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &inc.InstanceID, Attribute: a.name})
	if err != nil {
		return outcome(string(a.name), fmt.Errorf("read %s of %s: %w", a.name, inc.InstanceID, err))
	}
	change := &ec2.ModifyInstanceAttributeInput{InstanceId: &inc.InstanceID}
	a.set(change)
	now := a.read(out)
	return s.set(ctx, inc, string(a.name), record.Prior{Resource: inc.InstanceID, Attribute: string(a.name)}, now, a.want, change)
}

// described protects what only a description of the instance tells of: its
// volumes, and its places behind balancers.
func (s *Step) described(ctx context.Context, inc incident.Incident) (volumes, places []result) {
	out, err := s.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{inc.InstanceID}})
	if err != nil {
		return []result{{name: inc.InstanceID, err: fmt.Errorf("describe %s: %w", inc.InstanceID, err)}}, nil
	}
	var targets, classics []result
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			s.host.Each(3, func(n int) {
				switch n {
				case 0:
					volumes = s.volumes(ctx, inc, i)
				case 1:
					targets = s.leaveTargets(ctx, inc, i)
				case 2:
					classics = s.leaveClassics(ctx, inc)
				}
			})
		}
	}
	return volumes, append(targets, classics...)
}

// volumes keeps every attached volume when the instance goes.
func (s *Step) volumes(ctx context.Context, inc incident.Incident, i types.Instance) []result {
	var mappings []types.InstanceBlockDeviceMapping
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			mappings = append(mappings, m)
		}
	}
	results := make([]result, len(mappings))
	s.host.Each(len(mappings), func(n int) {
		m := mappings[n]
		volume := aws.ToString(m.Ebs.VolumeId)
		results[n] = s.set(ctx, inc, "deleteOnTermination of "+volume,
			record.Prior{Resource: volume, Attribute: "deleteOnTermination"}, aws.ToBool(m.Ebs.DeleteOnTermination), false,
			&ec2.ModifyInstanceAttributeInput{InstanceId: &inc.InstanceID, BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{{
				DeviceName: m.DeviceName, Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(false)},
			}}})
	})
	return results
}

// set records the value as it is and changes it, if it is not as it should be:
// one attribute a call, as EC2 wants it.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
func (s *Step) set(ctx context.Context, inc incident.Incident, name string, prior record.Prior, now, want any, change *ec2.ModifyInstanceAttributeInput) result {
	if err := s.remember(ctx, inc, prior, now); err != nil {
		return result{name: name, err: err}
	}
	if now == want {
		return result{name: name}
	}
	if s.dry {
		return result{name: name, would: true}
	}
	if _, err := s.ec2.ModifyInstanceAttribute(ctx, change); err != nil {
		return outcome(name, fmt.Errorf("set %s of %s: %w", name, inc.InstanceID, err))
	}
	return result{name: name}
}

// remember records a value before it is changed.
func (s *Step) remember(ctx context.Context, inc incident.Incident, prior record.Prior, now any) error {
	if s.dry { // nothing is changed, so nothing is to be undone
		return nil
	}
	value, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode %s of %s: %w", prior.Attribute, prior.Resource, err)
	}
	prior.Value, prior.At = value, s.host.Now()
	_, err = record.Remember(ctx, s.incidents, s.table, s.host, inc, []record.Prior{prior})
	return err
}

// outcome tells AWS's no, which people are told, from a failure that the next
// run may not meet.
func outcome(name string, err error) result {
	var answer smithy.APIError
	if !errors.As(err, &answer) || passing(err, answer) {
		return result{name: name, err: err}
	}
	return result{name: name, refused: fmt.Sprintf("%s (%s)", answer.ErrorMessage(), answer.ErrorCode())}
}

// passing are throttling and failures of the service. EC2 does not say in its
// answer whose fault an error is; its codes do.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func passing(err error, answer smithy.APIError) bool {
	var http *smithyhttp.ResponseError
	switch {
	case answer.ErrorFault() == smithy.FaultServer, errors.As(err, &http) && http.HTTPStatusCode() >= 500:
		return true
	}
	switch answer.ErrorCode() {
	case "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable",
		// Auto Scaling is busy with this instance or group.
		"ResourceContention", "ScalingActivityInProgress":
		return true
	}
	_, throttled := retry.DefaultThrottleErrorCodes[answer.ErrorCode()]
	return throttled
}
