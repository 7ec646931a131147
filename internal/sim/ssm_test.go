package sim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// document is a document of schema 2.2 in its least form.
const captureDocument = `{"schemaVersion": "2.2", "parameters": {
	"Incident": {"type": "String", "allowedPattern": "^[a-z0-9.-]+$"}, "Batch": {"type": "String", "allowedPattern": "^https://[^']+$"},
	"PartMiB": {"type": "String", "allowedPattern": "^[0-9]+$"}, "ToolSha256": {"type": "String", "default": "` + sim.MemoryToolSHA256 + `"},
	"Seconds": {"type": "String", "default": "600"}},
	"mainSteps": [{"action": "aws:runShellScript", "name": "x", "inputs": {"timeoutSeconds": "{{ Seconds }}", "runCommand": ["true"]}}]}`

// commanded is an account with two instances: i-1 has an agent and may reach
// SSM and S3, i-2 has an agent and may reach nothing, i-3 has none.
func commanded(t *testing.T, behaviour string) (*sim.Account, *wall) {
	t.Helper()
	eni := func(n int, group string) string {
		return fmt.Sprintf(`{"NetworkInterfaceId": "eni-%[1]d", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.%[1]d", "Groups": [{"GroupId": %[2]q}], "Attachment": {"InstanceId": "i-%[1]d", "DeviceIndex": 0, "AttachTime": "2026-01-01T00:00:00Z"}}`, n, group)
	}
	file := `{"Reservations": [{"Instances": [{"InstanceId": "i-1", "InstanceType": "t3.micro"}, {"InstanceId": "i-2", "InstanceType": "t3.micro"}, {"InstanceId": "i-3", "InstanceType": "t3.micro"}]}],
	 "NetworkInterfaces": [` + eni(1, "sg-open") + "," + eni(2, "sg-closed") + "," + eni(3, "sg-open") + `,
	  {"NetworkInterfaceId": "eni-door", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.9", "Groups": [{"GroupId": "sg-endpoints"}]}],
	 "SecurityGroups": [
	  {"GroupId": "sg-open", "GroupName": "open", "VpcId": "vpc-1", "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]},
	  {"GroupId": "sg-endpoints", "GroupName": "endpoints", "VpcId": "vpc-1", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/24"}]}]},
	  {"GroupId": "sg-closed", "GroupName": "closed", "VpcId": "vpc-1", "IpPermissionsEgress": []},
	  {"GroupId": "sg-narrow", "GroupName": "narrow", "VpcId": "vpc-1", "IpPermissionsEgress": [
	   {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.9/32"}], "PrefixListIds": [{"PrefixListId": "pl-s3"}]}]},
	  {"GroupId": "sg-nos3", "GroupName": "nos3", "VpcId": "vpc-1", "IpPermissionsEgress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.9/32"}]}]}],
	 "VpcEndpoints": [
	  {"VpcEndpointId": "vpce-1", "VpcId": "vpc-1", "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.eu-west-1.ssm", "State": "available", "PrivateDnsEnabled": true, "NetworkInterfaceIds": ["eni-door"]},
	  {"VpcEndpointId": "vpce-2", "VpcId": "vpc-1", "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.eu-west-1.ssmmessages", "State": "available", "PrivateDnsEnabled": true, "NetworkInterfaceIds": ["eni-door"]},
	  {"VpcEndpointId": "vpce-3", "VpcId": "vpc-1", "VpcEndpointType": "Gateway", "ServiceName": "com.amazonaws.eu-west-1.s3", "State": "available", "RouteTableIds": ["rtb-1"]}],
	 "Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"}],
	 "RouteTables": [{"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": [{"RouteTableId": "rtb-1", "SubnetId": "subnet-1"}]}],
	 "PrefixLists": [{"PrefixListId": "pl-s3", "PrefixListName": "com.amazonaws.eu-west-1.s3", "Cidrs": ["52.216.0.0/15"]}],
	 "InstanceInformationList": [{"InstanceId": "i-1", "PingStatus": "Online"}, {"InstanceId": "i-2"}, {"InstanceId": "i-4", "PingStatus": "ConnectionLost"}],
	 "Behaviour": {` + behaviour + `}}`
	clock := &wall{begun}
	a, err := sim.Open(sim.Settings{Clock: clock, Seed: 1}, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	addDocument(t, a, captureDocument)
	return a, clock
}

func addDocument(t *testing.T, a *sim.Account, content string) {
	t.Helper()
	d, err := sim.ReadDocument([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	a.SSM().AddDocument("capture", d)
}

func command(instance string) *ssm.SendCommandInput {
	return &ssm.SendCommandInput{
		DocumentName: aws.String("capture"), InstanceIds: []string{instance}, Comment: aws.String("ours"), TimeoutSeconds: aws.Int32(60),
		Parameters: map[string][]string{"Incident": {"a.1"}, "Batch": {"https://nowhere"}, "PartMiB": {"16"}},
	}
}

func send(t *testing.T, a *sim.Account, in *ssm.SendCommandInput) string {
	t.Helper()
	out, err := a.SSM().SendCommand(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Command.Status != types.CommandStatusPending {
		t.Errorf("a command just sent is %s, want Pending", out.Command.Status)
	}
	return *out.Command.CommandId
}

func invocation(t *testing.T, a *sim.Account, id, instance string) *ssm.GetCommandInvocationOutput {
	t.Helper()
	out, err := a.SSM().GetCommandInvocation(t.Context(), &ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &instance})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
func TestOnlyInstancesWithAnAgentAreTold(t *testing.T) {
	a, _ := commanded(t, "")
	ids := func(filters ...types.InstanceInformationStringFilter) (all []string) {
		out, err := a.SSM().DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{Filters: filters})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range out.InstanceInformationList {
			all = append(all, *i.InstanceId+" "+string(i.PingStatus))
		}
		return all
	}
	filter := func(key, value string) types.InstanceInformationStringFilter {
		return types.InstanceInformationStringFilter{Key: &key, Values: []string{value}}
	}
	if d := cmp.Diff([]string{"i-1 Online", "i-2 Online", "i-4 ConnectionLost"}, ids()); d != "" {
		t.Error(d)
	}
	if all := ids(filter("InstanceIds", "i-3")); len(all) != 0 {
		t.Errorf("an instance without an agent is told: %v", all)
	}
	if d := cmp.Diff([]string{"i-4 ConnectionLost"}, ids(filter("PingStatus", "ConnectionLost"))); d != "" {
		t.Error(d)
	}
	_, err := a.SSM().DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{Filters: []types.InstanceInformationStringFilter{filter("Colour", "red")}})
	var key *types.InvalidFilterKey
	if !errors.As(err, &key) {
		t.Errorf("an unknown filter: %v, want InvalidFilterKey", err)
	}
}

// A page holds ten unless more are asked for.
func TestAgentsComeInPages(t *testing.T) {
	var list []string
	for n := range 12 {
		list = append(list, fmt.Sprintf(`{"InstanceId": "i-%d"}`, n))
	}
	a, err := sim.Open(sim.Settings{Clock: &wall{begun}}, []byte(`{"Reservations": [], "NetworkInterfaces": [], "InstanceInformationList": [`+strings.Join(list, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.SSM().DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{})
	if err != nil || len(first.InstanceInformationList) != 10 || first.NextToken == nil {
		t.Fatalf("%d agents in the first page, token %v, %v; want 10 and a token", len(first.InstanceInformationList), first.NextToken, err)
	}
	second, err := a.SSM().DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{NextToken: first.NextToken})
	if err != nil || len(second.InstanceInformationList) != 2 || second.NextToken != nil {
		t.Errorf("%d agents in the second page, %v; want the other 2", len(second.InstanceInformationList), err)
	}
	if _, err := a.SSM().DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{NextToken: aws.String("x")}); err == nil {
		t.Error("a token that was never given out is taken")
	}
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
func TestCommandsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ssm.SendCommandInput)
		code   string
	}{
		"unknown document":      {func(in *ssm.SendCommandInput) { in.DocumentName = aws.String("other") }, "InvalidDocument"},
		"no agent":              {func(in *ssm.SendCommandInput) { in.InstanceIds = []string{"i-3"} }, "InvalidInstanceId"},
		"no such instance":      {func(in *ssm.SendCommandInput) { in.InstanceIds = []string{"i-4"} }, "InvalidInstanceId"},
		"a quote":               {func(in *ssm.SendCommandInput) { in.Parameters["Batch"] = []string{"https://x'; rm -rf /; '"} }, "InvalidParameters"},
		"a line break":          {func(in *ssm.SendCommandInput) { in.Parameters["Incident"] = []string{"a\nb"} }, "InvalidParameters"},
		"a missing parameter":   {func(in *ssm.SendCommandInput) { delete(in.Parameters, "PartMiB") }, "InvalidParameters"},
		"an unknown parameter":  {func(in *ssm.SendCommandInput) { in.Parameters["More"] = []string{"1"} }, "InvalidParameters"},
		"a long comment":        {func(in *ssm.SendCommandInput) { in.Comment = aws.String(strings.Repeat("x", 101)) }, "ValidationException"},
		"a short delivery time": {func(in *ssm.SendCommandInput) { in.TimeoutSeconds = aws.Int32(29) }, "ValidationException"},
		"more than two days":    {func(in *ssm.SendCommandInput) { in.Parameters["Seconds"] = []string{"172801"} }, "InvalidParameters"},
	} {
		t.Run(name, func(t *testing.T) {
			a, clock := commanded(t, "")
			in := command("i-1")
			c.change(in)
			_, err := a.SSM().SendCommand(t.Context(), in)
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			clock.Sleep(time.Minute)
			if out, err := a.SSM().ListCommands(t.Context(), &ssm.ListCommandsInput{}); err != nil || len(out.Commands) != 0 {
				t.Errorf("a refused command is listed (%v)", err)
			}
		})
	}
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
func TestAnInvocationIsNotKnownJustAfterSending(t *testing.T) {
	a, clock := commanded(t, "")
	id := send(t, a, command("i-1"))
	_, err := a.SSM().GetCommandInvocation(t.Context(), &ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: aws.String("i-1")})
	var unknown *types.InvocationDoesNotExist
	if !errors.As(err, &unknown) {
		t.Errorf("just after sending: %v, want InvocationDoesNotExist", err)
	}
	if out, err := a.SSM().ListCommands(t.Context(), &ssm.ListCommandsInput{}); err != nil || len(out.Commands) != 0 {
		t.Errorf("just after sending the command is listed already (%v)", err)
	}
	clock.Sleep(3 * time.Second)
	if out := invocation(t, a, id, "i-1"); out.Status != types.CommandInvocationStatusInProgress || *out.StandardOutputContent != "" {
		t.Errorf("%s with output %q, want it in progress without any", out.Status, *out.StandardOutputContent)
	}
}

// A cut network is noticed by nobody until the delivery time is over.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
func TestACommandForAHostThatHearsNothingTimesOut(t *testing.T) {
	a, clock := commanded(t, "")
	id := send(t, a, command("i-2"))
	clock.Sleep(50 * time.Second)
	if out := invocation(t, a, id, "i-2"); out.Status != types.CommandInvocationStatusDelayed && out.Status != types.CommandInvocationStatusPending {
		t.Errorf("it is %s before its delivery time is over", out.Status)
	}
	out, err := a.SSM().ListCommands(t.Context(), &ssm.ListCommandsInput{InstanceId: aws.String("i-2")})
	if err != nil || len(out.Commands) != 0 {
		t.Errorf("a command that has not reached its instance is listed for it (%v)", err)
	}
	clock.Sleep(20 * time.Second)
	if out := invocation(t, a, id, "i-2"); out.Status != types.CommandInvocationStatusTimedOut || *out.StatusDetails != "Delivery Timed Out" || out.ResponseCode != -1 {
		t.Errorf("%s, %s, %d; want it timed out undelivered", out.Status, *out.StatusDetails, out.ResponseCode)
	}
}

// What lets a host reach its endpoints is TCP 443 to each of them.
func TestAGroupDecidesWhatAHostReaches(t *testing.T) {
	for group, reached := range map[string]bool{"sg-open": true, "sg-closed": false, "sg-narrow": true, "sg-nos3": false} {
		a, clock := commanded(t, "")
		if _, err := a.EC2().ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String("eni-1"), Groups: []string{group}}); err != nil {
			t.Fatal(err)
		}
		id := send(t, a, command("i-1"))
		clock.Sleep(10 * time.Second)
		if got := invocation(t, a, id, "i-1").Status == types.CommandInvocationStatusInProgress; got != reached {
			t.Errorf("in %s the command reaches the host: %t, want %t", group, got, reached)
		}
	}
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommands.html
func TestCommandsAreListedNewestFirst(t *testing.T) {
	a, clock := commanded(t, "")
	first := send(t, a, command("i-1"))
	clock.Sleep(time.Hour)
	second := send(t, a, command("i-1"))
	clock.Sleep(time.Minute)
	list := func(in *ssm.ListCommandsInput) (ids []string, next *string) {
		t.Helper()
		out, err := a.SSM().ListCommands(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out.Commands {
			if *c.Comment != "ours" {
				t.Errorf("the comment is %q", *c.Comment)
			}
			ids = append(ids, *c.CommandId)
		}
		return ids, out.NextToken
	}
	if ids, _ := list(&ssm.ListCommandsInput{}); !cmp.Equal(ids, []string{second, first}) {
		t.Errorf("listed %v, want %v first", ids, second)
	}
	filter := func(k types.CommandFilterKey, v string) []types.CommandFilter {
		return []types.CommandFilter{{Key: k, Value: &v}}
	}
	if ids, _ := list(&ssm.ListCommandsInput{Filters: filter(types.CommandFilterKeyInvokedAfter, begun.Add(time.Minute).Format(time.RFC3339))}); !cmp.Equal(ids, []string{second}) {
		t.Errorf("after the first: %v", ids)
	}
	if ids, _ := list(&ssm.ListCommandsInput{Filters: filter(types.CommandFilterKeyDocumentName, "other")}); len(ids) != 0 {
		t.Errorf("of another document: %v", ids)
	}
	page, next := list(&ssm.ListCommandsInput{MaxResults: aws.Int32(1)})
	rest, last := list(&ssm.ListCommandsInput{MaxResults: aws.Int32(1), NextToken: next})
	if !cmp.Equal(append(page, rest...), []string{second, first}) || last != nil {
		t.Errorf("in pages: %v, %v", page, rest)
	}
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CancelCommand.html
func TestCancellingIsAnAttempt(t *testing.T) {
	a, clock := commanded(t, `"AgentLostAfterSeconds": 30`)
	up := newUpload(t, a)
	cancel := func(id string) {
		t.Helper()
		if _, err := a.SSM().CancelCommand(t.Context(), &ssm.CancelCommandInput{CommandId: &id}); err != nil {
			t.Fatal(err)
		}
	}
	pending := send(t, a, command("i-2"))
	running := send(t, a, up.command(t))
	clock.Sleep(10 * time.Second)
	cancel(pending)
	if s := invocation(t, a, pending, "i-2").Status; s != types.CommandInvocationStatusCancelled {
		t.Errorf("a command that waits is %s after it was cancelled", s)
	}
	clock.Sleep(30 * time.Second) // the agent is lost by now
	cancel(running)
	clock.Sleep(time.Minute)
	if s := invocation(t, a, running, "i-1").Status; s != types.CommandInvocationStatusCancelling {
		t.Errorf("a command whose agent is lost is %s, want Cancelling: nobody there hears it", s)
	}
	cancel(pending) // it stays as it ended
	var wrong *types.InvalidCommandId
	if _, err := a.SSM().CancelCommand(t.Context(), &ssm.CancelCommandInput{CommandId: aws.String("c-x")}); !errors.As(err, &wrong) {
		t.Errorf("an unknown command: %v, want InvalidCommandId", err)
	}
}

// uploading is our side of a capture, by hand.
type uploading struct {
	a  *sim.Account
	id string
}

func newUpload(t *testing.T, a *sim.Account) *uploading {
	t.Helper()
	out, err := a.S3().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("image"), ServerSideEncryption: s3types.ServerSideEncryptionAes256})
	if err != nil {
		t.Fatal(err)
	}
	return &uploading{a, *out.UploadId}
}

