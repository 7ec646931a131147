package console_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"cordon/internal/console"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// said is what the instance wrote to its console: somebody's password among it.
const said = "login: root\\r\\npassword: hunter2\\r\\n"

// with is the scene's account where the instance has said something, and is
// changed by pairs of old and new text.
func with(pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(strings.Replace(scene.File, "{", `{"ConsoleOutputs": {"`+scene.Instance+`": {"Output": "`+said+`", "Timestamp": "2026-02-28T01:02:03Z"}},`, 1))
}

// run leaves out when things were kept, in which two runs differ.
func run(ctx context.Context, s *scene.Scene) (console.Output, error) {
	step, err := console.New(s.Host, s.EC2(), s.S3(), s.DynamoDB())
	if err != nil {
		return console.Output{}, err
	}
	out, err := step.Run(ctx, console.Input{Incident: s.Incident})
	for _, k := range []*incident.Kept{&out.Output, &out.Screenshot} {
		if (k.Object == "") != k.At.IsZero() {
			return out, io.ErrUnexpectedEOF // kept, and nobody knows when
		}
		k.At = time.Time{}
	}
	return out, err
}

func read(t *testing.T, s *scene.Scene, key string) ([]byte, *s3.GetObjectOutput) {
	t.Helper()
	out, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("cordon-evidence"), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b, out
}

func TestKeepsBoth(t *testing.T) {
	s := scene.Open(t, with())
	out, err := run(t.Context(), s)
	if err != nil || out.Status != incident.OK {
		t.Fatalf("%+v, %v", out, err)
	}
	text, object := read(t, s, "incidents/"+s.Incident.ID+"/console/output.txt")
	if string(text) != "login: root\r\npassword: hunter2\r\n" || out.Output.Bytes != int64(len(text)) || out.Output.SHA256 != "886d9132061161de28de13002e166f92e7d8c670999c00f5efe2e5134bb31ebc" {
		t.Errorf("%q, %+v", text, out.Output)
	}
	if object.ObjectLockMode != types.ObjectLockModeGovernance || !aws.ToTime(object.ObjectLockRetainUntilDate).After(s.Host.Now().Add(29*24*time.Hour)) {
		t.Errorf("the output is locked %q until %v, want governance for 30 days", object.ObjectLockMode, object.ObjectLockRetainUntilDate)
	}
	picture, _ := read(t, s, out.Screenshot.Object)
	if !bytes.HasPrefix(picture, []byte{0xff, 0xd8, 0xff}) || out.Screenshot.Object != "incidents/"+s.Incident.ID+"/console/screenshot.jpg" {
		t.Errorf("%+v begins with % x, want a JPEG", out.Screenshot, picture[:3])
	}
	var kept incident.Console
	if found, err := record.LoadStep(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, "console", &kept); err != nil || !found || kept.Output.SHA256 != out.Output.SHA256 {
		t.Errorf("the record has %+v, %v", kept, err)
	}
	account, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(account, []byte("hunter2")) != 1 { // in the account file's own console
		t.Error("what the console shows is somewhere else than in the bucket")
	}
}

