// Package front is the side of the gateway that clients see: streamable HTTP in
// both eras of the protocol on one address, and, over a bridge to it, the older
// HTTP+SSE and stdio.
//
// An answer is JSON until the first message that must go before it; then it is a
// stream of events. What belongs to no request goes to the client's GET stream.
// Streams cannot be resumed.
package front

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// Bounds and times.
const (
	// DefaultMaxBody bounds a request, in bytes.
	DefaultMaxBody = 16 << 20
	// DefaultMaxSessions bounds the legacy sessions that are open.
	DefaultMaxSessions = 20000
	// DefaultIdle is how long a legacy session lives that nobody uses.
	DefaultIdle = 30 * time.Minute

	freshIdle = 2 * time.Minute  // for a session of which nothing came but its initialize
	maxQueue  = 256              // messages that wait for a client's GET stream
	keepAlive = 25 * time.Second // between signs of life on an idle stream
	writeTime = time.Minute      // for a client to take one message
)

// Options of a front. Zero values are the defaults.
type Options struct {
	MaxBody     int64
	MaxSessions int
	Idle        time.Duration
	Recorder    core.Recorder // takes the ends of idle sessions; nil: nobody
	Log         *slog.Logger
}

// Front serves clients. It is safe for concurrent use.
type Front struct {
	g   *core.Gateway
	opt Options

	draining  chan struct{} // closed when streams are to end
	drainOnce sync.Once

	unsolicited, dropped atomic.Uint64

	mu       sync.Mutex // guards sessions
	sessions map[string]*session
}

// New returns a front of g.
func New(g *core.Gateway, opt Options) *Front {
	opt.MaxBody = cmp.Or(opt.MaxBody, DefaultMaxBody)
	opt.MaxSessions = cmp.Or(opt.MaxSessions, DefaultMaxSessions)
	opt.Idle = cmp.Or(opt.Idle, DefaultIdle)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Front{g: g, opt: opt, draining: make(chan struct{}), sessions: make(map[string]*session)}
}

// Drain ends the streams that no call waits for, and takes no new sessions.
func (f *Front) Drain() { f.drainOnce.Do(func() { close(f.draining) }) }

func (f *Front) drains() bool {
	select {
	case <-f.draining:
		return true
	default:
		return false
	}
}

// Stats counts, since the start.
type Stats struct {
	Unsolicited uint64 // answers of clients that nothing had asked for
	Dropped     uint64 // messages that a full queue had no room for
}

// Stats returns the counters as they stand.
func (f *Front) Stats() Stats { return Stats{f.unsolicited.Load(), f.dropped.Load()} }

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		f.post(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "DELETE, GET, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case modernVersion(r.Header.Get(mcp.HeaderProtocolVersion)):
		w.Header().Set("Allow", "POST")
		http.Error(w, "revision "+upstream.Modern+" has no "+r.Method, http.StatusMethodNotAllowed)
	default:
		f.verb(w, r)
	}
}

func modernVersion(v string) bool { return v >= upstream.Modern }

// verb serves GET and DELETE of a legacy session.
func (f *Front) verb(w http.ResponseWriter, r *http.Request) {
	s := f.lookup(w, r)
	if s == nil {
		return
	}
	if r.Method == http.MethodDelete {
		f.remove(s)
		w.WriteHeader(http.StatusOK)
		return
	}
	if !accepts(r, "text/event-stream") {
		http.Error(w, "the stream is text/event-stream", http.StatusNotAcceptable)
		return
	}
	defer s.use()()
	s.out.serve(w, r, s.core.Done(), f.draining)
}

// lookup returns the session that r names; nil: it has been answered.
func (f *Front) lookup(w http.ResponseWriter, r *http.Request) *session {
	id := r.Header.Get(mcp.HeaderSessionID)
	if id == "" {
		refuse(w, http.StatusBadRequest, nil, wire.CodeInvalidRequest, "Mcp-Session-Id is missing: begin with initialize")
		return nil
	}
	f.mu.Lock()
	s := f.sessions[id]
	f.mu.Unlock()
	if s == nil {
		refuse(w, http.StatusNotFound, nil, wire.CodeInvalidRequest, "no such session: begin anew with initialize")
	}
	return s
}

func (f *Front) post(w http.ResponseWriter, r *http.Request) {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		http.Error(w, "a message is application/json", http.StatusUnsupportedMediaType)
		return
	}
	if !accepts(r, "application/json") || !accepts(r, "text/event-stream") {
		http.Error(w, "an answer is application/json or text/event-stream", http.StatusNotAcceptable)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, f.opt.MaxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		refuse(w, http.StatusRequestEntityTooLarge, nil, wire.CodeInvalidRequest, "the message is too large")
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, nil, wire.CodeParse, "the message could not be read")
		return
	}
	m, err := wire.Parse(body)
	if err != nil {
		code := wire.CodeInvalidRequest
		if errors.Is(err, wire.ErrSyntax) {
			code = wire.CodeParse
		}
		if b := bytes.TrimSpace(body); code != wire.CodeParse && len(b) > 0 && b[0] == '[' {
			err = errors.New("batches are not taken")
		}
		refuse(w, http.StatusBadRequest, nil, code, err.Error())
		return
	}
	if modernVersion(r.Header.Get(mcp.HeaderProtocolVersion)) || modernMeta(m) {
		f.modern(w, r, m)
		return
	}
	f.legacy(w, r, m)
}

// accepts reports whether the client takes a media type. One that says nothing
// takes everything.
func accepts(r *http.Request, media string) bool {
	all := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	kind, _, _ := strings.Cut(media, "/")
	return all == "" || strings.Contains(all, media) || strings.Contains(all, "*/*") || strings.Contains(all, kind+"/*")
}

// refuse answers with an error of our own.
func refuse(w http.ResponseWriter, status int, id wire.Raw, code int, message string) {
	writeJSON(w, status, wire.AppendError(nil, id, wire.NewError(code, message, nil)))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Run ends sessions that nobody uses, until ctx ends; then it ends all.
func (f *Front) Run(ctx context.Context) {
	tick := time.NewTicker(max(f.opt.Idle/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			f.sweep(now)
		case <-ctx.Done():
			f.mu.Lock()
			all := f.sessions
			f.sessions = make(map[string]*session)
			f.mu.Unlock()
			for _, s := range all {
				s.core.Close()
			}
			if st := f.Stats(); st != (Stats{}) {
				f.opt.Log.Warn("messages of clients and for clients that came to nothing", "unsolicited_answers", st.Unsolicited, "dropped", st.Dropped)
			}
			return
		}
	}
}

func (f *Front) sweep(now time.Time) {
	f.mu.Lock()
	var idle []*session
	for id, s := range f.sessions {
		if s.idleSince(now) >= f.patience(s) {
			delete(f.sessions, id)
			idle = append(idle, s)
		}
	}
	f.mu.Unlock()
	for _, s := range idle {
		s.core.Close()
		s.recordEnd(f.opt.Recorder, now)
	}
}

// patience is how long a session may be idle. Whoever opens sessions and does
// nothing with them must not keep others out for long.
func (f *Front) patience(s *session) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		return min(freshIdle, f.opt.Idle)
	}
	return f.opt.Idle
}

func (f *Front) remove(s *session) {
	f.mu.Lock()
	delete(f.sessions, s.id)
	f.mu.Unlock()
	s.core.Close()
}