func (u *uploading) get(t *testing.T, key string) string {
	t.Helper()
	r, err := u.a.S3().Presign().PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: &key}, s3.WithPresignExpires(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return r.URL
}

// batch writes batch n with addresses for these parts.
func (u *uploading) batch(t *testing.T, n, from, to int) {
	t.Helper()
	report, err := u.a.S3().Presign().PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("report")}, s3.WithPresignExpires(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cordon-batch 1\ntool %s\nreport %s\n", u.get(t, sim.MemoryToolKey), report.URL)
	for p := from; p <= to; p++ {
		fmt.Fprintf(&b, "put %d %s\n", p, partURL(t, u.a.S3(), "image", u.id, p))
	}
	fmt.Fprintf(&b, "next %s\nend\n", u.get(t, fmt.Sprint("batch-", n+1)))
	putObject(t, u.a.S3(), fmt.Sprint("batch-", n), b.String())
}

// command is the command for i-1, with the address of the first batch.
func (u *uploading) command(t *testing.T) *ssm.SendCommandInput {
	u.batch(t, 1, 1, 40)
	in := command("i-1")
	in.Parameters["Batch"] = []string{u.get(t, "batch-1")}
	return in
}

func (u *uploading) parts(t *testing.T) []s3types.Part {
	t.Helper()
	out, err := u.a.S3().ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(evidenceBucket), Key: aws.String("image"), UploadId: &u.id})
	if err != nil {
		t.Fatal(err)
	}
	return out.Parts
}

