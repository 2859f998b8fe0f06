package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// member is a back end as the gateway knows it.
type member struct {
	*upstream.Backend
	g         *Gateway
	server    emitter.Server // for the trail
	stateless upstream.Conn  // of revision 2026-07-28
	kick      chan struct{}  // asks for a check
	looking   sync.Mutex     // one look at a time; guards own

	own upstream.Conn // the gateway's own legacy session, to watch by; nil: none

	mu         sync.Mutex // guards what follows
	st         state
	news       []string // list changes that are still to be told
	stale      bool     // the lists are to be fetched again
	refreshing bool     // somebody does that
}

// state is what is known of a back end.
type state struct {
	up      bool
	seen    bool              // it has been up
	modern  *upstream.Welcome // what it said in this era; nil: it does not speak it
	legacy  *upstream.Welcome
	lists   [kinds][]wire.Raw // as it gave them to the gateway itself
	listens bool              // a stream for changes of a modern one is open
}

// welcome returns what the back end said of itself.
func (st *state) welcome() *upstream.Welcome {
	if st.legacy != nil {
		return st.legacy
	}
	return st.modern
}

// can reports whether the back end announced a capability.
func (st *state) can(path ...string) bool {
	w := st.welcome()
	return w != nil && w.Capability(path...) != nil
}

func newMember(g *Gateway, b *upstream.Backend) *member {
	m := &member{Backend: b, g: g, stateless: b.Stateless(), kick: make(chan struct{}, 1)}
	m.server.Name = b.Name
	m.server.Host, m.server.Port = b.Address()
	return m
}

func (m *member) state() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.st
}

// doubt asks for a check, since a call could not be sent.
func (m *member) doubt() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// Check reports whether the back end is there. The first time, and when its
// session was lost, it looks at everything that the back end has.
func (m *member) Check(ctx context.Context) error {
	m.looking.Lock()
	defer m.looking.Unlock()
	st := m.state()
	if st.up && m.alive(ctx, &st) == nil {
		return nil
	}
	if m.own != nil {
		m.own.Close()
		m.own = nil
	}
	now, err := m.look(ctx)
	if err != nil {
		return err
	}
	for _, method := range m.learn(now) { // whoever had a session with it has lost it, and with it the word of the change
		m.g.broadcast(m, method, true)
	}
	m.g.revive(m)
	return nil
}

var errEra = errors.New("the back end speaks another era now")

// alive asks for a sign of life. What has taken the place of the back end in
// another era gives none, nor does one whose changes cannot have been heard.
func (m *member) alive(ctx context.Context, st *state) error {
	switch {
	case st.legacy == nil && !st.listens, st.legacy != nil && m.own == nil:
		return upstream.ErrBroken
	case st.legacy == nil:
		result, err := m.stateless.Call(ctx, upstream.Request{Method: "server/discover", Params: wire.Set(nil, "_meta", m.meta())}, upstream.Nobody)
		if modern, _ := upstream.Eras(result); err == nil && !modern {
			err = errEra
		}
		return err
	}
	_, err := m.own.Call(ctx, upstream.Request{Method: "ping"}, upstream.Nobody)
	if said, ok := errors.AsType[*wire.Error](err); ok && said.Code() == wire.CodeMethodNotFound {
		return nil // it has no ping, but it is there
	}
	return err
}

// meta is what the gateway says of itself in revision 2026-07-28.
func (m *member) meta() wire.Raw {
	meta := wire.Set(nil, metaVersion, wire.Quote(upstream.Modern))
	meta = wire.Set(meta, metaClient, m.g.serverInfo())
	return wire.Set(meta, metaCapabilities, wire.Raw("{}"))
}

// look asks the back end for its eras, its capabilities and its lists.
func (m *member) look(ctx context.Context) (state, error) {
	var st state
	modern, legacy, err := m.Discover(ctx, m.meta())
	if err != nil {
		return st, err
	}
	st.modern = modern
	if legacy {
		hello := wire.Set(nil, "protocolVersion", wire.Quote(upstream.Newest))
		hello = wire.Set(hello, "capabilities", wire.Raw("{}"))
		hello = wire.Set(hello, "clientInfo", m.g.serverInfo())
		m.own, st.legacy, err = m.Open(ctx, upstream.Hello{Params: hello}, watcher{m})
		if err != nil && modern == nil {
			return st, err
		}
		if err == nil && modern != nil && !st.legacy.Asks {
			m.own.Close()
			m.own, st.legacy = nil, nil // its other era can do more
		}
	}
	if st.legacy == nil {
		m.listen()
	}
	return st, m.fetchAll(ctx, &st)
}

