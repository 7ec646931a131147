// Package e2e runs what sam builds on software that others wrote: ministack in
// AWS's place, moto in EC2's, and a small stand-in of our own for what neither
// has. The functions' calls go through a proxy of ours, which keeps them.
//
// docs/e2e.md says what is run and where the stand-ins fall short. The run itself
// has the build tag e2e; what needs Go alone is tested without it.
package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is one call of a function to AWS, as it went over the wire. Service,
// Action, Mutating and Resources are what a rehearsal tells of the same call.
type Call struct {
	Service   string // the SDK's package name
	Action    string
	Mutating  bool
	Resources []string // sorted

	Function     string // who made it; empty if the process was gone before it could be asked
	Process      int
	Began, Ended time.Time
	Code         string // of the error; empty when there was none
	Parameters   Parameters
}

// Parameters are those of a call, whatever the protocol: names with dots for
// what is nested, every value under a name.
type Parameters map[string][]string

// Value is the first value under a name; empty if there is none.
func (p Parameters) Value(name string) string {
	if len(p[name]) == 0 {
		return ""
	}
	return p[name][0]
}

// scope is the credential scope of a signature, which names the service.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]{8}/[^/]+/([a-z0-9-]+)/aws4_request`)

// packages are the SDK's packages by the name under which a service signs.
var packages = map[string]string{
	"autoscaling": "autoscaling", "cloudtrail": "cloudtrail", "dynamodb": "dynamodb", "ec2": "ec2", "elasticloadbalancing": "elasticloadbalancing", "iam": "iam",
	"kms": "kms", "s3": "s3", "sns": "sns", "ssm": "ssm", "states": "sfn", "sts": "sts",
}

// The classic balancers and those of today sign alike; the version of the API
// tells them apart.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html
const balancersOfToday = "2015-12-01"

// operation is what is known of an action: whether it changes something, and
// which parameters name what it concerns.
type operation struct {
	mutating  bool
	resources []string
}

func reads(resources ...string) operation   { return operation{false, resources} }
func changes(resources ...string) operation { return operation{true, resources} }

