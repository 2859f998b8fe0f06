package file

import (
	"errors"
	"syscall"
	"testing"
)

func TestShortWrite(t *testing.T) {
	cut := func(int64) error { return errors.New("truncate: input/output error") }
	for _, tt := range []struct {
		name     string
		before   string
		through  int
		truncate func(int64) error
		n        int
		want     string // right after
		later    string // after one more record
	}{
		{"nothing", "", 0, nil, 0, "", "next\n"},
		{"part of the first", "", 2, nil, 0, "", "next\n"},
		{"all but its line end", "", 3, nil, 0, "", "next\n"},
		{"one", "", 4, nil, 1, "one\n", "one\nnext\n"},
		{"one and a half", "", 6, nil, 1, "one\n", "one\nnext\n"},
		{"all, then an error", "", 8, nil, 2, "one\ntwo\n", "one\ntwo\nnext\n"},
		{"after others", "old\n", 6, nil, 1, "old\none\n", "old\none\nnext\n"},
		{"after a torn line, nothing", "torn", 0, nil, 0, "torn", "torn\nnext\n"},
		{"after a torn line, its end", "torn", 1, nil, 0, "torn", "torn\nnext\n"},
		{"after a torn line, part", "torn", 3, nil, 0, "torn", "torn\nnext\n"},
		{"after a torn line, one", "torn", 7, nil, 1, "torn\none\n", "torn\none\nnext\n"},
		{"no truncate, part", "", 2, cut, 0, "on", "on\nnext\n"},
		{"no truncate, one and a half", "", 6, cut, 1, "one\ntw", "one\ntw\nnext\n"},
		{"no truncate, all but a line end", "", 7, cut, 1, "one\ntwo", "one\ntwo\nnext\n"},
		{"no truncate, torn line and its end", "torn", 1, cut, 0, "torn\n", "torn\nnext\n"},
		{"no truncate, torn line and part", "torn", 3, cut, 0, "torn\non", "torn\non\nnext\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			writeFile(t, path, tt.before)
			x := faults{write: cutAfter(tt.through, syscall.ENOSPC), truncate: tt.truncate}
			s := mustOpenOn(t, path, Options{}, x.disk())
			n, err := s.Send(t.Context(), records("one", "two"))
			if n != tt.n || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Send = %d, %v; want %d, %v", n, err, tt.n, syscall.ENOSPC)
			}
			if tt.n > 0 && x.synced == 0 {
				t.Error("records were confirmed without a sync")
			}
			wantFile(t, path, tt.want)
			mustSend(t, s, "next")
			wantFile(t, path, tt.later)
		})
	}
}

func TestWriteFailsAfterEarlierWrites(t *testing.T) {
	path := logPath(t)
	var x faults
	x.write = func(p []byte) (int, error) {
		if x.writes == 3 {
			return 2, syscall.ENOSPC
		}
		return len(p), nil
	}
	d := x.disk()
	d.maxWrite = 8
	s := mustOpenOn(t, path, Options{}, d)
	n, err := s.Send(t.Context(), records("aaa", "bbb", "ccc", "ddd", "eee", "fff"))
	if n != 4 || !errors.Is(err, syscall.ENOSPC) || x.synced != 1 {
		t.Fatalf("Send = %d, %v with %d syncs; want 4, %v with 1", n, err, x.synced, syscall.ENOSPC)
	}
	wantFile(t, path, "aaa\nbbb\nccc\nddd\n")
}

func TestDoesNotCutWhatOthersAppended(t *testing.T) {
	path := logPath(t)
	x := faults{}
	x.write = func(p []byte) (int, error) {
		if x.writes > 1 {
			return len(p), nil
		}
		appendFile(t, path, "foreign\n")
		return 2, syscall.EIO
	}
	s := mustOpenOn(t, path, Options{}, x.disk())
	if n, err := s.Send(t.Context(), records("one")); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Send = %d, %v; want 0, %v", n, err, syscall.EIO)
	}
	mustSend(t, s, "next")
	wantFile(t, path, "foreign\non\nnext\n")
}

func TestSyncFails(t *testing.T) {
	path := logPath(t)
	x := faults{sync: once(syscall.EIO)}
	s := mustOpenOn(t, path, Options{}, x.disk())
	n, err := s.Send(t.Context(), records("a", "b"))
	if n != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Send = %d, %v; want 0, %v", n, err, syscall.EIO)
	}
	if x.opened != 1 {
		t.Fatalf("opened %d times before the next Send, want 1", x.opened)
	}
	mustSend(t, s, "a", "b")
	if x.opened != 2 {
		t.Errorf("opened %d times: the handle whose sync failed was used again", x.opened)
	}
	wantFile(t, path, "a\nb\na\nb\n") // at least once
}

func TestSyncFailsAfterShortWrite(t *testing.T) {
	path := logPath(t)
	x := faults{write: cutAfter(6, syscall.EIO), sync: once(syscall.EIO)}
	s := mustOpenOn(t, path, Options{}, x.disk())
	if n, err := s.Send(t.Context(), records("one", "two")); n != 0 || err == nil {
		t.Fatalf("Send = %d, %v; want 0 and an error", n, err)
	}
	mustSend(t, s, "one", "two")
	wantFile(t, path, "one\none\ntwo\n")
}

func TestOpenFailsAfterFailedSync(t *testing.T) {
	path := logPath(t)
	x := faults{sync: once(syscall.EIO)}
	s := mustOpenOn(t, path, Options{}, x.disk())
	if n, err := s.Send(t.Context(), records("a")); n != 0 || err == nil {
		t.Fatalf("Send = %d, %v; want 0 and an error", n, err)
	}
	x.open = once(syscall.EMFILE)
	if n, err := s.Send(t.Context(), records("a")); n != 0 || !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("Send = %d, %v; want 0, %v", n, err, syscall.EMFILE)
	}
	mustSend(t, s, "a")
	wantFile(t, path, "a\na\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
