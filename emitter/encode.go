package emitter

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// timeLayout is RFC 3339 in UTC with always six digits of a second.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendEvent appends the canonical JSON of e: one line without a line end,
// keys in the order of [Event], empty fields left out, every string valid
// UTF-8 and within its bound. It allocates nothing when dst has room and the
// event has neither labels nor data.
func AppendEvent(dst []byte, e *Event) []byte {
	w := writer{buf: dst}
	w.buf = append(w.buf, '{')
	w.str("schema", e.Schema, 8)
	w.str("audit_id", e.AuditID, 64)
	w.str("type", string(e.Type), 64)
	w.str("stage", string(e.Stage), 16)
	w.time("logged_at", e.LoggedAt)
	w.str("outcome", string(e.Outcome), 16)
	w.str("reason", string(e.Reason), 64)
	w.int("severity", int64(e.Severity))
	w.str("component", e.Component, 64)
	w.observer(&e.Observer)
	w.source(&e.Source)
	w.subject(&e.Subjects)
	w.auth(&e.Auth)
	w.client(&e.Client)
	w.delegation(&e.Delegation)
	w.target(&e.Target)
	w.decision(&e.Decision)
	w.workflow(&e.Workflow)
	w.trace(&e.Trace)
	w.metadata(&e.Metadata)
	w.loss(&e.Loss)
	w.status(&e.Status)
	w.strs("controls", e.Controls, 16, 16)
	w.strs("anomalies", e.Anomalies, 64, 16)
	w.redactions(e.Redactions)
	w.data(&e.Data)
	w.integrity("origin_integrity", &e.OriginIntegrity)
	w.integrity("integrity", &e.Integrity)
	return append(w.buf, '}')
}

func (w *writer) observer(o *Observer) {
	at := w.open("observer")
	w.str("host", o.Host, 255)
	w.str("instance", o.Instance, 255)
	w.str("version", o.Version, 64)
	if len(o.Labels) > 0 {
		in := w.open("labels")
		for i, k := range slices.Sorted(maps.Keys(o.Labels)) {
			if i == maxLabels {
				break
			}
			w.label(k, o.Labels[k])
		}
		w.close(in)
	}
	w.close(at)
}

// label appends a member whose key is free.
func (w *writer) label(k, v string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = appendString(w.buf, k, maxLabelKey)
	w.buf = append(w.buf, ':')
	w.buf = appendString(w.buf, v, 256)
}

func (w *writer) source(s *Source) {
	at := w.open("source")
	w.str("type", s.Type, 16)
	w.str("value", s.Value, 64)
	w.str("peer", s.Peer, 64)
	w.nonZero("port", int64(s.Port))
	in := w.open("extra")
	w.str("user_agent", s.Extra.UserAgent, 256)
	w.str("request_id", s.Extra.RequestID, 128)
	w.str("session_id", s.Extra.SessionID, 80)
	w.str("forwarded_claimed", s.Extra.ForwardedClaimed, 256)
	w.close(in)
	w.close(at)
}

func (w *writer) subject(s *Subject) {
	at := w.open("subjects")
	w.str("type", s.Type, 16)
	w.str("user", s.User, 256)
	w.str("user_id", s.UserID, 256)
	w.str("issuer", s.Issuer, 512)
	w.str("tenant", s.Tenant, 256)
	w.close(at)
}

func (w *writer) auth(a *Auth) {
	at := w.open("auth")
	w.str("method", a.Method, 32)
	w.bool("verified", a.Verified)
	w.str("client_id", a.ClientID, 512)
	w.str("token_ref", a.TokenRef, 80)
	w.str("jti", a.JTI, 256)
	w.strs("audience", a.Audience, 512, 16)
	w.strs("scope", a.Scope, 128, 64)
	w.strs("roles", a.Roles, 128, 64)
	w.str("acr", a.ACR, 128)
	w.strs("amr", a.AMR, 64, 16)
	w.str("auth_time", a.AuthTime, 32)
	w.close(at)
}

func (w *writer) client(c *Client) {
	at := w.open("client")
	w.str("name_claimed", c.NameClaimed, 128)
	w.str("version_claimed", c.VersionClaimed, 64)
	w.close(at)
}

func (w *writer) delegation(d *Delegation) {
	at := w.open("delegation")
	if chain := d.Chain[:min(len(d.Chain), 10)]; len(chain) > 0 {
		w.key("chain")
		w.buf = append(w.buf, '[')
		for i := range chain {
			w.element()
			w.str("sub", chain[i].Sub, 256)
			w.str("iss", chain[i].Iss, 512)
			w.buf = append(w.buf, '}')
		}
		w.buf = append(w.buf, ']')
	}
	w.bool("truncated", d.Truncated || len(d.Chain) > 10)
	w.close(at)
}

