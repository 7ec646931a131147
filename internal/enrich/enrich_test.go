package enrich_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cordon/internal/enrich"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
	"cordon/internal/vtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
)

const (
	table     = "cordon-incidents"
	key       = "123456789012.eu-west-1.i-1"
	execution = "arn:aws:states:eu-west-1:123456789012:execution:cordon:one"
	another   = "arn:aws:states:eu-west-1:123456789012:execution:cordon:two"
	attached  = "2026-01-01T00:00:00Z"
)

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// network is a VPC in which everything a capture needs is there.
const network = `
 "VpcEndpoints": [
  {"VpcEndpointId": "vpce-ssm", "VpcEndpointType": "Interface", "VpcId": "vpc-1", "ServiceName": "com.amazonaws.eu-west-1.ssm", "State": "available",
   "PrivateDnsEnabled": true, "Groups": [{"GroupId": "sg-endpoints", "GroupName": "endpoints"}], "NetworkInterfaceIds": ["eni-ssm"]},
  {"VpcEndpointId": "vpce-messages", "VpcEndpointType": "Interface", "VpcId": "vpc-1", "ServiceName": "com.amazonaws.eu-west-1.ssmmessages", "State": "available",
   "PrivateDnsEnabled": true, "Groups": [{"GroupId": "sg-endpoints", "GroupName": "endpoints"}], "NetworkInterfaceIds": ["eni-messages"]},
  {"VpcEndpointId": "vpce-s3", "VpcEndpointType": "Gateway", "VpcId": "vpc-1", "ServiceName": "com.amazonaws.eu-west-1.s3", "State": "available",
   "RouteTableIds": ["rtb-1"], "PolicyDocument": "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":[\"s3:GetObject\",\"s3:Put*\"],\"Resource\":\"arn:aws:s3:::cordon-evidence/*\"}}"}
 ],
 "RouteTables": [
  {"RouteTableId": "rtb-main", "VpcId": "vpc-1", "Associations": [{"RouteTableAssociationId": "m", "RouteTableId": "rtb-main", "Main": true}]},
  {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": [{"RouteTableAssociationId": "s", "RouteTableId": "rtb-1", "SubnetId": "subnet-1"}]}
 ],
 "PrefixLists": [{"PrefixListId": "pl-s3", "PrefixListName": "com.amazonaws.eu-west-1.s3"}],
 "SecurityGroups": [{"GroupId": "sg-web", "GroupName": "web", "VpcId": "vpc-1"}, {"GroupId": "sg-endpoints", "GroupName": "endpoints", "VpcId": "vpc-1",
  "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}]}],`

const file = `{` + network + `
 "Reservations": [{"Instances": [{"InstanceId": "i-1", "InstanceType": "m7g.large", "State": {"Code": 16, "Name": "running"}, "Tags": [{"Key": "Name", "Value": "web"}]}]}],
 "NetworkInterfaces": [
  {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.1.5", "Groups": [{"GroupId": "sg-web"}],
   "Attachment": {"AttachmentId": "a-1", "InstanceId": "i-1", "DeviceIndex": 0, "AttachTime": "` + attached + `"}},
  {"NetworkInterfaceId": "eni-ssm", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.8", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::8"}], "Groups": [{"GroupId": "sg-endpoints"}]},
  {"NetworkInterfaceId": "eni-messages", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.9", "Groups": [{"GroupId": "sg-endpoints"}]}
 ]
}`

const event = `{"version": "0", "id": "e-1", "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "account": "123456789012",
 "time": "2026-03-01T11:59:00Z", "region": "eu-west-1", "resources": [], "detail": {"id": "f-1", "type": "Backdoor:EC2/C&CActivity.B", "severity": 8,
 "accountId": "123456789012", "region": "eu-west-1", "title": "t", "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": "i-1"}},
 "service": {"archived": false}}}`

