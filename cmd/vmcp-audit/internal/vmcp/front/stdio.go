package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Stdio serves one client by in and out, a message a line, until in ends or ctx
// does. messages is the audited handler. In the trail the client is local, and
// anonymous as far as nobody says who it is.
//
// The front is drained then. At the end of in the calls under way are answered,
// unless ctx ends first; at the end of ctx they have drain. A goroutine that
// reads or writes what its other side does not is left behind.
func (f *Front) Stdio(ctx context.Context, in io.Reader, out io.Writer, messages http.Handler, drain time.Duration) error {
	b := newBridge(context.WithoutCancel(ctx), f, messages)
	b.via, b.path = "stdio", "/mcp"
	b.out = b.lines(out)
	why := emitter.ReasonClientClosed
	defer func() { b.close(why) }()
	defer context.AfterFunc(ctx, func() {
		f.Drain()
		time.AfterFunc(drain, b.end)
	})()
	next, failed := b.read(in)
	for {
		select {
		case line := <-next:
			b.take(line, origin{remote: "stdio"})
		case err := <-failed:
			f.Drain()
			defer context.AfterFunc(ctx, b.end)()
			b.finish()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ctx.Done():
			why = emitter.ReasonServerClosed
			b.finish()
			return nil
		case <-b.ctx.Done():
			return nil // nobody reads
		}
	}
}

// read sends the lines of in that are not empty to the first channel, then why
// there are no more to the second.
func (b *bridge) read(in io.Reader) (<-chan []byte, <-chan error) {
	next, failed := make(chan []byte), make(chan error, 1)
	lines := wire.NewLineReader(in)
	go func() {
		for {
			line, err := lines.Next()
			if err != nil {
				failed <- err
				return
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			select {
			case next <- bytes.Clone(line):
			case <-b.ctx.Done():
				return
			}
		}
	}()
	return next, failed
}

// lines returns what writes a message to out as a line. It does not outlast the
// bridge, even if nobody takes what is written.
func (b *bridge) lines(out io.Writer) func(message []byte) error {
	type line struct {
		text    []byte
		written chan error
	}
	next := make(chan line)
	go func() {
		for {
			select {
			case l := <-next:
				_, err := out.Write(l.text)
				if err != nil {
					b.end() // nobody reads
				}
				l.written <- err
			case <-b.ctx.Done():
				return
			}
		}
	}()
	return func(message []byte) error {
		l := line{append(bytes.Clone(wire.OneLine(message)), '\n'), make(chan error, 1)}
		select {
		case next <- l:
		case <-b.ctx.Done():
			return b.ctx.Err()
		}
		select {
		case err := <-l.written:
			return err
		case <-b.ctx.Done():
			return b.ctx.Err()
		}
	}
}
