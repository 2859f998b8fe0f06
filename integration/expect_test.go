package integration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// entry is what the trail must say of one exchange. It is made from the
// client's view alone, by rules written down here a second time, from the
// documents and not from the code under test.
type entry struct {
	Type       string
	TargetType string
	Target     string
	Method     string
	Endpoint   string
	Transport  string
	Outcome    string
	Reason     string
	ID         string // JSON-RPC id as sent
	Session    string
	Client     string
	Status     int
	Code       string // of a JSON-RPC error; unknown: a late answer may have had one
	Sent       int64  // bytes of the request, -1: not compared
	Received   int64  // bytes of the answer, -1: not compared

	open    bool // the client went before it learnt anything: how it came out is not compared
	streams bool // the answer was a stream that the trail also closes
	starts  bool // a session began
}

// unknown is what a client cannot know of an answer that it did not wait for.
const unknown = "?"

type kind struct{ typ, target string }

var kinds = map[string]kind{
	"initialize":                       {"mcp_initialize", "server"},
	"server/discover":                  {"mcp_discover", "server"},
	"ping":                             {"mcp_ping", "server"},
	"tools/list":                       {"mcp_tools_list", "server"},
	"tools/call":                       {"mcp_tool_call", "tool"},
	"resources/list":                   {"mcp_resources_list", "server"},
	"resources/templates/list":         {"mcp_resource_templates_list", "server"},
	"resources/read":                   {"mcp_resource_read", "resource"},
	"resources/subscribe":              {"mcp_resource_subscribe", "resource"},
	"resources/unsubscribe":            {"mcp_resource_unsubscribe", "resource"},
	"subscriptions/listen":             {"mcp_subscription", "stream"},
	"prompts/list":                     {"mcp_prompts_list", "server"},
	"prompts/get":                      {"mcp_prompts_get", "prompt"},
	"completion/complete":              {"mcp_completion", "prompt"},
	"logging/setLevel":                 {"mcp_logging", "server"},
	"tasks/get":                        {"mcp_task", "task"},
	"tasks/result":                     {"mcp_task", "task"},
	"tasks/cancel":                     {"mcp_task", "task"},
	"tasks/list":                       {"mcp_task", "server"},
	"notifications/roots/list_changed": {"mcp_roots_list_changed", "notification"},
}

func kindOf(m rpc) kind {
	if m.Method == "" {
		return kind{"mcp_request", "response"} // a client's answer to a request of the server
	}
	if k, ok := kinds[m.Method]; ok {
		return k
	}
	if strings.HasPrefix(m.Method, "notifications/") {
		return kind{"mcp_notification", "notification"}
	}
	return kind{"mcp_request", "server"}
}

// targetOf returns what a request names.
func targetOf(m rpc) string {
	switch p := m.Params; m.Method {
	case "tools/call", "prompts/get":
		return p.Name
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return p.URI
	case "completion/complete":
		return cmp.Or(p.Ref.Name, p.Ref.URI)
	case "logging/setLevel":
		return p.Level
	case "tasks/get", "tasks/result", "tasks/cancel":
		return p.TaskID
	case "notifications/cancelled":
		return string(p.RequestID)
	}
	return ""
}

// expect says what the trail must hold of x, of all that was seen.
func (v *view) expect(x *exchange) entry {
	e := entry{
		Endpoint: x.Path, Session: x.Session, Status: x.Status, Client: v.clientOf(x),
		Transport: "streamable-http", Method: x.HTTP, Sent: -1, Received: -1,
		open: x.unanswered(),
	}
	switch x.HTTP {
	case http.MethodPost:
		v.expectPost(x, &e)
	case http.MethodGet:
		e.Type, e.TargetType = "sse_connection", "stream"
		e.Outcome, e.Reason = byStatus(x)
		e.streams = x.Status == http.StatusOK
	case http.MethodDelete:
		e.Type, e.TargetType = "mcp_session_end", "session"
		e.Outcome, e.Reason = byStatus(x)
		if e.Outcome == "success" {
			e.Reason = "deleted"
		}
	}
	return e
}

