package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Bounds of one call of Send.
const (
	maxBatch     = 100
	batchBytes   = 1 << 20 // of rendered events, unless one is larger
	sendAttempts = 3       // of a batch that is not taken, with sendGap between
	sendGap      = time.Second
)

// Sent is what became of dead letters that were sent again.
type Sent struct {
	Accepted   int      `json:"accepted"`             // and removed
	Refused    []uint64 `json:"refused,omitempty"`    // seqs that the destination has refused for good once more: they stay
	Unreadable []uint64 `json:"unreadable,omitempty"` // seqs of what is no event, or cannot be read: they stay
	Left       int      `json:"left"`                 // not tried, since the destination takes nothing
	Refusal    string   `json:"refusal,omitempty"`    // what it said to the last one that it refused
}

// ReplayDead does what PlanReplayDead has planned: it sends the dead letters, in
// order, along the route r, with the place in the chain that the events had. What
// is accepted is removed, and where the destination acknowledges nothing what
// counts as delivered. The error is the destination's when it takes nothing for
// now; what it refuses for good is in Sent alone.
func (s *Spool) ReplayDead(ctx context.Context, p *Plan, r emitter.Route) (*Sent, error) {
	sent := &Sent{Left: len(p.letters)}
	r.Sink = emitter.Confirming(r.Sink)
	err := s.act(ctx, p, func() error {
		err := s.sendLetters(ctx, p, r, sent)
		if err == nil && len(sent.Refused)+len(sent.Unreadable) > 0 {
			return &StayedError{*sent}
		}
		return err
	})
	if _, ok := errors.AsType[*StayedError](err); ok {
		err = nil
	}
	return sent, err
}

// StayedError says that not all dead letters were accepted. It is in the trail.
type StayedError struct{ Sent Sent }

func (e *StayedError) Error() string {
	return fmt.Sprintf("%d accepted, %d refused for good, %d unreadable", e.Sent.Accepted, len(e.Sent.Refused), len(e.Sent.Unreadable))
}

func (s *Spool) sendLetters(ctx context.Context, p *Plan, r emitter.Route, sent *Sent) error {
	for rest := p.letters; len(rest) > 0; {
		var batch []emitter.Record
		batch, rest = s.readBatch(p, r, rest, sent)
		if err := s.sendBatch(ctx, p, r, batch, sent); err != nil {
			return err
		}
	}
	return nil
}

// readBatch renders the letters with the first of these seqs, and returns the
// seqs that are left.
func (s *Spool) readBatch(p *Plan, r emitter.Route, seqs []uint64, sent *Sent) (batch []emitter.Record, rest []uint64) {
	most := cmp.Or(r.BatchRecords, maxBatch)
	for size := 0; len(seqs) > 0 && len(batch) < min(most, maxBatch) && size < batchBytes; seqs = seqs[1:] {
		letter, err := emitter.ReadDeadLetter(p.letterPath(seqs[0]))
		var rec emitter.Record
		if err == nil {
			rec, err = letter.Render(r.Format)
		}
		if err != nil {
			sent.Unreadable = append(sent.Unreadable, seqs[0])
			sent.Left--
			continue
		}
		rec.Seq = seqs[0]
		size += len(rec.Body)
		batch = append(batch, rec)
	}
	return batch, seqs
}

// sendBatch sends until each record was accepted or refused for good.
func (s *Spool) sendBatch(ctx context.Context, p *Plan, r emitter.Route, batch []emitter.Record, sent *Sent) error {
	window, tries := len(batch), 0
	for len(batch) > 0 {
		try := batch[:min(window, len(batch))]
		n, err := r.Sink.Send(ctx, try)
		n = min(max(n, 0), len(try))
		for _, rec := range try[:n] {
			if err := emitter.RemoveDeadLetter(s.log, p.Route, rec.Seq); err != nil {
				return err
			}
			sent.Accepted++
			sent.Left--
		}
		batch, try = batch[n:], try[n:]
		switch {
		case err == nil && len(try) == 0:
			tries = 0
		case err != nil && emitter.IsPermanent(err) && len(try) > 1:
			window = max(1, len(try)/2) // which one it is, a smaller batch tells
		case err != nil && emitter.IsPermanent(err) && len(try) == 1:
			sent.Refused, sent.Refusal = append(sent.Refused, try[0].Seq), err.Error()
			sent.Left--
			batch = batch[1:]
		default:
			tries++
			if err := again(ctx, tries, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// again waits before another try; the error says that there is none.
func again(ctx context.Context, tries int, err error) error {
	if err == nil {
		err = errors.New("the destination confirmed a part and named no error")
	}
	if tries >= sendAttempts || emitter.IsBlocked(err) || ctx.Err() != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	case <-time.After(sendGap):
		return nil
	}
}
