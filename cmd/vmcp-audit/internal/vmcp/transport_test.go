package vmcp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// counting is a mcp-go server with a tool that tells its progress.
func counting() *server.MCPServer {
	s := server.NewMCPServer("counting", "1")
	s.AddTool(mcp.NewTool("count"), func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if req.Params.Meta != nil {
			err := s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": 1})
			if err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("done"), nil
	})
	return s
}

// init makes a server over stdio of this program, if it is started as one.
func init() {
	if os.Getenv("VMCP_TEST_CHILD") == "stdio" {
		if os.Getenv("VMCP_TEST_SECRET") != "" {
			fmt.Fprintln(os.Stderr, "a variable of the parent came through")
			os.Exit(3)
		}
		_ = server.ServeStdio(counting())
		os.Exit(0)
	}
}

// TestBackends goes through the same calls with a back end over each transport.
func TestBackends(t *testing.T) {
	t.Setenv("VMCP_TEST_SECRET", "canary")
	sse := httptest.NewServer(server.NewSSEServer(counting()))
	t.Cleanup(sse.Close)
	streamable := httptest.NewServer(server.NewStreamableHTTPServer(counting(), server.WithStateful(true)))
	t.Cleanup(streamable.Close)
	address := func(name, u string, tr upstream.Transport) upstream.Spec {
		s := spec(name, u)
		s.Transport = tr
		return s
	}
	for name, s := range map[string]upstream.Spec{
		"http":     address("b", streamable.URL, upstream.Auto),
		"sse":      address("b", sse.URL+"/sse", upstream.SSE),
		"sse auto": address("b", sse.URL+"/sse", upstream.Auto),
		"stdio":    {Name: "b", Command: []string{os.Args[0]}, Env: []string{"VMCP_TEST_CHILD=stdio"}},
		"embedded": {Name: "b", Server: counting()},
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, []upstream.Spec{s}, nil)
			p := connect(t, srv.url+"/mcp", "")
			answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if got := names(wire.Raw(answer)); len(got) != 1 || got[0] != "count" {
				t.Errorf("list: %s", answer)
			}
			answer, _ = p.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"count","_meta":{"progressToken":"tok"}}}`)
			if !strings.Contains(answer, `"done"`) || strings.Contains(answer, "progress") && !strings.Contains(answer, `"progressToken":"tok"`) {
				t.Errorf("call: %s", answer)
			}
			p.delete()
			if e := srv.store.of(emitter.TypeBackendDiscovery)[0]; e.Outcome != emitter.OutcomeSuccess || e.Metadata.Extra.Tools != emitter.Of(1) {
				t.Errorf("discovery: %s %+v", e.Outcome, e.Metadata.Extra)
			}
		})
	}
}

// TestStdio lets a client talk over standard input and output: the trail says
// what it would say of one that came over HTTP.
func TestStdio(t *testing.T) {
	rec := new(store)
	srv := NewDemo("1", rec, false)
	srv.Start()
	in, write := io.Pipe()
	read, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- srv.Stdio(t.Context(), in, out, middleware.HTTP(rec, middleware.Options{}), patience)
		srv.Close()
		_ = out.Close()
	}()
	lines := bufio.NewScanner(read)
	say := func(message string) { _, _ = io.WriteString(write, message+"\n") }
	next := func() string { lines.Scan(); return lines.Text() }
	say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"pipe","version":"1"}}}`)
	if got := next(); !strings.Contains(got, `"protocolVersion":"2025-11-25"`) {
		t.Errorf("initialize: %s", got)
	}
	say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	say(`no json`)
	if got := next(); !strings.Contains(got, `"code":-32700`) {
		t.Errorf("garbage: %s", got)
	}
	say(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"notes_read","arguments":{"name":"welcome"}}}`)
	if got := next(); !strings.Contains(got, `"id":"x"`) || !strings.Contains(got, welcome) {
		t.Errorf("call: %s", got)
	}
	say(`{"jsonrpc":"2.0","id":7,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	if got := next(); !strings.Contains(got, `"supportedVersions":["2026-07-28"`) {
		t.Errorf("discover: %s", got)
	}
	_ = write.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var got []string
	for _, e := range rec.events {
		if e.Target.Type != "server" || e.Type != emitter.TypeBackendDiscovery {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", e.Type, e.Outcome, e.Source.Type, e.Metadata.Extra.Transport, e.Client.NameClaimed))
		}
	}
	want := []string{
		"mcp_initialize success local stdio pipe", "mcp_session_start success local stdio pipe",
		"mcp_notification success local stdio pipe", "http_request failure local http pipe",
		"vmcp_backend_route success local stdio pipe", "mcp_tool_call success local stdio pipe",
		"mcp_discover success local stdio ", "mcp_session_end success local stdio pipe",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestSSE lets a client of the oldest revision talk: a stream, and messages to
// another address.
func TestSSE(t *testing.T) {
	s := serve(t, []upstream.Spec{{Name: "b", Server: counting()}}, nil)
	p := &peer{t: t, url: s.url + "/sse"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := p.do(ctx, http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := wire.NewEventReader(resp.Body)
	next := func() string {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		return string(e.Data)
	}
	to := &peer{t: t, url: s.url + next()}
	say := func(body string) {
		t.Helper()
		if answer, status := to.ask(body); status != http.StatusAccepted || answer != "" {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"old","version":"1"}}}`)
	if got := next(); !strings.Contains(got, `"protocolVersion":"2024-11-05"`) {
		t.Errorf("initialize: %s", got)
	}
	say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	say(call("2", "count"))
	if got := next(); !strings.Contains(got, `"done"`) {
		t.Errorf("call: %s", got)
	}
	if _, status := (&peer{t: t, url: s.url + "/message?sessionId=none"}).ask(call("3", "count")); status != http.StatusBadRequest {
		t.Errorf("without a stream: status %d", status)
	}
	cancel()
	until(t, "the session has ended", func() bool { return len(s.store.of(emitter.TypeSessionEnd)) == 1 })
	if e := s.store.of(emitter.TypeSessionEnd)[0]; e.Reason != emitter.ReasonClientClosed || e.Metadata.Extra.Transport != "sse" || e.Source.Value != "127.0.0.1" {
		t.Errorf("the session's end: %s %s %s %s", e.Outcome, e.Reason, e.Metadata.Extra.Transport, e.Source.Value)
	}
	e := s.store.of(emitter.TypeToolCall)[0]
	if e.Outcome != emitter.OutcomeSuccess || e.Metadata.Extra.Transport != "sse" || e.Source.Value != "127.0.0.1" || e.Target.Endpoint != "/message" {
		t.Errorf("%s %s %s %s", e.Outcome, e.Metadata.Extra.Transport, e.Source.Value, e.Target.Endpoint)
	}
	until(t, "the stream has its events", func() bool { return len(s.store.of(emitter.TypeSSEClosed)) == 1 })
}
