// Package formatstest has events on which formats are tested, here and against
// the parsers of other people.
package formatstest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Evil holds what has broken logs: line ends of all kinds, controls, quotes,
// escapes, the separators of CEF, LEEF and structured data, bytes that are no
// UTF-8, and what looks like a second record.
const Evil = " a=b|c\\d\"e]f^g,h;i\tj\nk\rl\x00m\x1b[31mn\x7f\u0080\u0085\u2028\u2029\u202e\xff\xfe\xc3" +
	"\u00e9\U0001F600 src=6.6.6.6 CEF:0|x|y|z|1|forged|10| \" x=\"y\"] <0>1 - - - - - - "

// Events returns the same events each time, new ones: every type, every outcome,
// and every field with and without a value.
func Events() []*emitter.Event {
	all := []*emitter.Event{
		Full(), minimal(), outcome(emitter.OutcomeDenied, emitter.ReasonPolicy), outcome(emitter.OutcomeError, emitter.ReasonHTTPError),
		outcome(emitter.OutcomePending, emitter.ReasonTaskStarted), outcome(emitter.OutcomeFailure, emitter.ReasonToolError),
		ipv6(), folded(), workflow(), loss(), heartbeat(), Hostile(), later(),
	}
	for _, t := range emitter.Types() {
		e := minimal()
		e.Type = t.Type
		all = append(all, e)
	}
	for i, e := range all {
		e.AuditID = "0192a5c3-7e10-7000-8000-0000000000" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		e.Severity, e.Controls = emitter.SeverityOf(e), emitter.ControlsOf(e)
	}
	return all
}

// Full returns an event in which every field has a value.
func Full() *emitter.Event {
	hash := strings.Repeat("0123456789abcdef", 4)
	e := minimal()
	e.Conclude(emitter.OutcomeFailure, emitter.ReasonToolError)
	e.Observer = emitter.Observer{Host: "gw-prod", Instance: "gw-7c9f", Version: "0.3.0", Labels: map[string]string{"cluster": "eu1", "stage": "prod"}}
	e.Source = emitter.Source{Type: "network", Value: "203.0.113.9", Peer: "10.0.0.7", Port: 51234, Extra: emitter.SourceExtra{
		UserAgent: "desk/1.2 (linux)", RequestID: "req-1", SessionID: "k1:9f2c0000000000000000000000000000", ForwardedClaimed: "for=192.0.2.1",
	}}
	e.Subjects = emitter.Subject{Type: "user", User: "alice", UserID: "u-1", Issuer: "https://idp.example.com", Tenant: "acme"}
	e.Auth = emitter.Auth{
		Method: "jwt", Verified: true, ClientID: "desk", TokenRef: "k1:b51915c10827ab0a7de84dbbc678e3c7", JTI: "j-1",
		Audience: []string{"https://gw.example.com/mcp"}, Scope: []string{"tools:read", "tools:call"}, Roles: []string{"admin", "a,b"},
		ACR: "2", AMR: []string{"pwd", "otp"}, AuthTime: "2026-11-22T13:00:00Z",
	}
	e.Client = emitter.Client{NameClaimed: "desk", VersionClaimed: "1.2"}
	e.Delegation = emitter.Delegation{Chain: []emitter.Actor{{Sub: "agent-2", Iss: "https://idp.example.com"}, {Sub: "agent-1"}}, Truncated: true}
	e.Target = emitter.Target{
		Type: "tool", Name: "github_create_issue", Method: "tools/call", Endpoint: "/mcp", Tool: "create_issue", Privileged: true,
		Server: emitter.Server{Name: "github", Host: "mcp.internal", Port: 443}, Definition: "sha256:" + hash,
	}
	e.Decision = emitter.Decision{Effect: "allow", PolicyIDs: []string{"p-1", "p-2"}, PolicySet: "sha256:" + hash}
	e.Workflow = emitter.Workflow{ID: "w-1", Name: "triage", StepID: "s-1", StepType: "tool", Attempt: 1}
	e.Trace = emitter.Trace{
		ParentAuditID: "0192a5c3-7e10-7000-8000-000000000001", TraceID: hash[:32], SpanID: hash[:16], JSONRPCID: `"7"`, BatchID: "b-1",
	}
	e.Metadata.Extra = emitter.Extra{
		DurationMS: emitter.Of(12), Transport: "streamable-http", HTTPMethod: "POST", HTTPStatus: 200, MCPVersion: "2025-11-25",
		RequestSize: emitter.Of(213), ResponseSize: emitter.Of(812), RequestDigest: "k1:53791ebb4dbbd9626c170a245ef743bb",
		ResponseDigest: "k1:a2c927d7e3fa7656e3bbfa4597ca299f", JSONRPCErrorCode: emitter.Of(0), ErrorMessage: `tool "x" failed`,
		BackendName: "github", RetryCount: emitter.Of(1), Messages: emitter.Of(2), Operations: emitter.Of(3), FoldedCount: emitter.Of(4),
		FirstSeen: "2026-11-22T13:39:00.000000Z", LastSeen: "2026-11-22T13:39:59.000000Z", Origin: "toolhive",
	}
	e.Loss = emitter.Loss{Stream: "s-0", FirstSeq: 5, LastSeq: 9, Count: 3, Cause: "spool_full", Routes: []string{"splunk", "file"}}
	e.Status = emitter.Status{Stream: "s-1", Seq: 40, Dropped: emitter.Of(0), Routes: []emitter.RouteStatus{{Name: "splunk", State: "up", Pending: emitter.Of(7), Dead: emitter.Of(1)}}}
	e.Anomalies = []string{"duplicate_key", "no_id"}
	e.Redactions = []emitter.Redaction{{Path: "data.request.params.arguments.password", Rule: "name"}}
	e.Data = emitter.Data{
		Request: json.RawMessage(`{"name":"create_issue","arguments":{"n":[1,2.50,"x\n"]}}`), Response: json.RawMessage(`null`),
		Original: json.RawMessage(`{"level":"x"}`),
	}
	e.OriginIntegrity = emitter.Integrity{Stream: "e97c8715-8d59-4a27-a33a-40ed0e059db1", Seq: 7, Prev: hash, Hash: hash}
	e.Integrity = emitter.Integrity{Stream: "e97c8715-8d59-4a27-a33a-40ed0e059db2", Seq: 41, Prev: hash, Hash: hash}
	return e
}

