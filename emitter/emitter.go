package emitter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is the error of [Emitter.Ready] and [Emitter.Emit] after
// [Emitter.Run] has returned.
var ErrClosed = errors.New("audit emitter is closed")

// Options configure an [Emitter]. The zero value works.
type Options struct {
	Component string       // stamped on events that name none; empty: DefaultComponent
	Observer  Observer     // stamped on events that name none
	Only      []Type       // leave out successes of other types; empty: of none
	Exclude   []Type       // leave out successes of these types; other outcomes, anomalies and audit_* always pass
	Log       *slog.Logger // faults of routes, once when they begin and once when they end; nil: none
}

const typicalSize = 1 << 10 // bytes of an event: room for most

// DefaultComponent is the component of events that name none.
const DefaultComponent = "vmcp-server"

// Emitter stores events and delivers them. It is safe for concurrent use.
type Emitter struct {
	opt Options // immutable once set

	turn   chan struct{} // holds one token while an event is sent: keeps the routes in one order, guards seq
	seq    uint64
	routes []*route
	closed atomic.Bool
	after  sync.Once   // the first event after the end was told
	stall  atomic.Bool // events give up waiting for a sink that blocks; told when it begins and when it ends

	mu    sync.Mutex // guards the counters, never held while sending
	stats Stats
}

// Stats counts what became of the events since the start.
type Stats struct {
	Emitted  uint64 // accepted by every route
	Filtered uint64 // left out by Options.Only or Options.Exclude
	Invalid  uint64 // not emitted: a required field was missing
	Failed   uint64 // not accepted by at least one route: lost there
	Refused  uint64 // after the emitter was closed: lost
	Routes   []RouteStats
}

// RouteStats counts what became of the events of one route.
type RouteStats struct {
	Name   string
	Sent   uint64 // confirmed by the sink
	Failed uint64 // not confirmed: lost for this destination
}

type route struct {
	Route
	buf    []byte // last record's body, reused
	sent   uint64 // this and failed are guarded by Emitter.mu
	failed uint64
	fault  time.Time // when the present fault began; zero: none
	lost   uint64    // events lost since then
}