// What EC2 has not is skipped with its reason; what it refuses failed, is
// recorded, and is tried again.
func TestWhatCannotBeHad(t *testing.T) {
	for _, c := range []struct {
		name, file          string
		fault               string
		output, screenshot  incident.Report
		together            incident.Status
		fails, outputExists bool
	}{
		{
			"before Nitro", with("m5d.large", "m4.large"), "",
			incident.Report{Status: incident.OK, Reason: "as EC2 posted it at 2026-02-28T01:02:03Z; there is no later one"},
			incident.Report{Status: incident.OK},
			incident.OK, false, true,
		},
		{
			"metal", with("m5d.large", "m5d.metal"), "",
			incident.Report{Status: incident.OK},
			incident.Report{Status: incident.Skipped, Reason: "EC2 has none of this instance: The instance type does not support console screenshots"},
			incident.Partial, false, true,
		},
		{
			"silent, on Graviton", strings.ReplaceAll(scene.File, "m5d.large", "m6gd.large"), "",
			incident.Report{Status: incident.Skipped, Reason: "EC2 has no output of this instance"},
			incident.Report{Status: incident.Skipped, Reason: "EC2 has none of this instance: The instance type does not support console screenshots"},
			incident.Skipped, false, false,
		},
		{
			"stopped", with(`{"Code": 16, "Name": "running"}`, `{"Code": 80, "Name": "stopped"}`), "",
			incident.Report{Status: incident.OK},
			incident.Report{Status: incident.Failed, Reason: "api error IncorrectInstanceState: The instance '" + scene.Instance + "' is not in the running state"},
			incident.Partial, true, true,
		},
		{
			"denied", with(), "ec2:GetConsoleOutput#1=denied",
			incident.Report{Status: incident.Failed, Reason: "api error UnauthorizedOperation"},
			incident.Report{Status: incident.OK},
			incident.Partial, true, false,
		},
		{
			"not written", with(), "s3:PutObject#1=denied",
			incident.Report{Status: incident.Failed, Reason: "write: "},
			incident.Report{Status: incident.OK},
			incident.Partial, true, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var faults []sim.Fault
			if c.fault != "" {
				faults = append(faults, scene.Fault(t, c.fault))
			}
			s := scene.Open(t, c.file, faults...)
			_, err := run(t.Context(), s)
			if (err != nil) != c.fails {
				t.Errorf("error %v, want one: %v", err, c.fails)
			}
			var out incident.Console
			if found, err := record.LoadStep(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, "console", &out); err != nil || !found {
				t.Fatalf("nothing is recorded: %v", err)
			}
			for _, k := range []struct {
				got  incident.Kept
				want incident.Report
			}{{out.Output, c.output}, {out.Screenshot, c.screenshot}} {
				if k.got.Status != k.want.Status || !strings.Contains(k.got.Reason, k.want.Reason) || k.want.Reason == "" && k.got.Reason != "" {
					t.Errorf("%+v, want %+v", k.got, k.want)
				}
				if (k.got.Status == incident.OK) != (k.got.Object != "" && k.got.SHA256 != "" && k.got.Bytes > 0) {
					t.Errorf("%+v names an object that is not kept, or none that is", k.got)
				}
			}
			if out.Status != c.together {
				t.Errorf("together %+v, want %s", out.Report, c.together)
			}
		})
	}
}

// The first output is nearest to the deed: a later run keeps it, asks EC2 for
// nothing, and gives the same answer.
func TestTheFirstStays(t *testing.T) {
	s := scene.Open(t, with())
	first, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.Calls())
	s.Wait(time.Hour)
	again, err := run(t.Context(), s)
	if err != nil || again != first {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
	for _, c := range s.Calls()[before:] {
		if c.Service == "ec2" {
			t.Errorf("%s is called again", c.Action)
		}
	}
}

// A failure that passes leaves both.
func TestTriedAgain(t *testing.T) {
	s := scene.Open(t, with(), scene.Fault(t, "ec2:GetConsoleScreenshot#1=throttled"))
	if out, err := run(t.Context(), s); err == nil || out.Screenshot.Status != incident.Failed {
		t.Fatalf("%+v, %v; want a failure", out, err)
	}
	if out, err := run(t.Context(), s); err != nil || out.Status != incident.OK {
		t.Errorf("%+v, %v", out, err)
	}
}

// A dry run looks at nothing and keeps nothing.
func TestDryRun(t *testing.T) {
	s := scene.Open(t, with())
	s.Set("DRY_RUN", "true")
	before := len(s.Calls())
	if out, err := run(t.Context(), s); err != nil || out.Status != incident.Skipped || len(s.Calls()) != before {
		t.Errorf("%+v, %v, %d calls", out, err, len(s.Calls())-before)
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, with(), faults...) }, run)
}
