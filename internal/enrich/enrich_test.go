package enrich_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/enrich"
	"cordon/internal/incident"
	"cordon/internal/isolate"
	"cordon/internal/record"
	"cordon/internal/release"
	"cordon/internal/sim"
	"cordon/internal/vtime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
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

	pauseSwitch = "/cordon/pause"
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
	account.SSM().AddParameter(pauseSwitch, "off")
	w := &world{t: t, clock: clock, aws: account, settings: map[string]string{
		"INCIDENTS_TABLE": table, "EVIDENCE_BUCKET": "cordon-evidence", "SEVERITY_THRESHOLD": "7", "RETENTION_DAYS": "30",
		"EXEMPT_INSTANCES": "i-7, i-8", "MEMORY_TOOL_KEY": "tools/avml",
		"FINDING_TYPES": "*", "NEVER_FINDING_TYPES": "Recon:*, Impact:EC2/PortSweep", "EXEMPT_TAG": "", "PAUSE_PARAMETER": pauseSwitch, "PAUSE_HOURS": "12",
		"MAX_ISOLATIONS_PER_HOUR": "10", "MAX_GROUP_PERCENT": "50",
		"STACK_NAME": "cordon", "DECISIONS_TABLE": "cordon-decisions", "MAC_KEY_ID": "mac", "APPROVERS_FOR_TERMINATION": "1", // for the steps of others
	}}
	w.build()
	return w
}

func (w *world) host() incident.Host {
	return incident.Host{Now: w.clock.Now, Rand: w.clock.Rand("host"), Each: w.clock.Each, Getenv: func(name string) string { return w.settings[name] }}
}

func (w *world) build() {
	w.t.Helper()
	step, err := enrich.New(w.host(), w.aws.EC2(), w.aws.S3(), w.aws.SSM(), w.aws.AutoScaling(), w.aws.SFN(), w.aws.DynamoDB())
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
		h, err := record.LoadHead(ctx, w.aws.DynamoDB(), table, id)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := record.Close(ctx, w.aws.DynamoDB(), table, id, h.Execution, s, begun); err != nil {
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

// Another event with the ID of one that came must not take its place.
func TestAnEventThatIsKeptStays(t *testing.T) {
	w := open(t, file)
	first := w.must(event, execution)
	again := w.must(change(`"severity": 8`, `"severity": 9.5`), execution)
	if again.Evidence != first.Evidence || again.Report.Status != incident.OK {
		t.Errorf("evidence %q, %+v; want %q", again.Evidence, again.Report, first.Evidence)
	}
	w.do(func(ctx context.Context) {
		got, err := w.aws.S3().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("cordon-evidence"), Key: &first.Evidence})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(got.Body); err != nil || string(b) != event {
			t.Errorf("kept %q, %v: want the event that came first", b, err)
		}
	})
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

// runs makes the other execution one of that status; empty: there is none.
func (w *world) runs(status sfntypes.ExecutionStatus) {
	w.aws.SFN().Execution = func(arn string) (sim.Execution, bool) {
		return sim.Execution{Status: status}, status != "" && arn == another
	}
}

func (w *world) save(id, step string, v any) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		if err := record.SaveStep(ctx, w.aws.DynamoDB(), table, id, step, v); err != nil {
			w.t.Fatal(err)
		}
	})
}

func (w *world) head(id string) (h record.Head) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		var err error
		if h, err = record.LoadHead(ctx, w.aws.DynamoDB(), table, id); err != nil {
			w.t.Fatal(err)
		}
	})
	return h
}

// isolation is a record of isolate that found eni-1 in groups.
func isolation(where incident.Place, groups ...string) incident.Isolation {
	return incident.Isolation{Contained: where != incident.Open, Interfaces: []incident.Interface{
		{ID: "eni-0", Groups: []string{"sg-web"}, Where: incident.Quarantined}, // detached since
		{ID: "eni-1", Groups: groups, Where: where, Reason: "the group lets traffic in"},
	}}
}

