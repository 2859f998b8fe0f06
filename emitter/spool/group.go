package spool

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// maxGroup is the size in bytes from which a group takes no more: who comes then
// waits for the commit that is under way.
const maxGroup = 4 << 20

// smallGroup is the size in bytes up to which the number of syncs counts, not
// what they write.
const smallGroup = 96 << 10

// maxLinger is how often a commit lets other goroutines run first: each time may
// take long where many have work to do.
const maxLinger = 4

// group is what one commit writes: the records of all who came while the commit
// before it was under way. Guarded by Spool.mu until it is being written.
type group struct {
	data      []byte
	members   int           // callers that wait for it
	first     uint64        // seq of its first record
	last      uint64        // seq of its last record; 0: it has none
	head      Hash          // of its last record
	events    uint64        // records that are no gaps
	gaps      []Gap         // told in it
	notes     []Note        // in it
	preferred bool          // a member is: old records may be removed for it
	lead      chan struct{} // holds a token for the member that is to commit it
	done      chan struct{} // closed when err is set
	err       error
}

func newGroup(buf []byte) *group {
	return &group{data: buf[:0], lead: make(chan struct{}, 1), done: make(chan struct{})}
}

// join makes the caller a member of the gathering group and says whether it has
// to commit it; s.mu is held.
func (s *Spool) join() (g *group, lead bool) {
	g = s.gathering
	g.members++
	lead = !s.committing
	s.committing = true
	return g, lead
}

// wait returns when g is committed, by this caller if it has to or if the
// committer before hands over.
func (s *Spool) wait(ctx context.Context, g *group, lead bool) error {
	if !lead {
		select {
		case <-g.done:
			return g.err
		case <-g.lead:
		case <-ctx.Done():
			s.desert(g)
			return ErrUnconfirmed
		}
	}
	s.commit()
	<-g.done
	return g.err
}

// desert takes a member out of g that waits no longer.
func (s *Spool) desert(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.members--; g.members > 0 {
		return
	}
	select {
	case <-g.lead: // it was to commit
		s.committing = false
		s.flushSoon()
	default:
	}
}

// flushSoon makes sure that what has gathered is committed, though nobody waits
// for it; s.mu is held.
func (s *Spool) flushSoon() {
	if s.flushing == nil && len(s.gathering.data) > 0 {
		s.flushing = time.AfterFunc(AsyncDelay, s.flushLate)
	}
}

// tellSoon makes sure that gaps are told now that there is room again, though
// nobody appends; s.mu is held.
func (s *Spool) tellSoon() {
	if s.flushing == nil && len(s.gaps) > 0 {
		s.flushing = time.AfterFunc(AsyncDelay, s.flushLate)
	}
}

// flushLate commits what nobody waits for.
func (s *Spool) flushLate() {
	s.mu.Lock()
	s.flushing = nil
	s.mu.Unlock()
	_ = s.flush() // a failure is counted, told and in the log
}

// linger lets those join whom the commit before has woken, while the group is
// small and more of them come. Else they would just miss it, each time: writers
// would form two halves that wait for each other's syncs. With large groups that
// is better, since one half is encoded while the other one is written. s.mu is
// held, and given up meanwhile.
func (s *Spool) linger() {
	g := s.gathering
	for turn, seen := 0, 0; turn < maxLinger && seen < g.members && g.members < s.crowd && len(g.data) < smallGroup; turn++ {
		seen = g.members
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
}

// Sync returns when all that was appended before is on disk, also in [Async] mode.
func (s *Spool) Sync() error {
	if err := s.flush(); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	return nil
}

// flush commits what has gathered, and the gaps that are not told yet. After
// Close it does nothing.
func (s *Spool) flush() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	return s.flushLocked()
}

// flushLocked is flush with s.mu held, which it gives back.
func (s *Spool) flushLocked() error {
	s.encodeGaps()
	g, lead := s.join()
	s.mu.Unlock()
	return s.wait(context.Background(), g, lead)
}