func (v *view) expectPost(x *exchange, e *entry) {
	m := x.sent()
	k := kindOf(m)
	e.Type, e.TargetType, e.Target, e.Method, e.ID, e.Sent = k.typ, k.target, targetOf(m), m.Method, string(m.ID), int64(m.size)
	reply, replied := x.reply(m)
	switch {
	case replied:
		e.Received = int64(reply.size)
		if reply.Error != nil {
			e.Code = reply.Error.Code.String()
		}
	case x.End == eof:
		e.Received = int64(len(x.Answer))
	}
	if m.Method == "initialize" && replied && reply.Result != nil {
		e.Session = x.NewSession
		e.starts = x.NewSession != ""
	}
	e.streams = m.Method == "subscriptions/listen" && strings.HasPrefix(x.Type, "text/event-stream") && len(x.messages()) > 0
	switch {
	case x.Status == 401, x.Status == 403, x.Status == 429:
		e.Outcome, e.Reason = byStatus(x)
	case v.cancels(x, m):
		e.Outcome, e.Reason, e.Code = "failure", "cancelled", unknown
	case e.streams:
		e.Outcome = "success"
		e.Received = -1 // recorded when the stream opened
	case replied:
		e.Outcome, e.Reason = byReply(reply)
	case x.End == closed && x.Status < 300 && m.ID != nil && m.Method != "":
		e.Outcome, e.Reason, e.Code = "failure", "disconnected", unknown
		if revisionOf(x, m) >= "2026-07-28" {
			e.Reason = "cancelled"
		}
	case x.End == broken:
		e.Outcome, e.Reason = "error", "upstream_aborted"
	default:
		e.Outcome, e.Reason = byStatus(x)
	}
}

// cancels reports whether the client sent a cancel for the request m of x.
func (v *view) cancels(x *exchange, m rpc) bool {
	return x.Session != "" && m.Method != "" && m.ID != nil && slices.ContainsFunc(v.exchanges, func(y *exchange) bool {
		c := y.sent()
		return y.Session == x.Session && c.Method == "notifications/cancelled" && bytes.Equal(c.Params.RequestID, m.ID)
	})
}

func revisionOf(x *exchange, m rpc) string {
	if raw, ok := m.Params.Meta[metaPrefix+"protocolVersion"]; ok {
		var s string
		_ = json.Unmarshal(raw, &s)
		return s
	}
	return x.Version
}

// clientOf returns the name that the client gives itself: in the request, or
// when its session began.
func (v *view) clientOf(x *exchange) string {
	m := x.sent()
	if raw, ok := m.Params.Meta[metaPrefix+"clientInfo"]; ok {
		var info struct{ Name, Version string }
		_ = json.Unmarshal(raw, &info)
		return info.Name + " " + info.Version
	}
	for _, y := range v.exchanges {
		n := y.sent()
		if n.Method == "initialize" && (y == x || x.Session != "" && y.NewSession == x.Session) {
			return n.Params.ClientInfo.Name + " " + n.Params.ClientInfo.Version
		}
	}
	return " "
}

var reasonOfCode = map[string]string{
	"-32700": "parse_error",
	"-32600": "invalid_request",
	"-32601": "method_not_found",
	"-32602": "invalid_params",
	"-32603": "internal_error",
	"-32002": "resource_not_found",
	"-32020": "header_mismatch",
	"-32021": "missing_capability",
	"-32022": "unsupported_version",
	"-32042": "url_elicitation_required",
}

// noAnswer stands for whatever the trail says of why a back end gave no answer,
// which a client is not told.
const noAnswer = "no answer"

var reasonsOfNoAnswer = []string{"upstream_timeout", "upstream_unreachable", "upstream_aborted", "http_error"}

func byReply(reply rpc) (outcome, reason string) {
	switch {
	case reply.Error != nil && strings.HasPrefix(reply.Error.Message, "the back end ") && strings.HasSuffix(reply.Error.Message, " gave no answer"):
		return "error", noAnswer
	case reply.Error != nil && reply.Error.Code == "-32603":
		return "error", "internal_error"
	case reply.Error != nil:
		return "failure", cmp.Or(reasonOfCode[reply.Error.Code.String()], "rpc_error")
	case reply.Result.IsError:
		return "failure", "tool_error"
	case reply.Result.ResultType == "input_required":
		return "pending", "input_required"
	case reply.Result.Task != nil:
		return "pending", "task_started"
	}
	return "success", ""
}

var reasonOfStatus = map[int]string{
	404: "not_found",
	405: "method_not_allowed",
	406: "not_acceptable",
	413: "too_large",
	415: "unsupported_media_type",
}

func byStatus(x *exchange) (outcome, reason string) {
	switch s := x.Status; {
	case s == 0:
		return "failure", "disconnected"
	case s == 401:
		return "denied", "unauthenticated"
	case s == 403:
		return "denied", "forbidden"
	case s == 429:
		return "denied", "rate_limited"
	case s == 404 && x.Session != "":
		return "failure", "session_not_found"
	case s == 502 && strings.HasPrefix(x.Answer, "vmcp-audit:"):
		return "error", "upstream_unreachable"
	case s >= 500:
		return "error", "http_error"
	case s >= 400:
		return "failure", cmp.Or(reasonOfStatus[s], "bad_request")
	case s >= 300:
		return "failure", "redirected"
	}
	return "success", ""
}
