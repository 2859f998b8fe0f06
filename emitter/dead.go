package emitter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// DeadLetters is the folder in the spool's folder that holds, below the name of
// each route, what its destination has refused for good.
const DeadLetters = "dead"

// AsideLines is the folder in the spool's folder that holds the lines of inputs
// that are no events.
const AsideLines = "aside"

// DeadLetter is a record that will never be delivered along a route, one file of
// JSON for each.
type DeadLetter struct {
	Route string          `json:"route"`
	Seq   uint64          `json:"seq"`
	Time  time.Time       `json:"time"`            // when it was given up
	Error string          `json:"error"`           // what the destination said
	Event json.RawMessage `json:"event,omitempty"` // with its integrity
	Raw   []byte          `json:"raw,omitempty"`   // instead of Event: what is no event
}

// bury keeps a record that the destination has refused for good with the dead
// letters, and names it in the trail. It is false when the emitter ends before
// that.
func (r *route) bury(ctx context.Context, seq uint64, cause error) bool {
	in := r.find(seq)
	integrity := IntegrityOf(r.em.spool.Stream(), in)
	letter := DeadLetter{Event: AppendIntegrity(nil, in.Payload, &integrity)}
	if !r.keep(ctx, in, &letter, cause) {
		return false
	}
	r.pass(seq)
	r.probed = false
	if r.buried++; r.buried < maxBuried && r.lag.sink == nil {
		r.up() // it answers
	}
	if r.tally(&r.stats.Dead) == 1 {
		r.em.opt.Log.Error("audit destination refuses an event for good; it is kept with the dead letters", "route", r.Name, "seq", seq, "error", cause)
	}
	return true
}

// setUnreadable keeps a record that is no event with the dead letters.
func (r *route) setUnreadable(ctx context.Context, in *spool.Record, cause error) bool {
	if !r.keep(ctx, in, &DeadLetter{Raw: in.Payload}, cause) {
		return false
	}
	if r.tally(&r.stats.Unread) == 1 {
		r.em.opt.Log.Error("a record of the spool is no event; it is kept with the dead letters", "route", r.Name, "seq", in.Seq, "error", cause)
	}
	return true
}

// keep writes a dead letter, as long as that takes, and tells of the loss.
func (r *route) keep(ctx context.Context, in *spool.Record, letter *DeadLetter, cause error) bool {
	letter.Route, letter.Seq, letter.Time, letter.Error = r.Name, in.Seq, time.Now().UTC(), cause.Error()
	body, err := json.Marshal(letter)
	if err != nil { // an event that only looked like one
		letter.Event, letter.Raw = nil, in.Payload
		body, _ = json.Marshal(letter) // strings and bytes always encode
	}
	folder, name := letterFile(r.Name, in.Seq)
	for {
		err := r.em.spool.SetAside(folder, name, body)
		if err == nil {
			break
		}
		if !r.failed(ctx, fmt.Errorf("dead letter: %w", err)) {
			return false
		}
	}
	r.setAside(in.Seq)
	if !r.tellsOfRefusal(in) { // else that would be refused too, and so on
		r.em.note(NewLoss(Loss{FirstSeq: in.Seq, LastSeq: in.Seq, Count: 1, Cause: LossRefused, Routes: []string{r.Name}}))
	}
	return true
}

// tellsOfRefusal reports whether the record tells that this route's destination
// has refused another one.
func (r *route) tellsOfRefusal(in *spool.Record) bool {
	e, err := Decode(in.Payload)
	return err == nil && e.Type == TypeAuditLoss && e.Loss.Cause == LossRefused && slices.Contains(e.Loss.Routes, r.Name)
}

// LossRefused is the cause of the loss of an event that its destination has
// refused for good, or that could not be rendered for it.
const LossRefused = "refused"

// LossInput is the cause of the loss of lines of a file that could not be read
// to its end.
const LossInput = "input_lost"

// find returns the record of the present batch.
func (r *route) find(seq uint64) *spool.Record {
	i, _ := slices.BinarySearchFunc(r.batch, seq, func(in spool.Record, seq uint64) int { return cmp.Compare(in.Seq, seq) })
	return &r.batch[i]
}

// tally counts up and returns the new value.
func (r *route) tally(n *uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
	return *n
}
