package front

import (
	"crypto/rand"
	"io"
	"net/http"
	"sync"
	"time"
)

// SSE serves clients of the HTTP+SSE transport (revision 2024-11-05): a stream
// at one address, whose first event names another one for messages.
type SSE struct {
	f                 *Front
	messages, streams http.Handler
	path              string // for messages

	mu   sync.Mutex // guards open
	open map[string]*bridge
}

// SSE returns the handlers of the stream and of the messages, which clients are
// to send to path. messages is the audited handler, streams the bare one.
func (f *Front) SSE(path string, messages, streams http.Handler) *SSE {
	return &SSE{f: f, messages: messages, streams: streams, path: path, open: make(map[string]*bridge)}
}

// Stream opens a client's stream.
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
	b := newBridge(r.Context(), s.messages, s.streams)
	b.via, b.path, b.remote = "sse", s.path, r.RemoteAddr
	b.header, b.host = own(r.Header), r.Host
	var mu sync.Mutex
	b.out = func(message []byte) error {
		mu.Lock()
		defer mu.Unlock()
		return writeEvent(w, message)
	}
	id := rand.Text()
	s.mu.Lock()
	full := len(s.open) >= s.f.opt.MaxSessions
	if !full {
		s.open[id] = b
	}
	s.mu.Unlock()
	if full || s.f.drains() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "no more sessions for now", http.StatusServiceUnavailable)
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.open, id)
		s.mu.Unlock()
		b.close()
	}()
	beginStream(w)
	mu.Lock()
	_, _ = io.WriteString(w, "event: endpoint\ndata: "+s.path+"?sessionId="+id+"\n\n")
	_ = http.NewResponseController(w).Flush()
	mu.Unlock()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			mu.Lock()
			err := writeComment(w)
			mu.Unlock()
			if err != nil {
				return
			}
		case <-b.ctx.Done():
			return
		case <-s.f.draining:
			return
		}
	}
}

// own are the headers of a stream's request that count for its messages.
func own(h http.Header) http.Header {
	out := make(http.Header)
	for _, name := range []string{"Authorization", "User-Agent", "X-Forwarded-For", "Forwarded"} {
		if v, ok := h[name]; ok {
			out[name] = v
		}
	}
	return out
}

// Message takes a message. Its answer comes on the stream.
func (s *SSE) Message(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	b := s.open[r.URL.Query().Get("sessionId")]
	s.mu.Unlock()
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
	b.take(body, header)
	w.WriteHeader(http.StatusAccepted)
}
