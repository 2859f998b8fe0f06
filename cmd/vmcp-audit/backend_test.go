package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseBackend(t *testing.T) {
	for _, tt := range []struct {
		in, url string
		command []string
		err     string
	}{
		{in: "a=http://127.0.0.1:1/mcp?x=y", url: "http://127.0.0.1:1/mcp?x=y"},
		{in: "a.b-c_1=https://example.com", url: "https://example.com"},
		{in: "a=npx -y server /srv", command: []string{"npx", "-y", "server", "/srv"}},
		{in: `a=node "/my files/x.js" '' \"q\" a\ b 'it''s' "x\"y"`, command: []string{"node", "/my files/x.js", "", `"q"`, "a b", "its", `x"y`}},
		{in: "a=FOO=bar", command: []string{"FOO=bar"}},
		{in: "a", err: "NAME=URL or NAME=COMMAND"},
		{in: "=http://x", err: "NAME=URL or NAME=COMMAND"},
		{in: "a b=http://x", err: "NAME=URL or NAME=COMMAND"},
		{in: "a= ", err: "NAME=URL or NAME=COMMAND"},
		{in: "a=http://", err: "cannot be read"},
		{in: "a=http://canary:canary@x", err: "a user name or a password"},
		{in: "a=http://x/%zz?canary", err: "cannot be read"},
		{in: `a=x "`, err: "without its end"},
		{in: `a=x \`, err: "without its end"},
	} {
		s, err := parseBackend(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v, want %s", tt.in, err, tt.err)
			}
			continue
		}
		got := ""
		if s.URL != nil {
			got = s.URL.String()
		}
		if err != nil || got != tt.url {
			t.Errorf("%s: %q, %v, want %q", tt.in, got, err, tt.url)
		}
		if diff := cmp.Diff(tt.command, s.Command); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.in, diff)
		}
	}
}
