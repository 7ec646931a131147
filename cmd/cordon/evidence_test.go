package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRehearsedEvidence: what a whole incident leaves is verified offline, and a
// byte changed in any object that is signed, or in any entry of the journal, is found.
func TestRehearsedEvidence(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	args := []string{"rehearse", "--json", "--decision", "terminate", "--parameter", "MemoryToolKey=", "--parameter", "MemoryToolSha256=", "--evidence", dir, "../../events/plain.json"}
	if p := invoke(t, nil, args...); p.status != 0 || !strings.Contains(p.err, "cordon verify --key "+dir+".der "+dir) {
		t.Fatalf("status %d, stderr %q; want the command that verifies", p.status, p.err)
	}
	refused(t, invoke(t, nil, args...), "not empty")
	check := func() printed { return invoke(t, nil, "verify", "--key", dir+".der", dir) }
	if p := check(); p.status != 0 || !strings.Contains(p.out, ": holds: ") {
		t.Fatalf("%+v, want it to hold", p)
	}
	signed := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(path, string(filepath.Separator)+"tools"+string(filepath.Separator)) {
			return err
		}
		was, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		is := append([]byte{}, was...)
		is[len(is)/2] ^= 1
		if err := os.WriteFile(path, is, 0o600); err != nil {
			return err
		}
		if p := check(); p.status != 1 || !strings.Contains(p.out, "DOES NOT HOLD") {
			// The entries after the last signature are chained to nothing that is signed.
			if !strings.Contains(path, "journal") || p.status == 2 {
				t.Errorf("%s: a byte changed, and verify says (%d) %s%s", path, p.status, p.out, p.err)
			}
		} else {
			signed++
		}
		return os.WriteFile(path, was, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if signed < 40 {
		t.Errorf("only %d objects of a whole incident are held by its manifest and journal", signed)
	}
}

// TestUndecidedEvidence: what nobody decided is signed, verified and named.
func TestUndecidedEvidence(t *testing.T) {
	for _, c := range []struct {
		decision, want string
	}{
		{"none", ": holds: Isolated, undecided, still open at "},
		{"keep", ": holds: Kept isolated at "},
	} {
		dir := filepath.Join(t.TempDir(), "evidence")
		if p := invoke(t, nil, "rehearse", "--json", "--decision", c.decision, "--parameter", "MemoryToolKey=", "--parameter", "MemoryToolSha256=", "--evidence", dir, "../../events/plain.json"); p.status != 0 {
			t.Fatalf("%+v", p)
		}
		if p := invoke(t, nil, "verify", "--key", dir+".der", dir); p.status != 0 || !strings.Contains(p.out, c.want) {
			t.Errorf("%s: %+v, want %q", c.decision, p, c.want)
		}
	}
}

// A model of memory has no bytes: its image is named, never written as something else.
func TestRehearsedEvidenceNamesImages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	p := invoke(t, nil, "rehearse", "--json", "--decision", "keep", "--evidence", dir, "../../events/plain.json")
	if p.status != 0 || !strings.Contains(p.err, "not written: ") || !strings.Contains(p.err, "memory/image.lime") {
		t.Errorf("status %d, stderr %q; want the image named", p.status, p.err)
	}
	if v := invoke(t, nil, "verify", "--key", dir+".der", dir); v.status != 1 || !strings.Contains(v.out, "image.lime: it cannot be read") {
		t.Errorf("%+v, want the image missed", v)
	}
}

// TestAClosingWhoseManifestIsGone: the journal says that there was one.
func TestAClosingWhoseManifestIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	if p := invoke(t, nil, "rehearse", "--json", "--decision", "keep", "--parameter", "MemoryToolKey=", "--parameter", "MemoryToolSha256=", "--evidence", dir, "../../events/plain.json"); p.status != 0 {
		t.Fatalf("%+v", p)
	}
	all, err := filepath.Glob(filepath.Join(dir, "incidents", "*", "manifests", "*.json"))
	if err != nil || len(all) != 1 {
		t.Fatalf("manifests %q, %v", all, err)
	}
	if err := os.Rename(all[0], filepath.Join(filepath.Dir(all[0]), "another.json")); err != nil {
		t.Fatal(err)
	}
	run := strings.TrimSuffix(filepath.Base(all[0]), ".json")
	p := invoke(t, nil, "verify", "--key", dir+".der", dir)
	if p.status != 1 || !strings.Contains(p.out, run+": INCOMPLETE: the journal says") {
		t.Errorf("%+v, want the closing %s named", p, run)
	}

	// What a copy holds that nobody can read hides no other incident, and what it
	// is called forges no line of ours.
	hostile := filepath.Join(dir, "incidents", "0\n1.r.i-1.1: holds: signature")
	if err := os.WriteFile(hostile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p = invoke(t, nil, "verify", "--key", dir+".der", dir)
	if p.status != 1 || !strings.Contains(p.out, run) || strings.Contains(p.out, "\n1.r.i-1.1: holds") {
		t.Errorf("%+v, want both incidents told, each on lines of its own", p)
	}
}

// TestAClosingThatWasNeverSigned: an execution that may not sign leaves its note; what
// a later one signed covers that, and a manifest that is gone is still missed.
func TestAClosingThatWasNeverSigned(t *testing.T) {
	dir, script := filepath.Join(t.TempDir(), "evidence"), filepath.Join(t.TempDir(), "script.json")
	wish, err := os.ReadFile("../../events/decide-later.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(`{"storms": [{"from": 0, "until": 3000, "calls": "kms:Sign", "by": "close", "kind": "denied"}], "events": [{"at": 5000, "event": `+string(wish)+`}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := invoke(t, nil, "rehearse", "--json", "--decision", "keep", "--parameter", "MemoryToolKey=", "--parameter", "MemoryToolSha256=", "--script", script, "--evidence", dir, "../../events/plain.json"); p.status != 0 {
		t.Fatalf("%+v", p)
	}
	p := invoke(t, nil, "verify", "--key", dir+".der", dir)
	if p.status != 0 || !strings.Contains(p.out, "noted no manifest: it could not sign") || !strings.Contains(p.out, ": holds: Kept isolated at ") {
		t.Errorf("%+v, want the later signature to count for both", p)
	}
	all, err := filepath.Glob(filepath.Join(dir, "incidents", "*", "manifests", "*.json"))
	if err != nil || len(all) != 1 {
		t.Fatalf("manifests %q, %v", all, err)
	}
	if err := os.Remove(all[0]); err != nil {
		t.Fatal(err)
	}
	if p := invoke(t, nil, "verify", "--key", dir+".der", dir); p.status != 1 || strings.Count(p.out, "INCOMPLETE: the journal says") != 2 {
		t.Errorf("%+v, want both closings missed", p)
	}
}
