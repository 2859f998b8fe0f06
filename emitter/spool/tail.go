package spool

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
)

// tail is what was found in a segment at the end of the log.
type tail struct {
	seg     *segment
	last    position // of the last record, or of the one before the segment
	records int
	end     int64  // records end here
	data    int64  // the last byte that is not zero ends here
	top     uint64 // seq that the record which closes the segment repeats
	closed  bool   // a record says that this is the end
	reach   uint64 // a later segment begins with this seq; 0: unknown
	holes   []damage
	notes   []Note
}

// maxSkip bounds how far a seq can be ahead of the last one that verifies.
const maxSkip = 1 << 32

// recoverTail finds the end of the log, notes what is lost there, keeps the
// bytes that do not verify, and makes sure that all of this is found again if
// we die before it is on disk. Nothing is ever appended to the segments that are
// there: the first commit begins a fresh one.
func (s *Spool) recoverTail() error {
	var junk []*tail   // segments at the end without any record
	reach := uint64(0) // the junk begins with this seq
	var t *tail
	for _, seg := range slices.Backward(s.segments) {
		found, err := s.readTail(seg)
		if err != nil {
			return fmt.Errorf("%s: %w", seg.name, err)
		}
		if found.records > 0 || found.closed {
			t = found
			break
		}
		junk = append(junk, found)
	}
	if t == nil && len(junk) > 0 { // what came before has been removed: its header tells the chain
		t, junk, reach = junk[len(junk)-1], junk[:len(junk)-1], 0
	}
	if len(junk) > 0 {
		reach = junk[len(junk)-1].seg.first
	}
	s.segments = s.segments[:len(s.segments)-len(junk)]
	if t != nil {
		s.setEnd(t.last)
		s.seq = max(s.seq, t.top)
		t.seg.end = t.end
		s.notes.apply(t.notes)
		s.pending.apply(t.notes)
		for _, hole := range t.holes {
			s.noteDamage(hole)
		}
	}
	s.noteEnd(t, junk, reach)
	if len(s.gaps) > 0 && s.flush() != nil {
		return nil // found again at the next start
	}
	s.settle(t, junk)
	return nil
}

func (s *Spool) setEnd(p position) { s.seq, s.head, s.durable = p.seq, p.hash, p }

// noteEnd compares the end of the log with where it should be. t is nil if there
// is no segment; reach is the seq that the junk begins with, or 0.
func (s *Spool) noteEnd(t *tail, junk []*tail, reach uint64) {
	gap := Gap{First: s.seq + 1, Last: max(s.seq, reach-min(reach, 1)), Cause: CauseTorn}
	gap.Count = gap.Last - s.seq
	ends := junk
	if t != nil {
		t.reach = reach
		ends = append(ends, t)
	}
	for _, e := range ends {
		if jump := e.addTo(&gap); jump > 0 {
			gap.Last += jump
			s.keep(damage{seg: e.seg, from: e.end, to: e.data})
		}
	}
	for _, m := range s.marks {
		if m.confirmed > gap.Last {
			gap.Count += m.confirmed - gap.Last
			gap.Last, gap.Cause = m.confirmed, CauseCut
		}
	}
	if gap.Last < gap.First {
		return
	}
	s.seq = gap.Last
	s.gaps.add(gap)
	s.stats.TornTails++
	s.opt.Log.Error("the end of the spool does not verify", "dir", s.dir, "cause", gap.Cause, "first_seq", gap.First, "at_most", gap.Count)
}

// addTo adds to the gap what may be missing behind the segment's end, and returns
// by how much the seqs have to jump so that none is used twice: 0 if the end is
// as it should be. A crash between two writes leaves the file as long as it was
// made, with zeros behind the end; Close leaves a record that says so; and where
// the next segment begins at reach, nothing before that is missing.
func (t *tail) addTo(gap *Gap) (jump uint64) {
	size := t.seg.size
	switch {
	case t.closed || t.reach > 0 && t.last.seq+1 >= t.reach:
		return 0
	case size > 0 && size < max(t.seg.room, recordsFrom):
		gap.Count += t.capacity()
		gap.Cause = CauseCut
	case t.data > t.end:
		gap.Count += uint64(t.data-t.end)/recordSize + 1
	default:
		return 0
	}
	return t.capacity()
}

