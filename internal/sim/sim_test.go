package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

const victim = "i-0c0ffee0c0ffee001"

// around is the account around the plainest of the example events.
func around(t *testing.T) []byte {
	t.Helper()
	event, err := os.ReadFile("../../events/plain.json")
	if err != nil {
		t.Fatal(err)
	}
	file, err := sim.Around(event)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// world opens an account file, with faults.
func world(t *testing.T, file []byte, faults ...string) (*sim.Account, *wall) {
	t.Helper()
	clock := &wall{begun}
	s := sim.Settings{Clock: clock, Seed: 1, Account: "111122223333", Region: "us-east-1"}
	for _, f := range faults {
		fault, err := sim.ParseFault(f)
		if err != nil {
			t.Fatal(err)
		}
		s.Faults = append(s.Faults, fault)
	}
	a, err := sim.Open(s, file)
	if err != nil {
		t.Fatal(err)
	}
	return a, clock
}

// bounded is a context whose deadline is on the simulation's clock.
type bounded struct {
	context.Context
	clock *wall
	end   time.Time
}

func (b bounded) Deadline() (time.Time, bool) { return b.end, true }
func (b bounded) Err() error {
	if !b.clock.now.Before(b.end) {
		return context.DeadlineExceeded
	}
	return b.Context.Err()
}

func tag(t *testing.T, ctx context.Context, c *sim.EC2, value string) error {
	t.Helper()
	_, err := c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{victim}, Tags: []types.Tag{{Key: aws.String("k"), Value: &value}}})
	return err
}

// tagOf is the value of the tag k, read without a trace of its own.
func tagOf(t *testing.T, a *sim.Account) string {
	t.Helper()
	b, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Reservations []struct{ Instances []types.Instance }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Reservations[0].Instances[0].Tags {
		if *g.Key == "k" {
			return *g.Value
		}
	}
	return ""
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		kind      string
		code      string // in the trace
		effective bool
		takes     time.Duration // at least
	}{
		{"denied", "UnauthorizedOperation", false, 0},
		{"notfound", "InvalidInstanceID.NotFound", false, 0},
		{"throttled", "RequestLimitExceeded", false, 0},
		{"unavailable", "Unavailable", false, 0},
		{"lost", "RequestSendError", true, 0},
		{"killed-before", "Canceled", false, 0},
		{"killed-after", "Canceled", true, 0},
		{"timeout", "DeadlineExceeded", false, 10 * time.Second},
		{"late", "DeadlineExceeded", true, 10 * time.Second},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			a, clock := world(t, around(t), "ec2:CreateTags#2="+tt.kind)
			c := a.EC2()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			by := &sim.Invocation{Function: "f", Kill: cancel}
			if err := tag(t, t.Context(), c, "first"); err != nil {
				t.Fatal(err)
			}
			end := clock.now.Add(10 * time.Second)
			err := tag(t, sim.WithInvocation(bounded{ctx, clock, end}, by), c, "second")
			var op *smithy.OperationError
			if !errors.As(err, &op) || op.Operation() != "CreateTags" || op.Service() != "EC2" {
				t.Errorf("error is %v, want the SDK's OperationError of EC2: CreateTags", err)
			}
			want := "first"
			if tt.effective {
				want = "second"
			}
			if got := tagOf(t, a); got != want {
				t.Errorf("the tag is %q, want %q", got, want)
			}
			call := a.Calls()[1]
			if call.Error != tt.code || call.Effective != tt.effective || call.Number != 2 || call.By != by || !call.Mutating {
				t.Errorf("the trace has %+v", call)
			}
			if call.Ended.Sub(call.At) < tt.takes {
				t.Errorf("answered after %v, want %v at least", call.Ended.Sub(call.At), tt.takes)
			}
			if strings.HasPrefix(tt.kind, "killed") {
				if err := tag(t, ctx, c, "third"); err == nil || len(a.Calls()) != 2 {
					t.Errorf("a killed invocation called on: %v, %d calls", err, len(a.Calls()))
				}
			}
			if err := tag(t, t.Context(), c, "last"); err != nil || tagOf(t, a) != "last" {
				t.Errorf("the fault hit more than one call: %v", err)
			}
		})
	}
}

