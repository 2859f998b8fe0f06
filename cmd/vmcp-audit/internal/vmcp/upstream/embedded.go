package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// embedded is a session with a mcp-go server in this process. Its handlers run
// in the goroutine and in the context of the call, so that they find the note
// of the audit there.
type embedded struct {
	base   Events
	link   *transport.InProcessTransport
	ids    atomic.Int64
	closed atomic.Bool

	mu    sync.Mutex // guards calls
	calls map[int64]*pending
}

type eventsKey struct{}

func (b *Backend) embed(ctx context.Context, base Events) (*embedded, error) {
	c := &embedded{base: base, calls: make(map[int64]*pending)}
	c.link = transport.NewInProcessTransportWithOptions(b.Server,
		transport.WithSamplingHandler(asker{c}), transport.WithElicitationHandler(asker{c}), transport.WithRootsHandler(asker{c}))
	c.link.SetNotificationHandler(c.notify)
	return c, c.link.Start(context.WithoutCancel(ctx))
}

func (c *embedded) initialize(ctx context.Context, hello Hello) (*Welcome, error) {
	result, err := c.Call(ctx, Request{Method: "initialize", Params: hello.Params}, c.base)
	if err != nil {
		return nil, err
	}
	w, err := welcome(result)
	if err != nil {
		return nil, err
	}
	w.Asks = true
	return w, c.Notify(ctx, "notifications/initialized", nil)
}

func (c *embedded) Call(ctx context.Context, req Request, ev Events) (wire.Raw, error) {
	if c.closed.Load() {
		return nil, &NotRun{ErrBroken}
	}
	id := c.ids.Add(1)
	call := &pending{ev: ev, token: wire.Get(req.Params, "_meta", "progressToken")}
	params := req.Params
	if call.token != nil {
		params = wire.SetIn(params, wire.Raw(strconv.FormatInt(id, 10)), "_meta", "progressToken")
	}
	c.mu.Lock()
	c.calls[id] = call
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
	}()
	in := transport.JSONRPCRequest{JSONRPC: "2.0", ID: mcp.NewRequestId(id), Method: req.Method}
	if params != nil {
		in.Params = params
	}
	resp, err := c.link.SendRequest(context.WithValue(ctx, eventsKey{}, ev), in)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case resp.Error != nil:
		raw, err := json.Marshal(resp.Error)
		if err != nil {
			return nil, err
		}
		return nil, &wire.Error{Raw: raw}
	}
	return resp.Result, nil
}

// notify passes on a notification, with the client's own progress token.
func (c *embedded) notify(n mcp.JSONRPCNotification) {
	raw, err := json.Marshal(n)
	if err != nil {
		return
	}
	m, err := wire.Parse(raw)
	if err != nil {
		return
	}
	if m.Method != "notifications/progress" {
		c.base.Notify(m)
		return
	}
	id, _ := strconv.ParseInt(string(wire.Get(m.Params, "progressToken")), 10, 64)
	c.mu.Lock()
	call := c.calls[id]
	c.mu.Unlock()
	if call != nil && call.token != nil {
		m.Params = wire.Set(m.Params, "progressToken", call.token)
		call.ev.Notify(m)
	}
}

func (c *embedded) Notify(ctx context.Context, method string, params wire.Raw) error {
	var n mcp.JSONRPCNotification
	if err := json.Unmarshal(wire.AppendRequest(nil, nil, method, params), &n); err != nil {
		return err
	}
	return c.link.SendNotification(ctx, n)
}

func (c *embedded) Broken() bool { return c.closed.Load() }

func (c *embedded) Close() {
	c.closed.Store(true)
	_ = c.link.Close()
}

// asker has the client of a call answer what a tool of it asks.
type asker struct{ c *embedded }

func (a asker) ask(ctx context.Context, method string, params, result any) error {
	ev, ok := ctx.Value(eventsKey{}).(Events)
	if !ok {
		ev = a.c.base
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer, rpcErr := ev.Ask(ctx, wire.Message{ID: wire.Raw("0"), Method: method, Params: raw})
	if rpcErr != nil {
		return errors.New(wire.Text(wire.Get(rpcErr.Raw, "message")))
	}
	return json.Unmarshal(answer, result)
}

func (a asker) CreateMessage(ctx context.Context, req mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	var result mcp.CreateMessageResult
	return &result, a.ask(ctx, "sampling/createMessage", req.CreateMessageParams, &result)
}

func (a asker) Elicit(ctx context.Context, req mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	var result mcp.ElicitationResult
	return &result, a.ask(ctx, "elicitation/create", req.Params, &result)
}

func (a asker) ListRoots(ctx context.Context, _ mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	var result mcp.ListRootsResult
	return &result, a.ask(ctx, "roots/list", struct{}{}, &result)
}