// fetchAll fetches the lists that the back end has.
func (m *member) fetchAll(ctx context.Context, st *state) error {
	conn, params := m.own, wire.Raw(nil)
	if st.legacy == nil {
		conn, params = m.stateless, wire.Set(nil, "_meta", m.meta())
	}
	for k := range kinds {
		if !st.can(listings[k].capability) {
			continue
		}
		entries, _, err := fetch(k, params, func(params wire.Raw) (wire.Raw, error) {
			return conn.Call(ctx, upstream.Request{Method: listings[k].method, Params: params}, upstream.Nobody)
		})
		if _, said := errors.AsType[*wire.Error](err); said {
			continue // it does not have what it announced
		}
		if err != nil {
			return fmt.Errorf("%s: %w", listings[k].method, err)
		}
		st.lists[k] = entries
	}
	return nil
}

// Bounds of one list of one back end.
const (
	maxPages   = 100
	maxEntries = 10000
)

var errEndless = errors.New("the list has more than 100 pages, 10,000 entries or 64 MiB")

// fetch reads every page of a list. It returns the last page too.
func fetch(k kind, params wire.Raw, call func(params wire.Raw) (wire.Raw, error)) (entries []wire.Raw, last wire.Raw, err error) {
	return pages(listings[k].member, params, call)
}

// pages is fetch for the list that a member of the result is.
func pages(name string, params wire.Raw, call func(params wire.Raw) (wire.Raw, error)) (entries []wire.Raw, last wire.Raw, err error) {
	size := 0
	for range maxPages {
		if last, err = call(params); err != nil {
			return nil, nil, err
		}
		entries = append(entries, wire.Elements(wire.Get(last, name))...)
		if size += len(last); len(entries) > maxEntries || size > wire.MaxMessage {
			break
		}
		cursor := wire.Get(last, "nextCursor")
		if wire.Text(cursor) == "" {
			return entries, last, nil
		}
		params = wire.Set(params, "cursor", cursor)
	}
	return nil, nil, errEndless
}

// learn takes over what a look has found, tells the trail if a back end that was
// there all the time has changed, and returns what tells of the lists that have.
func (m *member) learn(now state) (news []string) {
	m.mu.Lock()
	before := m.st
	now.up, now.seen, now.listens = before.up, before.seen, before.listens
	m.st = now
	m.mu.Unlock()
	if !before.up {
		return nil // report tells
	}
	m.g.relist()
	for k := range kinds {
		if !slices.EqualFunc(before.lists[k], now.lists[k], func(a, b wire.Raw) bool { return string(a) == string(b) }) {
			news = append(news, listings[k].changed)
		}
	}
	if len(news) > 0 || string(before.welcome().Capability()) != string(now.welcome().Capability()) {
		m.g.trail.discovery(m, changeChanged, nil, 0)
	}
	return slices.Compact(news) // resources and templates have one for both
}

// What becomes of a back end.
const (
	changeDiscovered  = "discovered"
	changeUnreachable = "unreachable"
	changeLost        = "lost"
	changeRecovered   = "recovered"
	changeChanged     = "changed"
)

// report is told that the back end is there, or that it is not.
func (m *member) report(err error, took time.Duration) {
	m.mu.Lock()
	change := changeDiscovered
	switch {
	case err == nil && m.st.seen:
		change = changeRecovered
	case err != nil && m.st.seen:
		change = changeLost
	case err != nil:
		change = changeUnreachable
	}
	m.st.up = err == nil
	m.st.seen = m.st.seen || err == nil
	m.mu.Unlock()
	m.g.relist()
	m.g.trail.discovery(m, change, err, took)
	if change == changeDiscovered || change == changeRecovered {
		m.g.log.Info("back end is there", "backend", m.Name, "change", change)
		m.g.tellUnused(m)
		m.g.tellRefusals(m)
	} else {
		text := errorText(err)
		if m.Transport == upstream.Stdio && errors.Is(err, upstream.ErrBroken) {
			text += ": its command has ended, and VMCP_AUDIT_LOG_LEVEL=debug shows what it said"
		}
		m.g.log.Warn("back end is not there", "backend", m.Name, "change", change, "error", text)
	}
	for _, k := range []kind{tools, prompts, resources} {
		m.g.broadcast(m, listings[k].changed, true)
	}
}

