package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// routed is a call by the name that clients see, and where it is to lead.
type routed struct {
	name, args string
	answer     string // part of it
	backend    string // "" for none
	tool, rule string
}

// TestServeConfig runs the file of the documents, and the same with the rules of
// each other strategy, over real back ends: what clients see, what they get, and
// what the trail says of it.
func TestServeConfig(t *testing.T) {
	needNode(t)
	const text = `{"message":"hello"}`
	for _, tt := range []struct {
		strategy, rules string
		calls           []routed
	}{
		{"prefix", "", []routed{
			{"everything_say", text, "Echo: hello", "everything", "echo", "prefix"},
			{"everything_get-sum", `{"a":1,"b":2}`, "3", "everything", "get-sum", "prefix"},
			{"docs_list_allowed_directories", "{}", "/docs", "docs", "list_allowed_directories", "prefix"},
			{"files_list_allowed_directories", "{}", "/files", "files", "list_allowed_directories", "prefix"},
			{"memory_read_graph", "{}", "entities", "memory", "read_graph", "prefix"},
			{"everything_get-env", "{}", "unknown tool", "", "", "filtered"},
			{"old_echo", text, "unknown tool", "", "", "excluded"},
			{"echo", text, "unknown tool", "", "", ""},
		}},
		{"priority", `
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {priorityOrder: [files, docs, everything]}
`, []routed{
			{"echo", text, "Echo: hello", "everything", "echo", "priority"},
			{"list_allowed_directories", "{}", "/files", "files", "list_allowed_directories", "priority"},
			{"read_graph", "{}", "entities", "memory", "read_graph", "none"},
			{"docs_list_allowed_directories", "{}", "unknown tool", "", "", ""},
		}},
		{"manual", `
aggregation:
  conflictResolution: manual
  tools:
    - {workload: old, excludeAll: true}
    - workload: docs
      filter: [docs_folders]
      overrides: {list_allowed_directories: {name: docs_folders}}
`, []routed{
			{"echo", text, "Echo: hello", "everything", "echo", "none"},
			{"docs_folders", "{}", "/docs", "docs", "list_allowed_directories", "manual"},
			{"list_allowed_directories", "{}", "/files", "files", "list_allowed_directories", "none"},
		}},
	} {
		t.Run(tt.strategy, func(t *testing.T) {
			p := startExample(t, tt.rules, "5m")
			c := &raw{url: p.url + everythingPath, http: newRecorder("raw", nil)}
			c.initialize(t, "2025-11-25")
			for i, call := range tt.calls {
				_, answer := c.ask(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, i+2, call.name, call.args))
				if !strings.Contains(answer, call.answer) {
					t.Errorf("%s: %s, want %s", call.name, answer, call.answer)
				}
			}
			_, list := c.ask(t, `{"jsonrpc":"2.0","id":99,"method":"tools/list"}`)
			for _, call := range tt.calls {
				if got := strings.Contains(list, `"name":`+strconv.Quote(call.name)); got != (call.backend != "") {
					t.Errorf("%s is listed: %t", call.name, got)
				}
			}
			for _, part := range []string{`"name":"everything_say","title":"Echo Tool","description":"Says what it is told."`, `"annotations":{"title":"Say it","readOnlyHint":true,`} {
				if got := strings.Contains(list, part); got != (tt.rules == "") {
					t.Errorf("%s is listed: %t", part, got)
				}
			}
			checkRoutes(t, p.stop(t), tt.calls)
			if strings.Contains(p.output(), exampleSecret) {
				t.Error("the secret is in the log")
			}
		})
	}
}

const (
	example       = "../docs/examples/vmcp.yaml"
	exampleSecret = "Bearer canary-of-the-file"
)

