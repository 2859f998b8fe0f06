package emitter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// ErrClosed is the error of [Emitter.Ready] and [Emitter.Emit] after the context
// of [Emitter.Run] has ended.
var ErrClosed = errors.New("audit emitter is closed")

// Options configure an [Emitter]. The zero value works.
type Options struct {
	Component string       // stamped on events that name none; empty: DefaultComponent
	Observer  Observer     // stamped on events that name none
	Only      []Type       // leave out successes of other types; empty: of none
	Exclude   []Type       // leave out successes of these types; other outcomes, anomalies and audit_* always pass
	Log       *slog.Logger // faults of routes, once when they begin and once when they end; nil: none

	// Refuse makes Ready report a spool that cannot store, so that callers do
	// not act. Without it Ready says yes as long as the emitter is open, and
	// what cannot be stored is dropped, counted and told.
	Refuse bool
	// Heartbeat is the time between two audit_heartbeat events; 0: none.
	Heartbeat time.Duration
	// FlushTimeout is how long Run goes on delivering when it is to end; 0 is
	// DefaultFlushTimeout, less than 0 none. What is left stays in the spool.
	FlushTimeout time.Duration
}

// Defaults of [Options].
const (
	DefaultComponent    = "vmcp-server"
	DefaultFlushTimeout = 10 * time.Second
)

const typicalSize = 1 << 10 // bytes of an event: room for most

// Emitter stores events in a spool and delivers them along its routes. It is
// safe for concurrent use.
type Emitter struct {
	opt    Options // immutable, as are spool and routes
	spool  *spool.Spool
	routes []*route

	closed   atomic.Bool
	stopping atomic.Pointer[time.Time] // since when Run is to end; nil: it is not
	wake     chan struct{}             // closed then
	after    sync.Once                 // the first event after the end was told
	gate     sync.RWMutex              // held for reading while events are stored; Run closes it

	emitted, filtered, invalid, failed, refused atomic.Uint64
}

