package spool

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tailLength is how many bytes at the end are damaged, one after the other.
const tailLength = 4096

const sampleSegment = 24 << 10

// sample is a spool that was left with records in it.
type sample struct {
	dir     string
	disk    *memDisk
	name    string  // of its last segment
	ends    []int64 // where the record of each seq ends, from seq 1 on
	closed  bool
	records map[uint64]string
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
			batch, err := c.Next(t.Context(), 100, 1<<20)
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
			t.Fatalf("seq %d is %q, %v; want %q", seq, got, ok, want)
		}
		n := 0
		for _, g := range r.gaps {
			if g.First <= seq && seq <= g.Last {
				n++
			}
		}
		if !ok && n != 1 {
			t.Fatalf("seq %d is missing and covered by %d gaps of %+v", seq, n, r.gaps)
		}
	}
	if r.next <= uint64(len(m.records)) || r.got[r.next] != "new" {
		t.Fatalf("seq %d is given to a new record, which reads %q; %d were used", r.next, r.got[r.next], len(m.records))
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
			t.Run(fmt.Sprintf("closed=%v/%d", closed, off), func(t *testing.T) {
				m.check(t, m.reopen(t, rounds, func(f *memFile) { f.live = f.live[:off] }), before(off))
				if closed || !slices.Contains(m.ends, off) { // else nothing tells that there was more
					m.check(t, m.reopen(t, rounds, func(f *memFile) { clear(f.live[off:end]) }), before(off))
				}
				m.check(t, m.reopen(t, rounds, func(f *memFile) { f.live[off] ^= 1 << (off % 8) }), func(seq uint64) bool {
					from := int64(recordsFrom)
					if seq > 1 {
						from = m.ends[seq-2]
					}
					return off < from || off >= m.ends[seq-1]
				})
			})
		}
	}
}
