// Package evidence is what several steps ask of the evidence bucket.
package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"cordon/internal/chain"
	"cordon/internal/manifest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// The interfaces below are what a step adds up to its own: each is one IAM action.
type (
	Lister interface {
		ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	}
	Getter interface {
		GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	}
)

// Exists says whether there is an object under a key. It lists: to a role that
// may not list, S3 answers a request for what is not there with AccessDenied,
// and a listing says plainly that there is nothing.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func Exists(ctx context.Context, from Lister, bucket, key string) (bool, error) {
	out, err := from.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key, MaxKeys: aws.Int32(1)})
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return len(out.Contents) > 0 && aws.ToString(out.Contents[0].Key) == key, nil
}

// Read reads a small object: at most that many bytes, and a longer one is an error.
func Read(ctx context.Context, from Getter, bucket, key string, most int64) ([]byte, error) {
	out, err := from.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer out.Body.Close()
	var b bytes.Buffer
	b.Grow(int(min(aws.ToInt64(out.ContentLength), most) + bytes.MinRead)) // else it grows eight times for a page
	if _, err := b.ReadFrom(io.LimitReader(out.Body, most+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	text := b.Bytes()
	if int64(len(text)) > most {
		return nil, errLong(fmt.Sprintf("read %s: it has more than %d bytes", key, most))
	}
	return text, nil
}

// errLong is an object that is longer than what it is taken for can be.
type errLong string

func (e errLong) Error() string { return string(e) }

// Hash reads an object, as it is now, into what a manifest says of it.
func Hash(ctx context.Context, from Getter, bucket, key string) (manifest.Object, error) {
	out, err := from.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return manifest.Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	defer out.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, out.Body)
	if err != nil {
		return manifest.Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	return manifest.Object{Key: key, Version: aws.ToString(out.VersionId), Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// Taken says whether a PutObject with If-None-Match found the key taken.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func Taken(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == "PreconditionFailed"
}

// LastEntry is the number of the last entry of an incident's journal; 0 where
// there is none.
func LastEntry(ctx context.Context, from Lister, bucket, incident string) (int, error) {
	last, _, err := Journal(ctx, from, bucket, incident)
	return last, err
}

// Journal is the number of the last entry of an incident's journal, 0 where there
// is none, and the names of what was set aside of it.
func Journal(ctx context.Context, from Lister, bucket, incident string) (last int, aside []string, err error) {
	prefix := chain.Prefix(incident)
	pages := s3.NewListObjectsV2Paginator(from, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		for _, o := range page.Contents {
			name := strings.TrimPrefix(aws.ToString(o.Key), prefix)
			if n, ok := chain.NumberOf(name); ok {
				last = max(last, n)
			} else if name, ok := strings.CutPrefix(name, chain.Aside); ok {
				aside = append(aside, name)
			}
		}
	}
	return last, aside, nil
}

// Entry reads an entry of a journal, as chain.Head does, and the hash by which the
// next one names it. What is there and is no such entry is chain.ErrBroken.
func Entry(ctx context.Context, from Getter, bucket, incident string, number int) (chain.Entry, string, error) {
	key, err := chain.Key(incident, number)
	if err != nil {
		return chain.Entry{}, "", err
	}
	text, err := Read(ctx, from, bucket, key, chain.MaxEntry)
	if long := errLong(""); errors.As(err, &long) {
		return chain.Entry{}, "", fmt.Errorf("%w: %w", chain.ErrBroken, err)
	}
	if err != nil {
		return chain.Entry{}, "", err
	}
	e, err := chain.Head(text)
	if err != nil {
		return chain.Entry{}, "", fmt.Errorf("%w: %s: %w", chain.ErrBroken, key, err)
	}
	if e.Incident != incident || e.Sequence != number {
		return chain.Entry{}, "", fmt.Errorf("%w: %s is entry %d of incident %q", chain.ErrBroken, key, e.Sequence, e.Incident)
	}
	return e, chain.Sum(text), nil
}
