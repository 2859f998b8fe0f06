package emitter

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// SchemaVersion is the version of the event's shape, in every event as
// "schema". It changes its major number when a field changes meaning or goes.
const SchemaVersion = "1.0"

// Event is one audit event. The JSON paths, bounds and comments of the fields
// below are the source of docs/events.md and of the JSON Schema: `json` names
// the key, `max` bounds a string in bytes of UTF-8 (a longer one is cut and
// ends in "…"), `items` bounds a list or an object of free keys, `au3` says
// which question of NIST SP 800-53 AU-3 the field answers.
//
// Start with [NewEvent], which cannot forget a required field. An Event is not
// safe for concurrent use; [Emitter.Emit] takes it over.
type Event struct {
	// Version of this event's shape.
	Schema string `json:"schema" max:"8"`
	// UUIDv7 of the operation, given when the operation starts. The receiver's key against duplicates.
	AuditID string `json:"audit_id" max:"64" au3:"what"`
	// Type of the event, from the list below.
	Type Type `json:"type" max:"64" au3:"what"`
	// `completed`, or `received` for the record that strict mode writes before a call runs.
	Stage Stage `json:"stage" max:"16" au3:"what"`
	// When the event was recorded, UTC, RFC 3339, microseconds. The operation began `duration_ms` earlier.
	LoggedAt time.Time `json:"logged_at" au3:"when"`
	// `success`, `failure`, `denied`, `error`, or `pending` where the act goes on: by the protocol, or since the event was `received`.
	Outcome Outcome `json:"outcome" max:"16" au3:"outcome"`
	// Why, where the outcome alone does not say it; from the closed list below.
	Reason Reason `json:"reason" max:"64" au3:"outcome"`
	// 0 to 10 on the CEF scale, by the table below.
	Severity int `json:"severity" au3:"outcome"`
	// The component that was audited.
	Component string `json:"component" max:"64" au3:"where"`
	// Who observed: the process that wrote this event.
	Observer Observer `json:"observer"`
	// Where the request came from.
	Source Source `json:"source"`
	// Who acted, by a verified identity. Claims that nobody verified never stand here.
	Subjects Subject `json:"subjects"`
	// How the identity was established.
	Auth Auth `json:"auth"`
	// The client software, by its own word.
	Client Client `json:"client"`
	// On whose behalf the subject acted, newest actor first (RFC 8693 `act`).
	Delegation Delegation `json:"delegation"`
	// What was acted upon.
	Target Target `json:"target"`
	// What an authorizer decided.
	Decision Decision `json:"decision"`
	// The composite workflow that the event belongs to.
	Workflow Workflow `json:"workflow"`
	// What joins this event with others.
	Trace Trace `json:"trace"`
	// Measures of the operation.
	Metadata Metadata `json:"metadata"`
	// What is missing, of an `audit_loss` event.
	Loss Loss `json:"loss"`
	// How the audit itself is doing, of `audit_start`, `audit_stop`, `audit_heartbeat` and `audit_sink` events.
	Status Status `json:"status"`
	// NIST SP 800-53 Rev. 5 controls that this event is evidence for, beyond AU-2, AU-3, AU-8 and AU-12.
	Controls []string `json:"controls" max:"16" items:"16"`
	// What was odd about the exchange, from the closed list below.
	Anomalies []string `json:"anomalies" max:"64" items:"16" au3:"what"`
	// What was taken out of this event, and by which rule.
	Redactions []Redaction `json:"redactions" items:"32"`
	// Arguments and results, only where their recording was switched on; redacted, then cut at a JSON boundary.
	Data Data `json:"data"`
	// Place in the chain that the event stood in before `ship` stored it here.
	OriginIntegrity Integrity `json:"origin_integrity"`
	// Place in the chain of events; set when the event is stored.
	Integrity Integrity `json:"integrity"`

	stored []byte // canonical bytes as decoded or as emitted; nil for an event under construction
	sealed bool   // stored came with an integrity in it
}

