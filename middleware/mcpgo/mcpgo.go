// Package mcpgo tells the audit what only a server built on mark3labs/mcp-go
// knows: which tool really ran, and where. It is a package of its own so that
// programs on another SDK do not compile mcp-go.
package mcpgo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Executed says what an exposed tool stands for.
type Executed struct {
	Server     emitter.Server // back end
	Tool       string         // name there
	Definition string         // see [Definition]
}

// Tools returns a tool middleware that notes what a call executes. lookup is
// given the exposed name, as mcp-go has resolved it; it must be safe for
// concurrent use. Pass the result to server.WithToolHandlerMiddleware, and put
// [middleware.HTTP] around the HTTP handler of that server.
func Tools(lookup func(name string) Executed) server.ToolHandlerMiddleware {
	return func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			x := lookup(req.Params.Name)
			middleware.NoteFrom(ctx).SetTarget(x.Server, x.Tool, x.Definition)
			return next(ctx, req)
		}
	}
}

// Definition returns the digest of a tool's definition: SHA-256 of its JSON as
// mcp-go writes it.
func Definition(t mcp.Tool) string {
	b, err := json.Marshal(t)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
