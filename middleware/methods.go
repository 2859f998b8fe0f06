package middleware

import (
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware/internal/jsonscan"
)

// method says what a JSON-RPC method becomes in the trail.
type method struct {
	typ    emitter.Type
	target string // target.type
	name   int    // field with target.name; qMethod: the method names itself
	uri    bool   // the name is a URI
}

var methods = map[string]method{
	"initialize":                       {typ: emitter.TypeInitialize, target: "server"},
	"server/discover":                  {typ: emitter.TypeDiscover, target: "server"},
	"ping":                             {typ: emitter.TypePing, target: "server"},
	"tools/list":                       {typ: emitter.TypeToolsList, target: "server"},
	"tools/call":                       {typ: emitter.TypeToolCall, target: "tool", name: qName},
	"resources/list":                   {typ: emitter.TypeResourcesList, target: "server"},
	"resources/templates/list":         {typ: emitter.TypeResourceTemplatesList, target: "server"},
	"resources/read":                   {typ: emitter.TypeResourceRead, target: "resource", name: qURI, uri: true},
	"resources/subscribe":              {typ: emitter.TypeResourceSubscribe, target: "resource", name: qURI, uri: true},
	"resources/unsubscribe":            {typ: emitter.TypeResourceUnsubscribe, target: "resource", name: qURI, uri: true},
	"subscriptions/listen":             {typ: emitter.TypeSubscription, target: "stream"},
	"prompts/list":                     {typ: emitter.TypePromptsList, target: "server"},
	"prompts/get":                      {typ: emitter.TypePromptsGet, target: "prompt", name: qName},
	"completion/complete":              {typ: emitter.TypeCompletion, target: "prompt", name: qRefName},
	"logging/setLevel":                 {typ: emitter.TypeLogging, target: "server", name: qLevel},
	"tasks/get":                        {typ: emitter.TypeTask, target: "task", name: qTaskID},
	"tasks/result":                     {typ: emitter.TypeTask, target: "task", name: qTaskID},
	"tasks/list":                       {typ: emitter.TypeTask, target: "server"},
	"tasks/cancel":                     {typ: emitter.TypeTask, target: "task", name: qTaskID},
	"tasks/update":                     {typ: emitter.TypeTask, target: "task", name: qTaskID},
	"sampling/createMessage":           {typ: emitter.TypeSampling, target: "server"},
	"elicitation/create":               {typ: emitter.TypeElicitation, target: "server"},
	"roots/list":                       {typ: emitter.TypeRootsList, target: "server"},
	"notifications/roots/list_changed": {typ: emitter.TypeRootsListChanged, target: "notification"},
	"notifications/cancelled":          {typ: emitter.TypeNotification, target: "notification", name: qRequestID},
}

const (
	methodInitialize = "initialize"
	methodListen     = "subscriptions/listen"
)

// classify sets type and target of the event of message m.
func classify(e *emitter.Event, m message, clean *cleaner) {
	name := m.method()
	e.Target.Method = clean.text("target.method", name)
	what, known := methods[name]
	switch {
	case m.batch():
		e.Type, e.Target.Type = emitter.TypeRequest, "batch"
		return
	case m.response():
		e.Type, e.Target.Type = emitter.TypeRequest, "response"
		return
	case !known && m.notification():
		what = method{typ: emitter.TypeNotification, target: "notification"}
	case !known:
		what = method{typ: emitter.TypeRequest, target: "server"}
	}
	e.Type, e.Target.Type = what.typ, what.target
	e.Target.Name = m.targetName(what, clean)
}

func (m message) targetName(what method, clean *cleaner) string {
	if what.name == qRefName && m.kind(qRefName) == jsonscan.None {
		what.name, what.uri = qRefURI, true
	}
	v := m.scan.Value(what.name)
	switch {
	case what.name == qRoot:
		return ""
	case what.name == qRequestID:
		return clean.name("target.name", idText(v), v.Cut)
	case what.uri:
		return clean.uri("target.name", v.Text(), v.Cut)
	default:
		return clean.name("target.name", v.Text(), v.Cut)
	}
}