// Observer is the process that wrote the event.
type Observer struct {
	// Stable name of the installation, never that of a pod.
	Host string `json:"host" max:"255" au3:"where"`
	// Name of this one process or pod.
	Instance string `json:"instance" max:"255" au3:"where"`
	// Version of the emitter.
	Version string `json:"version" max:"64"`
	// Labels from the configuration, in the order of their keys.
	Labels map[string]string `json:"labels" max:"256" items:"16"`
}

// Source is where the request came from.
type Source struct {
	// `network`, or `local` for stdio and unix sockets.
	Type string `json:"type" max:"16" au3:"source"`
	// Client address: the peer, or, behind a trusted proxy, the rightmost hop that is not one. Of folded requests over IPv6 the /64 network.
	Value string `json:"value" max:"64" au3:"source"`
	// Address of the other end of the connection, always.
	Peer string `json:"peer" max:"64" au3:"source"`
	// Port of the other end of the connection.
	Port int `json:"port" au3:"source"`
	// More of the source.
	Extra SourceExtra `json:"extra"`
}

// SourceExtra tells more of the source.
type SourceExtra struct {
	// User-Agent header, a claim by the client.
	UserAgent string `json:"user_agent" max:"256" au3:"source"`
	// X-Request-Id header as sent; else the audit_id of the operation.
	RequestID string `json:"request_id" max:"128" au3:"source"`
	// Keyed digest of the MCP session id.
	SessionID string `json:"session_id" max:"80" au3:"source"`
	// Forwarding header of a peer that is no trusted proxy: a claim.
	ForwardedClaimed string `json:"forwarded_claimed" max:"256"`
}

// Subject is a verified identity.
type Subject struct {
	// `user`, `service` or `process`; `anonymous` for a caller without credentials, `unverified` for one whose credentials nobody here checked.
	Type string `json:"type" max:"16" au3:"who"`
	// Readable name.
	User string `json:"user" max:"256" au3:"who"`
	// The issuer's own id of the subject (`sub`).
	UserID string `json:"user_id" max:"256" au3:"who"`
	// Issuer of the identity (`iss`).
	Issuer string `json:"issuer" max:"512" au3:"who"`
	// Tenant or organisation.
	Tenant string `json:"tenant" max:"256" au3:"who"`
}

// Auth says how the identity was established.
type Auth struct {
	// `jwt`, `introspection`, `mtls`, `static`, `stdio`, `anonymous` or `unverified`.
	Method string `json:"method" max:"32" au3:"who"`
	// Whether the identity was verified.
	Verified bool `json:"verified" au3:"who"`
	// OAuth client that was authorized.
	ClientID string `json:"client_id" max:"512" au3:"who"`
	// Keyed digest of the token, whether or not it was verified.
	TokenRef string `json:"token_ref" max:"80" au3:"who"`
	// Id of the token (`jti`).
	JTI string `json:"jti" max:"256" au3:"who"`
	// Audiences of the token.
	Audience []string `json:"audience" max:"512" items:"16"`
	// Granted scopes.
	Scope []string `json:"scope" max:"128" items:"64"`
	// Roles or groups.
	Roles []string `json:"roles" max:"128" items:"64"`
	// Authentication context class.
	ACR string `json:"acr" max:"128"`
	// Authentication methods.
	AMR []string `json:"amr" max:"64" items:"16"`
	// When the user authenticated, RFC 3339.
	AuthTime string `json:"auth_time" max:"32"`
}

// Client is the client software by its own word.
type Client struct {
	// `clientInfo.name`, unverified.
	NameClaimed string `json:"name_claimed" max:"128" au3:"source"`
	// `clientInfo.version`, unverified.
	VersionClaimed string `json:"version_claimed" max:"64" au3:"source"`
}

