package sim

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	"image/jpeg"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// console64K is as much as EC2 keeps of a console's output, from its end.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html#instance-console-console-output
const console64K = 64 << 10

// GetConsoleOutput tells what an instance wrote to its console: on Nitro as of
// now, elsewhere and unasked what was posted when it last changed its state. The
// file has it as the CLI prints it, the API answers it in base64.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
func (c *EC2) GetConsoleOutput(ctx context.Context, in *ec2.GetConsoleOutputInput, _ ...func(*ec2.Options)) (*ec2.GetConsoleOutputOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "GetConsoleOutput", resources: []string{aws.ToString(in.InstanceId)}, needs: []string{"InstanceId"}, takes: []string{"Latest"},
	}, in, func(in *ec2.GetConsoleOutputInput) (*ec2.GetConsoleOutputOutput, error) {
		i := c.instance(*in.InstanceId)
		if i == nil {
			return nil, noInstance(*in.InstanceId)
		}
		if aws.ToBool(in.Latest) && !c.nitro(i.InstanceType) {
			return nil, ec2Error("UnsupportedOperation", "This instance type does not support retrieving the latest console logs")
		}
		out := &ec2.GetConsoleOutputOutput{InstanceId: in.InstanceId, Timestamp: c.second()}
		if at := c.ConsoleOutputs[*in.InstanceId]; at != nil {
			text := aws.ToString(at.Output)
			out.Output = aws.String(base64.StdEncoding.EncodeToString([]byte(text[max(0, len(text)-console64K):])))
			if at.Timestamp != nil && !aws.ToBool(in.Latest) {
				out.Timestamp = at.Timestamp
			}
		}
		return out, nil
	})
}

// GetConsoleScreenshot pictures the screen of a running instance; metal and
// Graviton have none. That of a simulated one is blank. What EC2 answers for one
// that does not run is not documented: no step may lean on it.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html#instance-console-screenshot
func (c *EC2) GetConsoleScreenshot(ctx context.Context, in *ec2.GetConsoleScreenshotInput, _ ...func(*ec2.Options)) (*ec2.GetConsoleScreenshotOutput, error) {
	return invokeEC2(ctx, c, operation{
		action: "GetConsoleScreenshot", resources: []string{aws.ToString(in.InstanceId)}, needs: []string{"InstanceId"},
	}, in, func(in *ec2.GetConsoleScreenshotInput) (*ec2.GetConsoleScreenshotOutput, error) {
		i := c.instance(*in.InstanceId)
		switch {
		case i == nil:
			return nil, noInstance(*in.InstanceId)
		case i.State.Name != types.InstanceStateNameRunning:
			return nil, ec2Error("IncorrectInstanceState", "The instance '%s' is not in the running state", *in.InstanceId)
		case c.screenless(i):
			return nil, ec2Error("UnsupportedOperation", "The instance type does not support console screenshots")
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 40)), nil); err != nil {
			return nil, err
		}
		return &ec2.GetConsoleScreenshotOutput{InstanceId: in.InstanceId, ImageData: aws.String(base64.StdEncoding.EncodeToString(b.Bytes()))}, nil
	})
}

// xen are the families of types that came before Nitro.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-types.html#instance-hypervisor-type
var xen = regexp.MustCompile(`^(?:t[12]|m[1-4]|c[134]|r[34]|x1e?|d2|h1|i[23]|p[23]|g3s?|f1)\.`)

func (c *EC2) nitro(name types.InstanceType) bool {
	if n := slices.IndexFunc(c.InstanceTypes, func(t *types.InstanceTypeInfo) bool { return t.InstanceType == name }); n >= 0 && c.InstanceTypes[n].Hypervisor != "" {
		return c.InstanceTypes[n].Hypervisor == types.InstanceTypeHypervisorNitro
	}
	return !xen.MatchString(string(name))
}

var metal = regexp.MustCompile(`\.metal\b`)

func (c *EC2) screenless(i *types.Instance) bool {
	info := byName(i.InstanceType)
	arm := i.Architecture == types.ArchitectureValuesArm64 || info != nil && slices.Contains(info.ProcessorInfo.SupportedArchitectures, types.ArchitectureTypeArm64)
	return arm || metal.MatchString(string(i.InstanceType))
}
