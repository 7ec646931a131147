package close_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/chain"
	closing "cordon/internal/close"
	"cordon/internal/incident"
	"cordon/internal/journal"
	"cordon/internal/manifest"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// execution closes the incidents here.
const execution = scene.Execution

// of is the execution that ends so.
func of(ending string) string {
	return execution + "-" + strings.ToLower(strings.Fields(ending)[0])
}

func run(ctx context.Context, s *scene.Scene, ending string) (closing.Output, error) {
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		return closing.Output{}, err
	}
	h, err := record.LoadHead(ctx, s.DynamoDB(), "cordon-incidents", s.Incident.ID)
	if err == nil && h.Execution != of(ending) {
		err = record.Reopen(ctx, s.DynamoDB(), "cordon-incidents", h, of(ending))
	}
	if err != nil {
		return closing.Output{}, err
	}
	return carry(ctx, s, step, closing.Input{
		Incident: s.Incident, Execution: of(ending), Ending: ending, Instance: incident.Instance{ID: s.Incident.InstanceID},
		Decision: closing.Decision{Choice: incident.Keep, Person: "Sato"},
		Snapshots: incident.Snapshots{
			Report: incident.Report{Status: incident.OK},
			Set:    []incident.Snapshot{{ID: "snap-1", VolumeID: "vol-1", State: "completed"}},
		},
	})
}

// carry runs the step as the machine does: again while it waits for the journal.
func carry(ctx context.Context, s *scene.Scene, step *closing.Step, in closing.Input) (closing.Output, error) {
	for {
		out, err := step.Run(ctx, in)
		if err != nil || !out.Waiting {
			return out, err
		}
		s.Wait(10 * time.Second)
	}
}

// TestTheJournalIsSigned: the closing waits until its own mark is in the journal,
// and signs the entry that is the last then. Where none comes it says so.
func TestTheJournalIsSigned(t *testing.T) {
	for _, c := range []struct {
		name     string
		journals bool
		spoil    string // put in the place of the first entry
		want     string
	}{
		{"it comes", true, "", `"journal":{"complete":true,"entries":2,"last":"`},
		{"it does not come", false, "", `"journal":{"complete":false,"entries":0,"last":"","reason":"the journal does not have yet what was recorded last"}`},
		{"it is none", false, "{}", `"reason":"the journal cannot be read: no entry can follow it: incidents/`},
	} {
		s := scene.Open(t, scene.File)
		var waiting []sim.StreamRecord
		s.DynamoDB().OnChange = func(r sim.StreamRecord) { waiting = append(waiting, r) }
		if err := record.AddFinding(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, incident.Finding{ID: "f-1"}); err != nil {
			t.Fatal(err)
		}
		first, err := chain.Key(s.Incident.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c.spoil != "" {
			if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: &first, Body: strings.NewReader(c.spoil)}); err != nil {
				t.Fatal(err)
			}
		}
		writes, err := journal.New(s.Host, s.S3())
		if err != nil {
			t.Fatal(err)
		}
		step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		in := closing.Input{Incident: s.Incident, Execution: execution, Ending: "Kept isolated"}
		began, turns := s.Host.Now(), 0
		for {
			out, err := step.Run(t.Context(), in)
			if err != nil {
				t.Fatal(c.name, err)
			}
			if !out.Waiting {
				break
			}
			if turns++; s.Head(t).State != record.Open || len(s.Mails()) > 0 {
				t.Fatalf("%s: it is closed before it is signed", c.name)
			}
			s.Wait(10 * time.Second)
			if !c.journals {
				continue
			}
			var batch journal.Input
			for _, r := range waiting {
				text, err := r.Event("arn:aws:dynamodb:eu-west-1:123456789012:table/" + r.Table + "/stream/x")
				if err != nil {
					t.Fatal(err)
				}
				var change journal.Change
				if err := json.Unmarshal(text, &change); err != nil {
					t.Fatal(err)
				}
				batch.Records = append(batch.Records, change)
			}
			if _, err := writes.Run(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		if took := s.Host.Now().Sub(began); turns == 0 || took > 3*time.Minute || c.journals && turns != 1 {
			t.Errorf("%s: closed after %d turns and %v", c.name, turns, took)
		}
		out, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String("incidents/" + s.Incident.ID + "/manifests/run-1.json")})
		if err != nil {
			t.Fatal(err)
		}
		file, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(file, []byte(c.want)) || s.Head(t).State != record.Kept {
			t.Errorf("%s: state %s; the manifest does not say %s:\n%s", c.name, s.Head(t).State, c.want, file)
		}
	}
}

