package proxy

import (
	"bufio"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUpgrade tests that an offer to change the protocol is left out and the
// request passes as an ordinary one. What comes of an upstream that changes it
// all the same is in TestNoAnswer.
func TestUpgrade(t *testing.T) {
	for _, tt := range []struct {
		name, request, answer string
		want                  string
	}{
		{
			"WebSocket", wire("GET /ws HTTP/1.1"+host+"\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: a2V5\nSec-WebSocket-Protocol: mcp", ""),
			wire("HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13", "no"), "http_request failure bad_request 426",
		},
		// java.net.http.HttpClient sends this on every first request.
		{"h2c", wire(post+"\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAEAAEAAAAIAAAAB", call), callOK, toolCall},
		{"offer without Connection", wire(post+"\nUpgrade: websocket", call), callOK, toolCall},
		{"several offers", wire(post+"\nConnection: upgrade\nUpgrade: h2c, websocket\nUpgrade: x", call), callOK, toolCall},
	} {
		t.Run(tt.name, func(t *testing.T) {
			direct := answer(t, tt.answer)
			wantAnswer := passed(send(t, direct.addr, tt.request))
			want := passed(receive(t, direct.got, "a direct request"))

			up := answer(t, tt.answer)
			chain := newChain(t, "http://"+up.addr)
			gotAnswer := passed(send(t, chain.Listener.Addr().String(), tt.request))
			got := receive(t, up.got, "a request") // as it is: nothing hop-by-hop may be in it
			chain.end()

			want.Header["accept-encoding"] = []string{"identity"}
			want.Header["host"] = []string{up.addr}
			allow(&wantAnswer, &gotAnswer)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request (-direct +proxied):\n%s", diff)
			}
			if diff := cmp.Diff(wantAnswer, gotAnswer); diff != "" {
				t.Errorf("answer (-direct +proxied):\n%s", diff)
			}
			chain.want(t, tt.want)
		})
	}
}

// TestTakenOver tests that a handler behind the middleware can take its
// connection over, and that the event says so.
func TestTakenOver(t *testing.T) {
	f := newFront(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString(wire("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: echo", ""))
		rw.Flush()
		line, _ := rw.ReadString('\n')
		rw.WriteString(line)
		rw.Flush()
	}))
	conn := dial(t, f.Listener.Addr().String())
	io.WriteString(conn, wire("GET / HTTP/1.1"+host+"\nConnection: Upgrade\nUpgrade: echo", ""))
	br := bufio.NewReader(conn)
	if m, err := readAnswer(br, "GET"); err != nil || m.status() != "101" {
		t.Fatalf("answer %+v, %v", m, err)
	}
	io.WriteString(conn, "frame\n")
	if line, err := br.ReadString('\n'); line != "frame\n" {
		t.Errorf("echo %q, %v", line, err)
	}
	f.await(t, 1)
	f.end()
	f.want(t, "http_request success")
	if got := f.events[0].Anomalies; len(got) != 1 || got[0] != "hijacked" {
		t.Errorf("anomalies %q, want hijacked", got)
	}
}
