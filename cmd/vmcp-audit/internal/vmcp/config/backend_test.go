package config

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

func TestParseBackend(t *testing.T) {
	program := func(command ...string) Backend {
		return Backend{Name: "a", Transport: Stdio, Timeout: DefaultTimeout, Command: command}
	}
	for text, want := range map[string]Backend{
		"a=https://h/mcp":                   {Name: "a", Timeout: DefaultTimeout, URL: &url.URL{Scheme: "https", Host: "h", Path: "/mcp"}},
		"a=npx -y server":                   program("npx", "-y", "server"),
		"a= x\t y  ":                        program("x", "y"),
		`a=x 'b "c' "d 'e" f\ g \"`:         program("x", `b "c`, "d 'e", "f g", `"`),
		`a=x '' "" "\"\\\n$HOME" '\'`:       program("x", "", "", `"\\n$HOME`, `\`),
		`a=C:\\bin\\x.exe --url=http://h/x`: program(`C:\bin\x.exe`, "--url=http://h/x"),
		"a=x a=b *.txt":                     program("x", "a=b", "*.txt"),
		"a=curl http://h":                   program("curl", "http://h"),
	} {
		got, err := ParseBackend(text)
		if diff := cmp.Diff(want, got, revealed); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got\n%s", text, err, diff)
		}
	}
}

func TestParseBackendMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "is not NAME=URL or NAME=COMMAND",
		"http://h":                        "is not NAME=URL or NAME=COMMAND",
		"=http://h":                       badBackendName,
		"a b=http://h":                    badBackendName,
		"é=x":                             badBackendName,
		"_a=x":                            badBackendName,
		strings.Repeat("a", 65) + "=x":    badBackendName,
		"a=":                              "names neither a URL nor a program",
		"a=  ":                            "names neither a URL nor a program",
		"a='' x":                          "names neither a URL nor a program",
		"a=x 'y":                          "has a quote that is not closed",
		`a=x \`:                           "ends in a backslash",
		"a=x\x00":                         "has a zero byte",
		"a=ftp://h":                       "does not begin with http:// or https://",
		"a=http://u:p@h":                  "holds a user name or a password",
		"a=http://":                       "names no host",
		"a=" + strings.Repeat("x", 70000): "is longer than 65536 bytes",
	} {
		if _, err := ParseBackend(text); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func TestFromFlags(t *testing.T) {
	got, warnings, err := FromFlags([]string{"b=http://127.0.0.1:1", "b_c=cmd"})
	want, _ := mustLoad(t, "backends: [{name: b, url: 'http://127.0.0.1:1'}, {name: b_c, command: cmd}]", Options{})
	want.Backends[1].Env = nil
	if diff := cmp.Diff(want, got, revealed); diff != "" || err != nil {
		t.Errorf("%v; -file +flags\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"--backend: backends[1].name: gives the prefix b_c_, which a tool of b can have too; a name that both have is shown of neither"}, warnings); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for want, values := range map[string][]string{
		"--backend: names no back end":           nil,
		"--backend: is there more than 64 times": make([]string, MaxBackends+1),
		"--backend[0]: is not NAME=URL or NAME=COMMAND\n--backend[2]: has the name of another back end": {"x", "a=y", "a=z"},
	} {
		if _, _, err := FromFlags(values); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A program of a back end gets none of our secrets.
func TestEnviron(t *testing.T) {
	b := Backend{Env: map[string]config.Secret{"TOKEN": config.NewSecret("its own"), "HOME": config.NewSecret("/its/home")}}
	got := b.Environ([]string{
		"PATH=/bin", "HOME=/root", "VMCP_AUDIT_HEC_TOKEN=ours", "GITHUB_TOKEN=ours", "AWS_SECRET_ACCESS_KEY=ours", "LANG=() { :; }", "Path=x", "TERM",
	})
	want := []string{"PATH=/bin", "Path=x", "TERM", "HOME=/its/home", "TOKEN=its own"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestSpeaksOfSecret(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "X-Api-Key", "GITHUB_TOKEN", "accessToken", "apikey", "--password", "DB_PASSWD", "client_secret", "Cookie", "GITHUB_PAT", "Proxy-Authorization"} {
		if !speaksOfSecret(name) {
			t.Errorf("%s does not", name)
		}
	}
	for _, name := range []string{"X-Author", "MAX_TOKENS", "KEYBOARD", "PATH", "", "X-Team", "é", "monkey", "TLS_KEY_FILE", "AWS_ACCESS_KEY_ID", "authUrl"} {
		if speaksOfSecret(name) {
			t.Errorf("%s does", name)
		}
	}
}