func TestCloses(t *testing.T) {
	for ending, state := range map[string]record.State{"Terminated": record.Terminated, "Kept isolated": record.Kept, "Released": record.Released} {
		s := scene.Open(t, scene.File)
		out, err := run(t.Context(), s, ending)
		if err != nil || out.Status != incident.OK {
			t.Fatalf("%s: %+v, %v", ending, out, err)
		}
		if h := s.Head(t); h.State != state || h.ClosedAt.IsZero() {
			t.Errorf("%s: the record says %s, closed at %v", ending, h.State, h.ClosedAt)
		}
		mails := s.Mails()
		if len(mails) != 1 {
			t.Fatalf("%s: %d mails", ending, len(mails))
		}
		for _, want := range []string{s.Incident.InstanceID, "snap-1", "Sato", reports(t, s)[0] + " in the evidence bucket"} {
			if !strings.Contains(mails[0].Subject+mails[0].Body, want) {
				t.Errorf("%s: the last mail does not say %q:\n%s", ending, want, mails[0].Body)
			}
		}
	}
}

// What was left alone is closed as what was released: a repeat of the finding
// was decided on.
func TestLeftAlone(t *testing.T) {
	s := scene.Open(t, scene.File)
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := carry(t.Context(), s, step, closing.Input{Incident: s.Incident, Execution: execution, Ending: "Released", Decision: closing.Decision{Choice: incident.Leave, Person: "Sato"}}); err != nil {
		t.Fatal(err)
	}
	if mail := s.Mails()[0]; s.Head(t).State != record.Released || !strings.Contains(mail.Subject, "left alone") || strings.Contains(mail.Body, "was released") {
		t.Errorf("state %s, %s\n%s", s.Head(t).State, mail.Subject, mail.Body)
	}
}

// An ending that closes nothing is signed, too, and changes nothing of the record
// but that; people were told before. The page says how it stands.
func TestStands(t *testing.T) {
	isolated := func(t *testing.T, s *scene.Scene) {
		s.Save(t, "isolate", incident.Isolation{Report: incident.Report{Status: incident.OK}, Contained: true, Sealed: true, Since: s.Host.Now()})
	}
	for _, c := range []struct {
		name, ending string
		noted        func(t *testing.T, s *scene.Scene)
		isolation    incident.Isolation
		state        record.State
		page         []string
	}{
		{"undecided", "Isolated, undecided", isolated, incident.Isolation{}, record.Open, []string{
			"stays isolated: nobody decided in time", "cordon decide " + incident.NewID(incident.InstanceKey("123456789012", "eu-west-1", scene.Instance), 1) + " terminate|keep|release",
			"Reported, still open", "No decision is recorded.",
		}},
		{"never contained", "Not contained", func(t *testing.T, s *scene.Scene) {
			s.Save(t, "isolate", incident.Isolation{Report: incident.Report{Status: incident.Failed, Reason: "eni-1: UnauthorizedOperation"}, Interfaces: []incident.Interface{{ID: "eni-1", Where: incident.Open}}})
		}, incident.Isolation{}, record.Open, []string{"is NOT contained", "eni-1: UnauthorizedOperation", "The next finding on this instance tries again", ">NOT contained<"}},
		{"not sealed", "Not contained", isolated, incident.Isolation{Report: incident.Report{Status: incident.Failed, Reason: "ec2 is down"}}, record.Open, []string{
			"could not verify that every interface is in quarantine", "ec2 is down", "NOT contained as far as is known",
		}},
		{"asked before", "Not contained", func(*testing.T, *scene.Scene) {}, incident.Isolation{Report: incident.Report{Status: incident.Skipped, Reason: "not yet isolated"}}, record.Open, []string{
			"is NOT isolated: a person was asked first", "NOT isolated: nobody decided",
		}},
		{"paused, and read too late", "Not contained", func(*testing.T, *scene.Scene) {}, incident.Isolation{Report: incident.Report{Status: incident.Skipped, Reason: "not yet isolated"}}, record.Open, []string{
			"Cordon is paused", "until noon by /cordon/pause", "NOT isolated: Cordon was paused", "Reported, still open",
		}},
		{"released, never closed, and asked once more", "Not contained", func(t *testing.T, s *scene.Scene) {
			isolated(t, s)
			s.Save(t, "release", map[string]any{"status": incident.OK, "connected": true, "person": "Tanaka", "endedAt": s.Host.Now().Add(time.Hour)})
		}, incident.Isolation{}, record.Open, []string{"released as a false alarm, as decided by &#34;Tanaka&#34;", "connected again", "Reported, still open"}},
		{"left alone, never closed, and asked once more", "Not contained", func(t *testing.T, s *scene.Scene) {
			s.Note(t, incident.Leave)
		}, incident.Isolation{Report: incident.Report{Status: incident.Skipped, Reason: "nothing of it is in the record"}}, record.Open, []string{"was NOT isolated, as decided by", "Left alone", "Reported, still open"}},
		{"kept, and asked once more", "Kept isolated", func(t *testing.T, s *scene.Scene) {
			isolated(t, s)
			s.Note(t, incident.Keep)
			if err := record.Close(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, execution, record.Kept, s.Host.Now()); err != nil {
				t.Fatal(err)
			}
		}, incident.Isolation{}, record.Kept, []string{"stays isolated, as decided", "Closed: Kept isolated"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			c.noted(t, s)
			before := s.Head(t)
			step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
			if err != nil {
				t.Fatal(err)
			}
			began := s.Host.Now()
			in := closing.Input{Incident: s.Incident, Execution: execution, Ending: c.ending, Stands: true, Isolation: c.isolation, Instance: incident.Instance{ID: s.Incident.InstanceID}}
			if strings.HasPrefix(c.name, "paused") {
				in.Problem = incident.Problem{Error: "Paused", Cause: "until noon by /cordon/pause"}
			}
			if _, err := carry(t.Context(), s, step, in); err != nil {
				t.Fatal(err)
			}
			if took := s.Host.Now().Sub(began); c.ending == "Not contained" && took > 30*time.Second || took > 3*time.Minute {
				t.Errorf("it took %v without a journal", took)
			}
			if h := s.Head(t); h.State != c.state || h.State != before.State || len(s.Mails()) > 0 {
				t.Errorf("the record says %s, before %s; %d mails", h.State, before.State, len(s.Mails()))
			}
			signed, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/run-1.json")
			for _, want := range []string{`"ending":"` + c.ending + `"`, `"stands":true`, `"state":"` + string(c.state) + `"`} {
				if !bytes.Contains(signed, []byte(want)) {
					t.Errorf("the manifest does not say %s:\n%s", want, signed)
				}
			}
			page, _ := file(t, s, reports(t, s)[0])
			for _, want := range c.page {
				if !bytes.Contains(page, []byte(want)) {
					t.Errorf("the page does not say %q:\n%s", want, page)
				}
			}
			left, err := record.Closings(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID)
			if err != nil || len(left) != 1 || left[0].Ending != c.ending || left[0].Report != reports(t, s)[0] || left[0].Run != "run-1" {
				t.Errorf("the record names %+v, %v", left, err)
			}
		})
	}
}

