package spool

import (
	"maps"
	"slices"
	"time"
)

// zeroAhead is how many bytes of zeros are written behind a small group that
// enters blocks which have never been written. On ext4 the syncs of the next
// ones take a fifth to a third less time then, since these blocks need not be
// noted as written. Large groups gain nothing from writing all bytes twice.
const zeroAhead = 512 << 10

var blank [zeroAhead]byte

// commit writes the gathering group and hands over to a member of the next one.
// Only the caller that holds the token calls it.
func (s *Spool) commit() {
	s.mu.Lock()
	s.linger()
	g := s.gathering
	s.crowd = g.members
	s.gathering = newGroup(s.spare)
	s.spare = nil
	s.inFlight = int64(len(g.data))
	s.mu.Unlock()

	err := s.write(g)

	s.mu.Lock()
	s.inFlight = 0
	now := time.Now()
	if err != nil {
		s.failed(g, err, now)
	} else {
		s.stored(g, now)
	}
	dropped := err == nil && slices.ContainsFunc(g.gaps, func(gap Gap) bool { return gap.Cause == CauseDropOldest })
	if s.gathering.members > 0 {
		s.gathering.lead <- struct{}{}
	} else {
		s.committing = false
		s.flushSoon()
	}
	s.mu.Unlock()
	if dropped {
		_ = s.saveMarks() // the trail tells now what they pass
	}
	close(g.done)
}

// stored notes that g is on disk; s.mu is held.
func (s *Spool) stored(g *group, now time.Time) {
	s.clearFault(now)
	if cap(g.data) <= maxGroup {
		s.spare, g.data = g.data[:0], nil
	}
	s.notes.apply(g.notes)
	if g.last == 0 {
		return
	}
	s.durable = position{seq: g.last, hash: g.head}
	s.stats.Appended += g.events
	s.stats.Gaps += uint64(len(g.gaps))
	s.stats.Commits++
	s.announce()
}

// failed notes that g, and what has gathered behind it in the chain, is lost;
// s.mu is held.
func (s *Spool) failed(g *group, err error, now time.Time) {
	s.setFault(err, now)
	late := s.gathering
	s.takeBack(g, late)
	for _, lost := range []*group{g, late} {
		lost.err = s.fault.err
		if lost.events > 0 {
			s.loseRange(lost.first, lost.last, lost.events, s.fault.err)
		}
		for _, gap := range lost.gaps {
			gap.Last = lost.last // the seq that its record had is missing too
			if gap.Cause != CauseReturned {
				gap.Count++
			}
			s.gaps.add(gap)
		}
	}
	s.head = s.durable.hash
	s.pending = maps.Clone(s.notes)
	s.gathering = newGroup(late.data)
	close(late.done)
}

// takeBack gives back the seqs of groups that held gap records only: they are
// told again, and nothing else is missing. s.mu is held.
func (s *Spool) takeBack(groups ...*group) {
	for _, g := range slices.Backward(groups) {
		if g.last == 0 {
			continue
		}
		if g.events > 0 || g.last != s.seq {
			return
		}
		s.seq = g.first - 1
		s.gaps = append(g.gaps, s.gaps...)
		g.gaps, g.last = nil, 0
	}
}

// write puts g on disk. After an error of writing or syncing the segment is left
// as it was before g, and is not touched again: g goes to a fresh one.
func (s *Spool) write(g *group) error {
	s.mu.Lock()
	begin := s.begin
	s.begin = false
	s.mu.Unlock()
	if len(g.data) == 0 && s.fault.err == nil && !begin {
		return nil
	}
	if s.active == nil || s.spoiled || s.current.room-s.current.end < s.least(g) {
		if err := s.roll(len(g.data), g.preferred); err != nil {
			return err
		}
	} else if s.sparse {
		if _, err := s.allowance(0, int64(len(g.data)), g.preferred); err != nil {
			return err
		}
	}
	err := s.put(g)
	if err == nil {
		return nil
	}
	s.opt.Log.Error("a write to the spool failed; a fresh segment is tried", "dir", s.dir, "segment", s.current.name, "error", err)
	if err := s.roll(len(g.data), g.preferred); err != nil {
		return err
	}
	return s.put(g)
}

// least returns the room that a segment must have for g: after a fault more than
// g takes, so that what little is left in the active one is no sign of health.
func (s *Spool) least(g *group) int64 {
	if s.fault.err != nil {
		return max(int64(len(g.data)), min(minRoom, s.opt.segmentSize)-recordsFrom)
	}
	return int64(len(g.data))
}

// put writes g behind the last record of the active segment and syncs it. After
// an error the segment is spoiled.
func (s *Spool) put(g *group) error {
	if len(g.data) == 0 {
		return nil
	}
	sign(g.data, s.current.seed)
	if err := s.place(g.data); err != nil {
		s.spoiled = true
		s.count(&s.stats.WriteErrors)
		return err
	}
	if err := s.active.Sync(); err != nil {
		s.spoiled = true
		s.count(&s.stats.SyncErrors)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.end += int64(len(g.data))
	s.resize(s.current, s.current.end)
	return nil
}

// place writes data behind the last record of the active segment.
func (s *Spool) place(data []byte) error {
	if _, err := s.active.WriteAt(data, s.current.end); err != nil {
		return err
	}
	end := s.current.end + int64(len(data))
	if end <= s.zeroed || len(data) > smallGroup || s.sparse {
		return nil
	}
	s.zeroed = min(end+zeroAhead, s.current.room)
	_, err := s.active.WriteAt(blank[:s.zeroed-end], end)
	return err
}

// resize notes the bytes that seg takes; s.mu is held.
func (s *Spool) resize(seg *segment, size int64) {
	s.stats.SegmentBytes += size - seg.size
	seg.size = size
}

func (s *Spool) count(n *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}