func (w *writer) target(t *Target) {
	at := w.open("target")
	w.str("type", t.Type, 32)
	w.str("name", t.Name, 512)
	w.str("method", t.Method, 128)
	w.str("endpoint", t.Endpoint, 256)
	in := w.open("server")
	w.str("name", t.Server.Name, 128)
	w.str("host", t.Server.Host, 255)
	w.nonZero("port", int64(t.Server.Port))
	w.close(in)
	w.str("tool", t.Tool, 512)
	w.str("definition", t.Definition, 80)
	w.bool("privileged", t.Privileged)
	w.close(at)
}

func (w *writer) decision(d *Decision) {
	at := w.open("decision")
	w.str("effect", d.Effect, 16)
	w.strs("policy_ids", d.PolicyIDs, 256, 16)
	w.str("policy_set", d.PolicySet, 80)
	w.close(at)
}

func (w *writer) workflow(f *Workflow) {
	at := w.open("workflow")
	w.str("id", f.ID, 64)
	w.str("name", f.Name, 256)
	w.str("step_id", f.StepID, 128)
	w.str("step_type", f.StepType, 32)
	w.nonZero("attempt", int64(f.Attempt))
	w.close(at)
}

func (w *writer) trace(t *Trace) {
	at := w.open("trace")
	w.str("parent_audit_id", t.ParentAuditID, 64)
	w.str("trace_id", t.TraceID, 32)
	w.str("span_id", t.SpanID, 16)
	w.str("jsonrpc_id", t.JSONRPCID, 256)
	w.str("batch_id", t.BatchID, 64)
	w.close(at)
}

func (w *writer) metadata(m *Metadata) {
	at := w.open("metadata")
	in := w.open("extra")
	x := &m.Extra
	w.opt("duration_ms", x.DurationMS)
	w.str("transport", x.Transport, 32)
	w.str("http_method", x.HTTPMethod, 16)
	w.nonZero("http_status", int64(x.HTTPStatus))
	w.str("mcp_version", x.MCPVersion, 32)
	w.opt("request_size", x.RequestSize)
	w.opt("response_size", x.ResponseSize)
	w.str("request_digest", x.RequestDigest, 80)
	w.str("response_digest", x.ResponseDigest, 80)
	w.opt("jsonrpc_error_code", x.JSONRPCErrorCode)
	w.str("error_message", x.ErrorMessage, 512)
	w.str("backend_name", x.BackendName, 128)
	w.opt("retry_count", x.RetryCount)
	w.opt("messages", x.Messages)
	w.opt("operations", x.Operations)
	w.opt("folded_count", x.FoldedCount)
	w.str("first_seen", x.FirstSeen, 32)
	w.str("last_seen", x.LastSeen, 32)
	w.str("route_rule", x.RouteRule, 32)
	w.str("change", x.Change, 32)
	w.opt("tools", x.Tools)
	w.opt("prompts", x.Prompts)
	w.opt("resources", x.Resources)
	w.str("origin", x.Origin, 32)
	w.close(in)
	w.close(at)
}

func (w *writer) loss(l *Loss) {
	at := w.open("loss")
	w.str("stream", l.Stream, 64)
	w.seq("first_seq", l.FirstSeq)
	w.seq("last_seq", l.LastSeq)
	w.seq("count", l.Count)
	w.str("cause", l.Cause, 32)
	w.strs("routes", l.Routes, 64, 32)
	w.close(at)
}

func (w *writer) status(s *Status) {
	at := w.open("status")
	w.str("stream", s.Stream, 64)
	w.seq("seq", s.Seq)
	w.opt("dropped", s.Dropped)
	w.routes(s.Routes[:min(len(s.Routes), 32)])
	w.close(at)
}

func (w *writer) routes(rs []RouteStatus) {
	if len(rs) == 0 {
		return
	}
	w.key("routes")
	w.buf = append(w.buf, '[')
	for i := range rs {
		w.element()
		w.str("name", rs[i].Name, 64)
		w.str("state", rs[i].State, 16)
		w.opt("pending", rs[i].Pending)
		w.opt("dead", rs[i].Dead)
		w.buf = append(w.buf, '}')
	}
	w.buf = append(w.buf, ']')
}

func (w *writer) redactions(rs []Redaction) {
	rs = rs[:min(len(rs), 32)]
	if len(rs) == 0 {
		return
	}
	w.key("redactions")
	w.buf = append(w.buf, '[')
	for i := range rs {
		w.element()
		w.str("path", rs[i].Path, 160)
		w.str("rule", rs[i].Rule, 32)
		w.buf = append(w.buf, '}')
	}
	w.buf = append(w.buf, ']')
}

