package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// Transport says how a back end is spoken to.
type Transport string

// The transports.
const (
	Auto     Transport = ""                // streamable HTTP, or SSE if the server knows only that
	HTTP     Transport = "streamable-http" // revisions since 2025-03-26
	SSE      Transport = "sse"             // HTTP+SSE of revision 2024-11-05
	Stdio    Transport = "stdio"
	Embedded Transport = "embedded"
)

// Spec describes a back end. It is immutable once given to [New].
type Spec struct {
	Name      string
	Transport Transport
	URL       *url.URL          // of HTTP and SSE
	Header    http.Header       // sent with every request; may hold secrets
	TLS       *tls.Config       // nil: the system's
	Command   []string          // of stdio: program and arguments
	Env       []string          // of stdio: all of its environment, as NAME=VALUE; may hold secrets
	Dir       string            // of stdio: working directory, "" for ours
	Server    *server.MCPServer // of an embedded one
	Timeout   time.Duration     // of a call, without the time that the client takes to answer questions; 0: none
}

// Backend is one back end. It is safe for concurrent use.
type Backend struct {
	Spec
	Log *slog.Logger

	client   *http.Client
	commands chan struct{} // holds an entry for each process that runs
	sse      atomic.Bool   // Auto has found out that the server knows only SSE
	deaf     atomic.Bool   // it left a DELETE unanswered

	garbled atomic.Uint64 // messages that could not be read
	told    sync.Once
}

// New returns a back end. Nothing is sent yet.
func New(s Spec, log *slog.Logger) *Backend {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Backend{Spec: s, Log: log}
	switch {
	case s.Server != nil:
		b.Transport = Embedded
	case len(s.Command) > 0:
		b.Transport = Stdio
		b.commands = make(chan struct{}, MaxCommands)
	default:
		b.client = newClient(s.TLS)
	}
	return b
}

// Times of connections. Node.js and uvicorn close one that has been idle for
// 5 s, and a call sent at that moment would be lost.
const (
	dialTimeout = 10 * time.Second
	idleTimeout = 4 * time.Second
	idlePerHost = 64
	pingTimeout = 15 * time.Second // of a silent HTTP/2 connection: before a ping, and for its answer
	maxHeader   = 64 << 10
)

func newClient(conf *tls.Config) *http.Client {
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingTimeout, PingTimeout: pingTimeout},
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    dialTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    idlePerHost,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		// A redirect could carry the configured headers to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Address returns host and port, for the audit; empty for a local process.
func (b *Backend) Address() (host string, port int) {
	if b.URL == nil {
		return "", 0
	}
	port, _ = strconv.Atoi(b.URL.Port())
	if port == 0 {
		port = map[string]int{"http": 80, "https": 443}[b.URL.Scheme]
	}
	return b.URL.Hostname(), port
}

// Via returns the transport that is spoken, as far as it is known.
func (b *Backend) Via() string {
	switch {
	case b.Transport != Auto:
		return string(b.Transport)
	case b.sse.Load():
		return string(SSE)
	}
	return string(HTTP)
}

// Garbled returns how many messages of the back end could not be read.
func (b *Backend) Garbled() uint64 { return b.garbled.Load() }

func (b *Backend) garbage(err error) {
	b.garbled.Add(1)
	b.told.Do(func() {
		b.Log.Warn("a back end sent what is no message; it is left out, and more of it will not be told", "backend", b.Name, "error", err)
	})
}

// CloseIdle closes the connections that nobody uses.
func (b *Backend) CloseIdle() {
	if b.client != nil {
		b.client.CloseIdleConnections()
	}
}

