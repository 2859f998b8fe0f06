package inspect

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Range is a part of a spool. The zero value is all of it.
type Range struct {
	First, Last  uint64    // seqs; Last 0: to the end
	Since, Until time.Time // when records were stored, Until not included; zero: no bound
}

// Contains reports whether the record stands in the range.
func (r *Range) Contains(rec *spool.Record) bool {
	return rec.Seq >= r.First && (r.Last == 0 || rec.Seq <= r.Last) &&
		!rec.Time.Before(r.Since) && (r.Until.IsZero() || rec.Time.Before(r.Until))
}

// errPast ends the reading behind the range.
var errPast = errors.New("past the range")

// Export writes the records of the range, one line each with its place in the
// chain, so that 'vmcp-audit verify' takes them; n is how many. odd hears what may
// be missing among them, as in Walk.
func Export(ctx context.Context, dir string, in Range, out io.Writer, odd func(error)) (n uint64, err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	var line []byte
	err = Walk(ctx, dir, new(spool.Position), func(l *spool.Log, rec spool.Record) error {
		if in.Last > 0 && rec.Seq > in.Last {
			return errPast
		}
		if !in.Contains(&rec) {
			return nil
		}
		n++
		integrity := emitter.IntegrityOf(l.Stream(), &rec)
		line = append(emitter.AppendIntegrity(line[:0], rec.Payload, &integrity), '\n')
		_, err := w.Write(line)
		return err
	}, func(err error) {
		if d, ok := errors.AsType[*spool.DamageError](err); ok && (d.Last < in.First || in.Last > 0 && d.First > in.Last) {
			return
		}
		odd(err)
	})
	if errors.Is(err, errPast) {
		err = nil
	}
	return n, errors.Join(err, w.Flush())
}