// In file eni-1 is in sg-web: a record that says it was put there is one of an
// instance that is contained as seen now.
var (
	contained = isolation(incident.Quarantined, "sg-web")
	capturing = isolation(incident.Capturing, "sg-web")
	moved     = isolation(incident.Quarantined, "sg-quarantine")
	joinedBy  = isolation(incident.Quarantined, "sg-web", "sg-quarantine")
	never     = isolation(incident.Open, "sg-web")
	unknown   = incident.Isolation{Contained: true, Interfaces: []incident.Interface{{ID: "eni-0", Groups: []string{"sg-web"}, Where: incident.Quarantined}}}
)

func TestJoins(t *testing.T) {
	const (
		running   = sfntypes.ExecutionStatusRunning
		succeeded = sfntypes.ExecutionStatusSucceeded
		failed    = sfntypes.ExecutionStatusFailed
	)
	second := change(`"f-1"`, `"f-2"`, `"severity": 8`, `"severity": 9.5`)
	prefix := "incident " + key + ".1 is open "
	for name, c := range map[string]struct {
		recorded any
		status   sfntypes.ExecutionStatus
		want     enrich.Verdict
		why      string
	}{
		"running":                   {nil, running, enrich.Joined, "and being worked on; isolation is under way, and not contained as seen now: eni-1 is in sg-web"},
		"contained and running":     {contained, running, enrich.Joined, "and being worked on; contained as seen now"},
		"capturing and running":     {capturing, running, enrich.Joined, "and being worked on; contained as seen now"},
		"moved and running":         {moved, running, enrich.Joined, "and being worked on, but not contained as seen now: eni-1 is in sg-web"},
		"never and running":         {never, running, enrich.Joined, "and being worked on, but not contained as seen now: eni-1 is in sg-web, which did not contain it: the group lets traffic in"},
		"contained and ended":       {contained, succeeded, enrich.Joined, "and contained as seen now, but nobody works on it any more: decide by hand"},
		"contained and vanished":    {contained, "", enrich.Joined, "and contained as seen now, but nobody works on it any more: decide by hand"},
		"ended before containment":  {nil, failed, enrich.Act, ""},
		"vanished":                  {nil, "", enrich.Act, ""},
		"aborted before contained":  {nil, sfntypes.ExecutionStatusAborted, enrich.Act, ""},
		"timed out before that too": {never, sfntypes.ExecutionStatusTimedOut, enrich.Act, ""},
		"moved since":               {moved, succeeded, enrich.Act, ""},
		"out of one of two groups":  {joinedBy, succeeded, enrich.Act, ""},
		"attached since":            {unknown, succeeded, enrich.Act, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, file)
			first := w.must(event, another)
			w.runs(c.status)
			if c.recorded != nil {
				w.save(first.Incident.ID, "isolate", c.recorded)
			}
			why := c.why
			if why != "" {
				why = prefix + why
			}
			worker := another
			if c.want == enrich.Act {
				worker = execution
			}
			for range 2 {
				out := w.must(second, execution)
				if out.Verdict != c.want || out.Incident.ID != first.Incident.ID || out.Reason != why {
					t.Errorf("verdict %q for %q because\n%q, want %q for %q because\n%q", out.Verdict, out.Incident.ID, out.Reason, c.want, first.Incident.ID, why)
				}
				if got := w.head(first.Incident.ID).Execution; got != worker {
					t.Errorf("it is worked on by %s, want %s", got, worker)
				}
			}
			if d := cmp.Diff([]string{"f-1 8", "f-2 9.5"}, w.findings(first.Incident.ID)); d != "" {
				t.Errorf("findings of the incident (-want +got):\n%s", d)
			}
		})
	}
}

