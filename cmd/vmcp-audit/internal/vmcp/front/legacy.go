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
	begins := m.Method == "initialize" && m.Request()
	if begins && !f.has(r.Header.Get(mcp.HeaderSessionID)) {
		f.initialize(w, r, m)
		return
	}
	if !legacyVersion(w, r, m.ID) {
		return
	}
	s, done := f.lookup(w, r, m.ID)
	if s == nil {
		return
	}
	defer done()
	s.speak()
	switch {
	case begins:
		refuse(w, http.StatusBadRequest, m.ID, wire.CodeInvalidRequest, "the session has begun already")
	case m.Response():
		if !s.answer(m) {
			f.unsolicited.Add(1)
			middleware.NoteFrom(r.Context()).AddAnomaly(emitter.AnomalyUnsolicited)
			f.opt.Log.Debug("a client answered what nothing had asked")
		}
		w.WriteHeader(http.StatusAccepted)
	case m.Notification():
		if err := s.core.Notify(m.Method, m.Params); err != nil {
			writeJSON(w, http.StatusBadRequest, wire.AppendError(nil, nil, err))
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		f.call(w, r, s, m)
	}
}

// legacyVersion reports whether r names no revision that is unknown; else it
// has been answered, as the one to the request id.
func legacyVersion(w http.ResponseWriter, r *http.Request, id wire.Raw) bool {
	v := r.Header.Get(mcp.HeaderProtocolVersion)
	ok := v == "" || slices.Contains(upstream.Legacy, v)
	if !ok {
		refuse(w, http.StatusBadRequest, id, wire.CodeInvalidRequest, "unsupported protocol version")
	}
	return ok
}

// has reports whether there is a session of that id.
func (f *Front) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions[id] != nil
}

func (f *Front) initialize(w http.ResponseWriter, r *http.Request, m wire.Message) {
	s := &session{id: rand.Text(), principal: principal(r), out: newOutbox(&f.dropped), started: time.Now(), draining: f.draining}
	defer s.use()()
	if f.drains() {
		noRoom(w, m.ID)
		return
	}
	c, result, err := f.g.Initialize(r.Context(), m.Params, s)
	if err != nil {
		f.answer(newExchange(w, r), m, nil, err, http.StatusOK)
		return
	}
	s.core = c
	if !f.add(s) {
		c.Close()
		noRoom(w, m.ID)
		return
	}
	w.Header().Set(mcp.HeaderSessionID, s.id)
	f.answer(newExchange(w, r), m, result, nil, http.StatusOK)
	s.prepareEnd(r.Context())
}

func noRoom(w http.ResponseWriter, id wire.Raw) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, id, wire.CodeInternal, "no more sessions for now")
}

// call serves a request. The call goes on when the client's connection breaks,
// since in these revisions that is no cancel.
func (f *Front) call(w http.ResponseWriter, r *http.Request, s *session, m wire.Message) {
	x := newExchange(w, r)
	defer x.abort()
	if m.Method == "ping" {
		f.answer(x, m, wire.Raw("{}"), nil, http.StatusOK)
		return
	}
	result, err := s.core.Call(r.Context(), core.Request{ID: m.ID, Method: m.Method, Params: m.Params, Header: r.Header}, callEvents{s, x})
	if r.Context().Err() != nil {
		return // nobody is there to get it, and the trail is not to say so
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
