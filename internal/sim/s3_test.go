package sim_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

func putObject(t *testing.T, c *sim.S3, key, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// begin starts an upload and sends parts of the given sizes through pre-signed URLs.
func begin(t *testing.T, c *sim.S3, key string, sizes ...int64) (id string, etags []string) {
	t.Helper()
	out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	for n, size := range sizes {
		r := c.Serve(sim.Request{Method: "PUT", URL: partURL(t, c, key, *out.UploadId, n+1), Body: sim.Content{Head: []byte{byte(n)}, Length: size}})
		if r.Status != 200 {
			t.Fatalf("part %d: %d %s", n+1, r.Status, r.Code)
		}
		etags = append(etags, r.Header.Get("ETag"))
	}
	return *out.UploadId, etags
}

func partURL(t *testing.T, c *sim.S3, key, id string, n int) string {
	t.Helper()
	r, err := c.Presign().PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(evidenceBucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(int32(n))},
		s3.WithPresignExpires(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return r.URL
}

// parts lists parts for CompleteMultipartUpload, numbered from 1.
func parts(etags ...string) *types.CompletedMultipartUpload {
	all := &types.CompletedMultipartUpload{}
	for n, e := range etags {
		all.Parts = append(all.Parts, types.CompletedPart{PartNumber: aws.Int32(int32(n + 1)), ETag: &e})
	}
	return all
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func TestGetObject(t *testing.T) {
	c := services(t).S3()
	putObject(t, c, "k", "0123456789")
	for _, tt := range []struct{ asked, want, contentRange string }{
		{"", "0123456789", ""},
		{"bytes=0-3", "0123", "bytes 0-3/10"},
		{"bytes=8-99", "89", "bytes 8-9/10"}, // cut off, no error
		{"bytes=7-", "789", "bytes 7-9/10"},
		{"bytes=-2", "89", "bytes 8-9/10"},
		{"lines=1-2", "0123456789", ""}, // passed over
	} {
		in := &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k")}
		if tt.asked != "" {
			in.Range = &tt.asked
		}
		out, err := c.GetObject(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(out.Body)
		if err != nil || string(b) != tt.want || aws.ToString(out.ContentRange) != tt.contentRange || *out.ContentLength != int64(len(tt.want)) {
			t.Errorf("%q gave %q, range %q, length %d, %v", tt.asked, b, aws.ToString(out.ContentRange), *out.ContentLength, err)
		}
	}
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), Range: aws.String("bytes=10-")})
	wantCode(t, err, "InvalidRange", "")
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("nothing")})
	var noKey *types.NoSuchKey
	if !errors.As(err, &noKey) {
		t.Errorf("error is %v, want NoSuchKey", err)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("elsewhere"), Key: aws.String("k")})
	wantCode(t, err, "NoSuchBucket", "")
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), ExpectedBucketOwner: aws.String("999999999999")})
	wantCode(t, err, "AccessDenied", "")
}

// What does not fit its checksum is not stored.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
func TestPutObjectChecksum(t *testing.T) {
	c := services(t).S3()
	sum := sha256.Sum256([]byte("x"))
	in := &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), Body: strings.NewReader("y"), ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:]))}
	_, err := c.PutObject(t.Context(), in)
	wantCode(t, err, "BadDigest", "")
	if _, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key}); err == nil {
		t.Error("it was stored")
	}
	in.Body = strings.NewReader("x")
	if _, err := c.PutObject(t.Context(), in); err != nil {
		t.Error(err)
	}
}

// An entity tag is the MD5 of the content under S3's own key, not under a KMS key.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
func TestEntityTags(t *testing.T) {
	c := services(t).S3()
	sum := md5.Sum([]byte("x"))
	for encryption, isMD5 := range map[types.ServerSideEncryption]bool{"": true, types.ServerSideEncryptionAes256: true, types.ServerSideEncryptionAwsKms: false} {
		out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), Body: strings.NewReader("x"), ServerSideEncryption: encryption})
		if err != nil || (*out.ETag == `"`+hex.EncodeToString(sum[:])+`"`) != isMD5 {
			t.Errorf("%q: tag %v, %v; is the MD5: want %v", encryption, out, err, isMD5)
		}
	}
}

