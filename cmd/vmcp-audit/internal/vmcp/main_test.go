package vmcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/front"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/health"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the longest wait for anything: what takes longer has failed.
const patience = 30 * time.Second

// store is a recorder in memory.
type store struct {
	mu     sync.Mutex
	events []*emitter.Event
	broken func(*emitter.Event) bool
}

func (s *store) Ready() error { return nil }

func (s *store) Emit(_ context.Context, e *emitter.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil && s.broken(e) {
		return errors.New("no room")
	}
	s.events = append(s.events, e)
	return nil
}

// of returns the events of a type, as they came.
func (s *store) of(typ emitter.Type) []*emitter.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e *emitter.Event) bool { return e.Type != typ })
}

// setup is a virtual server on loopback, audited.
type setup struct {
	url   string
	srv   *Server
	store *store
}

// serve starts a server over back ends. edit may change its options.
func serve(t *testing.T, specs []upstream.Spec, edit func(*Options)) *setup {
	t.Helper()
	s := &setup{store: new(store)}
	opt := Options{
		Core: core.Options{
			Name: "test", Version: "1", Recorder: s.store, Rules: new(aggregate.Rules),
			Health: health.Options{Interval: 50 * time.Millisecond, Threshold: 1},
		},
		Front: front.Options{Recorder: s.store},
	}
	if len(specs) == 1 {
		opt.Core.Rules.Strategy = aggregate.Manual
	}
	if edit != nil {
		edit(&opt)
	}
	var backends []*upstream.Backend
	for _, spec := range specs {
		backends = append(backends, upstream.New(spec, nil))
	}
	s.srv = New(backends, opt)
	s.srv.Start()
	until(t, "every back end was looked at", func() bool { // Start does not wait for ever
		return len(s.store.of(emitter.TypeBackendDiscovery)) >= len(specs)
	})
	ts := httptest.NewUnstartedServer(nil)
	ts.Config.Handler = s.srv.Handler(ts.Listener.Addr(), middleware.HTTP(s.store, middleware.Options{Strict: opt.Core.Strict}))
	ts.Start()
	s.url = ts.URL
	t.Cleanup(func() {
		s.srv.Close()
		ts.CloseClientConnections()
		ts.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func spec(name, address string) upstream.Spec {
	u, _ := url.Parse(address)
	return upstream.Spec{Name: name, URL: u, Transport: upstream.HTTP}
}

// peer is a raw legacy client.
type peer struct {
	t       testing.TB
	url     string
	session string
	header  http.Header
}

// connect opens a session with the server at address.
func connect(t testing.TB, address string, capabilities string) *peer {
	t.Helper()
	p := &peer{t: t, url: address}
	if capabilities == "" {
		capabilities = "{}"
	}
	resp := p.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":` + capabilities + `,"clientInfo":{"name":"raw","version":"0"}}}`)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	p.session = resp.Header.Get("Mcp-Session-Id")
	if p.session == "" {
		t.Fatalf("initialize: %s", resp.Status)
	}
	if _, status := p.ask(`{"jsonrpc":"2.0","method":"notifications/initialized"}`); status != http.StatusAccepted {
		t.Fatalf("initialized: %d", status)
	}
	return p
}

func (p *peer) do(ctx context.Context, method, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.session != "" {
		req.Header.Set("Mcp-Session-Id", p.session)
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	maps.Copy(req.Header, p.header)
	return http.DefaultClient.Do(req)
}

func (p *peer) post(body string) *http.Response {
	p.t.Helper()
	resp, err := p.do(p.t.Context(), http.MethodPost, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}

// ask posts a message and returns the messages of the answer, one a line.
func (p *peer) ask(body string) (messages string, status int) {
	p.t.Helper()
	resp := p.post(body)
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		return strings.TrimSpace(string(b)), resp.StatusCode
	}
	return p.read(resp.Body, nil), resp.StatusCode
}

// read reads a stream to its end and shows each message to seen.
func (p *peer) read(r io.Reader, seen func(wire.Message)) string {
	var all []string
	for events := wire.NewEventReader(r); ; {
		e, err := events.Next()
		if err != nil {
			return strings.Join(all, "\n")
		}
		all = append(all, string(e.Data))
		if m, err := wire.Parse(bytes.Clone(e.Data)); err == nil && seen != nil {
			seen(m)
		}
	}
}

// listen opens the GET stream and sends its messages to the channel.
func (p *peer) listen() <-chan wire.Message {
	p.t.Helper()
	resp, err := p.do(p.t.Context(), http.MethodGet, "")
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("GET: %s", resp.Status)
	}
	out := make(chan wire.Message, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read(resp.Body, func(m wire.Message) { out <- m })
	}()
	p.t.Cleanup(func() { _ = resp.Body.Close(); <-done })
	return out
}

func (p *peer) delete() {
	p.t.Helper()
	resp, err := p.do(p.t.Context(), http.MethodDelete, "")
	if err != nil {
		p.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.t.Errorf("DELETE: %s", resp.Status)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// receive returns the next value of a channel.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// script is a legacy back end that answers as it is told. Each method has the
// raw result; a handler may do more.
type script struct {
	results map[string]string // by method, or by method and a space and name or URI
	node    bool              // says that a session is unknown as TypeScript servers do
	handle  func(s *script, w *answer, m wire.Message) bool

	mu       sync.Mutex
	sessions map[string]bool
	last     int
	newest   string         // session
	seen     []wire.Message // everything that came
	answers  map[string]chan wire.Message
	streams  []*answer
}

// answer is the answer to a POST, as a stream once something goes before it.
type answer struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	ok      bool // the stream has begun
	over    bool
	id      wire.Raw
	session string          // whose GET stream it is
	ctx     context.Context // of the request
}

func (a *answer) event(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	if !a.ok {
		a.ok = true
		a.w.Header().Set("Content-Type", "text/event-stream")
	}
	_, _ = io.WriteString(a.w, "data: "+message+"\n\n")
	_ = http.NewResponseController(a.w).Flush()
}

func (a *answer) result(raw string) { a.finish(`"result":` + raw) }
func (a *answer) fail(raw string)   { a.finish(`"error":` + raw) }

func (a *answer) finish(member string) {
	message := `{"jsonrpc":"2.0","id":` + string(a.id) + `,` + member + `}`
	if a.ok {
		a.event(message)
		return
	}
	a.w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(a.w, message)
}

const capableResult = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"completions":{},"logging":{}},"serverInfo":{"name":"script","version":"1"}}`

func newScript(results map[string]string) *script {
	all := map[string]string{
		"initialize": capableResult, "ping": "{}", "logging/setLevel": "{}",
		"tools/list": `{"tools":[]}`, "prompts/list": `{"prompts":[]}`, "resources/list": `{"resources":[]}`, "resources/templates/list": `{"resourceTemplates":[]}`,
	}
	maps.Copy(all, results)
	return &script{results: all, sessions: make(map[string]bool), answers: make(map[string]chan wire.Message)}
}

func (s *script) start(t testing.TB) string {
	ts := httptest.NewServer(s)
	t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	return ts.URL
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Mcp-Session-Id")
	if v := r.Header.Get("Mcp-Protocol-Version"); v >= upstream.Modern {
		http.Error(w, "unknown revision", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	known := s.sessions[id]
	s.mu.Unlock()
	body, _ := io.ReadAll(bufio.NewReader(r.Body))
	m, _ := wire.Parse(body)
	switch {
	case !known && m.Method != "initialize" && s.node:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`)
	case !known && m.Method != "initialize":
		http.Error(w, "no session", http.StatusNotFound)
	case r.Method == http.MethodGet:
		a := &answer{w: w, session: id, ctx: r.Context()}
		a.event("") // a priming event
		s.mu.Lock()
		s.streams = append(s.streams, a)
		s.mu.Unlock()
		<-r.Context().Done()
		s.mu.Lock()
		s.streams = slices.DeleteFunc(s.streams, func(x *answer) bool { return x == a })
		s.mu.Unlock()
		a.mu.Lock()
		a.over = true
		a.mu.Unlock()
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.sessions, id)
		s.mu.Unlock()
	default:
		s.message(r.Context(), w, m)
	}
}

