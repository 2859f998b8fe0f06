package main

import (
	"context"
	"io"
	"os"
)

// openInput opens the file at path, or standard input for "-", whose reads end
// with ctx.
func (p *program) openInput(ctx context.Context, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(&untilDone{ctx: ctx, r: p.stdin, buf: make([]byte, readSize), reads: make(chan error, 1)}), nil
	}
	return os.Open(path)
}

// untilDone reads from r until ctx is done. A read that waits then goes on behind
// its back: nothing ends the read of a terminal or a pipe.
type untilDone struct {
	ctx   context.Context
	r     io.Reader
	buf   []byte
	left  []byte // of buf, read and not taken
	err   error  // comes behind left
	reads chan error
}

func (u *untilDone) Read(p []byte) (int, error) {
	for len(u.left) == 0 && u.err == nil {
		var n int
		go func() {
			var err error
			n, err = u.r.Read(u.buf)
			u.reads <- err
		}()
		select {
		case u.err = <-u.reads:
			u.left = u.buf[:n]
		case <-u.ctx.Done():
			u.err = context.Cause(u.ctx)
		}
	}
	if len(u.left) == 0 {
		return 0, u.err
	}
	n := copy(p, u.left)
	u.left = u.left[n:]
	return n, nil
}
