package integration

import (
	"os"
	"strings"
	"testing"
)

// Secrets that the tests plant. Those of a known shape may be looked for
// everywhere; the others wherever no plain argument can be.
const (
	bearer      = "canary-bearer-5d1f9a77c2-" // and the client's name
	cookie      = "canary-cookie-80b1e4f3aa"
	apiKey      = "canary-api-key-2f6c91d07e"
	queryToken  = "canary-query-6ba19c55d0"
	argument    = "canary-argument-e3307f24b8"
	named       = "canary-named-a81c5e0f37" // under the name of a secret
	promptValue = "canary-prompt-94ad0c6b13"
	elicited    = "canary-elicited-7c20d85fe1"
	uriUser     = "canary-user-b1d93c06e4"
	uriPassword = "canary-password-0fa2e6c971"
	uriToken    = "canary-uri-token-3e58b7d926"

	agentToken  = "ghp_Agent0123456789abcdefghijklmnopqrstu"
	toolToken   = "ghp_Tool00123456789abcdefghijklmnopqrstu"
	argToken    = "ghp_Arg000123456789abcdefghijklmnopqrstu"
	serverToken = "ghp_Server123456789abcdefghijklmnopqrstu"
)

const (
	secretTool     = "deploy-" + toolToken
	secretResource = "https://" + uriUser + ":" + uriPassword + "@files.example.com/report.txt?token=" + uriToken + "&page=2"
)

// shaped are the secrets that stand where, or look as, one can know them for
// secrets.
var shaped = []string{
	bearer, cookie, apiKey, queryToken, uriUser, uriPassword, uriToken,
	agentToken, toolToken, argToken, serverToken,
}

// plain are values that only their owner, or the name that they go by, makes
// secrets.
var plain = []string{argument, named, promptValue, elicited}

// inNames are the secrets that the script puts into names.
var inNames = []string{toolToken, uriPassword}

// secretScript is the conversation about secrets.
func secretScript() []operation {
	return []operation{
		call(ok, "echo", args{"message": argument, "password": named, "apiKey": named, "note": argToken}),
		call(toolError, secretTool, args{"clientSecret": named}),
		call(ok, "get-env", nil),
		read(rpcError, secretResource),
		prompt(ok, "args-prompt", args{"city": promptValue, "state": argToken}),
	}
}

// withSecret returns the URL of an MCP endpoint with a secret in its query.
func withSecret(url string) string { return url + "?token=" + queryToken + "&lang=en" }

// noSecrets looks for secrets, and for the session ids that the clients saw,
// in an audit file and in what the proxy wrote.
func noSecrets(t testing.TB, p *proxy, v view, secrets ...string) {
	t.Helper()
	file, err := os.ReadFile(p.trail)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range v.exchanges {
		if id := x.sessionID(); id != "" {
			secrets = append(secrets, id)
		}
	}
	for where, text := range map[string]string{"audit file": string(file), "proxy's output": p.output()} {
		told := make(map[string]bool)
		for _, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 && !told[secret] {
				told[secret] = true
				from := strings.LastIndexByte(text[:at], '\n') + 1
				line, _, _ := strings.Cut(text[from:], "\n")
				t.Errorf("secret %q in the %s:\n%s", secret, where, line)
			}
		}
	}
}
