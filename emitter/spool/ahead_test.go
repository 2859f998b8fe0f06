package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// Zeros are written ahead of small groups, but never behind the room that the
// segment was made with: a last segment of another size would look cut.
func TestZerosStayInTheSegment(t *testing.T) {
	const size = 64 << 10
	for _, payload := range []int{1, 1000, size - recordsFrom - recordSize - 1, size - recordsFrom - recordSize} {
		dir := t.TempDir()
		s := mustOpen(t, dir, Options{segmentSize: size})
		mustAppend(t, s, string(make([]byte, payload)))
		info, err := os.Stat(filepath.Join(dir, s.current.name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != size {
			t.Errorf("payload of %d bytes: the segment has %d, want %d", payload, info.Size(), size)
		}
		mustAppend(t, s, "next")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		checkChain(t, dir)
	}
}
