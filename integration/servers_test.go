package integration

import (
	"context"
	"log/slog"
	"net/http"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// The servers of both Go SDKs have the same tools: greet succeeds, fail does
// not, count tells its progress, wait tells it once and then waits for its end,
// confirm asks the user first. Handlers return what is to be asked; towards
// clients of old revisions the SDKs turn that into requests of their own.

const (
	resourceURI = "demo://one"
	question    = "Go ahead?"
)

var answerSchema = map[string]any{
	"type":       "object",
	"properties": map[string]any{"name": map[string]any{"type": "string"}},
}

func mcpGoServer() *server.MCPServer {
	s := server.NewMCPServer("mcp-go", "1.2.1", server.WithElicitation(), server.WithToolCapabilities(true), server.WithResourceCapabilities(true, true))
	tool := func(name string, h server.ToolHandlerFunc) { s.AddTool(mcpgo.NewTool(name), h) }
	tool("greet", func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultText("hello"), nil
	})
	tool("fail", func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultError("it did not work"), nil
	})
	tell := func(ctx context.Context, req mcpgo.CallToolRequest, i int) error {
		if req.Params.Meta == nil || req.Params.Meta.ProgressToken == nil {
			return nil
		}
		return s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{
			"progressToken": req.Params.Meta.ProgressToken, "progress": i,
		})
	}
	tool("count", func(ctx context.Context, req mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		for i := range 3 {
			if err := tell(ctx, req, i+1); err != nil {
				return nil, err
			}
		}
		return mcpgo.NewToolResultText("done"), nil
	})
	tool("wait", func(ctx context.Context, req mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		if err := tell(ctx, req, 1); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	tool("confirm", func(_ context.Context, req mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		if _, answered := server.InputResponse(req.Params.InputResponses, "answer"); answered {
			return mcpgo.NewToolResultText("confirmed"), nil
		}
		ask := mcpgo.ElicitationParams{Message: question, RequestedSchema: answerSchema}
		return server.NewInputRequestBuilder("state-1").Elicit("answer", ask).ToolResult(), nil
	})
	s.AddResource(mcpgo.NewResource(resourceURI, "one"), func(context.Context, mcpgo.ReadResourceRequest) ([]mcpgo.ResourceContents, error) {
		return []mcpgo.ResourceContents{mcpgo.TextResourceContents{URI: resourceURI, Text: "one"}}, nil
	})
	s.AddPrompt(mcpgo.NewPrompt("hello"), func(context.Context, mcpgo.GetPromptRequest) (*mcpgo.GetPromptResult, error) {
		return mcpgo.NewGetPromptResult("", []mcpgo.PromptMessage{mcpgo.NewPromptMessage(mcpgo.RoleUser, mcpgo.NewTextContent("hello"))}), nil
	})
	return s
}

// mcpGoHandler serves both eras on one path, with sessions that it keeps.
func mcpGoHandler() http.Handler {
	return server.NewStreamableHTTPServer(mcpGoServer(), server.WithStateful(true),
		server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
}

func goSDKServer() *gosdk.Server {
	s := gosdk.NewServer(&gosdk.Implementation{Name: "go-sdk", Version: "1.8.0"}, &gosdk.ServerOptions{
		SubscribeHandler:   func(context.Context, *gosdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *gosdk.UnsubscribeRequest) error { return nil },
	})
	tool := func(name string, h gosdk.ToolHandler) {
		s.AddTool(&gosdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, h)
	}
	say := func(text string) *gosdk.CallToolResult {
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: text}}}
	}
	tool("greet", func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) { return say("hello"), nil })
	tool("fail", func(context.Context, *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		res := say("it did not work")
		res.IsError = true
		return res, nil
	})
	tell := func(ctx context.Context, req *gosdk.CallToolRequest, i int) error {
		token := req.Params.GetProgressToken()
		if token == nil {
			return nil
		}
		return req.Session.NotifyProgress(ctx, &gosdk.ProgressNotificationParams{ProgressToken: token, Progress: float64(i)})
	}
	tool("count", func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		for i := range 3 {
			if err := tell(ctx, req, i+1); err != nil {
				return nil, err
			}
		}
		return say("done"), nil
	})
	tool("wait", func(ctx context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		if err := tell(ctx, req, 1); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	tool("confirm", func(_ context.Context, req *gosdk.CallToolRequest) (*gosdk.CallToolResult, error) {
		if _, answered := req.Params.InputResponses["answer"]; answered {
			return say("confirmed"), nil
		}
		ask := &gosdk.ElicitParams{Message: question, RequestedSchema: answerSchema}
		return &gosdk.CallToolResult{InputRequests: gosdk.InputRequestMap{"answer": ask}, RequestState: "state-1"}, nil
	})
	s.AddResource(&gosdk.Resource{URI: resourceURI, Name: "one"}, func(context.Context, *gosdk.ReadResourceRequest) (*gosdk.ReadResourceResult, error) {
		return &gosdk.ReadResourceResult{Contents: []*gosdk.ResourceContents{{URI: resourceURI, Text: "one"}}}, nil
	})
	s.AddPrompt(&gosdk.Prompt{Name: "hello"}, func(context.Context, *gosdk.GetPromptRequest) (*gosdk.GetPromptResult, error) {
		hello := &gosdk.PromptMessage{Role: "user", Content: &gosdk.TextContent{Text: "hello"}}
		return &gosdk.GetPromptResult{Messages: []*gosdk.PromptMessage{hello}}, nil
	})
	return s
}

// goSDKHandler serves with sessions, which only old revisions have, or without.
func goSDKHandler(stateless bool) http.Handler {
	s := goSDKServer()
	return gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s }, &gosdk.StreamableHTTPOptions{
		Stateless: stateless, PropagateRequestCancellation: true,
	})
}

// commonScript is a conversation with either server in either era.
func commonScript(more ...operation) []operation {
	return append([]operation{
		on("tools", "tools/list", "", ok),
		call(ok, "greet", args{"name": argument}),
		call(toolError, "fail", nil),
		call(rpcError, "no-such-tool", nil),
		progressing(1, call(ok, "count", nil)), // of three: mcp-go's server loses some
		on("resources", "resources/list", "", ok),
		read(ok, resourceURI),
		read(rpcError, "demo://none"),
		on("prompts", "prompts/list", "", ok),
		prompt(ok, "hello", nil),
		prompt(rpcError, "no-such-prompt", nil),
		{Do: "call", Target: "confirm", Args: args{}, Want: ok}, // one or two requests
		cancelling(call(ok, "wait", nil)),
	}, more...)
}

// modernScript is the conversation of revision 2026-07-28.
func modernScript() []operation {
	return commonScript(
		on("listen", "", "", ok),
		on("unlisten", "", "", ok),
	)
}

// legacyScript is the conversation of older revisions.
func legacyScript() []operation {
	return commonScript(
		on("ping", "ping", "", ok),
		asked("elicitation/create", 1),
	)
}
