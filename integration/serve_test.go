package integration

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// startServe starts a virtual server over back ends, each NAME=URL or
// NAME=COMMAND, and returns when it has found them.
func startServe(t testing.TB, backends []string) *proxy {
	t.Helper()
	args := []string{"serve", "--listen", "127.0.0.1:0"}
	for _, b := range backends {
		args = append(args, "--backend", b)
	}
	p := startAudited(t, nil, args...)
	p.found(t, len(backends))
	return p
}

// found waits until a virtual server has found n back ends: it serves before
// that if one is slow to start.
func (p *proxy) found(t testing.TB, n int) {
	t.Helper()
	deadline := time.After(2 * patience)
	for range n {
		select {
		case <-p.discovered:
		case <-p.ended:
			t.Fatalf("serve ended: %v\n%s", p.err, p.output())
		case <-deadline:
			t.Fatalf("serve does not find its back ends:\n%s", p.output())
		}
	}
}

// split takes the events out of a trail that tell of the server's inside, and
// checks that each belongs to the operation that it says, and that each operation
// that a name leads to a back end has the event of its route.
func split(t testing.TB, tr trail) (outside, inside trail) {
	t.Helper()
	byID, routes := make(map[string]*emitter.Event), make(map[string]int)
	for _, e := range tr {
		byID[e.AuditID] = e
	}
	for _, e := range tr {
		parent := byID[e.Trace.ParentAuditID]
		switch e.Type {
		case emitter.TypeBackendRoute:
			routes[e.Trace.ParentAuditID]++
			checkRoute(t, e, parent)
		case emitter.TypeSampling, emitter.TypeElicitation, emitter.TypeRootsList:
			checkQuestion(t, e, parent)
		case emitter.TypeBackendDiscovery:
			if e.Trace.ParentAuditID != "" {
				t.Errorf("a discovery is nobody's: %s", e.Stored())
			}
		default:
			outside = append(outside, e)
			continue
		}
		inside = append(inside, e)
	}
	checkRouted(t, outside, routes)
	return outside, inside
}

func checkRoute(t testing.TB, e, parent *emitter.Event) {
	t.Helper()
	if parent == nil {
		t.Errorf("a route of nothing: %s", e.Stored())
		return
	}
	inTurn := e.Target.Type == "resource" && parent.Outcome != emitter.OutcomeSuccess // several were asked
	follows := parent.Type == emitter.TypeSubscription                                // one of the resources of its filter
	if !follows && (parent.Target.Name != e.Target.Name || parent.Target.Server != e.Target.Server && !inTurn || parent.Target.Definition != e.Target.Definition) ||
		parent.Source != e.Source || parent.Subjects != e.Subjects || parent.Trace.TraceID != e.Trace.TraceID {
		t.Errorf("the route is not that of its operation:\n%s\n%s", e.Stored(), parent.Stored())
	}
}

// checkQuestion checks the event of a back end's question. One that was asked
// outside of a call is nobody's child, and modern clients are not asked it; one for
// the roots may come when its session is about to end.
func checkQuestion(t testing.TB, e, parent *emitter.Event) {
	t.Helper()
	moot := e.Type == emitter.TypeRootsList && (e.Metadata.Extra.JSONRPCErrorCode == emitter.Of(-32601) || e.Reason == emitter.ReasonCancelled)
	if e.Target.Server.Name == "" || e.Outcome != emitter.OutcomeSuccess && !moot {
		t.Errorf("a question: %s", e.Stored())
	}
	switch {
	case e.Trace.ParentAuditID == "" && e.Type == emitter.TypeRootsList:
	case parent == nil:
		t.Errorf("a question of no call: %s", e.Stored())
	case parent.Target.Server.Name != "" && parent.Target.Server != e.Target.Server || parent.Source != e.Source || parent.Subjects != e.Subjects || parent.Client != e.Client:
		t.Errorf("the question is not that of its call:\n%s\n%s", e.Stored(), parent.Stored())
	}
}

