package middleware

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const (
	maxSources = 10000 // sources that are told apart within one minute
	maxTokens  = 10000 // tokens known to be good: at least so many, at most twice
)

// flood counts by source the requests that were refused before anybody had
// verified who sent them, for a minute at a time; the minute begins with the
// first. Those beyond the limit are folded: one event for each source and
// verdict, when the minute has ended and something can be stored. It is safe
// for concurrent use.
type flood struct {
	a     *Auditor
	limit int // requests of a source and minute that are recorded one by one

	mu       sync.Mutex // guards what follows
	sources  map[string]*origin
	rest     origin      // of the sources beyond maxSources, together
	timer    *time.Timer // ends the minute; nil: none has begun
	ends     time.Time
	closed   bool
	good     tokens
	emitting sync.WaitGroup // minutes that have ended and are being stored
}

func newFlood(a *Auditor, limit int) *flood {
	switch {
	case limit == 0:
		limit = DefaultFloodLimit
	case limit < 0:
		limit = math.MaxInt
	}
	return &flood{a: a, limit: limit, sources: make(map[string]*origin)}
}

// origin is what came from one source within the minute.
type origin struct {
	source   emitter.Source // of the folded events
	recorded int            // requests that were recorded one by one
	folds    map[verdict]*fold
}

type verdict struct {
	outcome emitter.Outcome
	reason  emitter.Reason
}

// fold stands for many requests.
type fold struct {
	count       int64
	first, last time.Time
}

// folded reports whether the request is one of a flood, which has one event for
// many; op.mu is held.
func (op *operation) folded() bool {
	f, e := op.a.flood, op.event
	v := verdict{e.Outcome, e.Reason}
	if op.a.opt.Strict {
		f.judge(op.token, v)
	}
	switch {
	case !op.unproven():
		return false
	case op.received:
		f.recorded(e.Source)
		return false
	}
	return f.takes(e.Source, v, op.start)
}

// unproven reports whether the request was refused before anybody had verified
// who sent it; op.mu is held.
func (op *operation) unproven() bool {
	e := op.event
	if op.turned {
		return true
	}
	stranger := !e.Auth.Verified && (e.Subjects.Type == subjectAnonymous || e.Subjects.Type == subjectUnverified)
	answered := op.opened != nil || op.reply != nil && !op.reply.isError
	return stranger && !answered && e.Outcome == emitter.OutcomeDenied && authentication(e.Reason)
}

// over returns how long requests from src are to be refused, 0 for not at all.
// Who shows a token that was good is not held liable for its neighbours.
func (f *flood) over(src emitter.Source, token string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, known := f.sources[sourceName(src)]
	if !known && len(f.sources) >= maxSources {
		o = &f.rest
	}
	if o == nil || o.recorded < f.limit || f.good.has(token) {
		return 0
	}
	return max(time.Until(f.ends), time.Second)
}

// judge is told what became of a request with token.
func (f *flood) judge(token string, v verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case token == "":
	case v.outcome == emitter.OutcomeSuccess:
		f.good.add(token)
	case v.outcome == emitter.OutcomeDenied && authentication(v.reason):
		f.good.drop(token)
	}
}

// recorded counts a request that has an event of its own whatever the limit.
func (f *flood) recorded(src emitter.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.origin(src).recorded++
}

// takes counts a request, and reports whether it was folded.
func (f *flood) takes(src emitter.Source, v verdict, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	o := f.origin(src)
	if o.recorded < f.limit {
		o.recorded++
		return false
	}
	f.add(o, v, at)
	return true
}

// fold folds a request that can have no event of its own.
func (f *flood) fold(src emitter.Source, v verdict, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(f.origin(src), v, at)
}

// add counts a request in its fold; f.mu is held.
func (f *flood) add(o *origin, v verdict, at time.Time) {
	d := o.folds[v]
	if d == nil {
		d = &fold{first: at, last: at}
		if o.folds == nil {
			o.folds = make(map[verdict]*fold)
		}
		o.folds[v] = d
	}
	d.count++
	if at.Before(d.first) {
		d.first = at
	}
	if at.After(d.last) {
		d.last = at
	}
	f.a.folded.Add(1)
}

