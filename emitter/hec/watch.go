package hec

import (
	"fmt"
	"io/fs"
	"os"
)

// maxFile bounds a token, key or certificate file, in bytes.
const maxFile = 1 << 20

// watched is a file whose changes are noticed by its size, time and identity.
type watched struct {
	path string
	seen fs.FileInfo // of the last read; nil: none
}

// changed reports whether the file is another than at the last read. One that
// is not there has not changed: somebody is about to replace it.
func (w *watched) changed() bool {
	if w.path == "" {
		return false
	}
	now, err := os.Stat(w.path)
	if err != nil {
		return false
	}
	return w.seen == nil || !os.SameFile(now, w.seen) || now.Size() != w.seen.Size() || !now.ModTime().Equal(w.seen.ModTime())
}

// read returns the content, or nothing if there is no path.
func (w *watched) read() ([]byte, error) {
	if w.path == "" {
		return nil, nil
	}
	info, err := os.Stat(w.path) // before it is read: a change in between is noticed later
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than %d", w.path, info.Size(), maxFile)
	}
	content, err := os.ReadFile(w.path)
	if err == nil {
		w.seen = info
	}
	return content, err
}
