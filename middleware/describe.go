package middleware

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware/internal/jsonscan"
)

// kind is what the outcome needs to know of a request.
type kind struct {
	method  string
	message bool // JSON-RPC
	wants   bool // asks for a response
	modern  bool
}

// describe moves what is known of the request into the event, once; op.mu is
// held.
func (op *operation) describe() {
	if op.described {
		return
	}
	op.described = true
	e := op.event
	x := &e.Metadata.Extra
	x.HTTPMethod = op.clean.text("metadata.extra.http_method", op.httpMethod)
	x.Transport, x.MCPVersion = "http", op.clean.text("metadata.extra.mcp_version", op.version)
	e.Target.Type, e.Target.Method = "endpoint", x.HTTPMethod
	if op.body != nil {
		op.describeBody()
	} else {
		op.describeVerb()
	}
	if op.known == (peer{}) {
		op.known = op.a.sessions.peer(op.session)
	}
	if e.Client == (emitter.Client{}) {
		e.Client = op.known.client
	}
	if x.MCPVersion == "" {
		x.MCPVersion = op.known.version
	}
}

const transportHTTP = "streamable-http"

// describeVerb describes what is no POST, by what is known of its answer.
func (op *operation) describeVerb() {
	e, an := op.event, &op.answer
	e.Type, e.Target.Type, e.Metadata.Extra.Transport = emitter.TypeHTTPRequest, "endpoint", "http"
	switch {
	case op.listens && (an.media == mediaSSE || an.status == 0 || an.status >= 300):
		e.Type, e.Target.Type, e.Metadata.Extra.Transport = emitter.TypeSSEConnection, "stream", op.transport
	case op.httpMethod == http.MethodDelete && op.session != "":
		e.Type, e.Target.Type, e.Metadata.Extra.Transport = emitter.TypeSessionEnd, "session", op.transport
	}
}

// describeBody describes a POST.
func (op *operation) describeBody() {
	b, e := op.body, op.event
	b.mu.Lock()
	defer b.mu.Unlock()
	x := &e.Metadata.Extra
	x.RequestSize = emitter.Of(b.seen.size)
	if b.ended || b.msg.scan.Done() {
		x.RequestDigest = op.a.digests.digest(&b.seen)
	} else {
		addAnomaly(e, emitter.AnomalyPartialRequest)
	}
	op.a.digests.release(&b.seen)
	m := b.msg
	op.what = kind{
		method:  m.method(),
		message: m.batch() || m.object() && (m.method() != "" || m.response()),
		wants:   m.wantsResponse() || m.object() && m.method() != "" && !m.notification(),
	}
	op.unreadable(b)
	if !op.what.message {
		return
	}
	classify(e, m, &op.clean)
	op.describeCaller(e, m, &op.clean)
	op.what.modern = modern(m.revision(op.version))
	e.Trace.JSONRPCID = op.clean.name("trace.jsonrpc_id", m.id(), m.scan.Value(qID).Cut)
	m.anomalies(e)
	if op.mirror.differs(m, op.version) {
		addAnomaly(e, emitter.AnomalyHeaderMismatch)
	}
	if op.a.opt.RequestData {
		e.Data.Request = op.clean.data("data.request", b.kept, op.a.opt.MaxData)
	}
}

// unreadable notes what hid a JSON-RPC message, or a part of it.
func (op *operation) unreadable(b *body) {
	switch {
	case op.mirror.encoded:
		addAnomaly(op.event, emitter.AnomalyEncodedRequest)
	case b.msg.scan.Failed() && (op.mirror.json || op.what.message):
		addAnomaly(op.event, emitter.AnomalyNoJSON)
	case b.bom:
		addAnomaly(op.event, emitter.AnomalyBOM)
	}
}

