package custody_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cordon/internal/custody"
	"cordon/internal/incident"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// taken is scene.File with the incident's two snapshots, one of which is not
// encrypted, and one that is a duplicate.
func taken(behaviour string) string {
	snapshot := func(id, volume, more string) string {
		return `{"SnapshotId": "` + id + `", "VolumeId": "` + volume + `", "VolumeSize": 8, "StartTime": "2026-03-01T02:00:00Z"` + more +
			`, "Tags": [{"Key": "cordon:incident", "Value": "123456789012.eu-west-1.i-0aaaaaaaaaaaaaaaa.1"}]}`
	}
	return strings.Replace(scene.File, "{", `{"Behaviour": {`+behaviour+`}, "Snapshots": [`+
		snapshot("snap-root", "vol-root", `, "Encrypted": true, "KmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/theirs"`)+","+
		snapshot("snap-data", "vol-data", "")+"],", 1)
}

// stand is what snapshot tells of them.
func stand() incident.Snapshots {
	return incident.Snapshots{Done: true, Complete: true, Set: []incident.Snapshot{
		{ID: "snap-root", VolumeID: "vol-root", Device: "/dev/xvda", State: "completed"},
		{ID: "snap-data", VolumeID: "vol-data", Device: "/dev/sdf", State: "completed"},
		{ID: "snap-lost", VolumeID: "vol-data", State: "error", Superseded: true},
		{ID: "snap-twin", VolumeID: "vol-data", State: "completed", Duplicate: true},
	}}
}

func look(ctx context.Context, s *scene.Scene, of incident.Snapshots) (custody.Output, error) {
	step, err := custody.New(s.Host, s.EC2(), s.EC2(), s.STS(), s.DynamoDB())
	if err != nil {
		return custody.Output{}, err
	}
	return step.Run(ctx, custody.Input{Incident: s.Incident, Snapshots: of})
}

// run looks as the machine does, until there is nothing left to wait for.
func run(ctx context.Context, s *scene.Scene) (custody.Output, error) { return until(ctx, s, stand()) }

func until(ctx context.Context, s *scene.Scene, of incident.Snapshots) (custody.Output, error) {
	for range 1500 { // ten days
		out, err := look(ctx, s, of)
		if err != nil || out.Done {
			return out, err
		}
		s.Wait(10 * time.Minute)
	}
	return custody.Output{}, errors.New("never done")
}

