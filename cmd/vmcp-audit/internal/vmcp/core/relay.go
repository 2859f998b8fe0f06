package core

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
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
	}
	if s.modern {
		out.Params = older(out.Params)
	}
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
func (s *Session) legacyCall(ctx context.Context, m *member, req upstream.Request, ev upstream.Events) (wire.Raw, error) {
	for again := false; ; again = true {
		conn, err := s.conn(ctx, m)
		if err != nil {
			return nil, err
		}
		result, err := conn.Call(ctx, req, ev)
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
	ctx context.Context // of the call
	ev  upstream.Events
}

func (c *callEvents) Notify(n wire.Message) {
	for k := range kinds {
		if n.Method == listings[k].changed {
			c.s.changed(n.Method) // about no call, whatever stream it came on
			return
		}
	}
	c.ev.Notify(n)
}

func (c *callEvents) Ask(ctx context.Context, q wire.Message) (wire.Raw, *wire.Error) {
	return c.s.ask(ctx, c.ctx, c.m, c.ev, q)
}

// ask passes a question of a back end on and tells the trail, as an event that
// belongs to the operation of about.
func (s *Session) ask(ctx, about context.Context, m *member, ev upstream.Events, q wire.Message) (wire.Raw, *wire.Error) {
	if token := wire.Get(q.Params, "_meta", "progressToken"); token != nil {
		key := wire.IDKey(token)
		s.mu.Lock()
		if s.tokens == nil {
			s.tokens = make(map[string]*member)
		}
		s.tokens[key] = m
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			delete(s.tokens, key)
			s.mu.Unlock()
		}()
	}
	if l, err := s.link(m); err == nil {
		defer l.patience.pause()()
	}
	began := time.Now()
	answer, rpcErr := ev.Ask(ctx, q)
	s.g.trail.asked(about, m, q.Method, asked{began, answer, rpcErr, ctx.Err() != nil || about.Err() != nil || s.ctx.Err() != nil})
	return answer, rpcErr
}

// fault turns what went wrong with a back end into what the client is told, and
// tells the trail the rest. Errors of the back end itself pass as they are.
func (s *Session) fault(ctx context.Context, m *member, err error) error {
	if err == nil {
		return nil
	}
	if _, said := errors.AsType[*wire.Error](err); said {
		return err
	}
	if _, cancelled := errors.AsType[*upstream.Cancelled](err); cancelled || ctx.Err() != nil {
		return err
	}
	m.doubt()
	reason := reasonOf(err)
	middleware.NoteFrom(ctx).Fail(reason, err.Error())
	s.g.log.Warn("a back end gave no answer", "backend", m.Name, "reason", reason, "error", err)
	return wire.NewError(wire.CodeInternal, "the back end "+m.Name+" gave no answer", nil)
}
