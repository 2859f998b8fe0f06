package core

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// exchange sends a call to a back end and waits for the answer as long as the
// configuration says.
func (s *Session) exchange(ctx context.Context, m *member, req Request, ev upstream.Events) (wire.Raw, error) {
	l, err := s.link(m)
	if err != nil {
		return nil, err
	}
	limit := m.Timeout
	if req.Method == "tasks/result" { // whose answer comes when the task has ended
		limit = 0
	}
	ctx, done := l.patience.bound(ctx, limit)
	defer done()
	result, err := s.inEra(ctx, m, req, ev)
	if _, said := errors.AsType[*wire.Error](err); err != nil && !said && errors.Is(context.Cause(ctx), errSlow) {
		err = errSlow // whatever a transport makes of the end of ctx
	}
	return result, err
}

// inEra sends a call in an era that both sides speak if there is one, and
// returns the result as the client's era has it.
func (s *Session) inEra(ctx context.Context, m *member, req Request, ev upstream.Events) (wire.Raw, error) {
	st := m.state()
	out := upstream.Request{Method: req.Method, Params: req.Params, Header: passed(req.Header)}
	about := &callEvents{s: s, m: m, ctx: ctx, ev: ev}
	switch {
	case s.modern && st.modern != nil:
		return m.stateless.Call(ctx, out, about)
	case st.legacy == nil && st.modern != nil:
		return s.askStateless(ctx, m, out, about)
	case s.modern && wire.Get(req.Params, "requestState") != nil:
		return nil, errState // of a call that is over: here it would run once more
	case s.modern:
		about.logs = wanted(req.Params)
		out.Params = older(out.Params)
	}
	l, err := s.link(m)
	if err != nil {
		return nil, err
	}
	about.l = l
	defer l.begin(about)()
	result, err := s.legacyCall(ctx, m, out, about)
	if err == nil && s.modern {
		result = newer(req.Method, result)
	}
	return result, err
}

// newer adds to a result what revision 2026-07-28 wants of it. A resource of
// which its back end does not say how long it may be kept may not be kept.
func newer(method string, result wire.Raw) wire.Raw {
	switch {
	case method == "resources/read":
		return complete(result, wire.Raw("0"), wire.Raw(`"private"`))
	case wire.Get(result, "resultType") == nil:
		return wire.Set(result, "resultType", wire.Raw(`"complete"`))
	}
	return result
}

// legacyCall sends a call over the session's own session. If the back end has
// lost that, nothing has run: a new one is opened and the call sent again, once.
func (s *Session) legacyCall(ctx context.Context, m *member, req upstream.Request, about *callEvents) (wire.Raw, error) {
	for again := false; ; again = true {
		conn, err := s.conn(ctx, m)
		if err != nil {
			return nil, err
		}
		s.tellWanted(ctx, m, conn, about.logs)
		result, err := conn.Call(ctx, req, about)
		_, unsent := errors.AsType[*upstream.NotRun](err)
		if !unsent || again || !conn.Broken() {
			return result, err
		}
		s.g.log.Info("a back end has lost a session; a new one is opened", "backend", m.Name)
	}
}

// older takes out what only requests of revision 2026-07-28 say, by which a
// server that speaks both eras would tell the era.
func older(params wire.Raw) wire.Raw {
	meta := wire.Get(params, "_meta")
	if meta == nil {
		return params
	}
	return wire.Set(params, "_meta", wire.Without(meta, metaVersion, metaClient, metaCapabilities, metaLogLevel))
}

// passed are the headers of a client's request that a back end gets: those that
// mirror arguments, and those that continue a trace. A token is for us alone.
func passed(h http.Header) http.Header {
	out := make(http.Header)
	for name, values := range h {
		if name == "Traceparent" || name == "Tracestate" || strings.HasPrefix(name, "Mcp-Param-") {
			out[name] = values
		}
	}
	return out
}

// callEvents takes what a back end sends about a call.
type callEvents struct {
	s   *Session
	m   *member
	l   *link           // that the call goes over; nil: none
	ctx context.Context // of the call
	ev  upstream.Events

	logs level // the least that a modern client wants to hear; all if it is not set
}

