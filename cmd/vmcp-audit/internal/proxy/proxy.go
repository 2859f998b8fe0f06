// Package proxy is a reverse proxy for one MCP server that changes as little
// as a proxy can: path, query, body and order stay as they came, and so do the
// forwarding headers that other proxies have set. Only hop-by-hop headers go,
// and Accept-Encoding becomes identity, since a compressed answer could not be
// looked into.
//
// What net/http does to every message stays: names of headers in their usual
// case, a Date where there was none, the usual words behind a status, and what
// TestLimits lists. A chunk of the chunked coding is passed on when it is whole.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Options of a proxy.
type Options struct {
	PreserveHost bool         // send the client's Host instead of the upstream's
	Log          *slog.Logger // faults of the upstream; nil: none
}

// Times of the upstream's connections. None limits an answer: a tool may take
// minutes, a stream days. Node.js and uvicorn close a connection that has been
// idle for 5 s; a call sent at that moment is lost and must not be sent again,
// so the proxy closes it first.
const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
	idleTimeout = 4 * time.Second
	idlePerHost = 64
)

// New returns a handler that passes every request on to the server at
// upstream. Of that URL scheme and host count; the path is the request's.
func New(upstream *url.URL, opt Options) http.Handler {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &handler{httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { rewrite(pr, upstream, opt.PreserveHost) },
		Transport:      transport(),
		FlushInterval:  -1, // at once
		ModifyResponse: refuse,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			unreachable(w, r, err, log)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

type handler struct{ httputil.ReverseProxy }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Else net/http keeps an answer that came early until the client has sent
	// its request, and takes the rest of that for itself.
	_ = http.NewResponseController(w).EnableFullDuplex()
	h.ReverseProxy.ServeHTTP(writer{w}, r)
}

// writer keeps net/http from adding to an answer.
type writer struct{ http.ResponseWriter }

// Unwrap serves http.ResponseController.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w writer) WriteHeader(status int) {
	if status == http.StatusContinue {
		return // net/http says it, once, when the body is asked for
	}
	if _, ok := w.Header()["Content-Type"]; !ok {
		w.Header()["Content-Type"] = nil // else one is guessed
	}
	w.ResponseWriter.WriteHeader(status)
}

func transport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   tlsTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   idlePerHost,
		DisableCompression:    true,
	}
}

// forwarding are the headers that ReverseProxy takes out before it calls
// Rewrite.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

func rewrite(pr *httputil.ProxyRequest, upstream *url.URL, preserveHost bool) {
	pr.Out.URL.Scheme, pr.Out.URL.Host = upstream.Scheme, upstream.Host
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.URL.Opaque = oddPath(pr.In)
	pr.Out.Trailer = pr.In.Trailer // filled in when the body has been read
	if pr.Out.Body != nil {
		pr.Out.Body = &sent{ReadCloser: pr.Out.Body}
	}
	if !preserveHost {
		pr.Out.Host = ""
	}
	for _, name := range forwarding {
		if v, ok := pr.In.Header[name]; ok {
			pr.Out.Header[name] = v
		}
	}
	// An upgraded connection would carry operations past the audit. Leaving
	// the offer out is what HTTP asks of a proxy that does not take part.
	pr.Out.Header.Del("Connection")
	pr.Out.Header.Del("Upgrade")
	pr.Out.Header.Set("Accept-Encoding", "identity")
}

// oddPath returns the path as the client wrote it, if net/url would write it
// in another way: it escapes what should have been, and then /a%2Fb|c becomes
// /a/b%7Cc. A path that begins with two slashes cannot be given to net/url
// like this.
func oddPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == r.URL.EscapedPath() || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return ""
	}
	return path
}

// sent is the body of a request. It remembers that it could not be read.
type sent struct {
	io.ReadCloser
	broken, closed atomic.Bool
}

func (s *sent) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !s.closed.Load() {
		s.broken.Store(true)
	}
	return n, err
}

func (s *sent) Close() error {
	s.closed.Store(true) // the transport may go on reading, and gets an error
	return s.ReadCloser.Close()
}

var (
	errUpgrade = errors.New("the server changed the protocol without being asked to")
	errStatus  = errors.New("the server answered with a status below 100")
)

// refuse tells what cannot be passed on.
func refuse(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return errUpgrade
	case resp.StatusCode < 100:
		return errStatus
	}
	return nil
}

// unreachable answers in the place of a server that gave no answer.
func unreachable(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	if r.Context().Err() != nil {
		// The client has gone: nobody to tell, and no fault of the upstream. One
		// that only stopped sending must not take silence for an empty 200.
		panic(http.ErrAbortHandler)
	}
	if body, ok := r.Body.(*sent); ok && body.broken.Load() {
		http.Error(w, "vmcp-audit: the request could not be read", http.StatusBadRequest)
		return
	}
	reason, status := emitter.ReasonUpstreamDown, http.StatusBadGateway
	if t, ok := errors.AsType[net.Error](err); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || ok && t.Timeout() {
		reason, status = emitter.ReasonUpstreamTimeout, http.StatusGatewayTimeout
	}
	middleware.NoteFrom(r.Context()).Fail(reason, err.Error())
	log.Warn("upstream gave no answer", "method", r.Method, "error", err)
	http.Error(w, "vmcp-audit: the server behind this proxy gave no answer", status)
}
