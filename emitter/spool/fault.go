package spool

import (
	"errors"
	"fmt"
	"time"
)

// retryAfter is the time between two tries to write to a spool that is broken
// or whose disk is full.
const retryAfter = time.Second

// fault is a state in which nothing can be stored, whatever its priority.
type fault struct {
	err   error // wraps ErrFull or ErrBroken; nil: all is well
	since time.Time
	again time.Time // not before then
}

func (f *fault) waits(now time.Time) bool { return f.err != nil && now.Before(f.again) }

// setFault notes that a commit failed, and tells it once; s.mu is held.
func (s *Spool) setFault(err error, now time.Time) {
	switch {
	case errors.Is(err, ErrFull):
	case noSpace(err):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	default:
		err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if s.fault.err == nil {
		s.fault.since = now
		s.opt.Log.Error("the spool cannot store", "dir", s.dir, "error", err)
	}
	s.fault.err, s.fault.again = err, now.Add(retryAfter)
}

// clearFault notes that a commit succeeded; s.mu is held.
func (s *Spool) clearFault(now time.Time) {
	if s.fault.err == nil {
		return
	}
	s.opt.Log.Warn("the spool stores again", "dir", s.dir, "after", now.Sub(s.fault.since).Round(time.Millisecond))
	s.fault = fault{}
}
