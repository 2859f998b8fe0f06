package spool

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// damage is a range of bytes in a segment that hold no valid record.
type damage struct {
	seg         *segment
	from, to    int64
	first, last uint64 // seqs that may be lost with it; last < first: none
}

// damageKey identifies damage that has been told.
type damageKey struct {
	number uint64
	from   int64
}

// asideName is the file that keeps the bytes. That it is there says that the
// damage has been told.
func (d *damage) asideName() string { return fmt.Sprintf("%010d-%010d.bin", d.seg.number, d.from) }

// noteDamage notes damage that was found for the first time, and says whether
// it was.
func (s *Spool) noteDamage(d damage) bool {
	key := damageKey{d.seg.number, d.from}
	known := s.fileExists(filepath.Join(s.dir, asideDir, d.asideName()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if known || s.told[key] {
		return false
	}
	s.told[key] = true
	n := d.last + 1 - d.first
	s.stats.Damaged++
	s.stats.DamagedRecords += n
	if n > 0 {
		s.gaps.add(Gap{First: d.first, Last: d.last, Count: n, Cause: CauseDamaged})
	}
	s.opt.Log.Error("the spool is damaged: records do not verify", "dir", s.dir, "segment", d.seg.name,
		"offset", d.from, "bytes", d.to-d.from, "first_seq", d.first, "at_most", n)
	return true
}

// tellDamage notes damage that a cursor found, tells it in the log, and only
// then keeps the bytes: who dies before finds it again.
func (s *Spool) tellDamage(d damage) {
	if !s.noteDamage(d) || s.flush() != nil {
		return
	}
	s.keep(d)
}

// keep copies the bytes of d into the quarantine, unless they are there. Where
// there are none, or no room in the quota for them, an empty file says that the
// damage has been told.
func (s *Spool) keep(d damage) {
	if s.fileExists(filepath.Join(s.dir, asideDir, d.asideName())) {
		return
	}
	s.mu.Lock()
	fits := s.used()+onDisk(d.to-d.from) <= s.opt.MaxSize
	s.mu.Unlock()
	if !fits {
		s.opt.Log.Warn("no room to keep the damaged bytes aside", "dir", s.dir, "segment", d.seg.name, "offset", d.from)
		d.to = d.from
	}
	if err := s.copyAside(d); err != nil {
		s.opt.Log.Warn("the damaged bytes cannot be kept aside", "dir", s.dir, "segment", d.seg.name, "offset", d.from, "error", err)
	}
}

func (s *Spool) copyAside(d damage) error {
	var body io.Reader = strings.NewReader("")
	if d.to > d.from {
		src, err := s.disk.Read(filepath.Join(s.dir, d.seg.name))
		if err != nil {
			return err
		}
		defer src.Close()
		body = io.NewSectionReader(src, d.from, d.to-d.from)
	}
	n, err := s.replace(filepath.Join(s.dir, asideDir), d.asideName(), body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside += onDisk(n)
	s.stats.QuarantinedBytes += uint64(n)
	return err
}

func (s *Spool) fileExists(path string) bool {
	f, err := s.disk.Read(path)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