// New returns an emitter that stores in s, with the given routes: each has a
// cursor of its name in s. It starts nothing: Emit works at once. Two routes of
// one name are an error. s stays the caller's, who closes it after Run.
func New(s *spool.Spool, opt Options, routes ...Route) (*Emitter, error) {
	if opt.Component == "" {
		opt.Component = DefaultComponent
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.FlushTimeout == 0 {
		opt.FlushTimeout = DefaultFlushTimeout
	}
	em := &Emitter{opt: opt, spool: s, wake: make(chan struct{})}
	for _, r := range routes {
		c, err := s.Cursor(r.Name)
		if err != nil {
			for _, r := range em.routes {
				_ = r.cursor.Close()
			}
			return nil, fmt.Errorf("route %q: %w", r.Name, err)
		}
		em.routes = append(em.routes, newRoute(em, r, c))
	}
	return em, nil
}

// GapPayload returns what [spool.Options.Gap] wants: it makes the audit_loss
// event for records that are missing in the spool.
func GapPayload(opt Options) func(spool.Gap) []byte {
	em := &Emitter{opt: opt}
	return func(g spool.Gap) []byte {
		e := NewLoss(Loss{FirstSeq: g.First, LastSeq: g.Last, Count: g.Count, Cause: string(g.Cause), Routes: g.Cursors})
		em.stamp(e)
		return AppendEvent(nil, e)
	}
}

// Ready reports whether an event can be stored. A caller that must not act
// without a record asks before it acts.
func (em *Emitter) Ready() error {
	if em.closed.Load() {
		return ErrClosed
	}
	if !em.opt.Refuse {
		return nil
	}
	return em.spool.Ready(spool.Ordinary) // the rest is for the ends of calls that run
}

// Emit stores e. When it returns nil the event survives a crash, in the spool's
// Durable mode, and will be delivered. It takes e over: logged_at, severity,
// controls, component and observer are filled in where they are empty, and the
// caller must not change e afterwards. An error means that the event is lost, or
// may be where it wraps [spool.ErrUnconfirmed]; it is counted, and told in the
// trail as soon as something can be stored.
func (em *Emitter) Emit(ctx context.Context, e *Event) error {
	return em.EmitAll(ctx, e)
}

// EmitAll stores events as [Emitter.Emit] does, all of them or none.
func (em *Emitter) EmitAll(ctx context.Context, events ...*Event) error {
	if len(events) == 0 {
		return nil
	}
	em.gate.RLock()
	defer em.gate.RUnlock()
	if em.closed.Load() {
		em.refused.Add(uint64(len(events)))
		em.after.Do(func() { em.opt.Log.Error("audit event came after the end and is lost", "type", events[0].Type) })
		return ErrClosed
	}
	return em.store(ctx, events...)
}

// EmitNoted stores events of a caller that can wait with them, together with
// notes in the spool: all of it or nothing. The caller still has the events after
// an error, and may try again with the same ones: the error is not counted. The
// spool is to have the policy Refuse. Part of it stays free for what the audit
// itself has to say. There may be no events.
func (em *Emitter) EmitNoted(ctx context.Context, notes []spool.Note, events ...*Event) error {
	em.gate.RLock()
	defer em.gate.RUnlock()
	if em.closed.Load() {
		return ErrClosed
	}
	payloads, _, err := em.encode(events)
	if err != nil {
		return err
	}
	if _, err := em.spool.AppendNoted(ctx, spool.Ordinary, notes, payloads...); err != nil {
		return fmt.Errorf("emit event: %w", err)
	}
	em.emitted.Add(uint64(len(payloads)))
	em.filtered.Add(uint64(len(events) - len(payloads)))
	return nil
}

// store puts events in the spool.
func (em *Emitter) store(ctx context.Context, events ...*Event) error {
	payloads, priority, err := em.encode(events)
	if err != nil {
		em.invalid.Add(uint64(len(events)))
		em.opt.Log.Error("audit event is incomplete and lost", "error", err)
		return err
	}
	em.filtered.Add(uint64(len(events) - len(payloads)))
	if len(payloads) == 0 {
		return nil
	}
	if _, err := em.spool.Append(ctx, priority, payloads...); err != nil {
		em.failed.Add(uint64(len(payloads)))
		return fmt.Errorf("emit event: %w", err)
	}
	em.emitted.Add(uint64(len(payloads)))
	return nil
}

// encode returns the payloads of those events that are not filtered out.
func (em *Emitter) encode(events []*Event) (payloads [][]byte, priority spool.Priority, err error) {
	payloads = make([][]byte, 0, len(events))
	for _, e := range events {
		em.stamp(e)
		if err := e.check(); err != nil {
			return nil, 0, fmt.Errorf("emit event: %w", err)
		}
		if em.drops(e) {
			continue
		}
		if e.stored == nil {
			e.Integrity = Integrity{} // given when it is delivered, and by nobody else
			e.stored = AppendEvent(make([]byte, 0, typicalSize), e)
		}
		payloads = append(payloads, e.stored)
		priority = max(priority, priorityOf(e))
	}
	return payloads, priority, nil
}

// priorityOf keeps part of the spool from those who have not proved who they
// are: what they are refused with, and what they only ask for, must not push out
// the events of others.
func priorityOf(e *Event) spool.Priority {
	refused := e.Outcome == OutcomeDenied || e.Outcome == OutcomePending || e.Metadata.Extra.HTTPStatus >= http.StatusBadRequest
	if refused && !e.Auth.Verified && !isAudit(e.Type) {
		return spool.Ordinary
	}
	return spool.Preferred
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

// drops reports whether the configuration leaves e out. A filter never hides a
// refusal, a failure, an anomaly or the audit's own events.
func (em *Emitter) drops(e *Event) bool {
	if e.Outcome != OutcomeSuccess || isAudit(e.Type) || len(e.Anomalies) > 0 {
		return false
	}
	if len(em.opt.Only) > 0 && !slices.Contains(em.opt.Only, e.Type) {
		return true
	}
	return slices.Contains(em.opt.Exclude, e.Type)
}

func isAudit(t Type) bool { return len(t) > 6 && t[:6] == "audit_" }
