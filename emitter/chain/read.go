package chain

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Lines takes the lines of a file, or of a part of a trail that comes before
// those of the next call; name is what reports call it. It returns how many
// lines there were. The error is ctx's or the reader's. Blank lines, and the
// beginning of a record that is cut off by the end of the file or stands before
// the whole of it, are what a write leaves that a crash cut short, and no
// problem.
func (v *Verifier) Lines(ctx context.Context, name string, r io.Reader) (n int64, err error) {
	in := lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	for {
		line, err := in.next()
		if err == nil && len(line) == 0 {
			return n, nil
		}
		if err := cmp.Or(err, ctx.Err()); err != nil && !errors.Is(err, errTooLong) {
			return n, err
		}
		n++
		at := Place{Name: name, Line: n}
		if err != nil {
			v.dropBegun()
			v.Reject(at, "the line is longer than any event")
			continue
		}
		whole := bytes.TrimSuffix(line, []byte{'\n'})
		v.line(at, whole)
		if len(whole) == len(line) {
			v.keepTorn()
		}
	}
}

var errTooLong = errors.New("the line is too long")

// lineReader reads lines of up to MaxLine bytes.
type lineReader struct {
	r   *bufio.Reader
	buf []byte
}

// next returns the next line with its end, without one if the file ends first,
// and nothing behind the last. After errTooLong the line has been skipped.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for size := 0; ; {
		piece, err := l.r.ReadSlice('\n')
		if size += len(piece); size <= MaxLine {
			l.buf = append(l.buf, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case size > MaxLine:
			return nil, errTooLong
		default:
			return l.buf, nil
		}
	}
}

// line takes a line without its end.
func (v *Verifier) line(at Place, line []byte) {
	if len(line) == 0 {
		return
	}
	if v.begun != nil && bytes.HasPrefix(line, v.begun) {
		v.keepTorn()
	}
	v.dropBegun()
	if payload, in, ok := emitter.SplitIntegrity(line); ok {
		r := recordOf(payload, &in)
		v.Add(at, &r)
		return
	}
	if begins(line) {
		v.begun, v.begunAt = bytes.Clone(line), at
		return
	}
	if _, err := emitter.Decode(line); err != nil {
		v.Reject(at, "no event")
		return
	}
	v.Reject(at, "an event without a place in the chain")
}

// keepTorn takes the line before for the beginning of a record.
func (v *Verifier) keepTorn() {
	if v.begun != nil && len(v.torn) < v.limit() {
		v.torn = append(v.torn, v.begunAt)
	}
	v.begun = nil
}

// dropBegun takes the line before for no event.
func (v *Verifier) dropBegun() {
	if v.begun != nil {
		v.begun = nil
		v.Reject(v.begunAt, "no event")
	}
}

// begins reports whether line is the beginning of a JSON object.
func begins(line []byte) bool {
	err := json.Unmarshal(line, new(json.RawMessage))
	return line[0] == '{' && err != nil && err.Error() == "unexpected end of JSON input"
}

func recordOf(payload []byte, in *emitter.Integrity) Record {
	r := Record{Seq: in.Seq, Payload: payload}
	_, _ = hex.Decode(r.Stream[:], []byte(strings.ReplaceAll(in.Stream, "-", ""))) // SplitIntegrity has looked at all three
	_, _ = hex.Decode(r.Prev[:], []byte(in.Prev))
	_, _ = hex.Decode(r.Hash[:], []byte(in.Hash))
	return r
}

// Spool takes the records of a spool; name is what reports call it. A spool
// states no hashes, so each record counts as it is, and only the next one tells
// if it was changed. The error is ctx's or one of reading.
func (v *Verifier) Spool(ctx context.Context, name string, l *spool.Log) error {
	return v.Records(ctx, name, l.Stream(), l.Records())
}

// Records is Spool for records that the caller reads.
func (v *Verifier) Records(ctx context.Context, name string, stream spool.Stream, records iter.Seq2[spool.Record, error]) error {
	for rec, err := range records {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d, ok := errors.AsType[*spool.DamageError](err); ok {
			v.damage(name, stream, d)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sum := rec.Link(stream)
		v.add(Place{Name: name}, &Record{
			Stream: stream, Seq: rec.Seq, Prev: rec.Prev, Hash: sum, Payload: rec.Payload, gap: rec.Gap,
		}, sum)
	}
	return nil
}

// damage takes what of a spool holds no record: a hole, which a gap record may
// name.
func (v *Verifier) damage(name string, id spool.Stream, d *spool.DamageError) {
	v.pos++
	p := Problem{
		Kind: Changed, At: Place{Name: filepath.Join(name, d.Segment)}, First: d.First, Last: d.Last,
		Text: fmt.Sprintf("%d bytes at %d do not verify, and no gap record names what they were", d.Bytes, d.Offset),
	}
	if d.Bytes == 0 {
		p.Kind, p.Text = Lost, "missing behind this segment, and no gap record names them"
	}
	s := v.streams[id]
	if s == nil {
		if s = v.begin(&Record{Stream: id, Seq: d.First}); s == nil {
			v.fail(nil, p)
			return
		}
		s.Last = d.First - 1
	}
	if p.First = max(p.First, s.Last+1); p.Last < p.First {
		p.First, p.Last = 0, 0
		v.fail(s, p)
		return
	}
	v.hole(s, p)
	s.Last, s.blind = p.Last, true
}