// EC2 is eventually consistent.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
func TestStaleRead(t *testing.T) {
	a, _ := world(t, around(t), "ec2:DescribeTags#1=stale")
	c := a.EC2()
	read := func() string {
		out, err := c.DescribeTags(t.Context(), &ec2.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("key"), Values: []string{"k"}}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Tags) == 0 {
			return ""
		}
		return *out.Tags[0].Value
	}
	for _, v := range []string{"old", "new"} {
		if err := tag(t, t.Context(), c, v); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := read(), read(); first != "old" || second != "new" {
		t.Errorf("read %q, then %q; want old, then new", first, second)
	}
}

func TestParseFault(t *testing.T) {
	f, err := sim.ParseFault("ec2:CreateSnapshots#3=lost")
	if err != nil || f != (sim.Fault{Service: "ec2", Action: "CreateSnapshots", Number: 3, Kind: sim.Lost}) || f.String() != "ec2:CreateSnapshots#3=lost" {
		t.Errorf("parsed %v, %v", f, err)
	}
	for in, says := range map[string]string{
		"": "want SERVICE", "ec2:X=lost": "want SERVICE", "ec2:#1=lost": "want SERVICE", "lambda:X#1=lost": "service",
		"ec2:X#0=lost": "first is 1", "ec2:X#x=lost": "first is 1", "ec2:X#1=gone": "kind", "ec2:CreateTags#1=stale": "only a read",
	} {
		if _, err := sim.ParseFault(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error is %v, want one that says %q", in, err, says)
		}
	}
	a, _ := world(t, around(t), "ec2:CreateTags#1=lost", "ec2:DeleteTags#1=lost")
	if err := tag(t, t.Context(), a.EC2(), "v"); err == nil {
		t.Error("the answer is not lost")
	}
	if got := a.Unmet(); len(got) != 1 || got[0].Action != "DeleteTags" {
		t.Errorf("unmet are %v, want DeleteTags alone", got)
	}
	twice := []sim.Fault{f, {Service: f.Service, Action: f.Action, Number: f.Number, Kind: sim.Denied}}
	if _, err := sim.Open(sim.Settings{Clock: &wall{begun}, Faults: twice}, nil); err == nil {
		t.Error("two faults for one call were accepted")
	}
}

func TestAccountFile(t *testing.T) {
	for name, tt := range map[string]struct{ file, says string }{
		"not JSON":             {"x", "not a JSON object"},
		"two values":           {"{} {}", "more than one"},
		"unknown key":          {`{"Reservation": []}`, `"Reservation" is not known`},
		"no address":           {`{"Reservations": [], "NetworkInterfaces": [], "Behaviour": {"Resolves": {"ssm": "vpce-1"}}}`, `"vpce-1" is not an address`},
		"unknown behaviour":    {`{"Behaviour": {"Rage": 1}}`, `"Rage" is not known`},
		"wrong type":           {`{"Volumes": {}}`, "Volumes"},
		"no reservations":      {`{"NetworkInterfaces": []}`, "Reservations is lacking"},
		"no interfaces":        {`{"Reservations": []}`, "NetworkInterfaces is lacking"},
		"no interface of one":  {`{"Reservations": [{"Instances": [{"InstanceId": "x"}]}], "NetworkInterfaces": []}`, "instance x has none"},
		"no attach time":       {`{"Reservations": [{"Instances": [{"InstanceId": "x"}]}], "NetworkInterfaces": [{"NetworkInterfaceId": "e", "VpcId": "v", "Attachment": {"InstanceId": "x"}}]}`, "e has no Attachment.AttachTime"},
		"no VPC":               {`{"Reservations": [], "NetworkInterfaces": [{"NetworkInterfaceId": "e"}]}`, "e has no VpcId"},
		"no ID":                {`{"Reservations": [], "NetworkInterfaces": [{"VpcId": "v"}]}`, "no NetworkInterfaceId"},
		"null entry":           {`{"Reservations": [null], "NetworkInterfaces": []}`, "null"},
		"twice":                {`{"Reservations": [], "NetworkInterfaces": [], "Volumes": [{"VolumeId": "v"}, {"VolumeId": "v"}]}`, "v is there twice"},
		"embedded and unknown": {`{"Reservations": [{"Instances": [{"InstanceId": "x", "NetworkInterfaces": [{"NetworkInterfaceId": "e"}]}]}], "NetworkInterfaces": []}`, "e, which NetworkInterfaces does not have"},
	} {
		_, err := sim.Open(sim.Settings{Clock: &wall{begun}}, []byte(tt.file))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error is %v, want one that says %q", name, err, tt.says)
		}
	}
}