// A second interface that nobody isolated is a way in and out.
func TestAttachedLater(t *testing.T) {
	w := open(t, strings.Replace(file, `"NetworkInterfaces": [`, `"NetworkInterfaces": [
  {"NetworkInterfaceId": "eni-2", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.1.6", "Groups": [{"GroupId": "sg-web"}, {"GroupId": "sg-endpoints"}],
   "Attachment": {"AttachmentId": "a-2", "InstanceId": "i-1", "DeviceIndex": 1, "AttachTime": "`+attached+`"}},`, 1))
	first := w.must(event, another)
	w.save(first.Incident.ID, "isolate", contained)
	w.runs(sfntypes.ExecutionStatusRunning)
	out := w.must(event, execution)
	if want := "not contained as seen now: eni-2 is in sg-endpoints, sg-web"; out.Verdict != enrich.Joined || !strings.HasSuffix(out.Reason, want) {
		t.Errorf("verdict %q because %q, want joined because %q", out.Verdict, out.Reason, want)
	}
	w.runs(sfntypes.ExecutionStatusSucceeded)
	if out := w.must(event, execution); out.Verdict != enrich.Act || out.Incident.ID != first.Incident.ID {
		t.Errorf("verdict %q for %q: a way in stays open and nobody works on it", out.Verdict, out.Incident.ID)
	}
	w.save(first.Incident.ID, "isolate", incident.Isolation{Contained: true, Interfaces: append(contained.Interfaces,
		incident.Interface{ID: "eni-2", Groups: []string{"sg-web", "sg-endpoints"}, Where: incident.Capturing})})
	if out := w.must(event, execution+"b"); out.Verdict != enrich.Joined || !strings.Contains(out.Reason, "and contained as seen now") {
		t.Errorf("verdict %q because %q: both are contained, in whatever order their groups are listed", out.Verdict, out.Reason)
	}
}

// noted is an open incident with a decision that authorize verified, and whose
// execution is over.
func noted(t *testing.T, c incident.Choice, faults ...sim.Fault) *world {
	t.Helper()
	w := open(t, file, faults...)
	first := w.must(event, another)
	w.runs(sfntypes.ExecutionStatusFailed)
	w.save(first.Incident.ID, "isolate", moved)
	w.do(func(ctx context.Context) {
		if err := record.NoteDecision(ctx, w.aws.DynamoDB(), table, another, incident.Decision{Incident: first.Incident.ID, Choice: c, DecidedAt: begun}); err != nil {
			t.Fatal(err)
		}
	})
	return w
}

// The release was carried out, and closing the incident failed.
func TestReleasedButOpen(t *testing.T) {
	severe, other := change(`"severity": 8`, `"severity": 9`), change(`"f-1"`, `"f-2"`, "C&CActivity.B", "DenialOfService.Tcp")
	for name, c := range map[string]struct {
		decision incident.Choice
		finding  string
		want     enrich.Verdict
	}{
		"repeat":               {incident.Release, event, enrich.Decided},
		"less severe":          {incident.Release, change(`"f-1"`, `"f-3"`, `"severity": 8`, `"severity": 7`), enrich.Decided},
		"more severe":          {incident.Release, severe, enrich.Act},
		"new type":             {incident.Release, other, enrich.Act},
		"repeat after keep":    {incident.Keep, event, enrich.Act},
		"repeat, to terminate": {incident.Terminate, event, enrich.Act},
	} {
		t.Run(name, func(t *testing.T) {
			w := noted(t, c.decision)
			for range 2 {
				out := w.must(c.finding, execution)
				if out.Verdict != c.want || out.Incident.ID != key+".1" {
					t.Errorf("verdict %q for %q because %q, want %q for the incident itself", out.Verdict, out.Incident.ID, out.Reason, c.want)
				}
				const why = "a person decided on incident " + key + ".1 (release; nobody works on it any more, and it was not closed), and this finding is neither of a new type nor more severe; not contained as seen now: eni-1 is in sg-web"
				if c.want == enrich.Decided && out.Reason != why {
					t.Errorf("because\n%q, want\n%q", out.Reason, why)
				}
				h := w.head(key + ".1")
				if acts := c.want == enrich.Act; acts != (h.Execution == execution) || acts != (h.Decision == "") {
					t.Errorf("worked on by %s with decision %q: an old decision ends new evidence, or one that stands was forgotten", h.Execution, h.Decision)
				}
			}
		})
	}
}

