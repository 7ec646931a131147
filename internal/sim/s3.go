package sim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// S3 holds the evidence bucket: versioned, Object Lock enabled, deletes denied
// by its policy.
type S3 struct {
	a       *Account
	buckets map[string]*bucket
	ids     int // version and upload IDs given out
	key     struct {
		of string
		is []byte
	} // the newest that signed
}

// The bucket holds a tool for hosts to fetch, though no simulated host runs it.
const (
	MemoryToolKey    = "tools/avml"
	MemoryToolSHA256 = "9770aad6d086271db15552ea59a9fc7fa6bbeffb714f1a946af8bb8b2fd42376"
	memoryTool       = "#!/bin/sh\n# A simulated host runs no tool. This one is here to be fetched and hashed.\n"
)

func newS3(a *Account) *S3 {
	b := &bucket{name: a.settings.Bucket, versions: map[string][]*object{}, uploads: map[string]*upload{}}
	s := &S3{a: a, buckets: map[string]*bucket{b.name: b}}
	tool := &object{
		key: MemoryToolKey, version: s.id("version"), etag: etag(Bytes([]byte(memoryTool)).digest(), types.ServerSideEncryptionAes256), contentType: "binary/octet-stream", modified: a.now(),
		encryption: types.ServerSideEncryptionAes256, parts: []Content{Bytes([]byte(memoryTool))},
	}
	b.versions[tool.key] = []*object{tool}
	return s
}

type bucket struct {
	name     string
	versions map[string][]*object // by key, oldest first
	uploads  map[string]*upload   // by ID
	// retention is the bucket's default retention; nil for none.
	retention *types.DefaultRetention
}

// Content is what an object or a part holds. Head is its first bytes; what
// follows up to Length are zeros that nobody stores, so that an image of
// hundreds of gigabytes costs a few bytes.
type Content struct {
	Head   []byte
	Length int64
	Hash   string // tells contents of the same head and length apart, if need be
}

// Bytes is content that is there as a whole.
func Bytes(b []byte) Content { return Content{Head: b, Length: int64(len(b))} }

// digest is an MD5 of the content, as far as it is there.
func (c Content) digest() []byte {
	m := md5.New()
	m.Write(c.Head)
	if c.Length != int64(len(c.Head)) || c.Hash != "" {
		fmt.Fprintf(m, "\x00%d\x00%s", c.Length, c.Hash)
	}
	return m.Sum(nil)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// reader reads n bytes from offset on.
func (c Content) reader(offset, n int64) io.Reader {
	head := c.Head[min(offset, int64(len(c.Head))):]
	head = head[:min(n, int64(len(head)))]
	return io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, n-int64(len(head))))
}

// object is one version of an object.
type object struct {
	key, version, etag, contentType string
	modified                        time.Time
	metadata                        map[string]string
	encryption                      types.ServerSideEncryption
	parts                           []Content // one, unless it was uploaded in parts
	retention                       *types.ObjectLockRetention
	legalHold                       bool
	marker                          bool // a delete marker: there is nothing under the key as long as it is the newest
}

func (o *object) length() int64 {
	n := int64(0)
	for _, p := range o.parts {
		n += p.Length
	}
	return n
}

// reader reads n bytes from offset on.
func (o *object) reader(offset, n int64) io.Reader {
	var all []io.Reader
	for _, p := range o.parts {
		if n == 0 { // an image has 10,000 parts, and is read in very many ranges
			break
		}
		if offset >= p.Length {
			offset -= p.Length
			continue
		}
		take := min(n, p.Length-offset)
		all = append(all, p.reader(offset, take))
		offset, n = 0, n-take
	}
	return io.MultiReader(all...)
}

type upload struct {
	id, key, contentType string
	initiated            time.Time
	metadata             map[string]string
	encryption           types.ServerSideEncryption
	retention            *types.ObjectLockRetention
	parts                map[int32]part
}

type part struct {
	etag     string
	modified time.Time
	content  Content
}

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const (
	maxPut     = 5 << 30
	minPart    = 5 << 20
	maxParts   = 10_000
	pageLength = 1000
)

