package integration

import (
	"strings"
	"testing"
)

// TestDataSecrets records arguments and results. Plain values may then be in
// the trail; what has the shape or the name of a secret may not.
func TestDataSecrets(t *testing.T) {
	needNode(t)
	port := freePort(t)
	startEverything(t, port)
	p := startProxy(t, "http://"+loopback(port), "INCLUDE_REQUEST_DATA=true", "INCLUDE_RESPONSE_DATA=true", "MAX_DATA_SIZE=64KiB")
	url := withSecret(p.url + everythingPath)
	script := append([]operation{
		on("listening", "", "", ok),
		call(ok, "get-roots-list", nil), // else the server may ask for them while its client leaves
		asked("roots/list", 1),
		call(ok, "trigger-elicitation-request", nil),
	}, secretScript()...)
	all := drive(t, map[string]func(testing.TB) view{
		"ts-v1": func(t testing.TB) view { return runTS(t, "v1", "ts-v1", url, script) },
		"go-sdk": func(t testing.TB) view {
			c := &goSDK{url: url, http: newRecorder("go-sdk", clientHeader("go-sdk"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
		"mcp-go": func(t testing.TB) view {
			c := &mcpGo{url: url, listens: true, http: newRecorder("mcp-go", clientHeader("mcp-go"))}
			return runGo(t, c, &c.driver, c.http, script)
		},
	})
	tr := p.stop(t)
	compare(t, all, tr, inNames...)
	noSecrets(t, p, all, append(shaped, named)...)

	// Else the test would prove nothing: data was recorded.
	for _, want := range []string{argument, promptValue, "MCP_SERVER_TOKEN"} {
		found := false
		for _, e := range tr {
			found = found || strings.Contains(string(e.Data.Request)+string(e.Data.Response), want)
		}
		if !found {
			t.Errorf("%q is in no event's data", want)
		}
	}
}