type world struct {
	t        *testing.T
	clock    *vtime.Clock
	aws      *sim.Account
	step     *enrich.Step
	settings map[string]string
}

func open(t *testing.T, file string, faults ...sim.Fault) *world {
	t.Helper()
	clock := vtime.New(1, begun)
	account, err := sim.Open(sim.Settings{Clock: clock, Seed: 1, Faults: faults}, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: clock, aws: account, settings: map[string]string{
		"INCIDENTS_TABLE": table, "EVIDENCE_BUCKET": "cordon-evidence", "SEVERITY_THRESHOLD": "7",
		"EXEMPT_INSTANCES": "i-7, i-8", "MEMORY_TOOL_KEY": "tools/avml",
	}}
	w.build()
	return w
}

func (w *world) build() {
	w.t.Helper()
	host := incident.Host{Now: w.clock.Now, Rand: w.clock.Rand("host"), Each: w.clock.Each, Getenv: func(name string) string { return w.settings[name] }}
	step, err := enrich.New(host, w.aws.EC2(), w.aws.S3(), w.aws.SFN(), w.aws.DynamoDB())
	if err != nil {
		w.t.Fatal(err)
	}
	w.step = step
}

func (w *world) do(f func(context.Context)) {
	w.t.Helper()
	w.clock.Run(func() { w.invoke(f) })
}

func (w *world) invoke(f func(context.Context)) {
	ctx, end := w.clock.Deadline(w.t.Context(), w.clock.Now().Add(35*time.Second))
	defer end()
	f(sim.WithInvocation(ctx, &sim.Invocation{Function: "enrich", Kill: end}))
}

func (w *world) run(event, execution string) (out enrich.Output, err error) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		out, err = w.step.Run(ctx, enrich.Input{Event: json.RawMessage(event), Execution: execution})
	})
	return out, err
}

func (w *world) must(event, execution string) enrich.Output {
	w.t.Helper()
	out, err := w.run(event, execution)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// end closes the newest incident.
func (w *world) end(id string, s record.State) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		if err := record.Close(ctx, w.aws.DynamoDB(), table, id, s, begun); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *world) findings(id string) (ids []string) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		all, err := record.Findings(ctx, w.aws.DynamoDB(), table, id)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range all {
			ids = append(ids, fmt.Sprintf("%s %g", f.ID, f.Severity))
		}
	})
	return ids
}

func change(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(event) }

func TestActs(t *testing.T) {
	w := open(t, file)
	out := w.must(event, execution)
	if out.Verdict != enrich.Act || out.Reason != "" || out.Report != (incident.Report{Status: incident.OK}) {
		t.Fatalf("verdict %q, %q, %+v: want act", out.Verdict, out.Reason, out.Report)
	}
	if out.Incident.ID != key+".1" || out.Incident.AttachedAt.Format(time.RFC3339) != attached || out.Incident.Inherits != "" || out.Incident.Finding.ID != "f-1" {
		t.Errorf("incident %+v", out.Incident)
	}
	want := incident.Instance{ID: "i-1", Name: "web", Type: "m7g.large", Platform: "linux", State: "running", Lifecycle: "normal", Tags: map[string]string{"Name": "web"}, VPCs: []string{"vpc-1"}}
	if d := cmp.Diff(want, out.Instance); d != "" {
		t.Errorf("instance (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"f-1 8"}, w.findings(key+".1")); d != "" {
		t.Errorf("findings of the incident (-want +got):\n%s", d)
	}
	if out.Evidence != "events/2026/03/01/e-1.json" {
		t.Errorf("evidence %q", out.Evidence)
	}
	w.do(func(ctx context.Context) {
		got, err := w.aws.S3().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("cordon-evidence"), Key: &out.Evidence})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(got.Body); err != nil || string(b) != event {
			t.Errorf("kept %q, %v: want the event as it came", b, err)
		}
	})
	again := w.must(event, execution)
	if d := cmp.Diff(out, again); d != "" {
		t.Errorf("run again it says something else (-first +second):\n%s", d)
	}
}

