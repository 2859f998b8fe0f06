package hec

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

// The proxies of the environment are read once in a process. Addresses of the
// loop are never asked for by a proxy, so that most tests do not meet them.
var httpProxy = hectest.New(hectest.Options{})

const proxySecret = "pr0xy-s3cret"

type proxied struct{ m *testing.M }

func (p proxied) Run() int {
	srv := httptest.NewServer(httpProxy)
	defer srv.Close()
	url := strings.Replace(srv.URL, "//", "//user:"+proxySecret+"@", 1)
	os.Setenv("HTTP_PROXY", url)
	os.Setenv("HTTPS_PROXY", url)
	os.Setenv("NO_PROXY", "")
	return p.m.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(proxied{m}) }

var at = time.Date(2025, 11, 22, 10, 40, 0, 123456789, time.UTC)

// numbered makes n records with bodies {"n":1} and so on.
func numbered(n int) []emitter.Record {
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprintf(`{"n":%d}`, i+1)
	}
	return records(bodies...)
}

func records(bodies ...string) []emitter.Record {
	batch := make([]emitter.Record, len(bodies))
	for i, body := range bodies {
		batch[i] = emitter.Record{Seq: uint64(i + 1), ID: fmt.Sprint("id-", i+1), Time: at, Body: []byte(body)}
	}
	return batch
}

// bodiesOf returns the bodies of batch, to compare with those of a collector.
func bodiesOf(batch []emitter.Record) []string {
	var bodies []string
	for _, r := range batch {
		bodies = append(bodies, string(r.Body))
	}
	return bodies
}

func ask(token string) func() (string, error) {
	return func() (string, error) { return token, nil }
}

// serve runs h on a real socket and returns a sink for it.
func serve(t *testing.T, h http.Handler, opt Options) *Sink {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return newSink(t, srv.URL, opt)
}

func newSink(t *testing.T, url string, opt Options) *Sink {
	t.Helper()
	if opt.Token == nil && opt.TokenFile == "" {
		opt.Token = ask(hectest.Token)
	}
	s, err := New(url, opt)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// direct returns a sink that calls h without a socket, for tests in a bubble
// of testing/synctest.
func direct(t *testing.T, h http.Handler, opt Options) *Sink {
	t.Helper()
	s := newSink(t, "http://splunk.example:8088", opt)
	s.web.HTTPClient.Transport = roundTripper{h}
	return s
}

type roundTripper struct{ h http.Handler }

func (rt roundTripper) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			resp, err = nil, cmp.Or(r.Context().Err(), io.ErrUnexpectedEOF)
		default:
			panic(v)
		}
	}()
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	rt.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// mustSend sends batch and wants all of it confirmed.
func mustSend(t *testing.T, s *Sink, batch []emitter.Record) {
	t.Helper()
	if n, err := s.Send(t.Context(), batch); n != len(batch) || err != nil {
		t.Fatalf("Send of %d = %d, %v", len(batch), n, err)
	}
}

// wantSend sends batch and wants n confirmed and an error that contains text.
func wantSend(t *testing.T, s *Sink, batch []emitter.Record, n int, class, text string) error {
	t.Helper()
	got, err := s.Send(t.Context(), batch)
	if got != n {
		t.Fatalf("Send of %d = %d, %v; want %d", len(batch), got, err, n)
	}
	wantError(t, err, class, text)
	return err
}

func wantError(t *testing.T, err error, class, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || classOf(err) != class {
		t.Fatalf("error is %s: %v\nwant %s: …%s…", classOf(err), err, class, text)
	}
}

func classOf(err error) string {
	switch {
	case err == nil:
		return "none"
	case emitter.IsBlocked(err):
		return "blocked"
	case emitter.IsPermanent(err):
		return "permanent"
	}
	if d, ok := emitter.RetryDelay(err); ok {
		return "after " + d.String()
	}
	return "plain"
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

// logTo returns a logger and what it has been told so far.
func logTo(t *testing.T) (*slog.Logger, func() string) {
	t.Helper()
	var log lockedBuffer
	return slog.New(slog.NewTextHandler(&log, nil)), log.String
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// wantLogged wants exactly n lines of level with text in them.
func wantLogged(t *testing.T, log string, n int, level, text string) {
	t.Helper()
	found := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, text) {
			found++
		}
	}
	if found != n {
		t.Fatalf("%d lines with %s %q, want %d; log:\n%s", found, level, text, n, log)
	}
}
