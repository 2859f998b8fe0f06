package file

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// records makes one record of each body, numbered from 1; the body is the ID
// too. One that is shorter than minID is never looked for in a file.
func records(bodies ...string) []emitter.Record {
	batch := make([]emitter.Record, len(bodies))
	for i, body := range bodies {
		batch[i] = emitter.Record{Seq: uint64(i + 1), ID: body, Body: []byte(body)}
	}
	return batch
}

// logPath is where a test's file goes, in a folder of its own.
func logPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit.log")
}

func mustOpen(t *testing.T, path string, opt Options) *Sink {
	t.Helper()
	return mustOpenOn(t, path, opt, systemDisk())
}

func mustOpenOn(t *testing.T, path string, opt Options, d disk) *Sink {
	t.Helper()
	s, err := open(path, opt, d)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// mustSend sends bodies and wants all of them confirmed.
func mustSend(t *testing.T, s *Sink, bodies ...string) {
	t.Helper()
	if n, err := s.Send(t.Context(), records(bodies...)); n != len(bodies) || err != nil {
		t.Fatalf("Send(%q) = %d, %v; want %d, nil", bodies, n, err, len(bodies))
	}
}

// wantFile compares the whole content of path.
func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("%s holds\n%q, want\n%q", filepath.Base(path), got, want)
	}
}

func wantNoFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s exists (%v)", filepath.Base(path), err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// appendFile adds content to path behind the sink's back.
func appendFile(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// logTo returns a logger and a function that counts what it was told.
func logTo(t *testing.T) (logger *slog.Logger, count func(message string) int) {
	t.Helper()
	var buf bytes.Buffer
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", buf.String())
		}
	})
	logger = slog.New(slog.NewTextHandler(&buf, nil))
	return logger, func(message string) int { return strings.Count(buf.String(), message) }
}

// faults stand between the sink and its real files. A nil function lets the
// operation through; all are called under the sink's lock.
type faults struct {
	write      func(p []byte) (int, error) // how much of p gets through, and the error then
	sync       func() error
	truncate   func(size int64) error
	open       func() error
	syncFolder func() error

	opened, writes, synced, folders int // calls that reached the disk
}

func (x *faults) disk() disk {
	d := systemDisk()
	realOpen, realFolder := d.open, d.syncFolder
	d.open = func(path string) (handle, error) {
		if x.open != nil {
			if err := x.open(); err != nil {
				return nil, err
			}
		}
		f, err := realOpen(path)
		if err != nil {
			return nil, err
		}
		x.opened++
		return faultyFile{f, x}, nil
	}
	d.syncFolder = func(folder string) error {
		if x.syncFolder != nil {
			if err := x.syncFolder(); err != nil {
				return err
			}
		}
		x.folders++
		return realFolder(folder)
	}
	return d
}

type faultyFile struct {
	handle
	x *faults
}

func (f faultyFile) Write(p []byte) (int, error) {
	f.x.writes++
	if f.x.write == nil {
		return f.handle.Write(p)
	}
	n, fault := f.x.write(p)
	n, err := f.handle.Write(p[:n])
	return n, errors.Join(fault, err)
}

func (f faultyFile) Sync() error {
	if f.x.sync != nil {
		if err := f.x.sync(); err != nil {
			return err
		}
	}
	f.x.synced++
	return f.handle.Sync()
}

func (f faultyFile) Truncate(size int64) error {
	if f.x.truncate != nil {
		if err := f.x.truncate(size); err != nil {
			return err
		}
	}
	return f.handle.Truncate(size)
}

// once returns err at the first call only.
func once(err error) func() error {
	return func() error {
		defer func() { err = nil }()
		return err
	}
}

// cutAfter lets n bytes of the first write through, and all of the others.
func cutAfter(n int, err error) func([]byte) (int, error) {
	fail := once(err)
	return func(p []byte) (int, error) {
		if err := fail(); err != nil {
			return n, err
		}
		return len(p), nil
	}
}

// numberedFiles returns path's numbered files and path, the oldest first.
func numberedFiles(t *testing.T, path string) []string {
	t.Helper()
	all := []string{path}
	for n := 1; ; n++ {
		if _, err := os.Lstat(numbered(path, n)); err != nil {
			break
		}
		all = append(all, numbered(path, n))
	}
	slices.Reverse(all)
	return all
}
