// Package sinktest checks that a sink keeps the contract of [emitter.Sink].
//
//	func TestContract(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
//			far := newFarEnd(t)
//			return sinktest.Fixture{Sink: open(t, far.addr), Received: far.received}
//		})
//	}
//
// It plays the delivery loop: what is not confirmed is sent again, what is
// refused for good is left out. A sink that is an [emitter.Lagging] one settles
// after each call, in most checks. What a crash leaves behind is not checked.
package sinktest

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Fixture is a fresh sink with a far end that has got nothing yet. If the sink
// is an [io.Closer] the suite may close it, or not.
type Fixture struct {
	Sink emitter.Sink

	// Received returns the bodies that the far end has got, in the order in
	// which they came, as they were given to Send. If they are fewer than n it
	// may wait a while for the rest. It is not called during Send.
	Received func(n int) []string

	// Body makes a body that the far end takes out of a short text, as the
	// route's format would. Different texts give different bodies. Nil: the
	// text itself.
	Body func(text string) []byte

	// MaxBody is the length in bytes of the longest body that has to be taken.
	// 0: 1 MiB.
	MaxBody int

	// Break makes the far end fail, and mend makes it work again. While it is
	// broken Send must fail, at the latest in the second call. Break is also
	// called during Send. Nil: it cannot fail so that the sink would know.
	Break func() (mend func())

	// Hang makes the far end stop answering, until resume is called. Nil: it
	// cannot hang, or Send cannot be interrupted then.
	Hang func() (resume func())
}

const (
	patience       = time.Minute // for one Send, and for a far end to recover
	largeBatch     = 1000        // records
	defaultMaxBody = 1 << 20
)

type check struct {
	name string
	run  func(h *harness)
	fits func(f Fixture) bool // nil: any
}

var checks = []check{
	{name: "Order", run: order},
	{name: "EmptyBatch", run: emptyBatch},
	{name: "LargeBatch", run: largeBatches},
	{name: "LargeRecord", run: largeRecord},
	{name: "HostileBodies", run: hostileBodies},
	{name: "CancelledBefore", run: cancelledBefore},
	{name: "CancelledInFlight", run: cancelledInFlight, fits: hangs},
	{name: "Failure", run: failure, fits: breaks},
	{name: "FailureInFlight", run: failureInFlight, fits: breaks},
	{name: "Settling", run: settling, fits: lags},
	{name: "SettlingAfterFailure", run: settlingAfterFailure, fits: lagsAndBreaks},
	{name: "CloseTwice", run: closeTwice, fits: closes},
}

// Run checks the sink of fixtures that open makes, a fresh one for each check.
// At the end, when the cleanups of all fixtures have run, no goroutine may be
// left; so it must not run beside parallel tests.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	t.Helper()
	before := runtime.NumGoroutine()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			if c.fits == nil || c.fits(f) {
				c.run(&harness{t: t, f: f})
			}
		})
	}
	goroutinesEnd(t, before)
}

// goroutinesEnd waits until there are no more than before.
func goroutinesEnd(tb testing.TB, before int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for runtime.NumGoroutine() > before {
		select {
		case <-ctx.Done():
			stacks := make([]byte, 64<<10)
			stacks = stacks[:runtime.Stack(stacks, true)]
			tb.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks)
			return
		case <-time.After(time.Millisecond):
		}
	}
}
