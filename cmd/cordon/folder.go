package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cordon/internal/manifest"
)

// folder is a copy of the evidence bucket. A key in a manifest is only opened
// below it.
type folder struct{ root *os.Root }

func (f folder) names(dir string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all, err
}

func (f folder) read(key string, most int64) ([]byte, error) {
	file, size, err := f.file(key)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return bounded(file, size, most)
}

func (f folder) open(o manifest.Object) (io.ReadCloser, error) {
	file, size, err := f.file(o.Key)
	if err != nil {
		return nil, err
	}
	if err := o.Fits(size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// file opens a regular file: a copy of a bucket holds no others, a link may lead
// to what somebody changes while we look, and a pipe is waited for without end.
func (f folder) file(key string) (*os.File, int64, error) {
	name := filepath.FromSlash(key)
	info, err := f.root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no file", name)
	}
	file, err := f.root.Open(name)
	return file, info.Size(), err
}
