package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tailLength is how many bytes at the end are damaged, one after the other.
const tailLength = 4096

const (
	sampleSegment = 16 << 10
	longSegment   = 24 << 10
)

// sample is a spool that was left with records in it.
type sample struct {
	dir     string
	disk    *memDisk
	name    string  // of its last segment
	ends    []int64 // where the record of each seq ends, from seq 1 on
	closed  bool
	records map[uint64]string
	where   string // what is done to it, for failures
}

// newSample makes a spool of n records of different lengths in one segment.
func newSample(t *testing.T, n int, closed bool) *sample {
	m := &sample{dir: "/spool", disk: newMemDisk(1), closed: closed, records: map[uint64]string{}}
	s := mustOpen(t, m.dir, Options{disk: m.disk, segmentSize: sampleSegment})
	end := int64(recordsFrom)
	for i := range n {
		p := fmt.Sprint("event ", i, strings.Repeat(".", i*7%200))
		m.records[mustAppend(t, s, p)] = p
		end += recordSize + int64(len(p))
		m.ends = append(m.ends, end)
	}
	m.name = filepath.Join(m.dir, s.current.name)
	if closed {
		s.Close()
	} else {
		m.disk = m.disk.clone()
		s.Close()
	}
	return m
}

// reopened is what a damaged spool shows.
type reopened struct {
	got  map[uint64]string
	gaps []Gap
	next uint64 // seq of a record appended afterwards
}

