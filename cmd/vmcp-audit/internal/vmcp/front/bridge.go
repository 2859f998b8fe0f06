package front

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// bridge speaks to the front for a client of another transport: each message
// of the client becomes a request to a handler in this process, the audited
// one, so that there is one way in for everybody. What comes back goes to out.
type bridge struct {
	messages http.Handler // takes messages
	streams  http.Handler // has the GET stream
	via      string       // transport
	path     string       // that the trail names
	remote   string       // address of the client
	host     string       // that it asked for
	header   http.Header  // of the client's own request; nil for none
	out      func(message []byte) error

	ctx   context.Context
	end   context.CancelFunc
	wg    sync.WaitGroup
	calls sync.WaitGroup // of the client's requests
	run   chan struct{}  // holds one entry for each request under way

	mu      sync.Mutex // guards what follows
	session string
	version string
}

const maxBridged = 256 // requests of one client under way

func newBridge(ctx context.Context, messages, streams http.Handler) *bridge {
	b := &bridge{messages: messages, streams: streams, run: make(chan struct{}, maxBridged)}
	b.ctx, b.end = context.WithCancel(ctx)
	return b
}

// take carries out a message of the client. What others may depend on it waits
// for, the rest goes on by itself.
func (b *bridge) take(message []byte, header http.Header) {
	m, err := wire.Parse(message)
	if err != nil || !m.Request() || m.Method == "initialize" {
		b.post(message, m, header)
		return
	}
	select {
	case b.run <- struct{}{}:
	case <-b.ctx.Done():
		return
	}
	b.calls.Go(func() {
		defer func() { <-b.run }()
		b.post(message, m, header)
	})
}

func (b *bridge) request(method string, body []byte, header http.Header) *http.Request {
	ctx := middleware.Via(b.ctx, b.via)
	r, err := http.NewRequestWithContext(ctx, method, b.path, io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		panic(err) // the path is ours
	}
	r.RemoteAddr, r.RequestURI, r.Host, r.ContentLength = b.remote, b.path, b.host, int64(len(body))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	maps.Copy(r.Header, b.header)
	maps.Copy(r.Header, header)
	for _, name := range []string{mcp.HeaderSessionID, mcp.HeaderProtocolVersion, mcp.HeaderMethod, mcp.HeaderName} {
		r.Header.Del(name) // ours to say
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != "" {
		r.Header.Set(mcp.HeaderSessionID, b.session)
		r.Header.Set(mcp.HeaderProtocolVersion, b.version)
	}
	return r
}

// post has one message carried out.
func (b *bridge) post(message []byte, m wire.Message, header http.Header) {
	r := b.request(http.MethodPost, message, header)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if v := wire.Text(wire.Get(m.Params, "_meta", metaPrefix+"protocolVersion")); v != "" {
		r.Header.Del(mcp.HeaderSessionID)
		r.Header.Set(mcp.HeaderProtocolVersion, v)
		for name, value := range mcp.StandardHeaders(v, mcp.MCPMethod(m.Method), m.Params) {
			r.Header.Set(name, value)
		}
	}
	w := &bridged{b: b, header: make(http.Header), id: m.ID}
	if m.Method == "initialize" {
		w.began = b.began
	}
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
	old := b.session
	b.session, b.version = id, wire.Text(wire.Get(answer.Result, "protocolVersion"))
	b.mu.Unlock()
	if old != "" {
		return // the stream goes on with it until the end
	}
	b.wg.Go(func() {
		r := b.request(http.MethodGet, nil, nil)
		r.Header.Set("Accept", "text/event-stream")
		b.streams.ServeHTTP(&bridged{b: b, header: make(http.Header)}, r)
	})
}

// close ends the session and waits until nothing of it runs.
func (b *bridge) close() {
	b.mu.Lock()
	open := b.session != ""
	b.mu.Unlock()
	if open {
		r := b.request(http.MethodDelete, nil, nil)
		r = r.WithContext(context.WithoutCancel(r.Context()))
		b.messages.ServeHTTP(&bridged{b: b, header: make(http.Header)}, r)
	}
	b.end()
	b.calls.Wait()
	b.wg.Wait()
}

// bridged is the answer to one request over a bridge.
type bridged struct {
	b      *bridge
	id     wire.Raw // of the request, nil for none
	header http.Header
	began  func(http.Header, wire.Message)

	status int
	body   bytes.Buffer // JSON, or what is left of a stream
	said   bool         // something was passed on
}

func (w *bridged) Header() http.Header { return w.header }

// Flush does nothing: what is written has been passed on.
func (w *bridged) Flush() {}

func (w *bridged) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *bridged) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.body.Write(p)
	if w.header.Get("Content-Type") != "text/event-stream" {
		return len(p), nil
	}
	for {
		event, rest, whole := bytes.Cut(w.body.Bytes(), []byte("\n\n"))
		if !whole {
			return len(p), nil
		}
		if _, data, ok := bytes.Cut(event, []byte("data: ")); ok {
			if err := w.pass(bytes.Clone(data)); err != nil {
				return 0, err
			}
		}
		w.body.Next(w.body.Len() - len(rest))
	}
}

func (w *bridged) pass(message []byte) error {
	w.said = true
	return w.b.out(message)
}

// finish passes a JSON answer on. What is none, as a refusal in plain text, is
// told as an error to the request.
func (w *bridged) finish() {
	if w.header.Get("Content-Type") == "text/event-stream" {
		return
	}
	m, err := wire.Parse(w.body.Bytes())
	switch {
	case err == nil && m.Response() || w.body.Len() > 0 && bytes.Contains(w.body.Bytes(), []byte(`"id":null`)):
		if w.began != nil {
			w.began(w.header, m)
		}
		_ = w.pass(bytes.TrimSpace(w.body.Bytes()))
	case w.id != nil && !w.said && w.b.ctx.Err() == nil && w.status >= 300:
		_ = w.pass(wire.AppendError(nil, w.id, wire.NewError(wire.CodeInternal, http.StatusText(w.status), nil)))
	}
}
