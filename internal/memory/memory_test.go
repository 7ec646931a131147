package memory_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/memory"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"
)

// clock moves when somebody sleeps.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time        { return c.now }
func (c *clock) Sleep(d time.Duration) { c.now = c.now.Add(d) }

var (
	attached = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	begun    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	inc      = incident.Incident{ID: "123456789012.eu-west-1.i-1.1", Account: "123456789012", Region: "eu-west-1", InstanceID: "i-1", AttachedAt: attached}
)

// facts are an account: a host in a capture group that lets it reach an
// endpoint of SSM and S3's prefix list, and nothing else.
type facts map[string]any

func account() facts {
	var f facts
	err := json.Unmarshal([]byte(`{
	 "Reservations": [{"Instances": [{"InstanceId": "i-1", "InstanceType": "t3.micro", "Architecture": "x86_64", "State": {"Name": "running", "Code": 16}}]}],
	 "NetworkInterfaces": [
	  {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.7", "Groups": [{"GroupId": "sg-capture"}],
	   "Attachment": {"AttachmentId": "a-1", "InstanceId": "i-1", "DeviceIndex": 0, "AttachTime": "2026-01-01T00:00:00Z"}},
	  {"NetworkInterfaceId": "eni-ssm", "VpcId": "vpc-1", "SubnetId": "subnet-1", "PrivateIpAddress": "10.0.0.9", "Groups": [{"GroupId": "sg-endpoints"}]}],
	 "SecurityGroups": [
	  {"GroupId": "sg-capture", "GroupName": "cordon-capture", "VpcId": "vpc-1", "IpPermissions": [], "IpPermissionsEgress": [
	   {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.9/32"}], "PrefixListIds": [{"PrefixListId": "pl-s3"}]}]},
	  {"GroupId": "sg-endpoints", "GroupName": "endpoints", "VpcId": "vpc-1", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/24"}]}]},
	  {"GroupId": "sg-closed", "GroupName": "closed", "VpcId": "vpc-1", "IpPermissions": [], "IpPermissionsEgress": []}],
	 "VpcEndpoints": [
	  {"VpcEndpointId": "vpce-1", "VpcId": "vpc-1", "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.eu-west-1.ssm", "State": "available", "PrivateDnsEnabled": true, "NetworkInterfaceIds": ["eni-ssm"]},
	  {"VpcEndpointId": "vpce-2", "VpcId": "vpc-1", "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.eu-west-1.ssmmessages", "NetworkInterfaceIds": ["eni-ssm"]},
	  {"VpcEndpointId": "vpce-3", "VpcId": "vpc-1", "VpcEndpointType": "Gateway", "ServiceName": "com.amazonaws.eu-west-1.s3", "RouteTableIds": ["rtb-1"]}],
	 "RouteTables": [{"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": [{"RouteTableAssociationId": "a-2", "RouteTableId": "rtb-1", "SubnetId": "subnet-1"}]}],
	 "PrefixLists": [{"PrefixListId": "pl-s3", "PrefixListName": "com.amazonaws.eu-west-1.s3"}],
	 "InstanceInformationList": [{"InstanceId": "i-1", "PingStatus": "Online", "LastPingDateTime": "2026-03-01T11:59:00Z", "PlatformType": "Linux"}],
	 "Behaviour": {}
	}`), &f)
	if err != nil {
		panic(err)
	}
	return f
}

func (f facts) instance() map[string]any {
	return f["Reservations"].([]any)[0].(map[string]any)["Instances"].([]any)[0].(map[string]any)
}

func (f facts) agent() map[string]any {
	return f["InstanceInformationList"].([]any)[0].(map[string]any)
}

// runsWindows makes it an instance of Windows, as EC2 and the agent say.
func (f facts) runsWindows() {
	f.instance()["Platform"], f.agent()["PlatformType"] = "windows", "Windows"
}

func (f facts) behave(key string, v any) { f["Behaviour"].(map[string]any)[key] = v }

// run is one capture: a world, the step in it, and the machine that calls it.
type run struct {
	*sim.Account
	t     *testing.T
	clock *clock
	step  *memory.Step
	in    memory.Input
	every time.Duration // between two looks
	looks int
	errs  []error
}

