package core

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Request is what a client asks for.
type Request struct {
	ID     wire.Raw // the client's
	Method string
	Params wire.Raw
	Header http.Header // of its HTTP request; nil for none
}

// Session is one client's, or one that the gateway holds on behalf of modern
// clients, which have none. It is safe for concurrent use.
type Session struct {
	g      *Gateway
	client upstream.Events // takes what belongs to no call
	hello  wire.Raw        // params of initialize, as legacy back ends get them
	modern bool
	ctx    context.Context
	end    context.CancelFunc

	mu       sync.Mutex // guards what follows
	closed   bool
	links    map[*member]*link
	lists    [kinds]*catalogue // nil: not asked for yet, or changed since
	changes  [kinds]int        // how often each list was found to be old
	level    wire.Raw          // params of the last logging/setLevel
	calls    map[string]context.CancelCauseFunc
	tasks    tasks
	asked    int                            // questions with a progress token, so far
	tokens   map[string]token               // by ours, of the questions under way
	followed map[string]*member             // resources that are subscribed to, by URI
	streams  map[*member]context.CancelFunc // on which stateless back ends tell of them
	owner    *emitter.Event                 // says whose session it is; nil: nobody has called yet, or it is of many
}

// token is the progress token that a back end gave to a question.
type token struct {
	m   *member
	its wire.Raw
}

// link is a session's own session with a legacy back end.
type link struct {
	patience patience
	posts    posts

	opening chan struct{} // holds one entry while it is used to open

	mu    sync.Mutex // guards what follows
	conn  upstream.Conn
	level level // that it was told for modern clients
	calls map[*callEvents]struct{}
}

// begin notes that a call is under way until the returned function is called.
func (l *link) begin(c *callEvents) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = make(map[*callEvents]struct{})
	}
	l.calls[c] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.calls, c)
	}
}

// only returns the call that is under way, nil if there is none or several.
func (l *link) only() *callEvents {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) != 1 {
		return nil
	}
	for c := range l.calls {
		return c
	}
	return nil
}

func (l *link) get() upstream.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.Broken() {
		return nil
	}
	return l.conn
}

// put sets the connection and returns the one before.
func (l *link) put(c upstream.Conn) upstream.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.conn
	l.conn, l.level = c, everything
	return old
}

// ErrClosed says that the gateway takes no more sessions.
var ErrClosed = errors.New("the gateway is closed")

func (g *Gateway) newSession(hello wire.Raw, modern bool, client upstream.Events) (*Session, error) {
	s := &Session{
		g: g, client: client, hello: hello, modern: modern,
		links: make(map[*member]*link), calls: make(map[string]context.CancelCauseFunc),
	}
	s.ctx, s.end = context.WithCancel(g.ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refusing {
		s.end()
		return nil, ErrClosed
	}
	g.sessions[s] = struct{}{}
	return s, nil
}

// Close ends the session and its calls. What it has opened at back ends is
// closed in the background.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.end() // first: what is opened from now on is closed by who opens it
	var open []upstream.Conn
	for _, l := range s.links {
		if c := l.put(nil); c != nil {
			open = append(open, c)
		}
	}
	s.mu.Unlock()
	s.g.mu.Lock()
	delete(s.g.sessions, s)
	closed := s.g.closed
	if len(open) > 0 && !closed {
		s.g.wg.Go(func() {
			defer s.g.turn()()
			closeAll(open)
		})
	}
	s.g.mu.Unlock()
	if closed {
		closeAll(open)
	}
}

func closeAll(conns []upstream.Conn) {
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(c.Close)
	}
	wg.Wait()
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// has reports whether the session has a session of its own with m.
func (s *Session) has(m *member) bool {
	s.mu.Lock()
	l := s.links[m]
	s.mu.Unlock()
	return l != nil && l.get() != nil
}

func (s *Session) link(m *member) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	l := s.links[m]
	if l == nil {
		l = &link{opening: make(chan struct{}, 1)}
		s.links[m] = l
	}
	return l, nil
}