func must(t *testing.T) func(custody.Output, error) custody.Output {
	return func(out custody.Output, err error) custody.Output {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// there is what the evidence account has, and what is left here of the way.
func there(t *testing.T, s *scene.Scene) (copies []types.Snapshot, locked map[string]int32, left []string) {
	t.Helper()
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		EvidenceSnapshots       []types.Snapshot
		EvidenceLockedSnapshots []types.LockedSnapshotsInfo
		Snapshots               []types.Snapshot
	}
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	locked = map[string]int32{}
	for _, l := range a.EvidenceLockedSnapshots {
		locked[*l.SnapshotId] = *l.LockDuration
	}
	for _, sn := range a.Snapshots {
		if *sn.SnapshotId != "snap-root" && *sn.SnapshotId != "snap-data" {
			left = append(left, *sn.SnapshotId)
		}
	}
	return a.EvidenceSnapshots, locked, left
}

// Each snapshot ends in the evidence account, under its key, locked, with what it
// is in tags; nothing of the way is left, and the evidence here is as it was.
func TestCopies(t *testing.T) {
	s := scene.Open(t, taken(""))
	first := must(t)(look(t.Context(), s, stand()))
	if first.Done || first.Status != incident.OK || len(first.Copies) != 2 || first.Copies[0].State != incident.Transferring {
		t.Errorf("at first: got %+v", first)
	}
	out := must(t)(run(t.Context(), s))
	if !out.Done || out.Status != incident.OK || out.Reason != "" || out.Account != "999988887777" {
		t.Errorf("at the end: got %+v", out)
	}
	copies, locked, left := there(t, s)
	if len(copies) != 2 || len(left) != 0 {
		t.Fatalf("%d copies; left here: %v", len(copies), left)
	}
	for n, sn := range copies {
		c := out.Copies[n]
		tags := map[string]string{}
		for _, tag := range sn.Tags {
			tags[*tag.Key] = *tag.Value
		}
		want := map[string]string{
			"cordon:incident": s.Incident.ID, "cordon:source": c.Source, "cordon:stack": scene.Stack, "cordon:account": "123456789012",
			"cordon:instance": scene.Instance, "cordon:volume": c.VolumeID, "cordon:device": c.Device, "Name": "cordon " + s.Incident.ID,
		}
		if d := cmp.Diff(want, tags); d != "" {
			t.Errorf("tags of %s (-want +got):\n%s", *sn.SnapshotId, d)
		}
		if *sn.KmsKeyId != scene.Evidence.Key || *sn.OwnerId != "999988887777" || sn.State != "completed" || locked[*sn.SnapshotId] != 30 {
			t.Errorf("the copy is %+v, locked for %d days", sn, locked[*sn.SnapshotId])
		}
		if c.State != incident.Copied || c.ID != *sn.SnapshotId || !c.Locked || c.KMSKey != scene.Evidence.Key {
			t.Errorf("told of it: %+v", c)
		}
	}
	// Asked again, nothing is done again.
	from := len(s.Calls())
	if again := must(t)(look(t.Context(), s, stand())); !cmp.Equal(again, out) || len(s.Changes(from)) > 0 {
		t.Errorf("again: %+v, changes %v", again, s.Changes(from))
	}
}

// What the evidence account is asked carries its credentials over the wire, and
// what is asked here does not.
func TestCredentialsOverTheWire(t *testing.T) {
	signers := map[string]bool{}
	client := ec2.NewFromConfig(aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIAOWN", "x", ""),
		HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			action, _, _ := strings.Cut(strings.TrimPrefix(string(b), "Action="), "&")
			own := strings.Contains(r.Header.Get("Authorization"), "AKIAOWN")
			signers[fmt.Sprintf("%s own=%v", action, own)] = true
			body := "<R></R>"
			if action == "DescribeSnapshots" && own {
				body = `<R><snapshotSet><item><snapshotId>snap-t</snapshotId><status>completed</status><tagSet><item><key>cordon:source</key><value>snap-root</value></item></tagSet></item></snapshotSet></R>`
			}
			return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
		}),
	})
	s := scene.Open(t, taken(""))
	step, err := custody.New(s.Host, client, client, s.STS(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	must(t)(step.Run(t.Context(), custody.Input{Incident: s.Incident, Snapshots: stand()}))
	want := map[string]bool{
		"DescribeSnapshots own=true": true, "DescribeSnapshots own=false": true, "CopySnapshot own=true": true,
		"ModifySnapshotAttribute own=true": true, "CopySnapshot own=false": true, "LockSnapshot own=false": true,
	}
	if d := cmp.Diff(want, signers); d != "" {
		t.Errorf("calls and whose credentials they carry (-want +got):\n%s", d)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// A role that refuses, and a key that does, are told and given up in the end;
// nothing of the way is left where it can be deleted.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, behaviour, reason string
		copies                  int
	}{
		{"the role", `"EvidenceRoleRefuses": true`, "take the role arn:aws:iam::999988887777:role/cordon-evidence: AccessDenied", 0},
		{"the key", `"EvidenceKeyRefuses": true`, "3 copies failed in account 999988887777: Given key ID is not accessible", 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, taken(c.behaviour))
			out := must(t)(run(t.Context(), s))
			if out.Status != incident.Failed || !strings.Contains(out.Reason, "0 of 2 copied into account 999988887777") || !strings.Contains(out.Reason, c.reason) {
				t.Errorf("got %+v", out)
			}
			copies, _, left := there(t, s)
			if len(copies) != c.copies || len(left) > 0 {
				t.Errorf("%d copies; left here: %v", len(copies), left)
			}
		})
	}
}

// Copies that take for ever are not waited for for ever.
func TestNeverCopied(t *testing.T) {
	s := scene.Open(t, taken(`"CopySeconds": 100000000`))
	out := must(t)(run(t.Context(), s))
	if out.Status != incident.Failed || !strings.Contains(out.Reason, "not waited for any longer after 3 days") {
		t.Errorf("got %+v", out)
	}
	if copies, _, left := there(t, s); len(copies)+len(left) > 0 {
		t.Errorf("%d copies; left here of what leads nowhere: %v", len(copies), left)
	}
}

// A copy is locked as soon as it is there, so that one that nobody looks at any more
// completes locked. One that is under way when the days are over is waited for
// longer, and nothing of the way is left; in the end it is not waited for for ever.
func TestCopiesUnderWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		hours  int // that each copy takes
		copied int
		told   string
	}{
		{"each under three days", 50, 2, ""},
		{"begun there in the last hours", 24*2 + 23, 2, ""},
		{"longer than three days", 24 * 8, 0, "not waited for any longer after 3 days"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, taken(fmt.Sprintf(`"CopySeconds": %d`, c.hours*3600)))
			looked := false
			for range 2000 {
				out := must(t)(look(t.Context(), s, stand()))
				copies, locked, _ := there(t, s)
				for _, sn := range copies {
					looked = looked || sn.State == types.SnapshotStatePending
					if locked[*sn.SnapshotId] != 30 {
						t.Fatalf("%s is %s and not locked", *sn.SnapshotId, sn.State)
					}
				}
				if out.Done {
					break
				}
				s.Wait(10 * time.Minute)
			}
			out := must(t)(look(t.Context(), s, stand()))
			copied := 0
			for _, o := range out.Copies {
				if o.State == incident.Copied && o.Locked {
					copied++
				}
			}
			if _, _, left := there(t, s); !out.Done || copied != c.copied || len(left) > 0 || !strings.Contains(out.Reason, c.told) || looked != (c.copied > 0) {
				t.Errorf("got %+v; left here: %v", out, left)
			}
		})
	}
}

