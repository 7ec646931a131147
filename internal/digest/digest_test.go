package digest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cordon/internal/digest"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// bucket is S3 with one image, which it gives in ranges.
type bucket struct {
	image, etag []byte
	took        func()         // after each range, if time is to go by
	broken      map[int64]bool // ranges that break off half-way, by where they begin; once
	requests    []string
}

func (b *bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	b.requests = append(b.requests, *in.Range)
	if in.IfMatch != nil && *in.IfMatch != string(b.etag) {
		return nil, &smithy.GenericAPIError{Code: "PreconditionFailed"}
	}
	var from, to int64
	if _, err := fmt.Sscanf(*in.Range, "bytes=%d-%d", &from, &to); err != nil {
		return nil, err
	}
	if from >= int64(len(b.image)) {
		return nil, &smithy.GenericAPIError{Code: "InvalidRange"}
	}
	to = min(to, int64(len(b.image))-1)
	var body io.Reader = bytes.NewReader(b.image[from : to+1])
	if b.broken[from] {
		delete(b.broken, from)
		body = io.MultiReader(bytes.NewReader(b.image[from:(from+to)/2]), brokenReader{})
	}
	etag := string(b.etag)
	if b.took != nil {
		b.took()
	}
	return &s3.GetObjectOutput{
		Body: io.NopCloser(body), ETag: &etag, ContentRange: aws.String(fmt.Sprintf("bytes %d-%d/%d", from, to, len(b.image))),
	}, nil
}