// operations are all that the functions may call. An action that is not here is
// refused: nothing that a rehearsal knows under another name slips through.
var operations = map[string]operation{
	"autoscaling:AttachInstances":              changes("AutoScalingGroupName", "InstanceIds.member"),
	"autoscaling:DescribeAutoScalingGroups":    reads("AutoScalingGroupNames.member"),
	"autoscaling:DescribeAutoScalingInstances": reads("InstanceIds.member"),
	"autoscaling:DescribeInstanceRefreshes":    reads("AutoScalingGroupName"),
	"autoscaling:DetachInstances":              changes("AutoScalingGroupName", "InstanceIds.member"),
	"autoscaling:EnterStandby":                 changes("AutoScalingGroupName", "InstanceIds.member"),
	"autoscaling:ExitStandby":                  changes("AutoScalingGroupName", "InstanceIds.member"),

	"cloudtrail:LookupEvents": reads(),

	"dynamodb:GetItem":    reads("TableName", "Key.pk.S", "Key.sk.S"),
	"dynamodb:PutItem":    changes("TableName", "Item.pk.S", "Item.sk.S"),
	"dynamodb:Query":      reads("TableName"),
	"dynamodb:UpdateItem": changes("TableName", "Key.pk.S", "Key.sk.S"),

	"ec2:AuthorizeSecurityGroupEgress":    changes("GroupId"),
	"ec2:AuthorizeSecurityGroupIngress":   changes("GroupId"),
	"ec2:CopySnapshot":                    changes("SourceSnapshotId"),
	"ec2:CreateSecurityGroup":             changes("VpcId"),
	"ec2:CreateSnapshot":                  changes("VolumeId"),
	"ec2:CreateSnapshots":                 changes("InstanceSpecification.InstanceId"),
	"ec2:CreateTags":                      changes("ResourceId"),
	"ec2:DeleteSnapshot":                  changes("SnapshotId"),
	"ec2:DescribeInstanceAttribute":       reads("InstanceId"),
	"ec2:DescribeInstanceTypes":           reads("InstanceType"),
	"ec2:DescribeInstances":               reads("InstanceId", "Filter.Value"),
	"ec2:DescribeLockedSnapshots":         reads("SnapshotId", "Filter.Value"),
	"ec2:DescribeNetworkInterfaces":       reads("NetworkInterfaceId", "Filter.Value"),
	"ec2:DescribePrefixLists":             reads("PrefixListId", "Filter.Value"),
	"ec2:DescribeRouteTables":             reads("RouteTableId", "Filter.Value"),
	"ec2:DescribeSecurityGroupRules":      reads("SecurityGroupRuleId", "Filter.Value"),
	"ec2:DescribeSecurityGroups":          reads("GroupId", "Filter.Value"),
	"ec2:DescribeSnapshots":               reads("SnapshotId", "Filter.Value"),
	"ec2:DescribeVolumes":                 reads("VolumeId", "Filter.Value"),
	"ec2:DescribeVpcAttribute":            reads("VpcId"),
	"ec2:DescribeVpcEndpoints":            reads("VpcEndpointId", "Filter.Value"),
	"ec2:GetConsoleOutput":                reads("InstanceId"),
	"ec2:GetConsoleScreenshot":            reads("InstanceId"),
	"ec2:ModifySnapshotAttribute":         changes("SnapshotId"),
	"ec2:LockSnapshot":                    changes("SnapshotId"),
	"ec2:ModifyInstanceAttribute":         changes("InstanceId", "GroupId"),
	"ec2:ModifyNetworkInterfaceAttribute": changes("NetworkInterfaceId", "SecurityGroupId"),
	"ec2:RevokeSecurityGroupEgress":       changes("GroupId", "SecurityGroupRuleId"),
	"ec2:RevokeSecurityGroupIngress":      changes("GroupId", "SecurityGroupRuleId"),
	"ec2:TerminateInstances":              changes("InstanceId"),

	"elasticloadbalancing:DeregisterInstancesFromLoadBalancer": changes("LoadBalancerName", "Instances.member.InstanceId"),
	"elasticloadbalancing:DescribeLoadBalancers":               reads("LoadBalancerNames.member"),
	"elasticloadbalancing:RegisterInstancesWithLoadBalancer":   changes("LoadBalancerName", "Instances.member.InstanceId"),

	"elasticloadbalancingv2:DeregisterTargets":    changes("TargetGroupArn", "Targets.member.Id"),
	"elasticloadbalancingv2:DescribeTargetGroups": reads(),
	"elasticloadbalancingv2:DescribeTargetHealth": reads("TargetGroupArn"),
	"elasticloadbalancingv2:RegisterTargets":      changes("TargetGroupArn", "Targets.member.Id"),

	"iam:DeleteRolePolicy":   changes("RoleName"),
	"iam:GetInstanceProfile": reads("InstanceProfileName"),
	"iam:GetRolePolicy":      reads("RoleName"),
	"iam:PutRolePolicy":      changes("RoleName"),

	"kms:Decrypt":      reads("KeyId"),
	"kms:Encrypt":      reads("KeyId"),
	"kms:GenerateMac":  reads("KeyId"),
	"kms:GetPublicKey": reads("KeyId"),
	"kms:Sign":         reads("KeyId"),
	"kms:VerifyMac":    reads("KeyId"),

	"s3:AbortMultipartUpload":    changes("Bucket", "Key"),
	"s3:CompleteMultipartUpload": changes("Bucket", "Key"),
	"s3:CreateMultipartUpload":   changes("Bucket", "Key"),
	"s3:GetObject":               reads("Bucket", "Key"),
	"s3:ListMultipartUploads":    reads("Bucket"),
	"s3:ListObjectsV2":           reads("Bucket"),
	"s3:ListParts":               reads("Bucket", "Key"),
	"s3:PutObject":               changes("Bucket", "Key"),
	"s3:PutObjectRetention":      changes("Bucket", "Key"),

	"sfn:DescribeExecution": reads("executionArn"),
	"sfn:SendTaskSuccess":   changes(),

	"sns:ListSubscriptionsByTopic": reads("TopicArn"),
	"sns:Publish":                  changes("TopicArn"),

	"ssm:CancelCommand":               changes("InstanceIds", "CommandId"),
	"ssm:DescribeInstanceInformation": reads(),
	"ssm:DescribeSessions":            reads(),
	"ssm:GetCommandInvocation":        reads("CommandId", "InstanceId"),
	"ssm:GetParameter":                reads("Name"),
	"ssm:ListCommands":                reads("CommandId", "InstanceId"),
	"ssm:SendCommand":                 changes("InstanceIds", "DocumentName"),

	"sts:AssumeRole": reads("RoleArn"),
}

// ErrUnsigned is a request without a signature, as a host makes it with an
// address that was signed for it.
var ErrUnsigned = errors.New("the request carries no signature of its own")