// A HEAD answer has no body to say which error it is: NotFound, not NoSuchKey.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func TestHeadObject(t *testing.T) {
	c := services(t).S3()
	putObject(t, c, "k", "0123456789")
	out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k")})
	if err != nil || *out.ContentLength != 10 {
		t.Errorf("%v, %v", out, err)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("nothing")})
	var missing *types.NotFound
	if !errors.As(err, &missing) {
		t.Errorf("error is %v, want NotFound", err)
	}
}

// A caller may name the account that it takes the bucket to be of.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
func TestExpectedBucketOwner(t *testing.T) {
	c := services(t).S3()
	putObject(t, c, "k", "x")
	for owner, fits := range map[string]bool{"123456789012": true, "999999999999": false} {
		_, head := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), ExpectedBucketOwner: &owner})
		_, list := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(evidenceBucket), ExpectedBucketOwner: &owner})
		_, get := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), ExpectedBucketOwner: &owner})
		for _, err := range []error{head, list, get} {
			if (err == nil) != fits {
				t.Errorf("%s: %v", owner, err)
			}
		}
	}
}

// A length that was announced must be that of what comes.
func TestAnnouncedLengths(t *testing.T) {
	c := services(t).S3()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), Body: strings.NewReader("x"), ContentLength: aws.Int64(2)})
	wantCode(t, err, "IncompleteBody", "")
	id, etags := begin(t, c, "memory", 5*mib)
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id, MultipartUpload: parts(etags...), MpuObjectSize: aws.Int64(1)})
	wantCode(t, err, "InvalidRequest", "")
}

// Writing again adds a version; the earlier one stays.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
func TestVersions(t *testing.T) {
	c := services(t).S3()
	first := putObject(t, c, "k", "first")
	putObject(t, c, "k", "second")
	for want, version := range map[string]*string{"first": first.VersionId, "second": nil} {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), VersionId: version})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(out.Body); err != nil || string(b) != want {
			t.Errorf("version %s: %q, %v; want %q", aws.ToString(version), b, err, want)
		}
	}
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), Body: strings.NewReader("third"), IfNoneMatch: aws.String("*")})
	wantCode(t, err, "PreconditionFailed", "")
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
func TestCompleteMultipartUpload(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sizes []int64
		parts func(etags []string) *types.CompletedMultipartUpload
		code  string
	}{
		{"768 GiB", []int64{5 << 30, 5 << 30, 1}, func(e []string) *types.CompletedMultipartUpload { return parts(e...) }, ""},
		{"entity tags without quotes", []int64{5 * mib, 1}, func(e []string) *types.CompletedMultipartUpload {
			return parts(strings.Trim(e[0], `"`), strings.Trim(e[1], `"`))
		}, ""},
		{"some of the parts", []int64{5 * mib, 5 * mib}, func(e []string) *types.CompletedMultipartUpload { return parts(e[0]) }, ""},
		{"a small part before the last", []int64{5*mib - 1, 1}, func(e []string) *types.CompletedMultipartUpload { return parts(e...) }, "EntityTooSmall"},
		{"another entity tag", []int64{5 * mib, 1}, func(e []string) *types.CompletedMultipartUpload { return parts(e[0], e[0]) }, "InvalidPart"},
		{"a part that was not sent", []int64{5 * mib}, func(e []string) *types.CompletedMultipartUpload { return parts(e[0], e[0]) }, "InvalidPart"},
		{"out of order", []int64{5 * mib, 5 * mib}, func(e []string) *types.CompletedMultipartUpload {
			p := parts(e...)
			p.Parts[0], p.Parts[1] = p.Parts[1], p.Parts[0]
			return p
		}, "InvalidPartOrder"},
		{"no parts", []int64{5 * mib}, func([]string) *types.CompletedMultipartUpload { return parts() }, "MalformedXML"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := services(t).S3()
			id, etags := begin(t, c, "memory", tt.sizes...)
			in := &s3.CompleteMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id, MultipartUpload: tt.parts(etags)}
			out, err := c.CompleteMultipartUpload(t.Context(), in)
			if tt.code != "" {
				wantCode(t, err, tt.code, "")
				if _, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory")}); err == nil {
					t.Error("a refused completion made an object")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := int64(0)
			for n := range in.MultipartUpload.Parts {
				want += tt.sizes[n]
			}
			head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory")})
			if err != nil || *head.ContentLength != want || !strings.HasSuffix(*out.ETag, fmt.Sprintf(`-%d"`, len(in.MultipartUpload.Parts))) {
				t.Errorf("object %+v, %v; want %d bytes", head, err, want)
			}
			// The upload is gone: who repeats the call after a lost answer must look for the object.
			_, err = c.CompleteMultipartUpload(t.Context(), in)
			wantCode(t, err, "NoSuchUpload", "")
			var typed *types.NoSuchUpload
			if errors.As(err, &typed) {
				t.Error("the SDK has a type for NoSuchUpload in AbortMultipartUpload only")
			}
			_, err = c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id})
			if !errors.As(err, &typed) {
				t.Errorf("abort after completion: %v, want NoSuchUpload", err)
			}
		})
	}
}

