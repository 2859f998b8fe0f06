package toolhive

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// who moves where the request came from and who acted.
func (d *decoder) who() {
	e, in := d.event, d.line
	in.take(&e.Source.Type, 16, "source", "type")
	if addr, err := netip.ParseAddr(in.text("source", "value")); err == nil && addr.Zone() == "" {
		in.take(&e.Source.Value, 64, "source", "value") // else it is no address: a claim, or the name of a part of ToolHive
	}
	in.take(&e.Source.Extra.UserAgent, 256, "source", "extra", "user_agent")
	in.take(&e.Source.Extra.RequestID, 128, "source", "extra", "request_id")
	in.drop("source", "extra", "session_id") // its digest stands in the event
	in.take(&e.Client.NameClaimed, 128, "subjects", "client_name")
	in.take(&e.Client.VersionClaimed, 64, "subjects", "client_version")
	d.subject()
	d.delegation()
}

// subject moves the identity. ToolHive calls anonymous who has no name, which
// may be a known subject.
func (d *decoder) subject() {
	e, in := d.event, d.line
	user, id := in.text("subjects", "user"), in.text("subjects", "user_id")
	switch {
	case (user == "" || user == "anonymous" || user == "Anonymous User") && (id == "" || id == "anonymous"):
		e.Subjects.Type, e.Auth.Method = "anonymous", "anonymous"
	case user == "anonymous":
		e.Subjects.Type = "user"
		in.take(&e.Subjects.UserID, 256, "subjects", "user_id")
		return
	default:
		e.Subjects.Type = "user"
	}
	in.take(&e.Subjects.User, 256, "subjects", "user")
	in.take(&e.Subjects.UserID, 256, "subjects", "user_id")
}

// delegation moves the chain of actors if it is one that the event can hold.
func (d *decoder) delegation() {
	if d.line["delegation"] == nil {
		return
	}
	var chain []emitter.Actor
	dec := json.NewDecoder(bytes.NewReader(d.line.raw("delegation", "chain")))
	dec.DisallowUnknownFields()
	if dec.Decode(&chain) != nil {
		return
	}
	d.event.Delegation.Chain = chain[:min(len(chain), 10)]
	if len(chain) <= 10 && !slices.ContainsFunc(chain, func(a emitter.Actor) bool { return !fits(a.Sub, 256) || !fits(a.Iss, 512) }) {
		d.line.drop("delegation", "chain")
	}
	if string(d.line.raw("delegation", "truncated")) == "true" {
		d.event.Delegation.Truncated = true
		d.line.drop("delegation", "truncated")
	}
}

// what moves what was done, and to what.
func (d *decoder) what() {
	e, in := d.event, d.line
	e.Type = typeOf(d.typ)
	if string(e.Type) == d.typ {
		in.drop("type")
	}
	if in.text("target", "type") == "sse_endpoint" {
		e.Target.Type = "stream"
	} else {
		in.take(&e.Target.Type, 32, "target", "type")
	}
	in.take(&e.Target.Method, 128, "target", "method")
	in.take(&e.Target.Endpoint, 256, "target", "endpoint")
	if e.Type == emitter.TypeInitialize {
		in.take(&e.Client.NameClaimed, 128, "target", "name") // it is the client's there, not the server's
	} else {
		in.take(&e.Target.Name, 512, "target", "name")
	}
	if e.Target.Name == "" {
		in.take(&e.Target.Name, 512, "target", "uri")
	}
	if e.Target.Name == "" {
		in.take(&e.Target.Name, 512, "target", "tool_name")
	}
	in.take(&e.Workflow.ID, 64, "target", "workflow_id")
	in.take(&e.Workflow.Name, 256, "target", "workflow_name")
	in.take(&e.Workflow.StepID, 128, "target", "step_id")
	in.take(&e.Workflow.StepType, 32, "target", "step_type")
}

