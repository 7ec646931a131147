// Package digest hashes the memory image where it lies, in the evidence bucket.
// The hash that the host reported is the intruder's word; this one is ours, and
// whether the two agree is recorded.
//
// An image may take hours to read. A run reads for some minutes, keeps the state
// of the hash, and the next one goes on from there.
package digest

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// S3 is the part of the S3 API this step calls, on the evidence bucket.
type S3 interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

// Input is the incident and what its capture came to.
type Input struct {
	Incident incident.Incident `json:"incident"`
	Memory   incident.Memory   `json:"memory"`
}

// Output says how far the hash is. Until Done the machine asks again.
type Output = incident.Digest

// Step hashes images.
type Step struct {
	host      incident.Host
	s3        S3
	incidents Incidents

	table, bucket string
	rangeBytes    int64
}

// New reads INCIDENTS_TABLE and EVIDENCE_BUCKET.
func New(host incident.Host, s3 S3, incidents Incidents) (*Step, error) {
	s := &Step{host: host, s3: s3, incidents: incidents, rangeBytes: rangeBytes}
	var err error
	if s.table, err = host.Setting("INCIDENTS_TABLE"); err != nil {
		return nil, err
	}
	s.bucket, err = host.Setting("EVIDENCE_BUCKET")
	return s, err
}

const (
	stepName = "digest"
	// A run ends after span, with time left in its 15 minutes to read one range
	// more at 1.5 MiB a second.
	span       = 12 * time.Minute
	rangeBytes = 256 << 20 // read by one request
	// keptEvery is how often the hash is recorded: what a killed run has to read
	// again. Each record is an entry of the journal, and 24 TiB are 98,304 ranges.
	keptEvery = time.Minute
)

// state is what the step knows when it runs again.
type state struct {
	ETag   string           `json:"etag"`   // of what is hashed; it stays one object
	Length int64            `json:"length"` // of the object; 0 until it is known
	Bytes  int64            `json:"bytes"`  // hashed
	Hash   []byte           `json:"hash"`   // SHA-256 of them, as Go saves its state
	Result *incident.Digest `json:"result"`
}

// Run is safe to repeat: it picks up where an earlier run stopped.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if in.Memory.Object == "" {
		return Output{Report: incident.Report{Status: incident.Skipped, Reason: "there is no memory image"}, Done: true}, nil
	}
	var st state
	begun, err := record.LoadStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, &st)
	if err != nil {
		return Output{}, err
	}
	if st.Result != nil {
		return *st.Result, nil
	}
	h := sha256.New()
	// A state that another Go saved may not be readable. Then all is read anew, of
	// the object that was begun.
	if begun && h.(encoding.BinaryUnmarshaler).UnmarshalBinary(st.Hash) != nil {
		h, st.Bytes = sha256.New(), 0
	}
	began := s.host.Now()
	last, kept := began, st.Bytes
	keep := func() error {
		last, kept = s.host.Now(), st.Bytes
		return s.save(ctx, in.Incident.ID, &st, h)
	}
	for st.Length == 0 || st.Bytes < st.Length {
		if s.host.Now().Sub(began) > span {
			return Output{
				Report: incident.Report{Status: incident.OK, Reason: fmt.Sprintf("%d of %d bytes are hashed", st.Bytes, st.Length)},
				Bytes:  st.Bytes, Claimed: in.Memory.SHA256,
			}, keep()
		}
		err := s.read(ctx, in.Memory.Object, &st, h)
		if replaced(err) {
			st.Result = &incident.Digest{
				Report: incident.Report{Status: incident.Failed, Reason: fmt.Sprintf("the object was replaced by another after %d of its %d bytes were hashed", st.Bytes, st.Length)},
				Done:   true, Bytes: st.Bytes, Claimed: in.Memory.SHA256,
			}
			return *st.Result, keep()
		}
		// What was read of a range that broke off is kept, too.
		if st.Bytes > kept && (err != nil || s.host.Now().Sub(last) >= keptEvery) {
			if err := keep(); err != nil {
				return Output{}, err
			}
		}
		if err != nil {
			return Output{}, err
		}
	}
	result := compare(hex.EncodeToString(h.Sum(nil)), st.Bytes, in.Memory)
	st.Result = &result
	return result, keep()
}

// compare holds the hash of the object against what the host said of it.
func compare(found string, bytes int64, m incident.Memory) incident.Digest {
	d := incident.Digest{Done: true, Bytes: bytes, SHA256: found, Claimed: m.SHA256, Agrees: strings.EqualFold(found, m.SHA256)}
	switch {
	case d.Agrees:
		d.Status = incident.OK
	case m.SHA256 == "":
		d.Report = incident.Report{Status: incident.Partial, Reason: "the host reported no hash to compare with"}
	default:
		d.Report = incident.Report{Status: incident.Failed, Reason: "the host's hash is not that of the object in the bucket"}
	}
	return d
}

// read hashes the next range of the object.
func (s *Step) read(ctx context.Context, key string, st *state, h hash.Hash) error {
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", st.Bytes, st.Bytes+s.rangeBytes-1))}
	if st.ETag != "" {
		in.IfMatch = &st.ETag
	}
	out, err := s.s3.GetObject(ctx, in)
	if err != nil {
		return fmt.Errorf("read %s from byte %d: %w", key, st.Bytes, err)
	}
	defer out.Body.Close()
	// "bytes 0-99/1000"
	_, length, ok := strings.Cut(aws.ToString(out.ContentRange), "/")
	if st.Length, err = strconv.ParseInt(length, 10, 64); !ok || err != nil || st.Length <= st.Bytes {
		return fmt.Errorf("read %s from byte %d: the answer's range is %q", key, st.Bytes, aws.ToString(out.ContentRange))
	}
	st.ETag = aws.ToString(out.ETag)
	n, err := io.Copy(h, out.Body)
	st.Bytes += n
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read %s at byte %d: %w", key, st.Bytes, err)
	}
	return nil
}

// replaced says that S3 has another object under the key.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func replaced(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed"
}

func (s *Step) save(ctx context.Context, id string, st *state, h hash.Hash) error {
	var err error
	if st.Hash, err = h.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return fmt.Errorf("keep the hash of incident %s after %d bytes: %w", id, st.Bytes, err)
	}
	return record.SaveStep(ctx, s.incidents, s.table, id, stepName, st)
}
