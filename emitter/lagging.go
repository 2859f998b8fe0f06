package emitter

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Lagging is a sink whose far end acknowledges nothing, such as a receiver of
// syslog over TCP: its Send reports what was handed over, and what of that counts
// as delivered follows behind. The delivery loop confirms no more than that to the
// spool, and sends the rest again when it is told to.
//
// An error of Send that is not [Permanent], and one of Settled or Settle, says
// that all that was handed over, perhaps in part, and is not settled is in doubt:
// the sink begins anew with the next Send, whose first record is the one after the
// settled ones.
// The methods are called by one goroutine, as Send is.
type Lagging interface {
	Sink
	// Settled returns the seq up to which what was handed over counts as
	// delivered, 0 for nothing yet. It never goes back, and it does not wait.
	Settled() (seq uint64, err error)
	// Settle ends what is under way in an orderly manner, and waits until all
	// that was handed over counts as delivered, or ctx ends.
	Settle(ctx context.Context) (seq uint64, err error)
}

// Confirming returns sink so that its Send reports what counts as delivered and
// nothing else, for callers without a delivery loop. That is slow where sink is
// [Lagging]: it settles after each call.
func Confirming(sink Sink) Sink {
	if l, ok := sink.(Lagging); ok {
		return confirming{l}
	}
	return sink
}

type confirming struct{ sink Lagging }

// Send sends batch and settles it.
func (c confirming) Send(ctx context.Context, batch []Record) (int, error) {
	n, err := c.sink.Send(ctx, batch)
	if len(batch) == 0 || err != nil && !IsPermanent(err) {
		seq, _ := c.sink.Settled() // err has told
		return upTo(batch[:n], seq), err
	}
	seq, settleErr := c.sink.Settle(ctx)
	if settleErr != nil {
		err = settleErr
	}
	return upTo(batch[:n], seq), err
}

// upTo returns how many of records have no seq after seq.
func upTo(records []Record, seq uint64) int {
	n := slices.IndexFunc(records, func(r Record) bool { return r.Seq > seq })
	if n < 0 {
		n = len(records)
	}
	return n
}

const (
	// followEvery is how often an idle route looks what has settled.
	followEvery = time.Second
	// maxFruitless is how many connections in a row may break before anything
	// on them has settled, until a route sends less at a time.
	maxFruitless = 2
	// careTries is how many small batches in a row have to settle before larger
	// ones than those that broke are tried again.
	careTries = 16
)

// lag is what a route knows of a [Lagging] sink.
type lag struct {
	sink   Lagging         // nil: the route's is none
	handed []uint64        // seqs that it has and that are not settled
	passed uint64          // all up to here was handed over or set aside
	aside  map[uint64]bool // seqs that are with the dead letters, and that the mark has not passed
	took   bool            // the last connection that broke had taken records

	// A far end that breaks each connection after a few records would be sent
	// the same ones for ever. So a route becomes careful then: it settles after
	// each Send, begins with one record, and doubles.
	fruitless int // connections in a row that broke before anything settled
	careful   bool
	most      int // records of a Send while careful: half of what broke
	settles   int // in a row, at most
}

// next is [spool.Cursor.Next], but comes back without records now and then while
// something is not settled.
func (r *route) next(ctx context.Context) ([]spool.Record, error) {
	if len(r.lag.handed) == 0 {
		return r.cursor.Next(ctx, r.limits)
	}
	soon, cancel := context.WithTimeout(ctx, followEvery)
	defer cancel()
	batch, err := r.cursor.Next(soon, r.limits)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return batch, err
}

// hand notes records that the sink has got.
func (r *route) hand(records []Record) {
	for i := range records {
		r.lag.handed = append(r.lag.handed, records[i].Seq)
		r.lag.passed = records[i].Seq
	}
}

// follow asks what has settled.
func (r *route) follow(ctx context.Context) error {
	if r.lag.careful {
		return r.settle(ctx)
	}
	seq, err := r.lag.sink.Settled()
	r.settled(seq)
	return err
}

// settle waits until all has settled.
func (r *route) settle(ctx context.Context) error {
	seq, err := r.lag.sink.Settle(ctx)
	r.settled(seq)
	if err == nil && len(r.lag.handed) > 0 {
		err = errors.New("the destination settled a part and named no error")
	}
	if err == nil && r.lag.careful {
		r.lag.dare(&r.window, r.limits.Records)
	}
	return err
}

// settled takes over that all up to seq counts as delivered.
func (r *route) settled(seq uint64) {
	n, found := slices.BinarySearch(r.lag.handed, seq)
	if found {
		n++
	}
	if n == 0 {
		return
	}
	r.lag.handed = r.lag.handed[n:]
	r.lag.fruitless, r.retry.tries = 0, 0
	r.confirm(seq)
	r.mu.Lock()
	r.stats.Sent += uint64(n)
	r.mu.Unlock()
	r.up()
}

// confirm moves the mark to seq or, if nothing is in doubt, behind all that was
// passed.
func (r *route) confirm(seq uint64) {
	if len(r.lag.handed) == 0 {
		seq = max(seq, r.lag.passed)
	}
	r.cursor.Confirm(seq)
	for s := range r.lag.aside {
		if s <= seq {
			delete(r.lag.aside, s)
		}
	}
}

// pass notes that nothing is to be done about the records up to seq any more, but
// to wait until those that were handed over settle.
func (r *route) pass(seq uint64) {
	r.lag.passed = max(r.lag.passed, seq)
	if len(r.lag.handed) == 0 {
		r.confirm(seq)
	}
}

// setAside notes that the record is with the dead letters: it may be read again
// before the mark has passed it.
func (r *route) setAside(seq uint64) {
	if r.lag.sink == nil {
		return
	}
	if r.lag.aside == nil {
		r.lag.aside = make(map[uint64]bool)
	}
	r.lag.aside[seq] = true
}

// again has all that is in doubt sent again after a while. It is false when the
// emitter ends before that.
func (r *route) again(ctx context.Context, err error) bool {
	if r.lag.took = len(r.lag.handed) > 0; r.lag.took {
		r.lag.broke(&r.window)
	}
	if ctx.Err() != nil || !r.failed(ctx, err) {
		return false
	}
	r.lag.handed, r.lag.passed = r.lag.handed[:0], 0
	r.cursor.Rewind()
	r.batch = r.batch[:0]
	return true
}

// broke makes the route careful after the loss of a connection, if need be.
func (l *lag) broke(window *int) {
	l.fruitless++
	l.settles = 0
	switch {
	case l.careful:
		l.most = max(1, *window/2)
		*window = l.most
	case l.fruitless >= maxFruitless:
		l.careful, l.most = true, 0
		*window = 1
	}
}

// dare lets a careful route send more, limit at most, and ends the care there.
func (l *lag) dare(window *int, limit int) {
	l.settles++
	if l.settles >= careTries {
		l.settles, l.most = 0, 0 // perhaps it is better now
	}
	most := limit
	if l.most > 0 {
		most = l.most
	}
	*window = min(2**window, most)
	l.careful = *window < limit
}
