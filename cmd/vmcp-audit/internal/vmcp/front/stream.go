package front

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// exchange is the answer to one POST: JSON, or from the first event on a stream.
// It is safe for concurrent use.
type exchange struct {
	gone <-chan struct{} // closed when the client is known to have gone

	mu    sync.Mutex // guards what follows
	w     http.ResponseWriter
	sse   bool
	ended bool
	pulse *time.Timer // gives signs of life on a stream; nil: it is none
}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{w: w, gone: r.Context().Done()}
}

// event sends a message before the answer, and reports whether it could. What is
// written to a connection that the other side has closed is lost without an
// error.
func (x *exchange) event(message []byte) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended || closed(x.gone) {
		return false
	}
	if !x.sse {
		x.sse = true
		beginStream(x.w)
		x.pulse = time.AfterFunc(keepAlive, x.live)
	}
	return writeEvent(x.w, message) == nil
}

// live gives a sign of life, lest a proxy take a stream for dead on which the
// server waits for a user's answer.
func (x *exchange) live() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ended && !closed(x.gone) && writeComment(x.w) == nil {
		x.pulse.Reset(keepAlive)
	}
}

// finish sends the answer. status is that of a JSON answer.
func (x *exchange) finish(status int, message []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.end()
	if x.sse {
		_ = writeEvent(x.w, message)
		return
	}
	defer within(x.w, writeTime)()
	writeJSON(x.w, status, message)
}

// abort ends an exchange that has no answer, or none any more.
func (x *exchange) abort() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.end()
}

// end lets nothing more be written but the answer; x.mu is held.
func (x *exchange) end() {
	x.ended = true
	if x.pulse != nil {
		x.pulse.Stop()
	}
}

func beginStream(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
}

// within bounds what is written until the returned function is called: a
// client that reads nothing must not hold up its back end for ever.
func within(w http.ResponseWriter, d time.Duration) func() {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(d))
	return func() { _ = rc.SetWriteDeadline(time.Time{}) }
}

func writeEvent(w http.ResponseWriter, message []byte) error {
	defer within(w, writeTime)()
	buf := make([]byte, 0, len(message)+32)
	buf = append(append(buf, "event: message\ndata: "...), wire.OneLine(message)...)
	if _, err := w.Write(append(buf, "\n\n"...)); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// outbox is what waits for a client's GET stream.
type outbox struct {
	dropped *atomic.Uint64

	mu     sync.Mutex // guards what follows
	queue  [][]byte
	size   int           // bytes in it
	wake   chan struct{} // holds one entry while there may be something
	reader chan struct{} // closed when another stream takes over; nil: there is none
}

func newOutbox(dropped *atomic.Uint64) *outbox {
	return &outbox{dropped: dropped, wake: make(chan struct{}, 1)}
}

// put queues a message and reports whether there was room. One that says just
// what another one says which still waits is left out: the client looks anew
// once.
func (o *outbox) put(message []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) >= maxQueue || o.size > 0 && o.size+len(message) > maxQueued {
		o.dropped.Add(1)
		return false
	}
	if bytes.Contains(message, []byte("/list_changed")) {
		for _, waits := range o.queue {
			if bytes.Equal(waits, message) {
				return true
			}
		}
	}
	o.queue = append(o.queue, message)
	o.size += len(message)
	o.rouse()
	return true
}

// rouse wakes the reader; o.mu is held.
func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.queue = nil
		return nil
	}
	m := o.queue[0]
	o.queue = o.queue[1:]
	o.size -= len(m)
	return m
}

// putBack makes a message the next one again that could not be written.
func (o *outbox) putBack(message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append([][]byte{message}, o.queue...)
	o.size += len(message)
}

// takeOver makes the caller the one reader, and returns what tells it that
// another one has come.
func (o *outbox) takeOver() chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader != nil {
		close(o.reader)
	}
	o.reader = make(chan struct{})
	return o.reader
}

// leave ends what takeOver began. The reader may have been woken for what it
// did not write.
func (o *outbox) leave(reader chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader == reader {
		o.reader = nil
	}
	if len(o.queue) > 0 {
		o.rouse()
	}
}

// serve writes the queue to a stream until the client, the session or the
// server ends it, or another stream of the client takes over.
func (o *outbox) serve(ctx context.Context, w http.ResponseWriter, ended, draining <-chan struct{}) {
	replaced := o.takeOver()
	defer o.leave(replaced)
	beginStream(w)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		if closed(replaced) || closed(ctx.Done()) {
			return
		}
		if m := o.take(); m != nil {
			if writeEvent(w, m) != nil {
				o.putBack(m)
				return
			}
			continue
		}
		select {
		case <-o.wake:
		case <-tick.C:
			if writeComment(w) != nil {
				return
			}
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-draining:
			return
		case <-replaced:
			return
		}
	}
}

// writeComment finds out whether the client is still there.
func writeComment(w http.ResponseWriter) error {
	defer within(w, writeTime)()
	if _, err := w.Write([]byte(":\n\n")); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// closed reports whether a channel is closed on which nothing is sent.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
