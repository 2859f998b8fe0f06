// Package reread is for files of the configuration that are read again when they
// change: secrets, certificates and keys. Its types are for one goroutine.
package reread

import (
	"fmt"
	"io"
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
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // nothing was written
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes", f.Path, maxFile)
	}
	if err != nil {
		return nil, err
	}
	f.seen = info
	return content, nil
}
