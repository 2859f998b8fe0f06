package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// What "make load" sets.
const (
	loadOpsEnv  = "LOAD_OPS"
	loadSeedEnv = "LOAD_SEED"
)

// The back ends of TestServeLoad: one is well, one is killed and started again,
// one changes its tools, one sends garbage and one never answers.
const loadFile = `
backends:
  - {name: steady, url: "http://%s/mcp"}
  - {name: mortal, url: "http://%s/mcp"}
  - {name: fickle, url: "http://%s/mcp"}
  - {name: rotten, url: "http://%s/mcp"}
  - {name: slow, url: "http://%s/mcp"}
operational:
  timeouts: {default: 5m, perWorkload: {slow: 300ms}}
  failureHandling: {healthCheckInterval: 10s, healthCheckTimeout: 9s, unhealthyThreshold: 1}
`

// TestServeLoad lets clients of both eras work, several calls at a time in one
// session, while back ends die and return, change their tools, send garbage and
// hang. Then the trail has for each operation one event that says what the
// client saw, no call ran twice, and nothing of the sessions is left.
func TestServeLoad(t *testing.T) {
	seed := number(t, loadSeedEnv, rand.Uint64())
	t.Logf("%s=%d", loadSeedEnv, seed)
	l := &load{T: t, each: number(t, loadOpsEnv, 40)}
	l.steady, l.mortal = newBackend(t, "steady", "echo", "ask", "wait", "fail"), newBackend(t, "mortal", "echo")
	l.fickle, l.rotten = newBackend(t, "fickle", "echo", "more"), newBackend(t, "rotten", "echo")
	slow := newBackend(t, "slow", "echo")
	l.rotten.odd = rot
	slow.odd = func(c *turn) bool { <-c.r.Context().Done(); return true }
	all := []*backend{l.steady, l.mortal, l.fickle, l.rotten, slow}
	file := filepath.Join(t.TempDir(), "vmcp.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, loadFile, l.steady.addr, l.mortal.addr, l.fickle.addr, l.rotten.addr, slow.addr), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startAudited(t, nil, "serve", "--listen", "127.0.0.1:0", "--config", file)
	p.found(t, len(all))
	l.url = p.url + everythingPath

	stop := l.disturb()
	seen := drive(t, map[string]func(testing.TB) view{
		"old": func(t testing.TB) view { return l.client(t, "old", seed, false) },
		"new": func(t testing.TB) view { return l.client(t, "new", seed+1, true) },
	})
	stop()
	last := &loadClient{load: l, TB: t, name: "last", rec: newRecorder("last", clientHeader("last"))}
	last.begin()
	until(t, "every back end answers again", func() bool { return last.echo("mortal") && last.echo("fickle") && last.echo("steady") })
	last.finish()
	seen.add(last.rec.seen())
	for _, b := range all {
		until(t, "at "+b.name+" the sessions of clients are closed", func() bool { return b.open() <= 2 })
	}
	outside, inside := split(t, p.stop(t))
	t.Logf("%d requests, %d events of clients, %d of the inside", len(seen.exchanges), len(outside), len(inside))
	compare(t, seen, outside)
	count(t, seen, outside)
	for _, e := range outside {
		if e.Target.Name == "slow_echo" && e.Reason != emitter.ReasonUpstreamTimeout {
			t.Errorf("no time-out: %s", e.Stored())
		}
	}
}

// count compares how many operations of each kind there are.
func count(t *testing.T, v view, tr trail) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, x := range v.exchanges {
		if x.HTTP == http.MethodPost && x.Status != 0 {
			want[kindOf(x.sent()).typ]++
		}
	}
	for typ := range want {
		got[typ] = tr.count(emitter.Type(typ))
		if got[typ] != want[typ] {
			t.Errorf("%d events of type %s, want %d", got[typ], typ, want[typ])
		}
	}
	t.Logf("operations: %v", want)
}

// load is what the clients of a test share.
type load struct {
	*testing.T
	url                            string
	each                           uint64 // operations of one worker
	done                           atomic.Uint64
	steady, mortal, fickle, rotten *backend
}

const loadWorkers = 3 // calls of one client at a time

// disturb lets back ends die, return and change as the clients get on, until
// the returned function is called, after which all are there.
func (l *load) disturb() (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for step := 0; l.progress(end); step++ {
			switch step % 3 {
			case 0:
				l.mortal.kill()
				l.fickle.change("echo")
			case 1:
				l.mortal.start()
			case 2:
				l.fickle.change("echo", "more")
			}
		}
		l.mortal.kill()
		l.mortal.start()
	})
	return func() { close(end); wg.Wait() }
}

