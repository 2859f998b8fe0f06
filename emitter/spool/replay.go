package spool

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

// Replay sets the cursor of that name, which must not be open, back so that it
// reads again from seq on, and returns the seq with which it really begins: a
// later one where the records before have been removed. The mark is on disk when
// it returns. It never goes forward: seq 0 is the beginning, and one that was not
// confirmed changes nothing. The error wraps [fs.ErrNotExist] if there is no
// cursor of that name.
func (s *Spool) Replay(name string, seq uint64) (uint64, error) {
	from, err := s.replay(name, seq)
	if err != nil {
		return 0, fmt.Errorf("replay to cursor %s: %w", name, err)
	}
	return from, nil
}

func (s *Spool) replay(name string, seq uint64) (uint64, error) {
	s.trimming.Lock() // what it is to read stays
	defer s.trimming.Unlock()
	m, from, err := s.setBack(name, seq)
	if err != nil {
		return 0, err
	}
	return from, s.save(m)
}

func (s *Spool) setBack(name string, seq uint64) (*mark, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.marks[name]
	switch {
	case s.closed:
		return nil, 0, ErrClosed
	case m == nil:
		return nil, 0, fs.ErrNotExist
	case m.open:
		return nil, 0, ErrInUse
	}
	first := s.durable.seq + 1
	if len(s.segments) > 0 {
		first = s.segments[0].first
	}
	from := min(max(seq, first), m.confirmed+1)
	m.confirmed = from - 1
	m.asked = m.confirmed
	return m, from, nil
}

// RemoveAside removes a file that SetAside has written; it is gone for good when
// it returns. The error wraps [fs.ErrNotExist] if there is none.
func (s *Spool) RemoveAside(folder, name string) error {
	dir := filepath.Join(s.dir, folder)
	path := filepath.Join(dir, name)
	size := s.sizeOf(path)
	err := s.disk.Remove(path)
	if err == nil {
		s.mu.Lock()
		s.aside -= onDisk(size)
		s.mu.Unlock()
		err = s.disk.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("remove what was set aside: %w", err)
	}
	return nil
}