func (s *script) message(ctx context.Context, w http.ResponseWriter, m wire.Message) {
	s.mu.Lock()
	s.seen = append(s.seen, m)
	reply := s.answers[string(m.ID)]
	if m.Response() {
		delete(s.answers, string(m.ID))
	}
	if m.Method == "initialize" {
		s.last++
		id := "s-" + strconv.Itoa(s.last)
		s.sessions[id], s.newest = true, id
		w.Header().Set("Mcp-Session-Id", id)
	}
	s.mu.Unlock()
	if !m.Request() {
		if m.Response() && reply != nil {
			reply <- m
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	a := &answer{w: w, id: m.ID, ctx: ctx}
	if s.handle != nil && s.handle(s, a, m) {
		return
	}
	name := wire.Text(wire.Get(m.Params, "name")) + wire.Text(wire.Get(m.Params, "uri"))
	result, ok := s.results[m.Method+" "+name]
	if !ok {
		result, ok = s.results[m.Method]
	}
	switch {
	case !ok:
		a.fail(`{"code":-32601,"message":"method not found"}`)
	case strings.HasPrefix(result, `{"code"`):
		a.fail(result)
	default:
		a.result(result)
	}
}

// ask asks the client on the stream of a and returns its answer.
func (s *script) ask(a *answer, id, request string) wire.Message {
	c := make(chan wire.Message, 1)
	s.mu.Lock()
	s.answers[id] = c
	s.mu.Unlock()
	a.event(request)
	select {
	case m := <-c:
		return m
	case <-a.ctx.Done():
	case <-time.After(patience):
	}
	return wire.Message{}
}

// broadcast sends a message on every GET stream.
func (s *script) broadcast(message string) {
	s.mu.Lock()
	streams := slices.Clone(s.streams)
	s.mu.Unlock()
	for _, a := range streams {
		a.event(message)
	}
}

// tell sends a message on the GET stream of the newest session.
func (s *script) tell(message string) {
	s.mu.Lock()
	streams := slices.DeleteFunc(slices.Clone(s.streams), func(a *answer) bool { return a.session != s.newest })
	s.mu.Unlock()
	for _, a := range streams {
		a.event(message)
	}
}

// saw returns the messages of a method.
func (s *script) saw(method string) []wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.seen), func(m wire.Message) bool { return m.Method != method })
}

// forget makes the back end lose its sessions, as a restart does.
func (s *script) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

func tool(name string) string { return `{"name":"` + name + `","inputSchema":{"type":"object"}}` }

func call(id, name string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + name + `","arguments":{}}}`
}
