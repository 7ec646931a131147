package rehearsal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/chain"
	"cordon/internal/journal"
	"cordon/internal/lambdafn"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// Where an incident's journal cannot be written on, nothing waits: its changes are
// set aside as they come, the incident ends as ever, and its manifest says that the
// journal is not whole.
func TestAJournalThatCannotBeWrittenOnHoldsNothingUp(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "keep")
	calm := run(t, o)
	var id string
	for key := range journals(t, o) {
		id, _, _ = strings.Cut(strings.TrimPrefix(key, "incidents/"), "/journal/")
	}
	failed, aside := 0, 0
	r, err := rehearsal.Streamed(o, func(a *sim.Account, bucket string) {
		if err := a.S3().Hold(bucket, chain.Prefix(id)+"000001.json", sim.Bytes([]byte("{}"))); err != nil {
			t.Fatal(err)
		}
	}, func(h lambdafn.Handler) lambdafn.Handler {
		return func(ctx context.Context, in []byte) ([]byte, error) {
			out, err := h(ctx, in)
			if err != nil {
				failed++
			}
			return out, err
		}
	}, func(a *sim.Account, bucket string, _ lambdafn.Handler) {
		for _, o := range a.S3().Objects(bucket) {
			if strings.HasPrefix(o.Key, chain.Prefix(id)+chain.Aside) {
				aside++
			}
		}
	})
	if err != nil || r.Ending != calm.Ending || r.Status != calm.Status {
		t.Fatalf("ended as %q (%s), %v; want %q", r.Ending, r.Status, err, calm.Ending)
	}
	if failed > 0 || aside < 40 {
		t.Errorf("%d invocations failed and hold their shard, %d changes are set aside", failed, aside)
	}
	if !slices.Contains(r.Violations, "The journal is the record") {
		t.Errorf("violations %q: a journal that is not whole goes unseen", r.Violations)
	}
}

// What is recorded within a second comes in one batch: no shard is taken from twice
// in that time, and still no change waits for longer than the closing does.
func TestChangesAreGathered(t *testing.T) {
	begun := map[*sim.Invocation]time.Time{}
	newest := map[string]*sim.Invocation{} // by partition
	batches, most := map[*sim.Invocation]int{}, 0
	_, calls, err := rehearsal.Recorded(decides(options(readFile(t, "plain.json")), "keep"), func(string, []byte, []byte) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		if c.By == nil || c.By.Function != "journal" {
			continue
		}
		if begun[c.By].IsZero() {
			begun[c.By] = c.At
		}
		in, ok := c.Input.(*s3.PutObjectInput)
		if !ok || c.Error != "" {
			continue
		}
		body := in.Body.(*bytes.Reader) // as it was read
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		e, err := chain.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		before := newest[e.Partition()]
		if before != nil && before != c.By && begun[c.By].Sub(begun[before]) < time.Second {
			t.Errorf("%s: batches at %s and %s", e.Partition(), begun[before], begun[c.By])
		}
		// The time of a change is cut to the second.
		if late := begun[c.By].Sub(e.At); late > 1500*time.Millisecond+time.Second {
			t.Errorf("entry %d is taken up after %s", e.Sequence, late)
		}
		newest[e.Partition()] = c.By
		batches[c.By]++
		most = max(most, batches[c.By])
	}
	if len(batches) < 10 || most < 5 {
		t.Errorf("%d batches, of %d changes at most: this tries nothing", len(batches), most)
	}
}

