package memory_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// bucket is S3 over the wire, as far as a capture goes: one bucket, on loopback.
// It refuses what S3 refuses of a pre-signed request: a wrong or expired
// signature, and headers that were not signed.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
type bucket struct {
	*httptest.Server
	endpoint string       // of its service, for a client
	http     *http.Client // that reaches it
	mu       sync.Mutex
	objects  map[string][]byte
	locked   map[string]string // key to mode
	uploads  map[string]*upload
	puts     map[string]int // requests that hold a part or an object, by key and part
	// alter changes the bytes of a request on their way; nil leaves them.
	alter func(key string, part int, body []byte) []byte
	// refuse is the status that a request is refused with before it has an
	// effect; 0 lets it through.
	refuse func(r *http.Request, key string, part int) int
	// retention says that new objects are locked by default.
	retention bool
	// later is how far this bucket's clock is ahead: signatures end sooner.
	later time.Duration
}

type upload struct {
	key       string
	initiated time.Time
	plain     bool // SSE-S3: ETags are MD5s
	parts     map[int][]byte
}

const (
	bucketName = "evidence"
	region     = "ap-northeast-1"
)

var session = aws.Credentials{AccessKeyID: "ASIATEST", SecretAccessKey: "secret", SessionToken: "token/+="}

func openBucket(t *testing.T) *bucket {
	b := &bucket{objects: map[string][]byte{}, locked: map[string]string{}, uploads: map[string]*upload{}, puts: map[string]int{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	b.endpoint, b.http = b.URL, b.Client()
	return b
}

// client is the SDK's own, as the function has it but for the address.
func (b *bucket) client() *s3.Client {
	return s3.New(s3.Options{
		Region: region, BaseEndpoint: &b.endpoint, UsePathStyle: b.Server.TLS == nil, HTTPClient: b.http,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, // as in a client made from a configuration
		Credentials:                aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return session, nil }),
	})
}

func (b *bucket) object(key string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.objects[key])
}

func (b *bucket) put(key string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = body
}

func (b *bucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

func (b *bucket) refusing(f func(r *http.Request, key string, part int) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = f
}

func (b *bucket) altering(f func(key string, part int, body []byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alter = f
}

func (b *bucket) sent(key string, part int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.puts[fmt.Sprint(key, "#", part)]
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>refused</Message></Error>", code)
}

// authentic holds a pre-signed request against its signature; the SDK's own
// requests only have to be signed at all.
func authentic(r *http.Request, now time.Time) (status int, code string) {
	q := r.URL.Query()
	given := q.Get("X-Amz-Signature")
	if given == "" {
		if strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+session.AccessKeyID+"/") {
			return 0, ""
		}
		return 403, "AccessDenied"
	}
	at, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	life, err2 := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || err2 != nil || now.After(at.Add(time.Duration(life)*time.Second)) {
		return 403, "AccessDenied"
	}
	names := strings.Split(q.Get("X-Amz-SignedHeaders"), ";")
	for name := range r.Header {
		lower := strings.ToLower(name)
		if (strings.HasPrefix(lower, "x-amz-") || lower == "content-md5") && !slices.Contains(names, lower) {
			return 403, "AccessDenied" // HeadersNotSigned
		}
	}
	for _, name := range []string{"Signature", "Algorithm", "Credential", "Date", "SignedHeaders", "Security-Token"} {
		q.Del("X-Amz-" + name)
	}
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}, URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}}
	signed, _, err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).PresignHTTP(
		context.Background(), session, again, "UNSIGNED-PAYLOAD", "s3", region, at)
	if err != nil {
		return 500, "InternalError"
	}
	expected, err := url.Parse(signed)
	if err != nil || !hmac.Equal([]byte(expected.Query().Get("X-Amz-Signature")), []byte(given)) {
		return 403, "SignatureDoesNotMatch"
	}
	return 0, ""
}

// checked says whether a request tells what its body must be: without, S3 takes
// nothing into a bucket that locks by default.
func checked(r *http.Request) bool {
	for name := range r.Header {
		if lower := strings.ToLower(name); lower == "content-md5" || strings.HasPrefix(lower, "x-amz-checksum-") || lower == "x-amz-trailer" {
			return true
		}
	}
	return false
}