// origin returns the account of a source, and begins the minute; f.mu is held.
func (f *flood) origin(src emitter.Source) *origin {
	if f.timer == nil && !f.closed {
		f.ends = time.Now().Add(FloodWindow)
		f.timer = time.AfterFunc(FloodWindow, f.end)
	}
	name := sourceName(src)
	o := f.sources[name]
	switch {
	case o != nil:
		return o
	case len(f.sources) >= maxSources:
		return &f.rest
	}
	o = &origin{source: emitter.Source{Type: src.Type, Value: name}}
	f.sources[name] = o
	return o
}

// sourceName is the source's address; of IPv6 its network of 64 bits, since
// whoever has one such address has them all.
func sourceName(src emitter.Source) string {
	addr, err := netip.ParseAddr(src.Value)
	if err == nil && addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	name, _ := headerText(src.Value)
	return name
}

// end stores the folds of a minute; while nothing can be stored it goes on.
func (f *flood) end() {
	ready := f.a.rec.Ready() == nil
	f.mu.Lock()
	switch {
	case f.closed:
		f.mu.Unlock()
		return
	case !ready:
		f.timer.Reset(FloodWindow)
		f.mu.Unlock()
		return
	}
	events := f.events()
	f.timer = nil
	f.emitting.Add(1)
	defer f.emitting.Done()
	f.mu.Unlock()
	f.emit(events)
}

// close stores the folds of the present minute; there is no other.
func (f *flood) close() {
	f.mu.Lock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
	events := f.events()
	f.mu.Unlock()
	f.emitting.Wait()
	f.emit(events)
}

// events returns the folds as events, the first seen first, and forgets what
// was counted; f.mu is held.
func (f *flood) events() (events []*emitter.Event) {
	for _, o := range f.sources {
		events = o.events(events)
	}
	overflow := f.rest.events(nil)
	for _, e := range overflow {
		addAnomaly(e, emitter.AnomalyFull)
	}
	events = append(events, overflow...)
	slices.SortFunc(events, func(x, y *emitter.Event) int {
		return cmp.Compare(x.Metadata.Extra.FirstSeen, y.Metadata.Extra.FirstSeen)
	})
	f.sources, f.rest = make(map[string]*origin), origin{}
	return events
}

func (o *origin) events(to []*emitter.Event) []*emitter.Event {
	for v, d := range o.folds {
		t := emitter.TypeHTTPRequest
		if authentication(v.reason) {
			t = emitter.TypeAuth
		}
		e := emitter.NewEvent(t)
		e.Conclude(v.outcome, v.reason)
		e.Source = o.source
		e.Subjects.Type, e.Auth.Method = subjectUnverified, subjectUnverified
		e.Target.Type = "endpoint"
		x := &e.Metadata.Extra
		x.FoldedCount, x.FirstSeen, x.LastSeen = emitter.Of(d.count), timeText(d.first), timeText(d.last)
		to = append(to, e)
	}
	return to
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// emit stores events; once one has waited in vain, the others wait no more.
func (f *flood) emit(events []*emitter.Event) {
	patience := EmitTimeout
	for _, e := range events {
		began := time.Now()
		if f.a.emit(e, patience) != nil && time.Since(began) >= patience {
			patience = 0
		}
	}
}

// authentication reports whether r says that a caller proved no identity.
func authentication(r emitter.Reason) bool {
	switch r {
	case emitter.ReasonUnauthenticated, emitter.ReasonMalformedToken, emitter.ReasonExpired,
		emitter.ReasonWrongAudience, emitter.ReasonWrongIssuer, emitter.ReasonBadSignature:
		return true
	default:
		return false
	}
}

// tokens remembers digests of tokens; the oldest are forgotten.
type tokens struct{ young, old map[string]struct{} }

func (t *tokens) has(token string) bool {
	_, young := t.young[token]
	_, old := t.old[token]
	return young || old
}

func (t *tokens) add(token string) {
	if t.young == nil || len(t.young) >= maxTokens {
		t.young, t.old = make(map[string]struct{}), t.young
	}
	t.young[token] = struct{}{}
}

func (t *tokens) drop(token string) {
	delete(t.young, token)
	delete(t.old, token)
}
