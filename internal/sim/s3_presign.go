package sim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// A pre-signed URL dies with the session that signed it, whatever its own
// expiry. A Lambda role's session lives for hours: here it begins at a full six
// hours and ends twelve hours later.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
const (
	sessionStart = 6 * time.Hour
	sessionLife  = 12 * time.Hour
)

// Presign signs URLs as the SDK's own client does, because it is the SDK's own
// client, on the simulation's clock and with a key made from the seed.
func (s *S3) Presign() Presigner {
	client := s3.New(s3.Options{Region: s.a.region(), Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return s.session(s.a.now().Truncate(sessionStart)), nil
	})})
	return Presigner{s3.NewPresignClient(client, func(o *s3.PresignOptions) {
		o.Presigner = signer{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), s.a}
	}), s}
}

// Presign signs URLs; see S3.Presign.
func (a *Account) Presign() Presigner { return a.S3().Presign() }

// Presigner is the SDK's own client, but for the plain address of a part: a
// capture wants thousands of them, and the client's way there costs a hundred
// times what the signature does. A test holds both to the same bytes.
type Presigner struct {
	*s3.PresignClient
	s *S3
}

// PresignUploadPart signs the address of a part.
func (p Presigner) PresignUploadPart(ctx context.Context, in *s3.UploadPartInput, o ...func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error) {
	var options s3.PresignOptions
	for _, change := range o {
		change(&options)
	}
	plain := s3.UploadPartInput{Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, PartNumber: in.PartNumber}
	// What the client refuses, or has more to say about, it is asked.
	if *in != plain || options.Presigner != nil || len(options.ClientOptions) > 0 || options.Expires <= 0 ||
		aws.ToString(in.Bucket) == "" || strings.ContainsAny(*in.Bucket, ".:/") || aws.ToString(in.Key) == "" || aws.ToString(in.UploadId) == "" || in.PartNumber == nil {
		return p.PresignClient.PresignUploadPart(ctx, in, o...)
	}
	now := p.s.a.now().UTC()
	session := p.s.session(p.s.a.now().Truncate(sessionStart))
	host, path := *in.Bucket+".s3."+p.s.a.region()+".amazonaws.com", "/"+escaped(*in.Key, "/")
	query := strings.Join([]string{
		"X-Amz-Algorithm=AWS4-HMAC-SHA256",
		"X-Amz-Credential=" + escaped(session.AccessKeyID+"/"+p.s.scope(now), ""),
		"X-Amz-Date=" + now.Format(signedTime),
		"X-Amz-Expires=" + strconv.FormatInt(int64(options.Expires/time.Second), 10),
		"X-Amz-Security-Token=" + escaped(session.SessionToken, ""),
		"X-Amz-SignedHeaders=host",
		"partNumber=" + strconv.Itoa(int(*in.PartNumber)),
		"uploadId=" + escaped(*in.UploadId, ""),
		"x-id=UploadPart",
	}, "&")
	return &v4.PresignedHTTPRequest{
		URL:    "https://" + host + path + "?" + query + "&X-Amz-Signature=" + p.s.signature(http.MethodPut, host, path, query, session, now),
		Method: http.MethodPut, SignedHeader: http.Header{"Host": {host}},
	}, nil
}

const signedTime = "20060102T150405Z"

// scope is what a signature of S3's is good for.
func (s *S3) scope(at time.Time) string {
	return at.Format("20060102") + "/" + s.a.region() + "/s3/aws4_request"
}

// signature is that of a request in whose URL everything stands that is signed
// but the host. query is sorted and escaped.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func (s *S3) signature(method, host, path, query string, session aws.Credentials, at time.Time) string {
	request := sha256.Sum256([]byte(method + "\n" + path + "\n" + query + "\nhost:" + host + "\n\nhost\nUNSIGNED-PAYLOAD"))
	text := "AWS4-HMAC-SHA256\n" + at.Format(signedTime) + "\n" + s.scope(at) + "\n" + hex.EncodeToString(request[:])
	return hex.EncodeToString(mac(s.signingKey(session, at), text))
}

