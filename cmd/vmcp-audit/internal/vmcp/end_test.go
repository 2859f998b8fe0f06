package vmcp

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// terminal is a client over stdio.
type terminal struct {
	t     *testing.T
	in    *io.PipeWriter
	lines *bufio.Scanner
	stop  context.CancelFunc // as SIGTERM does
	ended chan struct{}
}

// open serves a client of s over stdio.
func (s *setup) open(t *testing.T, drain time.Duration) *terminal {
	t.Helper()
	in, write := io.Pipe()
	read, out := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	x := &terminal{t: t, in: write, lines: bufio.NewScanner(read), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(x.ended)
		if err := s.srv.Stdio(ctx, in, out, middleware.HTTP(s.store, middleware.Options{}), drain); err != nil {
			t.Error(err)
		}
		_ = out.Close()
	}()
	t.Cleanup(func() {
		stop()
		_ = write.Close()
		_ = read.Close()
		receive(t, x.ended, "the end")
	})
	return x
}

func (x *terminal) say(message string) { _, _ = io.WriteString(x.in, message+"\n") }

// hear returns the next message, "" if there is none any more.
func (x *terminal) hear() string {
	x.lines.Scan()
	return x.lines.Text()
}

const oldHello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"pipe","version":"1"}}}`

// blocking is a back end with a tool t, whose call is told to began and answered
// after release.
func blocking(t *testing.T) (b *script, began chan wire.Message, release chan struct{}) {
	began, release = make(chan wire.Message, 10), make(chan struct{})
	b = newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
	b.handle = func(_ *script, _ *answer, m wire.Message) bool {
		if m.Method == "tools/call" {
			began <- m
			select {
			case <-release:
			case <-t.Context().Done(): // the test has failed
			}
		}
		return false
	}
	return b, began, release
}

// TestStdioEarly asks before it says hello: the refusal has the request's id.
func TestStdioEarly(t *testing.T) {
	s := serve(t, []upstream.Spec{{Name: "b", Server: counting()}}, nil)
	x := s.open(t, patience)
	x.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`) // to which there is no answer
	x.say(`{"jsonrpc":"2.0","id":"early","method":"tools/list"}`)
	if got := x.hear(); !strings.Contains(got, `"id":"early"`) || !strings.Contains(got, `"error"`) {
		t.Errorf("got %s", got)
	}
}

