package main

import (
	"cmp"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cordon/internal/chain"
	"cordon/internal/manifest"
	"cordon/internal/record"
)

// verify checks manifests against a public key and a copy of the evidence bucket.
type verify struct {
	Key string `required:"" help:"File with the public key of the stack's SigningKey: DER as aws kms get-public-key gives it (decoded from base64), or PEM." type:"existingfile"`
	Dir string `arg:"" help:"Copy of the evidence bucket, as aws s3 sync makes it." type:"existingdir"`
}

// Run prints a line for each closing of an incident, or one for each thing that does not hold or is missing.
func (c verify) Run(s streams) error {
	file, err := os.ReadFile(c.Key)
	if err != nil {
		return err
	}
	key, err := manifest.PublicKey(file)
	if err != nil {
		return fmt.Errorf("%s: %w; give the public key of the stack's SigningKey", c.Key, err)
	}
	// A key in a manifest is only opened below the copy.
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	incidents, err := names(root, "incidents")
	if err != nil {
		return err
	}
	if len(incidents) == 0 {
		return fmt.Errorf("%s has no incidents/ID/manifests/RUN.json; give a copy of the evidence bucket", c.Dir)
	}
	holds := true
	for _, id := range incidents {
		holds = check(root, key, id, s.out) && holds
	}
	if !holds {
		return errBad
	}
	return nil
}

// names are those in a directory of the copy, in order; none if it is not there.
func names(root *os.Root, dir string) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all, err
}

// check prints what there is to say of one incident's journal and manifests, and
// says whether all of it holds. What cannot be read does not hold, and hides
// nothing of the incidents after it.
func check(root *os.Root, key *ecdsa.PublicKey, id string, to io.Writer) bool {
	holds := true
	say := func(of, format string, args ...any) {
		fmt.Fprintf(to, "%s: %s\n", oneLine(of), oneLine(fmt.Sprintf(format, args...)))
	}
	broken := func(of, format string, args ...any) {
		holds = false
		say(of, "DOES NOT HOLD: "+format, args...)
	}
	written, entries, err := journalOf(root, id)
	if err != nil {
		broken(id+"/journal", "%v", err)
	}
	for _, line := range written.Broken {
		broken(id+"/journal", "%s", line)
	}
	dir := path.Join("incidents", id, "manifests")
	files, err := names(root, dir)
	if err != nil {
		broken(id+"/manifests", "%v", err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return path.Ext(name) != ".json" })
	if len(files) == 0 {
		say(id, "no manifest: no execution of it has ended yet, or its manifest is gone")
		return false
	}
	signed := 0
	for _, name := range inOrder(root, dir, files, key) {
		of := id + "/" + strings.TrimSuffix(name, ".json")
		text, err := root.ReadFile(path.Join(dir, name))
		if err != nil {
			broken(of, "%v", err)
			continue
		}
		found := manifest.Check(text, key, func(o manifest.Object) (io.ReadCloser, error) { return root.Open(filepath.FromSlash(o.Key)) })
		if len(found.Broken) == 0 && found.Incident != id {
			found.Broken = []string{fmt.Sprintf("the manifest is that of incident %q", found.Incident)}
		}
		if run := strings.TrimSuffix(name, ".json"); len(found.Broken) == 0 && found.Run != run {
			found.Broken = []string{fmt.Sprintf("the manifest is that of execution %q", found.Run)}
		}
		for _, line := range found.Broken {
			broken(of, "%s", line)
		}
		incomplete := slices.Clone(found.Missing)
		for _, k := range found.Missing {
			holds = false
			say(of, "INCOMPLETE: %s was not there, not hashed, or not what had been kept, when it closed", k)
		}
		if len(found.Broken) > 0 {
			continue
		}
		j := found.Journal
		if err := written.Holds(j.Entries, j.Last); err != nil {
			broken(of, "journal: %v", err)
			continue
		}
		signed = max(signed, j.Entries)
		if !j.Complete && j.Reason != "" {
			holds, incomplete = false, append(incomplete, "journal")
			say(of, "INCOMPLETE: the journal was signed without its end: %s", j.Reason)
		}
		if len(incomplete) == 0 {
			say(of, "holds: %ssignature, %s and %s", covers(found.Claims), count(len(found.Objects), "object", "objects"), count(j.Entries, "entry of the journal", "entries of the journal"))
		}
	}
	for _, item := range slices.Sorted(maps.Keys(written.Newest)) {
		if _, run, ok := strings.Cut(item, " "+record.ClosingKey("")); ok && !slices.Contains(files, run+".json") {
			holds = false
			say(id+"/"+run, "INCOMPLETE: the journal says that this execution began to close it, and its manifest is not there: it is still at it, or the manifest is gone")
		}
	}
	if after := entries - signed; after > 0 {
		say(id+"/journal", "%s after the last signature: recorded since, by the closing itself or by a later execution, and signed by nobody yet", count(after, "entry", "entries"))
	}
	return holds
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

// oneLine quotes what names of a hostile copy could put between our lines.
func oneLine(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", more)
}

// inOrder puts the manifests that hold in the order in which they were signed, as
// they say; the others come last, by their names.
func inOrder(root *os.Root, dir string, files []string, key *ecdsa.PublicKey) []string {
	at := map[string]time.Time{}
	for _, name := range files {
		text, err := root.ReadFile(path.Join(dir, name))
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

// journalOf checks an incident's journal for itself, and says how many entries
// there are.
func journalOf(root *os.Root, id string) (chain.Checked, int, error) {
	dir := path.Join("incidents", id, "journal")
	files, err := names(root, dir)
	if err != nil {
		return chain.Checked{}, 0, err
	}
	var numbers []int
	var strange []string
	for _, name := range files {
		n, ok := chain.NumberOf(name)
		if !ok {
			strange = append(strange, fmt.Sprintf("%.60q is no entry", name))
			continue
		}
		numbers = append(numbers, n)
	}
	c := chain.Check(id, numbers, func(n int) ([]byte, error) {
		f, err := root.Open(path.Join(dir, fmt.Sprintf("%06d.json", n)))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, chain.MaxEntry+1))
		if err == nil && len(text) > chain.MaxEntry {
			err = fmt.Errorf("it has more than %d bytes, which no entry has", chain.MaxEntry)
		}
		return text, err
	})
	c.Broken = append(c.Broken, strange[:min(len(strange), 10)]...)
	return c, len(numbers), nil
}
