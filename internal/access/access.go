// Package access tells who a visitor is from the header that Verified Access signs
// for the applications behind it. Whoever can reach the function can send a header
// of that name; only the signature makes it one of ours.
//
// Verified Access puts signer, issuer and expiry into the JOSE header, where the
// claim checks of JWT libraries do not look, and its base64 may be padded, which
// they refuse. What a library would be left with is one call of crypto/ecdsa.
//
// https://docs.aws.amazon.com/verified-access/latest/ug/user-claims-passing.html
package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"time"

	"cordon/internal/incident"
)

// Header is what Verified Access adds to every request that it lets through.
const Header = "X-Amzn-Ava-User-Context"

// Keys are the public keys with which Verified Access signs.
type Keys interface {
	// Key is a public key, in PEM; false if there is none of that ID.
	Key(ctx context.Context, id string) ([]byte, bool, error)
}

// Person is somebody whom IAM Identity Center knows.
type Person struct {
	ID   string // of Identity Center's directory: stays, and is nobody else's
	Name string // of the user, for people to read
}

// Refused says why a header makes nobody somebody, in one word.
type Refused string

func (r Refused) Error() string { return "the header " + Header + " is refused: " + string(r) }

// What is wrong with a header.
const (
	Missing   Refused = "missing"   // it did not come through Verified Access
	Twice     Refused = "twice"     // which of them is Verified Access's cannot be told
	Malformed Refused = "malformed" // it is no signed header
	Algorithm Refused = "algorithm" // it is not signed with ES384
	Signer    Refused = "signer"    // it is another Verified Access instance's
	Issuer    Refused = "issuer"    // another trust provider vouches for the person
	Expired   Refused = "expired"
	KeyID     Refused = "key"       // there is no such key
	Signature Refused = "signature" // it is forged
	Nobody    Refused = "nobody"    // it names no user
)

// Reader reads headers that one Verified Access instance signed.
type Reader struct {
	host             incident.Host
	keys             Keys
	instance, issuer string
}

// NewReader reads ACCESS_INSTANCE and ACCESS_PROVIDER, the ARNs of the Verified
// Access instance and of its trust provider.
func NewReader(host incident.Host, keys Keys) (*Reader, error) {
	r := &Reader{host: host, keys: keys}
	for _, setting := range []struct {
		name string
		to   *string
	}{{"ACCESS_INSTANCE", &r.instance}, {"ACCESS_PROVIDER", &r.issuer}} {
		v, err := host.Setting(setting.name)
		if err != nil {
			return nil, err
		}
		*setting.to = v
	}
	return r, nil
}

// jose is the header of the signed text.
type jose struct {
	Algorithm string          `json:"alg"`
	Key       string          `json:"kid"`
	Signer    string          `json:"signer"` // ARN of the Verified Access instance
	Issuer    string          `json:"iss"`    // ARN of the trust provider
	Expiry    json.Number     `json:"exp"`    // seconds since 1970
	Critical  json.RawMessage `json:"crit"`   // what must be understood; nothing is known that could be
}

// claims are what Identity Center says: the user, and no groups.
type claims struct {
	User struct {
		ID    string `json:"user_id"`
		Name  string `json:"user_name"`
		Email struct {
			Address string `json:"address"`
		} `json:"email"`
	} `json:"user"`
}

var (
	keyID  = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	userID = regexp.MustCompile(`^[0-9A-Za-z-]{1,100}$`)
)

// nameMax bounds a name in characters; the directory allows 128.
const nameMax = 200

// Person is who sent a request with these headers. An error that is not Refused
// means that the key could not be had, and nothing is known.
func (r *Reader) Person(ctx context.Context, headers http.Header) (Person, error) {
	all := headers.Values(Header)
	switch {
	case len(all) == 0:
		return Person{}, Missing
	case len(all) > 1 || strings.Contains(all[0], ","): // a gateway joins them so
		return Person{}, Twice
	}
	parts := strings.Split(all[0], ".")
	if len(parts) != 3 {
		return Person{}, Malformed
	}
	var h jose
	signature, err := decode(parts[2])
	if err != nil || read(parts[0], &h) != nil {
		return Person{}, Malformed
	}
	expiry, err := h.Expiry.Float64()
	switch {
	case h.Algorithm != "ES384" || h.Critical != nil:
		return Person{}, Algorithm
	case h.Signer != r.instance:
		return Person{}, Signer
	case h.Issuer != r.issuer:
		return Person{}, Issuer
	case err != nil || expiry < 0 || expiry > 1<<40:
		return Person{}, Malformed
	case !r.host.Now().Before(time.Unix(int64(expiry), 0)):
		return Person{}, Expired
	case !keyID.MatchString(h.Key): // it becomes part of an address
		return Person{}, KeyID
	}
	key, err := r.key(ctx, h.Key)
	if err != nil {
		return Person{}, err
	}
	if !verifies(key, parts[0]+"."+parts[1], signature) {
		return Person{}, Signature
	}
	var c claims
	if read(parts[1], &c) != nil {
		return Person{}, Malformed
	}
	name := strings.TrimSpace(strings.ToValidUTF8(c.User.Name, "\uFFFD"))
	if name == "" {
		name = strings.TrimSpace(strings.ToValidUTF8(c.User.Email.Address, "\uFFFD"))
	}
	if !userID.MatchString(c.User.ID) || name == "" || len([]rune(name)) > nameMax {
		return Person{}, Nobody
	}
	return Person{ID: c.User.ID, Name: name}, nil
}

func (r *Reader) key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	text, found, err := r.keys.Key(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, KeyID
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("the public key %s is no PEM", id)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the public key %s: %w", id, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return nil, fmt.Errorf("the public key %s is not on P-384", id)
	}
	return key, nil
}

// verifies: ES384 is ECDSA on P-384 with SHA-384, r and s of 48 bytes each.
// https://www.rfc-editor.org/rfc/rfc7518#section-3.4
func verifies(key *ecdsa.PublicKey, signed string, signature []byte) bool {
	if len(signature) != 96 {
		return false
	}
	digest := sha512.Sum384([]byte(signed))
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:]))
}

func read(part string, to any) error {
	b, err := decode(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// decode takes base64 with padding, as balancers of AWS write it, and without.
func decode(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}
