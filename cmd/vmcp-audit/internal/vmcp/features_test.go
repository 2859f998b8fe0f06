package vmcp

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// A feature is what the specification of revision 2025-11-25 says of one thing
// that clients and servers do with each other, as a client sees and as a server
// hears it. What is relayed must be the same.
type feature struct {
	name    string
	listens bool                                      // on a GET stream
	alone   bool                                      // only a server that is the only one is passed all of it
	server  func(*script, *answer, wire.Message) bool // what it does but for its results
	run     func(f *talk)
	sees    []string // messages that the client gets, in their order
	// hears are the messages that the server gets, but for initialize, pings and
	// lists, in their order.
	hears []string
}

// talk is one conversation between a client and a server, with or without the
// virtual server in between.
type talk struct {
	*testing.T
	b      *script
	p      *peer
	prefix string              // of names
	stream <-chan wire.Message // the client's GET stream
	sees   []string
}

var named = regexp.MustCompile(`"name":"(t|long|p)"`)

// see notes what the client got.
func (f *talk) see(m wire.Message) { f.sees = append(f.sees, plainText(m)) }

// plainText says what a message is, without the envelope and ids of requests.
func plainText(m wire.Message) string {
	switch {
	case m.Response():
		return string(m.ID) + " " + string(m.Result) + string(m.Error)
	case m.Params == nil:
		return m.Method
	}
	return m.Method + " " + string(m.Params)
}

// call posts a message and notes all that comes; react, if there is one, is
// shown each message.
func (f *talk) call(body string, react func(wire.Message)) {
	f.Helper()
	resp := f.p.post(named.ReplaceAllString(body, `"name":"`+f.prefix+`$1"`))
	defer resp.Body.Close()
	seen := func(m wire.Message) {
		f.see(m)
		if react != nil {
			react(m)
		}
	}
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		f.p.read(resp.Body, seen)
		return
	}
	b, _ := io.ReadAll(resp.Body)
	if m, err := wire.Parse(b); err == nil {
		seen(m)
	} else if len(b) > 0 {
		f.Errorf("%s: %s %s", body, resp.Status, b)
	}
}

// next notes the next message of the GET stream.
func (f *talk) next() wire.Message {
	f.Helper()
	m := receive(f.T, f.stream, "a message on the GET stream")
	f.see(m)
	return m
}

// heard waits until the server has heard of a method.
func (f *talk) heard(method string) {
	f.Helper()
	until(f.T, "the server hears "+method, func() bool { return len(f.b.saw(method)) > 0 })
}

// answer gives a question's result.
func (f *talk) answer(q wire.Message, result string) {
	f.call(string(wire.AppendResult(nil, q.ID, wire.Raw(result))), nil)
}

// asks is a server that asks its client during a call, or first tells things.
func asks(events ...string) func(*script, *answer, wire.Message) bool {
	return func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		for _, e := range events {
			if q, _ := wire.Parse([]byte(e)); q.Request() {
				s.ask(a, string(q.ID), e)
			} else {
				a.event(e)
			}
		}
		return false
	}
}

const (
	theCall    = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":1.0}}}`
	callHeard  = `tools/call {"name":"t","arguments":{"n":1.0}}`
	doneSeen   = `1 {"content":[]}`
	toldOfTask = `notifications/tasks/status {"taskId":"t-1","status":"completed"}`
)

