package mcpgo_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
	"github.com/vmcp-audit/vmcp-audit/middleware/mcpgo"
)

type keep struct{ event *emitter.Event }

func (*keep) Ready() error { return nil }
func (k *keep) Emit(_ context.Context, e *emitter.Event) error {
	k.event = e
	return nil
}

func TestTools(t *testing.T) {
	want := mcpgo.Executed{Server: emitter.Server{Name: "files"}, Tool: "read", Definition: mcpgo.Definition(mcp.NewTool("files_read"))}
	s := server.NewMCPServer("test", "1", server.WithToolHandlerMiddleware(mcpgo.Tools(func(name string) mcpgo.Executed {
		if name != "files_read" {
			t.Errorf("asked for %q", name)
		}
		return want
	})))
	s.AddTool(mcp.NewTool("files_read"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("ok"), nil
	})
	k := new(keep)
	h := middleware.HTTP(k, middleware.Options{})(server.NewStreamableHTTPServer(s, server.WithStateLess(true)))
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files_read"}}`))
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(httptest.NewRecorder(), r)
	got := mcpgo.Executed{Server: k.event.Target.Server, Tool: k.event.Target.Tool, Definition: k.event.Target.Definition}
	if diff := cmp.Diff(want, got); diff != "" || k.event.Outcome != emitter.OutcomeSuccess {
		t.Errorf("outcome %s, -want +got\n%s", k.event.Outcome, diff)
	}
}

func TestDefinition(t *testing.T) {
	a, b := mcpgo.Definition(mcp.NewTool("a")), mcpgo.Definition(mcp.NewTool("a", mcp.WithDescription("now it does more")))
	if a == b || len(a) != len("sha256:")+64 || a != mcpgo.Definition(mcp.NewTool("a")) {
		t.Errorf("definitions %s and %s", a, b)
	}
}