func newRun(t *testing.T, f facts, faults ...sim.Fault) *run {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, clock: &clock{begun}, every: 30 * time.Second}
	if r.Account, err = sim.Open(sim.Settings{Clock: r.clock, Seed: 1, Faults: faults}, text); err != nil {
		t.Fatal(err)
	}
	for name, document := range map[string]map[string]any{"cordon-memory": memory.Document(), "cordon-windows": memory.WindowsDocument()} {
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		d, err := sim.ReadDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		r.SSM().AddDocument(name, d)
	}
	if _, err := record.Claim(t.Context(), r.DynamoDB(), "cordon-incidents", record.Head{Incident: inc, Execution: "arn", State: record.Open}); err != nil {
		t.Fatal(err)
	}
	r.with(memoryOn())
	r.in = memory.Input{Incident: inc, Execution: "arn", Isolation: incident.Isolation{Contained: true, Interfaces: []incident.Interface{{ID: "eni-1", VPC: "vpc-1", Where: incident.Capturing}}}}
	return r
}

// memoryOn is the environment of a function whose stack has memory on.
func memoryOn() map[string]string {
	return map[string]string{
		"INCIDENTS_TABLE": "cordon-incidents", "EVIDENCE_BUCKET": "cordon-evidence", "RETENTION_DAYS": "30",
		"MEMORY_DOCUMENT": "cordon-memory", "MEMORY_WINDOWS_DOCUMENT": "cordon-windows", "MEMORY_TOOL_KEY": sim.MemoryToolKey, "MEMORY_TOOL_SHA256": sim.MemoryToolSHA256,
	}
}

func (r *run) with(env map[string]string) {
	r.t.Helper()
	var err error
	if r.step, err = memory.New(host(env, r.clock.Now), r.EC2(), r.SSM(), r.S3(), r.S3().Presign(), r.DynamoDB()); err != nil {
		r.t.Fatal(err)
	}
}

// look runs the step once, as one invocation.
func (r *run) look() (incident.Memory, error) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	r.looks++
	return r.step.Run(sim.WithInvocation(ctx, &sim.Invocation{Function: "memory", Kill: cancel}), r.in)
}

// end runs the step until it is done, as the machine does: errors are retried.
func (r *run) end() incident.Memory {
	r.t.Helper()
	for r.looks < 10_000 {
		out, err := r.look()
		switch {
		case err != nil:
			r.errs = append(r.errs, err)
			if len(r.errs) > 10 {
				r.t.Fatalf("the step does not get over it: %v", err)
			}
			r.clock.Sleep(2 * time.Second)
		case out.Done:
			return out
		default:
			r.clock.Sleep(r.every)
		}
	}
	r.t.Fatal("the capture did not end")
	return incident.Memory{}
}

// count is how often an action had an effect.
func (r *run) count(action string) int {
	n := 0
	for _, c := range r.Calls() {
		if c.Service+":"+c.Action == action && c.Effective {
			n++
		}
	}
	return n
}

// evidence is what is left in the bucket that matters afterwards: the current
// version of each object but the addresses, its length and whether it is locked,
// and what uploads are open.
func (r *run) evidence() map[string]string {
	r.t.Helper()
	ctx, b := context.Background(), aws.String("cordon-evidence")
	all := map[string]string{}
	list, err := r.S3().ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Prefix: aws.String("incidents/")})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, o := range list.Contents {
		key := strings.TrimPrefix(*o.Key, "incidents/"+inc.ID+"/memory/")
		if strings.HasPrefix(key, "batch-") {
			continue
		}
		head, err := r.S3().HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: o.Key})
		if err != nil {
			r.t.Fatal(err)
		}
		all[key] = fmt.Sprint(*head.ContentLength, " ", head.ObjectLockMode)
	}
	uploads, err := r.S3().ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		all["open upload "+*u.UploadId] = *u.Key
	}
	return all
}

