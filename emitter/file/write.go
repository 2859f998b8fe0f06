package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

var errBetween = errors.New("another process appended in the middle of a line")

// deliver writes batch piece by piece, rotating between the pieces, and syncs.
// It returns how many records are synced and what kept the next one out.
func (s *Sink) deliver(ctx context.Context, batch []emitter.Record) (int, error) {
	var synced, written int // records of batch, synced <= written
	var failure error
	for written < len(batch) && failure == nil {
		if failure = nextError(ctx, written, batch[written]); failure != nil {
			break
		}
		if s.stands(batch[written]) { // only before anything is written
			synced, written = synced+1, written+1
			continue
		}
		s.startBuffer(batch[written])
		if s.begun == 0 && s.over(batch[written]) {
			if err := s.commit(); err != nil {
				return synced, err
			}
			synced = written
			if err := s.rotate(); err != nil {
				return synced, err
			}
			s.startBuffer(batch[written])
		}
		s.fill(batch[written:])
		n, err := s.write(ctx)
		written, failure = written+n, err
	}
	if err := s.commit(); err != nil {
		return synced, err
	}
	return written, failure
}

// nextError says why record r, number i of the batch, must not be written.
func nextError(ctx context.Context, i int, r emitter.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !oneLine(r.Body) {
		return emitter.Permanent(fmt.Errorf("record %d, seq %d: body of %d bytes is not one line", i, r.Seq, len(r.Body)))
	}
	return nil
}

func oneLine(body []byte) bool {
	return len(body) > 0 && bytes.IndexByte(body, '\n') < 0 && bytes.IndexByte(body, '\r') < 0
}

// startBuffer empties the buffer, but for the end of a line that was torn. If
// next is the record that was, fill finishes it instead.
func (s *Sink) startBuffer(next emitter.Record) {
	s.buf, s.ends, s.begun = s.buf[:0], s.ends[:0], 0
	switch {
	case s.torn == nil:
	case s.regular && bytes.HasPrefix(next.Body, s.torn):
		s.begun = len(s.torn)
	default:
		s.buf = append(s.buf, '\n')
	}
}

// fill adds the first record of batch to the buffer, and those after it as long
// as they are fit to be written and fit in.
func (s *Sink) fill(batch []emitter.Record) {
	for i, r := range batch {
		if i > 0 && (len(s.buf)+len(r.Body) >= s.disk.maxWrite || s.over(r) || !oneLine(r.Body)) {
			return
		}
		body := r.Body
		if i == 0 {
			body = body[s.begun:]
		}
		s.buf = append(append(s.buf, body...), '\n')
		s.ends = append(s.ends, len(s.buf))
	}
}

// write writes the buffer and returns how many of its records are in the file,
// whole.
func (s *Sink) write(ctx context.Context) (int, error) {
	if s.f != nil && !s.regular {
		defer limit(ctx, s.f, s.disk.pipeTimeout)()
	}
	n, err := s.out.Write(s.buf)
	n = min(max(n, 0), len(s.buf)) // Options.Stdout is not ours
	s.dirty = s.dirty || n > 0
	if s.begun > 0 && n > 0 && !s.grownBy(n) {
		return 0, pathError("write", s.path, errBetween) // the next Send looks at the end anew
	}
	if err == nil && n < len(s.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return s.settle(n), pathError("write", s.path, err)
	}
	s.size += int64(n)
	s.torn = nil
	return len(s.ends), nil
}

// limit gives the writes to f until the end of ctx, and at most so long. The
// function that it returns must be called after them.
func limit(ctx context.Context, f handle, most time.Duration) (done func()) {
	_ = f.SetWriteDeadline(time.Now().Add(most)) // a device may have none
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = f.SetWriteDeadline(time.Now())
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// settle brings the file back to whole lines when only n bytes of the buffer
// were written, and returns how many of its records these hold.
func (s *Sink) settle(n int) int {
	whole, end := 0, 0
	for whole < len(s.ends) && s.ends[whole] <= n {
		end = s.ends[whole]
		whole++
	}
	if whole > 0 {
		s.torn = nil
	}
	if n > end && !s.cutBack(n, end) {
		s.torn = unfinished(slices.Concat(s.torn, s.buf[end:n]))
		end = n
	}
	s.size += int64(end)
	return whole
}

// cutBack takes the last n-end bytes off the file, if they are ours: it does
// nothing when somebody else has appended in the meantime.
func (s *Sink) cutBack(n, end int) bool {
	return s.regular && s.grownBy(n) && s.f.Truncate(s.size+int64(end)) == nil
}

// grownBy reports whether nobody else has appended while we wrote n bytes.
func (s *Sink) grownBy(n int) bool {
	info, err := s.f.Stat()
	return err == nil && info.Size() == s.size+int64(n)
}

// commit syncs what was written. After a failure the kernel may have thrown
// the bytes away and call the next sync of the same handle a success, so the
// handle is given up. The lines stay where they are, for a reader may be past
// them already; they will come a second time.
func (s *Sink) commit() error {
	if !s.regular || !s.dirty {
		s.dirty = false
		return nil
	}
	if err := s.f.Sync(); err != nil {
		s.drop()
		s.suspect = true
		return pathError("sync", s.path, err)
	}
	s.dirty, s.suspect = false, false
	return nil
}
