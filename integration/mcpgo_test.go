package integration

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// mcpGo is a client of mark3labs/mcp-go. It negotiates the modern revision
// first unless it listens on a GET stream, which only older ones have.
type mcpGo struct {
	driver
	url     string
	listens bool
	http    *recorder

	client   *client.Client
	unlisten func() // ends the subscription
}

// The handlers of what a server may ask; their methods have one name each.
type (
	sampler  struct{ d *driver }
	elicitor struct{ d *driver }
	rooter   struct{ d *driver }
)

func (h sampler) CreateMessage(context.Context, mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	h.d.ask("sampling/createMessage")
	return &mcp.CreateMessageResult{Model: "none", SamplingMessage: mcp.SamplingMessage{
		Role: mcp.RoleAssistant, Content: mcp.NewTextContent("well said"),
	}}, nil
}

func (h elicitor) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	h.d.ask("elicitation/create")
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{
		Action: mcp.ElicitationResponseActionAccept, Content: elicitedContent(),
	}}, nil
}

func (h rooter) ListRoots(context.Context, mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	h.d.ask("roots/list")
	return &mcp.ListRootsResult{Roots: []mcp.Root{{URI: "file:///srv/data", Name: "data"}}}, nil
}

func (c *mcpGo) connect(ctx context.Context) error {
	opts := []transport.StreamableHTTPCOption{
		transport.WithHTTPBasicClient(c.http.httpClient()), transport.WithHTTPLogger(slog.New(slog.DiscardHandler)),
	}
	if c.listens {
		opts = append(opts, transport.WithContinuousListening())
	}
	tr, err := transport.NewStreamableHTTP(c.url, opts...)
	if err != nil {
		return err
	}
	c.client = client.NewClient(tr, client.WithSamplingHandler(sampler{&c.driver}),
		client.WithElicitationHandler(elicitor{&c.driver}), client.WithRootsHandler(rooter{&c.driver}),
		client.WithDiscoverTimeout(patience)) // else a slow answer makes a server a legacy one
	if err := c.client.Start(ctx); err != nil {
		return err
	}
	c.client.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == "notifications/progress" {
			c.tell(n.Params.AdditionalFields["progressToken"])
		}
	})
	_, err = c.client.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{
		ClientInfo: mcp.Implementation{Name: c.http.client, Version: "1.2.1"},
	}})
	return err
}

// isRPC knows a server's error by what it is not: mcp-go has many types for
// them and one for all that went wrong on the way.
func (c *mcpGo) isRPC(err error) bool { return !strings.Contains(err.Error(), "transport error") }

func (c *mcpGo) close() error { return c.client.Close() }

func (c *mcpGo) do(ctx context.Context, op operation) (failed bool, err error) {
	switch op.Do {
	case "call":
		return c.call(ctx, op)
	case "ping":
		err = c.client.Ping(ctx)
	case "tools":
		_, err = c.client.ListTools(ctx, mcp.ListToolsRequest{})
	case "resources":
		_, err = c.client.ListResources(ctx, mcp.ListResourcesRequest{})
	case "templates":
		_, err = c.client.ListResourceTemplates(ctx, mcp.ListResourceTemplatesRequest{})
	case "read":
		_, err = c.client.ReadResource(ctx, mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{URI: op.Target}})
	case "subscribe":
		err = c.client.Subscribe(ctx, mcp.SubscribeRequest{Params: mcp.SubscribeParams{URI: op.Target}})
	case "unsubscribe":
		err = c.client.Unsubscribe(ctx, mcp.UnsubscribeRequest{Params: mcp.UnsubscribeParams{URI: op.Target}})
	case "prompts":
		_, err = c.client.ListPrompts(ctx, mcp.ListPromptsRequest{})
	case "prompt":
		_, err = c.client.GetPrompt(ctx, mcp.GetPromptRequest{Params: mcp.GetPromptParams{Name: op.Target, Arguments: stringArgs(op)}})
	case "complete":
		_, err = c.client.Complete(ctx, mcp.CompleteRequest{Params: mcp.CompleteParams{
			Ref:      op.Ref,
			Argument: mcp.CompleteArgument{Name: text(op.Args["name"]), Value: text(op.Args["value"])},
		}})
	case "level":
		err = c.client.SetLevel(ctx, mcp.SetLevelRequest{Params: mcp.SetLevelParams{Level: mcp.LoggingLevel(op.Target)}})
	case "roots":
		err = c.client.RootListChanges(ctx)
	case "listen":
		c.unlisten, err = c.client.ListenAsync(context.WithoutCancel(ctx), mcp.SubscriptionFilter{ToolsListChanged: true}, nil)
	case "unlisten":
		c.unlisten()
	default:
		err = fmt.Errorf("no operation %q", op.Do)
	}
	return false, err
}

func (c *mcpGo) call(ctx context.Context, op operation) (failed bool, err error) {
	req := mcp.CallToolRequest{Params: mcp.CallToolParams{Name: op.Target, Arguments: op.Args}}
	if op.Progress > 0 {
		req.Params.Meta = &mcp.Meta{ProgressToken: c.present()}
	}
	res, err := c.client.CallTool(ctx, req)
	return err == nil && res.IsError, err
}
