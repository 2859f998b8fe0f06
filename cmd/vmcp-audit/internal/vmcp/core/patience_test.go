package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience has a call of 10 s that is asked something after 4 s: it ends
// after 10 s of its own, however long the answers take.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(patience)
		began := time.Now()
		ctx, done := p.bound(t.Context(), 10*time.Second)
		defer done()
		free, never := p.bound(t.Context(), 0)
		defer never()
		time.Sleep(4 * time.Second)
		one := p.pause()
		time.Sleep(time.Hour)
		two := p.pause()
		late, end := p.bound(t.Context(), time.Second) // begins while all stand still
		defer end()
		one()
		time.Sleep(time.Hour)
		if ctx.Err() != nil || late.Err() != nil {
			t.Fatalf("ended during a question: %v, %v", context.Cause(ctx), context.Cause(late))
		}
		two()
		<-late.Done()
		<-ctx.Done()
		if got := time.Since(began); got != 2*time.Hour+10*time.Second {
			t.Errorf("ended after %s", got)
		}
		for _, c := range []context.Context{ctx, late} {
			if err := context.Cause(c); !errors.Is(err, errSlow) {
				t.Errorf("ended by %v", err)
			}
		}
		if free.Err() != nil {
			t.Errorf("without a limit: %v", context.Cause(free))
		}
	})
}

// TestPatienceDone ends what has its answer, and leaves nothing behind.
func TestPatienceDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(patience)
		ctx, done := p.bound(t.Context(), time.Second)
		resume := p.pause()
		done()
		resume()
		time.Sleep(time.Minute)
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) || len(p.clocks) != 0 {
			t.Errorf("%v, %d clocks left", err, len(p.clocks))
		}
	})
}
