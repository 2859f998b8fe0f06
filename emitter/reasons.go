package emitter

// Reason says why, where the outcome alone does not. The set is closed;
// [Reasons] lists it.
type Reason string

// The reasons.
const (
	ReasonToolError         Reason = "tool_error"
	ReasonRPCError          Reason = "rpc_error"
	ReasonParseError        Reason = "parse_error"
	ReasonInvalidRequest    Reason = "invalid_request"
	ReasonMethodNotFound    Reason = "method_not_found"
	ReasonInvalidParams     Reason = "invalid_params"
	ReasonInternalError     Reason = "internal_error"
	ReasonResourceNotFound  Reason = "resource_not_found"
	ReasonHeaderMismatch    Reason = "header_mismatch"
	ReasonMissingCapability Reason = "missing_capability"
	ReasonUnsupportedVers   Reason = "unsupported_version"
	ReasonURLElicitation    Reason = "url_elicitation_required"
	ReasonInputRequired     Reason = "input_required"
	ReasonTaskStarted       Reason = "task_started"
	ReasonCancelled         Reason = "cancelled"
	ReasonDisconnected      Reason = "disconnected"
	ReasonNoResponse        Reason = "no_response"
	ReasonUnauthenticated   Reason = "unauthenticated"
	ReasonMalformedToken    Reason = "malformed_token"
	ReasonExpired           Reason = "expired"
	ReasonWrongAudience     Reason = "wrong_audience"
	ReasonWrongIssuer       Reason = "wrong_issuer"
	ReasonBadSignature      Reason = "bad_signature"
	ReasonScope             Reason = "insufficient_scope"
	ReasonForbidden         Reason = "forbidden"
	ReasonPolicy            Reason = "policy"
	ReasonOtherPrincipal    Reason = "other_principal"
	ReasonRateLimited       Reason = "rate_limited"
	ReasonBadRequest        Reason = "bad_request"
	ReasonNotFound          Reason = "not_found"
	ReasonSessionNotFound   Reason = "session_not_found"
	ReasonMethodNotAllowed  Reason = "method_not_allowed"
	ReasonNotAcceptable     Reason = "not_acceptable"
	ReasonMediaType         Reason = "unsupported_media_type"
	ReasonTooLarge          Reason = "too_large"
	ReasonRedirected        Reason = "redirected"
	ReasonHTTPError         Reason = "http_error"
	ReasonUpstreamDown      Reason = "upstream_unreachable"
	ReasonUpstreamTimeout   Reason = "upstream_timeout"
	ReasonUpstreamAborted   Reason = "upstream_aborted"
	ReasonPanic             Reason = "panic"
	ReasonAuditUnavailable  Reason = "audit_unavailable"
	ReasonClientClosed      Reason = "client_closed"
	ReasonServerClosed      Reason = "server_closed"
	ReasonDeleted           Reason = "deleted"
	ReasonIdle              Reason = "idle"
	ReasonDeclined          Reason = "declined"
	ReasonUnknownName       Reason = "unknown_name"
	ReasonAmbiguousName     Reason = "ambiguous_name"
	ReasonUnreachable       Reason = "destination_unreachable"
	ReasonBlocked           Reason = "destination_refuses"
	ReasonOther             Reason = "other"
)

// ReasonInfo describes a reason.
type ReasonInfo struct {
	Reason Reason
	Doc    string
}

var reasons = []ReasonInfo{
	{ReasonToolError, "the tool ran and answered `isError`"},
	{ReasonRPCError, "JSON-RPC error with a code of the server's own"},
	{ReasonParseError, "JSON-RPC error -32700"},
	{ReasonInvalidRequest, "JSON-RPC error -32600"},
	{ReasonMethodNotFound, "JSON-RPC error -32601"},
	{ReasonInvalidParams, "JSON-RPC error -32602; what most servers answer for an unknown tool"},
	{ReasonInternalError, "JSON-RPC error -32603"},
	{ReasonResourceNotFound, "JSON-RPC error -32002"},
	{ReasonHeaderMismatch, "JSON-RPC error -32020: headers and body disagree"},
	{ReasonMissingCapability, "JSON-RPC error -32021"},
	{ReasonUnsupportedVers, "JSON-RPC error -32022"},
	{ReasonURLElicitation, "JSON-RPC error -32042: the user must visit a URL first"},
	{ReasonInputRequired, "the server needs input; the client will ask again"},
	{ReasonTaskStarted, "the server answered with the handle of a task"},
	{ReasonCancelled, "the client cancelled before the answer"},
	{ReasonDisconnected, "the connection was lost before the answer"},
	{ReasonNoResponse, "no answer to this request was seen"},
	{ReasonUnauthenticated, "HTTP 401, or no identity"},
	{ReasonMalformedToken, "the token could not be read"},
	{ReasonExpired, "the token had expired"},
	{ReasonWrongAudience, "the token was for another server"},
	{ReasonWrongIssuer, "the token came from another issuer"},
	{ReasonBadSignature, "the token's signature did not verify"},
	{ReasonScope, "the token lacked a scope"},
	{ReasonForbidden, "HTTP 403"},
	{ReasonPolicy, "an authorizer refused"},
	{ReasonOtherPrincipal, "the session was begun by somebody else"},
	{ReasonRateLimited, "HTTP 429, or a limit of the gateway"},
	{ReasonBadRequest, "HTTP 4xx without a JSON-RPC answer and without a reason of its own"},
	{ReasonNotFound, "HTTP 404"},
	{ReasonSessionNotFound, "HTTP 404 to a request that named a session"},
	{ReasonMethodNotAllowed, "HTTP 405"},
	{ReasonNotAcceptable, "HTTP 406"},
	{ReasonMediaType, "HTTP 415"},
	{ReasonTooLarge, "HTTP 413"},
	{ReasonRedirected, "HTTP 3xx"},
	{ReasonHTTPError, "HTTP 5xx"},
	{ReasonUpstreamDown, "the server behind the proxy could not be reached"},
	{ReasonUpstreamTimeout, "the server behind the proxy did not answer in time"},
	{ReasonUpstreamAborted, "the server behind the proxy broke off its answer"},
	{ReasonPanic, "the handler panicked"},
	{ReasonAuditUnavailable, "refused because its event could not have been stored"},
	{ReasonClientClosed, "the client ended the stream"},
	{ReasonServerClosed, "the server ended the stream"},
	{ReasonDeleted, "the client deleted the session"},
	{ReasonIdle, "nobody had used the session for a time"},
	{ReasonDeclined, "the client's user did not accept what the server asked"},
	{ReasonUnknownName, "no back end has what was asked for, or none shows it"},
	{ReasonAmbiguousName, "several back ends would have the name, so nobody has it"},
	{ReasonUnreachable, "a destination of the audit does not take events for now; they wait in the spool"},
	{ReasonBlocked, "a destination of the audit refuses us, as by a wrong token; its events wait in the spool"},
	{ReasonOther, "a reason that a library user gave and this list does not have"},
}

