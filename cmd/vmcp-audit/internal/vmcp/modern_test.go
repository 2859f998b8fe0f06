package vmcp

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// listening is an open subscription.
type listening struct {
	*answer
	filter wire.Raw
}

// wants reports whether the client asked for a notification.
func (l *listening) wants(method, uri string) bool {
	if list, ok := strings.CutSuffix(strings.TrimPrefix(method, "notifications/"), "/list_changed"); ok {
		return string(wire.Get(l.filter, list+"ListChanged")) == "true"
	}
	return slices.ContainsFunc(wire.Elements(wire.Get(l.filter, "resourceSubscriptions")), func(u wire.Raw) bool { return wire.Text(u) == uri })
}

// fresh is a back end of revision 2026-07-28 alone that answers as it is told.
// Each method has the raw result; a handler may do more.
type fresh struct {
	results map[string]string
	handle  func(a *answer, m wire.Message) bool

	mu      sync.Mutex // guards what follows
	seen    []wire.Message
	headers []http.Header // of what was seen
	streams []*listening  // subscriptions
	gone    int           // calls whose client closed them
}

const freshAbout = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"completions":{}},"ttlMs":0,"cacheScope":"private"}`

func newFresh(results map[string]string) *fresh {
	list := func(member string) string {
		return `{"resultType":"complete","` + member + `":[],"ttlMs":0,"cacheScope":"private"}`
	}
	all := map[string]string{
		"server/discover": freshAbout, "tools/list": list("tools"), "prompts/list": list("prompts"),
		"resources/list": list("resources"), "resources/templates/list": list("resourceTemplates"),
	}
	maps.Copy(all, results)
	return &fresh{results: all}
}

func (b *fresh) start(t testing.TB) string {
	ts := httptest.NewServer(b)
	t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	return ts.URL
}

func (b *fresh) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m, _ := wire.Parse(body)
	a := &answer{w: w, id: m.ID, ctx: r.Context()}
	if r.Header.Get("Mcp-Protocol-Version") != upstream.Modern || !m.Request() {
		w.WriteHeader(http.StatusBadRequest)
		a.fail(`{"code":-32022,"message":"unsupported","data":{"supported":["2026-07-28"]}}`)
		return
	}
	b.mu.Lock()
	b.seen, b.headers = append(b.seen, m), append(b.headers, r.Header)
	b.mu.Unlock()
	if m.Method == "subscriptions/listen" {
		b.listen(a, m)
		return
	}
	if b.handle != nil && b.handle(a, m) {
		return
	}
	result, ok := b.results[m.Method+" "+wire.Text(wire.Get(m.Params, "name"))+wire.Text(wire.Get(m.Params, "uri"))]
	if !ok {
		result, ok = b.results[m.Method]
	}
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		a.fail(`{"code":-32601,"message":"method not found"}`)
	case strings.HasPrefix(result, `{"code"`):
		w.WriteHeader(http.StatusBadRequest)
		a.fail(result)
	default:
		a.result(result)
	}
}

func (b *fresh) listen(a *answer, m wire.Message) {
	l := &listening{a, wire.Get(m.Params, "notifications")}
	params := wire.Set(wire.Set(nil, "notifications", l.filter), "_meta", subscription(a))
	a.event(string(wire.AppendRequest(nil, nil, "notifications/subscriptions/acknowledged", params)))
	b.mu.Lock()
	b.streams = append(b.streams, l)
	b.mu.Unlock()
	<-a.ctx.Done()
	b.mu.Lock()
	b.streams = slices.DeleteFunc(b.streams, func(x *listening) bool { return x == l })
	b.mu.Unlock()
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
}

func subscription(a *answer) wire.Raw {
	return wire.Set(nil, "io.modelcontextprotocol/subscriptionId", a.id)
}

// listeners returns how many subscriptions are open.
func (b *fresh) listeners() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.streams)
}

// broadcast tells every subscription that wants it.
func (b *fresh) broadcast(method, params string) {
	b.mu.Lock()
	streams := slices.Clone(b.streams)
	b.mu.Unlock()
	for _, l := range streams {
		if l.wants(method, wire.Text(wire.Get(wire.Raw(params), "uri"))) {
			l.event(string(wire.AppendRequest(nil, nil, method, wire.Set(wire.Raw(params), "_meta", subscription(l.answer)))))
		}
	}
}

// wait is a tool of a fresh back end that tells its progress and then waits for
// its client to go.
func (b *fresh) wait(a *answer, m wire.Message) bool {
	if m.Method != "tools/call" {
		return false
	}
	a.event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(wire.Get(m.Params, "_meta", "progressToken")) + `,"progress":1}}`)
	<-a.ctx.Done()
	b.mu.Lock()
	b.gone++
	b.mu.Unlock()
	return true
}

// freshResults are exotic but legal, as those of TestFidelity.
func freshResults() map[string]string {
	const cached = `"resultType":"complete","ttlMs":1e3,"cacheScope":"public"`
	const whole = `"resultType":"complete"`
	odd := `{"name":"odd","inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}},"if":true},` + exotic + `}`
	return map[string]string{
		"tools/list":               `{"tools":[` + odd + `,` + tool("ask") + `],` + cached + `}`,
		"tools/call odd":           `{ "content":[{"type":"hologram","data":[9007199254740993],` + exotic + `}],"structuredContent":[1,2],` + whole + `,` + exotic + `}`,
		"tools/call bad":           `{"code":-32099,"message":"own","data":{"big":9007199254740993},"more":true}`,
		"tools/call unable":        `{"code":-32021,"message":"needs sampling","data":{"requiredCapabilities":{"sampling":{}}}}`,
		"prompts/list":             `{"prompts":[{"name":"p",` + exotic + `}],` + cached + `}`,
		"prompts/get":              `{"messages":[{"role":"narrator","content":{"type":"scent"}}],` + whole + `,` + exotic + `}`,
		"resources/list":           `{"resources":[{"uri":"x://1","name":"r",` + exotic + `}],` + cached + `}`,
		"resources/templates/list": `{"resourceTemplates":[{"uriTemplate":"x://{id}","name":"t"}],` + cached + `}`,
		"resources/read":           `{"contents":[{"uri":"x://1","blob":"AA==",` + exotic + `}],"ttlMs":7,"cacheScope":"public",` + whole + `}`,
		"completion/complete":      `{"completion":{"values":[],"hasMore":false},` + whole + `,` + exotic + `}`,
		"vendor/method":            `{` + whole + `,` + exotic + `}`,
	}
}

