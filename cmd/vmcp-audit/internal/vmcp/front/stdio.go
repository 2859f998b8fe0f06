package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// Stdio serves one client by in and out, a message a line, until in ends or ctx
// does. messages is the audited handler, streams the one that has the GET
// stream. In the trail the client is local, and anonymous as far as nobody says
// who it is.
func Stdio(ctx context.Context, in io.Reader, out io.Writer, messages, streams http.Handler) error {
	b := newBridge(ctx, messages, streams)
	b.via, b.path, b.remote = "stdio", "/mcp", "stdio"
	var mu sync.Mutex
	b.out = func(message []byte) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := out.Write(append(bytes.Clone(wire.OneLine(message)), '\n'))
		if err != nil {
			b.end() // nobody reads
		}
		return err
	}
	defer b.close()
	ended := make(chan error, 1)
	lines := wire.NewLineReader(in)
	next := make(chan []byte)
	go func() {
		for {
			line, err := lines.Next()
			if err != nil {
				ended <- err
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
	for {
		select {
		case line := <-next:
			b.take(line, nil)
		case err := <-ended:
			b.finish()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-b.ctx.Done():
			return nil
		}
	}
}

// finish waits for the answers that are under way, unless the end comes first.
func (b *bridge) finish() {
	done := make(chan struct{})
	go func() { b.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-b.ctx.Done():
	}
}
