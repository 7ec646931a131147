//go:build linux

package guest

import (
	"bytes"
	"debug/elf"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed init.sh
var initScript []byte

//go:embed agent.sh
var agentScript []byte

// drivers are what the guest's kernel does not have built in: its disk and its
// network card.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_net"}

// initramfs is the first file system of the guest: busybox, the drivers, and
// what is given in files by name.
func initramfs(kit string, files map[string][]byte) ([]byte, error) {
	busybox, err := os.ReadFile(filepath.Join(kit, "root/bin/busybox")) //nolint:gosec // a path of the test's own
	if err != nil {
		return nil, fmt.Errorf("read the guest's busybox: %w", err)
	}
	var w archive
	for _, dir := range []string{"bin", "dev", "disk", "modules", "proc", "sys"} {
		w.add(dir, 0o040755, nil)
	}
	w.add("bin/busybox", 0o100755, busybox)
	w.add("init", 0o100755, initScript)
	w.add("agent", 0o100755, agentScript)
	for name, content := range files {
		w.add(name, 0o100644, content)
	}
	order, err := modules(filepath.Join(kit, "modules"))
	if err != nil {
		return nil, err
	}
	var names strings.Builder
	for _, path := range order {
		content, err := os.ReadFile(path) //nolint:gosec // a path of the test's own
		if err != nil {
			return nil, fmt.Errorf("read a driver: %w", err)
		}
		w.add("modules/"+filepath.Base(path), 0o100644, content)
		fmt.Fprintln(&names, filepath.Base(path))
	}
	w.add("modules/order", 0o100644, []byte(names.String()))
	w.add("TRAILER!!!", 0, nil)
	return w.Bytes(), nil
}

// archive is a cpio archive of the form newc.
// https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
type archive struct {
	bytes.Buffer
	inode int
}

func (a *archive) add(name string, mode int, content []byte) {
	a.inode++
	fmt.Fprintf(a, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}

// modules are the files of the drivers below dir, each after those it needs.
func modules(dir string) ([]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the kernel's modules: %w", err)
	}
	var order []string
	var add func(name string) error
	add = func(name string) error {
		path, ok := files[name]
		if !ok {
			return nil // built in, or there already
		}
		delete(files, name)
		needs, err := needed(path)
		if err != nil {
			return fmt.Errorf("read what %s needs: %w", path, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		order = append(order, path)
		return nil
	}
	for _, name := range drivers {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// needed are the modules that a module names in its section .modinfo.
func needed(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("it has no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for _, entry := range strings.Split(string(info), "\x00") {
		if names, ok := strings.CutPrefix(entry, "depends="); ok && names != "" {
			return strings.Split(strings.ReplaceAll(names, "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// makeDisk makes an ext4 file system with the guest's userland at path. It has
// no journal, and everything that is lazily written elsewhere is written now:
// whatever changes later was changed by the guest.
func makeDisk(kit, path string) error {
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		mke2fs = "/sbin/mke2fs" // not in everyone's PATH
	}
	out, err := exec.Command(mke2fs, "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard", //nolint:gosec // a path of the test's own
		"-d", filepath.Join(kit, "root"), path, "160M").CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the guest's disk: %w: %s", err, out)
	}
	return nil
}
