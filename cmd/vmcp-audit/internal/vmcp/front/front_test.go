package front

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// TestRefused checks what is refused before any back end is asked.
func TestRefused(t *testing.T) {
	g := core.New(nil, core.Options{Name: "x", Version: "1"})
	g.Start()
	defer g.Close()
	f := New(g, Options{MaxBody: 300, MaxSessions: 1})
	open := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w
	}
	session := open().Header().Get("Mcp-Session-Id")
	if w := open(); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a session too many: status %d", w.Code)
	}
	modern := map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
	legacy := map[string]string{"Mcp-Session-Id": session}
	for _, tt := range []struct {
		name, method, body string
		header             map[string]string
		status             int
		want               string // in the answer
	}{
		{name: "method", method: "PUT", status: 405},
		{name: "media type", method: "POST", body: `{}`, header: map[string]string{"Content-Type": "text/plain"}, status: 415},
		{name: "accept", method: "POST", body: `{}`, header: map[string]string{"Accept": "application/json"}, status: 406},
		{name: "large", method: "POST", body: `{"a":"` + strings.Repeat("x", 400) + `"}`, status: 413},
		{name: "no JSON", method: "POST", body: `{`, status: 400, want: `-32700`},
		{name: "batch", method: "POST", body: `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, status: 400, want: "batches"},
		{name: "null id", method: "POST", body: `{"jsonrpc":"2.0","id":null,"method":"ping"}`, status: 400, want: `-32600`},
		{name: "no session", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, status: 400, want: `"id":1,`},
		{name: "unknown session", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, header: map[string]string{"Mcp-Session-Id": "x"}, status: 404, want: `"id":1,`},
		{name: "begun already", method: "POST", body: hello, header: legacy, status: 400, want: "already"},
		{name: "GET, unknown version", method: "GET", header: map[string]string{"Mcp-Session-Id": session, "Mcp-Protocol-Version": "1999-01-01"}, status: 400},
		{name: "DELETE, unknown version", method: "DELETE", header: map[string]string{"Mcp-Session-Id": session, "Mcp-Protocol-Version": "1999-01-01"}, status: 400},
		{name: "unknown version", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, header: map[string]string{"Mcp-Session-Id": session, "Mcp-Protocol-Version": "1999-01-01"}, status: 400},
		{name: "ping", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, header: legacy, status: 200, want: `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{name: "two names", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}`, header: legacy, status: 200, want: "twice"},
		{name: "other case", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"a"}}`, header: legacy, status: 200, want: "written"},
		{name: "unknown tool", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`, header: legacy, status: 200, want: `-32602`},
		{name: "unknown method", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"x/y"}`, header: legacy, status: 200, want: `-32601`},
		{name: "cursor", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`, header: legacy, status: 200, want: `-32602`},
		{name: "unsolicited", method: "POST", body: `{"jsonrpc":"2.0","id":"vmcp-9","result":{}}`, header: legacy, status: 202},
		{name: "GET without a session", method: "GET", status: 400},
		{name: "modern GET", method: "GET", header: modern, status: 405},
		{name: "modern", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`, header: modern, status: 200, want: `"resultType":"complete"`},
		{name: "modern response", method: "POST", body: `{"jsonrpc":"2.0","id":1,"result":{}}`, header: modern, status: 400, want: `-32600`},
		{name: "modern without a header", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`, status: 400, want: `-32020`},
		{name: "modern without _meta", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, header: modern, status: 400, want: `-32602`},
		{name: "modern, other method in the header", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"prompts/list","params":{` + meta + `}}`, header: modern, status: 400, want: `-32020`},
		{
			name: "future", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + strings.Replace(meta, "2026", "2099", 1) + `}}`,
			header: map[string]string{"Mcp-Protocol-Version": "2099-07-28"}, status: 400, want: `"supported":["2026-07-28"]`,
		},
		{
			name: "modern ping", method: "POST", body: `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + meta + `}}`,
			header: map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "ping"}, status: 404, want: `-32601`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/mcp", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/json")
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s, want %d and %s", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
	if n := f.Stats().Unsolicited; n != 1 {
		t.Errorf("%d unsolicited answers, want 1", n)
	}
}

func TestGuard(t *testing.T) {
	loop, all := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	for _, tt := range []struct {
		name, host, origin string
		local              net.Addr
		allowed            Allowed
		want               int
	}{
		{"plain", "localhost:4484", "", loop, Allowed{}, 200},
		{"own page", "127.0.0.1:4484", "http://127.0.0.1:4484", loop, Allowed{}, 200},
		{"local page", "127.0.0.1:4484", "http://localhost:3000", loop, Allowed{}, 200},
		{"foreign page", "127.0.0.1:4484", "https://evil.example", loop, Allowed{}, 403},
		{"no page", "127.0.0.1:4484", "null", loop, Allowed{}, 403},
		{"rebound name", "evil.example:4484", "", loop, Allowed{}, 403},
		{"rebound page", "evil.example", "http://evil.example", loop, Allowed{}, 403},
		{"IPv6", "[::1]:4484", "", loop, Allowed{}, 200},
		{"service", "mcp.example.com", "", all, Allowed{}, 200},
		{"service, own page", "mcp.example.com", "https://mcp.example.com", all, Allowed{}, 200},
		{"service, local page", "mcp.example.com", "http://localhost:3000", all, Allowed{}, 403},
		{"allowed page", "mcp.example.com", "https://app.example.com", all, Allowed{Origins: []string{"https://app.example.com"}}, 200},
		{"other name", "other.example.com", "", all, Allowed{Hosts: []string{"mcp.example.com"}}, 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), tt.local, tt.allowed).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}

// TestCORS asks as a browser does before it lets a page send a request.
func TestCORS(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	served := 0
	h := Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }), local, Allowed{Origins: []string{"https://app.example"}})
	for i, tt := range []struct {
		method, origin, asks string
		status, served       int
		allowed              string
	}{
		{"OPTIONS", "https://app.example", "POST", 204, 0, "https://app.example"},
		{"POST", "https://app.example", "", 200, 1, "https://app.example"},
		{"OPTIONS", "https://app.example", "", 200, 1, "https://app.example"},
		{"OPTIONS", "https://evil.example", "POST", 403, 0, ""},
		{"POST", "", "", 200, 1, ""},
	} {
		served = 0
		r := httptest.NewRequest(tt.method, "http://127.0.0.1/mcp", nil)
		for name, value := range map[string]string{"Origin": tt.origin, "Access-Control-Request-Method": tt.asks} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		r.Header.Set("Access-Control-Request-Headers", "content-type,mcp-protocol-version")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := strconv.Itoa(w.Code) + " " + strconv.Itoa(served) + " " + w.Header().Get("Access-Control-Allow-Origin")
		if want := strconv.Itoa(tt.status) + " " + strconv.Itoa(tt.served) + " " + tt.allowed; got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
		if w.Code == http.StatusNoContent && w.Header().Get("Access-Control-Allow-Headers") != "content-type,mcp-protocol-version" {
			t.Errorf("headers: %v", w.Header())
		}
	}
}
