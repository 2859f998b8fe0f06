package vmcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/front"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// DemoToken is the bearer token of the demo's one user, alice. Who comes
// without it is anonymous; who comes with another is refused.
const DemoToken = "demo"

// DemoPrivileged matches the tools that the demo's policy keeps from everyone.
const DemoPrivileged = "admin_*"

// NewDemo returns a virtual server with two embedded back ends, notes and
// admin. It is to be wrapped by the audit middleware.
func NewDemo(version string, rec core.Recorder, strict bool) *Server {
	backends := []*upstream.Backend{
		upstream.New(upstream.Spec{Name: "notes", Server: notes()}, nil),
		upstream.New(upstream.Spec{Name: "admin", Server: admin()}, nil),
	}
	return New(backends, Options{
		Core: core.Options{
			Name: "vmcp-audit demo", Version: version, Authorize: demoPolicy, Recorder: rec, Strict: strict,
		},
		Front:        front.Options{Recorder: rec},
		Authenticate: authenticate,
	})
}

// authenticate knows one user.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		if header == "" {
			next.ServeHTTP(w, r)
			return
		}
		if header != "Bearer "+DemoToken {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "unknown token", http.StatusUnauthorized)
			return
		}
		n := middleware.NoteFrom(r.Context())
		n.SetSubject(emitter.Subject{Type: "user", User: "alice", UserID: "u-1"})
		n.SetAuth(emitter.Auth{Method: "static", Verified: true})
		next.ServeHTTP(w, r)
	})
}

var errPolicy = errors.New("the policy demo-1 keeps this tool from everyone")

func demoPolicy(ctx context.Context, tool string) error {
	n := middleware.NoteFrom(ctx)
	if strings.HasPrefix(tool, "admin_") {
		n.Decide(middleware.Deny, []string{"demo-1"}, emitter.ReasonPolicy)
		return errPolicy
	}
	n.Decide(middleware.Allow, nil, "")
	return nil
}

const welcome = "Every request to this server is an audit event."

func notes() *server.MCPServer {
	s := server.NewMCPServer("notes", "1", server.WithRecovery())
	s.AddTool(mcp.NewTool("read", mcp.WithDescription("Reads a note"), mcp.WithString("name", mcp.Required())), readNote)
	s.AddResource(mcp.NewResource("note:///welcome", "welcome", mcp.WithMIMEType("text/plain")),
		func(_ context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: "text/plain", Text: welcome}}, nil
		})
	s.AddPrompt(mcp.NewPrompt("summarize", mcp.WithPromptDescription("Summarizes a note"), mcp.WithArgument("name")),
		func(_ context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			text := mcp.NewTextContent("Summarize the note " + req.Params.Arguments["name"])
			return mcp.NewGetPromptResult("", []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, text)}), nil
		})
	return s
}

func readNote(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if name := req.GetString("name", ""); name != "welcome" {
		return mcp.NewToolResultError(fmt.Sprintf("there is no note %q", name)), nil
	}
	return mcp.NewToolResultText(welcome), nil
}

func admin() *server.MCPServer {
	s := server.NewMCPServer("admin", "1", server.WithRecovery())
	s.AddTool(mcp.NewTool("wipe", mcp.WithDescription("Deletes every note")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("wiped"), nil
		})
	return s
}