func (c *callEvents) Notify(n wire.Message) {
	for k := range kinds {
		if n.Method == listings[k].changed {
			c.s.changed(n.Method) // about no call, whatever stream it came on
			return
		}
	}
	if n.Method != "notifications/message" || c.logs.wants(n.Params) && c.sure() {
		c.ev.Notify(n)
	}
}

// sure reports whether a question or log message is about the call. Over stdio
// and HTTP+SSE that is a guess, and a session on behalf of modern clients may have
// calls of several people: one must not get what is about another one's.
func (c *callEvents) sure() bool {
	guessed := c.m.Via() == string(upstream.Stdio) || c.m.Via() == string(upstream.SSE)
	return !c.s.modern || !guessed || c.l == nil || c.l.only() == c
}

func (c *callEvents) Ask(ctx context.Context, q wire.Message) (wire.Raw, *wire.Error) {
	if !c.sure() {
		return c.s.ask(ctx, c.s.ctx, c.m, upstream.Nobody, q)
	}
	return c.s.ask(ctx, c.ctx, c.m, c.ev, q)
}

// ask passes a question of a back end on and tells the trail, as an event that
// belongs to the operation of about.
func (s *Session) ask(ctx, about context.Context, m *member, ev upstream.Events, q wire.Message) (wire.Raw, *wire.Error) {
	if its := wire.Get(q.Params, "_meta", "progressToken"); its != nil {
		ours, forget := s.lend(token{m, its})
		defer forget()
		q.Params = wire.SetIn(q.Params, ours, "_meta", "progressToken")
	}
	if l, err := s.link(m); err == nil {
		defer l.patience.pause()()
	}
	began := time.Now()
	answer, rpcErr := ev.Ask(ctx, q)
	if _, err := wire.Pick(answer, "action", "content"); err != nil && rpcErr == nil {
		answer, rpcErr = nil, wire.NewError(wire.CodeInvalidParams, "the client's answer is ambiguous: "+err.Error(), nil)
	}
	cancelled := ctx.Err() != nil || about.Err() != nil || s.ctx.Err() != nil
	s.g.trail.asked(s.child(about, questionType(q.Method)), m, q.Method, asked{began, answer, rpcErr, cancelled})
	return answer, rpcErr
}

// lend returns a progress token for a question, in the place of its back end's
// own: several of them may use the same.
func (s *Session) lend(t token) (ours wire.Raw, forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	ours = wire.Raw(strconv.Itoa(s.asked))
	if s.tokens == nil {
		s.tokens = make(map[string]token)
	}
	s.tokens[wire.IDKey(ours)] = t
	return ours, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.tokens, wire.IDKey(ours))
	}
}

// child returns an event that belongs to the operation of ctx. What belongs to
// none is of whoever the session is.
func (s *Session) child(ctx context.Context, typ emitter.Type) *emitter.Event {
	s.mu.Lock()
	owner := s.owner
	s.mu.Unlock()
	if ctx != s.ctx || owner == nil {
		return middleware.Child(ctx, typ)
	}
	e := owner.Child(typ)
	e.Trace = emitter.Trace{}
	return e
}

// own keeps who the session of a legacy client is, by its first call.
func (s *Session) own(ctx context.Context) {
	s.mu.Lock()
	known := s.owner != nil
	s.mu.Unlock()
	if known {
		return
	}
	e := middleware.Child(ctx, emitter.TypeRequest)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = e
}

// fault turns what went wrong with a back end into what the client is told, and
// tells the trail the rest. Errors of the back end itself pass as they are.
func (s *Session) fault(ctx context.Context, m *member, err error) error {
	if err == nil {
		return nil
	}
	if said, ok := errors.AsType[*wire.Error](err); ok {
		if said.Code() == wire.CodeVersion {
			m.doubt() // it speaks another era now
		}
		return err
	}
	if _, cancelled := errors.AsType[*upstream.Cancelled](err); cancelled || ctx.Err() != nil {
		return err
	}
	m.doubt()
	reason := reasonOf(err)
	tell(ctx, func(n *middleware.Note) { n.Fail(reason, err.Error()) })
	s.g.log.Warn("a back end gave no answer", "backend", m.Name, "reason", reason, "error", err)
	return wire.NewError(wire.CodeInternal, "the back end "+m.Name+" gave no answer", nil)
}
