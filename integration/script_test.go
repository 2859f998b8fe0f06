package integration

import "net/http"

// operation is one step of a conversation. The drivers in Go and in
// TypeScript understand the same words.
type operation struct {
	Do     string         `json:"do"`
	Method string         `json:"method,omitempty"` // what it becomes on the wire, "" for nothing that is awaited
	Target string         `json:"target,omitempty"`
	Args   map[string]any `json:"args,omitempty"`
	Ref    map[string]any `json:"ref,omitempty"`
	Want   string         `json:"want"`

	Progress int  `json:"progress,omitempty"` // progress messages that must come
	Cancel   bool `json:"cancel,omitempty"`   // at the first of them
	Times    int  `json:"times,omitempty"`    // how often the server must have asked
}

// What an operation comes to, in the drivers' words.
const (
	ok        = "ok"
	toolError = "tool_error"
	rpcError  = "rpc_error"
	cancelled = "cancelled"
)

type args = map[string]any

func call(want, tool string, a args) operation {
	if a == nil {
		a = args{}
	}
	return operation{Do: "call", Method: "tools/call", Target: tool, Args: a, Want: want}
}

func progressing(n int, op operation) operation {
	op.Progress = n
	return op
}

func cancelling(op operation) operation {
	op.Progress, op.Cancel, op.Want = 1, true, cancelled
	return op
}

func on(do, method, target, want string) operation {
	return operation{Do: do, Method: method, Target: target, Want: want}
}

func read(want, uri string) operation { return on("read", "resources/read", uri, want) }

func prompt(want, name string, a args) operation {
	return operation{Do: "prompt", Method: "prompts/get", Target: name, Args: a, Want: want}
}

func complete(ref args, target, argument, value string) operation {
	return operation{
		Do: "complete", Method: "completion/complete", Target: target, Want: ok,
		Ref: ref, Args: args{"name": argument, "value": value},
	}
}

// asked waits until the server has asked its client so many times.
func asked(method string, times int) operation {
	return operation{Do: "asked", Target: method, Times: times, Want: ok}
}

// everythingScript is the conversation with server-everything. Connecting
// before it and leaving after it are operations too: server/discover,
// initialize, notifications/initialized, the GET stream and the DELETE.
func everythingScript() []operation {
	const (
		text = "demo://resource/dynamic/text/"
		long = "trigger-long-running-operation"
	)
	return append([]operation{
		on("ping", "ping", "", ok),
		on("tools", "tools/list", "", ok),
		call(ok, "echo", args{"message": "hello"}),
		call(ok, "get-sum", args{"a": 2, "b": 3}),
		call(ok, "get-structured-content", args{"location": "Chicago"}),
		call(ok, "get-tiny-image", nil),
		call(ok, "get-annotated-message", args{"messageType": "error"}),
		call(ok, "get-resource-links", args{"count": 3}),
		call(toolError, "get-resource-reference", args{"resourceType": "Text", "resourceId": -1}),
		call(toolError, "get-sum", args{"a": "two", "b": 3}),
		call(toolError, "no-such-tool", nil),
		progressing(4, call(ok, long, args{"duration": 0.4, "steps": 4})),
		cancelling(call(ok, long, args{"duration": 600, "steps": 6000})),
		on("listening", "", "", ok), // else the server's next question may go astray
		call(ok, "get-roots-list", nil),
		asked("roots/list", 1),
		call(ok, "trigger-sampling-request", args{"prompt": "say something", "maxTokens": 9}),
		call(ok, "trigger-elicitation-request", nil),
		call(ok, "toggle-simulated-logging", nil),
		call(ok, "toggle-simulated-logging", nil),
		on("level", "logging/setLevel", "error", ok),
		on("resources", "resources/list", "", ok),
		on("templates", "resources/templates/list", "", ok),
		read(ok, text+"1"),
		read(ok, "demo://resource/static/document/features.md"),
		read(rpcError, "demo://resource/none"),
		on("subscribe", "resources/subscribe", text+"2", ok),
		call(ok, "toggle-subscriber-updates", nil),
		call(ok, "toggle-subscriber-updates", nil),
		on("unsubscribe", "resources/unsubscribe", text+"2", ok),
		on("prompts", "prompts/list", "", ok),
		prompt(ok, "simple-prompt", nil),
		prompt(ok, "args-prompt", args{"city": "Bern", "state": "BE"}),
		prompt(rpcError, "args-prompt", args{}),
		prompt(rpcError, "no-such-prompt", nil),
		complete(args{"type": "ref/prompt", "name": "completable-prompt"}, "completable-prompt", "department", "E"),
		complete(args{"type": "ref/resource", "uri": text + "{resourceId}"}, text+"{resourceId}", "resourceId", "1"),
		on("roots", "notifications/roots/list_changed", "", ok),
		asked("roots/list", 2),
	}, secretScript()...)
}

// clientHeader is what every request of a client carries beside what its SDK
// sends.
func clientHeader(client string) http.Header {
	return http.Header{
		"Authorization": {"Bearer " + bearer + client},
		"Cookie":        {"theme=dark; sid=" + cookie},
		"X-Api-Key":     {apiKey},
		"User-Agent":    {client + "/1.0 " + agentToken},
	}
}
