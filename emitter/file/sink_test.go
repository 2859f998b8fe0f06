package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestSendAppendsLines(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	mustSend(t, s, "one", "two")
	mustSend(t, s, "three")
	wantFile(t, path, "one\ntwo\nthree\n")
	if n, err := s.Send(t.Context(), nil); n != 0 || err != nil {
		t.Fatalf("empty batch: %d, %v", n, err)
	}
}

func TestSendKeepsWhatIsThere(t *testing.T) {
	tests := []struct{ name, before, want string }{
		{"nothing", "", "a\nb\n"},
		{"whole lines", "old\n", "old\na\nb\n"},
		{"torn line", "old\nto", "old\nto\na\nb\n"},
		{"only a torn line", "to", "to\na\nb\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			writeFile(t, path, tt.before)
			s := mustOpen(t, path, Options{})
			wantFile(t, path, tt.before) // opening alone writes nothing
			mustSend(t, s, "a")
			mustSend(t, s, "b")
			wantFile(t, path, tt.want)
		})
	}
}

func TestTornBySomebodyElseWhileOpen(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	mustSend(t, s, "a")
	appendFile(t, path, "half")
	mustSend(t, s, "b")
	wantFile(t, path, "a\nhalf\nb\n")
	if err := os.Truncate(path, 0); err != nil { // logrotate's copytruncate
		t.Fatal(err)
	}
	mustSend(t, s, "c")
	wantFile(t, path, "c\n")
}

func TestBodyThatIsNotOneLine(t *testing.T) {
	tests := []struct {
		name   string
		bodies []string
		n      int
		want   string
	}{
		{"newline", []string{"a", "b\nforged", "c"}, 1, "a\n"},
		{"carriage return", []string{"a", "b", "c\rforged"}, 2, "a\nb\n"},
		{"at the end", []string{"a", "b\n"}, 1, "a\n"},
		{"first", []string{"\n", "b"}, 0, ""},
		{"empty", []string{"a", "", "c"}, 1, "a\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			s := mustOpen(t, path, Options{})
			n, err := s.Send(t.Context(), records(tt.bodies...))
			if n != tt.n || !emitter.IsPermanent(err) {
				t.Fatalf("Send = %d, %v (permanent %t); want %d and a permanent error", n, err, emitter.IsPermanent(err), tt.n)
			}
			if strings.Contains(err.Error(), "forged") {
				t.Errorf("error shows the body: %v", err)
			}
			wantFile(t, path, tt.want)
			mustSend(t, s, "next")
			wantFile(t, path, tt.want+"next\n")
		})
	}
}

func TestLargeBatchGoesInBoundedWrites(t *testing.T) {
	path := logPath(t)
	var x faults
	largest := 0
	x.write = func(p []byte) (int, error) { largest = max(largest, len(p)); return len(p), nil }
	s := mustOpenOn(t, path, Options{}, x.disk())
	body := strings.Repeat("x", 100<<10)
	bodies := make([]string, 35)
	for i := range bodies {
		bodies[i] = body
	}
	mustSend(t, s, bodies...)
	wantFile(t, path, strings.Repeat(body+"\n", len(bodies)))
	if limit := s.disk.maxWrite; largest > limit || x.writes != 4 || x.synced != 1 {
		t.Errorf("%d writes of at most %d bytes and %d syncs; want 4 of at most %d and 1", x.writes, largest, x.synced, limit)
	}
}

func TestHugeRecordDoesNotHoldMemory(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	huge := strings.Repeat("x", 3<<20)
	mustSend(t, s, "a", huge, "b")
	wantFile(t, path, "a\n"+huge+"\nb\n")
	if got, limit := cap(s.buf), 2*s.disk.maxWrite; got > limit {
		t.Errorf("buffer of %d bytes kept, want at most %d", got, limit)
	}
}

func TestSendDoesNotKeepOrChangeBodies(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	backing := []byte("one!two!")
	batch := []emitter.Record{{Seq: 1, Body: backing[:3]}, {Seq: 2, Body: backing[4:7]}}
	if n, err := s.Send(t.Context(), batch); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if got := string(backing); got != "one!two!" {
		t.Errorf("bodies were changed to %q", got)
	}
	copy(backing, "XXXXXXXX")
	mustSend(t, s, "three")
	wantFile(t, path, "one\ntwo\nthree\n")
}

func TestSendWithDoneContext(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := s.Send(ctx, records("a")); n != 0 || !errors.Is(err, context.Canceled) {
		t.Fatalf("Send = %d, %v; want 0, context canceled", n, err)
	}
	wantFile(t, path, "")
}

func TestContextDoneBetweenWrites(t *testing.T) {
	path := logPath(t)
	ctx, cancel := context.WithCancel(t.Context())
	var x faults
	x.write = func(p []byte) (int, error) { cancel(); return len(p), nil }
	d := x.disk()
	d.maxWrite = 4
	s := mustOpenOn(t, path, Options{}, d)
	n, err := s.Send(ctx, records("aaa", "bbb"))
	if n != 1 || !errors.Is(err, context.Canceled) || x.synced != 1 {
		t.Fatalf("Send = %d, %v with %d syncs; want 1, context canceled, 1 sync", n, err, x.synced)
	}
	wantFile(t, path, "aaa\n")
}

func TestClose(t *testing.T) {
	for _, path := range []string{logPath(t), Stdout} {
		s := mustOpen(t, path, Options{Stdout: &strings.Builder{}})
		mustSend(t, s, "a")
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		if n, err := s.Send(t.Context(), records("b")); n != 0 || !errors.Is(err, os.ErrClosed) {
			t.Errorf("Send after Close = %d, %v; want 0, %v", n, err, os.ErrClosed)
		}
		if err := s.Reopen(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Reopen after Close = %v, want %v", err, os.ErrClosed)
		}
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		opt        Options
	}{
		{"no path", "", Options{}},
		{"negative size", "x", Options{MaxSize: -1}},
		{"negative files", "x", Options{MaxFiles: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if s, err := Open(tt.path, tt.opt); s != nil || !emitter.IsBlocked(err) {
				t.Fatalf("Open = %v, %v; want a blocked error", s, err)
			}
			wantNoFile(t, "x")
		})
	}
}

func TestFollowsSymbolicLink(t *testing.T) {
	folder := t.TempDir()
	target, path := filepath.Join(folder, "target"), filepath.Join(folder, "link")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path, Options{}) // the target does not exist yet
	mustSend(t, s, "a")
	wantFile(t, target, "a\n")
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("link is gone: %v, %v", info, err)
	}
}
