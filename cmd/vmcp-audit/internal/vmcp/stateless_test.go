package vmcp

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},"io.modelcontextprotocol/clientInfo":{"name":"new","version":"1"}}`

// modern returns a client of revision 2026-07-28 for one method and name.
func modern(t testing.TB, url, method, name string) *peer {
	p := &peer{t: t, url: url, header: http.Header{"Mcp-Protocol-Version": {upstream.Modern}, "Mcp-Method": {method}}}
	if name != "" {
		p.header.Set("Mcp-Name", name)
	}
	return p
}

// TestPark lets a legacy back end ask while it carries out the call of a modern
// client: the client is asked by the result, and its next try ends the call,
// which ran once.
func TestPark(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		reply := s.ask(a, "5", `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"sure?","n":9007199254740993}}`)
		a.result(`{"content":[],"got":` + string(reply.Result) + `}`)
		return true
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "tools/call", "t")
	try := func(id, more string) wire.Raw {
		t.Helper()
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t",` + more + modernMeta + `}}`)
		return wire.Raw(answer)
	}
	asked := try("1", "")
	want := `{"question":{"method":"elicitation/create","params":{"message":"sure?","n":9007199254740993}}}`
	if got := string(wire.Get(asked, "result", "inputRequests")); got != want || wire.Text(wire.Get(asked, "result", "resultType")) != "input_required" {
		t.Fatalf("the first answer: %s", asked)
	}
	state := string(wire.Get(asked, "result", "requestState"))
	const given = `"inputResponses":{"question":{"action":"accept","n":9007199254740993}},`
	for name, more := range map[string]string{
		"no such state": `"requestState":"vmcp-XYZ",` + given,
		"no answer":     `"requestState":` + state + `,`,
	} {
		if got := try("2", more); !strings.Contains(string(got), `-32602`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	other := modern(t, s.url+"/mcp", "tools/call", "t")
	other.header.Set("Authorization", "Bearer somebody-else")
	if got, _ := other.ask(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"t","requestState":` + state + `,` + given + modernMeta + `}}`); !strings.Contains(got, "-32602") {
		t.Errorf("another principal: %s", got)
	}
	done := `{"jsonrpc":"2.0","id":4,"result":{"content":[],"got":{"action":"accept","n":9007199254740993},"resultType":"complete"}}`
	if got := try("4", `"requestState":`+state+`,`+given); string(got) != done {
		t.Errorf("the end: %s\nwant %s", got, done)
	}
	if got := try("5", `"requestState":`+state+`,`+given); !strings.Contains(string(got), "-32602") {
		t.Errorf("a state used twice: %s", got)
	}
	if n := len(b.saw("tools/call")); n != 1 {
		t.Errorf("the call ran %d times", n)
	}
	events := s.store.of(emitter.TypeToolCall)
	if first := events[0]; first.Outcome != emitter.OutcomePending || first.Reason != emitter.ReasonInputRequired {
		t.Errorf("the first event: %s %s", first.Outcome, first.Reason)
	}
	if q := s.store.of(emitter.TypeElicitation); len(q) != 1 || q[0].Outcome != emitter.OutcomeSuccess || q[0].Trace.ParentAuditID != events[0].AuditID {
		t.Errorf("the question's events: %v", q)
	}
}

// TestParkCancelled lets a modern client go away during a call: the legacy back
// end is told.
func TestParkCancelled(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	b.handle = func(_ *script, _ *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			close(began)
			<-release
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		resp, err := modern(t, s.url+"/mcp", "tools/call", "t").do(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",`+modernMeta+`}}`)
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	receive(t, began, "the call")
	cancel()
	receive(t, ended, "the end of the client")
	until(t, "the back end hears of it", func() bool { return len(b.saw("notifications/cancelled")) == 1 })
	until(t, "the call has its event", func() bool { return len(s.store.of(emitter.TypeToolCall)) == 1 })
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Reason != emitter.ReasonCancelled {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
}

// TestListen lets a modern client listen to two legacy back ends: it hears what
// it asked for, with its subscription's id, and nothing else.
func TestListen(t *testing.T) {
	one := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "resources/list": `{"resources":[{"uri":"x://1","name":"r"}]}`, "resources/subscribe": `{}`})
	two := newScript(map[string]string{"tools/list": `{"tools":[` + tool("u") + `]}`})
	s := serve(t, []upstream.Spec{spec("one", one.start(t)), spec("two", two.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "subscriptions/listen", "")
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := p.do(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x://1"]},`+modernMeta+`}}`)
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan wire.Message, 100)
	done := make(chan struct{})
	go func() { defer close(done); p.read(resp.Body, func(m wire.Message) { messages <- m }) }()
	t.Cleanup(func() { cancel(); _ = resp.Body.Close(); <-done })
	want := `{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x://1"]},"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}`
	if m := receive(t, messages, "the acknowledgement"); m.Method != "notifications/subscriptions/acknowledged" || string(m.Params) != want {
		t.Errorf("acknowledged: %s %s", m.Method, m.Params)
	}
	until(t, "the resource is followed", func() bool { return len(one.saw("resources/subscribe")) == 1 })
	until(t, "the session's stream is open", func() bool { one.mu.Lock(); defer one.mu.Unlock(); return len(one.streams) == 2 })
	one.broadcast(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`)
	one.broadcast(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://2"}}`)
	one.broadcast(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1","n":9007199254740993}}`)
	got := receive(t, messages, "the update")
	if want := `{"uri":"x://1","n":9007199254740993,"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}`; string(got.Params) != want {
		t.Errorf("update: %s %s", got.Method, got.Params)
	}
	until(t, "the watcher's stream at the other back end is open", func() bool { two.mu.Lock(); defer two.mu.Unlock(); return len(two.streams) == 1 })
	two.broadcast(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	if m := receive(t, messages, "the change"); m.Method != "notifications/tools/list_changed" || !strings.Contains(string(m.Params), `"sub"`) {
		t.Errorf("change: %s %s", m.Method, m.Params)
	}
	s.srv.Drain()
	if m := receive(t, messages, "the result"); !m.Response() || string(m.ID) != `"sub"` {
		t.Errorf("at the end: %s", m.Method)
	}
}