// refusal is an answer of S3 that the SDK has no type for. Which codes have one
// differs from call to call: NoSuchUpload is a type for AbortMultipartUpload only.
func refusal(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message, Fault: smithy.FaultClient}
}

func noSuchUpload() error {
	return refusal("NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
}

func (s *S3) bucket(name *string) (*bucket, error) {
	if b := s.buckets[aws.ToString(name)]; b != nil {
		return b, nil
	}
	return nil, refusal("NoSuchBucket", "The specified bucket does not exist")
}

// objectResources is what a call concerns: the bucket, and the key where it names one.
func objectResources(bucket, key *string) []string {
	if key == nil {
		return []string{aws.ToString(bucket)}
	}
	return []string{aws.ToString(bucket), *key}
}

// Hold puts an object into a bucket without a call, as if it had been there before.
func (s *S3) Hold(name, key string, c Content) error {
	b, err := s.bucket(&name)
	if err != nil {
		return err
	}
	return s.write(b, &object{key: key, parts: []Content{c}}, false)
}

// StoredObject is the current version of an object.
type StoredObject struct {
	Key       string
	Size      int64
	Retention *types.ObjectLockRetention `json:",omitempty"` // nil where it is not locked
}

// Objects are the current versions in a bucket, by key.
func (s *S3) Objects(name string) []StoredObject {
	b := s.buckets[name]
	if b == nil {
		return nil
	}
	var all []StoredObject
	for _, key := range slices.Sorted(maps.Keys(b.versions)) {
		if o := b.latest(&key, nil); o != nil {
			all = append(all, StoredObject{key, o.length(), o.retention})
		}
	}
	return all
}

// Copy writes the current version of an object, without a call: for those who
// look at a run afterwards. What it writes of zeros that nobody stores is what a
// copy in the run gets, too.
func (s *S3) Copy(to io.Writer, name, key string) error {
	b, err := s.bucket(&name)
	if err != nil {
		return err
	}
	o := b.latest(&key, nil)
	if o == nil {
		return fmt.Errorf("the bucket %s has no %s", name, key)
	}
	_, err = o.body(0, o.length()).WriteTo(to)
	return err
}

// Uploads is how many multipart uploads of a bucket are under way.
func (s *S3) Uploads(name string) int {
	b := s.buckets[name]
	if b == nil {
		return 0
	}
	return len(b.uploads)
}

// SetDefaultRetention gives a bucket a default retention.
func (s *S3) SetDefaultRetention(name string, r *types.DefaultRetention) error {
	b, err := s.bucket(&name)
	if err == nil {
		b.retention = r
	}
	return err
}

// id is a new ID for a version or an upload; the same run gives the same ones.
func (s *S3) id(what string) string {
	s.ids++
	return s.a.token("s3", what, s.ids)[:32]
}

// latest is the current version of an object, or the one named; nil if there is
// none, which a delete marker makes of an object that is not named by its version.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
func (b *bucket) latest(key, version *string) *object {
	all := b.versions[aws.ToString(key)]
	for n := len(all) - 1; n >= 0; n-- {
		switch {
		case version != nil && all[n].version == *version:
			return all[n]
		case version == nil && all[n].marker:
			return nil
		case version == nil:
			return all[n]
		}
	}
	return nil
}

// notAllowed is the answer to whoever asks for a delete marker by its version.
func notAllowed() error {
	return refusal("MethodNotAllowed", "The specified method is not allowed against this resource.")
}

// retain is the retention that a write asks for, else the bucket's own.
func (b *bucket) retain(mode types.ObjectLockMode, until *time.Time, now time.Time) (*types.ObjectLockRetention, error) {
	if (mode == "") != (until == nil) {
		return nil, refusal("InvalidArgument", "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if until != nil {
		if !until.After(now) {
			return nil, refusal("InvalidArgument", "The retain until date must be in the future!")
		}
		return &types.ObjectLockRetention{Mode: types.ObjectLockRetentionMode(mode), RetainUntilDate: until}, nil
	}
	if d := b.retention; d != nil {
		end := now.AddDate(int(aws.ToInt32(d.Years)), 0, int(aws.ToInt32(d.Days)))
		return &types.ObjectLockRetention{Mode: d.Mode, RetainUntilDate: &end}, nil
	}
	return nil, nil
}

// etag is an entity tag: the MD5 of the content only where S3's own key
// encrypts it and it came in one piece.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
func etag(digest []byte, encryption types.ServerSideEncryption) string {
	if encryption != types.ServerSideEncryptionAes256 {
		m := md5.Sum(append([]byte(encryption), digest...))
		digest = m[:]
	}
	return `"` + hex.EncodeToString(digest) + `"`
}

// etagOfParts is the entity tag of an object that came in parts.
func etagOfParts(digests []byte, parts int, encryption types.ServerSideEncryption) string {
	m := md5.Sum(digests)
	return fmt.Sprintf(`%s-%d"`, strings.TrimSuffix(etag(m[:], encryption), `"`), parts)
}

func checkKey(key *string) error {
	if len(aws.ToString(key)) > 1024 {
		return refusal("KeyTooLongError", "Your key is too long")
	}
	return nil
}

// PutObject adds a version.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
func (s *S3) PutObject(ctx context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "PutObject", mutating: true, resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key"},
		takes: []string{"Body", "ContentType", "ContentLength", "Metadata", "IfNoneMatch", "ObjectLockMode", "ObjectLockRetainUntilDate", "ChecksumAlgorithm", "ChecksumSHA256", "ChecksumCRC32", "ChecksumCRC32C", "ContentMD5", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "ExpectedBucketOwner"},
	}, in, s.putObject)
}

