// Command servebench measures what the virtual MCP server costs: the same call
// direct to a back end, through a reverse proxy that does nothing else (the
// standard library's), through the proxy and through serve with the audit off
// and in each durability, in rounds that take turns. It prints medians and their
// ratio to direct; then the first initialize with three back ends, and the memory
// of idle sessions. Each of them, and the back end, is a process of its own.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var (
	rounds = flag.Int("rounds", 5, "rounds of each contender")
	calls  = flag.Int("calls", 300, "calls of a client in a round with tiny results; a tenth of it with large ones")
	idle   = flag.Int("sessions", 2000, "idle sessions whose memory is measured")
	be     = flag.String("be", "", "what this process is, instead of the measurement: backend, or the URL that a reverse proxy leads to")
)

func main() {
	flag.Parse()
	do := run
	if *be != "" {
		do = part
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "servebench:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "servebench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "vmcp-audit")
	build := exec.Command("go", "build", "-o", binary, "./cmd/vmcp-audit")
	build.Dir = ".." // run from the folder integration
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var processes []*process
	defer func() {
		for _, p := range processes {
			p.stop()
		}
	}()
	begin := func(name, program, env string, args ...string) (*process, error) {
		p, err := start(program, filepath.Join(dir, strings.ReplaceAll(name, " ", "")), env, args...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		processes = append(processes, p)
		return p, nil
	}
	direct, err := begin("direct", self, "", "-be", "backend")
	if err != nil {
		return err
	}
	contenders := []*contender{{name: "direct", url: direct.url}}
	relay, err := begin("reverse proxy", self, "", "-be", direct.url)
	if err != nil {
		return err
	}
	contenders = append(contenders, &contender{name: "reverse proxy", url: relay.url})
	for _, c := range []struct{ name, env, args string }{
		{"proxy, durable", "", "proxy --upstream "},
		{"serve, audit off", "ENABLED=false", "serve --backend b="},
		{"serve, async", "DURABILITY=async", "serve --backend b="},
		{"serve, durable", "", "serve --backend b="},
		{"serve, strict", "DURABILITY=strict", "serve --backend b="},
	} {
		p, err := begin(c.name, binary, c.env, strings.Fields(c.args+direct.url+" --listen 127.0.0.1:0")...)
		if err != nil {
			return err
		}
		contenders = append(contenders, &contender{name: c.name, url: p.url})
	}
	for _, load := range []struct {
		tool           string
		clients, calls int
	}{{"tiny", 1, *calls}, {"tiny", 8, *calls}, {"large", 1, *calls / 10}, {"large", 8, *calls / 10}} {
		if err := measure(contenders, load.tool, load.clients, load.calls); err != nil {
			return err
		}
	}
	args := []string{"serve", "--listen", "127.0.0.1:0"}
	for i := range 3 {
		args = append(args, "--backend", fmt.Sprintf("b%d=%s", i, direct.url))
	}
	three, err := begin("three back ends", binary, "", args...)
	if err != nil {
		return err
	}
	return sessions(three)
}

// part is a process that is measured: the back end, or a reverse proxy before it.
func part() error {
	handler := backend()
	if *be != "backend" {
		to, err := url.Parse(*be)
		if err != nil {
			return err
		}
		handler = whole(httputil.NewSingleHostReverseProxy(to))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, `{"url":"http://%s"}`+"\n", l.Addr())
	return http.Serve(l, handler)
}

// backend is a server of the official Go SDK with a tiny and a large result.
func backend() http.Handler {
	s := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	for name, text := range map[string]string{"tiny": "x", "large": strings.Repeat("0123456789abcdef", 1<<16)} {
		s.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
		})
	}
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)
}

// contender is one way to the back end.
type contender struct {
	name, url string
	times     []time.Duration // of the present load
}

var address = regexp.MustCompile(`"url":"(http://[^"]*)"`)

// whole reads a request before it goes on: a server that answers a request while
// a reverse proxy still copies it has the connection closed under it.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// process is one that listens.
type process struct {
	*exec.Cmd

	url    string
	stderr *io.PipeWriter
}

func (p *process) stop() {
	_ = p.Process.Kill()
	_ = p.Wait()
	_ = p.stderr.Close()
}

