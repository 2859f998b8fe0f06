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
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

type discard struct{}

func (discard) Send(_ context.Context, batch []emitter.Record) (int, error) { return len(batch), nil }

// sink is an answer that nobody keeps.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Flush()                      {}

// BenchmarkMiddleware serves a tools/call with a small and a 1 MiB answer by a
// handler that does nothing else and by mcp-go, bare and audited. The sink of
// the events discards them: the disk is measured where it is written.
func BenchmarkMiddleware(b *testing.B) {
	for _, size := range []int{100, 1 << 20} {
		text := strings.Repeat("x", size)
		for name, h := range map[string]http.Handler{"noop": noop(text), "mcp-go": mcpGo(text)} {
			b.Run(fmt.Sprintf("%s/%d/bare", name, size), func(b *testing.B) { serve(b, h) })
			b.Run(fmt.Sprintf("%s/%d/audited", name, size), func(b *testing.B) {
				em, err := emitter.New(emitter.Options{}, emitter.Route{Name: "discard", Format: formats.JSON, Sink: discard{}})
				if err != nil {
					b.Fatal(err)
				}
				serve(b, middleware.HTTP(em, middleware.Options{})(h))
				if s := em.Stats(); s.Emitted != uint64(b.N) {
					b.Fatalf("%d events of %d calls", s.Emitted, b.N)
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
