package vmcp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestCancel lets a client cancel: the back end hears of it under its own id and
// with the reason, and the client gets no answer.
func TestCancel(t *testing.T) {
	began, told := make(chan wire.Message, 1), make(chan struct{})
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("slow") + `]}`})
	b.handle = func(_ *script, _ *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			began <- m
			<-told
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	answered := make(chan string, 1)
	go func() {
		answer, _ := p.ask(call(`"c-7"`, "slow"))
		answered <- answer
	}()
	m := receive(t, began, "the call")
	p.ask(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c-7","reason":"enough"}}`)
	if answer := receive(t, answered, "the end of the POST"); answer != "" {
		t.Errorf("an answer to a cancelled call: %s", answer)
	}
	until(t, "the back end hears of the cancel", func() bool { return len(b.saw("notifications/cancelled")) == 1 })
	close(told)
	want := `{"requestId":` + string(m.ID) + `,"reason":"enough"}`
	if got := string(b.saw("notifications/cancelled")[0].Params); got != want {
		t.Errorf("cancelled: %s, want %s", got, want)
	}
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Reason != emitter.ReasonCancelled {
		t.Errorf("outcome %s, reason %s", e.Outcome, e.Reason)
	}
}

// TestRedial lets a back end lose its sessions: a call is sent again in a new
// one, once, and runs once.
// TestSlow lets one of two back ends hang: the other one is listed and called
// all the same, by clients old and new.
// TestLost follows a back end that goes and comes back: its tools leave the list
// and return, the client is told, and so is the trail.
// names returns the names in the result of a list.
// TestChanged lets a back end change its tools: the client hears of it on its
// GET stream, once, and the trail has the new number.
// TestGarbage lets a back end send what is no message, and finds everything
// else passed on.
// TestSessions opens many sessions, ends some by DELETE and leaves the others:
// nothing of either is left, here or at the back end.
func TestSessions(t *testing.T) {
	t.Parallel() // beside TestPatience, which takes longer
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, func(o *Options) { o.Front.Idle = 15 * time.Second }) // more than a loaded machine takes for a call
	const n = 40
	for i := range n {
		p := connect(t, s.url+"/mcp", "")
		p.ask(call(strconv.Itoa(i), "t"))
		if i%2 == 0 {
			p.delete()
			if _, status := p.ask(call("1", "t")); status != http.StatusNotFound {
				t.Errorf("after DELETE: status %d", status)
			}
		}
	}
	until(t, "no session is left", func() bool { own, hubs := s.srv.core.Sessions(); return own+hubs == 0 })
	until(t, "only the watcher's session is left at the back end", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.sessions) == 1
	})
	count := make(map[emitter.Reason]int)
	until(t, "the trail tells of each end", func() bool {
		clear(count)
		for _, e := range s.store.of(emitter.TypeSessionEnd) {
			count[e.Reason]++
		}
		return count[emitter.ReasonIdle] == n/2
	})
	if count[emitter.ReasonDeleted] != n/2 {
		t.Errorf("ends: %v", count)
	}
}

// TestStrict lets the trail fail for the route of a call: the back end is not
// asked.
func TestStrict(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, func(o *Options) { o.Core.Strict = true })
	p := connect(t, s.url+"/mcp", "")
	s.store.mu.Lock()
	s.store.broken = func(e *emitter.Event) bool { return e.Type == emitter.TypeBackendRoute }
	s.store.mu.Unlock()
	if answer, _ := p.ask(call("1", "t")); !strings.Contains(answer, "was not run") {
		t.Errorf("answer: %s", answer)
	}
	if n := len(b.saw("tools/call")); n != 0 {
		t.Errorf("the back end was asked %d times", n)
	}
	s.store.mu.Lock()
	s.store.broken = nil
	s.store.mu.Unlock()
	if answer, _ := p.ask(call("2", "t")); !strings.Contains(answer, `"content"`) {
		t.Errorf("answer: %s", answer)
	}
	calls := s.store.of(emitter.TypeToolCall)
	if e := calls[1]; e.Reason != emitter.ReasonAuditUnavailable || e.Outcome != emitter.OutcomeError {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
}

