// Package health watches one back end: it asks at intervals whether it is
// there, and tells each change.
package health

import (
	"context"
	"time"
)

// Options say how a back end is watched. The zero value works.
type Options struct {
	Interval  time.Duration // between checks of a healthy back end; 0: DefaultInterval
	Timeout   time.Duration // of one check of a back end that is there; 0: DefaultTimeout
	Threshold int           // failed checks in a row after which it is lost; 0: DefaultThreshold
}

// The defaults are ToolHive's.
const (
	DefaultInterval  = 30 * time.Second
	DefaultTimeout   = 10 * time.Second
	DefaultThreshold = 3
)

// OpenTimeout is how long a check may take at least of a back end that is not
// there yet: a command may have to start, which takes longer than a sign of life.
const OpenTimeout = 20 * time.Second

const (
	firstRetry = time.Second // after a failed check; then twice as long, up to the interval
	shortest   = time.Second // between two checks, however many calls fail meanwhile; the interval, if that is shorter
)

func (o Options) filled() Options {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Threshold <= 0 {
		o.Threshold = DefaultThreshold
	}
	return o
}

// Watch checks a back end until ctx ends: at once, then at intervals, sooner
// while it fails or when kick says that a call has failed. It tells the first
// result, and then each change: nil when the back end is there, the error of the
// last check when Threshold of them have failed; how long the check took.
func Watch(ctx context.Context, opt Options, kick <-chan struct{}, check func(context.Context) error, tell func(error, time.Duration)) {
	opt = opt.filled()
	failed, up, told := 0, false, false
	pause := firstRetry
	for {
		began := time.Now()
		timeout := opt.Timeout
		if !up {
			timeout = max(timeout, OpenTimeout)
		}
		err := once(ctx, timeout, check)
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if !up {
				tell(nil, took)
			}
			failed, up, pause = 0, true, firstRetry
		default:
			failed++
			if up && failed >= opt.Threshold || !told {
				up = false
				tell(err, took)
			}
		}
		told = true
		next := opt.Interval
		if err != nil {
			next = min(pause, opt.Interval)
			pause = 2 * next
		}
		calm := min(shortest, next)
		if !wait(ctx, calm, nil) || !wait(ctx, next-calm, kick) {
			return
		}
	}
}

// wait waits for d or a kick, and reports whether ctx goes on.
func wait(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-kick:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

func once(ctx context.Context, timeout time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return check(ctx)
}
