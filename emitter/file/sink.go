// Package file delivers records to a file or to standard output, one line each.
//
// Guaranteed for a regular file: a record that [Sink.Send] counts has been
// synced to the disk as one whole line, in order, and so has the name of the
// file. A half-written line is cut off, or finished by its own record, or left
// alone on a line of its own; no other record is ever joined to it.
//
// Records that are sent again after a crash do not stand there twice: the first
// Send looks for them in the last 8 MiB of the file and of path.1, path.2 and so
// on, and counts what it finds. It writes a record once more where it cannot be
// sure: after a failed sync, when a body does not hold its [emitter.Record.ID]
// or was rendered otherwise before, when the file may not be read or was moved
// to another name, and when a line between is missing.
//
// Not guaranteed: standard output, pipes and devices are best effort, for they
// cannot be synced: a counted record has been handed over and no more. Several
// processes may append to one file, each with lines of its own, but only one of
// them may have a size cap. A process that ends after a failed sync may leave
// lines that the kernel shows and the disk has not; the next one believes them.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// Options of a [Sink]. The zero value works: no size cap, no log.
type Options struct {
	// MaxSize is the size in bytes that a file may reach before it is moved to
	// path.1 and a fresh one begun; 0 means any. It is hard, with two
	// exceptions: a single record that is larger is written whole and alone in
	// its file, and while files cannot be renamed the current one grows on. If
	// path is a symbolic link, the file at its end is moved, beside itself.
	MaxSize int64
	// MaxFiles is how many numbered files are kept besides the current one:
	// path.1 is the newest, path.MaxFiles the oldest, which the next rotation
	// deletes. 0 keeps all: nothing is ever deleted, but each rotation renames
	// every one of them. Files with a higher number are left alone. Without
	// MaxSize it means nothing.
	MaxFiles int
	// Stdout is written to when the path is [Stdout], and never closed. Nil is
	// the standard output of the process, by a duplicate of its descriptor, so
	// that a broken pipe is an error of Send and does not end the process, as
	// it would with os.Stdout itself.
	Stdout io.Writer
	// Log hears once when a file is readable or writable by others than its
	// owner, and once when rotation begins to fail and when it works again.
	// Nil discards.
	Log *slog.Logger
}

// Sink appends records to one file. It is safe for concurrent use: Reopen and
// Close may be called from any goroutine and wait for a Send in progress.
type Sink struct {
	path string // immutable, as are opt and disk
	opt  Options
	disk disk

	mu      sync.Mutex // guards all below, held during Send
	closed  bool
	out     io.Writer   // what records go to; nil: nothing is open
	f       handle      // the same, if it was opened by path; nil for standard output
	info    fs.FileInfo // of f when it was opened
	regular bool        // f can be synced, cut back and rotated
	created bool        // a file made by us has a name that is not yet synced
	size    int64       // bytes in f, while it is regular
	torn    []byte      // the last line, if it has no end; maybe unknown
	dirty   bool        // f has bytes that are not synced
	suspect bool        // the last sync failed: f may lack what it shows
	buf     []byte      // lines on their way, reused
	ends    []int       // where each record in buf ends
	begun   int         // bytes of the first record in buf that f has already

	resumed bool   // the last lines were read back
	past    []byte // those of them that may come again

	loose      bool      // the last file opened was open to others
	stuck      int       // rotations that failed in a row
	stuckSince time.Time // when the first of them did
	capLifted  bool      // a rotation failed in this Send: no second try in it
}

var _ emitter.Sink = (*Sink)(nil)

// Open returns a sink that appends to path, creating it with mode 0600; the
// path [Stdout] is standard output. Symbolic links are followed. What they lead
// to must be a regular file, a named pipe or a character device such as
// /dev/null; the latter two are neither synced nor rotated. A pipe that nobody
// reads yet is no error: Send returns one until somebody does.
//
// An existing file keeps its mode, even if others may read it; Options.Log is
// told. The error is marked as [emitter.Blocked] where only a change of the
// configuration or of permissions helps.
func Open(path string, opt Options) (*Sink, error) {
	return open(path, opt, systemDisk())
}

func open(path string, opt Options, d disk) (*Sink, error) {
	switch {
	case path == "":
		return nil, emitter.Blocked(errors.New("open file sink: path is empty"))
	case opt.MaxSize < 0:
		return nil, emitter.Blocked(fmt.Errorf("open file sink: size cap is negative: %d", opt.MaxSize))
	case opt.MaxFiles < 0:
		return nil, emitter.Blocked(fmt.Errorf("open file sink: number of files is negative: %d", opt.MaxFiles))
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sink{path: path, opt: opt, disk: d}
	if path == Stdout {
		if err := s.openStdout(); err != nil {
			return nil, err
		}
		return s, nil
	}
	if err := s.open(); err != nil && !lacksReader(path, err) {
		return nil, err
	}
	return s, nil
}

// Send appends batch, one line for each record, syncs the file once, and
// returns how many records are on the disk. It opens the path anew if that was
// moved, removed or replaced since the last call. Memory is bounded: a batch of
// more than 1 MiB goes in several writes. The first call, and those after it
// until a record comes that the file has not, leave out what stands there
// already; 8 MiB are held for that time.
//
// A body that is empty or holds a line break is a fault of the format and gives
// a [emitter.Permanent] error about that record. A path that cannot be opened
// until somebody mends it gives a [emitter.Blocked] one. All others, a full
// disk among them, mean try again.
//
// A write to a pipe or device ends with ctx, or after 5 s; one to a regular file
// or to standard output, and a sync, cannot be interrupted.
func (s *Sink) Send(ctx context.Context, batch []emitter.Record) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, pathError("write", s.path, os.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(batch) == 0 {
		return 0, nil
	}
	if err := s.ensure(); err != nil {
		return 0, err
	}
	if err := s.resume(); err != nil {
		return 0, err
	}
	s.capLifted = false
	n, err := s.deliver(ctx, batch)
	if cap(s.buf) > 2*s.disk.maxWrite {
		s.buf = nil // one huge record must not hold its memory for good
	}
	return n, err
}

// Reopen opens the path anew, as for SIGHUP. When it has returned nil, nothing
// more is written to the file that was open before. If it fails, the next Send
// decides by itself whether the path has to be opened. On standard output it
// does nothing.
func (s *Sink) Reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return pathError("open", s.path, os.ErrClosed)
	case s.path == Stdout:
		return nil
	}
	return s.open()
}

// Close closes the file; all that Send has counted is synced already. Calls
// after the first do nothing, and Send returns [os.ErrClosed] from then on.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.opt.Stdout != nil && s.path == Stdout {
		return nil
	}
	if c, ok := s.out.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
