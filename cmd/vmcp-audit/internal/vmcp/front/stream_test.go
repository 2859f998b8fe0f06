package front

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// broken is a client that is not there any more.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// get opens a stream that ends when its queue is empty, by ending the session,
// and returns what was written.
func get(o *outbox, w http.ResponseWriter) {
	ended := make(chan struct{})
	close(ended)
	o.serve(context.Background(), w, ended, nil)
}

// TestOutboxLost breaks the connection of a client's stream: what could not be
// written goes to its next stream, in order.
func TestOutboxLost(t *testing.T) {
	o := newOutbox(new(atomic.Uint64))
	o.put([]byte(`{"n":1}`))
	o.put([]byte(`{"n":2}`))
	get(o, broken{httptest.NewRecorder()})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	o.serve(gone, w, nil, nil)
	if w.Body.Len() > 0 {
		t.Errorf("written to a client that has gone: %s", w.Body)
	}
	w = httptest.NewRecorder()
	get(o, w)
	if got, want := w.Body.String(), "event: message\ndata: {\"n\":1}\n\nevent: message\ndata: {\"n\":2}\n\n"; !strings.HasPrefix(got, want) {
		t.Errorf("the next stream got %q", got)
	}
}

// TestOutboxWoken lets a reader be woken, and then give way to another one
// which found nothing before: that one is woken too.
func TestOutboxWoken(t *testing.T) {
	o := newOutbox(new(atomic.Uint64))
	old := o.takeOver()
	fresh := o.takeOver()
	o.put([]byte("{}"))
	<-o.wake // by the old one
	o.leave(old)
	select {
	case <-o.wake:
	default:
		t.Error("the new reader sleeps while a message waits")
	}
	if o.reader != fresh {
		t.Error("the new reader was taken for the old one")
	}
}

// TestOutboxBound fills a queue by number and by size.
func TestOutboxBound(t *testing.T) {
	var dropped atomic.Uint64
	o := newOutbox(&dropped)
	large := make([]byte, maxQueued+1)
	if !o.put(large) || o.put([]byte("{}")) {
		t.Error("a large message has room if it is the only one, and leaves none")
	}
	o.take()
	for range maxQueue {
		if !o.put([]byte("{}")) {
			t.Fatal("no room for a small message")
		}
	}
	if o.put([]byte("{}")) || dropped.Load() != 2 {
		t.Errorf("dropped %d, want 2", dropped.Load())
	}
}

// TestExchangeAlive lets a user take minutes to answer: the stream shows that
// it lives, until its end.
func TestExchangeAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		x := newExchange(w, httptest.NewRequest(http.MethodPost, "/mcp", nil))
		time.Sleep(2 * keepAlive)
		x.event([]byte("{}"))
		time.Sleep(2*keepAlive + time.Second)
		x.finish(http.StatusOK, []byte(`{"id":1}`))
		x.abort()
		time.Sleep(2 * keepAlive)
		if got, want := w.Body.String(), "event: message\ndata: {}\n\n:\n\n:\n\nevent: message\ndata: {\"id\":1}\n\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestExchangeGone lets a client's connection break before a message that
// belongs to its request: it is not written there.
func TestExchangeGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	x := newExchange(w, httptest.NewRequest(http.MethodPost, "/mcp", nil).WithContext(ctx))
	if !x.event([]byte("{}")) {
		t.Error("not sent while the client is there")
	}
	cancel()
	if x.event([]byte(`{"lost":1}`)) || strings.Contains(w.Body.String(), "lost") {
		t.Error("sent to a client that has gone")
	}
}