// What the journal of a rehearsal reads is what it would read of the bytes that Lambda
// hands over, of every change; and a run in which it reads those is the same run.
func TestBatchesAreWhatLambdaHandsOver(t *testing.T) {
	for _, decision := range []string{"terminate", "release"} {
		o := decides(options(readFile(t, "plain.json")), decision)
		n, binary := 0, 0
		read, err := rehearsal.Handed(o, func(payload []byte, read journal.Input) {
			var want journal.Input
			if err := json.Unmarshal(payload, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read); diff != "" {
				t.Errorf("a change is read otherwise (-of the payload +in the rehearsal):\n%s", diff)
			}
			n++
			if strings.Contains(string(payload), `{"B":`) {
				binary++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if n < 40 || binary == 0 {
			t.Errorf("%d changes, %d of them with something binary: this tries little", n, binary)
		}
		spelled, _, err := rehearsal.Recorded(o, func(string, []byte, []byte) {})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSON(read), asJSON(spelled)); diff != "" {
			t.Errorf("another run where batches are read as bytes:\n%s", diff)
		}
	}
}

// journals are the entries that a run leaves, by key.
func journals(t *testing.T, o rehearsal.Options) map[string][]byte {
	t.Helper()
	o.Keep = true
	all := map[string][]byte{}
	for key, body := range run(t, o).Bucket.Objects {
		if strings.Contains(key, "/journal/") {
			all[key] = body
		}
	}
	return all
}

// A change that ends the function whenever it is handed over is found alone: what
// came with it is written. After 23 hours it is given up, as a whole, and handed over
// again it fills its gap.
func TestOneChangeThatCannotBeTaken(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "keep")
	var poison string // event
	for _, body := range journals(t, o) {
		if e, err := chain.Read(body); err != nil {
			t.Fatal(err)
		} else if e.Sequence == 9 {
			poison = e.Event
		}
	}
	var given [][]byte
	with := 0 // batches that it was handed over in, among others
	var gap []string
	var late []int
	r, err := rehearsal.Streamed(o, func(*sim.Account, string) {}, func(h lambdafn.Handler) lambdafn.Handler {
		return func(ctx context.Context, in []byte) ([]byte, error) {
			if bytes.Contains(in, []byte(poison)) {
				if bytes.Count(in, []byte(`"eventID"`)) > 1 {
					with++
				}
				return nil, errors.New("killed by this one")
			}
			return h(ctx, in)
		}
	}, func(a *sim.Account, bucket string, h lambdafn.Handler) {
		var numbers []int
		texts := map[int][]byte{}
		var id string
		read := func() chain.Checked {
			numbers = nil
			for _, o := range a.S3().Objects(bucket) {
				var b bytes.Buffer
				at, name, entry := strings.Cut(o.Key, "/journal/")
				n, ok := chain.NumberOf(name)
				if !entry || !ok {
					continue
				}
				if err := a.S3().Copy(&b, bucket, o.Key); err != nil {
					t.Fatal(err)
				}
				id, texts[n] = strings.TrimPrefix(at, "incidents/"), b.Bytes()
				numbers = append(numbers, n)
			}
			return chain.Check(id, numbers, func(n int) ([]byte, error) { return texts[n], nil })
		}
		gap = read().Broken
		for _, o := range a.S3().Objects(bucket) {
			if !strings.HasPrefix(o.Key, "aws/lambda/") {
				continue
			}
			var b bytes.Buffer
			if err := a.S3().Copy(&b, bucket, o.Key); err != nil {
				t.Fatal(err)
			}
			var kept struct{ Payload string }
			if err := json.Unmarshal(b.Bytes(), &kept); err != nil {
				t.Fatal(err)
			}
			given = append(given, []byte(kept.Payload))
			if _, err := h(context.Background(), []byte(kept.Payload)); err != nil {
				t.Errorf("what was given up cannot be written later: %v", err)
			}
		}
		after := read()
		late = after.Late
		if len(after.Broken) > 0 || after.Entries != len(numbers) {
			t.Errorf("written later, the journal does not hold: %q", after.Broken)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(given) == 0 || bytes.Count(given[0], []byte(`"eventID"`)) != 1 || !bytes.Contains(given[0], []byte(poison)) {
		t.Errorf("%d batches were given up; want the one change alone first", len(given))
	}
	if len(r.Violations) > 0 {
		t.Errorf("violations %q: what was written later is not whole", r.Violations)
	}
	if with == 0 || len(gap) == 0 || len(late) == 0 {
		t.Errorf("in a batch with others %d times, gap %q, late %v: this tries nothing", with, gap, late)
	}
}
