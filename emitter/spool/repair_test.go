package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// faultyDisk is a memDisk with hooks, which are called outside of its lock.
type faultyDisk struct {
	*memDisk
	remove func(path string) error
	bad    func(path string, off, n int64) int64 // bytes readable before EIO; <0: all
}

func (d *faultyDisk) Remove(p string) error {
	if d.remove != nil {
		if err := d.remove(p); err != nil {
			return err
		}
	}
	return d.memDisk.Remove(p)
}

func (d *faultyDisk) wrap(p string, f file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d, p}, nil
}

func (d *faultyDisk) Read(p string) (file, error) {
	f, err := d.memDisk.Read(p)
	return d.wrap(p, f, err)
}

func (d *faultyDisk) Open(p string) (file, error) {
	f, err := d.memDisk.Open(p)
	return d.wrap(p, f, err)
}

func (d *faultyDisk) Create(p string) (file, error) {
	f, err := d.memDisk.Create(p)
	return d.wrap(p, f, err)
}

type faultyFile struct {
	file
	d *faultyDisk
	p string
}

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if f.d.bad != nil {
		if n := f.d.bad(f.p, off, int64(len(b))); n >= 0 && n < int64(len(b)) {
			got, _ := f.file.ReadAt(b[:n], off)
			return got, syscall.EIO
		}
	}
	return f.file.ReadAt(b, off)
}

// TestCloseWhileRoomIsMade closes the spool while an Append removes old records.
func TestCloseWhileRoomIsMade(t *testing.T) {
	for _, dur := range []Durability{Durable, Async} {
		d := &faultyDisk{memDisk: newMemDisk(1)}
		s := mustOpen(t, "/spool", Options{disk: d, Full: DropOldest, MaxSize: MinMaxSize, Durability: dur})
		for s.Stats().Used < MinMaxSize-70_000 {
			if _, err := s.Append(t.Context(), Preferred, make([]byte, 60_000)); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.flush()
		for i := 0; s.Stats().Used < MinMaxSize-20_000; i++ {
			_ = s.SetAside("d", fmt.Sprint(i), make([]byte, 10_000))
		}
		first := true
		d.remove = func(p string) error {
			if first && strings.HasSuffix(p, ".seg") {
				first = false
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		_, err := s.Append(t.Context(), Preferred, make([]byte, 50_000))
		if !first && !errors.Is(err, ErrClosed) {
			t.Errorf("append after close: %v", err)
		}
	}
}

// TestCloseTellsGaps tells a loss at once when there is no later.
func TestCloseTellsGaps(t *testing.T) {
	d := newMemDisk(1)
	s := mustOpen(t, "/spool", Options{disk: d})
	mustAppend(t, s, "before")
	d.failWith(writesFail(syscall.EIO))
	if _, err := s.Append(t.Context(), Preferred, []byte("lost")); err == nil {
		t.Fatal()
	}
	d.failWith(nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s2 := mustOpen(t, "/spool", Options{disk: d})
	c := mustCursor(t, s2, "a")
	got := drain(t, c, 10)
	if len(got) < 2 {
		t.Error("one event was dropped, Close = nil on a good disk, and no gap record")
	}
}

// wedged fills a spool, breaks the disk while all is confirmed, and looks an hour after it
// is well.
func wedged(t *testing.T, pol Policy, failing string) {
	d := newMemDisk(1)
	opt := Options{disk: d, Full: pol, MaxSize: MinMaxSize}
	s := mustOpen(t, "/spool", opt)
	c := mustCursor(t, s, "a")
	for {
		if _, err := s.Append(t.Context(), Preferred, make([]byte, 60_000)); err != nil {
			break
		}
	}
	drain(t, c, 1000)
	d.failWith(func(op string, _ int) error {
		if op == failing {
			return syscall.EIO
		}
		return nil
	})
	c.Confirm(c.seq)
	d.failWith(nil)
	time.Sleep(time.Hour)
	_, err := s.Append(t.Context(), Preferred, make([]byte, 60_000))
	st := s.Stats()
	if err != nil {
		t.Errorf("an hour after all is confirmed and the disk is well: %v, cursor %+v, segments %d", err, st.Cursors, st.Segments)
	}
	s.Close()
	s = mustOpen(t, "/spool", opt)
	mustCursor(t, s, "a")
	time.Sleep(time.Hour)
	if _, err := s.Append(t.Context(), Preferred, make([]byte, 60_000)); err != nil {
		t.Errorf("after a restart: %v; segments %d", err, s.Stats().Segments)
	}
}

func TestRoomAfterAFailedRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wedged(t, Refuse, "remove")
	})
}

func TestRoomAfterAFailedMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wedged(t, Refuse, "write")
	})
}

// TestRoomThatSomebodyMade removes what was set aside behind the spool's back.
func TestRoomThatSomebodyMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir, Options{MaxSize: MinMaxSize})
		mustAppend(t, s, "x")
		for i := 0; ; i++ {
			if err := s.SetAside("dead", fmt.Sprint(i), make([]byte, 50_000)); err != nil {
				break
			}
		}
		var err error
		for err == nil {
			_, err = s.Append(t.Context(), Preferred, make([]byte, 500))
		}
		os.RemoveAll(filepath.Join(dir, "dead"))
		time.Sleep(time.Hour)
		if _, err := s.Append(t.Context(), Preferred, make([]byte, 500)); err != nil {
			t.Errorf("an hour after the operator removed them: %v; ready: %v", err, s.Ready(Preferred))
		}
	})
}

// TestOrdinaryRemovesNothing has a disk without space and a caller without a name.
func TestOrdinaryRemovesNothing(t *testing.T) {
	d := newMemDisk(1)
	s := mustOpen(t, "/spool", Options{disk: d, Full: DropOldest, MinFree: 64 << 20, segmentSize: 64 << 10})
	mustCursor(t, s, "a")
	for range 20 {
		mustAppend(t, s, strings.Repeat("x", 30_000))
	}
	d.mu.Lock()
	d.free = 1 << 20
	d.mu.Unlock()
	var err error
	for range 5 {
		if _, err = s.Append(t.Context(), Ordinary, make([]byte, 30_000)); err != nil {
			break
		}
	}
	if st := s.Stats(); st.DroppedOldest > 0 {
		t.Errorf("an Ordinary append pushed %d acknowledged records out, %d segments left; and was refused: %v", st.DroppedOldest, st.Segments, err)
	}
}

// TestUnreadableBlock has a disk that cannot read 4 KiB of a segment.
func TestUnreadableBlock(t *testing.T) {
	d := &faultyDisk{memDisk: newMemDisk(1)}
	s := mustOpen(t, "/spool", Options{disk: d, segmentSize: 8 << 20})
	c := mustCursor(t, s, "a")
	for i := range 1000 {
		mustAppend(t, s, fmt.Sprintf("%d %s", i, strings.Repeat("x", 2000)))
	}
	const lo, hi = 400_000, 404_096
	d.bad = func(p string, off, n int64) int64 {
		if !strings.HasSuffix(p, ".seg") || off+n <= lo || off >= hi {
			return -1
		}
		return max(0, lo-off)
	}
	got, errs := 0, 0
	for c.s.Stats().Last > c.seq && errs < 100 {
		b, err := c.Next(t.Context(), Limits{Records: 1000, Bytes: 8 << 20})
		if err != nil {
			errs++
		}
		for _, r := range b {
			if !r.Gap {
				got++
			}
		}
	}
	if got < 990 {
		t.Errorf("4 KiB of 2 MiB cannot be read: %d of 1000 records are delivered; %+v", got, s.Stats().DamagedRecords)
	}
}
