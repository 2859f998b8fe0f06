package integration

import (
	"slices"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const everythingPath = "/mcp"

// TestEverything lets five clients at once go through the same conversation
// with the reference server, behind one proxy. The server is a legacy one: the
// three clients that try the modern revision first find out by a probe.
func TestEverything(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	p := startProxy(t, "http://"+loopback(port))
	url := withSecret(p.url + everythingPath)
	script := everythingScript()

	all := drive(t, map[string]func(testing.TB) view{
		"ts-v1": func(t testing.TB) view { return runTS(t, "v1", "ts-v1", url, script) },
		"ts-v2": func(t testing.TB) view { return runTS(t, "v2", "ts-v2", url, script) },
		"go-sdk": func(t testing.TB) view {
			c := &goSDK{url: url, http: newRecorder("go-sdk", clientHeader("go-sdk"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
		"mcp-go": func(t testing.TB) view {
			c := &mcpGo{url: url, listens: true, http: newRecorder("mcp-go", clientHeader("mcp-go"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
		"mcp-go-default": func(t testing.TB) view {
			c := &mcpGo{url: url, http: newRecorder("mcp-go-default", clientHeader("mcp-go-default"))}
			return runGo(t, c, &c.driver, c.http, withoutStream(script))
		},
	})
	tr := p.stop(t)
	t.Logf("%d events", len(tr))
	compare(t, all, tr, inNames...)
	noSecrets(t, p, all, append(plain, shaped...)...)
	probes(t, tr, "go-sdk", "mcp-go-default", "ts-v2")
}

// withoutStream leaves out what needs a GET stream: mcp-go opens none by
// default.
func withoutStream(script []operation) []operation {
	return slices.DeleteFunc(slices.Clone(script), func(op operation) bool {
		return op.Do == "listening" || op.Do == "asked" || op.Do == "roots" || op.Target == "get-roots-list"
	})
}

// probes checks that the modern clients' first question is one event each,
// which says that the server refused it and nothing worse.
func probes(t testing.TB, tr trail, clients ...string) {
	t.Helper()
	var probed []string
	for _, e := range tr {
		if e.Type != emitter.TypeDiscover {
			continue
		}
		probed = append(probed, e.Client.NameClaimed)
		if e.Outcome != emitter.OutcomeFailure || e.Metadata.Extra.HTTPStatus != 400 || e.Severity > 4 {
			t.Errorf("probe of a legacy server: %s", e.Stored())
		}
	}
	if slices.Sort(probed); !slices.Equal(probed, clients) {
		t.Errorf("probes of %q, want %q", probed, clients)
	}
}
