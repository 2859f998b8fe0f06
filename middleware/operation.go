package middleware

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// operation is one HTTP request on its way to its event.
//
// Its life: newOperation reads the request, admit decides whether it may run,
// enter makes it findable, begin and pass watch the answer, end is the handler's
// return. The event is recorded once: in pass, when the response to the request
// has ended; else in end; else, for an answer that was broken off on a resumable
// stream, when it arrived on another one or did not in time. A stream is recorded
// when it opens and, by a second event, in end.
type operation struct {
	a     *Auditor
	start time.Time
	note  Note
	body  *body // nil unless the request is a POST

	httpMethod string
	session    string // keyed digest of the session id, "" for none
	token      string // keyed digest of the bearer token, "" for none
	version    string // MCP-Protocol-Version header
	mirror     mirror
	transport  string          // see Via
	listens    bool            // GET that asks for a stream
	known      peer            // of the session, when the request came: it may end before
	client     <-chan struct{} // closed when the client has gone
	entered    bool            // findable by session and id
	received   bool            // its event `received` is stored
	turned     bool            // refused by the audit itself, whoever sent it
	cancels    string          // id of the request that this cancels

	mu        sync.Mutex // guards what follows
	id        string     // idKey of the request, once known
	event     *emitter.Event
	described bool
	what      kind
	clean     cleaner
	answer    answer
	reply     *reply
	cancel    *operation // the one that cancelled this one
	began     bool       // an initialize that was given a session
	resumable bool
	gone      bool
	panicked  bool
	aborted   bool
	recorded  bool
	opened    *emitter.Event // the event of a stream's opening, once recorded
	timer     *time.Timer    // while parked
}

func (a *Auditor) newOperation(r *http.Request) *operation {
	version, _ := headerText(r.Header.Get(headerVersion))
	op := &operation{
		a:          a,
		start:      time.Now(),
		httpMethod: r.Method,
		session:    a.digests.keyed("session", r.Header.Get(headerSession)),
		version:    version,
		mirror:     mirrorOf(r.Header),
		transport:  transportOf(r.Context()),
		client:     r.Context().Done(),
		listens:    r.Method == http.MethodGet && accepts(r.Header, "text/event-stream"),
		event:      emitter.NewEvent(emitter.TypeHTTPRequest),
	}
	op.answer.op = op
	op.known = a.sessions.peer(op.session)
	e := op.event
	e.Source = a.source(r, e.AuditID, &op.clean)
	e.Source.Extra.SessionID = op.session
	e.Subjects, e.Auth = a.unverified(r.Header)
	op.token = e.Auth.TokenRef
	path, cut := headerText(r.URL.Path)
	e.Target.Endpoint = op.clean.uri("target.endpoint", path, cut)
	e.Trace.TraceID, e.Trace.SpanID = traceContext(r.Header.Get("Traceparent"))
	if r.Method == http.MethodPost && r.Body != nil {
		op.body = readAhead(a, r.Body, r.ContentLength)
		op.id = op.body.id()
	}
	return op
}

const (
	headerSession = "Mcp-Session-Id"
	headerVersion = "Mcp-Protocol-Version"
)

// headerText returns a text of its own, so that it does not keep the whole
// header of the request, and whether it had to be cut.
func headerText(s string) (text string, cut bool) {
	return strings.Clone(s[:min(len(s), maxName)]), len(s) > maxName
}

func accepts(h http.Header, media string) bool {
	for _, v := range h.Values("Accept") {
		if strings.Contains(strings.ToLower(v), media) {
			return true
		}
	}
	return false
}

// The subjects of whom nobody has verified anything; they name the method too.
const (
	subjectAnonymous  = "anonymous"
	subjectUnverified = "unverified"
)

// unverified describes a caller of whom nobody has verified anything.
func (a *Auditor) unverified(h http.Header) (emitter.Subject, emitter.Auth) {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if scheme == "" {
		return emitter.Subject{Type: subjectAnonymous}, emitter.Auth{Method: subjectAnonymous}
	}
	if token == "" {
		token = scheme
	}
	return emitter.Subject{Type: subjectUnverified},
		emitter.Auth{Method: subjectUnverified, TokenRef: a.digests.keyed("token", strings.TrimSpace(token))}
}

// enter makes the operation findable for a cancel or a resumed answer, and
// carries out a cancel.
func (op *operation) enter() {
	op.a.sessions.count(op.session)
	if op.session == "" || op.body == nil || modern(op.revision()) {
		return // a stateless message is of no session, whatever its header says
	}
	if op.cancels = op.body.cancels(); op.cancels != "" {
		op.cancelOther(true)
		return // it awaits no answer, and must never find itself
	}
	if op.id == "" || op.body.method() == methodInitialize {
		return // an initialize cannot be cancelled, and what session it is in changes
	}
	if anomaly := op.a.sessions.enter(op.session, op.id, op); anomaly != "" {
		op.note.AddAnomaly(anomaly)
		return
	}
	op.entered = true
}

func (op *operation) leave() {
	if op.entered {
		op.a.sessions.leave(op.session, op.id, op)
	}
}