// freshScript is what a client says, as method, name and params without _meta.
var freshScript = [][3]string{
	{"tools/list", "", `{}`},
	{"tools/call", "odd", `{"name":"odd","arguments":{"region":"eu","n":9007199254740993},"unknown":[1]}`},
	{"tools/call", "ask", `{"name":"ask"}`},
	{"tools/call", "ask", `{"name":"ask","requestState":"sealed\u0041","inputResponses":{"a":{"action":"accept","n":9007199254740993},"b":{"roots":[]}}}`},
	{"prompts/list", "", `{}`},
	{"prompts/get", "p", `{"name":"p"}`},
	{"resources/list", "", `{}`},
	{"resources/templates/list", "", `{}`},
	{"resources/read", "x://1", `{"uri":"x://1"}`},
	{"completion/complete", "", `{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}`},
	{"vendor/method", "", `{"n":9007199254740993}`},
	{"vendor/nothing", "", `{}`},
}

// askingFresh wants two things to be answered before it answers, and tells odd
// things meanwhile.
func askingFresh(a *answer, m wire.Message) bool {
	switch name := wire.Text(wire.Get(m.Params, "name")); {
	case m.Method != "tools/call" || name != "ask" && name != "odd":
		return false
	case name == "odd":
		a.event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(wire.Get(m.Params, "_meta", "progressToken")) + `,"progress":9007199254740993,` + exotic + `}}`)
		a.event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":9007199254740993}}`)
		return false
	}
	answers := wire.Get(m.Params, "inputResponses")
	if answers == nil {
		a.result(`{"resultType":"input_required","requestState":"sealed\u0041","inputRequests":{"a":{"method":"elicitation/create","params":{"n":9007199254740993,` + exotic + `}},"b":{"method":"roots/list"}},` + exotic + `}`)
		return true
	}
	a.result(`{"content":[],"resultType":"complete","got":` + string(answers) + `,"state":` + string(wire.Get(m.Params, "requestState")) + `}`)
	return true
}

