package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// memory is a network of one server without sockets, so that it can be used in
// fake time.
type memory struct {
	conns  chan net.Conn
	dialed atomic.Int64
	down   atomic.Bool
	closed chan struct{}
}

func (l *memory) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memory) Close() error   { close(l.closed); return nil }
func (l *memory) Addr() net.Addr { return &net.TCPAddr{} }

func (l *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if l.down.Load() {
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	}
	l.dialed.Add(1)
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inMemory returns a back end that h serves, in a bubble of fake time.
func inMemory(t *testing.T, transport Transport, h http.HandlerFunc) (*Backend, *memory) {
	l := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	b := New(Spec{Name: "b", Transport: transport, URL: &url.URL{Scheme: "http", Host: "b.test", Path: "/mcp"}}, nil)
	b.client.Transport.(*http.Transport).DialContext = l.dial
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: both, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		synctest.Wait() // a connection that nobody waits for any more may still be opened
		b.CloseIdle()
		_ = srv.Close()
		<-served
	})
	return b, l
}

const patience = 30 * time.Second // what takes longer has failed

var hello = Hello{Params: wire.Raw(`{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`)}

const helloResult = `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}`

// legacy is a server with one session that has no GET stream; what it does not
// know goes to next.
func legacy(next func(w http.ResponseWriter, r *http.Request, m wire.Message)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m, _ := wire.Parse(body)
		switch {
		case m.Method == "initialize":
			w.Header().Set("Mcp-Session-Id", "s")
			reply(w, m, helloResult)
		case m.Notification():
			w.WriteHeader(http.StatusAccepted)
		case next != nil && (m.Method != "" || r.Method == http.MethodGet || r.Method == http.MethodDelete):
			next(w, r, m)
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}
}

func reply(w http.ResponseWriter, m wire.Message, result string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(wire.AppendResult(nil, m.ID, wire.Raw(result)))
}

// event sends one event with what goes before its data.
func event(w http.ResponseWriter, fields, data string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, fields+"data: "+data+"\n\n")
	_ = http.NewResponseController(w).Flush()
}

func open(t *testing.T, b *Backend) Conn {
	t.Helper()
	conn, _, err := b.Open(t.Context(), hello, Nobody)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func receive(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Errorf("waited in vain for %s", what)
	}
}

// TestConnections makes calls that are answered by streams, which the server ends
// after the response: they share one connection.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := inMemory(t, HTTP, legacy(func(w http.ResponseWriter, r *http.Request, m wire.Message) {
			if r.Method == http.MethodPost {
				event(w, "", string(wire.AppendResult(nil, m.ID, wire.Raw("{}"))))
			}
		}))
		conn := open(t, b)
		synctest.Wait()
		before := l.dialed.Load()
		for range 10 {
			if _, err := conn.Call(t.Context(), Request{Method: "m"}, Nobody); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := l.dialed.Load() - before; n != 0 {
			t.Errorf("10 calls took %d more connections", n)
		}
		conn.Close()
	})
}

// TestEarlyPing has a server ping in the answer to the initialize, before the
// result of which it knows that the client is there.
func TestEarlyPing(t *testing.T) {
	pong := make(chan string, 1)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch m, _ := wire.Parse(body); {
		case m.Method == "initialize":
			w.Header().Set("Mcp-Session-Id", "s")
			event(w, "", `{"jsonrpc":"2.0","id":"p","method":"ping"}`)
			select {
			case got := <-pong:
				event(w, "", string(wire.AppendResult(nil, m.ID, wire.Set(wire.Raw(helloResult), "got", wire.Quote(got)))))
			case <-r.Context().Done():
			}
		case m.Response():
			pong <- r.Header.Get("Mcp-Session-Id") + " " + string(m.Result)
			w.WriteHeader(http.StatusAccepted)
		case m.Notification():
			w.WriteHeader(http.StatusAccepted)
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}))
	defer ts.Close()
	b := New(specOf(ts.URL), nil)
	defer b.CloseIdle()
	conn, w, err := b.Open(t.Context(), hello, Nobody)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got := wire.Text(wire.Get(w.Result, "got")); got != "s {}" {
		t.Errorf("the answer to the ping: %q", got)
	}
}

