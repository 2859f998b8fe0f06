package emitter

import (
	"context"
	"math/rand/v2"
	"time"
)

// Times between two tries of a route.
const (
	retryBase  = 500 * time.Millisecond // the first wait is at most so long, each further one twice as long
	retryCap   = time.Minute            // the longest wait, also of those that a destination asks for
	blockedGap = 30 * time.Second       // between probes of a destination that is blocked, give or take a third
	stopWait   = time.Second            // the longest wait while the emitter stops
	// downAfter is how long a fault lasts before the trail tells of it: events
	// about a destination that comes and goes would be more work for it.
	downAfter = 5 * time.Second
)

// retry is the state of a route's present fault. The route's goroutine owns it.
type retry struct {
	since    time.Time // when it began; zero: there is none
	tries    int       // in a row without any progress
	failures uint64    // of Send since it began
	told     bool      // an audit_sink event says so
	blocked  bool      // the log says so
}

// delay returns how long to wait after err: with full jitter, so that many who
// were cut off together do not come back together.
func (f *retry) delay(err error) time.Duration {
	if IsBlocked(err) {
		return blockedGap*2/3 + rand.N(blockedGap*2/3)
	}
	most := retryCap
	if f.tries < 8 {
		most = min(retryCap, retryBase<<f.tries)
	}
	f.tries++
	wait := rand.N(most)
	if asked, ok := RetryDelay(err); ok {
		wait = max(wait, min(asked, retryCap))
	}
	return wait
}

// failed notes that the destination did not take what it was sent, and waits. It
// is false when the emitter ends or stops meanwhile.
func (r *route) failed(ctx context.Context, err error) bool {
	r.down(err)
	wait, wake := r.retry.delay(err), r.em.wake
	if stop := r.em.stopping.Load(); stop != nil {
		if r.retry.since.Before(*stop) && !r.lag.took {
			return false // it was down before, and has had its last try
		}
		wait, wake = min(wait, stopWait), nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true // the last try
	case <-ctx.Done():
		return false
	}
}

// down tells of a fault: in the log when it begins or turns out to be one of the
// configuration, in the trail when it lasts.
func (r *route) down(err error) {
	f, blocked := &r.retry, IsBlocked(err)
	if f.since.IsZero() {
		f.since = time.Now()
	}
	if f.failures == 0 || blocked && !f.blocked {
		if blocked {
			r.em.opt.Log.Error("audit destination refuses us; its events wait in the spool until somebody mends that", "route", r.Name, "error", err)
		} else {
			r.em.opt.Log.Error("audit destination is down; its events wait in the spool", "route", r.Name, "error", err)
		}
	}
	f.failures++
	f.blocked = f.blocked || blocked
	r.mu.Lock()
	r.stats.State = RouteRetrying
	if blocked {
		r.stats.State = RouteBlocked
	}
	r.stats.Down, r.stats.LastError = f.since, err.Error()
	r.stats.Failures++
	r.mu.Unlock()
	if !f.told && time.Since(f.since) >= downAfter && r.em.stopping.Load() == nil { // audit_stop is the last event
		f.told = true
		r.em.note(r.sinkEvent(OutcomeError, err))
	}
}

// up tells that the destination takes records again.
func (r *route) up() {
	f := r.retry
	if f.since.IsZero() {
		return
	}
	r.em.opt.Log.Warn("audit destination is up again", "route", r.Name,
		"after", time.Since(f.since).Round(time.Millisecond), "failures", f.failures)
	r.mu.Lock()
	r.stats.State, r.stats.Down, r.stats.LastError = RouteUp, time.Time{}, ""
	r.mu.Unlock()
	if f.told {
		r.em.note(r.sinkEvent(OutcomeSuccess, nil))
	}
	r.retry = retry{}
}

// sinkEvent returns the event that tells how the destination is doing.
func (r *route) sinkEvent(o Outcome, err error) *Event {
	e := NewEvent(TypeAuditSink)
	reason := Reason("")
	switch {
	case IsBlocked(err):
		reason = ReasonBlocked
	case err != nil:
		reason = ReasonUnreachable
	}
	e.Conclude(o, reason)
	e.Target.Type, e.Target.Name = "destination", r.Name
	x := &e.Metadata.Extra
	x.DurationMS = Of(time.Since(r.retry.since).Milliseconds())
	x.RetryCount = Of(int64(r.retry.failures))
	if err != nil {
		x.ErrorMessage = err.Error()
	}
	e.Status.Stream = r.em.spool.Stream().String()
	for _, st := range r.em.Stats().Routes {
		if st.Name == r.Name {
			e.Status.Routes = []RouteStatus{st.status()}
		}
	}
	return e
}
