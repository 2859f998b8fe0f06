package front

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// bridge speaks to the front for a client of another transport: each message
// of the client becomes a request to a handler in this process, the audited
// one, so that there is one way in for everybody. What comes back goes to out.
type bridge struct {
	f        *Front
	messages http.Handler // takes messages
	via      string       // transport
	path     string       // that the trail names
	out      func(message []byte) error

	ctx    context.Context
	end    context.CancelFunc
	stream sync.WaitGroup // of what belongs to no request
	calls  sync.WaitGroup // of the client's messages
	run    chan struct{}  // holds one entry for each request under way

	mu        sync.Mutex // guards what follows
	closed    bool       // no message is taken any more
	session   string
	version   string                        // that it speaks
	stateless string                        // revision of the requests that name one
	modern    map[string]context.CancelFunc // those of them under way, by id
}

// origin is the HTTP request by which a message came, if it did.
type origin struct {
	header http.Header
	host   string
	remote string // address of the client
}

const maxBridged = 256 // requests of one client under way

func newBridge(ctx context.Context, f *Front, messages http.Handler) *bridge {
	b := &bridge{f: f, messages: messages, run: make(chan struct{}, maxBridged), modern: make(map[string]context.CancelFunc)}
	b.ctx, b.end = context.WithCancel(ctx)
	return b
}

// take carries out a message of the client, and reports whether it does. What
// others may depend on is done when it returns, the rest goes on by itself.
func (b *bridge) take(message []byte, from origin) bool {
	m, err := wire.Parse(message)
	if err != nil {
		m = wire.Message{}
	}
	if !b.enter() {
		return false
	}
	if !m.Request() || m.Method == "initialize" {
		defer b.calls.Done()
		b.post(b.ctx, message, m, from)
		return true
	}
	select {
	case b.run <- struct{}{}:
	case <-b.f.draining:
		b.calls.Done()
		return false
	case <-b.ctx.Done():
		b.calls.Done()
		return false
	}
	ctx, done := b.begin(m)
	go func() {
		defer b.calls.Done()
		defer func() { <-b.run }()
		defer done()
		b.post(ctx, message, m, from)
	}()
	return true
}

// enter counts a message as under way, unless the bridge is to end.
func (b *bridge) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.calls.Add(1)
	}
	return !b.closed
}

// begin returns the context of a request, until done is called. The end of that
// is what cancels one of revision 2026-07-28.
func (b *bridge) begin(m wire.Message) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(b.ctx)
	id, version := wire.IDKey(m.ID), revision(m)
	b.mu.Lock()
	defer b.mu.Unlock()
	if version == "" || b.modern[id] != nil {
		return ctx, cancel
	}
	b.stateless, b.modern[id] = version, cancel
	return ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.modern, id)
		cancel()
	}
}

// notified returns what a notification says by what went before it: the revision
// that it belongs to, "" for that of the session, and the end of the request that
// it cancels. There is no connection whose end could say that.
func (b *bridge) notified(m wire.Message) (version string, end context.CancelFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Method == "notifications/cancelled" {
		end = b.modern[wire.IDKey(wire.Get(m.Params, "requestId"))]
	}
	if end != nil || b.session == "" {
		version = b.stateless
	}
	return version, end
}

func (b *bridge) request(ctx context.Context, body []byte, from origin) *http.Request {
	r, err := http.NewRequestWithContext(middleware.Via(ctx, b.via), http.MethodPost, b.path, io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		panic(err) // the path is ours
	}
	r.RemoteAddr, r.RequestURI, r.Host, r.ContentLength = from.remote, b.path, from.host, int64(len(body))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	maps.Copy(r.Header, from.header)
	for _, name := range []string{mcp.HeaderSessionID, mcp.HeaderProtocolVersion, mcp.HeaderMethod, mcp.HeaderName} {
		r.Header.Del(name) // ours to say
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != "" {
		r.Header.Set(mcp.HeaderSessionID, b.session)
		r.Header.Set(mcp.HeaderProtocolVersion, b.version)
	}
	return r
}

// post has one message carried out.
func (b *bridge) post(ctx context.Context, message []byte, m wire.Message, from origin) {
	r := b.request(ctx, message, from)
	version := revision(m)
	if m.Notification() {
		before, end := b.notified(m)
		version = cmp.Or(version, before)
		if end != nil {
			defer end()
		}
	}
	if version != "" {
		r.Header.Del(mcp.HeaderSessionID)
		r.Header.Set(mcp.HeaderProtocolVersion, version)
		for name, value := range mcp.StandardHeaders(version, mcp.MCPMethod(m.Method), m.Params) {
			r.Header.Set(name, value)
		}
	}
	w := &bridged{b: b, header: make(http.Header), message: m}
	b.messages.ServeHTTP(w, r)
	w.finish()
}

// began is told of the session that an initialize has begun, before the answer
// to it goes out.
func (b *bridge) began(h http.Header, answer wire.Message) {
	id := h.Get(mcp.HeaderSessionID)
	if id == "" {
		return
	}
	b.mu.Lock()
	b.session, b.version = id, wire.Text(wire.Get(answer.Result, "protocolVersion"))
	b.mu.Unlock()
	b.stream.Go(func() { b.f.attach(b.ctx, &bridged{b: b, header: make(http.Header)}, id) })
}

// finish takes no more messages, and waits for the answers that are under way,
// unless the end comes first.
func (b *bridge) finish() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	done := make(chan struct{})
	go func() { b.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-b.ctx.Done():
	}
}

// close ends the session and waits until nothing of it runs.
func (b *bridge) close(why emitter.Reason) {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.leave(why)
	b.end()
	b.calls.Wait()
	b.leave(why) // a session that has begun meanwhile
	b.stream.Wait()
}

func (b *bridge) leave(why emitter.Reason) {
	b.mu.Lock()
	id := b.session
	b.session = ""
	b.mu.Unlock()
	b.f.end(id, why)
}
