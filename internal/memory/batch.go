package memory

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// batch is the newest file of addresses.
type batch struct {
	Number int       `json:"number"` // from 1; 0: none yet
	To     int       `json:"to"`     // last part with an address
	At     time.Time `json:"at"`     // when it was signed
}

const (
	// addresses live as long as what they hand out is wanted, at most an hour
	// (a session that is itself assumed lives no longer). The host looks for newer
	// ones every ten minutes and at every end of a batch.
	addressLife  = time.Hour
	firstAddress = 10 * time.Minute // the one in the command, which is kept in its history
	// batchLife and the host's ten minutes, with three between two looks, stay
	// below addressLife by a wide margin.
	batchLife = 20 * time.Minute
	batchSize = 1000
	// ahead is how many parts the host can send until the next look.
	ahead = 700
)

// supply writes the next batch if the host needs one: it has few addresses left,
// or they are old. A batch that was written but not recorded is written again.
func (c *capture) supply(ctx context.Context) error {
	b, p, now := c.state.Batch, c.state.Plan, c.host.Now()
	enough := b.Number > 0 && (b.To >= p.MaxParts || b.To-int(c.state.Seen.Last) >= ahead)
	if enough && now.Sub(b.At) < batchLife {
		return nil
	}
	next := batch{Number: b.Number + 1, To: min(int(c.state.Seen.Last)+batchSize, p.MaxParts), At: now}
	text, err := c.batch(ctx, next.Number, int(c.state.Seen.Last)+1, next.To)
	if err != nil {
		return err
	}
	key := c.batchKey(next.Number)
	if _, err := c.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &c.bucket, Key: key, Body: bytes.NewReader(text), ContentType: aws.String("text/plain"), ServerSideEncryption: types.ServerSideEncryptionAes256,
	}); err != nil {
		return fmt.Errorf("write %s: %w", *key, err)
	}
	c.state.Batch = next
	return c.save(ctx)
}

func (c *capture) batchKey(n int) *string { return c.key(fmt.Sprintf("batch-%06d", n)) }

// batch is the text of a batch; its form is in capture.sh. The next batch need
// not exist for its address to be signed.
func (c *capture) batch(ctx context.Context, number, from, to int) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("cordon-batch 1\n")
	line := func(word string, r *v4.PresignedHTTPRequest, err error) error {
		if err != nil {
			return fmt.Errorf("sign the address of %s: %w", word, err)
		}
		fmt.Fprintf(&b, "%s %s\n", word, r.URL)
		return nil
	}
	if !c.state.Plan.textOnly() {
		tool, _ := c.tool()
		r, err := c.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &tool}, s3.WithPresignExpires(addressLife))
		if err := line("tool", r, err); err != nil {
			return nil, err
		}
	}
	for _, put := range []struct{ word, name string }{{"report", "report.txt"}, {"triage", triageSent}} {
		r, err := c.presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: c.key(put.name)}, s3.WithPresignExpires(addressLife))
		if err := line(put.word, r, err); err != nil {
			return nil, err
		}
	}
	for n := from; n <= to; n++ {
		r, err := c.presign.PresignUploadPart(ctx, &s3.UploadPartInput{
			Bucket: &c.bucket, Key: c.key("image.lime"), UploadId: &c.state.Upload, PartNumber: aws.Int32(int32(n)), //nolint:gosec // S3 numbers 10,000 parts at most
		}, s3.WithPresignExpires(addressLife))
		if err := line(fmt.Sprintf("put %d", n), r, err); err != nil {
			return nil, err
		}
	}
	r, err := c.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: c.batchKey(number + 1)}, s3.WithPresignExpires(addressLife))
	if err := line("next", r, err); err != nil {
		return nil, err
	}
	b.WriteString("end\n")
	return b.Bytes(), nil
}

// first is the address of the newest batch, for the command.
func (c *capture) first(ctx context.Context) (string, error) {
	r, err := c.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: c.batchKey(c.state.Batch.Number)}, s3.WithPresignExpires(firstAddress))
	if err != nil {
		return "", fmt.Errorf("sign the address of the first batch: %w", err)
	}
	return r.URL, nil
}
