package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cordon/internal/chain"
	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/journal"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

const bucket = "cordon-evidence"

// stream keeps what the tables' streams would hold from now on.
type stream struct {
	t   *testing.T
	all []sim.StreamRecord
}

func follow(t *testing.T, s *scene.Scene) *stream {
	t.Helper()
	f := &stream{t: t}
	s.DynamoDB().OnChange = func(r sim.StreamRecord) { f.all = append(f.all, r) }
	return f
}

// batch is what Lambda hands over of some records.
func batch(t *testing.T, records []sim.StreamRecord) journal.Input {
	t.Helper()
	var in journal.Input
	for _, r := range records {
		text, err := r.Event("arn:aws:dynamodb:eu-west-1:123456789012:table/" + r.Table + "/stream/2026-01-01T00:00:00.000")
		if err != nil {
			t.Fatal(err)
		}
		var c journal.Change
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		in.Records = append(in.Records, c)
	}
	return in
}

func run(ctx context.Context, s *scene.Scene, in journal.Input) (journal.Output, error) {
	step, err := journal.New(s.Host, s.S3())
	if err != nil {
		return journal.Output{}, err
	}
	return step.Run(ctx, in)
}

// entries are an incident's, as they are stored; the chain must hold.
func entries(t *testing.T, s *scene.Scene, id string) (all []chain.Entry) {
	t.Helper()
	sum := ""
	for n := 1; ; n++ {
		key, err := chain.Key(id, n)
		if err != nil {
			t.Fatal(err)
		}
		if there, err := evidence.Exists(t.Context(), s.S3(), bucket, key); err != nil || !there {
			return all
		}
		out, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if out.ObjectLockMode != types.ObjectLockModeGovernance || !aws.ToTime(out.ObjectLockRetainUntilDate).After(s.Host.Now().Add(29*24*time.Hour)) {
			t.Errorf("entry %d is locked %q until %v, want governance for 30 days", n, out.ObjectLockMode, out.ObjectLockRetainUntilDate)
		}
		text, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		e, err := chain.Read(text)
		if err != nil {
			t.Fatalf("entry %d: %v\n%s", n, err, text)
		}
		if e.Sequence != n || e.Incident != id || e.Previous != sum {
			t.Fatalf("entry %d says that it is %d of %s, after %q; want after %q", n, e.Sequence, e.Incident, e.Previous, sum)
		}
		sum = chain.Sum(text)
		all = append(all, e)
	}
}

// told are the changes in short, in their order.
func told(all []chain.Entry) (lines []string) {
	for _, e := range all {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.Change, e.Table, strings.TrimPrefix(e.PK, "123456789012.eu-west-1."), e.SK))
	}
	return lines
}

