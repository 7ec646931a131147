package sim_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// A delete marker hides an object and destroys nothing: by its version it can
// still be read, a listing of versions shows both, and a conditional write takes
// the key for free.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func TestADeleteMarkerHides(t *testing.T) {
	a := services(t)
	c, bucket, key := a.S3(), aws.String(evidenceBucket), aws.String("a")
	first := putObject(t, c, "a", "one")
	a.Others().Hide(evidenceBucket, "a")
	if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key}); codeOf(err) != "NoSuchKey" {
		t.Errorf("get: %v", err)
	}
	if _, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key}); codeOf(err) != "NotFound" {
		t.Errorf("head: %v", err)
	}
	if out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket, Prefix: key}); err != nil || len(out.Contents) > 0 {
		t.Errorf("list: %v, %v", out, err)
	}
	if out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: first.VersionId}); err != nil || *out.ContentLength != 3 {
		t.Errorf("get by version: %v, %v", out, err)
	}
	all, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket, Prefix: key})
	if err != nil || len(all.Versions) != 1 || len(all.DeleteMarkers) != 1 || *all.Versions[0].IsLatest || !*all.DeleteMarkers[0].IsLatest {
		t.Fatalf("versions: %+v, %v", all, err)
	}
	if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: all.DeleteMarkers[0].VersionId}); codeOf(err) != "MethodNotAllowed" {
		t.Errorf("get the marker: %v", err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, IfNoneMatch: aws.String("*")}); err != nil {
		t.Errorf("put where a marker is: %v", err)
	}
}

// Versions come by key, of a key the newest first, and a page may end between two
// of one key.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
func TestVersionsComeInPages(t *testing.T) {
	a := services(t)
	c, bucket := a.S3(), aws.String(evidenceBucket)
	var want []string
	for _, key := range []string{"v/a", "v/b", "v/c"} {
		var of []string
		for n := range 3 {
			of = append(of, key+" "+*putObject(t, c, key, fmt.Sprint(n)).VersionId)
		}
		slices.Reverse(of)
		want = append(want, of...)
	}
	a.Others().Hide(evidenceBucket, "v/b")
	for size := int32(1); size < 12; size++ {
		var got []string
		markers := 0
		in := &s3.ListObjectVersionsInput{Bucket: bucket, Prefix: aws.String("v/"), MaxKeys: &size}
		for {
			out, err := c.ListObjectVersions(t.Context(), in)
			if err != nil || len(out.Versions)+len(out.DeleteMarkers) > int(size) {
				t.Fatal(out, err)
			}
			for _, v := range out.Versions {
				got = append(got, *v.Key+" "+*v.VersionId)
			}
			markers += len(out.DeleteMarkers)
			if !*out.IsTruncated {
				break
			}
			in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
		}
		if !slices.Equal(got, want) || markers != 1 {
			t.Errorf("in pages of %d: %d markers, %q, want %q", size, markers, got, want)
		}
	}
	if _, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket, VersionIdMarker: aws.String("x")}); codeOf(err) != "InvalidArgument" {
		t.Errorf("a version without a key: %v", err)
	}
}

// What others do to a lock is seen, and a lock that is gone is told by the call for
// it, not by a header.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html
func TestOthersAndLocks(t *testing.T) {
	a := services(t)
	c, bucket, key, until := a.S3(), aws.String(evidenceBucket), aws.String("a"), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &until}); err != nil {
		t.Fatal(err)
	}
	head := func() *s3.HeadObjectOutput {
		out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if h := head(); h.ObjectLockMode != types.ObjectLockModeGovernance || h.ObjectLockLegalHoldStatus != "" {
		t.Errorf("%+v", h)
	}
	a.Others().Hold(evidenceBucket, "a")
	a.Others().Relock(evidenceBucket, "a", nil)
	if h := head(); h.ObjectLockMode != "" || h.ObjectLockLegalHoldStatus != types.ObjectLockLegalHoldStatusOn {
		t.Errorf("%+v", h)
	}
	if _, err := c.GetObjectRetention(t.Context(), &s3.GetObjectRetentionInput{Bucket: bucket, Key: key}); codeOf(err) != "NoSuchObjectLockConfiguration" {
		t.Errorf("%v", err)
	}
	a.Others().Destroy(evidenceBucket, "a")
	if out, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket, Prefix: key}); err != nil || len(out.Versions) > 0 {
		t.Errorf("%v, %v", out, err)
	}
}
