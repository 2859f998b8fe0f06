package health

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWatch lets a back end fail, recover, fail for less than the threshold and
// be lost, and looks when each is told.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		broken, kick := true, make(chan struct{})
		set := func(b bool) { mu.Lock(); defer mu.Unlock(); broken = b }
		var told []string
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Watch(ctx, Options{Interval: 10 * time.Second, Threshold: 3}, kick, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if broken {
					return errors.New("down")
				}
				return nil
			}, func(err error, _ time.Duration) {
				s := time.Since(began).String() + " up"
				if err != nil {
					s = time.Since(began).String() + " " + err.Error()
				}
				told = append(told, s)
			})
		}()
		time.Sleep(2 * time.Second) // checks at 0 and 1 s
		set(false)                  // found at 3 s
		time.Sleep(10 * time.Second)
		set(true) // at 12 s; checks at 13 and 14 s
		time.Sleep(2500 * time.Millisecond)
		set(false) // at 14.5 s: below the threshold, checked at 16 s
		time.Sleep(3 * time.Second)
		set(true) // at 17.5 s
		kick <- struct{}{}
		time.Sleep(time.Minute) // 17.5, 18.5, 20.5 s
		set(false)
		kick <- struct{}{} // at 77.5 s
		synctest.Wait()
		stop()
		<-ended
		want := []string{"0s down", "3s up", "20.5s down", "1m17.5s up"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestTimeout checks that a check which hangs counts as failed.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		Watch(ctx, Options{Timeout: time.Minute}, nil, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, func(err error, took time.Duration) {
			if !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
				t.Errorf("%v after %v", err, took)
			}
			stop()
		})
	})
}

// TestDown has a back end down for two days: it is asked at intervals all the
// time.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 48*time.Hour)
		defer stop()
		began, checks := time.Now(), 0
		var last, longest time.Duration
		Watch(ctx, Options{}, nil, func(context.Context) error {
			if checks++; checks > 6000 {
				t.Fatalf("%d checks in %v", checks, time.Since(began))
			}
			longest, last = max(longest, time.Since(began)-last), time.Since(began)
			return errors.New("down")
		}, func(error, time.Duration) {})
		if longest != DefaultInterval {
			t.Errorf("the longest pause was %v", longest)
		}
	})
}

// TestKicks has calls fail without a pause while a back end is away for less
// than the threshold: they do not make a storm of checks, nor is it lost sooner.
func TestKicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kick := make(chan struct{}, 1)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		began, checks := time.Now(), 0
		var told []error
		Watch(ctx, Options{}, kick, func(context.Context) error {
			if checks++; checks > 1000 {
				t.Fatal("the checks have no pause")
			}
			select {
			case kick <- struct{}{}:
			default:
			}
			if at := time.Since(began); at > 0 && at < 2500*time.Millisecond {
				return errors.New("restarts")
			}
			return nil
		}, func(err error, _ time.Duration) { told = append(told, err) })
		if checks > 11 || len(told) != 1 || told[0] != nil {
			t.Errorf("%d checks, told %v", checks, told)
		}
	})
}
