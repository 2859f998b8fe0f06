package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestQuotaLowered opens a spool with a quota that its last segment alone fills.
// It must take events again as soon as nobody needs that segment.
func TestQuotaLowered(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before bool // it is confirmed before the quota is lowered
	}{{"confirmed before", true}, {"confirmed later", false}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			large := Options{MaxSize: 64 << 20, Reserved: -1}
			s := mustOpen(t, dir, large)
			c := mustCursor(t, s, "a")
			appendMany(t, s, 100, 20<<10)
			read := func(n int) {
				t.Helper()
				batch, err := c.Next(t.Context(), Limits{Records: n, Bytes: 1 << 30})
				if err != nil || len(batch) != n {
					t.Fatalf("%d records, %v", len(batch), err)
				}
				c.Confirm(batch[n-1].Seq)
			}
			if tt.before {
				read(100)
			}
			if err := errors.Join(c.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, dir, Options{MaxSize: MinMaxSize, Reserved: -1, Full: Refuse})
			c = mustCursor(t, s, "a")
			if !tt.before {
				if err := s.Ready(Preferred); !errors.Is(err, ErrFull) {
					t.Fatalf("ready with what nobody has read: %v", err)
				}
				read(100)
			}
			if err := s.Ready(Ordinary); err != nil {
				t.Fatal(err)
			}
			if seq := mustAppend(t, s, "more"); seq != 101 {
				t.Errorf("seq %d", seq)
			}
			read(1)
			if st := s.Stats(); st.Segments != 1 || st.First != 101 || st.Used > 64<<10 {
				t.Errorf("%+v", st)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkChain(t, dir)
		})
	}
}

// TestQuotaLoweredAndKilled leaves, as a kill would, the fresh segment empty.
func TestQuotaLoweredAndKilled(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	s := mustOpen(t, dir, Options{MaxSize: 64 << 20, Reserved: -1})
	c := mustCursor(t, s, "a")
	appendMany(t, s, 100, 20<<10)
	batch, err := c.Next(t.Context(), Limits{Records: 100, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	c.Confirm(batch[len(batch)-1].Seq)
	stream := s.Stream()
	if err := errors.Join(c.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, Options{MaxSize: MinMaxSize, Reserved: -1})
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(copied, "*.seg")); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	s = mustOpen(t, copied, Options{MaxSize: MinMaxSize, Reserved: -1})
	if seq := mustAppend(t, s, "more"); seq != 101 || s.Stream() != stream {
		t.Errorf("seq %d of stream %s, was %s", seq, s.Stream(), stream)
	}
}

// TestForgetOpenCursor holds that a cursor which is read with cannot be forgotten,
// and that one which is closed after it was leaves no mark behind.
func TestForgetOpenCursor(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	c := mustCursor(t, s, "a")
	mustAppend(t, s, "x")
	if err := s.Forget("a"); !errors.Is(err, ErrInUse) {
		t.Fatalf("forgotten while open: %v", err)
	}
	if got := drain(t, c, 1); len(got) != 1 {
		t.Errorf("read %v", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget("a"); err != nil {
		t.Fatal(err)
	}
	c.Save() // as a timer might that was on its way
	if names, err := filepath.Glob(filepath.Join(dir, cursorDir, "*")); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, cursorDir, "*")); err != nil || len(names) != 0 {
		t.Errorf("left behind by Close: %v, %v", names, err)
	}
}

// TestMarksAfterDropOldest holds that a mark which had to move is on disk when the
// trail tells of it: a crash then does not count those records as lost again.
func TestMarksAfterDropOldest(t *testing.T) {
	dir := t.TempDir()
	opt := small(t)
	opt.Full = DropOldest
	s := mustOpen(t, dir, opt)
	c := mustCursor(t, s, "a")
	appendMany(t, s, 80, 20<<10)
	st := s.Stats()
	if st.DroppedOldest == 0 || st.Gaps == 0 {
		t.Fatalf("nothing was dropped: %+v", st)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(copied)
	if err != nil {
		t.Fatal(err)
	}
	marks, err := l.Marks()
	if err != nil || len(marks) != 1 {
		t.Fatal(marks, err)
	}
	// What was dropped since the last gap record was stored is told with the next.
	segments := l.Segments()
	if first := segments[0].First; marks[0].Confirmed+1 < first-(segments[1].First-first) {
		t.Errorf("the mark stands at %d, and the log begins with %d", marks[0].Confirmed, first)
	}
	if c.Confirmed()+1 != st.First {
		t.Errorf("confirmed %d, first %d", c.Confirmed(), st.First)
	}
	s = mustOpen(t, copied, opt)
	if got := s.Stats().DamagedRecords; got != 0 {
		t.Errorf("%d records count as lost again", got)
	}
}

// TestRemovedTwice holds that a segment is taken out of the books by what it is,
// not by where it stood: two that remove it take out no other.
func TestRemovedTwice(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small(t))
	appendMany(t, s, 16, 20<<10)
	before := s.Stats()
	if before.Segments < 3 {
		t.Fatalf("%d segments", before.Segments)
	}
	s.mu.Lock()
	first, second := s.segments[0], s.segments[1]
	size := first.size
	s.forgetSegment(first)
	s.forgetSegment(first)
	next := s.segments[0]
	s.mu.Unlock()
	after := s.Stats()
	if next != second || after.Segments != before.Segments-1 || after.SegmentBytes != before.SegmentBytes-size {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
