package integration

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
)

// sdk is a client of one of the Go SDKs.
type sdk interface {
	connect(ctx context.Context) error
	// do carries out an operation; failed says that the result is marked as an
	// error.
	do(ctx context.Context, op operation) (failed bool, err error)
	// isRPC reports whether err is a JSON-RPC error of the server.
	isRPC(err error) bool
	close() error
}

// driver is what the drivers of the Go SDKs share: it counts what the server
// asks, and what it tells of the present operation.
type driver struct {
	tellsCancels bool // the SDK sends a cancel, on the side
	cancels      int  // operations that were cancelled

	mu       sync.Mutex // guards what follows
	asked    map[string]int
	token    int // of the present operation's progress
	progress int
	onTell   func() // called at each progress message
}

func (d *driver) ask(method string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked == nil {
		d.asked = make(map[string]int)
	}
	d.asked[method]++
}

// tell is told of a progress message with its token. One of an operation before
// may come late.
func (d *driver) tell(token any) {
	d.mu.Lock()
	present := fmt.Sprint(token) == strconv.Itoa(d.token)
	if present {
		d.progress++
	}
	f := d.onTell
	d.mu.Unlock()
	if present && f != nil {
		f()
	}
}

func (d *driver) count(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[method]
}

// listenFor starts to count progress anew, under another token.
func (d *driver) listenFor(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.token++
	d.progress, d.onTell = 0, f
}

// present returns the token for the present operation.
func (d *driver) present() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.token
}

func (d *driver) progressed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.progress
}

// runGo lets a client go through a script and returns what it saw.
func runGo(t testing.TB, s sdk, d *driver, r *recorder, script []operation) view {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		t.Fatalf("connect: %v", err)
	}
	for _, op := range script {
		came, err := outcomeOf(ctx, t, s, d, r, op)
		if op.Method != "" {
			r.step(step{Method: op.Method, Target: op.Target, Outcome: came})
		}
		if came != op.Want {
			t.Errorf("%s %s: %s, want %s: %v", op.Do, op.Target, came, op.Want, err)
		}
	}
	until(t, "nothing is under way", func() bool { return r.underWay() == 0 })
	if err := s.close(); err != nil {
		t.Errorf("close: %v", err)
	}
	until(t, "all streams have ended", r.ended)
	r.base.CloseIdleConnections() // a new one without a request holds up the server's end for 5 s
	return r.seen()
}

// outcomeOf says in the words of the script how an operation came out.
func outcomeOf(ctx context.Context, t testing.TB, s sdk, d *driver, r *recorder, op operation) (string, error) {
	t.Helper()
	switch op.Do {
	case "asked":
		until(t, "the server has asked for "+op.Target, func() bool { return d.count(op.Target) >= op.Times })
		return ok, nil
	case "listening":
		until(t, "the GET stream is open", r.streaming)
		return ok, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if op.Cancel {
		d.listenFor(cancel)
	} else {
		d.listenFor(nil)
	}
	failed, err := s.do(ctx, op)
	switch {
	case op.Cancel && err != nil && ctx.Err() != nil:
		if d.tellsCancels {
			d.cancels++
			until(t, "the SDK has told the server that it cancels", func() bool { return r.cancelled(d.cancels) })
		}
		return cancelled, err
	case err != nil && s.isRPC(err):
		return rpcError, err
	case err != nil:
		return "broken", err
	case failed:
		return toolError, nil
	}
	if op.Do == "listen" {
		until(t, "the subscription is open", r.subscribed)
	}
	until(t, fmt.Sprintf("%d progress messages have come", op.Progress), func() bool { return d.progressed() >= op.Progress })
	return ok, nil
}
