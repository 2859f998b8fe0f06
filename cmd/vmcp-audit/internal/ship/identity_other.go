//go:build !unix

package ship

import (
	"hash/fnv"
	"io/fs"
)

// fileID stands for the inode where there is none: a file is known by its path
// and, when it was renamed, by its first bytes.
type fileID struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

func idOf(_ fs.FileInfo, path string) fileID {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path))
	return fileID{Ino: h.Sum64()}
}
