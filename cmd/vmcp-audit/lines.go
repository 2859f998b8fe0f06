package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

const (
	maxLine = 1 << 20                // bytes of a line; what is longer comes in pieces, which are no events
	pollGap = 200 * time.Millisecond // between two looks at a file that has not grown
)

// lineReader reads lines, of a file that grows if asked to.
type lineReader struct {
	r    io.Reader
	n    int          // lines so far
	idle func() error // called when there is nothing more to read for now; nil: nothing
	buf  []byte
	eof  bool
}

// next returns the next line without its end. With follow it waits for one
// until ctx ends; a last line without an end is then not yet a line.
func (l *lineReader) next(ctx context.Context, follow bool) ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf, '\n'); i >= 0 {
			return l.take(i, 1), nil
		}
		switch {
		case len(l.buf) >= maxLine:
			return l.take(maxLine, 0), nil
		case l.eof && len(l.buf) > 0:
			return l.take(len(l.buf), 0), nil
		case l.eof:
			return nil, io.EOF
		}
		if err := l.fill(ctx, follow); err != nil {
			return nil, err
		}
	}
}

func (l *lineReader) take(n, end int) []byte {
	line := l.buf[:n]
	l.buf = l.buf[n+end:]
	l.n++
	return line
}

func (l *lineReader) fill(ctx context.Context, follow bool) error {
	piece := make([]byte, 64<<10)
	n, err := l.r.Read(piece)
	l.buf = append(l.buf, piece[:n]...)
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
