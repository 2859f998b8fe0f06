package integration

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"
)

// prefixed returns a script with a prefix before the names of tools and prompts.
func prefixed(prefix string, script []operation) []operation {
	script = slices.Clone(script)
	for i := range script {
		if op := &script[i]; op.Do == "call" || op.Do == "prompt" {
			op.Target = prefix + op.Target
		}
	}
	return script
}

// TestServeModern lets clients of revision 2026-07-28 talk to servers that
// speak it too, behind a virtual server.
func TestServeModern(t *testing.T) {
	needNode(t)
	mcpgo, gosdk := httptest.NewServer(mcpGoHandler()), httptest.NewServer(goSDKHandler(true))
	t.Cleanup(mcpgo.Close)
	t.Cleanup(gosdk.Close)
	t.Run("one", func(t *testing.T) {
		serveModern(t, []string{"one=" + gosdk.URL}, modernScript())
	})
	t.Run("two", func(t *testing.T) {
		script := prefixed("one_", modernScript())
		script = append(script, prefixed("two_", commonScript())...)
		serveModern(t, []string{"one=" + gosdk.URL, "two=" + mcpgo.URL}, script)
	})
}

// TestServeModernClient lets clients of revision 2026-07-28 talk to a server
// that speaks only older ones, and asks.
func TestServeModernClient(t *testing.T) {
	needNode(t)
	srv := httptest.NewServer(goSDKHandler(false))
	t.Cleanup(srv.Close)
	serveModern(t, []string{"old=" + srv.URL}, modernScript())
}

// TestServeManyModern lets clients of revision 2026-07-28 talk to the three
// reference servers, which speak only older ones.
func TestServeManyModern(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	serveModern(t, threeBackends(t, port), append(inModern(servedMany()), on("listen", "", "", ok), on("unlisten", "", "", ok)), inNames...)
}

// inModern returns what of a script there is in revision 2026-07-28. A call that
// asks its client is two requests there; server-filesystem asks for the roots when
// its session begins, and over stdio that may be during its first call.
func inModern(script []operation) []operation {
	removed := []string{"ping", "level", "subscribe", "unsubscribe", "roots", "listening", "asked"}
	script = slices.DeleteFunc(script, func(op operation) bool { return slices.Contains(removed, op.Do) })
	asks := regexp.MustCompile(`^files_|-(sampling-request|elicitation-request|roots-list)$`)
	for i := range script {
		if op := &script[i]; asks.MatchString(op.Target) {
			op.Method = ""
		}
	}
	return script
}

func serveModern(t *testing.T, backends []string, script []operation, canaries ...string) {
	t.Helper()
	p := startServe(t, backends)
	url := withSecret(p.url + everythingPath)
	all := drive(t, map[string]func(testing.TB) view{
		"ts-v2": func(t testing.TB) view { return runTS(t, "v2", "ts-v2", url, script) },
		"mcp-go": func(t testing.TB) view {
			c := &mcpGo{url: url, http: newRecorder("mcp-go", clientHeader("mcp-go"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
		"go-sdk": func(t testing.TB) view {
			c := &goSDK{url: url, http: newRecorder("go-sdk", clientHeader("go-sdk"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
	})
	outside, _ := split(t, p.stop(t))
	compare(t, all, outside, canaries...)
	noSecrets(t, p, all, append(plain, shaped...)...)
}

// TestServeLegacyClient lets clients of older revisions talk to a server that
// speaks only 2026-07-28, and answers with questions.
func TestServeLegacyClient(t *testing.T) {
	needNode(t)
	srv := httptest.NewServer(goSDKHandler(true))
	t.Cleanup(srv.Close)
	p := startServe(t, []string{"new=" + srv.URL})
	serveLegacyScript(t, p, legacyScript())
}

func serveLegacyScript(t *testing.T, p *proxy, script []operation) {
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
	outside, _ := split(t, p.stop(t))
	compare(t, all, outside)
	noSecrets(t, p, all, append(plain, shaped...)...)
}
