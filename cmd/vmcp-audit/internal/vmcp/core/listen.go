package core

import (
	"context"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// listeners are the open subscriptions/listen streams of a hub.
type listeners struct {
	mu  sync.Mutex // guards all
	all map[*listener]struct{}
}

func newListeners() *listeners { return &listeners{all: make(map[*listener]struct{})} }

// Notify passes on to the streams that want it.
func (l *listeners) Notify(m wire.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := range l.all {
		one.Notify(m)
	}
}

// Ask refuses: a question that belongs to no call has nobody to answer it.
func (l *listeners) Ask(context.Context, wire.Message) (wire.Raw, *wire.Error) {
	return nil, wire.NewError(wire.CodeMethodNotFound, "nobody is there to answer", nil)
}

// listener is one subscriptions/listen request.
type listener struct {
	id   wire.Raw // of the request, which is the subscription's
	want map[string]bool
	uris map[string]bool
	out  chan wire.Message // what waits for the client
}

const maxTold = 256 // notifications that wait for a client that reads slowly; more are dropped

// filterOf are the members of a filter, by the notification that they ask for.
var filterOf = map[string]string{
	listings[tools].changed:     "toolsListChanged",
	listings[prompts].changed:   "promptsListChanged",
	listings[resources].changed: "resourcesListChanged",
}

// Notify passes on what was asked for, with the subscription's id.
func (l *listener) Notify(m wire.Message) {
	switch {
	case m.Method == "notifications/resources/updated":
		if !l.uris[wire.Text(wire.Get(m.Params, "uri"))] {
			return
		}
	case !l.want[m.Method]:
		return
	}
	m.Params = wire.SetIn(m.Params, l.id, "_meta", metaSubscription)
	select {
	case l.out <- m:
	default:
	}
}

// Ask refuses, as no server asks on such a stream.
func (l *listener) Ask(context.Context, wire.Message) (wire.Raw, *wire.Error) {
	return nil, wire.NewError(wire.CodeMethodNotFound, "nobody is there to answer", nil)
}

const maxFollowed = 1000 // resources that one stream or session may follow

// listen serves subscriptions/listen until ctx or the hub ends: changes of lists
// come from the gateway's own watch, those of resources from their back ends.
func (h *hub) listen(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	filter := wire.Get(req.Params, "notifications")
	l := &listener{id: req.ID, want: make(map[string]bool), uris: make(map[string]bool), out: make(chan wire.Message, maxTold)}
	agreed := wire.Raw("{}")
	for method, name := range filterOf {
		if string(wire.Get(filter, name)) == "true" {
			l.want[method] = true
		}
	}
	for _, k := range []kind{tools, prompts, resources} { // in a fixed order
		if l.want[listings[k].changed] {
			agreed = wire.Set(agreed, filterOf[listings[k].changed], wire.Raw("true"))
		}
	}
	uris := wire.Elements(wire.Get(filter, "resourceSubscriptions"))
	if len(uris) > maxFollowed {
		return nil, wire.NewError(wire.CodeInvalidParams, "too many resources", nil)
	}
	for _, uri := range uris {
		l.uris[wire.Text(uri)] = true
	}
	if uris != nil {
		agreed = wire.Set(agreed, "resourceSubscriptions", wire.Get(filter, "resourceSubscriptions"))
	}
	ack := wire.Set(wire.Set(nil, "notifications", agreed), "_meta", wire.Set(nil, metaSubscription, req.ID))
	ev.Notify(wire.Message{Method: "notifications/subscriptions/acknowledged", Params: ack})
	all := h.client.(*listeners)
	all.mu.Lock()
	all.all[l] = struct{}{}
	all.mu.Unlock()
	defer func() {
		all.mu.Lock()
		delete(all.all, l)
		all.mu.Unlock()
	}()
	if len(l.want)+len(l.uris) > 0 {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(h.ctx, cancel)()
		var wg sync.WaitGroup
		for uri := range l.uris {
			wg.Go(func() { h.watch(ctx, uri, req, l) })
		}
		l.tell(ctx, ev)
		wg.Wait()
	}
	return wire.Set(wire.Raw(`{"resultType":"complete"}`), "_meta", wire.Set(nil, metaSubscription, req.ID)), nil
}

// tell passes on what comes until ctx ends.
func (l *listener) tell(ctx context.Context, ev upstream.Events) {
	for {
		select {
		case m := <-l.out:
			ev.Notify(m)
		case <-ctx.Done():
			return
		}
	}
}

// watch follows one resource for a stream until ctx ends.
func (h *hub) watch(ctx context.Context, uri string, req Request, l *listener) {
	holders, _, err := h.holders(ctx, uri)
	if err != nil || len(holders) == 0 {
		return
	}
	m := holders[0]
	if st := m.state(); st.modern != nil {
		filter := wire.Set(nil, "resourceSubscriptions", append(append(wire.Raw{'['}, wire.Quote(uri)...), ']'))
		params := wire.Set(wire.Set(nil, "notifications", filter), "_meta", wire.Get(req.Params, "_meta"))
		_, _ = m.stateless.Call(ctx, upstream.Request{Method: "subscriptions/listen", Params: params}, l)
		return
	}
	r := Request{ID: req.ID, Method: "resources/subscribe", Params: wire.Set(nil, "uri", wire.Quote(uri))}
	if _, err := h.subscribe(ctx, m, r, l, uri); err != nil {
		h.g.log.Warn("a resource cannot be followed", "backend", m.Name, "error", errorText(err))
	}
	<-ctx.Done()
	// Other streams of the hub may follow it, so it is not unsubscribed; the
	// session with the back end ends some minutes after the last of them.
}
