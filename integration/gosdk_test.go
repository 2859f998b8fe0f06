package integration

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// goSDK is a client of the official Go SDK. It negotiates the modern revision
// first unless legacy is set.
type goSDK struct {
	driver
	url    string
	legacy bool
	http   *recorder

	client  *mcp.Client
	session *mcp.ClientSession
}

func (c *goSDK) connect(ctx context.Context) (err error) {
	c.tellsCancels = true
	c.client = mcp.NewClient(&mcp.Implementation{Name: c.http.client, Version: "1.8.0"}, &mcp.ClientOptions{
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			c.ask("sampling/createMessage")
			return &mcp.CreateMessageResult{Role: "assistant", Model: "none", Content: &mcp.TextContent{Text: "well said"}}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			c.ask("elicitation/create")
			return &mcp.ElicitResult{Action: "accept", Content: elicitedContent()}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) { c.tell(req.Params.ProgressToken) },
	})
	c.client.AddRoots(&mcp.Root{URI: "file:///srv/data", Name: "data"})
	c.client.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "roots/list" {
				c.ask(method)
			}
			return next(ctx, method, req)
		}
	})
	opt := &mcp.ClientSessionOptions{}
	if c.legacy {
		opt.ProtocolVersion = "2025-11-25"
	}
	c.session, err = c.client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: c.url, HTTPClient: c.http.httpClient()}, opt)
	return err
}

func (c *goSDK) isRPC(err error) bool {
	_, is := errors.AsType[*jsonrpc.Error](err)
	return is
}

func (c *goSDK) close() error { return c.session.Close() }

func (c *goSDK) do(ctx context.Context, op operation) (failed bool, err error) {
	s := c.session
	switch op.Do {
	case "call":
		return c.call(ctx, op)
	case "ping":
		err = s.Ping(ctx, nil)
	case "tools":
		_, err = s.ListTools(ctx, nil)
	case "resources":
		_, err = s.ListResources(ctx, nil)
	case "templates":
		_, err = s.ListResourceTemplates(ctx, nil)
	case "read":
		_, err = s.ReadResource(ctx, &mcp.ReadResourceParams{URI: op.Target})
	case "subscribe":
		err = s.Subscribe(ctx, &mcp.SubscribeParams{URI: op.Target})
	case "unsubscribe":
		err = s.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: op.Target})
	case "prompts":
		_, err = s.ListPrompts(ctx, nil)
	case "prompt":
		_, err = s.GetPrompt(ctx, &mcp.GetPromptParams{Name: op.Target, Arguments: stringArgs(op)})
	case "complete":
		_, err = s.Complete(ctx, &mcp.CompleteParams{
			Ref:      &mcp.CompleteReference{Type: text(op.Ref["type"]), Name: text(op.Ref["name"]), URI: text(op.Ref["uri"])},
			Argument: mcp.CompleteParamsArgument{Name: text(op.Args["name"]), Value: text(op.Args["value"])},
		})
	case "level":
		err = s.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(op.Target)})
	case "roots":
		c.client.AddRoots(&mcp.Root{URI: "file:///srv/more", Name: "more"})
	case "listen":
		err = s.Subscribe(ctx, &mcp.SubscribeParams{URI: resourceURI})
	case "unlisten":
		err = s.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: resourceURI})
	default:
		err = fmt.Errorf("no operation %q", op.Do)
	}
	return false, err
}

func (c *goSDK) call(ctx context.Context, op operation) (failed bool, err error) {
	params := &mcp.CallToolParams{Name: op.Target, Arguments: op.Args}
	if op.Progress > 0 {
		params.Meta = mcp.Meta{}
		params.SetProgressToken(c.present())
	}
	res, err := c.session.CallTool(ctx, params)
	return err == nil && res.IsError, err
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// stringArgs returns the arguments of a prompt, which are strings.
func stringArgs(op operation) map[string]string {
	if op.Args == nil {
		return nil
	}
	out := make(map[string]string)
	for name, value := range op.Args {
		out[name] = text(value)
	}
	return out
}