// The release was carried out, closing the incident failed, people were asked once
// more, decided otherwise, and were refused: no note of the release is left in the
// head, and a repeat must not isolate what a person put back all the same.
func TestReleaseOutlivesItsNote(t *testing.T) {
	isolated := moved
	isolated.At = begun
	for name, c := range map[string]struct {
		release any
		want    enrich.Verdict
	}{
		"released since":       {map[string]any{"status": "ok", "connected": true, "endedAt": begun.Add(time.Minute)}, enrich.Decided},
		"released in part":     {map[string]any{"status": "partial", "endedAt": begun.Add(time.Minute)}, enrich.Decided},
		"isolated again since": {map[string]any{"status": "ok", "connected": true, "endedAt": begun.Add(-time.Minute)}, enrich.Act},
		"begun and not ended":  {map[string]any{"status": "failed", "beganAt": begun.Add(time.Minute)}, enrich.Act},
	} {
		t.Run(name, func(t *testing.T) {
			w := noted(t, incident.Terminate)
			w.save(key+".1", "isolate", isolated)
			w.save(key+".1", "release", c.release)
			out := w.must(event, execution)
			if out.Verdict != c.want {
				t.Errorf("verdict %q because %q, want %q", out.Verdict, out.Reason, c.want)
			}
			if c.want != enrich.Decided {
				return
			}
			if out := w.must(change(`"severity": 8`, `"severity": 9`), execution); out.Verdict != enrich.Act {
				t.Errorf("of a finding that is more severe: %q because %q", out.Verdict, out.Reason)
			}
		})
	}
}

// An incident that is taken over after a release, killed anywhere: no later run
// goes on with the old decision.
func TestKilledTakingOver(t *testing.T) {
	severe := change(`"severity": 8`, `"severity": 9`)
	calm := noted(t, incident.Release)
	from := len(calm.aws.Calls())
	want := calm.must(severe, execution)
	for _, call := range calm.aws.Calls()[from:] {
		if call.Service != "dynamodb" && call.Service != "sfn" {
			continue
		}
		for _, kind := range []sim.Kind{sim.Denied, sim.Lost, sim.KilledBefore, sim.KilledAfter} {
			fault := sim.Fault{Service: call.Service, Action: call.Action, Number: call.Number, Kind: kind}
			w := noted(t, incident.Release, fault)
			out, err := w.run(severe, execution)
			if err == nil && kind == sim.Denied && out.Report.Status == incident.OK {
				t.Errorf("%v: it went unnoticed", fault)
			}
			out = w.must(severe, execution)
			if d := cmp.Diff(want, out, opened); d != "" {
				t.Errorf("%v: run again it says something else (-undisturbed +got):\n%s", fault, d)
			}
			if h := w.head(key + ".1"); h.Execution != execution || h.Decision != "" {
				t.Errorf("%v: worked on by %s with decision %q", fault, h.Execution, h.Decision)
			}
			if d := cmp.Diff([]string{"f-1 9"}, w.findings(key+".1")); d != "" {
				t.Errorf("%v: findings (-want +got):\n%s", fault, d)
			}
			if len(w.aws.Unmet()) > 0 {
				t.Errorf("%v never hit", fault)
			}
		}
	}
}

func TestKeptAndUndone(t *testing.T) {
	const decided = "a person decided on incident " + key + ".1 (kept), and this finding is neither of a new type nor more severe"
	for name, c := range map[string]struct {
		recorded any
		why      string
	}{
		"contained":   {contained, decided},
		"moved":       {moved, decided + "; it is NOT isolated any more: eni-1 is in sg-web"},
		"never was":   {never, decided + "; it is NOT isolated any more: eni-1 is in sg-web, which did not contain it: the group lets traffic in"},
		"no record":   {nil, decided + "; it is NOT isolated any more: eni-1 is in sg-web"},
		"not of this": {unknown, decided + "; it is NOT isolated any more: eni-1 is in sg-web"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, file)
			first := w.must(event, another)
			if c.recorded != nil {
				w.save(first.Incident.ID, "isolate", c.recorded)
			}
			w.end(first.Incident.ID, record.Kept)
			if out := w.must(event, execution); out.Verdict != enrich.Decided || out.Reason != c.why {
				t.Errorf("verdict %q because\n%q, want decided because\n%q", out.Verdict, out.Reason, c.why)
			}
		})
	}
}