// TestStdioEnd ends the input of a server while a modern client listens and a
// call is under way: the call is answered, and the server ends.
func TestStdioEnd(t *testing.T) {
	b, began, release := blocking(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	x := s.open(t, patience)
	x.say(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + modernMeta + `}}`)
	if got := x.hear(); !strings.Contains(got, "acknowledged") {
		t.Fatalf("listen: %s", got)
	}
	x.say(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t",` + modernMeta + `}}`)
	receive(t, began, "the call")
	_ = x.in.Close()
	if got := x.hear(); !strings.Contains(got, `"id":"sub","result"`) {
		t.Errorf("the end of the subscription: %s", got)
	}
	close(release)
	if got := x.hear(); !strings.Contains(got, `"id":2,"result"`) {
		t.Errorf("the answer: %s", got)
	}
	receive(t, x.ended, "the end")
}

// TestStdioStopped stops a server during a call: it is answered, and the server
// ends although its input has not.
func TestStdioStopped(t *testing.T) {
	b, began, release := blocking(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	x := s.open(t, patience)
	x.say(oldHello)
	x.hear()
	x.say(call("1", "t"))
	receive(t, began, "the call")
	x.stop()
	until(t, "the server drains", func() bool {
		_, status := (&peer{t: t, url: s.url + "/mcp"}).ask(oldHello)
		return status == http.StatusServiceUnavailable
	})
	close(release)
	if got := x.hear(); !strings.Contains(got, `"id":1,"result"`) {
		t.Errorf("the answer: %s", got)
	}
	receive(t, x.ended, "the end")
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Outcome != emitter.OutcomeSuccess {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
	if e := s.store.of(emitter.TypeSessionEnd); len(e) != 1 || e[0].Reason != emitter.ReasonServerClosed || e[0].Metadata.Extra.Operations != emitter.Of(1) {
		t.Errorf("the session's end: %v", e)
	}
}

// TestStdioLate stops a server whose call does not end in time, and whose client
// reads nothing: it ends all the same.
func TestStdioLate(t *testing.T) {
	b, began, release := blocking(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	t.Cleanup(func() { close(release) })
	x := s.open(t, 0)
	x.say(oldHello)
	x.hear()
	x.say(call("1", "t"))
	receive(t, began, "the call")
	x.say(`{"jsonrpc":"2.0","id":2,"method":"ping"}`) // whose answer nobody reads
	x.stop()
	receive(t, x.ended, "the end")
}

// TestStdioDeaf stops a server whose client reads nothing, while the server is
// about to tell it that a line is no message.
func TestStdioDeaf(t *testing.T) {
	s := serve(t, []upstream.Spec{{Name: "b", Server: counting()}}, nil)
	x := s.open(t, 0)
	x.say("garbage")
	until(t, "it was looked at", func() bool { return len(s.store.of(emitter.TypeHTTPRequest)) == 1 })
	x.stop()
	receive(t, x.ended, "the end")
}

// TestStdioCancel cancels a call of revision 2026-07-28, which over stdio takes
// a message.
func TestStdioCancel(t *testing.T) {
	b, began, release := blocking(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	t.Cleanup(func() { close(release) })
	x := s.open(t, patience)
	x.say(`{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t",` + modernMeta + `}}`)
	receive(t, began, "the call")
	x.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}`)
	until(t, "the back end hears of it", func() bool { return len(b.saw("notifications/cancelled")) == 1 })
	until(t, "the call has its event", func() bool { return len(s.store.of(emitter.TypeToolCall)) == 1 })
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Reason != emitter.ReasonCancelled {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
	x.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}`) // too late
	x.say(`{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{` + modernMeta + `}}`)
	if got := x.hear(); !strings.Contains(got, `"id":"d"`) {
		t.Errorf("after the cancel: %s", got)
	}
	for i, e := range s.store.of(emitter.TypeNotification) {
		if e.Outcome != emitter.OutcomeSuccess || e.Metadata.Extra.MCPVersion != upstream.Modern {
			t.Errorf("cancel %d: %s %s %s", i, e.Outcome, e.Reason, e.Metadata.Extra.MCPVersion)
		}
	}
}

// TestDrainQuestion drains the server while a client is asked: the answer could
// not come in any more, so the back end is told, and the call is answered.
func TestDrainQuestion(t *testing.T) {
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`})
	b.handle = func(s *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" {
			return false
		}
		reply := s.ask(a, "5", `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"?"}}`)
		a.result(`{"content":[],"told":` + string(wire.Get(reply.Error, "code")) + `}`)
		return true
	}
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := connect(t, s.url+"/mcp", `{"elicitation":{}}`)
	resp := p.post(call("1", "t"))
	defer resp.Body.Close()
	answer := p.read(resp.Body, func(m wire.Message) {
		if m.Method == "elicitation/create" {
			s.srv.Drain()
		}
	})
	if !strings.Contains(answer, `"told":-32603`) {
		t.Errorf("the client got %s", answer)
	}
	if e := s.store.of(emitter.TypeToolCall)[0]; e.Outcome != emitter.OutcomeSuccess {
		t.Errorf("%s %s", e.Outcome, e.Reason)
	}
}

// TestDrainSSE drains the server during the call of a client of the oldest
// revision: its stream lasts until the answer.
func TestDrainSSE(t *testing.T) {
	b, began, release := blocking(t)
	s := serve(t, []upstream.Spec{spec("one", b.start(t))}, nil)
	p := &peer{t: t, url: s.url + "/sse"}
	resp, err := p.do(t.Context(), http.MethodGet, "")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := wire.NewEventReader(resp.Body)
	next := func() string {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		return string(e.Data)
	}
	to := &peer{t: t, url: s.url + next()}
	to.ask(oldHello)
	next()
	to.ask(call("1", "t"))
	receive(t, began, "the call")
	s.srv.Drain()
	until(t, "the stream takes no more messages", func() bool {
		_, status := to.ask(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		return status == http.StatusBadRequest
	})
	close(release)
	if got := next(); !strings.Contains(got, `"id":1,"result"`) {
		t.Errorf("the answer: %s", got)
	}
	if _, err := events.Next(); err == nil {
		t.Error("the stream goes on")
	}
}