func (s *S3) putObject(in *s3.PutObjectInput, _ bool) (*s3.PutObjectOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	var body []byte
	if in.Body != nil {
		var b bytes.Buffer
		if known, ok := in.Body.(interface{ Len() int }); ok {
			b.Grow(known.Len() + bytes.MinRead)
		}
		if _, err := b.ReadFrom(in.Body); err != nil {
			return nil, fmt.Errorf("read the body of %s: %w", aws.ToString(in.Key), err)
		}
		body = b.Bytes()
	}
	if in.ContentLength != nil && *in.ContentLength != int64(len(body)) {
		return nil, refusal("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
	}
	sent := map[string]*string{"content-md5": in.ContentMD5, "x-amz-checksum-sha256": in.ChecksumSHA256, "x-amz-checksum-crc32": in.ChecksumCRC32, "x-amz-checksum-crc32c": in.ChecksumCRC32C}
	if _, err := checksums(Bytes(body), func(name string) string { return aws.ToString(sent[name]) }); err != nil {
		return nil, err
	}
	if in.IfNoneMatch != nil && *in.IfNoneMatch != "*" {
		return nil, refusal("NotImplemented", "A header you provided implies functionality that is not implemented")
	}
	r, err := b.retain(in.ObjectLockMode, in.ObjectLockRetainUntilDate, s.a.now())
	if err != nil {
		return nil, err
	}
	// The SDK sends a checksum of its own with every PutObject, which is what a retention asks for.
	o := &object{key: aws.ToString(in.Key), contentType: aws.ToString(in.ContentType), metadata: in.Metadata, encryption: in.ServerSideEncryption, retention: r, parts: []Content{Bytes(body)}}
	if err := s.write(b, o, in.IfNoneMatch != nil); err != nil {
		return nil, err
	}
	return &s3.PutObjectOutput{
		ETag: &o.etag, VersionId: &o.version, ServerSideEncryption: o.encryption,
		ChecksumSHA256: in.ChecksumSHA256, ChecksumCRC32: in.ChecksumCRC32, ChecksumCRC32C: in.ChecksumCRC32C,
	}, nil
}

// write adds a version that came in one piece; onlyNew refuses to add to a key that has one.
func (s *S3) write(b *bucket, o *object, onlyNew bool) error {
	if err := checkKey(&o.key); err != nil {
		return err
	}
	if o.length() > maxPut {
		return refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	if onlyNew && b.latest(&o.key, nil) != nil {
		return refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	}
	o.encryption = cmp.Or(o.encryption, types.ServerSideEncryptionAes256) // S3's default
	o.version, o.etag, o.modified = s.id("version"), etag(o.parts[0].digest(), o.encryption), s.a.now().Truncate(time.Second)
	o.contentType, o.metadata = cmp.Or(o.contentType, "binary/octet-stream"), lowerKeys(o.metadata)
	b.versions[o.key] = append(b.versions[o.key], o)
	return nil
}

// lowerKeys: S3 keeps the names of metadata in lower case.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
func lowerKeys(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out[strings.ToLower(k)] = m[k]
	}
	return out
}

// owned is the bucket, if it belongs to the account that the caller expects.
func (s *S3) owned(name, owner *string) (*bucket, error) {
	if owner != nil && *owner != s.a.account() {
		return nil, refusal("AccessDenied", "Access Denied")
	}
	return s.bucket(name)
}

// span is the range of an object that a Range header asks for.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func span(header *string, length int64) (offset, n int64, partial bool, err error) {
	if header == nil {
		return 0, length, false, nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(*header, "bytes="), "-")
	if !ok || !strings.HasPrefix(*header, "bytes=") || strings.Contains(to, ",") {
		return 0, length, false, nil // a range that S3 cannot read is passed over
	}
	unsatisfiable := refusal("InvalidRange", "The requested range is not satisfiable")
	number := func(s string) (n int64, ok bool) {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil && n >= 0
	}
	last := int64(math.MaxInt64)
	if to != "" {
		if last, ok = number(to); !ok {
			return 0, length, false, nil
		}
	}
	if from == "" { // the last bytes
		if to == "" {
			return 0, length, false, nil
		}
		if last == 0 || length == 0 {
			return 0, 0, false, unsatisfiable
		}
		n := min(last, length)
		return length - n, n, true, nil
	}
	first, ok := number(from)
	if !ok || last < first {
		return 0, length, false, nil
	}
	if first >= length {
		return 0, 0, false, unsatisfiable
	}
	return first, min(last, length-1) - first + 1, true, nil
}

