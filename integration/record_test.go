package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// recorder is the HTTP layer under a client: it adds headers, passes on what
// the client sends and keeps the bytes.
type recorder struct {
	client string
	header http.Header
	base   *http.Transport

	mu   sync.Mutex // guards what follows, the exchanges too
	view view
}

func newRecorder(client string, header http.Header) *recorder {
	return &recorder{client: client, header: header, base: http.DefaultTransport.(*http.Transport).Clone()}
}

func (r *recorder) httpClient() *http.Client { return &http.Client{Transport: r} }

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, values := range r.header {
		req.Header[name] = values
	}
	x := r.begin(req)
	if req.Body != nil && req.Body != http.NoBody {
		body, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		x.Body = string(body)
		r.mu.Unlock()
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		r.end(x, endOf(req.Context(), err))
		return nil, err
	}
	r.mu.Lock()
	x.Status, x.Type, x.NewSession = resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Mcp-Session-Id")
	r.mu.Unlock()
	resp.Body = &recordedBody{ReadCloser: resp.Body, ctx: req.Context(), r: r, x: x}
	return resp, nil
}

func (r *recorder) begin(req *http.Request) *exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := &exchange{
		Client:  r.client,
		Request: r.client + "-" + strconv.Itoa(len(r.view.exchanges)),
		HTTP:    req.Method,
		Path:    req.URL.Path,
		Session: req.Header.Get("Mcp-Session-Id"),
		Version: req.Header.Get("Mcp-Protocol-Version"),
		End:     open,
	}
	req.Header.Set("X-Request-Id", x.Request)
	r.view.exchanges = append(r.view.exchanges, x)
	return x
}

// How an exchange ended, as its client saw it.
const (
	open   = "open"
	eof    = "eof"
	closed = "closed"
	broken = "broken"
)

func endOf(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return eof
	case ctx.Err() != nil:
		return closed
	}
	return broken
}

func (r *recorder) end(x *exchange, how string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x.End == open {
		x.End = how
	}
}

// underWay counts the requests whose answers have not ended, other than
// streams that stay open.
func (r *recorder) underWay() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.view.exchanges {
		if x.End == open && x.HTTP != http.MethodGet {
			n++
		}
	}
	return n
}

// streaming reports whether a GET stream is open.
func (r *recorder) streaming() bool {
	return r.any(func(x *exchange) bool {
		return x.HTTP == http.MethodGet && x.End == open && x.Status == http.StatusOK
	})
}

// ended reports whether all answers have, those of streams too.
func (r *recorder) ended() bool {
	return !r.any(func(x *exchange) bool { return x.End == open })
}

// cancelled reports whether so many cancels were sent and answered. Where there is
// no session none is sent.
func (r *recorder) cancelled(times int) bool {
	sessions := false
	r.any(func(x *exchange) bool {
		sessions = sessions || x.Session != ""
		if m, _ := parseRPC(x.Body); m.Method == "notifications/cancelled" && x.End != open {
			times--
		}
		return false
	})
	return !sessions || times <= 0
}

// subscribed reports whether a subscription has been acknowledged.
func (r *recorder) subscribed() bool { return r.received("notifications/subscriptions/acknowledged") }

// received reports whether the server has sent a message of a method.
func (r *recorder) received(method string) bool {
	return r.any(func(x *exchange) bool {
		return slices.ContainsFunc(x.messages(), func(m rpc) bool { return m.Method == method })
	})
}

// answering reports whether the answer to a request has begun and not ended.
func (r *recorder) answering(method string) bool {
	return r.any(func(x *exchange) bool {
		m, _ := parseRPC(x.Body)
		return m.Method == method && x.Status != 0 && x.End == open
	})
}

func (r *recorder) any(f func(*exchange) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.view.exchanges, f)
}

// step notes what one call of the SDK's interface came to.
func (r *recorder) step(s step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Client = r.client
	r.view.steps = append(r.view.steps, s)
}

// seen returns a copy of what was seen so far.
func (r *recorder) seen() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := view{steps: append([]step(nil), r.view.steps...)}
	for _, x := range r.view.exchanges {
		c := *x
		v.exchanges = append(v.exchanges, &c)
	}
	return v
}

// recordedBody is the body of an answer.
type recordedBody struct {
	io.ReadCloser
	ctx context.Context
	r   *recorder
	x   *exchange
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.r.mu.Lock()
	b.x.Answer += string(p[:n])
	b.r.mu.Unlock()
	if err != nil {
		b.r.end(b.x, endOf(b.ctx, err))
	}
	return n, err
}

func (b *recordedBody) Close() error {
	b.r.end(b.x, closed)
	return b.ReadCloser.Close()
}

// messages shows each message of an answer as it comes.
func messages(resp *http.Response, seen func(text string)) error {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		b, err := io.ReadAll(resp.Body)
		seen(string(b))
		return err
	}
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "data: "); ok && err == nil {
			seen(data)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
