package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		os.Exit(runCrashChild(dir))
	}
	goleak.VerifyTestMain(m)
}

// mustOpen opens a spool and closes it at the end of the test.
func mustOpen(t *testing.T, dir string, opt Options) *Spool {
	t.Helper()
	if opt.Log == nil {
		opt.Log = testLog(t)
	}
	if opt.MinFree == 0 {
		opt.MinFree = -1
	}
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustAppend(t *testing.T, s *Spool, payloads ...string) uint64 {
	t.Helper()
	var b [][]byte
	for _, p := range payloads {
		b = append(b, []byte(p))
	}
	seq, err := s.Append(t.Context(), Ordinary, b...)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func mustCursor(t *testing.T, s *Spool, name string) *Cursor {
	t.Helper()
	c, err := s.Cursor(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// entry is a record as tests compare it.
type entry struct {
	Seq     uint64
	Payload string
}

// drain reads up to the end of what is on disk, in batches of n.
func drain(t *testing.T, c *Cursor, n int) (got []entry) {
	t.Helper()
	for c.s.Stats().Last > c.seq {
		batch, err := c.Next(t.Context(), Limits{Records: n, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range batch {
			got = append(got, entry{r.Seq, string(r.Payload)})
		}
	}
	return got
}

// checkChain fails unless the records of the spool in dir are linked.
func checkChain(t *testing.T, dir string) {
	t.Helper()
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	var prev Hash
	last := uint64(0)
	for r, err := range l.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if last > 0 && r.Prev != prev || r.Seq <= last {
			t.Fatalf("seq %d after %d: prev %s, want %s", r.Seq, last, r.Prev, prev)
		}
		prev, last = r.Link(l.Stream()), r.Seq
	}
}

func TestAppendAndRead(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	c := mustCursor(t, s, "a")
	var want []entry
	for i := range 100 {
		p := fmt.Sprint("event ", i)
		want = append(want, entry{mustAppend(t, s, p), p})
	}
	if d := cmp.Diff(want, drain(t, c, 7)); d != "" {
		t.Error(d)
	}
	c.Confirm(60)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkChain(t, dir)

	s = mustOpen(t, dir, Options{})
	c = mustCursor(t, s, "a")
	want = append(want, entry{mustAppend(t, s, "after"), "after"})
	if d := cmp.Diff(want[60:], drain(t, c, 1000)); d != "" {
		t.Error(d)
	}
	if got := want[len(want)-1].Seq; got != 101 {
		t.Errorf("seq %d after a clean close, want 101", got)
	}
	checkChain(t, dir)
}

func TestConcurrentAppend(t *testing.T) {
	dir := t.TempDir()
	d := &hookDisk{disk: osDisk{}}
	others := runtime.Gosched // come while a sync is under way, however fast the disk is
	d.sync.Store(&others)
	s := mustOpen(t, dir, Options{segmentSize: 256 << 10, disk: d})
	c := mustCursor(t, s, "a")
	const writers, each = 32, 200
	var mu sync.Mutex
	want := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				p := fmt.Sprintf("%d/%d %s", w, i, bytes.Repeat([]byte("x"), i))
				seq, err := s.Append(t.Context(), Ordinary, []byte(p))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[seq] = p
				mu.Unlock()
			}
		})
	}
	got := map[uint64]string{}
	for len(got) < writers*each {
		batch, err := c.Next(t.Context(), Limits{Records: 100, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range batch {
			got[r.Seq] = string(r.Payload)
		}
		c.Confirm(batch[len(batch)-1].Seq)
	}
	wg.Wait()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	st := s.Stats()
	if st.Commits >= writers*each || st.Segments != 1 {
		t.Errorf("%d commits, %d segments for %d appends: want fewer commits, one segment", st.Commits, st.Segments, writers*each)
	}
}

func TestNextWaits(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	c := mustCursor(t, s, "a")
	got := make(chan string)
	go func() {
		batch, err := c.Next(t.Context(), Limits{Records: 10, Bytes: 1 << 20})
		if err != nil {
			t.Error(err)
			close(got)
			return
		}
		got <- string(batch[0].Payload)
	}()
	mustAppend(t, s, "late")
	if p := <-got; p != "late" {
		t.Errorf("got %q", p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx, Limits{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next = %v", err)
	}
}

// TestNextLingers waits for more records until the first one is old enough, the
// batch is full, or the context ends.
func TestNextLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("/spool", Options{disk: newMemDisk(1), MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c := mustCursor(t, s, "a")
		start := time.Now()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for i := range 6 {
				mustAppend(t, s, fmt.Sprint(i))
				time.Sleep(400 * time.Millisecond)
			}
		})
		next := func(ctx context.Context, records, want int, after time.Duration) {
			t.Helper()
			batch, err := c.Next(ctx, Limits{Records: records, Bytes: 1 << 20, Linger: time.Second})
			if got := time.Since(start); err != nil || len(batch) != want || got != after {
				t.Errorf("%d records after %v, %v; want %d after %v", len(batch), got, err, want, after)
			}
		}
		next(t.Context(), 10, 3, time.Second)
		next(t.Context(), 2, 2, 1600*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		next(ctx, 10, 1, 2100*time.Millisecond)
	})
}