// signingKey is a session's for a day. The newest is kept.
func (s *S3) signingKey(session aws.Credentials, at time.Time) []byte {
	if of := session.SecretAccessKey + s.scope(at); s.key.of != of {
		key := mac([]byte("AWS4"+session.SecretAccessKey), at.Format("20060102"))
		for _, word := range []string{s.a.region(), "s3", "aws4_request"} {
			key = mac(key, word)
		}
		s.key.of, s.key.is = of, key
	}
	return s.key.is
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// escaped has every byte escaped but unreserved ones and those that stay.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func escaped(s, stay string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0, strings.IndexByte(stay, c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// signer signs at the simulation's time.
type signer struct {
	signer *v4.Signer
	a      *Account
}

func (s signer) PresignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, o ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return s.signer.PresignHTTP(ctx, c, r, hash, service, region, s.a.now(), o...)
}

// session is the credentials of the session that began at a time.
func (s *S3) session(start time.Time) aws.Credentials {
	token := strconv.FormatInt(start.Unix(), 10)
	secret := hex.EncodeToString(mac(binary.BigEndian.AppendUint64([]byte(masterKey), s.a.seed()), token))
	return aws.Credentials{AccessKeyID: "ASIA" + strings.ToUpper(secret[:16]), SecretAccessKey: secret, SessionToken: token}
}

// Request is what the holder of a pre-signed URL sends, such as curl on a host.
type Request struct {
	Method string
	URL    string
	Header http.Header // what is sent besides Host and Content-Length
	Body   Content
}

// Response is what S3 answers.
type Response struct {
	Status int
	Code   string // S3's error code, empty if there is no error
	Header http.Header
	Body   io.Reader
}

// failure is an error with its HTTP status.
type failure struct {
	status   int
	code     string
	text     string
	unsigned string // the headers that were not signed
}

func failed(status int, code, text string) error { return failure{status, code, text, ""} }

func (f failure) Error() string                 { return f.code + ": " + f.text }
func (f failure) ErrorCode() string             { return f.code }
func (f failure) ErrorMessage() string          { return f.text }
func (f failure) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }

// Serve answers a request made with a pre-signed URL. It makes no call of ours,
// so that it is not in the trace.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func (s *S3) Serve(r Request) Response {
	out, err := s.serve(r)
	if err == nil {
		return out
	}
	f := failure{status: http.StatusInternalServerError, code: "InternalError", text: err.Error()}
	var api smithy.APIError
	if !errors.As(err, &f) && errors.As(err, &api) {
		f.status, f.code, f.text = http.StatusBadRequest, api.ErrorCode(), api.ErrorMessage()
		switch f.code {
		case "NoSuchKey", "NoSuchUpload", "NoSuchBucket", "NoSuchVersion":
			f.status = http.StatusNotFound
		case "AccessDenied":
			f.status = http.StatusForbidden
		case "PreconditionFailed":
			f.status = http.StatusPreconditionFailed
		case "InvalidRange":
			f.status = http.StatusRequestedRangeNotSatisfiable
		}
	}
	if r.Method == http.MethodHead {
		return Response{Status: f.status, Code: f.code, Header: http.Header{}, Body: strings.NewReader("")}
	}
	body, err := xml.Marshal(struct {
		XMLName          xml.Name `xml:"Error"`
		Code             string
		Message          string
		HeadersNotSigned string `xml:",omitempty"`
	}{Code: f.code, Message: f.text, HeadersNotSigned: f.unsigned})
	if err != nil { // strings only
		body = nil
	}
	return Response{Status: f.status, Code: f.code, Header: http.Header{"Content-Type": {"application/xml"}}, Body: bytes.NewReader(body)}
}

func (s *S3) serve(r Request) (Response, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return Response{}, failed(400, "InvalidURI", "Couldn't parse the specified URI.")
	}
	name, regional := strings.CutSuffix(u.Host, ".s3."+s.a.region()+".amazonaws.com")
	if !regional || u.Scheme != "https" {
		return Response{}, failed(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.")
	}
	b := s.buckets[name]
	if b == nil {
		return Response{}, failed(404, "NoSuchBucket", "The specified bucket does not exist")
	}
	query := u.Query()
	if err := s.authentic(r, u, maps.Clone(query)); err != nil {
		return Response{}, err
	}
	key, version := strings.TrimPrefix(u.Path, "/"), (*string)(nil)
	if v := query.Get("versionId"); v != "" {
		version = &v
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return b.serveObject(r, key, version)
	case http.MethodPut:
		return s.servePut(b, r, key, query)
	}
	return Response{}, failed(403, "AccessDenied", "Access Denied") // the bucket's policy denies deletes
}