// One that is still under way there after a week is told. What it is made of stays:
// deleted, the copy would fail; and it is locked when it completes.
func TestUnderWayAfterAWeek(t *testing.T) {
	s := scene.Open(t, taken(`"CopySeconds": 10000`))
	for {
		out := must(t)(look(t.Context(), s, stand()))
		if out.Copies[0].State == incident.Copying && out.Copies[1].State == incident.Copying {
			break
		}
		s.Wait(10 * time.Minute)
	}
	s.EC2().SlowCopies(200 * 24 * 3600)
	out := must(t)(until(t.Context(), s, stand()))
	if out.Status != incident.Failed || !strings.Contains(out.Reason, "not waited for any longer after 7 days") {
		t.Errorf("got %+v", out)
	}
	copies, locked, left := there(t, s)
	if len(copies) != 2 || len(locked) != 2 || len(left) != 2 {
		t.Errorf("%d copies, %d locked; left here: %v", len(copies), len(locked), left)
	}
}

// More copies at once than a Region allows wait their turn.
func TestManyVolumes(t *testing.T) {
	s := scene.Open(t, taken(`"CopySeconds": 3600`))
	for range 19 {
		if _, err := s.EC2().CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: aws.String("snap-data")}); err != nil {
			t.Fatal(err)
		}
	}
	first := must(t)(look(t.Context(), s, stand()))
	if first.Done || first.Status != incident.Partial || !strings.Contains(first.Reason, "ResourceLimitExceeded") || first.Refusals != 0 {
		t.Errorf("at first: got %+v", first)
	}
	if out := must(t)(run(t.Context(), s)); out.Status != incident.OK {
		t.Errorf("at the end: got %+v", out)
	}
}

// What is not complete is not copied, and waited for only while nobody decided.
func TestWaitsForSnapshots(t *testing.T) {
	s := scene.Open(t, taken(""))
	pending := incident.Snapshots{Set: []incident.Snapshot{{ID: "snap-root", VolumeID: "vol-root", State: "pending"}}}
	out := must(t)(look(t.Context(), s, pending))
	if out.Done || len(out.Copies) > 0 || out.Status != incident.OK || out.Reason == "" {
		t.Errorf("got %+v", out)
	}
	s.Note(t, incident.Keep)
	if out = must(t)(look(t.Context(), s, pending)); !out.Done || !out.Decided || out.Status != incident.Skipped {
		t.Errorf("decided: got %+v", out)
	}
	// It completes all the same, and then it is copied.
	if out = must(t)(run(t.Context(), s)); out.Status != incident.OK || len(out.Copies) != 2 {
		t.Errorf("afterwards: got %+v", out)
	}
}

// TestSnapshotsTakeLongerThanCopiesAreWaitedFor: a snapshot may complete days
// after the first look, and its copy has its own days from then.
func TestSnapshotsTakeLongerThanCopiesAreWaitedFor(t *testing.T) {
	s := scene.Open(t, taken(""))
	pending := incident.Snapshots{Set: []incident.Snapshot{{ID: "snap-root", VolumeID: "vol-root", State: "pending"}}}
	must(t)(look(t.Context(), s, pending))
	s.Wait(4 * 24 * time.Hour)
	if out := must(t)(run(t.Context(), s)); out.Status != incident.OK || len(out.Copies) != 2 {
		t.Errorf("got %+v", out)
	}
	if copies, locked, left := there(t, s); len(copies) != 2 || len(locked) != 2 || len(left) != 0 {
		t.Errorf("there are %d copies, %d locked, and left here is %q", len(copies), len(locked), left)
	}
}

func TestReleased(t *testing.T) {
	s := scene.Open(t, taken(""))
	s.Note(t, incident.Release)
	out := must(t)(look(t.Context(), s, stand()))
	copies, _, left := there(t, s)
	if !out.Done || out.Status != incident.Skipped || !strings.Contains(out.Reason, "the instance was released") || len(copies)+len(left) > 0 {
		t.Errorf("got %+v", out)
	}
}