// reopen damages a copy of the sample, opens it and reads all of it, then opens
// it again, rounds times in all.
func (m *sample) reopen(t *testing.T, rounds int, damage func(f *memFile)) reopened {
	t.Helper()
	d := m.disk.clone()
	f := d.names[m.name]
	damage(f)
	f.durable = slices.Clone(f.live)
	var r reopened
	for round := range rounds {
		s, err := Open(m.dir, Options{disk: d, segmentSize: sampleSegment})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			r.next = mustAppend(t, s, "new")
		}
		r.got, r.gaps = map[uint64]string{}, nil
		c, err := s.Cursor(fmt.Sprint("reader", round))
		if err != nil {
			t.Fatal(err)
		}
		for c.seq < s.Stats().Last {
			batch, err := c.Next(t.Context(), Limits{Records: 100, Bytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range batch {
				if !rec.Gap {
					r.got[rec.Seq] = string(rec.Payload)
					continue
				}
				var g Gap
				if err := json.Unmarshal(rec.Payload, &g); err != nil {
					t.Fatal(err)
				}
				r.gaps = append(r.gaps, g)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// check fails unless all records but those that whole says no to are there, as
// they were, and each that is not there is covered by exactly one gap.
func (m *sample) check(t *testing.T, r reopened, whole func(seq uint64) bool) {
	t.Helper()
	for seq, want := range m.records {
		got, ok := r.got[seq]
		if ok && got != want || !ok && whole(seq) {
			t.Fatalf("%sseq %d is %q, %v; want %q", m.where, seq, got, ok, want)
		}
		n := 0
		for _, g := range r.gaps {
			if g.First <= seq && seq <= g.Last {
				n++
			}
		}
		if !ok && n != 1 {
			t.Fatalf("%sseq %d is missing and covered by %d gaps of %+v", m.where, seq, n, r.gaps)
		}
	}
	if r.next <= uint64(len(m.records)) || r.got[r.next] != "new" {
		t.Fatalf("%sseq %d is given to a new record, which reads %q; %d were used", m.where, r.next, r.got[r.next], len(m.records))
	}
}

// TestDamagedTail cuts, wipes and flips the last 4 KiB at every offset.
func TestDamagedTail(t *testing.T) {
	step := int64(1)
	if testing.Short() {
		step = 37
	}
	for _, closed := range []bool{false, true} {
		m := newSample(t, 60, closed)
		end := m.ends[len(m.ends)-1]
		if closed {
			end += recordSize // the record that says so
		}
		before := func(off int64) func(uint64) bool { return func(seq uint64) bool { return m.ends[seq-1] <= off } }
		for off := end - tailLength; off < end; off += step {
			rounds := 1
			if off%16 == 0 {
				rounds = 3
			}
			m.where = fmt.Sprintf("closed %v, from %d: ", closed, off)
			m.check(t, m.reopen(t, rounds, func(f *memFile) { f.live = f.live[:off] }), before(off))
			if closed || m.begun(off) { // else nothing tells that there was more
				m.check(t, m.reopen(t, rounds, func(f *memFile) { clear(f.live[off:end]) }), before(off))
			}
			m.check(t, m.reopen(t, rounds, func(f *memFile) { f.live[off] ^= 1 << (off % 8) }), func(seq uint64) bool {
				from := int64(recordsFrom)
				if seq > 1 {
					from = m.ends[seq-2]
				}
				return off < from || off >= m.ends[seq-1]
			})
		}
	}
}

// begun reports whether a byte that is not zero stands between the end of the last
// record before off and off.
func (m *sample) begun(off int64) bool {
	i, _ := slices.BinarySearch(m.ends, off+1)
	from := int64(recordsFrom)
	if i > 0 {
		from = m.ends[i-1]
	}
	return len(bytes.Trim(m.disk.names[m.name].live[from:off], "\x00")) > 0
}

// newLong makes a spool of several segments, and returns their paths.
func newLong(t *testing.T) (*sample, []string) {
	m := &sample{dir: "/spool", disk: newMemDisk(1), records: map[uint64]string{}}
	s := mustOpen(t, m.dir, Options{disk: m.disk, segmentSize: longSegment})
	for len(s.segments) < 4 {
		p := fmt.Sprint("event ", len(m.records), strings.Repeat("-", 300))
		m.records[mustAppend(t, s, p)] = p
	}
	var names []string
	for _, seg := range s.segments {
		names = append(names, filepath.Join(m.dir, seg.name))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.name = names[1]
	return m, names
}

// lost counts the records that are not there and fails if it is not n.
func (m *sample) lost(t *testing.T, r reopened, from, to int) {
	t.Helper()
	m.check(t, r, func(uint64) bool { return false })
	if n := len(m.records) - len(r.got) + 1; n < from || n > to { // one is new
		t.Errorf("%d records are lost, want %d to %d; gaps %+v", n, from, to, r.gaps)
	}
}

func TestDamageInTheMiddle(t *testing.T) {
	const record = recordSize + 308 // or a byte or two more
	tests := []struct {
		name     string
		damage   func(f *memFile)
		from, to int // records lost
	}{
		{"nothing", func(*memFile) {}, 0, 0},
		{"one bit", func(f *memFile) { f.live[recordsFrom+5*record] ^= 4 }, 1, 1},
		{"a length", func(f *memFile) { f.live[recordsFrom+6] = 1 }, 1, 1},
		{"first record", func(f *memFile) { clear(f.live[recordsFrom : recordsFrom+100]) }, 1, 1},
		{"two places", func(f *memFile) { f.live[recordsFrom+record/2] ^= 4; f.live[recordsFrom+9*record+record/2] ^= 4 }, 2, 2},
		{"a sector", func(f *memFile) { clear(f.live[8192 : 8192+512]) }, 2, 3},
		{"header", func(f *memFile) { clear(f.live[:recordsFrom]) }, 0, 0},
		{"header bit", func(f *memFile) { f.live[20] ^= 1 }, 0, 0},
		{"cut in the middle", func(f *memFile) { f.live = f.live[:12<<10] }, 20, 40},
		{"empty", func(f *memFile) { f.live = nil }, 40, 60},
		{"a copy of another place", func(f *memFile) { copy(f.live[8192:], f.live[recordsFrom:8192]) }, 10, 14},
		{"all ones", func(f *memFile) {
			for i := range f.live[recordsFrom:] {
				f.live[recordsFrom+i] = 0xff
			}
		}, 40, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := newLong(t)
			for _, rounds := range []int{1, 3} {
				m.lost(t, m.reopen(t, rounds, tt.damage), tt.from, tt.to)
			}
		})
	}
}

// TestDamageOfNames removes segments, headers and the stream's name.
func TestDamageOfNames(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint("segment ", i, " is gone"), func(t *testing.T) {
			m, names := newLong(t)
			if i == 0 { // a cursor tells that it was there
				s := mustOpen(t, m.dir, Options{disk: m.disk, segmentSize: longSegment})
				mustCursor(t, s, "reader0")
				s.Close()
			}
			m.name = names[3]
			delete(m.disk.names, names[i])
			m.lost(t, m.reopen(t, 3, func(*memFile) {}), 40, 60)
		})
	}
	t.Run("every header is damaged", func(t *testing.T) {
		m, names := newLong(t)
		for _, name := range names {
			clear(m.disk.names[name].live[:recordsFrom])
		}
		m.lost(t, m.reopen(t, 3, func(*memFile) {}), 0, 0)
	})
	t.Run("the stream file is damaged", func(t *testing.T) {
		m, _ := newLong(t)
		m.disk.names[filepath.Join(m.dir, streamFile)].live = []byte("zz")
		m.lost(t, m.reopen(t, 3, func(*memFile) {}), 0, 0)
	})
	t.Run("all segments are gone", func(t *testing.T) {
		m, names := newLong(t)
		s := mustOpen(t, m.dir, Options{disk: m.disk, segmentSize: longSegment})
		c := mustCursor(t, s, "a")
		drain(t, c, 100)
		c.Confirm(10)
		old := s.Stream()
		s.Close()
		for _, name := range names {
			delete(m.disk.names, name)
		}
		for name := range m.disk.names {
			if strings.HasSuffix(name, segmentSuffix) {
				delete(m.disk.names, name)
			}
		}
		s = mustOpen(t, m.dir, Options{disk: m.disk, segmentSize: longSegment})
		if seq := mustAppend(t, s, "new"); seq != 1 || s.Stream() == old {
			t.Errorf("seq %d of stream %s, which was %s: want a new stream", seq, s.Stream(), old)
		}
		if got := drain(t, mustCursor(t, s, "a"), 10); len(got) != 1 {
			t.Errorf("read %v, want the new record", got)
		}
	})
}

func TestNewerVersionIsRefused(t *testing.T) {
	m, _ := newLong(t)
	f := m.disk.names[m.name]
	f.live[8] = Version + 1
	binary.LittleEndian.PutUint32(f.live[12:], headerCRC(f.live))
	_, err := Open(m.dir, Options{disk: m.disk})
	if !errors.Is(err, ErrVersion) {
		t.Fatalf("Open = %v, want %v", err, ErrVersion)
	}
	want := filepath.Base(m.name) + ": the spool has a newer format: 2, and this program reads up to 1"
	if !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Open = %q, want ... %q", err, want)
	}
}

// TestResyncIsBounded fills a segment with bytes that look like the beginnings
// of long records.
func TestResyncIsBounded(t *testing.T) {
	const size = 4 << 20
	d := newMemDisk(1)
	f := &memFile{disk: d, live: make([]byte, size)}
	rec := appendRecord(nil, &header{seq: 5, class: classEvent}, nil)
	binary.LittleEndian.PutUint32(rec[4:], MaxPayload)
	for off := 0; off+recordSize <= size; off += recordSize {
		copy(f.live[off:], rec)
	}
	reads := &countingFile{file: f}
	sc := &scanner{f: reads, end: size}
	if next, err := sc.resync(1, 100); next != 0 || err != nil || sc.off != size {
		t.Fatalf("resync = %d, %v, at %d", next, err, sc.off)
	}
	if reads.bytes > 2*maxResync*size {
		t.Errorf("%d bytes were read to search %d", reads.bytes, size)
	}
}

type countingFile struct {
	file
	bytes int64
}

func (f *countingFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	f.bytes += int64(n)
	return n, err
}
