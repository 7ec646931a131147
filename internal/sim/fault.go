package sim

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind is what goes wrong with a call. The SDK has given up by then: its
// retries are over.
type Kind string

const (
	Denied       Kind = "denied"        // not authorized
	NotFound     Kind = "notfound"      // what the call concerns does not exist
	Throttled    Kind = "throttled"     // too many requests
	Unavailable  Kind = "unavailable"   // the service fails
	Lost         Kind = "lost"          // done, but the answer is a network error
	KilledBefore Kind = "killed-before" // the invocation dies before the call is done
	KilledAfter  Kind = "killed-after"  // the invocation dies before it gets the answer
	Timeout      Kind = "timeout"       // not done, no answer before the deadline
	Late         Kind = "late"          // done, no answer before the deadline
	Stale        Kind = "stale"         // a read answers from before the newest write
)

// Kinds are all kinds of fault.
func Kinds() []Kind {
	return []Kind{Denied, NotFound, Throttled, Unavailable, Lost, KilledBefore, KilledAfter, Timeout, Late, Stale}
}

// Fault hits one call: the Nth of an action, counted from 1 in order of start.
type Fault struct {
	Service string // the SDK's package name
	Action  string
	Number  int
	Kind    Kind
}

// String is what ParseFault reads.
func (f Fault) String() string {
	return fmt.Sprintf("%s:%s#%d=%s", f.Service, f.Action, f.Number, f.Kind)
}

// ParseFault reads SERVICE:ACTION#N=KIND, such as ec2:CreateSnapshots#1=lost.
func ParseFault(s string) (Fault, error) {
	wrong := func(format string, args ...any) (Fault, error) {
		return Fault{}, fmt.Errorf("fault %q: %s", s, fmt.Sprintf(format, args...))
	}
	call, kind, ok := strings.Cut(s, "=")
	service, rest, ok2 := strings.Cut(call, ":")
	action, number, ok3 := strings.Cut(rest, "#")
	if !ok || !ok2 || !ok3 || action == "" {
		return wrong("want SERVICE:ACTION#N=KIND, such as ec2:CreateSnapshots#1=lost")
	}
	if _, ok := serviceIDs[service]; !ok {
		return wrong("service %q is not one of %s", service, strings.Join(sortedKeys(serviceIDs), ", "))
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return wrong("%q is not a number of a call; the first is 1", number)
	}
	f := Fault{service, action, n, Kind(kind)}
	if !slices.Contains(Kinds(), f.Kind) {
		return wrong("kind %q is not one of %v", kind, Kinds())
	}
	if f.Kind == Stale && !reads(action) {
		return wrong("%s changes things, only a read can be stale", action)
	}
	return f, nil
}

// reads tells by its name whether an action only reads.
func reads(action string) bool {
	return slices.ContainsFunc([]string{"Describe", "Get", "List", "Head", "Query", "Scan", "BatchGet"},
		func(p string) bool { return strings.HasPrefix(action, p) })
}

// Unmet are the faults whose call never came.
func (a *Account) Unmet() []Fault {
	var all []Fault
	for _, f := range a.settings.Faults {
		if a.started[f.Service+":"+f.Action] < f.Number {
			all = append(all, f)
		}
	}
	return all
}

// serviceIDs are the SDK's names of the services, by package.
var serviceIDs = map[string]string{
	"dynamodb": "DynamoDB", "ec2": "EC2", "kms": "KMS", "s3": "S3", "sfn": "SFN", "sns": "SNS", "ssm": "SSM", "sts": "STS",
	"iam": "IAM", "cloudtrail": "CloudTrail", "autoscaling": "Auto Scaling", "elasticloadbalancing": "Elastic Load Balancing", "elasticloadbalancingv2": "Elastic Load Balancing v2",
}

// wrap is the outermost error of a call, as the SDK has it.
func (op operation) wrap(err error) error {
	return &smithy.OperationError{ServiceID: serviceIDs[op.service], OperationName: op.action, Err: err}
}

// lostAnswer is what the SDK makes of a connection that ends before the answer.
func lostAnswer() error { return &smithyhttp.RequestSendError{Err: io.ErrUnexpectedEOF} }

