package vmcp

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestRedial(t *testing.T) {
	for name, node := range map[string]bool{"404": false, "400": true} {
		t.Run(name, func(t *testing.T) { redial(t, node) })
	}
}

func redial(t *testing.T, node bool) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	b.node = node
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	p.ask(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`)
	p.ask(call("2", "t"))
	b.forget()
	if answer, _ := p.ask(call("3", "t")); answer != `{"jsonrpc":"2.0","id":3,"result":{"content":[]}}` {
		t.Errorf("after the restart: %s", answer)
	}
	if n := len(b.saw("tools/call")); n != 2 {
		t.Errorf("%d calls ran, want 2", n)
	}
	if n := len(b.saw("logging/setLevel")); n != 2 {
		t.Errorf("the level was set %d times, want in each session", n)
	}
}

func TestSlow(t *testing.T) {
	var mu sync.Mutex
	hang := make(chan struct{})
	hanging := false
	slow := newScript(map[string]string{"tools/list": `{"tools":[` + tool("s") + `]}`})
	slow.handle = func(_ *script, _ *answer, m wire.Message) bool {
		mu.Lock()
		h := hanging
		mu.Unlock()
		if h && m.Method != "ping" {
			<-hang
		}
		return false
	}
	good := newScript(map[string]string{"tools/list": `{"tools":[` + tool("g") + `]}`, "tools/call": `{"content":[]}`})
	s := serve(t, []upstream.Spec{spec("good", good.start(t)), spec("slow", slow.start(t))}, nil)
	t.Cleanup(func() { close(hang) })
	mu.Lock()
	hanging = true
	mu.Unlock()
	p := connect(t, s.url+"/mcp", "")
	if answer, _ := p.ask(call("1", "good_g")); !strings.Contains(answer, `"result":{"content":[]}`) {
		t.Errorf("call: %s", answer)
	}
	answer, _ := p.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
	if !strings.Contains(answer, "good_g") || !strings.Contains(answer, "slow_s") {
		t.Errorf("list: %s", answer)
	}
}

func TestLost(t *testing.T) {
	var mu sync.Mutex
	down := false
	set := func(d bool) { mu.Lock(); defer mu.Unlock(); down = d }
	flaky := newScript(map[string]string{"tools/list": `{"tools":[` + tool("f") + `]}`})
	address := flaky.start(t)
	flaky.handle = func(_ *script, a *answer, _ wire.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if down {
			a.w.WriteHeader(http.StatusBadGateway)
		}
		return down
	}
	good := newScript(map[string]string{"tools/list": `{"tools":[` + tool("g") + `]}`})
	s := serve(t, []upstream.Spec{spec("flaky", address), spec("good", good.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	messages := p.listen()
	list := func() string {
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		return strings.Join(names(wire.Raw(answer)), " ")
	}
	if got := list(); got != "flaky_f good_g" {
		t.Errorf("list %q", got)
	}
	change := func(d bool, want string) {
		t.Helper()
		set(d)
		for told := ""; told != "notifications/tools/list_changed"; {
			told = receive(t, messages, "list_changed").Method
		}
		until(t, "the list is "+want, func() bool { return list() == want })
	}
	change(true, "good_g")
	change(false, "flaky_f good_g")
	var changes []string
	for _, e := range s.store.of(emitter.TypeBackendDiscovery) {
		if e.Target.Name == "flaky" {
			changes = append(changes, e.Metadata.Extra.Change+" "+string(e.Outcome)+" "+string(e.Reason))
		}
	}
	if diff := cmp.Diff([]string{"discovered success ", "lost error http_error", "recovered success "}, changes); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Whole lists are refused while a back end is not there; calls of the others go
// on.
func TestWhole(t *testing.T) {
	var mu sync.Mutex
	down := true
	flaky := newScript(map[string]string{"tools/list": `{"tools":[` + tool("f") + `]}`})
	address := flaky.start(t)
	flaky.handle = func(_ *script, a *answer, _ wire.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if down {
			a.w.WriteHeader(http.StatusBadGateway)
		}
		return down
	}
	good := newScript(map[string]string{"tools/list": `{"tools":[` + tool("g") + `]}`, "tools/call": `{"content":[]}`})
	s := serve(t, []upstream.Spec{spec("flaky", address), spec("good", good.start(t))}, func(o *Options) { o.Core.Whole = true })
	p := connect(t, s.url+"/mcp", "")
	for _, method := range []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"} {
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"` + method + `"}`)
		if !strings.Contains(answer, `"error":{"code":-32603,"message":"not every back end is there`) {
			t.Errorf("%s: %s", method, answer)
		}
	}
	if answer, _ := p.ask(call("2", "good_g")); answer != `{"jsonrpc":"2.0","id":2,"result":{"content":[]}}` {
		t.Errorf("call: %s", answer)
	}
	mu.Lock()
	down = false
	mu.Unlock()
	until(t, "the list is whole", func() bool {
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":3,"method":"tools/list"}`)
		return strings.Join(names(wire.Raw(answer)), " ") == "flaky_f good_g"
	})
}

