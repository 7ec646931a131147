package close

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"cordon/internal/evidence"
	"cordon/internal/manifest"
	"cordon/internal/message"
	"cordon/internal/report"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// report writes the page that people read and says how the manifest names it. One
// that is there and is the same stays: a run whose answer was lost wrote it. One
// that is another is left alone and named nowhere; this run's stands beside it,
// under its hash: a finding joined between two runs, or somebody was there first.
func (s *Step) report(ctx context.Context, b body, kind message.Kind, manifestKey, name string) (manifest.Object, error) {
	page := report.Page(s.language, b.facts(kind, manifestKey))
	sum := sha256.Sum256(page)
	hash := hex.EncodeToString(sum[:])
	for _, key := range []string{name + ".html", name + "." + hash[:12] + ".html"} {
		out, err := s.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(page), ContentType: aws.String("text/html; charset=utf-8"), IfNoneMatch: aws.String("*"),
			ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(s.host.Now().Add(s.retention)),
		})
		if err == nil {
			return manifest.Object{Key: key, Version: aws.ToString(out.VersionId), Bytes: int64(len(page)), SHA256: hash}, nil
		}
		if !evidence.Taken(err) {
			return manifest.Object{}, fmt.Errorf("write %s: %w", key, err)
		}
		there, err := evidence.Hash(ctx, s.s3, s.bucket, key)
		if err != nil {
			return manifest.Object{}, err
		}
		if there.SHA256 == hash {
			return there, nil
		}
	}
	return manifest.Object{}, fmt.Errorf("others wrote what stands under %s and under its hash", name)
}
