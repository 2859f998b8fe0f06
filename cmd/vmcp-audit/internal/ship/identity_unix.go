//go:build unix

package ship

import (
	"io/fs"
	"syscall"
)

// fileID is what a file keeps when it is renamed.
type fileID struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

func idOf(info fs.FileInfo, _ string) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // an int32 on some systems
}