// An earlier request may bear a decision on what was known before.
func TestRound(t *testing.T) {
	w := open(t, file)
	ask := func(id string, round int) {
		w.do(func(ctx context.Context) {
			if _, err := record.OpenRequest(ctx, w.aws.DynamoDB(), table, record.Request{Incident: id, Round: round, OpenedAt: begun}); err != nil {
				t.Fatal(err)
			}
		})
	}
	want := func(event, execution string, v enrich.Verdict, id string, round int) {
		t.Helper()
		if out := w.must(event, execution); out.Verdict != v || out.Incident.ID != id || out.Round != round {
			t.Errorf("verdict %q for %s, round %d (%s); want %q for %s, round %d", out.Verdict, out.Incident.ID, out.Round, out.Reason, v, id, round)
		}
	}
	severe := change(`"severity": 8`, `"severity": 9`)
	w.runs(sfntypes.ExecutionStatusFailed)
	want(event, another, enrich.Act, key+".1", 1)
	want(event, another, enrich.Act, key+".1", 1) // nobody was asked yet
	ask(key+".1", 1)
	ask(key+".1", 2)
	want(event, another, enrich.Act, key+".1", 3)
	want(event, execution, enrich.Act, key+".1", 3) // taken over
	w.end(key+".1", record.Released)
	want(event, another, enrich.Decided, key+".1", 0)
	want(severe, another, enrich.Act, key+".2", 1)
	for n := range 12 { // not the last by its text
		ask(key+".2", n+1)
	}
	want(severe, another, enrich.Act, key+".2", 13)
}

// A release that could not bring an interface out of our group leaves what it
// had before with that incident. The next one must hand it on: isolate, release
// in part, isolate again, release.
func TestReleasedInPart(t *testing.T) {
	w := open(t, file)
	first := w.must(event, execution)
	w.isolate(first)
	w = w.edit(func(account map[string]any) { // while it was isolated, somebody deleted its group
		groups := account["SecurityGroups"].([]any)
		account["SecurityGroups"] = slices.DeleteFunc(groups, func(g any) bool { return g.(map[string]any)["GroupId"] == "sg-web" })
	})
	if r := w.release(first); r.Connected || r.Status != incident.Partial {
		t.Fatalf("the release %+v: want one that cannot reconnect", r)
	}
	w.end(first.Incident.ID, record.Released)

	second := w.must(change(`"severity": 8`, `"severity": 9`), another)
	if second.Incident.ID != key+".2" || second.Incident.Inherits != key+".1" {
		t.Fatalf("verdict %q for %q, inherits %q", second.Verdict, second.Incident.ID, second.Incident.Inherits)
	}
	w.isolate(second)
	w.do(func(ctx context.Context) {
		all, err := record.Priors(ctx, w.aws.DynamoDB(), table, second.Incident.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].Resource != "eni-1" || string(all[0].Value) != `["sg-web"]` {
			t.Errorf("prior values %+v, want the groups of eni-1 before all this", all)
		}
	})
	w = w.edit(func(account map[string]any) {
		account["SecurityGroups"] = append(account["SecurityGroups"].([]any), map[string]any{"GroupId": "sg-web", "GroupName": "web", "VpcId": "vpc-1"})
	})
	if r := w.release(second); !r.Connected {
		t.Errorf("the last release: %+v", r)
	}
	w.do(func(ctx context.Context) {
		out, err := w.aws.EC2().DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-1"}})
		if err != nil {
			t.Fatal(err)
		}
		if g := out.NetworkInterfaces[0].Groups; len(g) != 1 || *g[0].GroupId != "sg-web" {
			t.Errorf("eni-1 is in %v, want sg-web", g)
		}
	})
	w.end(second.Incident.ID, record.Released)
	third := w.must(change(`"severity": 8`, `"severity": 10`), execution)
	if third.Incident.ID != key+".3" || third.Incident.Inherits != "" {
		t.Errorf("%q inherits %q: after a whole release what stands now is the owner's", third.Incident.ID, third.Incident.Inherits)
	}
}

// isolate seals the instance, as the machine does.
func (w *world) isolate(out enrich.Output) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		step, err := isolate.New(w.host(), w.aws.EC2(), w.aws.DynamoDB())
		if err != nil {
			w.t.Fatal(err)
		}
		h, err := record.LoadHead(ctx, w.aws.DynamoDB(), table, out.Incident.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err = step.Run(ctx, isolate.Input{Incident: out.Incident, Execution: h.Execution, Capture: out.Capture, Seal: true}); err != nil {
			w.t.Fatal(err)
		}
	})
}

