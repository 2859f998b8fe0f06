package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// stages returns what was received, by the operation's id, and the rest.
func (tr *trail) stages(tb testing.TB) (received map[string]*emitter.Event, completed []*emitter.Event) {
	tb.Helper()
	received = make(map[string]*emitter.Event)
	for _, e := range tr.all() {
		if e.Stage != emitter.StageReceived {
			completed = append(completed, e)
			continue
		}
		if id := e.Trace.ParentAuditID; received[id] != nil || id == "" || id == e.AuditID {
			tb.Errorf("the second received of %q: %s", id, e.Stored())
		}
		if e.Outcome != emitter.OutcomePending || e.Reason != "" || e.Severity != 3 {
			tb.Errorf("received: %s", e.Stored())
		}
		received[e.Trace.ParentAuditID] = e
	}
	return received, completed
}

// TestStrictOutcome sends every exchange of TestOutcome: in strict mode it ends
// as without it, after one event received.
func TestStrictOutcome(t *testing.T) {
	for _, tt := range exchanges {
		t.Run(tt.name, func(t *testing.T) {
			w, tr := tt.x.run(t, Options{Strict: true})
			received, completed := tr.stages(t)
			if len(completed) != 1 || w.Body.String() != tt.x.reply {
				t.Fatalf("events %v, answer %q", tr.lines(), w.Body)
			}
			lines := tr.lines()
			if got := lines[len(lines)-1]; got != tt.want {
				t.Errorf("completed %q, want %q", got, tt.want)
			}
			e := completed[0]
			r := received[e.AuditID]
			if exempt := e.Type == emitter.TypeNotification || e.Type == emitter.TypeRootsListChanged || tt.name == "client response"; exempt != (r == nil) {
				t.Fatalf("received %v", r)
			}
			if r == nil {
				return
			}
			if r.Source != e.Source || r.Subjects != e.Subjects || r.Client != e.Client || r.Trace.JSONRPCID != e.Trace.JSONRPCID ||
				r.Metadata.Extra.RequestSize != e.Metadata.Extra.RequestSize || r.Metadata.Extra.RequestDigest != e.Metadata.Extra.RequestDigest {
				t.Errorf("received %s\ncompleted %s", r.Stored(), e.Stored())
			}
			if tt.x.body != "" && (r.Type != e.Type || r.Target != e.Target) {
				t.Errorf("received %s\ncompleted %s", r.Stored(), e.Stored())
			}
		})
	}
}

func TestReceivedComesFirst(t *testing.T) {
	var order []string
	a, tr := record(t, Options{Strict: true, RequestData: true, MaxData: 4096, PrivilegedTools: []string{"echo"}})
	tr.seen = func(e *emitter.Event) { order = append(order, string(e.Stage)) }
	x := exchange{
		header: "Authorization: Bearer canary\nUser-Agent: desk\n" + inSession,
		body:   strings.Replace(callEcho, `{"m":"x"}`, `{"password":"canary"}`, 1), reply: jsonOK,
	}
	a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		order = append(order, "run")
		NoteFrom(r.Context()).SetSubject(emitter.Subject{Type: "user", User: "alice"})
		x.ServeHTTP(w, r)
	})).ServeHTTP(&ordered{httptest.NewRecorder(), &order}, x.request())
	if diff := cmp.Diff([]string{"received", "run", "completed", "write " + jsonOK}, order); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	received, completed := tr.stages(t)
	r := received[completed[0].AuditID]
	if r == nil || !r.Target.Privileged || r.Target.Name != "echo" || r.Source.Extra.SessionID == "" || r.Auth.TokenRef == "" || r.Subjects.Type != subjectUnverified {
		t.Fatalf("received %+v", r)
	}
	if len(r.Data.Request) == 0 || len(r.Redactions) != 1 || bytes.Contains(r.Stored(), []byte("canary")) {
		t.Errorf("received %s", r.Stored())
	}
	if completed[0].Subjects.User != "alice" || len(completed[0].Redactions) != 1 {
		t.Errorf("completed %s", completed[0].Stored())
	}
}