// said is the last line of a capture.
type said struct {
	Status, Reason string
	Parts          int
	Bytes          int64
}

func lastLine(t *testing.T, out *ssm.GetCommandInvocationOutput) (l said) {
	t.Helper()
	if err := json.Unmarshal([]byte(*out.StandardOutputContent), &l); err != nil {
		t.Fatalf("output %q: %v", *out.StandardOutputContent, err)
	}
	return l
}

// 1 GiB in parts of 16 MiB at 80 MiB a second, the second batch written while
// the host waits for it.
func TestAHostStreamsItsMemory(t *testing.T) {
	a, clock := commanded(t, "")
	u := newUpload(t, a)
	id := send(t, a, u.command(t))
	clock.Sleep(6 * time.Second)
	invocation(t, a, id, "i-1")
	if n := len(u.parts(t)); n < 10 || n > 25 {
		t.Errorf("%d parts after 4 seconds of 80 MiB each, want about 20", n)
	}
	clock.Sleep(10 * time.Second)
	invocation(t, a, id, "i-1")
	if n := len(u.parts(t)); n != 40 {
		t.Errorf("%d parts; there are addresses for 40", n)
	}
	u.batch(t, 2, 41, 70)
	clock.Sleep(10 * time.Second)
	out := invocation(t, a, id, "i-1")
	if got, want := lastLine(t, out), (said{"ok", "", 64, 1 << 30}); out.Status != types.CommandInvocationStatusSuccess || got != want {
		t.Errorf("%s: %+v, want %+v", out.Status, got, want)
	}
	body, err := a.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("report")})
	if err != nil {
		t.Fatal(err)
	}
	report, err := io.ReadAll(body.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range u.parts(t) {
		if !bytes.Contains(report, []byte(fmt.Sprintf("part %d %d %s ", *p.PartNumber, *p.Size, strings.Trim(*p.ETag, `"`)))) {
			t.Errorf("the report does not have the MD5 of part %d as S3 has it", *p.PartNumber)
		}
	}
}

