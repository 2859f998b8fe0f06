// Package vmcp is the virtual MCP server: one endpoint over many back ends.
//
// A request passes, from the outside in: front (sessions, eras, streams), core
// (which back end, under which name), upstream (the back end's transport).
// health watches the back ends, aggregate makes one list of several, wire reads
// messages. The audit middleware goes around the handler.
package vmcp

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/front"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
)

// Options of a server.
type Options struct {
	Core  core.Options
	Front front.Options
	// Authenticate, if it is set, goes around the endpoints, within the audit.
	Authenticate func(http.Handler) http.Handler
	// Allowed origins and names, see [front.Guard].
	Allowed front.Allowed
}

// Server is a virtual MCP server. It is safe for concurrent use.
type Server struct {
	opt   Options
	core  *core.Gateway
	front *front.Front
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// New returns a server over back ends. Nothing runs yet.
func New(backends []*upstream.Backend, opt Options) *Server {
	g := core.New(backends, opt.Core)
	s := &Server{opt: opt, core: g, front: front.New(g, opt.Front)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Start looks at the back ends and begins to serve.
func (s *Server) Start() {
	s.core.Start()
	s.wg.Go(func() { s.front.Run(s.ctx) })
}

// Ambiguous returns an error that names what nobody can call because several
// back ends would have the name. Ask it after Start.
func (s *Server) Ambiguous() error { return s.core.Ambiguous() }

// Handler returns the endpoints for a server that listens on local: /mcp, and
// /sse with /message for clients of revision 2024-11-05. wrap, the audit, goes
// around everything.
func (s *Server) Handler(local net.Addr, wrap func(http.Handler) http.Handler) http.Handler {
	guarded := func(h http.Handler) http.Handler {
		return wrap(front.Guard(s.authenticated(h), local, s.opt.Allowed))
	}
	messages := guarded(s.front)
	sse := s.front.SSE(messagePath, messages)
	mux := http.NewServeMux()
	mux.Handle("/mcp", messages)
	mux.Handle("/sse", guarded(http.HandlerFunc(sse.Stream)))
	mux.HandleFunc(messagePath, sse.Message) // what it makes of a message is audited
	mux.Handle("/", wrap(http.NotFoundHandler()))
	return mux
}

const messagePath = "/message"

// Stdio serves one client by in and out until in ends or ctx does; then calls
// under way have drain.
func (s *Server) Stdio(ctx context.Context, in io.Reader, out io.Writer, wrap func(http.Handler) http.Handler, drain time.Duration) error {
	return s.front.Stdio(ctx, in, out, wrap(s.authenticated(s.front)), drain)
}

func (s *Server) authenticated(h http.Handler) http.Handler {
	if s.opt.Authenticate == nil {
		return h
	}
	return s.opt.Authenticate(h)
}

// Drain ends the streams that no call waits for and the questions to clients,
// and takes no new sessions.
func (s *Server) Drain() { s.front.Drain() }

// Abort ends all sessions, and with them the calls under way.
func (s *Server) Abort() {
	s.front.Drain()
	s.stop()
	s.core.Abort()
}

// Close ends all sessions and waits for what they have begun.
func (s *Server) Close() {
	s.Abort()
	s.wg.Wait()
	s.core.Close()
}