// conn returns the session with a legacy back end, and opens it if there is
// none. One caller opens, the others wait for it as long as they like.
func (s *Session) conn(ctx context.Context, m *member) (upstream.Conn, error) {
	l, err := s.link(m)
	if err != nil {
		return nil, err
	}
	if c := l.get(); c != nil {
		return c, nil
	}
	select {
	case l.opening <- struct{}{}:
		defer func() { <-l.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c := l.get(); c != nil {
		return c, nil
	}
	c, _, err := m.Open(ctx, upstream.Hello{Params: s.hello}, &base{s, m, l})
	if err != nil {
		return nil, notRun(err) // only the handshake may have
	}
	s.discard(l.put(c))
	if s.ctx.Err() != nil { // it was closed meanwhile
		s.discard(l.put(nil))
		return nil, ErrClosed
	}
	s.restore(ctx, m, c)
	return c, nil
}

func notRun(err error) error {
	if _, ok := errors.AsType[*upstream.NotRun](err); ok {
		return err
	}
	return &upstream.NotRun{Err: err}
}

func (s *Session) discard(c upstream.Conn) {
	if c != nil && !s.g.background(c.Close) {
		c.Close()
	}
}

// restore tells a new session what the client has set.
func (s *Session) restore(ctx context.Context, m *member, c upstream.Conn) {
	s.mu.Lock()
	level := s.level
	var uris []string
	for uri, of := range s.followed {
		if of == m {
			uris = append(uris, uri)
		}
	}
	s.mu.Unlock()
	st := m.state()
	if level != nil && st.can("logging") {
		_, _ = c.Call(ctx, upstream.Request{Method: "logging/setLevel", Params: level}, upstream.Nobody)
	}
	for _, uri := range uris {
		_, _ = c.Call(ctx, upstream.Request{Method: "resources/subscribe", Params: wire.Set(nil, "uri", wire.Quote(uri))}, upstream.Nobody)
	}
}

// changed marks a list as old and tells the client.
func (s *Session) changed(method string) {
	s.stale(method)
	s.client.Notify(wire.Message{Method: method})
}

func (s *Session) stale(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range kinds {
		if listings[k].changed == method {
			s.lists[k] = nil
			s.changes[k]++
		}
	}
}

// Notify takes a notification of the client, unless readers could see different
// ones in it: then the trail could tell of another cancel than the one that
// happened.
func (s *Session) Notify(method string, params wire.Raw) *wire.Error {
	if _, err := wire.Pick(params, "requestId", "progressToken", "_meta"); err != nil {
		return wire.NewError(wire.CodeInvalidParams, err.Error(), nil)
	}
	switch method {
	case "notifications/initialized":
	case "notifications/cancelled":
		s.mu.Lock()
		cancel := s.calls[wire.IDKey(wire.Get(params, "requestId"))]
		s.mu.Unlock()
		if cancel != nil {
			cancel(&upstream.Cancelled{Reason: wire.Get(params, "reason")})
		}
	case "notifications/progress":
		s.mu.Lock()
		t, known := s.tokens[wire.IDKey(wire.Get(params, "progressToken"))]
		s.mu.Unlock()
		if known {
			s.pass(t.m, method, wire.Set(params, "progressToken", t.its))
		}
	default:
		for _, m := range s.g.members {
			s.pass(m, method, params)
		}
	}
	return nil
}

// under returns the context of a call: with the values of ctx, ended by the
// session or by a cancel of the client. A legacy client's lost connection ends
// nothing.
func (s *Session) under(ctx context.Context, id wire.Raw) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })
	key := wire.IDKey(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, twice := s.calls[key]
	if !twice {
		s.calls[key] = cancel
	}
	return ctx, func() {
		stop()
		cancel(nil)
		if !twice {
			s.mu.Lock()
			delete(s.calls, key)
			s.mu.Unlock()
		}
	}
}

// base takes what a back end sends of its own accord and of no call.
type base struct {
	s *Session
	m *member
	l *link
}

func (b *base) Notify(n wire.Message) {
	if c := b.l.only(); c != nil && b.s.modern && n.Method == "notifications/message" {
		c.Notify(n) // a modern client hears of a log nowhere else
		return
	}
	b.s.stale(n.Method)
	b.s.client.Notify(n)
}

// Ask asks the client of the one call that is under way: many servers ask about
// a call on the stream that is for everything else. If there are none or several
// the question belongs to none.
func (b *base) Ask(ctx context.Context, q wire.Message) (wire.Raw, *wire.Error) {
	if c := b.l.only(); c != nil {
		return c.Ask(ctx, q)
	}
	return b.s.ask(ctx, b.s.ctx, b.m, b.s.client, q)
}