// Behaviour, key by key.
func TestWhatAHostMayBeLike(t *testing.T) {
	for behaviour, want := range map[string]said{
		`"NoCurl": true`:                {"skipped", "no-curl", 0, 0},
		`"Lockdown": "integrity"`:       {"ok", "", 64, 1 << 30},
		`"Lockdown": "confidentiality"`: {"skipped", "lockdown", 0, 0},
		`"MemoryGiB": 2`:                {"partial", "no-addresses", 64, 1 << 30},
		`"PartAltered": 3`:              {"ok", "", 64, 1 << 30},
	} {
		a, clock := commanded(t, behaviour)
		u := newUpload(t, a)
		in := u.command(t)
		in.Parameters["Seconds"] = []string{"7200"}
		u.batch(t, 2, 41, 64)
		id := send(t, a, in)
		for range 20 {
			clock.Sleep(time.Minute)
			invocation(t, a, id, "i-1")
		}
		if got := lastLine(t, invocation(t, a, id, "i-1")); got != want {
			t.Errorf("%s: %+v, want %+v", behaviour, got, want)
		}
	}
}

func TestASlowHostRunsOutOfTime(t *testing.T) {
	a, clock := commanded(t, `"ThroughputMiBps": 1`)
	u := newUpload(t, a)
	id := send(t, a, u.command(t))
	clock.Sleep(605 * time.Second)
	out := invocation(t, a, id, "i-1")
	if out.Status != types.CommandInvocationStatusTimedOut || *out.StatusDetails != "Execution Timed Out" {
		t.Errorf("%s, %s; want Execution Timed Out", out.Status, *out.StatusDetails)
	}
	if n := len(u.parts(t)); n != 37 {
		t.Errorf("%d parts of 16 s each arrived in 600 s, want 37", n)
	}
}

