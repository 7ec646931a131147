package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"cordon/internal/manifest"
)

// verify checks manifests against a public key and a copy of the evidence bucket.
type verify struct {
	Key string `required:"" help:"File with the public key of the stack's SigningKey: DER as aws kms get-public-key gives it (decoded from base64), or PEM." type:"existingfile"`
	Dir string `arg:"" help:"Copy of the evidence bucket, as aws s3 sync makes it." type:"existingdir"`
}

// Run prints a line for each closing of an incident, or one for each thing that does not hold.
func (c verify) Run(s streams) error {
	file, err := os.ReadFile(c.Key)
	if err != nil {
		return err
	}
	key, err := manifest.PublicKey(file)
	if err != nil {
		return fmt.Errorf("%s: %w; give the public key of the stack's SigningKey", c.Key, err)
	}
	paths, err := filepath.Glob(filepath.Join(c.Dir, "incidents", "*", "manifests", "*.json"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("%s has no incidents/ID/manifests/RUN.json; give a copy of the evidence bucket", c.Dir)
	}
	// A key in a manifest is only opened below the copy.
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	holds := true
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // below the directory that was named
		if err != nil {
			return err
		}
		id := filepath.Base(filepath.Dir(filepath.Dir(path)))
		run := strings.TrimSuffix(filepath.Base(path), ".json")
		found := manifest.Check(text, key, func(k string) (io.ReadCloser, error) { return root.Open(filepath.FromSlash(k)) })
		if len(found.Broken) == 0 && found.Incident != id {
			found.Broken = []string{"the manifest is that of incident " + fmt.Sprintf("%q", found.Incident)}
		}
		for _, line := range found.Broken {
			holds = false
			fmt.Fprintf(s.out, "%s/%s: DOES NOT HOLD: %s\n", id, run, line)
		}
		if len(found.Broken) == 0 {
			fmt.Fprintf(s.out, "%s/%s: holds: signature and %d objects\n", id, run, found.Objects)
		}
	}
	if !holds {
		return errBad
	}
	return nil
}
