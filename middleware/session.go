package middleware

import (
	"container/list"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// peer is who opened a session, and what they speak.
type peer struct {
	client  emitter.Client
	version string
}

// session is what is remembered of one MCP session.
type session struct {
	key        string
	known      bool // its initialize passed here, not only a request that named it
	peer       peer
	started    time.Time
	operations int64
	inFlight   map[string]*operation // requests that await their response, by idKey
	recent     *list.Element
}

// sessions remembers sessions by the keyed digest of their id, at most
// maxSessions of them: then the one that was used longest ago is forgotten.
// A session whose beginning was not seen is remembered only while a request of
// it is under way. It is safe for concurrent use.
type sessions struct {
	mu    sync.Mutex // guards what follows
	byKey map[string]*session
	used  *list.List // of *session, latest first
}

func newSessions() *sessions {
	return &sessions{byKey: make(map[string]*session), used: list.New()}
}

// get returns the session and makes it the latest; nil if it is not known.
func (ss *sessions) get(key string) *session {
	s := ss.byKey[key]
	if s != nil {
		ss.used.MoveToFront(s.recent)
	}
	return s
}

func (ss *sessions) make(key string) *session {
	if s := ss.get(key); s != nil {
		return s
	}
	if len(ss.byKey) >= maxSessions {
		ss.drop(ss.used.Back().Value.(*session))
	}
	s := &session{key: key, inFlight: make(map[string]*operation)}
	s.recent = ss.used.PushFront(s)
	ss.byKey[key] = s
	return s
}

func (ss *sessions) drop(s *session) {
	delete(ss.byKey, s.key)
	ss.used.Remove(s.recent)
}

// open remembers a session whose initialize succeeded.
func (ss *sessions) open(key string, p peer, at time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.make(key)
	s.known, s.peer, s.started = true, p, at
}

// close forgets a session that has ended. started is zero if its beginning was
// not seen.
func (ss *sessions) close(key string) (started time.Time, operations int64) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byKey[key]
	if s == nil {
		return time.Time{}, 0
	}
	ss.drop(s)
	return s.started, s.operations
}

// end forgets a session and tells e, the event of its end, how long it lasted
// and how many operations it had, if that is known.
func (ss *sessions) end(key string, e *emitter.Event) {
	if started, n := ss.close(key); !started.IsZero() {
		e.Metadata.Extra.DurationMS = emitter.Of(time.Since(started).Milliseconds())
		e.Metadata.Extra.Operations = emitter.Of(n)
	}
}

// peer returns what is known of a session's client.
func (ss *sessions) peer(key string) peer {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.get(key); s != nil {
		return s.peer
	}
	return peer{}
}

// count adds an operation to a session.
func (ss *sessions) count(key string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.byKey[key]; s != nil {
		s.operations++
	}
}

// enter makes op findable by its id, and returns the anomaly that hinders it.
func (ss *sessions) enter(key, id string, op *operation) (anomaly string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.byKey[key] == nil && len(ss.byKey) >= maxSessions {
		return emitter.AnomalyFull // who only names a session does not displace one
	}
	s := ss.make(key)
	switch {
	case s.inFlight[id] != nil:
		return emitter.AnomalyIDReused
	case len(s.inFlight) >= maxInFlight:
		return emitter.AnomalyFull
	}
	s.inFlight[id] = op
	return ""
}

// leave ends what enter began.
func (ss *sessions) leave(key, id string, op *operation) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byKey[key]
	if s == nil || s.inFlight[id] != op {
		return
	}
	delete(s.inFlight, id)
	if !s.known && len(s.inFlight) == 0 {
		ss.drop(s)
	}
}

// find returns the operation of a session that awaits the response to id.
func (ss *sessions) find(key, id string) *operation {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.byKey[key]; s != nil {
		return s.inFlight[id]
	}
	return nil
}
