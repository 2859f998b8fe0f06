package core

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// errSlow is why a call ended that its back end did not answer in time.
var errSlow = fmt.Errorf("no answer within the time-out of the back end: %w", context.DeadlineExceeded)

// patience bounds the calls of one session to one back end. While that waits
// for the client's answer to a question, no time passes for any of them: over
// HTTP a question may come on another stream than its call's, and nothing says
// which call it belongs to. It is safe for concurrent use.
type patience struct {
	mu     sync.Mutex // guards what follows
	asking int        // questions under way
	clocks map[*clock]struct{}
}

// clock is the time that one call has left.
type clock struct {
	left  time.Duration // when it last stood still
	since time.Time     // when it began to run again
	timer *time.Timer
}

// bound returns a context that ends with errSlow when limit has passed, and
// what ends it before. No limit: 0.
func (p *patience) bound(ctx context.Context, limit time.Duration) (context.Context, func()) {
	if limit <= 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := &clock{left: limit, since: time.Now()}
	c.timer = time.AfterFunc(limit, func() { p.strike(c, cancel) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clocks == nil {
		p.clocks = make(map[*clock]struct{})
	}
	p.clocks[c] = struct{}{}
	if p.asking > 0 {
		c.stop()
	}
	return ctx, func() {
		p.mu.Lock()
		delete(p.clocks, c)
		c.timer.Stop()
		p.mu.Unlock()
		cancel(nil)
	}
}

// strike ends a call, unless its clock was stopped as it was about to strike.
func (p *patience) strike(c *clock, cancel context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking == 0 && time.Since(c.since) >= c.left {
		cancel(errSlow)
	}
}

// pause stops the clocks until resume is called.
func (p *patience) pause() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking++; p.asking == 1 {
		for c := range p.clocks {
			c.stop()
		}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.asking--; p.asking == 0 {
			for c := range p.clocks {
				c.since = time.Now()
				c.timer.Reset(max(c.left, 0))
			}
		}
	}
}

func (c *clock) stop() {
	c.timer.Stop()
	c.left -= time.Since(c.since)
}
