package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// plan is how an instance's memory is cut into parts and how long that may take.
type plan struct {
	PartBytes  int64 `json:"partBytes"`
	MaxParts   int   `json:"maxParts"`   // addresses are made up to this part
	RunSeconds int   `json:"runSeconds"` // the document's executionTimeout
	// Arm64 says that it is the tool for that processor which the host is to run.
	Arm64 bool `json:"arm64"`
	// Windows says that the host gets the document for Windows.
	Windows bool `json:"windows"`
}

const (
	// An upload has 10,000 parts at most, each but the last 5 MiB or more.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
	mostParts     = 10_000
	smallestPart  = 5 << 20
	partStep      = 16 << 20 // parts are a multiple of it: 768 GiB makes 80 MiB
	slowest       = 2 << 20  // bytes a second: half of what the smallest instance's network gives in the long run
	headroom      = time.Hour
	longestRun    = 172_800 // seconds: the most that executionTimeout may be
	deliverySpan  = 2 * time.Minute
	shortestParts = 16 // added to what the memory comes to: headers of the image, reserved ranges
)

// planFor cuts that much memory into parts. The image is about as long as the
// instance type's memory; a twentieth is added where there is room for it, and
// shortestParts always are.
func planFor(memory int64) plan {
	const step = partStep * (mostParts - shortestParts)
	part := (memory + step - 1) / step * partStep
	parts := memory/part + memory/part/20 + shortestParts
	seconds := memory/slowest + int64(headroom/time.Second)
	return plan{PartBytes: part, MaxParts: int(min(parts, mostParts)), RunSeconds: int(min(seconds, longestRun))}
}

// tool is the key and the SHA-256 of the program that the host is to run.
func (c *capture) tool() (key, sha256 string) {
	if c.state.Plan.Arm64 {
		return c.armKey, c.armSHA256
	}
	return c.toolKey, c.toolSHA256
}

// documentName is the document that the host is to run.
func (c *capture) documentName() *string {
	if c.state.Plan.Windows {
		return &c.windows
	}
	return &c.document
}

// textOnly tells that no capture program is known for the host: it is asked for
// text, and no upload is begun.
func (p plan) textOnly() bool { return p.MaxParts == 0 }

// textSpan is how long a host may take to say what runs on it.
const textSpan = 20 * time.Minute

const noMac = "the instance runs macOS: no capture program is known for it, and the documents are for Linux and Windows"

// plan decides whether memory can be captured, and how. The reason is why not.
func (s *Step) plan(ctx context.Context, in Input) (plan, string, error) {
	if s.toolKey == "" {
		return plan{}, "memory capture is switched off: no capture program is configured", nil
	}
	if reason := closed(in); reason != "" {
		return plan{}, reason, nil
	}
	id := in.Incident.InstanceID
	i, err := s.describe(ctx, id)
	if err != nil {
		return plan{}, "", err
	}
	state := ec2types.InstanceStateNameRunning
	if i.State != nil {
		state = i.State.Name
	}
	switch {
	case state != ec2types.InstanceStateNameRunning:
		return plan{}, fmt.Sprintf("the instance is %s: there is no memory to read", state), nil
	case strings.HasSuffix(string(i.Architecture), "_mac"):
		return plan{}, noMac, nil
	}
	system, reason, err := s.agent(ctx, id)
	if err != nil || reason != "" {
		return plan{}, reason, err
	}
	switch {
	case system == ssmtypes.PlatformTypeMacos:
		return plan{}, noMac, nil
	case system == ssmtypes.PlatformTypeWindows, system == "" && strings.EqualFold(string(i.Platform), "windows"):
		return plan{PartBytes: partStep, RunSeconds: int(textSpan / time.Second), Windows: true}, "", nil
	}
	if i.Architecture != "" && i.Architecture != ec2types.ArchitectureValuesX8664 && i.Architecture != ec2types.ArchitectureValuesArm64 {
		return plan{PartBytes: partStep, RunSeconds: int(textSpan / time.Second)}, "", nil
	}
	memory, err := s.memory(ctx, i.InstanceType)
	if err != nil {
		return plan{}, "", err
	}
	p := planFor(memory)
	p.Arm64 = i.Architecture == ec2types.ArchitectureValuesArm64 && s.armKey != ""
	return p, "", nil
}

// closed says why the host cannot reach SSM and S3: every interface is in the
// quarantine group. An interface that is still open is reason to try.
func closed(in Input) string {
	if len(in.Isolation.Interfaces) == 0 || slices.ContainsFunc(in.Isolation.Interfaces, func(n incident.Interface) bool { return n.Where != incident.Quarantined }) {
		return ""
	}
	var why []string
	for _, c := range in.Capture {
		if !c.Complete && c.Reason != "" {
			why = append(why, c.VPC+": "+c.Reason)
		}
	}
	if len(why) == 0 {
		return "the instance is in the quarantine group, which lets nothing out"
	}
	return "no capture is possible under isolation: " + strings.Join(why, "; ")
}

func (s *Step) describe(ctx context.Context, id string) (ec2types.Instance, error) {
	out, err := s.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return ec2types.Instance{}, fmt.Errorf("describe instance %s: %w", id, err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			if aws.ToString(i.InstanceId) == id {
				return i, nil
			}
		}
	}
	return ec2types.Instance{}, fmt.Errorf("describe instance %s: it is not in the answer", id)
}

// agent is the system that the instance's agent says it runs on, which is what it
// holds a document's precondition against; or why SSM does not reach it. Online is
// no proof that SSM does (it stays so for minutes after the network was cut); the
// command's delivery time-out is.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
func (s *Step) agent(ctx context.Context, id string) (system ssmtypes.PlatformType, reason string, err error) {
	pages := ssm.NewDescribeInstanceInformationPaginator(s.ssm, &ssm.DescribeInstanceInformationInput{
		Filters: []ssmtypes.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: []string{id}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", "", fmt.Errorf("look for the SSM agent of %s: %w", id, err)
		}
		for _, i := range page.InstanceInformationList {
			switch {
			case aws.ToString(i.InstanceId) != id:
				continue
			case i.PingStatus == ssmtypes.PingStatusOnline:
				return i.PlatformType, "", nil
			case i.LastPingDateTime != nil:
				return "", fmt.Sprintf("the SSM agent is %s, last heard of at %s", i.PingStatus, i.LastPingDateTime.UTC().Format(time.RFC3339)), nil
			default:
				return "", fmt.Sprintf("the SSM agent is %s", i.PingStatus), nil
			}
		}
	}
	return "", "the instance has no SSM agent that is registered", nil
}

// memory is the size of an instance type's memory in bytes.
func (s *Step) memory(ctx context.Context, t ec2types.InstanceType) (int64, error) {
	out, err := s.ec2.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []ec2types.InstanceType{t}})
	if err != nil {
		return 0, fmt.Errorf("describe instance type %s: %w", t, err)
	}
	for _, i := range out.InstanceTypes {
		if i.InstanceType == t && i.MemoryInfo != nil && aws.ToInt64(i.MemoryInfo.SizeInMiB) > 0 {
			return *i.MemoryInfo.SizeInMiB << 20, nil
		}
	}
	return 0, fmt.Errorf("describe instance type %s: its memory is not in the answer", t)
}