// release does so by the decision of a person.
func (w *world) release(out enrich.Output) (r incident.Restoration) {
	w.t.Helper()
	inc := out.Incident
	w.do(func(ctx context.Context) {
		d := incident.Decision{
			Version:  incident.DecisionVersion,
			Incident: inc.ID, Round: out.Round, InstanceID: inc.InstanceID, AttachedAt: inc.AttachedAt,
			Choice: incident.Release, Person: "Sato", DecidedAt: begun, ExpiresAt: begun.Add(7 * 24 * time.Hour),
		}
		seal, err := w.aws.KMS().GenerateMac(ctx, &kms.GenerateMacInput{KeyId: aws.String("mac"), MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256, Message: d.Signed()})
		if err != nil {
			w.t.Fatal(err)
		}
		d.MAC = seal.Mac
		if _, err := record.Decide(ctx, w.aws.DynamoDB(), "cordon-decisions", d); err != nil {
			w.t.Fatal(err)
		}
		step, err := release.New(w.host(), w.aws.EC2(), w.aws.AutoScaling(), w.aws.ElasticLoadBalancingV2(), w.aws.ElasticLoadBalancing(), w.aws.KMS(), w.aws.DynamoDB(), w.aws.DynamoDB())
		if err != nil {
			w.t.Fatal(err)
		}
		if r, err = step.Run(ctx, release.Input{Incident: inc, Round: out.Round}); err != nil {
			w.t.Fatal(err)
		}
	})
	return r
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
	return w.edit(func(account map[string]any) {
		for _, i := range account["NetworkInterfaces"].([]any) {
			if a, ok := i.(map[string]any)["Attachment"].(map[string]any); ok {
				a["AttachTime"] = "2026-02-01T00:00:00Z"
			}
		}
	})
}

