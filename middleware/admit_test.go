package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

var errFull = errors.New("spool full")

// faulty is a recorder that fails as a test says.
type faulty struct {
	Recorder
	full atomic.Bool                                       // Ready says so
	emit func(ctx context.Context, e *emitter.Event) error // before e is stored; an error keeps it out
}

func (f *faulty) Ready() error {
	if f.full.Load() {
		return errFull
	}
	return f.Recorder.Ready()
}

func (f *faulty) Emit(ctx context.Context, e *emitter.Event) error {
	if f.emit != nil {
		if err := f.emit(ctx, e); err != nil {
			return err
		}
	}
	return f.Recorder.Emit(ctx, e)
}

// recordFaulty is record with a recorder that can fail.
func recordFaulty(tb testing.TB, opt Options) (*Auditor, *trail, *faulty) {
	tb.Helper()
	_, tr := record(tb, Options{})
	f := &faulty{Recorder: tr}
	return New(f, opt), tr, f
}

// neverRun fails the test when a request reaches the handler.
func neverRun(t *testing.T) http.Handler {
	return scripted(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s ran", r.Method, r.URL) })
}

func TestRefusedWhileNothingCanBeStored(t *testing.T) {
	refusal := func(id string) string {
		return `{"jsonrpc":"2.0",` + id + `"error":{"code":-32603,"message":"the audit trail cannot take this call, so it was not run"}}`
	}
	unknown := refusal(`"id":null,`)
	const text = "the audit trail cannot take this call, so it was not run"
	tests := []struct {
		name string
		x    exchange
		want string
	}{
		{"call", exchange{body: callEcho}, refusal(`"id":7,`)},
		{"id as text", exchange{body: `{"id":"a\u0022","method":"ping"}`}, refusal(`"id":"a\u0022",`)},
		{"long id", exchange{body: `{"id":"` + strings.Repeat("x", 2*maxID) + `","method":"ping"}`}, unknown},
		{"notification", exchange{body: `{"method":"notifications/initialized"}`}, refusal("")},
		{"client's response", exchange{body: `{"id":3,"result":{}}`}, refusal("")},
		{"batch", exchange{body: `[` + callEcho + `,{"method":"notifications/x"},{"id":"a","method":"ping"},{"id":[1],"method":"ping"},{"id":4,"result":{}}]`}, "[" + refusal(`"id":7,`) + "," + refusal(`"id":"a",`) + "," + unknown + "]"},
		{"batch that asks for nothing", exchange{body: `[{"method":"notifications/x"}]`}, unknown},
		{"batch of too many", exchange{body: `[` + strings.Repeat(callEcho+",", maxRefusals) + callEcho + `]`}, unknown},
		{"broken batch", exchange{body: `[` + callEcho + `,`}, unknown},
		{"batch of something else", exchange{body: `[` + callEcho + `,1]`}, unknown},
		{"no JSON", exchange{body: `a=b`}, unknown},
		{"nothing", exchange{}, unknown},
		{"stream", exchange{verb: http.MethodGet, header: "Accept: text/event-stream"}, text},
		{"end of a session", exchange{verb: http.MethodDelete, header: inSession}, text},
	}
	for _, tt := range tests {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " strict ", strict), func(t *testing.T) {
				a, tr, rec := recordFaulty(t, Options{Strict: strict})
				rec.full.Store(true)
				w := httptest.NewRecorder()
				a.Wrap(neverRun(t)).ServeHTTP(w, tt.x.request())
				if got := strings.TrimSuffix(w.Body.String(), "\n"); got != tt.want {
					t.Errorf("answer\n%s, want\n%s", got, tt.want)
				}
				if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" {
					t.Errorf("status %d, header %v", w.Code, w.Header())
				}
				if isJSON := json.Valid(w.Body.Bytes()); isJSON != (w.Header().Get("Content-Type") == "application/json") {
					t.Errorf("JSON %v as %s", isJSON, w.Header().Get("Content-Type"))
				}
				if got, want := a.Stats(), (Stats{Refused: 1, Folded: 1}); got != want || len(tr.all()) != 0 {
					t.Errorf("stats %+v, want %+v; events %v", got, want, tr.lines())
				}
				a.Close()
				if diff := cmp.Diff([]string{"http_request error audit_unavailable"}, tr.lines()); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
			})
		}
	}
}

// TestOutage refuses calls for a while, and tells it by two lines of the log and
// one event for each source.
func TestOutage(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			a, tr, rec := recordFaulty(t, Options{Strict: strict, Log: slog.New(slog.NewTextHandler(&log, nil))})
			h := a.Wrap(exchange{body: callEcho, reply: jsonOK})
			do := func(from string) int {
				w, r := httptest.NewRecorder(), exchange{body: callEcho}.request()
				r.RemoteAddr = from + ":1"
				h.ServeHTTP(w, r)
				return w.Code
			}
			do("192.0.2.1")
			rec.full.Store(true)
			began := time.Now()
			for _, from := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"} {
				if code := do(from); code != http.StatusServiceUnavailable {
					t.Errorf("status %d", code)
				}
				time.Sleep(40 * time.Second)
			}
			before := len(tr.all())
			rec.full.Store(false)
			do("192.0.2.1")
			do("192.0.2.1")
			time.Sleep(FloodWindow + time.Second)
			folds := map[string]emitter.Extra{}
			for _, e := range tr.all()[before:] {
				if e.Reason == emitter.ReasonAuditUnavailable {
					folds[e.Source.Value] = e.Metadata.Extra
				}
			}
			want := map[string]emitter.Extra{
				"192.0.2.1": {FoldedCount: emitter.Of(2), FirstSeen: timeText(began), LastSeen: timeText(began.Add(80 * time.Second))},
				"192.0.2.2": {FoldedCount: emitter.Of(1), FirstSeen: timeText(began.Add(40 * time.Second)), LastSeen: timeText(began.Add(40 * time.Second))},
			}
			if diff := cmp.Diff(want, folds); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) != 2 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], errFull.Error()) || !strings.Contains(lines[1], "refused=3 after=2m0s") {
				t.Errorf("log:\n%s", log.String())
			}
			if got := a.Stats(); got.Refused != 3 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// TestNotificationEndsNoOutage in strict mode, which stores nothing before one:
// what fails is not told anew with each.
func TestNotificationEndsNoOutage(t *testing.T) {
	var log bytes.Buffer
	a, _, rec := recordFaulty(t, Options{Strict: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	rec.emit = func(context.Context, *emitter.Event) error { return errFull }
	for range 3 {
		for _, body := range []string{callEcho, `{"method":"notifications/x"}`} {
			x := exchange{body: body, status: http.StatusAccepted}
			a.Wrap(x).ServeHTTP(httptest.NewRecorder(), x.request())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("log:\n%s", log.String())
	}
}

// TestReadyTurnsWithTheFirstFailure: what cannot be stored is tried once, not
// again for its end.
func TestReadyTurnsWithTheFirstFailure(t *testing.T) {
	var log bytes.Buffer
	a, tr, rec := recordFaulty(t, Options{Strict: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	tries := 0
	rec.emit = func(context.Context, *emitter.Event) error {
		tries++
		rec.full.Store(true)
		return errFull
	}
	a.Wrap(neverRun(t)).ServeHTTP(httptest.NewRecorder(), exchange{body: callEcho}.request())
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
	rec.emit = nil
	a.Close()
	if diff := cmp.Diff([]string{"http_request error audit_unavailable"}, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("an outage until the end is told by\n%s", log.String())
	}
}
