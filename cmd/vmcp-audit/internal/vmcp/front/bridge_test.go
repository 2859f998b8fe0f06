package front

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestMessageOrigin sends a message over HTTP+SSE from another address and
// without the credentials of the stream: it is told as it came.
func TestMessageOrigin(t *testing.T) {
	g := core.New(nil, core.Options{Name: "x", Version: "1"})
	defer g.Close()
	f := New(g, Options{})
	got := make(chan *http.Request, 1)
	s := f.SSE("/message", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	ctx, cancel := context.WithCancel(t.Context())
	w := &opened{header: make(http.Header), endpoint: make(chan string, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r := httptest.NewRequest(http.MethodGet, "/sse", nil).WithContext(ctx)
		r.RemoteAddr, r.Host = "192.0.2.1:1111", "one.example"
		r.Header.Set("Authorization", "Bearer alice")
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		s.Stream(w, r)
	}()
	r := httptest.NewRequest(http.MethodPost, <-w.endpoint, strings.NewReader(`{"jsonrpc":"2.0","method":"notifications/x"}`))
	r.RemoteAddr, r.Host = "192.0.2.2:2222", "two.example"
	answer := httptest.NewRecorder()
	s.Message(answer, r)
	if answer.Code != http.StatusAccepted {
		t.Errorf("status %d", answer.Code)
	}
	m := <-got
	if diff := cmp.Diff([]string{"192.0.2.2:2222", "two.example", "", ""}, []string{m.RemoteAddr, m.Host, m.Header.Get("Authorization"), m.Header.Get("X-Forwarded-For")}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	cancel()
	<-ended
	if s.find("") != nil || len(s.open) != 0 {
		t.Error("a stream is left")
	}
}

// opened is the connection of a stream whose first event names an address.
type opened struct {
	header   http.Header
	endpoint chan string
}

func (o *opened) Header() http.Header { return o.header }
func (o *opened) WriteHeader(int)     {}
func (o *opened) Write(p []byte) (int, error) {
	if _, address, ok := strings.Cut(string(p), "event: endpoint\ndata: "); ok {
		o.endpoint <- strings.TrimSpace(address)
	}
	return len(p), nil
}

// TestBridgeClosed sends a message over a bridge that has ended: nothing is
// carried out, and nothing written to a connection that is not there any more.
func TestBridgeClosed(t *testing.T) {
	f := New(nil, Options{})
	b := newBridge(t.Context(), f, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a message was carried out")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	b.out = func(m []byte) error { t.Errorf("written: %s", m); return nil }
	b.close(emitter.ReasonClientClosed)
	for i, message := range []string{hello, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","method":"notifications/x"}`} {
		if b.take([]byte(message), origin{}) {
			t.Errorf("message %d was taken", i)
		}
	}
}

// TestLateSession lets a session begin while its bridge ends: it ends too.
func TestLateSession(t *testing.T) {
	g := core.New(nil, core.Options{Name: "x", Version: "1"})
	defer g.Close()
	f := New(g, Options{})
	begun, end := make(chan struct{}), make(chan struct{})
	b := newBridge(t.Context(), f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			close(begun)
			<-end
		}
		f.ServeHTTP(w, r)
	}))
	b.out = func([]byte) error { return nil }
	taken := make(chan bool)
	go func() { taken <- b.take([]byte(hello), origin{}) }()
	<-begun
	closed := make(chan struct{})
	go func() { b.close(emitter.ReasonClientClosed); close(closed) }()
	<-b.ctx.Done()
	close(end)
	if !<-taken {
		t.Error("not taken")
	}
	<-closed
	if n := len(f.sessions); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
