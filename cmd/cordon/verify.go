package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cordon/internal/chain"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/record"
)

// verify checks what incidents left: one of them where it lies, or a copy of the
// evidence bucket without AWS. It changes nothing.
type verify struct {
	What string `arg:"" help:"ID of an incident, which is verified where it lies, or a folder with a copy of the evidence bucket, as aws s3 sync makes it." placeholder:"INCIDENT|FOLDER"`
	Key  string `help:"File with the public key of the stack's SigningKey: DER as aws kms get-public-key gives it (decoded from base64), or PEM. For a folder it is needed; for an incident KMS is asked without it." type:"existingfile" placeholder:"FILE"`
	where
	HashMemory      bool   `help:"Of an incident: read the image of the memory as a whole, to hash it. It is as large as the memory was."`
	EvidenceProfile string `help:"Of an incident: profile of your AWS configuration for the evidence account, to look at the copies of snapshots there." placeholder:"NAME"`
}

// Run prints a line for each closing of an incident, or one for each thing that does not hold or is missing.
func (c verify) Run(s streams) error {
	if _, _, err := incident.SplitID(c.What); err == nil {
		ctx := context.Background()
		d, err := c.find(ctx)
		if err != nil {
			return err
		}
		return c.inPlace(ctx, s, d)
	}
	if c.HashMemory || c.EvidenceProfile != "" {
		return errors.New("--hash-memory and --evidence-profile are for an incident, not for a folder, of which all is hashed")
	}
	return c.folder(s)
}

// folder verifies a copy of the bucket.
func (c verify) folder(s streams) error {
	if info, err := os.Stat(c.What); err != nil || !info.IsDir() {
		return fmt.Errorf("%.200q is neither the ID of an incident (cordon list shows them) nor a folder with a copy of the evidence bucket", c.What)
	}
	if c.Key == "" {
		return errors.New("a copy is checked with a public key that lies elsewhere; give --key")
	}
	key, err := c.keyFile()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(c.What)
	if err != nil {
		return err
	}
	defer root.Close()
	from := folder{root}
	incidents, err := from.names("incidents")
	if err != nil {
		return err
	}
	if len(incidents) == 0 {
		return fmt.Errorf("%s has no incidents/ID/manifests/RUN.json; give a copy of the evidence bucket", c.What)
	}
	fmt.Fprintln(s.err, fingerprint(key))
	t := &teller{to: s.out}
	for _, id := range incidents {
		check(from, key, id, t)
	}
	return t.verdict()
}

// keyFile is the public key that was given.
func (c verify) keyFile() (*ecdsa.PublicKey, error) {
	file, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, err
	}
	key, err := manifest.PublicKey(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; give the public key of the stack's SigningKey", c.Key, err)
	}
	return key, nil
}

// fingerprint is what tells a key from another that somebody put in its place
// together with signatures of its own.
func fingerprint(key *ecdsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "public key: " + err.Error()
	}
	return fmt.Sprintf("public key: SHA-256 of its DER %x", sha256.Sum256(der))
}

// teller prints lines, and knows whether all holds.
type teller struct {
	to     io.Writer
	broken bool
}

// verdict is the exit status.
func (t *teller) verdict() error {
	if t.broken {
		return errBad
	}
	return nil
}

// say prints a line of something that holds, or that is not for us to judge.
func (t *teller) say(of, format string, args ...any) {
	fmt.Fprintf(t.to, "%s: %s\n", named(of), oneLine(fmt.Sprintf(format, args...)))
}

// wrong prints a line of what does not hold.
func (t *teller) wrong(of, format string, args ...any) {
	t.broken = true
	t.say(of, "DOES NOT HOLD: "+format, args...)
}

// lacking prints a line of what is not there, or could not be looked at.
func (t *teller) lacking(of, format string, args ...any) {
	t.broken = true
	t.say(of, "INCOMPLETE: "+format, args...)
}