// read is an object.
func (r *run) read(key string) []byte {
	out, err := r.S3().GetObject(r.t.Context(), &s3.GetObjectInput{Bucket: aws.String("cordon-evidence"), Key: &key})
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := io.ReadAll(out.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

func whole() incident.Memory {
	return incident.Memory{Report: incident.Report{Status: incident.OK}, Done: true, Object: "incidents/" + inc.ID + "/memory/image.lime", Bytes: 1 << 30, Parts: 64}
}

// timeless is an outcome without its times, which a disturbed run has later.
func timeless(m incident.Memory) incident.Memory {
	m.BegunAt, m.ClaimedAt, m.EndedAt = time.Time{}, time.Time{}, time.Time{}
	return m
}

func TestACaptureRunsToItsEnd(t *testing.T) {
	r := newRun(t, account())
	first, err := r.look()
	if err != nil || first.Done || first.Status != incident.OK || first.Reason == "" {
		t.Fatalf("first look: %+v, %v; want it under way, with what is", first, err)
	}
	got := r.end()
	want := whole()
	want.SHA256 = got.SHA256
	if first.BegunAt.IsZero() || !got.BegunAt.Equal(first.BegunAt) || !got.ClaimedAt.After(got.BegunAt) || !got.EndedAt.After(got.ClaimedAt) {
		t.Errorf("begun %v, then %v; by the host's word ended %v, found so %v: want them in this order", first.BegunAt, got.BegunAt, got.ClaimedAt, got.EndedAt)
	}
	if d := cmp.Diff(want, timeless(got)); d != "" || len(got.SHA256) != 64 {
		t.Error(d, got.SHA256)
	}
	left := r.evidence()
	if left["image.lime"] != "1073741824 GOVERNANCE" || !strings.HasSuffix(left["parts.json"], " GOVERNANCE") || len(left) != 3 {
		t.Errorf("left in the bucket: %v, want the image and the list of parts locked, the host's report, and no upload", left)
	}
	calls := len(r.Calls())
	again, err := r.look()
	if err != nil || again != got {
		t.Errorf("asked again: %+v, %v; want the same answer", again, err)
	}
	if n := len(r.Calls()) - calls; n != 1 {
		t.Errorf("asked again it made %d calls, want one: to read its record", n)
	}
}

// A host of 768 GiB needs hours, ten thousand parts, and addresses that are
// written as it goes on: none lives for more than an hour.
func TestALargeHostIsHandedItsAddressesInTime(t *testing.T) {
	f := account()
	f.instance()["InstanceType"] = "r5.24xlarge"
	r := newRun(t, f)
	r.every = 180 * time.Second
	got := r.end()
	if got.Status != incident.OK || got.Bytes != 768<<30 || got.Parts != 9831 {
		t.Errorf("got %+v, want 768 GiB in parts of 80 MiB", got)
	}
	if took := r.clock.now.Sub(begun); took < 2*time.Hour {
		t.Errorf("it took %v: too little to prove that addresses are renewed", took)
	}
}

// The largest host there is takes two days, nearly all that SSM gives a command,
// and all 10,000 parts; S3 takes an object of 48.8 TiB.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingObjects.html
func TestTheLargestHostIsHandedItsAddressesInTime(t *testing.T) {
	f := account()
	f["InstanceTypes"] = []any{map[string]any{"InstanceType": "u-24tb1.112xlarge", "MemoryInfo": map[string]any{"SizeInMiB": 24 << 20}}}
	f.instance()["InstanceType"] = "u-24tb1.112xlarge"
	f.behave("ThroughputMiBps", 150)
	r := newRun(t, f)
	r.every = 180 * time.Second
	got := r.end()
	if got.Status != incident.OK || got.Bytes != 24<<40 || got.Parts != 9955 {
		t.Errorf("got %+v, want 24 TiB in parts of 2528 MiB", got)
	}
	if took := r.clock.now.Sub(begun); took < 46*time.Hour || took > 48*time.Hour {
		t.Errorf("it took %v, want what 24 TiB take at 150 MiB a second", took)
	}
	if r.looks > 1000 {
		t.Errorf("%d looks; each is some ten events of 25,000", r.looks)
	}
}

// A slow host outlives its addresses many times over.
func TestASlowHostIsHandedFreshAddresses(t *testing.T) {
	f := account()
	f.behave("ThroughputMiBps", 2)
	f.instance()["InstanceType"] = "t3.xlarge"
	r := newRun(t, f)
	if got := r.end(); got.Status != incident.OK || got.Bytes != 16<<30 {
		t.Errorf("got %+v, want a whole capture", got)
	}
	if took := r.clock.now.Sub(begun); took < 2*time.Hour {
		t.Errorf("it took %v: too little to prove that addresses are renewed", took)
	}
}

// Each reason not to capture is named, nothing is left behind, and the host is
// not touched where it is not needed to find out.
func TestReasonsToSkipAreNamed(t *testing.T) {
	quarantined := incident.Isolation{Interfaces: []incident.Interface{{ID: "eni-1", VPC: "vpc-1", Where: incident.Quarantined}}}
	for name, c := range map[string]struct {
		change func(facts)
		input  func(*memory.Input)
		off    bool
		reason string
		sent   int
	}{
		"off":         {off: true, reason: "switched off"},
		"quarantined": {input: func(in *memory.Input) { in.Isolation = quarantined }, reason: "quarantine group"},
		"no endpoints": {input: func(in *memory.Input) {
			in.Isolation, in.Capture = quarantined, []incident.Capture{{VPC: "vpc-1", Reason: "no endpoint for ssmmessages"}}
		}, reason: "vpc-1: no endpoint for ssmmessages"},
		"stopped":                  {change: func(f facts) { f.instance()["State"] = map[string]any{"Name": "stopped", "Code": 80} }, reason: "the instance is stopped"},
		"macOS":                    {change: func(f facts) { f.instance()["Architecture"] = "arm64_mac" }, reason: "macOS"},
		"macOS, as its agent says": {change: func(f facts) { f.agent()["PlatformType"] = "MacOS" }, reason: "macOS"},
		"no agent":                 {change: func(f facts) { f["InstanceInformationList"] = []any{} }, reason: "no SSM agent"},
		"lost agent": {change: func(f facts) {
			f["InstanceInformationList"].([]any)[0].(map[string]any)["PingStatus"] = "ConnectionLost"
		}, reason: "ConnectionLost, last heard of at 2026-03-01T11:59:00Z"},
		"no curl": {change: func(f facts) { f.behave("NoCurl", true) }, reason: "no curl", sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := account()
			if c.change != nil {
				c.change(f)
			}
			r := newRun(t, f)
			if c.input != nil {
				c.input(&r.in)
			}
			if c.off {
				r.with(map[string]string{"INCIDENTS_TABLE": "cordon-incidents", "EVIDENCE_BUCKET": "cordon-evidence", "RETENTION_DAYS": "30"})
			}
			got := r.end()
			if got.Status != incident.Skipped || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("got %s: %s\nwant it skipped: %s", got.Status, got.Reason, c.reason)
			}
			if n := r.count("ssm:SendCommand"); n != c.sent {
				t.Errorf("%d commands were sent, want %d", n, c.sent)
			}
			if left := r.evidence(); len(left) > 1 || len(left) == 1 && left["report.txt"] == "" {
				t.Errorf("left in the bucket: %v", left)
			}
		})
	}
}