// types are ToolHive's names that are not ours, and those of ours that it uses.
var types = map[string]emitter.Type{
	"mcp_prompt_get":               emitter.TypePromptsGet,
	"vmcp_workflow_started":        emitter.TypeCompositeWorkflow,
	"vmcp_workflow_completed":      emitter.TypeCompositeWorkflow,
	"vmcp_workflow_failed":         emitter.TypeCompositeWorkflow,
	"vmcp_workflow_timed_out":      emitter.TypeCompositeWorkflow,
	"vmcp_workflow_step_started":   emitter.TypeCompositeStep,
	"vmcp_workflow_step_completed": emitter.TypeCompositeStep,
	"vmcp_workflow_step_failed":    emitter.TypeCompositeStep,
	"vmcp_workflow_step_skipped":   emitter.TypeCompositeStep,
}

// typeOf returns the type that ToolHive's stands for. One that it does not have
// today is some request; the events of our own audit nobody else can write.
func typeOf(typ string) emitter.Type {
	if t, ok := types[typ]; ok {
		return t
	}
	if own()[typ] {
		return emitter.Type(typ)
	}
	return emitter.TypeRequest
}

// own are our types but those of our own audit.
var own = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for _, t := range emitter.Types() {
		all[string(t.Type)] = !strings.HasPrefix(string(t.Type), "audit_")
	}
	return all
})

// measures moves the metadata.
func (d *decoder) measures() {
	x, in := &d.event.Metadata.Extra, d.line
	in.takeInt(&x.DurationMS, "metadata", "extra", "duration_ms")
	in.take(&x.Transport, 32, "metadata", "extra", "transport")
	in.take(&x.MCPVersion, 32, "metadata", "extra", "mcp_version")
	in.takeInt(&x.ResponseSize, "metadata", "extra", "response_size_bytes")
	in.takeInt(&x.JSONRPCErrorCode, "metadata", "extra", "jsonrpc_error_code")
	in.take(&x.ErrorMessage, 512, "metadata", "extra", "jsonrpc_error_message")
	in.takeInt(&x.RetryCount, "metadata", "extra", "retry_count")
	in.take(&x.BackendName, 128, "metadata", "extra", "backend_name")
	d.event.Target.Server.Name = x.BackendName
	if agent := d.event.Source.Extra.UserAgent; agent != "" && agent == in.text("metadata", "extra", "user_agent") {
		in.drop("metadata", "extra", "user_agent")
	}
}

// outcome concludes the event. Why, the line seldom says.
func (d *decoder) outcome() {
	e := d.event
	outcome := d.line.text("outcome")
	composite := e.Type == emitter.TypeCompositeWorkflow || e.Type == emitter.TypeCompositeStep
	switch {
	case d.typ == "vmcp_workflow_started" || d.typ == "vmcp_workflow_step_started":
		e.Conclude(emitter.OutcomePending, "")
	case outcome == "success" && d.reply.failed:
		e.Conclude(applicationError(d.reply.code))
	case outcome == "success" && d.reply.toolFailed && e.Type == emitter.TypeToolCall:
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonToolError)
	case outcome == "success":
		e.Conclude(emitter.OutcomeSuccess, "")
	case outcome == "application_error":
		e.Conclude(applicationError(e.Metadata.Extra.JSONRPCErrorCode))
	case outcome == "failure" && composite:
		e.Conclude(emitter.OutcomeFailure, "")
	case outcome == "failure":
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonBadRequest) // it had a status 4xx
	case outcome == "denied":
		e.Conclude(emitter.OutcomeDenied, "") // 401 or 403
	case outcome == "error":
		e.Conclude(emitter.OutcomeError, emitter.ReasonHTTPError)
	default:
		e.Conclude(emitter.OutcomeError, emitter.ReasonOther)
	}
	if string(e.Outcome) == outcome {
		d.line.drop("outcome")
	}
}

// applicationError says what a JSON-RPC error behind a status 200 means.
func applicationError(code emitter.Int) (emitter.Outcome, emitter.Reason) {
	reason := emitter.ReasonRPCError
	if code.Set {
		reason = emitter.ReasonOfCode(code.Value)
	}
	if reason == emitter.ReasonInternalError {
		return emitter.OutcomeError, reason
	}
	return emitter.OutcomeFailure, reason
}
