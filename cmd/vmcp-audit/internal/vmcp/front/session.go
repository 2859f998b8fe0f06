package front

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// session is one legacy client's.
type session struct {
	id        string
	principal string // whose it is, "" for nobody's in particular
	core      *core.Session
	out       *outbox
	started   time.Time
	draining  <-chan struct{} // closed when no answer of the client can come any more

	mu      sync.Mutex // guards what follows
	users   int        // requests and streams under way
	used    time.Time
	spoken  bool                                // something came after initialize
	last    int64                               // number of the last question
	pending map[string]chan wire.Message        // questions, by our id
	end     func(emitter.Reason) *emitter.Event // makes the event of its end, should no DELETE bring it
}

// use notes that a request is under way until the returned function is called.
func (s *session) use() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users--
		s.used = time.Now()
	}
}

// idle reports whether nobody has used the session for a time: limit, or less
// for one of which nothing came but its initialize. Whoever opens sessions and
// does nothing with them must not keep others out for long.
func (s *session) idle(now time.Time, limit time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.spoken {
		limit = min(freshIdle, limit)
	}
	return s.users == 0 && now.Sub(s.used) >= limit
}

// speak notes that the client has used the session.
func (s *session) speak() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoken = true
}

// prepareEnd keeps what the event of an end without a DELETE needs: when that
// comes there is no request that it could be made from. ctx is that of the
// initialize, which has been answered.
func (s *session) prepareEnd(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = middleware.SessionEnd(ctx)
}

func (s *session) recordEnd(ctx context.Context, rec core.Recorder, why emitter.Reason, now time.Time) {
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	if rec == nil || end == nil {
		return
	}
	e := end(why)
	e.Metadata.Extra.DurationMS = emitter.Of(now.Sub(s.started).Milliseconds())
	ctx, cancel := context.WithTimeout(ctx, middleware.EmitTimeout)
	defer cancel()
	_ = rec.Emit(ctx, e) // the recorder counts what it loses
}

var errGone = wire.NewError(wire.CodeInternal, "the client did not answer", nil)

// ask sends a question to the client, by send if it takes it, and waits for the
// answer, which comes as a message of its own.
func (s *session) ask(ctx context.Context, q wire.Message, send func([]byte) bool) (wire.Raw, *wire.Error) {
	answer := make(chan wire.Message, 1)
	s.mu.Lock()
	s.last++
	key := "vmcp-" + strconv.FormatInt(s.last, 10)
	if s.pending == nil {
		s.pending = make(map[string]chan wire.Message)
	}
	s.pending[key] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.pending, key)
		s.mu.Unlock()
	}()
	id := wire.Quote(key)
	if message := wire.AppendRequest(nil, id, q.Method, q.Params); !send(message) && !s.out.put(message) {
		return nil, errGone
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return nil, &wire.Error{Raw: m.Error}
		}
		return m.Result, nil
	case <-s.core.Done():
		return nil, errGone
	case <-ctx.Done():
	case <-s.draining:
	}
	params := wire.Set(nil, "requestId", id)
	if message := wire.AppendRequest(nil, nil, "notifications/cancelled", params); !send(message) {
		s.out.put(message)
	}
	return nil, errGone
}

// answer takes a client's answer, once, and reports whether it was asked for.
func (s *session) answer(m wire.Message) bool {
	key := wire.Text(m.ID)
	s.mu.Lock()
	c := s.pending[key]
	delete(s.pending, key)
	s.mu.Unlock()
	if c == nil {
		return false
	}
	c <- m
	return true
}

// Notify queues what belongs to no request for the GET stream. It implements
// [upstream.Events], as Ask does.
func (s *session) Notify(m wire.Message) {
	s.out.put(wire.AppendRequest(nil, nil, m.Method, m.Params))
}

func (s *session) Ask(ctx context.Context, q wire.Message) (wire.Raw, *wire.Error) {
	return s.ask(ctx, q, s.out.put)
}

// callEvents takes what belongs to a request of a legacy client.
type callEvents struct {
	s *session
	x *exchange
}

func (c callEvents) Notify(m wire.Message) {
	message := wire.AppendRequest(nil, nil, m.Method, m.Params)
	if !c.x.event(message) {
		c.s.out.put(message)
	}
}

func (c callEvents) Ask(ctx context.Context, q wire.Message) (wire.Raw, *wire.Error) {
	return c.s.ask(ctx, q, c.x.event)
}