// TestNeedsReceived: only what no server can take for a request runs without.
func TestNeedsReceived(t *testing.T) {
	tests := []struct {
		name, body string
		want       bool
	}{
		{"notification", `{"method":"notifications/x"}`, false},
		{"notification and white space", ` {"method":"notifications/x"}` + "\r\n", false},
		{"notification with an id", `{"method":"notifications/x","id":1}`, true},
		{"notification with id null", `{"method":"notifications/x","id":null}`, true},
		{"notification by the last of two methods", `{"method":"tools/call","method":"notifications/x"}`, true},
		{"notification by a folded key", `{"method":"tools/call","Method":"notifications/x"}`, true},
		{"notification, then a call", `{"method":"notifications/x"}` + callEcho, true},
		{"notification that does not end", `{"method":"notifications/x"`, true},
		{"notification in a batch", `[{"method":"notifications/x"}]`, true},
		{"method without an id", `{"method":"tools/call","params":{"name":"echo"}}`, true},
		{"response", `{"id":1,"result":{}}`, false},
		{"error", `{"id":1,"error":{}}`, false},
		{"response with a method of another kind", `{"id":1,"result":{},"method":["tools/call"]}`, true},
		{"response, then a call", `{"id":1,"result":{}}` + "\n" + callEcho, true},
		{"no JSON-RPC", `{}`, true},
		{"nothing", ``, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := exchange{body: tt.body, status: http.StatusAccepted}
			_, tr := x.run(t, Options{Strict: true})
			if received, completed := tr.stages(t); (len(received) == 1) != tt.want || len(completed) != 1 {
				t.Errorf("%v, want a received: %v", tr.lines(), tt.want)
			}
		})
	}
}

// FuzzIncidental holds what runs without a received against encoding/json: no
// reading of it, whichever of two keys counts, is a request.
func FuzzIncidental(f *testing.F) {
	for _, s := range []string{`{"method":"notifications/x"}`, `{"id":1,"result":{}}`, `{"M\u0065thod":"tools/call","result":1}`, `{"method":"notifications/x"}{}`} {
		f.Add([]byte(s))
	}
	a := New(nil, Options{})
	f.Fuzz(func(t *testing.T, text []byte) {
		if !readAhead(a, io.NopCloser(bytes.NewReader(text)), 0).incidental() {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(bytes.TrimLeft(text, " \t\r\n"), byteOrderMark)))
		_, _ = dec.Token()
		notifies, names := false, map[string]int{}
		for dec.More() {
			key, _ := dec.Token()
			var value any
			if err := dec.Decode(&value); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			name := strings.ToLower(fmt.Sprint(key))
			names[name]++
			method, _ := value.(string)
			notifies = notifies || name == "method" && strings.HasPrefix(method, "notifications/")
		}
		_, _ = dec.Token()
		if dec.More() || names["method"] > 1 || names["id"] > 1 || (names["method"] == 1) != notifies || notifies && names["id"] > 0 {
			t.Errorf("%q may be a request", text)
		}
	})
}

