package core

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
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
)

// parked is a call that goes on between the tries of a modern client.
type parked struct {
	req    Request // of the first try
	ctx    context.Context
	cancel context.CancelCauseFunc
	asked  chan question
	ended  chan struct{} // closed when what follows is set
	result wire.Raw
	err    error
	panic  any // what the call has panicked with

	mu    sync.Mutex // guards what follows
	ev    upstream.Events
	token wire.Raw                 // progress token of the latest try
	note  *middleware.Note         // of it
	facts []func(*middleware.Note) // all that was told to it
}

type parkedKey struct{}

// tell tells the trail something about the operation of ctx. If that is a call
// which goes on, its later tries are told too.
func tell(ctx context.Context, fact func(*middleware.Note)) {
	p, ok := ctx.Value(parkedKey{}).(*parked)
	if !ok {
		fact(middleware.NoteFrom(ctx))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.facts = append(p.facts, fact)
	fact(p.note)
}

// goOn makes a try the latest one.
func (p *parked) goOn(ctx context.Context, req Request, ev upstream.Events) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ev, p.note, p.token = ev, middleware.NoteFrom(ctx), wire.Get(req.Params, "_meta", "progressToken")
	for _, fact := range p.facts {
		fact(p.note)
	}
}

// sameCall returns a digest of what a call asks for. JSON may be written in
// several ways; what it says counts.
func sameCall(req Request) [sha256.Size]byte {
	var said struct {
		Method, Name, URI string
		Arguments         any
	}
	said.Method, said.Name, said.URI = req.Method, wire.Text(wire.Get(req.Params, "name")), wire.Text(wire.Get(req.Params, "uri"))
	if arguments := wire.Get(req.Params, "arguments"); arguments != nil {
		d := json.NewDecoder(bytes.NewReader(arguments))
		d.UseNumber()
		_ = d.Decode(&said.Arguments) // it is valid
	}
	text, _ := json.Marshal(said)
	return sha256.Sum256(text)
}

type question struct {
	wire.Message
	answer chan wire.Raw
}

// Notify passes on to the try that is under way, progress under its token.
func (p *parked) Notify(m wire.Message) {
	p.mu.Lock()
	ev, token := p.ev, p.token
	p.mu.Unlock()
	if m.Method == "notifications/progress" {
		if token == nil {
			return // it did not ask
		}
		m.Params = wire.Set(m.Params, "progressToken", token)
	}
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
	if state := wire.Text(wire.Get(req.Params, "requestState")); strings.HasPrefix(state, h.g.mark) {
		return h.resume(ctx, state, req, ev)
	}
	p := &parked{req: req, asked: make(chan question), ended: make(chan struct{})}
	p.goOn(ctx, req, ev)
	p.ctx, p.cancel = context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), parkedKey{}, p))
	stop := context.AfterFunc(h.ctx, func() { p.cancel(ErrClosed) })
	if !h.g.background(func() {
		defer close(p.ended)
		defer stop()
		defer p.cancel(nil)
		defer func() { p.panic = recover() }() // it is the handler's of a try, who can tell of it
		p.result, p.err = h.Call(p.ctx, req, p)
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
		if p.panic != nil {
			panic(p.panic)
		}
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
	handle := h.g.mark + rand.Text()
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
func (h *hub) resume(ctx context.Context, handle string, req Request, ev upstream.Events) (wire.Raw, error) {
	h.parking.mu.Lock()
	w := h.parking.calls[handle]
	h.parking.mu.Unlock()
	if w == nil || sameCall(w.req) != sameCall(req) {
		return nil, errState
	}
	answer := wire.Get(req.Params, "inputResponses", "question")
	if answer == nil {
		return nil, wire.NewError(wire.CodeInvalidParams, "inputResponses has no answer to the question", nil)
	}
	if w = h.unpark(handle); w == nil {
		return nil, errState
	}
	w.goOn(ctx, req, ev)
	w.q.answer <- answer
	return h.follow(ctx, w.parked)
}
