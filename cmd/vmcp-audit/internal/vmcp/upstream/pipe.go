package upstream

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// pipe is a session whose answers all come by one way, as over stdio and
// HTTP+SSE. What a server sends about a call does not say about which; a
// progress token does, so each call is given a token of its own. The rest is
// taken to be about the call that began last.
type pipe struct {
	b    *Backend
	base Events
	send func(ctx context.Context, message []byte) error
	stop func() // ends the reading
	asks asks

	ctx context.Context
	end context.CancelFunc // when nothing comes any more

	mu    sync.Mutex // guards what follows
	last  int64
	calls map[string]*pending
	order []*pending // as they began
}

// pending is a call that awaits its answer.
type pending struct {
	key    string
	token  wire.Raw // the client's progress token, nil for none
	ev     Events
	answer chan wire.Message
}

func newPipe(b *Backend, base Events) *pipe {
	p := &pipe{b: b, base: base, calls: make(map[string]*pending)}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.asks.ctx = p.ctx
	return p
}

func (p *pipe) initialize(ctx context.Context, hello Hello) (*Welcome, error) {
	result, err := p.Call(ctx, Request{Method: "initialize", Params: hello.Params}, p.base)
	if err != nil {
		return nil, err
	}
	w, err := welcome(result)
	if err != nil {
		return nil, err
	}
	w.Asks = true
	return w, p.Notify(ctx, "notifications/initialized", nil)
}

func (p *pipe) Call(ctx context.Context, req Request, ev Events) (wire.Raw, error) {
	if p.Broken() {
		return nil, &NotRun{ErrBroken}
	}
	call, id, params := p.begin(req.Params, ev)
	defer p.forget(call)
	err := p.send(ctx, wire.AppendRequest(nil, id, req.Method, params))
	if err == nil {
		select {
		case m := <-call.answer:
			return outcome(m)
		case <-ctx.Done():
		case <-p.ctx.Done():
			err = ErrBroken
		}
	}
	select {
	case m := <-call.answer:
		return outcome(m) // it was the last message
	default:
	}
	if ctx.Err() == nil {
		return nil, err
	}
	if _, unsent := errors.AsType[*NotRun](err); !unsent && req.Method != "initialize" {
		p.asks.tasks.Go(func() {
			tell, cancel := context.WithTimeout(p.ctx, tellTimeout)
			defer cancel()
			_ = p.Notify(tell, "notifications/cancelled", cancelParams(ctx, id))
		})
	}
	return nil, context.Cause(ctx)
}

func outcome(m wire.Message) (wire.Raw, error) {
	if m.Error != nil {
		return nil, &wire.Error{Raw: m.Error}
	}
	return m.Result, nil
}

// begin gives a call its id, which is its progress token too.
func (p *pipe) begin(params wire.Raw, ev Events) (*pending, wire.Raw, wire.Raw) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	id := wire.Raw(strconv.FormatInt(p.last, 10))
	call := &pending{key: string(id), ev: ev, answer: make(chan wire.Message, 1)}
	if call.token = wire.Get(params, "_meta", "progressToken"); call.token != nil {
		params = wire.SetIn(params, id, "_meta", "progressToken")
	}
	p.calls[call.key] = call
	p.order = append(p.order, call)
	return call, id, params
}

func (p *pipe) forget(call *pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, call.key)
	if i := slices.Index(p.order, call); i >= 0 {
		p.order = slices.Delete(p.order, i, i+1)
	}
}

// deliver takes the next message of the server.
func (p *pipe) deliver(message []byte) {
	m, err := wire.Parse(message)
	switch {
	case err != nil:
		p.b.garbage(err)
	case m.Request():
		p.asks.take(m, p.about(), p.respond)
	case m.Notification():
		p.notify(m)
	default:
		p.mu.Lock()
		call := p.calls[wire.IDKey(m.ID)]
		p.mu.Unlock()
		if call != nil {
			select {
			case call.answer <- m:
			default: // a second answer
			}
		}
	}
}

// about returns where to send what does not say to which call it belongs.
func (p *pipe) about() Events {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.order); n > 0 {
		return p.order[n-1].ev
	}
	return p.base
}

func (p *pipe) notify(m wire.Message) {
	switch m.Method {
	case "notifications/cancelled":
		p.asks.withdrawn(m)
	case "notifications/progress":
		p.mu.Lock()
		call := p.calls[wire.IDKey(wire.Get(m.Params, "progressToken"))]
		p.mu.Unlock()
		if call != nil && call.token != nil { // else the call has ended
			m.Params = wire.Set(m.Params, "progressToken", call.token)
			call.ev.Notify(m)
		}
	case "notifications/message":
		p.about().Notify(m)
	default:
		p.base.Notify(m)
	}
}

func (p *pipe) respond(message []byte) {
	ctx, cancel := context.WithTimeout(p.ctx, tellTimeout)
	defer cancel()
	if err := p.send(ctx, message); err != nil && p.ctx.Err() == nil {
		p.b.Log.Warn("a back end did not take an answer", "backend", p.b.Name, "error", err)
	}
}

func (p *pipe) Notify(ctx context.Context, method string, params wire.Raw) error {
	return p.send(ctx, wire.AppendRequest(nil, nil, method, params))
}

func (p *pipe) Broken() bool { return p.ctx.Err() != nil }

func (p *pipe) Close() {
	p.stop()
	p.end()
	p.asks.tasks.Wait()
}
