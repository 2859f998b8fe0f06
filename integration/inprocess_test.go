package integration

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// memory is a sink that keeps events as a reader of the trail would see them.
type memory struct {
	mu     sync.Mutex
	events trail
}

// Send implements [emitter.Sink].
func (m *memory) Send(_ context.Context, batch []emitter.Record) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range batch {
		e, err := emitter.Decode(r.Body)
		if err != nil {
			return i, err
		}
		m.events = append(m.events, e)
	}
	return len(batch), nil
}

func (m *memory) trail() trail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(trail(nil), m.events...)
}

// newAuditor returns an auditor and what it records.
func newAuditor(t testing.TB) (*middleware.Auditor, *memory) {
	t.Helper()
	m := new(memory)
	em, err := emitter.New(emitter.Options{}, emitter.Route{Name: "memory", Format: formats.JSON, Sink: m})
	if err != nil {
		t.Fatal(err)
	}
	return middleware.New(em, middleware.Options{}), m
}

// TestAroundMCPGo puts the middleware directly around mcp-go's handler, which
// streams only through a writer that is an http.Flusher.
func TestAroundMCPGo(t *testing.T) {
	t.Run("legacy", func(t *testing.T) {
		a, m := newAuditor(t)
		srv := httptest.NewServer(a.Wrap(mcpGoHandler()))
		c := &mcpGo{url: withSecret(srv.URL + "/mcp"), listens: true, http: newRecorder("mcp-go", clientHeader("mcp-go"))}
		inProcess(t, srv, a, m, func() view { return runGo(t, c, &c.driver, c.http, legacyScript()) })
	})
	t.Run("modern", func(t *testing.T) {
		a, m := newAuditor(t)
		srv := httptest.NewServer(a.Wrap(mcpGoHandler()))
		c := &mcpGo{url: withSecret(srv.URL + "/mcp"), http: newRecorder("mcp-go", clientHeader("mcp-go"))}
		inProcess(t, srv, a, m, func() view { return runGo(t, c, &c.driver, c.http, modernScript()) })
		modernOnly(t, m.trail(), 1)
	})
}

// TestAroundGoSDK puts the middleware directly around the official SDK's
// handler.
func TestAroundGoSDK(t *testing.T) {
	t.Run("legacy", func(t *testing.T) {
		a, m := newAuditor(t)
		srv := httptest.NewServer(a.Wrap(goSDKHandler(false)))
		c := &goSDK{url: withSecret(srv.URL + "/mcp"), legacy: true, http: newRecorder("go-sdk", clientHeader("go-sdk"))}
		inProcess(t, srv, a, m, func() view { return runGo(t, c, &c.driver, c.http, legacyScript()) })
	})
	t.Run("modern", func(t *testing.T) {
		a, m := newAuditor(t)
		srv := httptest.NewServer(a.Wrap(goSDKHandler(true)))
		c := &goSDK{url: withSecret(srv.URL + "/mcp"), http: newRecorder("go-sdk", clientHeader("go-sdk"))}
		inProcess(t, srv, a, m, func() view { return runGo(t, c, &c.driver, c.http, modernScript()) })
		modernOnly(t, m.trail(), 1)
	})
}

// inProcess lets a client work, ends the server and compares.
func inProcess(t *testing.T, srv *httptest.Server, a *middleware.Auditor, m *memory, run func() view) {
	t.Helper()
	t.Cleanup(srv.Close)
	v := run()
	if t.Failed() {
		t.FailNow()
	}
	srv.Close()
	a.Close()
	compare(t, v, m.trail())
	t.Logf("%d requests, %d calls of the SDK, %d events", len(v.exchanges), len(v.steps), len(m.trail()))
}
