package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// backend is a server of older revisions without an SDK: it answers as it is
// told, counts what it runs, and can be killed and started again.
type backend struct {
	testing.TB
	name string
	addr string
	odd  func(c *turn) bool // takes a call instead of the back end

	mu       sync.Mutex // guards what follows
	srv      *http.Server
	sessions map[string]bool
	opened   int
	tools    []string
	streams  map[*turn]bool
	ran      map[string]int // calls by their argument n
	waits    map[string]chan rpc
	cancels  map[string]chan struct{}
}

// turn is one request to a back end and the way to its answer.
type turn struct {
	b    *backend
	w    http.ResponseWriter
	r    *http.Request
	id   json.RawMessage
	tool string
	n    string

	mu    sync.Mutex // guards what follows, and w while it is a stream
	sse   bool
	ended bool
}

func newBackend(t testing.TB, name string, tools ...string) *backend {
	b := &backend{
		TB: t, name: name, addr: loopback(freePort(t)), tools: tools, sessions: map[string]bool{}, streams: map[*turn]bool{},
		ran: map[string]int{}, waits: map[string]chan rpc{}, cancels: map[string]chan struct{}{},
	}
	b.start()
	t.Cleanup(b.kill)
	return b
}

// start listens at the back end's address.
func (b *backend) start() {
	var l net.Listener
	until(b, b.name+" has its port", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", b.addr)
		return err == nil
	})
	srv := &http.Server{Handler: http.HandlerFunc(b.serve)}
	b.mu.Lock()
	b.srv = srv
	b.mu.Unlock()
	go func() { _ = srv.Serve(l) }()
}

// kill breaks off all connections and forgets the sessions.
func (b *backend) kill() {
	b.mu.Lock()
	srv := b.srv
	clear(b.sessions)
	b.mu.Unlock()
	_ = srv.Close()
}

// open returns how many sessions are open.
func (b *backend) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// runs returns how often the call with the argument n ran.
func (b *backend) runs(n string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ran[n]
}

