package front

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// SSE serves clients of the HTTP+SSE transport (revision 2024-11-05): a stream
// at one address, whose first event names another one for messages.
type SSE struct {
	f        *Front
	messages http.Handler
	path     string // for messages

	mu   sync.Mutex // guards open
	open map[string]*bridge
}

// SSE returns the handlers of the stream and of the messages, which clients are
// to send to path. messages is the audited handler.
func (f *Front) SSE(path string, messages http.Handler) *SSE {
	return &SSE{f: f, messages: messages, path: path, open: make(map[string]*bridge)}
}

// Stream opens a client's stream. It lasts until the client goes or, when the
// server is to end, until the calls under way are answered.
func (s *SSE) Stream(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	case !accepts(r, "text/event-stream"):
		http.Error(w, "the stream is text/event-stream", http.StatusNotAcceptable)
		return
	}
	var mu sync.Mutex
	write := func(f func() error) error { mu.Lock(); defer mu.Unlock(); return f() }
	b := s.bridge(r.Context())
	b.out = func(message []byte) error { return write(func() error { return writeEvent(w, message) }) }
	id := rand.Text()
	if s.f.drains() || !s.add(id, b) {
		b.end()
		w.Header().Set("Retry-After", "5")
		http.Error(w, "no more sessions for now", http.StatusServiceUnavailable)
		return
	}
	why := emitter.ReasonClientClosed
	defer func() { b.close(why) }()
	defer s.remove(id)
	beginStream(w)
	_ = write(func() error {
		_, _ = io.WriteString(w, "event: endpoint\ndata: "+s.path+"?sessionId="+id+"\n\n")
		return http.NewResponseController(w).Flush()
	})
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if write(func() error { return writeComment(w) }) != nil {
				return
			}
		case <-b.ctx.Done():
			return
		case <-s.f.draining:
			why = emitter.ReasonServerClosed
			b.finish() // the server breaks it off if need be
			return
		}
	}
}

func (s *SSE) bridge(ctx context.Context) *bridge {
	b := newBridge(ctx, s.f, s.messages)
	b.via, b.path = "sse", s.path
	return b
}

// add makes a bridge findable, if there is room for it.
func (s *SSE) add(id string, b *bridge) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= s.f.opt.MaxSessions {
		return false
	}
	s.open[id] = b
	return true
}

func (s *SSE) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

func (s *SSE) find(id string) *bridge {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[id]
}

// Message takes a message. Its answer comes on the stream.
func (s *SSE) Message(w http.ResponseWriter, r *http.Request) {
	b := s.find(r.URL.Query().Get("sessionId"))
	if b == nil || r.Method != http.MethodPost {
		s.messages.ServeHTTP(w, r) // which refuses it, and the trail says so
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.f.opt.MaxBody)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.messages.ServeHTTP(w, r) // likewise: it cannot be read to its end
		return
	}
	header := r.Header.Clone()
	for _, name := range []string{"Connection", "Content-Length", "Content-Encoding"} {
		header.Del(name)
	}
	if !b.take(body, origin{header: header, host: r.Host, remote: r.RemoteAddr}) {
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.messages.ServeHTTP(w, r) // likewise: the stream has just ended
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
