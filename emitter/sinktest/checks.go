package sinktest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func hangs(f Fixture) bool  { return f.Hang != nil }
func breaks(f Fixture) bool { return f.Break != nil }
func closes(f Fixture) bool { _, ok := f.Sink.(io.Closer); return ok }

func lags(f Fixture) bool          { _, ok := f.Sink.(emitter.Lagging); return ok }
func lagsAndBreaks(f Fixture) bool { return lags(f) && breaks(f) }

func order(h *harness) {
	for _, size := range []int{1, 1, 2, 7, 30, 1} {
		h.mustDeliver(h.add(size))
		h.wantExactly()
	}
}

func emptyBatch(h *harness) {
	for _, batch := range [][]emitter.Record{nil, {}} {
		if n, err := h.call(context.Background(), batch); n != 0 || err != nil {
			h.t.Fatalf("Send of no records = %d, %v; want 0, nil", n, err)
		}
	}
	h.wantExactly()
	h.mustDeliver(h.add(1))
	h.wantExactly()
}

func largeBatches(h *harness) {
	h.mustDeliver(h.add(largeBatch))
	h.wantExactly()
}

func largeRecord(h *harness) {
	size := h.f.MaxBody
	if size == 0 {
		size = defaultMaxBody
	}
	from, _ := h.add(1)
	h.addBody(h.body(strings.Repeat("x", size-len(h.body("")))))
	h.mustDeliver(from, h.addBody(h.body("after")))
	h.wantExactly()
}

// hostile are bodies that no format should render. A sink takes each as one
// record, or refuses it, but never lets it end one record and begin another.
var hostile = []string{
	"",
	"\n",
	"x\n",
	"x\nforged",
	"x\rforged",
	"\r\nforged\r\n",
	"x\x00forged",
	"\xff\xfe forged \xc0\x8a",
	"x\u2028forged\u0085forged",
	"x\n6 forged",
	"x\n<134>1 - - forged - - -",
	`{"event":"x"}{"event":"forged"}`,
	`{"event":"x"},{"event":"forged"}`,
	"x\x1e{\"event\":\"forged\"}",
}

func hostileBodies(h *harness) {
	for i, body := range hostile {
		had := len(h.f.Received(0))
		before, after := string(h.body(fmt.Sprint("before ", i))), string(h.body(fmt.Sprint("after ", i)))
		from := h.addBody([]byte(before)) - 1
		h.addBody([]byte(body))
		refused := h.deliver(from, h.addBody([]byte(after)))
		want := 3 - refused
		got := h.f.Received(had + want)[had:]
		if refused > 1 || len(got) != want || got[0] != before || got[want-1] != after {
			h.t.Errorf("with the body %q between two others, %d refused, the far end got %.200q", body, refused, got)
		}
	}
}

func cancelledBefore(h *harness) {
	h.mustDeliver(h.add(2))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	from, to := h.add(3)
	n, _ := h.send(ctx, from, to)
	h.recover(from+n, to)
}

func cancelledInFlight(h *harness) {
	h.mustDeliver(h.add(2))
	resume := sync.OnceFunc(h.f.Hang())
	defer resume() // for the fixture's cleanup, if the check ends early
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(50*time.Millisecond, cancel) // whatever Send is doing then
	from, to := h.add(50)
	n, _ := h.send(ctx, from, to)
	resume()
	h.recover(from+n, to)
}

func failure(h *harness) {
	h.mustDeliver(h.add(3))
	for range 2 {
		h.failOnce()
	}
}

func (h *harness) failOnce() {
	mend := sync.OnceFunc(h.f.Break())
	defer mend()
	from, to := h.add(5)
	n, err := h.send(context.Background(), from, to)
	from += n
	if err == nil { // that call was the one that found out
		from, to = h.add(5)
		n, err = h.send(context.Background(), from, to)
		from += n
	}
	if err == nil {
		h.t.Errorf("two calls of Send to a broken far end gave no error")
	}
	mend()
	h.recover(from, to)
}

func failureInFlight(h *harness) {
	for range 20 {
		mend := make(chan func(), 1)
		go func() { mend <- h.f.Break() }()
		from, to := h.add(100)
		n, _ := h.send(context.Background(), from, to)
		(<-mend)()
		h.recover(from+n, to)
	}
}

func closeTwice(h *harness) {
	h.mustDeliver(h.add(2))
	for range 2 {
		if err := h.f.Sink.(io.Closer).Close(); err != nil {
			h.t.Errorf("Close: %v", err)
		}
	}
	h.wantExactly()
}

// settling hands over several batches and settles them together.
func settling(h *harness) {
	sink := h.f.Sink.(emitter.Lagging)
	if seq, err := sink.Settled(); seq != 0 || err != nil {
		h.t.Errorf("Settled before anything was sent = %d, %v", seq, err)
	}
	before := uint64(0)
	for range 5 {
		from, to := h.add(20)
		if n, err := sink.Send(context.Background(), h.batch(from, to)); n != 20 || err != nil {
			h.t.Fatalf("Send of 20 records = %d, %v", n, err)
		}
		seq, err := sink.Settled()
		if err != nil || seq < before || seq > uint64(to) {
			h.t.Fatalf("Settled after %d records = %d, %v; before %d", to, seq, err, before)
		}
		before = seq
	}
	for range 2 { // the second one has nothing to do
		if seq, err := sink.Settle(context.Background()); seq != uint64(len(h.bodies)) || err != nil {
			h.t.Fatalf("Settle of %d records = %d, %v", len(h.bodies), seq, err)
		}
	}
	h.confirmed = len(h.bodies)
	h.wantExactly()
}

// settlingAfterFailure has the far end fail while something is handed over and
// not settled: the sink says so, and what it does not say is there.
func settlingAfterFailure(h *harness) {
	sink := h.f.Sink.(emitter.Lagging)
	for range 10 {
		from, to := h.add(20)
		n, err := sink.Send(context.Background(), h.batch(from, to))
		if err != nil {
			h.t.Fatalf("Send of 20 records = %d, %v", n, err)
		}
		mend := h.f.Break()
		seq, err := sink.Settle(context.Background())
		mend()
		if seq < uint64(to) && err == nil || seq > uint64(to) {
			h.t.Fatalf("Settle of %d records, with a far end that fails = %d, %v", to, seq, err)
		}
		h.confirmed = max(h.confirmed, int(seq))
		h.wantInOrder()
		h.recover(int(seq), to)
	}
}
