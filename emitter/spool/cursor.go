package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// Cursor reads the log in order, from what it has confirmed on. Its name is its
// memory: what it confirmed is kept when it is closed and when the process ends.
// It is for one goroutine.
type Cursor struct {
	s *Spool
	m *mark

	seg    *segment // where it reads; nil: to be found
	f      file
	sc     scanner
	seq    uint64 // the last one read
	bytes  []byte // payloads of the last batch
	batch  []Record
	faults int // errors of reading in a row, at one place
}

// maxReadFaults is how often a place that cannot be read is tried again before
// it counts as damaged.
const maxReadFaults = 5

// Cursor opens the cursor of that name, 1 to 64 bytes. A new one begins with the
// oldest record that is there, and holds all records from then on. The error
// wraps [ErrInUse] if it is open already.
func (s *Spool) Cursor(name string) (*Cursor, error) {
	if _, err := markFile(name); err != nil {
		return nil, err
	}
	s.trimming.Lock() // a new one begins with a segment that stays
	defer s.trimming.Unlock()
	s.mu.Lock()
	m := s.marks[name]
	switch {
	case s.closed:
		s.mu.Unlock()
		return nil, ErrClosed
	case m == nil:
		m = &mark{name: name}
		if len(s.segments) > 0 {
			m.confirmed = s.segments[0].first - 1
		}
		s.marks[name] = m
	case m.open:
		s.mu.Unlock()
		return nil, fmt.Errorf("cursor %s: %w", name, ErrInUse)
	}
	m.open = true
	c := &Cursor{s: s, m: m, seq: m.confirmed}
	s.mu.Unlock()
	if err := s.save(m); err != nil {
		_ = s.markFailed(m, err) // it holds the records all the same, while we live
	}
	return c, nil
}

// Limits bound a batch.
type Limits struct {
	Records int           // at most so many; less than 1 is 1
	Bytes   int           // no more records once the payloads have so many bytes
	Linger  time.Duration // a batch that is not full waits for more until its first record is so old
}

// Next waits for a record that the cursor has not read, and returns it with
// those that follow and are on disk, within the limits. The batch is valid until
// the next call. The error is ctx's, wraps [ErrClosed], or is one of reading,
// which may pass. What has been read is returned even if ctx ends.
func (c *Cursor) Next(ctx context.Context, limits Limits) ([]Record, error) {
	c.batch, c.bytes = c.batch[:0], c.bytes[:0]
	limits.Records = max(limits.Records, 1)
	var late <-chan time.Time // the batch has waited long enough
	for {
		moved, err := c.s.beyond(c.seq)
		if err == nil && moved == nil {
			if err = c.read(limits); err == nil && len(c.batch) == 0 {
				continue
			}
		}
		switch {
		case c.full(limits) || err != nil && len(c.batch) > 0:
			return c.batch, nil // an error comes back with the next call
		case err != nil:
			return nil, fmt.Errorf("read spool: %w", err)
		case moved == nil:
			continue
		case len(c.batch) > 0 && late == nil:
			wait := time.Until(c.batch[0].Time.Add(limits.Linger))
			if limits.Linger <= 0 || wait <= 0 {
				return c.batch, nil
			}
			timer := time.NewTimer(min(wait, limits.Linger))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-moved:
		case <-late:
			return c.batch, nil
		case <-ctx.Done():
			if len(c.batch) > 0 {
				return c.batch, nil
			}
			return nil, ctx.Err()
		}
	}
}

func (c *Cursor) full(limits Limits) bool {
	return len(c.batch) >= limits.Records || len(c.batch) > 0 && len(c.bytes) >= limits.Bytes
}

// beyond returns nil if there are records on disk after seq, else a channel that
// is closed when there may be.
func (s *Spool) beyond(seq uint64) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.durable.seq > seq:
		return nil, nil
	case s.moved == nil:
		s.moved = make(chan struct{})
	}
	return s.moved, nil
}

// read appends records to the batch, until it is full or what is on disk ends.
func (c *Cursor) read(limits Limits) error {
	for !c.full(limits) {
		v, err := c.view()
		if err != nil || v.seg == nil {
			return err
		}
		if c.seq+1 >= v.limit {
			if v.last {
				return nil
			}
			c.leave()
			continue
		}
		c.sc.end = v.end
		h, payload, err := c.sc.next()
		switch {
		case err == nil && h.seq < v.limit && h.class == classNote:
		case err == nil && h.seq < v.limit && h.class != classEnd:
			c.take(h, payload)
		case err == nil || errors.Is(err, errInvalid) || errors.Is(err, io.EOF) || c.faults >= maxReadFaults:
			if err := c.skip(v); err != nil {
				return err
			}
		default:
			c.faults++
			return err
		}
	}
	return nil
}

// take adds a record to the batch, unless the cursor has passed it.
func (c *Cursor) take(h header, payload []byte) {
	c.faults = 0
	if h.seq <= c.seq {
		return
	}
	c.seq = h.seq
	from := len(c.bytes)
	c.bytes = append(c.bytes, payload...)
	c.batch = append(c.batch, recordOf(&h, c.bytes[from:len(c.bytes):len(c.bytes)]))
}

