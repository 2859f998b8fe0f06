package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
)

// DamageError is yielded by [Log.Records] where bytes do not verify.
type DamageError struct {
	Segment     string // file name
	Offset      int64
	Bytes       int64
	First, Last uint64 // seqs that may be lost; Last < First: none
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: %d bytes at %d do not verify: seqs %d to %d", e.Segment, e.Bytes, e.Offset, e.First, e.Last)
}

// RemovedError is yielded by [Log.After] where the process that writes has removed
// records before they were read.
type RemovedError struct{ First, Last uint64 }

func (e *RemovedError) Error() string {
	return fmt.Sprintf("seqs %d to %d were removed before they could be read", e.First, e.Last)
}

// Position is how far a log has been read: the zero value, not at all.
type Position struct {
	stream  Stream
	seq     uint64 // the last record read
	segment uint64 // number of the segment that it stands in
	offset  int64  // in which all before this has been read
}

// Log is what stands in a spool's folder, for reading only.
type Log struct {
	dir      string
	disk     disk
	stream   Stream
	segments []*segment
}

// OpenLog lists what stands in dir. It needs no lock and changes nothing; the
// spool may be open in another process, which may remove segments meanwhile and
// whose last records may not be on disk yet.
func OpenLog(dir string) (*Log, error) {
	return openLog(osDisk{}, dir)
}

// maxLists is how often a list of segments is made anew of which the newest one
// is gone, until that is taken for a link that leads nowhere.
const maxLists = 100

func openLog(d disk, dir string) (*Log, error) {
	segments, stream, stale, err := listSegments(d, dir)
	for try := 0; stale && try < maxLists; try++ {
		segments, stream, stale, err = listSegments(d, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read spool %s: %w", dir, err)
	}
	saved, _, ok := readStream(d, filepath.Join(dir, streamFile))
	if len(segments) == 0 && !ok {
		return nil, fmt.Errorf("%s is no spool: %w", dir, fs.ErrNotExist)
	}
	if stream == (Stream{}) && ok {
		stream = saved
		for _, seg := range segments {
			seg.seed = seedOf(saved, seg.number)
		}
	}
	return &Log{dir: dir, disk: d, stream: stream, segments: segments}, nil
}

// Stream returns the id of the chain.
func (l *Log) Stream() Stream { return l.stream }

// Records yields the records in order, and a [*DamageError] in the place of what
// does not verify. Any other error ends it, also when a segment is removed that is
// about to be read: then the next try may see it all. The payload of a record is valid
// until the next one. Zeros and an unfinished write at the end are no damage.
func (l *Log) Records() iter.Seq2[Record, error] { return l.After(new(Position)) }

// After is [Log.Records] from p on, which it moves along. With a p that has read
// before, what was removed since and not read is a [*RemovedError]. To follow a log
// that another process writes, open it again and go on with the same p.
func (l *Log) After(p *Position) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if p.stream != l.stream {
			*p = Position{stream: l.stream}
		}
		from := p.seq
		for i, seg := range l.segments {
			if seg.number < p.segment {
				continue
			}
			if from > 0 && seg.number > p.segment && seg.first > p.seq+1 {
				lost := &RemovedError{First: p.seq + 1, Last: seg.first - 1}
				p.seq = lost.Last
				if !yield(Record{}, lost) {
					return
				}
			}
			r := logReader{log: l, seg: seg, seq: seg.first - 1, limit: noLimit, from: from, pos: p, yield: yield}
			if i < len(l.segments)-1 {
				r.limit = l.segments[i+1].first
			}
			if !r.run() {
				return
			}
		}
	}
}

// noLimit is the limit of the segment behind which there is none.
const noLimit = ^uint64(0)

// logReader reads one segment of a Log.
type logReader struct {
	log   *Log
	seg   *segment
	sc    scanner
	seq   uint64 // the last one read
	limit uint64 // records before this seq
	from  uint64 // read in an earlier run; 0: this is the first one
	pos   *Position
	held  []Record // of an Append whose end has not been read
	yield func(Record, error) bool
}

