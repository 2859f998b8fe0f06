package spool

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStreamIsKept kills a process before each thing that it does to the disk,
// from the first start to the first records: the stream that others may have seen
// stays, and nothing is said to be lost.
func TestStreamIsKept(t *testing.T) {
	d := newMemDisk(1)
	var left []*memDisk // by a process that is killed
	d.failWith(func(string, int) error { left = append(left, d.clone()); return nil })
	opt := Options{disk: d, segmentSize: sampleSegment}
	s := mustOpen(t, "/spool", opt)
	opened := len(left)
	mustAppend(t, s, "first")
	mustAppend(t, s, "second")
	d.failWith(nil)
	left = append(left, d.clone())
	for i, disk := range left {
		want := s.Stream()
		l, err := openLog(disk, "/spool")
		switch {
		case err == nil && l.Stream() != want:
			t.Errorf("killed after %d steps: the log is of stream %s, want %s", i, l.Stream(), want)
		case err != nil && (i >= opened || !errors.Is(err, fs.ErrNotExist)):
			t.Errorf("killed after %d steps, %d were those of Open: %v", i, opened, err)
		}
		seen := err == nil
		for start := range 3 {
			opt.disk = disk
			again := mustOpen(t, "/spool", opt)
			st := again.Stats()
			if seen && again.Stream() != want || st.TornTails > 0 || st.Damaged > 0 {
				t.Errorf("killed after %d steps, start %d: stream %s, want %s; %d ends are torn, %d places are damaged",
					i, start, again.Stream(), want, st.TornTails, st.Damaged)
			}
			want, seen, disk = again.Stream(), true, disk.clone()
		}
	}
}

// TestStreamWithoutRecords ends in order before anything was stored.
func TestStreamWithoutRecords(t *testing.T) {
	d := newMemDisk(1)
	var want Stream
	for start := range 3 {
		s := mustOpen(t, "/spool", Options{disk: d})
		if start == 0 {
			want = s.Stream()
		}
		if s.Stream() != want {
			t.Errorf("start %d: the stream was %s and is %s", start, want, s.Stream())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreamFileLate has a disk that cannot replace the stream file when the first
// segment is made: a later one does, or the next start.
func TestStreamFileLate(t *testing.T) {
	for _, later := range []bool{false, true} {
		d := newMemDisk(1)
		s := mustOpen(t, "/spool", Options{disk: d, segmentSize: sampleSegment})
		old := s.Stream()
		d.failWith(func(op string, _ int) error {
			if op == "rename" {
				return syscall.EIO
			}
			return nil
		})
		mustAppend(t, s, "first")
		d.failWith(nil)
		if later {
			if err := s.roll(10, false); err != nil {
				t.Fatal(err)
			}
			d = d.clone()
		} else {
			d = d.clone()
			mustOpen(t, "/spool", Options{disk: d})
			d = d.clone()
		}
		for name := range d.names {
			if strings.HasSuffix(filepath.Base(name), segmentSuffix) {
				delete(d.names, name)
			}
		}
		if s := mustOpen(t, "/spool", Options{disk: d}); s.Stream() == old {
			t.Errorf("later %v: all segments are gone, and the stream is still %s", later, old)
		}
	}
}