func TestGuards(t *testing.T) {
	for name, c := range map[string]struct {
		event   string
		want    enrich.Verdict
		because string
	}{
		"sample":           {change(`"archived": false`, `"additionalInfo": {"sample": true}`), enrich.Nothing, "sample"},
		"archived":         {change(`"archived": false`, `"archived": true`), enrich.Nothing, "archived"},
		"below":            {change(`"severity": 8`, `"severity": 6.9`), enrich.Nothing, "threshold"},
		"another resource": {change(`"Instance"`, `"AccessKey"`), enrich.Nothing, "AccessKey"},
		"another account":  {change(`"accountId": "123456789012"`, `"accountId": "210987654321"`), enrich.Foreign, "210987654321"},
		"another bus":      {change("123456789012", "210987654321"), enrich.Foreign, "210987654321"},
		"forwarded":        {change(`"account": "123456789012"`, `"account": "210987654321"`), enrich.Foreign, "account"},
		"another Region":   {change("eu-west-1", "us-east-1"), enrich.Foreign, "us-east-1"},
		"exempt":           {change(`"i-1"`, `"i-8"`), enrich.Exempt, "i-8"},
		"unreadable":       {change(`"severity": 8`, `"severity": "8"`), enrich.Unreadable, "detail.severity"},
		"no object":        {`[]`, enrich.Unreadable, "event"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, file)
			out := w.must(c.event, execution)
			if out.Verdict != c.want || !strings.Contains(out.Reason, c.because) || out.Incident.ID != "" {
				t.Errorf("verdict %q because %q, incident %q; want %q because of %q", out.Verdict, out.Reason, out.Incident.ID, c.want, c.because)
			}
			if out.Evidence == "" {
				t.Error("the event is lost")
			}
			for _, call := range w.aws.Calls() {
				if call.Service != "s3" {
					t.Errorf("%s:%s: nothing may be touched, nor looked at", call.Service, call.Action)
				}
			}
			b, err := json.Marshal(out)
			if err != nil || strings.Contains(string(b), "null") {
				t.Errorf("%s, %v: JSONata would lose it", b, err)
			}
		})
	}
}

func TestThresholdIsInclusive(t *testing.T) {
	w := open(t, file)
	if out := w.must(change(`"severity": 8`, `"severity": 7.0`), execution); out.Verdict != enrich.Act {
		t.Errorf("verdict %q, %q: the threshold itself is to be acted on", out.Verdict, out.Reason)
	}
}

func TestInstanceIsNotKnown(t *testing.T) {
	w := open(t, file)
	_, err := w.run(change(`"i-1"`, `"i-none"`), execution)
	if !errors.Is(err, incident.ErrInstanceNotFound) {
		t.Errorf("error %v: want InstanceNotFound, which the machine asks about again", err)
	}
	w = open(t, strings.Replace(file, `{"Code": 16, "Name": "running"}`, `{"Code": 48, "Name": "terminated"}`, 1))
	if out := w.must(event, execution); out.Verdict != enrich.Gone || out.Incident.ID != "" {
		t.Errorf("verdict %q: a terminated instance is gone", out.Verdict)
	}
}

func TestUnreadableMustBeKept(t *testing.T) {
	fault := sim.Fault{Service: "s3", Action: "PutObject", Number: 1, Kind: sim.Unavailable}
	if out, err := open(t, file, fault).run(`{}`, execution); err == nil {
		t.Errorf("%+v: an event that nobody understood is lost", out)
	}
	out := open(t, file, fault).must(event, execution)
	if out.Verdict != enrich.Act || out.Report.Status != incident.Partial || out.Evidence != "" {
		t.Errorf("%q, %+v: isolation waited for the bucket, or nobody is told", out.Verdict, out.Report)
	}
}