// Delegation is the chain of actors.
type Delegation struct {
	// Actors, newest first.
	Chain []Actor `json:"chain" items:"10"`
	// Whether the token named more actors than fit.
	Truncated bool `json:"truncated"`
}

// Actor is one link of a delegation.
type Actor struct {
	// Subject of the actor.
	Sub string `json:"sub" max:"256" au3:"who"`
	// Issuer of the actor.
	Iss string `json:"iss" max:"512" au3:"who"`
}

// Target is what was acted upon.
type Target struct {
	// `tool`, `resource`, `prompt`, `server`, `session`, `stream`, `task`, `notification`, `response`, `batch`, `workflow`, `workflow_step` or `endpoint`.
	Type string `json:"type" max:"32" au3:"what"`
	// Name or URI as the client asked for it.
	Name string `json:"name" max:"512" au3:"what"`
	// JSON-RPC method as sent, or the HTTP method where there was none.
	Method string `json:"method" max:"128" au3:"what"`
	// Path of the HTTP request, without its query.
	Endpoint string `json:"endpoint" max:"256" au3:"where"`
	// Back end that executed.
	Server Server `json:"server"`
	// Name that was executed at the back end.
	Tool string `json:"tool" max:"512" au3:"what"`
	// Digest of the tool's definition.
	Definition string `json:"definition" max:"80" au3:"what"`
	// Whether the configuration lists the tool as privileged.
	Privileged bool `json:"privileged" au3:"what"`
}

// Server is a back end.
type Server struct {
	// Name of the back end.
	Name string `json:"name" max:"128" au3:"where"`
	// Its host.
	Host string `json:"host" max:"255" au3:"where"`
	// Its port.
	Port int `json:"port" au3:"where"`
}

// Decision is what an authorizer decided.
type Decision struct {
	// `allow` or `deny`.
	Effect string `json:"effect" max:"16" au3:"outcome"`
	// Policies that decided.
	PolicyIDs []string `json:"policy_ids" max:"256" items:"16" au3:"outcome"`
	// Digest of the policy set in force.
	PolicySet string `json:"policy_set" max:"80"`
}

// Workflow is the composite workflow that an event belongs to.
type Workflow struct {
	// Id of this run.
	ID string `json:"id" max:"64" au3:"what"`
	// Name of the workflow.
	Name string `json:"name" max:"256" au3:"what"`
	// Step within it.
	StepID string `json:"step_id" max:"128" au3:"what"`
	// Kind of step: `tool`, `elicitation` ...
	StepType string `json:"step_type" max:"32"`
	// Number of this try, from 1.
	Attempt int `json:"attempt"`
}

// Trace joins events.
type Trace struct {
	// audit_id of the event that this one belongs to.
	ParentAuditID string `json:"parent_audit_id" max:"64" au3:"what"`
	// W3C trace id, from `traceparent`.
	TraceID string `json:"trace_id" max:"32"`
	// W3C id of the caller's span, from `traceparent`.
	SpanID string `json:"span_id" max:"16"`
	// JSON-RPC id, as JSON text: a string has its quotes.
	JSONRPCID string `json:"jsonrpc_id" max:"256" au3:"what"`
	// Id that the members of one JSON-RPC batch share.
	BatchID string `json:"batch_id" max:"64"`
}

// Metadata holds the measures of the operation.
type Metadata struct {
	// The measures.
	Extra Extra `json:"extra"`
}

