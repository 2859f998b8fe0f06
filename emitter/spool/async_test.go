package spool

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAsyncDelay: in Async mode a record is on disk after AsyncDelay, though nothing
// comes behind it and nobody waits for it.
func TestAsyncDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "/spool", Options{disk: newMemDisk(1), Durability: Async})
		defer s.Close()
		for range 3 {
			before := s.Stats().Commits
			if _, err := s.Append(t.Context(), Ordinary, []byte("one")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(AsyncDelay / 2)
			if _, err := s.Append(t.Context(), Ordinary, []byte("two")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(AsyncDelay/2 - time.Millisecond)
			synctest.Wait()
			if n := s.Stats().Commits - before; n != 0 {
				t.Errorf("%d commits before its time", n)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if n := s.Stats().Commits - before; n != 1 {
				t.Errorf("%d commits after AsyncDelay, want 1", n)
			}
		}
	})
}
