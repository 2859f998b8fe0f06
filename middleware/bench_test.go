package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// encoder makes the canonical JSON of events and drops it.
type encoder struct {
	events int
	buf    []byte
}

func (*encoder) Ready() error { return nil }

func (r *encoder) Emit(_ context.Context, e *emitter.Event) error {
	r.events++
	r.buf = emitter.AppendEvent(r.buf[:0], e)
	return nil
}

// sink is an answer that nobody keeps.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Flush()                      {}

// BenchmarkMiddleware serves a tools/call with a small and a 1 MiB answer by a
// handler that does nothing else and by mcp-go, bare and audited. The
// events are encoded and dropped: the disk is measured where it is written.
func BenchmarkMiddleware(b *testing.B) {
	for _, size := range []int{100, 1 << 20} {
		text := strings.Repeat("x", size)
		for name, h := range map[string]http.Handler{"noop": noop(text), "mcp-go": mcpGo(text)} {
			b.Run(fmt.Sprintf("%s/%d/bare", name, size), func(b *testing.B) { serve(b, h) })
			b.Run(fmt.Sprintf("%s/%d/audited", name, size), func(b *testing.B) {
				var rec encoder
				serve(b, middleware.HTTP(&rec, middleware.Options{})(h))
				if rec.events != b.N {
					b.Fatalf("%d events of %d calls", rec.events, b.N)
				}
			})
		}
	}
}

func serve(b *testing.B, h http.Handler) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"m":"x"}}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		h.ServeHTTP(&sink{header: http.Header{}}, r)
	}
}

func noop(text string) http.Handler {
	reply := []byte(`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` + text + `"}]}}`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply)
	})
}

func mcpGo(text string) http.Handler {
	s := server.NewMCPServer("bench", "1")
	s.AddTool(mcp.NewTool("echo"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(text), nil
	})
	return server.NewStreamableHTTPServer(s, server.WithStateLess(true))
}