// GetObject reads an object or a range of it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (s *S3) GetObject(ctx context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "GetObject", resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key"},
		takes: []string{"Range", "IfMatch", "VersionId", "ExpectedBucketOwner", "ChecksumMode"},
	}, in, s.getObject)
}

func (s *S3) getObject(in *s3.GetObjectInput, _ bool) (*s3.GetObjectOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	o := b.latest(in.Key, in.VersionId)
	if o == nil {
		if in.VersionId != nil {
			return nil, refusal("NoSuchVersion", "The specified version does not exist.")
		}
		return nil, &types.NoSuchKey{Message: aws.String("The specified key does not exist.")}
	}
	if o.marker {
		return nil, notAllowed()
	}
	if in.IfMatch != nil && *in.IfMatch != o.etag {
		return nil, refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	}
	length := o.length()
	offset, n, partial, err := span(in.Range, length)
	if err != nil {
		return nil, err
	}
	out := &s3.GetObjectOutput{
		AcceptRanges: aws.String("bytes"), Body: o.body(offset, n), ContentLength: &n, ContentType: &o.contentType, ETag: &o.etag,
		LastModified: &o.modified, Metadata: maps.Clone(o.metadata), VersionId: &o.version, ServerSideEncryption: o.encryption,
	}
	if partial {
		out.ContentRange = aws.String(fmt.Sprintf("bytes %d-%d/%d", offset, offset+n-1, length))
	}
	if r := o.retention; r != nil {
		out.ObjectLockMode, out.ObjectLockRetainUntilDate = types.ObjectLockMode(r.Mode), aws.Time(*r.RetainUntilDate)
	}
	return out, nil
}

// HeadObject says what an object is. A HEAD answer has no body: whatever is not
// there is NotFound, never NoSuchKey.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func (s *S3) HeadObject(ctx context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "HeadObject", resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key"},
		takes: []string{"VersionId", "ExpectedBucketOwner", "ChecksumMode"},
	}, in, s.headObject)
}

