package proxy

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// newTLSChain returns an audited proxy to h, which speaks HTTP/2.
func newTLSChain(t *testing.T, h http.Handler) *front {
	t.Helper()
	up := newTLSServer(t, h)
	p := newProxy(t, up.URL, Options{})
	roots := x509.NewCertPool()
	roots.AddCert(up.Certificate())
	transportOf(p).TLSClientConfig.RootCAs = roots
	return newFront(t, p)
}

func newTLSServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	up := newServer(t, h)
	up.EnableHTTP2 = true
	up.StartTLS()
	return up
}

// TestHTTP2 tests that an upstream which speaks HTTP/2 gets the same as
// another, and its answer passes piece by piece.
func TestHTTP2(t *testing.T) {
	s := newStage(t, "text/event-stream")
	got := make(chan string, 1)
	chain := newTLSChain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got <- fmt.Sprint(r.Proto, " ", r.Method, " ", r.RequestURI, " ", string(body), " ", err, " ", r.Trailer,
			r.Header["Cookie"], r.Header["X-A"], r.Header["Connection"], r.Header["Accept-Encoding"], r.Header["X-Forwarded-For"], r.Header["User-Agent"])
		w.Header().Set("Trailer", "X-Sum")
		s.ServeHTTP(w, r)
		w.Header().Set("X-Sum", "1")
	}))
	conn := dial(t, chain.Listener.Addr().String())
	io.WriteString(conn, wire("POST /a%2Fb|c?%zz;&& HTTP/1.1"+host+inChunks+"\nTrailer: X-T\nConnection: close\nCookie: a=1; b=2\nX-A: 2\nX-A: 1\nX-Forwarded-For: 192.0.2.1", chunked("X-T: 1\n", call)))
	want := "HTTP/2.0 POST /a%2Fb|c?%zz;&& " + call + " <nil> map[X-T:[1]] [a=1; b=2] [2 1] [] [identity] [192.0.2.1] []"
	if r := receive(t, got, "a request"); r != want {
		t.Errorf("got  %s\nwant %s", r, want)
	}
	lines, end := pieces(conn)
	for _, p := range []string{": ping\n", "data: " + progress + "\n", "data: " + result + "\n"} {
		s.say(t, p+"\n")
		for {
			if l := receive(t, lines, "a piece of the stream"); l == p {
				break
			}
		}
	}
	close(s.write)
	receive(t, end, "the end")
	tail := []string{}
	for len(lines) > 0 {
		tail = append(tail, strings.TrimSpace(<-lines))
	}
	if !slices.Contains(tail, "X-Sum: 1") {
		t.Errorf("no trailer at the end: %q", tail)
	}
	chain.end()
	chain.want(t, toolCall)
}

// TestHTTP2Broken tests that a stream which such an upstream resets does not
// look complete.
func TestHTTP2Broken(t *testing.T) {
	chain := newTLSChain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: "+progress+"\n\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	if m := send(t, chain.Listener.Addr().String(), wire(post, call)); !m.Broken {
		t.Errorf("answer %+v, want a broken one", m)
	}
	chain.end()
	chain.want(t, "mcp_tool_call error upstream_aborted 200")
}

// TestStranger tests that an upstream must prove its name.
func TestStranger(t *testing.T) {
	up := newTLSServer(t, http.NotFoundHandler())
	wantUnanswered(t, newChain(t, up.URL))
}
