package upstream

import "sync"

// tasks are the goroutines of a session. None begins when it is to end.
type tasks struct {
	mu    sync.Mutex // guards ended
	ended bool
	wg    sync.WaitGroup
}

// Go runs f, unless the session is to end, and reports whether it does.
func (t *tasks) Go(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.wg.Go(f)
	}
	return !t.ended
}

// Wait waits until all have returned; there are no more.
func (t *tasks) Wait() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.wg.Wait()
}