func TestJoins(t *testing.T) {
	second := change(`"f-1"`, `"f-2"`, `"severity": 8`, `"severity": 9.5`)
	for name, c := range map[string]struct {
		contained bool
		status    sfntypes.ExecutionStatus
		want      enrich.Verdict
	}{
		"running":                   {false, sfntypes.ExecutionStatusRunning, enrich.Joined},
		"contained and running":     {true, sfntypes.ExecutionStatusRunning, enrich.Joined},
		"contained and ended":       {true, sfntypes.ExecutionStatusSucceeded, enrich.Joined},
		"ended before containment":  {false, sfntypes.ExecutionStatusFailed, enrich.Act},
		"vanished":                  {false, "", enrich.Act},
		"aborted before contained":  {false, sfntypes.ExecutionStatusAborted, enrich.Act},
		"timed out before that too": {false, sfntypes.ExecutionStatusTimedOut, enrich.Act},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, file)
			first := w.must(event, another)
			w.aws.SFN().Execution = func(arn string) (sim.Execution, bool) {
				return sim.Execution{Status: c.status}, c.status != "" && arn == another
			}
			w.do(func(ctx context.Context) {
				if err := record.SaveStep(ctx, w.aws.DynamoDB(), table, first.Incident.ID, "isolate", incident.Isolation{Contained: c.contained}); err != nil {
					t.Fatal(err)
				}
			})
			out := w.must(second, execution)
			if out.Verdict != c.want || out.Incident.ID != first.Incident.ID {
				t.Errorf("verdict %q for %q, want %q for %q", out.Verdict, out.Incident.ID, c.want, first.Incident.ID)
			}
			if d := cmp.Diff([]string{"f-1 8", "f-2 9.5"}, w.findings(first.Incident.ID)); d != "" {
				t.Errorf("findings of the incident (-want +got):\n%s", d)
			}
			if again := w.must(second, execution); again.Verdict != c.want {
				t.Errorf("run again: verdict %q, want %q", again.Verdict, c.want)
			}
		})
	}
}

func TestTwoFindingsAtOnce(t *testing.T) {
	for seed := range 20 {
		w := open(t, file)
		w.aws.SFN().Execution = func(string) (sim.Execution, bool) {
			return sim.Execution{Status: sfntypes.ExecutionStatusRunning}, true
		}
		verdicts := map[enrich.Verdict]int{}
		w.clock.Run(func() {
			w.clock.Each(3, func(n int) {
				w.clock.Sleep(time.Duration(n*seed) * 5 * time.Millisecond)
				w.invoke(func(ctx context.Context) {
					out, err := w.step.Run(ctx, enrich.Input{Event: json.RawMessage(change(`"f-1"`, fmt.Sprintf(`"f-%d"`, n))), Execution: fmt.Sprintf("%s-%d", execution, n)})
					if err != nil {
						t.Error(err)
					}
					verdicts[out.Verdict]++
				})
			})
		})
		if d := cmp.Diff(map[enrich.Verdict]int{enrich.Act: 1, enrich.Joined: 2}, verdicts); d != "" {
			t.Errorf("seed %d: one incident an instance (-want +got):\n%s", seed, d)
		}
		if got := len(w.findings(key + ".1")); got != 3 {
			t.Errorf("seed %d: %d findings are known of it, want 3", seed, got)
		}
	}
}

// successor is the same account after the instance was replaced by another of its ID.
func (w *world) successor() *world {
	w.t.Helper()
	b, err := w.aws.JSON()
	if err != nil {
		w.t.Fatal(err)
	}
	var account map[string]any
	if err := json.Unmarshal(b, &account); err != nil {
		w.t.Fatal(err)
	}
	for _, i := range account["NetworkInterfaces"].([]any) {
		if a, ok := i.(map[string]any)["Attachment"].(map[string]any); ok {
			a["AttachTime"] = "2026-02-01T00:00:00Z"
		}
	}
	if b, err = json.Marshal(account); err != nil {
		w.t.Fatal(err)
	}
	return open(w.t, string(b))
}