// refusalOf is the answer to a call that a fault lets the service refuse; nil
// for all other faults.
func refusalOf(k Kind, op operation) error {
	if k == "" {
		return nil
	}
	who := "User: arn:aws:sts::123456789012:assumed-role/simulated/function"
	denied := &smithy.GenericAPIError{
		Code: "AccessDeniedException", Fault: smithy.FaultClient,
		Message: fmt.Sprintf("%s is not authorized to perform: %s:%s", who, op.service, op.action),
	}
	throttling := &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded", Fault: smithy.FaultClient}
	broken := &smithy.GenericAPIError{Code: "InternalFailure", Message: "The request processing has failed because of an unknown error, exception or failure.", Fault: smithy.FaultServer}
	var all map[string]error
	switch k {
	case Denied:
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
		// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
		all = map[string]error{
			"ec2": &smithy.GenericAPIError{Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation.", Fault: smithy.FaultClient},
			"s3":  &smithy.GenericAPIError{Code: "AccessDenied", Message: "Access Denied", Fault: smithy.FaultClient},
			"sts": &smithy.GenericAPIError{Code: "AccessDenied", Message: who + " is not authorized to perform: sts:AssumeRole", Fault: smithy.FaultClient},
			"sns": &snstypes.AuthorizationErrorException{Message: &denied.Message},
		}
		return or(all[op.service], denied)
	case NotFound:
		return notFound(op)
	case Throttled:
		all = map[string]error{
			"ec2":      &smithy.GenericAPIError{Code: "RequestLimitExceeded", Message: "Request limit exceeded.", Fault: smithy.FaultClient},
			"dynamodb": &dynamodbtypes.ProvisionedThroughputExceededException{Message: aws.String("The level of configured provisioned throughput for the table was exceeded.")},
			"s3":       &smithy.GenericAPIError{Code: "SlowDown", Message: "Please reduce your request rate.", Fault: smithy.FaultServer},
			"sns":      &snstypes.ThrottledException{Message: aws.String("Rate exceeded")},
		}
		return or(all[op.service], throttling)
	case Unavailable:
		all = map[string]error{
			"ec2":      &smithy.GenericAPIError{Code: "Unavailable", Message: "The server is overloaded and can't handle the request.", Fault: smithy.FaultServer},
			"dynamodb": &dynamodbtypes.InternalServerError{Message: aws.String("Internal server error")},
			"s3":       &smithy.GenericAPIError{Code: "InternalError", Message: "We encountered an internal error. Please try again.", Fault: smithy.FaultServer},
			"sns":      &snstypes.InternalErrorException{Message: aws.String("InternalError")},
			"kms":      &kmstypes.KMSInternalException{Message: aws.String("an internal error occurred")},
			"ssm":      &ssmtypes.InternalServerError{Message: aws.String("Internal server error")},
		}
		return or(all[op.service], broken)
	}
	return nil
}

func or(err, instead error) error {
	if err != nil {
		return err
	}
	return instead
}

// notFound is the service's answer to a call about what does not exist.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func notFound(op operation) error {
	switch op.service {
	case "dynamodb":
		return &dynamodbtypes.ResourceNotFoundException{Message: aws.String("Requested resource not found")}
	case "kms":
		return &kmstypes.NotFoundException{Message: aws.String("Key does not exist")}
	case "sns":
		return &snstypes.NotFoundException{Message: aws.String("Topic does not exist")}
	case "sfn":
		if strings.HasPrefix(op.action, "SendTask") {
			return &sfntypes.TaskDoesNotExist{Message: aws.String("Task does not exist anymore")}
		}
		return &sfntypes.ExecutionDoesNotExist{Message: aws.String("Execution Does Not Exist")}
	case "s3":
		switch op.action {
		case "GetObject":
			return &s3types.NoSuchKey{Message: aws.String("The specified key does not exist.")}
		case "HeadObject":
			return &s3types.NotFound{Message: aws.String("Not Found")}
		case "UploadPart", "ListParts", "CompleteMultipartUpload", "AbortMultipartUpload":
			return &smithy.GenericAPIError{Code: "NoSuchUpload", Message: "The specified upload does not exist.", Fault: smithy.FaultClient}
		}
		return &smithy.GenericAPIError{Code: "NoSuchBucket", Message: "The specified bucket does not exist", Fault: smithy.FaultClient}
	case "sts": // a role that does not exist looks like one that refuses
		return roleRefuses(strings.Join(op.resources, ", "))
	case "iam":
		return noEntity("role", strings.Join(op.resources, ", "))
	case "autoscaling":
		return wrongScaling("AutoScalingGroup name not found - no AutoScalingGroup found")
	case "elasticloadbalancingv2":
		return noTargetGroup()
	case "elasticloadbalancing":
		return &elbtypes.AccessPointNotFoundException{Message: aws.String("There is no ACTIVE Load Balancer of that name")}
	case "ssm":
		switch op.action {
		case "GetCommandInvocation":
			return &ssmtypes.InvocationDoesNotExist{}
		case "ListCommands", "ListCommandInvocations", "CancelCommand":
			return &ssmtypes.InvalidCommandId{}
		case "GetParameter":
			return &ssmtypes.ParameterNotFound{}
		}
		return &ssmtypes.InvalidInstanceId{Message: aws.String("Instances not in a valid state for account")}
	}
	kind := "InvalidInstanceID"
	for _, k := range []struct{ in, code string }{
		{"CreateSnapshots", "InvalidInstanceID"},
		{"CreateSecurityGroup", "InvalidVpcID"},
		{"SecurityGroup", "InvalidGroup"},
		{"NetworkInterface", "InvalidNetworkInterfaceID"},
		{"Snapshot", "InvalidSnapshot"},
		{"Volume", "InvalidVolume"},
		{"VpcEndpoint", "InvalidVpcEndpointId"},
		{"RouteTable", "InvalidRouteTableID"},
		{"Subnet", "InvalidSubnetID"},
		{"PrefixList", "InvalidPrefixListID"},
	} {
		if strings.Contains(op.action, k.in) {
			kind = k.code
			break
		}
	}
	return ec2Error(kind+".NotFound", "The ID '%s' does not exist", strings.Join(op.resources, ", "))
}
