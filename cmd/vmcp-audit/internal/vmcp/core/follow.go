package core

import (
	"context"
	"errors"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// subscribed relays a call about a resource, and remembers what the session
// follows so that a session that is opened anew follows it too.
func (s *Session) subscribed(ctx context.Context, m *member, req Request, ev upstream.Events, uri string, target emitter.Target, rule aggregate.Rule) (wire.Raw, error) {
	result, err := s.send(ctx, m, req, ev, target, rule)
	if err != nil || req.Method == "resources/read" {
		return result, err
	}
	s.mu.Lock()
	if req.Method == "resources/unsubscribe" {
		delete(s.followed, uri)
	} else {
		s.followURI(uri, m)
	}
	s.mu.Unlock()
	if st := m.state(); st.legacy == nil {
		s.watchAgain(m)
	}
	return result, nil
}

// followedAt returns the back end that an unsubscribe is for: the one that was
// subscribed to, whoever else may have the URI.
func (s *Session) followedAt(method, uri string) []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.followed[uri]; m != nil && method == "resources/unsubscribe" {
		return []*member{m}
	}
	return nil
}

// follows reports whether the session follows resources of m.
func (s *Session) follows(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.followed {
		if of == m {
			return true
		}
	}
	return false
}

// revive has the sessions that follow resources of m find out whether it has
// lost them, as by a restart, and follow them again.
func (g *Gateway) revive(m *member) {
	if st := m.state(); st.legacy == nil {
		return
	}
	turn := make(chan struct{}, maxClosing)
	for _, s := range g.open() {
		if !s.follows(m) {
			continue
		}
		g.background(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			ctx, cancel := context.WithTimeout(s.ctx, refreshTimeout)
			defer cancel()
			_, _ = s.legacyCall(ctx, m, upstream.Request{Method: "ping"}, &callEvents{s: s, m: m, ctx: s.ctx, ev: upstream.Nobody})
		})
	}
}

// Pauses before a stream is opened again that ended.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// hold keeps a stream of a back end of revision 2026-07-28 open until ctx ends,
// unless the back end refuses it.
func (m *member) hold(ctx context.Context, params wire.Raw, ev upstream.Events) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		began := time.Now()
		_, err := m.stateless.Call(ctx, upstream.Request{Method: "subscriptions/listen", Params: params}, ev)
		if _, said := errors.AsType[*wire.Error](err); said {
			m.g.log.Warn("a back end tells of no changes of resources", "backend", m.Name, "error", errorText(err))
			return
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// followURI remembers a resource; s.mu is held.
func (s *Session) followURI(uri string, m *member) {
	if s.followed == nil {
		s.followed = make(map[string]*member)
	}
	if len(s.followed) < maxFollowed {
		s.followed[uri] = m
	}
}

// watchAgain opens the stream on which a back end of revision 2026-07-28 tells
// of the resources that a legacy session follows, in the place of the last one.
func (s *Session) watchAgain(m *member) {
	uris := wire.Raw{'['}
	s.mu.Lock()
	defer s.mu.Unlock()
	for uri, of := range s.followed {
		if of == m {
			if len(uris) > 1 {
				uris = append(uris, ',')
			}
			uris = append(uris, wire.Quote(uri)...)
		}
	}
	if stop := s.streams[m]; stop != nil {
		stop()
		delete(s.streams, m)
	}
	if len(uris) == 1 || s.closed {
		return
	}
	ctx, stop := context.WithCancel(s.ctx)
	if s.streams == nil {
		s.streams = make(map[*member]context.CancelFunc)
	}
	s.streams[m] = stop
	meta := wire.Set(nil, metaVersion, wire.Quote(upstream.Modern))
	meta = wire.Set(meta, metaCapabilities, wire.Get(s.hello, "capabilities"))
	meta = wire.Set(meta, metaClient, wire.Get(s.hello, "clientInfo"))
	filter := wire.Set(nil, "resourceSubscriptions", append(uris, ']'))
	params := wire.Set(wire.Set(nil, "notifications", filter), "_meta", meta)
	s.g.background(func() {
		defer stop()
		m.hold(ctx, params, updates{s})
	})
}

// updates takes what a stream of revision 2026-07-28 tells a legacy session.
type updates struct{ s *Session }

func (u updates) Notify(m wire.Message) {
	if m.Method == "notifications/resources/updated" {
		u.s.client.Notify(m)
	}
}

func (u updates) Ask(context.Context, wire.Message) (wire.Raw, *wire.Error) {
	return nil, wire.NewError(wire.CodeMethodNotFound, "nobody is there to answer", nil)
}