func (s *S3) headObject(in *s3.HeadObjectInput, _ bool) (*s3.HeadObjectOutput, error) {
	if in.ExpectedBucketOwner != nil && *in.ExpectedBucketOwner != s.a.account() {
		return nil, refusal("Forbidden", "Forbidden")
	}
	b := s.buckets[aws.ToString(in.Bucket)]
	var o *object
	if b != nil {
		o = b.latest(in.Key, in.VersionId)
	}
	if o == nil {
		return nil, &types.NotFound{Message: aws.String("Not Found")}
	}
	if o.marker {
		return nil, notAllowed()
	}
	n := o.length()
	out := &s3.HeadObjectOutput{
		AcceptRanges: aws.String("bytes"), ContentLength: &n, ContentType: &o.contentType, ETag: &o.etag,
		LastModified: &o.modified, Metadata: maps.Clone(o.metadata), VersionId: &o.version, ServerSideEncryption: o.encryption,
	}
	if r := o.retention; r != nil {
		out.ObjectLockMode, out.ObjectLockRetainUntilDate = types.ObjectLockMode(r.Mode), aws.Time(*r.RetainUntilDate)
	}
	if o.legalHold { // the header is not there where there never was one
		out.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn
	}
	return out, nil
}

// CreateMultipartUpload begins an upload. Every call begins another one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
func (s *S3) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, _ ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "CreateMultipartUpload", mutating: true, resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key"},
		takes: []string{"ContentType", "Metadata", "ObjectLockMode", "ObjectLockRetainUntilDate", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "ExpectedBucketOwner"},
	}, in, s.createMultipartUpload)
}

func (s *S3) createMultipartUpload(in *s3.CreateMultipartUploadInput, _ bool) (*s3.CreateMultipartUploadOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := checkKey(in.Key); err != nil {
		return nil, err
	}
	now := s.a.now()
	r, err := b.retain(in.ObjectLockMode, in.ObjectLockRetainUntilDate, now)
	if err != nil {
		return nil, err
	}
	u := &upload{
		id: s.id("upload"), key: *in.Key, contentType: cmp.Or(aws.ToString(in.ContentType), "binary/octet-stream"), initiated: now.Truncate(time.Millisecond),
		metadata: lowerKeys(in.Metadata), encryption: cmp.Or(in.ServerSideEncryption, types.ServerSideEncryptionAes256), retention: r, parts: map[int32]part{},
	}
	b.uploads[u.id] = u
	return &s3.CreateMultipartUploadOutput{Bucket: in.Bucket, Key: in.Key, UploadId: &u.id, ServerSideEncryption: u.encryption}, nil
}

// upload finds an upload under its ID and key.
func (b *bucket) upload(key, id *string) (*upload, error) {
	u := b.uploads[aws.ToString(id)]
	if u == nil || u.key != aws.ToString(key) {
		return nil, noSuchUpload()
	}
	return u, nil
}

// addPart stores a part; a part that is sent again replaces the earlier one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
func (b *bucket) addPart(key, id *string, number int64, c Content, now time.Time) (string, error) {
	u, err := b.upload(key, id)
	if err != nil {
		return "", err
	}
	if number < 1 || number > maxParts {
		return "", refusal("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
	}
	if c.Length > maxPut {
		return "", refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	p := part{etag: etag(c.digest(), u.encryption), modified: now.Truncate(time.Second), content: c}
	u.parts[int32(number)] = p
	return p.etag, nil
}

// page is how many entries a listing gives at most.
func page(asked *int32) (int, error) {
	if asked == nil {
		return pageLength, nil
	}
	if *asked < 0 {
		return 0, refusal("InvalidArgument", "Argument must be an integer between 0 and 2147483647")
	}
	return min(int(*asked), pageLength), nil
}

// ListParts lists parts in the order of their numbers, 1,000 a page.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
func (s *S3) ListParts(ctx context.Context, in *s3.ListPartsInput, _ ...func(*s3.Options)) (*s3.ListPartsOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "ListParts", resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key", "UploadId"},
		takes: []string{"MaxParts", "PartNumberMarker", "ExpectedBucketOwner"},
	}, in, s.listParts)
}