// An image is read across its parts; what nobody stored is zeros.
func TestReadAcrossParts(t *testing.T) {
	c := services(t).S3()
	id, etags := begin(t, c, "memory", 5*mib, 5*mib)
	if _, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id, MultipartUpload: parts(etags...)}); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), Range: aws.String("bytes=5242878-5242881")})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(b, []byte{0, 0, 1, 0}) {
		t.Errorf("read %v, %v; want the end of one part and the beginning of the next", b, err)
	}
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
func TestListings(t *testing.T) {
	c := services(t).S3()
	sizes := make([]int64, 1001)
	for n := range sizes {
		sizes[n] = 5 * mib
	}
	id, etags := begin(t, c, "memory/1", sizes...)
	in := &s3.ListPartsInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory/1"), UploadId: &id}
	first, err := c.ListParts(t.Context(), in)
	if err != nil || len(first.Parts) != 1000 || !*first.IsTruncated || *first.NextPartNumberMarker != "1000" {
		t.Fatalf("first page of %d parts, %v; want 1000 and more", len(first.Parts), err)
	}
	in.MaxParts = aws.Int32(5000) // 1,000 a page, whatever is asked
	if more, err := c.ListParts(t.Context(), in); err != nil || len(more.Parts) != 1000 {
		t.Errorf("5,000 asked: %d parts, %v; want 1000", len(more.Parts), err)
	}
	in.PartNumberMarker = first.NextPartNumberMarker
	second, err := c.ListParts(t.Context(), in)
	if err != nil || len(second.Parts) != 1 || *second.IsTruncated || *second.Parts[0].ETag != etags[1000] || *second.Parts[0].Size != 5*mib {
		t.Errorf("second page %+v, %v", second, err)
	}
	in.Key = aws.String("memory/2")
	_, err = c.ListParts(t.Context(), in)
	wantCode(t, err, "NoSuchUpload", "")

	// Two uploads of one key: CreateMultipartUpload has no client token.
	twin, _ := begin(t, c, "memory/1")
	begin(t, c, "memory/2")
	begin(t, c, "other")
	var seen []string
	uploads := &s3.ListMultipartUploadsInput{Bucket: aws.String(evidenceBucket), Prefix: aws.String("memory/"), MaxUploads: aws.Int32(1)}
	for range 5 {
		page, err := c.ListMultipartUploads(t.Context(), uploads)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Uploads {
			seen = append(seen, *u.Key)
		}
		if !*page.IsTruncated {
			break
		}
		uploads.KeyMarker, uploads.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
	if d := cmp.Diff([]string{"memory/1", "memory/1", "memory/2"}, seen); d != "" {
		t.Errorf("uploads (-want +got):\n%s", d)
	}
	if _, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory/1"), UploadId: &twin}); err != nil {
		t.Fatal(err)
	}
	_, err = c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory/1"), UploadId: &twin})
	wantCode(t, err, "NoSuchUpload", "")

	for n := range 3 {
		putObject(t, c, fmt.Sprintf("case/%d", n), "x")
	}
	putObject(t, c, "case/1", "again") // a version, not another key
	var keys []string
	objects := &s3.ListObjectsV2Input{Bucket: aws.String(evidenceBucket), Prefix: aws.String("case/"), MaxKeys: aws.Int32(2)}
	for range 5 {
		page, err := c.ListObjectsV2(t.Context(), objects)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
		if !*page.IsTruncated {
			break
		}
		objects.ContinuationToken = page.NextContinuationToken
	}
	if d := cmp.Diff([]string{"case/0", "case/1", "case/2"}, keys); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
}

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
func TestRetention(t *testing.T) {
	a := services(t)
	c := a.S3()
	putObject(t, c, "k", "x")
	read := &s3.GetObjectRetentionInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k")}
	_, err := c.GetObjectRetention(t.Context(), read)
	wantCode(t, err, "NoSuchObjectLockConfiguration", "") // no default retention: nothing is locked by itself
	now := begun
	lock := func(mode types.ObjectLockRetentionMode, until time.Time) error {
		_, err := c.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until}})
		return err
	}
	wantCode(t, lock("GOVERNANCE", now.Add(-time.Hour)), "InvalidArgument", "must be in the future")
	wantCode(t, lock("FOREVER", now.Add(time.Hour)), "MalformedXML", "")
	if err := lock("GOVERNANCE", now.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, lock("GOVERNANCE", now.Add(24*time.Hour)), "AccessDenied", "")
	if err := lock("COMPLIANCE", now.Add(72*time.Hour)); err != nil { // longer and stronger
		t.Fatal(err)
	}
	wantCode(t, lock("GOVERNANCE", now.Add(96*time.Hour)), "AccessDenied", "")
	out, err := c.GetObjectRetention(t.Context(), read)
	if err != nil || out.Retention.Mode != "COMPLIANCE" || !out.Retention.RetainUntilDate.Equal(now.Add(72*time.Hour)) {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = c.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{
		Bucket: aws.String(evidenceBucket), Key: aws.String("nothing"),
		Retention: &types.ObjectLockRetention{Mode: "GOVERNANCE", RetainUntilDate: aws.Time(now.Add(time.Hour))},
	})
	wantCode(t, err, "NoSuchKey", "")
}

