package vmcp

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// restarter is a back end that speaks only revision 2026-07-28.
type restarter struct {
	handle func(a *answer, m wire.Message) (result string)

	mu      sync.Mutex
	tools   string
	seen    []wire.Message
	streams map[chan string]wire.Message // open subscriptions/listen requests, by what ends them or is to be said
}

func newRestarter(tools string) *restarter {
	return &restarter{tools: tools, streams: make(map[chan string]wire.Message)}
}

func (f *restarter) start(t testing.TB) string {
	ts := httptest.NewServer(f)
	t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	return ts.URL
}

func (f *restarter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m, err := wire.Parse(body)
	a := &answer{w: w, id: m.ID}
	f.mu.Lock()
	f.seen = append(f.seen, m)
	tools := f.tools
	f.mu.Unlock()
	switch {
	case err != nil || r.Header.Get("Mcp-Protocol-Version") != upstream.Modern:
		http.Error(w, "unknown revision", http.StatusBadRequest)
	case m.Method == "server/discover":
		a.result(`{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}}`)
	case m.Method == "tools/list":
		a.result(`{"resultType":"complete","tools":[` + tools + `]}`)
	case m.Method == "resources/list":
		a.result(`{"resultType":"complete","resources":[{"uri":"x://1","name":"r"}]}`)
	case m.Method == "resources/templates/list":
		a.result(`{"resultType":"complete","resourceTemplates":[]}`)
	case m.Method == "subscriptions/listen":
		f.listen(a, m, r)
	default:
		a.result(f.handle(a, m))
	}
}

// listen holds a stream until it is told nothing.
func (f *restarter) listen(a *answer, m wire.Message, r *http.Request) {
	say := make(chan string)
	f.mu.Lock()
	f.streams[say] = m
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.streams, say)
		f.mu.Unlock()
	}()
	a.event(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}`)
	for {
		select {
		case message := <-say:
			if message == "" {
				return
			}
			a.event(message)
		case <-r.Context().Done():
			return
		}
	}
}

// stream waits for an open stream whose filter has a member, and returns what
// it is told by.
func (f *restarter) stream(t testing.TB, member string) (say chan string) {
	until(t, "a stream is open for "+member, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c, m := range f.streams {
			if wire.Get(m.Params, "notifications", member) != nil {
				say = c
			}
		}
		return say != nil
	})
	return say
}

// TestModernRestart ends the streams of a back end of revision 2026-07-28, as a
// restart does, which comes back with other tools: clients hear of them, and of
// the resources that they follow.
func TestModernRestart(t *testing.T) {
	f := newRestarter(tool("a"))
	s := serve(t, []upstream.Spec{spec("one", f.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	messages := p.listen()
	if answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x://1"}}`); !strings.Contains(answer, `"result"`) {
		t.Errorf("subscribe: %s", answer)
	}
	watch, follow := f.stream(t, "toolsListChanged"), f.stream(t, "resourceSubscriptions")
	f.mu.Lock()
	f.tools = tool("a") + "," + tool("b")
	f.mu.Unlock()
	watch <- ""
	until(t, "the trail tells of the new tools", func() bool {
		events := s.store.of(emitter.TypeBackendDiscovery)
		x := events[len(events)-1].Metadata.Extra
		return x.Change == "changed" && x.Tools == emitter.Of(2)
	})
	for m := receive(t, messages, "the change"); m.Method != "notifications/tools/list_changed"; {
		m = receive(t, messages, "the change")
	}
	follow <- ""
	until(t, "the old stream has ended", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.streams[follow].Method == "" })
	f.stream(t, "resourceSubscriptions") <- `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1"}}`
	for m := receive(t, messages, "the update"); m.Method != "notifications/resources/updated"; {
		m = receive(t, messages, "the update")
	}
}

