package formats

import (
	"encoding/json"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

type event = emitter.Event

// fields is the mapping: each field of the event, with its names in the formats, in
// the order in which they are written. Where a record has to be cut, what comes
// later goes first; so what the gateway itself says and who acted stand before
// what a stranger can make long.
//
// The keys of CEF are those of the standard's dictionary where one means the same;
// the others are our own, VmcpAudit..., as the standard asks (CEF Implementation
// Standard v27, chapter 2, "custom extension"). The keys of LEEF are IBM's
// predefined ones where one means the same. docs/formats.md is made from this.
var fields = []field{
	{path: "schema", max: 8, text: func(e *event) string { return e.Schema }, flat: "schema"},
	{path: "logged_at", kind: kindTime, flat: "logged_at", cef: key{name: "rt"}, leef: key{name: "devTime"}},
	{path: "audit_id", max: 64, text: func(e *event) string { return e.AuditID }, flat: "audit_id", cef: key{name: "externalId", max: 40}, leef: key{name: "auditId"}, sd: "audit_id", brief: true},
	{path: "type", max: 64, text: func(e *event) string { return string(e.Type) }, flat: "type", sd: "type", brief: true},
	{path: "stage", max: 16, text: func(e *event) string { return string(e.Stage) }, flat: "stage", cef: key{name: "VmcpAuditStage"}, leef: key{name: "stage"}, sd: "stage"},
	{path: "outcome", max: 16, text: outcomeOf, flat: "outcome", cef: key{name: "outcome"}, leef: key{name: "cat"}, sd: "outcome", brief: true},
	{path: "reason", max: 64, text: func(e *event) string { return string(e.Reason) }, flat: "reason", cef: key{name: "reason"}, leef: key{name: "reason"}, sd: "reason"},
	{path: "severity", kind: kindNumber, number: func(e *event) (int64, bool) { return severityOf(e), true }, flat: "severity", leef: key{name: "sev", min: 1, max: 10}, sd: "severity", brief: true},
	{path: "category", max: 32, text: func(e *event) string { return kindOf(e).Cat }, cef: key{name: "cat"}, leef: key{name: "category"}},
	{path: "integrity.seq", kind: kindNumber, number: func(e *event) (int64, bool) { return counted(e.Integrity.Seq) }, flat: "integrity_seq", cef: key{name: "cn3", label: "seq"}, leef: key{name: "seq"}, sd: "seq", brief: true},
	{path: "integrity.stream", max: 64, text: func(e *event) string { return e.Integrity.Stream }, flat: "integrity_stream", cef: key{name: "flexString1", label: "stream"}, leef: key{name: "stream"}, sd: "stream"},
	{path: "integrity.hash", max: 64, text: func(e *event) string { return e.Integrity.Hash }, flat: "integrity_hash", cef: key{name: "cs6", label: "hash"}, leef: key{name: "hash"}, sd: "hash"},
	{path: "component", max: 64, text: func(e *event) string { return e.Component }, flat: "component", cef: key{name: "deviceProcessName"}, leef: key{name: "component"}, sd: "component"},
	{path: "observer.host", max: 255, text: func(e *event) string { return e.Observer.Host }, flat: "observer_host", cef: key{name: "dvchost", max: 100}, leef: key{name: "observerHost"}},
	{path: "observer.instance", max: 255, text: func(e *event) string { return e.Observer.Instance }, flat: "observer_instance", cef: key{name: "deviceExternalId"}, leef: key{name: "instance"}},
	{path: "source.value", kind: kindAddr, max: 64, text: func(e *event) string { return e.Source.Value }, flat: "source_value", cef: key{name: "src", v6: "c6a2", host: "VmcpAuditSource"}, leef: key{name: "src", host: "srcOther"}, sd: "src"},
	{path: "subjects.type", max: 16, text: func(e *event) string { return e.Subjects.Type }, flat: "subjects_type", cef: key{name: "VmcpAuditSubjectType"}, leef: key{name: "subjectType"}, sd: "subject_type"},
	{path: "subjects.user", max: 256, text: func(e *event) string { return e.Subjects.User }, flat: "subjects_user", cef: key{name: "suser"}, leef: key{name: "usrName", max: 255}, sd: "user"},
	{path: "subjects.user_id", max: 256, text: func(e *event) string { return e.Subjects.UserID }, flat: "subjects_user_id", cef: key{name: "suid"}, leef: key{name: "accountName", max: 255}, sd: "user_id"},
	{path: "subjects.tenant", max: 256, text: func(e *event) string { return e.Subjects.Tenant }, flat: "subjects_tenant", cef: key{name: "sntdom", max: 255}, leef: key{name: "domain"}, sd: "tenant"},
	{path: "subjects.issuer", max: 512, text: func(e *event) string { return e.Subjects.Issuer }, flat: "subjects_issuer", cef: key{name: "VmcpAuditRealm"}, leef: key{name: "realm"}, sd: "issuer"},
	{path: "auth.method", max: 32, text: func(e *event) string { return e.Auth.Method }, flat: "auth_method", cef: key{name: "VmcpAuditAuthMethod"}, leef: key{name: "authMethod"}, sd: "auth_method"},
	{path: "auth.verified", kind: kindBool, number: func(e *event) (int64, bool) { return yes(e.Auth.Verified) }, flat: "auth_verified", cef: key{name: "VmcpAuditAuthVerified"}, leef: key{name: "authVerified"}, sd: "auth_verified"},
	{path: "decision.effect", max: 16, text: func(e *event) string { return e.Decision.Effect }, flat: "decision_effect", cef: key{name: "act"}, leef: key{name: "decision"}, sd: "decision"},
	{path: "decision.policy_ids", kind: kindList, max: 256, items: 16, item: func(e *event, i int) (string, bool) { return at(e.Decision.PolicyIDs, i) }, flat: "decision_policy_ids", cef: key{name: "cs4", label: "policies", max: 4000}, leef: key{name: "policy"}, sd: "policies"},
	{path: "target.type", max: 32, text: func(e *event) string { return e.Target.Type }, flat: "target_type", cef: key{name: "VmcpAuditTargetType"}, leef: key{name: "targetType"}, sd: "target_type"},
	{path: "target.privileged", kind: kindBool, number: func(e *event) (int64, bool) { return yes(e.Target.Privileged) }, flat: "target_privileged", cef: key{name: "VmcpAuditPrivileged"}, leef: key{name: "privileged"}, sd: "privileged"},
	{path: "target.server.name", max: 128, text: func(e *event) string { return e.Target.Server.Name }, flat: "target_server_name", cef: key{name: "destinationServiceName"}, leef: key{name: "server"}, sd: "server"},
	{path: "target.server.host", kind: kindAddr, max: 255, text: func(e *event) string { return e.Target.Server.Host }, flat: "target_server_host", cef: key{name: "dst", v6: "c6a3", host: "dhost"}, leef: key{name: "dst", host: "dstHost"}, sd: "server_host"},
	{path: "target.server.port", kind: kindNumber, number: func(e *event) (int64, bool) { return nonZero(e.Target.Server.Port) }, flat: "target_server_port", cef: key{name: "dpt", max: 65535}, leef: key{name: "dstPort", max: 65535}, sd: "server_port"},
	{path: "source.port", kind: kindNumber, number: sourcePort, flat: "source_port", cef: key{name: "spt", max: 65535}, leef: key{name: "srcPort", max: 65535}},
	{path: "source.peer", max: 64, text: func(e *event) string { return e.Source.Peer }, flat: "source_peer", cef: key{name: "VmcpAuditPeer"}, leef: key{name: "peer"}, sd: "peer"},
	{path: "source.port", kind: kindNumber, number: peerPort, flat: "source_port", cef: key{name: "VmcpAuditPeerPort", max: 65535}, leef: key{name: "peerPort", max: 65535}},
	{path: "source.type", max: 16, text: func(e *event) string { return e.Source.Type }, flat: "source_type", cef: key{name: "VmcpAuditSourceType"}, leef: key{name: "sourceType"}},
	{path: "source.extra.session_id", max: 80, text: func(e *event) string { return e.Source.Extra.SessionID }, flat: "source_extra_session_id", cef: key{name: "cs3", label: "session"}, leef: key{name: "session"}, sd: "session"},
	{path: "trace.parent_audit_id", max: 64, text: func(e *event) string { return e.Trace.ParentAuditID }, flat: "trace_parent_audit_id", cef: key{name: "VmcpAuditParentAuditId"}, leef: key{name: "parentAuditId"}, sd: "parent_audit_id"},
	{path: "trace.trace_id", max: 32, text: func(e *event) string { return e.Trace.TraceID }, flat: "trace_trace_id", cef: key{name: "VmcpAuditTraceId"}, leef: key{name: "traceId"}, sd: "trace_id"},
	{path: "trace.span_id", max: 16, text: func(e *event) string { return e.Trace.SpanID }, flat: "trace_span_id", cef: key{name: "VmcpAuditSpanId"}, leef: key{name: "spanId"}},
	{path: "trace.batch_id", max: 64, text: func(e *event) string { return e.Trace.BatchID }, flat: "trace_batch_id", cef: key{name: "VmcpAuditBatchId"}, leef: key{name: "batchId"}},
	{path: "workflow.id", max: 64, text: func(e *event) string { return e.Workflow.ID }, flat: "workflow_id", cef: key{name: "VmcpAuditWorkflowId"}, leef: key{name: "workflowId"}, sd: "workflow_id"},
	{path: "loss.stream", max: 64, text: func(e *event) string { return e.Loss.Stream }, flat: "loss_stream", cef: key{name: "VmcpAuditLossStream"}, leef: key{name: "lossStream"}, sd: "loss_stream"},
	{path: "loss.first_seq", kind: kindNumber, number: func(e *event) (int64, bool) { return counted(e.Loss.FirstSeq) }, flat: "loss_first_seq", cef: key{name: "VmcpAuditLossFirstSeq"}, leef: key{name: "lossFirstSeq"}, sd: "loss_first_seq"},
	{path: "loss.last_seq", kind: kindNumber, number: func(e *event) (int64, bool) { return counted(e.Loss.LastSeq) }, flat: "loss_last_seq", cef: key{name: "VmcpAuditLossLastSeq"}, leef: key{name: "lossLastSeq"}, sd: "loss_last_seq"},
	{path: "loss.count", kind: kindNumber, number: func(e *event) (int64, bool) { return counted(e.Loss.Count) }, flat: "loss_count", cef: key{name: "VmcpAuditLossCount"}, leef: key{name: "lossCount"}, sd: "loss_count"},
	{path: "loss.cause", max: 32, text: func(e *event) string { return e.Loss.Cause }, flat: "loss_cause", cef: key{name: "VmcpAuditLossCause"}, leef: key{name: "lossCause"}, sd: "loss_cause"},
	{path: "loss.routes", kind: kindList, max: 64, items: 32, item: func(e *event, i int) (string, bool) { return at(e.Loss.Routes, i) }, flat: "loss_routes", cef: key{name: "VmcpAuditLossRoutes", max: 1023}, leef: key{name: "lossRoutes"}, sd: "loss_routes"},
	{path: "status.stream", max: 64, text: func(e *event) string { return e.Status.Stream }, flat: "status_stream", cef: key{name: "VmcpAuditStatusStream"}, leef: key{name: "statusStream"}},
	{path: "status.seq", kind: kindNumber, number: func(e *event) (int64, bool) { return counted(e.Status.Seq) }, flat: "status_seq", cef: key{name: "VmcpAuditStatusSeq"}, leef: key{name: "statusSeq"}},
	{path: "status.dropped", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Status.Dropped) }, flat: "status_dropped", cef: key{name: "VmcpAuditStatusDropped"}, leef: key{name: "statusDropped"}, sd: "status_dropped"},
	{path: "status.routes[].name", kind: kindList, max: 64, items: 32, item: routeAt, flat: "status_routes_name", cef: key{name: "VmcpAuditStatusRoutes", max: 1023}, leef: key{name: "statusRoutes"}},
	{path: "status.routes[].state", kind: kindList, max: 16, items: 32, item: stateAt, flat: "status_routes_state", cef: key{name: "VmcpAuditStatusStates", max: 1023}, leef: key{name: "statusStates"}},
	{path: "metadata.extra.duration_ms", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.DurationMS) }, flat: "metadata_extra_duration_ms", cef: key{name: "cn1", label: "duration ms"}, leef: key{name: "durationMs"}, sd: "duration_ms"},
	{path: "metadata.extra.jsonrpc_error_code", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.JSONRPCErrorCode) }, flat: "metadata_extra_jsonrpc_error_code", cef: key{name: "cn2", label: "JSON-RPC error code"}, leef: key{name: "errorCode"}, sd: "error_code"},
	{path: "metadata.extra.http_status", kind: kindNumber, number: func(e *event) (int64, bool) { return nonZero(e.Metadata.Extra.HTTPStatus) }, flat: "metadata_extra_http_status", cef: key{name: "VmcpAuditHttpStatus"}, leef: key{name: "httpStatus"}, sd: "http_status"},
	{path: "metadata.extra.folded_count", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.FoldedCount) }, flat: "metadata_extra_folded_count", cef: key{name: "cnt", max: maxInteger}, leef: key{name: "foldedCount"}, sd: "folded_count"},
	{path: "metadata.extra.first_seen", max: 32, text: func(e *event) string { return e.Metadata.Extra.FirstSeen }, flat: "metadata_extra_first_seen", cef: key{name: "VmcpAuditFirstSeen"}, leef: key{name: "firstSeen"}},
	{path: "metadata.extra.last_seen", max: 32, text: func(e *event) string { return e.Metadata.Extra.LastSeen }, flat: "metadata_extra_last_seen", cef: key{name: "VmcpAuditLastSeen"}, leef: key{name: "lastSeen"}},
	{path: "metadata.extra.request_size", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.RequestSize) }, flat: "metadata_extra_request_size", cef: key{name: "in", max: maxInteger}, leef: key{name: "srcBytes"}},
	{path: "metadata.extra.response_size", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.ResponseSize) }, flat: "metadata_extra_response_size", cef: key{name: "out", max: maxInteger}, leef: key{name: "dstBytes"}},
	{path: "metadata.extra.route_rule", max: 32, text: func(e *event) string { return e.Metadata.Extra.RouteRule }, flat: "metadata_extra_route_rule", cef: key{name: "VmcpAuditRouteRule"}, leef: key{name: "routeRule"}, sd: "route_rule"},
	{path: "metadata.extra.change", max: 32, text: func(e *event) string { return e.Metadata.Extra.Change }, flat: "metadata_extra_change", cef: key{name: "VmcpAuditChange"}, leef: key{name: "change"}, sd: "change"},
	{path: "metadata.extra.tools", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.Tools) }, flat: "metadata_extra_tools", cef: key{name: "VmcpAuditTools", max: maxInteger}, leef: key{name: "tools"}, sd: "tools"},
	{path: "metadata.extra.prompts", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.Prompts) }, flat: "metadata_extra_prompts", cef: key{name: "VmcpAuditPrompts", max: maxInteger}, leef: key{name: "prompts"}, sd: "prompts"},
	{path: "metadata.extra.resources", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.Resources) }, flat: "metadata_extra_resources", cef: key{name: "VmcpAuditResources", max: maxInteger}, leef: key{name: "resources"}, sd: "resources"},
	{path: "metadata.extra.origin", max: 32, text: func(e *event) string { return e.Metadata.Extra.Origin }, flat: "metadata_extra_origin", cef: key{name: "VmcpAuditOrigin"}, leef: key{name: "origin"}, sd: "origin"},
	{path: "anomalies", kind: kindList, max: 64, items: 16, item: func(e *event, i int) (string, bool) { return at(e.Anomalies, i) }, flat: "anomalies", cef: key{name: "cs5", label: "anomalies", max: 4000}, leef: key{name: "anomalies"}, sd: "anomalies"},
	{path: "controls", kind: kindList, max: 16, items: 16, item: func(e *event, i int) (string, bool) { return at(e.Controls, i) }, flat: "controls", cef: key{name: "VmcpAuditControls", max: 1023}, leef: key{name: "controls"}, sd: "controls"},
	{path: "target.name", max: 512, text: func(e *event) string { return e.Target.Name }, flat: "target_name", cef: key{name: "cs1", label: "target"}, leef: key{name: "resource"}, sd: "target"},
	{path: "target.tool", max: 512, text: func(e *event) string { return e.Target.Tool }, flat: "target_tool", cef: key{name: "cs2", label: "tool"}, leef: key{name: "tool"}, sd: "tool"},
	{path: "target.method", max: 128, text: func(e *event) string { return e.Target.Method }, flat: "target_method", cef: key{name: "requestMethod"}, leef: key{name: "method"}, sd: "method"},
	{path: "target.endpoint", max: 256, text: func(e *event) string { return e.Target.Endpoint }, flat: "target_endpoint", cef: key{name: "request"}, leef: key{name: "url"}},
	{path: "metadata.extra.transport", max: 32, text: func(e *event) string { return e.Metadata.Extra.Transport }, flat: "metadata_extra_transport", cef: key{name: "app", max: 31}, leef: key{name: "transport"}, sd: "transport"},
	{path: "metadata.extra.http_method", max: 16, text: func(e *event) string { return e.Metadata.Extra.HTTPMethod }, flat: "metadata_extra_http_method", cef: key{name: "VmcpAuditHttpMethod"}, leef: key{name: "httpMethod"}},
	{path: "metadata.extra.mcp_version", max: 32, text: func(e *event) string { return e.Metadata.Extra.MCPVersion }, flat: "metadata_extra_mcp_version", cef: key{name: "VmcpAuditMcpVersion"}, leef: key{name: "mcpVersion"}},
	{path: "metadata.extra.error_message", max: 512, text: func(e *event) string { return e.Metadata.Extra.ErrorMessage }, flat: "metadata_extra_error_message", cef: key{name: "msg"}, leef: key{name: "msg"}},
	{path: "source.extra.user_agent", max: 256, text: func(e *event) string { return e.Source.Extra.UserAgent }, flat: "source_extra_user_agent", cef: key{name: "requestClientApplication"}, leef: key{name: "userAgent"}},
	{path: "source.extra.request_id", max: 128, text: func(e *event) string { return e.Source.Extra.RequestID }, flat: "source_extra_request_id", cef: key{name: "VmcpAuditRequestId"}, leef: key{name: "requestId"}},
	{path: "client.name_claimed", max: 128, text: func(e *event) string { return e.Client.NameClaimed }, flat: "client_name_claimed", cef: key{name: "sproc"}, leef: key{name: "client"}},
	{path: "client.version_claimed", max: 64, text: func(e *event) string { return e.Client.VersionClaimed }, flat: "client_version_claimed", cef: key{name: "VmcpAuditClientVersion"}, leef: key{name: "clientVersion"}},
	{path: "trace.jsonrpc_id", max: 256, text: func(e *event) string { return e.Trace.JSONRPCID }, flat: "trace_jsonrpc_id", cef: key{name: "VmcpAuditJsonrpcId"}, leef: key{name: "jsonrpcId"}},
	{path: "workflow.name", max: 256, text: func(e *event) string { return e.Workflow.Name }, flat: "workflow_name", cef: key{name: "VmcpAuditWorkflowName"}, leef: key{name: "workflowName"}, sd: "workflow"},
	{path: "workflow.step_id", max: 128, text: func(e *event) string { return e.Workflow.StepID }, flat: "workflow_step_id", cef: key{name: "VmcpAuditStepId"}, leef: key{name: "stepId"}, sd: "step_id"},
	{path: "workflow.step_type", max: 32, text: func(e *event) string { return e.Workflow.StepType }, flat: "workflow_step_type", cef: key{name: "VmcpAuditStepType"}, leef: key{name: "stepType"}},
	{path: "workflow.attempt", kind: kindNumber, number: func(e *event) (int64, bool) { return nonZero(e.Workflow.Attempt) }, flat: "workflow_attempt", cef: key{name: "VmcpAuditAttempt"}, leef: key{name: "attempt"}},
	{path: "auth.client_id", max: 512, text: func(e *event) string { return e.Auth.ClientID }, flat: "auth_client_id", cef: key{name: "VmcpAuditClientId"}, leef: key{name: "clientId"}},
	{path: "auth.token_ref", max: 80, text: func(e *event) string { return e.Auth.TokenRef }, flat: "auth_token_ref", cef: key{name: "VmcpAuditTokenRef"}, leef: key{name: "tokenRef"}},
	{path: "auth.jti", max: 256, text: func(e *event) string { return e.Auth.JTI }, flat: "auth_jti", cef: key{name: "VmcpAuditJti"}, leef: key{name: "jti"}},
	{path: "auth.roles", kind: kindList, max: 128, items: 64, item: func(e *event, i int) (string, bool) { return at(e.Auth.Roles, i) }, flat: "auth_roles", cef: key{name: "spriv", max: 1023}, leef: key{name: "role"}},
	{path: "auth.scope", kind: kindList, max: 128, items: 64, item: func(e *event, i int) (string, bool) { return at(e.Auth.Scope, i) }, flat: "auth_scope", cef: key{name: "VmcpAuditScope", max: 1023}, leef: key{name: "scope"}},
	{path: "auth.audience", kind: kindList, max: 512, items: 16, item: func(e *event, i int) (string, bool) { return at(e.Auth.Audience, i) }, flat: "auth_audience", cef: key{name: "VmcpAuditAudience", max: 1023}, leef: key{name: "audience"}},
	{path: "auth.acr", max: 128, text: func(e *event) string { return e.Auth.ACR }, flat: "auth_acr", cef: key{name: "VmcpAuditAcr"}, leef: key{name: "acr"}},
	{path: "auth.amr", kind: kindList, max: 64, items: 16, item: func(e *event, i int) (string, bool) { return at(e.Auth.AMR, i) }, flat: "auth_amr", cef: key{name: "VmcpAuditAmr", max: 1023}, leef: key{name: "amr"}},
	{path: "auth.auth_time", max: 32, text: func(e *event) string { return e.Auth.AuthTime }, flat: "auth_auth_time", cef: key{name: "VmcpAuditAuthTime"}, leef: key{name: "authTime"}},
	{path: "delegation.chain[].sub", kind: kindList, max: 256, items: 10, item: actorAt, flat: "delegation_chain_sub", cef: key{name: "VmcpAuditDelegation", max: 1023}, leef: key{name: "delegation"}},
	{path: "delegation.chain[].iss", kind: kindList, max: 512, items: 10, item: actorIssuerAt, flat: "delegation_chain_iss", cef: key{name: "VmcpAuditDelegationIssuers", max: 1023}, leef: key{name: "delegationIssuers"}},
	{path: "delegation.truncated", kind: kindBool, number: moreActors, flat: "delegation_truncated", cef: key{name: "VmcpAuditDelegationTruncated"}, leef: key{name: "delegationTruncated"}},
	{path: "metadata.extra.backend_name", max: 128, text: func(e *event) string { return e.Metadata.Extra.BackendName }, flat: "metadata_extra_backend_name", cef: key{name: "VmcpAuditBackendName"}, leef: key{name: "backendName"}},
	{path: "metadata.extra.retry_count", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.RetryCount) }, flat: "metadata_extra_retry_count", cef: key{name: "VmcpAuditRetryCount"}, leef: key{name: "retryCount"}},
	{path: "metadata.extra.messages", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.Messages) }, flat: "metadata_extra_messages", cef: key{name: "VmcpAuditMessages"}, leef: key{name: "messages"}},
	{path: "metadata.extra.operations", kind: kindNumber, number: func(e *event) (int64, bool) { return optional(e.Metadata.Extra.Operations) }, flat: "metadata_extra_operations", cef: key{name: "VmcpAuditOperations"}, leef: key{name: "operations"}},
	{path: "metadata.extra.request_digest", max: 80, text: func(e *event) string { return e.Metadata.Extra.RequestDigest }, flat: "metadata_extra_request_digest", cef: key{name: "VmcpAuditRequestDigest"}, leef: key{name: "requestDigest"}},
	{path: "metadata.extra.response_digest", max: 80, text: func(e *event) string { return e.Metadata.Extra.ResponseDigest }, flat: "metadata_extra_response_digest", cef: key{name: "VmcpAuditResponseDigest"}, leef: key{name: "responseDigest"}},
	{path: "target.definition", max: 80, text: func(e *event) string { return e.Target.Definition }, flat: "target_definition", cef: key{name: "VmcpAuditDefinition"}, leef: key{name: "definition"}},
	{path: "decision.policy_set", max: 80, text: func(e *event) string { return e.Decision.PolicySet }, flat: "decision_policy_set", cef: key{name: "VmcpAuditPolicySet"}, leef: key{name: "policySet"}},
	{path: "observer.version", max: 64, text: func(e *event) string { return e.Observer.Version }, flat: "observer_version"},
	{path: "observer.labels", kind: kindLabels, flat: "observer_labels", cef: key{name: "VmcpAuditLabels"}, leef: key{name: "labels"}},
	{path: "redactions[].path", kind: kindList, max: 160, items: 32, item: redactedAt, flat: "redactions_path", cef: key{name: "VmcpAuditRedactedPaths", max: 1023}, leef: key{name: "redactedPaths"}},
	{path: "redactions[].rule", kind: kindList, max: 32, items: 32, item: ruleAt, flat: "redactions_rule", cef: key{name: "VmcpAuditRedactedRules", max: 1023}, leef: key{name: "redactedRules"}},
	{path: "source.extra.forwarded_claimed", max: 256, text: func(e *event) string { return e.Source.Extra.ForwardedClaimed }, flat: "source_extra_forwarded_claimed", cef: key{name: "VmcpAuditForwardedClaimed"}, leef: key{name: "forwardedClaimed"}},
	{path: "integrity.prev", max: 64, text: func(e *event) string { return e.Integrity.Prev }, flat: "integrity_prev", cef: key{name: "VmcpAuditPrev"}, leef: key{name: "prev"}},
	{path: "origin_integrity.seq", kind: kindNumber, number: func(e *event) (int64, bool) { return counted(e.OriginIntegrity.Seq) }, flat: "origin_integrity_seq", cef: key{name: "VmcpAuditOriginSeq"}, leef: key{name: "originSeq"}},
	{path: "origin_integrity.stream", max: 64, text: func(e *event) string { return e.OriginIntegrity.Stream }, flat: "origin_integrity_stream", cef: key{name: "VmcpAuditOriginStream"}, leef: key{name: "originStream"}},
	{path: "origin_integrity.hash", max: 64, text: func(e *event) string { return e.OriginIntegrity.Hash }, flat: "origin_integrity_hash", cef: key{name: "VmcpAuditOriginHash"}, leef: key{name: "originHash"}},
	{path: "origin_integrity.prev", max: 64, text: func(e *event) string { return e.OriginIntegrity.Prev }, flat: "origin_integrity_prev", cef: key{name: "VmcpAuditOriginPrev"}, leef: key{name: "originPrev"}},
	{path: "data.request", kind: kindJSON, raw: func(e *event) json.RawMessage { return e.Data.Request }, flat: "data_request"},
	{path: "data.response", kind: kindJSON, raw: func(e *event) json.RawMessage { return e.Data.Response }, flat: "data_response"},
	{path: "data.original", kind: kindJSON, raw: func(e *event) json.RawMessage { return e.Data.Original }, flat: "data_original"},
}

