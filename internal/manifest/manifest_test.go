package manifest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"cordon/internal/manifest"
)

type evidence map[string][]byte

func (e evidence) open(o manifest.Object) (io.ReadCloser, error) {
	b, ok := e[o.Key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// signed is a manifest over e, and the key that it is signed with.
func signed(t *testing.T, e evidence, more map[string]any) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var objects []manifest.Object
	for k, b := range e {
		s := sha256.Sum256(b)
		objects = append(objects, manifest.Object{Key: k, Bytes: int64(len(b)), SHA256: hex.EncodeToString(s[:])})
	}
	manifest.Sort(objects)
	m := map[string]any{"format": manifest.Format, "objects": objects, "incident": map[string]any{"id": "1.r.i-1.1"}, "execution": "arn:aws:states:r:1:execution:cordon:run-1", "missing": []string{"gone"}}
	for k, v := range more {
		m[k] = v
	}
	body, err := manifest.Canonical(m)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.Sign(rand.Reader, manifest.Digest(body), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	file, err := manifest.Canonical(manifest.Signed{Manifest: body, Signature: signature})
	if err != nil {
		t.Fatal(err)
	}
	return file, key
}

var some = evidence{"events/1.json": []byte(`{"id":"1"}`), "incidents/1.r.i-1.1/memory/image.lime": []byte("EMiL and what follows")}

// A title is the intruder's: quotes, line ends and letters that JSON may escape
// stand as they are.
var hostile = map[string]any{"title": "<b>\"\\\u2028\u00e9\U0001F600\x07&", "severity": 8.7, "big": json.Number("9007199254740993")}

func TestWhatWasSignedHolds(t *testing.T) {
	file, key := signed(t, some, hostile)
	if c := manifest.Check(file, &key.PublicKey, some.open); len(c.Broken) > 0 || len(c.Objects) != 2 || c.Incident != "1.r.i-1.1" || c.Run != "run-1" || !slices.Equal(c.Missing, []string{"gone"}) {
		t.Errorf("%+v, want two objects that hold, and one missing", c)
	}
	if !bytes.Contains(file, []byte("9007199254740993")) {
		t.Error("a number was changed on its way")
	}
}

// Every bit of every byte, of the manifest and of each object.
func TestAnyByteThatIsFlippedIsFound(t *testing.T) {
	file, key := signed(t, some, hostile)
	for at := range file {
		for bit := range 8 {
			file[at] ^= 1 << bit
			if c := manifest.Check(file, &key.PublicKey, some.open); len(c.Broken) != 1 {
				t.Fatalf("bit %d of byte %d flipped (%s): %q", bit, at, file[max(0, at-20):at+1], c.Broken)
			}
			file[at] ^= 1 << bit
		}
	}
	for k, b := range some {
		for at := range b {
			b[at] ^= 1
			if c := manifest.Check(file, &key.PublicKey, some.open); len(c.Broken) != 1 || !strings.Contains(c.Broken[0], k) {
				t.Fatalf("byte %d of %s flipped: %q", at, k, c.Broken)
			}
			b[at] ^= 1
		}
	}
}

func TestWhatDoesNotHoldIsNamed(t *testing.T) {
	file, key := signed(t, some, nil)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	unknown, unknownKey := signed(t, some, map[string]any{"format": "cordon manifest 9"})
	for name, c := range map[string]struct {
		file []byte
		key  *ecdsa.PublicKey
		open func(manifest.Object) (io.ReadCloser, error)
		want string
	}{
		"another key":        {file, &other.PublicKey, some.open, "signature"},
		"a line end after":   {append(bytes.Clone(file), '\n'), &key.PublicKey, some.open, "canonical"},
		"another format":     {unknown, &unknownKey.PublicKey, some.open, "cordon manifest 9"},
		"nothing":            {nil, &key.PublicKey, some.open, "not JSON"},
		"an object missing":  {file, &key.PublicKey, evidence{"events/1.json": some["events/1.json"]}.open, "image.lime: it cannot be read"},
		"an object cut off":  {file, &key.PublicKey, evidence{"events/1.json": some["events/1.json"][1:], "incidents/1.r.i-1.1/memory/image.lime": some["incidents/1.r.i-1.1/memory/image.lime"]}.open, "it has 9 bytes, the manifest says 10"},
		"a medium that ends": {file, &key.PublicKey, func(manifest.Object) (io.ReadCloser, error) { return io.NopCloser(broken{}), nil }, "it cannot be read"},
	} {
		if got := manifest.Check(c.file, c.key, c.open); len(got.Broken) == 0 || !strings.Contains(strings.Join(got.Broken, "\n"), c.want) {
			t.Errorf("%s: %q, want %q", name, got.Broken, c.want)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestPublicKeys(t *testing.T) {
	_, key := signed(t, nil, nil)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		if got, err := manifest.PublicKey(file); err != nil || !got.Equal(&key.PublicKey) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := manifest.PublicKey([]byte("no key")); err == nil {
		t.Error("what is no key is taken for one")
	}
}