// startExample starts a virtual server by the file of the documents, in a folder
// such as the file wants, and returns when it has found its back ends. The file
// gets other ports, the time-out for everything, and rules instead of its own
// unless they are empty. Other calls have as long as a busy machine needs.
func startExample(t *testing.T, rules, timeout string) *proxy {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	startEverythingOver(t, port, "sse")
	file := string(text)
	for _, change := range [][2]string{
		{"127.0.0.1:3001", guarded(t)},
		{"127.0.0.1:3002", loopback(port)},
		{"default: 30s", "default: 5m"},
		{"everything: 1m", "everything: " + timeout},
	} {
		if strings.Count(file, change[0]) != 1 {
			t.Fatalf("%s does not have %s once", example, change[0])
		}
		file = strings.Replace(file, change[0], change[1], 1)
	}
	if rules != "" {
		before, rest, _ := strings.Cut(file, "\naggregation:\n")
		_, after, ok := strings.Cut(rest, "\noperational:\n")
		if !ok {
			t.Fatalf("%s has not aggregation before operational", example)
		}
		file = before + rules + "\noperational:\n" + after
	}
	t.Setenv("PATH", npx(t)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Chdir(t.TempDir())
	for _, name := range []string{"docs", "files"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("vmcp.yaml", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startWith(t, []string{"EVERYTHING_TOKEN=" + exampleSecret}, "serve", "--listen", "127.0.0.1:0", "--config", "vmcp.yaml")
	p.found(t, 5)
	return p
}

// guarded returns the address of the reference server behind one that lets
// through only what has the headers that the example sets.
func guarded(t *testing.T) string {
	t.Helper()
	port := freePort(t)
	startEverything(t, port)
	inner := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: loopback(port)})
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != exampleSecret || r.Header.Get("X-Team") != "engineering" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body) // a server that answers before it has read all must not meet a body that is still copied
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(guard.Close)
	return guard.Listener.Addr().String()
}

// npx returns a folder with a program that does what npx -y does with a package
// that is installed: no registry is asked.
func npx(t *testing.T) string {
	t.Helper()
	npm, err := filepath.Abs(npmDir)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = -y ] || exit 2\nserver=" + strconv.Quote(npm) + "/node_modules/$2/dist/index.js\nshift 2\nexec node \"$server\" \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "npx"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkRoutes compares the calls and their routes with what was asked.
func checkRoutes(t *testing.T, tr trail, want []routed) {
	t.Helper()
	outside, inside := split(t, tr)
	for _, call := range want {
		is := func(e *emitter.Event) bool { return e.Target.Name == call.name }
		op, route := slices.IndexFunc(outside, is), slices.IndexFunc(inside, is)
		if op < 0 || route < 0 {
			t.Errorf("%s: no operation or no route", call.name)
			continue
		}
		o, r := outside[op], inside[route]
		if o.Type != emitter.TypeToolCall || o.Component != "vmcp-engineering" || o.Target.Server.Name != call.backend || o.Target.Tool != call.tool {
			t.Errorf("%s: operation %s", call.name, o.Stored())
		}
		if r.Metadata.Extra.RouteRule != call.rule || r.Target.Server.Name != call.backend || (r.Outcome == emitter.OutcomeSuccess) != (call.backend != "") {
			t.Errorf("%s: route %s", call.name, r.Stored())
		}
	}
}

// TestServeTimeout has a back end that takes longer than its time-out allows:
// the client is told, the trail says why, and the others go on.
func TestServeTimeout(t *testing.T) {
	needNode(t)
	p := startExample(t, "\naggregation: {conflictResolution: prefix}\n", "10s")
	c := &raw{url: p.url + everythingPath, http: newRecorder("raw", nil)}
	c.initialize(t, "2025-11-25")
	const slow = "everything_trigger-long-running-operation"
	if _, got := c.ask(t, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"`+slow+`","arguments":{"duration":600,"steps":2}}}`); !strings.Contains(got, "the back end everything gave no answer") {
		t.Errorf("slow: %s", got)
	}
	if _, got := c.ask(t, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"memory_read_graph"}}`); !strings.Contains(got, "entities") {
		t.Errorf("another: %s", got)
	}
	outside, _ := split(t, p.stop(t))
	i := slices.IndexFunc(outside, func(e *emitter.Event) bool { return e.Target.Name == slow })
	if i < 0 || outside[i].Reason != emitter.ReasonUpstreamTimeout || outside[i].Target.Server.Name != "everything" {
		t.Errorf("no event of a time-out: %v", i)
	}
}
