package drift_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/drift"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const eni, other, web = "eni-1", "eni-2", "sg-web"

const terraform = "arn:aws:sts::123456789012:assumed-role/Terraform/drift-job"

// undone is an account where somebody puts an interface back after ten minutes.
func undone(more string) string {
	return strings.Replace(scene.File, "{", fmt.Sprintf(`{"Behaviour": {"Undone": [
		{"Seconds": 600, "NetworkInterfaceId": %q, "Groups": [%q], "Arn": %q}]%s},`, eni, web, terraform, more), 1)
}

func run(ctx context.Context, s *scene.Scene, i incident.Isolation) (drift.Output, error) {
	step, err := drift.New(s.Host, s.CloudTrail(), s.SNS(), s.DynamoDB())
	if err != nil {
		return drift.Output{}, err
	}
	return step.Run(ctx, drift.Input{Incident: s.Incident, Instance: incident.Instance{ID: s.Incident.InstanceID}, Isolation: i})
}

// That it was put right is said by whoever has the incident: released since, it need
// not be so. The drift is left for that one to tell of.
func TestToldByWhoHasTheIncident(t *testing.T) {
	s := scene.Open(t, undone(""))
	s.Wait(11 * time.Minute)
	step, err := drift.New(s.Host, s.CloudTrail(), s.SNS(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	in := drift.Input{Incident: s.Incident, Execution: "another", Instance: incident.Instance{ID: s.Incident.InstanceID}, Isolation: found(s, 1, eni)}
	if out, err := step.Run(t.Context(), in); err != nil || out.Status != incident.Skipped || len(s.Mails()) != 0 {
		t.Errorf("%+v, %v, %d mails from an execution that lost the incident", out, err, len(s.Mails()))
	}
	if out := must(t, s, in.Isolation); out.Told != 1 || len(s.Mails()) != 1 {
		t.Errorf("%+v and %d mails: the owner should tell of it", out, len(s.Mails()))
	}
}

// found is what isolate says that finds it undone now, for the nth time, and
// found it well five minutes ago.
func found(s *scene.Scene, n int, undone ...string) incident.Isolation {
	now := s.Host.Now()
	return incident.Isolation{Contained: true, Sealed: true, At: now, Drifts: n, Undone: undone, Repaired: undone, UndoneSince: now.Add(-5 * time.Minute), UndoneAt: now}
}

func must(t *testing.T, s *scene.Scene, i incident.Isolation) drift.Output {
	t.Helper()
	out, err := run(t.Context(), s, i)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newest(s *scene.Scene) sim.Mail {
	all := s.Mails()
	return all[len(all)-1]
}

// A drift is told at once, with or without a name, and the name as soon as
// CloudTrail has it; neither twice.
func TestTold(t *testing.T) {
	s := scene.Open(t, undone(""))
	s.Wait(11 * time.Minute)
	i := found(s, 1, eni)
	out := must(t, s, i)
	if out.Told != 1 || !out.Pending || out.Alarm != "" || len(s.Mails()) != 1 {
		t.Fatalf("%+v after %d mails; one drift, one mail, nobody named yet, no alarm", out, len(s.Mails()))
	}
	if body := newest(s).Body; !strings.Contains(body, eni) || !strings.Contains(body, "cannot say") || strings.Contains(body, terraform) {
		t.Errorf("the mail should name what was undone, and say that nobody is known yet:\n%s", body)
	}
	if out = must(t, s, i); len(s.Mails()) != 1 || !out.Pending {
		t.Errorf("the same look tells again: %+v, %d mails", out, len(s.Mails()))
	}
	s.Wait(5 * time.Minute)
	if out = must(t, s, i); out.Pending || len(s.Mails()) != 2 {
		t.Fatalf("%+v, %d mails; CloudTrail has it now", out, len(s.Mails()))
	}
	if body := newest(s).Body; !strings.Contains(body, terraform) || !strings.Contains(body, "ModifyNetworkInterfaceAttribute") || !strings.Contains(body, "198.51.100.7") {
		t.Errorf("the mail does not say who it was, by which call and from where:\n%s", body)
	}
	if out = must(t, s, i); len(s.Mails()) != 2 {
		t.Errorf("%+v: who it was is told twice", out)
	}
	var kept struct{ Known []incident.Drift }
	if _, err := record.LoadStep(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, "drift", &kept); err != nil || len(kept.Known) != 1 || len(kept.Known[0].By) == 0 || kept.Known[0].By[0].Who != terraform {
		t.Errorf("%+v, %v: the report cannot say who it was", kept, err)
	}
}

// CloudTrail is quicker here than the look.
func TestNamedAtOnce(t *testing.T) {
	s := scene.Open(t, undone(`, "CloudTrailSeconds": 1`))
	s.Wait(11 * time.Minute)
	out := must(t, s, found(s, 1, eni))
	if out.Pending || len(s.Mails()) != 1 || !strings.Contains(newest(s).Body, terraform) {
		t.Errorf("%+v\n%s", out, newest(s).Body)
	}
}

// From the second on it alarms, for a while.
func TestAlarm(t *testing.T) {
	s := scene.Open(t, scene.File)
	must(t, s, found(s, 1, eni))
	s.Wait(time.Hour)
	i := found(s, 2, eni)
	for range 2 {
		if out := must(t, s, i); out.Alarm != drift.Again {
			t.Errorf("%+v: the second drift does not alarm", out)
		}
	}
	s.Wait(time.Hour)
	if out := must(t, s, i); out.Alarm != "" {
		t.Errorf("%+v: it alarms an hour later again, and nothing is new", out)
	}
	if n := len(s.Mails()); n != 2 {
		t.Errorf("%d mails about two drifts", n)
	}
}

// What is not theirs is not said to be: repairs of ours, attempts that were
// refused, changes of other interfaces and before the last look.
func TestNotTheirs(t *testing.T) {
	s := scene.Open(t, strings.Replace(scene.File, "{", fmt.Sprintf(`{"Behaviour": {"CloudTrailSeconds": 1, "Undone": [
		{"Seconds": 60, "NetworkInterfaceId": %[1]q, "Groups": [%[2]q], "Arn": "arn:early"},
		{"Seconds": 620, "NetworkInterfaceId": %[1]q, "Groups": ["sg-none"], "Arn": "arn:refused"},
		{"Seconds": 630, "NetworkInterfaceId": %[3]q, "Groups": ["sg-db"], "Arn": "arn:other"}]},`, eni, web, other), 1))
	s.Wait(650 * time.Second)
	ours := sim.WithInvocation(t.Context(), &sim.Invocation{Function: "isolate"})
	if _, err := s.EC2().ModifyNetworkInterfaceAttribute(ours, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String(eni), Groups: []string{web}}); err != nil {
		t.Fatal(err)
	}
	s.Wait(10 * time.Second)
	theirs := sim.WithInvocation(t.Context(), &sim.Invocation{Function: "preserve"})
	if _, err := s.EC2().ModifyInstanceAttribute(theirs, &ec2.ModifyInstanceAttributeInput{InstanceId: &s.Incident.InstanceID, DisableApiTermination: &ec2types.AttributeBooleanValue{Value: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	s.Wait(10 * time.Second)
	out := must(t, s, found(s, 1, eni))
	for _, wrong := range []string{"arn:early", "arn:refused", "arn:other", "role/isolate", "role/preserve"} {
		if strings.Contains(newest(s).Body, wrong) {
			t.Errorf("%s is said to have done it:\n%s", wrong, newest(s).Body)
		}
	}
	if !out.Pending {
		t.Errorf("%+v: nobody is named, and CloudTrail is not asked again", out)
	}
}

// What another function of ours did, a release that stopped half way perhaps, is
// said to be its doing.
func TestOurRelease(t *testing.T) {
	s := scene.Open(t, strings.Replace(scene.File, "{", `{"Behaviour": {"CloudTrailSeconds": 1},`, 1))
	release := sim.WithInvocation(t.Context(), &sim.Invocation{Function: "release"})
	if _, err := s.EC2().ModifyNetworkInterfaceAttribute(release, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String(eni), Groups: []string{web}}); err != nil {
		t.Fatal(err)
	}
	s.Wait(time.Minute)
	if must(t, s, found(s, 1, eni)); !strings.Contains(newest(s).Body, "assumed-role/release") {
		t.Errorf("it is not said who it was:\n%s", newest(s).Body)
	}
}

// Where CloudTrail does not answer, the drift is told all the same, and why
// nobody is named.
func TestCloudTrailDenied(t *testing.T) {
	s := scene.Open(t, undone(""), scene.Fault(t, "cloudtrail:LookupEvents#1=denied"))
	s.Wait(11 * time.Minute)
	out := must(t, s, found(s, 1, eni))
	if !out.Pending || len(s.Mails()) != 1 || !strings.Contains(newest(s).Body, "AccessDenied") {
		t.Errorf("%+v\n%s", out, newest(s).Body)
	}
}

// It is not asked for ever.
func TestPatience(t *testing.T) {
	s := scene.Open(t, scene.File)
	i := found(s, 1, eni)
	must(t, s, i)
	s.Wait(7 * time.Hour)
	if out := must(t, s, i); out.Pending || len(s.Mails()) != 1 {
		t.Errorf("%+v, %d mails: CloudTrail is still asked after seven hours", out, len(s.Mails()))
	}
}

// Drifts that nobody was told of, because two came between two tellings, are
// told as one, with all that was undone.
func TestMissed(t *testing.T) {
	s := scene.Open(t, scene.File)
	i := found(s, 3, eni)
	i.Repaired = []string{eni, other}
	if out := must(t, s, i); out.Told != 3 || !strings.Contains(newest(s).Body, other) {
		t.Errorf("%+v\n%s", out, newest(s).Body)
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
		s := scene.Open(t, undone(`, "CloudTrailSeconds": 1`), faults...)
		s.Wait(11 * time.Minute)
		return s
	}, func(ctx context.Context, s *scene.Scene) (drift.Output, error) { return run(ctx, s, found(s, 1, eni)) })
}

// A release of ours that failed between the two looks is nobody's doing: it is told
// as what it is, and does not count for the alarm.
func TestHalfReleased(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Wait(10 * time.Minute)
	released := func(status incident.Status, ago time.Duration) {
		v := map[string]any{"status": status, "beganAt": s.Host.Now().Add(-ago)}
		if err := record.SaveStep(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, "release", v); err != nil {
			t.Fatal(err)
		}
	}
	released(incident.Failed, 2*time.Minute)
	i := found(s, 1, eni)
	must(t, s, i)
	if m := newest(s); !strings.Contains(m.Subject, "A release failed half-way") || !strings.Contains(m.Body, "Nobody has to be looked for") {
		t.Errorf("told\n%s\n%s", m.Subject, m.Body)
	}
	if must(t, s, i); len(s.Mails()) != 1 {
		t.Errorf("told %d times", len(s.Mails()))
	}
	// It began before the isolation was last seen well: this is somebody else.
	s.Wait(10 * time.Minute)
	out := must(t, s, found(s, 2, eni))
	if m := newest(s); !strings.Contains(m.Subject, "Somebody undid") || out.Alarm != "" {
		t.Errorf("%+v, told %s; the first that others did does not alarm", out, m.Subject)
	}
	s.Wait(10 * time.Minute)
	released(incident.Partial, 2*time.Minute) // it ended
	out = must(t, s, found(s, 3, eni))
	if m := newest(s); !strings.Contains(m.Subject, "Somebody undid") || out.Alarm != drift.Again {
		t.Errorf("%+v, told %s", out, m.Subject)
	}
}
