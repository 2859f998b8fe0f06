package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is one command of the README with the output that it shows.
type block struct{ command, output string }

func readmeBlocks(t *testing.T, readme string) (blocks []block) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```console\n\\$ (.*?)\n(.*?)^```$").FindAllStringSubmatch(readme, -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	if n := strings.Count(readme, "```console"); n != len(blocks) {
		t.Fatalf("%d of %d console blocks could be read", len(blocks), n)
	}
	return blocks
}

// TestReadme runs each command of the README in one new folder and compares
// what it shows with what the README says, but for what differs in every run.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	t.Chdir(t.TempDir())
	for _, b := range readmeBlocks(t, string(readme)) {
		t.Run(b.command, func(t *testing.T) {
			if target, ok := strings.CutPrefix(b.command, "make "); ok && !strings.Contains(string(makefile), "\n"+target+":") {
				t.Fatalf("the Makefile has no target %s", target)
			}
			switch {
			case b.command == "make test":
				// What runs this test.
			case b.command == "make demo":
				if !strings.Contains(string(makefile), "@bin/vmcp-audit serve --demo") {
					t.Fatal("make demo runs something else")
				}
				compare(t, b.output, runUntil(t, "until Ctrl-C", "bin/vmcp-audit serve --demo --listen 127.0.0.1:0"))
			case strings.Contains(b.command, " proxy "):
				command := strings.Replace(b.command, "http://127.0.0.1:3001", upstream.URL, 1)
				runUntil(t, `"msg":"listening"`, command+" --listen 127.0.0.1:0")
			case strings.HasPrefix(b.command, "bin/vmcp-audit "):
				compare(t, b.output, runUntil(t, "", b.command))
			default:
				t.Fatal("nothing runs this block")
			}
		})
	}
}

// runUntil runs a command line until it ends or has said a word, then stops it
// and returns what it showed. It must end well.
func runUntil(t *testing.T, word, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	environ, args := []string{"STATE_DIRECTORY=" + t.TempDir(), "VMCP_AUDIT_FLUSH_TIMEOUT=" + patience.String()}, strings.Fields(line)
	for strings.Contains(args[0], "=") {
		environ, args = append(environ, args[0]), args[1:]
	}
	var stdout, stderr watched
	for _, w := range []*watched{&stdout, &stderr} {
		w.word, w.said = word, cancel
	}
	if code := run(ctx, args, environ, nil, &stdout, &stderr); code != exitOK {
		t.Errorf("%s: exit code %d: %s", line, code, stderr.buf.String())
	}
	if word != "" && ctx.Err() == context.DeadlineExceeded {
		t.Errorf("%s: never said %s", line, word)
	}
	return stdout.buf.String()
}

// watched calls said when a word has been written.
type watched struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	word string
	said func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if w.word != "" && strings.Contains(w.buf.String(), w.word) {
		w.said()
	}
	return len(p), nil
}

var differs = []struct{ find, put string }{
	{`\d\d:\d\d:\d\d\.\d{3} `, "TIME "},
	{`"logged_at":"[^"]*"`, `"logged_at":""`},
	{`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`, "UUID"},
	{`k1:[0-9a-f]{32}`, "DIGEST"},
	{` \d+ms `, " N ms "},
	{`"duration_ms":\d+`, `"duration_ms":0`},
	{`"port":\d+`, `"port":0`},
	{`127\.0\.0\.1:\d+/mcp`, "ADDR/mcp"},
	{`"observer":\{[^}]*\}`, `"observer":{}`},
	{`"version_claimed":"[^"]*"`, `"version_claimed":""`},
	{`"integrity":\{[^}]*\}`, `"integrity":{}`},
}

func compare(t *testing.T, want, got string) {
	t.Helper()
	for _, d := range differs {
		re := regexp.MustCompile(d.find)
		want, got = re.ReplaceAllString(want, d.put), re.ReplaceAllString(got, d.put)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-README +program\n%s", diff)
	}
}

// TestReadmeGo holds the Go block of the README against the example that is
// compiled.
func TestReadmeGo(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "middleware", "example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 1 {
		t.Fatalf("%d Go blocks, want one", len(blocks))
	}
	var plain []string
	for line := range strings.Lines(string(example)) {
		plain = append(plain, strings.TrimSpace(line))
	}
	for line := range strings.Lines(blocks[0][1]) {
		i := 0
		for i < len(plain) && plain[i] != strings.TrimSpace(line) {
			i++
		}
		if i == len(plain) {
			t.Fatalf("not in the example, or not in this order: %s", line)
		}
		plain = plain[i+1:]
	}
}
