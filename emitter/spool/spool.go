package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Errors that callers test for.
var (
	ErrFull        = errors.New("the spool is full")
	ErrBroken      = errors.New("the spool cannot be written")
	ErrClosed      = errors.New("the spool is closed")
	ErrTooLarge    = errors.New("payload is too large")
	ErrInUse       = errors.New("in use")
	ErrUnconfirmed = errors.New("stored perhaps: the disk has not answered in time")
)

// Folders in the spool's folder.
const (
	cursorDir = "cursors"
	asideDir  = "quarantine"
)

// Spool is the log in one folder. It is safe for concurrent use.
type Spool struct {
	dir    string // immutable, as are opt, disk, stream and unlock
	opt    Options
	disk   disk
	stream Stream
	unlock func()

	mu         sync.Mutex // guards what follows, never held while a commit writes or syncs
	segments   []*segment // oldest first
	seq        uint64     // the last one given out
	head       Hash       // of the last record that has been encoded
	durable    position   // what is on disk
	gathering  *group     // what the next commit will write
	inFlight   int64      // bytes that a commit is writing
	committing bool       // somebody writes, or holds the token to do so
	moved      chan struct{}
	fault      fault
	gaps       gaps
	notes      noteSet // on disk
	pending    noteSet // and with what has been encoded
	told       map[damageKey]bool
	marks      map[string]*mark
	aside      int64 // bytes in the folder besides segments
	closed     bool
	flushing   *time.Timer // commits what nobody waits for; nil: there is nothing
	begin      bool        // the next commit begins a segment, whatever it has to write
	looked     time.Time   // when it was last looked for room
	stats      Stats
	linker     *linker

	trimming sync.Mutex // held while segments are removed

	// Owned by whoever commits.
	active  file
	current *segment
	number  uint64 // of the newest segment
	begun   bool   // the stream file says that there have been segments
	sparse  bool   // the active segment's blocks are not its own yet
	spoiled bool   // a write to the active segment failed: it gets no other
	zeroed  int64  // the active segment has been written up to here or further
	crowd   int    // members of the last group
	spare   []byte
}

// position is the end of what is on disk.
type position struct {
	seq  uint64 // the last record's
	hash Hash
}

// Open opens the spool in dir and makes the folder if there is none. It repairs
// what a crash left behind and notes what is lost. It starts nothing.
func Open(dir string, opt Options) (*Spool, error) {
	s := &Spool{
		dir: dir, opt: opt.withDefaults(), linker: newLinker(), gathering: newGroup(nil),
		told: map[damageKey]bool{}, marks: map[string]*mark{}, notes: noteSet{}, pending: noteSet{},
	}
	s.disk = s.opt.disk
	if err := s.disk.MkdirAll(filepath.Join(dir, cursorDir)); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	unlock, err := s.disk.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.unlock = unlock
	if name, ok := networkFS(dir); ok {
		s.opt.Log.Warn("the spool is on a network file system: its lock and its syncs may not hold", "dir", dir, "type", name)
	}
	_ = s.disk.SyncDir(filepath.Dir(filepath.Clean(dir))) // the folder's own name
	if err := s.recover(); err != nil {
		unlock()
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	if s.outgrown() {
		s.trim()
	}
	return s, nil
}

// Stream returns the id of the spool's chain.
func (s *Spool) Stream() Stream { return s.stream }

func (s *Spool) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Dir returns the spool's folder.
func (s *Spool) Dir() string { return s.dir }

// Ready reports whether an Append with p would be stored: nil, or an error that
// wraps [ErrFull], [ErrBroken] or [ErrClosed]. It says no a little before the
// quota is reached, so that there is room for what is under way. While the spool
// is broken it tries to mend it, once a second at most.
func (s *Spool) Ready(p Priority) error {
	s.mu.Lock()
	if s.fault.err != nil && !s.fault.waits(time.Now()) && !s.closed {
		s.mu.Unlock()
		_ = s.flush() // what it found is in fault
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.fault.err != nil:
		return s.fault.err
	case s.used()+s.margin() <= s.limit(p):
		return nil
	case p == Preferred && s.opt.Full == DropOldest && len(s.segments) > 1:
		return nil
	}
	return s.fullError(p)
}

// margin is the room that Ready keeps for calls that are under way.
func (s *Spool) margin() int64 { return min(1<<20, s.opt.MaxSize/64) }

// Close writes what is waiting, marks the end of the log and gives the folder
// back. It returns the error of the last write. Only the first call does
// anything.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.fault.again = time.Time{} // there is no later
	err := s.flushLocked()
	err = errors.Join(err, s.finish(), s.saveMarks())
	s.mu.Lock()
	if s.flushing != nil {
		s.flushing.Stop()
	}
	s.announce()
	s.mu.Unlock()
	s.unlock()
	if err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}

// finish ends the active segment with a record that says so.
func (s *Spool) finish() error {
	if s.active == nil {
		return nil
	}
	if s.spoiled {
		return s.active.Close()
	}
	end, err := s.writeEnd(s.active, s.current, s.current.end, s.durable)
	if err == nil {
		err = s.active.Truncate(end)
	}
	return errors.Join(err, s.active.Close())
}

// writeEnd writes the record that closes seg, at the offset off, and syncs it.
func (s *Spool) writeEnd(f file, seg *segment, off int64, last position) (int64, error) {
	rec := appendRecord(nil, &header{seq: last.seq, time: time.Now().UnixNano(), class: classEnd, prev: last.hash}, nil)
	sign(rec, seg.seed)
	if _, err := f.WriteAt(rec, off); err != nil {
		return 0, err
	}
	return off + int64(len(rec)), f.Sync()
}

// announce wakes the cursors that wait; s.mu is held.
func (s *Spool) announce() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// newStream returns a random id, a UUID of version 4.
func newStream() (s Stream) {
	_, _ = rand.Read(s[:]) // never fails
	s[6], s[8] = s[6]&0x0f|0x40, s[8]&0x3f|0x80
	return s
}

// noSpace reports whether err means that the disk is full, not that it is ill.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, ErrFull)
}
