// Package manifest is the form of an incident's manifest: what was seen, decided
// and kept, in canonical JSON, signed. Who has the public key and a copy of the
// objects can check it without AWS.
//
//	{"manifest":{…,"objects":[{"bytes":17,"key":"…","sha256":"…"}]},"signature":"…"}
//
// Canonical is: UTF-8, no white space, members sorted by the bytes of their
// names, numbers as they were written, nothing escaped that JSON lets stand but
// U+2028 and U+2029. The signature is of the SHA-256 of the canonical manifest.
package manifest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Format is what a manifest says it is.
const Format = "cordon manifest 1"

// Object is an object of the evidence bucket as it was when the incident closed.
type Object struct {
	Key     string `json:"key"`
	Version string `json:"version,omitempty"` // the bucket's ID of the version that was hashed; empty where it is not known
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"` // lower-case hex
}

// Signed is a manifest with its signature, as it is stored.
type Signed struct {
	Manifest  json.RawMessage `json:"manifest"`
	Signature []byte          `json:"signature"` // ECDSA over P-256, ASN.1 DER
}

// Canonical is v in the one form that is signed.
func Canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	values := json.NewDecoder(bytes.NewReader(text))
	values.UseNumber()
	var value any
	if err := values.Decode(&value); err != nil {
		return nil, err
	}
	return encode(value)
}

// encode is v as JSON in which nothing is escaped that need not be.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// File is what is stored, in its canonical form, of a manifest in its own.
func (s Signed) File() ([]byte, error) { return encode(s) }

// Digest is what is signed of a canonical manifest.
func Digest(manifest []byte) []byte {
	sum := sha256.Sum256(manifest)
	return sum[:]
}

// PublicKey reads a public key of ECDSA over P-256: DER, as KMS answers it, or PEM.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html
func PublicKey(file []byte) (*ecdsa.PublicKey, error) {
	if block, _ := pem.Decode(file); block != nil {
		file = block.Bytes
	}
	key, err := x509.ParsePKIXPublicKey(file)
	if err != nil {
		return nil, fmt.Errorf("it is no public key in DER or PEM: %w", err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, and manifests are signed with ECDSA", key)
	}
	if ec.Curve != elliptic.P256() {
		return nil, fmt.Errorf("its curve is %s, and manifests are signed over P-256", ec.Params().Name)
	}
	return ec, nil
}

// Claims is what a manifest says, as far as it can be held against something.
type Claims struct {
	Incident string
	Run      string    // name of the execution that wrote it
	Ending   string    // how that ended
	State    string    // of the incident from then on
	At       time.Time // when that execution began to sign
	Objects  []Object
	Missing  []string // keys of what was not there, not hashed, or not what had been kept, when it was written
	Journal  Journal
	Text     []byte // the manifest itself, for what else it says
}

// Journal is how far the incident's journal was when the manifest was written.
type Journal struct {
	Entries  int    `json:"entries"`
	Last     string `json:"last"`     // SHA-256 of the last of them, lower-case hex; empty where there is none
	Complete bool   `json:"complete"` // it held the note that the closing began, and so what was recorded of the incident before; requests and decisions come by other shards, and stand in the manifest themselves
	Reason   string `json:"reason"`   // why not
}

// Read takes a stored manifest apart. Its error says in one line why it does not
// hold: another form, another key, another format.
func Read(file []byte, key *ecdsa.PublicKey) (Claims, error) {
	var s Signed
	if err := json.Unmarshal(file, &s); err != nil {
		return Claims{}, fmt.Errorf("the manifest is not JSON: %w", err)
	}
	again, err := Canonical(s)
	if err != nil || !bytes.Equal(again, file) {
		return Claims{}, errors.New("the manifest is not in its canonical form: somebody wrote it anew")
	}
	if !ecdsa.VerifyASN1(key, Digest(s.Manifest), s.Signature) {
		return Claims{}, errors.New("the signature is not that of this key over this manifest")
	}
	var m struct {
		Format    string
		Incident  struct{ ID string }
		Execution string
		Ending    string
		State     string
		ClosedAt  time.Time
		Objects   []Object
		Missing   []string
		Journal   Journal
	}
	if err := json.Unmarshal(s.Manifest, &m); err != nil || m.Format != Format {
		return Claims{}, fmt.Errorf("the manifest is signed, but its format is %q, and only %q is known", m.Format, Format)
	}
	run := m.Execution[strings.LastIndexByte(m.Execution, ':')+1:] // arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME
	return Claims{Incident: m.Incident.ID, Run: run, Ending: m.Ending, State: m.State, At: m.ClosedAt, Objects: m.Objects, Missing: m.Missing, Journal: m.Journal, Text: s.Manifest}, nil
}

// MaxFile is far above what a stored manifest has: the machine hands over 256 KiB
// at most, and the record holds the rest.
const MaxFile = 64 << 20

// ErrUnread is an object that is there and was not read, because nobody asked for
// it: its hash is not known.
var ErrUnread = errors.New("it was not read")

// Checked is what Check found.
type Checked struct {
	Claims
	Broken []string // what does not hold, a line each; none: all of it holds
	Unread []Object // of which open said ErrUnread
}

// Check holds a stored manifest against a key, and every object that it names
// against what open gives for it. Objects are looked at only where the manifest
// itself holds: what a forged one names proves nothing.
func Check(file []byte, key *ecdsa.PublicKey, open func(Object) (io.ReadCloser, error)) Checked {
	m, err := Read(file, key)
	if err != nil {
		return Checked{Broken: []string{err.Error()}}
	}
	c := Checked{Claims: m}
	for _, o := range m.Objects {
		switch err := o.check(open); {
		case errors.Is(err, ErrUnread):
			c.Unread = append(c.Unread, o)
		case err != nil:
			c.Broken = append(c.Broken, o.Key+": "+err.Error())
		}
	}
	return c
}

// differs is why an object is not the one that was signed.
type differs string

func (d differs) Error() string { return string(d) }

// Fits says what does not hold of an object that has so many bytes; nil: it may
// be the one. An open that knows it need not have all of it read.
func (o Object) Fits(bytes int64) error {
	if bytes == o.Bytes {
		return nil
	}
	return differs(fmt.Sprintf("it has %d bytes, the manifest says %d", bytes, o.Bytes))
}

func (o Object) check(open func(Object) (io.ReadCloser, error)) error {
	r, err := open(o)
	if d := differs(""); errors.As(err, &d) {
		return d
	}
	if err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	switch {
	case err != nil:
		return fmt.Errorf("it cannot be read: %w", err)
	case o.Fits(n) != nil:
		return o.Fits(n)
	case hex.EncodeToString(h.Sum(nil)) != o.SHA256:
		return errors.New("its SHA-256 is not the one in the manifest")
	}
	return nil
}

// Sort puts objects in the order of their keys.
func Sort(all []Object) {
	slices.SortFunc(all, func(a, b Object) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
}