// describeCaller tells in e who sent m, and in which revision.
func (op *operation) describeCaller(e *emitter.Event, m message, clean *cleaner) {
	name, version := m.text(qMetaClientName), m.text(qMetaClientVersion)
	revision := m.revision(op.version)
	if m.method() == methodInitialize {
		name, version, revision = m.text(qClientName), m.text(qClientVersion), m.text(qVersion)
	}
	e.Client = emitter.Client{
		NameClaimed:    clean.text("client.name_claimed", name),
		VersionClaimed: clean.text("client.version_claimed", version),
	}
	if e.Client == (emitter.Client{}) {
		e.Client = op.known.client
	}
	e.Metadata.Extra.Transport = op.transport
	e.Metadata.Extra.MCPVersion = cmp.Or(clean.text("metadata.extra.mcp_version", revision), op.known.version)
	if e.Trace.TraceID == "" {
		e.Trace.TraceID, e.Trace.SpanID = traceContext(m.text(qMetaTrace))
	}
}

// conclude moves what is known of the answer into the event; op.mu is held.
func (op *operation) conclude() {
	e, an := op.event, &op.answer
	noted := op.note.read()
	noted.fill(e)
	e.Target.Privileged = op.a.privileged(e)
	end := ending{
		denied: noted.denied, failed: noted.failed, status: an.status, session: op.session != "",
		wants: op.what.wants, method: op.what.method, modern: op.what.modern,
		opened: op.opened != nil, encoded: an.media == mediaEncoded, cancelled: op.cancel != nil,
		gone: op.gone, panicked: op.panicked, aborted: op.aborted, reply: op.reply,
	}
	e.Conclude(end.outcome())
	x := &e.Metadata.Extra
	x.DurationMS = emitter.Of(time.Since(op.start).Milliseconds())
	x.HTTPStatus = an.status
	if an.status != 0 {
		x.ResponseSize = emitter.Of(an.body)
	}
	op.concludeAnomalies()
	op.concludeAnswer(noted.failure)
	if e.Type == emitter.TypeSessionEnd && e.Outcome == emitter.OutcomeSuccess {
		op.sessionEnd()
	}
	e.Redactions = op.clean.found
}

func (op *operation) concludeAnomalies() {
	an := &op.answer
	if an.media == mediaEncoded {
		addAnomaly(op.event, emitter.AnomalyEncodedResponse)
	}
	if an.other {
		addAnomaly(op.event, emitter.AnomalyIDMismatch)
	}
	if op.cancel != nil && op.reply != nil && !op.reply.isError {
		addAnomaly(op.event, emitter.AnomalyLateAnswer)
	}
}

// concludeAnswer takes the measures and the error text from the response, or
// from what stood in its place.
func (op *operation) concludeAnswer(failure string) {
	const at = "metadata.extra.error_message"
	x, r, an := &op.event.Metadata.Extra, op.reply, &op.answer
	switch {
	case r != nil:
		x.ResponseSize, x.ResponseDigest = emitter.Of(r.size), r.digest
		x.JSONRPCErrorCode, x.ErrorMessage = r.code, op.clean.name(at, r.message, r.messageCut)
		if r.version != "" && op.what.method == methodInitialize {
			x.MCPVersion = op.clean.text("metadata.extra.mcp_version", r.version)
		}
		if op.a.opt.ResponseData {
			op.event.Data.Response = op.clean.data("data.response", r.data, op.a.opt.MaxData)
		}
	case failure != "":
		x.ErrorMessage = op.clean.text(at, failure)
	case an.media == mediaText && an.status >= 400:
		x.ErrorMessage = op.clean.name(at, strings.TrimSpace(string(an.kept)), an.body > keptText)
	}
}

// openSession remembers the session whose id stands in the header of the answer
// to an initialize. A client may use it before it has the answer itself.
func (op *operation) openSession(id string) {
	if id == "" {
		return
	}
	op.describe()
	op.began = true
	op.session = op.a.digests.keyed("session", id)
	op.event.Source.Extra.SessionID = op.session
	op.a.sessions.open(op.session, peer{op.event.Client, op.event.Metadata.Extra.MCPVersion}, op.start)
}