// TestFidelityModern holds a conversation in revision 2026-07-28 against the
// same one through the server: the client gets the same bytes, and the back end
// too.
func TestFidelityModern(t *testing.T) {
	hold := func(through bool) (got []string, heard []string) {
		b := newFresh(freshResults())
		b.handle = askingFresh
		address := b.start(t)
		if through {
			address = serve(t, []upstream.Spec{spec("one", address)}, nil).url + "/mcp"
		}
		b.mu.Lock()
		from := len(b.seen)
		b.mu.Unlock()
		for _, say := range freshScript {
			p := modern(t, address, say[0], say[1])
			if say[1] == "odd" {
				p.header.Set("Mcp-Param-Region", "eu")
			}
			params := wire.Set(wire.Raw(say[2]), "_meta", wire.Raw(`{"progressToken":9007199254740993,"vendor":{"n":1.0},`+strings.TrimPrefix(modernMeta, `"_meta":{`)))
			answer, status := p.ask(string(wire.AppendRequest(nil, wire.Raw("7"), say[0], params)))
			got = append(got, http.StatusText(status)+" "+answer)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, m := range b.seen[from:] {
			if strings.HasSuffix(m.Method, "/list") || m.Method == "subscriptions/listen" || m.Method == "server/discover" {
				continue // the server asks for itself, too
			}
			h := b.headers[from+i]
			heard = append(heard, plainText(m)+" "+h.Get("Mcp-Method")+" "+h.Get("Mcp-Name")+" "+h.Get("Mcp-Param-Region"))
		}
		return got, heard
	}
	direct, directHeard := hold(false)
	through, throughHeard := hold(true)
	if diff := cmp.Diff(direct, through); diff != "" {
		t.Errorf("the client got (-direct +through)\n%s", diff)
	}
	if diff := cmp.Diff(directHeard, throughHeard); diff != "" {
		t.Errorf("the back end heard (-direct +through)\n%s", diff)
	}
}

// TestCancelled lets clients of both eras cancel calls at a back end of the new
// one, to which a closed stream says so.
func TestCancelled(t *testing.T) {
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era, func(t *testing.T) {
			b := newFresh(map[string]string{"tools/list": `{"tools":[` + tool("wait") + `],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`})
			b.handle = b.wait
			s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
			p, meta := modern(t, s.url+"/mcp", "tools/call", "wait"), strings.TrimPrefix(modernMeta, `"_meta":{`)
			if era == "legacy" {
				p, meta = connect(t, s.url+"/mcp", ""), "}"
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			resp, err := p.do(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"wait","_meta":{"progressToken":"tok"`+strings.Replace(","+meta, ",}", "}", 1)+`}}`)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer := p.read(resp.Body, func(m wire.Message) {
				if m.Method != "notifications/progress" {
					return
				}
				if era == "modern" {
					leave()
				} else {
					p.ask(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}`)
				}
			})
			if strings.Contains(answer, `"id":"c"`) || !strings.Contains(answer, `"progressToken":"tok"`) {
				t.Errorf("a cancelled call is answered %s", answer)
			}
			until(t, "the back end sees it", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.gone == 1 })
			until(t, "the call has its event", func() bool { return len(s.store.of(emitter.TypeToolCall)) == 1 })
			if e := s.store.of(emitter.TypeToolCall)[0]; e.Reason != emitter.ReasonCancelled || e.Target.Server.Name != "one" {
				t.Errorf("%s %s by %q", e.Outcome, e.Reason, e.Target.Server.Name)
			}
		})
	}
}

