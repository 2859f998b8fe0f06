package front

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// store is a recorder in memory. One that is stuck stores nothing.
type store struct {
	stuck bool

	mu     sync.Mutex
	events []*emitter.Event
}

func (s *store) Ready() error { return nil }

func (s *store) Emit(ctx context.Context, e *emitter.Event) error {
	if s.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return nil
}

func (s *store) of(typ emitter.Type) (all []*emitter.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Type == typ {
			all = append(all, e)
		}
	}
	return all
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`

// send sends one request to h. header is pairs of names and values.
func send(h http.Handler, method, session, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestIdle opens 10,000 sessions that nobody ends, each after a call or after
// its initialize alone: they end by idleness, nothing of them is left, and the
// trail tells of each.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, each = 10000, 10 // one in ten is used
		rec := new(store)
		back := upstream.New(upstream.Spec{Name: "b", Server: server.NewMCPServer("b", "1", server.WithToolCapabilities(true))}, nil)
		g := core.New([]*upstream.Backend{back}, core.Options{Name: "x", Version: "1"})
		g.Start()
		f := New(g, Options{Recorder: rec})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { f.Run(ctx); close(ended) }()
		h := middleware.HTTP(rec, middleware.Options{})(f)
		for i := range n {
			id := send(h, http.MethodPost, "", hello).Header().Get("Mcp-Session-Id")
			if i%each > 0 {
				continue
			}
			if w := send(h, http.MethodPost, id, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); w.Code != http.StatusOK {
				t.Fatalf("a call: %d %s", w.Code, w.Body)
			}
		}
		left := func() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.sessions) }
		if own, _ := g.Sessions(); own != n || left() != n {
			t.Fatalf("%d and %d sessions are open", own, left())
		}
		time.Sleep(freshIdle + time.Minute)
		synctest.Wait()
		if left() != n/each {
			t.Errorf("%d sessions of whose clients nothing more came are left", left()-n/each)
		}
		time.Sleep(DefaultIdle + time.Minute)
		synctest.Wait()
		if own, hubs := g.Sessions(); own+hubs+left() != 0 {
			t.Errorf("left: %d here, %d and %d behind", left(), own, hubs)
		}
		operations := make(map[int64]int)
		sessions := make(map[string]bool)
		for _, e := range rec.of(emitter.TypeSessionEnd) {
			if e.Outcome != emitter.OutcomeSuccess || e.Reason != emitter.ReasonIdle || e.Trace.ParentAuditID == "" || e.Metadata.Extra.DurationMS.Value < freshIdle.Milliseconds() {
				t.Fatalf("%s %s %+v", e.Outcome, e.Reason, e.Metadata.Extra)
			}
			operations[e.Metadata.Extra.Operations.Value]++
			sessions[e.Source.Extra.SessionID] = true
		}
		if diff := cmp.Diff(map[int64]int{0: n - n/each, 1: n / each}, operations); diff != "" || len(sessions) != n {
			t.Errorf("%d sessions ended, their operations: -want +got\n%s", len(sessions), diff)
		}
		stop()
		<-ended
		g.Close()
	})
}

// TestIdleStuck lets the trail take no event while many sessions end: the
// server's end does not wait for each of them.
func TestIdleStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &store{stuck: true}
		g := core.New(nil, core.Options{Name: "x", Version: "1"})
		f := New(g, Options{Recorder: rec})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { f.Run(ctx); close(ended) }()
		h := middleware.HTTP(new(store), middleware.Options{})(f)
		for range 10 * maxEnding {
			send(h, http.MethodPost, "", hello)
		}
		time.Sleep(freshIdle + 15*time.Second)
		stop()
		began := time.Now()
		<-ended
		if d := time.Since(began); d > middleware.EmitTimeout {
			t.Errorf("the end took %s", d)
		}
		g.Close()
	})
}

func jwt(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return "Bearer " + part([]byte(`{"alg":"none"}`)) + "." + part([]byte(claims)) + ".c2ln"
}

// TestPrincipal lets others use a session whose id they know.
func TestPrincipal(t *testing.T) {
	alice, renewed := jwt(`{"iss":"i","sub":"alice","exp":1}`), jwt(`{"sub":"alice","exp":2,"iss":"i"}`)
	for _, tt := range []struct {
		name, opened, used string // credentials
		verified           bool   // by an inner layer, which takes the second word for the subject
		other              bool
		ends               bool // even so
	}{
		{name: "nobody"},
		{name: "nobody, then somebody", used: "Bearer x"},
		{name: "the same token", opened: "Bearer x", used: "Bearer x"},
		{name: "another token", opened: "Bearer x", used: "Bearer y", other: true},
		{name: "none any more", opened: "Bearer x", other: true, ends: true},
		{name: "a renewed JWT", opened: alice, used: renewed},
		{name: "another subject", opened: alice, used: jwt(`{"iss":"i","sub":"bob"}`), other: true},
		{name: "another issuer", opened: alice, used: jwt(`{"iss":"j","sub":"alice"}`), other: true},
		{name: "no subject", opened: jwt(`{"iss":"i"}`), used: jwt(`{"iss":"i","x":1}`), other: true},
		{name: "two subjects", opened: alice, used: jwt(`{"iss":"i","sub":"alice","sub":"bob"}`), other: true},
		{name: "verified, another token", opened: "alice 1", used: "alice 2", verified: true},
		{name: "verified, another subject", opened: "alice 1", used: "bob 1", verified: true, other: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := new(store)
			g := core.New(nil, core.Options{Name: "x", Version: "1"})
			defer g.Close()
			f := New(g, Options{})
			h := middleware.HTTP(rec, middleware.Options{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if name, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); tt.verified {
					middleware.NoteFrom(r.Context()).SetSubject(emitter.Subject{Type: "user", User: "U. " + r.Header.Get("Authorization"), UserID: name})
				}
				f.ServeHTTP(w, r)
			}))
			id := send(h, http.MethodPost, "", hello, "Authorization", tt.opened).Header().Get("Mcp-Session-Id")
			status := map[bool]int{false: http.StatusOK, true: http.StatusNotFound}
			if w := send(h, http.MethodPost, id, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Authorization", tt.used); w.Code != status[tt.other] {
				t.Errorf("a call: status %d: %s", w.Code, w.Body)
			}
			if w := send(h, http.MethodDelete, id, "", "Authorization", tt.used); w.Code != status[tt.other && !tt.ends] {
				t.Errorf("a DELETE: status %d: %s", w.Code, w.Body)
			}
			if !tt.other || tt.ends {
				return
			}
			for _, typ := range []emitter.Type{emitter.TypePing, emitter.TypeSessionEnd} {
				if e := rec.of(typ)[0]; e.Outcome != emitter.OutcomeDenied || e.Reason != emitter.ReasonOtherPrincipal {
					t.Errorf("%s: %s %s", typ, e.Outcome, e.Reason)
				}
			}
			if w := send(h, http.MethodDelete, id, "", "Authorization", tt.opened); w.Code != http.StatusOK {
				t.Errorf("the principal itself: status %d", w.Code)
			}
		})
	}
}

// TestDeleteTwice ends a session twice: it has one end.
func TestDeleteTwice(t *testing.T) {
	g := core.New(nil, core.Options{Name: "x", Version: "1"})
	defer g.Close()
	f := New(g, Options{})
	id := send(f, http.MethodPost, "", hello).Header().Get("Mcp-Session-Id")
	s := f.sessions[id]
	if !f.remove(s) || f.remove(s) {
		t.Error("a session was removed not once")
	}
}
