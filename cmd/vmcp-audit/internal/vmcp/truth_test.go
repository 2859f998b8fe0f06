package vmcp

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestAmbiguousCancel cancels in ways that readers understand in different
// ones: nothing is cancelled, and the trail does not say so.
func TestAmbiguousCancel(t *testing.T) {
	began, release := make(chan struct{}, 2), make(chan struct{})
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	b.handle = func(_ *script, _ *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			began <- struct{}{}
			<-release
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	answered := make(chan string, 2)
	for _, id := range []string{"1", "2"} {
		go func() {
			answer, _ := p.ask(call(id, "t"))
			answered <- answer
		}()
		receive(t, began, "the call")
	}
	for _, params := range []string{`{"requestId":1,"requestId":2}`, `{"RequestId":2}`, `{"requestId":3,"requestID":1}`, `{"requeſtId":1}`} {
		if _, status := p.ask(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":` + params + `}`); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", params, status)
		}
	}
	close(release)
	for range 2 {
		if answer := receive(t, answered, "an answer"); !strings.Contains(answer, `"result"`) {
			t.Errorf("answer %q", answer)
		}
	}
	for _, e := range s.store.of(emitter.TypeToolCall) {
		if e.Outcome != emitter.OutcomeSuccess || len(e.Anomalies) != 0 {
			t.Errorf("%s %s %v", e.Outcome, e.Reason, e.Anomalies)
		}
	}
}