func specOf(address string) Spec {
	u, _ := url.Parse(address)
	return Spec{Name: "b", Transport: HTTP, URL: u}
}

// TestRefusedWelcome opens a session with a server whose revision is unknown, and
// with ones that say too much of themselves: the session is not left behind.
func TestRefusedWelcome(t *testing.T) {
	for name, welcome := range map[string]string{
		"revision":     `{"protocolVersion":"1999-01-01"}`,
		"capabilities": `{"protocolVersion":"2025-11-25","capabilities":{"experimental":{"x":"` + strings.Repeat("x", maxCapabilities) + `"}}}`,
		"size":         `{"protocolVersion":"2025-11-25","instructions":"` + strings.Repeat("x", maxWelcome) + `"}`,
	} {
		var deleted atomic.Value
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method == http.MethodDelete {
				deleted.Store(r.Header.Get("Mcp-Session-Id"))
				return
			}
			m, _ := wire.Parse(body)
			w.Header().Set("Mcp-Session-Id", "s")
			reply(w, m, welcome)
		}))
		b := New(specOf(ts.URL), nil)
		if _, _, err := b.Open(t.Context(), hello, Nobody); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
		if deleted.Load() != "s" {
			t.Errorf("%s: deleted %v", name, deleted.Load())
		}
		b.CloseIdle()
		ts.Close()
	}
}