// TestListenModern lets a client of each era hear of changes at two back ends of
// revision 2026-07-28.
func TestListenModern(t *testing.T) {
	resource := func(uri string) map[string]string {
		return map[string]string{"resources/list": `{"resources":[{"uri":"` + uri + `","name":"r"}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`}
	}
	one, two := newFresh(resource("x://1")), newFresh(resource("y://1"))
	s := serve(t, []upstream.Spec{spec("one", one.start(t)), spec("two", two.start(t))}, nil)

	old := connect(t, s.url+"/mcp", "")
	stream := old.listen()
	p := modern(t, s.url+"/mcp", "subscriptions/listen", "")
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := p.do(ctx, http.MethodPost, `{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x://1","y://1"]},`+modernMeta+`}}`)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan wire.Message, 100)
	done := make(chan struct{})
	go func() { defer close(done); p.read(resp.Body, func(m wire.Message) { told <- m }) }()
	t.Cleanup(func() { cancel(); _ = resp.Body.Close(); <-done })
	if m := receive(t, told, "the acknowledgement"); m.Method != "notifications/subscriptions/acknowledged" {
		t.Errorf("first %s", m.Method)
	}
	for _, uri := range []string{"x://1", "y://1"} {
		if answer, _ := old.ask(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"` + uri + `"}}`); !strings.Contains(answer, `"result":{}`) {
			t.Errorf("subscribe: %s", answer)
		}
	}
	// Each back end has the watcher's stream, the new client's and the old one's.
	until(t, "all streams are open", func() bool { return one.listeners() == 3 && two.listeners() == 3 })
	for uri, b := range map[string]*fresh{"x://1": one, "y://1": two} {
		b.broadcast("notifications/resources/updated", `{"uri":"`+uri+`","n":9007199254740993}`)
		want := `{"uri":"` + uri + `","n":9007199254740993,"_meta":{"io.modelcontextprotocol/subscriptionId":5}}`
		if m := receive(t, told, "the update of "+uri); string(m.Params) != want {
			t.Errorf("the new client hears %s %s, want %s", m.Method, m.Params, want)
		}
		if m := receive(t, stream, "the update of "+uri); m.Method != "notifications/resources/updated" || wire.Text(wire.Get(m.Params, "uri")) != uri {
			t.Errorf("the old client hears %s %s", m.Method, m.Params)
		}
		b.broadcast("notifications/tools/list_changed", `{}`)
		if m := receive(t, told, "the change"); m.Method != "notifications/tools/list_changed" || string(wire.Get(m.Params, "_meta", "io.modelcontextprotocol/subscriptionId")) != "5" {
			t.Errorf("the new client hears %s %s", m.Method, m.Params)
		}
		if m := receive(t, stream, "the change"); m.Method != "notifications/tools/list_changed" {
			t.Errorf("the old client hears %s %s", m.Method, m.Params)
		}
	}
}

// TestAcrossEras asks back ends of one era by clients of the other: each gets
// all that the back end says, a new one also what its revision wants.
func TestAcrossEras(t *testing.T) {
	old := newScript(exoticResults())
	s := serve(t, []upstream.Spec{spec("one", old.start(t))}, nil)
	for _, say := range freshScript {
		raw, ok := old.results[strings.TrimSpace(say[0]+" "+say[1])]
		if !ok {
			raw, ok = old.results[say[0]]
		}
		if !ok || strings.HasSuffix(say[0], "/list") {
			continue
		}
		answer, status := modern(t, s.url+"/mcp", say[0], say[1]).ask(string(wire.AppendRequest(nil, wire.Raw("7"), say[0], wire.Set(wire.Raw(say[2]), "_meta", wire.Raw(strings.TrimPrefix(modernMeta, `"_meta":`))))))
		result := wire.Get(wire.Raw(answer), "result")
		if status != http.StatusOK || !strings.Contains(answer, raw[1:len(raw)-1]) || wire.Text(wire.Get(result, "resultType")) != "complete" {
			t.Errorf("a new client, %s %s: %d %s\nwant all of %s", say[0], say[1], status, answer, raw)
		}
		if read := say[0] == "resources/read"; read && (string(wire.Get(result, "ttlMs")) != "0" || wire.Text(wire.Get(result, "cacheScope")) != "private") {
			t.Errorf("a new client may keep %s", answer)
		}
	}
	b := newFresh(freshResults())
	b.handle = askingFresh
	p := connect(t, serve(t, []upstream.Spec{spec("one", b.start(t))}, nil).url+"/mcp", `{"elicitation":{},"roots":{}}`)
	for _, say := range freshScript {
		raw, ok := b.results[say[0]+" "+say[1]]
		if !ok {
			raw, ok = b.results[say[0]]
		}
		if !ok || strings.HasSuffix(say[0], "/list") {
			continue
		}
		if answer, status := p.ask(string(wire.AppendRequest(nil, wire.Raw("7"), say[0], wire.Raw(say[2])))); status != http.StatusOK || !strings.HasSuffix(answer, `{"jsonrpc":"2.0","id":7,"result":`+raw+`}`) {
			t.Errorf("an old client, %s %s: %d %s\nwant %s", say[0], say[1], status, answer, raw)
		}
	}
	resp := p.post(`{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"ask"}}`)
	defer resp.Body.Close()
	answer := p.read(resp.Body, func(m wire.Message) {
		if m.Request() {
			p.ask(string(wire.AppendResult(nil, m.ID, wire.Raw(`{"to":"`+m.Method+`","n":1.0}`))))
		}
	})
	if want := `"got":{"a":{"to":"elicitation/create","n":1.0},"b":{"to":"roots/list","n":1.0}},"state":"sealed\u0041"}}`; !strings.HasSuffix(answer, want) {
		t.Errorf("an old client, asked twice: %s\nwant %s", answer, want)
	}
}

// TestNotFoundModern asks for a resource that no back end can have: its code is
// another in revision 2026-07-28 (SEP-2164).
func TestNotFoundModern(t *testing.T) {
	b := newScript(map[string]string{"initialize": strings.Replace(capableResult, `"resources":{"subscribe":true},`, "", 1)})
	s := serve(t, []upstream.Spec{spec("one", b.start(t)), spec("two", b.start(t))}, nil)
	const read = `"id":1,"method":"resources/read","params":{"uri":"x://1"`
	if got, status := modern(t, s.url+"/mcp", "resources/read", "x://1").ask(`{"jsonrpc":"2.0",` + read + `,` + modernMeta + `}}`); !strings.Contains(got, `"code":-32602`) || status != http.StatusBadRequest {
		t.Errorf("a new client: %d %s", status, got)
	}
	if got, _ := connect(t, s.url+"/mcp", "").ask(`{"jsonrpc":"2.0",` + read + `}}`); !strings.Contains(got, `"code":-32002`) {
		t.Errorf("an old client: %s", got)
	}
}

// TestParkNamed has a back end that shows a tool only to clients that can be
// asked: each try of a call to it says in the trail where it went.
func TestParkNamed(t *testing.T) {
	b := newScript(map[string]string{"resources/list": `{"resources":[{"uri":"x://1","name":"r"}]}`, "resources/read": `{"contents":[]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		switch m.Method {
		case "tools/list":
			list := `{"tools":[]}`
			if s.asked() {
				list = `{"tools":[` + tool("shy") + `]}`
			}
			a.result(list)
			return true
		case "tools/call", "resources/read":
			s.ask(a, "5", `{"jsonrpc":"2.0","id":5,"method":"roots/list"}`)
			a.result(`{"content":[],"contents":[]}`)
			return true
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t)), spec("two", newScript(nil).start(t))}, nil)
	for method, name := range map[string]string{"tools/call": "one_shy", "resources/read": "x://1"} {
		p := modern(t, s.url+"/mcp", method, name)
		params := `"name":"` + name + `",`
		if method == "resources/read" {
			params = `"uri":"` + name + `",`
		}
		first, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + modernMeta + `}}`)
		state := string(wire.Get(wire.Raw(first), "result", "requestState"))
		if q := string(wire.Get(wire.Raw(first), "result", "inputRequests", "question")); q != `{"method":"roots/list","params":{}}` {
			t.Errorf("%s: asked %s", method, q)
		}
		if answer, _ := p.ask(`{"jsonrpc":"2.0","id":2,"method":"` + method + `","params":{` + params + `"requestState":` + state + `,"inputResponses":{"question":{}},` + modernMeta + `}}`); !strings.Contains(answer, `"contents"`) {
			t.Errorf("%s: %s, then %s", method, first, answer)
		}
	}
	for _, typ := range []emitter.Type{emitter.TypeToolCall, emitter.TypeResourceRead} {
		tries := s.store.of(typ)
		if len(tries) != 2 {
			t.Errorf("%d events of type %s", len(tries), typ)
			continue
		}
		if a, b := tries[0].Target, tries[1].Target; a.Server.Name != "one" || a.Server != b.Server || a.Tool != b.Tool || a.Definition != b.Definition || (typ == emitter.TypeToolCall) != (a.Tool == "shy") {
			t.Errorf("first %+v\nthen  %+v", a, b)
		}
	}
}

// asked reports whether a client that can be asked has opened a session.
func (s *script) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.seen, func(m wire.Message) bool { return wire.Get(m.Params, "capabilities", "elicitation") != nil })
}