// What goes wrong on the way ends in bounded time, with what there is.
func TestWhatThereIsIsKept(t *testing.T) {
	cut := func(r *run) {
		if _, err := r.EC2().ModifyNetworkInterfaceAttribute(r.t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String("eni-1"), Groups: []string{"sg-closed"}}); err != nil {
			r.t.Fatal(err)
		}
	}
	release := func(r *run) {
		if err := record.NoteDecision(r.t.Context(), r.DynamoDB(), "cordon-incidents", "arn", incident.Decision{Incident: inc.ID, Choice: incident.Release, DecidedAt: r.clock.now}); err != nil {
			r.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change   func(facts)
		before   func(*run) // the first look
		between  func(*run) // after some looks
		status   incident.Status
		reason   string
		released bool
		within   time.Duration
		kept     bool
	}{
		"cut off before": {before: cut, status: incident.Failed, reason: "Delivery Timed Out", within: 5 * time.Minute},
		"cut off half-way": {
			between: cut, change: func(f facts) { f.behave("ThroughputMiBps", 4) },
			status: incident.Partial, reason: "no part arrived for 30 minutes", within: 45 * time.Minute, kept: true,
		},
		"agent lost": {
			change: func(f facts) { f.behave("ThroughputMiBps", 4); f.behave("AgentLostAfterSeconds", 100) },
			status: incident.Partial, reason: "no part arrived for 30 minutes", within: 45 * time.Minute, kept: true,
		},
		"agent lost at once": {
			change: func(f facts) { f.behave("ThroughputMiBps", 4); f.behave("AgentLostAfterSeconds", 1) },
			status: incident.Failed, reason: "no part arrived for 30 minutes", within: 45 * time.Minute,
		},
		"part altered":      {change: func(f facts) { f.behave("PartAltered", 3) }, status: incident.Partial, reason: "altered on the way, not what the host says it sent: 3", within: 5 * time.Minute, kept: true},
		"released before":   {before: release, status: incident.Skipped, reason: "released", released: true, within: time.Minute},
		"released half-way": {between: release, change: func(f facts) { f.behave("ThroughputMiBps", 4) }, status: incident.Partial, reason: "released", released: true, within: 5 * time.Minute, kept: true},
		"released at the start": {change: func(f facts) { f.behave("ThroughputMiBps", 1); f.behave("MemoryGiB", 1) }, before: func(r *run) {
			if _, err := r.look(); err != nil {
				r.t.Fatal(err)
			}
			release(r)
		}, status: incident.Skipped, reason: "released", released: true, within: time.Minute},
		"too slow": {
			change: func(f facts) { f.behave("ThroughputMiBps", 1); f.instance()["InstanceType"] = "m5.2xlarge" },
			status: incident.Partial, reason: "Execution Timed Out", within: 6 * time.Hour, kept: true,
		},
		"more memory than its type has": {change: func(f facts) { f.behave("MemoryGiB", 2000) }, status: incident.Partial, reason: "no further addresses", within: time.Hour, kept: true},
		"upload ended by another": {between: func(r *run) {
			out, err := r.S3().ListMultipartUploads(r.t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("cordon-evidence")})
			if err != nil {
				r.t.Fatal(err)
			}
			for _, u := range out.Uploads {
				if _, err := r.S3().AbortMultipartUpload(r.t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("cordon-evidence"), Key: u.Key, UploadId: u.UploadId}); err != nil {
					r.t.Fatal(err)
				}
			}
		}, change: func(f facts) { f.behave("ThroughputMiBps", 4) }, status: incident.Failed, reason: "upload", within: 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f := account()
			if c.change != nil {
				c.change(f)
			}
			r := newRun(t, f)
			if c.before != nil {
				c.before(r)
			}
			if c.between != nil {
				for range 4 {
					if out, err := r.look(); err != nil || out.Done {
						t.Fatalf("%+v %v: over before it could be disturbed", out, err)
					}
					r.clock.Sleep(r.every)
				}
				c.between(r)
			}
			got := r.end()
			if got.Status != c.status || !strings.Contains(got.Reason, c.reason) || got.Released != c.released {
				t.Errorf("got %s, released %t: %s\nwant %s: %s", got.Status, got.Released, got.Reason, c.status, c.reason)
			}
			if took := r.clock.now.Sub(begun); took > c.within {
				t.Errorf("it took %v, want at most %v", took, c.within)
			}
			left := r.evidence()
			_, kept := left["image.lime"]
			if kept != c.kept || kept != (got.Parts > 0) || kept != (got.Object != "") || kept && left["image.lime"] != fmt.Sprint(got.Bytes, " GOVERNANCE") {
				t.Errorf("left in the bucket: %v; reported %d parts, %d bytes, object %q", left, got.Parts, got.Bytes, got.Object)
			}
			for what := range left {
				if strings.HasPrefix(what, "open upload") {
					t.Errorf("%s is left", what)
				}
			}
		})
	}
}

