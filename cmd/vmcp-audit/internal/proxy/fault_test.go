package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

const unanswered = "vmcp-audit: the server behind this proxy gave no answer\n"

// TestNoAnswer tests what stands in for an upstream that gives no answer.
func TestNoAnswer(t *testing.T) {
	silent := func(_ *net.TCPConn, br *bufio.Reader) {
		m, _ := head(br)
		m.body(br, false)
	}
	says := func(text string) func(*net.TCPConn, *bufio.Reader) {
		return func(conn *net.TCPConn, br *bufio.Reader) {
			silent(conn, br)
			io.WriteString(conn, text)
		}
	}
	for _, tt := range []struct {
		name string
		f    func(*net.TCPConn, *bufio.Reader)
	}{
		{"closed at once", func(*net.TCPConn, *bufio.Reader) {}},
		{"closed after the request", silent},
		{"reset", func(conn *net.TCPConn, br *bufio.Reader) { silent(conn, br); conn.SetLinger(0) }},
		{"half a status", says("HTTP/1.1 20")},
		{"half a header", says("HTTP/1.1 200 OK\r\nContent-Type: text/pl")},
		{"no HTTP", says("SSH-2.0-x\r\n")},
		{"status 99", says(wire("HTTP/1.1 099 What", ""))},
		{"early hints only", says(wire("HTTP/1.1 103 Early Hints\nX-A: 1", ""))},
		{"two lengths", says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")},
		{"upgraded", says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")},
		{"upgraded to nothing", says("HTTP/1.1 101 Switching Protocols\r\n\r\nframes")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			chain := newChain(t, "http://"+serveConn(t, tt.f))
			wantUnanswered(t, chain)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		taken := dial(t, serveConn(t, silent)) // so that its port cannot become that of a listener
		wantUnanswered(t, newChain(t, "http://"+taken.LocalAddr().String()))
	})
	t.Run("TLS expected", func(t *testing.T) {
		plain := serve(t, http.NotFoundHandler())
		wantUnanswered(t, newChain(t, "https://"+plain.Listener.Addr().String()))
	})
}

func wantUnanswered(t *testing.T, chain *front) {
	t.Helper()
	got := send(t, chain.Listener.Addr().String(), wire(post+"\nConnection: Upgrade\nUpgrade: websocket", call))
	if got.status() != "502" || got.Body != unanswered || got.Header["x-a"] != nil {
		t.Errorf("answer %+v", got)
	}
	chain.end()
	chain.want(t, "mcp_tool_call error upstream_unreachable 502")
}

// TestTimeout tests that a time-out on the way to the upstream is told from a
// refusal.
func TestTimeout(t *testing.T) {
	for _, err := range []error{
		os.ErrDeadlineExceeded,
		context.DeadlineExceeded,
		&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
		fmt.Errorf("dial: %w", &net.DNSError{IsTimeout: true}),
	} {
		t.Run(err.Error(), func(t *testing.T) {
			h := newProxy(t, "http://127.0.0.1:1", Options{})
			transportOf(h).DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, err }
			chain := newFront(t, h)
			if got := send(t, chain.Listener.Addr().String(), wire(post, call)); got.status() != "504" || got.Body != unanswered {
				t.Errorf("answer %+v", got)
			}
			chain.end()
			chain.want(t, "mcp_tool_call error upstream_timeout 504")
		})
	}
}

// TestBrokenAnswer tests that an answer which the upstream breaks off does not
// look complete to the client, but one that it ends does.
func TestBrokenAnswer(t *testing.T) {
	event := "data: " + progress + "\n\n"
	reset := func(conn *net.TCPConn) { conn.SetLinger(0) }
	more := func(text string) func(*net.TCPConn) { return func(conn *net.TCPConn) { io.WriteString(conn, text) } }
	for _, tt := range []struct {
		name, text string
		end        func(*net.TCPConn) // once the text has arrived
		broken     bool
		want       string
	}{
		{"chunks, closed", wire(okSSE+inChunks, "") + chunks(event), nil, true, "mcp_tool_call error upstream_aborted 200"},
		{"chunks, reset", wire(okSSE+inChunks, "") + chunks(event), reset, true, "mcp_tool_call error upstream_aborted 200"},
		{"in a chunk", wire(okSSE+inChunks, "") + chunks(event), more("40\r\nda"), true, "mcp_tool_call error upstream_aborted 200"},
		{"bad chunk", wire(okSSE+inChunks, "") + chunks(event), more("zz\r\n"), true, "mcp_tool_call error upstream_aborted 200"},
		{"length, closed", wire(okJSON+"\nContent-Length: 500", "") + event, nil, true, "mcp_tool_call error upstream_aborted 200"},
		{"length, reset", wire(okJSON+"\nContent-Length: 500", "") + event, reset, true, "mcp_tool_call error upstream_aborted 200"},
		{"no length, reset", wire(okSSE, "") + event, reset, true, "mcp_tool_call error upstream_aborted 200"},
		{"answered, then reset", wire(okSSE+inChunks, "") + chunks(event+"data: "+result+"\n\n"), reset, true, toolCall},
		{"no length, closed", wire(okSSE, "") + event, nil, false, "mcp_tool_call error no_response 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{})
			up := serveConn(t, func(conn *net.TCPConn, br *bufio.Reader) {
				m, _ := head(br)
				m.body(br, false)
				io.WriteString(conn, tt.text)
				await(t, arrived, "the client's word")
				if tt.end != nil {
					tt.end(conn)
				}
			})
			chain := newChain(t, "http://"+up)
			conn := dial(t, chain.Listener.Addr().String())
			io.WriteString(conn, wire(post, call))
			br := bufio.NewReader(conn)
			m, err := head(br)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := br.Peek(len(event)); err != nil {
				t.Fatal(err)
			}
			close(arrived)
			if m.body(br, false); m.Broken != tt.broken {
				t.Errorf("broken %v, want %v: %+v", m.Broken, tt.broken, m)
			}
			chain.end()
			chain.want(t, tt.want)
		})
	}
}

