package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// targets are request targets as clients write them, by no means all of them
// rightly.
var targets = []string{
	"/", "/mcp", "/mcp/", "/mcp?", "/mcp??", "/?", "/mcp;v=1",
	"//mcp", "//evil.test/mcp", "///", "/a//b", "/a/./b/../c", "/..", "/.",
	"/a%2Fb", "/a%2fb/c", "/a%20b+c", "/%41", "/%7e~", "/a%00b", "/a%0d%0ab", "/%25", "/%3Fa", "/a%23b", "/%FF%fe",
	"/a;b=c;d/e:f@g!$&'()*,=", "/a[b]", "/a%5Bb%5D",
	"/%E4%B8%AD", "/中", "/caf\xc3\xa9/a%2Fb", "/\xff",
	"/a{b}|c", "/a%2F{b}", "/a\"<b>^`\\", "/a#b", "/a#b?c", "/a%2Fb|c//d?e|f",
	"/mcp?a=%zz;b&&=x", "/mcp?a;b=c", "/mcp?%", "/mcp?a=b?c=d", "/mcp?=", "/mcp?&", "/mcp?a=1&a=2&A=3", "/mcp?q=a+b%20c",
	"/mcp?\xff=\xc3\xa9", "/mcp?a=b#c", "/mcp?{\"a\":[1]}", "/mcp?sessionId=a%2Fb%3D", "/mcp?b=2&a=1",
	"/" + strings.Repeat("a/", 5000),
}

// TestTarget sends targets through the proxy; they must arrive to the byte.
func TestTarget(t *testing.T) {
	for _, target := range targets {
		t.Run(target[:min(len(target), 30)], func(t *testing.T) {
			t.Parallel()
			up := answer(t, plainOK)
			chain := newChain(t, "http://"+up.addr+"/ignored?too")
			if m := send(t, chain.Listener.Addr().String(), wire("GET "+target+" HTTP/1.1"+host, "")); m.status() != "200" {
				t.Fatalf("answer %q, want 200", m.Line)
			}
			if got := receive(t, up.got, "a request").Line; got != "GET "+target+" HTTP/1.1" {
				t.Errorf("line %.200q, want target %.200q", got, target)
			}
			chain.end()
			chain.want(t, plainHTTP)
		})
	}
}

// TestAbsoluteTarget sends the form that a client of a forward proxy uses. It
// means the same, and an upstream gets the usual form of it.
func TestAbsoluteTarget(t *testing.T) {
	up := answer(t, plainOK)
	chain := newChain(t, "http://"+up.addr)
	send(t, chain.Listener.Addr().String(), wire("GET http://other.test/a%2Fb?c HTTP/1.1"+host, ""))
	got := receive(t, up.got, "a request")
	if got.Line != "GET /a%2Fb?c HTTP/1.1" || got.Header["host"][0] != up.addr {
		t.Errorf("got %q to %q", got.Line, got.Header["host"])
	}
}

// TestHost tests that the upstream's name is sent unless the client's is asked
// for.
func TestHost(t *testing.T) {
	for _, preserve := range []bool{false, true} {
		up := answer(t, plainOK)
		want := map[bool]string{false: up.addr, true: "client.test:81"}[preserve]
		f := newFront(t, newProxy(t, "http://"+up.addr, Options{PreserveHost: preserve}))
		send(t, f.Listener.Addr().String(), wire(http.MethodGet+" / HTTP/1.1\nHost: client.test:81", ""))
		if got := receive(t, up.got, "a request").Header["host"]; len(got) != 1 || got[0] != want {
			t.Errorf("host %q, want %q", got, want)
		}
	}
}
