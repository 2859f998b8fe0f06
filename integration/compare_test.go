package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// comparison is one view held against one trail.
type comparison struct {
	testing.TB
	view
	trail trail

	byID     map[string]*emitter.Event
	left     map[*emitter.Event]bool // events that nothing has explained
	sessions map[string]string       // the session id that a digest stands for
	paired   map[*exchange]*emitter.Event
	canaries []string // secrets in names, which the trail must not repeat
}

// compare holds what the clients saw against what the trail says: one event
// for each request, the companions that the documents promise, nothing else.
func compare(t testing.TB, v view, tr trail, canaries ...string) {
	t.Helper()
	c := &comparison{
		TB: t, view: v, trail: tr, canaries: canaries,
		byID: make(map[string]*emitter.Event), left: make(map[*emitter.Event]bool),
		sessions: make(map[string]string), paired: make(map[*exchange]*emitter.Event),
	}
	c.ids()
	c.pair()
	c.groups()
	c.tokens()
	for _, x := range v.exchanges {
		if e := c.paired[x]; e != nil {
			c.one(x, e)
		}
	}
	c.joins()
	c.outcomes()
	for _, e := range tr {
		if c.left[e] {
			t.Errorf("nothing that a client did explains this event:\n%s", e.Stored())
		}
	}
}

// ids checks that ids are unique and that parents exist.
func (c *comparison) ids() {
	for _, e := range c.trail {
		if c.byID[e.AuditID] != nil {
			c.Errorf("audit_id %s twice", e.AuditID)
		}
		c.byID[e.AuditID] = e
		c.left[e] = true
	}
	for _, e := range c.trail {
		if p := e.Trace.ParentAuditID; p != "" && c.byID[p] == nil {
			c.Errorf("parent %s is not in the trail: %s", p, e.Stored())
		}
	}
}

// pair finds the one event of each exchange, by the X-Request-Id that the
// recorder sent.
func (c *comparison) pair() {
	for _, x := range c.exchanges {
		var found []*emitter.Event
		for _, e := range c.trail {
			if e.Source.Extra.RequestID == x.Request && e.Trace.ParentAuditID == "" {
				found = append(found, e)
			}
		}
		if len(found) == 0 && x.unanswered() {
			continue // it may not have left the client
		}
		if len(found) != 1 {
			c.Errorf("%d events, want one, for\n%s%s", len(found), x.line(), stored(found))
		}
		for _, e := range found {
			delete(c.left, e)
			c.paired[x] = e
		}
	}
}

func stored(events []*emitter.Event) string {
	var sb strings.Builder
	for _, e := range events {
		fmt.Fprintf(&sb, "\n%s", e.Stored())
	}
	return sb.String()
}

// groups learns what session id each digest stands for, and checks that the
// digests group the events as the ids group the requests.
func (c *comparison) groups() {
	digests := make(map[string]string)
	for _, x := range c.exchanges {
		e := c.paired[x]
		if e == nil {
			continue
		}
		id, digest := c.expect(x).Session, e.Source.Extra.SessionID
		if id == "" || digest == "" {
			continue // one says it takes part in a session, the other not: a difference
		}
		if known, ok := digests[id]; ok && known != digest {
			c.Errorf("session %s has the digests %s and %s", id, known, digest)
		}
		if known, ok := c.sessions[digest]; ok && known != id {
			c.Errorf("digest %s stands for the sessions %s and %s", digest, known, id)
		}
		digests[id], c.sessions[digest] = digest, id
	}
}

// tokens checks that the digests of the bearer tokens tell the clients apart,
// each of which has its own.
func (c *comparison) tokens() {
	of, by := make(map[string]string), make(map[string]string)
	for x, e := range c.paired {
		ref := e.Auth.TokenRef
		if known, ok := of[x.Client]; ok && known != ref {
			c.Errorf("client %s has the token_ref %q and %q", x.Client, known, ref)
		}
		if known, ok := by[ref]; ok && ref != "" && known != x.Client {
			c.Errorf("token_ref %s stands for %s and %s", ref, known, x.Client)
		}
		of[x.Client], by[ref] = ref, x.Client
	}
}

// one compares an exchange with its event and the companions of that.
func (c *comparison) one(x *exchange, e *emitter.Event) {
	want := c.expect(x)
	got := c.entryOf(e, want)
	if secret := c.canaryIn(want.Target); secret != "" {
		want.Target = got.Target
		if !redactedAt(e, "target.name") || strings.Contains(got.Target, secret) {
			c.Errorf("target.name %q is not redacted for\n%s", got.Target, x.line())
		}
	}
	if want.Reason == "cancelled" && got.Reason == "disconnected" && cancelCameLate(c.trail, e) {
		want.Reason = got.Reason
	}
	if want.open && want.Reason != "cancelled" {
		want.Outcome, want.Reason, want.Status = got.Outcome, got.Reason, got.Status
		want.streams = got.Type == "sse_connection" && got.Outcome == "success"
	}
	if diff := gocmp.Diff(want, got, cmpopts.IgnoreUnexported(entry{})); diff != "" {
		c.Errorf("(-client saw +trail says)\n%s\nfor %s\n%s", diff, x.line(), e.Stored())
	}
	var companions []string
	if want.starts {
		companions = append(companions, "mcp_session_start")
	}
	if want.streams {
		companions = append(companions, "sse_closed")
	}
	c.companions(x, e, companions)
}

