package core

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// hub is a session on behalf of a modern client: those with the same principal,
// capabilities and name share it, since a back end could not tell them apart.
type hub struct {
	*Session
	key   string
	users int         // requests under way; the gateway's mu guards it
	timer *time.Timer // ends it when nobody has used it for a time

	parking parking
	watched map[string]*watched // by URI; the session's mu guards it
}

// Bounds of sessions on behalf of modern clients.
const (
	hubIdle = 5 * time.Minute
	maxHubs = 1000
)

var errHubs = wire.NewError(wire.CodeInternal, "too many clients at a time", nil)

// Stateless carries out a request of revision 2026-07-28. principal tells
// callers apart who must not share anything; it is not stored. The result is
// read when ctx ends, too.
func (g *Gateway) Stateless(ctx context.Context, principal string, req Request, ev upstream.Events) (wire.Raw, error) {
	if req.Method == "server/discover" {
		return g.Discover(), nil
	}
	if removed[req.Method] {
		return nil, wire.NewError(wire.CodeMethodNotFound, "method not found", nil)
	}
	if err := unambiguous(req.Params); err != nil {
		return nil, err
	}
	h, err := g.hub(principal, wire.Get(req.Params, "_meta"))
	if err != nil {
		return nil, err
	}
	defer g.leave(h)
	if req.Method == "subscriptions/listen" {
		return h.listen(ctx, req, ev)
	}
	if mayAsk[req.Method] {
		return h.parkable(ctx, req, ev)
	}
	return h.Call(ctx, req, ev)
}

// removed are methods that revision 2026-07-28 has no more.
var removed = map[string]bool{
	"initialize": true, "ping": true, "logging/setLevel": true, "resources/subscribe": true, "resources/unsubscribe": true,
}

func (g *Gateway) hub(principal string, meta wire.Raw) (*hub, error) {
	capabilities, client := wire.Get(meta, metaCapabilities), wire.Get(meta, metaClient)
	if client == nil {
		client = wire.Raw(`{"name":"unknown","version":""}`)
	}
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(principal), capabilities, client} {
		one := sha256.Sum256(part)
		sum.Write(one[:])
	}
	key := string(sum.Sum(nil))
	g.mu.Lock()
	h := g.hubs[key]
	full := len(g.hubs) >= maxHubs
	if h != nil {
		h.users++
	}
	g.mu.Unlock()
	switch {
	case h != nil:
		return h, nil
	case full:
		return nil, errHubs
	}
	hello := wire.Set(nil, "protocolVersion", wire.Quote(upstream.Newest))
	hello = wire.Set(wire.Set(hello, "capabilities", capabilities), "clientInfo", client)
	listeners := newListeners()
	s, err := g.newSession(hello, true, listeners)
	if err != nil {
		return nil, err
	}
	h = &hub{Session: s, key: key, users: 1}
	h.timer = time.AfterFunc(hubIdle, func() { g.retire(h) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if other := g.hubs[key]; other != nil { // somebody was faster
		other.users++
		h.timer.Stop()
		go s.Close()
		return other, nil
	}
	g.hubs[key] = h
	return h, nil
}

// hold keeps a hub from being retired until leave.
func (g *Gateway) hold(h *hub) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h.users++
}

func (g *Gateway) leave(h *hub) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h.users--
	h.timer.Reset(hubIdle)
}

// retire ends a hub that nobody uses.
func (g *Gateway) retire(h *hub) {
	g.mu.Lock()
	busy := h.users > 0
	if !busy {
		delete(g.hubs, h.key)
	}
	g.mu.Unlock()
	if busy {
		h.timer.Reset(hubIdle)
		return
	}
	h.Close()
}

// maxRounds bounds how often a back end may answer one call with questions.
const maxRounds = 16

var errRounds = wire.NewError(wire.CodeInternal, "the back end asks without an end", nil)

// askStateless sends a legacy client's call to a back end that speaks only
// revision 2026-07-28. What that wants to know it says in its result; the client
// is asked, and the call repeated with the answers.
func (s *Session) askStateless(ctx context.Context, m *member, req upstream.Request, ev upstream.Events) (wire.Raw, error) {
	s.mirror(&req, m)
	req.Params = wire.Set(req.Params, "_meta", s.statelessMeta(req.Params))
	if req.Method == "resources/subscribe" || req.Method == "resources/unsubscribe" {
		return wire.Raw("{}"), nil // the session's stream follows it
	}
	for range maxRounds {
		result, err := m.stateless.Call(ctx, req, ev)
		if err != nil || wire.Text(wire.Get(result, "resultType")) != "input_required" {
			return result, err
		}
		answers, err := answerAll(ctx, wire.Get(result, "inputRequests"), ev)
		if err != nil {
			return nil, err
		}
		req.Params = wire.Set(req.Params, "inputResponses", answers)
		if state := wire.Get(result, "requestState"); state != nil {
			req.Params = wire.Set(req.Params, "requestState", state)
		}
	}
	return nil, errRounds
}

// answerAll asks a legacy client one thing after the other.
func answerAll(ctx context.Context, requests wire.Raw, ev upstream.Events) (wire.Raw, error) {
	answers := wire.Raw("{}")
	var failed error
	wire.Members(requests, func(key string, q wire.Raw) {
		if failed != nil {
			return
		}
		result, rpcErr := ev.Ask(ctx, wire.Message{ID: wire.Raw("0"), Method: wire.Text(wire.Get(q, "method")), Params: wire.Get(q, "params")})
		if rpcErr != nil {
			failed = rpcErr
			return
		}
		answers = wire.Set(answers, key, result)
	})
	return answers, failed
}

// statelessMeta is the _meta of a legacy client's call with what each request
// of revision 2026-07-28 says.
func (s *Session) statelessMeta(params wire.Raw) wire.Raw {
	meta := wire.Set(wire.Get(params, "_meta"), metaVersion, wire.Quote(upstream.Modern))
	meta = wire.Set(meta, metaCapabilities, wire.Get(s.hello, "capabilities"))
	meta = wire.Set(meta, metaClient, wire.Get(s.hello, "clientInfo"))
	s.mu.Lock()
	level := wire.Get(s.level, "level")
	s.mu.Unlock()
	if level != nil {
		meta = wire.Set(meta, metaLogLevel, level)
	}
	return meta
}

// mirror adds the headers for arguments that a tool wants in headers, which a
// legacy client does not know.
func (s *Session) mirror(req *upstream.Request, m *member) {
	if req.Method != "tools/call" {
		return
	}
	name := wire.Text(wire.Get(req.Params, "name"))
	st := m.state()
	for _, raw := range st.lists[tools] {
		if wire.Text(wire.Get(raw, "name")) != name {
			continue
		}
		tool := mcp.Tool{RawInputSchema: wire.Get(raw, "inputSchema")}
		for header, value := range mcp.GenerateParamHeaders(&tool, req.Params) {
			req.Header.Set(header, value)
		}
		return
	}
}