// TestKillStands: signing how it stands converges as a closing does.
func TestKillStands(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, scene.File, faults...) },
		func(ctx context.Context, s *scene.Scene) (closing.Output, error) {
			step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
			if err != nil {
				return closing.Output{}, err
			}
			return carry(ctx, s, step, closing.Input{Incident: s.Incident, Execution: execution, Ending: "Isolated, undecided", Stands: true})
		})
}

// TestDecidedAfterwards: what nobody decided is decided later, by another execution.
// Both manifests hold, and each says what it covers.
func TestDecidedAfterwards(t *testing.T) {
	s := scene.Open(t, scene.File)
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := carry(t.Context(), s, step, closing.Input{Incident: s.Incident, Execution: execution, Ending: "Isolated, undecided", Stands: true}); err != nil {
		t.Fatal(err)
	}
	s.Wait(90 * 24 * time.Hour)
	s.Reopen(t, strings.TrimSuffix(execution, "run-1")+"a-later-run")
	if _, err := carry(t.Context(), s, step, closing.Input{Incident: s.Incident, Execution: strings.TrimSuffix(execution, "run-1") + "a-later-run", Ending: "Released", Decision: closing.Decision{Choice: incident.Release}}); err != nil {
		t.Fatal(err)
	}
	left, err := record.Closings(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID)
	if err != nil || len(left) != 2 || left[0].Ending != "Isolated, undecided" || left[1].Ending != "Released" || s.Head(t).State != record.Released {
		t.Fatalf("%+v, %v, state %s; want the undecided, then the released", left, err, s.Head(t).State)
	}
	public, err := s.KMS().GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: aws.String("signing")})
	if err != nil {
		t.Fatal(err)
	}
	key, err := manifest.PublicKey(public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range left {
		text, _ := file(t, s, c.Manifest)
		found := manifest.Check(text, key, func(of manifest.Object) (io.ReadCloser, error) {
			b, _ := file(t, s, of.Key)
			return io.NopCloser(bytes.NewReader(b)), nil
		})
		if len(found.Broken) > 0 || found.Ending != c.Ending || !found.At.Equal(c.At) {
			t.Errorf("%s: %+v", c.Run, found)
		}
	}
}