// TestRestart lets a legacy back end come back with other tools, so fast that it
// is not lost: clients that have no session with it hear of it, and those that
// follow a resource follow it again without a call.
func TestRestart(t *testing.T) {
	var mu sync.Mutex
	list := `{"tools":[` + tool("a") + `]}`
	b := newScript(map[string]string{"resources/list": `{"resources":[{"uri":"x://1","name":"r"}]}`, "resources/subscribe": `{}`})
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if m.Method == "tools/list" {
			a.result(list)
		}
		return m.Method == "tools/list"
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p, other := connect(t, s.url+"/mcp", ""), connect(t, s.url+"/mcp", "")
	messages := other.listen()
	p.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x://1"}}`)
	for len(messages) > 0 { // of the start, if any
		<-messages
	}
	mu.Lock()
	list = `{"tools":[` + tool("b") + `]}`
	mu.Unlock()
	b.forget()
	for m := receive(t, messages, "the change"); m.Method != "notifications/tools/list_changed"; {
		m = receive(t, messages, "the change")
	}
	until(t, "the resource is followed again", func() bool { return len(b.saw("resources/subscribe")) == 2 })
}

// TestListChangedMeanwhile lets the tools change while they are listed: what the
// list had no more counts for a client that heard so.
func TestListChangedMeanwhile(t *testing.T) {
	b := newScript(map[string]string{"tools/call": `{"content":[]}`})
	var mu sync.Mutex
	lists := 0
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/list" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		switch lists++; lists {
		case 1: // the watcher's
			a.result(`{"tools":[` + tool("a") + `]}`)
		case 2:
			a.event(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
			a.result(`{"tools":[` + tool("a") + `]}`)
		default:
			a.result(`{"tools":[` + tool("b") + `]}`)
		}
		return true
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	p.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if answer, _ := p.ask(call("2", "b")); !strings.Contains(answer, `"content"`) {
		t.Errorf("the new tool: %s", answer)
	}
}

// TestUnsubscribe has two back ends asked for a resource that no list has: the
// one that took the subscription gets its end.
func TestUnsubscribe(t *testing.T) {
	one := newScript(map[string]string{"resources/subscribe": `{"code":-32602,"message":"none"}`, "resources/unsubscribe": `{}`})
	two := newScript(map[string]string{"resources/subscribe": `{}`, "resources/unsubscribe": `{}`})
	s := serve(t, []upstream.Spec{spec("one", one.start(t)), spec("two", two.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	for _, method := range []string{"resources/subscribe", "resources/unsubscribe"} {
		if answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"uri":"y://1"}}`); !strings.Contains(answer, `"result":{}`) {
			t.Errorf("%s: %s", method, answer)
		}
	}
	if a, b := len(one.saw("resources/unsubscribe")), len(two.saw("resources/unsubscribe")); a != 0 || b != 1 {
		t.Errorf("%d and %d were told, want 0 and 1", a, b)
	}
}

// TestStateOfOthers gives a modern client a requestState that looks like one of
// ours, as another such server behind this one gives it: it goes back to whose
// it is. A legacy back end gives none, so a call with one is over.
func TestStateOfOthers(t *testing.T) {
	f := newRestarter(tool("f"))
	f.handle = func(_ *answer, m wire.Message) string {
		if string(wire.Get(m.Params, "requestState")) == `"vmcp-INNER"` {
			return `{"resultType":"complete","content":[]}`
		}
		return `{"resultType":"input_required","inputRequests":{},"requestState":"vmcp-INNER"}`
	}
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	s := serve(t, []upstream.Spec{spec("new", f.start(t)), spec("old", b.start(t))}, nil)
	ask := func(name string) string {
		answer, _ := modern(t, s.url+"/mcp", "tools/call", name).ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","requestState":"vmcp-INNER",` + modernMeta + `}}`)
		return answer
	}
	if got := ask("new_f"); !strings.Contains(got, `"complete"`) {
		t.Errorf("a state of a back end: %s", got)
	}
	if got := ask("old_t"); !strings.Contains(got, "-32602") || len(b.saw("tools/call")) != 0 {
		t.Errorf("a state of nobody: %s, %d calls", got, len(b.saw("tools/call")))
	}
}