func (s *S3) listParts(in *s3.ListPartsInput, _ bool) (*s3.ListPartsOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	u, err := b.upload(in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	most, err := page(in.MaxParts)
	if err != nil {
		return nil, err
	}
	after := 0
	if m := aws.ToString(in.PartNumberMarker); m != "" {
		if after, err = strconv.Atoi(m); err != nil || after < 0 {
			return nil, refusal("InvalidArgument", "Argument part-number-marker must be an integer between 0 and 2147483647")
		}
	}
	out := &s3.ListPartsOutput{
		Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, MaxParts: aws.Int32(int32(most)), IsTruncated: aws.Bool(false),
		PartNumberMarker: aws.String(strconv.Itoa(after)), StorageClass: types.StorageClassStandard,
	}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if int(n) <= after {
			continue
		}
		if len(out.Parts) == most {
			out.IsTruncated = aws.Bool(true)
			break
		}
		p := u.parts[n]
		out.Parts = append(out.Parts, types.Part{PartNumber: aws.Int32(n), ETag: &p.etag, Size: aws.Int64(p.content.Length), LastModified: &p.modified})
		out.NextPartNumberMarker = aws.String(strconv.Itoa(int(n)))
	}
	return out, nil
}

// ListMultipartUploads lists uploads under way by key, then by start.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
func (s *S3) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput, _ ...func(*s3.Options)) (*s3.ListMultipartUploadsOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "ListMultipartUploads", resources: objectResources(in.Bucket, nil),
		needs: []string{"Bucket"},
		takes: []string{"Prefix", "KeyMarker", "UploadIdMarker", "MaxUploads", "ExpectedBucketOwner"},
	}, in, s.listMultipartUploads)
}

func (s *S3) listMultipartUploads(in *s3.ListMultipartUploadsInput, _ bool) (*s3.ListMultipartUploadsOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	most, err := page(in.MaxUploads)
	if err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(b.uploads), func(x, y *upload) int {
		return cmp.Or(strings.Compare(x.key, y.key), x.initiated.Compare(y.initiated), strings.Compare(x.id, y.id))
	})
	keyMarker, idMarker := aws.ToString(in.KeyMarker), aws.ToString(in.UploadIdMarker)
	start := 0
	if keyMarker != "" {
		start = len(all)
		for n, u := range all {
			if u.key > keyMarker || idMarker != "" && u.key == keyMarker && u.id == idMarker {
				start = n
				if u.key == keyMarker {
					start++
				}
				break
			}
		}
	}
	out := &s3.ListMultipartUploadsOutput{
		Bucket: in.Bucket, Prefix: in.Prefix, KeyMarker: aws.String(keyMarker), UploadIdMarker: aws.String(idMarker),
		MaxUploads: aws.Int32(int32(most)), IsTruncated: aws.Bool(false),
	}
	for _, u := range all[start:] {
		if !strings.HasPrefix(u.key, aws.ToString(in.Prefix)) {
			continue
		}
		if len(out.Uploads) == most {
			out.IsTruncated = aws.Bool(true)
			break
		}
		out.Uploads = append(out.Uploads, types.MultipartUpload{Key: &u.key, UploadId: &u.id, Initiated: &u.initiated, StorageClass: types.StorageClassStandard})
		out.NextKeyMarker, out.NextUploadIdMarker = &u.key, &u.id
	}
	if !*out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIdMarker = nil, nil
	}
	return out, nil
}

// CompleteMultipartUpload makes the parts that the request lists one object;
// the others are gone. The upload no longer exists afterwards.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
func (s *S3) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, _ ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "CompleteMultipartUpload", mutating: true, resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key", "UploadId"},
		takes: []string{"MultipartUpload", "IfNoneMatch", "MpuObjectSize", "ExpectedBucketOwner"},
	}, in, s.completeMultipartUpload)
}

