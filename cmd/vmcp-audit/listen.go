package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// Times of the clients' connections. None limits a body or an answer.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// handlerTimeout is the time for a handler to return when its connection was
// closed. Only tests change it.
var handlerTimeout = 5 * time.Second

// listener is a server that has its port and not yet begun to serve.
type listener struct {
	net.Listener
	server  *http.Server
	cfg     config.Config
	running atomic.Int64 // handlers

	// drain is told that no new request is taken, abort that those under way are
	// to be broken off. nil: nothing to tell.
	drain, abort func()
}

// listen takes the port. h is told the address and returns what is served there.
func listen(ctx context.Context, cfg config.Config, h func(net.Addr) http.Handler, log *slog.Logger) (*listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%sLISTEN: %w", config.Prefix, err)
	}
	s := &listener{Listener: l, cfg: cfg}
	handler := h(l.Addr())
	s.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.running.Add(1)
			defer s.running.Add(-1)
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// url returns the address of path as a client on this machine writes it.
func (l *listener) url(path string) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + path
}

// is reports whether a URL, as it is written, leads back to this listener.
func (l *listener) is(u *url.URL) bool {
	host, port := u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	own, ownPort, _ := net.SplitHostPort(l.Addr().String())
	if port != ownPort {
		return false
	}
	ip := net.ParseIP(host)
	return host == own || host == "localhost" || ip != nil && ip.IsLoopback() && net.ParseIP(own).IsUnspecified()
}

// serve serves until ctx ends, then stops: after SHUTDOWN_DELAY no new request
// is taken, after DRAIN_TIMEOUT those under way are broken off.
func (l *listener) serve(ctx context.Context) error {
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { failed <- l.server.Serve(l.Listener) })
	defer wg.Wait()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	time.Sleep(l.cfg.ShutdownDelay)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.DrainTimeout)
	defer cancel()
	if l.drain != nil {
		l.drain()
	}
	err := l.server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		if l.abort != nil {
			l.abort()
		}
		err = l.server.Close()
		l.wait()
	}
	return err
}

// wait gives handlers whose connection was closed the time to return, so that
// their events are recorded.
func (l *listener) wait() {
	for end := time.Now().Add(handlerTimeout); l.running.Load() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}
