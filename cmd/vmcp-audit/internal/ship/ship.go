package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Stdin is the input that stands for standard input.
const Stdin = "-"

// Options configure a [Shipper].
type Options struct {
	Inputs []string  // paths and patterns of files (see filepath.Glob), or Stdin alone
	Stdin  io.Reader // what Stdin stands for
	Follow bool      // go on as the files grow and are rotated, until the context ends
	// Stamp is about how many bytes the emitter adds to an event that names no
	// observer; 0: DefaultStamp.
	Stamp int
	Log   *slog.Logger // what is kept aside, lost or found again; nil: none

	poll, drain, patience time.Duration // tests make them short
}

// Times of following files.
const (
	pollGap = 200 * time.Millisecond // between two looks at files that have not grown
	// drainTime is how long a rotated file is still read: until its writer has
	// noticed.
	drainTime = time.Minute
	// goneTime is how long a file is looked for that is not found under any name:
	// so long a compression may take.
	goneTime = 10 * time.Second
	// clockGap is by how much the times of files and the clock may differ.
	clockGap = time.Second
)

// DefaultStamp is room for an observer with a few labels.
const DefaultStamp = 1 << 10

// Emitter stores events and notes; [emitter.Emitter] does.
type Emitter interface {
	EmitNoted(ctx context.Context, notes []spool.Note, events ...*emitter.Event) error
}

// Stats counts what was read since the start.
type Stats struct {
	Lines  uint64 // that are not empty, kept aside ones included
	Bytes  uint64 // of files, uncompressed
	Events uint64 // stored, or left out by the configuration
	Aside  uint64 // lines, and parts of lines, that were kept aside
	Lost   uint64 // files that could not be read to their end
	Waits  bool   // there is no room in the spool
}

// Shipper reads inputs into a spool. Run is to be called once; Stats is safe for
// concurrent use.
type Shipper struct {
	opt        Options
	em         Emitter
	sp         *spool.Spool
	quota      int64 // of sp, in bytes
	positions  positions
	sources    []*source
	found      []*candidate
	looked     time.Time // when the folders were looked through
	again      time.Time // when they are looked through again though nothing has changed; zero: not
	began      time.Time
	spare      []byte   // buffer of a file that has no more for now; nil: none
	waiting    []fileID // rotated files that are new and not ready to be read
	unreadable []fileID // rotated files that cannot be read, as the log has told
	asides     int      // log lines about lines kept aside

	lines, bytes, events, aside, lost atomic.Uint64
	waits                             atomic.Bool
}

// New returns a shipper that stores by em in sp, which has the policy
// [spool.Refuse], and keeps its positions there.
func New(em Emitter, sp *spool.Spool, opt Options) *Shipper {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Stamp == 0 {
		opt.Stamp = DefaultStamp
	}
	if opt.poll == 0 {
		opt.poll, opt.drain, opt.patience = pollGap, drainTime, goneTime
	}
	return &Shipper{opt: opt, em: em, sp: sp, quota: sp.Stats().MaxSize, began: time.Now(), positions: load(sp.Notes())}
}

// Stats returns the counters as they stand.
func (s *Shipper) Stats() Stats {
	return Stats{
		Lines: s.lines.Load(), Bytes: s.bytes.Load(), Events: s.events.Load(), Aside: s.aside.Load(),
		Lost: s.lost.Load(), Waits: s.waits.Load(),
	}
}

// Run reads until there is no more or, with Follow, until ctx ends, which is no
// error then. When it returns nil all that was read is stored.
func (s *Shipper) Run(ctx context.Context) error {
	defer s.closeAll()
	run := s.runFiles
	if len(s.opt.Inputs) == 1 && s.opt.Inputs[0] == Stdin {
		run = s.runStdin
	}
	err := run(ctx)
	if s.opt.Follow && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, spool.ErrUnconfirmed)) {
		return nil
	}
	return err
}