func chunks(part string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(part), part) }

// TestClientGoes tests that the upstream's request ends when the client hangs
// up, before an answer or in the middle of it.
func TestClientGoes(t *testing.T) {
	for _, tt := range []struct {
		name, method, body string
		first              string // what the client waits for
		want               []string
	}{
		{"before the answer", "POST", call, "", []string{"mcp_tool_call failure disconnected 0"}},
		{"in a stream", "POST", call, "data: " + progress + "\n\n", []string{"mcp_tool_call failure disconnected 200"}},
		{"in a stream, where that cancels", "POST", `{"id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, "data: " + progress + "\n\n", []string{"mcp_tool_call failure cancelled 200"}},
		{"after the answer", "POST", call, "data: " + result + "\n\n", []string{toolCall}},
		{"in a GET", "GET", "", "data: " + progress + "\n\n", []string{"sse_connection success 200", "sse_closed success client_closed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			arrived, gone := make(chan struct{}), make(chan struct{})
			up := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if tt.first != "" {
					w.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(w, tt.first)
					http.NewResponseController(w).Flush()
				}
				close(arrived)
				await(t, r.Context().Done(), "the client's going")
				close(gone)
			}))
			chain := newChain(t, up.URL)
			conn := dial(t, chain.Listener.Addr().String())
			io.WriteString(conn, wire(tt.method+" / HTTP/1.1"+host+"\nAccept: text/event-stream", tt.body))
			receive(t, arrived, "the request")
			if tt.first != "" {
				br := bufio.NewReader(conn)
				head(br)
				br.Peek(len(tt.first))
			}
			conn.Close()
			receive(t, gone, "the end of the upstream's request")
			got := chain.await(t, len(tt.want))
			for i, want := range tt.want {
				if want, _ := strings.CutSuffix(want, " 0"); !strings.HasPrefix(got[i], want) {
					t.Errorf("event %q, want %q", got[i], want)
				}
			}
			chain.end()
			if n := len(chain.lines()); n != len(tt.want) {
				t.Errorf("%d events in all: %q", n, chain.lines())
			}
		})
	}
}

// TestClientGoesSending tests that an upstream can tell a request that was not
// sent to its end from a complete one.
func TestClientGoesSending(t *testing.T) {
	const ahead = 1 << 20
	for _, tt := range []struct {
		name, head, part string
	}{
		{"length", fmt.Sprint("POST / HTTP/1.1", host, "\nContent-Length: ", 2*ahead), strings.Repeat("x", ahead)},
		{"chunks", "POST / HTTP/1.1" + host + inChunks, chunks(strings.Repeat("x", ahead))},
		{"no POST", "PUT / HTTP/1.1" + host + inChunks, chunks("x")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			began, end := make(chan struct{}), make(chan error, 1)
			up := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				r.Body.Read(make([]byte, 1))
				close(began)
				_, err := io.Copy(io.Discard, r.Body)
				end <- err
			}))
			chain := newChain(t, up.URL)
			conn := dial(t, chain.Listener.Addr().String())
			io.WriteString(conn, wire(tt.head, "")+tt.part)
			receive(t, began, "the request")
			conn.Close()
			if err := receive(t, end, "the end of the upstream's request"); err == nil {
				t.Error("the upstream took a part of the request for the whole")
			}
			chain.end()
			chain.want(t, "http_request failure disconnected")
		})
	}
}

// TestHalfClosed tests that a client which only stops sending gets no answer
// that the upstream did not give.
func TestHalfClosed(t *testing.T) {
	asked := make(chan struct{})
	up := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(asked)
		await(t, r.Context().Done(), "the client's going")
	}))
	chain := newChain(t, up.URL)
	conn := dial(t, chain.Listener.Addr().String())
	io.WriteString(conn, wire(post, call))
	receive(t, asked, "the request")
	conn.CloseWrite()
	if got, err := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("answer %q, %v; want none", got, err)
	}
	chain.end()
	chain.want(t, "mcp_tool_call failure disconnected")
}

// TestBadRequest tests that a request which cannot be read is not taken for a
// fault of the upstream.
func TestBadRequest(t *testing.T) {
	for _, verb := range []string{"POST", "PUT"} {
		t.Run(verb, func(t *testing.T) {
			up := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					t.Error("the upstream took the request for a complete one")
				}
			}))
			chain := newChain(t, up.URL)
			got := send(t, chain.Listener.Addr().String(), wire(verb+" / HTTP/1.1"+host+inChunks, chunks(call)+"zz\r\n"))
			if got.status() != "400" {
				t.Errorf("answer %+v, want 400", got)
			}
			chain.end()
			want := map[string]string{"POST": "mcp_tool_call failure bad_request 400", "PUT": "http_request failure bad_request 400"}[verb]
			chain.want(t, want)
		})
	}
}

// TestSent tests that a body which the transport reads after it has closed it
// does not count as one that the client broke off.
func TestSent(t *testing.T) {
	fault := io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	for closed := range 2 {
		s := &sent{ReadCloser: fault}
		if closed == 1 {
			s.Close()
		}
		if _, err := s.Read(nil); err == nil || s.broken.Load() != (closed == 0) {
			t.Errorf("closed %d: %v, broken %v", closed, err, s.broken.Load())
		}
	}
}

// TestUpstreamGoes tests an upstream that goes away while the client sends.
// The transport notices with the next bytes of the client, not before.
func TestUpstreamGoes(t *testing.T) {
	gone := make(chan struct{})
	up := serveConn(t, func(conn *net.TCPConn, br *bufio.Reader) {
		defer close(gone)
		head(br)
		io.CopyN(io.Discard, br, 1<<20)
		conn.SetLinger(0)
		conn.Close()
	})
	chain := newChain(t, "http://"+up)
	conn := dial(t, chain.Listener.Addr().String())
	part := strings.Repeat(" ", 1<<20)
	io.WriteString(conn, wire(fmt.Sprint(post, "\nContent-Length: ", 3<<20), "")+part)
	receive(t, gone, "the end of the upstream's connection")
	io.WriteString(conn, part)
	if got, err := readAnswer(bufio.NewReader(conn), "POST"); err != nil || got.status() != "502" {
		t.Errorf("answer %+v, %v; want 502", got, err)
	}
	conn.Close()
	chain.end()
	chain.want(t, "http_request error upstream_unreachable 502")
}

// TestClientTimesOut tests a client that gives up on an upstream which never
// answers.
func TestClientTimesOut(t *testing.T) {
	asked, gone := make(chan struct{}), make(chan struct{})
	up := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(asked)
		await(t, r.Context().Done(), "the client's going")
		close(gone)
	}))
	chain := newChain(t, up.URL)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	req := httptest.NewRequestWithContext(ctx, "POST", chain.URL, strings.NewReader(call))
	req.RequestURI = ""
	client := newClient(t)
	go func() {
		_, err := client.Do(req)
		failed <- err
	}()
	receive(t, asked, "the request")
	cancel()
	if err := receive(t, failed, "the client's error"); !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	receive(t, gone, "the end of the upstream's request")
	chain.end()
	chain.want(t, "mcp_tool_call failure disconnected")
}

// TestEarlyRefusal tests an upstream that refuses a request of which it reads
// the header only.
func TestEarlyRefusal(t *testing.T) {
	done := make(chan struct{})
	up := serveConn(t, func(conn *net.TCPConn, br *bufio.Reader) {
		head(br)
		io.WriteString(conn, wire("HTTP/1.1 413 Too Large\nConnection: close", "too large"))
		await(t, done, "the client's word")
	})
	chain := newChain(t, "http://"+up)
	conn := dial(t, chain.Listener.Addr().String())
	io.WriteString(conn, wire(fmt.Sprint(post, "\nContent-Length: ", 64<<20), "")+strings.Repeat(" ", 1<<20))
	got, err := readAnswer(bufio.NewReader(conn), "POST")
	if err != nil || got.status() != "413" || got.Body != "too large" || got.Broken {
		t.Errorf("answer %+v, %v", got, err)
	}
	close(done)
	conn.Close()
	if got := chain.await(t, 1)[0]; got != "http_request failure too_large 413" {
		t.Errorf("event %q", got)
	}
	chain.end()
}
