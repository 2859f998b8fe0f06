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

func openLog(d disk, dir string) (*Log, error) {
	segments, stream, err := listSegments(d, dir)
	if err != nil {
		return nil, fmt.Errorf("read spool %s: %w", dir, err)
	}
	saved, ok := readStream(d, filepath.Join(dir, streamFile))
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
func (l *Log) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		begun := false // a record was yielded, so none may be missing from then on
		for i, seg := range l.segments {
			r := logReader{log: l, seg: seg, seq: seg.first - 1, limit: ^uint64(0), begun: &begun, yield: yield}
			if i < len(l.segments)-1 {
				r.limit = l.segments[i+1].first
			}
			if !r.run() {
				return
			}
		}
	}
}

// logReader reads one segment of a Log.
type logReader struct {
	log   *Log
	seg   *segment
	seq   uint64 // the last one read
	limit uint64 // records before this seq
	begun *bool
	held  []Record // of an Append whose end has not been read
	yield func(Record, error) bool
}

// run is false when there is nothing more to yield.
func (r *logReader) run() bool {
	if r.seq+1 >= r.limit {
		return true
	}
	f, err := r.log.disk.Read(filepath.Join(r.log.dir, r.seg.name))
	if errors.Is(err, fs.ErrNotExist) && !*r.begun {
		return true // removed since, by the process that may
	}
	if err != nil {
		r.yield(Record{}, err)
		return false
	}
	defer f.Close()
	sc := &scanner{f: f, seed: r.seg.seed, off: recordsFrom, end: r.seg.size}
	for r.seq+1 < r.limit {
		h, payload, err := sc.next()
		switch {
		case err == nil && h.class == classEnd && r.limit == ^uint64(0):
			return true
		case err == nil && h.seq < r.limit && h.class == classNote:
		case err == nil && h.seq < r.limit && h.class != classEnd:
			r.seq = h.seq
			if !r.take(recordOf(&h, payload)) {
				return false
			}
		case err == nil || errors.Is(err, errInvalid) || errors.Is(err, io.EOF):
			if more, ok := r.skip(sc); !more {
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
		*r.begun = true
		return r.yield(rec, nil)
	}
	rec.Payload = bytes.Clone(rec.Payload)
	r.held = append(r.held, rec)
	return rec.More || r.release()
}

// release yields the records that were held.
func (r *logReader) release() bool {
	held := r.held
	r.held = nil
	for _, rec := range held {
		*r.begun = true
		if !r.yield(rec, nil) {
			return false
		}
	}
	return true
}

// skip passes bytes that hold no valid record. more says that there are others
// in the segment, and ok that reading goes on.
func (r *logReader) skip(sc *scanner) (more, ok bool) {
	d := &DamageError{Segment: r.seg.name, Offset: sc.off, First: r.seq + 1, Last: r.limit - 1}
	next, err := sc.resync(r.seq+1, min(r.limit, r.seq+maxSkip))
	if err != nil {
		r.yield(Record{}, fmt.Errorf("%s: %w", r.seg.name, err))
		return false, false
	}
	if next == 0 && r.limit == ^uint64(0) {
		return false, true // the end of the log
	}
	if !r.release() {
		return false, false
	}
	if next > 0 {
		d.Last = next - 1
	}
	d.Bytes = min(sc.off, r.seg.size) - d.Offset
	return next > 0, r.yield(Record{}, d)
}