// cancelOther marks the operation that a cancel names when the cancel comes,
// since the answer may end before the cancel does; and when the cancel has
// ended, takes its mark back if it was refused.
func (op *operation) cancelOther(accepted bool) {
	other := op.a.sessions.find(op.session, op.cancels)
	if other == nil {
		return
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	switch {
	case accepted && other.cancel == nil:
		other.cancel = op
	case !accepted && other.cancel == op:
		other.cancel = nil
	}
}

// cancelParked records the operation that a cancel names if it only waits.
func (op *operation) cancelParked() {
	other := op.a.sessions.find(op.session, op.cancels)
	if other == nil {
		return
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if other.timer != nil && !other.recorded && other.cancel != nil {
		other.record()
	}
}

// begin is told the status of the answer and its header.
func (op *operation) begin(status int, h http.Header) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.answer.begin(status, h)
	opens := op.httpMethod == http.MethodGet && status == http.StatusOK && op.answer.media == mediaSSE
	op.listens = op.listens || opens
	if op.described && op.httpMethod != http.MethodPost {
		op.describeVerb() // strict mode asked before there was an answer
	}
	if status < 300 && op.body != nil && op.body.method() == methodInitialize {
		op.openSession(h.Get(headerSession))
	}
	if opens {
		op.open()
	}
}

// pass is shown the next bytes of the answer before they are written.
func (op *operation) pass(p []byte) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.answer.pass(p)
	if op.answer.whole() && !op.recorded {
		op.record() // a refusal, say: it has no JSON-RPC response to wait for
	}
}

// answered is told of a JSON-RPC response in the answer; op.mu is held.
func (op *operation) answered(r reply) {
	if op.listens {
		op.answerOther(r)
		return
	}
	if op.opened != nil || op.recorded {
		return
	}
	if op.id == "" && op.body != nil {
		op.id = op.body.id() // it may have stood behind the first PeekLimit bytes
	}
	lone := r.id == "" && r.isError && !op.batch()
	if !lone && (op.id == "" || !sameID(r.id, op.id)) {
		op.answer.other = !op.batch()
		return
	}
	op.reply = &r
	if op.cancel == nil && op.left() && modern(op.revision()) {
		op.cancel = op // by closing its stream
	}
	op.record()
}

// left reports whether the client has gone.
func (op *operation) left() bool {
	select {
	case <-op.client:
		return true
	default:
		return false
	}
}

// answerOther concludes the operation whose answer arrived on this stream.
func (op *operation) answerOther(r reply) {
	if other := op.a.sessions.find(op.session, r.id); other != nil {
		other.mu.Lock()
		defer other.mu.Unlock()
		if !other.recorded {
			other.reply = &r
			other.record()
		}
	}
}

// streamed is told that a message of a stream has passed; op.mu is held. The
// first one opens a stream that a POST asked for.
func (op *operation) streamed() {
	if op.opened == nil && !op.recorded && op.body != nil && op.body.method() == methodListen {
		op.open()
	}
}

// end is the handler's return.
func (op *operation) end(gone, panicked, aborted bool) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.gone, op.panicked, op.aborted = gone, panicked && !aborted, aborted
	op.resumable = op.answer.stream.HasID()
	if op.cancels != "" && op.answer.status >= 300 {
		op.cancelOther(false)
	} else if op.cancels != "" {
		op.cancelParked()
	}
	switch {
	case op.opened != nil:
		op.close()
	case op.recorded:
	case op.mayGoOn() && op.park():
	default:
		op.record()
	}
	op.a.digests.release(&op.answer.seen)
}

// mayGoOn reports whether the answer may still arrive on another stream, or
// the client may be about to say that it cancels.
func (op *operation) mayGoOn() bool {
	refused := op.answer.status >= 300 || op.note.read().denied != ""
	return op.entered && (op.resumable || op.gone) && op.cancel == nil && !refused && !op.panicked && !modern(op.revision())
}

// park lets the operation wait for its answer on another stream.
func (op *operation) park() bool {
	op.a.mu.Lock()
	defer op.a.mu.Unlock()
	if op.a.closed {
		return false
	}
	if n := len(op.a.parked); n >= maxParked || n >= maxParked/2 && !op.resumable {
		op.note.AddAnomaly(emitter.AnomalyFull)
		return false
	}
	op.describe()
	op.body, op.mirror, op.answer.kept = nil, mirror{}, nil // they may be large
	op.a.parked[op] = struct{}{}
	wait := CancelWait
	if op.resumable {
		wait = ResumeWait
	}
	op.timer = time.AfterFunc(wait, op.expire)
	return true
}

// expire ends the wait for an answer that did not come.
func (op *operation) expire() {
	op.mu.Lock()
	defer op.mu.Unlock()
	if !op.recorded {
		op.gone = op.gone || !op.aborted // nobody came back for the answer
		op.record()
	}
}

// record concludes the event and stores it; op.mu is held.
func (op *operation) record() {
	op.recorded = true
	op.leave()
	if op.timer != nil {
		op.timer.Stop()
		op.a.mu.Lock()
		delete(op.a.parked, op)
		op.a.mu.Unlock()
	}
	op.describe()
	op.conclude()
	if op.folded() {
		return
	}
	follow := op.sessionStart()
	op.emit(op.event)
	if follow != nil {
		op.emit(follow)
	}
}

// emit stores an event of what has run: it passes even if that fails, which the
// recorder counts and tells.
func (op *operation) emit(e *emitter.Event) { _ = op.a.emit(e, EmitTimeout) }

// child returns an event that belongs to this operation.
func (op *operation) child(t emitter.Type) *emitter.Event {
	noted := op.note.read()
	op.mu.Lock()
	defer op.mu.Unlock()
	e := *op.event
	if !op.described && op.body != nil {
		op.body.read(func(m message) { op.describeCaller(&e, m, new(cleaner)) })
	}
	c := e.Child(t)
	if noted.subject != (emitter.Subject{}) {
		c.Subjects = noted.subject
	}
	if noted.auth.Method != "" {
		c.Auth = noted.auth
	}
	c.Delegation = noted.delegation
	return c
}

func (op *operation) batch() bool { return op.body != nil && op.body.batch() }

// revision returns the protocol revision that the request names.
func (op *operation) revision() string {
	revision := op.version
	if op.body != nil {
		op.body.read(func(m message) { revision = m.revision(op.version) })
	}
	return revision
}
