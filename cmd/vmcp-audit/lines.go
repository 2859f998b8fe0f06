package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
)

const (
	maxLine  = chain.MaxLine          // bytes of a line
	readSize = 64 << 10               // bytes that are read at once, at least
	pollGap  = 200 * time.Millisecond // between two looks at a file that has not grown
)

// errLongLine is the error of a line of which nothing is returned: no piece of it
// may be taken for an event.
var errLongLine = fmt.Errorf("the line is longer than any event, of at most %d bytes", maxLine)

// lineReader reads lines, of a file that grows if asked to. Blank lines are counted
// and left out, as is a byte order mark before the first.
type lineReader struct {
	r    io.Reader
	n    int          // lines so far
	idle func() error // called when there is nothing more to read for now; nil: nothing
	buf  []byte
	long bool // what is read belongs to a line that is too long
	eof  bool
}

// next returns the next line without its end. With follow it waits for one
// until ctx ends; a last line without an end is then not yet a line. After
// errLongLine it goes on with the line behind that.
func (l *lineReader) next(ctx context.Context, follow bool) ([]byte, error) {
	for {
		end := bytes.IndexByte(l.buf, '\n')
		if end < 0 && len(l.buf) > maxLine {
			l.buf, l.long = nil, true
		}
		switch {
		case end >= 0, l.eof && (len(l.buf) > 0 || l.long):
			if line, err := l.take(end); err != nil || len(bytes.TrimSpace(line)) > 0 {
				return line, err
			}
			continue
		case l.eof:
			return nil, io.EOF
		}
		if err := l.fill(ctx, follow); err != nil {
			return nil, err
		}
	}
}

// take takes the line that ends at end, or with what was read if that is less than 0.
func (l *lineReader) take(end int) ([]byte, error) {
	line, rest := l.buf, []byte(nil)
	if end >= 0 {
		line, rest = l.buf[:end], l.buf[end+1:]
	}
	long := l.long || len(line) > maxLine
	l.buf, l.long = rest, false
	l.n++
	if long {
		return nil, errLongLine
	}
	if l.n == 1 {
		line = bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF"))
	}
	return line, nil
}

func (l *lineReader) fill(ctx context.Context, follow bool) error {
	l.buf = slices.Grow(l.buf, readSize)
	n, err := l.r.Read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	switch {
	case err == nil, n > 0:
		return nil
	case !errors.Is(err, io.EOF):
		return err
	case !follow:
		l.eof = true
		return nil
	}
	if l.idle != nil {
		if err := l.idle(); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollGap):
		return nil
	}
}

// follower reads a file to its end, and goes on with the one that has taken
// its name when that was moved or cut.
type follower struct {
	path string
	file *os.File
	at   int64
}

func openFollower(path string) (*follower, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &follower{path: path, file: f}, nil
}

// Close closes the file that is being read.
func (f *follower) Close() error { return f.file.Close() }

// Read returns io.EOF where there is nothing to read yet.
func (f *follower) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.at += int64(n)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	now, err := os.Stat(f.path)
	if err != nil {
		return 0, io.EOF // moved, and not made anew yet
	}
	was, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	if os.SameFile(now, was) {
		if now.Size() < f.at {
			f.at = 0
			_, err = f.file.Seek(0, io.SeekStart)
			return 0, err
		}
		return 0, io.EOF
	}
	if n, _ := f.file.Read(p); n > 0 {
		return n, nil // written just before the file was moved
	}
	next, err := os.Open(f.path)
	if err != nil {
		return 0, io.EOF
	}
	_ = f.file.Close()
	f.file, f.at = next, 0
	return 0, nil
}
