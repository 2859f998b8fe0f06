package vmcp

import (
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// What "make load" sets.
const sessionsEnv = "SERVE_SESSIONS"

// TestLeak opens and ends many sessions, some with a GET stream, some with calls,
// some in the middle of one: nothing of them is left, neither here nor at
// the back ends, and the trail has the end of each.
func TestLeak(t *testing.T) {
	total := 150
	if text := os.Getenv(sessionsEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", sessionsEnv, err)
		}
		total = n
	}
	l := &leak{T: t}
	for _, name := range []string{"one", "two"} {
		b := newScript(map[string]string{"tools/list": `{"tools":[` + tool("t") + `]}`, "tools/call": `{"content":[]}`})
		b.handle = l.hang
		l.backs = append(l.backs, b)
		l.specs = append(l.specs, spec(name, b.start(t)))
	}
	l.setup = serve(t, l.specs, nil)
	l.sessions(total / 10) // what is kept for the next time is no leak
	before := l.measure()
	l.sessions(total)
	after := l.measure()
	t.Logf("before %+v, after %d sessions more %+v", before, total, after)
	if grown := after.heap - before.heap; grown > 1<<18+256*int64(total) {
		t.Errorf("%d sessions leave %d bytes", total, grown)
	}
	if after.files > before.files+8 { // connections that are kept for the next request
		t.Errorf("%d files are open, %d before", after.files, before.files)
	}
	if n := int64(total + total/10); l.ends != n {
		t.Errorf("the trail has the ends of %d sessions, want %d", l.ends, n)
	}
}

type leak struct {
	*testing.T
	*setup
	specs []upstream.Spec
	backs []*script
	ends  int64    // sessions of which the trail tells the end
	began sync.Map // channels that are closed when a call hangs, by its argument
}

// hang is a tool that does not answer.
func (l *leak) hang(_ *script, a *answer, m wire.Message) bool {
	began, ok := l.began.LoadAndDelete(wire.Text(wire.Get(m.Params, "arguments", "n")))
	if !ok {
		return false
	}
	close(began.(chan struct{}))
	<-a.ctx.Done()
	return true
}

// sessions opens and ends n sessions, four at a time.
func (l *leak) sessions(n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := next.Add(1); int(i) <= n; i = next.Add(1) {
				l.session(i)
				if i%100 == 0 {
					l.forget()
				}
			}
		})
	}
	wg.Wait()
}

func (l *leak) session(i int64) {
	p := &peer{t: l, url: l.url + "/mcp"}
	send := func(method, body string) *http.Response {
		resp, err := p.do(l.Context(), method, body)
		if err != nil {
			l.Errorf("%s %s: %v", method, body, err)
			return &http.Response{Body: http.NoBody}
		}
		return resp
	}
	begin := send(http.MethodPost, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"0"}}}`)
	_ = begin.Body.Close()
	p.session = begin.Header.Get("Mcp-Session-Id")
	if i%3 == 0 {
		defer send(http.MethodGet, "").Body.Close()
	}
	if i%2 == 0 {
		for _, body := range []string{`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, call("2", "one_t"), call("3", "none")} {
			_ = send(http.MethodPost, body).Body.Close()
		}
	}
	if i%5 == 0 {
		began, ended, n := make(chan struct{}), make(chan struct{}), p.session
		l.began.Store(n, began)
		go func() {
			defer close(ended)
			_ = send(http.MethodPost, `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"two_t","arguments":{"n":"`+n+`"}}}`).Body.Close()
		}()
		defer func() { <-ended }()
		<-began
	}
	if resp := send(http.MethodDelete, ""); resp.StatusCode != http.StatusOK {
		l.Errorf("DELETE: %s", resp.Status)
	}
}

// forget counts and drops what the test itself remembers.
func (l *leak) forget() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	for _, e := range l.store.events {
		if e.Type == emitter.TypeSessionEnd {
			l.ends++
		}
	}
	l.store.events = nil
	for _, b := range l.backs {
		b.mu.Lock()
		b.seen = nil
		b.mu.Unlock()
	}
}

// footprint is what a process holds.
type footprint struct {
	goroutines int
	heap       int64 // bytes
	files      int
}

// measure waits until everything has ended that only takes its time, and
// returns what is left.
func (l *leak) measure() footprint {
	l.Helper()
	until(l, "no session is left", func() bool { own, hubs := l.srv.core.Sessions(); return own+hubs == 0 })
	until(l, "at the back ends only the watcher's sessions are left", func() bool {
		for _, b := range l.backs {
			b.mu.Lock()
			n, streams := len(b.sessions), len(b.streams)
			b.mu.Unlock()
			if n != 1 || streams != 1 {
				return false
			}
		}
		return true
	})
	// The watchers' streams at two back ends, here and there, and their checks.
	const lasting = 60
	until(l, "no goroutine of a session is left", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return runtime.NumGoroutine() < lasting
	})
	l.forget()
	runtime.GC()
	runtime.GC() // what finalizers have let go
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	files, _ := os.ReadDir("/proc/self/fd") // elsewhere none is counted
	return footprint{runtime.NumGoroutine(), int64(mem.HeapAlloc), len(files)}
}
