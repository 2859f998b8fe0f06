package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// front is a server with the audit in it, as the command sets it up.
type front struct {
	*httptest.Server
	*trail
	auditor *middleware.Auditor
}

// newFront serves h behind the audit.
func newFront(t testing.TB, h http.Handler) *front {
	t.Helper()
	a, tr := newAuditor(t)
	f := &front{Server: newServer(t, a.Wrap(h)), trail: tr, auditor: a}
	f.Start()
	return f
}

// newServer returns a server with the time limits of the command's listener, which
// are longer here: a slow machine is no fault.
func newServer(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadHeaderTimeout = patience
	s.Config.IdleTimeout = patience
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(s.Close)
	return s
}

// end waits until the handlers have returned, so that no event is to come.
func (f *front) end() {
	f.Close()
	f.auditor.Close()
}

// newProxy returns a proxy to upstream, whose idle connections end with t, and not
// before.
func newProxy(t testing.TB, upstream string, opt Options) http.Handler {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	h := New(u, opt)
	tr := transportOf(h)
	tr.TLSHandshakeTimeout, tr.IdleConnTimeout = patience, patience
	t.Cleanup(tr.CloseIdleConnections)
	return h
}

// newChain returns an audited proxy to upstream.
func newChain(t testing.TB, upstream string) *front {
	t.Helper()
	return newFront(t, newProxy(t, upstream, Options{}))
}

// newClient returns a client with connections of its own.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// transportOf returns the transport of a proxy.
func transportOf(h http.Handler) *http.Transport { return h.(*handler).Transport.(*http.Transport) }