// TestCancelAcrossEras sends cancels of the stateless revision, which has none,
// and requests of it under a session: the calls of that session stay what they
// are, here and in the trail.
func TestCancelAcrossEras(t *testing.T) {
	began, release := make(chan struct{}, 2), make(chan struct{})
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	b.handle = func(_ *script, _ *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			began <- struct{}{}
			<-release
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	m := modern(t, s.url+"/mcp", "tools/call", "t")
	m.header.Set("Mcp-Session-Id", p.session)
	answered := make(chan string, 2)
	ask := func(p *peer, body string) {
		go func() {
			answer, _ := p.ask(body)
			answered <- answer
		}()
		receive(t, began, "the call")
	}
	ask(p, call("1", "t"))
	ask(m, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t",`+modernMeta+`}}`)
	cancel := func(params, version string) {
		c := &peer{t: t, url: s.url + "/mcp", header: http.Header{"Mcp-Session-Id": {p.session}, "Mcp-Protocol-Version": {version}}}
		c.ask(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + params + `}}`)
	}
	for _, meta := range []string{``, `,"_meta":{"io.modelcontextprotocol/protocolVersion":1}`} {
		cancel("1"+meta, upstream.Modern)
		cancel("2"+meta, upstream.Modern)
	}
	cancel(`1,"_meta":{"io.modelcontextprotocol/protocolVersion":1}`, upstream.Newest)
	cancel("2", upstream.Newest)
	close(release)
	for range 2 {
		if answer := receive(t, answered, "an answer"); !strings.Contains(answer, `"result"`) {
			t.Errorf("answer %q", answer)
		}
	}
	until(t, "both calls have their event", func() bool { return len(s.store.of(emitter.TypeToolCall)) == 2 })
	for _, e := range s.store.of(emitter.TypeToolCall) {
		if e.Outcome != emitter.OutcomeSuccess {
			t.Errorf("%s: %s %s", e.Trace.JSONRPCID, e.Outcome, e.Reason)
		}
	}
}

// TestLargeIDs cancels one of two calls whose ids are one number to those who
// count in floating point: the trail and the back end mean the same one.
func TestLargeIDs(t *testing.T) {
	began, release := make(chan struct{}, 2), make(chan struct{})
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	b.handle = func(_ *script, _ *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			began <- struct{}{}
			<-release
		}
		return false
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	const first, second = "9007199254740992", "9007199254740993"
	answers := make(map[string]chan string)
	for _, id := range []string{first, second} {
		c := make(chan string, 1)
		answers[id] = c
		go func() {
			answer, _ := p.ask(call(id, "t"))
			c <- answer
		}()
		receive(t, began, "the call")
	}
	p.ask(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + second + `}}`)
	if answer := receive(t, answers[second], "the end of the cancelled call"); answer != "" {
		t.Errorf("an answer to the cancelled call: %s", answer)
	}
	close(release)
	if answer := receive(t, answers[first], "the answer"); !strings.Contains(answer, `"result"`) {
		t.Errorf("the other call: %s", answer)
	}
	for _, e := range s.store.of(emitter.TypeToolCall) {
		if want := map[string]emitter.Outcome{first: emitter.OutcomeSuccess, second: emitter.OutcomeFailure}[e.Trace.JSONRPCID]; e.Outcome != want {
			t.Errorf("%s: %s", e.Trace.JSONRPCID, e.Outcome)
		}
	}
}

// asking is a back end whose tool asks the given question and gives back what
// came of it.
func asking(question string) *script {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		reply := s.ask(a, "5", `{"jsonrpc":"2.0","id":5,`+question+`}`)
		a.result(`{"content":[],"got":[` + string(reply.Result) + string(reply.Error) + `]}`)
		return true
	}
	return b
}

// answering calls tool t, answers what it asks, and returns the result.
func (p *peer) answering(result string) wire.Raw {
	p.t.Helper()
	resp := p.post(call("1", "t"))
	defer resp.Body.Close()
	var end wire.Raw
	p.read(resp.Body, func(m wire.Message) {
		if m.Request() {
			p.ask(string(wire.AppendResult(nil, m.ID, wire.Raw(result))))
		} else if m.Response() {
			end = m.Result
		}
	})
	return end
}

// TestAmbiguousAnswer answers a question with two actions: the back end gets an
// error, since it could read another one than the trail.
func TestAmbiguousAnswer(t *testing.T) {
	b := asking(`"method":"elicitation/create","params":{"message":"?"}`)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", `{"elicitation":{}}`)
	for _, answer := range []string{`{"action":"decline","action":"accept"}`, `{"Action":"accept"}`, `{"action":"accept","content":{},"content":{"x":1}}`} {
		if got := string(wire.Get(p.answering(answer), "got")); !strings.Contains(got, "-32602") {
			t.Errorf("%s: the back end got %s", answer, got)
		}
	}
	for _, e := range s.store.of(emitter.TypeElicitation) {
		if e.Outcome != emitter.OutcomeFailure || e.Reason != emitter.ReasonRPCError {
			t.Errorf("%s %s", e.Outcome, e.Reason)
		}
	}
}

// TestAnyQuestion lets a back end ask what no list of questions has: the trail
// tells of it all the same.
func TestAnyQuestion(t *testing.T) {
	for method, typ := range map[string]emitter.Type{"tasks/get": emitter.TypeTask, "vendor/ask": emitter.TypeRequest} {
		b := asking(`"method":"` + method + `","params":{}`)
		s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
		p := connect(t, s.url+"/mcp", "")
		p.answering(`{"x":1}`)
		events := s.store.of(typ)
		i := 0
		for i < len(events) && events[i].Target.Method != method {
			i++
		}
		if i == len(events) {
			t.Errorf("%s has no event", method)
			continue
		}
		e := events[i]
		if e.Outcome != emitter.OutcomeSuccess || e.Target.Server.Name != "one" || e.Trace.ParentAuditID != s.store.of(emitter.TypeToolCall)[0].AuditID {
			t.Errorf("%s: %s by %q, parent %s", method, e.Outcome, e.Target.Server.Name, e.Trace.ParentAuditID)
		}
	}
}

// TestMethodSecret has a client and a back end ask by methods that hold a secret:
// no event has it.
func TestMethodSecret(t *testing.T) {
	secret := "ghp_" + strings.Repeat("a1B2c3", 6)
	b := asking(`"method":"vendor/` + secret + `","params":{}`)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", "")
	p.answering(`{"x":1}`)
	p.ask(`{"jsonrpc":"2.0","id":2,"method":"vendor/` + secret + `"}`)
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	seen := 0
	for _, e := range s.store.events {
		if strings.Contains(e.Target.Method, secret) {
			t.Errorf("%s: %s", e.Type, e.Target.Method)
		} else if strings.HasPrefix(e.Target.Method, "vendor/") {
			seen++
		}
	}
	if seen != 3 { // the question, the request and its route
		t.Errorf("%d events", seen)
	}
}

// elsewhere is a back end that asks about a call on its GET stream, as servers
// in TypeScript do that are not told which request a question belongs to.
func elsewhere(t *testing.T) *script {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		reply := s.ask(s.stream(t, 2), "5", `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"?"}}`)
		a.result(`{"content":[],"got":[` + string(reply.Result) + string(reply.Error) + `]}`)
		return true
	}
	return b
}