// sessionStart returns the event of the session that a successful initialize
// began, nil for none.
func (op *operation) sessionStart() *emitter.Event {
	e := op.event
	if !op.began {
		return nil
	}
	if e.Outcome != emitter.OutcomeSuccess {
		op.a.sessions.close(op.session)
		return nil
	}
	op.a.sessions.open(op.session, peer{e.Client, e.Metadata.Extra.MCPVersion}, op.start)
	c := e.Child(emitter.TypeSessionStart)
	c.Conclude(emitter.OutcomeSuccess, "")
	c.Target = emitter.Target{Type: "session", Endpoint: e.Target.Endpoint}
	return c
}

func (op *operation) sessionEnd() {
	op.event.Reason = emitter.ReasonDeleted
	op.a.sessions.end(op.session, op.event)
}

// open records that a stream has begun; op.mu is held.
func (op *operation) open() {
	op.opened = op.event
	op.record()
}

// close records that a stream has ended; op.mu is held.
func (op *operation) close() {
	e := op.opened.Child(emitter.TypeSSEClosed)
	e.Target = emitter.Target{Type: "stream", Method: op.opened.Target.Method, Endpoint: op.opened.Target.Endpoint}
	switch {
	case op.gone:
		e.Conclude(emitter.OutcomeSuccess, emitter.ReasonClientClosed)
	case op.panicked:
		e.Conclude(emitter.OutcomeError, emitter.ReasonPanic)
	case op.aborted:
		e.Conclude(emitter.OutcomeError, emitter.ReasonUpstreamAborted)
	default:
		e.Conclude(emitter.OutcomeSuccess, emitter.ReasonServerClosed)
	}
	x := &e.Metadata.Extra
	x.DurationMS = emitter.Of(time.Since(op.start).Milliseconds())
	x.ResponseSize = emitter.Of(op.answer.body)
	x.Messages = emitter.Of(op.answer.events)
	op.emit(e)
}

// privileged reports whether the tool, by either of its names, is listed as
// privileged.
func (a *Auditor) privileged(e *emitter.Event) bool {
	if e.Type != emitter.TypeToolCall {
		return false
	}
	return slices.ContainsFunc(a.opt.PrivilegedTools, func(pattern string) bool {
		asked, _ := path.Match(pattern, e.Target.Name)
		executed, _ := path.Match(pattern, e.Target.Tool)
		return asked || executed && e.Target.Tool != ""
	})
}

// mirror is what the headers of a request say of its body.
type mirror struct {
	method, name  string // Mcp-Method, Mcp-Name
	json, encoded bool   // announced as JSON; compressed
}

func mirrorOf(h http.Header) mirror {
	method, _ := headerText(h.Get("Mcp-Method"))
	name, _ := headerText(h.Get("Mcp-Name"))
	return mirror{
		method:  method,
		name:    decodeHeader(name),
		json:    strings.Contains(strings.ToLower(h.Get("Content-Type")), "json"),
		encoded: encoded(h),
	}
}

// encoded reports whether the body behind h is compressed.
func encoded(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Content-Encoding"), func(v string) bool { return v != "" && !strings.EqualFold(v, "identity") })
}

// decodeHeader undoes the encoding that revision 2026-07-28 gives to header
// values which are no plain ASCII.
func decodeHeader(v string) string {
	inside, ok := strings.CutPrefix(v, "=?base64?")
	if !ok {
		return v
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(inside, "?="))
	if err != nil {
		return v
	}
	return string(b)
}

// differs reports whether a header that is there says something else than the
// message.
func (h mirror) differs(m message, version string) bool {
	if h.method != "" && h.method != m.method() {
		return true
	}
	if v := m.version(); version != "" && v != "" && version != v {
		return true
	}
	for _, f := range []int{qName, qURI, qTaskID} {
		if v := m.scan.Value(f); h.name != "" && v.Kind == jsonscan.String && !v.Cut {
			return h.name != v.Text()
		}
	}
	return false
}

// traceContext reads a W3C traceparent.
func traceContext(v string) (traceID, spanID string) {
	p := strings.Split(v, "-")
	if len(p) < 4 || len(p[0]) != 2 || len(p[1]) != 32 || len(p[2]) != 16 || !isHex(p[1]) || !isHex(p[2]) {
		return "", ""
	}
	return p[1], p[2]
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