// TestStrictStream: the stream's opening has its received, its end has not.
func TestStrictStream(t *testing.T) {
	x := exchange{verb: http.MethodGet, header: "Accept: */*", reply: "data: {}\n\n"}
	_, tr := x.run(t, Options{Strict: true})
	want := []string{"http_request pending", "sse_connection success", "sse_closed success server_closed"}
	if diff := cmp.Diff(want, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	x = exchange{body: `{"id":1,"method":"subscriptions/listen"}`, reply: "data: {\"method\":\"notifications/subscriptions/acknowledged\"}\n\n"}
	_, tr = x.run(t, Options{Strict: true})
	want = []string{"mcp_subscription pending", "mcp_subscription success", "sse_closed success server_closed"}
	if diff := cmp.Diff(want, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	tr.stages(t)
}

func TestStrictSession(t *testing.T) {
	a, tr := record(t, Options{Strict: true})
	do := func(x exchange) { a.Wrap(x).ServeHTTP(httptest.NewRecorder(), x.request()) }
	do(exchange{body: `{"id":0,"method":"initialize","params":{"clientInfo":{"name":"desk"}}}`, reply: `{"id":0,"result":{}}`, with: inSession})
	do(exchange{header: inSession, body: callEcho, reply: jsonOK})
	do(exchange{verb: http.MethodDelete, header: inSession, status: http.StatusNoContent})
	want := []string{
		"mcp_initialize pending", "mcp_initialize success", "mcp_session_start success", "mcp_tool_call pending echo", "mcp_tool_call success echo",
		"mcp_session_end pending", "mcp_session_end success deleted",
	}
	if diff := cmp.Diff(want, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	ev := tr.all()
	if n := ev[6].Metadata.Extra.Operations; n != emitter.Of(2) || ev[5].Client.NameClaimed != "desk" {
		t.Errorf("%d operations, client %+v", n.Value, ev[5].Client)
	}
}

// TestReceivedIsNotFiltered, though the success that follows is.
func TestReceivedIsNotFiltered(t *testing.T) {
	tr := &trail{store: newEmitter(t, emitter.Options{Only: []emitter.Type{emitter.TypeToolCall}})}
	x := exchange{body: `{"id":1,"method":"ping"}`, reply: `{"id":1,"result":{}}`}
	HTTP(tr, Options{Strict: true})(x).ServeHTTP(httptest.NewRecorder(), x.request())
	if diff := cmp.Diff([]string{"mcp_ping pending"}, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestExactlyOneCompleted after each way in which a call can end.
func TestExactlyOneCompleted(t *testing.T) {
	tests := []struct {
		name string
		run  scripted
		act  func(a *Auditor, stop func())
		want string
	}{
		{"panic", func(http.ResponseWriter, *http.Request) { panic("boom") }, nil, "mcp_tool_call error panic echo"},
		{"abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "mcp_tool_call error upstream_aborted echo"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, nil, "mcp_tool_call error no_response echo"},
		{"denied inside", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, nil, "mcp_tool_call denied forbidden echo"},
		{"answered twice", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, jsonOK+jsonOK) }, nil, "mcp_tool_call success echo"},
		{"disconnect", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(_ *Auditor, stop func()) { stop() }, "mcp_tool_call failure disconnected echo"},
		{"disconnect at the end of the program", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(a *Auditor, stop func()) {
			stop()
			synctest.Wait()
			a.Close()
		}, "mcp_tool_call failure disconnected echo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, tr := record(t, Options{Strict: true})
				stop, done := call(a.Wrap(tt.run), exchange{header: inSession, body: callEcho}.request())
				synctest.Wait()
				if tt.act != nil {
					tt.act(a, stop)
				}
				<-done
				time.Sleep(ResumeWait)
				stop()
				if diff := cmp.Diff([]string{"mcp_tool_call pending echo", tt.want}, tr.lines()); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				received, completed := tr.stages(t)
				if received[completed[0].AuditID] == nil {
					t.Error("received and completed are not joined")
				}
			})
		})
	}
}

func TestUnseenIsRefused(t *testing.T) {
	sized := func(n int) string {
		const rest = `{"id":7,"method":"ping","params":{"a":""}}`
		return strings.Replace(rest, `""`, `"`+strings.Repeat("x", n-len(rest))+`"`, 1)
	}
	gzip := "Content-Encoding: gzip"
	tests := []struct {
		name   string
		x      exchange
		lax    bool
		status int
		want   []string
	}{
		{"at the limit", exchange{body: sized(PeekLimit)}, false, http.StatusOK, []string{"mcp_ping pending", "mcp_ping error no_response"}},
		{"beyond", exchange{body: sized(PeekLimit + 1)}, false, http.StatusRequestEntityTooLarge, []string{"mcp_ping failure too_large"}},
		{"beyond, lax", exchange{body: sized(PeekLimit + 1)}, true, http.StatusOK, []string{"mcp_ping error no_response"}},
		{"compressed", exchange{header: gzip, body: "\x1f\x8b"}, false, http.StatusUnsupportedMediaType, []string{"http_request failure unsupported_media_type"}},
		{"compressed, lax", exchange{header: gzip, body: "\x1f\x8b"}, true, http.StatusOK, []string{"http_request success"}},
		{"said not to be", exchange{header: "Content-Encoding: Identity", body: callEcho}, false, http.StatusOK, []string{"mcp_tool_call pending echo", "mcp_tool_call error no_response echo"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, tr := record(t, Options{Strict: !tt.lax})
			ran := false
			w := httptest.NewRecorder()
			a.Wrap(scripted(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(w, tt.x.request())
			if w.Code != tt.status || ran != (tt.status == http.StatusOK) {
				t.Errorf("status %d, ran %v", w.Code, ran)
			}
			if !ran && !strings.Contains(w.Body.String(), `,"error":{"code":-32600,`) {
				t.Errorf("answer %s", w.Body)
			}
			if diff := cmp.Diff(tt.want, tr.lines()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	twice := exchange{body: callEcho}.request()
	twice.Header["Content-Encoding"] = []string{"identity", "gzip"}
	a, _ := record(t, Options{Strict: true})
	w := httptest.NewRecorder()
	a.Wrap(neverRun(t)).ServeHTTP(w, twice)
	if w.Code != http.StatusUnsupportedMediaType || w.Header().Get("Accept-Encoding") != "identity" {
		t.Errorf("compressed by the second header: %d %v", w.Code, w.Header())
	}
}

// TestReceivedHasItsOwnDeadline, whatever has become of the request.
func TestReceivedHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr, rec := recordFaulty(t, Options{Strict: true})
		rec.emit = func(ctx context.Context, e *emitter.Event) error {
			if e.Stage == emitter.StageCompleted {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		stop, done := call(a.Wrap(neverRun(t)), exchange{body: callEcho}.request())
		synctest.Wait()
		stop()
		<-done
		if d := time.Since(began); d != EmitTimeout {
			t.Errorf("waited %s", d)
		}
		if diff := cmp.Diff([]string{"mcp_tool_call error audit_unavailable echo"}, tr.lines()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestRefusalDoesNotWaitForItsRecord: when the disk hangs the client has its
// 503 after one deadline, not two.
func TestRefusalDoesNotWaitForItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, rec := recordFaulty(t, Options{Strict: true})
		rec.emit = func(ctx context.Context, _ *emitter.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		w := &flushed{ResponseRecorder: httptest.NewRecorder()}
		a.Wrap(neverRun(t)).ServeHTTP(w, exchange{body: callEcho}.request())
		if d := w.at.Sub(began); d != EmitTimeout || w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d after %s", w.Code, d)
		}
	})
}

// flushed tells when its answer was flushed.
type flushed struct {
	*httptest.ResponseRecorder
	at time.Time
}

func (f *flushed) Flush() { f.at = time.Now() }

func TestStrictAnswerPassesWhenItsEventIsLost(t *testing.T) {
	a, tr, rec := recordFaulty(t, Options{Strict: true})
	rec.emit = func(_ context.Context, e *emitter.Event) error {
		if e.Stage == emitter.StageCompleted {
			return errFull
		}
		return nil
	}
	x := exchange{body: callEcho, reply: jsonOK}
	w := httptest.NewRecorder()
	a.Wrap(x).ServeHTTP(w, x.request())
	if diff := cmp.Diff([]string{"mcp_tool_call pending echo"}, tr.lines()); diff != "" || w.Body.String() != jsonOK {
		t.Errorf("answer %q, -want +got\n%s", w.Body, diff)
	}
}

// TestNothingRunsUnreceived calls a tool from many clients while the recorder
// fails, hangs and stores what it then disowns. The tool looks for its own event.
func TestNothingRunsUnreceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr, rec := recordFaulty(t, Options{Strict: true})
		var n, runs, refusals atomic.Int64
		rec.emit = func(ctx context.Context, e *emitter.Event) error {
			i := n.Add(1)
			switch {
			case i%5 == 0:
				return errFull
			case i%7 == 0:
				<-ctx.Done()
				return ctx.Err()
			case i%11 == 0:
				_ = rec.Recorder.Emit(ctx, e)
				return errors.New("stored perhaps")
			}
			return nil
		}
		tool := a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
			runs.Add(1)
			id := operationFrom(r.Context()).event.AuditID
			if !slices.ContainsFunc(tr.all(), func(e *emitter.Event) bool { return e.Stage == emitter.StageReceived && e.Trace.ParentAuditID == id }) {
				t.Error("the tool ran and nothing was received")
			}
			_, _ = io.WriteString(w, jsonOK)
		}))
		var wg sync.WaitGroup
		const clients, each = 16, 20
		for range clients {
			wg.Go(func() {
				for range each {
					w := httptest.NewRecorder()
					tool.ServeHTTP(w, exchange{body: callEcho}.request())
					if w.Code == http.StatusServiceUnavailable {
						refusals.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if runs.Load()+refusals.Load() != clients*each || runs.Load() == 0 || refusals.Load() == 0 || a.Stats().Refused != uint64(refusals.Load()) {
			t.Errorf("%d runs, %d refusals of %d calls", runs.Load(), refusals.Load(), clients*each)
		}
		_, completed := tr.stages(t)
		seen := map[string]bool{}
		for _, e := range completed {
			if seen[e.AuditID] {
				t.Errorf("the second completed of %s", e.AuditID)
			}
			seen[e.AuditID] = true
		}
	})
}

// TestStrictServer speaks HTTP with a real server.
func TestStrictServer(t *testing.T) {
	a, tr, rec := recordFaulty(t, Options{Strict: true})
	var n, runs atomic.Int64
	rec.emit = func(_ context.Context, e *emitter.Event) error {
		if e.Stage == emitter.StageReceived && n.Add(1)%3 == 0 {
			return errFull
		}
		return nil
	}
	srv := httptest.NewServer(a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		exchange{reply: jsonOK}.ServeHTTP(w, r)
	})))
	defer srv.Close()
	post := func(body io.Reader) (int, string) {
		resp, err := srv.Client().Post(srv.URL, "application/json", body)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, fmt.Sprint(string(text), err)
	}
	var wg sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 15 {
				switch code, text := post(strings.NewReader(callEcho)); {
				case code == http.StatusOK && strings.HasPrefix(text, jsonOK):
					served.Add(1)
				case code != http.StatusServiceUnavailable || !strings.Contains(text, `"id":7,"error"`):
					t.Errorf("status %d: %s", code, text)
				}
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(time.Minute); len(tr.all()) < 200 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the 503 is sent before its completed is tried
	}
	received, completed := tr.stages(t)
	if runs.Load() != 80 || served.Load() != 80 || len(received) != 80 || len(completed) != 120 {
		t.Errorf("%d runs, %d answers, %d received, %d completed", runs.Load(), served.Load(), len(received), len(completed))
	}
	large := strings.Replace(callEcho, `"x"`, `"`+strings.Repeat("x", PeekLimit)+`"`, 1)
	for _, body := range []io.Reader{strings.NewReader(large), io.MultiReader(strings.NewReader(large))} { // the second in chunks
		if code, text := post(body); code != http.StatusRequestEntityTooLarge || !strings.HasPrefix(text, `{"jsonrpc"`) {
			t.Errorf("too large: status %d: %s", code, text)
		}
	}
	if runs.Load() != 80 {
		t.Error("what was too large ran")
	}
}
