//go:build unix

package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestStdoutWriter(t *testing.T) {
	var out strings.Builder
	s := mustOpen(t, Stdout, Options{Stdout: &out, MaxSize: 1})
	mustSend(t, s, "a", "b")
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "c")
	if got, want := out.String(), "a\nb\nc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	wantNoFile(t, Stdout)
}

// replaceStdout makes w the standard output of the process for one test.
func replaceStdout(t *testing.T, w *os.File) {
	t.Helper()
	old := os.Stdout
	os.Stdout = w
	t.Cleanup(func() { os.Stdout = old })
}

func TestStdoutOfTheProcess(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	replaceStdout(t, w)
	s := mustOpen(t, Stdout, Options{})
	mustSend(t, s, "a", "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("still open\n"); err != nil {
		t.Errorf("Close has closed standard output: %v", err)
	}
	w.Close()
	got, err := io.ReadAll(r)
	if want := "a\nb\nstill open\n"; err != nil || string(got) != want {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

// A broken pipe on descriptor 1 would end the process; the test binary is run
// once more to have a real one.
func TestBrokenStdoutIsAnError(t *testing.T) {
	const variable = "VMCP_AUDIT_TEST_BROKEN_STDOUT"
	if os.Getenv(variable) != "" {
		s, err := Open(Stdout, Options{})
		if err == nil {
			_, err = s.Send(t.Context(), records("a"))
		}
		fmt.Fprintf(os.Stderr, "survived: broken pipe %t", errors.Is(err, syscall.EPIPE))
		os.Exit(0)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	child, err := os.StartProcess("/proc/self/exe", []string{"test", "-test.run=^" + t.Name() + "$"}, &os.ProcAttr{
		Env: append(os.Environ(), variable+"=1"), Files: []*os.File{nil, w, errWrite},
	})
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc here")
	}
	if err != nil {
		t.Fatal(err)
	}
	errWrite.Close()
	said, _ := io.ReadAll(errRead)
	if state, err := child.Wait(); err != nil || string(said) != "survived: broken pipe true" {
		t.Errorf("child: %v, %v, said %q", state, err, said)
	}
}

// shortWriter takes limit bytes, then fails once, then takes all.
type shortWriter struct {
	strings.Builder
	limit int
	err   error
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) <= w.limit || w.limit < 0 {
		return w.Builder.Write(p)
	}
	n, _ := w.Builder.Write(p[:w.limit])
	w.limit = -1
	return n, w.err
}

func TestStdoutShortWrite(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		err   error
		n     int
		want  string
	}{
		{"in the second record", 5, syscall.EIO, 1, "one\nt\nnext\n"},
		{"before any", 0, syscall.EIO, 0, "next\n"},
		{"between records", 4, syscall.EIO, 1, "one\nnext\n"},
		{"all but the last line end", 7, syscall.EIO, 1, "one\ntwo\nnext\n"},
		{"without an error", 5, nil, 1, "one\nt\nnext\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := &shortWriter{limit: tt.limit, err: tt.err}
			s := mustOpen(t, Stdout, Options{Stdout: out})
			want := tt.err
			if want == nil {
				want = io.ErrShortWrite
			}
			if n, err := s.Send(t.Context(), records("one", "two")); n != tt.n || !errors.Is(err, want) {
				t.Fatalf("Send = %d, %v; want %d, %v", n, err, tt.n, want)
			}
			mustSend(t, s, "next")
			if got := out.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Somebody else may have written to the pipe in between: nothing is finished.
func TestTornLineOnStdoutIsSetApart(t *testing.T) {
	out := &shortWriter{limit: 5, err: syscall.EIO}
	s := mustOpen(t, Stdout, Options{Stdout: out})
	if n, err := s.Send(t.Context(), records("one", "two")); n != 1 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Send = %d, %v; want 1, %v", n, err, syscall.EIO)
	}
	mustSend(t, s, "two")
	if got, want := out.String(), "one\nt\ntwo\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDevNull(t *testing.T) {
	x := faults{sync: func() error { return errors.New("devices are not synced") }}
	s := mustOpenOn(t, os.DevNull, Options{MaxSize: 1}, x.disk())
	mustSend(t, s, "a", "b")
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "c")
	wantNoFile(t, os.DevNull+".1")
}

func makePipe(t *testing.T) string {
	t.Helper()
	path := logPath(t)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNamedPipe(t *testing.T) {
	path := makePipe(t)
	s := mustOpen(t, path, Options{}) // nobody reads: Open neither waits nor fails
	if n, err := s.Send(t.Context(), records("a")); n != 0 || !errors.Is(err, syscall.ENXIO) || emitter.IsBlocked(err) {
		t.Fatalf("Send without a reader = %d, %v; want 0 and a plain %v", n, err, syscall.ENXIO)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "a", "b")
	lines := bufio.NewReader(r)
	for _, want := range []string{"a\n", "b\n"} {
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	r.Close()
	if n, err := s.Send(t.Context(), records("c")); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("Send to a broken pipe = %d, %v; want 0, %v", n, err, syscall.EPIPE)
	}
}

func TestPipeReaderThatHasStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(ctx context.Context) (context.Context, context.CancelFunc)
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 500*time.Millisecond)
		}},
		{"cancel", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(500*time.Millisecond, cancel)
			return ctx, cancel
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := makePipe(t)
			r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			d := systemDisk()
			d.pipeTimeout = time.Hour // so that the context alone ends the write
			s := mustOpenOn(t, path, Options{}, d)
			line := strings.Repeat("x", 64<<10-1)
			ctx, cancel := tt.end(t.Context())
			defer cancel()
			n, err := s.Send(ctx, records(line, line, line)) // more than a pipe holds
			early := errors.Is(err, ctx.Err())               // before the write
			if n > 2 || !errors.Is(err, os.ErrDeadlineExceeded) && !early {
				t.Fatalf("Send = %d, %v; want a timeout", n, err)
			}
		})
	}
}
