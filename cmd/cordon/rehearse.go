package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cordon"
	"cordon/internal/incident"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"golang.org/x/term"
)

type rehearse struct {
	Event     string   `arg:"" help:"An EventBridge event: a file, or - for standard input."`
	Account   string   `help:"A copy of an account: one JSON object with the AWS CLI's own answers. Without it, one is built around the event's instance." placeholder:"FILE"`
	Decision  string   `help:"What the person decides: terminate, keep, release or none; isolate or leave where a brake asks before isolating. Without it a page is served and you decide." placeholder:"DECISION"`
	Parameter []string `help:"A parameter of the template." placeholder:"NAME=VALUE" sep:"none"`
	Fault     []string `help:"What goes wrong with the Nth call of an action." placeholder:"SERVICE:ACTION#N=KIND" sep:"none"`
	Script    string   `help:"What else happens: faults, storms, what others do, more events and people; one JSON object." placeholder:"FILE"`
	Seed      uint64   `help:"Decides order and latencies; the same seed gives the same run." default:"1"`
	Evidence  string   `help:"Folder, new or empty, that gets the evidence bucket as it is afterwards, for cordon verify, and beside it the public key, as FOLDER.der." placeholder:"FOLDER"`
	JSON      bool     `name:"json" help:"Print the result as one JSON object."`
}

// Run rehearses and shows the result.
func (c *rehearse) Run(s streams) error {
	o, err := c.options(s)
	if err != nil {
		return err
	}
	switch {
	case c.Decision == "none":
	case c.Decision != "":
		if _, err := incident.ParseChoice(c.Decision); err != nil {
			return fmt.Errorf("--decision %q: want terminate, keep, release or none, or isolate or leave where a brake asks before isolating", c.Decision)
		}
		o.Person = rehearsal.Decides(c.Decision)
	case !s.terminal:
		return errors.New("there is no terminal, so nobody could decide; give --decision terminate, keep, release, isolate, leave or none")
	default:
		p, err := servePage(s.err)
		if err != nil {
			return err
		}
		defer p.close()
		o.Person = p.ask
	}
	if !c.JSON {
		o.Watch = newTimeline(s.out, cordon.Definition).show
	}
	if o.Keep = c.Evidence != ""; o.Keep {
		if err := emptyFolder(c.Evidence); err != nil {
			return err
		}
	}
	r, err := rehearsal.Run(o)
	if err != nil {
		return err
	}
	if o.Keep {
		if err := writeEvidence(s.err, c.Evidence, r.Bucket); err != nil {
			return fmt.Errorf("--evidence: %w", err)
		}
	}
	if c.JSON {
		if err := printJSON(s.out, r); err != nil {
			return err
		}
	} else {
		summary(s.out, r)
	}
	return c.judge(s, r)
}

func (c *rehearse) options(s streams) (rehearsal.Options, error) {
	o := rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Seed: c.Seed, Parameters: map[string]string{}}
	var err error
	if o.Event, err = readInput(s.in, "event", c.Event); err != nil {
		return o, err
	}
	if c.Account != "" {
		if o.Account, err = readInput(s.in, "account", c.Account); err != nil {
			return o, err
		}
	}
	if c.Script != "" {
		b, err := readInput(s.in, "script", c.Script)
		if err != nil {
			return o, err
		}
		if o.Script, err = rehearsal.ParseScript(b); err != nil {
			return o, err
		}
	}
	for _, p := range c.Parameter {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return o, fmt.Errorf("--parameter %q: want NAME=VALUE", p)
		}
		o.Parameters[name] = value
	}
	for _, f := range c.Fault {
		fault, err := sim.ParseFault(f)
		if err != nil {
			return o, fmt.Errorf("--fault: %w", err)
		}
		o.Faults = append(o.Faults, fault)
	}
	return o, nil
}

// emptyFolder makes a folder, or refuses one that has something in it: nothing of
// anybody's is written over, and evidence of two runs is not mixed.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--evidence: %w; give a folder that can be made", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("--evidence: %w; give a folder that can be read", err)
	}
	if len(there) > 0 {
		return fmt.Errorf("--evidence %s: the folder is not empty; give a new one", dir)
	}
	if _, err := os.Lstat(publicKeyOf(dir)); err == nil {
		return fmt.Errorf("--evidence %s: %s is there already; give another folder", dir, publicKeyOf(dir))
	}
	return nil
}

func publicKeyOf(dir string) string { return filepath.Clean(dir) + ".der" }

// writeEvidence writes a bucket as aws s3 sync would, and says how to verify it.
func writeEvidence(to io.Writer, dir string, b rehearsal.Bucket) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, key := range slices.Sorted(maps.Keys(b.Objects)) {
		name := filepath.FromSlash(key)
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := root.WriteFile(name, b.Objects[key], 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(publicKeyOf(dir), b.PublicKey, 0o600); err != nil {
		return err
	}
	for _, key := range b.Without {
		fmt.Fprintf(to, "not written: %s, of which a rehearsal has no bytes; cordon verify will miss it. --parameter MemoryToolKey= --parameter MemoryToolSha256= rehearses without\n", key)
	}
	fmt.Fprintf(to, "evidence: cordon verify --key %s %s\n", quote(publicKeyOf(dir)), quote(dir))
	return nil
}

// judge is the exit status; violations are told with the way to see them again.
func (c *rehearse) judge(s streams, r rehearsal.Result) error {
	for _, what := range r.Idle {
		fmt.Fprintln(s.err, "came to nothing:", what)
	}
	for _, how := range r.Broken {
		fmt.Fprintln(s.err, "violated:", how)
	}
	if len(r.Broken) > 0 {
		fmt.Fprintln(s.err, "replay: ", c.replay())
	}
	if len(r.Broken) > 0 || r.Status != "" && r.Status != "SUCCEEDED" {
		return errBad
	}
	return nil
}

// replay is the command line that shows the same run again.
func (c *rehearse) replay() string {
	words := []string{"cordon", "rehearse", "--seed", fmt.Sprint(c.Seed)}
	if c.Account != "" {
		words = append(words, "--account", quote(c.Account))
	}
	if c.Script != "" {
		words = append(words, "--script", quote(c.Script))
	}
	if c.Decision != "" {
		words = append(words, "--decision", c.Decision)
	}
	for _, p := range c.Parameter {
		words = append(words, "--parameter", quote(p))
	}
	for _, f := range c.Fault {
		words = append(words, "--fault", quote(f))
	}
	return strings.Join(append(words, quote(c.Event)), " ")
}

// quote makes a word safe to paste into a shell.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@%+") == "" && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// most is the largest file that is read: far above any event or account, below
// what would exhaust a machine.
const most = 256 << 20

func readInput(in io.Reader, what, name string) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // who runs the command names the file
		if err != nil {
			return nil, fmt.Errorf("the %s: %w; give a file, or - for standard input", what, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("the %s: %w", what, err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("the %s is larger than %d MiB", what, most>>20)
	}
	return b, nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// onTerminal says whether a person can read and answer.
func onTerminal(files ...*os.File) bool {
	for _, f := range files {
		if !term.IsTerminal(int(f.Fd())) {
			return false
		}
	}
	return true
}
