// Package vmcp is the virtual MCP server: one endpoint over many back ends.
//
// So far its back ends are embedded ones. They hang under one mcp-go server,
// each tool and prompt by the name of its back end, an underscore and its own.
package vmcp

import (
	"context"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware/mcpgo"
)

// backend is one embedded back end.
type backend struct {
	name      string
	tools     []server.ServerTool
	resources []server.ServerResource
	prompts   []server.ServerPrompt
}

// authorizer decides whether a call may run; the error is what the caller is
// told.
type authorizer func(ctx context.Context, name string) error

const sessionIdle = 30 * time.Minute // after which a session that nobody uses ends

// newHandler returns the server's endpoint.
func newHandler(name, version string, allowed authorizer, backends ...backend) http.Handler {
	routes := make(map[string]mcpgo.Executed)
	s := server.NewMCPServer(name, version,
		server.WithToolCapabilities(false),
		server.WithResourceCapabilities(false, false),
		server.WithPromptCapabilities(false),
		server.WithRecovery(),
		server.WithToolHandlerMiddleware(mcpgo.Tools(func(name string) mcpgo.Executed { return routes[name] })), // outermost: a refusal has its target
		server.WithToolHandlerMiddleware(authorize(allowed)))
	for _, b := range backends {
		for _, t := range b.tools {
			own := t.Tool.Name
			t.Tool.Name = b.name + "_" + own
			routes[t.Tool.Name] = mcpgo.Executed{Server: emitter.Server{Name: b.name}, Tool: own, Definition: mcpgo.Definition(t.Tool)}
			s.AddTools(t)
		}
		for _, p := range b.prompts {
			p.Prompt.Name = b.name + "_" + p.Prompt.Name
			s.AddPrompts(p)
		}
		s.AddResources(b.resources...)
	}
	return server.NewStreamableHTTPServer(s, server.WithStateful(true), server.WithSessionIdleTTL(sessionIdle))
}

func authorize(allowed authorizer) server.ToolHandlerMiddleware {
	return func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := allowed(ctx, req.Params.Name); err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			return next(ctx, req)
		}
	}
}