// cancelCameLate reports whether the event of a call that was broken off waited as
// long as it may for the client's cancel, and was stored before that came: the SDKs
// send it on the side.
func cancelCameLate(tr trail, call *emitter.Event) bool {
	for _, e := range tr {
		if e == call {
			break
		}
		if e.Target.Method == "notifications/cancelled" && e.Target.Name == call.Trace.JSONRPCID && e.Source.Extra.SessionID == call.Source.Extra.SessionID {
			return false
		}
	}
	return call.Metadata.Extra.DurationMS.Value >= middleware.CancelWait.Milliseconds()
}

func (c *comparison) canaryIn(s string) string {
	for _, secret := range c.canaries {
		if strings.Contains(s, secret) {
			return secret
		}
	}
	return ""
}

func redactedAt(e *emitter.Event, path string) bool {
	return slices.ContainsFunc(e.Redactions, func(r emitter.Redaction) bool { return r.Path == path })
}

// entryOf returns what an event says, in the terms of the client's view.
func (c *comparison) entryOf(e *emitter.Event, want entry) entry {
	x := e.Metadata.Extra
	got := entry{
		Type: string(e.Type), TargetType: e.Target.Type, Target: e.Target.Name, Method: e.Target.Method,
		Endpoint: e.Target.Endpoint, Transport: x.Transport, Outcome: string(e.Outcome), Reason: string(e.Reason),
		ID: e.Trace.JSONRPCID, Client: e.Client.NameClaimed + " " + e.Client.VersionClaimed, Status: x.HTTPStatus,
		Sent: x.RequestSize.Value, Received: x.ResponseSize.Value,
	}
	if d := e.Source.Extra.SessionID; d != "" {
		got.Session = c.sessions[d]
		if got.Session == "" {
			got.Session = d
		}
	}
	if x.JSONRPCErrorCode.Set {
		got.Code = fmt.Sprint(x.JSONRPCErrorCode.Value)
	}
	if want.Code == unknown {
		got.Code = unknown
	}
	if want.Reason == noAnswer && slices.Contains(reasonsOfNoAnswer, got.Reason) {
		got.Reason = noAnswer
	}
	if want.Sent < 0 {
		got.Sent = want.Sent
	}
	if want.Received < 0 {
		got.Received = want.Received
	}
	return got
}

// companions checks the events that belong to e.
func (c *comparison) companions(x *exchange, e *emitter.Event, want []string) {
	var got []string
	for _, child := range c.trail {
		if child.Trace.ParentAuditID != e.AuditID {
			continue
		}
		got = append(got, string(child.Type))
		delete(c.left, child)
		if child.Outcome != emitter.OutcomeSuccess || child.Source.Extra.SessionID != e.Source.Extra.SessionID ||
			child.Source.Extra.RequestID != x.Request || child.Client != e.Client {
			c.Errorf("companion of another act, or no success:\n%s\n%s", e.Stored(), child.Stored())
		}
		if child.Type == emitter.TypeSSEClosed && x.End == eof && child.Reason != emitter.ReasonServerClosed {
			c.Errorf("the server closed the stream of %s, not as the trail says:\n%s", x.line(), child.Stored())
		}
	}
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		c.Errorf("companions of %s (-want +got)\n%s", x.line(), diff)
	}
}

// joins checks that a reader who knows only session and JSON-RPC id finds the
// one event of a request: what a SIEM does.
func (c *comparison) joins() {
	for x, e := range c.paired {
		m := x.sent()
		if m.Method == "" || m.ID == nil {
			continue
		}
		n := 0
		for _, other := range c.trail {
			same := other.Trace.JSONRPCID == e.Trace.JSONRPCID && other.Source.Extra.SessionID == e.Source.Extra.SessionID
			if same && other.Target.Method == m.Method && other.Client == e.Client {
				n++
			}
		}
		if n != 1 {
			c.Errorf("%d events join with session %q, id %s, method %s", n, e.Source.Extra.SessionID, m.ID, m.Method)
		}
	}
}

// outcomes checks that the SDKs, too, think what the trail says.
func (c *comparison) outcomes() {
	type act struct{ client, method, target string }
	said := make(map[act][]string)
	for _, s := range c.steps {
		a := act{s.Client, s.Method, s.Target}
		said[a] = append(said[a], s.Outcome)
	}
	trail := make(map[act][]string)
	for _, x := range c.exchanges {
		m := x.sent()
		a := act{x.Client, m.Method, targetOf(m)}
		if e := c.paired[x]; e != nil && said[a] != nil {
			trail[a] = append(trail[a], inWordsOfSDK(e))
		}
	}
	for a, want := range said {
		if diff := gocmp.Diff(want, trail[a]); diff != "" {
			c.Errorf("%s, %s %q (-SDK +trail)\n%s", a.client, a.method, a.target, diff)
		}
	}
}

func inWordsOfSDK(e *emitter.Event) string {
	switch {
	case e.Outcome == emitter.OutcomeSuccess:
		return "ok"
	case e.Reason == emitter.ReasonToolError:
		return "tool_error"
	case e.Reason == emitter.ReasonCancelled, e.Reason == emitter.ReasonDisconnected:
		return "cancelled"
	case e.Metadata.Extra.JSONRPCErrorCode.Set:
		return "rpc_error"
	}
	return string(e.Outcome) + " " + string(e.Reason)
}
