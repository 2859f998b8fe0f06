package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// used returns the bytes that count against the quota; s.mu is held.
func (s *Spool) used() int64 {
	return s.stats.SegmentBytes + s.aside + s.inFlight + int64(len(s.gathering.data))
}

// limit returns the part of the quota that p may use.
func (s *Spool) limit(p Priority) int64 {
	if p == Preferred {
		return s.opt.MaxSize
	}
	return s.opt.MaxSize - s.opt.Reserved
}

// room makes sure that size more bytes may be stored; s.mu is held, but not
// while old records are removed.
func (s *Spool) room(p Priority, size int64) error {
	for {
		if s.fault.waits(time.Now()) {
			return s.fault.err
		}
		if s.used()+size <= s.limit(p) {
			return nil
		}
		excess := s.used() + size - s.limit(p)
		s.mu.Unlock()
		made := s.makeRoom(p, excess)
		s.mu.Lock()
		if s.closed {
			return ErrClosed
		}
		if !made {
			return s.fullError(p)
		}
	}
}

// makeRoom looks for room that is there already, once a second at most, or
// removes old records.
func (s *Spool) makeRoom(p Priority, excess int64) bool {
	s.mu.Lock()
	look := time.Since(s.looked) >= retryAfter
	if look {
		s.looked = time.Now()
	}
	before := s.used()
	s.mu.Unlock()
	if look {
		aside := measureAside(s.disk, s.dir)
		s.mu.Lock()
		s.aside = aside
		s.mu.Unlock()
		s.trim()
		s.mu.Lock()
		after := s.used()
		s.mu.Unlock()
		if after < before {
			return true
		}
	}
	// Who has not proved who he is may not push out the evidence of others.
	return s.opt.Full == DropOldest && p == Preferred && s.helps(excess) && s.dropOldest()
}

func (s *Spool) fullError(p Priority) error {
	kind := ""
	if p != Preferred && s.opt.Reserved > 0 {
		kind = fmt.Sprintf(" (%d are reserved)", s.opt.Reserved)
	}
	return fmt.Errorf("%w: %d of %d bytes are used%s", ErrFull, s.used(), s.opt.MaxSize, kind)
}

// refuse counts n payloads that were not stored for err, and tells the first of
// a row; s.mu is held.
func (s *Spool) refuse(n int, err error) {
	if s.stats.FullSince.IsZero() && s.fault.err == nil {
		s.stats.FullSince = time.Now()
		s.opt.Log.Error("the spool is full", "dir", s.dir, "error", err)
	}
	switch {
	case s.opt.Full == Refuse:
		s.stats.Refused += uint64(n)
	case n > 0:
		s.lose(uint64(n), err)
	}
}

// lose gives n events that are not stored their seqs, and notes the gap.
func (s *Spool) lose(n uint64, err error) {
	first := s.seq + 1
	s.seq += n
	s.loseRange(first, s.seq, n, err)
}

// loseRange notes n lost events among the seqs from first to last.
func (s *Spool) loseRange(first, last, n uint64, err error) {
	cause := CauseWrite
	switch {
	case s.opt.Full == Refuse:
		s.stats.Refused += n
		cause, n = CauseReturned, 0
	case errors.Is(err, ErrFull):
		cause = CauseFull
	}
	s.stats.Dropped += n
	s.gaps.add(Gap{First: first, Last: last, Count: n, Cause: cause})
}

// roomAgain ends what refuse began; s.mu is held.
func (s *Spool) roomAgain(p Priority) {
	if s.stats.FullSince.IsZero() || p != Ordinary && s.used() > s.limit(Ordinary) {
		return
	}
	s.opt.Log.Warn("the spool has room again", "dir", s.dir, "after", time.Since(s.stats.FullSince).Round(time.Millisecond),
		"dropped_since_start", s.stats.Dropped, "refused_since_start", s.stats.Refused)
	s.stats.FullSince = time.Time{}
}

// helps reports whether all that may be removed is at least so many bytes:
// nothing is removed in vain.
func (s *Spool) helps(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := int64(0)
	for _, seg := range s.segments[:max(len(s.segments)-1, 0)] {
		if seg != s.current {
			sum += seg.size
		}
	}
	return sum >= size
}

// dropOldest removes the oldest segment that is not being written, notes what
// is lost and for whom, and says whether there was one.
func (s *Spool) dropOldest() bool {
	s.trimming.Lock()
	defer s.trimming.Unlock()
	s.mu.Lock()
	if len(s.segments) < 2 || s.segments[0] == s.current {
		s.mu.Unlock()
		return false
	}
	seg, last := s.segments[0], s.segments[1].first-1
	s.mu.Unlock()
	if !s.removeSegment(seg.name) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteDropped(seg.first, last)
	s.forgetSegment(seg)
	return true
}

// noteDropped notes what is lost with a segment; s.mu is held. The marks that
// have moved are saved when the trail tells of it.
func (s *Spool) noteDropped(first, last uint64) {
	from, lagging := last+1, []string(nil)
	for _, m := range s.sortedMarks() {
		if m.confirmed < last {
			lagging = append(lagging, m.name)
			from = min(from, max(m.confirmed+1, first))
			m.move(last)
		}
	}
	if len(s.marks) == 0 {
		from = first
	}
	if from > last {
		return // everybody had it
	}
	n := last - from + 1
	s.stats.DroppedOldest += n
	s.gaps.add(Gap{First: from, Last: last, Count: n, Cause: CauseDropOldest, Cursors: lagging})
	s.opt.Log.Error("the spool is full: the oldest records were removed", "dir", s.dir, "first_seq", from, "last_seq", last, "cursors", lagging)
}