// Open begins a legacy session. base takes what belongs to no call. ctx bounds
// the handshake only.
func (b *Backend) Open(ctx context.Context, hello Hello, base Events) (Conn, *Welcome, error) {
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	if b.Transport != Auto {
		return b.open(ctx, b.Transport, hello, base)
	}
	if b.sse.Load() {
		conn, w, err := b.open(ctx, SSE, hello, base)
		if _, refused := errors.AsType[StatusError](err); !refused && !errors.Is(err, errEndpoint) {
			return conn, w, err
		}
		b.sse.Store(false) // another server may be there now
	}
	conn, w, err := b.open(ctx, HTTP, hello, base)
	// "Backwards Compatibility" of revision 2025-11-25: a server that refuses
	// the POST of an initialize may be one of 2024-11-05.
	if status, ok := errors.AsType[StatusError](err); ok && status >= 400 && status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden {
		if conn, w, sseErr := b.open(ctx, SSE, hello, base); sseErr == nil {
			b.sse.Store(true)
			return conn, w, nil
		}
	}
	return conn, w, err
}

func (b *Backend) open(ctx context.Context, transport Transport, hello Hello, base Events) (Conn, *Welcome, error) {
	var conn interface {
		Conn
		initialize(context.Context, Hello) (*Welcome, error)
	}
	var err error
	switch transport {
	case Stdio:
		conn, err = b.startCommand(base)
	case SSE:
		conn, err = b.openSSE(ctx, base)
	case Embedded:
		conn, err = b.embed(ctx, base)
	default:
		conn = b.newHTTP("", base)
	}
	if err != nil {
		return nil, nil, err
	}
	w, err := conn.initialize(ctx, hello)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, w, nil
}

// What a back end says of itself is joined and sent to every client.
const (
	maxWelcome      = 256 << 10
	maxCapabilities = 16 << 10
)

func tooLarge(result wire.Raw) bool {
	return len(result) > maxWelcome || len(wire.Get(result, "capabilities")) > maxCapabilities
}

// welcome reads the result of an initialize.
func welcome(result wire.Raw) (*Welcome, error) {
	if tooLarge(result) {
		return nil, fmt.Errorf("%w: what it says of itself is larger than 256 KiB, or its capabilities than 16 KiB", ErrAnswer)
	}
	w := &Welcome{Version: wire.Text(wire.Get(result, "protocolVersion")), Result: result}
	if !slices.Contains(Legacy, w.Version) {
		return nil, fmt.Errorf("%w: unknown protocol version %.32q", ErrAnswer, w.Version)
	}
	return w, nil
}

// Stateless returns a way to the back end in revision 2026-07-28. It needs no
// handshake.
func (b *Backend) Stateless() Conn { return b.newHTTP(Modern, nobody{}) }

// Discover asks whether the back end speaks revision 2026-07-28, and returns
// what it says of itself; nil if it does not. Not every server that knows
// server/discover does: what counts is the list of versions in its answer.
func (b *Backend) Discover(ctx context.Context, meta wire.Raw) (w *Welcome, legacy bool, err error) {
	if b.Transport != HTTP && (b.Transport != Auto || b.sse.Load()) {
		return nil, true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	conn := b.Stateless()
	defer conn.Close()
	result, err := conn.Call(ctx, Request{Method: "server/discover", Params: wire.Set(nil, "_meta", meta)}, nobody{})
	if unreached, ok := errors.AsType[*NotRun](err); ok {
		return nil, false, unreached
	}
	if err != nil {
		return nil, true, nil // whatever it said: no modern server, as clients probe
	}
	modern, legacy := Eras(result)
	if !modern || tooLarge(result) {
		return nil, true, nil
	}
	return &Welcome{Version: Modern, Result: result}, legacy, nil
}

// Eras returns which eras the result of a server/discover names.
func Eras(result wire.Raw) (modern, legacy bool) {
	for _, v := range wire.Elements(wire.Get(result, "supportedVersions")) {
		modern = modern || wire.Text(v) == Modern
		legacy = legacy || slices.Contains(Legacy, wire.Text(v))
	}
	return modern, legacy
}

// nobody takes what nobody waits for.
type nobody struct{}

func (nobody) Notify(wire.Message) {}

func (nobody) Ask(context.Context, wire.Message) (wire.Raw, *wire.Error) {
	return nil, wire.NewError(wire.CodeMethodNotFound, "nobody is there to answer", nil)
}

// Nobody takes notifications and refuses questions.
var Nobody Events = nobody{}