func presignPut(t *testing.T, c *sim.S3, in *s3.PutObjectInput, life time.Duration) *v4.PresignedHTTPRequest {
	t.Helper()
	in.Bucket, in.Key = aws.String(evidenceBucket), aws.String("k")
	r, err := c.Presign().PresignPutObject(t.Context(), in, s3.WithPresignExpires(life))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What S3 answers to the holder of a pre-signed URL.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
func TestPresignedPut(t *testing.T) {
	md5sum := md5.Sum([]byte("x"))
	contentMD5 := base64.StdEncoding.EncodeToString(md5sum[:])
	for _, tt := range []struct {
		name   string
		in     s3.PutObjectInput
		change func(*sim.Request)
		wait   time.Duration
		status int
		code   string
	}{
		{name: "as signed", status: 200},
		{name: "a header that needs no signature", change: func(r *sim.Request) { r.Header.Set("User-Agent", "curl") }, status: 200},
		{name: "a payload hash, which is bound by itself", change: func(r *sim.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, status: 200},
		{name: "a minute before it expires", wait: 59 * time.Minute, status: 200},
		{name: "expired", wait: 61 * time.Minute, status: 403, code: "AccessDenied"},
		{name: "an unsigned checksum", change: func(r *sim.Request) { r.Header.Set("x-amz-checksum-sha256", "x") }, status: 403, code: "AccessDenied"},
		{name: "an unsigned content-md5", change: func(r *sim.Request) { r.Header.Set("Content-MD5", contentMD5) }, status: 403, code: "AccessDenied"},
		{name: "a signed content-md5", in: s3.PutObjectInput{ContentMD5: &contentMD5}, change: func(r *sim.Request) { r.Header.Set("Content-MD5", contentMD5) }, status: 200},
		{name: "a signed content-md5 that does not fit", in: s3.PutObjectInput{ContentMD5: &contentMD5}, change: func(r *sim.Request) { r.Header.Set("Content-MD5", contentMD5); r.Body = sim.Bytes([]byte("y")) }, status: 400, code: "BadDigest"},
		{name: "without the signed header", in: s3.PutObjectInput{ContentType: aws.String("text/plain")}, status: 403, code: "SignatureDoesNotMatch"},
		{name: "another method", change: func(r *sim.Request) { r.Method = "DELETE" }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "another key", change: func(r *sim.Request) { r.URL = strings.Replace(r.URL, "/k?", "/j?", 1) }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "a longer life", change: func(r *sim.Request) { r.URL = strings.Replace(r.URL, "X-Amz-Expires=3600", "X-Amz-Expires=7200", 1) }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "more than a week", change: func(r *sim.Request) { r.URL = strings.Replace(r.URL, "X-Amz-Expires=3600", "X-Amz-Expires=604801", 1) }, status: 400, code: "AuthorizationQueryParametersError"},
		{name: "another session", change: func(r *sim.Request) {
			r.URL = strings.Replace(r.URL, "X-Amz-Credential=ASIA", "X-Amz-Credential=ASIB", 1)
		}, status: 403, code: "InvalidAccessKeyId"},
		{name: "no signature", change: func(r *sim.Request) { r.URL, _, _ = strings.Cut(r.URL, "?") }, status: 403, code: "AccessDenied"},
		{name: "not the Regional host", change: func(r *sim.Request) { r.URL = strings.Replace(r.URL, ".s3.eu-west-1.", ".s3.", 1) }, status: 301, code: "PermanentRedirect"},
		{name: "more than 5 GiB", change: func(r *sim.Request) { r.Body = sim.Content{Length: 5<<30 + 1} }, status: 400, code: "EntityTooLarge"},
		{name: "a stream without a length", change: func(r *sim.Request) { r.Header.Set("Transfer-Encoding", "chunked") }, status: 501, code: "NotImplemented"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, clock := servicesWithClock(t)
			c := a.S3()
			r := sim.Request{Method: "PUT", URL: presignPut(t, c, &tt.in, time.Hour).URL, Header: http.Header{}, Body: sim.Bytes([]byte("x"))}
			if tt.change != nil {
				tt.change(&r)
			}
			clock.Sleep(tt.wait)
			out := c.Serve(r)
			if out.Status != tt.status || out.Code != tt.code {
				b, _ := io.ReadAll(out.Body)
				t.Fatalf("answer %d %s: %s; want %d %s", out.Status, out.Code, b, tt.status, tt.code)
			}
			_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k")})
			if (err == nil) != (tt.status == 200) {
				t.Errorf("after %d the object is there: %v", tt.status, err == nil)
			}
		})
	}
}

// A URL signed ahead of time is good from then on.
func TestPresignedAhead(t *testing.T) {
	ahead, clock := servicesWithClock(t)
	clock.Sleep(time.Hour)
	url := presignPut(t, ahead.S3(), &s3.PutObjectInput{}, time.Hour).URL
	if out := services(t).S3().Serve(sim.Request{Method: "PUT", URL: url, Body: sim.Bytes([]byte("x"))}); out.Status != 403 || out.Code != "AccessDenied" {
		t.Errorf("answer %d %s, want 403 AccessDenied", out.Status, out.Code)
	}
}

// The answer to an unsigned header names it.
func TestHeadersNotSigned(t *testing.T) {
	c := services(t).S3()
	out := c.Serve(sim.Request{Method: "PUT", URL: presignPut(t, c, &s3.PutObjectInput{}, time.Hour).URL, Header: http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}, "Content-Md5": {"x"}}})
	b, err := io.ReadAll(out.Body)
	if err != nil || !strings.Contains(string(b), "<HeadersNotSigned>content-md5, x-amz-checksum-crc32</HeadersNotSigned>") {
		t.Errorf("%s, %v", b, err)
	}
}

