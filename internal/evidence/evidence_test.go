package evidence_test

import (
	"strings"
	"testing"
	"time"

	"cordon/internal/evidence"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type still struct{}

func (still) Now() time.Time      { return time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC) }
func (still) Sleep(time.Duration) {}

func TestObjects(t *testing.T) {
	a, err := sim.Open(sim.Settings{Clock: still{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const bucket = "cordon-evidence"
	put := func(key string) error {
		_, err := a.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("abc"), IfNoneMatch: aws.String("*")})
		return err
	}
	if err := put("a/b.json.bak"); err != nil || evidence.Taken(err) {
		t.Fatal(err)
	}
	if there, err := evidence.Exists(t.Context(), a.S3(), bucket, "a/b.json"); there || err != nil {
		t.Errorf("what only begins as a key is taken for it: %v", err)
	}
	if err := put("a/b.json"); err != nil {
		t.Fatal(err)
	}
	if err := put("a/b.json"); !evidence.Taken(err) {
		t.Errorf("%v, want it taken", err)
	}
	if there, err := evidence.Exists(t.Context(), a.S3(), bucket, "a/b.json"); !there || err != nil {
		t.Errorf("there is %v, %v", there, err)
	}
	o, err := evidence.Hash(t.Context(), a.S3(), bucket, "a/b.json")
	if err != nil || o.Bytes != 3 || o.Version == "" || o.SHA256 != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("%+v, %v", o, err)
	}
	if text, err := evidence.Read(t.Context(), a.S3(), bucket, "a/b.json", 3); string(text) != "abc" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := evidence.Read(t.Context(), a.S3(), bucket, "a/b.json", 2); err == nil || !strings.Contains(err.Error(), "more than 2 bytes") {
		t.Errorf("%v, want it too long", err)
	}
}
