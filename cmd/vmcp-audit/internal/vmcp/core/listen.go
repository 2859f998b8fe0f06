package core

import (
	"context"
	"errors"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// listeners are the open subscriptions/listen streams of a hub.
type listeners struct {
	mu  sync.Mutex // guards all
	all map[*listener]struct{}
}

func newListeners() *listeners { return &listeners{all: make(map[*listener]struct{})} }

// add makes l one of them until the returned function is called.
func (l *listeners) add(one *listener) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[one] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.all, one)
	}
}

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
	defer h.client.(*listeners).add(l)() // before the client is told so: nothing is to be missed
	ack := wire.Set(wire.Set(nil, "notifications", agreed), "_meta", wire.Set(nil, metaSubscription, req.ID))
	ev.Notify(wire.Message{Method: "notifications/subscriptions/acknowledged", Params: ack})
	if len(l.want)+len(l.uris) > 0 {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(h.ctx, cancel)()
		var wg sync.WaitGroup
		wg.Go(func() {
			for uri := range l.uris { // one after the other, so that what is not known is listed once
				m, err := h.lead(ctx, uri, req.Method)
				switch {
				case err == nil:
					wg.Go(func() { h.watch(ctx, m, uri, req, l) })
				case ctx.Err() == nil:
					h.g.log.Warn("a resource cannot be followed", "error", err)
				}
			}
		})
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

var errNowhere = errors.New("no back end has it")

// lead returns the back end that a resource is followed at, and tells the trail.
func (h *hub) lead(ctx context.Context, uri, method string) (*member, error) {
	holders, rule, err := h.holders(ctx, uri)
	if err != nil {
		return nil, err
	}
	target := emitter.Target{Type: "resource", Name: uri, Method: method}
	if len(holders) == 0 {
		h.g.trail.refused(ctx, target, "")
		return nil, errNowhere
	}
	target.Server = holders[0].server
	stored, err := h.g.trail.route(ctx, target, rule)
	stored.wait()
	return holders[0], err
}

// watch follows one resource for a stream until ctx ends.
func (h *hub) watch(ctx context.Context, m *member, uri string, req Request, l *listener) {
	if st := m.state(); st.modern != nil {
		filter := wire.Set(nil, "resourceSubscriptions", append(append(wire.Raw{'['}, wire.Quote(uri)...), ']'))
		m.hold(ctx, wire.Set(wire.Set(nil, "notifications", filter), "_meta", wire.Get(req.Params, "_meta")), l)
		return
	}
	h.subscribe(ctx, m, uri)
	<-ctx.Done()
	h.g.background(func() { h.unsubscribe(m, uri) })
}

// watched counts the streams of a hub that follow a resource, which its back
// end knows of one session only.
type watched struct {
	turn    chan struct{} // holds one entry while the back end is told
	streams int
}

// subscribe follows a resource of a legacy back end for one stream more.
func (h *hub) subscribe(ctx context.Context, m *member, uri string) {
	h.mu.Lock()
	if h.watched == nil {
		h.watched = make(map[string]*watched)
	}
	w := h.watched[uri]
	if w == nil {
		w = &watched{turn: make(chan struct{}, 1)}
		h.watched[uri] = w
	}
	w.streams++
	h.mu.Unlock()
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-w.turn }()
	err := h.subscription(ctx, m, "resources/subscribe", uri)
	if _, refused := errors.AsType[*wire.Error](err); refused {
		h.g.log.Warn("a resource cannot be followed", "backend", m.Name, "error", errorText(err))
		return
	}
	if err != nil && ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followURI(uri, m) // if the back end is not there now, when it is
}

// unsubscribe follows a resource for one stream less.
func (h *hub) unsubscribe(m *member, uri string) {
	h.mu.Lock()
	w := h.watched[uri]
	w.streams--
	h.mu.Unlock()
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	h.mu.Lock()
	last := w.streams == 0 && h.watched[uri] == w
	if last {
		delete(h.followed, uri)
	}
	h.mu.Unlock()
	if !last {
		return
	}
	if h.has(m) {
		_ = h.subscription(h.ctx, m, "resources/unsubscribe", uri)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.streams == 0 { // else somebody waits for its turn
		delete(h.watched, uri)
	}
}

func (h *hub) subscription(ctx context.Context, m *member, method, uri string) error {
	_, err := h.exchange(ctx, m, Request{Method: method, Params: wire.Set(nil, "uri", wire.Quote(uri))}, upstream.Nobody)
	return err
}