// stream waits until n GET streams are open and returns the latest.
func (s *script) stream(t *testing.T, n int) (a *answer) {
	until(t, "the streams are open", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.streams) == n {
			a = s.streams[n-1]
		}
		return a != nil
	})
	return a
}

// TestQuestionElsewhere lets a back end ask on the stream that is for everything
// else: during a call its client is asked, without a GET stream of its own too,
// and the question is the call's; outside of a call it is the session's.
func TestQuestionElsewhere(t *testing.T) {
	b := elsewhere(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	b.stream(t, 1) // the watcher's
	p := connect(t, s.url+"/mcp", `{"elicitation":{}}`)
	if got := string(p.answering(`{"action":"accept"}`)); got != `{"content":[],"got":[{"action":"accept"}]}` {
		t.Errorf("result: %s", got)
	}
	of := s.store.of(emitter.TypeToolCall)[0]
	if e := s.store.of(emitter.TypeElicitation); len(e) != 1 || e[0].Trace.ParentAuditID != of.AuditID {
		t.Errorf("the events of the question: %v", e)
	}
	messages := p.listen()
	b.stream(t, 2).event(`{"jsonrpc":"2.0","id":6,"method":"elicitation/create","params":{"message":"?"}}`)
	q := receive(t, messages, "the question")
	p.ask(string(wire.AppendResult(nil, q.ID, wire.Raw(`{"action":"accept"}`))))
	until(t, "the second question has its event", func() bool { return len(s.store.of(emitter.TypeElicitation)) == 2 })
	e := s.store.of(emitter.TypeElicitation)[1]
	want := []string{of.Source.Value, of.Source.Extra.SessionID, of.Subjects.Type, of.Client.NameClaimed, ""}
	if diff := cmp.Diff(want, []string{e.Source.Value, e.Source.Extra.SessionID, e.Subjects.Type, e.Client.NameClaimed, e.Trace.ParentAuditID}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// init makes a back end over stdio of this program, if it is started as one: when
// as many calls are under way as it is told it asks, and gives all of them what
// came of it.
func init() {
	n, err := strconv.Atoi(os.Getenv("VMCP_TEST_ASKS"))
	if err != nil {
		return
	}
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	var calls []wire.Raw
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		m, _ := wire.Parse(bytes.Clone(in.Bytes()))
		switch {
		case m.Response():
			for _, id := range calls {
				fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[],"got":[%s%s]}}`+"\n", id, m.Result, m.Error)
			}
		case m.Method == "tools/call":
			if calls = append(calls, m.ID); len(calls) == n {
				fmt.Println(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?"}}`)
			}
		case m.Request():
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, b.results[m.Method])
		}
	}
	os.Exit(0)
}

// TestWhoseQuestion has modern clients before a back end over stdio, where
// nothing says whose question it is: of one call it is that one's, of two nobody
// is asked.
func TestWhoseQuestion(t *testing.T) {
	for n := 1; n <= 2; n++ {
		s := serve(t, []upstream.Spec{{Name: "b", Command: []string{os.Args[0]}, Env: []string{"VMCP_TEST_ASKS=" + strconv.Itoa(n)}}}, nil)
		answers := make(chan wire.Raw, n)
		for i := range n {
			go func() { answers <- try(modern(t, s.url+"/mcp", "tools/call", "t"), strconv.Itoa(i), "") }()
		}
		for range n {
			got := receive(t, answers, "an answer")
			switch asked := string(wire.Get(got, "result", "requestState")); {
			case n == 1:
				if got = try(modern(t, s.url+"/mcp", "tools/call", "t"), "9", `"requestState":`+asked+`,`+accepted); string(wire.Get(got, "result", "got")) != `[{"action":"accept"}]` {
					t.Errorf("one call: %s", got)
				}
			case !strings.Contains(string(wire.Get(got, "result", "got")), "-32601"):
				t.Errorf("two calls: %s", got)
			}
		}
	}
}

