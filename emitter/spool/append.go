package spool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Append stores payloads, whole or not at all, and returns the seq of the
// first; the others follow it. In Durable mode they are on disk when it returns
// without an error. The payloads are not kept.
//
// The error wraps [ErrFull] or [ErrBroken] (nothing is stored, and the loss is told
// by a gap record; with the policy Refuse the caller still has the payloads, and
// nothing is lost), [ErrTooLarge] or [ErrClosed] (nothing is stored and nothing told), or
// [ErrUnconfirmed]: ctx ended first, and the payloads may be stored or not. It is
// ctx's own if that had ended before. After ErrBroken, too, a record may turn up
// at the next start, unless another one was stored since: the disk may have had it. The
// caller that commits for others cannot leave early: a disk that hangs holds it.
func (s *Spool) Append(ctx context.Context, p Priority, payloads ...[]byte) (uint64, error) {
	return s.AppendNoted(ctx, p, nil, payloads...)
}

// AppendNoted is [Spool.Append] with notes: they are kept if the payloads are
// stored, and only then. There may be no payloads. More notes than [MaxNotes]
// holds are [ErrTooLarge]. Notes that are kept count against the quota once more
// in each segment.
func (s *Spool) AppendNoted(ctx context.Context, p Priority, notes []Note, payloads ...[]byte) (uint64, error) {
	size, err := measure(notes, payloads)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	s.mu.Lock()
	if err := s.fits(notes); err != nil {
		s.mu.Unlock()
		return 0, fmt.Errorf("append: %w", err)
	}
	if err := s.admit(ctx, p, size, len(payloads)); err != nil {
		s.mu.Unlock()
		return 0, fmt.Errorf("append: %w", err)
	}
	if !s.fault.waits(time.Now()) {
		s.encodeGaps()
	}
	first := s.seq + 1
	s.encode(notes, payloads)
	s.gathering.preferred = s.gathering.preferred || p == Preferred
	if s.opt.Durability == Async && len(s.gathering.data) < AsyncBytes {
		s.flushSoon()
		s.mu.Unlock()
		return first, nil
	}
	g, lead := s.join()
	s.mu.Unlock()
	if err := s.wait(ctx, g, lead); err != nil {
		return first, fmt.Errorf("append: %w", err)
	}
	return first, nil
}

func measure(notes []Note, payloads [][]byte) (int64, error) {
	size, err := measureNotes(notes)
	if err != nil {
		return 0, err
	}
	for _, p := range payloads {
		if len(p) > MaxPayload {
			return 0, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(p), MaxPayload)
		}
		size += recordSize + len(p)
	}
	if len(payloads) > 1 && size > maxGroup {
		return 0, fmt.Errorf("%w: %d bytes in one call, the limit is %d", ErrTooLarge, size, maxGroup)
	}
	return int64(size), nil
}

// admit decides whether n payloads of size bytes may be stored, and waits while
// the gathering group is too large; s.mu is held, but not while waiting.
func (s *Spool) admit(ctx context.Context, p Priority, size int64, n int) error {
	for len(s.gathering.data) >= maxGroup {
		g, lead := s.join()
		s.mu.Unlock()
		err := s.wait(ctx, g, lead)
		s.mu.Lock()
		if errors.Is(err, ErrUnconfirmed) {
			return ctx.Err()
		}
	}
	if s.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.room(p, size)
	if s.closed { // while room was made
		return ErrClosed
	}
	if err != nil {
		s.refuse(n, err)
		return err
	}
	s.roomAgain(p)
	return nil
}

// encode adds one record for each payload to the gathering group, behind one of
// the notes; s.mu is held.
func (s *Spool) encode(notes []Note, payloads [][]byte) {
	now := time.Now().UnixNano()
	s.encodeNotes(now, notes, len(payloads) > 0)
	for i, payload := range payloads {
		var flags uint8
		if i < len(payloads)-1 {
			flags = flagMore
		}
		s.encodeOne(&header{time: now, class: classEvent, flags: flags}, payload)
		s.gathering.events++
	}
}

// encodeGaps adds the gap records that are due; s.mu is held.
func (s *Spool) encodeGaps() {
	now := time.Now()
	for _, gap := range s.gaps {
		payload := s.opt.Gap(gap)
		s.encodeOne(&header{time: now.UnixNano(), class: classGap}, payload[:min(len(payload), MaxPayload)])
	}
	s.gathering.gaps = append(s.gathering.gaps, s.gaps...)
	s.gaps = nil
}

// encodeOne gives the record its seq and its place in the chain.
func (s *Spool) encodeOne(h *header, payload []byte) {
	s.seq++
	h.seq, h.prev = s.seq, s.head
	g := s.gathering
	g.data = appendRecord(g.data, h, payload)
	s.head = s.linker.link(s.stream, s.head, s.seq, payload)
	if g.last == 0 {
		g.first = s.seq
	}
	g.last, g.head = s.seq, s.head
}
