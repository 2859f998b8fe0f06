package formats

import (
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

var (
	_ emitter.Format = JSON
	_ emitter.Format = Compact
)

// JSON appends the canonical JSON of e: for an event that was decoded or
// emitted its very bytes, and its integrity behind them. Bytes that somebody else
// wrote may hold line ends between their tokens, or what is no UTF-8: who decodes
// such bytes looks for these.
func JSON(dst []byte, e *emitter.Event) []byte { return emitter.AppendStored(dst, e) }

// part is what can be left out of JSON as a whole.
type part struct {
	path string
	drop func(*emitter.Event)
}

// parts is the order in which they go where a line has to be cut. What is left then
// fits in [MinSize].
var parts = []part{
	{"data.original", func(e *emitter.Event) { e.Data.Original = nil }},
	{"data.response", func(e *emitter.Event) { e.Data.Response = nil }},
	{"data.request", func(e *emitter.Event) { e.Data.Request = nil }},
	{"redactions", func(e *emitter.Event) { e.Redactions = nil }},
	{"observer.labels", func(e *emitter.Event) { e.Observer.Labels = nil }},
	{"auth.scope", func(e *emitter.Event) { e.Auth.Scope = nil }},
	{"auth.audience", func(e *emitter.Event) { e.Auth.Audience = nil }},
	{"auth.roles", func(e *emitter.Event) { e.Auth.Roles = nil }},
	{"source.extra", func(e *emitter.Event) { e.Source.Extra = emitter.SourceExtra{SessionID: e.Source.Extra.SessionID} }},
	{"delegation", func(e *emitter.Event) { e.Delegation = emitter.Delegation{} }},
	{"client", func(e *emitter.Event) { e.Client = emitter.Client{} }},
	{"anomalies", func(e *emitter.Event) { e.Anomalies = nil }},
	{"metadata.extra", func(e *emitter.Event) {
		x := e.Metadata.Extra
		e.Metadata.Extra = emitter.Extra{DurationMS: x.DurationMS, HTTPStatus: x.HTTPStatus, JSONRPCErrorCode: x.JSONRPCErrorCode, Origin: x.Origin}
	}},
	{"auth", func(e *emitter.Event) { e.Auth = emitter.Auth{Method: e.Auth.Method, Verified: e.Auth.Verified} }},
	{"status.routes", func(e *emitter.Event) { e.Status.Routes = nil }},
	{"decision.policy_ids", func(e *emitter.Event) { e.Decision.PolicyIDs = nil }},
	{"trace", func(e *emitter.Event) { e.Trace = emitter.Trace{ParentAuditID: e.Trace.ParentAuditID} }},
	{"target", func(e *emitter.Event) {
		t := e.Target
		e.Target = emitter.Target{Type: t.Type, Name: emitter.Bounded(t.Name, 64), Privileged: t.Privileged}
	}},
	{"workflow", func(e *emitter.Event) { e.Workflow = emitter.Workflow{} }},
	{"subjects", func(e *emitter.Event) {
		s := e.Subjects
		e.Subjects = emitter.Subject{Type: s.Type, User: emitter.Bounded(s.User, 64), UserID: emitter.Bounded(s.UserID, 64)}
	}},
	{"origin_integrity", func(e *emitter.Event) { e.OriginIntegrity = emitter.Integrity{} }},
	{"loss.routes", func(e *emitter.Event) { e.Loss.Routes = nil }},
	{core, keepCore},
}

// keepCore leaves what every event has, in its least form.
func keepCore(e *emitter.Event) {
	stage := e.Stage
	name := func(s string, limit int) string {
		if s == "" {
			return ""
		}
		b := appendName(nil, s, limit)
		for i, c := range b {
			if c == '"' || c == '\\' { // JSON would make two of it
				b[i] = '_'
			}
		}
		return string(b)
	}
	in := e.Integrity
	*e = emitter.Event{
		Schema: emitter.SchemaVersion, AuditID: name(e.AuditID, 40), Type: kindOf(e).Type, Stage: emitter.StageCompleted,
		LoggedAt: e.LoggedAt, Outcome: emitter.Outcome(outcomeOf(e)), Severity: int(severityOf(e)), Component: name(e.Component, 40),
		Integrity: emitter.Integrity{Stream: name(in.Stream, 36), Seq: in.Seq, Hash: name(in.Hash, 64)},
	}
	if stage == emitter.StageReceived {
		e.Stage = stage
	}
}

// core is the last of parts.
const core = "all but the core"

// cutJSON appends e without what does not fit in limit bytes. The line ends in a
// member that names the digest of the whole and what is gone, behind the integrity:
// so nobody takes it for a line whose hash can be checked.
func cutJSON(dst []byte, e *emitter.Event, limit int, digest string) []byte {
	from, cut, gone := len(dst), *e, ""
	dst = emitter.AppendEvent(dst, &cut)
	for i := range parts {
		before := len(dst)
		parts[i].drop(&cut)
		dst = emitter.AppendEvent(dst[:from], &cut)
		switch {
		case parts[i].path == core:
			gone = `"` + core + `"`
		case len(dst) == before: // it was not there
			continue
		case gone != "":
			gone += `,"` + parts[i].path + `"`
		default:
			gone = `"` + parts[i].path + `"`
		}
		mark := `,"truncated":{"digest":"` + digest + `","without":[` + gone + "]}}"
		if len(dst)-from+len(mark)-1 <= limit || parts[i].path == core {
			return append(dst[:len(dst)-1], mark...)
		}
	}
	return dst
}