// A URL dies with the session that signed it, before its own expiry.
func TestPresignedURLDiesWithItsSession(t *testing.T) {
	a, clock := servicesWithClock(t)
	c := a.S3()
	r := sim.Request{Method: "PUT", URL: presignPut(t, c, &s3.PutObjectInput{}, 7*24*time.Hour).URL, Body: sim.Bytes([]byte("x"))}
	clock.Sleep(13 * time.Hour)
	if out := c.Serve(r); out.Status != 400 || out.Code != "ExpiredToken" {
		t.Errorf("answer %d %s, want 400 ExpiredToken", out.Status, out.Code)
	}
}

// Asked for a checksum, the SDK signs that of the empty body: a URL for a part
// whose content is not known yet cannot have one.
func TestPresignedChecksumIsThatOfNothing(t *testing.T) {
	c := services(t).S3()
	id, _ := begin(t, c, "memory")
	signed, err := c.Presign().PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id, PartNumber: aws.Int32(1), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	if err != nil {
		t.Fatal(err)
	}
	out := c.Serve(sim.Request{Method: "PUT", URL: signed.URL, Header: signed.SignedHeader, Body: sim.Content{Length: 5 * mib}})
	if out.Code != "BadDigest" {
		t.Errorf("answer %d %s, want BadDigest", out.Status, out.Code)
	}
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
func TestPresignedParts(t *testing.T) {
	c := services(t).S3()
	id, _ := begin(t, c, "memory")
	for _, tt := range []struct {
		name, url string
		length    int64
		status    int
		code      string
	}{
		{"5 GiB", partURL(t, c, "memory", id, 10_000), 5 << 30, 200, ""},
		{"more than 5 GiB", partURL(t, c, "memory", id, 1), 5<<30 + 1, 400, "EntityTooLarge"},
		{"part 10,001", partURL(t, c, "memory", id, 10_001), 5 * mib, 400, "InvalidArgument"},
		{"part 0", partURL(t, c, "memory", id, 0), 5 * mib, 400, "InvalidArgument"},
		{"no such upload", partURL(t, c, "memory", id+"x", 1), 5 * mib, 404, "NoSuchUpload"},
		{"an upload of another key", partURL(t, c, "other", id, 1), 5 * mib, 404, "NoSuchUpload"},
	} {
		if out := c.Serve(sim.Request{Method: "PUT", URL: tt.url, Body: sim.Content{Length: tt.length}}); out.Status != tt.status || out.Code != tt.code {
			t.Errorf("%s: answer %d %s, want %d %s", tt.name, out.Status, out.Code, tt.status, tt.code)
		}
	}
}

// Under a default retention S3 refuses what comes without a checksum, whatever it is signed with:
// https://github.com/s3tools/s3cmd/issues/1436
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
func TestDefaultRetentionAsksForChecksums(t *testing.T) {
	c := services(t).S3()
	if err := c.SetDefaultRetention(evidenceBucket, &types.DefaultRetention{Mode: "GOVERNANCE", Days: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory")})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Serve(sim.Request{Method: "PUT", URL: partURL(t, c, "memory", *out.UploadId, 1), Body: sim.Content{Length: 5 * mib}}); r.Code != "InvalidRequest" {
		t.Errorf("part: answer %d %s, want InvalidRequest", r.Status, r.Code)
	}
	if r := c.Serve(sim.Request{Method: "PUT", URL: presignPut(t, c, &s3.PutObjectInput{}, time.Hour).URL, Body: sim.Bytes([]byte("x"))}); r.Code != "InvalidRequest" {
		t.Errorf("object: answer %d %s, want InvalidRequest", r.Status, r.Code)
	}
	putObject(t, c, "k", "x") // the SDK's own call has one
	locked, err := c.GetObjectRetention(t.Context(), &s3.GetObjectRetentionInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k")})
	if err != nil || locked.Retention.Mode != "GOVERNANCE" {
		t.Errorf("%+v, %v", locked, err)
	}
}

func TestPresignedGet(t *testing.T) {
	c := services(t).S3()
	putObject(t, c, "tools/avml 0.21", "#!tool")
	signed, err := c.Presign().PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("tools/avml 0.21")})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(signed.URL, "https://"+evidenceBucket+".s3.eu-west-1.amazonaws.com/tools/avml%200.21?") || !strings.Contains(signed.URL, "X-Amz-Expires=900") {
		t.Errorf("URL %s: not Regional, or not 15 minutes", signed.URL)
	}
	out := c.Serve(sim.Request{Method: "GET", URL: signed.URL, Header: http.Header{"Range": {"bytes=0-1"}}})
	if b, err := io.ReadAll(out.Body); err != nil || out.Status != 206 || string(b) != "#!" {
		t.Errorf("answer %d %q, %v", out.Status, b, err)
	}
}

// A bucket holds the tool that a host fetches, and what Hold put there.
func TestWhatTheBucketHolds(t *testing.T) {
	a := services(t)
	c := a.S3()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String(sim.MemoryToolKey)})
	if err != nil {
		t.Fatal(err)
	}
	tool, err := io.ReadAll(out.Body)
	if sum := sha256.Sum256(tool); err != nil || hex.EncodeToString(sum[:]) != sim.MemoryToolSHA256 {
		t.Errorf("the tool has another hash than MemoryToolSHA256 (%v)", err)
	}
	if err := c.Hold(evidenceBucket, "held", sim.Bytes([]byte("here"))); err != nil {
		t.Fatal(err)
	}
	id, etags := begin(t, c, "memory", 5*mib)
	if _, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id, MultipartUpload: parts(etags...)}); err != nil {
		t.Fatal(err)
	}
	begin(t, c, "left open")
	want := []sim.StoredObject{{Key: "held", Size: 4}, {Key: "memory", Size: 5 * mib}, {Key: sim.MemoryToolKey, Size: int64(len(tool))}}
	if d := cmp.Diff(want, c.Objects(evidenceBucket)); d != "" || c.Uploads(evidenceBucket) != 1 {
		t.Errorf("%d uploads are open, want 1; objects (-want +got):\n%s", c.Uploads(evidenceBucket), d)
	}
}