func names(answer wire.Raw) (out []string) {
	for _, x := range wire.Elements(wire.Get(answer, "result", "tools")) {
		out = append(out, wire.Text(wire.Get(x, "name")))
	}
	return out
}

func TestChanged(t *testing.T) {
	var mu sync.Mutex
	list := `{"tools":[` + tool("a") + `]}`
	b := newScript(nil)
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if m.Method == "tools/list" {
			a.result(list)
			return true
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	messages := p.listen()
	p.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	until(t, "both sessions have their stream", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.streams) == 2 })
	mu.Lock()
	list = `{"tools":[` + tool("a") + `,` + tool("b") + `]}`
	mu.Unlock()
	b.broadcast(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	if m := receive(t, messages, "list_changed"); m.Method != "notifications/tools/list_changed" {
		t.Errorf("got %s", m.Method)
	}
	answer, _ := p.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
	if got := strings.Join(names(wire.Raw(answer)), " "); got != "a b" {
		t.Errorf("list %q", got)
	}
	until(t, "the trail tells of the change", func() bool {
		events := s.store.of(emitter.TypeBackendDiscovery)
		last := events[len(events)-1]
		return last.Metadata.Extra.Change == "changed" && last.Metadata.Extra.Tools == emitter.Of(2)
	})
}

func TestGarbage(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `,` + tool("u") + `,7,{"name":5},null]}`})
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		switch wire.Text(wire.Get(m.Params, "name")) {
		case "t":
			for _, g := range []string{"{", "[]", `"x"`, `{"jsonrpc":"2.0","id":99,"result":{}}`, `{"jsonrpc":"2.0","id":null,"result":{}}`} {
				a.event(g)
			}
			a.result(`{"content":[]}`)
			return true
		case "u":
			a.result(`{"content":[}`)
			return true
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	if answer, _ := p.ask(call("1", "t")); answer != `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}` {
		t.Errorf("answer: %s", answer)
	}
	if answer, _ := p.ask(call("2", "u")); !strings.Contains(answer, `"code":-32603`) || !strings.Contains(answer, "gave no answer") {
		t.Errorf("answer: %s", answer)
	}
	e := s.store.of(emitter.TypeToolCall)[1]
	if e.Outcome != emitter.OutcomeError || e.Reason != emitter.ReasonUpstreamAborted || e.Target.Server.Name != "one" {
		t.Errorf("%s %s %s", e.Outcome, e.Reason, e.Target.Server.Name)
	}
}

func TestAmbiguous(t *testing.T) {
	one := newScript(map[string]string{"tools/list": `{"tools":[` + tool("b_c") + `,` + tool("ok") + `]}`})
	two := newScript(map[string]string{"tools/list": `{"tools":[` + tool("c") + `]}`})
	s := serve(t, []upstream.Spec{spec("a", one.start(t)), spec("a_b", two.start(t))}, nil)
	if err := s.srv.Ambiguous(); err == nil || !strings.Contains(err.Error(), "a_b_c") {
		t.Errorf("the server says: %v", err)
	}
	p := connect(t, s.url+"/mcp", "")
	if answer, _ := p.ask(call("1", "a_b_c")); !strings.Contains(answer, "-32602") {
		t.Errorf("call: %s", answer)
	}
	if n := len(one.saw("tools/call")) + len(two.saw("tools/call")); n != 0 {
		t.Errorf("%d calls reached a back end", n)
	}
	e := s.store.of(emitter.TypeBackendRoute)[0]
	if e.Reason != emitter.ReasonAmbiguousName || e.Outcome != emitter.OutcomeFailure || e.Metadata.Extra.RouteRule != "ambiguous" {
		t.Errorf("route: %s %s %s", e.Outcome, e.Reason, e.Metadata.Extra.RouteRule)
	}
}