// TestTheRecordWins: what a step noted last is what is signed, and not what an
// execution carries from before; only that a step failed is known to that alone.
func TestTheRecordWins(t *testing.T) {
	ok, failed := incident.Report{Status: incident.OK}, incident.Report{Status: incident.Failed, Reason: "AccessDenied: now"}
	for _, c := range []struct {
		name   string
		choice incident.Choice
		in     func(*closing.Input)
		want   []string
		not    []string
	}{
		{"a release ended the branches", incident.Release, func(in *closing.Input) {
			in.Protection = incident.Protection{Report: failed}
			in.Snapshots = incident.Snapshots{Report: failed}
			in.Isolation = incident.Isolation{Report: failed}
		}, []string{"disableApiTermination", "snap-0noted", `"status":"ok"`}, []string{"AccessDenied: now"}},
		{"a step had no answer", incident.Keep, func(in *closing.Input) {
			in.Snapshots = incident.Snapshots{Report: failed}
			in.Credentials = incident.Credentials{Report: failed}
		}, []string{"snap-0noted", "disableApiTermination", `"reason":"AccessDenied: now","refusals":0`, `"reason":"AccessDenied: now","role":"arn:aws:iam::123456789012:role/web"`}, nil},
		{"another execution did it all", incident.Keep, func(in *closing.Input) {
			in.Snapshots = incident.Snapshots{Report: incident.Report{Status: incident.Skipped, Reason: "not yet taken"}}
			in.Memory = incident.Memory{Report: incident.Report{Status: incident.Skipped, Reason: "not yet started"}}
			in.Digest = incident.Digest{Report: incident.Report{Status: incident.Skipped, Reason: "not yet hashed"}}
		}, []string{"snap-0noted", "memory/image.lime", strings.Repeat("ab", 32)}, []string{"not yet"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			image := "incidents/" + s.Incident.ID + "/memory/image.lime"
			s.Save(t, "preserve", incident.Protection{Report: ok, Set: []string{"disableApiTermination"}, Scaling: incident.Ungrouped})
			s.Save(t, "snapshot", incident.Snapshots{Report: ok, Done: true, Complete: true, Set: []incident.Snapshot{{ID: "snap-0noted", State: "completed"}}})
			s.Save(t, "isolate", incident.Isolation{Report: ok, Contained: true, Sealed: true})
			s.Save(t, "credentials", incident.Credentials{Report: ok, State: incident.Narrowed, Role: "arn:aws:iam::123456789012:role/web"})
			s.Save(t, "memory", incident.CaptureRecord{Result: &incident.Memory{Report: ok, Done: true, Object: image, Bytes: 4}})
			s.Save(t, "digest", map[string]any{"result": incident.Digest{Report: ok, Done: true, Bytes: 4, SHA256: strings.Repeat("ab", 32)}})
			step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
			if err != nil {
				t.Fatal(err)
			}
			ending := map[incident.Choice]string{incident.Release: "Released", incident.Keep: "Kept isolated"}[c.choice]
			in := closing.Input{Incident: s.Incident, Execution: execution, Ending: ending, Decision: closing.Decision{Choice: c.choice}}
			c.in(&in)
			if _, err := carry(t.Context(), s, step, in); err != nil {
				t.Fatal(err)
			}
			text, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/run-1.json")
			for _, want := range c.want {
				if !bytes.Contains(text, []byte(want)) {
					t.Errorf("the manifest does not say %s:\n%s", want, text)
				}
			}
			for _, not := range c.not {
				if bytes.Contains(text, []byte(not)) {
					t.Errorf("the manifest says %s:\n%s", not, text)
				}
			}
		})
	}
}

// TestNothingWasCopied: that copies were to be made and none was begun is no reason to
// say nothing of them.
func TestNothingWasCopied(t *testing.T) {
	for _, off := range []bool{true, false} {
		s := scene.Open(t, scene.File)
		step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		in := closing.Input{
			Incident: s.Incident, Execution: execution, Ending: "Kept isolated",
			Custody: incident.Custody{Report: incident.Report{Status: incident.Skipped, Reason: "not yet copied"}, Off: off, Done: off},
		}
		if _, err := carry(t.Context(), s, step, in); err != nil {
			t.Fatal(err)
		}
		page, _ := file(t, s, reports(t, s)[0])
		for what, text := range map[string]string{"page": string(page), "mail": s.Mails()[0].Body} {
			if told := strings.Contains(text, "nothing was copied"); told == off {
				t.Errorf("off %v: the %s tells of copies: %v", off, what, told)
			}
		}
	}
}

// TestReleasedBefore: a release that could not be closed is history once a person
// decided otherwise and the instance was isolated again.
func TestReleasedBefore(t *testing.T) {
	s := scene.Open(t, scene.File)
	ok := incident.Report{Status: incident.OK}
	s.Save(t, "release", map[string]any{"status": incident.OK, "connected": true, "restored": []string{"groups of eni-1"}, "notBack": []string{}, "person": "Tanaka", "endedAt": s.Host.Now()})
	s.Wait(time.Hour)
	s.Save(t, "isolate", incident.Isolation{Report: ok, Contained: true, Sealed: true, Since: s.Host.Now(), At: s.Host.Now()})
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	in := closing.Input{
		Incident: s.Incident, Execution: execution, Ending: "Kept isolated", Decision: closing.Decision{Choice: incident.Keep},
		Restoration: incident.Restoration{Report: incident.Report{Status: incident.Skipped, Reason: "not released"}},
	}
	if _, err := carry(t.Context(), s, step, in); err != nil {
		t.Fatal(err)
	}
	page, _ := file(t, s, reports(t, s)[0])
	signed, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/run-1.json")
	mail := s.Mails()[0].Body
	for what, text := range map[string]string{"the page": string(page), "the manifest": string(signed), "the mail": mail} {
		for _, not := range []string{"connected again", `"connected":true`, "groups of eni-1"} {
			if strings.Contains(text, not) {
				t.Errorf("it is isolated, and %s says %q:\n%s", what, not, text)
			}
		}
	}
}

