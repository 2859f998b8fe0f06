package file

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// lookBack is how many bytes at the end of the files are searched for records
// that come again. A caller has to note what was confirmed before it sends more
// than that.
const lookBack = 8 << 20

// minID is the length from which on an ID is taken for unique. A shorter one
// may stand in a body by chance.
const minID = 16

// unknown is the torn line that cannot be finished: no body begins like that.
var unknown = []byte{'\n'}

// resume reads the last lines back before the first record is sent. A caller
// that was killed may send these once more, from wherever it had noted its
// position. They are synced first, for they will count as confirmed.
//
// It happens once: from then on what stands in the file is known, but for lines
// whose sync has failed. Those must not be found: the kernel may have given
// them up and still show them.
func (s *Sink) resume() error {
	if s.resumed || !s.regular {
		return nil
	}
	s.resumed = true
	s.dirty = s.size > 0
	if err := s.commit(); err != nil {
		return err
	}
	s.past = s.lastLines()
	return nil
}

// stands reports whether r is among the lines that were read back, after the
// one found before it. The lines between the two are others': remains of a torn
// write, or another process's.
//
// No record is left out by mistake. Only a body that has its ID in it is looked
// for, so that an equal line is this record and no other one. And the first
// record that is not found ends the search: if the file has a hole, all that
// came after it is written again, in order.
func (s *Sink) stands(r emitter.Record) bool {
	if len(r.ID) >= minID && bytes.Contains(r.Body, []byte(r.ID)) {
		for len(s.past) > 0 {
			var line []byte
			line, s.past, _ = bytes.Cut(s.past, []byte{'\n'})
			if bytes.Equal(line, r.Body) {
				return true
			}
		}
	}
	s.past = nil
	return false
}

// lastLines returns the lines in the last lookBack bytes of the file and of the
// numbered ones before it. What cannot be read, or synced, ends the search.
func (s *Sink) lastLines() []byte {
	target, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return nil
	}
	lines, err := wholeLines(target, lookBack, nil)
	if err != nil {
		return nil
	}
	parts, left := [][]byte{lines}, lookBack-len(lines)
	gaps := 0
	for n := 1; left > 0 && gaps < 2; n++ { // a crash in mid-rotation leaves one
		lines, err := wholeLines(numbered(target, n), left, s.disk.syncFile)
		if errors.Is(err, fs.ErrNotExist) {
			gaps++
			continue
		}
		if err != nil {
			break
		}
		parts = append(parts, lines)
		left -= len(lines)
	}
	slices.Reverse(parts)
	return bytes.Join(parts, nil)
}

// wholeLines syncs the file at path, unless sync is nil, and returns the lines in
// its last limit bytes.
func wholeLines(path string, limit int, sync func(*os.File) error) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if sync != nil {
		if err := sync(f); err != nil {
			return nil, err
		}
	}
	lines, err := readEnd(f, info.Size(), limit)
	if err != nil {
		return nil, err
	}
	if int64(len(lines)) < info.Size() {
		_, lines, _ = bytes.Cut(lines, []byte{'\n'}) // the first has lost its beginning
	}
	return lines[:bytes.LastIndexByte(lines, '\n')+1], nil
}

// tornTail returns the unfinished last line of the file at path, nil if there
// is none. If it cannot be read, or is too long, it is unknown: a blank line
// does less harm than two joined records.
func tornTail(path string, info fs.FileInfo) []byte {
	if info.Size() == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return unknown
	}
	defer func() { _ = f.Close() }() // only read
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return unknown
	}
	if last[0] == '\n' {
		return nil
	}
	end, err := readEnd(f, info.Size(), lookBack)
	torn := unfinished(end)
	if err != nil || len(torn) == lookBack {
		return unknown
	}
	return torn
}

// readEnd returns the last limit bytes of f, or all that it has.
func readEnd(f *os.File, size int64, limit int) ([]byte, error) {
	end := make([]byte, min(size, int64(limit)))
	_, err := f.ReadAt(end, size-int64(len(end)))
	return end, err
}

// unfinished returns a copy of what follows the last line end, nil if nothing
// does.
func unfinished(b []byte) []byte {
	line := b[bytes.LastIndexByte(b, '\n')+1:]
	return append([]byte(nil), line...)
}
