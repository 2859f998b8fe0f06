// Package core decides where messages go: names and URIs lead to back ends,
// lists of several back ends become one, and what a back end sends of its own
// accord finds the client that it belongs to. Messages stay the bytes that
// came; of a request only the name is rewritten, of a list the names in it.
//
// Each client session has sessions of its own with legacy back ends, opened
// when they are first needed, so that nothing of one client reaches another.
package core

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/health"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Recorder stores events; [emitter.Emitter] is one.
type Recorder interface {
	Emit(ctx context.Context, e *emitter.Event) error
}

// Options of a gateway.
type Options struct {
	// Name and Version are what clients are told, as serverInfo.
	Name, Version string
	// Rules make one list of several. They must have passed their check.
	Rules *aggregate.Rules
	// Whole refuses lists while a back end is not there; else they have what the
	// others have.
	Whole bool
	// Authorize decides whether a tool may be called, by its exposed name. What
	// it refuses is answered with a tool error that holds its text. nil: all may.
	Authorize func(ctx context.Context, tool string) error
	// Recorder takes the events of back ends, routes and questions; nil: none.
	Recorder Recorder
	// Strict sends no call to a back end before the event of its route is stored.
	Strict bool
	// Health says how back ends are watched.
	Health health.Options
	// Log takes faults of back ends; nil: none.
	Log *slog.Logger
}

// Gateway is one server over several back ends. It is safe for concurrent use.
type Gateway struct {
	opt     Options
	log     *slog.Logger
	members []*member // in the order of the configuration
	trail   trail
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	closing chan struct{}   // one entry for each session that may be closed at once
	orderly context.Context // ends when all are to be closed at once
	hurry   context.CancelFunc
	mark    string // what the handles of parked calls begin with

	relisting sync.Mutex // one list is made at a time, so that the last is the newest

	mu       sync.Mutex // guards what follows
	lists    [kinds]*catalogue
	sessions map[*Session]struct{}
	hubs     map[string]*hub // sessions on behalf of modern clients
	refusing bool            // new sessions
	closed   bool            // nothing new begins
}

const maxClosing = 16 // sessions that are closed at a time; each takes seconds at most

// New returns a gateway over back ends. Nothing is sent yet.
func New(backends []*upstream.Backend, opt Options) *Gateway {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Rules == nil {
		opt.Rules = new(aggregate.Rules)
	}
	g := &Gateway{
		opt: opt, log: opt.Log, trail: trail{rec: opt.Recorder, strict: opt.Strict, log: opt.Log},
		sessions: make(map[*Session]struct{}), hubs: make(map[string]*hub),
		closing: make(chan struct{}, maxClosing),
		mark:    "vmcp-" + rand.Text()[:8] + "-",
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.orderly, g.hurry = context.WithCancel(context.Background())
	for _, b := range backends {
		g.members = append(g.members, newMember(g, b))
	}
	g.relist()
	return g
}

// FirstLook bounds how long Start waits for back ends that do not answer.
const FirstLook = 5 * time.Second

// Start looks at every back end and goes on watching them until Close. It
// returns when each has answered or failed once, or after FirstLook: a slow one
// is added to the lists when it answers.
func (g *Gateway) Start() {
	var looked sync.WaitGroup
	for _, m := range g.members {
		if m.Transport == upstream.Embedded {
			m.report(m.Check(g.ctx), 0)
			continue
		}
		looked.Add(1)
		var once sync.Once
		g.wg.Go(func() {
			health.Watch(g.ctx, g.opt.Health, m.kick, m.Check, func(err error, took time.Duration) {
				m.report(err, took)
				once.Do(looked.Done)
			})
			once.Do(looked.Done) // it ended before it could tell
		})
	}
	done := make(chan struct{})
	go func() { looked.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(FirstLook):
		for _, m := range g.members {
			if !m.state().up {
				g.log.Warn("back end is not there yet", "backend", m.Name)
			}
		}
	case <-g.ctx.Done():
	}
}

// Abort ends all sessions and takes no new ones.
func (g *Gateway) Abort() {
	g.mu.Lock()
	g.refusing = true
	g.mu.Unlock()
	for _, s := range g.open() {
		s.Close()
	}
}

// open returns the sessions that there are.
func (g *Gateway) open() []*Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.sessions))
}

// farewell is how long sessions with back ends are ended in good order when the
// gateway closes, before what is left of them ends all at once.
const farewell = 5 * time.Second

// turn waits until a session may be closed, and returns what lets the next one.
func (g *Gateway) turn() func() {
	select {
	case g.closing <- struct{}{}:
		return func() { <-g.closing }
	case <-g.orderly.Done():
		return func() {}
	}
}

// Close ends all sessions and everything that Start began, and waits for it.
func (g *Gateway) Close() {
	g.Abort()
	defer g.hurry()
	defer time.AfterFunc(farewell, g.hurry).Stop()
	g.mu.Lock()
	g.closed = true
	for _, h := range g.hubs {
		h.timer.Stop()
	}
	g.mu.Unlock()
	g.stop()
	g.wg.Wait()
	var wg sync.WaitGroup
	for _, m := range g.members {
		wg.Go(func() { m.close(); m.CloseIdle() })
	}
	wg.Wait()
}

// background runs f, unless the gateway is closed, and reports whether it does.
func (g *Gateway) background(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

// Sessions returns how many client sessions are open, and how many are held on
// behalf of clients that have none.
func (g *Gateway) Sessions() (own, hubs int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions) - len(g.hubs), len(g.hubs)
}

// up returns the back ends that can be used, in their order.
func (g *Gateway) up() []*member {
	var out []*member
	for _, m := range g.members {
		if m.state().up {
			out = append(out, m)
		}
	}
	return out
}

// Ambiguous returns an error that names what nobody can call because several
// back ends would have the name; nil: there is nothing.
func (g *Gateway) Ambiguous() error {
	return errors.Join(aggregate.AmbiguousNames(g.known(tools).refused), aggregate.AmbiguousNames(g.known(prompts).refused))
}

func (g *Gateway) member(name string) *member {
	for _, m := range g.members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// relist makes the gateway's own lists anew.
func (g *Gateway) relist() {
	g.relisting.Lock()
	defer g.relisting.Unlock()
	all := make(map[string]*[kinds][]wire.Raw)
	for _, m := range g.members {
		if st := m.state(); st.up {
			all[m.Name] = &st.lists
		}
	}
	var lists [kinds]*catalogue
	for k := range kinds {
		lists[k] = newCatalogue(g.opt.Rules, k, all)
	}
	g.mu.Lock()
	g.lists = lists
	g.mu.Unlock()
}

// known returns the gateway's own list of kind k.
func (g *Gateway) known(k kind) *catalogue {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lists[k]
}

// broadcast tells the clients that lists of a back end have changed. Those with
// a session of their own with it hear it from there, unless all is set.
func (g *Gateway) broadcast(m *member, method string, all bool) {
	for _, s := range g.open() {
		if all || !s.has(m) {
			s.changed(method)
		}
	}
}