// edit is the same account after somebody changed it.
func (w *world) edit(change func(account map[string]any)) *world {
	w.t.Helper()
	b, err := w.aws.JSON()
	if err != nil {
		w.t.Fatal(err)
	}
	var account map[string]any
	if err := json.Unmarshal(b, &account); err != nil {
		w.t.Fatal(err)
	}
	change(account)
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
			if err == nil && out.Report.Status == incident.OK && len(out.Brakes) == 0 && out.Capture[0].Complete && len(out.Capture[0].CIDRs) > 0 {
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
		"windows":                {swap{`"InstanceType"`, `"Platform": "windows", "InstanceType"`}, "", ""},
		"windows, read only":     {swap{`"InstanceType"`, `"Platform": "windows", "InstanceType"`, `,\"s3:Put*\"`, ``}, "triage-sent.txt", ""},
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
				want := incident.Capture{VPC: "vpc-1", Complete: true, Prefixes: []string{"pl-s3"}, CIDRs: []string{"10.0.0.8/32", "10.0.0.9/32", "2001:db8::8/128"}, Groups: []string{}, Notes: []string{}, Central: []string{}, Assumed: []string{}}
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

// TestCentralEndpoints: what of a capture's endpoints is in another VPC. What can
// be seen is looked at, the rest is named as taken for granted.
func TestCentralEndpoints(t *testing.T) {
	const (
		doors = `"VpcEndpoints": [`
		away  = `{"DestinationCidrBlock": "10.9.0.0/16", "TransitGatewayId": "tgw-1", "State": "active"}`
		local = `{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}`
	)
	// none is the file without interface endpoints, and with these routes of the subnet.
	none := func(routes string) string {
		text := strings.NewReplacer(`"VpcEndpointType": "Interface", "VpcId": "vpc-1"`, `"VpcEndpointType": "Interface", "VpcId": "vpc-2"`,
			`"RouteTableId": "rtb-1", "VpcId": "vpc-1",`, `"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Routes": [`+routes+`],`).Replace(file)
		if !strings.Contains(text, doors) || !strings.Contains(text, `"Routes"`) {
			t.Fatal("the file is not what this test takes it for")
		}
		return text
	}
	gone := func(text string) string {
		return strings.ReplaceAll(text, `"VpcEndpointType": "Gateway", "VpcId": "vpc-1"`, `"VpcEndpointType": "Gateway", "VpcId": "vpc-2"`)
	}
	for name, c := range map[string]struct {
		file    string
		setting string
		want    string   // the reason, or empty for complete
		central []string // what the capture group is to be let out to besides
		names   string   // what the assumption names
	}{
		"none named":              {none(away), "", "endpoint for ssm", []string{}, ""},
		"over a transit gateway":  {none(away), "10.9.0.0/28, 10.9.0.16/28", "", []string{"10.9.0.0/28", "10.9.0.16/28"}, "ssm.eu-west-1, ssmmessages.eu-west-1"},
		"host bits":               {none(away), "10.9.0.10/28", "", []string{"10.9.0.0/28"}, "ssm.eu-west-1"},
		"S3 as well":              {gone(none(away)), "10.9.0.0/28", "", []string{"10.9.0.0/28"}, "s3.eu-west-1 and *.s3.eu-west-1"},
		"over a peering":          {none(`{"DestinationCidrBlock": "10.9.0.0/24", "VpcPeeringConnectionId": "pcx-1", "State": "active"}`), "10.9.0.0/28", "", []string{"10.9.0.0/28"}, "ssm"},
		"over a core network":     {none(`{"DestinationCidrBlock": "0.0.0.0/0", "CoreNetworkArn": "arn:aws:networkmanager::1:core-network/c", "State": "active"}`), "10.9.0.0/28", "", []string{"10.9.0.0/28"}, "ssm"},
		"by a prefix list":        {none(`{"DestinationPrefixListId": "pl-1", "TransitGatewayId": "tgw-1", "State": "active"}`), "10.9.0.0/28", "", []string{"10.9.0.0/28"}, "ssm"},
		"no route":                {none(local), "10.9.0.0/28", "the route table of subnet-1 leads to no central endpoint (10.9.0.0/28)", []string{}, "ssm"},
		"to the Internet":         {none(`{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}`), "10.9.0.0/28", "leads to no central endpoint", []string{}, "ssm"},
		"elsewhere in particular": {none(away + `, {"DestinationCidrBlock": "10.9.0.0/24", "NatGatewayId": "nat-1", "State": "active"}`), "10.9.0.0/28", "leads to no central endpoint", []string{}, "ssm"},
		"the gateway is gone":     {none(strings.Replace(away, "active", "blackhole", 1)), "10.9.0.0/28", "leads to no central endpoint", []string{}, "ssm"},
		"one of two":              {none(away), "10.9.0.0/28, 10.8.0.0/28", "", []string{"10.9.0.0/28"}, "ssm"},
		"S3's table lacks it": {
			strings.Replace(none(away), `["rtb-1"], "PolicyDocument"`, `["rtb-9"], "PolicyDocument"`, 1), "10.9.0.0/28", "", []string{"10.9.0.0/28"}, "s3.eu-west-1",
		},
		"all are in the VPC": {file, "10.9.0.0/28", "", []string{}, ""},
		// Its name leads to the VPC's own endpoint, whatever is elsewhere.
		"the VPC's own is closed": {strings.ReplaceAll(file, "10.0.0.0/16", "10.7.0.0/16"), "10.9.0.0/28", "do not let eni-1 in", []string{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, c.file)
			w.settings["CENTRAL_ENDPOINT_CIDRS"] = c.setting
			w.build()
			got := w.must(event, execution).Capture[0]
			if got.Complete != (c.want == "") || !strings.Contains(got.Reason, c.want) {
				t.Errorf("complete %v because %q; want %q", got.Complete, got.Reason, c.want)
			}
			if d := cmp.Diff(c.central, got.Central); d != "" {
				t.Errorf("networks (-want +got):\n%s", d)
			}
			for _, n := range c.central {
				if !slices.Contains(got.CIDRs, n) {
					t.Errorf("%s is not among what the group is let out to: %v", n, got.CIDRs)
				}
			}
			if (c.names == "") != (len(got.Assumed) == 0) || !strings.Contains(strings.Join(got.Assumed, " "), c.names) {
				t.Errorf("taken for granted: %q, want %q", got.Assumed, c.names)
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

// The policy of S3's endpoint must let the very program through.
func TestTheProgramIsTheProcessors(t *testing.T) {
	one := strings.Replace(file, "cordon-evidence/*", `cordon-evidence/tools/avml\",\"arn:aws:s3:::cordon-evidence/incidents/*`, 1)
	one = strings.Replace(one, `\"Resource\":\"arn:aws:s3:::cordon-evidence/tools/avml\",\"arn:aws:s3:::cordon-evidence/incidents/*\"`, `\"Resource\":[\"arn:aws:s3:::cordon-evidence/tools/avml\",\"arn:aws:s3:::cordon-evidence/incidents/*\"]`, 1)
	arm := strings.Replace(one, `"InstanceType": "m7g.large"`, `"InstanceType": "m7g.large", "Architecture": "arm64"`, 1)
	for name, c := range map[string]struct {
		file, key string
		complete  bool
	}{
		"the one for all":                     {arm, "", true},
		"its own, which is not let through":   {arm, "tools/avml-arm64", false},
		"another's, which is not let through": {one, "tools/avml-arm64", true},
	} {
		w := open(t, c.file)
		w.settings["MEMORY_TOOL_ARM64_KEY"] = c.key
		w.build()
		if got := w.must(event, execution).Capture[0]; got.Complete != c.complete {
			t.Errorf("%s: complete %v, %s", name, got.Complete, got.Reason)
		}
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
	for name, values := range map[string][]string{
		"INCIDENTS_TABLE": {""}, "EVIDENCE_BUCKET": {""}, "SEVERITY_THRESHOLD": {"high"}, "RETENTION_DAYS": {"", "a month"}, "PAUSE_PARAMETER": {""}, "PAUSE_HOURS": {"0", ""},
		"MAX_ISOLATIONS_PER_HOUR": {"", "-1", "many"}, "MAX_GROUP_PERCENT": {"", "half"},
		"CENTRAL_ENDPOINT_CIDRS": {"10.9", "0.0.0.0/0", "10.0.0.0/8", "10.9.0.0/15", "fd00::/64", "::/0", "8.8.8.0/24", "10.9.0.0/24, 1.2.3.4/32", "vpce-1", "10.9.0.300/32"},
		"FINDING_TYPES":          {"", "Backdoor", "Backdoor:EC2", "Recon:EC2/*; DROP"}, "NEVER_FINDING_TYPES": {"Recon", "*, Backdoor:"},
	} {
		for _, value := range values {
			settings := map[string]string{
				"INCIDENTS_TABLE": "t", "EVIDENCE_BUCKET": "b", "SEVERITY_THRESHOLD": "7", "RETENTION_DAYS": "30", "PAUSE_PARAMETER": pauseSwitch, "PAUSE_HOURS": "12",
				"MAX_ISOLATIONS_PER_HOUR": "10", "MAX_GROUP_PERCENT": "50", "FINDING_TYPES": "*",
			}
			get := func(n string) string { return settings[n] }
			if _, err := enrich.New(incident.Host{Getenv: get}, nil, nil, nil, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
			settings[name] = value
			_, err := enrich.New(incident.Host{Getenv: get}, nil, nil, nil, nil, nil, nil)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %q: error %v, want its name", name, value, err)
			}
		}
	}
}

// TestTurn: what was isolated lately leaves EC2 fewer changes of interfaces. Who
// comes first waits for nobody.
func TestTurn(t *testing.T) {
	for _, test := range []struct {
		name  string
		until time.Duration // what others have drawn takes
		want  int           // seconds
	}{
		{"nobody else", 0, 0},
		{"fewer than the bucket holds", 10 * time.Second, 0},
		{"a bucket full and more", 60 * time.Second, 43},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := open(t, file)
			if test.until > 0 {
				w.do(func(ctx context.Context) {
					if _, err := record.Turn(ctx, w.aws.DynamoDB(), table, "ModifyNetworkInterfaceAttribute", w.clock.Now(), test.until, 0); err != nil {
						t.Fatal(err)
					}
				})
			}
			if out := w.must(event, execution); out.Wait != test.want {
				t.Errorf("waits for %d s, want %d", out.Wait, test.want)
			}
		})
	}
}

// TestNoQueueNoWait: that no turn can be drawn must not keep an instance open.
func TestNoQueueNoWait(t *testing.T) {
	w := open(t, file, sim.Fault{Service: "dynamodb", Action: "UpdateItem", Number: 1, Kind: sim.Denied})
	out := w.must(event, execution)
	if out.Verdict != enrich.Act || out.Wait != 0 || out.Report.Status != incident.Partial || !strings.Contains(out.Report.Reason, "draw a turn") {
		t.Errorf("verdict %s, waits %d s, report %+v; want it acted on at once, and told", out.Verdict, out.Wait, out.Report)
	}
}
