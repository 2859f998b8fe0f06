package proxy

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

const (
	bigSize = 64 << 20
	// bigCost bounds what one exchange of two big bodies allocates in all, in
	// client, audit, proxy and upstream together: the PeekLimit bytes read
	// ahead, in a buffer that grows, and little more.
	bigCost = 16 << 20
)

// letters is an endless text.
type letters struct{ at int }

var some = strings.Repeat("abcdefghijklmnopqrstuvwxyz 0123456789 ", 1000)

func (l *letters) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], some[l.at:])
		l.at = (l.at + m) % len(some)
		n += m
	}
	return n, nil
}

// big returns a text of before, 64 MiB of letters, and after.
func big(before, after string) (r io.Reader, size int64) {
	return io.MultiReader(strings.NewReader(before), io.LimitReader(new(letters), bigSize), strings.NewReader(after)), int64(len(before) + bigSize + len(after))
}

func bigCall() (io.Reader, int64) {
	return big(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"big","arguments":{"a":"`, `"}}}`)
}

// bigAnswer is a handler that answers in a big way.
type bigAnswer struct {
	before, after string
	header        http.Header
	got           chan string // what it was asked
}

func (b *bigAnswer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, err := digest(r.Body)
	b.got <- fmt.Sprint(d, " ", err, " ", r.ContentLength, " ", r.Trailer)
	maps.Copy(w.Header(), b.header)
	body, _ := big(b.before, b.after)
	io.Copy(w, body)
	if b.header["Trailer"] != nil {
		w.Header().Set("X-Sum", "1")
	}
}

// TestBig tests that bodies of 64 MiB pass as they are and are not held.
func TestBig(t *testing.T) {
	const before, after = `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"`, `"}]}}`
	_, size := big(before, after)
	audited := func(t *testing.T, h http.Handler) *front { return newFront(t, h) }
	proxied := func(t *testing.T, h http.Handler) *front { return newChain(t, serve(t, h).URL) }
	json := &bigAnswer{before, after, http.Header{"Content-Type": {"application/json"}, "Content-Length": {fmt.Sprint(size)}}, make(chan string, 1)}
	sse := &bigAnswer{"data: " + before, after + "\n\n", http.Header{"Content-Type": {"text/event-stream"}, "Trailer": {"X-Sum"}}, make(chan string, 1)}
	for _, tt := range []struct {
		name   string
		method string
		answer *bigAnswer
		start  func(*testing.T, http.Handler) *front
		want   string
	}{
		{"JSON, audited", "POST", json, audited, toolCall},
		{"JSON, proxied", "POST", json, proxied, toolCall},
		{"SSE, audited", "POST", sse, audited, toolCall},
		{"SSE, proxied", "POST", sse, proxied, toolCall},
		{"no MCP, proxied", "PUT", sse, proxied, plainHTTP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.start(t, tt.answer)
			body, size := bigCall()
			req, _ := http.NewRequestWithContext(t.Context(), tt.method, f.URL, io.NopCloser(body))
			if tt.answer == json {
				req.ContentLength = size
			} else {
				req.Trailer = http.Header{"X-Sum": {"1"}}
			}
			used := allocated()
			resp, err := newClient(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := digest(resp.Body)
			if used = allocated() - used; used > bigCost {
				t.Errorf("%d KiB allocated, want at most %d", used>>10, bigCost>>10)
			}
			wantRequest, wantAnswer := bigWant(tt.answer, req)
			if r := receive(t, tt.answer.got, "a request"); r != wantRequest {
				t.Errorf("request %s\nwant    %s", r, wantRequest)
			}
			if a := fmt.Sprint(got, " ", err, " ", resp.ContentLength, " ", resp.Trailer); a != wantAnswer {
				t.Errorf("answer %s\nwant   %s", a, wantAnswer)
			}
			f.end()
			f.want(t, tt.want)
		})
	}
}

// bigWant returns what is to be seen of an exchange at both ends.
func bigWant(b *bigAnswer, r *http.Request) (request, answer string) {
	body, _ := bigCall()
	request, _ = digest(body)
	body, size := big(b.before, b.after)
	answer, _ = digest(body)
	if r.Trailer == nil {
		return fmt.Sprint(request, " <nil> ", r.ContentLength, " map[]"), fmt.Sprint(answer, " <nil> ", size, " map[]")
	}
	return request + " <nil> -1 map[X-Sum:[1]]", answer + " <nil> -1 map[X-Sum:[1]]"
}

// allocated returns the bytes that were ever allocated. What is kept is among
// them, so no garbage collection need be waited for.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}
