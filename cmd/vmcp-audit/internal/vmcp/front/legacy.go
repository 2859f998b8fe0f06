package front

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// legacy serves a message of a revision up to 2025-11-25.
func (f *Front) legacy(w http.ResponseWriter, r *http.Request, m wire.Message) {
	if m.Method == "initialize" && m.Request() {
		f.initialize(w, r, m)
		return
	}
	if v := r.Header.Get(mcp.HeaderProtocolVersion); v != "" && !slices.Contains(upstream.Legacy, v) {
		refuse(w, http.StatusBadRequest, m.ID, wire.CodeInvalidRequest, "unsupported protocol version")
		return
	}
	s := f.lookup(w, r)
	if s == nil {
		return
	}
	defer s.use()()
	s.prepareEnd(r.Context())
	switch {
	case m.Response():
		if !s.answer(m) {
			f.unsolicited.Add(1)
			middleware.NoteFrom(r.Context()).AddAnomaly(emitter.AnomalyUnsolicited)
			f.opt.Log.Debug("a client answered what nothing had asked")
		}
		w.WriteHeader(http.StatusAccepted)
	case m.Notification():
		s.core.Notify(m.Method, m.Params)
		w.WriteHeader(http.StatusAccepted)
	default:
		f.call(w, r, s, m)
	}
}

func (f *Front) initialize(w http.ResponseWriter, r *http.Request, m wire.Message) {
	s := &session{id: rand.Text(), out: newOutbox(&f.dropped), started: time.Now(), used: time.Now()}
	f.mu.Lock()
	full := len(f.sessions) >= f.opt.MaxSessions
	f.mu.Unlock()
	if full || f.drains() {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, m.ID, wire.CodeInternal, "no more sessions for now")
		return
	}
	c, result, err := f.g.Initialize(r.Context(), m.Params, s)
	if err != nil {
		f.answer(&exchange{w: w}, m, nil, err, http.StatusOK)
		return
	}
	s.core = c
	f.mu.Lock()
	f.sessions[s.id] = s
	f.mu.Unlock()
	w.Header().Set(mcp.HeaderSessionID, s.id)
	f.answer(&exchange{w: w}, m, result, nil, http.StatusOK)
}

// call serves a request. The call goes on when the client's connection breaks,
// since in these revisions that is no cancel.
func (f *Front) call(w http.ResponseWriter, r *http.Request, s *session, m wire.Message) {
	x := &exchange{w: w}
	if m.Method == "ping" {
		f.answer(x, m, wire.Raw("{}"), nil, http.StatusOK)
		return
	}
	result, err := s.core.Call(r.Context(), core.Request{ID: m.ID, Method: m.Method, Params: m.Params, Header: r.Header}, callEvents{s, x})
	if r.Context().Err() != nil {
		x.abort() // nobody is there to get it, and the trail is not to say so
		return
	}
	f.answer(x, m, result, err, http.StatusOK)
}

// answer sends the response to m. To what the client itself has cancelled there
// is none.
func (f *Front) answer(x *exchange, m wire.Message, result wire.Raw, err error, failed int) {
	if err == nil {
		x.finish(http.StatusOK, wire.AppendResult(make([]byte, 0, len(result)+len(m.ID)+40), m.ID, result))
		return
	}
	if _, cancelled := errors.AsType[*upstream.Cancelled](err); cancelled {
		x.abort()
		return
	}
	said, ok := errors.AsType[*wire.Error](err)
	if !ok {
		said = wire.NewError(wire.CodeInternal, "the session has ended", nil)
	}
	x.finish(failed, wire.AppendError(nil, m.ID, said))
}
