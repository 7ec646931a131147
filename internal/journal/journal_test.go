package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
	if err := record.NoteDecision(t.Context(), s.DynamoDB(), "cordon-incidents", scene.Execution, incident.Decision{Incident: s.Incident.ID, Round: 1, Choice: incident.Keep, DecidedAt: s.Host.Now()}); err != nil {
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
	if head := all[5]; string(head.New["decision"]) != `"keep"` || head.Old["body"] != nil || head.Old["decision"] != nil {
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

// below are the names of what lies below a prefix of an incident's journal.
func below(t *testing.T, s *scene.Scene, prefix string) (names []string) {
	t.Helper()
	for _, o := range s.S3().Objects(bucket) {
		if name, ok := strings.CutPrefix(o.Key, chain.Prefix(s.Incident.ID)+prefix); ok {
			names = append(names, name)
			if o.Retention == nil || !o.Retention.RetainUntilDate.After(s.Host.Now().Add(29*24*time.Hour)) {
				t.Errorf("%s is not locked for 30 days", o.Key)
			}
		}
	}
	return names
}

// spoil puts what is no entry under the next number of a journal.
func spoil(t *testing.T, s *scene.Scene, number int, body string) (key string) {
	t.Helper()
	key, err := chain.Key(s.Incident.ID, number)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	return key
}

// What is under an entry's key and is none is not passed over, and nothing is
// chained to it. What the journal cannot take is set aside, once and with an
// alarm; other incidents' changes are written; and when it can be written on
// again, what was set aside goes first.
func TestWhatIsNoEntryIsNotPassedOver(t *testing.T) {
	for name, body := range map[string]string{"no entry": "{}", "another incident's": `{"format":"cordon journal 1","incident":"x","sequence":1}`, "huge": strings.Repeat("x", chain.MaxEntry+1)} {
		t.Run(name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			f := follow(t, s)
			act(t, s)
			others := s.Incident
			others.ID = "123456789012.eu-west-1.i-0bbbbbbbbbbbbbbbb.1"
			if err := record.AddFinding(t.Context(), s.DynamoDB(), "cordon-incidents", others.ID, incident.Finding{ID: "f-9"}); err != nil {
				t.Fatal(err)
			}
			key := spoil(t, s, 1, body)
			for range 2 {
				out, err := run(t.Context(), s, batch(t, f.all))
				if err != nil || out.Aside != len(acted) || out.Alarm != "journal set aside" || out.Status != incident.Partial {
					t.Fatalf("%+v, %v, want all of them set aside", out, err)
				}
			}
			if aside := below(t, s, chain.Aside); len(aside) != len(acted) {
				t.Errorf("set aside are %q, want %d", aside, len(acted))
			}
			if all := entries(t, s, others.ID); len(all) != 1 {
				t.Errorf("the other incident has %d entries, want its one", len(all))
			}
			// Somebody takes away what does not belong there. The next change brings all.
			s.Others().Destroy(bucket, key)
			if err := record.AddFinding(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, incident.Finding{ID: "f-2"}); err != nil {
				t.Fatal(err)
			}
			want := append(slices.Clone(acted), "INSERT incidents i-0aaaaaaaaaaaaaaaa.1 finding#f-2")
			for range 2 {
				if out, err := run(t.Context(), s, batch(t, f.all[len(f.all)-1:])); err != nil || out.Aside != 0 || out.Alarm != "" {
					t.Fatalf("%+v, %v", out, err)
				}
				got := told(entries(t, s, s.Incident.ID))
				slices.Sort(got)
				slices.Sort(want)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("journal (-want +is):\n%s", d)
				}
			}
			if aside := below(t, s, chain.Aside); len(aside) != 2*len(acted) {
				t.Errorf("beside the journal are %q, want each twice: as it was, and that it is written", aside)
			}
			if c := checked(t, s); len(c.Broken) > 0 {
				t.Errorf("the journal does not hold: %q", c.Broken)
			}
		})
	}
}

// checked is what verify finds of the journal.
func checked(t *testing.T, s *scene.Scene) chain.Checked {
	t.Helper()
	var numbers []int
	for _, name := range below(t, s, "") {
		if n, ok := chain.NumberOf(name); ok {
			numbers = append(numbers, n)
		}
	}
	return chain.Check(s.Incident.ID, numbers, func(n int) ([]byte, error) {
		key, err := chain.Key(s.Incident.ID, n)
		if err != nil {
			return nil, err
		}
		return evidence.Read(t.Context(), s.S3(), bucket, key, chain.MaxEntry)
	})
}

// What was given up and is handed over again later fills the gap: the journal says
// which entries were late, and holds. Before, it says what lacks.
func TestWhatWasGivenUpIsWrittenLater(t *testing.T) {
	s := scene.Open(t, scene.File)
	f := follow(t, s)
	for n := range 4 {
		s.Save(t, "memory", map[string]any{"look": n})
	}
	kept := f.all[1:3]
	if _, err := run(t.Context(), s, batch(t, append(f.all[:1:1], f.all[3]))); err != nil {
		t.Fatal(err)
	}
	if c := checked(t, s); len(c.Broken) != 1 || !strings.Contains(c.Broken[0], "between entry 1 and it") || len(c.Late) > 0 {
		t.Errorf("%+v, want the gap named", c)
	}
	// In any order, and more than once.
	for _, some := range [][]sim.StreamRecord{kept[1:], kept, f.all} {
		if _, err := run(t.Context(), s, batch(t, some)); err != nil {
			t.Fatal(err)
		}
	}
	c := checked(t, s)
	if len(c.Broken) > 0 || c.Entries != 4 || !cmp.Equal(c.Late, []int{3, 4}) {
		t.Errorf("%+v, want four entries that hold, two of them late", c)
	}
	for item, is := range c.Newest {
		if !strings.Contains(string(is["body"]), `"look":3`) {
			t.Errorf("the journal's last word of %s is %s, want the last change and not the last that was written", item, is)
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

// A run that sets aside, and one that brings back what was, is killed anywhere.
func TestKillWhatIsSetAside(t *testing.T) {
	for name, mended := range map[string]bool{"set aside": false, "brought back": true} {
		t.Run(name, func(t *testing.T) {
			var in journal.Input
			scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
				s := scene.Open(t, scene.File, faults...)
				f := follow(t, s)
				act(t, s)
				in = batch(t, f.all)
				key := spoil(t, s, 1, "{}")
				if mended {
					if _, err := run(t.Context(), s, in); err != nil { // faults are of later calls
						t.Fatal(err)
					}
					s.Others().Destroy(bucket, key)
				}
				return s
			}, func(ctx context.Context, s *scene.Scene) (journal.Output, error) { return run(ctx, s, in) })
		})
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
