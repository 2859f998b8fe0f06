package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stage is an upstream handler that a test leads by the hand: it writes what
// is put into write and ends when that is closed.
type stage struct {
	head  http.Header
	write chan string
	end   <-chan struct{} // of the test, if that has failed before
}

func newStage(t testing.TB, contentType string) *stage {
	return &stage{
		head:  http.Header{"Content-Type": {contentType}},
		write: make(chan string),
		end:   t.Context().Done(),
	}
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	maps.Copy(w.Header(), s.head)
	http.NewResponseController(w).Flush()
	for {
		select {
		case text, ok := <-s.write:
			if !ok {
				return
			}
			io.WriteString(w, text)
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		case <-s.end:
			return
		}
	}
}

// say has the upstream write text.
func (s *stage) say(t testing.TB, text string) {
	t.Helper()
	select {
	case s.write <- text:
	case <-time.After(patience):
		t.Fatalf("the upstream could not write %q", text)
	}
}

// serve starts a server for h that ends with t.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := newServer(t, h)
	s.Start()
	return s
}

// ask sends a request and returns its answer, whose body may be still to come.
func ask(ctx context.Context, t testing.TB, c *http.Client, method, url, body, accept string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// pieces reads r in the background and returns the lines as they arrive, and
// how r ended.
func pieces(r io.Reader) (<-chan string, <-chan error) {
	out, end := make(chan string, 100), make(chan error, 1)
	go func() {
		br := bufio.NewReader(r)
		for {
			line, err := br.ReadString('\n')
			if line != "" {
				out <- line
			}
			if err != nil {
				end <- err
				return
			}
		}
	}()
	return out, end
}

// stream is a request and the pieces of the answer to it.
type stream struct {
	name, method, body string
	contentType        string // of the answer; also what the client accepts
	pieces             []string
	want               []string // events
}

// TestStream tests that each piece of an answer arrives while the upstream has
// nothing more to say, whatever its type, and its header before any of them.
func TestStream(t *testing.T) {
	sse := func(s string) string { return "data: " + s + "\n\n" }
	tests := []stream{
		{"SSE", "POST", call, "text/event-stream", []string{"id: 1\ndata:\n\n", ": ping\n\n", sse(progress), sse(progress), sse(result)}, []string{toolCall}},
		{"SSE in halves", "POST", call, "text/event-stream", []string{"da\n", "data: " + progress + "\n", "\n", "event: message\n", sse(result), ": more\n"}, []string{toolCall}},
		{"GET", "GET", "", "text/event-stream", []string{"event: endpoint\ndata: /messages?sessionId=1\n\n", sse(progress)}, []string{"sse_connection success 200", "sse_closed success server_closed"}},
		{"listen", "POST", `{"id":1,"method":"subscriptions/listen"}`, "text/event-stream; charset=utf-8", []string{sse(progress), sse(progress)}, []string{"mcp_subscription success 200", "sse_closed success server_closed"}},
		{"JSON", "POST", call, "application/json", []string{"\n", result[:17] + "\n", result[17:] + "\n"}, []string{toolCall}},
		{"JSON with a length", "POST", call, "application/json", []string{"\n", result[:17] + "\n", result[17:] + "\n"}, []string{toolCall}},
		{"lines of JSON", "GET", "", "application/x-ndjson", []string{"{}\n", "{}\n"}, []string{plainHTTP}},
		{"compressed", "POST", call, "text/event-stream", []string{"\x1f\x8b\n", "\x00\n"}, []string{toolCall}},
	}
	for _, tt := range tests {
		t.Run(tt.name+", audited", func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tt.contentType)
			follow(t, s, newFront(t, s), tt)
		})
		t.Run(tt.name+", proxied", func(t *testing.T) {
			t.Parallel()
			s := newStage(t, tt.contentType)
			follow(t, s, newChain(t, serve(t, s).URL), tt)
		})
	}
}

// follow compares what s says with what arrives through f.
func follow(t *testing.T, s *stage, f *front, x stream) {
	t.Helper()
	switch x.name {
	case "compressed":
		s.head.Set("Content-Encoding", "br")
	case "JSON with a length":
		s.head.Set("Content-Length", fmt.Sprint(len(strings.Join(x.pieces, ""))))
	}
	resp := ask(t.Context(), t, newClient(t), x.method, f.URL, x.body, x.contentType)
	got, end := pieces(resp.Body)
	for _, p := range x.pieces {
		s.say(t, p)
		for line := range strings.Lines(p) {
			if l := receive(t, got, "a piece of the stream"); l != line {
				t.Errorf("got %q, want %q", l, line)
			}
		}
	}
	close(s.write)
	if err := receive(t, end, "the stream's end"); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
	f.end()
	f.want(t, x.want...)
}