var errBroken = errors.New("connection reset by peer")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func newBucket(t testing.TB, size int) *bucket {
	b := &bucket{image: make([]byte, size), etag: []byte(`"1"`), broken: map[int64]bool{}}
	if _, err := rand.Read(b.image); err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T) *scene.Scene {
	s := scene.Open(t, `{"Reservations": [], "NetworkInterfaces": []}`)
	s.Set("EVIDENCE_BUCKET", "evidence")
	return s
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func input(s *scene.Scene, claim string) digest.Input {
	return digest.Input{Incident: s.Incident, Memory: incident.Memory{Object: "incidents/1/memory/image.lime", SHA256: claim}}
}

func newStep(t testing.TB, s *scene.Scene, b digest.S3) *digest.Step {
	step, err := digest.New(s.Host, b, s.DynamoDB())
	if err != nil {
		t.Fatal(err)
	}
	step.SetRange(4 * mib)
	return step
}

const mib = 1 << 20

func TestWhatTheHostSaidIsHeldAgainstTheObject(t *testing.T) {
	b := newBucket(t, 3*mib+17)
	for name, c := range map[string]struct {
		claim string
		want  incident.Digest
	}{
		"the same":       {sum(b.image), incident.Digest{Report: incident.Report{Status: incident.OK}, Agrees: true}},
		"in capitals":    {strings.ToUpper(sum(b.image)), incident.Digest{Report: incident.Report{Status: incident.OK}, Agrees: true}},
		"another":        {sum(b.image[1:]), incident.Digest{Report: incident.Report{Status: incident.Failed, Reason: "the host's hash is not that of the object in the bucket"}}},
		"nothing at all": {"", incident.Digest{Report: incident.Report{Status: incident.Partial, Reason: "the host reported no hash to compare with"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			step := newStep(t, s, b)
			c.want.Done, c.want.Bytes, c.want.SHA256, c.want.Claimed = true, int64(len(b.image)), sum(b.image), c.claim
			for range 2 { // the second time from the record
				got, err := step.Run(t.Context(), input(s, c.claim))
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestNoImageIsNoError(t *testing.T) {
	s := open(t)
	got, err := newStep(t, s, newBucket(t, 1)).Run(t.Context(), digest.Input{Incident: s.Incident})
	if err != nil || got.Status != incident.Skipped || !got.Done {
		t.Errorf("%+v %v, want it skipped", got, err)
	}
}

// A large image takes several runs, each with the state that the one before
// left; no byte is read twice.
func TestOverAsManyRunsAsItTakes(t *testing.T) {
	b, s := newBucket(t, 17*mib), open(t)
	b.took = func() { s.Wait(7 * time.Minute) }
	runs := 0
	var got incident.Digest
	for ; !got.Done; runs++ {
		var err error
		if got, err = newStep(t, s, b).Run(t.Context(), input(s, sum(b.image))); err != nil {
			t.Fatal(err)
		}
	}
	if !got.Agrees || got.SHA256 != sum(b.image) || runs != 3 || len(b.requests) != 5 {
		t.Errorf("%+v after %d runs and %d requests, want the hash after 3 runs and 5 requests", got, runs, len(b.requests))
	}
}

// The hash is recorded once a minute and at the end of a run: each record is an
// entry of the incident's journal, and a large image is read in very many ranges.
func TestTheHashIsRecordedOnceAMinute(t *testing.T) {
	b, s := newBucket(t, 160*mib), open(t)
	b.took = func() { s.Wait(10 * time.Second) } // 40 ranges: 400 s
	before := len(s.Calls())
	if got, err := newStep(t, s, b).Run(t.Context(), input(s, sum(b.image))); err != nil || !got.Agrees {
		t.Fatalf("%+v %v, want the hash", got, err)
	}
	records := 0
	for _, c := range s.Calls()[before:] {
		if c.Service == "dynamodb" && c.Action == "PutItem" {
			records++
		}
	}
	if len(b.requests) != 40 || records != 7 {
		t.Errorf("%d requests and %d records, want 40 and 7: one a minute, and the last", len(b.requests), records)
	}
}

// A range that breaks off is an error, so that the machine tries again; what had
// arrived of it is hashed.
func TestARangeThatBreaksOffIsGoneOnWith(t *testing.T) {
	b, s := newBucket(t, 10*mib), open(t)
	b.broken[4*mib] = true
	if got, err := newStep(t, s, b).Run(t.Context(), input(s, "")); !errors.Is(err, errBroken) {
		t.Fatalf("%+v %v, want the error of the connection", got, err)
	}
	got, err := newStep(t, s, b).Run(t.Context(), input(s, sum(b.image)))
	if err != nil || !got.Agrees {
		t.Fatalf("%+v %v, want the hash of the whole object", got, err)
	}
	if b.requests[2] == b.requests[1] {
		t.Errorf("%s was read again from its beginning", b.requests[1])
	}
}

func TestAnObjectThatIsReplacedIsTold(t *testing.T) {
	b, s := newBucket(t, 10*mib), open(t)
	b.took = func() { b.etag = []byte(`"2"`) }
	got, err := newStep(t, s, b).Run(t.Context(), input(s, sum(b.image)))
	if err != nil || got.Status != incident.Failed || !strings.Contains(got.Reason, "replaced") || !got.Done || got.Agrees || got.SHA256 != "" {
		t.Errorf("%+v %v, want it told that the object was replaced", got, err)
	}
}

// Killed between any two calls, the next run gives the same answer.
func TestKilledAnywhereItConverges(t *testing.T) {
	const key = "incidents/1/memory/image.lime"
	image := bytes.Repeat([]byte("memory"), 1000)
	scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
		s := scene.Open(t, `{"Reservations": [], "NetworkInterfaces": []}`, faults...)
		s.Set("EVIDENCE_BUCKET", "cordon-evidence")
		if _, err := s.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("cordon-evidence"), Key: aws.String(key), Body: bytes.NewReader(image)}); err != nil {
			t.Fatal(err)
		}
		return s
	}, func(ctx context.Context, s *scene.Scene) (incident.Digest, error) {
		in := input(s, sum(image))
		in.Memory.Object = key
		return newStep(t, s, s.S3()).Run(ctx, in)
	})
}

// A state that this Go cannot read, as that of another may be, is begun anew.
func TestAStateThatCannotBeReadIsBegunAnew(t *testing.T) {
	b, s := newBucket(t, 10*mib), open(t)
	b.broken[4*mib] = true
	if _, err := newStep(t, s, b).Run(t.Context(), input(s, "")); !errors.Is(err, errBroken) {
		t.Fatalf("%v, want the error of the connection", err)
	}
	var saved map[string]any
	if begun, err := record.LoadStep(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, "digest", &saved); err != nil || !begun {
		t.Fatalf("%v %v, want the state that was saved", begun, err)
	}
	saved["hash"] = []byte("of another Go")
	if err := record.SaveStep(t.Context(), s.DynamoDB(), "cordon-incidents", s.Incident.ID, "digest", saved); err != nil {
		t.Fatal(err)
	}
	got, err := newStep(t, s, b).Run(t.Context(), input(s, sum(b.image)))
	if err != nil || !got.Agrees || got.Bytes != 10*mib {
		t.Errorf("%+v %v, want the hash of the whole object", got, err)
	}
}

// An image waits for this before its incident closes: ours beside sha256sum, on
// the same data, turn by turn.
func BenchmarkHash(b *testing.B) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		b.Skip("no sha256sum to compare with")
	}
	const size = 128 * mib
	image := newBucket(b, size)
	path := filepath.Join(b.TempDir(), "image")
	if err := os.WriteFile(path, image.image, 0o600); err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	for b.Loop() {
		s := scene.Open(b, `{"Reservations": [], "NetworkInterfaces": []}`)
		s.Set("EVIDENCE_BUCKET", "evidence")
		at := time.Now()
		got, err := newStep(b, s, image).Run(b.Context(), input(s, ""))
		if err != nil {
			b.Fatal(err)
		}
		ours += time.Since(at)
		at = time.Now()
		out, err := exec.CommandContext(b.Context(), "sha256sum", path).Output()
		if err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(at)
		if told, _, _ := strings.Cut(string(out), " "); told != got.SHA256 {
			b.Fatalf("ours is %s, sha256sum says %s", got.SHA256, told)
		}
	}
	all := float64(size) / 1e6 * float64(b.N)
	b.ReportMetric(all/ours.Seconds(), "ours-MB/s")
	b.ReportMetric(all/theirs.Seconds(), "sha256sum-MB/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}