// capacity returns how many records may have stood behind the end.
func (t *tail) capacity() uint64 {
	room := t.seg.room
	if room == 0 { // the header does not say
		room = max(t.seg.size, MaxSegment)
	}
	return uint64(max(room, t.data)-t.end)/recordSize + 1
}

// settle keeps the bytes of damage that has been told, seals the last segment
// and removes those without records.
func (s *Spool) settle(t *tail, junk []*tail) {
	if t != nil {
		for _, hole := range t.holes {
			s.keep(hole)
		}
	}
	if t != nil && !t.closed {
		if err := s.sealTail(t); err != nil {
			s.opt.Log.Warn("the end of the spool cannot be sealed", "dir", s.dir, "segment", t.seg.name, "error", err)
			return // the junk still shows where it ends
		}
	}
	for _, j := range junk {
		s.resize(j.seg, 0)
		_ = s.disk.Remove(filepath.Join(s.dir, j.seg.name)) // found again, and removed, next time
	}
}

// sealTail writes the end record to a segment that a crash left open, and gives
// the space behind it back.
func (s *Spool) sealTail(t *tail) error {
	f, err := s.disk.Open(filepath.Join(s.dir, t.seg.name))
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := s.writeEnd(f, t.seg, t.end, t.last)
	if err != nil {
		return err
	}
	s.resize(t.seg, end)
	return f.Truncate(end)
}

// readTail reads a segment from one end to the other.
func (s *Spool) readTail(seg *segment) (*tail, error) {
	f, err := s.disk.Read(filepath.Join(s.dir, seg.name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := &tail{seg: seg, last: position{seq: seg.first - 1}, end: recordsFrom}
	if h, err := readSegmentHeader(f); err == nil {
		t.last.hash = h.prev
	}
	s.scanTail(t, &scanner{f: f, seed: seg.seed, off: recordsFrom, end: seg.size})
	if t.data, err = lastByte(f, min(t.end, seg.size), seg.size); err != nil {
		t.data = seg.size // it may hold anything
	}
	return t, nil
}

// scanTail reads records to the end of what verifies. What the last Append left
// half is no part of it.
func (s *Spool) scanTail(t *tail, sc *scanner) {
	var open *tail // before an Append of which not all has been read
	for {
		h, payload, err := sc.next()
		switch {
		case err == nil && h.class == classEnd:
			t.closed, t.end, t.top = true, sc.off, h.seq
			return
		case err == nil:
			if h.flags&flagMore == 0 {
				open = nil
			} else if open == nil {
				before := *t
				open = &before
			}
			t.records++
			t.end = sc.off
			if h.class == classNote {
				t.last = position{seq: h.seq, hash: h.prev}
				t.notes = append(t.notes, parseNotes(payload)...)
			} else {
				t.last = position{seq: h.seq, hash: s.linker.link(s.stream, h.prev, h.seq, payload)}
			}
			continue
		case !errors.Is(err, errInvalid) && !errors.Is(err, io.EOF):
			s.opt.Log.Error("the spool cannot be read", "dir", s.dir, "segment", t.seg.name, "offset", sc.off, "error", err)
		}
		hole := damage{seg: t.seg, from: sc.off, first: t.last.seq + 1}
		next := sc.resyncPast(t.last.seq+1, t.last.seq+maxSkip)
		if next == 0 {
			break
		}
		hole.to, hole.last = sc.off, next-1
		if open != nil { // notes count with the whole Append only
			t.notes = open.notes
		}
		t.holes, open = append(t.holes, hole), nil
	}
	if open != nil {
		*t = *open
	}
}