func etag(u *upload, body []byte) string {
	sum := md5.Sum(body)
	if !u.plain {
		sum = md5.Sum(append([]byte("aws:kms"), sum[:]...))
	}
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, 400, "IncompleteBody")
		return
	}
	// Over TLS the SDK sends a body in chunks, a checksum after the last.
	// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
	if r.Header.Get("X-Amz-Content-Sha256") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
		if body, err = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body))); err != nil {
			refuse(w, 400, "IncompleteBody")
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := r.URL.Query()
	path := r.URL.Path
	if strings.HasPrefix(r.Host, bucketName+".") {
		path = "/" + bucketName + path
	}
	key, ours := strings.CutPrefix(path, "/"+bucketName)
	key = strings.TrimPrefix(key, "/")
	if !ours {
		refuse(w, 404, "NoSuchBucket")
		return
	}
	if status, code := authentic(r, time.Now().Add(b.later)); status != 0 {
		refuse(w, status, code)
		return
	}
	part, _ := strconv.Atoi(q.Get("partNumber"))
	if r.Method == http.MethodPut {
		b.puts[fmt.Sprint(key, "#", part)]++
	}
	if b.refuse != nil {
		if status := b.refuse(r, key, part); status != 0 {
			refuse(w, status, "SlowDown")
			return
		}
	}
	// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
	if b.retention && r.Method == http.MethodPut && !checked(r) {
		refuse(w, 400, "InvalidRequest")
		return
	}
	if b.alter != nil && r.Method == http.MethodPut {
		body = b.alter(key, part, body)
	}
	switch {
	case q.Has("uploads") && r.Method == http.MethodPost:
		id := fmt.Sprintf("upload-%d", len(b.uploads)+1)
		b.uploads[id] = &upload{key: key, initiated: time.Now(), plain: r.Header.Get("X-Amz-Server-Side-Encryption") == "AES256", parts: map[int][]byte{}}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case q.Has("uploads"):
		b.listUploads(w, q.Get("prefix"))
	case q.Has("list-type"):
		io.WriteString(w, "<ListBucketResult>")
		for k := range b.objects {
			if strings.HasPrefix(k, q.Get("prefix")) {
				fmt.Fprintf(w, "<Contents><Key>%s</Key></Contents>", k)
			}
		}
		io.WriteString(w, "</ListBucketResult>")
	case q.Has("uploadId"):
		b.serveUpload(w, r, key, q, part, body)
	case q.Has("retention"):
		var in struct{ Mode string }
		if xml.Unmarshal(body, &in) != nil || b.objects[key] == nil {
			refuse(w, 400, "MalformedXML")
			return
		}
		b.locked[key] = in.Mode
	case r.Method == http.MethodPut:
		b.objects[key] = body
		if mode := r.Header.Get("X-Amz-Object-Lock-Mode"); mode != "" {
			b.locked[key] = mode
		}
	case b.objects[key] == nil:
		refuse(w, 404, "NoSuchKey")
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(b.objects[key])))
		if r.Method == http.MethodGet {
			w.Write(b.objects[key])
		}
	}
}

func (b *bucket) listUploads(w io.Writer, prefix string) {
	io.WriteString(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>")
	for id, u := range b.uploads {
		if strings.HasPrefix(u.key, prefix) {
			fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", u.key, id, u.initiated.UTC().Format(time.RFC3339Nano))
		}
	}
	io.WriteString(w, "</ListMultipartUploadsResult>")
}

func (b *bucket) serveUpload(w http.ResponseWriter, r *http.Request, key string, q url.Values, part int, body []byte) {
	u := b.uploads[q.Get("uploadId")]
	if u == nil || u.key != key {
		refuse(w, 404, "NoSuchUpload")
		return
	}
	switch r.Method {
	case http.MethodPut:
		u.parts[part] = body
		w.Header().Set("ETag", etag(u, body))
	case http.MethodGet: // two parts a page
		after, _ := strconv.Atoi(q.Get("part-number-marker"))
		var numbers []int
		for n := range u.parts {
			if n > after {
				numbers = append(numbers, n)
			}
		}
		slices.Sort(numbers)
		more := len(numbers) > 2
		numbers = numbers[:min(2, len(numbers))]
		fmt.Fprintf(w, "<ListPartsResult><IsTruncated>%t</IsTruncated>", more)
		for _, n := range numbers {
			fmt.Fprintf(w, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%d</Size></Part>", n, strings.ReplaceAll(etag(u, u.parts[n]), `"`, "&quot;"), len(u.parts[n]))
			after = n
		}
		fmt.Fprintf(w, "<NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>", after)
	case http.MethodDelete:
		delete(b.uploads, q.Get("uploadId"))
		w.WriteHeader(204)
	case http.MethodPost:
		var in struct {
			Part []struct {
				PartNumber int
				ETag       string
			}
		}
		if xml.Unmarshal(body, &in) != nil || len(in.Part) == 0 {
			refuse(w, 400, "MalformedXML")
			return
		}
		var whole []byte
		for n, p := range in.Part {
			stored, ok := u.parts[p.PartNumber]
			switch {
			case !ok || p.ETag != etag(u, stored):
				refuse(w, 400, "InvalidPart")
				return
			case len(stored) < 5<<20 && n < len(in.Part)-1:
				refuse(w, 400, "EntityTooSmall")
				return
			}
			whole = append(whole, stored...)
		}
		b.objects[key] = whole
		delete(b.uploads, q.Get("uploadId"))
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Key>%s</Key></CompleteMultipartUploadResult>", key)
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
