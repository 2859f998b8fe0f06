package emitter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run delivers until ctx ends. Then it closes the emitter for new events, says
// audit_stop, and goes on until every route has delivered all or FlushTimeout is
// over; a route that is down has one more try. It returns when all has ended;
// the log tells what is left in the spool, for the next process. It is to be
// called once.
func (em *Emitter) Run(ctx context.Context) error {
	em.note(em.lifecycle(TypeAuditStart))
	deliver, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	wait, wake := context.WithCancel(deliver)
	defer wake()
	var wg sync.WaitGroup
	for _, r := range em.routes {
		wg.Go(func() { r.run(wait, deliver) })
	}
	em.beat(ctx)

	em.close()
	em.note(em.lifecycle(TypeAuditStop))
	_ = em.spool.Sync() // in Async mode the last events are still to come; a failure is counted, told and in the log
	now := time.Now()
	em.stopping.Store(&now)
	close(em.wake)
	wake()
	if d := em.opt.FlushTimeout; d > 0 {
		defer time.AfterFunc(d, cancel).Stop()
	} else {
		cancel()
	}
	wg.Wait()
	return em.finish()
}

// close lets no more events in, and returns when those that are being stored are.
func (em *Emitter) close() {
	em.gate.Lock()
	defer em.gate.Unlock()
	em.closed.Store(true)
}

// beat says audit_heartbeat now and then until ctx ends.
func (em *Emitter) beat(ctx context.Context) {
	if em.opt.Heartbeat <= 0 {
		<-ctx.Done()
		return
	}
	t := time.NewTicker(em.opt.Heartbeat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			em.note(em.lifecycle(TypeAuditHeartbeat))
		case <-ctx.Done():
			return
		}
	}
}

// finish closes the cursors and tells what is left.
func (em *Emitter) finish() error {
	var errs []error
	for _, r := range em.routes {
		if err := r.cursor.Close(); err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", r.Name, err))
		}
	}
	for _, r := range em.Stats().Routes {
		if r.Pending > 0 {
			em.opt.Log.Warn("audit events are left in the spool for the next start", "route", r.Name, "pending", r.Pending)
		}
	}
	return errors.Join(errs...)
}

// noteTimeout is how long one of the audit's own events waits for a disk that
// hangs.
const noteTimeout = 10 * time.Second

// note stores one of the audit's own events. That it cannot be stored is counted,
// and told by the spool.
func (em *Emitter) note(e *Event) {
	ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
	defer cancel()
	_ = em.store(ctx, e)
}

// lifecycle returns an event that tells how the audit itself is doing.
func (em *Emitter) lifecycle(t Type) *Event {
	e := NewEvent(t)
	e.Conclude(OutcomeSuccess, "")
	s := em.Stats()
	e.Status = Status{Stream: em.spool.Stream().String(), Seq: s.Spool.Last, Dropped: Of(int64(s.Spool.Dropped + s.Spool.DroppedOldest))}
	for _, r := range s.Routes {
		e.Status.Routes = append(e.Status.Routes, r.status())
	}
	return e
}