func (w *writer) data(d *Data) {
	at := w.open("data")
	w.raw("request", d.Request)
	w.raw("response", d.Response)
	w.raw("original", d.Original)
	w.close(at)
}

func (w *writer) integrity(k string, i *Integrity) {
	at := w.open(k)
	w.str("stream", i.Stream, 64)
	w.seq("seq", i.Seq)
	w.str("prev", i.Prev, 64)
	w.str("hash", i.Hash, 64)
	w.close(at)
}

// writer appends the members of JSON objects. It leaves empty members out.
type writer struct{ buf []byte }

// key appends a member's key, which needs no escapes, and, unless the member is
// the first, a comma.
func (w *writer) key(k string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',', '"')
	} else {
		w.buf = append(w.buf, '"')
	}
	w.buf = append(w.buf, k...)
	w.buf = append(w.buf, '"', ':')
}

// open begins an object as a member and returns where it begins, for close.
func (w *writer) open(k string) int {
	at := len(w.buf)
	w.key(k)
	w.buf = append(w.buf, '{')
	return at
}

// close ends the object that open began; one without members vanishes.
func (w *writer) close(at int) {
	if w.buf[len(w.buf)-1] == '{' {
		w.buf = w.buf[:at]
		return
	}
	w.buf = append(w.buf, '}')
}

// element begins an object as an element of an array.
func (w *writer) element() {
	if w.buf[len(w.buf)-1] != '[' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(w.buf, '{')
}

func (w *writer) str(k, v string, limit int) {
	if v != "" {
		w.key(k)
		w.buf = appendString(w.buf, v, limit)
	}
}

func (w *writer) strs(k string, vs []string, limit, items int) {
	vs = vs[:min(len(vs), items)]
	if len(vs) == 0 {
		return
	}
	w.key(k)
	w.buf = append(w.buf, '[')
	for i, v := range vs {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = appendString(w.buf, v, limit)
	}
	w.buf = append(w.buf, ']')
}

func (w *writer) int(k string, v int64) {
	w.key(k)
	w.buf = strconv.AppendInt(w.buf, v, 10)
}

func (w *writer) nonZero(k string, v int64) {
	if v != 0 {
		w.int(k, v)
	}
}

func (w *writer) seq(k string, v uint64) {
	if v != 0 {
		w.key(k)
		w.buf = strconv.AppendUint(w.buf, v, 10)
	}
}

func (w *writer) opt(k string, v Int) {
	if v.Set {
		w.int(k, v.Value)
	}
}

func (w *writer) bool(k string, v bool) {
	if v {
		w.key(k)
		w.buf = append(w.buf, "true"...)
	}
}

func (w *writer) time(k string, t time.Time) {
	w.key(k)
	w.buf = append(w.buf, '"')
	w.buf = appendTime(w.buf, t.UTC())
	w.buf = append(w.buf, '"')
}

// appendTime appends t, which is in UTC, by timeLayout, without reading the layout
// each time.
func appendTime(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, timeLayout)
	}
	hour, minute, second := t.Clock()
	micro := t.Nanosecond() / 1000
	two := func(v int) (byte, byte) { return '0' + byte(v/10), '0' + byte(v%10) }
	y1, y2 := two(year / 100)
	y3, y4 := two(year % 100)
	m1, m2 := two(int(month))
	d1, d2 := two(day)
	h1, h2 := two(hour)
	n1, n2 := two(minute)
	s1, s2 := two(second)
	u1, u2 := two(micro / 10000)
	u3, u4 := two(micro / 100 % 100)
	u5, u6 := two(micro % 100)
	return append(dst, y1, y2, y3, y4, '-', m1, m2, '-', d1, d2, 'T', h1, h2, ':', n1, n2, ':', s1, s2, '.', u1, u2, u3, u4, u5, u6, 'Z')
}

// raw appends a JSON text that came from outside. It is compacted, which also
// proves that it is JSON, and escaped like any other string of the event.
func (w *writer) raw(k string, v json.RawMessage) {
	if len(v) == 0 {
		return
	}
	w.key(k)
	var b bytes.Buffer
	if len(v) > MaxData || json.Compact(&b, v) != nil {
		w.buf = appendString(w.buf, "[left out: "+strconv.Itoa(len(v))+" bytes, too long or no JSON]", 128)
		return
	}
	from := len(w.buf)
	if w.buf = appendRawText(w.buf, b.Bytes()); len(w.buf)-from > MaxData { // by its escapes
		w.buf = appendString(w.buf[:from], "[left out: "+strconv.Itoa(len(v))+" bytes, too long or no JSON]", 128)
	}
}
