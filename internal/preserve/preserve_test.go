package preserve_test

import (
	"context"
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/preserve"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
)

func run(ctx context.Context, s *scene.Scene) (preserve.Output, error) {
	step, err := preserve.New(s.Host, s.EC2(), s.AutoScaling(), s.ElasticLoadBalancingV2(), s.ElasticLoadBalancing(), s.DynamoDB())
	if err != nil {
		return preserve.Output{}, err
	}
	return step.Run(ctx, preserve.Input{Incident: s.Incident, Execution: scene.Execution})
}

var all = []string{"disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior", "deleteOnTermination of vol-root", "deleteOnTermination of vol-data"}

func TestProtects(t *testing.T) {
	s := scene.Open(t, scene.File)
	got, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := preserve.Output{Report: incident.Report{Status: incident.OK}, Set: all, Refused: []string{}, Scaling: incident.Ungrouped, Hazards: []string{}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	flags := scene.Flags{Termination: true, Stop: true, Shutdown: "stop", Delete: map[string]bool{"vol-root": false, "vol-data": false}}
	if d := cmp.Diff(flags, s.Flags(t)); d != "" {
		t.Errorf("the instance can be destroyed with its evidence (-want +got):\n%s", d)
	}
	priors := map[string]string{
		scene.Instance + " disableApiTermination":             "false",
		scene.Instance + " disableApiStop":                    "false",
		scene.Instance + " instanceInitiatedShutdownBehavior": `"terminate"`,
		"vol-root deleteOnTermination":                        "true",
		"vol-data deleteOnTermination":                        "true",
	}
	if d := cmp.Diff(priors, s.Priors(t)); d != "" {
		t.Errorf("a release would not put back what was there (-want +got):\n%s", d)
	}
}

// Every change must come after the record of what it changes.
func TestRecordsFirst(t *testing.T) {
	for n := 1; n <= 5; n++ {
		s := scene.Open(t, scene.File)
		prepared := 0
		for _, c := range s.Calls() {
			if c.Action == "PutItem" {
				prepared++
			}
		}
		f := sim.Fault{Service: "dynamodb", Action: "PutItem", Number: prepared + n, Kind: sim.Denied}
		s = scene.Open(t, scene.File, f)
		if _, err := run(t.Context(), s); err != nil {
			t.Log(err)
		}
		priors := s.Priors(t)
		for _, c := range s.Calls() {
			if c.Action != "ModifyInstanceAttribute" {
				continue
			}
			if key := attribute(c.Input.(*ec2.ModifyInstanceAttributeInput)); priors[key] == "" {
				t.Errorf("%v: %s was changed and is not in the record", f, key)
			}
		}
	}
}

func attribute(in *ec2.ModifyInstanceAttributeInput) string {
	switch {
	case in.DisableApiTermination != nil:
		return *in.InstanceId + " disableApiTermination"
	case in.DisableApiStop != nil:
		return *in.InstanceId + " disableApiStop"
	case in.InstanceInitiatedShutdownBehavior != nil:
		return *in.InstanceId + " instanceInitiatedShutdownBehavior"
	}
	return map[string]string{"/dev/xvda": "vol-root", "/dev/sdf": "vol-data"}[*in.BlockDeviceMappings[0].DeviceName] + " deleteOnTermination"
}

// What is as it should be is not set again.
func TestChangesOnce(t *testing.T) {
	s := scene.Open(t, scene.File)
	for n := range 2 {
		from := len(s.Calls())
		if _, err := run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		changes := 0
		for _, c := range s.Changes(from) {
			if c == "ec2:ModifyInstanceAttribute" {
				changes++
			}
		}
		if want := []int{5, 0}[n]; changes != want {
			t.Errorf("run %d changes %d attributes, want %d", n+1, changes, want)
		}
	}
}

// A Spot Instance takes no protection against termination or stop; the rest of
// it is protected all the same.
func TestSpot(t *testing.T) {
	s := scene.Open(t, strings.Replace(scene.File, `"InstanceType": "m5d.large"`, `"InstanceType": "m5d.large", "InstanceLifecycle": "spot"`, 1))
	got, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != incident.Partial || !strings.Contains(got.Reason, "disableApiTermination") {
		t.Errorf("got %+v, want partial with the reason", got.Report)
	}
	if d := cmp.Diff(map[string]bool{"vol-root": false, "vol-data": false}, s.Flags(t).Delete); d != "" {
		t.Errorf("one refusal cost the volumes their protection:\n%s", d)
	}
}

// EC2's no is an answer; throttling and failures are not, and the machine runs
// the step again.
func TestOneFailure(t *testing.T) {
	for kind, answered := range map[sim.Kind]bool{sim.Denied: true, sim.Throttled: false, sim.Unavailable: false, sim.Lost: false} {
		s := scene.Open(t, scene.File, sim.Fault{Service: "ec2", Action: "ModifyInstanceAttribute", Number: 1, Kind: kind})
		got, err := run(t.Context(), s)
		if answered != (err == nil) {
			t.Errorf("%s: error is %v", kind, err)
		}
		if answered && (got.Status != incident.Partial || len(got.Set) != len(all)-1) {
			t.Errorf("%s: got %+v, want all but one set", kind, got)
		}
		if f := s.Flags(t); f.Shutdown != "stop" || f.Delete["vol-data"] {
			t.Errorf("%s: one failure stopped the others: %+v", kind, f)
		}
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, scene.File, faults...) }, run)
}