// The smallest file that is enough: the rest is AWS's defaults.
func TestDefaults(t *testing.T) {
	a, _ := world(t, []byte(`{"Reservations": [{"Instances": [{"InstanceId": "x", "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1"}}]}]}],
		"NetworkInterfaces": [{"NetworkInterfaceId": "e", "VpcId": "v", "Attachment": {"InstanceId": "x", "AttachTime": "2026-01-01T00:00:00+00:00"}}],
		"Volumes": [{"VolumeId": "vol-2", "Attachments": [{"InstanceId": "x", "Device": "/dev/sdb"}]}]}`))
	out, err := a.EC2().DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	i := out.Reservations[0].Instances[0]
	if i.State.Name != "running" || *i.VpcId != "v" || len(i.NetworkInterfaces) != 1 || *i.NetworkInterfaces[0].Attachment.DeviceIndex != 0 || *i.SecurityGroups[0].GroupName != "default" {
		t.Errorf("the instance is %+v", i)
	}
	if m := i.BlockDeviceMappings; len(m) != 2 || !*m[0].Ebs.DeleteOnTermination || *m[1].Ebs.DeleteOnTermination || *m[1].Ebs.VolumeId != "vol-2" {
		t.Errorf("its devices are %+v; want the root, which goes with it, and vol-2, which does not", m)
	}
	volumes, err := a.EC2().DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{"vol-1"}})
	if err != nil || volumes.Volumes[0].State != "in-use" {
		t.Errorf("a volume that only the instance names: %+v, %v", volumes, err)
	}
}

// One run's account is the next one's, and says the same for ever.
func TestAccountRoundTrip(t *testing.T) {
	first, _ := world(t, around(t))
	a, err := first.JSON()
	if err != nil {
		t.Fatal(err)
	}
	second, _ := world(t, a)
	b, err := second.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Errorf("the account changes by being read (-written +read again):\n%s", diff)
	}
	var in, out any
	if err := errors.Join(json.Unmarshal(around(t), &in), json.Unmarshal(a, &out)); err != nil {
		t.Fatal(err)
	}
	for _, lost := range missing("", in, out) {
		t.Errorf("lost: %s", lost)
	}
}

// missing lists what is in a and not in b, lists compared entry by entry.
func missing(path string, a, b any) []string {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok {
			return []string{path}
		}
		var all []string
		for k, v := range a {
			all = append(all, missing(path+"."+k, v, m[k])...)
		}
		slices.Sort(all)
		return all
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) < len(a) {
			return []string{path}
		}
		var all []string
		for n := range a {
			all = append(all, missing(path+"[]", a[n], l[n])...)
		}
		return all
	}
	if a != b {
		return []string{path}
	}
	return nil
}

// Same seed, same run; another seed, other latencies.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) (string, []time.Duration) {
		clock := &wall{begun}
		a, err := sim.Open(sim.Settings{Clock: clock, Seed: seed, Region: "us-east-1", Account: "111122223333"}, around(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.EC2().CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(victim)}}); err != nil {
			t.Fatal(err)
		}
		b, err := a.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var took []time.Duration
		for _, c := range a.Calls() {
			took = append(took, c.Ended.Sub(c.At))
		}
		return string(b), took
	}
	a, tookA := run(1)
	b, tookB := run(1)
	_, tookC := run(2)
	if a != b || !slices.Equal(tookA, tookB) {
		t.Error("the same seed made two runs")
	}
	if slices.Equal(tookA, tookC) {
		t.Error("another seed made the same latencies")
	}
	if tookA[0] < 25*time.Millisecond || tookA[0] > 120*time.Millisecond {
		t.Errorf("a call of EC2 took %v", tookA[0])
	}
}

// Every example event gets an account that opens, and its instance is in it.
func TestAroundEveryEvent(t *testing.T) {
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no events: %v", err)
	}
	for _, f := range files {
		event, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		file, err := sim.Around(event)
		if err != nil && filepath.Base(f) == "decide-later.json" {
			continue // it is about an incident, which only a record holds
		}
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		again, _ := sim.Around(event)
		if string(file) != string(again) {
			t.Errorf("%s: two accounts around one event", f)
		}
		if _, err := sim.Open(sim.Settings{Clock: &wall{begun}}, file); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := sim.Around([]byte("no event")); err == nil {
		t.Error("what is no JSON made an account")
	}
}