// sourcePort is the port of the peer where that is the source, and peerPort where the
// source stands behind it: a rule that takes src and spt together must not be given
// the client's address with the port of a proxy.
func sourcePort(e *event) (int64, bool) {
	return int64(e.Source.Port), e.Source.Port != 0 && e.Source.Value == e.Source.Peer
}

func peerPort(e *event) (int64, bool) {
	return int64(e.Source.Port), e.Source.Port != 0 && e.Source.Value != e.Source.Peer
}

const maxActors = 10 // items of delegation.chain

func moreActors(e *event) (int64, bool) {
	return 1, e.Delegation.Truncated || len(e.Delegation.Chain) > maxActors
}

func routeAt(e *event, i int) (string, bool) {
	if i < len(e.Status.Routes) {
		return e.Status.Routes[i].Name, true
	}
	return "", false
}

func stateAt(e *event, i int) (string, bool) {
	if i < len(e.Status.Routes) {
		return e.Status.Routes[i].State, true
	}
	return "", false
}

func actorAt(e *event, i int) (string, bool) {
	if i < len(e.Delegation.Chain) {
		return e.Delegation.Chain[i].Sub, true
	}
	return "", false
}

func actorIssuerAt(e *event, i int) (string, bool) {
	if i < len(e.Delegation.Chain) {
		return e.Delegation.Chain[i].Iss, true
	}
	return "", false
}

func redactedAt(e *event, i int) (string, bool) {
	if i < len(e.Redactions) {
		return e.Redactions[i].Path, true
	}
	return "", false
}

func ruleAt(e *event, i int) (string, bool) {
	if i < len(e.Redactions) {
		return e.Redactions[i].Rule, true
	}
	return "", false
}
