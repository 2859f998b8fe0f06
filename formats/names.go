package formats

import "github.com/vmcp-audit/vmcp-audit/emitter"

// Kind is what the text formats say of a type of event: closed sets, never
// translated, on which rules can build.
type Kind struct {
	Type emitter.Type
	Name string // for people
	Cat  string // CEF's cat: operation, session, authentication, backend, workflow or audit
}

// other stands for a type that this version does not know.
const other = "other"

var kinds = []Kind{
	{emitter.TypeInitialize, "Conversation opened", "session"},
	{emitter.TypeDiscover, "Server asked what it speaks", "operation"},
	{emitter.TypePing, "Ping", "operation"},
	{emitter.TypeToolsList, "Tools listed", "operation"},
	{emitter.TypeToolCall, "Tool called", "operation"},
	{emitter.TypeToolChanged, "Tool definition changed", "backend"},
	{emitter.TypeResourcesList, "Resources listed", "operation"},
	{emitter.TypeResourceTemplatesList, "Resource templates listed", "operation"},
	{emitter.TypeResourceRead, "Resource read", "operation"},
	{emitter.TypeResourceSubscribe, "Resource subscribed", "operation"},
	{emitter.TypeResourceUnsubscribe, "Resource unsubscribed", "operation"},
	{emitter.TypeSubscription, "Notifications subscribed", "operation"},
	{emitter.TypePromptsList, "Prompts listed", "operation"},
	{emitter.TypePromptsGet, "Prompt fetched", "operation"},
	{emitter.TypeCompletion, "Completion asked for", "operation"},
	{emitter.TypeLogging, "Log level set", "operation"},
	{emitter.TypeTask, "Task used", "operation"},
	{emitter.TypeSampling, "Model of the client asked", "operation"},
	{emitter.TypeElicitation, "User of the client asked", "operation"},
	{emitter.TypeRootsList, "Roots of the client asked for", "operation"},
	{emitter.TypeRootsListChanged, "Roots of the client changed", "operation"},
	{emitter.TypeNotification, "Notification sent", "operation"},
	{emitter.TypeRequest, "Other MCP message", "operation"},
	{emitter.TypeHTTPRequest, "HTTP request that is no MCP", "operation"},
	{emitter.TypeSessionStart, "Session began", "session"},
	{emitter.TypeSessionEnd, "Session ended", "session"},
	{emitter.TypeSSEConnection, "Stream opened", "session"},
	{emitter.TypeSSEClosed, "Stream closed", "session"},
	{emitter.TypeAuth, "Client authentication", "authentication"},
	{emitter.TypeBackendDiscovery, "Back end discovery", "backend"},
	{emitter.TypeBackendAuth, "Back end authentication", "backend"},
	{emitter.TypeBackendRoute, "Back end chosen", "backend"},
	{emitter.TypeCompositeWorkflow, "Composite workflow", "workflow"},
	{emitter.TypeCompositeStep, "Composite workflow step", "workflow"},
	{emitter.TypeAuditStart, "Audit began", "audit"},
	{emitter.TypeAuditStop, "Audit stopped", "audit"},
	{emitter.TypeAuditHeartbeat, "Audit is alive", "audit"},
	{emitter.TypeAuditLoss, "Audit events missing", "audit"},
	{emitter.TypeAuditSink, "Audit destination changed state", "audit"},
	{emitter.TypeAuditConfig, "Audit configuration changed", "audit"},
	{emitter.TypeAuditAdmin, "Audit data administered", "audit"},
	{emitter.TypeAuditCheckpoint, "Audit checkpoint", "audit"},
}

var otherKind = &Kind{other, "Other event", "operation"}

// Kinds describes every type of event, and last what stands for one of a newer
// version.
func Kinds() []Kind { return append(append([]Kind(nil), kinds...), *otherKind) }

var kindByType = func() map[emitter.Type]*Kind {
	m := make(map[emitter.Type]*Kind, len(kinds))
	for i := range kinds {
		m[kinds[i].Type] = &kinds[i]
	}
	return m
}()

func kindOf(e *emitter.Event) *Kind {
	if k, ok := kindByType[e.Type]; ok {
		return k
	}
	return otherKind
}

// outcomeOf returns the outcome, or error for what is none.
func outcomeOf(e *emitter.Event) string {
	switch e.Outcome {
	case emitter.OutcomeSuccess, emitter.OutcomeFailure, emitter.OutcomeDenied, emitter.OutcomePending:
		return string(e.Outcome)
	default:
		return string(emitter.OutcomeError)
	}
}

// severityOf returns the severity on the CEF scale.
func severityOf(e *emitter.Event) int64 { return int64(min(max(e.Severity, 0), 10)) }