// A release that was not carried out ends nothing for good: what it ended is begun
// again. So it is where the instance is gone, whatever was decided.
func TestReleasedAndNot(t *testing.T) {
	for name, c := range map[string]struct {
		after func(*testing.T, *scene.Scene)
		gone  bool
	}{
		"refused":          {func(t *testing.T, s *scene.Scene) { s.Forget(t) }, false},
		"another decision": {func(t *testing.T, s *scene.Scene) { s.Note(t, incident.Keep) }, false},
		"gone":             {func(*testing.T, *scene.Scene) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.Open(t, taken(""))
			step, err := custody.New(s.Host, s.EC2(), s.EC2(), s.STS(), s.DynamoDB())
			if err != nil {
				t.Fatal(err)
			}
			must(t)(look(t.Context(), s, stand())) // on their way
			s.Note(t, incident.Release)
			for range 2 {
				if out := must(t)(look(t.Context(), s, stand())); !out.Done || !out.Released {
					t.Fatalf("released: got %+v", out)
				}
			}
			if _, _, left := there(t, s); len(left) > 0 {
				t.Errorf("released, and left here: %v", left)
			}
			c.after(t, s)
			var out custody.Output
			for range 600 {
				if out = must(t)(step.Run(t.Context(), custody.Input{Incident: s.Incident, Snapshots: stand(), Gone: c.gone})); out.Done {
					break
				}
				s.Wait(10 * time.Minute)
			}
			copies, locked, left := there(t, s)
			if !out.Done || out.Status != incident.OK || out.Released || len(copies) != 2 || len(locked) != 2 || len(left) > 0 {
				t.Errorf("got %+v; %d copies, %d locked; left here: %v", out, len(copies), len(locked), left)
			}
		})
	}
}

func TestOff(t *testing.T) {
	s := scene.Open(t, taken(""))
	s.Set("EVIDENCE_ROLE_ARN", "off")
	from := len(s.Calls())
	out := must(t)(look(t.Context(), s, stand()))
	if !out.Done || !out.Off || out.Status != incident.Skipped || len(s.Calls()) != from {
		t.Errorf("got %+v after %d calls", out, len(s.Calls())-from)
	}
}

func TestSettings(t *testing.T) {
	for name, values := range map[string][]string{
		"EVIDENCE_ROLE_ARN": {"", "role", "arn:aws:iam:::role/x"}, "EVIDENCE_KEY_ARN": {""}, "EVIDENCE_EXTERNAL_ID": {""}, "TRANSFER_KEY_ARN": {""},
		"RETENTION_DAYS": {"", "0", "1.5", "36501"},
	} {
		for _, v := range values {
			s := scene.Open(t, scene.File)
			s.Set(name, v)
			if _, err := look(t.Context(), s, stand()); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%q: error is %v", name, v, err)
			}
		}
	}
	s := scene.Open(t, taken(""))
	s.Set("EVIDENCE_ROLE_ARN", "arn:aws:iam::123456789012:role/own")
	if out := must(t)(look(t.Context(), s, stand())); !out.Done || !strings.Contains(out.Reason, "is the incident's own") {
		t.Errorf("an evidence account that is none: got %+v", out)
	}
}

// A copy that is not shown yet is not made again.
func TestStaleRead(t *testing.T) {
	s := scene.Open(t, taken(""), scene.Fault(t, "ec2:DescribeSnapshots#3=stale"), scene.Fault(t, "ec2:DescribeSnapshots#4=stale"))
	must(t)(look(t.Context(), s, stand()))
	must(t)(look(t.Context(), s, stand()))
	if _, _, left := there(t, s); len(left) != 2 {
		t.Errorf("%d copies on the way, want one of each", len(left))
	}
}

// No secret of the session is written down.
func TestSessionIsNotKept(t *testing.T) {
	s := scene.Open(t, taken(""))
	must(t)(run(t.Context(), s))
	world := s.World(t)
	for _, c := range s.Calls() {
		if strings.Contains(fmt.Sprintf("%+v", c.Input), "ASIA") {
			t.Errorf("%s holds an access key", c.Action)
		}
	}
	if strings.Contains(world, "ASIA") {
		t.Error("the account holds an access key")
	}
}

// One snapshot: of several, the IDs would tell which was first.
func TestKill(t *testing.T) {
	one := stand()
	one.Set = one.Set[:1]
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, taken(""), faults...) },
		func(ctx context.Context, s *scene.Scene) (custody.Output, error) {
			out, err := until(ctx, s, one)
			for n := range out.Copies {
				out.Copies[n].AskedAt = time.Time{}
			}
			out.BegunAt = time.Time{}
			return out, err
		})
}
