package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

// newHEC returns a collector and its address.
func newHEC(t *testing.T, opt hectest.Options) (*hectest.Collector, string) {
	t.Helper()
	c := hectest.New(opt)
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return c, s.URL
}

// newUpstream returns the address of a server that answers every call.
func newUpstream(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (p *running) call(t *testing.T, tool string) {
	t.Helper()
	body := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`)
	resp, err := http.Post(p.url+"/mcp", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
}

// tools returns the tools whose calls were indexed, in order, each call once:
// what is not acknowledged when the program ends comes again.
func tools(t *testing.T, c *hectest.Collector) (names []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, body := range c.Bodies() {
		var e struct {
			ID     string `json:"audit_id"`
			Type   string
			Target struct{ Name string }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "mcp_tool_call" && !seen[e.ID] {
			seen[e.ID] = true
			names = append(names, e.Target.Name)
		}
	}
	return names
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestProxyToHEC: events arrive while the proxy runs, with a token that changes
// on the way, and in the next run if Splunk was away at the end of this one.
func TestProxyToHEC(t *testing.T) {
	collector, address := newHEC(t, hectest.Options{Acks: true})
	token := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(token, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(hectest.Token)
	environ := []string{
		"STATE_DIRECTORY=" + t.TempDir(), "VMCP_AUDIT_HEC_URL=" + address, "VMCP_AUDIT_HEC_TOKEN_FILE=" + token,
		"VMCP_AUDIT_HEC_BATCH_LINGER=0s", "VMCP_AUDIT_FLUSH_TIMEOUT=200ms",
	}
	upstream := newUpstream(t)
	p := start(t, upstream, environ...)
	p.call(t, "one")
	waitFor(t, "the first call is indexed", func() bool { return len(tools(t, collector)) == 1 })

	const next = "11111111-2222-4333-8444-555555555555"
	collector.SetToken(next)
	write(next)
	p.call(t, "two")
	waitFor(t, "the call after the change of the token is indexed", func() bool { return len(tools(t, collector)) == 2 })

	collector.DisableToken(true)
	p.call(t, "three")
	p.all(t) // exit code 0: nothing is lost
	collector.DisableToken(false)

	p = start(t, upstream, environ...)
	waitFor(t, "the call that was left is indexed", func() bool { return len(tools(t, collector)) == 3 })
	p.all(t)
	if diff := cmp.Diff([]string{"one", "two", "three"}, tools(t, collector)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestDigestsJoinAcrossRuns: the same arguments have the same digest in two runs
// on one spool.
func TestDigestsJoinAcrossRuns(t *testing.T) {
	state := "STATE_DIRECTORY=" + t.TempDir()
	upstream := newUpstream(t)
	digests := map[string]bool{}
	for range 2 {
		p := start(t, upstream, state)
		p.call(t, "same")
		p.all(t)
		trail, err := os.ReadFile(p.trail)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(trail)) {
			if _, rest, ok := strings.Cut(line, `"request_digest":"`); ok {
				digests[rest[:35]] = true
			}
		}
	}
	if len(digests) != 1 {
		t.Errorf("digests %v, want one", digests)
	}
}

// TestFullSpool: Splunk is away until the spool is full. With refuse a call does
// not run then, and nothing is lost; else calls run, and their events are.
func TestFullSpool(t *testing.T) {
	upstream := newUpstream(t)
	long := strings.Repeat("x", 400)
	for policy, want := range map[string]struct {
		status, code int
		said         string
	}{
		"refuse":      {http.StatusServiceUnavailable, exitOK, "audit events are left in the spool"},
		"drop-newest": {http.StatusOK, exitFailed, "audit events were lost: "},
		"drop-oldest": {http.StatusOK, exitFailed, "removed to make room"},
	} {
		t.Run(policy, func(t *testing.T) {
			p := start(t, upstream, "VMCP_AUDIT_HEC_URL=http://127.0.0.1:1", "VMCP_AUDIT_HEC_TOKEN=x", "VMCP_AUDIT_FLUSH_TIMEOUT=0s",
				"VMCP_AUDIT_SPOOL_MAX_SIZE=1MiB", "VMCP_AUDIT_SPOOL_FULL="+policy)
			status := 0
			for i := 0; i < 2000 && status != http.StatusServiceUnavailable; i++ {
				body := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + long + `"}}`)
				resp, err := http.Post(p.url+"/mcp", "application/json", body)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				status = resp.StatusCode
			}
			p.stop()
			if code := <-p.code; status != want.status || code != want.code {
				t.Errorf("status %d, exit code %d", status, code)
			}
			if said := p.stderr.buf.String(); !strings.Contains(said, want.said) {
				t.Errorf("stderr %s", said)
			}
		})
	}
}
