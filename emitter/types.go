package emitter

// Type names what happened. The set is closed; [Types] lists it.
type Type string

// Stage says whether an event stands for the request or for its end.
type Stage string

// The stages.
const (
	StageReceived  Stage = "received"
	StageCompleted Stage = "completed"
)

// Outcome says how an operation ended.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess Outcome = "success"
	OutcomeFailure Outcome = "failure" // the operation was tried and did not succeed
	OutcomeDenied  Outcome = "denied"  // refused by authentication, authorization or a limit
	OutcomeError   Outcome = "error"   // the server or something behind it broke
	OutcomePending Outcome = "pending" // the protocol says that the act goes on
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{OutcomeSuccess, OutcomeFailure, OutcomeDenied, OutcomeError, OutcomePending}
}

// The types of event.
const (
	TypeInitialize            Type = "mcp_initialize"
	TypeDiscover              Type = "mcp_discover"
	TypePing                  Type = "mcp_ping"
	TypeToolsList             Type = "mcp_tools_list"
	TypeToolCall              Type = "mcp_tool_call"
	TypeToolChanged           Type = "mcp_tool_changed"
	TypeResourcesList         Type = "mcp_resources_list"
	TypeResourceTemplatesList Type = "mcp_resource_templates_list"
	TypeResourceRead          Type = "mcp_resource_read"
	TypeResourceSubscribe     Type = "mcp_resource_subscribe"
	TypeResourceUnsubscribe   Type = "mcp_resource_unsubscribe"
	TypeSubscription          Type = "mcp_subscription"
	TypePromptsList           Type = "mcp_prompts_list"
	TypePromptsGet            Type = "mcp_prompts_get"
	TypeCompletion            Type = "mcp_completion"
	TypeLogging               Type = "mcp_logging"
	TypeTask                  Type = "mcp_task"
	TypeSampling              Type = "mcp_sampling"
	TypeElicitation           Type = "mcp_elicitation"
	TypeRootsList             Type = "mcp_roots_list"
	TypeRootsListChanged      Type = "mcp_roots_list_changed"
	TypeNotification          Type = "mcp_notification"
	TypeRequest               Type = "mcp_request"
	TypeHTTPRequest           Type = "http_request"
	TypeSessionStart          Type = "mcp_session_start"
	TypeSessionEnd            Type = "mcp_session_end"
	TypeSSEConnection         Type = "sse_connection"
	TypeSSEClosed             Type = "sse_closed"
	TypeAuth                  Type = "mcp_auth"
	TypeBackendDiscovery      Type = "vmcp_backend_discovery"
	TypeBackendAuth           Type = "vmcp_backend_auth"
	TypeBackendRoute          Type = "vmcp_backend_route"
	TypeCompositeWorkflow     Type = "vmcp_composite_workflow"
	TypeCompositeStep         Type = "vmcp_composite_step"
	TypeAuditStart            Type = "audit_start"
	TypeAuditStop             Type = "audit_stop"
	TypeAuditHeartbeat        Type = "audit_heartbeat"
	TypeAuditLoss             Type = "audit_loss"
	TypeAuditSink             Type = "audit_sink"
	TypeAuditConfig           Type = "audit_config"
	TypeAuditAdmin            Type = "audit_admin"
	TypeAuditCheckpoint       Type = "audit_checkpoint"
)

// TypeInfo describes a type of event.
type TypeInfo struct {
	Type     Type
	Doc      string   // one clause: what the event stands for
	Severity int      // of a success, 2 or 3; other outcomes as [SeverityOf] says
	Controls []string // evidence that every event of this type is, see [ControlsOf]
}

var types = []TypeInfo{
	{TypeInitialize, "a client opened a conversation (`initialize`)", 3, []string{"AC-17(1)"}},
	{TypeDiscover, "a client asked what the server speaks (`server/discover`)", 2, nil},
	{TypePing, "a sign of life (`ping`)", 2, nil},
	{TypeToolsList, "the tools were listed", 2, nil},
	{TypeToolCall, "a tool was called", 3, nil},
	{TypeToolChanged, "the definition of a tool is not what it was", 3, []string{"CM-3", "SI-7"}},
	{TypeResourcesList, "the resources were listed", 2, nil},
	{TypeResourceTemplatesList, "the resource templates were listed", 2, nil},
	{TypeResourceRead, "a resource was read", 3, nil},
	{TypeResourceSubscribe, "updates of a resource were asked for", 2, nil},
	{TypeResourceUnsubscribe, "updates of a resource were no longer wanted", 2, nil},
	{TypeSubscription, "a stream of notifications was opened (`subscriptions/listen`)", 2, nil},
	{TypePromptsList, "the prompts were listed", 2, nil},
	{TypePromptsGet, "a prompt was fetched", 3, nil},
	{TypeCompletion, "an argument's completion was asked for", 2, nil},
	{TypeLogging, "the server's log level was set", 2, nil},
	{TypeTask, "a long-running task was looked at, changed or cancelled", 2, nil},
	{TypeSampling, "the server asked the client's model", 3, nil},
	{TypeElicitation, "the server asked the client's user", 3, nil},
	{TypeRootsList, "the server asked for the client's roots", 2, nil},
	{TypeRootsListChanged, "the client's roots changed", 2, nil},
	{TypeNotification, "the client sent another notification", 2, nil},
	{TypeRequest, "any other JSON-RPC message: an unknown method, a client's response, a batch", 2, nil},
	{TypeHTTPRequest, "a request that is no JSON-RPC; or requests of any kind, folded", 2, nil},
	{TypeSessionStart, "a session began", 3, []string{"AC-17(1)"}},
	{TypeSessionEnd, "a session ended", 2, []string{"AC-12"}},
	{TypeSSEConnection, "a client opened a stream of server messages", 2, []string{"AC-17(1)"}},
	{TypeSSEClosed, "such a stream ended", 2, nil},
	{TypeAuth, "a client was authenticated or refused", 3, []string{"IA-2"}},
	{TypeBackendDiscovery, "a back end was discovered, lost, recovered or changed", 3, []string{"CM-8"}},
	{TypeBackendAuth, "the server authenticated itself to a back end", 3, []string{"IA-9"}},
	{TypeBackendRoute, "a name was resolved to a back end", 2, []string{"AC-4"}},
	{TypeCompositeWorkflow, "a composite workflow started or ended", 3, []string{"AU-12(1)"}},
	{TypeCompositeStep, "a step of a composite workflow ended", 2, []string{"AU-12(1)"}},
	{TypeAuditStart, "auditing began", 3, nil},
	{TypeAuditStop, "auditing stopped", 3, nil},
	{TypeAuditHeartbeat, "auditing is alive", 2, []string{"AU-5"}},
	{TypeAuditLoss, "events were lost or will be missing at a destination", 8, []string{"AU-5"}},
	{TypeAuditSink, "a destination failed or recovered", 3, []string{"AU-5"}},
	{TypeAuditConfig, "the configuration of the audit changed", 3, []string{"CM-3"}},
	{TypeAuditAdmin, "somebody gives up or replays audit data in the spool: one event before the act, `pending`, and one that tells how it ended", 3, []string{"AU-9"}},
	{TypeAuditCheckpoint, "the head of the chain was written down", 2, []string{"AU-9"}},
}

// Types describes every type of event, in the order of the documents.
func Types() []TypeInfo { return append([]TypeInfo(nil), types...) }

var typeInfo = func() map[Type]*TypeInfo {
	m := make(map[Type]*TypeInfo, len(types))
	for i := range types {
		m[types[i].Type] = &types[i]
	}
	return m
}()