// checkRouted checks that what reached a back end by a name was routed once. The next
// try of a modern client that was asked something goes on with the route of the
// first.
func checkRouted(t testing.TB, outside trail, routes map[string]int) {
	t.Helper()
	type act struct {
		client emitter.Client
		target string
	}
	waiting := make(map[act]int)
	for _, e := range outside {
		if e.Type != emitter.TypeToolCall && e.Type != emitter.TypePromptsGet {
			continue
		}
		a, n := act{e.Client, e.Target.Name}, routes[e.AuditID]
		if n == 0 && e.Target.Server.Name != "" && waiting[a] > 0 {
			n, waiting[a] = 1, waiting[a]-1
		}
		if e.Reason == emitter.ReasonInputRequired {
			waiting[a]++
		}
		if n != 1 && e.Outcome != emitter.OutcomeDenied {
			t.Errorf("%d routes of %s", n, e.Stored())
		}
	}
}

// count returns how many events of a type a trail has.
func (tr trail) count(typ emitter.Type) (n int) {
	for _, e := range tr {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// served is the conversation with server-everything behind a virtual server,
// which knows by itself that it has no such tool or prompt.
func served(prefix string) []operation {
	script := slices.Clone(everythingScript())
	for i := range script {
		op := &script[i]
		if op.Want == toolError && (op.Target == "no-such-tool" || strings.HasPrefix(op.Target, "deploy-")) {
			op.Want = rpcError
		}
		switch {
		case op.Do == "call", op.Do == "prompt":
			op.Target = prefix + op.Target
		case op.Do == "complete" && op.Ref["name"] != nil:
			op.Target = prefix + op.Target
			op.Ref = args{"type": op.Ref["type"], "name": prefix + op.Ref["name"].(string)}
		}
	}
	return script
}

// TestServeOne lets legacy clients go through the whole conversation with the
// reference server behind a virtual server that has this back end alone.
func TestServeOne(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	p := startServe(t, []string{"everything=http://" + loopback(port) + "/mcp"})
	serveLegacy(t, p, served(""))
}

// TestServeMany does the same over three back ends, two of them commands.
func TestServeMany(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	p := startServe(t, threeBackends(t, port))
	serveLegacy(t, p, servedMany())
}

// servedMany is the conversation with the three reference servers.
func servedMany() []operation {
	return append(served("everything_"),
		call(ok, "memory_create_entities", args{"entities": []any{args{"name": "x", "entityType": "thing", "observations": []any{"seen"}}}}),
		call(ok, "memory_read_graph", nil),
		call(ok, "files_list_allowed_directories", nil),
		call(toolError, "files_read_text_file", args{"path": "/no/such/file"}),
	)
}

func threeBackends(t testing.TB, port int) []string {
	dir := t.TempDir()
	npm, err := filepath.Abs(npmDir)
	if err != nil {
		t.Fatal(err)
	}
	server := func(name string) string {
		return "node " + strconv.Quote(filepath.Join(npm, "node_modules/@modelcontextprotocol/server-"+name+"/dist/index.js"))
	}
	return []string{
		"everything=http://" + loopback(port) + "/mcp",
		"files=" + server("filesystem") + " " + strconv.Quote(dir),
		"memory=env MEMORY_FILE_PATH=" + strconv.Quote(filepath.Join(t.TempDir(), "memory.json")) + " " + server("memory"),
	}
}

func serveLegacy(t *testing.T, p *proxy, script []operation) {
	t.Helper()
	url := withSecret(p.url + everythingPath)
	all := drive(t, map[string]func(testing.TB) view{
		"ts-v1": func(t testing.TB) view { return runTS(t, "v1", "ts-v1", url, script) },
		"go-sdk": func(t testing.TB) view {
			c := &goSDK{url: url, legacy: true, http: newRecorder("go-sdk", clientHeader("go-sdk"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
		"mcp-go": func(t testing.TB) view {
			c := &mcpGo{url: url, listens: true, http: newRecorder("mcp-go", clientHeader("mcp-go"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
	})
	outside, inside := split(t, p.stop(t))
	t.Logf("%d events of clients, %d of the inside", len(outside), len(inside))
	compare(t, all, outside, inNames...)
	noSecrets(t, p, all, append(plain, shaped...)...)
	for _, typ := range []emitter.Type{emitter.TypeBackendRoute, emitter.TypeBackendDiscovery, emitter.TypeSampling, emitter.TypeElicitation, emitter.TypeRootsList} {
		if inside.count(typ) == 0 {
			t.Errorf("no event of type %s", typ)
		}
	}
}
