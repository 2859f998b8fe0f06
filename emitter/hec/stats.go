package hec

import "sync/atomic"

// Stats are counts since the sink was made, and what it is doing now.
type Stats struct {
	Requests    uint64 // requests with events
	Retries     uint64 // quick second tries of requests of any kind that got no answer
	Bytes       uint64 // bodies of requests with events, before compression
	BytesSent   uint64 // the same as they went on the wire, quick retries not counted
	Confirmed   uint64 // events that Send counted
	Unconfirmed uint64 // events that the collector took and Send did not count, so that they come again
	Slowed      uint64 // answers that asked for less

	AckPending  int64  // requests whose acknowledgement is awaited now
	AckFailures uint64 // waits that ended without it
	WithoutAcks bool   // AckAuto has given up on acknowledgements for now
	Insecure    bool   // the collector's certificate is not checked
}

type counters struct {
	requests, retries, bytes, bytesSent, confirmed, unconfirmed, slowed, ackFailures atomic.Uint64

	pending     atomic.Int64
	withoutAcks atomic.Bool
}

// Stats returns the present counts. It may be called at any time from any
// goroutine.
func (s *Sink) Stats() Stats {
	c := &s.count
	return Stats{
		Requests:    c.requests.Load(),
		Retries:     c.retries.Load(),
		Bytes:       c.bytes.Load(),
		BytesSent:   c.bytesSent.Load(),
		Confirmed:   c.confirmed.Load(),
		Unconfirmed: c.unconfirmed.Load(),
		Slowed:      c.slowed.Load(),
		AckPending:  c.pending.Load(),
		AckFailures: c.ackFailures.Load(),
		WithoutAcks: c.withoutAcks.Load(),
		Insecure:    s.opt.InsecureSkipVerify,
	}
}
