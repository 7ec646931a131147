package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cordon/internal/manifest"
)

// evidence is a copy of a bucket with one incident, and its public key beside it.
func evidence(t *testing.T, objects map[string]string, missing ...string) (dir, public string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "copy[1]")
	write := func(name string, b []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var all []manifest.Object
	for k, v := range objects {
		sum := sha256.Sum256([]byte(v))
		all = append(all, manifest.Object{Key: k, Bytes: int64(len(v)), SHA256: hex.EncodeToString(sum[:])})
		if !strings.Contains(k, "..") {
			write(k, []byte(v))
		}
	}
	body, err := manifest.Canonical(map[string]any{
		"format": manifest.Format, "incident": map[string]string{"id": "1.r.i-1.1"},
		"execution": "arn:aws:states:r:1:execution:cordon:run-1", "objects": all, "missing": missing,
	})
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
	write("incidents/1.r.i-1.1/manifests/run-1.json", file)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, public
}

func TestVerify(t *testing.T) {
	image := "incidents/1.r.i-1.1/memory/image.lime"
	dir, key := evidence(t, map[string]string{image: "EMiL", "events/1.json": "{}"})
	if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 0 || p.out != "1.r.i-1.1/run-1: holds: signature, 2 objects and 0 entries of the journal\n" {
		t.Errorf("%+v, want it to hold", p)
	}

	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"an object changed": {func(dir string) error { return os.WriteFile(filepath.Join(dir, image), []byte("EMiM"), 0o600) }, image + ": its SHA-256 is not the one in the manifest"},
		"an object gone":    {func(dir string) error { return os.Remove(filepath.Join(dir, image)) }, image + ": it cannot be read"},
		"filed under another": {func(dir string) error {
			return os.Rename(filepath.Join(dir, "incidents/1.r.i-1.1"), filepath.Join(dir, "incidents/2"))
		}, `the manifest is that of incident "1.r.i-1.1"`},
		"filed under another run": {func(dir string) error {
			manifests := filepath.Join(dir, "incidents/1.r.i-1.1/manifests")
			return os.Rename(filepath.Join(manifests, "run-1.json"), filepath.Join(manifests, "run-2.json"))
		}, `the manifest is that of execution "run-1"`},
	} {
		dir, key := evidence(t, map[string]string{image: "EMiL"})
		if name == "filed under another" {
			dir, key = evidence(t, map[string]string{"events/1.json": "{}"})
		}
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 1 || !strings.Contains(p.out, "DOES NOT HOLD: "+c.want) || strings.Count(p.out, "\n") != 1 {
			t.Errorf("%s: %+v, want one line: %s", name, p, c.want)
		}
	}

	dir, key = evidence(t, map[string]string{"events/1.json": "{}"}, image)
	if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 1 || p.out != "1.r.i-1.1/run-1: INCOMPLETE: "+image+" was not there, not hashed, or not what had been kept, when it closed\n" {
		t.Errorf("%+v, want the image named that was not hashed", p)
	}

	// That an incident has no manifest is told beside those that have one.
	dir, key = evidence(t, map[string]string{"events/1.json": "{}"})
	if err := os.MkdirAll(filepath.Join(dir, "incidents/2.r.i-2.1/memory"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := "1.r.i-1.1/run-1: holds: signature, 1 object and 0 entries of the journal\n2.r.i-2.1: no manifest: no execution of it has ended yet, or its manifest is gone\n"
	if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 1 || p.out != want {
		t.Errorf("%+v, want status 1 and\n%s", p, want)
	}

	// The copy lies where its name would be a pattern, beside another copy that
	// the pattern means.
	dir, key = evidence(t, map[string]string{"events/1.json": "{}"})
	other, _ := evidence(t, nil)
	if err := os.Rename(other, strings.Replace(dir, "copy[1]", "copy1", 1)); err != nil {
		t.Fatal(err)
	}
	if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 0 || p.out != "1.r.i-1.1/run-1: holds: signature, 1 object and 0 entries of the journal\n" {
		t.Errorf("%+v, want the copy that was named", p)
	}

	// What cannot be looked into is no empty copy.
	dir, key = evidence(t, nil)
	manifests := filepath.Join(dir, "incidents/1.r.i-1.1/manifests")
	if err := os.RemoveAll(manifests); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifests, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 1 || !strings.Contains(p.out, "1.r.i-1.1/manifests: DOES NOT HOLD: ") {
		t.Errorf("%+v, want status 1 and what could not be read", p)
	}

	// What a manifest names outside the copy is not opened.
	dir, key = evidence(t, map[string]string{"../secret": "x"})
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := invoke(t, nil, "verify", "--key", key, dir); p.status != 1 || !strings.Contains(p.out, "it cannot be read") {
		t.Errorf("%+v, want nothing read outside the copy", p)
	}
}

func TestVerifyRefusesBadInput(t *testing.T) {
	dir, key := evidence(t, nil)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no manifest":        {[]string{"--key", key, t.TempDir()}, "no incidents/ID/manifests/RUN.json"},
		"a key that is none": {[]string{"--key", filepath.Join(dir, "incidents/1.r.i-1.1/manifests/run-1.json"), dir}, "no public key"},
		"no key":             {[]string{dir}, "--key"},
		"no such directory":  {[]string{"--key", key, filepath.Join(dir, "elsewhere")}, "elsewhere"},
	} {
		if p := invoke(t, nil, append([]string{"verify"}, c.args...)...); p.status != 2 || p.out != "" || !strings.Contains(p.err, c.want) {
			t.Errorf("%s: %+v, want status 2 and %q", name, p, c.want)
		}
	}
}