func TestAfterADecision(t *testing.T) {
	for name, c := range map[string]struct {
		state   record.State
		finding string
		reborn  bool
		want    enrich.Verdict
		id      string
		inherit string
	}{
		"repeat after release":       {record.Released, event, false, enrich.Decided, ".1", ""},
		"repeat after keep":          {record.Kept, event, false, enrich.Decided, ".1", ""},
		"less severe":                {record.Kept, change(`"severity": 8`, `"severity": 7`), false, enrich.Decided, ".1", ""},
		"another of the same":        {record.Released, change(`"f-1"`, `"f-2"`), false, enrich.Decided, ".1", ""},
		"more severe after release":  {record.Released, change(`"severity": 8`, `"severity": 8.1`), false, enrich.Act, ".2", ""},
		"new type after keep":        {record.Kept, change(`"f-1"`, `"f-2"`, "C&CActivity.B", "DenialOfService.Tcp"), false, enrich.Act, ".2", key + ".1"},
		"another machine of that ID": {record.Kept, event, true, enrich.Act, ".2", ""},
		"terminated":                 {record.Terminated, event, false, enrich.Act, ".2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, file)
			first := w.must(event, another)
			w.end(first.Incident.ID, c.state)
			if c.reborn {
				w = w.successor()
			}
			for range 2 {
				out := w.must(c.finding, execution)
				if out.Verdict != c.want || out.Incident.ID != key+c.id || out.Incident.Inherits != c.inherit {
					t.Errorf("verdict %q for %q, inherits %q, because %q; want %q for %q, inherits %q",
						out.Verdict, out.Incident.ID, out.Incident.Inherits, out.Reason, c.want, key+c.id, c.inherit)
				}
			}
		})
	}
}

func TestLessSevereUpdateHidesNothing(t *testing.T) {
	w := open(t, file)
	w.aws.SFN().Execution = func(string) (sim.Execution, bool) {
		return sim.Execution{Status: sfntypes.ExecutionStatusRunning}, true
	}
	severe := change(`"f-1"`, `"f-2"`, `"severity": 8`, `"severity": 9`)
	w.must(event, another)
	w.must(severe, execution)
	w.must(strings.Replace(severe, `"severity": 9`, `"severity": 7.5`, 1), execution+"b")
	w.end(key+".1", record.Released)
	if out := w.must(severe, execution+"c"); out.Verdict != enrich.Decided {
		t.Errorf("verdict %q: a person decided on just this", out.Verdict)
	}
}

func TestKilled(t *testing.T) {
	calm := open(t, file)
	want := calm.must(event, execution)
	for _, call := range calm.aws.Calls() {
		for _, kind := range []sim.Kind{sim.Denied, sim.Unavailable, sim.Lost, sim.KilledBefore, sim.KilledAfter, sim.Late, sim.Timeout} {
			fault := sim.Fault{Service: call.Service, Action: call.Action, Number: call.Number, Kind: kind}
			w := open(t, file, fault)
			out, err := w.run(event, execution)
			if err == nil && out.Report.Status == incident.OK && out.Capture[0].Complete && len(out.Capture[0].CIDRs) > 0 {
				if d := cmp.Diff(want, out, opened); d != "" {
					t.Errorf("%v: (-undisturbed +got):\n%s", fault, d)
				}
			}
			if err != nil || kind == sim.KilledBefore || kind == sim.KilledAfter {
				out = w.must(event, execution)
				if d := cmp.Diff(want, out, opened); d != "" {
					t.Errorf("%v: run again it says something else (-undisturbed +got):\n%s", fault, d)
				}
			}
			if out.Verdict != enrich.Act {
				t.Errorf("%v: verdict %q", fault, out.Verdict)
			}
			if d := cmp.Diff([]string{"f-1 8"}, w.findings(key+".1")); d != "" {
				t.Errorf("%v: findings (-want +got):\n%s", fault, d)
			}
		}
	}
}