// Reasons describes every reason.
func Reasons() []ReasonInfo { return append([]ReasonInfo(nil), reasons...) }

var codeReasons = map[int64]Reason{
	-32700: ReasonParseError,
	-32600: ReasonInvalidRequest,
	-32601: ReasonMethodNotFound,
	-32602: ReasonInvalidParams,
	-32603: ReasonInternalError,
	-32002: ReasonResourceNotFound,
	-32020: ReasonHeaderMismatch,
	-32021: ReasonMissingCapability,
	-32022: ReasonUnsupportedVers,
	-32042: ReasonURLElicitation,
}

// ReasonOfCode returns the reason that a JSON-RPC error code stands for.
func ReasonOfCode(code int64) Reason {
	if r, ok := codeReasons[code]; ok {
		return r
	}
	return ReasonRPCError
}

// The anomalies.
const (
	AnomalyDuplicateKey    = "duplicate_key"
	AnomalyKeyCase         = "key_case"
	AnomalyHeaderMismatch  = "header_mismatch"
	AnomalyBatch           = "batch"
	AnomalyNoJSON          = "no_json"
	AnomalyBOM             = "byte_order_mark"
	AnomalyNoID            = "no_id"
	AnomalyIDReused        = "id_reused"
	AnomalyIDMismatch      = "id_mismatch"
	AnomalyEncodedRequest  = "encoded_request"
	AnomalyEncodedResponse = "encoded_response"
	AnomalyPartialRequest  = "partial_request"
	AnomalyLateAnswer      = "answer_after_cancel"
	AnomalyUnsolicited     = "unsolicited_answer"
	AnomalyHijacked        = "hijacked"
	AnomalyFull            = "tracking_full"
)

// AnomalyInfo describes an anomaly.
type AnomalyInfo struct{ Anomaly, Doc string }

var anomalies = []AnomalyInfo{
	{AnomalyDuplicateKey, "the request has a key twice that matters; the last one counts, as Go's encoding/json reads it"},
	{AnomalyKeyCase, "the request has a key that matters only if case is ignored, as Go's encoding/json does"},
	{AnomalyHeaderMismatch, "`Mcp-Method`, `Mcp-Name` or `MCP-Protocol-Version` disagree with the body; the body counts"},
	{AnomalyBatch, "the body is a JSON-RPC batch; it is one event until batches are told apart"},
	{AnomalyNoJSON, "the body of a POST is no JSON; what was read before the fault is in the event"},
	{AnomalyBOM, "the request begins with a byte order mark, which some servers skip and others refuse"},
	{AnomalyNoID, "the method asks for an answer and the request has no id, or one that JSON-RPC does not allow"},
	{AnomalyIDReused, "the session has another request under way with the same id"},
	{AnomalyIDMismatch, "the answer carried a response to another id"},
	{AnomalyEncodedRequest, "the request was compressed and could not be looked into"},
	{AnomalyEncodedResponse, "the answer was compressed and could not be looked into: the outcome is that of its HTTP status"},
	{AnomalyPartialRequest, "the request was not read to its end, so it has no digest and its size is what was seen"},
	{AnomalyLateAnswer, "an answer came although the client had cancelled"},
	{AnomalyUnsolicited, "the client answered what nobody has asked it, or asks no more"},
	{AnomalyHijacked, "the handler took over the connection: what follows on it is unseen"},
	{AnomalyFull, "a table of the middleware was full: a cancel or a resumed answer of this call could not be joined with it; or, of folded requests, they came from more sources than are told apart"},
}

// Anomalies describes every anomaly that this project notes; inner layers may
// add names of their own.
func Anomalies() []AnomalyInfo { return append([]AnomalyInfo(nil), anomalies...) }