func (s *Shipper) runFiles(ctx context.Context) error {
	for {
		if err := s.look(ctx); err != nil {
			return err
		}
		more, err := s.readAll(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if !s.opt.Follow {
			if done, err := s.finish(ctx); done || err != nil {
				return err
			}
			if s.again.IsZero() {
				continue
			}
		} else if err := s.drain(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(s.opt.poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readAll reads every file to its present end, of each family the oldest first.
// It returns now and then, to have the folders looked through, and says whether
// there is more.
func (s *Shipper) readAll(ctx context.Context) (more bool, err error) {
	until := time.Now().Add(s.opt.poll)
	for more = true; more && time.Now().Before(until); {
		more = false
		family, busy := "", false
		for _, src := range s.sources {
			if src.pos.Family != family {
				family, busy = src.pos.Family, false
			}
			if busy {
				continue
			}
			ok, err := s.read(ctx, src)
			if err != nil {
				return false, err
			}
			busy, more = ok, more || ok
		}
	}
	return more, nil
}

// read stores the lines of one chunk. It is false where there is no more for now.
func (s *Shipper) read(ctx context.Context, src *source) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	before := src.split.off
	src.split.lend(&s.spare)
	defer src.split.takeBack(&s.spare)
	ok, err := src.fill()
	switch {
	case errors.Is(err, errCut):
		s.again = time.Now()
		return false, nil
	case err != nil && !s.opt.Follow:
		return false, fmt.Errorf("%s: %w", src.c.path, err)
	case err != nil:
		if s.again.IsZero() {
			s.opt.Log.Warn("an input cannot be read; it is tried again", "file", src.c.path, "error", err)
		}
		src.broken, s.again = true, time.Now().Add(clockGap)
		return false, nil
	case !ok:
		if src.ends.IsZero() {
			src.ends = time.Now()
		}
		return false, nil
	}
	src.ends = time.Time{}
	for {
		b := s.newBatch(src.c.path)
		for !b.full() {
			p, ok := src.split.next()
			if !ok {
				break
			}
			b.add(p)
		}
		if src.split.off == before {
			return true, nil
		}
		s.bytes.Add(uint64(src.split.off - before))
		before = src.split.off
		src.mark()
		if err := s.store(ctx, b, src.pos); err != nil {
			return false, err
		}
	}
}

// store stores a batch, with the position behind it unless that is nil, however
// long that takes.
func (s *Shipper) store(ctx context.Context, b *batch, p *position) error {
	if len(b.kept) > 0 {
		name := fmt.Sprintf("%s-%020d.jsonl", s.asideName(p), b.first)
		if err := s.insist(ctx, func() error { return s.setAside(name, b.aside) }); err != nil {
			return err
		}
	}
	var notes []spool.Note
	if p != nil {
		notes = []spool.Note{s.noteOf(p)}
	}
	if len(notes) > 0 || len(b.events) > 0 {
		if err := s.insist(ctx, func() error { return s.em.EmitNoted(ctx, notes, b.events...) }); err != nil {
			return err
		}
	}
	if p != nil {
		p.dirty = false
	}
	s.lines.Add(b.lines)
	s.events.Add(uint64(len(b.events)))
	s.aside.Add(uint64(len(b.kept)))
	for _, a := range b.kept {
		s.tellAside(a)
	}
	return nil
}

// setAside writes a file of lines kept aside. All that can keep it from that is the
// quota and the disk, which are waited for.
func (s *Shipper) setAside(name string, lines []byte) error {
	err := s.sp.SetAside(emitter.AsideLines, name, lines)
	if err == nil || errors.Is(err, spool.ErrClosed) {
		return err
	}
	if !s.waits.Load() {
		s.opt.Log.Error("lines cannot be kept aside; it is tried again", "file", name, "error", err)
	}
	return fmt.Errorf("%w: %w", spool.ErrBroken, err)
}

// noteOf returns the position as a note that tells when the folders were looked
// through.
func (s *Shipper) noteOf(p *position) spool.Note {
	if !s.looked.IsZero() {
		p.Looked = s.looked.UnixNano()
	}
	return p.note()
}

// mostAsides is how many lines that are kept aside have a log line of their own.
const mostAsides = 20

func (s *Shipper) tellAside(a Aside) {
	if s.asides++; s.asides > mostAsides {
		return
	}
	s.opt.Log.Error("a line is no event; it is kept aside", "file", a.Input, "line", a.Line, "offset", a.Offset, "error", a.Reason, "folder", emitter.AsideLines)
	if s.asides == mostAsides {
		s.opt.Log.Error("further lines that are no events are kept aside and counted without a message for each")
	}
}

// Waits between two tries to store.
const (
	firstWait   = 10 * time.Millisecond
	longestWait = time.Second
)

// insist calls do until there is room in the spool and its disk is well, or ctx
// ends.
func (s *Shipper) insist(ctx context.Context, do func() error) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := do()
		if err == nil || !errors.Is(err, spool.ErrFull) && !errors.Is(err, spool.ErrBroken) {
			s.waits.Store(false)
			return err
		}
		s.waits.Store(true)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Shipper) closeAll() {
	for _, src := range s.sources {
		src.close()
	}
}
