package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cordon/internal/access"
	"cordon/internal/incident"

	"github.com/golang-jwt/jwt/v5"
)

const (
	instance = "arn:aws:ec2:eu-west-1:111122223333:verified-access-instance/vai-0123456789abcdef0"
	provider = "arn:aws:ec2:eu-west-1:111122223333:verified-access-trust-provider/vatp-0123456789abcdef0"
	keyID    = "12345678-1234-1234-1234-123456789012"
	userID   = "f478d4c8-a001-7064-6ea6-124235230000"
)

var now = time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)

// published are public keys as AWS publishes them, by ID; asked is which were
// asked for.
type published struct {
	keys  map[string][]byte
	err   error
	asked []string
}

func (p *published) Key(_ context.Context, id string) ([]byte, bool, error) {
	p.asked = append(p.asked, id)
	key, ok := p.keys[id]
	return key, ok, p.err
}

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publish(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// token is what Verified Access would make for a user; each test spoils it.
// https://docs.aws.amazon.com/verified-access/latest/ug/user-claims-passing.html
func token() *jwt.Token {
	return &jwt.Token{
		Method: jwt.SigningMethodES384,
		Header: map[string]any{"alg": "ES384", "kid": keyID, "signer": instance, "iss": provider, "exp": now.Add(2 * time.Minute).Unix()},
		Claims: jwt.MapClaims{"user": map[string]any{
			"user_id": userID, "user_name": "sato", "email": map[string]any{"address": "sato@example.com", "verified": false},
		}},
	}
}

// signed is a token as text. The signature is another's implementation, so that
// ours is not only held against itself.
func signed(t *testing.T, k *jwt.Token, key any) string {
	t.Helper()
	s, err := k.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reader(t *testing.T, at time.Time, keys access.Keys) *access.Reader {
	t.Helper()
	env := map[string]string{"ACCESS_INSTANCE": instance, "ACCESS_PROVIDER": provider}
	r, err := access.NewReader(incident.Host{Now: func() time.Time { return at }, Getenv: func(n string) string { return env[n] }}, keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func headers(values ...string) http.Header {
	h := http.Header{}
	for _, v := range values {
		h.Add("x-amzn-ava-user-context", v)
	}
	return h
}

func TestPerson(t *testing.T) {
	key := newKey(t, elliptic.P384())
	keys := &published{keys: map[string][]byte{keyID: publish(t, key.Public())}}
	text := signed(t, token(), key)
	padded := signPadded(t, key)
	named := token()
	named.Claims = jwt.MapClaims{"user": map[string]any{"user_id": userID, "email": map[string]any{"address": "sato@example.com"}}}
	quoted := token()
	quoted.Header["exp"] = "1796177000" // the page of AWS shows a string
	for name, test := range map[string]struct{ text, name string }{
		"as signed":         {text, "sato"},
		"with padding":      {padded, "sato"},
		"without user name": {signed(t, named, key), "sato@example.com"},
		"expiry as text":    {signed(t, quoted, key), "sato"},
	} {
		got, err := reader(t, now, keys).Person(t.Context(), headers(test.text))
		if want := (access.Person{ID: userID, Name: test.name}); got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// signPadded is a header whose base64 has its padding, as ELB writes it.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html
func signPadded(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	k := token()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for len(b)%3 == 0 {
			b = append(b, ' ')
		}
		return base64.URLEncoding.EncodeToString(b)
	}
	text := part(k.Header) + "." + part(k.Claims)
	if !strings.Contains(text, "=") {
		t.Fatal("there is no padding")
	}
	signature, err := k.Method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.URLEncoding.EncodeToString(signature)
}

// TestForgedHeaders: none of these makes anybody somebody, and each says why.
func TestForgedHeaders(t *testing.T) {
	key, another := newKey(t, elliptic.P384()), newKey(t, elliptic.P384())
	short := newKey(t, elliptic.P256())
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := publish(t, key.Public())
	with := func(change func(*jwt.Token)) string {
		k := token()
		change(k)
		return signed(t, k, key)
	}
	by := func(method jwt.SigningMethod, alg string, key any) string {
		k := token()
		k.Method, k.Header["alg"] = method, alg
		return signed(t, k, key)
	}
	good := signed(t, token(), key)
	parts := strings.Split(good, ".")
	other := strings.Split(with(func(k *jwt.Token) {
		k.Claims = jwt.MapClaims{"user": map[string]any{"user_id": "another", "user_name": "tanaka"}}
	}), ".")
	for name, test := range map[string]struct {
		headers []string
		want    access.Refused
	}{
		"stripped":                     {nil, access.Missing},
		"empty":                        {[]string{""}, access.Malformed},
		"twice":                        {[]string{good, good}, access.Twice},
		"twice in one line":            {[]string{good + "," + good}, access.Twice},
		"not signed":                   {[]string{parts[0] + "." + parts[1] + "."}, access.Signature},
		"two parts":                    {[]string{parts[0] + "." + parts[1]}, access.Malformed},
		"five parts":                   {[]string{good + ".x.y"}, access.Malformed},
		"no base64":                    {[]string{"!." + parts[1] + "." + parts[2]}, access.Malformed},
		"a bare name":                  {[]string{"sato"}, access.Malformed},
		"another's claims":             {[]string{parts[0] + "." + other[1] + "." + parts[2]}, access.Signature},
		"another's signature":          {[]string{parts[0] + "." + parts[1] + "." + other[2]}, access.Signature},
		"a signature cut":              {[]string{good[:len(good)-8]}, access.Signature},
		"a signature of zeros":         {[]string{parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 96))}, access.Signature},
		"signed with another key":      {[]string{signed(t, token(), another)}, access.Signature},
		"alg none":                     {[]string{by(jwt.SigningMethodNone, "none", jwt.UnsafeAllowNoneSignatureType)}, access.Algorithm},
		"alg HS384, our key as secret": {[]string{by(jwt.SigningMethodHS384, "HS384", public)}, access.Algorithm},
		"HMAC that says ES384":         {[]string{by(jwt.SigningMethodHS384, "ES384", public)}, access.Signature},
		"alg RS384":                    {[]string{by(jwt.SigningMethodRS384, "RS384", large)}, access.Algorithm},
		"alg ES256":                    {[]string{by(jwt.SigningMethodES256, "ES256", short)}, access.Algorithm},
		"ES256 that says ES384":        {[]string{by(jwt.SigningMethodES256, "ES384", short)}, access.Signature},
		"no alg":                       {[]string{with(func(k *jwt.Token) { delete(k.Header, "alg") })}, access.Algorithm},
		"what must be understood":      {[]string{with(func(k *jwt.Token) { k.Header["crit"] = []string{"exp"} })}, access.Algorithm},
		"another instance":             {[]string{with(func(k *jwt.Token) { k.Header["signer"] = strings.Replace(instance, "vai-0", "vai-1", 1) })}, access.Signer},
		"another account's instance":   {[]string{with(func(k *jwt.Token) { k.Header["signer"] = strings.Replace(instance, "1111", "9999", 1) })}, access.Signer},
		"no signer":                    {[]string{with(func(k *jwt.Token) { delete(k.Header, "signer") })}, access.Signer},
		"another provider":             {[]string{with(func(k *jwt.Token) { k.Header["iss"] = "https://idp.example.com" })}, access.Issuer},
		"expired":                      {[]string{with(func(k *jwt.Token) { k.Header["exp"] = now.Add(-time.Hour).Unix() })}, access.Expired},
		"no expiry":                    {[]string{with(func(k *jwt.Token) { delete(k.Header, "exp") })}, access.Malformed},
		"an expiry that is none":       {[]string{with(func(k *jwt.Token) { k.Header["exp"] = true })}, access.Malformed},
		"an expiry beyond time":        {[]string{with(func(k *jwt.Token) { k.Header["exp"] = 1e300 })}, access.Malformed},
		"expiry in the claims alone": {[]string{with(func(k *jwt.Token) {
			delete(k.Header, "exp")
			k.Claims.(jwt.MapClaims)["exp"] = now.Add(time.Hour).Unix()
		})}, access.Malformed},
		"a key nobody published": {[]string{with(func(k *jwt.Token) { k.Header["kid"] = "00000000-0000-0000-0000-000000000000" })}, access.KeyID},
		"no user":                {[]string{with(func(k *jwt.Token) { k.Claims = jwt.MapClaims{"sub": userID} })}, access.Nobody},
		"a user ID with a line break": {[]string{with(func(k *jwt.Token) {
			k.Claims = jwt.MapClaims{"user": map[string]any{"user_id": userID + "\nx", "user_name": "sato"}}
		})}, access.Nobody},
		"a name without end": {[]string{with(func(k *jwt.Token) {
			k.Claims = jwt.MapClaims{"user": map[string]any{"user_id": userID, "user_name": strings.Repeat("x", 201)}}
		})}, access.Nobody},
		"claims that are no object": {[]string{with(func(k *jwt.Token) { k.Claims = list{} })}, access.Malformed},
	} {
		keys := &published{keys: map[string][]byte{keyID: public}}
		got, err := reader(t, now, keys).Person(t.Context(), headers(test.headers...))
		if got != (access.Person{}) || !errors.Is(err, test.want) {
			t.Errorf("%s: %+v, %v; want nobody, refused: %s", name, got, err, test.want)
		}
	}
}

// list is claims that are no object.
type list struct{ jwt.MapClaims }

func (list) MarshalJSON() ([]byte, error) { return []byte(`["user"]`), nil }

// TestKeyIDs: the ID becomes part of an address, so what is no UUID is never
// asked for: no path, no host, no other Region.
func TestKeyIDs(t *testing.T) {
	key := newKey(t, elliptic.P384())
	for _, id := range []string{
		"", "../" + keyID, keyID + "/../x", "@evil.example/" + keyID, "//evil.example/" + keyID, keyID + "?x=1", keyID + "#",
		"https://public-keys.prod.verified-access.us-east-1.amazonaws.com/" + keyID, keyID + "\n", "12345678123412341234123456789012",
	} {
		keys := &published{keys: map[string][]byte{id: publish(t, key.Public())}}
		k := token()
		k.Header["kid"] = id
		got, err := reader(t, now, keys).Person(t.Context(), headers(signed(t, k, key)))
		if got != (access.Person{}) || !errors.Is(err, access.KeyID) || len(keys.asked) > 0 {
			t.Errorf("%q: %+v, %v, asked for %q", id, got, err, keys.asked)
		}
	}
}

// TestForgeriesAskForNoKey: whoever can reach the function makes it fetch nothing
// but for a header that says everything right except the signature.
func TestForgeriesAskForNoKey(t *testing.T) {
	key := newKey(t, elliptic.P384())
	for _, name := range []string{"alg", "signer", "iss", "exp"} {
		keys := &published{}
		k := token()
		k.Header[name] = "1"
		if _, err := reader(t, now, keys).Person(t.Context(), headers(signed(t, k, key))); err == nil || len(keys.asked) > 0 {
			t.Errorf("with another %s: %v, asked for %q", name, err, keys.asked)
		}
	}
}

// TestExpiry: a header lives for two minutes by the clock of Verified Access. A
// clock of ours that runs behind keeps it that much longer, one that runs ahead
// ends it early, and there is no grace.
func TestExpiry(t *testing.T) {
	key := newKey(t, elliptic.P384())
	keys := &published{keys: map[string][]byte{keyID: publish(t, key.Public())}}
	text := signed(t, token(), key)
	for at, valid := range map[time.Duration]bool{-10 * time.Minute: true, 0: true, 119 * time.Second: true, 2 * time.Minute: false, time.Hour: false} {
		if _, err := reader(t, now.Add(at), keys).Person(t.Context(), headers(text)); (err == nil) != valid {
			t.Errorf("%v after it was signed: %v, want valid %v", at, err, valid)
		}
	}
}

// TestKeysThatCannotBeHad: where the key cannot be had nobody is let in, and it
// is not called a forgery.
func TestKeysThatCannotBeHad(t *testing.T) {
	key := newKey(t, elliptic.P384())
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]*published{
		"nobody answers":    {err: errors.New("no route to host")},
		"no PEM":            {keys: map[string][]byte{keyID: []byte("<html>")}},
		"no key":            {keys: map[string][]byte{keyID: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})}},
		"an RSA key":        {keys: map[string][]byte{keyID: publish(t, large.Public())}},
		"on another curve":  {keys: map[string][]byte{keyID: publish(t, newKey(t, elliptic.P256()).Public())}},
		"on a larger curve": {keys: map[string][]byte{keyID: publish(t, newKey(t, elliptic.P521()).Public())}},
	} {
		got, err := reader(t, now, keys).Person(t.Context(), headers(signed(t, token(), key)))
		var refused access.Refused
		if got != (access.Person{}) || err == nil || errors.As(err, &refused) {
			t.Errorf("%s: %+v, %v; want an error that is no refusal", name, got, err)
		}
	}
}

func TestReaderWithoutSettings(t *testing.T) {
	for _, missing := range []string{"ACCESS_INSTANCE", "ACCESS_PROVIDER"} {
		env := map[string]string{"ACCESS_INSTANCE": instance, "ACCESS_PROVIDER": provider, missing: ""}
		_, err := access.NewReader(incident.Host{Getenv: func(n string) string { return env[n] }}, &published{})
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}
