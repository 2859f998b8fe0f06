package middleware

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestPanicIsRecordedAndGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		with any
		want string
	}{
		{"panic", "boom", "mcp_tool_call error panic echo"},
		{"abort", http.ErrAbortHandler, "mcp_tool_call error upstream_aborted echo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, tr := record(t, Options{})
			defer func() {
				if got := recover(); got != tt.with {
					t.Errorf("panic %v, want %v", got, tt.with)
				}
				if diff := cmp.Diff([]string{tt.want}, tr.lines()); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
			}()
			a.Wrap(scripted(func(http.ResponseWriter, *http.Request) { panic(tt.with) })).
				ServeHTTP(httptest.NewRecorder(), exchange{body: callEcho}.request())
		})
	}
}

// plainWriter can neither flush nor be unwrapped.
type plainWriter struct{ http.ResponseWriter }

func TestWriterIsAFlusherExactlyIfTheInnerOneIs(t *testing.T) {
	a, _ := record(t, Options{})
	var flusher, controlled bool
	h := a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		_, flusher = w.(http.Flusher)
		controlled = http.NewResponseController(w).Flush() == nil
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if !flusher || !controlled {
		t.Errorf("inner can flush: flusher %v, controller %v", flusher, controlled)
	}
	h.ServeHTTP(plainWriter{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/", nil))
	if flusher || controlled {
		t.Errorf("inner cannot flush: flusher %v, controller %v", flusher, controlled)
	}
}

func TestInformationalStatusIsNone(t *testing.T) {
	a, tr := record(t, Options{})
	srv := httptest.NewServer(a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	})))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if e := tr.one(t); e.Metadata.Extra.HTTPStatus != http.StatusTeapot {
		t.Errorf("status %d", e.Metadata.Extra.HTTPStatus)
	}
}

func TestHijackIsNoted(t *testing.T) {
	for _, strict := range []bool{false, true} {
		completed := hijacked(t, Options{Strict: strict})
		if len(completed) != 1 || !cmp.Equal(completed[0].Anomalies, []string{emitter.AnomalyHijacked}) {
			t.Errorf("strict %v: %+v", strict, completed)
		}
	}
}

// hijacked has a handler take over its connection and returns what completed.
func hijacked(t *testing.T, opt Options) []*emitter.Event {
	t.Helper()
	a, tr := record(t, opt)
	audited := a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	}))
	returned := make(chan struct{}) // no server waits for a handler that took its connection
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		audited.ServeHTTP(w, r)
	}))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	<-returned
	received, completed := tr.stages(t)
	if opt.Strict != (received[completed[0].AuditID] != nil) {
		t.Errorf("strict %v: received %v", opt.Strict, received)
	}
	return completed
}

// TestBody sends bodies around the limit up to which they are read ahead.
func TestBody(t *testing.T) {
	for _, size := range []int{0, 1, PeekLimit - 200, PeekLimit, PeekLimit + 1, 3 * PeekLimit} {
		body := `{"jsonrpc":"2.0","method":"tools/call","params":{"arguments":{"a":"` + strings.Repeat("x", size) + `"},"name":"echo"},"id":7}`
		var got []byte
		a, tr := record(t, Options{Digest: DigestSHA256})
		a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
			got, _ = io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, jsonOK)
		})).ServeHTTP(httptest.NewRecorder(), exchange{body: body}.request())
		if string(got) != body {
			t.Errorf("size %d: the handler read %d bytes, want %d", size, len(got), len(body))
		}
		e := tr.one(t)
		if e.Target.Name != "echo" || e.Outcome != emitter.OutcomeSuccess || e.Metadata.Extra.RequestSize.Value != int64(len(body)) {
			t.Errorf("size %d: %v, request size %d of %d", size, tr.lines(), e.Metadata.Extra.RequestSize.Value, len(body))
		}
		if e.Metadata.Extra.RequestDigest == "" || len(e.Anomalies) != 0 {
			t.Errorf("size %d: digest %q, anomalies %v", size, e.Metadata.Extra.RequestDigest, e.Anomalies)
		}
	}
}