// run is false when there is nothing more to yield.
func (r *logReader) run() bool {
	off := int64(recordsFrom)
	if r.pos.segment == r.seg.number {
		off, r.seq = r.pos.offset, max(r.seq, r.pos.seq)
	}
	if r.seq+1 >= r.limit {
		return true
	}
	f, err := r.log.disk.Read(filepath.Join(r.log.dir, r.seg.name))
	if errors.Is(err, fs.ErrNotExist) && r.pos.seq == 0 && r.limit != noLimit {
		return true // removed since, by the process that may; the next one is there
	}
	if err != nil {
		r.yield(Record{}, err)
		return false
	}
	defer f.Close()
	r.sc = scanner{f: f, seed: r.seg.seed, off: off, end: r.seg.size}
	for r.seq+1 < r.limit {
		h, payload, err := r.sc.next()
		switch {
		case err == nil && h.class == classEnd && r.limit == noLimit:
			return true
		case err == nil && h.seq < r.limit && h.class == classNote:
		case err == nil && h.seq < r.limit && h.class != classEnd:
			r.seq = h.seq
			if !r.take(recordOf(&h, payload)) {
				return false
			}
		case err == nil || errors.Is(err, errInvalid) || errors.Is(err, io.EOF):
			if more, ok := r.skip(); !more {
				return ok
			}
		default:
			r.yield(Record{}, fmt.Errorf("%s: %w", r.seg.name, err))
			return false
		}
	}
	return r.release()
}

// take yields a record, and holds those of one Append until it has the last: at
// the end of the log it may be half written.
func (r *logReader) take(rec Record) bool {
	if !rec.More && len(r.held) == 0 {
		return r.pass(rec) && r.reached()
	}
	rec.Payload = bytes.Clone(rec.Payload)
	r.held = append(r.held, rec)
	return rec.More || r.release() && r.reached()
}

// release yields the records that were held.
func (r *logReader) release() bool {
	held := r.held
	r.held = nil
	for _, rec := range held {
		if !r.pass(rec) {
			return false
		}
	}
	return true
}

// pass yields a record, unless it was read before: a write that failed is
// repeated in the next segment.
func (r *logReader) pass(rec Record) bool {
	if rec.Seq <= r.from {
		return true
	}
	r.pos.seq = max(r.pos.seq, rec.Seq)
	return r.yield(rec, nil)
}

// reached notes that nothing before the scanner has to be read again.
func (r *logReader) reached() bool {
	r.pos.segment, r.pos.offset = r.seg.number, r.sc.off
	return true
}

// skip passes bytes that hold no valid record. more says that there are others
// in the segment, and ok that reading goes on.
func (r *logReader) skip() (more, ok bool) {
	if r.limit == noLimit && r.from > 0 && r.blank() {
		return false, true
	}
	d := &DamageError{Segment: r.seg.name, Offset: r.sc.off, First: r.seq + 1, Last: r.limit - 1}
	next, err := r.sc.resync(r.seq+1, min(r.limit, r.seq+maxSkip))
	if err != nil {
		r.yield(Record{}, fmt.Errorf("%s: %w", r.seg.name, err))
		return false, false
	}
	if r.limit == noLimit {
		if next == 0 {
			return false, true // the end of the log
		}
		if r.written(d.Offset) {
			return true, true
		}
	}
	if !r.release() {
		return false, false
	}
	if next > 0 {
		d.Last = next - 1
	}
	d.Bytes = max(0, min(r.sc.off, r.seg.size)-d.Offset)
	r.seq = max(r.seq, d.Last)
	r.pos.seq = max(r.pos.seq, d.Last)
	r.reached()
	return next > 0, r.yield(Record{}, d)
}

// blank reports whether nothing has been written where the scanner stands. Who
// looks again and again need not search the rest each time.
func (r *logReader) blank() bool {
	b, err := r.sc.peek(recordSize)
	return err == nil && zeros(b) == len(b)
}

// written reports whether the bytes at off, which did not verify, do so now: the
// process that writes was just at it. Then the scanner stands there again.
func (r *logReader) written(off int64) bool {
	behind := r.sc.off
	r.sc.off, r.sc.buf = off, r.sc.buf[:0]
	if _, _, err := r.sc.next(); err != nil {
		r.sc.off = behind
		return false
	}
	r.sc.off = off
	return true
}