func features() []feature {
	question := func(name, params, result string) feature {
		return feature{
			name:   name,
			server: asks(`{"jsonrpc":"2.0","id":"q","method":"` + name + `","params":` + params + `}`),
			run: func(f *talk) {
				f.call(theCall, func(m wire.Message) {
					if m.Request() {
						f.answer(m, result)
					}
				})
			},
			sees:  []string{name + " " + params, doneSeen},
			hears: []string{callHeard, `"q" ` + result},
		}
	}
	return []feature{
		question("sampling/createMessage", `{"messages":[{"role":"user","content":{"type":"text","text":"?"}}],"maxTokens":9,"tools":[{"name":"x"}],"_meta":{"n":9007199254740993}}`,
			`{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"x","input":{}}],"model":"m","stopReason":"toolUse"}`),
		question("elicitation/create", `{"mode":"url","elicitationId":"e","url":"https://example.com/?a=1&b=2","message":"<go>"}`, `{"action":"decline"}`),
		question("roots/list", `{"_meta":{"a":1}}`, `{"roots":[{"uri":"file:///x","name":"x","_meta":{"n":9007199254740993}}]}`),
		{
			name: "question outside of a call", listens: true,
			run: func(f *talk) {
				f.b.tell(`{"jsonrpc":"2.0","id":"q","method":"roots/list"}`)
				f.answer(f.next(), `{"roots":[]}`)
				f.heard("") // the answer
			},
			sees:  []string{`roots/list`},
			hears: []string{`"q" {"roots":[]}`},
		},
		{
			name:   "refused question",
			server: asks(`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}`),
			run: func(f *talk) {
				f.call(theCall, func(m wire.Message) {
					if m.Request() {
						f.call(string(wire.AppendError(nil, m.ID, &wire.Error{Raw: wire.Raw(`{"code":-1,"message":"User rejected","data":[1.50]}`)})), nil)
					}
				})
			},
			sees:  []string{`sampling/createMessage {}`, doneSeen},
			hears: []string{callHeard, `"q" {"code":-1,"message":"User rejected","data":[1.50]}`},
		},
		{
			name:   "progress of a question",
			server: asks(`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"_meta":{"progressToken":"its"}}}`),
			run: func(f *talk) {
				f.call(theCall, func(m wire.Message) {
					if m.Request() {
						f.sees[len(f.sees)-1] = m.Method // its token may be another
						f.call(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+string(wire.Get(m.Params, "_meta", "progressToken"))+`,"progress":0.50}}`, nil)
						f.heard("notifications/progress")
						f.answer(m, `{}`)
					}
				})
			},
			sees:  []string{`sampling/createMessage`, doneSeen},
			hears: []string{callHeard, `notifications/progress {"progressToken":"its","progress":0.50}`, `"q" {}`},
		},
		{
			name: "progress",
			server: func(_ *script, a *answer, m wire.Message) bool {
				for _, n := range []string{"1", "2.0", "9007199254740993"} {
					if token := wire.Get(m.Params, "_meta", "progressToken"); token != nil {
						a.event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(token) + `,"progress":` + n + `,"total":1e1,"message":""}}`)
					}
				}
				return false
			},
			run: func(f *talk) {
				f.call(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"progressToken":7}}}`, nil)
			},
			sees: []string{
				`notifications/progress {"progressToken":7,"progress":1,"total":1e1,"message":""}`,
				`notifications/progress {"progressToken":7,"progress":2.0,"total":1e1,"message":""}`,
				`notifications/progress {"progressToken":7,"progress":9007199254740993,"total":1e1,"message":""}`, doneSeen,
			},
			hears: []string{`tools/call {"name":"t","_meta":{"progressToken":7}}`},
		},
		{
			name: "logging", listens: true,
			server: asks(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","logger":"l","data":{"n":1.0}}}`),
			run: func(f *talk) {
				f.call(`{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"warning"}}`, nil)
				f.call(theCall, nil)
				f.b.tell(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"alert","data":null}}`)
				f.next()
			},
			sees:  []string{`2 {}`, `notifications/message {"level":"error","logger":"l","data":{"n":1.0}}`, doneSeen, `notifications/message {"level":"alert","data":null}`},
			hears: []string{`logging/setLevel {"level":"warning"}`, callHeard},
		},
		{
			name: "cancellation",
			server: func(s *script, a *answer, m wire.Message) bool {
				if m.Method != "tools/call" {
					return false
				}
				for len(s.saw("notifications/cancelled")) == 0 && a.ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				return true
			},
			run: func(f *talk) {
				ended := make(chan struct{})
				go func() { defer close(ended); f.call(theCall, nil) }()
				f.heard("tools/call")
				f.p.ask(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"enough"}}`)
				f.heard("notifications/cancelled")
				receive(f.T, ended, "the end of the call")
			},
			hears: []string{callHeard, `notifications/cancelled {"requestId":1,"reason":"enough"}`},
		},
		{
			name: "lists that change", listens: true,
			run: func(f *talk) {
				f.call(theCall, nil)
				for _, list := range []string{"tools", "prompts", "resources"} {
					f.b.tell(`{"jsonrpc":"2.0","method":"notifications/` + list + `/list_changed"}`)
					f.next()
				}
				f.call(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`, nil)
				f.heard("notifications/roots/list_changed")
			},
			sees:  []string{doneSeen, "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed"},
			hears: []string{callHeard, "notifications/roots/list_changed"},
		},
		{
			name: "subscriptions", listens: true,
			run: func(f *talk) {
				f.call(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"x://1"}}`, nil)
				f.b.tell(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1","title":"new","_meta":{}}}`)
				f.next()
				f.call(`{"jsonrpc":"2.0","id":3,"method":"resources/unsubscribe","params":{"uri":"x://1"}}`, nil)
			},
			sees:  []string{`2 {}`, `notifications/resources/updated {"uri":"x://1","title":"new","_meta":{}}`, `3 {}`},
			hears: []string{`resources/subscribe {"uri":"x://1"}`, `resources/unsubscribe {"uri":"x://1"}`},
		},
		{
			name: "completion",
			run: func(f *talk) {
				f.call(`{"jsonrpc":"2.0","id":2,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","title":"P"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"c"}}}}`, nil)
				f.call(`{"jsonrpc":"2.0","id":3,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"x://{id}"},"argument":{"name":"id","value":"1"}}}`, nil)
			},
			sees: []string{`2 {"completion":{"values":["v"],"total":1,"hasMore":false}}`, `3 {"completion":{"values":["v"],"total":1,"hasMore":false}}`},
			hears: []string{
				`completion/complete {"ref":{"type":"ref/prompt","name":"p","title":"P"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"c"}}}`,
				`completion/complete {"ref":{"type":"ref/resource","uri":"x://{id}"},"argument":{"name":"id","value":"1"}}`,
			},
		},
		{
			name: "tasks", listens: true, alone: true,
			run: func(f *talk) {
				f.call(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"long","task":{"ttl":60000}}}`, nil)
				f.b.tell(`{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t-1","status":"completed"}}`)
				f.next()
				for _, method := range []string{"get", "result", "cancel"} {
					f.call(`{"jsonrpc":"2.0","id":3,"method":"tasks/`+method+`","params":{"taskId":"t-1"}}`, nil)
				}
				f.call(`{"jsonrpc":"2.0","id":4,"method":"tasks/list"}`, nil)
			},
			sees: []string{
				`2 {"task":{"taskId":"t-1","status":"working","ttl":60000}}`, toldOfTask, `3 {"taskId":"t-1","status":"completed"}`,
				`3 {"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t-1"}}}`, `3 {"code":-32602,"message":"over"}`,
				`4 {"tasks":[{"taskId":"t-1"}],"_meta":{}}`,
			},
			hears: []string{
				`tools/call {"name":"long","task":{"ttl":60000}}`, `tasks/get {"taskId":"t-1"}`, `tasks/result {"taskId":"t-1"}`, `tasks/cancel {"taskId":"t-1"}`, `tasks/list`,
			},
		},
		{
			name: "what no revision knows", listens: true, alone: true,
			run: func(f *talk) {
				f.call(`{"jsonrpc":"2.0","id":2,"method":"vendor/ask","params":{"n":9007199254740993}}`, nil)
				f.call(`{"jsonrpc":"2.0","id":3,"method":"vendor/nothing"}`, nil)
				f.call(`{"jsonrpc":"2.0","method":"notifications/vendor","params":{"a":[1.0]}}`, nil)
				f.heard("notifications/vendor")
				f.b.tell(`{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}`)
				f.next()
			},
			sees:  []string{`2 {"n":9007199254740993}`, `3 {"code":-32601,"message":"method not found"}`, `notifications/elicitation/complete {"elicitationId":"e"}`},
			hears: []string{`vendor/ask {"n":9007199254740993}`, `vendor/nothing`, `notifications/vendor {"a":[1.0]}`},
		},
	}
}