// ReadCall tells which call a request is. Of the body it needs all.
func ReadCall(r *http.Request, body []byte) (Call, error) {
	signed := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if signed == nil {
		return Call{}, ErrUnsigned
	}
	service, ok := packages[signed[1]]
	if !ok {
		return Call{}, fmt.Errorf("no function has any business with the service %q", signed[1])
	}
	c := Call{Service: service, Resources: []string{}, Parameters: Parameters{}}
	var err error
	switch target := r.Header.Get("X-Amz-Target"); {
	case service == "s3":
		c.Action, c.Parameters = objectCall(r)
	case target != "":
		c.Action = target[strings.LastIndexByte(target, '.')+1:]
		var document any
		if err = json.Unmarshal(body, &document); err == nil {
			c.Parameters.flatten("", document)
		}
	default:
		err = c.readForm(body)
		if service == "elasticloadbalancing" && c.Parameters.Value("Version") == balancersOfToday {
			service += "v2"
			c.Service = service
		}
	}
	if err != nil {
		return Call{}, fmt.Errorf("%s: the request cannot be read: %w", service, err)
	}
	o, ok := operations[service+":"+c.Action]
	if !ok {
		return Call{}, fmt.Errorf("%s:%s is no call that a function makes", service, c.Action)
	}
	c.Mutating = o.mutating
	for _, name := range o.resources {
		c.Resources = append(c.Resources, c.Parameters[name]...)
	}
	slices.Sort(c.Resources)
	c.Resources = slices.Compact(c.Resources)
	return c, nil
}

// readForm reads the query protocols, in which a list is numbered: Filter.1.Value.2.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
func (c *Call) readForm(body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	c.Action = form.Get("Action")
	// By number, so that the first value of a list comes first.
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.SortFunc(names, byNumber)
	for _, name := range names {
		var words []string
		for _, word := range strings.Split(name, ".") {
			if _, err := strconv.Atoi(word); err != nil {
				words = append(words, word)
			}
		}
		plain := strings.Join(words, ".")
		c.Parameters[plain] = append(c.Parameters[plain], form[name]...)
	}
	return nil
}

// byNumber orders names with numbers in them as a person would.
func byNumber(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(x, y, func(v, w string) int {
		n, wrongN := strconv.Atoi(v)
		m, wrongM := strconv.Atoi(w)
		if wrongN == nil && wrongM == nil {
			return n - m
		}
		return strings.Compare(v, w)
	})
}

// flatten takes a JSON document apart; a list adds its elements under its own name.
func (p Parameters) flatten(name string, document any) {
	switch v := document.(type) {
	case map[string]any:
		for key, member := range v {
			if name != "" {
				key = name + "." + key
			}
			p.flatten(key, member)
		}
	case []any:
		for _, member := range v {
			p.flatten(name, member)
		}
	case nil:
	default:
		p[name] = append(p[name], fmt.Sprint(v))
	}
}

// objectCall reads S3's protocol, where method, path and a word in the query
// tell the action. Addresses are those of a host without a name: /BUCKET/KEY.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
func objectCall(r *http.Request) (string, Parameters) {
	p := Parameters{}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	p["Bucket"] = []string{bucket}
	if key != "" {
		p["Key"] = []string{key}
	}
	query := r.URL.Query()
	of := func(actions map[string]string) string { return actions[r.Method] }
	switch {
	case query.Has("uploads"):
		return of(map[string]string{"POST": "CreateMultipartUpload", "GET": "ListMultipartUploads"}), p
	case query.Has("uploadId"):
		return of(map[string]string{"POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts", "PUT": "UploadPart"}), p
	case query.Has("retention"):
		return of(map[string]string{"PUT": "PutObjectRetention", "GET": "GetObjectRetention"}), p
	case query.Get("list-type") == "2":
		return "ListObjectsV2", p
	case key != "":
		return of(map[string]string{"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}), p
	}
	return r.Method + " of a bucket", p
}

var (
	codeXML  = regexp.MustCompile(`<Code>([^<]+)</Code>`)
	codeJSON = regexp.MustCompile(`"(?:__type|code)"\s*:\s*"(?:[^"#]*#)?([^"]+)"`)
)

// errorCode is the code of the error that an answer is; empty if it is none.
func errorCode(status int, body []byte) string {
	if status < http.StatusBadRequest {
		return ""
	}
	for _, code := range []*regexp.Regexp{codeXML, codeJSON} {
		if m := code.FindSubmatch(body); m != nil {
			return string(m[1])
		}
	}
	return strconv.Itoa(status)
}

// Actions are all that the functions may call, service:Action.
func Actions() []string { return sortedKeys(operations) }
