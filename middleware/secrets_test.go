package middleware

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const (
	ghToken = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
	jwt     = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
)

// TestSecretsStayOut plants secrets wherever a stranger can put one.
func TestSecretsStayOut(t *testing.T) {
	secrets := []string{ghToken, jwt, "hunter2canary", "secret-session", "canary-cookie"}
	x := exchange{
		header: "Authorization: Bearer " + jwt + "\nCookie: sid=canary-cookie\nX-Api-Key: hunter2canary\nMcp-Session-Id: secret-session\nUser-Agent: agent/" + ghToken +
			"\nX-Request-Id: " + jwt + "\nX-Forwarded-For: " + ghToken + "\nTraceparent: " + ghToken + "\nMcp-Protocol-Version: " + ghToken + "\nMcp-Name: " + jwt,
		body: `{"jsonrpc":"2.0","id":"` + ghToken + `","method":"tools/call","params":{"name":"echo ` + ghToken + `","arguments":{"password":"hunter2canary","note":"` + jwt +
			`"},"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"` + ghToken + `","version":"` + ghToken + `"}}}}`,
		reply: `{"jsonrpc":"2.0","id":"` + ghToken + `","error":{"code":-32602,"message":"no such tool: echo ` + ghToken + `, token=hunter2canary"}}`,
	}
	for _, opt := range []Options{{}, {RequestData: true, ResponseData: true, MaxData: emitter.MaxData}} {
		a, tr := record(t, opt)
		r := x.request()
		r.URL.RawQuery = "token=hunter2canary"
		r.URL.Path = "/mcp/" + ghToken
		a.Wrap(x).ServeHTTP(httptest.NewRecorder(), r)
		e := tr.one(t)
		for _, s := range secrets {
			if strings.Contains(string(e.Stored()), s) {
				t.Errorf("data %v: %s stands in %s", opt.RequestData, s, e.Stored())
			}
		}
		if len(e.Redactions) == 0 || e.Reason != emitter.ReasonInvalidParams {
			t.Errorf("redactions %v, reason %s", e.Redactions, e.Reason)
		}
	}
	cancel := exchange{body: `{"method":"notifications/cancelled","params":{"requestId":"` + ghToken + `"}}`, status: 202}
	if _, tr := cancel.run(t, Options{}); strings.Contains(string(tr.one(t).Stored()), ghToken) {
		t.Errorf("%s", tr.one(t).Stored())
	}
	read := exchange{body: `{"id":1,"method":"resources/read","params":{"uri":"https://bob:hunter2canary@host/x?access_token=hunter2canary&n=1"}}`, reply: `{"id":1,"result":{}}`}
	_, tr := read.run(t, Options{})
	if e := tr.one(t); strings.Contains(string(e.Stored()), "hunter2canary") || !strings.Contains(e.Target.Name, "@host/x?") || !strings.Contains(e.Target.Name, "n=1") {
		t.Errorf("uri %s", e.Target.Name)
	}
}

// TestSecretAtTheCut puts a secret where a name or a message is cut.
func TestSecretAtTheCut(t *testing.T) {
	for _, at := range []int{maxName - 20, 512 - 20, 512 - len(jwt)} {
		name := strings.Repeat("a ", at/2) + jwt
		x := exchange{
			body:  `{"id":7,"method":"tools/call","params":{"name":"` + name + `"}}`,
			reply: `{"id":7,"error":{"message":"` + name + `"}}`,
		}
		_, tr := x.run(t, Options{})
		e := tr.one(t)
		if strings.Contains(string(e.Stored()), "eyJ") {
			t.Errorf("at %d: a piece of the token is left: …%s", at, e.Target.Name[max(0, len(e.Target.Name)-60):])
		}
	}
}

func TestData(t *testing.T) {
	tests := []struct {
		name                string
		request, reply      string
		max                 int
		wantReq, wantReply  string
		wantRedactedAndWhat []emitter.Redaction
	}{
		{
			"whole", `{"id":7,"method":"tools/call","params":{"name":"echo","arguments":{"n":12345678901234567890}}}`, `{"id":7,"result":{}}`, 0,
			`{"id":7,"method":"tools/call","params":{"name":"echo","arguments":{"n":12345678901234567890}}}`, `{"id":7,"result":{}}`, nil,
		},
		{
			"cut", `{"id":7,"method":"tools/call","params":{"name":"echo","arguments":{"a":"` + strings.Repeat("x", 200) + `"}}}`, `{"id":7,"result":{}}`, 100,
			"", `{"id":7,"result":{}}`,
			[]emitter.Redaction{{Path: "data.request", Rule: "cut"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, tr := exchange{body: tt.request, reply: tt.reply}.run(t, Options{RequestData: true, ResponseData: true, MaxData: tt.max})
			e := tr.one(t)
			if tt.wantReq != "" && string(e.Data.Request) != tt.wantReq {
				t.Errorf("request %s", e.Data.Request)
			}
			if tt.max > 0 && len(e.Data.Request) > tt.max {
				t.Errorf("%d bytes of %d", len(e.Data.Request), tt.max)
			}
			if string(e.Data.Response) != tt.wantReply {
				t.Errorf("response %s", e.Data.Response)
			}
			if diff := cmp.Diff(tt.wantRedactedAndWhat, e.Redactions); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestManyStrangersAtOnce runs under the race detector: handlers that write and
// note from other goroutines, requests that cancel each other.
func TestManyStrangersAtOnce(t *testing.T) {
	a, tr := record(t, Options{RequestData: true})
	h := a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		go func() {
			NoteFrom(r.Context()).AddAnomaly("x")
			Child(r.Context(), emitter.TypeBackendRoute)
			close(done)
		}()
		_, _ = io.Copy(io.Discard, r.Body)
		sseHeader(w)
		_, _ = io.WriteString(w, "id: 1\ndata: "+jsonOK+"\n\n")
		<-done
	}))
	bodies := []string{callEcho, `{"method":"notifications/cancelled","params":{"requestId":7}}`, `{"id":8,"method":"ping"}`}
	ended := make(chan struct{})
	const clients, each = 8, 30
	for range clients {
		go func() {
			defer func() { ended <- struct{}{} }()
			for i := range each {
				h.ServeHTTP(httptest.NewRecorder(), exchange{header: inSession, body: bodies[i%3]}.request())
			}
		}()
	}
	for range clients {
		<-ended
	}
	a.Close()
	if n := len(tr.all()); n != clients*each {
		t.Errorf("%d events of %d requests", n, clients*each)
	}
	ids := map[string]bool{}
	for _, e := range tr.all() {
		ids[e.AuditID] = true
	}
	if len(ids) != clients*each {
		t.Errorf("%d different ids", len(ids))
	}
}