// authentic holds a request against its signature.
func (s *S3) authentic(r Request, u *url.URL, q url.Values) error {
	given := q.Get("X-Amz-Signature")
	if given == "" {
		return failed(403, "AccessDenied", "Access Denied")
	}
	at, err := time.Parse(signedTime, q.Get("X-Amz-Date"))
	life, err2 := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || err2 != nil || q.Get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" || q.Get("X-Amz-SignedHeaders") == "" || q.Get("X-Amz-Credential") == "" {
		return failed(400, "AuthorizationQueryParametersError", "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	}
	if life < 1 || life > 604800 {
		return failed(400, "AuthorizationQueryParametersError", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	now := s.a.now()
	if at.Add(time.Duration(life) * time.Second).Before(now) {
		return failed(403, "AccessDenied", "Request has expired")
	}
	if at.After(now.Add(15 * time.Minute)) {
		return failed(403, "AccessDenied", "Request is not yet valid")
	}
	start, err := strconv.ParseInt(q.Get("X-Amz-Security-Token"), 10, 64)
	if err != nil {
		return failed(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	}
	session := s.session(time.Unix(start, 0))
	if id, _, _ := strings.Cut(q.Get("X-Amz-Credential"), "/"); id != session.AccessKeyID {
		return failed(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	}
	if now.After(time.Unix(start, 0).Add(sessionLife)) {
		return failed(400, "ExpiredToken", "The provided token has expired.")
	}
	names := strings.Split(q.Get("X-Amz-SignedHeaders"), ";")
	var unsigned []string
	for name := range r.Header {
		lower := strings.ToLower(name)
		if (strings.HasPrefix(lower, "x-amz-") && lower != "x-amz-content-sha256" || lower == "content-md5") && !slices.Contains(names, lower) {
			unsigned = append(unsigned, lower)
		}
	}
	if len(unsigned) > 0 {
		slices.Sort(unsigned)
		return failure{http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed", strings.Join(unsigned, ", ")}
	}
	if len(names) == 1 && names[0] == "host" {
		q.Del("X-Amz-Signature")
		query := strings.ReplaceAll(q.Encode(), "+", "%20")
		if !hmac.Equal([]byte(s.signature(r.Method, u.Host, u.EscapedPath(), query, session, at)), []byte(given)) {
			return failed(403, "SignatureDoesNotMatch", otherSignature)
		}
		return nil
	}
	again := &http.Request{Method: r.Method, Host: u.Host, Header: http.Header{}, URL: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}}
	for _, name := range names {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.Body.Length
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	for _, name := range []string{"X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Security-Token"} {
		q.Del(name)
	}
	again.URL.RawQuery = q.Encode()
	signed, _, err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true }).PresignHTTP(
		context.Background(), session, again, "UNSIGNED-PAYLOAD", "s3", s.a.region(), at)
	if err != nil {
		return fmt.Errorf("sign the request again: %w", err)
	}
	expected, err := url.Parse(signed)
	if err != nil {
		return fmt.Errorf("sign the request again: %w", err)
	}
	if !hmac.Equal([]byte(expected.Query().Get("X-Amz-Signature")), []byte(given)) {
		return failed(403, "SignatureDoesNotMatch", otherSignature)
	}
	return nil
}

const otherSignature = "The request signature we calculated does not match the signature you provided. Check your key and signing method."

func (b *bucket) serveObject(r Request, key string, version *string) (Response, error) {
	o, err := b.version(&key, version)
	if err != nil {
		return Response{}, err
	}
	var wanted *string
	if h := r.Header.Get("Range"); h != "" {
		wanted = &h
	}
	offset, n, partial, err := span(wanted, o.length())
	if err != nil {
		return Response{}, err
	}
	h := http.Header{"Content-Length": {strconv.FormatInt(n, 10)}, "Content-Type": {o.contentType}, "Etag": {o.etag}, "X-Amz-Version-Id": {o.version}, "Accept-Ranges": {"bytes"}}
	out := Response{Status: http.StatusOK, Header: h, Body: o.reader(offset, n)}
	if partial {
		out.Status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, offset+n-1, o.length()))
	}
	if r.Method == http.MethodHead {
		out.Body = strings.NewReader("")
	}
	return out, nil
}

// servePut stores an object or a part.
func (s *S3) servePut(b *bucket, r Request, key string, query url.Values) (Response, error) {
	if strings.EqualFold(r.Header.Get("Transfer-Encoding"), "chunked") {
		return Response{}, failed(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
	}
	// What a pre-signed URL says of the object is in its query or in a signed header.
	value := func(name string) string {
		if v := r.Header.Get(name); v != "" {
			return v
		}
		for k := range query {
			if strings.EqualFold(k, name) {
				return query.Get(k)
			}
		}
		return ""
	}
	checked, err := checksums(r.Body, value)
	if err != nil {
		return Response{}, err
	}
	id := query.Get("uploadId")
	if id != "" || query.Has("partNumber") {
		u, err := b.upload(&key, &id)
		if err != nil {
			return Response{}, err
		}
		if !checked && (b.retention != nil || u.retention != nil) {
			return Response{}, refusal("InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with Object Lock parameters")
		}
		number, err := strconv.ParseInt(query.Get("partNumber"), 10, 64)
		if err != nil {
			number = 0
		}
		tag, err := b.addPart(&key, &id, number, r.Body, s.a.now())
		return Response{Status: http.StatusOK, Header: http.Header{"Etag": {tag}}, Body: strings.NewReader("")}, err
	}
	var until *time.Time
	if v := value("x-amz-object-lock-retain-until-date"); v != "" {
		t, err := time.Parse(time.RFC3339, v)
		if err != nil {
			return Response{}, refusal("InvalidArgument", "The retain until date must be provided in ISO 8601 format")
		}
		until = &t
	}
	if !checked && (b.retention != nil || until != nil) {
		return Response{}, refusal("InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	}
	metadata := map[string]string{}
	for name := range r.Header {
		if m, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			metadata[m] = r.Header.Get(name)
		}
	}
	retention, err := b.retain(types.ObjectLockMode(value("x-amz-object-lock-mode")), until, s.a.now())
	if err != nil {
		return Response{}, err
	}
	o := &object{key: key, contentType: value("content-type"), metadata: metadata, encryption: types.ServerSideEncryption(value("x-amz-server-side-encryption")), retention: retention, parts: []Content{r.Body}}
	if err := s.write(b, o, value("if-none-match") == "*"); err != nil {
		return Response{}, err
	}
	return Response{Status: http.StatusOK, Header: http.Header{"Etag": {o.etag}, "X-Amz-Version-Id": {o.version}}, Body: strings.NewReader("")}, nil
}

// checksums holds the body against every checksum that was sent, and says
// whether there was one. Content that is not there as a whole matches none.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
func checksums(c Content, value func(string) string) (bool, error) {
	whole := int64(len(c.Head)) == c.Length
	found := false
	for _, sum := range []struct {
		name string
		of   func([]byte) []byte
	}{
		{"content-md5", func(b []byte) []byte { m := md5.Sum(b); return m[:] }},
		{"x-amz-checksum-sha256", func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
		{"x-amz-checksum-crc32", func(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }},
		{"x-amz-checksum-crc32c", func(b []byte) []byte {
			return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		}},
	} {
		v := value(sum.name)
		if v == "" {
			continue
		}
		found = true
		if !whole || v != base64.StdEncoding.EncodeToString(sum.of(c.Head)) {
			return true, failed(400, "BadDigest", "The "+sum.name+" you specified did not match the calculated checksum.")
		}
	}
	for _, name := range []string{"sha1", "crc64nvme", "sha512", "md5", "xxhash64", "xxhash3", "xxhash128"} {
		if value("x-amz-checksum-"+name) != "" {
			return true, unknown("s3", "Serve", "x-amz-checksum-"+name)
		}
	}
	return found, nil
}
