// Package artifact looks at what sam build made, before anybody deploys it.
package artifact

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// limit is the most bytes of a program, as it is and zipped. A cold start loads
// all of it: what grows past this has taken in something no function needs.
type limit struct{ plain, zipped int }

// page is the one function that renders HTML. A template may call any exported
// method, so that the linker keeps them all.
const page = "decide"

func limitOf(name string) limit {
	if name == page {
		return limit{20_000_000, 6_000_000}
	}
	return limit{12_000_000, 4_500_000}
}

// Check says what is wrong with the functions of these names in a folder that
// sam build filled.
func Check(folder string, names []string) error {
	var wrong []error
	for _, name := range names {
		for _, err := range check(folder, name) {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}

// Same says which of two builds' programs are not the same, byte for byte. Who
// builds a released version again must get what was released.
func Same(one, other string, names []string) error {
	var wrong []error
	for _, name := range names {
		a, err := os.ReadFile(bootstrap(one, name))
		wrong = append(wrong, err)
		b, err := os.ReadFile(bootstrap(other, name))
		wrong = append(wrong, err)
		if !bytes.Equal(a, b) {
			wrong = append(wrong, fmt.Errorf("%s: two builds of the same code differ", name))
		}
	}
	return errors.Join(wrong...)
}

func bootstrap(folder, name string) string {
	return filepath.Join(folder, strings.ToUpper(name[:1])+name[1:]+"Function", "bootstrap")
}

func check(folder, name string) (wrong []error) {
	fail := func(format string, a ...any) { wrong = append(wrong, fmt.Errorf(format, a...)) }
	path := bootstrap(folder, name)
	info, err := os.Stat(path)
	if err != nil {
		return []error{err}
	}
	if info.Mode()&0o111 == 0 {
		fail("bootstrap may not be executed")
	}
	if beside, err := os.ReadDir(filepath.Dir(path)); err != nil || len(beside) != 1 {
		fail("what is deployed is more than bootstrap: %v (%v)", beside, err)
	}
	program, err := os.ReadFile(path) //nolint:gosec // who runs this names the folder
	if err != nil {
		return append(wrong, err)
	}

	built, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return append(wrong, err)
	}
	if want := "cordon/functions/" + name; built.Path != want {
		fail("bootstrap is %s, not %s", built.Path, want)
	}

	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return append(wrong, err)
	}
	if file.Machine != elf.EM_AARCH64 {
		fail("bootstrap is for %v; the template says arm64", file.Machine)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			fail("bootstrap is not static: it has a %v, and provided.al2023 need not have what that loads", p.Type)
		}
	}

	// The names of functions outlive the symbol table: panics print them.
	templates := bytes.Contains(program, []byte("text/template."))
	if templates && name != page {
		fail("bootstrap has text/template in it, which keeps every method of every client")
	}
	if !templates && name == page {
		fail("bootstrap has no text/template in it, so that this check no longer sees what it looks for")
	}

	most := limitOf(name)
	if n := len(program); n > most.plain {
		fail("bootstrap has %d bytes, at most %d are wanted", n, most.plain)
	}
	zipped, err := zippedSize(program)
	if err != nil {
		return append(wrong, err)
	}
	if zipped > most.zipped {
		fail("zipped, bootstrap has %d bytes, at most %d are wanted", zipped, most.zipped)
	}
	return wrong
}

// zippedSize is what Lambda fetches: one file, deflated as usual.
func zippedSize(program []byte) (int, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(w, bytes.NewReader(program)); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return b.Len(), nil
}