func TestOneURI(t *testing.T) {
	none := newScript(map[string]string{"resources/read": `{"code":-32002,"message":"not here"}`})
	some := newScript(map[string]string{
		"resources/templates/list": `{"resourceTemplates":[{"uriTemplate":"x://{id}","name":"t"}]}`,
		"resources/read":           `{"contents":[]}`, "resources/read x://bad": `{"code":-32002,"message":"gone"}`,
	})
	s := serve(t, []upstream.Spec{spec("none", none.start(t)), spec("some", some.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	read := func(uri string) string {
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + uri + `"}}`)
		return answer
	}
	if got := read("x://1"); !strings.Contains(got, `"contents"`) || len(none.saw("resources/read")) != 0 {
		t.Errorf("by its template: %s", got)
	}
	if got := read("y://1"); !strings.Contains(got, `"contents"`) || len(none.saw("resources/read")) != 1 {
		t.Errorf("in turn: %s", got)
	}
	if got := read("x://bad"); !strings.Contains(got, "gone") {
		t.Errorf("the likeliest one's error: %s", got)
	}
	events := s.store.of(emitter.TypeResourceRead)
	if e := events[2]; e.Target.Server.Name != "some" || e.Outcome != emitter.OutcomeFailure {
		t.Errorf("%s by %s", e.Outcome, e.Target.Server.Name)
	}
}

func TestTasks(t *testing.T) {
	capable := strings.Replace(capableResult, `"logging":{}`, `"logging":{},"tasks":{"list":{}}`, 1)
	backend := func(id string) *script {
		return newScript(map[string]string{
			"initialize": capable, "tools/list": `{"tools":[` + tool("t") + `]}`,
			"tools/call": `{"task":{"taskId":"` + id + `","status":"working"}}`,
			"tasks/get":  `{"taskId":"` + id + `","status":"completed","n":9007199254740993}`,
			"tasks/list": `{"tasks":[{"taskId":"` + id + `"}]}`,
		})
	}
	one, two := backend("t-1"), backend("t-2")
	s := serve(t, []upstream.Spec{spec("one", one.start(t)), spec("two", two.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	get := func(id string) string {
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"` + id + `"}}`)
		return answer
	}
	if got := get("t-2"); !strings.Contains(got, "-32602") {
		t.Errorf("a task of somebody else: %s", got)
	}
	p.ask(call("2", "two_t"))
	if got := get("t-2"); got != `{"jsonrpc":"2.0","id":1,"result":{"taskId":"t-2","status":"completed","n":9007199254740993}}` || len(one.saw("tasks/get")) != 0 {
		t.Errorf("the task: %s", got)
	}
	if got, _ := p.ask(`{"jsonrpc":"2.0","id":3,"method":"tasks/list"}`); got != `{"jsonrpc":"2.0","id":3,"result":{"tasks":[{"taskId":"t-1"},{"taskId":"t-2"}]}}` {
		t.Errorf("all tasks: %s", got)
	}
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Outcome != emitter.OutcomePending || e.Reason != emitter.ReasonTaskStarted {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
}

// Of a command that ends at once the log says where to look for the reason.
func TestCommandEnds(t *testing.T) {
	r, w := io.Pipe()
	lines := make(chan string, 16)
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // it is tried again and again
			}
		}
	}()
	t.Cleanup(func() { _ = w.Close() })
	command := upstream.Spec{Name: "one", Transport: upstream.Stdio, Command: []string{"sh", "-c", "exit 1"}, Env: []string{"PATH=" + os.Getenv("PATH")}}
	serve(t, []upstream.Spec{command}, func(o *Options) { o.Core.Log = slog.New(slog.NewTextHandler(w, nil)) })
	for line := ""; !strings.Contains(line, "its command has ended, and VMCP_AUDIT_LOG_LEVEL=debug shows what it said"); {
		line = receive(t, lines, "the line")
	}
}
