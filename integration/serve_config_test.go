package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// The start of a file with the reference servers behind: one over HTTP with a
// secret header, two that have the same tools, one more as a command.
const fileHead = `
name: engineering
backends:
  - name: everything
    url: http://127.0.0.1:%[1]d/mcp
    headers:
      Authorization: {valueFile: %[2]s/token}
  - {name: docs, command: node, args: [%[3]s/server-filesystem/dist/index.js, %[2]s/docs]}
  - {name: files, command: node, args: [%[3]s/server-filesystem/dist/index.js, %[2]s/files], env: {NODE_ENV: production}}
  - {name: memory, command: node, args: [%[3]s/server-memory/dist/index.js], env: {MEMORY_FILE_PATH: %[2]s/memory.json}}
operational:
  timeouts: {default: 5m%[4]s}
audit:
  component: vmcp-engineering
  excludeEventTypes: [mcp_ping]
`

// routed is a call by the name that clients see, and where it is to lead.
type routed struct {
	name, args string
	answer     string // part of it
	backend    string // "" for none
	tool, rule string
}

// TestServeConfig runs a file of each strategy over real back ends: what clients
// see, what they get, and what the trail says of it.
func TestServeConfig(t *testing.T) {
	needNode(t)
	const text = `{"message":"hello"}`
	for _, tt := range []struct {
		strategy, rules string
		calls           []routed
	}{
		{"prefix", `
aggregation:
  conflictResolutionConfig: {prefixFormat: "{workload}-"}
  tools:
    - workload: everything
      filter: [say, get-sum]
      overrides: {echo: {name: say, description: Says it.}}
    - {workload: memory, excludeAll: true}
`, []routed{
			{"everything-say", text, "Echo: hello", "everything", "echo", "prefix"},
			{"docs-list_allowed_directories", "{}", "/docs", "docs", "list_allowed_directories", "prefix"},
			{"files-list_allowed_directories", "{}", "/files", "files", "list_allowed_directories", "prefix"},
			{"everything-get-env", "{}", "unknown tool", "", "", "filtered"},
			{"memory-read_graph", "{}", "unknown tool", "", "", "excluded"},
			{"echo", text, "unknown tool", "", "", ""},
		}},
		{"priority", `
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {priorityOrder: [files, docs]}
`, []routed{
			{"echo", text, "Echo: hello", "everything", "echo", "none"},
			{"list_allowed_directories", "{}", "/files", "files", "list_allowed_directories", "priority"},
			{"read_graph", "{}", "entities", "memory", "read_graph", "none"},
			{"docs_list_allowed_directories", "{}", "unknown tool", "", "", ""},
		}},
		{"manual", `
aggregation:
  conflictResolution: manual
  tools:
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
			p := startFile(t, tt.rules, "")
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
			tr := p.stop(t)
			checkRoutes(t, tr, tt.calls)
			if strings.Contains(p.output(), fileSecret) {
				t.Error("the secret is in the log")
			}
		})
	}
}

const fileSecret = "Bearer canary-of-the-file"

// startFile starts a virtual server by a file and returns when it has found its
// back ends.
func startFile(t *testing.T, rules, timeouts string) *proxy {
	t.Helper()
	dir := t.TempDir()
	npm, err := filepath.Abs(npmDir)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	startEverything(t, port)
	for _, name := range []string{"docs", "files"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "vmcp.yaml")
	for name, content := range map[string]string{
		file:                        fmt.Sprintf(fileHead, port, dir, filepath.Join(npm, "node_modules/@modelcontextprotocol"), timeouts) + rules,
		filepath.Join(dir, "token"): fileSecret + "\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startAudited(t, nil, "serve", "--listen", "127.0.0.1:0", "--config", file)
	p.found(t, 4)
	return p
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
	p := startFile(t, "", ", perWorkload: {everything: 2s}")
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
