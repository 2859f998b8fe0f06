package emitter

import (
	"context"
	"errors"
	"time"
)

// Format renders one event and appends it to dst. It is pure: it reads no
// clock, no host name and no environment, and it cannot fail. What varies by
// process is bound once by a constructor that returns a Format. A Format is
// safe for concurrent use.
type Format func(dst []byte, e *Event) []byte

// Record is one rendered event on its way to a sink.
type Record struct {
	Seq  uint64    // position in the emitter's order, from 1, never reused
	ID   string    // audit_id of the event: the receiver's key against duplicates
	Time time.Time // logged_at of the event
	Body []byte    // what the route's Format rendered, without a line end
}

// Sink takes records to one destination.
type Sink interface {
	// Send delivers batch in order and reports how many of its records, from
	// the first on, the far end has confirmed. The error is nil if these are
	// all, else it is about record n. A body may hold any bytes: it arrives as
	// one record or is refused as [Permanent]. When ctx ends Send returns soon.
	//
	// Send is never called concurrently. It must not change batch or the bodies
	// in it, nor keep them after it has returned. A sink may pipeline inside one
	// Send. A sink whose far end confirms nothing is a [Lagging] one. Package
	// sinktest checks all this.
	Send(ctx context.Context, batch []Record) (n int, err error)
}

// Route joins a sink with the format that it takes.
type Route struct {
	// Name names the route in logs, errors and counters, and its cursor in the
	// spool, which keeps by it how far it has come: 1 to 64 bytes, unique in one
	// spool.
	Name string
	// Format renders the events; nil is the canonical JSON with the integrity as
	// its last member, which costs less than any other.
	Format Format
	Sink   Sink
	// BatchRecords and BatchBytes bound one call of Send, in records and in bytes
	// of stored events; 0 means DefaultBatchRecords and DefaultBatchBytes.
	BatchRecords, BatchBytes int
	// Linger is how long a batch that is not full waits for more; 0: not at all.
	Linger time.Duration
}

// An error of [Sink.Send] that none of these functions has marked means: try
// again.

// RetryAfter marks err as passing: the same record is to be sent again, not
// before d has gone by. An unmarked error means the same without a time.
func RetryAfter(d time.Duration, err error) error {
	return &retryAfterError{d: d, err: err}
}

// Permanent marks err as final for the record it is about: that record will
// never be taken, the ones after it may be.
func Permanent(err error) error { return &classError{class: classPermanent, err: err} }

// Blocked marks err as a fault of the configuration (a refused token, a wrong
// index, a folder that may not be written): nothing is given up, the route
// waits and probes slowly until somebody mends it.
func Blocked(err error) error { return &classError{class: classBlocked, err: err} }

// IsPermanent reports whether err or an error that it wraps was marked by
// [Permanent].
func IsPermanent(err error) bool { return hasClass(err, classPermanent) }

// IsBlocked reports whether err or an error that it wraps was marked by
// [Blocked].
func IsBlocked(err error) bool { return hasClass(err, classBlocked) }

// RetryDelay returns the wait that a sink asked for by [RetryAfter], and
// whether it asked.
func RetryDelay(err error) (time.Duration, bool) {
	if r, ok := errors.AsType[*retryAfterError](err); ok {
		return r.d, true
	}
	return 0, false
}

type errorClass uint8

const (
	classPermanent errorClass = iota + 1
	classBlocked
)

type classError struct {
	class errorClass
	err   error
}

func (e *classError) Error() string { return e.err.Error() }
func (e *classError) Unwrap() error { return e.err }

func hasClass(err error, class errorClass) bool {
	c, ok := errors.AsType[*classError](err)
	return ok && c.class == class
}

type retryAfterError struct {
	d   time.Duration
	err error
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }
