package vmcp

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/health"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// changeling is a back end that may be replaced by one of the other era, with
// other tools. It refuses what is of the era that it does not speak, as an answer
// to the request.
type changeling struct {
	mu     sync.Mutex // guards what follows
	modern bool
	tool   string
	again  chan struct{} // closed when it is replaced: its streams end
}

func (c *changeling) replace(modern bool, tool string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again != nil {
		close(c.again)
	}
	c.modern, c.tool, c.again = modern, tool, make(chan struct{})
}

func (c *changeling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m, _ := wire.Parse(body)
	c.mu.Lock()
	modern, name, again := c.modern, c.tool, c.again
	c.mu.Unlock()
	say := func(status int, message []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(message)
	}
	switch is := r.Header.Get("Mcp-Protocol-Version") == upstream.Modern; {
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !m.Request():
		w.WriteHeader(http.StatusAccepted)
	case is != modern:
		say(http.StatusBadRequest, wire.AppendError(nil, m.ID, wire.NewError(wire.CodeVersion, "unsupported protocol version", nil)))
	case m.Method == "subscriptions/listen":
		a := &answer{w: w, id: m.ID}
		a.event(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}`)
		select {
		case <-again:
		case <-r.Context().Done():
		}
	default:
		result, ok := map[string]string{
			"server/discover": `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}`,
			"initialize":      `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}`,
			"ping":            "{}",
			"tools/list":      `{"tools":[` + tool(name) + `]}`,
			"tools/call":      `{"content":[],"ran":"` + name + `"}`,
		}[m.Method]
		if !ok {
			say(http.StatusNotFound, wire.AppendError(nil, m.ID, wire.NewError(wire.CodeMethodNotFound, "method not found", nil)))
			return
		}
		say(http.StatusOK, wire.AppendResult(nil, m.ID, wire.Raw(result)))
	}
}

// TestReplaced has a back end replaced by one of the other era, or of its own with
// other tools, faster than a check can find it away: clients hear of it, and their
// calls arrive.
func TestReplaced(t *testing.T) {
	var c changeling
	c.replace(false, "one")
	ts := httptest.NewServer(&c)
	t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	s := serve(t, []upstream.Spec{spec("b", ts.URL)}, nil)
	p := connect(t, s.url+"/mcp", "")
	messages := p.listen()
	for i, next := range []struct {
		modern bool
		tool   string
	}{{true, "two"}, {true, "three"}, {false, "four"}} {
		c.replace(next.modern, next.tool)
		for told := ""; told != "notifications/tools/list_changed"; {
			told = receive(t, messages, "the word of "+next.tool).Method
		}
		answer, _ := p.ask(call(fmt.Sprint(i+1), next.tool))
		if !strings.Contains(answer, `"ran":"`+next.tool+`"`) {
			t.Errorf("%s: %s", next.tool, answer)
		}
	}
}

// TestStorm has a back end announce a thousand changes while its lists are fetched:
// they are fetched once more.
func TestStorm(t *testing.T) {
	var mu sync.Mutex
	fetches, hold := 0, make(chan struct{})
	b := newScript(nil)
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/list" {
			return false
		}
		mu.Lock()
		fetches++
		n := fetches
		mu.Unlock()
		if n == 2 {
			<-hold
		}
		a.result(fmt.Sprintf(`{"tools":[%s]}`, tool(fmt.Sprint("t", n))))
		return true
	}
	s := serve(t, []upstream.Spec{spec("b", b.start(t))}, nil)
	until(t, "the gateway has its stream", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.streams) == 1 })
	b.mu.Lock()
	stream := b.streams[0]
	b.mu.Unlock()
	for i := range 1000 {
		stream.event(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		if i == 0 {
			until(t, "the lists are fetched", func() bool { mu.Lock(); defer mu.Unlock(); return fetches == 2 })
		}
	}
	if m := b.ask(stream, `"end"`, `{"jsonrpc":"2.0","id":"end","method":"roots/list"}`); m.Error == nil {
		t.Errorf("the gateway's own session has roots: %s", m.Result)
	}
	close(hold)
	until(t, "the trail has both changes", func() bool {
		return len(s.store.of(emitter.TypeBackendDiscovery)) == 3
	})
	mu.Lock()
	defer mu.Unlock()
	if fetches != 3 {
		t.Errorf("the list was fetched %d times, want at the start and twice for the changes", fetches)
	}
}

// TestBrokenAnswers has a back end answer a call with what is no answer, or break
// the connection within one: the call fails in time, runs once, and is not told
// as a success. The next one works.
func TestBrokenAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const jsonHead, sseHead = ok + "Content-Type: application/json\r\n", ok + "Content-Type: text/event-stream\r\n"
	raw := map[string]string{
		"nothing":            "",
		"half a status":      "HTTP/1.1 20",
		"no HTTP":            "SSH-2.0-OpenSSH_9.9\r\n\r\n",
		"half a header":      jsonHead + "X-Y: ",
		"no body":            jsonHead + "Content-Length: 100\r\n\r\n",
		"half a body":        jsonHead + "Content-Length: 100\r\n\r\n{\"jsonrpc\":",
		"half a chunk":       jsonHead + "Transfer-Encoding: chunked\r\n\r\n40\r\n{\"jsonrpc\":",
		"a bad chunk":        jsonHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"an empty body":      jsonHead + "Content-Length: 0\r\n\r\n",
		"half a JSON":        jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{",
		"two JSONs":          jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}",
		"an array":           jsonHead + "\r\n[{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}]",
		"another id":         jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":{}}",
		"an id of text":      jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":\"ID\",\"result\":{}}",
		"no id":              jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"result\":{}}",
		"no result":          jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID}",
		"result and error":   jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{},\"error\":{\"code\":1,\"message\":\"\"}}",
		"two results":        jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{},\"result\":{\"isError\":true}}",
		"an error of text":   jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"error\":\"no\"}",
		"a request":          jsonHead + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"method\":\"tools/call\"}",
		"gzip":               jsonHead + "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"HTML":               ok + "Content-Type: text/html\r\n\r\n<html>",
		"no content type":    ok + "\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}",
		"204":                "HTTP/1.1 204 No Content\r\n\r\n",
		"202":                "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
		"401":                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
		"403":                "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>",
		"429":                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n",
		"500 with a result":  "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}",
		"502":                "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>",
		"a redirect":         "HTTP/1.1 308 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
		"a stream of none":   sseHead + "\r\n",
		"a stream of noise":  sseHead + "\r\n: hi\n\ndata: {\n\ndata: []\n\nevent: x\ndata: {\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":{}}\n\n",
		"half an event":      sseHead + "\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}\n",
		"a stream with ids":  sseHead + "\r\nid: 1\ndata:\n\n", // the GET for the rest is refused
		"a header too large": ok + "X-Y: " + strings.Repeat("y", 70<<10) + "\r\n\r\n",
	}
	b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("good") + `,` + tool("bad") + `]}`, "tools/call good": `{"content":[]}`})
	var next atomic.Value
	b.handle = func(_ *script, a *answer, m wire.Message) bool {
		if m.Method != "tools/call" || wire.Text(wire.Get(m.Params, "name")) != "bad" {
			return false
		}
		conn, _, err := http.NewResponseController(a.w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(next.Load().(string), "ID", string(m.ID)))
		_ = conn.Close()
		return true
	}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	s := serve(t, []upstream.Spec{spec("one", ts.URL)}, func(o *Options) { o.Core.Health = health.Options{} })
	p := connect(t, s.url+"/mcp", "")
	for name, answer := range raw {
		next.Store(strings.Replace(answer, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)) // else the next call may meet its end
		before := len(b.saw("tools/call"))
		if got, _ := p.ask(call("1", "bad")); !strings.Contains(got, `"code":-32603`) || !strings.Contains(got, "gave no answer") {
			t.Errorf("%s: %s", name, got)
		}
		if n := len(b.saw("tools/call")) - before; n != 1 {
			t.Errorf("%s: the call ran %d times", name, n)
		}
		events := s.store.of(emitter.TypeToolCall)
		if e := events[len(events)-1]; e.Outcome != emitter.OutcomeError && e.Outcome != emitter.OutcomeFailure {
			t.Errorf("%s: %s %s", name, e.Outcome, e.Reason)
		}
		if got, _ := p.ask(call("2", "good")); !strings.Contains(got, `"result":{"content":[]}`) {
			t.Errorf("after %s: %s", name, got)
		}
	}
}