// TestListen has a server whose stream of messages is refused for a time, cut,
// refused because the server has forgotten its events, and not there in the end.
func TestListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var gets []string
		b, _ := inMemory(t, HTTP, legacy(func(w http.ResponseWriter, r *http.Request, _ wire.Message) {
			if r.Method != http.MethodGet {
				return
			}
			mu.Lock()
			gets = append(gets, fmt.Sprint(time.Since(began), " ", r.Header.Get("Last-Event-Id")))
			n := len(gets)
			mu.Unlock()
			switch n {
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 2:
				w.WriteHeader(http.StatusConflict)
			case 3:
				event(w, "id: 7\nretry: 45000\n", `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
				panic(http.ErrAbortHandler)
			case 4: // nothing new
				w.Header().Set("Content-Type", "text/event-stream")
			case 5:
				w.WriteHeader(http.StatusBadRequest) // the event is not known
			default:
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
		}))
		base := new(heard)
		conn, _, err := b.Open(t.Context(), hello, base)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		conn.Close()
		want := []string{"0s ", "1s ", "3s ", "48s 7", "1m33s 7", "2m18s "}
		if diff := cmp.Diff(want, gets); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if diff := cmp.Diff([]string{"notifications/tools/list_changed "}, base.all); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestResume breaks the stream of a call, and again before it has anything new:
// it is gone on with at the same event.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var gets []string
		calls := 0
		b, l := inMemory(t, HTTP, legacy(func(w http.ResponseWriter, r *http.Request, m wire.Message) {
			mu.Lock()
			defer mu.Unlock()
			switch last := r.Header.Get("Last-Event-Id"); {
			case m.Method == "m":
				calls++
				event(w, "id: 5\n", `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`)
				panic(http.ErrAbortHandler)
			case last == "":
				w.WriteHeader(http.StatusMethodNotAllowed)
			default:
				if gets = append(gets, last); len(gets) == 1 {
					w.Header().Set("Content-Type", "text/event-stream")
					return
				}
				event(w, "", `{"jsonrpc":"2.0","id":2,"result":{"late":1}}`)
			}
		}))
		conn := open(t, b)
		defer conn.Close()
		about := new(heard)
		if result, err := conn.Call(t.Context(), Request{Method: "m"}, about); err != nil || string(result) != `{"late":1}` {
			t.Errorf("call: %s %v", result, err)
		}
		if calls != 1 || len(about.all) != 1 {
			t.Errorf("%d calls, heard %q", calls, about.all)
		}
		if diff := cmp.Diff([]string{"5", "5"}, gets); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		var unsent *NotRun
		go func() { time.Sleep(time.Second / 2); l.down.Store(true); b.CloseIdle() }()
		if _, err := conn.Call(t.Context(), Request{Method: "m"}, about); err == nil || errors.As(err, &unsent) {
			t.Errorf("a call that has run: %v", err)
		}
		l.down.Store(false)
	})
}

// TestUnansweredDelete ends sessions with a server that answers no DELETE: only
// the first one waits for it.
func TestUnansweredDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var deletes atomic.Int64
		b, _ := inMemory(t, HTTP, legacy(func(w http.ResponseWriter, r *http.Request, _ wire.Message) {
			switch r.Method {
			case http.MethodGet:
				w.WriteHeader(http.StatusMethodNotAllowed)
			case http.MethodDelete:
				deletes.Add(1)
				<-r.Context().Done()
			}
		}))
		var conns []Conn
		for range 100 {
			conns = append(conns, open(t, b))
		}
		for _, c := range conns {
			c.Close()
		}
		if n, took := deletes.Load(), time.Since(began); n != 1 || took != closeTimeout {
			t.Errorf("%d times DELETE, after %v", n, took)
		}
		open(t, b).Close() // it opens sessions again
		if n := deletes.Load(); n != 2 {
			t.Errorf("%d times DELETE, want 2", n)
		}
	})
}

// TestUnknownSession has errors with status 400: one that says that the session
// is gone, and one of the call itself.
func TestUnknownSession(t *testing.T) {
	for body, lost := range map[string]bool{
		`{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`:   true,
		`{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}`:         true,
		`{"jsonrpc":"2.0","error":{"code":-32000,"message":"the shop's session has ended after the payment"},"id":2}`: false,
	} {
		ts := httptest.NewServer(legacy(func(w http.ResponseWriter, r *http.Request, m wire.Message) {
			switch {
			case m.Method == "m":
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, body)
			case r.Method == http.MethodGet:
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
		}))
		b := New(specOf(ts.URL), nil)
		conn := open(t, b)
		_, err := conn.Call(t.Context(), Request{Method: "m"}, Nobody)
		if unsent := errors.As(err, new(*NotRun)); unsent != lost || conn.Broken() != lost {
			t.Errorf("%s: %v, broken %t", body, err, conn.Broken())
		}
		conn.Close()
		b.CloseIdle()
		ts.Close()
	}
}

// TestSecrets has a server write back what it was sent where net/http cannot
// read it, and redirect to another one: neither shows the header.
func TestSecrets(t *testing.T) {
	var leaked atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked.Store(r.Header.Get("Authorization")) }))
	defer other.Close()
	for name, answer := range map[string]string{
		"echo":     "Bearer Canary-secret\r\n\r\n",
		"header":   "HTTP/1.1 200 OK\r\ncanary-SECRET\r\n\r\n",
		"location": "HTTP/1.1 302 Found\r\nLocation: http://%zz/?canary-secret\r\nContent-Length: 0\r\n\r\n",
		"query":    "HTTP/1.1 302 Found\r\nLocation: http://%zz/?profile=mine\r\nContent-Length: 0\r\n\r\n",
		"long":     "HTTP/1.1 " + strings.Repeat("x", 1000) + "\r\n\r\n",
		"redirect": "HTTP/1.1 307 Found\r\nLocation: " + other.URL + "\r\nContent-Length: 0\r\n\r\n",
		"endpoint": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: endpoint\ndata: " + other.URL + "\n\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
				_ = c.Close()
			}
		})
		s := specOf("http://" + l.Addr().String() + "/?profile=mine")
		s.Header = http.Header{"Authorization": {"Bearer canary-secret"}}
		if s.Transport = HTTP; name == "endpoint" {
			s.Transport = SSE
		}
		var log bytes.Buffer
		b := New(s, slog.New(slog.NewTextHandler(&log, nil)))
		_, _, err = b.Open(t.Context(), hello, Nobody)
		if text := strings.ToLower(fmt.Sprint(err) + log.String()); err == nil || strings.Contains(text, "canary") || strings.Contains(text, "profile=mine") || len(text) > maxErrorText {
			t.Errorf("%s: %s", name, text)
		}
		b.CloseIdle()
		_ = l.Close()
		wg.Wait()
	}
	if leaked.Load() != nil {
		t.Errorf("another server was sent %q", leaked.Load())
	}
}

// TestAutoAgain has a server of HTTP+SSE replaced by one of streamable HTTP at
// the same address.
func TestAutoAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var newer atomic.Bool
		old := oldServer()
		b, _ := inMemory(t, Auto, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case newer.Load():
				legacy(nil)(w, r)
			default:
				old(w, r)
			}
		})
		open(t, b).Close()
		if b.Via() != string(SSE) {
			t.Errorf("via %s", b.Via())
		}
		newer.Store(true)
		open(t, b).Close()
		if b.Via() != string(HTTP) {
			t.Errorf("via %s", b.Via())
		}
	})
}

// oldServer speaks HTTP+SSE to one client.
func oldServer() http.HandlerFunc {
	out := make(chan string, 10)
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			event(w, "event: endpoint\n", "/messages?s=1")
			for {
				select {
				case m := <-out:
					event(w, "", m)
				case <-r.Context().Done():
					return
				}
			}
		case r.URL.Path != "/messages":
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			body, _ := io.ReadAll(r.Body)
			if m, _ := wire.Parse(body); m.Method == "initialize" {
				out <- string(wire.AppendResult(nil, m.ID, wire.Raw(helloResult)))
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}
}

// TestCancelWithinPost cancels a call over HTTP+SSE while its POST is under way:
// the server is told.
func TestCancelWithinPost(t *testing.T) {
	began, told := make(chan struct{}), make(chan struct{})
	old := oldServer()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case bytes.Contains(body, []byte(`"wait"`)):
			close(began)
			<-r.Context().Done()
		case bytes.Contains(body, []byte(`"notifications/cancelled","params":{"requestId":2}`)):
			close(told)
			w.WriteHeader(http.StatusAccepted)
		default:
			old(w, r)
		}
	}))
	defer ts.Close()
	s := specOf(ts.URL)
	s.Transport = SSE
	b := New(s, nil)
	defer b.CloseIdle()
	conn := open(t, b)
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := conn.Call(ctx, Request{Method: "wait"}, Nobody); !errors.Is(err, context.Canceled) {
		t.Errorf("call: %v", err)
	}
	receive(t, told, "the cancel at the server")
}

// hole is a connection that loses what is written to it, once the network is
// down.
type hole struct {
	net.Conn
	down *atomic.Bool
}

func (h hole) Write(p []byte) (int, error) {
	if h.down.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

// TestDeadConnection has a connection of HTTP/2 die without a word while a stream
// on it keeps it from being idle: what is under way fails, and the next call has
// another one.
func TestDeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := inMemory(t, HTTP, legacy(func(w http.ResponseWriter, r *http.Request, m wire.Message) {
			switch r.Method {
			case http.MethodGet:
				event(w, "", "")
				<-r.Context().Done()
			case http.MethodPost:
				reply(w, m, "{}")
			}
		}))
		tr := b.client.Transport.(*http.Transport)
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
		var down atomic.Bool
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := l.dial(ctx, network, address)
			if l.dialed.Load() > 1 {
				return c, err
			}
			return hole{c, &down}, err
		}
		conn := open(t, b)
		synctest.Wait()
		down.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := conn.Call(ctx, Request{Method: "m"}, Nobody); err == nil || ctx.Err() != nil {
			t.Errorf("a call over a dead connection: %v", err)
		}
		if _, err := conn.Call(ctx, Request{Method: "m"}, Nobody); err != nil {
			t.Errorf("the next call: %v", err)
		}
		conn.Close()
	})
}