func minimal() *emitter.Event {
	e := &emitter.Event{Schema: emitter.SchemaVersion, AuditID: "0192a5c3-7e10-7000-8000-000000000000", Type: emitter.TypeToolCall, Stage: emitter.StageCompleted}
	e.LoggedAt = time.Date(2026, 11, 2, 13, 39, 50, 678166000, time.UTC)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Component = "vmcp-server"
	return e
}

func outcome(o emitter.Outcome, r emitter.Reason) *emitter.Event {
	e := minimal()
	e.Conclude(o, r)
	e.Subjects = emitter.Subject{Type: "user", User: "bob"}
	e.Source = emitter.Source{Type: "network", Value: "198.51.100.7", Peer: "198.51.100.7", Port: 50123}
	e.Target.Name = "notes_write"
	return e
}

func ipv6() *emitter.Event {
	e := minimal()
	e.Type = emitter.TypeResourceRead
	e.Source = emitter.Source{Type: "network", Value: "2001:db8::9", Peer: "2001:db8::1", Port: 1}
	e.Target = emitter.Target{Type: "resource", Name: "file:///a b?x=1|2", Server: emitter.Server{Name: "files", Host: "2001:db8::2", Port: 8443}}
	return e
}

// folded stands for many requests of a network.
func folded() *emitter.Event {
	e := outcome(emitter.OutcomeDenied, emitter.ReasonUnauthenticated)
	e.Type, e.Subjects = emitter.TypeHTTPRequest, emitter.Subject{Type: "unverified"}
	e.Source = emitter.Source{Type: "network", Value: "2001:db8::/64"}
	e.Metadata.Extra.FoldedCount = emitter.Of(3_000_000_000)
	e.Metadata.Extra.RequestSize = emitter.Of(5_000_000_000)
	return e
}

func workflow() *emitter.Event {
	e := outcome(emitter.OutcomeSuccess, "")
	e.Type, e.Target = emitter.TypeCompositeWorkflow, emitter.Target{}
	e.Workflow = emitter.Workflow{ID: "w-2", Name: "triage and tell"}
	return e
}

func loss() *emitter.Event {
	e := minimal()
	e.Type = emitter.TypeAuditLoss
	e.Conclude(emitter.OutcomeError, "")
	e.Loss = emitter.Loss{FirstSeq: 5, LastSeq: 1 << 63, Count: 3, Cause: "refused", Routes: []string{"splunk"}}
	return e
}

func heartbeat() *emitter.Event {
	e := minimal()
	e.Type = emitter.TypeAuditHeartbeat
	e.Status = emitter.Status{Stream: "s-1", Seq: 40, Dropped: emitter.Of(0), Routes: []emitter.RouteStatus{
		{Name: "splunk", State: "up", Pending: emitter.Of(7), Dead: emitter.Of(0)}, {Name: "file", State: "blocked"},
	}}
	return e
}

// Hostile returns an event in which a stranger has chosen every text.
func Hostile() *emitter.Event {
	e := Full()
	e.Observer.Version, e.Observer.Host, e.Observer.Instance, e.Component = Evil, Evil, Evil, Evil
	e.Observer.Labels = map[string]string{Evil: Evil, "": "", " ": " "}
	e.Source.Value, e.Source.Extra.UserAgent = Evil, strings.Repeat(Evil, 9)
	e.Subjects.User, e.Subjects.UserID = Evil, strings.Repeat("\xff", 300)
	e.Target.Name, e.Target.Tool, e.Target.Method = strings.Repeat(Evil, 9), Evil, " \t "
	e.Target.Server.Host = "2001:db8::1%eth0"
	e.Metadata.Extra.ErrorMessage = "\\"
	e.Anomalies = []string{Evil, "", "a,b"}
	e.Decision.PolicyIDs = make([]string, 40)
	for i := range e.Decision.PolicyIDs {
		e.Decision.PolicyIDs[i] = strings.Repeat("p,", 20)
	}
	e.Data.Request = json.RawMessage("{\"k\":\n \"a\u2028b\x7f\xff\" }")
	e.Data.Response = json.RawMessage("{\"audit_id\":\"forged\"}\n{}")
	return e
}

// later is an event of a newer version, as far as this one can tell.
func later() *emitter.Event {
	e := minimal()
	e.Type, e.Outcome, e.Stage, e.Severity = "mcp_later", "perhaps", "paused", 99
	return e
}
