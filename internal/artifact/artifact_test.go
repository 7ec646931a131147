package artifact_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cordon/internal/artifact"
)

// built compiles a program that prints a text, as functions/NAME of a module
// that is called as this one.
func built(t *testing.T, name, text string, settings ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "go.mod"), []byte("module cordon\n"), 0o644)
	put(t, filepath.Join(dir, "functions", name, "main.go"), fmt.Appendf(nil, "package main\n\nfunc main() { println(%q) }\n", text), 0o644)
	c := exec.CommandContext(t.Context(), "go", "build", "-o", "bootstrap", "./functions/"+name)
	c.Dir = dir
	c.Env = append(append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0"), settings...)
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	program, err := os.ReadFile(filepath.Join(dir, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func put(t *testing.T, file string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
}

// folder is what sam build leaves of one function.
func folder(t *testing.T, name string, program []byte) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, name, "bootstrap"), program, 0o755)
	return dir
}

func TestCheck(t *testing.T) {
	isolate := built(t, "isolate", "")
	decide := built(t, "decide", "text/template.Template")
	noise := make([]byte, 13_000_000)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(noise); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 18_000_000)
	// What follows a program is read by nobody, so that it is the same program, only larger.
	with := func(program, more []byte) []byte { return append(bytes.Clone(program), more...) }

	for name, test := range map[string]struct {
		function string
		program  []byte
		wrong    []string // nothing else may be found
	}{
		"as it should be":        {"isolate", isolate, nil},
		"the page":               {"decide", decide, nil},
		"the page may be larger": {"decide", with(with(decide, zeros[:12_000_000]), noise[:4_600_000]), nil},

		"the program of another": {"isolate", built(t, "notify", ""), []string{"cordon/functions/notify, not cordon/functions/isolate"}},
		"another architecture":   {"isolate", built(t, "isolate", "", "GOARCH=amd64"), []string{"is for EM_X86_64"}},
		"linked when it starts":  {"isolate", built(t, "isolate", "", "GOFLAGS=-buildmode=pie"), []string{"PT_INTERP", "PT_DYNAMIC"}},
		"a template package":     {"isolate", built(t, "isolate", "text/template.Template"), []string{"text/template in it"}},
		"a page without one":     {"decide", built(t, "decide", ""), []string{"no text/template"}},
		"too large":              {"isolate", with(isolate, zeros[:12_000_000]), []string{"at most 12000000"}},
		"too large zipped":       {"isolate", with(isolate, noise[:4_500_000]), []string{"at most 4500000"}},
		"too large a page":       {"decide", with(decide, with(zeros, noise[:6_000_000])), []string{"at most 20000000", "at most 6000000"}},
		"no program":             {"isolate", []byte("#!/bin/sh\n"), []string{"isolate: "}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, strings.ToUpper(test.function[:1])+test.function[1:]+"Function", test.program)
			found(t, artifact.Check(dir, []string{test.function}), test.wrong)
		})
	}
}

// found compares what is found wrong with what is, a line each.
func found(t *testing.T, err error, want []string) {
	t.Helper()
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if len(lines) != len(want) {
		t.Fatalf("found %q, want %q", lines, want)
	}
	for n := range want {
		if !strings.Contains(lines[n], want[n]) {
			t.Errorf("found %q, want %q", lines[n], want[n])
		}
	}
}

func TestCheckOfFolders(t *testing.T) {
	isolate := built(t, "isolate", "")

	dir := folder(t, "IsolateFunction", isolate)
	found(t, artifact.Check(dir, []string{"isolate", "notify"}), []string{"notify: stat"})

	put(t, filepath.Join(dir, "IsolateFunction", "main.go"), nil, 0o644)
	found(t, artifact.Check(dir, []string{"isolate"}), []string{"more than bootstrap"})

	dir = t.TempDir()
	put(t, filepath.Join(dir, "IsolateFunction", "bootstrap"), isolate, 0o644)
	found(t, artifact.Check(dir, []string{"isolate"}), []string{"may not be executed"})
}

func TestSame(t *testing.T) {
	one := folder(t, "IsolateFunction", []byte("one"))
	found(t, artifact.Same(one, folder(t, "IsolateFunction", []byte("one")), []string{"isolate"}), nil)
	found(t, artifact.Same(one, folder(t, "IsolateFunction", []byte("two")), []string{"isolate"}), []string{"two builds"})
	found(t, artifact.Same(one, t.TempDir(), []string{"isolate"}), []string{"no such file", "two builds"})
}
