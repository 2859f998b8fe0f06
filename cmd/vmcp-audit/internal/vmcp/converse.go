package vmcp

import (
	"context"
	"fmt"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// Converse talks to a demo at url as its user alice: it opens a session, looks
// around, calls tools that succeed, fail, do not exist and are denied, reads a
// resource, fetches a prompt, and ends the session. The error is about what
// should have worked.
func Converse(ctx context.Context, url, version string) error {
	c, err := client.NewStreamableHttpClient(url, transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + DemoToken}))
	if err != nil {
		return err
	}
	defer c.Close()
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = "2025-11-25"
	hello.Params.ClientInfo = mcp.Implementation{Name: "demo-client", Version: version}
	if _, err := c.Initialize(ctx, hello); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	if _, err := c.ListTools(ctx, mcp.ListToolsRequest{}); err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	for _, t := range []struct {
		name, note string
		works      bool
	}{{"notes_read", "welcome", true}, {"notes_read", "missing", false}, {"notes_write", "x", false}, {"admin_wipe", "", false}} {
		if err := callTool(ctx, c, t.name, t.note); t.works && err != nil {
			return fmt.Errorf("call %s: %w", t.name, err)
		}
	}
	var read mcp.ReadResourceRequest
	read.Params.URI = "note:///welcome"
	if _, err := c.ReadResource(ctx, read); err != nil {
		return fmt.Errorf("read resource: %w", err)
	}
	var get mcp.GetPromptRequest
	get.Params.Name = "notes_summarize"
	if _, err := c.GetPrompt(ctx, get); err != nil {
		return fmt.Errorf("get prompt: %w", err)
	}
	return nil
}

func callTool(ctx context.Context, c *client.Client, name, note string) error {
	var req mcp.CallToolRequest
	req.Params.Name = name
	req.Params.Arguments = map[string]any{"name": note}
	_, err := c.CallTool(ctx, req)
	return err
}
