package integration

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// memory stores events as the emitter does and keeps them as a reader of the
// trail would see them.
type memory struct {
	*emitter.Emitter
	mu     sync.Mutex
	events trail
}

// Emit implements [middleware.Recorder].
func (m *memory) Emit(ctx context.Context, e *emitter.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.Emitter.Emit(ctx, e); err != nil {
		return err
	}
	back, err := emitter.Decode(e.Stored())
	if err != nil {
		return err
	}
	m.events = append(m.events, back)
	return nil
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
	s, err := spool.Open(t.TempDir(), spool.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if m.Emitter, err = emitter.New(s, emitter.Options{}); err != nil {
		t.Fatal(err)
	}
	return middleware.New(m, middleware.Options{}), m
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
