package spool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hookDisk calls back before an operation.
type hookDisk struct {
	disk
	remove func(path string) // nil: nothing
	sync   atomic.Pointer[func()]
}

func (d *hookDisk) Remove(path string) error {
	if d.remove != nil {
		d.remove(path)
	}
	return d.disk.Remove(path)
}

func (d *hookDisk) Create(path string) (file, error) {
	f, err := d.disk.Create(path)
	return hookFile{f, d}, err
}

type hookFile struct {
	file
	d *hookDisk
}

func (f hookFile) Sync() error {
	if hook := f.d.sync.Load(); hook != nil {
		(*hook)()
	}
	return f.file.Sync()
}

// large is a payload of which four fill a segment of 128 KiB.
var large = strings.Repeat("x", 30<<10)

// dead copies the folder of a spool, as a process leaves it that is killed.
func dead(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "dead")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestEmptyMark has a process that died between making a cursor's file and
// writing it.
func TestEmptyMark(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{segmentSize: 128 << 10})
	c := mustCursor(t, s, "a")
	for range 20 {
		mustAppend(t, s, large)
	}
	drain(t, c, 100)
	c.Confirm(20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, cursorDir, "new.cursor"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, Options{})
	st := s.Stats()
	if st.Damaged > 0 || st.First < 2 {
		t.Errorf("%d places are damaged, the log begins at %d", st.Damaged, st.First)
	}
	if got := mustCursor(t, s, "new").Confirmed(); got != st.First-1 {
		t.Errorf("the cursor begins after %d, want %d", got, st.First-1)
	}
}

// TestEmptyLastSegment has a process that died after it had begun a segment, when
// everything before was confirmed and removed.
func TestEmptyLastSegment(t *testing.T) {
	for _, policy := range []Policy{DropNewest, DropOldest} {
		dir := t.TempDir()
		s := mustOpen(t, dir, Options{segmentSize: 128 << 10, Full: policy})
		if policy == DropNewest {
			mustCursor(t, s, "a")
		}
		for range 3 {
			mustAppend(t, s, large)
		}
		link := s.durable.hash
		if err := s.roll(10, false); err != nil { // as a commit does first
			t.Fatal(err)
		}
		if policy == DropNewest {
			s.marks["a"].move(3)
			s.trim()
		} else {
			s.dropOldest()
		}
		copied := dead(t, dir)
		for range 3 {
			if err := mustOpen(t, copied, Options{}).Close(); err != nil {
				t.Fatal(err)
			}
		}
		again := mustOpen(t, copied, Options{})
		if again.Stream() != s.Stream() || again.durable.hash != link {
			t.Errorf("%d: the stream was %s and is %s; the chain goes on from %s, want %s", policy, s.Stream(), again.Stream(), again.durable.hash, link)
		}
		if seq := mustAppend(t, again, "next"); seq <= 3 {
			t.Errorf("%d: seq %d is used again", policy, seq)
		}
	}
}

// TestCursorWhileTrimming makes a cursor while the segment is being removed that
// it would begin with.
func TestCursorWhileTrimming(t *testing.T) {
	dir := t.TempDir()
	d := &hookDisk{disk: osDisk{}}
	s := mustOpen(t, dir, Options{segmentSize: 128 << 10, disk: d})
	fresh := make(chan *Cursor, 1)
	begun := false
	d.remove = func(path string) {
		if begun || !strings.HasSuffix(path, segmentSuffix) {
			return
		}
		begun = true
		go func() {
			c, err := s.Cursor("new")
			if err != nil {
				t.Error(err)
			}
			fresh <- c
		}()
		select { // it is made now, or waits
		case c := <-fresh:
			fresh <- c
		case <-time.After(50 * time.Millisecond):
		}
	}
	c := mustCursor(t, s, "a")
	for range 20 {
		mustAppend(t, s, large)
	}
	drain(t, c, 100)
	c.Confirm(19)
	n := <-fresh
	if got := drain(t, n, 1); got[0].Seq != n.Confirmed()+1 {
		t.Errorf("the new cursor begins after %d, and is given %d", n.Confirmed(), got[0].Seq)
	}
	if st := mustOpen(t, dead(t, dir), Options{}).Stats(); st.Damaged > 0 {
		t.Errorf("%d places are damaged", st.Damaged)
	}
}

// TestNobodyWaits has a group whose members have all left before it was their
// turn: it is stored all the same.
func TestNobodyWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := &hookDisk{disk: osDisk{}}
		s := mustOpen(t, dir, Options{disk: d})
		c := mustCursor(t, s, "a")
		mustAppend(t, s, "first")
		syncing, goOn := make(chan struct{}), make(chan struct{})
		hang := func() {
			d.sync.Store(nil)
			close(syncing)
			<-goOn
		}
		d.sync.Store(&hang)
		go func() {
			<-syncing
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.Append(ctx, Ordinary, []byte("third")); !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("Append = %v; want %v", err, ErrUnconfirmed)
			}
			close(goOn)
		}()
		mustAppend(t, s, "second")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for c.seq < 3 {
			if _, err := c.Next(ctx, Limits{Records: 1}); err != nil {
				t.Fatalf("after seq %d: %v", c.seq, err)
			}
		}
	})
}

// TestHalfAppend has an Append of which the end is not on disk: nobody is shown
// the beginning, which the next start takes away.
func TestHalfAppend(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{segmentSize: 128 << 10})
	mustAppend(t, s, "first")
	mustAppend(t, s, large, large, large)
	copied := dead(t, dir)
	names, err := filepath.Glob(filepath.Join(copied, "*"+segmentSuffix))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := osDisk{}.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, len(large)), recordsFrom+2*int64(len(large))+1000); err != nil {
		t.Fatal(err)
	}
	want := []entry{{1, "first"}}
	for _, when := range []string{"before", "after"} {
		if got := readStory(t, copied).Events; len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s the next start: %d events, want %d", when, len(got), len(want))
		}
		if err := mustOpen(t, copied, Options{}).Close(); err != nil {
			t.Fatal(err)
		}
	}
}
