package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cordon/internal/manifest"
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
		one, err := check(root, key, id, s.out)
		if err != nil {
			return err
		}
		holds = holds && one
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

// check prints what there is to say of one incident's manifests, and says
// whether all of them hold.
func check(root *os.Root, key *ecdsa.PublicKey, id string, to io.Writer) (bool, error) {
	dir := path.Join("incidents", id, "manifests")
	files, err := names(root, dir)
	if err != nil {
		return false, err
	}
	files = slices.DeleteFunc(files, func(name string) bool { return path.Ext(name) != ".json" })
	if len(files) == 0 {
		fmt.Fprintf(to, "%s: no manifest: it is open, or its manifest is gone\n", id)
		return false, nil
	}
	holds := true
	for _, name := range files {
		text, err := root.ReadFile(path.Join(dir, name))
		if err != nil {
			return false, err
		}
		run := strings.TrimSuffix(name, ".json")
		found := manifest.Check(text, key, func(o manifest.Object) (io.ReadCloser, error) { return root.Open(filepath.FromSlash(o.Key)) })
		if len(found.Broken) == 0 && found.Incident != id {
			found.Broken = []string{fmt.Sprintf("the manifest is that of incident %q", found.Incident)}
		}
		if len(found.Broken) == 0 && found.Run != run {
			found.Broken = []string{fmt.Sprintf("the manifest is that of execution %q", found.Run)}
		}
		for _, line := range found.Broken {
			holds = false
			fmt.Fprintf(to, "%s/%s: DOES NOT HOLD: %s\n", id, run, line)
		}
		for _, k := range found.Missing {
			holds = false
			fmt.Fprintf(to, "%s/%s: INCOMPLETE: %s was not there, or not hashed, when it closed\n", id, run, k)
		}
		if len(found.Broken)+len(found.Missing) == 0 {
			fmt.Fprintf(to, "%s/%s: holds: signature and %d objects\n", id, run, len(found.Objects))
		}
	}
	return holds, nil
}