func TestRefusedCallHasItsTargetButNoDigest(t *testing.T) {
	body := `{"method":"tools/call","id":7,"params":{"name":"echo","arguments":{"a":"` + strings.Repeat("x", 2*PeekLimit) + `"}}}`
	a, tr := record(t, Options{})
	a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})).ServeHTTP(httptest.NewRecorder(), exchange{body: body}.request())
	e := tr.one(t)
	if e.Target.Name != "echo" || e.Reason != emitter.ReasonTooLarge || e.Metadata.Extra.ErrorMessage != "too large" {
		t.Errorf("%v %q", tr.lines(), e.Metadata.Extra.ErrorMessage)
	}
	if e.Metadata.Extra.RequestDigest != "" || !cmp.Equal(e.Anomalies, []string{emitter.AnomalyPartialRequest}) {
		t.Errorf("digest %q, anomalies %v", e.Metadata.Extra.RequestDigest, e.Anomalies)
	}
}

type brokenBody struct{ r io.Reader }

var errBroken = errors.New("connection reset")

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errBroken
	}
	return n, err
}
func (brokenBody) Close() error { return nil }

func TestBodyErrorReachesTheHandler(t *testing.T) {
	a, tr := record(t, Options{})
	r := exchange{}.request()
	r.Body = brokenBody{strings.NewReader(`{"method":"ping","id":`)}
	a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if string(got) != `{"method":"ping","id":` || !errors.Is(err, errBroken) {
			t.Errorf("handler read %q, %v", got, err)
		}
		w.WriteHeader(http.StatusBadRequest)
	})).ServeHTTP(httptest.NewRecorder(), r)
	if e := tr.one(t); !cmp.Equal(e.Anomalies, []string{emitter.AnomalyPartialRequest}) {
		t.Errorf("anomalies %v", e.Anomalies)
	}
}

func TestAnswerPassesWhenTheEventIsLost(t *testing.T) {
	rec := failing{errors.New("no space left")}
	w := httptest.NewRecorder()
	x := exchange{body: callEcho, reply: jsonOK}
	HTTP(rec, Options{})(x).ServeHTTP(w, x.request())
	if w.Body.String() != jsonOK {
		t.Errorf("answer %q", w.Body)
	}
}

// failing is ready and cannot store.
type failing struct{ err error }

func (failing) Ready() error                                 { return nil }
func (f failing) Emit(context.Context, *emitter.Event) error { return f.err }