// tellUnused logs which rules are for tools that the back end does not have.
func (g *Gateway) tellUnused(m *member) {
	st := m.state()
	for _, mistake := range g.opt.Rules.Unused(map[string][]json.RawMessage{m.Name: st.lists[tools]}) {
		g.log.Warn("a rule is for nothing", "backend", m.Name, "rule", "aggregation."+mistake.String())
	}
}

// tellRefusals logs what is not shown although nobody asked for that.
func (g *Gateway) tellRefusals(m *member) {
	for k := range kinds {
		for _, r := range g.known(k).refused {
			if r.Backend == m.Name && told(r.Reason) {
				g.log.Warn("an entry of a back end is not shown", "backend", r.Backend, "list", listings[k].method, "name", r.Name, "reason", r.Reason, "detail", r.Detail)
			}
		}
	}
}

// watcher hears of changes on the gateway's own session.
type watcher struct{ m *member }

func (w watcher) Notify(n wire.Message) {
	if n.Method == "notifications/subscriptions/acknowledged" {
		w.m.refetch() // what changed before the stream began was told to nobody
		return
	}
	for k := range kinds {
		if n.Method == listings[k].changed {
			w.m.refetch(n.Method)
			return
		}
	}
}

func (w watcher) Ask(context.Context, wire.Message) (wire.Raw, *wire.Error) {
	return nil, wire.NewError(wire.CodeMethodNotFound, "nobody is there to answer", nil)
}

const (
	refreshTimeout = 20 * time.Second
	refreshPause   = 250 * time.Millisecond // a back end that announces changes without an end is not asked all the time
)

// refetch has the lists fetched again, and tells of changes who may have seen the
// old ones. What is announced while that is done is told with the next time.
func (m *member) refetch(news ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stale = true
	for _, method := range news {
		if !slices.Contains(m.news, method) {
			m.news = append(m.news, method)
		}
	}
	if !m.refreshing {
		m.refreshing = m.g.background(m.refresh)
	}
}

func (m *member) refresh() {
	for {
		m.mu.Lock()
		news, stale := m.news, m.stale
		m.news, m.stale, m.refreshing = nil, false, stale
		m.mu.Unlock()
		if !stale {
			return
		}
		news = append(news, m.fetchAgain()...)
		slices.Sort(news)
		for _, method := range slices.Compact(news) {
			m.g.broadcast(m, method, false)
		}
		select {
		case <-time.After(refreshPause):
		case <-m.g.ctx.Done():
			return
		}
	}
}

func (m *member) fetchAgain() (news []string) {
	ctx, cancel := context.WithTimeout(m.g.ctx, refreshTimeout)
	defer cancel()
	m.looking.Lock()
	defer m.looking.Unlock()
	st := m.state()
	err := upstream.ErrBroken
	if st.legacy == nil || m.own != nil {
		err = m.fetchAll(ctx, &st)
	}
	if err != nil {
		m.doubt()
		return nil
	}
	return m.learn(st)
}

var listChanges = wire.Raw(`{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}`)

// listen holds a stream of changes of a back end that speaks only revision
// 2026-07-28. When it has ended the next check looks at everything anew, and opens
// it again.
func (m *member) listen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.st.listens {
		return
	}
	m.st.listens = true
	m.g.background(func() {
		params := wire.Set(wire.Set(nil, "notifications", listChanges), "_meta", m.meta())
		_, _ = m.stateless.Call(m.g.ctx, upstream.Request{Method: "subscriptions/listen", Params: params}, watcher{m})
		m.mu.Lock()
		m.st.listens = false
		m.mu.Unlock()
	})
}

func (m *member) close() {
	m.looking.Lock()
	defer m.looking.Unlock()
	if m.own != nil {
		m.own.Close()
	}
	m.stateless.Close()
}
