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
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
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
	maxQueued = 4 << 20          // bytes of them, unless it is one
	maxEnding = 64               // ends of idle sessions that are recorded at a time
	keepAlive = 25 * time.Second // between signs of life on an idle stream
	writeTime = time.Minute      // for a client to take one message
)

// Options of a front. Zero values are the defaults.
type Options struct {
	MaxBody     int64
	MaxSessions int
	Idle        time.Duration
	Recorder    core.Recorder // takes the ends of sessions that no DELETE ends; nil: nobody
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

// Drain ends the streams that no call waits for and the questions to clients,
// whose answers nobody would take any more, and takes no new sessions.
func (f *Front) Drain() { f.drainOnce.Do(func() { close(f.draining) }) }

func (f *Front) drains() bool { return closed(f.draining) }

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
	if !legacyVersion(w, r, nil) {
		return
	}
	s, done := f.lookup(w, r, nil)
	if s == nil {
		return
	}
	defer done()
	switch {
	case r.Method == http.MethodDelete && !f.remove(s):
		unknown(w, nil) // somebody was faster
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusOK)
	case !accepts(r, "text/event-stream"):
		http.Error(w, "the stream is text/event-stream", http.StatusNotAcceptable)
	default:
		s.out.serve(r.Context(), w, s.core.Done(), f.draining)
	}
}

// attach serves the stream of a session to the bridge that has begun it.
func (f *Front) attach(ctx context.Context, w http.ResponseWriter, id string) {
	if s, done := f.find(id); s != nil {
		defer done()
		s.out.serve(ctx, w, s.core.Done(), f.draining)
	}
}

// end ends a session of a bridge.
func (f *Front) end(id string, why emitter.Reason) {
	if s, done := f.find(id); s != nil {
		defer done()
		if f.remove(s) {
			s.recordEnd(context.Background(), f.opt.Recorder, why, time.Now())
		}
	}
}

// find returns a session, in use until done is called; nil: there is none.
func (f *Front) find(id string) (s *session, done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s = f.sessions[id]; s == nil {
		return nil, nil
	}
	return s, s.use()
}

// lookup returns the session that r names, in use until done is called; nil: it
// has been answered, as the one to the request id.
func (f *Front) lookup(w http.ResponseWriter, r *http.Request, id wire.Raw) (s *session, done func()) {
	name := r.Header.Get(mcp.HeaderSessionID)
	if name == "" {
		refuse(w, http.StatusBadRequest, id, wire.CodeInvalidRequest, "Mcp-Session-Id is missing: begin with initialize")
		return nil, nil
	}
	s, done = f.find(name)
	if s != nil && s.admits(r) {
		return s, done
	}
	if s != nil {
		done()
		middleware.NoteFrom(r.Context()).Decide(middleware.Deny, nil, emitter.ReasonOtherPrincipal)
	}
	unknown(w, id)
	return nil, nil
}

func unknown(w http.ResponseWriter, id wire.Raw) {
	refuse(w, http.StatusNotFound, id, wire.CodeInvalidRequest, "no such session: begin anew with initialize")
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
	tick := time.NewTicker(max(min(f.opt.Idle/10, freshIdle/2), time.Second))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			f.sweep(ctx, now)
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

// sweep ends the sessions that are idle. It returns when that is recorded, or
// EmitTimeout after ctx has ended.
func (f *Front) sweep(ctx context.Context, now time.Time) {
	f.mu.Lock()
	var idle []*session
	for id, s := range f.sessions {
		if s.idle(now, f.opt.Idle) {
			delete(f.sessions, id)
			idle = append(idle, s)
		}
	}
	f.mu.Unlock()
	for _, s := range idle {
		s.core.Close()
	}
	emit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(middleware.EmitTimeout, cancel) })()
	var wg sync.WaitGroup
	turns := make(chan struct{}, maxEnding)
	for _, s := range idle {
		turns <- struct{}{}
		wg.Go(func() {
			s.recordEnd(emit, f.opt.Recorder, emitter.ReasonIdle, now)
			<-turns
		})
	}
	wg.Wait()
}

// add makes a session findable, if there is room for it.
func (f *Front) add(s *session) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) >= f.opt.MaxSessions {
		return false
	}
	f.sessions[s.id] = s
	return true
}

// remove ends a session, and reports whether it was there.
func (f *Front) remove(s *session) bool {
	f.mu.Lock()
	there := f.sessions[s.id] == s
	delete(f.sessions, s.id)
	f.mu.Unlock()
	s.core.Close()
	return there
}
