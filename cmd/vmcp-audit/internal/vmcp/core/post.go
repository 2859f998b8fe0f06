package core

import (
	"context"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// posts are a client's notifications on their way to one back end, which gets
// them in their order.
type posts struct {
	mu      sync.Mutex // guards what follows
	queue   []post
	sending bool
}

type post struct {
	method string
	params wire.Raw
}

const (
	maxPosts    = 256              // that wait for one back end; more are dropped
	passTimeout = 10 * time.Second // for a back end to take a notification
)

// put queues a notification and reports whether there was room, and whether the
// caller is to see to it that the queue is sent.
func (p *posts) put(n post) (room, send bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) >= maxPosts {
		return false, false
	}
	p.queue = append(p.queue, n)
	send = !p.sending
	p.sending = true
	return true, send
}

// take returns the next one; false: there is none, and nobody sends any more.
func (p *posts) take() (post, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue, p.sending = nil, false
		return post{}, false
	}
	n := p.queue[0]
	p.queue = p.queue[1:]
	return n, true
}

// pass sends a notification to a back end that the session has a session with,
// in the background: one that hangs holds up nobody.
func (s *Session) pass(m *member, method string, params wire.Raw) {
	s.mu.Lock()
	l := s.links[m]
	s.mu.Unlock()
	if l == nil || l.get() == nil {
		return
	}
	room, send := l.posts.put(post{method, params})
	if !room {
		s.g.log.Warn("a notification of a client is dropped, since the back end takes none", "backend", m.Name, "method", method)
	}
	if send {
		s.g.background(func() { s.deliver(m, l) })
	}
}

// deliver sends what waits for a back end, until nothing does.
func (s *Session) deliver(m *member, l *link) {
	for {
		n, more := l.posts.take()
		if !more {
			return
		}
		c := l.get()
		if c == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, passTimeout)
		err := c.Notify(ctx, n.method, n.params)
		cancel()
		if err != nil && s.ctx.Err() == nil {
			s.g.log.Warn("a back end did not take a notification", "backend", m.Name, "method", n.method, "error", err)
		}
	}
}