// Every call, once refused and once made without its answer arriving: the end
// is that of an undisturbed run.
func TestAnInterruptedCaptureEndsLikeAnUndisturbedOne(t *testing.T) {
	for name, change := range map[string]func(facts){
		"whole":   func(facts) {},
		"partial": func(f facts) { f.behave("PartAltered", 2) },
		"nothing": func(f facts) { f.behave("NoCurl", true) },
		"lost":    func(f facts) { f.behave("ThroughputMiBps", 4); f.behave("AgentLostAfterSeconds", 100) },
		"text":    func(f facts) { f.instance()["Architecture"] = "i386" },
		"windows": func(f facts) { f.runsWindows() },
	} {
		t.Run(name, func(t *testing.T) {
			f := account()
			f.behave("MemoryGiB", 1)
			change(f)
			every := 30 * time.Second
			if name == "lost" {
				every = 3 * time.Minute // half an hour of nothing
			}
			plain := newRun(t, f)
			plain.every = every
			want, left := plain.end(), plain.evidence()
			want.Triage.At = time.Time{} // the text is written again
			tried := 0
			for _, call := range plain.Calls()[1:] { // the first is the test's own claim
				if call.By == nil {
					continue
				}
				kinds := []sim.Kind{sim.Unavailable, sim.KilledBefore}
				if call.Mutating {
					kinds = append(kinds, sim.Lost, sim.KilledAfter, sim.Throttled)
				}
				for _, kind := range kinds {
					fault := sim.Fault{Service: call.Service, Action: call.Action, Number: call.Number, Kind: kind}
					r := newRun(t, f, fault)
					r.every = every
					got := r.end()
					got.Triage.At = time.Time{}
					tried++
					if len(r.errs) == 0 {
						t.Errorf("%v: the step did not notice", fault)
					}
					if d := cmp.Diff(timeless(want), timeless(got)); d != "" {
						t.Errorf("%v: %s", fault, d)
					}
					if d := cmp.Diff(lengthless(left), lengthless(r.evidence())); d != "" {
						t.Errorf("%v: left in the bucket: %s", fault, d)
					}
					if n := r.count("ssm:SendCommand"); n != 1 {
						t.Errorf("%v: %d commands took effect, want 1", fault, n)
					}
				}
			}
			if tried < 20 {
				t.Errorf("only %d faults were tried", tried)
			}
		})
	}
}