// named is what a line is about. Names in a hostile copy could be made to read
// like lines of ours, so what is no name of ours stands in quotes.
func named(s string) string {
	ours := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-/", r))
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !ours(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// oneLine quotes what could break a line of ours or change how it reads.
func oneLine(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// source is where evidence lies: a copy of the bucket, or the bucket itself.
type source interface {
	// names are those directly below a prefix, in order; none if there is nothing.
	names(prefix string) ([]string, error)
	// read reads a small object, as it was first written: at most that many bytes,
	// and a longer one is an error.
	read(key string, most int64) ([]byte, error)
	// open opens an object that a manifest names. What it can tell without reading
	// it to its end does not hold is its error.
	open(manifest.Object) (io.ReadCloser, error)
}

// bounded reads what a source holds of a key, unless that is more than there can be.
func bounded(from io.Reader, size, most int64) ([]byte, error) {
	if size > most {
		return nil, fmt.Errorf("it has %d bytes, and %d are the most that there can be", size, most)
	}
	return io.ReadAll(io.LimitReader(from, most))
}

// found is what check found of an incident.
type found struct {
	entries []string          // keys of its journal
	closed  []manifest.Claims // of each manifest that holds, in the order of their names
	files   []string          // keys of all manifests
}

// check prints what there is to say of one incident's journal and manifests. What
// cannot be read does not hold, and hides nothing of what comes after it.
func check(from source, key *ecdsa.PublicKey, id string, t *teller) found {
	var f found
	written := f.journal(from, id, t)
	dir := path.Join("incidents", id, "manifests")
	files, err := from.names(dir)
	if err != nil {
		t.wrong(id+"/manifests", "%v", err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return path.Ext(name) != ".json" })
	if len(files) == 0 {
		t.lacks(id)
	}
	signed := 0
	var covered time.Time // what was noted before this is signed, by an execution that saw it
	for _, name := range inOrder(from, dir, files, key) {
		run := strings.TrimSuffix(name, ".json")
		f.files = append(f.files, path.Join(dir, name))
		m, ours, whole := closing(from, key, id, run, written, t)
		if ours {
			f.closed = append(f.closed, m)
			signed = max(signed, m.Journal.Entries)
		}
		if whole && m.Journal.Complete && m.At.After(covered) {
			covered = m.At
		}
	}
	for _, item := range slices.Sorted(maps.Keys(written.Newest)) {
		_, run, ok := strings.Cut(item, " "+record.ClosingKey(""))
		switch {
		case !ok || slices.Contains(files, run+".json"):
		case neverSigned(written.Newest[item], covered):
			t.say(id+"/"+run, "this execution began to close it and noted no manifest: it could not sign. What it had recorded is signed by a later one")
		default:
			t.lacking(id+"/"+run, "the journal says that this execution began to close it, and its manifest is not there: it is still at it, or the manifest is gone")
		}
	}
	f.strangers(from, id, t)
	if after := len(f.entries) - signed; after > 0 && len(files) > 0 {
		t.say(id+"/journal", "%s after the last signature: recorded since, by the closing itself or by a later execution, and signed by nobody yet", count(after, "entry", "entries"))
	}
	return f
}

// neverSigned says whether the note of a closing names no manifest, and was signed
// as that by another execution later. Who removed a manifest could not have removed
// its name from what that one signed.
func neverSigned(note map[string]any, covered time.Time) bool {
	began, ok := note["at"].(string)
	at, err := time.Parse(time.RFC3339Nano, began)
	return ok && err == nil && note["manifest"] == nil && at.Before(covered)
}

// lacks says that an incident has no manifest.
func (t *teller) lacks(id string) {
	t.broken = true
	t.say(id, "no manifest: no execution of it has ended yet, or its manifest is gone")
}

// closing holds one manifest against the key, the objects and the journal, and says
// whether it is of that execution, and whether all of it holds.
func closing(from source, key *ecdsa.PublicKey, id, run string, written chain.Checked, t *teller) (_ manifest.Claims, ours, whole bool) {
	of := id + "/" + run
	text, err := from.read(path.Join("incidents", id, "manifests", run+".json"), manifest.MaxFile)
	if err != nil {
		t.wrong(of, "%v", err)
		return manifest.Claims{}, false, false
	}
	m := manifest.Check(text, key, from.open)
	if len(m.Broken) == 0 && m.Incident != id {
		m.Broken = []string{fmt.Sprintf("the manifest is that of incident %.200q", m.Incident)}
	}
	if len(m.Broken) == 0 && m.Run != run {
		m.Broken = []string{fmt.Sprintf("the manifest is that of execution %.200q", m.Run)}
	}
	for _, line := range m.Broken {
		t.wrong(of, "%s", line)
	}
	for _, k := range m.Missing {
		t.lacking(of, "%s was not there, not hashed, or not what had been kept, when it closed", k)
	}
	for _, o := range m.Unread {
		t.say(of, "NOT HASHED: %s, %d bytes, is there; --hash-memory reads all of it", o.Key, o.Bytes)
	}
	// What is signed says what else there must be, whether or not all of it is there.
	ours = m.Incident == id && m.Run == run
	if len(m.Broken) > 0 {
		return m.Claims, ours, false
	}
	j := m.Journal
	if err := written.Holds(j.Entries, j.Last); err != nil {
		t.wrong(of, "journal: %v", err)
		return m.Claims, ours, false
	}
	whole = len(m.Missing) == 0
	if !j.Complete && j.Reason != "" {
		whole = false
		t.lacking(of, "the journal was signed without its end: %s", j.Reason)
	}
	if whole {
		t.say(of, "holds: %ssignature, %s and %s", covers(m.Claims), count(len(m.Objects)-len(m.Unread), "object", "objects"), count(j.Entries, "entry of the journal", "entries of the journal"))
	}
	return m.Claims, ours, whole
}

// strangers names what lies where people look for a report or a console, and is
// signed by no manifest.
func (f found) strangers(from source, id string, t *teller) {
	if len(f.closed) == 0 {
		return
	}
	named := map[string]bool{}
	for _, m := range f.closed {
		for _, o := range m.Objects {
			named[o.Key] = true
		}
		for _, k := range m.Missing {
			named[k] = true
		}
	}
	for _, dir := range []string{"console", "reports"} {
		all, err := from.names(path.Join("incidents", id, dir))
		if err != nil {
			t.wrong(id+"/"+dir, "%v", err)
		}
		for _, name := range all {
			if !named[path.Join("incidents", id, dir, name)] {
				t.say(id+"/"+dir, "no manifest names %.200q: it proves nothing", name)
			}
		}
	}
}

// covers says which ending a manifest is of, and when; where the incident was open
// afterwards, another may follow it.
func covers(c manifest.Claims) string {
	switch {
	case c.Ending == "":
		return ""
	case c.State == string(record.Open):
		return fmt.Sprintf("%s, still open at %s: ", c.Ending, c.At.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s at %s: ", c.Ending, c.At.UTC().Format(time.RFC3339))
}

// inOrder puts the manifests that hold in the order in which they were signed, as
// they say; the others come last, by their names.
func inOrder(from source, dir string, files []string, key *ecdsa.PublicKey) []string {
	at := map[string]time.Time{}
	for _, name := range files {
		text, err := from.read(path.Join(dir, name), manifest.MaxFile)
		if err != nil {
			continue // told where it is checked
		}
		if c, err := manifest.Read(text, key); err == nil {
			at[name] = c.At
		}
	}
	slices.SortStableFunc(files, func(a, b string) int {
		if at[a].IsZero() != at[b].IsZero() {
			return cmp.Compare(strconv.FormatBool(at[a].IsZero()), strconv.FormatBool(at[b].IsZero()))
		}
		return at[a].Compare(at[b])
	})
	return files
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", more)
}

// journal checks an incident's journal for itself.
func (f *found) journal(from source, id string, t *teller) chain.Checked {
	of, dir := id+"/journal", path.Join("incidents", id, "journal")
	files, err := from.names(dir)
	if err != nil {
		t.wrong(of, "%v", err)
	}
	var numbers []int
	var strange []string
	for _, name := range files {
		n, ok := chain.NumberOf(name)
		if name+"/" == chain.Aside { // a folder of its own
			continue
		}
		if !ok {
			strange = append(strange, fmt.Sprintf("%.60q is no entry", name))
			continue
		}
		numbers = append(numbers, n)
		f.entries = append(f.entries, path.Join(dir, name))
	}
	c := chain.Check(id, numbers, func(n int) ([]byte, error) {
		return from.read(path.Join(dir, fmt.Sprintf("%06d.json", n)), chain.MaxEntry)
	})
	for _, line := range append(c.Broken, strange[:min(len(strange), 10)]...) {
		t.wrong(of, "%s", line)
	}
	if len(c.Late) > 0 {
		t.say(of, "written late, after what came behind: %s", numbered(c.Late))
	}
	aside(from, id, c, t)
	return c
}

// numbered lists entries, the first of them.
func numbered(all []int) string {
	const most = 10
	text := "entry"
	if len(all) > 1 {
		text = "entries"
	}
	for n, e := range all[:min(len(all), most)] {
		text += map[bool]string{true: " ", false: ", "}[n == 0] + strconv.Itoa(e)
	}
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return text
}

// aside tells of changes that were set aside because the journal could not be
// written on, and are not in it yet.
func aside(from source, id string, c chain.Checked, t *teller) {
	of, dir := id+"/journal", path.Join("incidents", id, "journal", chain.Aside)
	all, err := from.names(dir)
	if err != nil {
		t.wrong(of, "%v", err)
	}
	waiting := 0
	for _, name := range all {
		event, ok := strings.CutSuffix(name, ".json")
		if _, there := c.Events[event]; ok && !there && !strings.HasSuffix(event, ".written") {
			waiting++
		}
	}
	if waiting > 0 {
		t.lacking(of, "%s in no chain: the journal could not be written on, and they lie below %s", count(waiting, "change is", "changes are"), dir)
	}
}