// An incident that nobody decided is not closed, and one that is closed stays
// closed as it is.
func TestDoesNotClose(t *testing.T) {
	s := scene.Open(t, scene.File)
	if _, err := run(t.Context(), s, "Isolated, undecided"); err == nil {
		t.Error("an undecided incident is closed")
	}
	if s.Head(t).State != record.Open || len(s.Mails()) > 0 {
		t.Errorf("state is %s, %d mails", s.Head(t).State, len(s.Mails()))
	}
	if _, err := run(t.Context(), s, "Kept isolated"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), s, "Released"); err != nil || s.Head(t).State != record.Released {
		t.Errorf("kept, and released by a later decision: %v, state %s", err, s.Head(t).State)
	}
	if _, err := run(t.Context(), s, "Kept isolated"); err == nil || s.Head(t).State != record.Released {
		t.Errorf("an incident that was released is now %s, %v: nobody has isolated it again", s.Head(t).State, err)
	}
}

func TestKill(t *testing.T) {
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene { return scene.Open(t, scene.File, faults...) },
		func(ctx context.Context, s *scene.Scene) (closing.Output, error) { return run(ctx, s, "Terminated") })
}

// What close writes is what verify takes: with the public key alone.
func TestTheManifestHolds(t *testing.T) {
	s := scene.Open(t, scene.File)
	bucket, image := aws.String("cordon-evidence"), []byte("EMiL")
	sum := sha256.Sum256(image)
	in := closing.Input{
		Incident: s.Incident, Execution: execution, Ending: "Kept isolated", Event: "events/2026/03/01/e-1.json",
		Memory: incident.Memory{Object: "incidents/" + s.Incident.ID + "/memory/image.lime"},
		Digest: incident.Digest{Done: true, Bytes: 4, SHA256: hex.EncodeToString(sum[:])},
	}
	output := "incidents/" + s.Incident.ID + "/console/output.txt"
	s.Save(t, "console", incident.Console{Output: incident.Kept{Report: incident.Report{Status: incident.OK}, Object: output}})
	for key, body := range map[string]string{output: "login:", in.Event: `{"id":"e-1"}`, in.Memory.Object: string(image), "incidents/" + s.Incident.ID + "/memory/parts.json": "{}"} {
		if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	finding := incident.Finding{ID: "f-1", Title: "<script>\u2028"}
	if err := record.AddFinding(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, finding); err != nil {
		t.Fatal(err)
	}
	s.Remember(t, "eni-1", "groups", `["sg-1"]`)
	in.Incident.Inherits = "the one before"
	before := []record.Prior{{Resource: "eni-2", Attribute: "groups", Value: []byte(`["sg-2"]`)}}
	if _, err := record.Remember(t.Context(), s.DynamoDB(), "cordon-incidents", s.Host, incident.Incident{ID: in.Incident.Inherits}, before); err != nil {
		t.Fatal(err)
	}
	// A value that was inherited and changed once more stands once, as it was first.
	if _, err := record.Remember(t.Context(), s.DynamoDB(), "cordon-incidents", s.Host, in.Incident, []record.Prior{{Resource: "eni-2", Attribute: "groups", Value: []byte(`["sg-quarantine"]`)}}); err != nil {
		t.Fatal(err)
	}
	s.Ask(t, 1)
	s.Decide(t, incident.Keep, nil, nil)
	in.Isolation.Interfaces = []incident.Interface{{ID: "eni-1", Groups: []string{"sg-quarantine"}}}
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := carry(t.Context(), s, step, in); err != nil {
		t.Fatal(err)
	}

	out, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("incidents/" + s.Incident.ID + "/manifests/run-1.json")})
	if err != nil {
		t.Fatal(err)
	}
	file, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out.ObjectLockMode != types.ObjectLockModeGovernance || !aws.ToTime(out.ObjectLockRetainUntilDate).After(s.Host.Now().Add(29*24*time.Hour)) {
		t.Errorf("the manifest is locked %q until %v, want governance for 30 days", out.ObjectLockMode, out.ObjectLockRetainUntilDate)
	}
	public, err := s.KMS().GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: aws.String("signing")})
	if err != nil {
		t.Fatal(err)
	}
	key, err := manifest.PublicKey(public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	found := manifest.Check(file, key, func(of manifest.Object) (io.ReadCloser, error) {
		o, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &of.Key})
		if err != nil {
			return nil, err
		}
		return o.Body, nil
	})
	if len(found.Broken) > 0 || len(found.Objects) != 5 || found.Incident != s.Incident.ID {
		t.Errorf("%+v, want five objects that hold", found)
	}
	for _, want := range []string{`"ending":"Kept isolated"`, `"id":"f-1"`, `"eni-1"`, `sg-1`, `"eni-2"`, `sg-2`, `"closedAt":`, `"state":"kept"`, `"person":"Sato"`, `"reason":"seen in the logs"`, `"mac":"`, `"round":1`} {
		if !bytes.Contains(file, []byte(want)) {
			t.Errorf("the manifest does not say %s:\n%s", want, file)
		}
	}
	if strings.Count(string(file), `"resource":"eni-2"`) != 1 || bytes.Contains(file, []byte("secret")) {
		t.Errorf("a value stands twice, or a secret of a request is in the manifest:\n%s", file)
	}
	for _, want := range []string{`{"before":["sg-1"],"interface":"eni-1","isolated":["sg-quarantine"]}`, `{"before":["sg-2"],"interface":"eni-2","isolated":null}`} {
		if !bytes.Contains(file, []byte(want)) {
			t.Errorf("the manifest does not say which groups there were, %s:\n%s", want, file)
		}
	}
}