// lengthless leaves the lengths of the text files out: parts.json has upload IDs
// and times in it.
func lengthless(left map[string]string) map[string]string {
	out := maps.Clone(left)
	for _, k := range []string{"parts.json", "report.txt"} {
		if v, ok := out[k]; ok {
			out[k] = v[strings.IndexByte(v, ' '):]
		}
	}
	return out
}

// A fault that stays ends in an error each time, never in a wrong answer.
func TestALastingRefusalIsAnErrorEachTime(t *testing.T) {
	for _, call := range []string{"s3:CreateMultipartUpload", "s3:PutObject", "ssm:SendCommand", "ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ssm:DescribeInstanceInformation"} {
		t.Run(call, func(t *testing.T) {
			service, action, _ := strings.Cut(call, ":")
			var faults []sim.Fault
			for n := range 5 {
				faults = append(faults, sim.Fault{Service: service, Action: action, Number: n + 1, Kind: sim.Denied})
			}
			r := newRun(t, account(), faults...)
			for range 3 {
				if out, err := r.look(); err == nil && call != "ssm:SendCommand" {
					t.Errorf("got %+v and no error", out)
				}
				r.clock.Sleep(2 * time.Minute)
			}
			if got := r.end(); got.Status != incident.OK {
				t.Errorf("when the refusals ended it came to %s: %s", got.Status, got.Reason)
			}
		})
	}
}

func TestSettingsThatAreMissingAreNamed(t *testing.T) {
	full := map[string]string{"INCIDENTS_TABLE": "t", "EVIDENCE_BUCKET": "b", "RETENTION_DAYS": "30", "MEMORY_DOCUMENT": "d", "MEMORY_WINDOWS_DOCUMENT": "w", "MEMORY_TOOL_KEY": "k", "MEMORY_TOOL_SHA256": "s", "MEMORY_TOOL_ARM64_KEY": "ka", "MEMORY_TOOL_ARM64_SHA256": "sa"}
	for _, name := range slices.Sorted(maps.Keys(full)) {
		env := maps.Clone(full)
		delete(env, name)
		_, err := memory.New(host(env, time.Now), nil, nil, nil, nil, nil)
		if off := name == "MEMORY_TOOL_KEY" || name == "MEMORY_TOOL_ARM64_KEY"; off != (err == nil) || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for _, days := range []string{"0", "-1", "x"} {
		full["RETENTION_DAYS"] = days
		if _, err := memory.New(host(full, time.Now), nil, nil, nil, nil, nil); err == nil {
			t.Errorf("%s days of retention are taken", days)
		}
	}
}

// A host gets the program for its processor, where there is one of its own.
func TestTheProgramIsTheProcessors(t *testing.T) {
	for name, c := range map[string]struct {
		architecture, key string
		want              string // key that the host is to fetch
	}{
		"x86-64":                       {"x86_64", "tools/avml-arm64", sim.MemoryToolKey},
		"arm64":                        {"arm64", "tools/avml-arm64", "tools/avml-arm64"},
		"arm64 without one":            {"arm64", "", sim.MemoryToolKey},
		"an account that does not say": {"", "tools/avml-arm64", sim.MemoryToolKey},
	} {
		t.Run(name, func(t *testing.T) {
			f := account()
			if c.architecture != "" {
				f.instance()["Architecture"] = c.architecture
			} else {
				delete(f.instance(), "Architecture")
			}
			r := newRun(t, f)
			tool := []byte("for the other processor")
			if _, err := r.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String("tools/avml-arm64"), Body: bytes.NewReader(tool)}); err != nil {
				t.Fatal(err)
			}
			env := memoryOn()
			env["MEMORY_TOOL_ARM64_KEY"] = c.key
			if c.key != "" {
				hash := sha256.Sum256(tool)
				env["MEMORY_TOOL_ARM64_SHA256"] = hex.EncodeToString(hash[:])
			}
			r.with(env)
			if got := r.end(); got.Status != incident.OK {
				t.Errorf("%+v: the host refuses what it fetched", got)
			}
			batch := string(r.read("incidents/" + inc.ID + "/memory/batch-000001"))
			if !strings.Contains(batch, "/"+c.want+"?") {
				t.Errorf("the host is not told to fetch %s", c.want)
			}
		})
	}
}

