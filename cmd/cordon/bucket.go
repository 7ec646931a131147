package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"cordon/internal/chain"
	"cordon/internal/manifest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// versions is the part of the S3 API that reads evidence where it lies.
type versions interface {
	ListObjectVersions(context.Context, *s3.ListObjectVersionsInput, ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetObjectRetention(context.Context, *s3.GetObjectRetentionInput, ...func(*s3.Options)) (*s3.GetObjectRetentionOutput, error)
}

// bucket is the evidence bucket, with every version of what lies there. Evidence
// is what was written first: it is locked, and what is written over it later hides
// it and does not change it. A manifest names the version of what it signs.
type bucket struct {
	ctx        context.Context // of the command
	s3         versions
	name       string
	hashMemory bool
	all        map[string]*lying // by key
}

// lying is what lies under a key.
type lying struct {
	versions []types.ObjectVersion // the oldest first
	hidden   *time.Time            // since when a delete marker hides it; nil if none does
}

// openBucket lists an incident's objects.
func openBucket(ctx context.Context, from versions, name, id string, hashMemory bool) (*bucket, error) {
	b := &bucket{ctx: ctx, s3: from, name: name, hashMemory: hashMemory, all: map[string]*lying{}}
	return b, b.list("incidents/" + id + "/")
}

// list adds what lies below a prefix.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
func (b *bucket) list(prefix string) error {
	at := func(key *string) *lying {
		k := aws.ToString(key)
		if b.all[k] == nil {
			b.all[k] = &lying{}
		}
		return b.all[k]
	}
	in := &s3.ListObjectVersionsInput{Bucket: &b.name, Prefix: &prefix}
	for {
		out, err := b.s3.ListObjectVersions(b.ctx, in)
		if err != nil {
			return lacks("list the evidence", "s3:ListBucketVersions", err)
		}
		for _, v := range out.Versions { // of a key the newest comes first
			l := at(v.Key)
			l.versions = slices.Insert(l.versions, 0, v)
		}
		for _, m := range out.DeleteMarkers {
			if l := at(m.Key); aws.ToBool(m.IsLatest) {
				l.hidden = m.LastModified
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
}

// under is what lies under a key; the event lies elsewhere than its incident.
func (b *bucket) under(key string) (*lying, error) {
	if b.all[key] == nil {
		if err := b.list(key); err != nil {
			return nil, err
		}
	}
	if l := b.all[key]; l != nil {
		return l, nil
	}
	b.all[key] = &lying{}
	return b.all[key], nil
}

// meant is the place of the version that is evidence: the one that a manifest
// names, else the first; -1 if it is not there.
func (l *lying) meant(version string) int {
	if version == "" && len(l.versions) > 0 {
		return 0
	}
	return slices.IndexFunc(l.versions, func(v types.ObjectVersion) bool { return aws.ToString(v.VersionId) == version })
}

func (b *bucket) names(prefix string) ([]string, error) {
	prefix += "/"
	var all []string
	for _, key := range slices.Sorted(maps.Keys(b.all)) {
		if name, ok := strings.CutPrefix(key, prefix); ok && len(b.all[key].versions) > 0 && !strings.Contains(name, "/") {
			all = append(all, name)
		}
	}
	return all, nil
}

func (b *bucket) read(key string, most int64) ([]byte, error) {
	r, size, err := b.version(key, "")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return bounded(r, size, most)
}

// isImage says whether a key is that of an image of a memory, which may have
// terabytes.
func isImage(key string) bool { return strings.HasSuffix(key, "/memory/image.lime") }

func (b *bucket) open(o manifest.Object) (io.ReadCloser, error) {
	if isImage(o.Key) && !b.hashMemory {
		l, err := b.under(o.Key)
		if err != nil {
			return nil, err
		}
		n := l.meant(o.Version)
		if n < 0 {
			return nil, gone(o.Key, o.Version)
		}
		if err := o.Fits(aws.ToInt64(l.versions[n].Size)); err != nil {
			return nil, err
		}
		return nil, manifest.ErrUnread
	}
	r, size, err := b.version(o.Key, o.Version)
	if err != nil {
		return nil, err
	}
	if err := o.Fits(size); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func gone(key, version string) error {
	if version == "" {
		return fmt.Errorf("there is no %s", key)
	}
	return fmt.Errorf("its version %s is not there", version)
}

// version opens the version that is evidence, and says how long it is.
func (b *bucket) version(key, version string) (io.ReadCloser, int64, error) {
	l, err := b.under(key)
	if err != nil {
		return nil, 0, err
	}
	n := l.meant(version)
	if n < 0 {
		return nil, 0, gone(key, version)
	}
	out, err := b.s3.GetObject(b.ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, VersionId: l.versions[n].VersionId})
	if err != nil {
		return nil, 0, lacks("read "+key, "s3:GetObjectVersion", err)
	}
	return out.Body, aws.ToInt64(out.ContentLength), nil
}

// piece is an object that is evidence.
type piece struct {
	key, version string // the version is empty where it is the first
	days         int    // for which it is to be locked; 0 where it is not
}

// pieces are the journal, the manifests and what they name, of an incident. All of
// it is locked; but what did not write in its manifest for how long did not lock the
// event either. days is how long the stack locks now, for what no manifest says it of.
func pieces(id string, f found, days int) []piece {
	var all []piece
	seen := map[string]bool{}
	add := func(p piece) {
		if !seen[p.key] {
			seen[p.key] = true
			all = append(all, p)
		}
	}
	for _, m := range f.closed {
		s, err := saysOf(m) // taken tells of the error
		said := err == nil && s.RetentionDays > 0
		if said {
			days = s.RetentionDays
		}
		for _, o := range m.Objects {
			p := piece{key: o.Key, version: o.Version}
			if said || strings.HasPrefix(o.Key, "incidents/"+id+"/") {
				p.days = days
			}
			add(p)
		}
		add(piece{key: "incidents/" + id + "/manifests/" + m.Run + ".json", days: days})
		// The first that signed an entry knows for how long the stack locked then.
		for _, k := range f.entries {
			if n, _ := chain.NumberOf(path.Base(k)); n <= m.Journal.Entries {
				add(piece{key: k, days: days})
			}
		}
	}
	for _, k := range slices.Concat(f.files, f.entries) {
		add(piece{key: k, days: days})
	}
	slices.SortFunc(all, func(a, b piece) int { return strings.Compare(a.key, b.key) })
	return all
}

// mostLines bounds what is told of one kind: what happened to one object often
// happened to all of them.
const mostLines = 20

// lines are what is to be said of pieces, of one kind.
type lines struct {
	t  *teller
	id string
	n  int
}

func (l *lines) wrong(format string, args ...any) {
	switch l.n++; {
	case l.n <= mostLines:
		l.t.wrong(l.id, format, args...)
	case l.n == mostLines+1:
		l.t.wrong(l.id, "and more of that")
	}
}

// layers says what was put over the evidence, or beside it.
func (b *bucket) layers(id string, all []piece, t *teller) {
	over, hidden := &lines{t: t, id: id}, &lines{t: t, id: id}
	for _, p := range all {
		l, err := b.under(p.key)
		if err != nil {
			t.lacking(id, "%v", err)
			return
		}
		n := l.meant(p.version)
		if n < 0 {
			continue // told already
		}
		newer := len(l.versions) - 1 - n
		if newer > 0 {
			over.wrong("%s was written over %s, last at %s; what was written first is still there as version %s, and a copy made by its name alone gets the other", p.key, count(newer, "time", "times"),
				stamp(l.versions[len(l.versions)-1].LastModified), aws.ToString(l.versions[n].VersionId))
		}
		if l.hidden != nil {
			hidden.wrong("%s is hidden by a delete marker since %s; it is still there as version %s", p.key, stamp(l.hidden), aws.ToString(l.versions[n].VersionId))
		}
		if n > 0 {
			t.say(id, "%s has %s before the one that was signed, version %s", p.key, count(n, "version", "versions"), aws.ToString(l.versions[n].VersionId))
		}
	}
}

func stamp(at *time.Time) string { return aws.ToTime(at).UTC().Format(time.RFC3339) }

// slack is how far a lock may be short: it is counted from before the object is
// sent, and S3 says when it came.
const slack = 15 * time.Minute

// locks holds each piece's retention against what it is to be.
func (b *bucket) locks(id string, all []piece, now time.Time, each func(int, func(int)), t *teller) {
	type answer struct {
		until  time.Time
		locked bool
		held   bool
		err    error
	}
	all = slices.DeleteFunc(slices.Clone(all), func(p piece) bool { return p.days == 0 || b.all[p.key] == nil || b.all[p.key].meant(p.version) < 0 })
	answers := make([]answer, len(all))
	each(len(all), func(n int) {
		a, v := &answers[n], b.all[all[n].key].versions[b.all[all[n].key].meant(all[n].version)]
		a.until, a.locked, a.held, a.err = b.lock(all[n].key, *v.VersionId)
	})
	not, short := &lines{t: t, id: id}, &lines{t: t, id: id}
	held, over := 0, 0
	for n, a := range answers {
		written := aws.ToTime(b.all[all[n].key].versions[b.all[all[n].key].meant(all[n].version)].LastModified)
		want := written.AddDate(0, 0, all[n].days)
		if a.held {
			held++
		}
		switch {
		case a.err != nil:
			t.lacking(id, "the locks were not looked at: %v", a.err)
			return
		case !a.locked:
			not.wrong("%s is not locked; it was to be until %s", all[n].key, stamp(&want))
		case a.until.Before(want.Add(-slack)):
			short.wrong("%s is locked until %s; it was to be until %s, %s after it was written", all[n].key, stamp(&a.until), stamp(&want), count(all[n].days, "day", "days"))
		case !a.until.After(now):
			over++
		}
	}
	if over > 0 {
		t.say(id, "the locks of %s are over, as they were to be: only the bucket's policy keeps them", count(over, "object", "objects"))
	}
	if held > 0 {
		t.say(id, "%s under legal hold", count(held, "object is", "objects are"))
	}
}

// lock is how a version is locked. A HEAD leaves out the lock for whoever may not
// see it, too, so where it says none the retention itself is asked for.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func (b *bucket) lock(key, version string) (until time.Time, locked, held bool, err error) {
	head, err := b.s3.HeadObject(b.ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key, VersionId: &version})
	if err != nil {
		return time.Time{}, false, false, lacks("look at "+key, "s3:GetObjectVersion", err)
	}
	held = head.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn
	if head.ObjectLockMode != "" {
		return aws.ToTime(head.ObjectLockRetainUntilDate), true, held, nil
	}
	_, err = b.s3.GetObjectRetention(b.ctx, &s3.GetObjectRetentionInput{Bucket: &b.name, Key: &key, VersionId: &version})
	var answer smithy.APIError
	switch {
	case errors.As(err, &answer) && answer.ErrorCode() == "NoSuchObjectLockConfiguration":
		return time.Time{}, false, held, nil
	case err != nil:
		return time.Time{}, false, false, lacks("look at the lock of "+key, "s3:GetObjectRetention", err)
	}
	return time.Time{}, false, false, fmt.Errorf("%s: S3 shows its lock and leaves it out at once; run it again", key)
}

// lacks says which right an operator lacks, where that is why AWS refused.
func lacks(what, right string, err error) error {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		for _, code := range []string{"AccessDenied", "Forbidden", "UnauthorizedOperation"} {
			if strings.Contains(answer.ErrorCode(), code) {
				return fmt.Errorf("%s: your credentials lack %s (%s); docs/evidence.md lists what verify needs", what, right, answer.ErrorMessage())
			}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
