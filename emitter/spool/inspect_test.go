package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small makes segments of 128 KiB.
func small(t *testing.T) Options {
	return Options{MaxSize: MinMaxSize, MinFree: -1, Reserved: -1, segmentSize: minSegment, Log: testLog(t)}
}

// appendMany appends n payloads of size bytes.
func appendMany(t *testing.T, s *Spool, n, size int) {
	t.Helper()
	for i := range n {
		text := fmt.Sprintf("payload %d ", i)
		if _, err := s.Append(t.Context(), Preferred, []byte(text+strings.Repeat("x", max(size-len(text), 0)))); err != nil {
			t.Fatal(err)
		}
	}
}

// readOn opens the log anew and returns what stands after p, short.
func readOn(t *testing.T, dir string, p *Position) (got []string) {
	t.Helper()
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range l.After(p) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, fmt.Sprint(rec.Seq))
	}
	return got
}

func seqs(first, last int) (list []string) {
	for seq := first; seq <= last; seq++ {
		list = append(list, fmt.Sprint(seq))
	}
	return list
}

// TestFollow reads while another process, as it were, writes over several
// segments, removes some and is killed.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	c := mustCursor(t, s, "a")
	var p Position
	want := func(list []string) {
		t.Helper()
		if diff := cmp.Diff(list, readOn(t, dir, &p)); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
	}
	want(nil)
	appendMany(t, s, 3, 10)
	want(seqs(1, 3))
	want(nil)
	if _, err := s.Append(t.Context(), Ordinary, []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	want(seqs(4, 5))
	appendMany(t, s, 15, 20<<10) // three segments
	want(seqs(6, 20))
	want(nil)

	// What was read may be removed, what was not is told.
	appendMany(t, s, 15, 20<<10)
	if _, err := c.Next(t.Context(), Limits{Records: 100, Bytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	c.Confirm(35)
	first := s.Stats().First
	if first <= 21 {
		t.Fatalf("nothing was removed: the first seq is %d", first)
	}
	want(append([]string{fmt.Sprintf("seqs 21 to %d were removed before they could be read", first-1)}, seqs(int(first), 35)...))

	// Another process goes on.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want(nil)
	s = mustOpen(t, dir, small(t))
	appendMany(t, s, 2, 10)
	want(seqs(36, 37))

	// A position of another spool begins anew.
	other := t.TempDir()
	appendMany(t, mustOpen(t, other, small(t)), 2, 10)
	if diff := cmp.Diff(seqs(1, 2), readOn(t, other, &p)); diff != "" {
		t.Errorf("of another stream: -want +got\n%s", diff)
	}
}

// TestAllRemoved removes all that was listed before it is read: an empty log would
// be a wrong answer.
func TestAllRemoved(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	c := mustCursor(t, s, "a")
	appendMany(t, s, 1, 20<<10)
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	appendMany(t, s, 29, 20<<10)
	batch, err := c.Next(t.Context(), Limits{Records: 30, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	c.Confirm(batch[len(batch)-1].Seq)
	if s.Stats().First == 1 {
		t.Fatal("nothing was removed")
	}
	var got []error
	for _, err := range l.Records() {
		got = append(got, err)
	}
	if len(got) != 1 || !errors.Is(got[0], fs.ErrNotExist) {
		t.Errorf("%v", got)
	}
}

// slowList is a disk on which much happens while a folder is listed.
type slowList struct {
	osDisk
	meanwhile func()
}

func (d slowList) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := d.osDisk.ReadDir(path)
	d.meanwhile()
	return entries, err
}

// TestListedAndRemoved removes all segments that were listed before they are
// looked at.
func TestListedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	c := mustCursor(t, s, "a")
	appendMany(t, s, 1, 20<<10)
	once := sync.OnceFunc(func() {
		appendMany(t, s, 29, 20<<10)
		batch, err := c.Next(t.Context(), Limits{Records: 30, Bytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		c.Confirm(batch[len(batch)-1].Seq)
	})
	l, err := openLog(slowList{meanwhile: once}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if first := s.Stats().First; first == 1 || len(l.segments) == 0 || l.segments[0].first != first {
		t.Errorf("%d segments, the first seq is %d", len(l.segments), first)
	}
	link := filepath.Join(dir, segmentName(99, 99))
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	if l, err := OpenLog(dir); err != nil || len(l.segments) == 0 {
		t.Errorf("with a link that leads nowhere: %v, %v", l, err)
	}
}

// TestFollowDamage damages what has not been read yet.
func TestFollowDamage(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	appendMany(t, s, 2, 100)
	var p Position
	if diff := cmp.Diff(seqs(1, 2), readOn(t, dir, &p)); diff != "" {
		t.Fatalf("-want +got\n%s", diff)
	}
	appendMany(t, s, 3, 100)
	name := s.segments[0].name
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), recordsFrom+2*(recordSize+100)+recordSize); err != nil {
		t.Fatal(err)
	}
	want := []string{name + ": 160 bytes at 4416 do not verify: seqs 3 to 3", "4", "5"}
	if diff := cmp.Diff(want, readOn(t, dir, &p)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := readOn(t, dir, &p); got != nil {
		t.Errorf("told again: %v", got)
	}
}

// TestFollowUnfinished holds that half an Append is not shown, and the whole of
// it is when it is there.
func TestFollowUnfinished(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	appendMany(t, s, 1, 100)
	end := s.current.end
	if _, err := s.Append(t.Context(), Ordinary, []byte("first"), []byte("second")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, s.current.name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p Position
	for cut := end; cut < s.current.end; cut++ {
		part := append([]byte(nil), whole...)
		clear(part[cut:])
		if err := os.WriteFile(path, part, 0o600); err != nil {
			t.Fatal(err)
		}
		want := []string(nil)
		if cut == end {
			want = seqs(1, 1)
		}
		if diff := cmp.Diff(want, readOn(t, dir, &p)); diff != "" {
			t.Fatalf("cut at %d: -want +got\n%s", cut, diff)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seqs(2, 3), readOn(t, dir, &p)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	c := mustCursor(t, s, "siem/1")
	appendMany(t, s, 8, 20<<10)
	if _, err := c.Next(t.Context(), Limits{Records: 2, Bytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	c.Confirm(2)
	c.Save()
	if err := s.SetAside("dead/a", "1.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, cursorDir, "broken.cursor"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	segments := l.Segments()
	if len(segments) != 2 || segments[0].First != 1 || segments[0].Last != segments[1].First-1 || segments[1].Last != 0 ||
		segments[1].Created.Before(segments[0].Created) || segments[0].Created.IsZero() {
		t.Errorf("segments %+v", segments)
	}
	marks, err := l.Marks()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]MarkInfo{{Name: "broken", Damaged: true}, {Name: "siem/1", Confirmed: 2}}, marks); diff != "" {
		t.Errorf("marks: -want +got\n%s", diff)
	}
	var files []string
	for _, f := range l.Files() {
		files = append(files, filepath.ToSlash(f.Path))
	}
	if diff := cmp.Diff([]string{"cursors/broken.cursor", "cursors/siem%2F1.cursor", "dead/a/1.json", "lock", "stream"}, files); diff != "" {
		t.Errorf("files: -want +got\n%s", diff)
	}
	if pid, running := l.Writer(); !running || pid != os.Getpid() {
		t.Errorf("writer %d, %v", pid, running)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if pid, running := l.Writer(); running || pid != 0 {
		t.Errorf("after Close: writer %d, %v", pid, running)
	}
}

// TestLookingKeepsNobodyOut looks at the lock all the time while it is taken and
// given back.
func TestLookingKeepsNobodyOut(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, small(t)).Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					lockHolder(dir)
				}
			}
		})
	}
	for range 300 {
		release, err := lockDir(dir)
		if err != nil {
			t.Error(err)
			break
		}
		if _, err := lockDir(dir); !errors.Is(err, ErrInUse) {
			t.Errorf("taken twice: %v", err)
		}
		release()
	}
	close(stop)
	wg.Wait()
}

func TestReplay(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, small(t))
	c := mustCursor(t, s, "a")
	appendMany(t, s, 16, 20<<10)
	if _, err := c.Next(t.Context(), Limits{Records: 14, Bytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	c.Confirm(14)
	if _, err := s.Replay("a", 1); !errors.Is(err, ErrInUse) {
		t.Errorf("of an open cursor: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replay("b", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: %v", err)
	}
	first := s.Stats().First
	if first < 2 {
		t.Fatal("nothing was removed")
	}
	for _, tt := range []struct{ seq, from uint64 }{
		{16, 15}, // not forward
		{first + 1, first + 1},
		{first + 2, first + 1}, // not forward
		{0, first},             // no further than what is there
	} {
		from, err := s.Replay("a", tt.seq)
		if err != nil || from != tt.from {
			t.Errorf("from %d: %d, %v, want %d", tt.seq, from, err, tt.from)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, small(t))
	c = mustCursor(t, s, "a")
	batch, err := c.Next(t.Context(), Limits{Records: 100, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if got := batch[0].Seq; got != first || len(batch) != int(17-first) {
		t.Errorf("%d records from %d on, want from %d", len(batch), got, first)
	}
}

func TestRemoveAside(t *testing.T) {
	s := mustOpen(t, t.TempDir(), small(t))
	before := s.Stats().Used
	if err := s.SetAside("dead/a", "1", make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Used; got != before+block {
		t.Errorf("%d bytes are used, want a block more than %d", got, before)
	}
	if err := s.RemoveAside("dead/a", "1"); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Used; got != before {
		t.Errorf("%d bytes are used, %d before", got, before)
	}
	if err := s.RemoveAside("dead/a", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("twice: %v", err)
	}
}

// TestFollowIntoAnEmptySegment: the process that writes has just made the next
// segment, and nothing of it is there but its name, or its header.
func TestFollowIntoAnEmptySegment(t *testing.T) {
	for _, size := range []int64{0, 100, recordsFrom} {
		dir := t.TempDir()
		s := mustOpen(t, dir, small(t))
		appendMany(t, s, 3, 10)
		var p Position
		readOn(t, dir, &p)
		path := filepath.Join(dir, segmentName(9, 4))
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readOn(t, dir, &p); len(got) > 0 {
			t.Errorf("%d bytes: read %v", size, got)
		}
		if diff := cmp.Diff(seqs(1, 3), readOn(t, dir, new(Position))); diff != "" {
			t.Errorf("%d bytes: -want +got\n%s", size, diff)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