// No pre-signed address is in the record, in an answer or in an error.
func TestNoAddressLeaves(t *testing.T) {
	f := account()
	r := newRun(t, f, sim.Fault{Service: "ssm", Action: "SendCommand", Number: 1, Kind: sim.Unavailable})
	out := r.end()
	for _, c := range r.Calls() {
		if c.Service != "dynamodb" {
			continue
		}
		text, err := json.Marshal(c.Input)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "X-Amz-") {
			t.Errorf("%s has a pre-signed address", c.Action)
		}
	}
	for _, text := range append([]string{fmt.Sprint(out)}, errors.Join(r.errs...).Error()) {
		if strings.Contains(text, "X-Amz-") {
			t.Error("a pre-signed address is in an answer or an error: ", text)
		}
	}
	if out.Status != incident.OK {
		t.Errorf("%+v", out)
	}
}

// The host is the intruder's: whatever it reports ends in a partial capture at
// worst, and none of its words is passed on.
func TestAHostileReportChangesNothing(t *testing.T) {
	for name, report := range map[string]string{
		"nothing":         "",
		"not text":        "\x00\xff\n\n",
		"huge":            strings.Repeat("part 1 1 x y\n", 500_000),
		"one long line":   strings.Repeat("x", 200_000) + "\npart 1 16777216 a b\n",
		"wrong hashes":    "part 1 16777216 00000000000000000000000000000000 0000000000000000000000000000000000000000000000000000000000000000\n",
		"absurd numbers":  "part 99999999999999999999 5 a b\npart -1 -1 a b\npart 1 99999999999999999999 a b\n",
		"an end of words": "end {\"status\":\"ok\",\"reason\":\"<b>call me</b>\",\"sha256\":\"<b>call me</b>\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, account())
			if _, err := r.look(); err != nil {
				t.Fatal(err)
			}
			r.clock.Sleep(time.Minute)
			if _, err := r.SSM().ListCommands(t.Context(), &ssm.ListCommandsInput{}); err != nil { // the host is done by now
				t.Fatal(err)
			}
			if _, err := r.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String("incidents/" + inc.ID + "/memory/report.txt"), Body: strings.NewReader(report)}); err != nil {
				t.Fatal(err)
			}
			got := r.end()
			if got.Status != incident.Partial || strings.Contains(fmt.Sprint(got), "call me") {
				t.Errorf("got %+v, want it partial, in our own words", got)
			}
			if got.Bytes != 1<<30 || r.evidence()["image.lime"] == "" {
				t.Errorf("the image is not kept: %+v", got)
			}
		})
	}
}

// Where there can be no image the host sends text: kept, locked and hashed by us,
// called what it is, and never taken for an image.
func TestTextWhereThereCanBeNoImage(t *testing.T) {
	for name, c := range map[string]struct {
		change func(facts)
		reason string
	}{
		"lockdown":          {func(f facts) { f.behave("Lockdown", "confidentiality") }, "locked down"},
		"another processor": {func(f facts) { f.instance()["Architecture"] = "i386" }, "no capture program is known"},
		"Windows":           {func(f facts) { f.runsWindows() }, "memory of Windows is not captured"},
		// An image of one's own making may be nothing to EC2.
		"Windows, as its agent says": {func(f facts) { f.agent()["PlatformType"] = "Windows" }, "memory of Windows is not captured"},
		"Windows, as EC2 says":       {func(f facts) { f.runsWindows(); delete(f.agent(), "PlatformType") }, "memory of Windows is not captured"},
	} {
		t.Run(name, func(t *testing.T) {
			f := account()
			c.change(f)
			r := newRun(t, f)
			got := r.end()
			if got.Status != incident.Partial || !strings.Contains(got.Reason, c.reason) || !strings.Contains(got.Reason, "no memory image") {
				t.Errorf("got %s: %s\nwant it partial: %s", got.Status, got.Reason, c.reason)
			}
			if got.Object != "" || got.Parts != 0 || got.SHA256 != "" {
				t.Errorf("text passes for an image: %+v", got)
			}
			left := r.evidence()
			if len(left) != 2 || left["triage.txt"] != fmt.Sprint(got.Triage.Bytes, " GOVERNANCE") || left["triage-sent.txt"] == "" {
				t.Errorf("left in the bucket: %v; want the text locked, and what the host sent", left)
			}
			text := r.read(got.Triage.Object)
			if sum := sha256.Sum256(text); got.Triage.SHA256 != hex.EncodeToString(sum[:]) || !bytes.HasPrefix(text, []byte("cordon-triage 1\n")) {
				t.Errorf("%+v is not what is kept: %q", got.Triage, text)
			}
			if again, err := r.look(); err != nil || again != got {
				t.Errorf("asked again: %+v, %v; want the same answer", again, err)
			}
			if strings.HasPrefix(name, "Windows") && r.count("s3:CreateMultipartUpload") > 0 {
				t.Error("an upload was begun for an image that will not come")
			}
		})
	}
}

