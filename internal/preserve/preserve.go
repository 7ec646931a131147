// Package preserve keeps an instance and its volumes from being destroyed while
// there is evidence on them: by people, by the instance itself, by scripts.
//
// It does not hold off Auto Scaling, which asks for none of these attributes.
package preserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
}

// Input names the incident.
type Input struct {
	Incident incident.Incident `json:"incident"`
}

// Output is what protects the instance now. Status is partial where EC2 refused
// something for good, failed where it refused everything.
type Output = incident.Protection

// Step protects an instance.
type Step struct {
	host      incident.Host
	ec2       EC2
	incidents Incidents

	table string
	dry   bool // a dry run: say what would be done
}

// New reads INCIDENTS_TABLE, and, where it is set, DRY_RUN.
func New(host incident.Host, ec2 EC2, incidents Incidents) (*Step, error) {
	table, err := host.Setting("INCIDENTS_TABLE")
	if err != nil {
		return nil, err
	}
	return &Step{host: host, ec2: ec2, incidents: incidents, table: table, dry: host.Getenv("DRY_RUN") == "true"}, nil
}

// stepName is the record key of this step.
const stepName = "preserve"

// result is how far one attribute came.
type result struct {
	name    string
	refused string // EC2's reason; empty if the attribute is as it should be
	would   bool   // a dry run: it is not as it should be, and stays so
	err     error  // it may be otherwise the next time
}

// Run is safe to repeat: what is as it should be is left alone, and the values
// recorded first stay recorded. Everything is done side by side and nothing
// waits for the success of another, because isolation waits for none of it
// longer than ten seconds.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	own := make([]result, len(attributes))
	var volumes []result
	var failed error
	s.host.Each(len(attributes)+1, func(n int) {
		if n < len(attributes) {
			own[n] = s.attribute(ctx, in.Incident, attributes[n])
			return
		}
		volumes, failed = s.volumes(ctx, in.Incident)
	})
	out := Output{Set: []string{}, Refused: []string{}}
	errs := []error{failed}
	var would []string
	for _, r := range append(own, volumes...) {
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
			out.Reason = "dry run: it would set " + strings.Join(would, ", ")
		}
		return out, nil
	}
	switch {
	case len(out.Refused) == 0:
		out.Report = incident.Report{Status: incident.OK}
	case len(out.Set) == 0:
		out.Report = incident.Report{Status: incident.Failed, Reason: "EC2 refused all of it: " + strings.Join(out.Refused, "; ")}
	default:
		out.Report = incident.Report{Status: incident.Partial, Reason: "EC2 refused " + strings.Join(out.Refused, "; ")}
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

// volumes keeps every attached volume when the instance goes.
func (s *Step) volumes(ctx context.Context, inc incident.Incident) ([]result, error) {
	mappings, err := s.mappings(ctx, inc.InstanceID)
	if err != nil {
		return nil, err
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
	return results, nil
}

func (s *Step) mappings(ctx context.Context, id string) ([]types.InstanceBlockDeviceMapping, error) {
	out, err := s.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return nil, fmt.Errorf("describe the volumes of %s: %w", id, err)
	}
	var all []types.InstanceBlockDeviceMapping
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			for _, m := range i.BlockDeviceMappings {
				if m.Ebs != nil {
					all = append(all, m)
				}
			}
		}
	}
	return all, nil
}

// set records the value as it is and changes it, if it is not as it should be:
// one attribute a call, as EC2 wants it.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html
func (s *Step) set(ctx context.Context, inc incident.Incident, name string, prior record.Prior, now, want any, change *ec2.ModifyInstanceAttributeInput) result {
	if s.dry {
		return result{name: name, would: now != want}
	}
	value, err := json.Marshal(now)
	if err != nil {
		return result{name: name, err: fmt.Errorf("encode %s of %s: %w", name, inc.InstanceID, err)}
	}
	prior.Value, prior.At = value, s.host.Now()
	if _, err := record.Remember(ctx, s.incidents, s.table, s.host, inc, []record.Prior{prior}); err != nil {
		return result{name: name, err: err}
	}
	if now == want {
		return result{name: name}
	}
	if _, err := s.ec2.ModifyInstanceAttribute(ctx, change); err != nil {
		return outcome(name, fmt.Errorf("set %s of %s: %w", name, inc.InstanceID, err))
	}
	return result{name: name}
}

// outcome tells EC2's no, which people are told, from a failure that the next
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
	case "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable":
		return true
	}
	_, throttled := retry.DefaultThrottleErrorCodes[answer.ErrorCode()]
	return throttled
}
