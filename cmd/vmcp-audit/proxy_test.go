package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// running is a proxy in this process.
type running struct {
	url    string
	trail  string // path of its file
	stderr *listening
	stop   context.CancelFunc
	code   chan int
}

// start runs the proxy before upstream until it listens.
func start(t *testing.T, upstream string, environ ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &running{trail: filepath.Join(t.TempDir(), "audit.jsonl"), stop: cancel, code: make(chan int, 1)}
	said := make(chan string, 1)
	stderr := &listening{said: said}
	p.stderr = stderr
	environ = append([]string{
		"VMCP_AUDIT_FILE_PATH=" + p.trail, "STATE_DIRECTORY=" + t.TempDir(), "VMCP_AUDIT_FLUSH_TIMEOUT=" + patience.String(),
	}, environ...)
	go func() {
		p.code <- run(ctx, []string{"vmcp-audit", "proxy", "--upstream", upstream, "--listen", "127.0.0.1:0"}, environ, nil, io.Discard, stderr)
	}()
	select {
	case p.url = <-said:
	case <-time.After(patience):
		t.Fatal("the proxy never listened")
	}
	t.Cleanup(cancel)
	return p
}

// listening finds the address in the log.
type listening struct {
	mu   sync.Mutex
	said chan string
	buf  bytes.Buffer
}

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	var line struct{ Msg, URL string }
	if json.Unmarshal(p, &line) == nil && line.Msg == "listening" {
		l.said <- line.URL
	}
	return len(p), nil
}

// events stops the proxy and returns what it recorded of others, in short.
func (p *running) events(t *testing.T) (lines []string) {
	t.Helper()
	return slices.DeleteFunc(p.all(t), func(line string) bool { return strings.HasPrefix(line, "audit_") })
}

// all stops the proxy and returns what it recorded, in short.
func (p *running) all(t *testing.T) (lines []string) {
	t.Helper()
	p.stop()
	if code := <-p.code; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	trail, err := os.ReadFile(p.trail)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(trail) {
		e, err := emitter.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Join(strings.Fields(string(e.Type)+" "+string(e.Outcome)+" "+string(e.Reason)), " "))
	}
	return lines
}

// TestStopBreaksStreamsOffAndRecordsThem: a stream that is open when the
// program is stopped has its end in the trail.
func TestStopBreaksStreamsOffAndRecordsThem(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"method\":\"x\"}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer upstream.Close()
	p := start(t, upstream.URL, "VMCP_AUDIT_DRAIN_TIMEOUT=10ms")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/mcp", nil)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	want := []string{"sse_connection success", "sse_closed success client_closed"}
	if diff := cmp.Diff(want, p.events(t)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestHangupOpensTheFileAnew(t *testing.T) {
	// The file is also opened anew by itself, so the signal may come after the
	// proxy has ended: it must not end the test.
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGHUP)
	defer signal.Stop(arrived)
	p := start(t, "http://127.0.0.1:1")
	if err := os.Rename(p.trail, p.trail+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-arrived
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(p.trail); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no new file")
		}
	}
	if got := p.events(t); len(got) != 0 {
		t.Errorf("events %v", got)
	}
}

func TestSwitchedOff(t *testing.T) {
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	p := start(t, upstream.URL, "VMCP_AUDIT_ENABLED=false")
	resp, err := http.Get(p.url)
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	want := []string{"audit_config success", "audit_start success", "audit_stop success"}
	if diff := cmp.Diff(want, p.all(t)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestFollow shows events as they come, and goes on when the file is moved and
// when it is cut.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	line := func(id string) []byte {
		return []byte(`{"schema":"1.0","audit_id":"` + id + `","type":"mcp_ping","stage":"completed","logged_at":"2026-11-22T13:39:50.678166Z","outcome":"success","severity":2}` + "\n")
	}
	write := func(b []byte, flags int) {
		t.Helper()
		f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	write(line("a"), os.O_APPEND)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"vmcp-audit", "tail", "-f", "-o", "json", path}, nil, nil, w, io.Discard)
		w.Close()
	}()
	lines := json.NewDecoder(r)
	expect := func(id string) {
		t.Helper()
		var e struct {
			ID string `json:"audit_id"`
		}
		if err := lines.Decode(&e); err != nil || e.ID != id {
			t.Fatalf("got %q, %v, want %q", e.ID, err, id)
		}
	}
	expect("a")
	write(line("b")[:30], os.O_APPEND) // a line that is not yet whole
	write(line("b")[30:], os.O_APPEND)
	expect("b")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(line("c"), os.O_APPEND)
	expect("c")
	write(line("d"), os.O_APPEND)
	expect("d")
	write(line("e"), os.O_TRUNC)
	expect("e")
	cancel()
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d", c)
	}
}
