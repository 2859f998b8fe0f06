// Command servebench measures what the virtual MCP server costs: the same call
// direct to a back end, through the proxy and through serve with the audit off
// and in each durability, in rounds that take turns. It prints medians and their
// ratio to direct.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var (
	rounds = flag.Int("rounds", 5, "rounds of each contender")
	calls  = flag.Int("calls", 300, "calls of a client in a round with tiny results; a tenth of it with large ones")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
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
	backend := httptest.NewServer(backend())
	defer backend.Close()
	contenders := []*contender{{name: "direct", url: backend.URL}}
	for _, c := range []struct{ name, env, args string }{
		{"proxy, durable", "", "proxy --upstream " + backend.URL},
		{"serve, audit off", "ENABLED=false", "serve --backend b=" + backend.URL},
		{"serve, async", "DURABILITY=async", "serve --backend b=" + backend.URL},
		{"serve, durable", "", "serve --backend b=" + backend.URL},
		{"serve, strict", "DURABILITY=strict", "serve --backend b=" + backend.URL},
	} {
		one, stop, err := start(binary, filepath.Join(dir, strings.ReplaceAll(c.name, " ", "")), c.env, c.args)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		defer stop()
		one.name = c.name
		contenders = append(contenders, one)
	}
	for _, load := range []struct {
		tool           string
		clients, calls int
	}{{"tiny", 1, *calls}, {"tiny", 8, *calls}, {"large", 1, *calls / 10}, {"large", 8, *calls / 10}} {
		if err := measure(contenders, load.tool, load.clients, load.calls); err != nil {
			return err
		}
	}
	return first(contenders[len(contenders)-2])
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

// start runs a command that listens.
func start(binary, dir, env, args string) (*contender, func(), error) {
	cmd := exec.Command(binary, append(strings.Fields(args), "--listen", "127.0.0.1:0")...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "VMCP_AUDIT_SPOOL_DIR=" + dir, "VMCP_AUDIT_FILE_PATH=" + dir + ".jsonl"}
	if env != "" {
		cmd.Env = append(cmd.Env, "VMCP_AUDIT_"+env)
	}
	r, w := io.Pipe()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = w.Close() }
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		seen.Write(buf[:n])
		if m := address.FindSubmatch(seen.Bytes()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return &contender{url: string(m[1])}, stop, nil
		}
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s", seen.Bytes())
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

// first measures the first initialize of new sessions.
func first(c *contender) error {
	var times []time.Duration
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 100 {
		began := time.Now()
		if _, _, err := post(client, c.url, "", hello); err != nil {
			return err
		}
		times = append(times, time.Since(began))
	}
	fmt.Printf("initialize, %s: p50 %.3f ms, p99 %.3f ms\n", c.name, ms(percentile(times, 50)), ms(percentile(times, 99)))
	return nil
}