// TestProgressOfAnswers lets two back ends ask at a time with one progress
// token: each hears of its own answer's progress.
func TestProgressOfAnswers(t *testing.T) {
	one, two := asking(`"method":"sampling/createMessage","params":{"_meta":{"progressToken":0}}`), asking(`"method":"sampling/createMessage","params":{"_meta":{"progressToken":0}}`)
	s := serve(t, []upstream.Spec{spec("one", one.start(t)), spec("two", two.start(t))}, nil)
	p := connect(t, s.url+"/mcp", `{"sampling":{}}`)
	questions := make(map[string]wire.Message)
	var answers sync.WaitGroup
	for i, name := range []string{"one_t", "two_t"} {
		asked := make(chan wire.Message, 1)
		answers.Go(func() {
			resp := p.post(call(strconv.Itoa(i), name))
			defer resp.Body.Close()
			p.read(resp.Body, func(m wire.Message) {
				if m.Request() {
					asked <- m
				}
			})
		})
		questions[name] = receive(t, asked, "the question")
	}
	for name, q := range questions {
		p.ask(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(wire.Get(q.Params, "_meta", "progressToken")) + `,"message":"` + name + `"}}`)
	}
	for name, b := range map[string]*script{"one_t": one, "two_t": two} {
		until(t, "the progress is told", func() bool { return len(b.saw("notifications/progress")) == 1 })
		if got := string(b.saw("notifications/progress")[0].Params); got != `{"progressToken":0,"message":"`+name+`"}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, q := range questions {
		p.ask(string(wire.AppendResult(nil, q.ID, wire.Raw(`{}`))))
	}
	answers.Wait()
}

// TestTaskPages joins the pages of the lists of tasks.
func TestTaskPages(t *testing.T) {
	capable := strings.Replace(capableResult, `"logging":{}`, `"logging":{},"tasks":{"list":{}}`, 1)
	one := newScript(map[string]string{"initialize": capable, "tasks/list": `{"tasks":[{"taskId":"1"}]}`})
	two := newScript(map[string]string{"initialize": capable, "tasks/get": `{"taskId":"3","status":"working"}`})
	two.handle = func(_ *script, a *answer, m wire.Message) bool {
		if m.Method == "tasks/list" && wire.Get(m.Params, "cursor") == nil {
			a.result(`{"tasks":[{"taskId":"2"}],"nextCursor":"more"}`)
		} else if m.Method == "tasks/list" {
			a.result(`{"tasks":[{"taskId":"3"}]}`)
		}
		return m.Method == "tasks/list"
	}
	s := serve(t, []upstream.Spec{spec("one", one.start(t)), spec("two", two.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	if got, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`); got != `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"1"},{"taskId":"2"},{"taskId":"3"}]}}` {
		t.Errorf("tasks: %s", got)
	}
	if got, _ := p.ask(`{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"3"}}`); !strings.Contains(got, "working") {
		t.Errorf("the last task: %s", got)
	}
}