// The address of a part is signed here: to the byte as the SDK's client does,
// and left to it where more than a plain part is asked for.
func TestPresignedPartsAreTheSDKs(t *testing.T) {
	a, clock := servicesWithClock(t)
	part := func(change func(*s3.UploadPartInput)) *s3.UploadPartInput {
		in := &s3.UploadPartInput{Bucket: aws.String(evidenceBucket), Key: aws.String("incidents/1/image.lime"), UploadId: aws.String("upload"), PartNumber: aws.Int32(1)}
		change(in)
		return in
	}
	for name, in := range map[string]*s3.UploadPartInput{
		"plain":          part(func(*s3.UploadPartInput) {}),
		"the last":       part(func(in *s3.UploadPartInput) { in.PartNumber = aws.Int32(10000) }),
		"letters":        part(func(in *s3.UploadPartInput) { in.Key = aws.String("a b/~+=&%?#:;,@$!*'()é日/") }),
		"an upload's":    part(func(in *s3.UploadPartInput) { in.UploadId = aws.String("a b~+/=&%é") }),
		"no key":         part(func(in *s3.UploadPartInput) { in.Key = nil }),
		"no upload":      part(func(in *s3.UploadPartInput) { in.UploadId = aws.String("") }),
		"no part":        part(func(in *s3.UploadPartInput) { in.PartNumber = nil }),
		"a bucket's dot": part(func(in *s3.UploadPartInput) { in.Bucket = aws.String("a.b") }),
		"an owner":       part(func(in *s3.UploadPartInput) { in.ExpectedBucketOwner = aws.String("111122223333") }),
		"a checksum": part(func(in *s3.UploadPartInput) {
			in.ChecksumSHA256 = aws.String("n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=")
		}),
	} {
		for _, life := range []time.Duration{0, time.Second, time.Hour} {
			clock.Sleep(7 * time.Hour) // another day, another session
			options := []func(*s3.PresignOptions){s3.WithPresignExpires(life)}
			want, err1 := a.Presign().PresignClient.PresignUploadPart(t.Context(), in, options...)
			got, err2 := a.Presign().PresignUploadPart(t.Context(), in, options...)
			if (err1 == nil) != (err2 == nil) {
				t.Errorf("%s: %v, the SDK's: %v", name, err2, err1)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, for %v (-the SDK's +ours):\n%s", name, life, diff)
			}
		}
	}
}
