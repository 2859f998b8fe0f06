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
	id      string
	core    *core.Session
	out     *outbox
	started time.Time

	mu      sync.Mutex // guards what follows
	users   int        // requests and streams under way
	used    time.Time
	last    int64                        // number of the last question
	pending map[string]chan wire.Message // questions, by our id
	end     *emitter.Event               // the event of its end, should it come by idleness
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

// idleSince returns for how long nobody has used the session.
func (s *session) idleSince(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users > 0 {
		return 0
	}
	return now.Sub(s.used)
}

// prepareEnd keeps what the event of an idle end needs: when that comes there
// is no request that it could be made from.
func (s *session) prepareEnd(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = middleware.Child(ctx, emitter.TypeSessionEnd)
		s.end.Target = emitter.Target{Type: "session"}
	}
}

func (s *session) recordEnd(rec core.Recorder, now time.Time) {
	s.mu.Lock()
	e := s.end
	s.end = nil
	s.mu.Unlock()
	if rec == nil || e == nil {
		return
	}
	e.AuditID = emitter.NewID()
	e.Conclude(emitter.OutcomeSuccess, emitter.ReasonIdle)
	e.Metadata.Extra.DurationMS = emitter.Of(now.Sub(s.started).Milliseconds())
	ctx, cancel := context.WithTimeout(context.Background(), middleware.EmitTimeout)
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
	case <-ctx.Done():
		params := wire.Set(nil, "requestId", id)
		if message := wire.AppendRequest(nil, nil, "notifications/cancelled", params); !send(message) {
			s.out.put(message)
		}
	case <-s.core.Done():
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
