// Package reread is for files of the configuration that are read again when they
// change: secrets, certificates and keys. Its types are for one goroutine.
package reread

import (
	"fmt"
	"io/fs"
	"os"
)

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// File is a file whose changes are noticed by its size, time and identity. The
// zero File is none.
type File struct {
	Path string
	seen fs.FileInfo // of the last read; nil: none
}

// Changed reports whether the file is another than at the last read. One that
// is not there has not changed: somebody is about to replace it.
func (f *File) Changed() bool {
	if f.Path == "" {
		return false
	}
	now, err := os.Stat(f.Path)
	if err != nil {
		return false
	}
	return f.seen == nil || !os.SameFile(now, f.seen) || now.Size() != f.seen.Size() || !now.ModTime().Equal(f.seen.ModTime())
}

// Read returns the content, or nothing if there is no path.
func (f *File) Read() ([]byte, error) {
	if f.Path == "" {
		return nil, nil
	}
	info, err := os.Stat(f.Path) // before it is read: a change in between is noticed later
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than %d", f.Path, info.Size(), maxFile)
	}
	content, err := os.ReadFile(f.Path)
	if err == nil {
		f.seen = info
	}
	return content, err
}