// start runs a program until it says where it listens.
func start(program, dir, env string, args ...string) (*process, error) {
	r, w := io.Pipe()
	p := &process{Cmd: exec.Command(program, args...), stderr: w}
	p.Env = []string{"PATH=" + os.Getenv("PATH"), "VMCP_AUDIT_SPOOL_DIR=" + dir, "VMCP_AUDIT_FILE_PATH=" + dir + ".jsonl"}
	if env != "" {
		p.Env = append(p.Env, "VMCP_AUDIT_"+env)
	}
	p.Stderr = w
	if err := p.Start(); err != nil {
		return nil, err
	}
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if m := address.FindSubmatch(seen.Bytes()); m != nil {
			p.url = string(m[1])
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return p, nil
		}
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("%s", seen.Bytes())
		}
	}
}

// measure lets the contenders take turns and prints a table.
func measure(contenders []*contender, tool string, clients, calls int) error {
	for _, c := range contenders {
		c.times = nil
	}
	for range *rounds {
		for _, c := range contenders {
			if err := c.round(tool, clients, calls); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	fmt.Printf("%s result, %d clients, %d rounds of %d calls each\n", tool, clients, *rounds, calls)
	direct := percentile(contenders[0].times, 50)
	for _, c := range contenders {
		p50 := percentile(c.times, 50)
		fmt.Printf("  %-18s p50 %8.3f ms  p99 %8.3f ms  %5.2f x direct  %+7.3f ms\n",
			c.name, ms(p50), ms(percentile(c.times, 99)), float64(p50)/float64(direct), ms(p50-direct))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)*p/100]
}

func (c *contender) round(tool string, clients, calls int) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range clients {
		wg.Go(func() {
			times, err := session(c.url, tool, calls)
			mu.Lock()
			defer mu.Unlock()
			c.times = append(c.times, times...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return failed
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`

// session opens a session, calls the tool and returns how long each call took;
// the first ones do not count.
func session(url, tool string, calls int) ([]time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	id, _, err := post(client, url, "", hello)
	if err != nil {
		return nil, err
	}
	if _, _, err := post(client, url, id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); err != nil {
		return nil, err
	}
	var times []time.Duration
	for i := range calls + 5 {
		began := time.Now()
		_, body, err := post(client, url, id, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s","arguments":{}}}`, i+1, tool))
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(body, []byte(`"content"`)) {
			return nil, fmt.Errorf("no result: %.200s", body)
		}
		if i >= 5 {
			times = append(times, time.Since(began))
		}
	}
	req, err := http.NewRequest(http.MethodDelete, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Mcp-Session-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return times, resp.Body.Close()
}

func post(client *http.Client, url, session, body string) (id string, answer []byte, err error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		req.Header.Set("Mcp-Session-Id", session)
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.Header.Get("Mcp-Session-Id"), answer, err
}

// sessions measures the initialize of new sessions, and what they take while
// nobody uses them, before and after each has asked for the list of tools, which
// opens sessions with the back ends.
func sessions(p *process) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	before, err := resident(p)
	if err != nil {
		return err
	}
	var times []time.Duration
	var ids []string
	for range *idle {
		began := time.Now()
		id, _, err := post(client, p.url, "", hello)
		if err != nil {
			return err
		}
		times, ids = append(times, time.Since(began)), append(ids, id)
	}
	fmt.Printf("initialize, three back ends: p50 %.3f ms, p99 %.3f ms\n", ms(percentile(times, 50)), ms(percentile(times, 99)))
	after, err := resident(p)
	if err != nil {
		return err
	}
	fmt.Printf("%d idle sessions: %.1f KiB each\n", *idle, float64(after-before)/float64(*idle))
	for _, id := range ids {
		if _, _, err := post(client, p.url, id, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); err != nil {
			return err
		}
	}
	if after, err = resident(p); err != nil {
		return err
	}
	fmt.Printf("%d idle sessions that have listed the tools: %.1f KiB each\n", *idle, float64(after-before)/float64(*idle))
	return nil
}

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// resident returns the memory of a process in KiB, as Linux tells it.
func resident(p *process) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		return 0, err
	}
	m := residentLine.FindSubmatch(status)
	if m == nil {
		return 0, errors.New("the system does not tell the memory of a process")
	}
	return strconv.Atoi(string(m[1]))
}
