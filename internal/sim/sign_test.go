package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// A signature is checked with the public key alone; what a careless caller
// sends is refused: the whole message for a digest, another key, another
// algorithm.
// https://docs.aws.amazon.com/cli/latest/reference/kms/sign.html
func TestSign(t *testing.T) {
	k := services(t).KMS()
	digest := sha256.Sum256([]byte("a manifest"))
	in := func(change func(*kms.SignInput)) *kms.SignInput {
		in := &kms.SignInput{KeyId: aws.String("signing"), Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256}
		change(in)
		return in
	}
	out, err := k.Sign(t.Context(), in(func(*kms.SignInput) {}))
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: out.KeyId})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKIXPublicKey(public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], out.Signature) {
		t.Error("the signature does not hold")
	}
	for name, c := range map[string]struct {
		change func(*kms.SignInput)
		code   string
	}{
		"a message for a digest": {func(in *kms.SignInput) { in.Message = []byte("a manifest") }, "ValidationException"},
		"a key that seals":       {func(in *kms.SignInput) { in.KeyId = aws.String("mac") }, "InvalidKeyUsageException"},
		"another algorithm":      {func(in *kms.SignInput) { in.SigningAlgorithm = types.SigningAlgorithmSpecRsassaPssSha256 }, "InvalidKeyUsageException"},
		"no such key":            {func(in *kms.SignInput) { in.KeyId = aws.String("none") }, "NotFoundException"},
	} {
		_, err := k.Sign(t.Context(), in(c.change))
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func TestGetObjectIfMatch(t *testing.T) {
	c := services(t).S3()
	was := putObject(t, c, "k", "one").ETag
	get := func() error {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), IfMatch: was})
		return err
	}
	if err := get(); err != nil {
		t.Error(err)
	}
	putObject(t, c, "k", "two")
	var api smithy.APIError
	if err := get(); !errors.As(err, &api) || api.ErrorCode() != "PreconditionFailed" {
		t.Errorf("%v, want PreconditionFailed for another object under the key", err)
	}
}

// However an object of many gigabytes is cut into ranges, what io.Copy gives of
// them is the same, and counts as long as it is; what differs in it differs.
func TestLargeObjectsAreCopiedThinned(t *testing.T) {
	c := services(t).S3()
	copied := func(key, mark string, step int64) (string, int64) {
		out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		var etags []string
		const part = 3<<30 + 5
		for n := 1; n <= 2; n++ {
			r := c.Serve(sim.Request{Method: "PUT", URL: partURL(t, c, key, *out.UploadId, n), Body: sim.Content{Head: []byte("EMiL"), Length: part, Hash: fmt.Sprint(mark, n)}})
			etags = append(etags, r.Header.Get("ETag"))
		}
		if _, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: &key, UploadId: out.UploadId, MultipartUpload: parts(etags...)}); err != nil {
			t.Fatal(err)
		}
		var all bytes.Buffer
		total := int64(0)
		for at := int64(0); at < 2*part; at += step {
			o, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", at, at+step-1))})
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(&all, o.Body)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		return all.String(), total
	}
	whole, n := copied("a", "memory", 7<<30)
	if n != 2*(3<<30+5) {
		t.Errorf("%d bytes were copied, want %d", n, int64(2*(3<<30+5)))
	}
	for _, step := range []int64{1 << 30, 3<<30 + 2, 999_999_937} {
		if cut, n := copied("a", "memory", step); cut != whole || n != 2*(3<<30+5) {
			t.Errorf("in ranges of %d another content was copied, %d bytes", step, n)
		}
	}
	if altered, _ := copied("a", "altered", 7<<30); altered == whole {
		t.Error("an altered part is copied as the true one is")
	}
}
