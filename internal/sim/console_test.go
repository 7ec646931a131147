package sim_test

import (
	"bytes"
	"encoding/base64"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

const consoleInstance = "i-0aaaaaaaaaaaaaaaa"

func consoleFile(kind, state, output string) []byte {
	return []byte(`{"Reservations": [{"Instances": [{"InstanceId": "` + consoleInstance + `", "InstanceType": "` + kind + `", "State": {"Name": "` + state + `"}}]}],
		"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "Attachment": {"InstanceId": "` + consoleInstance + `", "AttachTime": "2026-01-01T12:00:00Z", "DeviceIndex": 0}}],
		"ConsoleOutputs": {"` + consoleInstance + `": {"InstanceId": "` + consoleInstance + `", "Output": "` + output + `", "Timestamp": "2026-01-01T12:05:00Z"}}}`)
}

// The output is in base64, its last 64 KB, and of now only on Nitro; elsewhere
// that is refused, and what was posted keeps the time of its posting.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html#instance-console-console-output
func TestGetConsoleOutput(t *testing.T) {
	long := strings.Repeat("x", 70<<10) + "end"
	a, clock := world(t, consoleFile("m5.large", "running", long))
	out, err := a.EC2().GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: aws.String(consoleInstance), Latest: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.StdEncoding.DecodeString(*out.Output)
	if err != nil || len(text) != 64<<10 || !bytes.HasSuffix(text, []byte("xend")) {
		t.Errorf("%d bytes, %v; want the last 64 KB", len(text), err)
	}
	if now := clock.Now(); out.Timestamp.After(now) || now.Sub(*out.Timestamp) > 10e9 {
		t.Errorf("the latest output is of %v at %v", out.Timestamp, now)
	}
	_, err = a.EC2().GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: aws.String("i-none")})
	wantCode(t, err, "InvalidInstanceID.NotFound", "i-none")

	old, _ := world(t, consoleFile("m4.large", "running", "boot"))
	_, err = old.EC2().GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: aws.String(consoleInstance), Latest: aws.Bool(true)})
	wantCode(t, err, "UnsupportedOperation", "latest")
	out, err = old.EC2().GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: aws.String(consoleInstance)})
	if err != nil || *out.Output != "Ym9vdA==" || out.Timestamp.Format("15:04:05") != "12:05:00" {
		t.Errorf("%+v, %v", out, err)
	}
}

// Running instances have a screenshot, metal and Graviton none.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html#instance-console-screenshot
func TestGetConsoleScreenshot(t *testing.T) {
	ask := func(kind, state string) (*ec2.GetConsoleScreenshotOutput, error) {
		a, _ := world(t, consoleFile(kind, state, ""))
		return a.EC2().GetConsoleScreenshot(t.Context(), &ec2.GetConsoleScreenshotInput{InstanceId: aws.String(consoleInstance)})
	}
	out, err := ask("m5.large", "running")
	if err != nil {
		t.Fatal(err)
	}
	picture, err := base64.StdEncoding.DecodeString(*out.ImageData)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jpeg.Decode(bytes.NewReader(picture)); err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"m5.metal", "c7i.metal-24xl", "m7g.large", "c6gn.xlarge"} {
		_, err := ask(kind, "running")
		wantCode(t, err, "UnsupportedOperation", "")
	}
	_, err = ask("m5.large", "stopped")
	wantCode(t, err, "IncorrectInstanceState", "")
	a, _ := world(t, consoleFile("m5.large", "running", ""))
	_, err = a.EC2().GetConsoleScreenshot(t.Context(), &ec2.GetConsoleScreenshotInput{InstanceId: aws.String("i-none")})
	wantCode(t, err, "InvalidInstanceID.NotFound", "i-none")
}
