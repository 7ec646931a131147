package sim

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// VerifiedAccess is what an application sees of Verified Access with IAM Identity
// Center: the header it signs, and its public keys.
// https://docs.aws.amazon.com/verified-access/latest/ug/user-claims-passing.html
type VerifiedAccess struct {
	a   *Account
	key *ecdsa.PrivateKey
	n   int // headers so far
}

// Keys are the public keys of Verified Access.
func (a *Account) Keys() *VerifiedAccess { return a.access }

// accessKey is the ID of the one key.
const accessKey = "5c0f1e2d-3b4a-4978-8695-a4b3c2d1e0f9"

// headerFor is how long a header is good for.
const headerFor = 2 * time.Minute

// accessPair is the key of every account, made once: P-384 takes its time.
var accessPair = sync.OnceValues(func() (*ecdsa.PrivateKey, error) {
	// Half of a number that is below the order of the curve, whatever is in it.
	secret := append(make([]byte, 16), material("verified-access")...)
	return ecdsa.ParseRawPrivateKey(elliptic.P384(), secret)
})

func newVerifiedAccess(a *Account) *VerifiedAccess {
	key, err := accessPair()
	if err != nil {
		a.note(fmt.Errorf("make the key of Verified Access: %w", err))
	}
	return &VerifiedAccess{a: a, key: key}
}

// Key is the public key, in PEM; false for every other ID.
func (v *VerifiedAccess) Key(_ context.Context, id string) ([]byte, bool, error) {
	if id != accessKey {
		return nil, false, nil
	}
	der, err := x509.MarshalPKIXPublicKey(&v.key.PublicKey)
	if err != nil {
		return nil, false, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), true, nil
}

// Header is x-amzn-ava-user-context for a user of Identity Center, signed now by
// the instance with that ARN. Nobody says whether its base64 is padded, so that
// every second one is.
func (v *VerifiedAccess) Header(instance, provider, userID, userName string) (string, error) {
	return v.header(instance, provider, userID, userName, v.a.now().Add(headerFor))
}

// Forgeries are what can be wrong with a header that somebody else sends.
var Forgeries = []string{"expired", "issuer", "signature", "signer"}

// Forged is a header that Verified Access did not sign for this application, or not
// now: one of the Forgeries. Who sends it is not the user that it names.
func (v *VerifiedAccess) Forged(how, instance, provider, userID, userName string) (string, error) {
	until := v.a.now().Add(headerFor)
	switch how {
	case "expired":
		until = v.a.now().Add(-time.Second)
	case "issuer":
		provider += "0"
	case "signer":
		instance += "0"
	}
	header, err := v.header(instance, provider, userID, userName, until)
	if how != "signature" || err != nil {
		return header, err
	}
	// Signed for somebody else, and the name changed since.
	parts := strings.Split(header, ".")
	other, err := v.header(instance, provider, userID+"0", userName, until)
	return strings.Join([]string{parts[0], parts[1], other[strings.LastIndexByte(other, '.')+1:]}, "."), err
}

func (v *VerifiedAccess) header(instance, provider, userID, userName string, until time.Time) (string, error) {
	v.n++
	encoding := base64.RawURLEncoding
	if v.n%2 == 0 {
		encoding = base64.URLEncoding
	}
	part := func(content map[string]any) string {
		b, err := json.Marshal(content)
		if err != nil {
			v.a.note(err)
		}
		if len(b)%3 == 0 {
			b = append(b, ' ') // so that there is something to pad
		}
		return encoding.EncodeToString(b)
	}
	text := part(map[string]any{"alg": "ES384", "kid": accessKey, "signer": instance, "iss": provider, "exp": until.Unix()}) + "." +
		part(map[string]any{"user": map[string]any{
			"user_id": userID, "user_name": userName, "email": map[string]any{"address": userName + "@example.com", "verified": false},
		}})
	digest := sha512.Sum384([]byte(text))
	signed, err := v.key.Sign(nil, digest[:], crypto.SHA384) // without randomness: the same each time
	if err != nil {
		return "", err
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signed, &pair); err != nil {
		return "", err
	}
	signature := make([]byte, 96)
	pair.R.FillBytes(signature[:48])
	pair.S.FillBytes(signature[48:])
	return text + "." + encoding.EncodeToString(signature), nil
}