// change sets the tools and tells every session.
func (b *backend) change(tools ...string) {
	b.mu.Lock()
	b.tools = tools
	streams := make([]*turn, 0, len(b.streams))
	for c := range b.streams {
		streams = append(streams, c)
	}
	b.mu.Unlock()
	for _, c := range streams {
		c.event(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	}
}

func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	m, _ := parseRPC(string(body))
	session := r.Header.Get("Mcp-Session-Id")
	b.mu.Lock()
	known := b.sessions[session]
	b.mu.Unlock()
	c := &turn{b: b, w: w, r: r, id: m.ID, tool: m.Params.Name}
	switch {
	case err != nil:
	case r.Header.Get("Mcp-Protocol-Version") >= "2026-07-28":
		http.Error(w, "unknown revision", http.StatusBadRequest)
	case m.Method == "initialize":
		b.mu.Lock()
		b.opened++
		session = fmt.Sprintf("%s-%d", b.name, b.opened)
		b.sessions[session] = true
		b.mu.Unlock()
		w.Header().Set("Mcp-Session-Id", session)
		c.result(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{}},"serverInfo":{"name":"raw","version":"1"}}`)
	case !known:
		http.Error(w, "no such session", http.StatusNotFound)
	case r.Method == http.MethodGet:
		b.stream(c)
	case r.Method == http.MethodDelete:
		b.mu.Lock()
		delete(b.sessions, session)
		b.mu.Unlock()
	case m.Method == "tools/call":
		b.call(c, body)
	case m.ID == nil || m.Method == "":
		b.take(session, m)
		w.WriteHeader(http.StatusAccepted)
	default:
		b.rest(c, m)
	}
}

func (b *backend) stream(c *turn) {
	c.event("")
	b.mu.Lock()
	b.streams[c] = true
	b.mu.Unlock()
	<-c.r.Context().Done()
	b.mu.Lock()
	delete(b.streams, c)
	b.mu.Unlock()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
}

// take takes a notification or an answer of the client.
func (b *backend) take(session string, m rpc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Method == "" && b.waits[string(m.ID)] != nil {
		b.waits[string(m.ID)] <- m
		delete(b.waits, string(m.ID))
	}
	if key := session + " " + string(m.Params.RequestID); m.Method == "notifications/cancelled" && b.cancels[key] != nil {
		close(b.cancels[key])
		delete(b.cancels, key)
	}
}

func (b *backend) rest(c *turn, m rpc) {
	switch m.Method {
	case "ping":
		c.result("{}")
	case "tools/list":
		b.mu.Lock()
		list := make([]string, len(b.tools))
		for i, name := range b.tools {
			list[i] = `{"name":"` + name + `","inputSchema":{"type":"object"}}`
		}
		b.mu.Unlock()
		c.result(`{"tools":[` + strings.Join(list, ",") + `]}`)
	case "resources/list":
		c.result(`{"resources":[{"uri":"` + b.name + `://1","name":"one"}]}`)
	case "resources/templates/list":
		c.result(`{"resourceTemplates":[]}`)
	case "prompts/list":
		c.result(`{"prompts":[{"name":"hello"}]}`)
	case "resources/read":
		c.result(`{"contents":[{"uri":"` + b.name + `://1","text":"one"}]}`)
	case "prompts/get":
		c.result(`{"messages":[{"role":"user","content":{"type":"text","text":"` + b.name + `"}}]}`)
	default:
		c.answer(`"error":{"code":-32601,"message":"method not found"}`)
	}
}

// call runs a tool: echo says its argument n, fail does not work, ask asks the
// user first, wait tells its progress and waits to be cancelled.
func (b *backend) call(c *turn, body []byte) {
	var m struct {
		Params struct {
			Arguments struct{ N string }
			Meta      struct{ ProgressToken json.RawMessage } `json:"_meta"`
		}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		b.Errorf("%s got %s", b.name, body)
	}
	c.n = m.Params.Arguments.N
	b.mu.Lock()
	b.ran[c.n]++
	again := b.ran[c.n] > 1
	b.mu.Unlock()
	if again {
		b.Errorf("%s was told to run %s again", b.name, c.n)
	}
	if b.odd != nil && b.odd(c) {
		return
	}
	switch c.tool {
	case "fail":
		c.result(`{"content":[],"isError":true}`)
	case "ask":
		c.result(c.said(c.ask()))
	case "wait":
		key := c.r.Header.Get("Mcp-Session-Id") + " " + string(c.id)
		cancelled := make(chan struct{})
		b.mu.Lock()
		b.cancels[key] = cancelled
		b.mu.Unlock()
		c.event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + string(m.Params.Meta.ProgressToken) + `,"progress":1}}`)
		select {
		case <-cancelled:
		case <-c.r.Context().Done():
		}
	default:
		c.result(c.said(c.n))
	}
}

func (c *turn) said(text string) string {
	return fmt.Sprintf(`{"content":[{"type":"text","text":%q}]}`, c.b.name+" "+text)
}

// ask asks the client and returns what it answered.
func (c *turn) ask() string {
	answer := make(chan rpc, 1)
	id := `"ask ` + c.n + `"`
	c.b.mu.Lock()
	c.b.waits[id] = answer
	c.b.mu.Unlock()
	c.event(`{"jsonrpc":"2.0","id":` + id + `,"method":"elicitation/create","params":{"message":"` + c.n + `","requestedSchema":{"type":"object"}}}`)
	select {
	case m := <-answer:
		if m.Result != nil {
			return m.Result.Action
		}
		return "nothing"
	case <-c.r.Context().Done():
		return ""
	}
}

func (c *turn) result(result string) { c.answer(`"result":` + result) }

func (c *turn) answer(member string) {
	message := `{"jsonrpc":"2.0","id":` + string(c.id) + `,` + member + `}`
	c.mu.Lock()
	sse := c.sse
	c.mu.Unlock()
	if sse {
		c.event(message)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(c.w, message)
}

// event sends a message on the stream that the answer becomes.
func (c *turn) event(message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if !c.sse {
		c.sse = true
		c.w.Header().Set("Content-Type", "text/event-stream")
	}
	_, _ = io.WriteString(c.w, "data: "+message+"\n\n")
	_ = http.NewResponseController(c.w).Flush()
}
