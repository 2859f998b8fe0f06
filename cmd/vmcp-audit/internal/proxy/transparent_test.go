package proxy

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProxy sends each request to an upstream directly and through the proxy:
// the upstream must receive the same, and so must the client.
func TestProxy(t *testing.T) {
	each(t, func(t *testing.T, x exchange) {
		direct := answer(t, x.answer)
		wantAnswer := passed(send(t, direct.addr, x.request))
		wantRequest := passed(receive(t, direct.got, "a direct request"))

		up := answer(t, x.answer)
		chain := newChain(t, "http://"+up.addr)
		gotAnswer := passed(send(t, chain.Listener.Addr().String(), x.request))
		gotRequest := passed(receive(t, up.got, "a request"))
		chain.end()

		wantRequest.Header["accept-encoding"] = []string{"identity"}
		wantRequest.Header["host"] = []string{up.addr}
		allow(&wantAnswer, &gotAnswer)
		if diff := cmp.Diff(wantRequest, gotRequest); diff != "" {
			t.Errorf("request (-direct +proxied):\n%s", diff)
		}
		if diff := cmp.Diff(wantAnswer, gotAnswer); diff != "" {
			t.Errorf("answer (-direct +proxied):\n%s", diff)
		}
		chain.want(t, x.want...)
	})
}

// TestMiddleware compares a handler that is audited with the same handler
// alone.
func TestMiddleware(t *testing.T) {
	each(t, func(t *testing.T, x exchange) {
		bare := &replay{answer: x.answer, got: make(chan message, 1)}
		s := newServer(t, bare)
		s.Start()
		wantAnswer := send(t, s.Listener.Addr().String(), x.request)

		audited := &replay{answer: x.answer, got: make(chan message, 1)}
		f := newFront(t, audited)
		gotAnswer := send(t, f.Listener.Addr().String(), x.request)
		f.end()

		if diff := cmp.Diff(receive(t, bare.got, "a request"), receive(t, audited.got, "an audited request")); diff != "" {
			t.Errorf("request (-bare +audited):\n%s", diff)
		}
		allow(&wantAnswer, &gotAnswer)
		delete(wantAnswer.Header, "date")
		delete(gotAnswer.Header, "date")
		if diff := cmp.Diff(wantAnswer, gotAnswer); diff != "" {
			t.Errorf("answer (-bare +audited):\n%s", diff)
		}
		f.want(t, x.want...)
	})
}

// hopByHop are the fields of RFC 9110, section 7.6.1, and Trailer, which each
// sender writes for itself.
var hopByHop = []string{
	"connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
	"te", "trailer", "transfer-encoding", "upgrade",
}

// TestNoGuess tests that an answer gets no type that the upstream did not give,
// also where nothing is flushed before its first bytes are there to guess by.
func TestNoGuess(t *testing.T) {
	up := answer(t, wire("HTTP/1.1 200 OK", "<html>"))
	h := newProxy(t, "http://"+up.addr, Options{})
	f := newFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	}))
	m := send(t, f.Listener.Addr().String(), wire("GET / HTTP/1.1"+host, ""))
	if m.Body != "<html>" || m.Header["content-type"] != nil {
		t.Errorf("answer %+v, want no type", m)
	}
}

// passed returns m without what belongs to one connection only.
func passed(m message) message {
	trailers := m.Header.has("te", "trailers")
	m.Header = maps.Clone(m.Header)
	for _, name := range append(m.Header.list("connection"), hopByHop...) {
		delete(m.Header, strings.ToLower(name))
	}
	if trailers {
		m.Header["te"] = []string{"trailers"} // since the proxy passes them on
	}
	return m
}

// allow takes out what the proxy may change in an answer: the words behind the
// status, the version, and a Date where there was none, as RFC 9110 asks for.
func allow(want, got *message) {
	for _, m := range []*message{want, got} {
		m.Line = m.status()
		for i := range m.Interim {
			m.Interim[i].Line = m.Interim[i].status()
		}
	}
	if want.Header["date"] == nil {
		delete(got.Header, "date")
	}
}

// replay is a handler that gives a written answer and keeps what it was given.
type replay struct {
	answer string
	got    chan message
}

func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := message{Line: r.Method + " " + r.RequestURI + " " + r.Proto, Header: fields{}}
	for name, values := range r.Header {
		m.Header[strings.ToLower(name)] = slices.Clone(values)
	}
	m.Header.add("host", r.Host)
	body, err := digest(r.Body)
	m.Body, m.Broken = body, err != nil
	m.Trailer = fields{}
	for name, values := range r.Trailer {
		m.Trailer[strings.ToLower(name)] = slices.Clone(values)
	}
	p.got <- m

	br := bufio.NewReader(strings.NewReader(p.answer))
	for {
		resp, err := http.ReadResponse(br, r)
		if err != nil {
			panic(err)
		}
		play(w, resp)
		if resp.StatusCode >= 200 {
			return
		}
	}
}

// play writes resp.
func play(w http.ResponseWriter, resp *http.Response) {
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	for name := range resp.Trailer {
		w.Header().Add("Trailer", name)
	}
	w.WriteHeader(resp.StatusCode)
	if resp.StatusCode < 200 {
		clear(w.Header())
		return
	}
	http.NewResponseController(w).Flush()
	announced := len(resp.Trailer)
	io.Copy(w, resp.Body)
	for name, values := range resp.Trailer {
		if announced == 0 {
			name = http.TrailerPrefix + name
		}
		w.Header()[name] = values
	}
}