// An address that has died is refused as S3 refuses it; the host gives up.
func TestAHostCannotUseDeadAddresses(t *testing.T) {
	a, clock := commanded(t, "")
	u := newUpload(t, a)
	in := u.command(t)
	clock.Sleep(2 * time.Hour)
	id := send(t, a, in)
	clock.Sleep(5 * time.Minute)
	if got, want := lastLine(t, invocation(t, a, id, "i-1")), (said{"failed", "no-batch", 0, 0}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAgentsAreInTheAccountAfterwards(t *testing.T) {
	a, _ := commanded(t, `"NoCurl": true`)
	text, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := sim.Open(sim.Settings{Clock: &wall{begun}}, text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := again.SSM().DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{})
	if err != nil || len(out.InstanceInformationList) != 3 || !bytes.Contains(text, []byte(`"NoCurl": true`)) {
		t.Errorf("%d agents, %v; want the three of the file and its behaviour\n%s", len(out.InstanceInformationList), err, text)
	}
}

// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
func TestDocumentsThatAreNotKnownAreRefused(t *testing.T) {
	for _, content := range []string{"", "{}", `{"schemaVersion": "1.2"}`, strings.Replace(captureDocument, "aws:runShellScript", "aws:runDocument", 1), strings.Replace(captureDocument, `"name": "x"`, `"name": "x", "precondition": {"StringEquals": ["platformType", "Windows"]}`, 1), strings.Replace(captureDocument, "^[0-9]+$", "(", 1)} {
		if _, err := sim.ReadDocument([]byte(content)); err == nil {
			t.Errorf("taken: %s", content)
		}
	}
}

// A step for another system is skipped by the agent, and that is a success.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
// https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/framework/runpluginutil/run.go
func TestAStepForAnotherSystemIsSkipped(t *testing.T) {
	a, clock := commanded(t, "")
	addDocument(t, a, strings.Replace(captureDocument, "aws:runShellScript", "aws:runPowerShellScript", 1))
	id := send(t, a, command("i-1"))
	clock.Sleep(5 * time.Second)
	got := invocation(t, a, id, "i-1")
	if got.Status != types.CommandInvocationStatusSuccess || got.ResponseCode != 0 || !strings.Contains(*got.StandardOutputContent, "Step execution skipped") {
		t.Errorf("a step for Windows on a host without a system of its own named: %s, %d, %q", got.Status, got.ResponseCode, *got.StandardOutputContent)
	}
}