// TestTasksAcrossEras has a legacy client before a back end of revision 2026-07-28,
// which makes a task of a call only for clients that name the extension: then it
// is found by its id, else the call runs to its end.
func TestTasksAcrossEras(t *testing.T) {
	f := newRestarter(tool("t"))
	f.handle = func(_ *answer, m wire.Message) string {
		switch able := wire.Get(m.Params, "_meta", "io.modelcontextprotocol/clientCapabilities", "extensions", "io.modelcontextprotocol/tasks"); {
		case m.Method == "tools/call" && able != nil:
			return `{"resultType":"task","taskId":"t-1","status":"working"}`
		case m.Method == "tasks/get" && wire.Text(wire.Get(m.Params, "taskId")) == "t-1":
			return `{"resultType":"complete","taskId":"t-1","status":"completed","result":{"content":[]}}`
		}
		return `{"resultType":"complete","content":[]}`
	}
	s := serve(t, []upstream.Spec{spec("other", newRestarter(tool("o")).start(t)), spec("one", f.start(t))}, nil)
	plain := connect(t, s.url+"/mcp", `{"tasks":{"requests":{}}}`)
	if got, _ := plain.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one_t","task":{"ttl":1000}}}`); got != `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[]}}` {
		t.Errorf("without the extension: %s", got)
	}
	able := connect(t, s.url+"/mcp", `{"extensions":{"io.modelcontextprotocol/tasks":{}}}`)
	if got, _ := able.ask(call("2", "one_t")); got != `{"jsonrpc":"2.0","id":2,"result":{"resultType":"task","taskId":"t-1","status":"working"}}` {
		t.Errorf("with it: %s", got)
	}
	if got, _ := able.ask(`{"jsonrpc":"2.0","id":3,"method":"tasks/get","params":{"taskId":"t-1"}}`); !strings.Contains(got, `"completed"`) {
		t.Errorf("the task: %s", got)
	}
	var got []string
	for _, e := range append(s.store.of(emitter.TypeToolCall), s.store.of(emitter.TypeTask)...) {
		got = append(got, string(e.Outcome)+" "+string(e.Reason)+" "+e.Target.Server.Name)
	}
	if diff := cmp.Diff([]string{"success  one", "pending task_started one", "success  one"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestLogLevel has a modern client before a legacy back end that logs: each call
// hears what it asked for, and nothing if it did not ask.
func TestLogLevel(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		for _, level := range []string{"debug", "warning", "critical"} {
			a.event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"` + level + `","data":1}}`)
		}
		a.result(`{"content":[]}`)
		return true
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "tools/call", "t")
	for _, c := range []struct {
		asked string
		want  []string
	}{{"", nil}, {"warning", []string{"warning", "critical"}}, {"error", []string{"critical"}}, {"debug", []string{"debug", "warning", "critical"}}, {"loud", nil}} {
		meta := modernMeta
		if c.asked != "" {
			meta = strings.Replace(meta, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/logLevel":"`+c.asked+`",`, 1)
		}
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",` + meta + `}}`)
		var got []string
		for line := range strings.Lines(answer) {
			if level := wire.Text(wire.Get(wire.Raw(line), "params", "level")); level != "" {
				got = append(got, level)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("asked for %q, heard %q", c.asked, got)
		}
	}
	var set []string
	for _, m := range b.saw("logging/setLevel") {
		set = append(set, wire.Text(wire.Get(m.Params, "level")))
	}
	if diff := cmp.Diff([]string{"warning", "debug"}, set); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestListenEnds has two streams of a modern client follow one resource of a
// legacy back end, which is told when the last of them ends. Both have a route.
func TestListenEnds(t *testing.T) {
	b := newScript(map[string]string{"resources/list": `{"resources":[{"uri":"x://1","name":"r"}]}`, "resources/subscribe": `{}`, "resources/unsubscribe": `{}`})
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "subscriptions/listen", "")
	listen := func(n int) func() {
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := p.do(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["x://1"]},`+modernMeta+`}}`)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the resource is followed", func() bool { return len(b.saw("resources/subscribe")) == n })
		return func() { cancel(); _ = resp.Body.Close() }
	}
	first, second := listen(1), listen(2)
	first()
	until(t, "the first stream has ended", func() bool { return len(s.store.of(emitter.TypeSSEClosed)) == 1 })
	if n := len(b.saw("resources/unsubscribe")); n != 0 {
		t.Errorf("unsubscribed under the second stream")
	}
	second()
	until(t, "the back end is told", func() bool { return len(b.saw("resources/unsubscribe")) == 1 })
	opened, routes := s.store.of(emitter.TypeSubscription), s.store.of(emitter.TypeBackendRoute)
	if len(routes) != 2 || routes[0].Trace.ParentAuditID != opened[0].AuditID || routes[0].Target.Name != "x://1" || routes[0].Target.Server.Name != "one" {
		t.Errorf("routes: %+v", routes)
	}
}