// Systems Manager puts parameters in wherever two braces stand, and 5.1 reads the
// agent's file in the host's own code page.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html
func TestTheWindowsScriptReachesTheHostAsItIs(t *testing.T) {
	for n, line := range strings.Split(memory.WindowsScript, "\n") {
		if strings.Contains(line, "{{") || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("line %d: %q", n+1, line)
		}
	}
	text, err := json.Marshal(memory.WindowsDocument())
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 64_000 { // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html
		t.Errorf("the document has %d bytes; Systems Manager takes 64 KB", len(text))
	}
}

// Every word that the scripts give as a reason has a sentence.
func TestEveryReasonIsInWords(t *testing.T) {
	for _, w := range regexp.MustCompile(`Stop-Triage '[a-z]+' '([a-z-]+)'|"reason":"([a-z-]+)"`).FindAllStringSubmatch(memory.WindowsScript, -1) {
		if w[1] += w[2]; memory.InWords(w[1]) == memory.InWords("no such word") {
			t.Errorf("%q has no sentence", w[1])
		}
	}
	words := regexp.MustCompile(`(?:finish|instead) (?:skipped|failed|partial) "?([a-z0-9$-]+)|lacks=(?:\$\{lacks:-)?([a-z][a-z-]+)`).FindAllStringSubmatch(memory.Script, -1)
	if len(words) < 15 {
		t.Fatalf("only %d reasons found in the script", len(words))
	}
	unknown := memory.InWords("no such word")
	for _, w := range words {
		if w[1] += w[2]; w[1] == "$lacks" {
			continue // its values are matched, too
		}
		if w[1] == "no-$command" {
			w[1] = "no-curl" // the others are in TestTheScriptNamesWhatIsMissing
		}
		if memory.InWords(w[1]) == unknown {
			t.Errorf("%q has no sentence", w[1])
		}
	}
}

// From the smallest instance to 24 TiB the image fits into an upload, with room
// for what is not the instance's memory, and the host is given a size that it can hold.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
func TestPartsHoldAnyMemory(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	sizes := []int64{512 * mib, gib, 156 * gib, 768 * gib, 24 << 40}
	for n := int64(1); n < 160; n++ { // where the size of a part changes
		for _, near := range []int64{-mib, 0, mib} {
			sizes = append(sizes, n*16*mib*10_000+near, n*16*mib*9_984+near)
		}
	}
	for _, size := range sizes {
		part, parts, seconds := memory.PlanFor(size)
		if part < 5*mib || part > 5*gib || part%(16*mib) != 0 || part/mib > 9999 {
			t.Fatalf("%d bytes: parts of %d", size, part)
		}
		if parts > 10_000 || int64(parts)*part < size+15*part {
			t.Fatalf("%d bytes: %d parts of %d do not hold it with room for headers", size, parts, part)
		}
		if seconds < 3600 || seconds > 172_800 {
			t.Fatalf("%d bytes: %d seconds; SSM takes 172800 at most", size, seconds)
		}
	}
	for gibs, want := range map[int64]int64{1: 16, 156: 16, 768: 80, 24 << 10: 2528} {
		if part, _, _ := memory.PlanFor(gibs * gib); part != want*mib {
			t.Errorf("%d GiB: parts of %d MiB, want %d", gibs, part/mib, want)
		}
	}
}