// act records what an incident records: it belongs to both tables and four partitions.
func act(t *testing.T, s *scene.Scene) {
	t.Helper()
	if err := record.AddFinding(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, incident.Finding{ID: "f-1", Title: "<\u2028>"}); err != nil {
		t.Fatal(err)
	}
	s.Remember(t, "eni-1", "groups", `["sg-1"]`)
	r := record.Request{Incident: s.Incident.ID, Round: 1, SecretHash: "5e4e7ha5", Secret: []byte("the link"), OpenedAt: s.Host.Now()}
	if _, err := record.OpenRequest(t.Context(), s.DynamoDB(), "cordon-incidents", r); err != nil {
		t.Fatal(err)
	}
	if err := record.ReplaceToken(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, 1, []byte("the token")); err != nil {
		t.Fatal(err)
	}
	s.Decide(t, incident.Keep, nil, nil)
	if err := record.NoteDecision(t.Context(), s.DynamoDB(), "cordon-incidents", incident.Decision{Incident: s.Incident.ID, Round: 1, Choice: incident.Keep, DecidedAt: s.Host.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := record.Turn(t.Context(), s.DynamoDB(), "cordon-incidents", "ModifyNetworkInterfaceAttribute", s.Host.Now(), time.Second, time.Second); err != nil {
		t.Fatal(err)
	}
}

var acted = []string{
	"INSERT incidents i-0aaaaaaaaaaaaaaaa.1 finding#f-1",
	"INSERT incidents i-0aaaaaaaaaaaaaaaa.1 prior#eni-1#groups",
	"INSERT incidents request#123456789012.eu-west-1.i-0aaaaaaaaaaaaaaaa.1 request#001",
	"MODIFY incidents request#123456789012.eu-west-1.i-0aaaaaaaaaaaaaaaa.1 request#001",
	"INSERT decisions i-0aaaaaaaaaaaaaaaa.1 request#001",
	"MODIFY incidents i-0aaaaaaaaaaaaaaaa incident#000001",
}

func TestEveryChangeHasAnEntry(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	act(t, s)
	out, err := run(t.Context(), s, batch(t, f.all))
	if err != nil || out.Entries != len(acted) || out.Others != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	all := entries(t, s, s.Incident.ID)
	if d := cmp.Diff(acted, told(all)); d != "" {
		t.Errorf("journal (-want +is):\n%s", d)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"decision":"keep"`, `"person":"Sato"`, `["sg-1"]`, `\u003c\u2028\u003e`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the journal does not say %s:\n%s", want, text)
		}
	}
	// No link, no token, no hash of a secret: in no form.
	for _, secret := range []string{"5e4e7ha5", "the link", "dGhlIGxpbms", "the token", "dGhlIHRva2Vu"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q is in the journal", secret)
		}
	}
	if want := []string{"body.secret", "body.secretHash"}; !cmp.Equal(all[2].Without, want) {
		t.Errorf("a request says that it lacks %q, want %q", all[2].Without, want)
	}
	if want := []string{"body.secret", "body.secretHash", "token"}; !cmp.Equal(all[3].Without, want) || all[3].Old["token"] != nil {
		t.Errorf("a request with a token says that it lacks %q, want %q", all[3].Without, want)
	}
	// What changed says what it was.
	if head := all[5]; head.New["decision"] != "keep" || head.Old["body"] != nil || head.Old["decision"] != nil {
		t.Errorf("the head has new %v and old %v", head.New, head.Old)
	}
}

// What comes again, as a whole or in part, alone or after others wrote, stands
// once.
func TestWhatComesAgainStandsOnce(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	act(t, s)
	for _, some := range [][]sim.StreamRecord{f.all[:3], f.all[:3], f.all[1:5], f.all, f.all[4:], f.all[2:3]} {
		if _, err := run(t.Context(), s, batch(t, some)); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(acted, told(entries(t, s, s.Incident.ID))); d != "" {
		t.Errorf("journal (-want +is):\n%s", d)
	}
}

// A number of a stream that does not grow is no reason to lose a change.
func TestNumbersThatDoNotGrow(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	act(t, s)
	in := batch(t, f.all)
	for n := range in.Records {
		in.Records[n].DynamoDB.SequenceNumber = fmt.Sprint(100 - n)
	}
	for _, r := range in.Records {
		if _, err := run(t.Context(), s, journal.Input{Records: []journal.Change{r}}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(acted, told(entries(t, s, s.Incident.ID))); d != "" {
		t.Errorf("journal (-want +is):\n%s", d)
	}
}

// between lets another write before a call of ours.
type between struct {
	*sim.S3
	before func(put *s3.PutObjectInput) error
}

func (b *between) PutObject(ctx context.Context, in *s3.PutObjectInput, more ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if err := b.before(in); err != nil {
		return nil, err
	}
	return b.S3.PutObject(ctx, in, more...)
}

// Two shards write one journal at the same time: both find room.
func TestTwoWriters(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	act(t, s)
	nested, puts := false, 0
	b := &between{S3: s.S3()}
	b.before = func(*s3.PutObjectInput) error {
		if puts++; puts == 1 {
			// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
			return &smithy.GenericAPIError{Code: "ConditionalRequestConflict", Message: "A conflicting operation occurred during the upload"}
		}
		if !nested { // the decision comes while the finding is written
			nested = true
			_, err := run(t.Context(), s, batch(t, f.all[4:5]))
			return err
		}
		return nil
	}
	step, err := journal.New(s.Host, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.Run(t.Context(), batch(t, append(f.all[:4:4], f.all[5]))); err != nil {
		t.Fatal(err)
	}
	want := append([]string{acted[4]}, append(acted[:4:4], acted[5])...)
	if d := cmp.Diff(want, told(entries(t, s, s.Incident.ID))); d != "" {
		t.Errorf("journal (-want +is):\n%s", d)
	}
	// The same invocation twice, each put of one behind the same of the other.
	s = scene.Open(t, scene.File)
	f = follow(t, s)
	act(t, s)
	b = &between{S3: s.S3(), before: func(in *s3.PutObjectInput) error {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			return err
		}
		in.Body = bytes.NewReader(body)
		again := *in
		again.Body = bytes.NewReader(body)
		_, err = s.S3().PutObject(t.Context(), &again)
		return err
	}}
	if step, err = journal.New(s.Host, b); err != nil {
		t.Fatal(err)
	}
	if _, err := step.Run(t.Context(), batch(t, f.all)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(acted, told(entries(t, s, s.Incident.ID))); d != "" {
		t.Errorf("journal (-want +is):\n%s", d)
	}
}

// What is under an entry's key and is none stops the journal, which alarms; it
// is not passed over, and nothing is chained to it.
func TestWhatIsNoEntryStopsIt(t *testing.T) {
	for name, body := range map[string]string{"no entry": "{}", "another incident's": `{"format":"cordon journal 1","incident":"x","sequence":1}`} {
		s := scene.Open(t, scene.File)
		f := follow(t, s)
		act(t, s)
		key, err := chain.Key(s.Incident.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t.Context(), s, batch(t, f.all)); err == nil || !strings.Contains(err.Error(), "000001.json") {
			t.Errorf("%s: %v, want an error that names it", name, err)
		}
	}
}

func TestAChangeOfAnotherTableIsRefused(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	act(t, s)
	in := batch(t, f.all[:1])
	in.Records[0].EventSourceARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/another/stream/x"
	if _, err := run(t.Context(), s, in); err == nil || len(entries(t, s, s.Incident.ID)) > 0 {
		t.Errorf("%v, want it refused", err)
	}
}

// One incident's trouble does not keep another's changes out.
func TestIncidentsAreApart(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	act(t, s)
	other := strings.TrimSuffix(s.Incident.ID, ".1") + ".2"
	if err := record.AddFinding(t.Context(), s.DynamoDB(), "cordon-incidents", other, incident.Finding{ID: "f-2"}); err != nil {
		t.Fatal(err)
	}
	b := &between{S3: s.S3(), before: func(in *s3.PutObjectInput) error {
		if strings.Contains(*in.Key, s.Incident.ID) {
			return errors.New("no")
		}
		return nil
	}}
	step, err := journal.New(s.Host, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.Run(t.Context(), batch(t, f.all)); err == nil {
		t.Error("a failure is not told")
	}
	if got := entries(t, s, other); len(got) != 1 {
		t.Errorf("%q, want the other incident's change", told(got))
	}
}

func TestKill(t *testing.T) {
	var in journal.Input
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
		s := scene.Open(t, scene.File, faults...)
		f := follow(t, s)
		act(t, s)
		in = batch(t, f.all)
		return s
	}, func(ctx context.Context, s *scene.Scene) (journal.Output, error) {
		out, err := run(ctx, s, in)
		if err == nil {
			if d := cmp.Diff(acted, told(entries(t, s, s.Incident.ID))); d != "" {
				t.Errorf("journal (-want +is):\n%s", d)
			}
		}
		return out, err
	})
}