// TestQuestionWithdrawn lets a back end withdraw a question: the client is told
// under the id that it knows.
func TestQuestionWithdrawn(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	asked := make(chan struct{})
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			a.event(`{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}`)
			<-asked
			a.event(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", `{"sampling":{}}`)
	gone := make(chan struct{})
	messages := p.listen()
	resp := p.post(call("1", "t"))
	defer resp.Body.Close()
	question := ""
	rest := p.read(resp.Body, func(m wire.Message) {
		if m.Request() {
			question = wire.Text(m.ID)
			close(asked)
		}
		if m.Method == "notifications/cancelled" && wire.Text(wire.Get(m.Params, "requestId")) == question {
			close(gone)
		}
	})
	select {
	case <-gone: // before the answer
	default:
		if m := receive(t, messages, "the withdrawal"); m.Method != "notifications/cancelled" || wire.Text(wire.Get(m.Params, "requestId")) != question {
			t.Errorf("%s %s after %s", m.Method, m.Params, rest)
		}
	}
	if e := s.store.of(emitter.TypeSampling); len(e) == 1 && e[0].Reason != emitter.ReasonCancelled {
		t.Errorf("the question's event: %s %s", e[0].Outcome, e[0].Reason)
	}
}

// TestLostConnection breaks the connection of a legacy client's call: the call
// goes on, since that is no cancel.
func TestLostConnection(t *testing.T) {
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
	p := connect(t, s.url+"/mcp", "")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		resp, err := p.do(ctx, http.MethodPost, call("1", "t"))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	receive(t, began, "the call")
	cancel()
	receive(t, ended, "the end of the client")
	close(release)
	until(t, "the call has its event", func() bool { return len(s.store.of(emitter.TypeToolCall)) == 1 })
	// Whether the server has noticed by then is a matter of time.
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Reason != emitter.ReasonDisconnected && e.Outcome != emitter.OutcomeSuccess {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
	if n := len(b.saw("notifications/cancelled")); n != 0 {
		t.Errorf("%d cancels", n)
	}
}

// TestPatience lets a user take longer than 30 s to answer, without a GET
// stream: many clients' libraries give up then, the server must not.
func TestPatience(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 35 s")
	}
	t.Parallel()
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	got := make(chan wire.Message, 1)
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			c := make(chan wire.Message, 1)
			s.mu.Lock()
			s.answers["7"] = c
			s.mu.Unlock()
			a.event(`{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"?"}}`)
			got <- <-c
		}
		return false
	}
	one := spec("one", b.start(t))
	one.Timeout = 30 * time.Second // in which the user's time does not count
	s := serve(t, []upstream.Spec{one}, nil)
	p := connect(t, s.url+"/mcp", `{"elicitation":{}}`)
	resp := p.post(call("1", "t"))
	defer resp.Body.Close()
	answer := p.read(resp.Body, func(m wire.Message) {
		if m.Request() {
			time.Sleep(35 * time.Second) // the user thinks
			p.ask(string(wire.AppendResult(nil, m.ID, wire.Raw(`{"action":"accept","content":{"a":9007199254740993}}`))))
		}
	})
	if m := receive(t, got, "the answer at the back end"); string(m.Result) != `{"action":"accept","content":{"a":9007199254740993}}` {
		t.Errorf("the back end got %s %s", m.Result, m.Error)
	}
	if !strings.Contains(answer, `"result":{"content":[]}`) {
		t.Errorf("the client got %s", answer)
	}
}

// TestTrace lets a client name its trace: the back end gets the same, and no
// header that is for the server alone.
func TestTrace(t *testing.T) {
	var mu sync.Mutex
	var got http.Header
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			mu.Lock()
			got = r.Header.Clone()
			mu.Unlock()
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { inner.CloseClientConnections(); inner.Close() })
	one := spec("one", inner.URL)
	one.Header = http.Header{"X-Api-Key": {"for-the-back-end"}}
	s := serve(t, []upstream.Spec{one}, nil)
	p := connect(t, s.url+"/mcp", "")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	p.header = http.Header{"Traceparent": {parent}, "Tracestate": {"a=b"}, "Authorization": {"Bearer for-us"}, "Cookie": {"c=1"}, "X-Api-Key": {"for-us"}}
	p.ask(call("1", "t"))
	mu.Lock()
	defer mu.Unlock()
	want := []string{parent, "a=b", "", "", "for-the-back-end"}
	if diff := cmp.Diff(want, []string{got.Get("Traceparent"), got.Get("Tracestate"), got.Get("Authorization"), got.Get("Cookie"), got.Get("X-Api-Key")}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	route := s.store.of(emitter.TypeBackendRoute)[0]
	if route.Trace.TraceID != "0af7651916cd43dd8448eb211c80319c" || route.Trace.ParentAuditID != s.store.of(emitter.TypeToolCall)[0].AuditID {
		t.Errorf("trace of the route: %+v", route.Trace)
	}
}

// TestDrain tells the server that it is to end: streams end, new sessions are
// refused, a call under way is answered.
func TestDrain(t *testing.T) {
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
	p := connect(t, s.url+"/mcp", "")
	stream, err := p.do(t.Context(), http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	answered := make(chan string, 1)
	go func() {
		answer, _ := p.ask(call("1", "t"))
		answered <- answer
	}()
	receive(t, began, "the call")
	s.srv.Drain()
	p.read(stream.Body, nil) // to its end
	fresh := &peer{t: t, url: s.url + "/mcp"}
	if _, status := fresh.ask(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`); status != http.StatusServiceUnavailable {
		t.Errorf("a new session: status %d", status)
	}
	close(release)
	if answer := receive(t, answered, "the answer"); !strings.Contains(answer, `"result":{"content":[]}`) {
		t.Errorf("answer: %s", answer)
	}
}

// TestAmbiguous gives back ends names that make two tools one after the prefix:
// nobody gets that name, and the server says so.
// TestOneURI asks two back ends in turn for a resource that no list has.
// TestTasks lets a call become a task: what is asked about it goes to the back
// end that has it, and the lists of both are joined.