// removeSegment removes the file of a segment and says whether it is gone.
func (s *Spool) removeSegment(name string) bool {
	if err := s.disk.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.unlinkFailed(err)
		return false
	}
	_ = s.disk.SyncDir(s.dir) // a name that comes back is read or removed again
	return true
}

// forgetSegment takes a segment out of the books; s.mu is held.
func (s *Spool) forgetSegment(seg *segment) {
	if i := slices.Index(s.segments, seg); i >= 0 {
		s.resize(seg, 0)
		s.segments = slices.Delete(slices.Clone(s.segments), i, i+1)
	}
}

// outgrown begins a segment where the only one is of a time with a larger quota
// and every cursor has passed it: it fills the quota, and could not be removed
// while it is the last, which tells where the chain goes on. It says whether that
// was so.
func (s *Spool) outgrown() bool {
	s.mu.Lock()
	low, ok := s.lowest()
	due := ok && !s.closed && s.current == nil && len(s.segments) == 1 && low >= s.durable.seq &&
		s.used()+s.margin() > s.limit(Ordinary) && !s.fault.waits(time.Now())
	s.begin = s.begin || due
	s.mu.Unlock()
	if due {
		_ = s.flush() // what keeps it from that is in fault
	}
	return due
}

// trim removes the segments that every cursor has passed, once the marks that
// say so are on disk.
func (s *Spool) trim() {
	s.outgrown()
	s.trimming.Lock()
	defer s.trimming.Unlock()
	s.mu.Lock()
	low, ok := s.lowest()
	due := ok && !s.closed && len(s.segments) > 1 && s.segments[1].first <= low+1
	s.mu.Unlock()
	if !due {
		return
	}
	if err := s.saveMarks(); err != nil && !noSpace(err) { // what is removed makes space
		return
	}
	for {
		s.mu.Lock()
		if len(s.segments) < 2 || s.segments[1].first > low+1 || s.segments[0] == s.current {
			s.mu.Unlock()
			return
		}
		s.tellSoon()
		seg := s.segments[0]
		s.mu.Unlock()
		if !s.removeSegment(seg.name) {
			return
		}
		s.mu.Lock()
		s.forgetSegment(seg)
		s.mu.Unlock()
	}
}

func (s *Spool) unlinkFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.UnlinkErrors == 0 {
		s.opt.Log.Error("a segment that is not needed cannot be removed", "dir", s.dir, "error", err)
	}
	s.stats.UnlinkErrors++
}

// measureAside returns the bytes of everything in the folder but the segments.
// What cannot be read is not counted.
func measureAside(d disk, dir string) (sum int64) {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if e.IsDir() {
			sum += measureAside(d, filepath.Join(dir, e.Name()))
		} else if info, err := e.Info(); err == nil && !strings.HasSuffix(e.Name(), segmentSuffix) {
			sum += onDisk(info.Size())
		}
	}
	return sum
}

// block is what file systems give to files, in bytes.
const block = 4096

// onDisk returns what a file of n bytes takes: many small dead letters take much
// more than they hold.
func onDisk(n int64) int64 { return (n + block - 1) / block * block }

// asideShare is the part of the quota by which SetAside may pass it: what is set
// aside lets a cursor go on, which makes room.
const asideShare = 16

func (s *Spool) sizeOf(path string) int64 {
	f, err := s.disk.Read(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	n, _ := f.Size()
	return n
}

// SetAside writes data to the file name in the folder, below the spool's own,
// where it counts against the quota: for records that are refused for good, say.
// It is on disk when SetAside returns. A file of that name is replaced. It
// may pass the quota by a sixteenth; then the error wraps [ErrFull].
func (s *Spool) SetAside(folder, name string, data []byte) error {
	if s.isClosed() {
		return fmt.Errorf("set aside %s: %w", name, ErrClosed)
	}
	dir := filepath.Join(s.dir, folder)
	s.mu.Lock()
	full := s.used()+onDisk(int64(len(data))) > s.opt.MaxSize+s.opt.MaxSize/asideShare
	err := s.fullError(Preferred)
	s.mu.Unlock()
	if full {
		return fmt.Errorf("set aside %s: %w", name, err)
	}
	before := s.sizeOf(filepath.Join(dir, name))
	n, err := s.replace(dir, name, bytes.NewReader(data))
	s.mu.Lock()
	s.aside += onDisk(n) - onDisk(before)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	return nil
}

// replace writes a whole file, which is on disk with its name when it returns,
// and returns its size.
func (s *Spool) replace(dir, name string, body io.Reader) (n int64, err error) {
	if err := s.disk.MkdirAll(dir); err != nil {
		return 0, err
	}
	temp := filepath.Join(dir, name+".new")
	_ = s.disk.Remove(temp) // of a try that was cut short
	f, err := s.disk.Create(temp)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(io.NewOffsetWriter(f, 0), body)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = s.disk.Remove(temp)
		return 0, err
	}
	if err := s.disk.Rename(temp, filepath.Join(dir, name)); err != nil {
		return n, err
	}
	return n, s.disk.SyncDir(dir)
}