// progress waits until the clients have done some more, and reports whether
// they go on.
func (l *load) progress(end <-chan struct{}) bool {
	for goal := l.done.Load() + 10; l.done.Load() < goal; {
		select {
		case <-end:
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// rot answers in one of many ways that are not MCP, in turn.
func rot(c *turn) bool {
	n, _ := strconv.Atoi(c.n[strings.LastIndexByte(c.n, '-')+1:])
	id := string(c.id)
	hijack := func(text string) {
		conn, _, err := http.NewResponseController(c.w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
	plain := func(media, text string) {
		c.w.Header().Set("Content-Type", media)
		_, _ = io.WriteString(c.w, text)
	}
	switch n % 12 {
	case 0:
		plain("application/json", `{"jsonrpc":"2.0","id":99,"result":{}}`)
	case 1:
		plain("text/html", "<h1>Welcome</h1>")
	case 2:
		http.Error(c.w, "<h1>Bad Gateway</h1>", http.StatusBadGateway)
	case 3:
		plain("application/json", `{"jsonrpc":"2.0","id":`+id+`,"result":{"content":[`)
	case 4:
		for _, junk := range []string{"{", "[]", "null", `{"jsonrpc":"2.0","id":77,"result":{}}`, `{"jsonrpc":"2.0","method":5}`} {
			c.event(junk)
		}
		return false // and then as it should
	case 5:
		c.event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"that was all"}}`)
	case 6:
		c.answer(`"error":{"code":-32099,"message":"own","data":{"n":9007199254740993}}`)
	case 7:
		c.w.WriteHeader(http.StatusNoContent)
	case 8:
		plain("application/json", `{"jsonrpc":"2.0","id":`+id+`}`)
	case 9:
		hijack("")
	case 10:
		hijack("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:")
	case 11:
		http.Error(c.w, "slow down", http.StatusTooManyRequests)
	}
	return true
}

// loadClient is one client, of the old era with a session, or of the new one.
type loadClient struct {
	*load
	testing.TB
	name    string
	modern  bool
	rec     *recorder
	session string
	ids     atomic.Int64
}

// client works with several workers at a time and returns what it saw.
func (l *load) client(t testing.TB, name string, seed uint64, modern bool) view {
	c := &loadClient{load: l, TB: t, name: name, modern: modern, rec: newRecorder(name, clientHeader(name))}
	c.begin()
	var wg sync.WaitGroup
	for w := range uint64(loadWorkers) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, w))
			for range l.each {
				c.one(rng.IntN(14))
				l.done.Add(1)
			}
		})
	}
	wg.Wait()
	c.finish()
	return c.rec.seen()
}

func (c *loadClient) begin() {
	if c.modern {
		c.want("server/discover", `{}`, "", "supportedVersions")
		return
	}
	c.want("initialize", `{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"`+c.name+`","version":"1"}}`, "", "protocolVersion")
	c.post(context.Background(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, nil)
}

func (c *loadClient) finish() {
	if !c.modern {
		c.do(context.Background(), http.MethodDelete, "", nil, nil)
	}
	c.rec.base.CloseIdleConnections()
}

// one does one of the things that clients do.
func (c *loadClient) one(which int) {
	n := fmt.Sprintf("%s-%d", c.name, c.ids.Add(1))
	argument := `"arguments":{"n":"` + n + `"}`
	call := func(tool, more string, wants ...string) string {
		return c.want("tools/call", `{"name":"`+tool+`",`+argument+more+`}`, tool, wants...)
	}
	const gone, unknown = "gave no answer", "unknown tool"
	switch which {
	case 0, 1:
		call("steady_echo", "", `"steady `+n+`"`)
	case 2, 3, 4:
		if got := call("mortal_echo", "", `"mortal `+n+`"`, gone, unknown); strings.Contains(got, `"mortal `+n) != (c.mortal.runs(n) == 1) && !strings.Contains(got, gone) {
			c.TB.Errorf("%s ran %d times: %s", n, c.mortal.runs(n), got)
		}
	case 5:
		call("fickle_echo", "", `"fickle `+n+`"`)
	case 6:
		call("fickle_more", "", `"fickle `+n+`"`, unknown)
	case 7, 8:
		call("rotten_echo", "", `"rotten `+n+`"`, gone, `"data":{"n":9007199254740993}`)
	case 9:
		call("slow_echo", "", gone)
	case 10:
		c.cancel(n)
	case 11:
		c.answerQuestion(n, argument)
	case 12:
		c.want("tools/list", `{}`, "", `"steady_echo"`)
		c.want("resources/read", `{"uri":"steady://1"}`, "steady://1", `"one"`)
		c.want("prompts/get", `{"name":"steady_hello"}`, "steady_hello", `"steady"`)
	case 13:
		call("nobody_echo", "", unknown)
		call("steady_fail", "", `"isError":true`)
	}
}

// echo reports whether a back end answers.
func (c *loadClient) echo(backend string) bool {
	n := fmt.Sprintf("%s-%d", c.name, c.ids.Add(1))
	got := c.want("tools/call", `{"name":"`+backend+`_echo","arguments":{"n":"`+n+`"}}`, backend+"_echo", "")
	return strings.Contains(got, `"`+backend+" "+n+`"`)
}

// cancel cancels a call when it has told its progress.
func (c *loadClient) cancel(n string) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	id, body, header := c.request("tools/call", `{"name":"steady_wait","arguments":{"n":"`+n+`"},"_meta":{"progressToken":"`+n+`"}}`, "steady_wait")
	told := false
	answer := c.post(ctx, body, header, func(m rpc) {
		told = told || m.Method == "notifications/progress"
		switch {
		case m.Method != "notifications/progress":
		case c.modern:
			leave()
		default:
			c.post(context.Background(), `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+id+`}}`, nil, nil)
		}
	})
	if !told || strings.Contains(answer, `"id":`+id) {
		c.TB.Errorf("%s: a cancelled call told its progress: %t, and was answered %s", n, told, answer)
	}
}

// answerQuestion calls a tool that asks the user.
func (c *loadClient) answerQuestion(n, argument string) {
	const tool, accepted = "steady_ask", "steady accept"
	if c.modern {
		first := c.want("tools/call", `{"name":"`+tool+`",`+argument+`}`, tool, `"input_required"`)
		m, _ := parseRPC(first)
		if m.Result == nil {
			return
		}
		c.want("tools/call", `{"name":"`+tool+`",`+argument+`,"requestState":`+string(m.Result.RequestState)+`,"inputResponses":{"question":{"action":"accept"}}}`, tool, accepted)
		return
	}
	_, body, header := c.request("tools/call", `{"name":"`+tool+`",`+argument+`}`, tool)
	answer := c.post(context.Background(), body, header, func(m rpc) {
		if m.Method == "elicitation/create" {
			c.post(context.Background(), `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"action":"accept"}}`, nil, nil)
		}
	})
	if !strings.Contains(answer, accepted) {
		c.TB.Errorf("%s: %s", n, answer)
	}
}

// want sends a request; its answer must hold one of wants.
func (c *loadClient) want(method, params, name string, wants ...string) string {
	id, body, header := c.request(method, params, name)
	answer := c.post(context.Background(), body, header, nil)
	for _, w := range wants {
		if strings.Contains(answer, w) && (strings.Contains(answer, `"id":`+id+`,`) || strings.Contains(answer, `"id":`+id+`}`)) {
			return answer
		}
	}
	c.TB.Errorf("%s: %s\nwant one of %q", body, answer, wants)
	return answer
}

// request makes a request of the client's era.
func (c *loadClient) request(method, params, name string) (id, body string, header http.Header) {
	id = strconv.FormatInt(c.ids.Add(1), 10)
	if !c.modern {
		return id, `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`, nil
	}
	var p map[string]json.RawMessage
	var meta map[string]json.RawMessage
	_ = json.Unmarshal([]byte(params), &p)
	_ = json.Unmarshal(p["_meta"], &meta)
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	meta[metaPrefix+"protocolVersion"] = json.RawMessage(`"2026-07-28"`)
	meta[metaPrefix+"clientCapabilities"] = json.RawMessage(`{"elicitation":{}}`)
	meta[metaPrefix+"clientInfo"] = json.RawMessage(`{"name":"` + c.name + `","version":"1"}`)
	p["_meta"], _ = json.Marshal(meta)
	out, _ := json.Marshal(p)
	header = http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method}}
	if name != "" {
		header.Set("Mcp-Name", name)
	}
	return id, `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + string(out) + `}`, header
}

func (c *loadClient) post(ctx context.Context, body string, header http.Header, seen func(rpc)) string {
	return c.do(ctx, http.MethodPost, body, header, seen)
}

// do sends a request and reads the answer, message by message if it is a
// stream. It returns the last message.
func (c *loadClient) do(ctx context.Context, method, body string, header http.Header, seen func(rpc)) string {
	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(body))
	if err != nil {
		c.TB.Error(err)
		return ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.rec.httpClient().Do(req)
	if err != nil {
		c.TB.Errorf("%s: %v", body, err)
		return ""
	}
	defer resp.Body.Close()
	if s := resp.Header.Get("Mcp-Session-Id"); s != "" {
		c.session = s
	}
	last := ""
	err = messages(resp, func(text string) {
		last = text
		if m, ok := parseRPC(text); ok && seen != nil {
			seen(m)
		}
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		c.TB.Errorf("%s: %v after %s", body, err, last)
	}
	return last
}
