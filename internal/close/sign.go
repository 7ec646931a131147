package close

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// body is a manifest: everything that the machine knows of the incident, what
// the record has of it, and the hashes of the objects.
type body struct {
	Format   string             `json:"format"`
	ClosedAt time.Time          `json:"closedAt"`
	Input                       // as the machine hands it over
	Console  incident.Console   `json:"console"`
	Findings []incident.Finding `json:"findings"` // all that came
	Before   []record.Prior     `json:"before"`   // each value as it was before it was changed, also by an incident that this one inherits from
	Objects  []manifest.Object  `json:"objects"`
	Missing  []string           `json:"missing"` // keys that the record names and the bucket does not have any more, or that have no hash
}

// sign writes this closing's manifest, signed and locked. One that is there
// stays: a run whose answer was lost wrote it. An incident that was kept may be
// released months later, by another execution: each has a manifest of its own.
func (s *Step) sign(ctx context.Context, in Input, console incident.Console) error {
	b := body{Format: manifest.Format, ClosedAt: s.host.Now().UTC(), Input: in, Console: console, Before: []record.Prior{}}
	var err error
	if b.Findings, err = record.Findings(ctx, s.incidents, s.table, in.Incident.ID); err != nil {
		return fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	if err = record.EachPrior(ctx, s.incidents, s.table, in.Incident, func(p record.Prior) error {
		b.Before = append(b.Before, p)
		return nil
	}); err != nil {
		return fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	if b.Objects, b.Missing, err = s.objects(ctx, in, console); err != nil {
		return fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	text, err := manifest.Canonical(b)
	if err != nil {
		return fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	signed, err := s.kms.Sign(ctx, &kms.SignInput{
		KeyId: &s.key, Message: manifest.Digest(text), MessageType: kmstypes.MessageTypeDigest, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return fmt.Errorf("sign the manifest of incident %s: %w", in.Incident.ID, err)
	}
	file, err := manifest.Canonical(manifest.Signed{Manifest: text, Signature: signed.Signature})
	if err != nil {
		return fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	_, run, ok := strings.Cut(in.Execution, ":execution:")
	if !ok {
		return fmt.Errorf("manifest of incident %s: %q is no ARN of an execution", in.Incident.ID, in.Execution)
	}
	_, run, _ = strings.Cut(run, ":") // the machine's name
	key := "incidents/" + in.Incident.ID + "/manifests/" + run + ".json"
	_, err = s.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(file), ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(s.host.Now().Add(s.retention)),
	})
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorCode() == "PreconditionFailed" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// objects are those of the incident, with their hashes. That of the image was
// computed before, as it takes longer than this step may.
// What is gone is named: an incident that is closed months later may have outlived
// its evidence. So is an image that could not be hashed.
func (s *Step) objects(ctx context.Context, in Input, console incident.Console) (all []manifest.Object, missing []string, err error) {
	all, missing = []manifest.Object{}, []string{}
	small := []string{}
	if in.Event != "" {
		small = append(small, in.Event)
	}
	if in.Memory.Object != "" {
		small = append(small, "incidents/"+in.Incident.ID+"/memory/parts.json")
	}
	for _, k := range []incident.Kept{console.Output, console.Screenshot} {
		if k.Object != "" {
			small = append(small, k.Object)
		}
	}
	for _, key := range small {
		there, err := s.exists(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		if !there {
			missing = append(missing, key)
			continue
		}
		o, err := s.hash(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, o)
	}
	switch {
	case in.Digest.SHA256 != "":
		all = append(all, manifest.Object{Key: in.Memory.Object, Bytes: in.Digest.Bytes, SHA256: in.Digest.SHA256})
	case in.Memory.Object != "":
		missing = append(missing, in.Memory.Object)
	}
	manifest.Sort(all)
	return all, missing, nil
}

// exists lists: a read says "access denied" of what is not there to whom may not
// list, and a listing says plainly that there is nothing.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (s *Step) exists(ctx context.Context, key string) (bool, error) {
	out, err := s.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &key, MaxKeys: aws.Int32(1)})
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return len(out.Contents) > 0 && aws.ToString(out.Contents[0].Key) == key, nil
}

func (s *Step) hash(ctx context.Context, key string) (manifest.Object, error) {
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return manifest.Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	defer out.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, out.Body)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	return manifest.Object{Key: key, Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}