func TestNote(t *testing.T) {
	a, tr := record(t, Options{PrivilegedTools: []string{"delete_*"}})
	x := exchange{header: "Authorization: Bearer canary-token", body: callEcho, reply: jsonOK}
	a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		n := NoteFrom(r.Context())
		n.SetSubject(emitter.Subject{Type: "user", User: "alice", UserID: "u1", Issuer: "https://idp.example"})
		n.SetAuth(emitter.Auth{Method: "jwt", Verified: true, ClientID: "desk"})
		n.SetDelegation(emitter.Delegation{Chain: []emitter.Actor{{Sub: "agent"}}})
		n.SetTarget(emitter.Server{Name: "files", Host: "files.internal", Port: 443}, "delete_file", "sha256:00")
		n.AddAnomaly("odd")
		n.AddAnomaly("odd")
		n.Decide(Deny, []string{"p1"}, "")
		n.Decide(Allow, nil, "")
		x.ServeHTTP(w, r)
	})).ServeHTTP(httptest.NewRecorder(), x.request())
	e := tr.one(t)
	want := emitter.Event{
		Outcome: emitter.OutcomeDenied, Reason: emitter.ReasonPolicy, Severity: 6,
		Subjects:   emitter.Subject{Type: "user", User: "alice", UserID: "u1", Issuer: "https://idp.example"},
		Auth:       emitter.Auth{Method: "jwt", Verified: true, ClientID: "desk", TokenRef: e.Auth.TokenRef},
		Delegation: emitter.Delegation{Chain: []emitter.Actor{{Sub: "agent"}}},
		Decision:   emitter.Decision{Effect: "deny", PolicyIDs: []string{"p1"}},
		Target: emitter.Target{
			Type: "tool", Name: "echo", Method: "tools/call", Endpoint: "/mcp",
			Server: emitter.Server{Name: "files", Host: "files.internal", Port: 443}, Tool: "delete_file", Definition: "sha256:00", Privileged: true,
		},
		Controls: []string{"AC-6(9)", "AC-3"}, Anomalies: []string{"odd"},
	}
	got := emitter.Event{
		Outcome: e.Outcome, Reason: e.Reason, Severity: e.Severity, Subjects: e.Subjects, Auth: e.Auth, Delegation: e.Delegation,
		Decision: e.Decision, Target: e.Target, Controls: e.Controls, Anomalies: e.Anomalies,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(emitter.Event{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !strings.HasPrefix(e.Auth.TokenRef, "k1:") || bytes.Contains(e.Stored(), []byte("canary")) {
		t.Errorf("token ref %q in %s", e.Auth.TokenRef, e.Stored())
	}
}

func TestNoteOutsideOfARequest(t *testing.T) {
	NoteFrom(t.Context()).AddAnomaly("nobody hears")
	if e := Child(t.Context(), emitter.TypeCompositeStep); e.Trace.ParentAuditID != "" {
		t.Errorf("a parent out of nowhere: %+v", e.Trace)
	}
}

func TestChildBelongsToItsRequest(t *testing.T) {
	a, tr := record(t, Options{})
	x := exchange{header: "Mcp-Session-Id: s\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", reply: jsonOK, body: strings.Replace(callEcho, `"name"`,
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"desk"}},"name"`, 1)}
	a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		NoteFrom(r.Context()).SetSubject(emitter.Subject{Type: "user", User: "alice"})
		c := Child(r.Context(), emitter.TypeBackendRoute)
		c.Conclude(emitter.OutcomeSuccess, "")
		if err := tr.Emit(r.Context(), c); err != nil {
			t.Error(err)
		}
		x.ServeHTTP(w, r)
	})).ServeHTTP(httptest.NewRecorder(), x.request())
	child, parent := tr.all()[0], tr.all()[1]
	if child.Trace.ParentAuditID != parent.AuditID || child.Trace.TraceID != "0af7651916cd43dd8448eb211c80319c" || child.Trace.TraceID != parent.Trace.TraceID {
		t.Errorf("child %+v of %s", child.Trace, parent.AuditID)
	}
	if child.Client != parent.Client || child.Client.NameClaimed != "desk" || child.Metadata.Extra.MCPVersion != "2026-07-28" {
		t.Errorf("child by %+v, %+v", child.Client, child.Metadata)
	}
	if child.Source != parent.Source || child.Subjects != parent.Subjects || child.Source.Extra.SessionID == "" {
		t.Errorf("another source or subject:\n%+v\n%+v", child, parent)
	}
}

// TestSessionEnd ends a session on the server's own account: the event tells of
// the operations after the initialize, and nothing of the session is kept.
func TestSessionEnd(t *testing.T) {
	a, tr := record(t, Options{})
	var end func(emitter.Reason) *emitter.Event
	begin := exchange{body: `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"desk"}}}`, reply: jsonOK, with: "Mcp-Session-Id: s"}
	a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		begin.ServeHTTP(w, r)
		end = SessionEnd(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), begin.request())
	for range 2 {
		x := exchange{header: "Mcp-Session-Id: s", body: callEcho, reply: jsonOK}
		a.Wrap(x).ServeHTTP(httptest.NewRecorder(), x.request())
	}
	e := end(emitter.ReasonIdle)
	if err := tr.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	first := tr.all()[0]
	if e.Outcome != emitter.OutcomeSuccess || e.Reason != emitter.ReasonIdle || e.Metadata.Extra.Operations != emitter.Of(2) || !e.Metadata.Extra.DurationMS.Set {
		t.Errorf("%s %s %+v", e.Outcome, e.Reason, e.Metadata.Extra)
	}
	if e.Trace.ParentAuditID != first.AuditID || e.Source.Extra.SessionID != first.Source.Extra.SessionID || e.Source.Extra.SessionID == "" || e.Client.NameClaimed != "desk" {
		t.Errorf("another session's: %+v", e)
	}
	if n := len(a.sessions.byKey); n != 0 {
		t.Errorf("%d sessions are remembered", n)
	}
	if e := SessionEnd(t.Context())(emitter.ReasonIdle); e.Type != emitter.TypeSessionEnd || e.Metadata.Extra.Operations.Set {
		t.Errorf("outside of a request: %+v", e)
	}
}

func TestSource(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, remote, header string
		want                 emitter.Source
	}{
		{"direct", "203.0.113.9:1234", "", emitter.Source{Value: "203.0.113.9", Peer: "203.0.113.9", Port: 1234}},
		{
			"a stranger's claim", "203.0.113.9:1234", "X-Forwarded-For: 1.1.1.1",
			emitter.Source{Value: "203.0.113.9", Peer: "203.0.113.9", Port: 1234, Extra: emitter.SourceExtra{ForwardedClaimed: "1.1.1.1"}},
		},
		{"trusted proxy", "10.0.0.7:1", "X-Forwarded-For: 198.51.100.1", emitter.Source{Value: "198.51.100.1", Peer: "10.0.0.7", Port: 1}},
		{"rightmost hop that is no proxy", "10.0.0.7:1", "X-Forwarded-For: 6.6.6.6, 198.51.100.1, 10.0.0.8", emitter.Source{Value: "198.51.100.1", Peer: "10.0.0.7", Port: 1}},
		{"proxies only", "10.0.0.7:1", "X-Forwarded-For: 10.0.0.9, 10.0.0.8", emitter.Source{Value: "10.0.0.9", Peer: "10.0.0.7", Port: 1}},
		{"with ports and brackets", "[fd00::1]:1", "X-Forwarded-For: [2001:db8::1]:99, 10.0.0.8:4", emitter.Source{Value: "2001:db8::1", Peer: "fd00::1", Port: 1}},
		{"mapped address", "[::ffff:10.0.0.7]:1", "X-Forwarded-For: 1.2.3.4", emitter.Source{Value: "1.2.3.4", Peer: "10.0.0.7", Port: 1}},
		{"unreadable hop", "10.0.0.7:1", "X-Forwarded-For: 1.2.3.4, unknown", emitter.Source{Value: "10.0.0.7", Peer: "10.0.0.7", Port: 1}},
		{
			"Forwarded is a claim", "10.0.0.7:1", "Forwarded: for=1.2.3.4",
			emitter.Source{Value: "10.0.0.7", Peer: "10.0.0.7", Port: 1, Extra: emitter.SourceExtra{ForwardedClaimed: "for=1.2.3.4"}},
		},
		{"unix socket", "@", "", emitter.Source{Type: "local", Value: "@", Peer: "@"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, tr := record(t, Options{TrustedProxies: trusted})
			x := exchange{header: tt.header + "\nX-Request-Id: r1", body: callEcho, reply: jsonOK}
			r := x.request()
			r.RemoteAddr = tt.remote
			a.Wrap(x).ServeHTTP(httptest.NewRecorder(), r)
			if tt.want.Type == "" {
				tt.want.Type = "network"
			}
			tt.want.Extra.RequestID = "r1"
			if diff := cmp.Diff(tt.want, tr.one(t).Source); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestManyHopsAreBounded(t *testing.T) {
	a, _ := record(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	hops := strings.Repeat("10.0.0.1, ", 1000) + "10.0.0.2"
	if got := a.client(netip.MustParseAddr("10.0.0.3"), hops).String(); got != "10.0.0.1" {
		t.Errorf("client %s", got)
	}
}

func TestAnomalies(t *testing.T) {
	modern := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"desk","version":"2"}}`
	tests := []struct {
		name   string
		x      exchange
		target string
		want   []string
	}{
		{"none", exchange{body: callEcho}, "echo", nil},
		{"key case", exchange{body: `{"id":7,"method":"tools/call","params":{"Name":"echo"}}`}, "echo", []string{"key_case"}},
		{"duplicate, last wins", exchange{body: `{"id":7,"method":"tools/call","params":{"name":"safe","name":"echo"}}`}, "echo", []string{"duplicate_key"}},
		{"duplicate params are merged", exchange{body: `{"id":7,"method":"tools/call","params":{"name":"echo"},"params":{"arguments":{}}}`}, "echo", []string{"duplicate_key"}},
		{"duplicate below arguments is the tool's affair", exchange{body: `{"id":7,"method":"tools/call","params":{"name":"echo","arguments":{"name":1,"name":2}}}`}, "echo", nil},
		{"id null", exchange{body: `{"id":null,"method":"tools/call","params":{"name":"echo"}}`}, "echo", []string{"no_id"}},
		{"batch", exchange{body: `[` + callEcho + `]`}, "", []string{"batch"}},
		{"no JSON", exchange{body: `{"id":7,` + "\n" + `]`}, "", []string{"no_json"}},
		{"compressed", exchange{header: "Content-Encoding: gzip", body: "\x1f\x8b"}, "", []string{"encoded_request"}},
		{"headers agree", exchange{header: "Mcp-Method: tools/call\nMcp-Name: echo\nMcp-Protocol-Version: 2026-07-28", body: `{"id":7,"method":"tools/call","params":{"name":"echo",` + modern + `}}`}, "echo", nil},
		{"encoded header agrees", exchange{header: "Mcp-Name: =?base64?w6k=?=", body: `{"id":7,"method":"tools/call","params":{"name":"é"}}`}, "é", nil},
		{"method differs", exchange{header: "Mcp-Method: tools/list", body: callEcho}, "echo", []string{"header_mismatch"}},
		{"name differs", exchange{header: "Mcp-Name: other", body: callEcho}, "echo", []string{"header_mismatch"}},
		{"uri differs", exchange{header: "Mcp-Name: x:b", body: `{"id":7,"method":"resources/read","params":{"uri":"x:a"}}`}, "x:a", []string{"header_mismatch"}},
		{"version differs", exchange{header: "Mcp-Protocol-Version: 2025-11-25", body: `{"id":7,"method":"tools/call","params":{"name":"echo",` + modern + `}}`}, "echo", []string{"header_mismatch"}},
		{"other id", exchange{body: callEcho, reply: `{"id":8,"result":{}}`}, "echo", []string{"id_mismatch"}},
		{"compressed answer", exchange{body: callEcho, with: "Content-Encoding: br", reply: "{}"}, "echo", []string{"encoded_response"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, tr := tt.x.run(t, Options{})
			e := tr.one(t)
			if e.Target.Name != tt.target {
				t.Errorf("target %q, want %q", e.Target.Name, tt.target)
			}
			if diff := cmp.Diff(tt.want, e.Anomalies); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestModernRequestNamesItsClient(t *testing.T) {
	_, tr := exchange{
		header: "Mcp-Protocol-Version: 2026-07-28",
		body:   `{"id":"a","method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"desk","version":"2"},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}`,
		reply:  `{"id":"a","result":{"resultType":"complete"}}`,
	}.run(t, Options{})
	e := tr.one(t)
	if e.Client != (emitter.Client{NameClaimed: "desk", VersionClaimed: "2"}) || e.Metadata.Extra.MCPVersion != "2026-07-28" {
		t.Errorf("client %+v, version %q", e.Client, e.Metadata.Extra.MCPVersion)
	}
	if e.Trace.JSONRPCID != `"a"` || e.Trace.SpanID != "b7ad6b7169203331" {
		t.Errorf("trace %+v", e.Trace)
	}
}

func TestMeasures(t *testing.T) {
	x := exchange{body: callEcho, reply: "  " + `{"id":7,"error":{"code":0,"message":"no"}}` + "\n"}
	_, tr := x.run(t, Options{Digest: DigestSHA256})
	got := tr.one(t).Metadata.Extra
	_, bare := exchange{body: callEcho, reply: `{"id":7,"error":{"code":0,"message":"no"}}`}.run(t, Options{Digest: DigestSHA256})
	if got.ResponseSize.Value != 42 || got.RequestSize.Value != int64(len(callEcho)) || got.JSONRPCErrorCode != emitter.Of(0) || got.ErrorMessage != "no" {
		t.Errorf("%+v", got)
	}
	if want := bare.one(t).Metadata.Extra.ResponseDigest; got.ResponseDigest != want || len(want) != len("sha256:")+64 {
		t.Errorf("digest %q, without white space %q", got.ResponseDigest, want)
	}
	_, sse := exchange{body: callEcho, reply: "data: {\"method\":\"x\"}\n\ndata: {\"id\":7,\"error\":{\"code\":0,\"message\":\"no\"}}\n\n"}.run(t, Options{Digest: DigestSHA256})
	if x := sse.one(t).Metadata.Extra; x.ResponseDigest != got.ResponseDigest || x.ResponseSize != got.ResponseSize {
		t.Errorf("as a stream: %+v", x)
	}
	_, none := exchange{body: callEcho, reply: jsonOK}.run(t, Options{Digest: DigestNone})
	if x := none.one(t).Metadata.Extra; x.ResponseDigest != "" || x.RequestDigest != "" || x.ResponseSize.Value != int64(len(jsonOK)) {
		t.Errorf("digest none: %+v", x)
	}
}
