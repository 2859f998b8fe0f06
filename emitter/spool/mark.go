package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A mark is the file NAME.cursor, with two slots in blocks of their own that are
// written in turn; the valid one with the larger generation counts. A slot, all
// numbers little-endian:
//
//	 0  magic       8 B   "vmcpmark"
//	 8  version     u16
//	10  zero        u16
//	12  crc         u32   CRC-32C of the other bytes of these 64
//	16  generation  u64
//	24  seq         u64   confirmed up to here
//	32  stream      16 B
//	48  zero        16 B
const (
	markMagic  = "vmcpmark"
	markSize   = 64
	markBlock  = 4096
	markSuffix = ".cursor"
	maxName    = 64 // bytes of a cursor's name
)

// A mark is saved when so much was confirmed since, or so long ago; what was
// confirmed later is read again after a crash.
const (
	markEvery = 1000
	markDelay = time.Second
)

// mark is how far one named cursor has confirmed.
type mark struct {
	name      string
	open      bool   // a Cursor uses it; guarded by Spool.mu, as are confirmed and saveAt
	confirmed uint64 // records up to this one need not be read again
	asked     uint64 // confirmed when saving was last asked for
	saving    bool   // a timer will save it

	io         sync.Mutex // guards what follows
	generation uint64
	saved      uint64
	named      bool // its name is on disk
	forgotten  bool // its file is not to be made again
}

// move sets the mark forward; s.mu is held.
func (m *mark) move(seq uint64) { m.confirmed = max(m.confirmed, seq) }

func markFile(name string) (string, error) {
	file := url.PathEscape(name) + markSuffix
	if name == "" || len(name) > maxName {
		return "", fmt.Errorf("cursor %q: a name has 1 to %d bytes", name[:min(len(name), maxName)], maxName)
	}
	return file, nil
}

func encodeMark(stream Stream, generation, seq uint64) []byte {
	b := make([]byte, markSize)
	copy(b, markMagic)
	binary.LittleEndian.PutUint16(b[8:], Version)
	binary.LittleEndian.PutUint64(b[16:], generation)
	binary.LittleEndian.PutUint64(b[24:], seq)
	copy(b[32:], stream[:])
	binary.LittleEndian.PutUint32(b[12:], markCRC(b))
	return b
}

func markCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:markSize])
}

func decodeMark(b []byte) (stream Stream, generation, seq uint64, ok bool) {
	if len(b) < markSize || string(b[:8]) != markMagic || binary.LittleEndian.Uint32(b[12:]) != markCRC(b) {
		return stream, 0, 0, false
	}
	copy(stream[:], b[32:])
	return stream, binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]), true
}

// loadMarks reads every mark in the folder; s is not shared yet. A mark of which
// no slot is valid, or that belongs to another stream, begins anew: it holds
// everything that is still there.
func (s *Spool) loadMarks() error {
	entries, err := s.disk.ReadDir(filepath.Join(s.dir, cursorDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		escaped, ok := strings.CutSuffix(e.Name(), markSuffix)
		name, err := url.PathUnescape(escaped)
		if !ok || err != nil {
			continue
		}
		m := &mark{name: name}
		if err := s.loadMark(m, e.Name()); err != nil {
			return err
		}
		s.marks[name] = m
	}
	return nil
}

func (s *Spool) loadMark(m *mark, file string) error {
	valid := false
	for slot := range int64(2) {
		b, err := s.readSlot(file, slot)
		if err != nil {
			s.opt.Log.Error("a cursor's mark cannot be read", "dir", s.dir, "cursor", m.name, "error", err)
			continue
		}
		if v := binary.LittleEndian.Uint16(b[8:]); v > Version && string(b[:8]) == markMagic && binary.LittleEndian.Uint32(b[12:]) == markCRC(b) {
			return fmt.Errorf("%s: %w: %d, and this program reads up to %d", file, ErrVersion, v, Version)
		}
		stream, generation, seq, ok := decodeMark(b)
		if ok && generation > m.generation {
			m.generation, valid = generation, stream == s.stream
			m.confirmed, m.saved = 0, 0
			if valid {
				m.confirmed, m.saved = seq, seq
			}
		}
	}
	if !valid {
		if len(s.segments) > 0 {
			m.confirmed = s.segments[0].first - 1
		}
		s.opt.Log.Warn("a cursor of the spool is lost and begins with the oldest record", "dir", s.dir, "cursor", m.name)
	}
	return nil
}

// readSlot reads one slot of a mark; what is not there is zeros.
func (s *Spool) readSlot(file string, slot int64) ([]byte, error) {
	b := make([]byte, markSize)
	f, err := s.disk.Read(filepath.Join(s.dir, cursorDir, file))
	if err != nil {
		return b, err
	}
	defer f.Close()
	if _, err := f.ReadAt(b, slot*markBlock); err != nil && !isEnd(err) {
		return b, err
	}
	return b, nil
}

// save writes the mark's slot that is older, unless the disk has it already.
func (s *Spool) save(m *mark) error {
	m.io.Lock()
	defer m.io.Unlock()
	s.mu.Lock()
	seq := m.confirmed
	s.mu.Unlock()
	if m.named && seq == m.saved || m.forgotten {
		return nil
	}
	name, err := markFile(m.name)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, cursorDir, name)
	f, err := s.disk.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = s.disk.Create(path)
		if err == nil { // later it must not need space
			_, err = f.WriteAt(make([]byte, 2*markBlock), 0)
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(encodeMark(s.stream, m.generation+1, seq), int64(m.generation+1)%2*markBlock); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if !m.named {
		if err := s.disk.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
		m.named = true
	}
	m.generation, m.saved = m.generation+1, seq
	return nil
}

// saveMarks saves what is not on disk yet of every mark.
func (s *Spool) saveMarks() error {
	s.mu.Lock()
	marks := s.sortedMarks()
	s.mu.Unlock()
	var errs []error
	for _, m := range marks {
		if err := s.save(m); err != nil {
			errs = append(errs, s.markFailed(m, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Spool) markFailed(m *mark, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.MarkErrors == 0 {
		s.opt.Log.Error("a cursor's mark cannot be saved: after a crash more is delivered twice", "dir", s.dir, "cursor", m.name, "error", err)
	}
	s.stats.MarkErrors++
	return fmt.Errorf("cursor %s: %w", m.name, err)
}

// lowest returns what every cursor has confirmed; false if there is no cursor.
// s.mu is held.
func (s *Spool) lowest() (uint64, bool) {
	low, ok := uint64(0), false
	for _, m := range s.marks {
		if !ok || m.confirmed < low {
			low, ok = m.confirmed, true
		}
	}
	return low, ok
}

// sortedMarks returns the marks by name; s.mu is held.
func (s *Spool) sortedMarks() []*mark {
	return slices.SortedFunc(maps.Values(s.marks), func(a, b *mark) int { return strings.Compare(a.name, b.name) })
}
