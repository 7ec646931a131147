package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile is a copy of a bucket with two incidents and a closing each, as a
// rehearsal leaves them, for somebody to forge.
type hostile struct {
	t       *testing.T
	dir     string
	a, b    string // folders of the incidents
	runA    string // manifest
	entries int    // of a
}

func (h *hostile) read(name string) []byte {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *hostile) write(name string, b []byte) {
	h.t.Helper()
	h.must(os.MkdirAll(filepath.Dir(filepath.Join(h.dir, name)), 0o700))
	h.must(os.WriteFile(filepath.Join(h.dir, name), b, 0o600))
}

func (h *hostile) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hostile) remove(name string) { h.t.Helper(); h.must(os.Remove(filepath.Join(h.dir, name))) }

func (h *hostile) replace(name, old, with string) {
	h.t.Helper()
	was := h.read(name)
	is := bytes.Replace(was, []byte(old), []byte(with), 1)
	if bytes.Equal(was, is) {
		h.t.Fatalf("%s does not say %s", name, old)
	}
	h.write(name, is)
}

func (h *hostile) entry(n int) string {
	return filepath.Join(h.a, "journal", fmt.Sprintf("%06d.json", n))
}

// rehearsed rehearses once, and copies what it left for each attack.
func rehearsed(t *testing.T, event string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "evidence")
	if p := invoke(t, nil, "rehearse", "--json", "--decision", "keep", "--parameter", "MemoryToolKey=", "--parameter", "MemoryToolSha256=", "--evidence", dir, event); p.status != 0 {
		t.Fatalf("%+v", p)
	}
	return dir
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %q, %v", pattern, all, err)
	}
	return all[0]
}