// opened leaves out when an incident was opened, which a retry cannot help.
var opened = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".OpenedAt" }, cmp.Ignore())

func TestCapture(t *testing.T) {
	type swap = []string
	for name, c := range map[string]struct {
		swap swap
		want string // the reason, or empty for complete
		note string
	}{
		"complete":               {nil, "", ""},
		"no ssm":                 {swap{".ssm\"", ".sns\""}, "endpoint for ssm", ""},
		"pending":                {swap{`"com.amazonaws.eu-west-1.ssm", "State": "available"`, `"com.amazonaws.eu-west-1.ssm", "State": "pending"`}, "vpce-ssm is pending", ""},
		"no private DNS":         {swap{`"PrivateDnsEnabled": true`, `"PrivateDnsEnabled": false`}, "no private DNS", ""},
		"another VPC's":          {swap{`"VpcEndpointType": "Gateway", "VpcId": "vpc-1"`, `"VpcEndpointType": "Gateway", "VpcId": "vpc-2"`}, "endpoint for S3", ""},
		"groups closed":          {swap{"10.0.0.0/16", "10.9.0.0/16"}, "eni-1", ""},
		"another port":           {swap{`"FromPort": 443, "ToPort": 443`, `"FromPort": 80, "ToPort": 80`}, "eni-1", ""},
		"by group only":          {swap{`"IpRanges": [{"CidrIp": "10.0.0.0/16"}]`, `"UserIdGroupPairs": [{"GroupId": "sg-web"}]`}, "eni-1", ""},
		"main route table":       {swap{`, "SubnetId": "subnet-1"}]}`, `, "SubnetId": "subnet-9"}]}`}, "route table", ""},
		"main table has it":      {swap{`"SubnetId": "subnet-1"}]}`, `"SubnetId": "subnet-9"}]}`, `["rtb-1"]`, `["rtb-main"]`}, "", ""},
		"windows":                {swap{`"InstanceType"`, `"Platform": "windows", "InstanceType"`}, "Windows", ""},
		"stopped":                {swap{`{"Code": 16, "Name": "running"}`, `{"Code": 80, "Name": "stopped"}`}, "stopped", ""},
		"default policy":         {swap{`, "PolicyDocument": ` + policy, ``}, "", "vpce-s3"},
		"full access":            {swap{policy, text(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`)}, "", "vpce-s3"},
		"another bucket":         {swap{"cordon-evidence/*", "somebody-else/*"}, "does not allow", "vpce-s3"},
		"bucket and more":        {swap{"cordon-evidence/*", "cordon-evidence*"}, "", "vpce-s3"},
		"read only":              {swap{`,\"s3:Put*\"`, ``}, "s3:PutObject", ""},
		"case of actions":        {swap{`s3:Put*`, `S3:PUTO?ject`}, "", ""},
		"denied":                 {swap{policy, text(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"s3:Put*","Resource":"*"}]}`)}, "denies s3:PutObject", ""},
		"denied elsewhere":       {swap{policy, text(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::cordon-evidence/*"},{"Effect":"Deny","Principal":"*","Action":"s3:Delete*","Resource":"*"}]}`)}, "", ""},
		"condition":              {swap{`\"Effect\"`, `\"Condition\":{\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-1\"}},\"Effect\"`}, "cannot be told", ""},
		"not action":             {swap{`\"Action\"`, `\"NotAction\"`}, "cannot be told", ""},
		"somebody":               {swap{`\"AWS\":\"*\"`, `\"AWS\":\"arn:aws:iam::123456789012:root\"`}, "cannot be told", ""},
		"variable":               {swap{"cordon-evidence/*", "${aws:PrincipalTag/x}/*"}, "cannot be told", ""},
		"not JSON":               {swap{policy, `"{"`}, "cannot be read", ""},
		"addresses are not told": {swap{`"NetworkInterfaceIds": ["eni-ssm"]`, `"NetworkInterfaceIds": []`}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer(c.swap...).Replace(file)
			if len(c.swap) > 0 && text == file {
				t.Fatal("the case changes nothing")
			}
			out := open(t, text).must(event, execution)
			got := out.Capture[0]
			if got.VPC != "vpc-1" || got.Complete != (c.want == "") || !strings.Contains(got.Reason, c.want) || got.Complete && got.Reason != "" {
				t.Errorf("complete %v because %q; want %q", got.Complete, got.Reason, c.want)
			}
			if c.want == "" && (c.note == "") != (len(got.Notes) == 0) || c.want == "" && !strings.Contains(strings.Join(got.Notes, ""), c.note) {
				t.Errorf("notes %q, want %q: a way out to other buckets must be told", got.Notes, c.note)
			}
			if name == "complete" {
				want := incident.Capture{VPC: "vpc-1", Complete: true, Prefixes: []string{"pl-s3"}, CIDRs: []string{"10.0.0.8/32", "10.0.0.9/32", "2001:db8::8/128"}, Groups: []string{}, Notes: []string{}}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("capture (-want +got):\n%s", d)
				}
			}
			if name == "addresses are not told" {
				if d := cmp.Diff([]string{"sg-endpoints"}, got.Groups); d != "" {
					t.Errorf("groups (-want +got):\n%s", d)
				}
			}
		})
	}
}

