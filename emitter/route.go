package emitter

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Bounds of one call of [Sink.Send] where the route sets none.
const (
	DefaultBatchRecords = 500
	DefaultBatchBytes   = 1 << 20 // of stored events; what a format makes of them may be more
)

// saveBytes is after how many delivered bytes a route's mark is saved, so that
// a sink that looks for what it has got already need not look far.
const saveBytes = 4 << 20

// maxBuried is how many records in a row are given up at once. From then on each
// one is tried again after a while, so that a destination that refuses everything
// does not empty the spool into the dead letters.
const maxBuried = 5

// route delivers what is in the spool to one destination, in order.
type route struct {
	Route
	em      *Emitter
	cursor  *spool.Cursor
	limits  spool.Limits
	batch   []spool.Record
	bodies  []byte   // of the present batch
	records []Record // of the present batch
	window  int      // records of one Send; smaller while one that is refused is looked for
	retry   retry
	buried  int  // records in a row that were refused for good, and none taken between them
	probed  bool // the present one has been tried again after a while
	unsaved int  // bytes confirmed since the mark was saved
	lag     lag

	mu    sync.Mutex // guards what follows
	stats RouteStats
}

func newRoute(em *Emitter, r Route, c *spool.Cursor) *route {
	limits := spool.Limits{Records: r.BatchRecords, Bytes: r.BatchBytes, Linger: r.Linger}
	if limits.Records <= 0 {
		limits.Records = DefaultBatchRecords
	}
	if limits.Bytes <= 0 {
		limits.Bytes = DefaultBatchBytes
	}
	lagging, _ := r.Sink.(Lagging)
	return &route{
		Route: r, em: em, cursor: c, limits: limits, window: limits.Records, lag: lag{sink: lagging},
		stats: RouteStats{Name: r.Name, State: RouteUp},
	}
}

func (r *route) snapshot() RouteStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// run delivers until wait has ended and nothing is left, or deliver has ended,
// or an error comes while the emitter stops.
func (r *route) run(wait, deliver context.Context) {
	for deliver.Err() == nil {
		batch, err := r.next(wait)
		switch {
		case err == nil && len(batch) == 0:
			if err := r.follow(deliver); err != nil && !r.again(deliver, err) {
				return
			}
		case err == nil:
			r.batch = batch
			if !r.render(deliver) || !r.deliver(deliver) {
				return
			}
			if n := len(r.batch); n > 0 { // else it is to be read again
				r.pass(r.batch[n-1].Seq)
			}
		case wait.Err() != nil || errors.Is(err, spool.ErrClosed):
			if len(r.lag.handed) == 0 {
				return
			}
			if err := r.settle(deliver); err != nil && !r.again(deliver, err) {
				return
			}
		default:
			if !r.failed(deliver, fmt.Errorf("read spool: %w", err)) {
				return
			}
		}
	}
}

// render makes the sink's records of the batch. What is no event is kept with
// the dead letters; it is false when the emitter ends before that.
func (r *route) render(ctx context.Context) bool {
	r.bodies, r.records = r.bodies[:0], r.records[:0]
	for i := range r.batch {
		in := &r.batch[i]
		if r.lag.aside[in.Seq] {
			continue
		}
		rec, err := r.renderOne(in)
		if err == nil {
			r.records = append(r.records, rec)
		} else if !r.setUnreadable(ctx, in, err) {
			return false
		}
	}
	return true
}

func (r *route) renderOne(in *spool.Record) (Record, error) {
	integrity := IntegrityOf(r.em.spool.Stream(), in)
	from := len(r.bodies)
	id, at, ok := head(in.Payload)
	if r.Format == nil && ok {
		r.bodies = AppendIntegrity(r.bodies, in.Payload, &integrity)
	} else {
		e, err := Decode(in.Payload)
		if err != nil {
			return Record{}, err
		}
		e.Integrity = integrity
		id, at = e.AuditID, e.LoggedAt
		if r.Format == nil {
			r.bodies = AppendStored(r.bodies, e)
		} else {
			r.bodies = r.Format(r.bodies, e)
		}
	}
	return Record{Seq: in.Seq, ID: id, Time: at, Body: r.bodies[from:len(r.bodies):len(r.bodies)]}, nil
}

// deliver sends the records until each is confirmed or refused for good. It is
// false when the emitter ends before that.
func (r *route) deliver(ctx context.Context) bool {
	for rest := r.records; len(rest) > 0; {
		batch := rest[:min(len(rest), r.window)]
		n, err := r.send(ctx, batch)
		rest = rest[n:]
		switch {
		case r.lag.sink != nil && err != nil && !IsPermanent(err):
			return r.again(ctx, err)
		case err == nil && n < len(batch), err != nil && n == len(batch):
			err = errors.New("the destination confirmed all or a part and named no error that fits")
			fallthrough
		case err != nil && !IsPermanent(err):
			if n > 0 {
				r.retry.tries = 0
			}
			if ctx.Err() != nil || !r.failed(ctx, err) {
				return false
			}
		case err != nil && len(batch)-n > 1:
			r.window = max(1, (len(batch)-n)/2) // which one it is, a smaller batch tells
		case err != nil && r.buried >= maxBuried && !r.probed:
			// It refuses whatever it is sent: more likely something is wrong with
			// us, or between us, than with each event.
			r.probed, r.window = true, 1
			if !r.failed(ctx, Blocked(fmt.Errorf("one event after the other is refused: %w", err))) {
				return false
			}
		case err != nil:
			if !r.bury(ctx, rest[0].Seq, err) {
				return false
			}
			rest = rest[1:]
		case r.lag.sink == nil:
			r.up()
			fallthrough
		case !r.lag.careful:
			r.window = min(2*r.window, r.limits.Records)
		}
	}
	return true
}

// send gives batch to the sink and notes what it has taken.
func (r *route) send(ctx context.Context, batch []Record) (int, error) {
	n, err := r.Sink.Send(ctx, batch)
	n = min(max(n, 0), len(batch))
	if n > 0 {
		r.buried, r.probed = 0, false
	}
	if r.lag.sink == nil {
		r.sent(batch[:n])
		return n, err
	}
	r.hand(batch[:n])
	if err == nil || IsPermanent(err) {
		if lost := r.follow(ctx); lost != nil {
			return n, lost
		}
	}
	return n, err
}

// sent notes records that the sink has confirmed.
func (r *route) sent(records []Record) {
	if len(records) == 0 {
		return
	}
	r.cursor.Confirm(records[len(records)-1].Seq)
	for i := range records {
		r.unsaved += len(records[i].Body)
	}
	if r.unsaved >= saveBytes {
		r.cursor.Save()
		r.unsaved = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Sent += uint64(len(records))
}