// TestWhatStandsIsLookedAt: what somebody put under the manifest's key does not
// close an incident; what an earlier run of ours signed does.
func TestWhatStandsIsLookedAt(t *testing.T) {
	signed := func(t *testing.T, s *scene.Scene, incidentID, ending string) []byte {
		t.Helper()
		text, err := manifest.Canonical(map[string]any{"format": manifest.Format, "incident": map[string]string{"id": incidentID}, "execution": of("Terminated"), "ending": ending})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.KMS().Sign(t.Context(), &kms.SignInput{KeyId: aws.String("signing"), Message: manifest.Digest(text), MessageType: "DIGEST", SigningAlgorithm: "ECDSA_SHA_256"})
		if err != nil {
			t.Fatal(err)
		}
		file, err := manifest.Canonical(manifest.Signed{Manifest: text, Signature: out.Signature})
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, c := range map[string]struct {
		stands func(t *testing.T, s *scene.Scene) []byte
		closes bool
	}{
		"our own":            {func(t *testing.T, s *scene.Scene) []byte { return signed(t, s, s.Incident.ID, "Terminated") }, true},
		"another's word":     {func(*testing.T, *scene.Scene) []byte { return []byte(`{"manifest":{},"signature":""}`) }, false},
		"another incident's": {func(t *testing.T, s *scene.Scene) []byte { return signed(t, s, "1.r.i-2.1", "Terminated") }, false},
		"another ending's":   {func(t *testing.T, s *scene.Scene) []byte { return signed(t, s, s.Incident.ID, "Released") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			body := c.stands(t, s)
			if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String("incidents/" + s.Incident.ID + "/manifests/run-1-terminated.json"), Body: bytes.NewReader(body)}); err != nil {
				t.Fatal(err)
			}
			if _, err := run(t.Context(), s, "Terminated"); (err == nil) != c.closes || (s.Head(t).State == record.Terminated) != c.closes {
				t.Errorf("%v, state %s; want it closed: %v", err, s.Head(t).State, c.closes)
			}
		})
	}
}

