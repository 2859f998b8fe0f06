package middleware

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// scripted is a handler whose answers a test writes step by step.
type scripted func(w http.ResponseWriter, r *http.Request)

func (s scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) { s(w, r) }

func sseHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
}

// call starts a request in the background; stop cancels it, done tells when
// the handler has returned.
func call(h http.Handler, r *http.Request) (stop context.CancelFunc, done <-chan struct{}) {
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	}()
	return cancel, ended
}

func TestRecordedBeforeTheAnswerLeaves(t *testing.T) {
	var order []string
	a, tr := record(t, Options{})
	tr.seen = func(e *emitter.Event) { order = append(order, "event "+string(e.Type)) }
	inner := &ordered{ResponseRecorder: httptest.NewRecorder(), order: &order}
	a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		sseHeader(w)
		for _, piece := range []string{"data: {\"method\":\"notifications/progress\"}\n\n", `data: {"id":7,"result"`, `:{}`, "}\n", "\n", ": end\n"} {
			_, _ = io.WriteString(w, piece)
		}
	})).ServeHTTP(inner, exchange{body: callEcho}.request())
	want := []string{
		"write data: {\"method\":\"notifications/progress\"}\n\n", `write data: {"id":7,"result"`, "write :{}",
		"event mcp_tool_call", "write }\n", "write \n", "write : end\n",
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

type ordered struct {
	*httptest.ResponseRecorder
	order *[]string
}

func (o *ordered) Write(p []byte) (int, error) {
	*o.order = append(*o.order, "write "+string(p))
	return o.ResponseRecorder.Write(p)
}

func TestStreamIsRecordedWhenItOpensAndWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		stop, done := call(a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
			sseHeader(w)
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "data: {\"method\":\"a\"}\n\ndata: {\"method\":\"b\"}\n\n")
			<-r.Context().Done()
		})), exchange{verb: "GET", header: "Accept: text/event-stream\nMcp-Session-Id: s"}.request())
		synctest.Wait()
		opened := tr.one(t)
		if opened.Type != emitter.TypeSSEConnection || opened.Outcome != emitter.OutcomeSuccess || opened.Target.Type != "stream" {
			t.Errorf("opened: %s %s %+v", opened.Type, opened.Outcome, opened.Target)
		}
		time.Sleep(90 * time.Second)
		stop()
		<-done
		closed := tr.all()[1]
		x := closed.Metadata.Extra
		if closed.Type != emitter.TypeSSEClosed || closed.Reason != emitter.ReasonClientClosed || closed.Trace.ParentAuditID != opened.AuditID {
			t.Errorf("closed: %s %s parent %s", closed.Type, closed.Reason, closed.Trace.ParentAuditID)
		}
		if x.DurationMS.Value != 90000 || x.Messages.Value != 2 || x.ResponseSize.Value != 44 || closed.Source != opened.Source {
			t.Errorf("closed: %+v %+v", x, closed.Source)
		}
	})
}

func TestSubscriptionIsRecordedAtItsAcknowledgement(t *testing.T) {
	a, tr := record(t, Options{})
	a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		sseHeader(w)
		if n := len(tr.all()); n != 0 {
			t.Errorf("%d events before the acknowledgement", n)
		}
		_, _ = io.WriteString(w, "data: {\"method\":\"notifications/subscriptions/acknowledged\"}\n\n")
		if n := len(tr.all()); n != 1 {
			t.Errorf("%d events after the acknowledgement", n)
		}
		_, _ = io.WriteString(w, "data: {\"id\":1,\"result\":{}}\n\n")
	})).ServeHTTP(httptest.NewRecorder(), exchange{body: `{"id":1,"method":"subscriptions/listen"}`}.request())
	want := []string{"mcp_subscription success", "sse_closed success server_closed"}
	if diff := cmp.Diff(want, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		do := func(x exchange) {
			a.Wrap(x).ServeHTTP(httptest.NewRecorder(), x.request())
		}
		do(exchange{
			body:  `{"id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","clientInfo":{"name":"desk","version":"1.2"}}}`,
			reply: `{"id":0,"result":{"protocolVersion":"2025-11-25"}}`, with: "Mcp-Session-Id: secret-session",
		})
		do(exchange{header: "Mcp-Session-Id: secret-session", body: callEcho, reply: jsonOK})
		time.Sleep(time.Minute)
		do(exchange{verb: "DELETE", header: "Mcp-Session-Id: secret-session", status: 200})
		do(exchange{header: "Mcp-Session-Id: secret-session", body: callEcho, status: 404})
		want := []string{"mcp_initialize success", "mcp_session_start success", "mcp_tool_call success echo", "mcp_session_end success deleted", "mcp_tool_call failure session_not_found echo"}
		if diff := cmp.Diff(want, tr.lines()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		ev := tr.all()
		key := ev[0].Source.Extra.SessionID
		for i, e := range ev {
			if e.Source.Extra.SessionID != key || !strings.HasPrefix(key, "k1:") || strings.Contains(string(e.Stored()), "secret-session") {
				t.Errorf("event %d has session %q, want %q", i, e.Source.Extra.SessionID, key)
			}
			if i < 4 && (e.Client.NameClaimed != "desk" || e.Client.VersionClaimed != "1.2" || e.Metadata.Extra.MCPVersion != "2025-11-25") {
				t.Errorf("event %d: client %+v, version %q", i, e.Client, e.Metadata.Extra.MCPVersion)
			}
		}
		if ev[1].Trace.ParentAuditID != ev[0].AuditID || ev[1].Source.Extra.RequestID != ev[0].AuditID {
			t.Error("the session's start is not joined with its initialize")
		}
		if x := ev[3].Metadata.Extra; x.DurationMS.Value != 60000 || x.Operations.Value != 2 {
			t.Errorf("session end: %+v", x)
		}
		if ev[4].Client.NameClaimed != "" {
			t.Error("an ended session is still remembered")
		}
	})
}

