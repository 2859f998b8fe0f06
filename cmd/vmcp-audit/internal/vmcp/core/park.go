package core

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// A modern client is asked by the result of its call, a legacy back end asks
// while the call runs. So that call is parked: it goes on, its question is given
// to the client with a handle as requestState, and the client's next try brings
// the answer to it.

// mayAsk are the methods whose result may be a question.
var mayAsk = map[string]bool{"tools/call": true, "prompts/get": true, "resources/read": true}

const (
	parkTimeout = 10 * time.Minute // for the client to come back with an answer
	maxParked   = 100              // calls of one client
	handleMark  = "vmcp-"          // what our handles begin with
)

// parked is a call that goes on between the tries of a modern client.
type parked struct {
	same   string // method and name of the call
	ctx    context.Context
	cancel context.CancelCauseFunc
	asked  chan question
	ended  chan struct{} // closed when result and err are set
	result wire.Raw
	err    error

	mu     sync.Mutex // guards what follows
	ev     upstream.Events
	target emitter.Target // where the call was sent
}

// sent notes where the call was sent, for the trail of the tries that only bring
// an answer.
func (p *parked) sent(to emitter.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = to
}

type question struct {
	wire.Message
	answer chan wire.Raw
}

// Notify passes on to the try that is under way.
func (p *parked) Notify(m wire.Message) {
	p.mu.Lock()
	ev := p.ev
	p.mu.Unlock()
	ev.Notify(m)
}

var errUnanswered = wire.NewError(wire.CodeInternal, "the client did not answer", nil)

// Ask waits until a try brings the answer.
func (p *parked) Ask(ctx context.Context, m wire.Message) (wire.Raw, *wire.Error) {
	q := question{m, make(chan wire.Raw, 1)}
	select {
	case p.asked <- q:
	case <-ctx.Done():
		return nil, errUnanswered
	case <-p.ctx.Done():
		return nil, errUnanswered
	}
	select {
	case answer := <-q.answer:
		return answer, nil
	case <-ctx.Done():
	case <-p.ctx.Done():
	}
	return nil, errUnanswered
}

// parking is where a hub's calls wait.
type parking struct {
	mu    sync.Mutex // guards calls
	calls map[string]*waiting
}

type waiting struct {
	*parked
	q     question
	timer *time.Timer
}

// parkable carries out a call that a legacy back end may have questions about.
func (h *hub) parkable(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	same := req.Method + " " + wire.Text(wire.Get(req.Params, "name")) + wire.Text(wire.Get(req.Params, "uri"))
	if state := wire.Text(wire.Get(req.Params, "requestState")); strings.HasPrefix(state, handleMark) {
		return h.resume(ctx, state, same, req, ev)
	}
	p := &parked{same: same, asked: make(chan question), ended: make(chan struct{}), ev: ev}
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(h.ctx, func() { p.cancel(ErrClosed) })
	if !h.g.background(func() {
		defer close(p.ended)
		defer stop()
		p.result, p.err = h.Call(p.ctx, req, p)
		p.cancel(nil)
	}) {
		stop()
		return nil, ErrClosed
	}
	return h.follow(ctx, p)
}

// follow waits for the end of a call or its next question. A client that goes
// away before either has cancelled.
func (h *hub) follow(ctx context.Context, p *parked) (wire.Raw, error) {
	select {
	case <-p.ended:
		return p.result, p.err
	case q := <-p.asked:
		return h.park(p, q)
	case <-ctx.Done():
		p.cancel(context.Cause(ctx))
		<-p.ended
		return nil, context.Cause(ctx)
	}
}

func (h *hub) park(p *parked, q question) (wire.Raw, error) {
	handle := handleMark + rand.Text()
	w := &waiting{parked: p, q: q}
	h.parking.mu.Lock()
	if len(h.parking.calls) >= maxParked {
		h.parking.mu.Unlock()
		p.cancel(errUnanswered)
		return nil, wire.NewError(wire.CodeInternal, "too many calls await an answer", nil)
	}
	if h.parking.calls == nil {
		h.parking.calls = make(map[string]*waiting)
	}
	h.parking.calls[handle] = w
	w.timer = time.AfterFunc(parkTimeout, func() {
		if h.unpark(handle) != nil {
			p.cancel(errUnanswered)
		}
	})
	h.parking.mu.Unlock()
	p.mu.Lock()
	p.ev = upstream.Nobody
	p.mu.Unlock()
	h.g.hold(h)
	params := q.Params
	if params == nil {
		params = wire.Raw("{}") // without them the official Go SDK, v1.8.0, cannot read it
	}
	request := wire.Set(wire.Set(nil, "method", wire.Quote(q.Method)), "params", params)
	result := wire.Set(wire.Raw(`{"resultType":"input_required"}`), "inputRequests", wire.Set(nil, "question", request))
	return wire.Set(result, "requestState", wire.Quote(handle)), nil
}

// unpark takes a call out; nil: somebody else has.
func (h *hub) unpark(handle string) *waiting {
	h.parking.mu.Lock()
	w := h.parking.calls[handle]
	delete(h.parking.calls, handle)
	h.parking.mu.Unlock()
	if w != nil {
		w.timer.Stop()
		h.g.leave(h)
	}
	return w
}

var errState = wire.NewError(wire.CodeInvalidParams, "requestState is unknown, was used before or is for another call", nil)

// resume brings an answer to a parked call.
func (h *hub) resume(ctx context.Context, handle, same string, req Request, ev upstream.Events) (wire.Raw, error) {
	h.parking.mu.Lock()
	w := h.parking.calls[handle]
	fits := w != nil && w.same == same
	h.parking.mu.Unlock()
	if !fits {
		return nil, errState
	}
	answer := wire.Get(req.Params, "inputResponses", "question")
	if answer == nil {
		return nil, wire.NewError(wire.CodeInvalidParams, "inputResponses has no answer to the question", nil)
	}
	if w = h.unpark(handle); w == nil {
		return nil, errState
	}
	w.mu.Lock()
	w.ev = ev
	middleware.NoteFrom(ctx).SetTarget(w.target.Server, w.target.Tool, w.target.Definition)
	w.mu.Unlock()
	w.q.answer <- answer
	return h.follow(ctx, w.parked)
}