// Extra holds the measures of the operation. Sizes and digests are those of
// the JSON-RPC message, uncompressed; where there was none, of the HTTP body.
type Extra struct {
	// Milliseconds from the request's arrival to its record; of `sse_closed` and `mcp_session_end`, how long the stream or session lasted.
	DurationMS Int `json:"duration_ms"`
	// `streamable-http`, `sse`, `stdio` or `http`.
	Transport string `json:"transport" max:"32"`
	// HTTP method.
	HTTPMethod string `json:"http_method" max:"16"`
	// HTTP status of the answer.
	HTTPStatus int `json:"http_status" au3:"outcome"`
	// Protocol revision in force.
	MCPVersion string `json:"mcp_version" max:"32"`
	// Bytes of the request.
	RequestSize Int `json:"request_size"`
	// Bytes of the answer.
	ResponseSize Int `json:"response_size"`
	// Digest of the request, only when it was seen to its end: `k1:` and half an HMAC-SHA-256, or `sha256:` and a SHA-256, hex.
	RequestDigest string `json:"request_digest" max:"80"`
	// Digest of the answer.
	ResponseDigest string `json:"response_digest" max:"80"`
	// JSON-RPC error code; 0 is a code.
	JSONRPCErrorCode Int `json:"jsonrpc_error_code" au3:"outcome"`
	// Error text, redacted.
	ErrorMessage string `json:"error_message" max:"512" au3:"outcome"`
	// Back end by name, where ToolHive's rules look for it.
	BackendName string `json:"backend_name" max:"128" au3:"where"`
	// Retries that this operation took.
	RetryCount Int `json:"retry_count"`
	// Messages that a closed stream had carried.
	Messages Int `json:"messages"`
	// Operations that an ended session had seen.
	Operations Int `json:"operations"`
	// Requests that this event stands for, where not each has one of its own.
	FoldedCount Int `json:"folded_count"`
	// When the first of them came, UTC, RFC 3339, microseconds.
	FirstSeen string `json:"first_seen" max:"32" au3:"when"`
	// When the last of them came.
	LastSeen string `json:"last_seen" max:"32" au3:"when"`
	// By which rule a name led to its back end: `none`, `prefix`, `priority`, `manual` or `first`; or why it led to none: `outranked`, `ambiguous` ...
	RouteRule string `json:"route_rule" max:"32" au3:"what"`
	// What became of a back end: `discovered`, `unreachable`, `lost`, `recovered` or `changed`.
	Change string `json:"change" max:"32" au3:"what"`
	// Tools that a back end lists.
	Tools Int `json:"tools"`
	// Prompts that it lists.
	Prompts Int `json:"prompts"`
	// Resources that it lists.
	Resources Int `json:"resources"`
	// Whose audit line this event was made from, as `toolhive`; outcome and identity are then that program's word. Absent: the operation was observed here.
	Origin string `json:"origin" max:"32" au3:"outcome"`
}

// Loss names events that are missing.
type Loss struct {
	// Chain that they are missing from, where that is not the event's own.
	Stream string `json:"stream" max:"64"`
	// Lowest `integrity.seq` that is missing.
	FirstSeq uint64 `json:"first_seq"`
	// Highest `integrity.seq` that is missing; between the two some may be there.
	LastSeq uint64 `json:"last_seq"`
	// How many are missing; at most so many where the cause is `torn_tail`, `cut_tail` or `damaged`.
	Count uint64 `json:"count"`
	// `spool_full`, `write_failed` or `drop_oldest`: there was no room, or the disk failed; `torn_tail`, `cut_tail` or `damaged`: what was stored cannot be read any more; `refused`: the destination does not take it, it is kept with the dead letters; `returned`: a write failed and was tried again, nothing is missing but these numbers; `input_lost`: a file that was shipped was cut or is gone before it was read to its end, see target.
	Cause string `json:"cause" max:"32" au3:"outcome"`
	// Destinations that will miss them; none named: all.
	Routes []string `json:"routes" max:"64" items:"32" au3:"where"`
}

// Status tells how the audit itself is doing.
type Status struct {
	// Id of the chain that is written.
	Stream string `json:"stream" max:"64"`
	// `integrity.seq` of the last event on disk before this one.
	Seq uint64 `json:"seq"`
	// Events lost since the process began, as `audit_loss` events tell.
	Dropped Int `json:"dropped"`
	// Destinations.
	Routes []RouteStatus `json:"routes" items:"32"`
}