// TestForgedCopies: whoever can write all of a copy but the key makes it hold in no
// way; each attempt is told in plain lines, and none stops or kills the command.
func TestForgedCopies(t *testing.T) {
	t.Parallel()
	first, second := rehearsed(t, "../../events/plain.json"), rehearsed(t, "../../events/dual-stack-interfaces.json")
	for name, c := range map[string]struct {
		forge func(*hostile)
		want  string // in a line of its own; empty: all holds as before
	}{
		"nothing": {func(*hostile) {}, ""},
		"two entries swapped": {func(h *hostile) {
			x, y := h.read(h.entry(3)), h.read(h.entry(4))
			h.write(h.entry(3), y)
			h.write(h.entry(4), x)
		}, "entry 3 says that it is entry 4"},
		"an entry cut":            {func(h *hostile) { b := h.read(h.entry(3)); h.write(h.entry(3), b[:len(b)-1]) }, "entry 3: it is no entry of a journal"},
		"an entry made longer":    {func(h *hostile) { h.write(h.entry(3), append(h.read(h.entry(3)), ' ')) }, "entry 3: it is not in its canonical form"},
		"an entry twice":          {func(h *hostile) { h.write(h.entry(h.entries+1), h.read(h.entry(h.entries))) }, "says that it is entry"},
		"an entry of another":     {func(h *hostile) { h.write(h.entry(3), h.read(filepath.Join(h.b, "journal", "000003.json"))) }, "entry 3 is one of incident "},
		"an entry of no number":   {func(h *hostile) { h.write(filepath.Join(h.a, "journal", "7.json"), nil) }, `"7.json" is no entry`},
		"an entry with a mark":    {func(h *hostile) { h.write(h.entry(1), append([]byte("\xef\xbb\xbf"), h.read(h.entry(1))...)) }, "entry 1: it is no entry of a journal"},
		"an entry in other words": {func(h *hostile) { h.replace(h.entry(1), `"sequence":1`, `"sequence":1e0`) }, "entry 1: it is no entry of a journal"},
		"an entry says it twice":  {func(h *hostile) { h.replace(h.entry(1), `"sequence":1`, `"sequence":9,"sequence":1`) }, "entry 1: it is not in its canonical form"},
		"an entry in capitals":    {func(h *hostile) { h.replace(h.entry(1), `"sequence"`, `"Sequence"`) }, "entry 1: it is not in its canonical form"},
		"an entry is deep":        {func(h *hostile) { h.write(h.entry(1), bytes.Repeat([]byte("["), 1<<20)) }, "entry 1: it is no entry of a journal"},
		"an entry is huge":        {func(h *hostile) { h.must(os.Truncate(filepath.Join(h.dir, h.entry(2)), 1<<40)) }, "entry 2 cannot be read: it has 1099511627776 bytes"},
		"an entry is a folder":    {func(h *hostile) { h.remove(h.entry(2)); h.must(os.Mkdir(filepath.Join(h.dir, h.entry(2)), 0o700)) }, "entry 2 cannot be read: "},
		"an entry is a pipe": {func(h *hostile) {
			h.remove(h.entry(2))
			h.must(syscall.Mkfifo(filepath.Join(h.dir, h.entry(2)), 0o600))
		}, "entry 2 cannot be read: "},
		"an entry is a link": {func(h *hostile) {
			h.remove(h.entry(2))
			h.must(os.Symlink("/etc/passwd", filepath.Join(h.dir, h.entry(2))))
		}, "entry 2 cannot be read: "},
		"the journal is a link out": {func(h *hostile) {
			h.must(os.RemoveAll(filepath.Join(h.dir, h.a, "journal")))
			h.must(os.Symlink("/etc", filepath.Join(h.dir, h.a, "journal")))
		}, "/journal: DOES NOT HOLD: "},
		"the journal is gone": {func(h *hostile) { h.must(os.RemoveAll(filepath.Join(h.dir, h.a, "journal"))) }, "entries were signed, and 0 of them are there"},
		"the journal is cut": {func(h *hostile) {
			for n := 5; n <= h.entries; n++ {
				h.remove(h.entry(n))
			}
		}, "entries were signed, and 4 of them are there"},
		"a manifest of another": {func(h *hostile) {
			h.write(h.runA, h.read(only(h.t, filepath.Join(h.dir, h.b, "manifests", "*.json"))[len(h.dir)+1:]))
		}, "the manifest is that of incident "},
		"a manifest of another run": {func(h *hostile) { h.write(filepath.Join(h.a, "manifests", "later.json"), h.read(h.runA)) }, "the manifest is that of execution "},
		"a manifest with more":      {func(h *hostile) { h.write(h.runA, append(h.read(h.runA), '\n')) }, "the manifest is not in its canonical form"},
		"a manifest with a mark":    {func(h *hostile) { h.write(h.runA, append([]byte("\xef\xbb\xbf"), h.read(h.runA)...)) }, "the manifest is not JSON"},
		"a manifest says it twice":  {func(h *hostile) { h.replace(h.runA, `{"manifest":{`, `{"manifest":{},"manifest":{`) }, "the manifest is not in its canonical form"},
		"a manifest says more":      {func(h *hostile) { h.replace(h.runA, `"manifest":{`, `"manifest":{"aaa":1,`) }, "the signature is not that of this key"},
		"a member twice":            {func(h *hostile) { h.replace(h.runA, `"ending":`, `"ending":"Released","ending":`) }, "the manifest is not in its canonical form"},
		"another ending":            {func(h *hostile) { h.replace(h.runA, `"ending":"Kept isolated"`, `"ending":"Terminated"`) }, "the signature is not that of this key"},
		"a letter in another form":  {func(h *hostile) { h.replace(h.runA, `"ending":"K`, `"ending":"\u004b`) }, "the manifest is not in its canonical form"},
		"a number in another form":  {func(h *hostile) { h.replace(h.runA, `"round":1`, `"round":1.0`) }, "the signature is not that of this key"},
		"a manifest of no letters":  {func(h *hostile) { h.replace(h.runA, `"ending":"K`, "\"ending\":\"\xff") }, "the manifest is not in its canonical form"},
		"a manifest is null":        {func(h *hostile) { h.write(h.runA, []byte("null")) }, "the manifest is not in its canonical form"},
		"a manifest is deep":        {func(h *hostile) { h.write(h.runA, bytes.Repeat([]byte(`{"manifest":`), 1<<20)) }, "the manifest is not JSON"},
		"a manifest is huge":        {func(h *hostile) { h.must(os.Truncate(filepath.Join(h.dir, h.runA), 1<<40)) }, "it has 1099511627776 bytes"},
		"a manifest is a pipe":      {func(h *hostile) { h.remove(h.runA); h.must(syscall.Mkfifo(filepath.Join(h.dir, h.runA), 0o600)) }, "is no file"},
		"no signature": {func(h *hostile) {
			h.write(h.runA, regexp.MustCompile(`"signature":"[^"]*"`).ReplaceAll(h.read(h.runA), []byte(`"signature":""`)))
		}, "the signature is not that of this key"},
		"another's signature": {func(h *hostile) {
			signature := regexp.MustCompile(`"signature":"[^"]*"`)
			h.write(h.runA, signature.ReplaceAll(h.read(h.runA), signature.Find(h.read(only(h.t, filepath.Join(h.dir, h.b, "manifests", "*.json"))[len(h.dir)+1:]))))
		}, "the signature is not that of this key"},
		"a report is huge": {func(h *hostile) {
			h.must(os.Truncate(only(h.t, filepath.Join(h.dir, h.a, "reports", "*.html")), 1<<42))
		}, "it has 4398046511104 bytes, the manifest says "},
		"a report is a pipe": {func(h *hostile) {
			r := only(h.t, filepath.Join(h.dir, h.a, "reports", "*.html"))
			h.must(os.Remove(r))
			h.must(syscall.Mkfifo(r, 0o600))
		}, "is no file"},
		"a report is a link": {func(h *hostile) {
			r := only(h.t, filepath.Join(h.dir, h.a, "reports", "*.html"))
			h.must(os.Rename(r, r+".x"))
			h.must(os.Symlink(filepath.Base(r)+".x", r))
		}, "is no file"},
		"a name that reads as ours":  {func(h *hostile) { h.write("incidents/1.r.i-1.1: holds: signature, 9 objects/x", nil) }, `"1.r.i-1.1: holds: signature, 9 objects": no manifest`},
		"a name that turns the line": {func(h *hostile) { h.write("incidents/1\u202eevil/x", nil) }, `"1\u202eevil": no manifest`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &hostile{t: t, dir: t.TempDir()}
			h.must(os.CopyFS(h.dir, os.DirFS(first)))
			h.a = only(t, filepath.Join(h.dir, "incidents", "*"))[len(h.dir)+1:]
			h.must(os.CopyFS(filepath.Join(h.dir, "incidents"), os.DirFS(filepath.Join(second, "incidents"))))
			h.must(os.CopyFS(filepath.Join(h.dir, "events"), os.DirFS(filepath.Join(second, "events"))))
			all, err := filepath.Glob(filepath.Join(h.dir, "incidents", "*"))
			h.must(err)
			for _, one := range all {
				if one != filepath.Join(h.dir, h.a) {
					h.b = one[len(h.dir)+1:]
				}
			}
			h.runA = only(t, filepath.Join(h.dir, h.a, "manifests", "*.json"))[len(h.dir)+1:]
			entries, err := os.ReadDir(filepath.Join(h.dir, h.a, "journal"))
			h.must(err)
			h.entries = len(entries)
			c.forge(h)
			said := make(chan printed, 1)
			go func() {
				var out, err bytes.Buffer
				status := run([]string{"verify", "--key", first + ".der", h.dir}, streams{in: strings.NewReader(""), out: &out, err: &err})
				said <- printed{status, out.String(), err.String()}
			}()
			select {
			case p := <-said:
				other := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(filepath.Base(h.b)) + `/[0-9a-z-]+: holds: `)
				if c.want == "" && (p.status != 0 || strings.Contains(p.out, "DOES NOT HOLD")) || c.want != "" && (p.status != 1 || !strings.Contains(p.out, c.want)) || !other.MatchString(p.out) {
					t.Errorf("%+v, want %q, and the other incident told as before", p, c.want)
				}
			case <-time.After(time.Minute):
				t.Fatal("it hangs")
			}
		})
	}
}