// TestStreamEvent tests that an operation is recorded before its answer
// arrives, and a stream when it opens.
func TestStreamEvent(t *testing.T) {
	s := newStage(t, "text/event-stream")
	chain := newChain(t, serve(t, s).URL)
	resp := ask(t.Context(), t, newClient(t), "POST", chain.URL, call, "text/event-stream")
	got, _ := pieces(resp.Body)
	s.say(t, "data: "+progress+"\n\n")
	receive(t, got, "progress")
	chain.want(t)
	s.say(t, "data: "+result+"\n\n")
	receive(t, got, "empty line")
	receive(t, got, "result")
	chain.want(t, toolCall)
	close(s.write)

	s = newStage(t, "text/event-stream")
	chain = newChain(t, serve(t, s).URL)
	ask(t.Context(), t, newClient(t), "GET", chain.URL, "", "text/event-stream")
	chain.want(t, "sse_connection success 200")
	close(s.write)
	chain.end()
	chain.want(t, "sse_connection success 200", "sse_closed success server_closed")
}

// TestUpload tests that the upstream receives a request while the client still
// sends it: at once, or for a POST once the first PeekLimit bytes have come.
func TestUpload(t *testing.T) {
	const ahead = 1 << 20
	for _, tt := range []struct {
		name, head string
		first      int
		want       string
	}{
		{"POST in chunks", "POST / HTTP/1.1" + host + inChunks, ahead, "http_request success 200"},
		{"POST with a length", "POST / HTTP/1.1" + host + fmt.Sprint("\nContent-Length: ", ahead+200), ahead, "http_request success 200"},
		{"PUT in chunks", "PUT / HTTP/1.1" + host + inChunks, 1, "http_request success 200"},
		{"PUT with a length", "PUT / HTTP/1.1" + host + "\nContent-Length: 201", 1, "http_request success 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan int)
			up := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				buf := make([]byte, ahead)
				n, err := io.ReadFull(r.Body, buf[:tt.first])
				for ; n > 0; n, err = r.Body.Read(buf) {
					got <- n
				}
				if err != io.EOF {
					t.Errorf("the request ended in %v", err)
				}
				io.WriteString(w, "fine")
			}))
			chain := newChain(t, up.URL)
			conn := dial(t, chain.Listener.Addr().String())
			part := func(s string) {
				if strings.Contains(tt.head, inChunks) {
					s = fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
				}
				io.WriteString(conn, s)
			}
			io.WriteString(conn, wire(tt.head, ""))
			part(strings.Repeat("x", tt.first))
			if n := receive(t, got, "the first bytes"); n != tt.first {
				t.Errorf("upstream got %d bytes first, want %d", n, tt.first)
			}
			for range 2 {
				part(strings.Repeat("y", 100))
				if n := receive(t, got, "more bytes"); n != 100 {
					t.Errorf("upstream got %d bytes next, want 100", n)
				}
			}
			if strings.Contains(tt.head, inChunks) {
				io.WriteString(conn, chunked(""))
			}
			if m, err := readAnswer(bufio.NewReader(conn), "POST"); err != nil || m.Body != "fine" {
				t.Errorf("answer %v, %v", m, err)
			}
			chain.end()
			chain.want(t, tt.want)
		})
	}
}

// TestEarlyAnswer tests that an answer which comes before the request has been
// sent is passed on at once, and the rest of the request still arrives.
func TestEarlyAnswer(t *testing.T) {
	const ahead = 1 << 20
	up := serveConn(t, func(conn *net.TCPConn, br *bufio.Reader) {
		if _, err := head(br); err != nil {
			return
		}
		io.CopyN(io.Discard, br, ahead)
		io.WriteString(conn, wire(okText+"\nContent-Length: 10", "")+"early")
		io.CopyN(io.Discard, br, 1<<20)
		io.WriteString(conn, "later")
	})
	chain := newChain(t, "http://"+up)
	conn := dial(t, chain.Listener.Addr().String())
	io.WriteString(conn, wire("POST / HTTP/1.1"+host+fmt.Sprint("\nContent-Length: ", 2*ahead), ""))
	io.WriteString(conn, strings.Repeat("x", ahead))
	br := bufio.NewReader(conn)
	m, err := head(br)
	if err != nil {
		t.Fatal(err)
	}
	early := make([]byte, 5)
	if _, err := io.ReadFull(br, early); err != nil || string(early) != "early" || m.status() != "200" {
		t.Fatalf("%q, %v after %q", early, err, m.Line)
	}
	io.WriteString(conn, strings.Repeat("x", ahead))
	if later, err := io.ReadAll(io.LimitReader(br, 5)); string(later) != "later" {
		t.Errorf("later: %q, %v", later, err)
	}
	chain.end()
	chain.want(t, plainHTTP)
}
