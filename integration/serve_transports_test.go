package integration

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestServeStdio lets mcp-go's client start a virtual server over real back ends
// as a command, and talk to it over stdio.
func TestServeStdio(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	args := []string{"serve", "--stdio"}
	for _, b := range threeBackends(t, port) {
		args = append(args, "--backend", b)
	}
	env := []string{"VMCP_AUDIT_FILE_PATH=" + file, "VMCP_AUDIT_SPOOL_DIR=" + t.TempDir()}
	c, err := client.NewStdioMCPClient(binary, env, args...)
	if err != nil {
		t.Fatal(err)
	}
	converseOnce(t, c)
	if err := c.Close(); err != nil {
		t.Errorf("the server's end: %v", err)
	}
	onlyBy(t, readTrail(t, file), "stdio", "local")
}

// TestServeSSE lets mcp-go's client of the oldest transport talk to a virtual
// server.
func TestServeSSE(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	p := startServe(t, threeBackends(t, port))
	c, err := client.NewSSEMCPClient(p.url + "/sse")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	converseOnce(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	onlyBy(t, p.stop(t), "sse", "network")
}

// converseOnce opens a session and calls a tool of each back end.
func converseOnce(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	hello := mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: "2025-11-25", ClientInfo: mcp.Implementation{Name: "old", Version: "1"},
	}}
	if _, err := c.Initialize(ctx, hello); err != nil {
		t.Fatal(err)
	}
	until(t, "the tools of all back ends are listed", func() bool { // one may be slow to start
		list, err := c.ListTools(ctx, mcp.ListToolsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Tools) >= 30
	})
	for name, want := range map[string]string{"everything_echo": "hello", "files_list_allowed_directories": "Allowed", "memory_read_graph": "entities"} {
		res, err := c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: name, Arguments: map[string]any{"message": "hello"}}})
		if err != nil || res.IsError || len(res.Content) == 0 {
			t.Errorf("%s: %+v, %v", name, res, err)
			continue
		}
		if text, ok := res.Content[0].(mcp.TextContent); !ok || !strings.Contains(text.Text, want) {
			t.Errorf("%s: %+v, want %s", name, res.Content[0], want)
		}
	}
}

// onlyBy checks that three calls are in the trail, by one transport.
func onlyBy(t *testing.T, tr trail, transport, source string) {
	t.Helper()
	outside, inside := split(t, tr)
	found := make(map[string]bool)
	for _, e := range inside {
		if e.Type == emitter.TypeBackendDiscovery && e.Outcome == emitter.OutcomeSuccess {
			found[e.Target.Server.Name] = true
		}
	}
	if len(found) != 3 {
		t.Errorf("discovered: %v, want three", found)
	}
	if n := outside.count(emitter.TypeToolCall); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	for _, e := range outside {
		if e.Type == emitter.TypeToolCall && (e.Metadata.Extra.Transport != transport || e.Source.Type != source || e.Outcome != emitter.OutcomeSuccess) {
			t.Errorf("a call: %s", e.Stored())
		}
	}
}

// TestServeRestart kills a back end under a client's session and starts it
// again: what is called meanwhile fails as it should, then everything works, and
// the other back ends all the time.
func TestServeRestart(t *testing.T) {
	needNode(t)
	port := freePort(t)
	everything := startEverything(t, port)
	p := startServe(t, threeBackends(t, port))
	c := &raw{url: p.url + everythingPath, http: newRecorder("raw", nil)}
	c.initialize(t, "2025-11-25")
	echo := func() string {
		_, answer := c.ask(t, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"everything_echo","arguments":{"message":"hello"}}}`)
		return answer
	}
	if got := echo(); !strings.Contains(got, "Echo: hello") {
		t.Errorf("before: %s", got)
	}
	_ = everything.cmd.Process.Kill()
	<-everything.ended
	until(t, "nobody listens", func() bool {
		conn, err := net.Dial("tcp", loopback(port))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if got := echo(); !strings.Contains(got, "the back end everything gave no answer") {
		t.Errorf("meanwhile: %s", got)
	}
	if _, got := c.ask(t, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"memory_read_graph"}}`); !strings.Contains(got, "entities") {
		t.Errorf("another back end: %s", got)
	}
	startEverything(t, port)
	until(t, "it answers again", func() bool { return strings.Contains(echo(), "Echo: hello") }) // at once, unless it took so long that it was lost
	tr := p.stop(t)
	var failed []emitter.Reason
	for _, e := range tr {
		if e.Type == emitter.TypeToolCall && e.Outcome != emitter.OutcomeSuccess {
			failed = append(failed, e.Reason)
		}
	}
	if len(failed) == 0 || failed[0] != emitter.ReasonUpstreamDown && failed[0] != emitter.ReasonUpstreamAborted { // aborted: its end was not seen yet
		t.Errorf("failed calls: %v, want one that says that the back end was down", failed)
	}
}