func featureResults() map[string]string {
	return map[string]string{
		"initialize": strings.Replace(capableResult, `"logging":{}`, `"logging":{},"tasks":{"list":{},"cancel":{}}`, 1),
		"tools/list": `{"tools":[` + tool("t") + `,` + tool("long") + `]}`, "tools/call t": `{"content":[]}`,
		"tools/call long": `{"task":{"taskId":"t-1","status":"working","ttl":60000}}`,
		"tasks/get":       `{"taskId":"t-1","status":"completed"}`, "tasks/cancel": `{"code":-32602,"message":"over"}`,
		"tasks/result":        `{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t-1"}}}`,
		"tasks/list":          `{"tasks":[{"taskId":"t-1"}],"_meta":{}}`,
		"completion/complete": `{"completion":{"values":["v"],"total":1,"hasMore":false}}`,
		"prompts/list":        `{"prompts":[{"name":"p"}]}`, "resources/list": `{"resources":[{"uri":"x://1","name":"r"}]}`,
		"resources/templates/list": `{"resourceTemplates":[{"uriTemplate":"x://{id}","name":"t"}]}`,
		"resources/subscribe":      `{}`, "resources/unsubscribe": `{}`, "vendor/ask": `{"n":9007199254740993}`,
	}
}

// TestFeatures holds each feature's conversation with a server directly, through
// a virtual server in front of it, and through one that has it among others; with
// a GET stream, and without if that is possible.
func TestFeatures(t *testing.T) {
	for _, one := range features() {
		ways := map[string][]upstream.Spec{"direct": nil, "through": {}}
		if !one.alone {
			ways["among others"] = []upstream.Spec{spec("other", newScript(nil).start(t))}
		}
		for way, others := range ways {
			for stream, listens := range map[string]bool{"GET": true, "no GET": false} {
				if listens || !one.listens {
					t.Run(one.name+"/"+way+"/"+stream, func(t *testing.T) { converseAbout(t, one, others, listens) })
				}
			}
		}
	}
}