// TestNothingClosesWithoutAManifest: where it cannot be signed, written or named
// the incident stays open and nobody is told that it closed.
func TestNothingClosesWithoutAManifest(t *testing.T) {
	for _, c := range []struct{ fault, execution string }{
		{"kms:Sign#1=denied", execution},
		{"s3:PutObject#1=denied", execution},
		{"", "run-1"},
	} {
		var faults []sim.Fault
		if c.fault != "" {
			f, err := sim.ParseFault(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			faults = append(faults, f)
		}
		s := scene.Open(t, scene.File, faults...)
		step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		if out, err := carry(t.Context(), s, step, closing.Input{Incident: s.Incident, Execution: c.execution, Ending: "Kept isolated"}); err == nil {
			t.Errorf("%+v: %+v without an error", c, out)
		}
		if s.Head(t).State != record.Open || len(s.Mails()) > 0 {
			t.Errorf("%+v: state is %s, %d mails; want it open", c, s.Head(t).State, len(s.Mails()))
		}
	}
}

// TestEachClosingHasItsManifest: an incident that was kept and is released later
// has both, and what outlived its evidence, or has an image without a hash, says so.
func TestEachClosingHasItsManifest(t *testing.T) {
	s := scene.Open(t, scene.File)
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	image, parts := "incidents/"+s.Incident.ID+"/memory/image.lime", "incidents/"+s.Incident.ID+"/memory/parts.json"
	// What only begins as a key does is not there under it.
	if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String("events/gone.json.bak"), Body: strings.NewReader("{}")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"Kept isolated", "run-1"}, {"Released", "run-2"}} {
		ending, run := c[0], c[1]
		in := closing.Input{Incident: s.Incident, Execution: strings.TrimSuffix(execution, "run-1") + run, Ending: ending, Event: "events/gone.json", Memory: incident.Memory{Object: image}}
		s.Reopen(t, in.Execution)
		if _, err := carry(t.Context(), s, step, in); err != nil {
			t.Fatal(err)
		}
		out, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String("incidents/" + s.Incident.ID + "/manifests/" + run + ".json")})
		if err != nil {
			t.Fatal(err)
		}
		file, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"ending":"` + ending + `"`, `"missing":["events/gone.json","` + parts + `","` + image + `"]`} {
			if !bytes.Contains(file, []byte(want)) {
				t.Errorf("the manifest of %s does not say %s:\n%s", run, want, file)
			}
		}
	}
}

// file reads an object of the evidence bucket.
func file(t *testing.T, s *scene.Scene, key string) ([]byte, *s3.GetObjectOutput) {
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

// reports are the keys of the pages of an incident.
func reports(t *testing.T, s *scene.Scene) []string {
	t.Helper()
	out, err := s.S3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("cordon-evidence"), Prefix: aws.String("incidents/" + s.Incident.ID + "/reports/")})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range out.Contents {
		all = append(all, *o.Key)
	}
	return all
}

// The page is locked as the manifest is, which names it with its hash; a run whose
// answer was lost and that is repeated an hour later leaves one page.
func TestTheReport(t *testing.T) {
	s := scene.Open(t, scene.File, scene.Fault(t, "s3:PutObject#2=lost"))
	if _, err := run(t.Context(), s, "Terminated"); err == nil {
		t.Fatal("the answer to the manifest was to be lost")
	}
	s.Wait(time.Hour)
	if _, err := run(t.Context(), s, "Terminated"); err != nil {
		t.Fatal(err)
	}
	key := "incidents/" + s.Incident.ID + "/reports/run-1-terminated.html"
	if all := reports(t, s); len(all) != 1 || all[0] != key {
		t.Fatalf("the pages are %q, want %s alone", all, key)
	}
	page, out := file(t, s, key)
	if out.ObjectLockMode != types.ObjectLockModeGovernance || !aws.ToTime(out.ObjectLockRetainUntilDate).After(s.Host.Now().Add(28*24*time.Hour)) || aws.ToString(out.ContentType) != "text/html; charset=utf-8" {
		t.Errorf("%s, locked %q until %v", aws.ToString(out.ContentType), out.ObjectLockMode, out.ObjectLockRetainUntilDate)
	}
	sum := sha256.Sum256(page)
	signed, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/run-1-terminated.json")
	for _, want := range []string{key, hex.EncodeToString(sum[:])} {
		if !bytes.Contains(signed, []byte(want)) {
			t.Errorf("the manifest does not say %s:\n%s", want, signed)
		}
	}
	for _, want := range []string{"snap-1", "Sato", s.Incident.InstanceID, "Closed: Terminated"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// What stands where the page belongs and is another is neither written over nor
// signed for: not what somebody put there, and not our own from before a finding
// joined.
func TestAnotherReportIsThere(t *testing.T) {
	s := scene.Open(t, scene.File)
	key := "incidents/" + s.Incident.ID + "/reports/run-1-terminated.html"
	if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: &key, Body: strings.NewReader("<p>All is well.</p>")}); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), s, "Terminated"); err != nil {
		t.Fatal(err)
	}
	all := reports(t, s)
	if len(all) != 2 {
		t.Fatalf("the pages are %q, want ours beside the other", all)
	}
	signed, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/run-1-terminated.json")
	for _, k := range all {
		if got := bytes.Contains(signed, []byte(`"`+k+`"`)); got != (k != key) {
			t.Errorf("%s is signed for: %v", k, got)
		}
	}
	if b, _ := file(t, s, key); string(b) != "<p>All is well.</p>" {
		t.Error("the other was written over")
	}
}

// The page has what the steps noted and the machine does not carry.
func TestTheReportHasWhatWasNoted(t *testing.T) {
	s := scene.Open(t, scene.File)
	at := func(m int) time.Time { return s.Host.Now().Add(time.Duration(m) * time.Minute) }
	s.Save(t, "memory", map[string]any{"sentAt": at(1)})
	s.Save(t, "terminate", map[string]any{"calledAt": at(2)})
	s.Save(t, "exposure", incident.Exposure{Openings: []incident.Opening{{What: "nat", State: incident.Found, Detail: "eni-0nat in vpc-1"}}})
	s.Save(t, "drift", map[string]any{"known": []incident.Drift{{Number: 1, Undone: []string{"eni-1"}, Since: at(3), At: at(4), By: []incident.Doer{{Who: "arn:aws:iam::123456789012:role/terraform", Action: "ModifyNetworkInterfaceAttribute", At: at(3)}}}}})
	s.Remember(t, "eni-1", "groups", `["sg-1"]`)
	s.Remember(t, scene.Instance, "disableApiStop", "false")
	if _, err := run(t.Context(), s, "Terminated"); err != nil {
		t.Fatal(err)
	}
	page, _ := file(t, s, reports(t, s)[0])
	for _, want := range []string{"Memory capture began", "Termination began", "eni-0nat in vpc-1", "role/terraform", "Isolation began", "Protection began", "Undone by others, put right"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
}

// TestWhatWasWrittenOverIsNotSigned: what was kept of the console is hashed where
// it is kept; another object under its key is not signed as that.
func TestWhatWasWrittenOverIsNotSigned(t *testing.T) {
	s := scene.Open(t, scene.File)
	output := "incidents/" + s.Incident.ID + "/console/output.txt"
	sum := sha256.Sum256([]byte("login:"))
	s.Save(t, "console", incident.Console{Output: incident.Kept{Report: incident.Report{Status: incident.OK}, Object: output, Bytes: 6, SHA256: hex.EncodeToString(sum[:])}})
	if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: &output, Body: strings.NewReader("forged")}); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), s, "Kept isolated"); err != nil {
		t.Fatal(err)
	}
	_, name, _ := strings.Cut(of("Kept isolated"), "execution:cordon:")
	text, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/"+name+".json")
	var signed struct {
		Manifest struct {
			Objects []struct{ Key string }
			Missing []string
		}
	}
	if err := json.Unmarshal(text, &signed); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(signed.Manifest.Missing, output) {
		t.Errorf("missing %q; the console's output was written over", signed.Manifest.Missing)
	}
	for _, o := range signed.Manifest.Objects {
		if o.Key == output {
			t.Error("what somebody wrote over the console's output is signed as that")
		}
	}
}

// TestWhatIsThereIsNotSignedAsMissing: one answer that an object does not exist, or
// may not be read, is no proof; the listing is asked.
func TestWhatIsThereIsNotSignedAsMissing(t *testing.T) {
	for _, kind := range []string{"notfound", "denied", "lost"} {
		for n := 1; ; n++ {
			f := scene.Fault(t, fmt.Sprintf("s3:GetObject#%d=%s", n, kind))
			s := scene.Open(t, scene.File, f)
			output := "incidents/" + s.Incident.ID + "/console/output.txt"
			sum := sha256.Sum256([]byte("login:"))
			s.Save(t, "console", incident.Console{Output: incident.Kept{Report: incident.Report{Status: incident.OK}, Object: output, Bytes: 6, SHA256: hex.EncodeToString(sum[:])}})
			if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: &output, Body: strings.NewReader("login:")}); err != nil {
				t.Fatal(err)
			}
			_, err := run(t.Context(), s, "Kept isolated")
			if len(s.Unmet()) > 0 { // no such call any more
				if n == 1 || err != nil {
					t.Fatalf("%s was never met: %v", f, err)
				}
				break
			}
			if err != nil {
				if _, err = run(t.Context(), s, "Kept isolated"); err != nil {
					t.Fatal(err)
				}
			}
			_, name, _ := strings.Cut(of("Kept isolated"), "execution:cordon:")
			text, _ := file(t, s, "incidents/"+s.Incident.ID+"/manifests/"+name+".json")
			if !bytes.Contains(text, []byte(`"missing":[]`)) || !bytes.Contains(text, []byte(`"key":"`+output+`"`)) {
				t.Errorf("with %s the manifest lacks what is there:\n%s", f, text)
			}
		}
	}
}

// TestAReleaseTellsTheSnapshots: the machine knows those of the first ten seconds
// only, because the release ends the branch that goes on with them.
func TestAReleaseTellsTheSnapshots(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Save(t, "snapshot", incident.Snapshots{Report: incident.Report{Status: incident.OK}, Done: true, Set: []incident.Snapshot{{ID: "snap-0later", VolumeID: "vol-1", State: "completed"}}})
	if _, err := run(t.Context(), s, "Released"); err != nil {
		t.Fatal(err)
	}
	if page, _ := file(t, s, reports(t, s)[0]); !bytes.Contains(page, []byte("snap-0later")) {
		t.Errorf("the page does not name the snapshot that the record has:\n%s", page)
	}
}

// How an incident ends is signed by the execution that has it: another one may be asking
// people about it once more, or have isolated the instance anew.
func TestSuperseded(t *testing.T) {
	for _, in := range []closing.Input{{Ending: "Released"}, {Ending: "Kept isolated"}, {Ending: "Isolated, undecided", Stands: true}} {
		s := scene.Open(t, scene.File)
		step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			t.Fatal(err)
		}
		s.Reopen(t, "arn:another")
		was := s.Head(t)
		in.Incident, in.Execution = s.Incident, execution
		if out, err := carry(t.Context(), s, step, in); !errors.Is(err, incident.ErrSuperseded) {
			t.Errorf("%s: %+v, %v; want ErrSuperseded", in.Ending, out, err)
		}
		if d := cmp.Diff(was, s.Head(t)); d != "" || len(reports(t, s)) > 0 || len(s.Mails()) > 0 {
			t.Errorf("%s: %d reports, %d mails (-before +after):\n%s", in.Ending, len(reports(t, s)), len(s.Mails()), d)
		}
	}
}

// beside is the incidents table, where another execution takes the incident over right
// before it is closed.
type beside struct {
	*sim.DynamoDB
	take func()
}

func (b *beside) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if sk, ok := in.Key["sk"].(*dynamodbtypes.AttributeValueMemberS); ok && strings.HasPrefix(sk.Value, "incident#") && b.take != nil {
		b.take()
		b.take = nil
	}
	return b.DynamoDB.UpdateItem(ctx, in, opts...)
}

// Taken over between the look and the closing, it is not closed either.
func TestTakenOverWhileItCloses(t *testing.T) {
	s := scene.Open(t, scene.File)
	taken := &beside{DynamoDB: s.DynamoDB(), take: func() { s.Reopen(t, "arn:another") }}
	step, err := closing.New(s.Host, s.SNS(), s.S3(), s.KMS(), taken, s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	out, err := carry(t.Context(), s, step, closing.Input{Incident: s.Incident, Execution: execution, Ending: "Released"})
	if h := s.Head(t); !errors.Is(err, incident.ErrSuperseded) || h.State != record.Open || !h.Again || len(s.Mails()) > 0 {
		t.Errorf("%+v, %v; the head is %+v; want ErrSuperseded, and the incident left to the other", out, err, h)
	}
}
