package spool

import (
	"fmt"
	"path/filepath"
	"time"
)

// roll begins a segment with room for need bytes and ends the one before. After
// an error all is as it was.
func (s *Spool) roll(need int, mayDrop bool) error {
	aside := measureAside(s.disk, s.dir)
	s.mu.Lock()
	s.aside = aside
	room := s.opt.MaxSize - s.used()
	h := &segmentHeader{first: s.durable.seq + 1, created: time.Now(), stream: s.stream, prev: s.durable.hash}
	notes := s.notes.list()
	s.mu.Unlock()
	carried := carriedNotes(notes, h)
	least := max(int64(need+len(carried))+recordsFrom, min(minRoom, s.opt.segmentSize))
	size, err := s.allowance(max(least, min(s.opt.segmentSize, room)), least, mayDrop)
	if err != nil {
		return err
	}
	s.number++ // also after a failure: a name is never tried twice
	h.number, h.size = s.number, size
	seed := seedOf(s.stream, h.number)
	sign(carried, seed)
	f, sparse, err := createSegment(s.disk, s.dir, h, carried)
	if err != nil {
		s.count(&s.stats.WriteErrors)
		return fmt.Errorf("new segment: %w", err)
	}
	seg := &segment{
		name: segmentName(h.number, h.first), number: h.number, first: h.first,
		seed: seed, room: size, from: recordsFrom + int64(len(carried)), end: recordsFrom + int64(len(carried)),
	}
	if !s.begun {
		s.saveStream(true) // whoever dies before leaves the segment, which says the same
	}
	s.zeroed = 0
	old, oldSeg := s.active, s.current
	s.mu.Lock()
	s.active, s.current, s.sparse, s.spoiled = f, seg, sparse, false
	s.segments = append(s.segments, seg)
	s.resize(seg, seg.from)
	s.mu.Unlock()
	s.retire(old, oldSeg)
	return nil
}

// carriedNotes returns the record, not signed yet, with which a segment begins: it
// holds the notes, so that those in older segments need not be kept.
func carriedNotes(notes []Note, h *segmentHeader) []byte {
	if len(notes) == 0 {
		return nil
	}
	return appendRecord(nil, &header{seq: h.first - 1, time: h.created.UnixNano(), class: classNote, prev: h.prev}, appendNotes(nil, notes))
}

// allowance returns how many of the wished bytes may be taken so that MinFree
// stays free, at least least of them.
func (s *Spool) allowance(wish, least int64, mayDrop bool) (int64, error) {
	if s.opt.MinFree < 0 {
		return wish, nil
	}
	for {
		free, err := s.disk.Free(s.dir)
		if err != nil {
			return 0, err
		}
		if free-least >= s.opt.MinFree {
			return min(wish, free-s.opt.MinFree), nil
		}
		if s.opt.Full != DropOldest || !mayDrop || !s.helps(s.opt.MinFree+least-free) || !s.dropOldest() {
			return 0, fmt.Errorf("%w: %d bytes are free on the disk, and %d have to stay so", ErrFull, free, s.opt.MinFree)
		}
	}
}

// retire closes a segment that another one has taken the place of: what was made
// for it and not used goes back to the disk. Not before, since a last segment
// that is shorter than it was made looks cut.
func (s *Spool) retire(f file, seg *segment) {
	if f == nil {
		return
	}
	if seg.end > seg.from {
		_ = f.Truncate(seg.end) // what stays behind end is never read
	}
	f.Close()
	if seg.end == seg.from {
		s.discard(seg)
	}
}

// discard removes a segment without records.
func (s *Spool) discard(seg *segment) {
	_ = s.disk.Remove(filepath.Join(s.dir, seg.name)) // an empty segment left behind says nothing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetSegment(seg)
}