func (s *S3) completeMultipartUpload(in *s3.CompleteMultipartUploadInput, _ bool) (*s3.CompleteMultipartUploadOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	u, err := b.upload(in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	if in.MultipartUpload == nil || len(in.MultipartUpload.Parts) == 0 {
		return nil, refusal("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	o := &object{key: u.key, contentType: u.contentType, metadata: u.metadata, encryption: u.encryption, retention: u.retention}
	var digests []byte
	listed := in.MultipartUpload.Parts
	for n, p := range listed {
		if n > 0 && aws.ToInt32(p.PartNumber) <= aws.ToInt32(listed[n-1].PartNumber) {
			return nil, refusal("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
		}
	}
	for n, p := range listed {
		have, ok := u.parts[aws.ToInt32(p.PartNumber)]
		if !ok || strings.Trim(aws.ToString(p.ETag), `"`) != strings.Trim(have.etag, `"`) {
			return nil, refusal("InvalidPart", "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
		}
		if n < len(listed)-1 && have.content.Length < minPart {
			return nil, refusal("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		o.parts = append(o.parts, have.content)
		digests = append(digests, have.content.digest()...)
	}
	if in.MpuObjectSize != nil && *in.MpuObjectSize != o.length() {
		return nil, refusal("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed")
	}
	if in.IfNoneMatch != nil && (*in.IfNoneMatch != "*" || b.latest(in.Key, nil) != nil) {
		return nil, refusal("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	}
	o.version, o.etag, o.modified = s.id("version"), etagOfParts(digests, len(listed), o.encryption), s.a.now().Truncate(time.Second)
	b.versions[o.key] = append(b.versions[o.key], o)
	delete(b.uploads, u.id)
	return &s3.CompleteMultipartUploadOutput{
		Bucket: in.Bucket, Key: in.Key, ETag: &o.etag, VersionId: &o.version,
		Location: aws.String("https://" + b.name + ".s3." + s.a.region() + ".amazonaws.com/" + o.key), ServerSideEncryption: o.encryption,
	}, nil
}

// AbortMultipartUpload drops an upload and its parts.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
func (s *S3) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput, _ ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "AbortMultipartUpload", mutating: true, resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key", "UploadId"},
		takes: []string{"ExpectedBucketOwner"},
	}, in, s.abortMultipartUpload)
}

func (s *S3) abortMultipartUpload(in *s3.AbortMultipartUploadInput, _ bool) (*s3.AbortMultipartUploadOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if _, err := b.upload(in.Key, in.UploadId); err != nil {
		return nil, &types.NoSuchUpload{Message: aws.String("The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")}
	}
	delete(b.uploads, *in.UploadId)
	return &s3.AbortMultipartUploadOutput{}, nil
}

// PutObjectRetention locks a version, the current one unless one is named. What
// is locked may be locked for longer, not for a shorter time.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
func (s *S3) PutObjectRetention(ctx context.Context, in *s3.PutObjectRetentionInput, _ ...func(*s3.Options)) (*s3.PutObjectRetentionOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "PutObjectRetention", mutating: true, resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key"},
		takes: []string{"VersionId", "Retention", "ExpectedBucketOwner", "ChecksumAlgorithm"},
	}, in, s.putObjectRetention)
}

func (s *S3) putObjectRetention(in *s3.PutObjectRetentionInput, _ bool) (*s3.PutObjectRetentionOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	o, err := b.version(in.Key, in.VersionId)
	if err != nil {
		return nil, err
	}
	r := in.Retention
	if r == nil || r.RetainUntilDate == nil || r.Mode != types.ObjectLockRetentionModeGovernance && r.Mode != types.ObjectLockRetentionModeCompliance {
		return nil, refusal("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	now := s.a.now()
	if !r.RetainUntilDate.After(now) {
		return nil, refusal("InvalidArgument", "The retain until date must be in the future!")
	}
	if old := o.retention; old != nil && old.RetainUntilDate.After(now) {
		weaker := old.Mode == types.ObjectLockRetentionModeCompliance && r.Mode != old.Mode
		if weaker || r.RetainUntilDate.Before(*old.RetainUntilDate) {
			return nil, refusal("AccessDenied", "Access Denied because object protected by object lock.")
		}
	}
	o.retention = &types.ObjectLockRetention{Mode: r.Mode, RetainUntilDate: aws.Time(r.RetainUntilDate.UTC())}
	return &s3.PutObjectRetentionOutput{}, nil
}

func (b *bucket) version(key, version *string) (*object, error) {
	o := b.latest(key, version)
	switch {
	case o == nil && version != nil:
		return nil, refusal("NoSuchVersion", "The specified version does not exist.")
	case o == nil: // the SDK has no type for it in the calls on retention
		return nil, refusal("NoSuchKey", "The specified key does not exist.")
	case o.marker:
		return nil, notAllowed()
	}
	return o, nil
}

// GetObjectRetention says how a version is locked.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html
func (s *S3) GetObjectRetention(ctx context.Context, in *s3.GetObjectRetentionInput, _ ...func(*s3.Options)) (*s3.GetObjectRetentionOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "GetObjectRetention", resources: objectResources(in.Bucket, in.Key),
		needs: []string{"Bucket", "Key"},
		takes: []string{"VersionId", "ExpectedBucketOwner"},
	}, in, s.getObjectRetention)
}

func (s *S3) getObjectRetention(in *s3.GetObjectRetentionInput, _ bool) (*s3.GetObjectRetentionOutput, error) {
	b, err := s.owned(in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	o, err := b.version(in.Key, in.VersionId)
	if err != nil {
		return nil, err
	}
	if o.retention == nil {
		return nil, refusal("NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
	}
	return &s3.GetObjectRetentionOutput{Retention: &types.ObjectLockRetention{Mode: o.retention.Mode, RetainUntilDate: aws.Time(*o.retention.RetainUntilDate)}}, nil
}

// ListObjectsV2 lists current versions in the order of their keys' bytes, 1,000 a page.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
func (s *S3) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	return invoke(ctx, s.a, operation{
		service: "s3", action: "ListObjectsV2", resources: objectResources(in.Bucket, nil),
		needs: []string{"Bucket"},
		takes: []string{"Prefix", "ContinuationToken", "StartAfter", "MaxKeys", "ExpectedBucketOwner"},
	}, in, s.listObjectsV2)
}

func (s *S3) listObjectsV2(in *s3.ListObjectsV2Input, _ bool) (*s3.ListObjectsV2Output, error) {
	if in.ExpectedBucketOwner != nil && *in.ExpectedBucketOwner != s.a.account() {
		return nil, refusal("AccessDenied", "Access Denied")
	}
	b := s.buckets[aws.ToString(in.Bucket)]
	if b == nil {
		return nil, &types.NoSuchBucket{Message: aws.String("The specified bucket does not exist")}
	}
	most, err := page(in.MaxKeys)
	if err != nil {
		return nil, err
	}
	after := aws.ToString(in.StartAfter)
	if in.ContinuationToken != nil {
		token, err := hex.DecodeString(*in.ContinuationToken)
		if err != nil || len(token) == 0 {
			return nil, refusal("InvalidArgument", "The continuation token provided is incorrect")
		}
		after = string(token)
	}
	out := &s3.ListObjectsV2Output{
		Name: in.Bucket, Prefix: in.Prefix, StartAfter: in.StartAfter, ContinuationToken: in.ContinuationToken,
		MaxKeys: aws.Int32(int32(most)), IsTruncated: aws.Bool(false),
	}
	var there []*object
	for key := range b.versions {
		if key > after && strings.HasPrefix(key, aws.ToString(in.Prefix)) {
			if o := b.latest(&key, nil); o != nil {
				there = append(there, o)
			}
		}
	}
	slices.SortFunc(there, func(a, b *object) int { return strings.Compare(a.key, b.key) })
	out.Contents = slices.Grow(out.Contents, min(most, len(there)))
	for _, o := range there {
		if len(out.Contents) == most {
			if most > 0 {
				out.IsTruncated = aws.Bool(true)
				out.NextContinuationToken = aws.String(hex.EncodeToString([]byte(*out.Contents[most-1].Key)))
			}
			break
		}
		out.Contents = append(out.Contents, types.Object{Key: &o.key, ETag: &o.etag, Size: aws.Int64(o.length()), LastModified: &o.modified, StorageClass: types.ObjectStorageClassStandard})
	}
	out.KeyCount = aws.Int32(int32(len(out.Contents)))
	return out, nil
}
