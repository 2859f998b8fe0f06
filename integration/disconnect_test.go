package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// The tests below hold fast, without an SDK and without chance, what the real
// clients showed: what is recorded when connections end early.

// scene is a server whose handler is the test's, behind the middleware.
type scene struct {
	*testing.T
	url    string
	trail  func() trail // ends the server; what was recorded
	header http.Header
}

func newScene(t *testing.T, h http.HandlerFunc) *scene {
	t.Helper()
	a, m := newAuditor(t)
	srv := httptest.NewServer(a.Wrap(h))
	t.Cleanup(srv.Close)
	return &scene{T: t, url: srv.URL + "/mcp", header: http.Header{}, trail: func() trail {
		srv.Close()
		a.Close()
		return m.trail()
	}}
}

// send sends a request; the caller ends the answer.
func (s *scene) send(ctx context.Context, method, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header = s.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	return http.DefaultTransport.RoundTrip(req)
}

// whole sends a request and reads the answer to its end.
func (s *scene) whole(method, body string) *http.Response {
	s.Helper()
	resp, err := s.send(s.Context(), method, body)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.Fatal(err)
	}
	return resp
}

// says compares the trail, one line for each event.
func (s *scene) says(want ...string) trail {
	s.Helper()
	tr := s.trail()
	var got []string
	for _, e := range tr {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Type, e.Outcome, e.Reason)))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.Errorf("trail\n got %q\nwant %q%s", got, want, stored(tr))
	}
	return tr
}

const (
	toolsCall   = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wait","arguments":{}}}`
	modernCall  = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wait","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	cancelCall  = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	initialize  = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"desk","version":"1.2"}}}`
)

// TestAcceptedThenClosed: Go's HTTP clients and the TypeScript SDK close a 202
// as soon as they have its header. When the end of its empty body is still on
// the way (chunked, as Node sends it), the connection is lost; the message was
// accepted all the same.
func TestAcceptedThenClosed(t *testing.T) {
	for _, tc := range []struct{ name, method, body, want string }{
		{"notification", http.MethodPost, initialized, "mcp_notification success"},
		{"response", http.MethodPost, `{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}`, "mcp_request success"},
		{"delete", http.MethodDelete, "", "mcp_session_end success deleted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusAccepted)
				w.(http.Flusher).Flush()
				<-r.Context().Done() // the end of the body would follow
			})
			s.header.Set("Mcp-Session-Id", "s-1")
			resp, err := s.send(t.Context(), tc.method, tc.body)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			s.says(tc.want)
		})
	}
}

// TestCancelAfterDisconnect: the official Go SDK breaks off the POST and sends
// the cancel at the same time, so that either may arrive first.
func TestCancelAfterDisconnect(t *testing.T) {
	running, broken := make(chan struct{}), make(chan struct{})
	s := newScene(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) == cancelCall {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		close(running)
		<-r.Context().Done()
		close(broken)
	})
	s.header.Set("Mcp-Session-Id", "s-1")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-running; cancel() }()
	if _, err := s.send(ctx, http.MethodPost, toolsCall); err == nil {
		t.Fatal("the call was answered")
	}
	<-broken
	s.whole(http.MethodPost, cancelCall)
	tr := s.trail()
	for _, e := range tr {
		if e.Type == emitter.TypeToolCall && e.Reason != emitter.ReasonCancelled && !cancelCameLate(tr, e) {
			t.Errorf("the client has cancelled, the trail says %s %s: %s", e.Outcome, e.Reason, e.Stored())
		}
	}
}

// TestModernCloseIsCancel: in revision 2026-07-28 the client cancels by closing
// the stream. What the handler still writes then (the official Go SDK: an error
// with code 0) is no answer: nobody got it.
func TestModernCloseIsCancel(t *testing.T) {
	for name, late := range map[string]string{
		"error":  `{"jsonrpc":"2.0","id":7,"error":{"code":0,"message":"context canceled"}}`,
		"result": `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			running := make(chan struct{})
			s := newScene(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(running)
				<-r.Context().Done()
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, late)
			})
			s.header.Set("Mcp-Protocol-Version", "2026-07-28")
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-running; cancel() }()
			if _, err := s.send(ctx, http.MethodPost, modernCall); err == nil {
				t.Fatal("the call was answered")
			}
			s.says("mcp_tool_call failure cancelled")
		})
	}
}