// RouteStatus tells how one destination is doing.
type RouteStatus struct {
	// Its name.
	Name string `json:"name" max:"64"`
	// `up`, `retrying` or `blocked`.
	State string `json:"state" max:"16"`
	// Events that it has not confirmed.
	Pending Int `json:"pending"`
	// Events that it has refused for good since the process began.
	Dead Int `json:"dead"`
}

// Redaction names one thing that was taken out.
type Redaction struct {
	// Where it stood.
	Path string `json:"path" max:"160"`
	// The rule that took it out.
	Rule string `json:"rule" max:"32"`
}

// Data holds arguments and results. Each value is one JSON text of at most
// [MaxData] bytes; what is longer or no JSON is replaced by a note.
type Data struct {
	// Arguments of the request.
	Request json.RawMessage `json:"request"`
	// Result or error of the answer.
	Response json.RawMessage `json:"response"`
	// What the line of `origin` says and no other field of this event holds exactly, under its names there.
	Original json.RawMessage `json:"original"`
}

// MaxData bounds each member of [Data], in bytes of JSON.
const MaxData = 64 << 10

// Integrity is the event's place in the chain.
type Integrity struct {
	// Id of the chain.
	Stream string `json:"stream" max:"64"`
	// Number in the chain, from 1. An `audit_loss` event tells of each hole.
	Seq uint64 `json:"seq"`
	// Hash of the event before this one, hex.
	Prev string `json:"prev" max:"64"`
	// Hash of this event, hex.
	Hash string `json:"hash" max:"64"`
}

// Int is an integer that may be absent: its zero value is, 0 is a value.
type Int struct {
	Value int64
	Set   bool
}

// Of returns an Int that holds v.
func Of(v int64) Int { return Int{Value: v, Set: true} }

// UnmarshalJSON reads a JSON integer.
func (i *Int) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return err
	}
	*i = Of(v)
	return nil
}

// NewEvent returns an event of type t that has just begun: with a new id, and
// with the outcome `error` until [Event.Conclude] tells the true one, so that
// an operation whose end was missed can never pass for a success.
func NewEvent(t Type) *Event {
	return &Event{
		Schema:  SchemaVersion,
		AuditID: NewID(),
		Type:    t,
		Stage:   StageCompleted,
		Outcome: OutcomeError,
		Reason:  ReasonNoResponse,
	}
}

// NewLoss returns the event that tells of a loss.
func NewLoss(l Loss) *Event {
	e := NewEvent(TypeAuditLoss)
	e.Conclude(OutcomeError, "")
	e.Loss = l
	e.Severity, e.Controls = SeverityOf(e), ControlsOf(e)
	return e
}

// Conclude sets how the operation ended; reason is empty for a plain success.
func (e *Event) Conclude(o Outcome, r Reason) { e.Outcome, e.Reason = o, r }

// Child returns a new event of type t that belongs to e: by the same subject,
// from the same source, in the same trace, with e as its parent.
func (e *Event) Child(t Type) *Event {
	c := NewEvent(t)
	c.Component, c.Observer = e.Component, e.Observer
	c.Source, c.Subjects, c.Auth, c.Client, c.Delegation = e.Source, e.Subjects, e.Auth, e.Client, e.Delegation
	c.Trace = Trace{ParentAuditID: e.AuditID, TraceID: e.Trace.TraceID, SpanID: e.Trace.SpanID, BatchID: e.Trace.BatchID}
	c.Metadata.Extra.Transport, c.Metadata.Extra.MCPVersion = e.Metadata.Extra.Transport, e.Metadata.Extra.MCPVersion
	return c
}

// Stored returns the canonical bytes of an event as it was decoded or emitted,
// without a line end, and nil for one under construction. The caller must not
// change them. See [AppendStored].
func (e *Event) Stored() []byte { return e.stored }

// NewID returns a new UUIDv7; the ids of one process rise.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
