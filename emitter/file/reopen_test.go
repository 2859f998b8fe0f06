package file

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

func TestPathChangesBetweenSends(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		want   string // of path, after one more record
	}{
		{"nothing", func(*testing.T, string) {}, "a\nb\n"},
		{"moved", func(t *testing.T, path string) {
			t.Helper()
			rename(t, path, path+".old")
		}, "b\n"},
		{"moved and made anew", func(t *testing.T, path string) {
			t.Helper()
			rename(t, path, path+".old")
			writeFile(t, path, "")
		}, "b\n"},
		{"removed", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "b\n"},
		{"replaced by rename, torn", func(t *testing.T, path string) {
			t.Helper()
			writeFile(t, path+".new", "other")
			rename(t, path+".new", path)
		}, "other\nb\n"},
		{"linked elsewhere", func(t *testing.T, path string) {
			t.Helper()
			if err := os.Link(path, path+".old"); err != nil {
				t.Fatal(err)
			}
		}, "a\nb\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			s := mustOpen(t, path, Options{})
			mustSend(t, s, "a")
			tt.change(t, path)
			mustSend(t, s, "b")
			wantFile(t, path, tt.want)
		})
	}
}

func TestSendCostsNoOpen(t *testing.T) {
	var x faults
	s := mustOpenOn(t, logPath(t), Options{}, x.disk())
	for range 5 {
		mustSend(t, s, "a")
	}
	if x.opened != 1 || x.writes != 5 || x.synced != 5 {
		t.Errorf("%d opens, %d writes, %d syncs; want 1, 5, 5", x.opened, x.writes, x.synced)
	}
}

func TestReopen(t *testing.T) {
	path := logPath(t)
	var x faults
	s := mustOpenOn(t, path, Options{}, x.disk())
	mustSend(t, s, "a")
	rename(t, path, path+".old")
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "") // at once, not at the next Send
	mustSend(t, s, "b")
	wantFile(t, path+".old", "a\n")
	wantFile(t, path, "b\n")

	fault := errors.New("too many open files")
	x.open = once(fault)
	if err := s.Reopen(); !errors.Is(err, fault) {
		t.Fatalf("Reopen = %v, want %v", err, fault)
	}
	mustSend(t, s, "c") // the path has not changed: the old handle goes on
	wantFile(t, path, "b\nc\n")
}

// logrotate's way: move the file, then SIGHUP, while records go on coming.
func TestReopenDuringSend(t *testing.T) {
	const moves, batches = 40, 120
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	moved := func(i int) string { return fmt.Sprintf("%s.moved-%02d", path, i) }

	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range moves {
			if err := os.Rename(path, moved(i)); err != nil {
				t.Error(err)
				return
			}
			if err := s.Reopen(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var want strings.Builder
	for i := range batches {
		a, b := fmt.Sprintf("%d/a", i), fmt.Sprintf("%d/b", i)
		mustSend(t, s, a, b)
		want.WriteString(a + "\n" + b + "\n")
	}
	wg.Wait()

	var got strings.Builder
	for i := range moves + 1 {
		name := path
		if i < moves {
			name = moved(i)
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(content)
	}
	if got.String() != want.String() {
		t.Errorf("files together hold\n%q, want\n%q", got.String(), want.String())
	}
}

func TestCloseDuringSend(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-started
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var want strings.Builder
	for i := 0; ; i++ {
		body := fmt.Sprint("record ", i)
		n, err := s.Send(t.Context(), records(body))
		if err != nil {
			if n != 0 || !errors.Is(err, os.ErrClosed) {
				t.Errorf("Send = %d, %v; want 0, %v", n, err, os.ErrClosed)
			}
			break
		}
		want.WriteString(body + "\n")
		if i == 3 {
			close(started)
		}
	}
	wg.Wait()
	wantFile(t, path, want.String())
}