// TestNoStatusNoStatus: a call that the client gave up before anything was
// answered has no HTTP status.
func TestNoStatusNoStatus(t *testing.T) {
	running := make(chan struct{})
	s := newScene(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(running)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-running; cancel() }()
	if _, err := s.send(ctx, http.MethodPost, toolsCall); err == nil {
		t.Fatal("the call was answered")
	}
	for _, e := range s.says("mcp_tool_call failure disconnected") {
		if e.Metadata.Extra.HTTPStatus != 0 {
			t.Errorf("http_status %d of an answer that never was: %s", e.Metadata.Extra.HTTPStatus, e.Stored())
		}
	}
}

// TestCallOutlivesSession: a call that ends after its session was deleted still
// names the session's client.
func TestCallOutlivesSession(t *testing.T) {
	running, deleted := make(chan struct{}), make(chan struct{})
	s := newScene(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch string(body) {
		case initialize:
			w.Header().Set("Mcp-Session-Id", "s-1")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`)
		case toolsCall:
			close(running)
			<-deleted
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)
		}
	})
	s.header.Set("Mcp-Session-Id", s.whole(http.MethodPost, initialize).Header.Get("Mcp-Session-Id"))
	called := make(chan error, 1)
	go func() {
		resp, err := s.send(t.Context(), http.MethodPost, toolsCall)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		called <- err
	}()
	<-running
	s.whole(http.MethodDelete, "")
	close(deleted)
	if err := <-called; err != nil {
		t.Fatal(err)
	}
	tr := s.says("mcp_initialize success", "mcp_session_start success", "mcp_session_end success deleted", "mcp_tool_call success")
	for _, e := range tr {
		if e.Client.NameClaimed != "desk" {
			t.Errorf("no client: %s", e.Stored())
		}
	}
}

// TestSessionFromItsHeader: mcp-go's client opens its GET stream when it has the
// header of the answer to initialize, before the answer itself. The session is
// known then, and so is its client.
func TestSessionFromItsHeader(t *testing.T) {
	streamed := make(chan struct{})
	s := newScene(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Method == http.MethodGet {
			w.(http.Flusher).Flush()
			return
		}
		w.Header().Set("Mcp-Session-Id", "s-1")
		w.(http.Flusher).Flush()
		<-streamed
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\"}}\n\n")
	})
	resp, err := s.send(t.Context(), http.MethodPost, initialize)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.header.Set("Mcp-Session-Id", resp.Header.Get("Mcp-Session-Id"))
	s.header.Set("Accept", "text/event-stream")
	s.whole(http.MethodGet, "")
	close(streamed)
	_, _ = io.Copy(io.Discard, resp.Body)
	tr := s.says("sse_connection success", "sse_closed success server_closed", "mcp_initialize success", "mcp_session_start success")
	for _, e := range tr {
		if e.Client.NameClaimed != "desk" {
			t.Errorf("no client: %s", e.Stored())
		}
	}
}

// TestBrokenResumable: a server that dies in the middle of an answer is an
// error of the server, though the stream could have been resumed.
func TestBrokenResumable(t *testing.T) {
	s := newScene(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: 1\ndata: \n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler) // what httputil.ReverseProxy does then
	})
	s.header.Set("Mcp-Session-Id", "s-1")
	resp, err := s.send(t.Context(), http.MethodPost, toolsCall)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Fatal("the answer has ended well")
	}
	s.says("mcp_tool_call error upstream_aborted")
}

// TestEmptyStream: a stream that its handler opens by its header alone and
// leaves without a byte is closed in the trail as any other.
func TestEmptyStream(t *testing.T) {
	s := newScene(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
	})
	s.header.Set("Accept", "text/event-stream")
	s.whole(http.MethodGet, "")
	s.says("sse_connection success", "sse_closed success server_closed")
}