// skip passes bytes that hold no valid record, and tells what is lost with them.
func (c *Cursor) skip(v view) error {
	d := damage{seg: v.seg, from: c.sc.off, first: c.seq + 1, last: v.limit - 1}
	next, err := c.sc.resync(c.seq+1, v.limit)
	if err != nil {
		if c.faults < maxReadFaults {
			c.sc.off, c.faults = d.from, c.faults+1
			return err
		}
		next = c.sc.resyncPast(c.seq+1, v.limit)
	}
	c.faults = 0
	d.to = min(c.sc.off, v.end)
	if next > 0 {
		d.last = next - 1
	} else {
		c.seq = d.last
	}
	c.s.tellDamage(d)
	return nil
}

// view is what a cursor may read of a segment.
type view struct {
	seg   *segment
	end   int64  // bytes up to here
	limit uint64 // records before this seq
	last  bool   // there is no later segment
}

// view finds the segment in which the next record stands, and opens it.
func (c *Cursor) view() (view, error) {
	v := c.s.find(c.seg, &c.seq)
	if v.seg == nil || v.seg == c.seg {
		return v, nil
	}
	c.leave()
	f, err := c.s.disk.Read(filepath.Join(c.s.dir, v.seg.name))
	if errors.Is(err, fs.ErrNotExist) {
		if c.s.find(nil, &c.seq).seg == v.seg { // removed, and not by us
			c.s.tellDamage(damage{seg: v.seg, first: c.seq + 1, last: v.limit - 1})
			c.seq = v.limit - 1
		}
		return view{}, nil
	}
	if err != nil {
		return view{}, err
	}
	c.seg, c.f = v.seg, f
	c.sc = scanner{f: f, seed: v.seg.seed, off: recordsFrom, buf: c.sc.buf[:0]}
	return v, nil
}

// find returns the view of seg or, without one, of the segment in which the
// record after seq stands. What is not there any more is passed.
func (s *Spool) find(seg *segment, seq *uint64) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 {
		return view{}
	}
	if first := s.segments[0].first; *seq+1 < first {
		*seq, seg = first-1, nil
	}
	i := slices.Index(s.segments, seg)
	if i < 0 {
		i = len(s.segments) - 1
		for i > 0 && s.segments[i].first > *seq+1 {
			i--
		}
	}
	v := view{seg: s.segments[i], end: s.segments[i].end, limit: s.durable.seq + 1, last: i == len(s.segments)-1}
	if !v.last {
		v.limit = s.segments[i+1].first
	}
	return v
}

// leave closes the segment that the cursor reads.
func (c *Cursor) leave() {
	if c.f != nil {
		c.f.Close()
	}
	c.seg, c.f = nil, nil
}

// Rewind makes the next batch begin after what is confirmed.
func (c *Cursor) Rewind() {
	c.leave()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.seq = c.m.confirmed
}

// Confirm says that every record up to seq, which has been read, is done with.
// The mark is saved within a second or 1,000 records: after a crash so much may
// be read again. Segments that every cursor has passed are removed.
func (c *Cursor) Confirm(seq uint64) {
	s, m := c.s, c.m
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	m.move(min(seq, c.seq))
	now := m.confirmed-m.asked >= markEvery
	if now {
		m.asked = m.confirmed
	} else {
		s.saveSoon(m)
	}
	s.mu.Unlock()
	if now {
		s.saveMark(m)
	}
	s.trim()
}

// saveSoon makes sure that the mark is saved within markDelay; s.mu is held.
func (s *Spool) saveSoon(m *mark) {
	if m.saving || s.closed {
		return
	}
	m.saving = true
	time.AfterFunc(markDelay, func() {
		s.mu.Lock()
		m.saving = false
		closed := s.closed
		s.mu.Unlock()
		if !closed {
			s.saveMark(m)
		}
	})
}

func (s *Spool) saveMark(m *mark) {
	if err := s.save(m); err != nil {
		_ = s.markFailed(m, err) // counted and told
	}
}

// Save saves the mark at once, instead of within a second or 1,000 records.
func (c *Cursor) Save() {
	if !c.s.isClosed() {
		c.s.saveMark(c.m)
	}
}

// Confirmed returns up to where everything is done with.
func (c *Cursor) Confirmed() uint64 {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.m.confirmed
}

// Close saves the mark. The records that the cursor has not confirmed stay,
// until [Spool.Forget].
func (c *Cursor) Close() error {
	c.leave()
	err := error(nil)
	if !c.s.isClosed() { // else it has saved all marks
		err = c.s.save(c.m)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.m.open = false
	return err
}

// Forget deletes the cursor of that name, which must not be open: it holds no
// segment any more. The error wraps [fs.ErrNotExist] if there is none.
func (s *Spool) Forget(name string) error {
	if err := s.forget(name); err != nil {
		return fmt.Errorf("forget cursor %s: %w", name, err)
	}
	s.trim()
	return nil
}

func (s *Spool) forget(name string) error {
	file, err := markFile(name)
	if err != nil {
		return err
	}
	s.trimming.Lock() // nobody opens it meanwhile
	defer s.trimming.Unlock()
	s.mu.Lock()
	m := s.marks[name]
	switch {
	case s.closed:
		err = ErrClosed
	case m == nil:
		err = fs.ErrNotExist
	case m.open:
		err = ErrInUse
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	m.io.Lock()
	defer m.io.Unlock()
	dir := filepath.Join(s.dir, cursorDir)
	if err := s.disk.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.named = false
	if err := s.disk.SyncDir(dir); err != nil {
		return err
	}
	m.forgotten = true
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.marks, name)
	return nil
}