const inSession = "Mcp-Session-Id: s"

// hang waits for its client or for a word to go on.
func hang(more <-chan string) scripted {
	return func(w http.ResponseWriter, r *http.Request) {
		sseHeader(w)
		for {
			select {
			case piece, ok := <-more:
				if !ok {
					return
				}
				_, _ = io.WriteString(w, piece)
			case <-r.Context().Done():
				return
			}
		}
	}
}

func TestCancelAndDisconnect(t *testing.T) {
	cancelled := exchange{header: inSession, body: `{"method":"notifications/cancelled","params":{"requestId":7}}`, status: 202}
	tests := []struct {
		name   string
		header string
		body   string
		pieces []string
		act    func(a *Auditor, stop func())
		want   []string
	}{
		{"legacy disconnect", inSession, callEcho, nil, func(_ *Auditor, stop func()) {
			stop()
			time.Sleep(CancelWait + time.Millisecond)
		}, []string{"mcp_tool_call failure disconnected echo"}},
		{
			"modern close is a cancel", "", `{"id":7,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, nil,
			func(_ *Auditor, stop func()) { stop() },
			[]string{"mcp_tool_call failure cancelled echo"},
		},
		{"cancel", inSession, callEcho, nil, func(a *Auditor, stop func()) {
			a.Wrap(cancelled).ServeHTTP(httptest.NewRecorder(), cancelled.request())
			stop()
		}, []string{"mcp_notification success 7", "mcp_tool_call failure cancelled echo"}},
		{"cancel just after the connection was closed", inSession, callEcho, nil, func(a *Auditor, stop func()) {
			stop()
			time.Sleep(CancelWait - time.Millisecond)
			a.Wrap(cancelled).ServeHTTP(httptest.NewRecorder(), cancelled.request())
		}, []string{"mcp_tool_call failure cancelled echo", "mcp_notification success 7"}},
		{"cancel of another session", inSession, callEcho, nil, func(a *Auditor, stop func()) {
			other := cancelled
			other.header = "Mcp-Session-Id: other"
			a.Wrap(other).ServeHTTP(httptest.NewRecorder(), other.request())
			stop()
			time.Sleep(CancelWait + time.Millisecond)
		}, []string{"mcp_notification success 7", "mcp_tool_call failure disconnected echo"}},
		{"refused cancel", inSession, callEcho, nil, func(a *Auditor, stop func()) {
			other := cancelled
			other.status = 401
			a.Wrap(other).ServeHTTP(httptest.NewRecorder(), other.request())
			stop()
			time.Sleep(CancelWait + time.Millisecond)
		}, []string{"mcp_notification denied unauthenticated 7", "mcp_tool_call failure disconnected echo"}},
		{"resumable, never resumed", inSession, callEcho, []string{"id: 1\ndata:\n\n"}, func(_ *Auditor, stop func()) {
			stop()
			time.Sleep(ResumeWait + time.Second)
		}, []string{"mcp_tool_call failure disconnected echo"}},
		{"resumable, resumed", inSession, callEcho, []string{"id: 1\ndata:\n\n"}, func(a *Auditor, stop func()) {
			stop()
			time.Sleep(ResumeWait - time.Second)
			resume := exchange{verb: "GET", header: "Accept: text/event-stream\nLast-Event-ID: 1\n" + inSession, reply: "id: 2\ndata: {\"id\":7,\"result\":{\"isError\":true}}\n\n"}
			a.Wrap(resume).ServeHTTP(httptest.NewRecorder(), resume.request())
			time.Sleep(ResumeWait)
		}, []string{"sse_connection success", "mcp_tool_call failure tool_error echo", "sse_closed success server_closed"}},
		{"resumable, cancelled meanwhile", inSession, callEcho, []string{"id: 1\ndata:\n\n"}, func(a *Auditor, stop func()) {
			stop()
			synctest.Wait()
			a.Wrap(cancelled).ServeHTTP(httptest.NewRecorder(), cancelled.request())
			time.Sleep(ResumeWait)
		}, []string{"mcp_tool_call failure cancelled echo", "mcp_notification success 7"}},
		{"resumable, at the end of the program", inSession, callEcho, []string{"id: 1\ndata:\n\n"}, func(a *Auditor, stop func()) {
			stop()
			synctest.Wait()
			a.Close()
		}, []string{"mcp_tool_call failure disconnected echo"}},
		{"answered on another stream while the first is open", inSession, callEcho, nil, func(a *Auditor, stop func()) {
			get := exchange{verb: "GET", header: "Accept: text/event-stream\n" + inSession, reply: "data: {\"id\":7,\"result\":{}}\n\n"}
			a.Wrap(get).ServeHTTP(httptest.NewRecorder(), get.request())
			stop()
		}, []string{"sse_connection success", "mcp_tool_call success echo", "sse_closed success server_closed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, tr := record(t, Options{})
				more := make(chan string)
				stop, done := call(a.Wrap(hang(more)), exchange{header: tt.header, body: tt.body}.request())
				for _, p := range tt.pieces {
					more <- p
				}
				synctest.Wait()
				tt.act(a, func() {
					stop()
					<-done
				})
				if diff := cmp.Diff(tt.want, tr.lines()); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				if n := len(a.sessions.byKey) + len(a.parked); n != 0 {
					t.Errorf("%d sessions or operations are still remembered", n)
				}
			})
		})
	}
}

func TestAnswerAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		more := make(chan string)
		_, done := call(a.Wrap(hang(more)), exchange{header: inSession, body: callEcho}.request())
		synctest.Wait()
		c := exchange{header: inSession, body: `{"method":"notifications/cancelled","params":{"requestId":7}}`, status: 202}
		a.Wrap(c).ServeHTTP(httptest.NewRecorder(), c.request())
		more <- "data: " + jsonOK + "\n\n"
		close(more)
		<-done
		e := tr.all()[1]
		if e.Reason != emitter.ReasonCancelled || !cmp.Equal(e.Anomalies, []string{emitter.AnomalyLateAnswer}) {
			t.Errorf("%s, anomalies %v", e.Reason, e.Anomalies)
		}
	})
}

// TestLateAnswerToAClientThatHasGone writes the answer when the client has
// closed its stream: in the stateless revision it has cancelled by that.
func TestLateAnswerToAClientThatHasGone(t *testing.T) {
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	for body, want := range map[string]string{
		callEcho: "mcp_tool_call success echo",
		`{"id":7,"method":"tools/call","params":{"name":"echo",` + meta + `}}`: "mcp_tool_call failure cancelled echo",
	} {
		synctest.Test(t, func(t *testing.T) {
			a, tr := record(t, Options{})
			stop, done := call(a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				sseHeader(w)
				_, _ = io.WriteString(w, "data: "+jsonOK+"\n\n")
			})), exchange{body: body}.request())
			synctest.Wait()
			stop()
			<-done
			if diff := cmp.Diff([]string{want}, tr.lines()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestNotificationWhoseClientHasGone has its answer: the status.
func TestNotificationWhoseClientHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		stop, done := call(a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			<-r.Context().Done()
		})), exchange{header: inSession, body: `{"id":1,"result":{}}`}.request())
		synctest.Wait()
		stop()
		<-done
		if diff := cmp.Diff([]string{"mcp_request success"}, tr.lines()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

func TestReusedID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		more := make(chan string)
		stop, done := call(a.Wrap(hang(more)), exchange{header: inSession, body: callEcho}.request())
		synctest.Wait()
		second := exchange{header: inSession, body: callEcho, reply: jsonOK}
		a.Wrap(second).ServeHTTP(httptest.NewRecorder(), second.request())
		stop()
		<-done
		time.Sleep(CancelWait + time.Millisecond)
		ev := tr.all()
		if !cmp.Equal(ev[0].Anomalies, []string{emitter.AnomalyIDReused}) || ev[0].Outcome != emitter.OutcomeSuccess || ev[1].Reason != emitter.ReasonDisconnected {
			t.Errorf("%v, anomalies %v", tr.lines(), ev[0].Anomalies)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	ss := newSessions()
	for i := range maxSessions + 10 {
		ss.open(string(rune(i))+"k", peer{client: emitter.Client{NameClaimed: "c"}}, time.Now())
	}
	if len(ss.byKey) != maxSessions || ss.used.Len() != maxSessions {
		t.Errorf("%d sessions, %d in order", len(ss.byKey), ss.used.Len())
	}
	if p := ss.peer(string(rune(0)) + "k"); p != (peer{}) {
		t.Error("the oldest session is still there")
	}
	op := new(operation)
	if a := ss.enter("stranger", "1", op); a != emitter.AnomalyFull {
		t.Errorf("a stranger displaced a session: %q", a)
	}
	ss = newSessions()
	for i := range maxInFlight {
		if a := ss.enter("one", string(rune(i))+"k", op); a != "" {
			t.Fatalf("request %d: %s", i, a)
		}
	}
	if a := ss.enter("one", "more", op); a != emitter.AnomalyFull {
		t.Errorf("one too many: %q", a)
	}
}