const policy = `"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":[\"s3:GetObject\",\"s3:Put*\"],\"Resource\":\"arn:aws:s3:::cordon-evidence/*\"}}"`

// text is a JSON text that holds a document.
func text(document string) string {
	b, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestCaptureNeverStopsIsolation(t *testing.T) {
	for _, action := range []string{"DescribeVpcEndpoints", "DescribeRouteTables", "DescribePrefixLists", "DescribeSecurityGroupRules"} {
		out := open(t, file, sim.Fault{Service: "ec2", Action: action, Number: 1, Kind: sim.Denied}).must(event, execution)
		if out.Verdict != enrich.Act || out.Capture[0].Complete || !strings.Contains(out.Capture[0].Reason, "UnauthorizedOperation") {
			t.Errorf("%s denied: verdict %q, capture %+v: want to act without memory and say why", action, out.Verdict, out.Capture)
		}
	}
	out := open(t, file, sim.Fault{Service: "ec2", Action: "DescribeNetworkInterfaces", Number: 1, Kind: sim.Denied}).must(event, execution)
	if d := cmp.Diff([]string{"sg-endpoints"}, out.Capture[0].Groups); d != "" || !out.Capture[0].Complete {
		t.Errorf("addresses denied: complete %v, groups (-want +got):\n%s", out.Capture[0].Complete, d)
	}
}

func TestMemoryIsOff(t *testing.T) {
	w := open(t, file)
	w.settings["MEMORY_TOOL_KEY"] = ""
	w.build()
	out := w.must(event, execution)
	if out.Capture[0].Complete || !strings.Contains(out.Capture[0].Reason, "switched off") {
		t.Errorf("%+v", out.Capture)
	}
	for _, c := range w.aws.Calls() {
		if c.Action == "DescribeVpcEndpoints" {
			t.Error("endpoints were described for nothing")
		}
	}
}

func TestSettings(t *testing.T) {
	for name, value := range map[string]string{"INCIDENTS_TABLE": "", "EVIDENCE_BUCKET": "", "SEVERITY_THRESHOLD": "high"} {
		settings := map[string]string{"INCIDENTS_TABLE": "t", "EVIDENCE_BUCKET": "b", "SEVERITY_THRESHOLD": "7"}
		settings[name] = value
		_, err := enrich.New(incident.Host{Getenv: func(n string) string { return settings[n] }}, nil, nil, nil, nil)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s = %q: error %v, want its name", name, value, err)
		}
	}
}
