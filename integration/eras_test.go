package integration

import (
	"net/http/httptest"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestModern lets clients that speak revision 2026-07-28 talk to servers that
// do, behind the proxy.
func TestModern(t *testing.T) {
	needNode(t)
	servers := map[string]*httptest.Server{
		"mcp-go": httptest.NewServer(mcpGoHandler()),
		"go-sdk": httptest.NewServer(goSDKHandler(true)),
	}
	for name, srv := range servers {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(srv.Close)
			p := startProxy(t, srv.URL)
			url := withSecret(p.url + everythingPath)
			all := drive(t, map[string]func(testing.TB) view{
				"ts-v2": func(t testing.TB) view { return runTS(t, "v2", "ts-v2", url, modernScript()) },
				"mcp-go": func(t testing.TB) view {
					c := &mcpGo{url: url, http: newRecorder("mcp-go", clientHeader("mcp-go"))}
					return runGo(t, c, &c.driver, c.http, modernScript())
				},
				"go-sdk": func(t testing.TB) view {
					c := &goSDK{url: url, http: newRecorder("go-sdk", clientHeader("go-sdk"))}
					return runGo(t, c, &c.driver, c.http, modernScript())
				},
			})
			tr := p.stop(t)
			compare(t, all, tr)
			modernOnly(t, tr, 3)
			noSecrets(t, p, all, append(plain, shaped...)...)
		})
	}
}

// modernOnly checks that the clients discovered, and that nothing of older
// revisions is in the trail.
func modernOnly(t testing.TB, tr trail, clients int) {
	t.Helper()
	count := make(map[emitter.Type]int)
	pending := 0
	for _, e := range tr {
		count[e.Type]++
		if e.Outcome == emitter.OutcomePending {
			pending++
		}
		if e.Source.Extra.SessionID != "" {
			t.Errorf("a session in the stateless revision: %s", e.Stored())
		}
		if v := e.Metadata.Extra.MCPVersion; v != "2026-07-28" {
			t.Errorf("revision %q: %s", v, e.Stored())
		}
	}
	for _, typ := range []emitter.Type{emitter.TypeDiscover, emitter.TypeSubscription, emitter.TypeSSEClosed} {
		if count[typ] != clients {
			t.Errorf("%d events of type %s, want %d", count[typ], typ, clients)
		}
	}
	if pending != clients {
		t.Errorf("%d calls are pending for the user's answer, want %d", pending, clients)
	}
	for _, typ := range []emitter.Type{emitter.TypeInitialize, emitter.TypeSessionStart, emitter.TypeSSEConnection, emitter.TypeSessionEnd} {
		if count[typ] > 0 {
			t.Errorf("%d events of type %s", count[typ], typ)
		}
	}
}

// drive lets several clients work at once and returns all that they saw.
func drive(t *testing.T, clients map[string]func(testing.TB) view) view {
	t.Helper()
	views := make(chan view, len(clients))
	t.Run("clients", func(t *testing.T) {
		for name, run := range clients {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				views <- run(t)
			})
		}
	})
	close(views)
	if t.Failed() {
		t.FailNow() // nothing to compare
	}
	var all view
	for v := range views {
		all.add(v)
		if len(v.exchanges) > 0 {
			t.Logf("%s: %d requests, %d calls of the SDK", v.exchanges[0].Client, len(v.exchanges), len(v.steps))
		}
	}
	return all
}