// converseAbout holds a feature's conversation; others are the servers beside
// it, nil: the server is spoken to directly.
func converseAbout(t *testing.T, one feature, others []upstream.Spec, listens bool) {
	t.Helper()
	b := newScript(featureResults())
	b.handle = one.server
	f := &talk{T: t, b: b}
	address, streams := b.start(t), 0
	if others != nil {
		s := serve(t, append([]upstream.Spec{spec("one", address)}, others...), nil)
		address, streams = s.url+"/mcp", 2 // the watcher's and the client's, whether that listens or not
	} else if listens {
		streams = 1
	}
	if len(others) > 0 {
		f.prefix = "one_"
	}
	f.p = connect(t, address, `{"sampling":{"tools":{}},"elicitation":{"url":{}},"roots":{"listChanged":true}}`)
	if listens {
		f.stream = f.p.listen()
	}
	f.p.ask(`{"jsonrpc":"2.0","id":0,"method":"resources/list"}`) // by which the server is known
	until(t, "the streams are open", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.streams) == streams })
	one.run(f)
	ourID := regexp.MustCompile(`"vmcp-\d+"`)
	for i := range f.sees {
		f.sees[i] = ourID.ReplaceAllString(f.sees[i], `"q"`)
	}
	if diff := cmp.Diff(one.sees, f.sees); diff != "" {
		t.Errorf("the client sees (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(one.hears, b.hears()); diff != "" {
		t.Errorf("the server hears (-want +got)\n%s", diff)
	}
}

// hears returns what a script has heard, but for what everybody says to
// everybody. A cancel names the id 1 if it is that of the call.
func (s *script) hears() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	called := wire.Raw("none")
	for _, m := range s.seen {
		switch m.Method {
		case "initialize", "notifications/initialized", "ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover":
			continue
		case "tools/call":
			called = m.ID
		case "notifications/cancelled":
			if slices.Equal(wire.Get(m.Params, "requestId"), called) {
				m.Params = wire.Set(m.Params, "requestId", wire.Raw("1"))
			}
		}
		out = append(out, plainText(m))
	}
	return out
}

// TestForeignAnswer lets a client answer the question that another one was
// asked: it gets nowhere, and the trail says that it tried. Then the session ends
// before its user has answered.
func TestForeignAnswer(t *testing.T) {
	b := newScript(featureResults())
	b.handle = asks(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}`)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p, foreign := connect(t, s.url+"/mcp", `{"elicitation":{}}`), connect(t, s.url+"/mcp", "")
	resp := p.post(theCall)
	defer resp.Body.Close()
	p.read(resp.Body, func(m wire.Message) {
		if m.Request() {
			foreign.ask(string(wire.AppendResult(nil, m.ID, wire.Raw(`{"action":"accept"}`))))
			p.delete()
		}
	})
	if slices.ContainsFunc(b.saw(""), func(m wire.Message) bool { return m.Result != nil }) {
		t.Error("the back end got the foreign answer")
	}
	tries := s.store.of(emitter.TypeRequest)
	if len(tries) != 1 || !slices.Equal(tries[0].Anomalies, []string{emitter.AnomalyUnsolicited}) {
		t.Errorf("the foreign answer: %v", tries)
	}
	until(t, "the question has its event", func() bool { return len(s.store.of(emitter.TypeElicitation)) == 1 })
	if e := s.store.of(emitter.TypeElicitation)[0]; e.Outcome != emitter.OutcomeFailure || e.Reason != emitter.ReasonCancelled {
		t.Errorf("the question: %s %s", e.Outcome, e.Reason)
	}
}
