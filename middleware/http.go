package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// HTTP returns a middleware that records in rec what passes through a handler.
// It is [New] and [Auditor.Wrap] for programs that need no [Auditor.Close].
func HTTP(rec Recorder, opt Options) func(http.Handler) http.Handler {
	return New(rec, opt).Wrap
}

// Auditor watches handlers. It is safe for concurrent use.
type Auditor struct {
	rec      Recorder
	opt      Options // immutable once set
	digests  *digester
	sessions *sessions
	flood    *flood
	outage   outage

	refused, limited, folded atomic.Uint64

	mu     sync.Mutex // guards what follows
	parked map[*operation]struct{}
	closed bool
}

const maxParked = 10000 // operations that await the resumption of their stream

// New returns an auditor that records in rec. It starts no goroutine.
func New(rec Recorder, opt Options) *Auditor {
	if opt.MaxData <= 0 {
		opt.MaxData = DefaultMaxData
	}
	opt.MaxData = min(opt.MaxData, emitter.MaxData)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	a := &Auditor{
		rec:      rec,
		opt:      opt,
		digests:  newDigester(opt.Digest, opt.Key),
		sessions: newSessions(),
		parked:   make(map[*operation]struct{}),
		outage:   outage{log: opt.Log},
	}
	a.flood = newFlood(a, opt.FloodLimit)
	return a
}

// Stats counts, since the start, the requests that were not run for the audit's
// sake, or not recorded one by one.
type Stats struct {
	Refused uint64 // not run, since nothing could be stored: status 503
	Limited uint64 // not run, since their source was over its flood limit: status 429
	Folded  uint64 // counted in an event that stands for many, as Limited and most of Refused are
}

// Stats returns the counters as they stand.
func (a *Auditor) Stats() Stats {
	return Stats{Refused: a.refused.Load(), Limited: a.limited.Load(), Folded: a.folded.Load()}
}

// Wrap returns a handler that serves as next does and records it.
func (a *Auditor) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(next, w, r) })
}

// Close records the operations that still await an answer on a resumed stream
// as disconnected, and the folded requests of the present minute. Call it when
// the handlers have returned and before the recorder closes; a program that does
// not loses these few events at its end.
func (a *Auditor) Close() {
	a.mu.Lock()
	a.closed = true
	waiting := a.parked
	a.parked = nil
	a.mu.Unlock()
	for op := range waiting {
		op.expire()
	}
	a.flood.close()
	a.outage.end()
}

// emit stores e, waiting for at most wait however the request's own context has
// ended.
func (a *Auditor) emit(e *emitter.Event, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return a.rec.Emit(ctx, e)
}

func (a *Auditor) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	op := a.newOperation(r)
	r = r.WithContext(context.WithValue(r.Context(), operationKey{}, op))
	if op.body != nil {
		r.Body = op.body
	}
	if !op.admit(w) {
		return
	}
	op.enter()
	ww := &writer{ResponseWriter: w, op: op}
	defer func() {
		p, gone := recover(), r.Context().Err() != nil
		if p == nil && !gone {
			ww.end()
		}
		op.end(gone, p != nil, isAbort(p))
		if p != nil {
			panic(p)
		}
	}()
	next.ServeHTTP(ww.handed(), r)
}

func isAbort(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

type operationKey struct{}

func operationFrom(ctx context.Context) *operation {
	op, _ := ctx.Value(operationKey{}).(*operation)
	return op
}

type transportKey struct{}

// Via returns a context for a request that did not come over streamable HTTP
// but was made from what came over another transport, `sse` or `stdio`, which
// the event then names.
func Via(ctx context.Context, transport string) context.Context {
	return context.WithValue(ctx, transportKey{}, transport)
}

func transportOf(ctx context.Context) string {
	if t, ok := ctx.Value(transportKey{}).(string); ok {
		return t
	}
	return transportHTTP
}

// Child returns an event of type t that belongs to the request of ctx: by the
// same subject, from the same source, in the same session and trace. Outside
// of a request it is an event without these.
func Child(ctx context.Context, t emitter.Type) *emitter.Event {
	op := operationFrom(ctx)
	if op == nil {
		return emitter.NewEvent(t)
	}
	return op.child(t)
}

// SessionEnd returns what a server calls once when it ends, of its own accord,
// the session that the request of ctx has begun or belongs to: it returns the
// event of that, which the caller emits, and forgets the session. The event is a
// child of the request's, see [Child].
func SessionEnd(ctx context.Context) func(emitter.Reason) *emitter.Event {
	e := Child(ctx, emitter.TypeSessionEnd)
	e.Target = emitter.Target{Type: "session"}
	var a *Auditor
	if op := operationFrom(ctx); op != nil {
		a = op.a // and nothing else of op is kept
	}
	return func(r emitter.Reason) *emitter.Event {
		e.AuditID = emitter.NewID() // the ids of one process rise
		e.Conclude(emitter.OutcomeSuccess, r)
		if a != nil {
			a.sessions.end(e.Source.Extra.SessionID, e)
		}
		return e
	}
}