// try is a modern client's tools/call of tool t.
func try(p *peer, id, more string) wire.Raw {
	p.t.Helper()
	answer, _ := p.ask(`{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t",` + more + modernMeta + `}}`)
	return wire.Raw(answer)
}

const accepted = `"inputResponses":{"question":{"action":"accept"}},`

// TestParkElsewhere is TestPark with a back end that asks on its GET stream.
func TestParkElsewhere(t *testing.T) {
	b := elsewhere(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	b.stream(t, 1)
	p := modern(t, s.url+"/mcp", "tools/call", "t")
	state := string(wire.Get(try(p, "1", ""), "result", "requestState"))
	if got := string(wire.Get(try(p, "2", `"requestState":`+state+`,`+accepted), "result", "got")); got != `[{"action":"accept"}]` {
		t.Errorf("the end: %s", got)
	}
}

// TestParkTold goes on with a call under other arguments, which is refused; then
// its back end breaks off, and the trail tells of the last try what happened.
func TestParkTold(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		s.ask(a, "5", `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"?"}}`)
		return true // without an answer
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "tools/call", "t")
	state := string(wire.Get(try(p, "1", `"arguments":{"a":1,"b":[2]},`), "result", "requestState"))
	if got := try(p, "2", `"arguments":{"a":1,"b":[3]},"requestState":`+state+`,`+accepted); !strings.Contains(string(got), "-32602") {
		t.Errorf("other arguments: %s", got)
	}
	if got := try(p, "3", `"arguments":{ "b": [2], "a": 1 },"requestState":`+state+`,`+accepted); !strings.Contains(string(got), "gave no answer") {
		t.Errorf("the end: %s", got)
	}
	e := s.store.of(emitter.TypeToolCall)[2]
	if e.Outcome != emitter.OutcomeError || e.Reason != emitter.ReasonUpstreamAborted || e.Target.Server.Name != "one" || e.Target.Tool != "t" || e.Target.Definition == "" {
		t.Errorf("%s %s %+v", e.Outcome, e.Reason, e.Target)
	}
}

// TestParkProgress hears of the progress of a call under the token of the try
// that is under way.
func TestParkProgress(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		s.ask(a, "5", `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"?"}}`)
		a.event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(wire.Get(m.Params, "_meta", "progressToken")) + `,"progress":1}}`)
		a.result(`{"content":[]}`)
		return true
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "tools/call", "t")
	try := func(token, more string) string {
		meta := strings.Replace(modernMeta, `"_meta":{`, `"_meta":{"progressToken":`+token+`,`, 1)
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",` + more + meta + `}}`)
		return answer
	}
	state := string(wire.Get(wire.Raw(try(`"first"`, "")), "result", "requestState"))
	if got := try(`"second"`, `"requestState":`+state+`,`+accepted); !strings.Contains(got, `"progressToken":"second"`) {
		t.Errorf("the second try heard %s", got)
	}
}

// TestParkResource is asked about a resource: the try that brings the answer
// tells whose it was.
func TestParkResource(t *testing.T) {
	b := newScript(map[string]string{"resources/list": `{"resources":[{"uri":"x://1","name":"r"}]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "resources/read" {
			return false
		}
		s.ask(a, "5", `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"?"}}`)
		a.result(`{"contents":[]}`)
		return true
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := modern(t, s.url+"/mcp", "resources/read", "x://1")
	read := func(id, more string) wire.Raw {
		answer, _ := p.ask(`{"jsonrpc":"2.0","id":` + id + `,"method":"resources/read","params":{"uri":"x://1",` + more + modernMeta + `}}`)
		return wire.Raw(answer)
	}
	state := string(wire.Get(read("1", ""), "result", "requestState"))
	if got := read("2", `"requestState":`+state+`,`+accepted); wire.Get(got, "result", "contents") == nil {
		t.Errorf("the end: %s", got)
	}
	if e := s.store.of(emitter.TypeResourceRead)[1]; e.Outcome != emitter.OutcomeSuccess || e.Target.Server.Name != "one" {
		t.Errorf("%s by %q", e.Outcome, e.Target.Server.Name)
	}
}
