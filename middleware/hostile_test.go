package middleware

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func cancelOf(id, own string) exchange {
	return exchange{header: inSession, body: `{"id":` + own + `,"method":"notifications/cancelled","params":{"requestId":` + id + `}}`, status: 400, reply: "no"}
}

// TestCancelsOfEachOther: a cancel that names itself, and two that name each
// other, are refused and recorded, and nothing waits for ever.
func TestCancelsOfEachOther(t *testing.T) {
	a, tr := record(t, Options{})
	do := func(x exchange) { a.Wrap(x).ServeHTTP(httptest.NewRecorder(), x.request()) }
	do(cancelOf("7", "7"))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() { do(cancelOf("1", "2")) })
		wg.Go(func() { do(cancelOf("2", "1")) })
	}
	wg.Wait()
	if n := len(tr.all()); n != 401 {
		t.Errorf("%d events of 401 requests", n)
	}
}

// TestRefusedCancelTakesBackItsOwnMarkOnly: the first cancel was accepted.
func TestRefusedCancelTakesBackItsOwnMarkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		more := make(chan string)
		_, done := call(a.Wrap(hang(more)), exchange{header: inSession, body: callEcho}.request())
		synctest.Wait()
		for _, status := range []int{202, 404} {
			c := exchange{header: inSession, body: `{"method":"notifications/cancelled","params":{"requestId":7}}`, status: status}
			a.Wrap(c).ServeHTTP(httptest.NewRecorder(), c.request())
		}
		close(more)
		<-done
		if got := tr.lines()[2]; got != "mcp_tool_call failure cancelled echo" {
			t.Error(got)
		}
	})
}

// TestInitializeWithAnotherSession: the session that begins is the answer's,
// and the one that the request names is left alone.
func TestInitializeWithAnotherSession(t *testing.T) {
	a, tr := record(t, Options{})
	do := func(x exchange) { a.Wrap(x).ServeHTTP(httptest.NewRecorder(), x.request()) }
	hello := func(client string) string {
		return `{"id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"` + client + `"}}}`
	}
	do(exchange{body: hello("victim"), reply: `{"id":0,"result":{}}`, with: "Mcp-Session-Id: one"})
	do(exchange{header: "Mcp-Session-Id: one", body: hello("other"), reply: `{"id":0,"result":{}}`, with: "Mcp-Session-Id: two"})
	do(exchange{header: "Mcp-Session-Id: one", body: hello("refused"), status: 401})
	do(exchange{header: "Mcp-Session-Id: one", body: callEcho, reply: jsonOK})
	do(exchange{header: "Mcp-Session-Id: two", body: callEcho, reply: jsonOK})
	ev := tr.all()
	if len(ev) != 7 {
		t.Fatalf("events %v", tr.lines())
	}
	if ev[3].Source.Extra.SessionID == ev[1].Source.Extra.SessionID {
		t.Error("two sessions have one digest")
	}
	if got := []string{ev[5].Client.NameClaimed, ev[6].Client.NameClaimed}; !cmp.Equal(got, []string{"victim", "other"}) {
		t.Errorf("clients %v", got)
	}
}

// TestRefusalIsRecordedBeforeItsEndLeaves, where the header says how long it is.
func TestRefusalIsRecordedBeforeItsEndLeaves(t *testing.T) {
	var order []string
	a, tr := record(t, Options{})
	tr.seen = func(e *emitter.Event) { order = append(order, "event "+string(e.Outcome)) }
	a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "not ")
		_, _ = io.WriteString(w, "ok")
	})).ServeHTTP(&ordered{httptest.NewRecorder(), &order}, exchange{body: callEcho}.request())
	if diff := cmp.Diff([]string{"write not ", "event denied", "write ok"}, order); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if e := tr.one(t); e.Metadata.Extra.ErrorMessage != "not ok" || e.Metadata.Extra.ResponseSize.Value != 6 {
		t.Errorf("%+v", e.Metadata.Extra)
	}
}

func TestDenialDoesNotWaitForACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		stop, done := call(a.Wrap(scripted(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusUnauthorized)
		})), exchange{header: inSession, body: callEcho}.request())
		synctest.Wait()
		stop()
		<-done
		if diff := cmp.Diff([]string{"mcp_tool_call denied unauthenticated echo"}, tr.lines()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestStrangersDisplaceNobody: many requests that name sessions of their own
// and leave at once take no place from a session that was opened here, nor from
// a call that can be resumed.
func TestStrangersDisplaceNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		hello := exchange{body: `{"id":0,"method":"initialize","params":{"clientInfo":{"name":"desk"}}}`, reply: `{"id":0,"result":{}}`, with: inSession}
		a.Wrap(hello).ServeHTTP(httptest.NewRecorder(), hello.request())
		gone := a.Wrap(scripted(func(http.ResponseWriter, *http.Request) {}))
		for i := range maxSessions + 10 {
			stop, done := call(gone, exchange{header: fmt.Sprint("Mcp-Session-Id: stranger", i), body: callEcho}.request())
			stop()
			<-done
		}
		more := make(chan string)
		stop, done := call(a.Wrap(hang(more)), exchange{header: inSession, body: callEcho}.request())
		more <- "id: 1\ndata:\n\n"
		synctest.Wait()
		stop()
		<-done
		resume := exchange{verb: "GET", header: "Accept: text/event-stream\n" + inSession, reply: "data: " + jsonOK + "\n\n"}
		a.Wrap(resume).ServeHTTP(httptest.NewRecorder(), resume.request())
		ev := tr.all()
		if e := ev[len(ev)-2]; e.Outcome != emitter.OutcomeSuccess || e.Client.NameClaimed != "desk" {
			t.Errorf("%s %s of %+v", e.Outcome, e.Reason, e.Client)
		}
		a.Close()
		time.Sleep(ResumeWait)
	})
}

func TestMoreThanOneLanguage(t *testing.T) {
	tests := []struct {
		name string
		x    exchange
		want string
		odd  []string
	}{
		{"byte order mark", exchange{body: "\xEF\xBB\xBF" + callEcho, reply: jsonOK}, "mcp_tool_call success echo", []string{"byte_order_mark"}},
		{"NaN", exchange{body: `{"id":7,"method":"tools/call","params":{"name":"echo","arguments":{"n":NaN}}}`, reply: jsonOK}, "mcp_tool_call success echo", []string{"no_json"}},
		{"batch over sse", exchange{body: "[" + callEcho + "]", reply: "data: " + jsonOK + "\n\n"}, "mcp_request success", []string{"batch"}},
		{"rounded id", exchange{body: `{"id":1764000000000000001,"method":"ping"}`, reply: `{"id":1764000000000000000,"result":{}}`}, "mcp_ping success", nil},
		{"another large id", exchange{body: `{"id":1764000000000000001,"method":"ping"}`, reply: `{"id":1764000000000009999,"result":{}}`}, "mcp_ping error no_response", []string{"id_mismatch"}},
		{"body of a 204", exchange{body: callEcho, status: 204, reply: jsonOK}, "mcp_tool_call error no_response echo", nil},
		{"head", exchange{verb: "HEAD", reply: jsonOK}, "http_request success", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, tr := tt.x.run(t, Options{})
			if diff := cmp.Diff([]string{tt.want}, tr.lines()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(tt.odd, tr.one(t).Anomalies); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestLargeIDsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{})
		more := make(chan string)
		_, done := call(a.Wrap(hang(more)), exchange{header: inSession, body: `{"id":1764000000000000001,"method":"ping"}`}.request())
		synctest.Wait()
		second := exchange{header: inSession, body: `{"id":1764000000000000002,"method":"ping"}`, reply: `{"id":1764000000000000002,"result":{}}`}
		a.Wrap(second).ServeHTTP(httptest.NewRecorder(), second.request())
		close(more)
		<-done
		if e := tr.all()[0]; len(e.Anomalies) != 0 {
			t.Errorf("anomalies %v", e.Anomalies)
		}
	})
}

func TestTheServerCannotChooseTheRevision(t *testing.T) {
	_, tr := exchange{header: "Mcp-Protocol-Version: 2025-11-25", body: callEcho, reply: `{"id":7,"result":{"protocolVersion":"9999-evil"}}`}.run(t, Options{})
	if v := tr.one(t).Metadata.Extra.MCPVersion; v != "2025-11-25" {
		t.Errorf("version %q", v)
	}
}

func TestLongHeadersAreCut(t *testing.T) {
	long := strings.Repeat("x y ", 1<<16)
	_, tr := exchange{header: "User-Agent: " + long + "\nMcp-Name: " + long + "\nX-Forwarded-For: " + long + "\nX-Request-Id: " + long, body: callEcho, reply: jsonOK}.run(t, Options{})
	if n := len(tr.one(t).Stored()); n > 4096 {
		t.Errorf("an event of %d bytes", n)
	}
}

// brokenFlush is a writer whose client has gone.
type brokenFlush struct{ *httptest.ResponseRecorder }

func (brokenFlush) FlushError() error { return io.ErrClosedPipe }

func TestFlushErrorReachesTheHandler(t *testing.T) {
	a, _ := record(t, Options{})
	a.Wrap(scripted(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
	})).ServeHTTP(brokenFlush{httptest.NewRecorder()}, exchange{body: callEcho}.request())
}