// New returns an emitter with the given routes. It starts nothing: Emit works
// at once. Two routes of one name are an error.
func New(opt Options, routes ...Route) (*Emitter, error) {
	if opt.Component == "" {
		opt.Component = DefaultComponent
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	em := &Emitter{opt: opt, turn: make(chan struct{}, 1)}
	for _, r := range routes {
		if slices.ContainsFunc(em.routes, func(o *route) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("two routes are called %q", r.Name)
		}
		em.routes = append(em.routes, &route{Route: r})
	}
	return em, nil
}

// Ready reports whether an event can be stored. A caller that must not act
// without a record asks before it acts.
func (em *Emitter) Ready() error {
	if em.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Emit stores e and returns when every route's sink has confirmed it. It takes
// e over: logged_at, severity, controls, component and observer are filled in
// where they are empty, and the caller must not change e afterwards. The error
// names each route that did not take the event. While another event is being
// sent Emit waits, until ctx ends: then e is lost and counted as failed. A sink
// that blocks in Send without looking at its context blocks this call too.
func (em *Emitter) Emit(ctx context.Context, e *Event) error {
	em.stamp(e)
	if em.closed.Load() {
		em.count(&em.stats.Refused)
		em.after.Do(func() { em.opt.Log.Error("audit event came after the end and is lost", "type", e.Type) })
		return ErrClosed
	}
	if err := e.check(); err != nil {
		em.count(&em.stats.Invalid)
		em.opt.Log.Error("audit event is incomplete and lost", "error", err)
		return fmt.Errorf("emit event: %w", err)
	}
	if em.filtered(e) {
		em.count(&em.stats.Filtered)
		return nil
	}
	if e.stored == nil {
		e.Integrity = Integrity{} // given when it is stored, and by nobody else
		e.stored = AppendEvent(make([]byte, 0, typicalSize), e)
	}
	select {
	case em.turn <- struct{}{}:
		defer func() { <-em.turn }()
	case <-ctx.Done():
		em.count(&em.stats.Failed)
		if em.stall.CompareAndSwap(false, true) {
			em.opt.Log.Error("an audit destination blocks; events are lost until it goes on")
		}
		return fmt.Errorf("emit event: %w", ctx.Err())
	}
	if em.stall.CompareAndSwap(true, false) {
		em.opt.Log.Warn("the audit destination goes on", "lost_since_start", em.Stats().Failed)
	}
	return em.deliver(ctx, e)
}

// deliver sends e along every route; em.turn is held.
func (em *Emitter) deliver(ctx context.Context, e *Event) error {
	em.seq++
	var errs []error
	for _, r := range em.routes {
		if err := em.send(ctx, r, e); err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", r.Name, err))
		}
	}
	if len(errs) > 0 {
		em.count(&em.stats.Failed)
		return errors.Join(errs...)
	}
	em.count(&em.stats.Emitted)
	return nil
}

func (em *Emitter) count(n *uint64) {
	em.mu.Lock()
	defer em.mu.Unlock()
	*n++
}

// closeTimeout is how long Run waits for a sink that blocks.
const closeTimeout = 10 * time.Second

// Run keeps the emitter open until ctx ends, then closes it: later calls of
// Emit return [ErrClosed]. It returns when the Emit that is under way has ended;
// an error says that a sink still blocks after ten seconds.
func (em *Emitter) Run(ctx context.Context) error {
	<-ctx.Done()
	em.closed.Store(true)
	select {
	case em.turn <- struct{}{}:
		<-em.turn
		return nil
	case <-time.After(closeTimeout):
		return errors.New("an audit destination blocks")
	}
}

// Stats returns the counters as they stand.
func (em *Emitter) Stats() Stats {
	em.mu.Lock()
	defer em.mu.Unlock()
	s := em.stats
	for _, r := range em.routes {
		s.Routes = append(s.Routes, RouteStats{Name: r.Name, Sent: r.sent, Failed: r.failed})
	}
	return s
}

// stamp fills in what the process knows of every event.
func (em *Emitter) stamp(e *Event) {
	if e.LoggedAt.IsZero() {
		e.LoggedAt = time.Now().UTC().Truncate(time.Microsecond)
	}
	if e.Component == "" {
		e.Component = em.opt.Component
	}
	if e.Observer.Host == "" && e.Observer.Instance == "" {
		e.Observer = em.opt.Observer
	}
	if e.Severity == 0 {
		e.Severity = SeverityOf(e)
	}
	if e.Controls == nil {
		e.Controls = ControlsOf(e)
	}
}

// filtered reports whether the configuration leaves e out. A filter never
// hides a refusal, a failure, an anomaly or the audit's own events.
func (em *Emitter) filtered(e *Event) bool {
	if e.Outcome != OutcomeSuccess || isAudit(e.Type) || len(e.Anomalies) > 0 {
		return false
	}
	if len(em.opt.Only) > 0 && !slices.Contains(em.opt.Only, e.Type) {
		return true
	}
	return slices.Contains(em.opt.Exclude, e.Type)
}

func isAudit(t Type) bool { return len(t) > 6 && t[:6] == "audit_" }

// send renders e for r and sends it; em.turn is held.
func (em *Emitter) send(ctx context.Context, r *route, e *Event) error {
	r.buf = r.Format(r.buf[:0], e)
	_, err := r.Sink.Send(ctx, []Record{{Seq: em.seq, ID: e.AuditID, Time: e.LoggedAt, Body: r.buf}})
	if err != nil {
		em.count(&r.failed)
		r.lost++
		if r.fault.IsZero() {
			r.fault = time.Now()
			em.opt.Log.Error("audit destination fails; events are lost there until it recovers", "route", r.Name, "error", err)
		}
		return err
	}
	em.count(&r.sent)
	if !r.fault.IsZero() {
		em.opt.Log.Warn("audit destination recovered", "route", r.Name, "lost", r.lost, "after", time.Since(r.fault).Round(time.Millisecond))
		r.fault, r.lost = time.Time{}, 0
	}
	return nil
}
