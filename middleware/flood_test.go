package middleware

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// guard is a handler that lets in who shows the token "good", as alice, and
// refuses others with the reason that their token is.
func guard(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch token {
	case "good":
		NoteFrom(r.Context()).SetSubject(emitter.Subject{Type: "user", User: "alice"})
		exchange{reply: jsonOK}.ServeHTTP(w, r)
		return
	case "": // by its status alone
	default:
		NoteFrom(r.Context()).Decide(Deny, nil, emitter.Reason(token))
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// knock sends a request from an address, with a token unless it is empty.
func knock(h http.Handler, from, token string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), exchange{body: callEcho}.request()
	r.RemoteAddr = from
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	h.ServeHTTP(w, r)
	return w
}

// folds returns the folded events in short: source, type, outcome, reason, count.
func (tr *trail) folds() (out []string) {
	for _, e := range tr.all() {
		if c := e.Metadata.Extra.FoldedCount; c.Set {
			out = append(out, strings.Join(strings.Fields(fmt.Sprint(e.Source.Value, " ", e.Type, " ", e.Outcome, " ", e.Reason, " ", c.Value, " ", strings.Join(e.Anomalies, ","))), " "))
		}
	}
	return out
}

func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{FloodLimit: 3})
		h := a.Wrap(scripted(guard))
		for range 5 {
			knock(h, "192.0.2.1:1", "")
			time.Sleep(time.Second)
		}
		knock(h, "192.0.2.1:2", "expired")
		knock(h, "192.0.2.2:1", "")
		if n := len(tr.all()); n != 4 {
			t.Errorf("%d events, want 3 of one source and 1 of the other: %v", n, tr.lines())
		}
		time.Sleep(FloodWindow - 6*time.Second)
		if f := tr.folds(); f != nil {
			t.Errorf("before the minute ended: %v", f)
		}
		time.Sleep(2 * time.Second)
		want := []string{"192.0.2.1 mcp_auth denied unauthenticated 2", "192.0.2.1 mcp_auth denied expired 1"}
		if diff := cmp.Diff(want, tr.folds()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		e := tr.all()[4]
		if x := e.Metadata.Extra; x.FirstSeen != "2000-01-01T00:00:03.000000Z" || x.LastSeen != "2000-01-01T00:00:04.000000Z" || e.Subjects.Type != subjectUnverified || !cmp.Equal(e.Controls, []string{"IA-2"}) {
			t.Errorf("%s", e.Stored())
		}
		before := len(tr.all())
		knock(h, "192.0.2.1:1", "")
		if n := len(tr.all()); n != before+1 {
			t.Error("the next minute does not begin anew")
		}
		if got, want := a.Stats(), (Stats{Folded: 3}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestNeverFolded: whatever is no refusal of a stranger has its own event.
func TestNeverFolded(t *testing.T) {
	user := emitter.Subject{Type: "user", User: "alice"}
	tests := []struct {
		name  string
		limit int
		run   scripted
	}{
		{"success", 1, exchange{reply: jsonOK}.ServeHTTP},
		{"failure", 1, exchange{status: http.StatusNotFound}.ServeHTTP},
		{"forbidden", 1, exchange{status: http.StatusForbidden}.ServeHTTP},
		{"rate limited inside", 1, exchange{status: http.StatusTooManyRequests}.ServeHTTP},
		{"policy", 1, func(_ http.ResponseWriter, r *http.Request) { NoteFrom(r.Context()).Decide(Deny, nil, "") }},
		{"a known subject", 1, func(w http.ResponseWriter, r *http.Request) {
			NoteFrom(r.Context()).SetSubject(user)
			w.WriteHeader(http.StatusUnauthorized)
		}},
		{"a verified token", 1, func(w http.ResponseWriter, r *http.Request) {
			NoteFrom(r.Context()).SetAuth(emitter.Auth{Method: "jwt", Verified: true})
			w.WriteHeader(http.StatusUnauthorized)
		}},
		{"denied, and answered all the same", 1, func(w http.ResponseWriter, r *http.Request) {
			NoteFrom(r.Context()).Decide(Deny, nil, emitter.ReasonExpired)
			exchange{reply: jsonOK}.ServeHTTP(w, r)
		}},
		{"no limit", -1, exchange{status: http.StatusUnauthorized}.ServeHTTP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, tr := record(t, Options{FloodLimit: tt.limit})
			for range 3 {
				knock(a.Wrap(tt.run), "192.0.2.1:1", "")
			}
			a.Close()
			if n := len(tr.all()); n != 3 || tr.folds() != nil {
				t.Errorf("%d events, folds %v", n, tr.folds())
			}
		})
	}
}

func TestFloodSources(t *testing.T) {
	a, tr := record(t, Options{FloodLimit: 1})
	h := a.Wrap(scripted(guard))
	for _, from := range []string{"[2001:db8::1]:1", "[2001:db8::ffff:1]:1", "[2001:db8:0:1::1]:1", "[::ffff:192.0.2.1]:1", "192.0.2.1:1", "@", "@"} {
		knock(h, from, "")
	}
	a.Close()
	want := []string{"2001:db8::/64 mcp_auth denied unauthenticated 1", "192.0.2.1 mcp_auth denied unauthenticated 1", "@ mcp_auth denied unauthenticated 1"}
	if diff := cmp.Diff(want, tr.folds()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func tracked(a *Auditor) int {
	a.flood.mu.Lock()
	defer a.flood.mu.Unlock()
	return len(a.flood.sources)
}

// TestFloodFromMoreSourcesThanAreToldApart: they share one account, which says so.
func TestFloodFromMoreSourcesThanAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{FloodLimit: 2, Strict: true})
		for i := range maxSources {
			a.flood.recorded(emitter.Source{Value: fmt.Sprintf("2001:db8:%x::1", i)})
		}
		h := a.Wrap(scripted(guard))
		for i := range 5 {
			if w := knock(h, fmt.Sprintf("192.0.2.%d:1", i), ""); (w.Code == http.StatusTooManyRequests) != (i >= 2) {
				t.Errorf("request %d: status %d", i, w.Code)
			}
		}
		if n := tracked(a); n != maxSources {
			t.Errorf("%d sources are remembered", n)
		}
		time.Sleep(FloodWindow + time.Second)
		if diff := cmp.Diff([]string{"http_request denied rate_limited 3 tracking_full"}, tr.folds()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if n := tracked(a); n != 0 {
			t.Errorf("%d sources are remembered after their minute", n)
		}
	})
}

// TestStrictFlood: nothing is stored for a source that is over its limit, but
// who has a token that was good is let through until it is refused.
func TestStrictFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr := record(t, Options{FloodLimit: 2, Strict: true})
		h := a.Wrap(scripted(guard))
		const from = "192.0.2.1:1"
		knock(h, from, "good")
		for range 2 {
			knock(h, from, "")
		}
		time.Sleep(15*time.Second + time.Millisecond)
		before := len(tr.all())
		for _, token := range []string{"", "expired", "unknown"} {
			w := knock(a.Wrap(neverRun(t)), from, token)
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "45" || !strings.Contains(w.Body.String(), `"id":7,"error"`) {
				t.Errorf("token %q: %d %v %s", token, w.Code, w.Header(), w.Body)
			}
		}
		if n := len(tr.all()); n != before {
			t.Errorf("%d events were stored for refused requests", n-before)
		}
		if w := knock(h, from, "good"); w.Code != http.StatusOK {
			t.Errorf("good token: status %d", w.Code)
		}
		if w := knock(h, "192.0.2.2:1", ""); w.Code != http.StatusUnauthorized {
			t.Errorf("neighbour: status %d", w.Code)
		}
		knock(a.Wrap(exchange{status: http.StatusUnauthorized}), from, "good")
		if w := knock(a.Wrap(neverRun(t)), from, "good"); w.Code != http.StatusTooManyRequests {
			t.Errorf("token that was good: status %d", w.Code)
		}
		time.Sleep(45 * time.Second)
		if diff := cmp.Diff([]string{"192.0.2.1 http_request denied rate_limited 4"}, tr.folds()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if w := knock(h, from, ""); w.Code != http.StatusUnauthorized {
			t.Errorf("the minute after: status %d", w.Code)
		}
		if got, want := a.Stats(), (Stats{Limited: 4, Folded: 4}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestUnseenIsFolded too: nobody knows who sends what is refused unread.
func TestUnseenIsFolded(t *testing.T) {
	a, tr := record(t, Options{FloodLimit: 1, Strict: true})
	for range 3 {
		x := exchange{header: "Content-Encoding: gzip", body: "\x1f\x8b"}
		a.Wrap(neverRun(t)).ServeHTTP(httptest.NewRecorder(), x.request())
	}
	a.Close()
	want := []string{"http_request failure unsupported_media_type", "http_request denied rate_limited"}
	if diff := cmp.Diff(want, tr.lines()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestFoldOfARequestThatCameBefore the first that was folded, and took longer.
func TestFoldOfARequestThatCameBefore(t *testing.T) {
	a, tr := record(t, Options{})
	now := time.Now()
	for _, at := range []time.Duration{0, time.Second, -time.Second} {
		a.flood.fold(emitter.Source{Value: "192.0.2.1"}, verdict{emitter.OutcomeDenied, emitter.ReasonRateLimited}, now.Add(at))
	}
	a.Close()
	if x := tr.one(t).Metadata.Extra; x.FirstSeen != timeText(now.Add(-time.Second)) || x.LastSeen != timeText(now.Add(time.Second)) {
		t.Errorf("%+v", x)
	}
}

func TestTokensAreBounded(t *testing.T) {
	var good tokens
	for i := range 3 * maxTokens {
		good.add(fmt.Sprint(i))
	}
	if n := len(good.young) + len(good.old); n > 2*maxTokens {
		t.Errorf("%d tokens", n)
	}
	if good.has("0") || good.has("") || !good.has(fmt.Sprint(2*maxTokens)) {
		t.Error("the wrong tokens are remembered")
	}
}

// TestFloodIsStoredThoughTheDiskHangs: Close waits for one event in vain, not for
// each.
func TestFloodIsStoredThoughTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, rec := recordFaulty(t, Options{FloodLimit: 1})
		h := a.Wrap(scripted(guard))
		for i := range 10 {
			knock(h, fmt.Sprintf("192.0.2.%d:1", i%5), "")
		}
		rec.emit = func(ctx context.Context, _ *emitter.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		a.Close()
		if d := time.Since(began); d != EmitTimeout {
			t.Errorf("Close took %s", d)
		}
	})
}

// TestCloseWaitsForTheMinuteThatHasEnded and is still being stored.
func TestCloseWaitsForTheMinuteThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, tr, rec := recordFaulty(t, Options{FloodLimit: 1})
		rec.emit = func(_ context.Context, e *emitter.Event) error {
			if e.Metadata.Extra.FoldedCount.Set {
				time.Sleep(5 * time.Second)
			}
			return nil
		}
		h := a.Wrap(scripted(guard))
		knock(h, "192.0.2.1:1", "")
		knock(h, "192.0.2.1:1", "")
		time.Sleep(FloodWindow + time.Second)
		a.Close()
		if n := len(tr.folds()); n != 1 {
			t.Errorf("%d folds are stored", n)
		}
	})
}

// TestEveryRequestIsCounted floods an auditor from many sources at once, with a
// disk that is full from time to time: singles and folds make up what was sent.
func TestEveryRequestIsCounted(t *testing.T) {
	for _, strict := range []bool{false, true} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint("strict ", strict, " seed ", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { flooded(t, strict, seed) })
			})
		}
	}
}

func flooded(t *testing.T, strict bool, seed uint64) {
	const limit, clients, each = 4, 12, 60
	a, tr, rec := recordFaulty(t, Options{FloodLimit: limit, Strict: strict})
	h := a.Wrap(scripted(guard))
	var good atomic.Int64 // that ran
	tokens := []string{"", "", "expired", "wrong_audience", "bad_signature", "good"}
	var wg sync.WaitGroup
	for c := range uint64(clients) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, c))
			for range each {
				token := tokens[rnd.IntN(len(tokens))]
				if w := knock(h, fmt.Sprintf("192.0.2.%d:1", rnd.IntN(4)), token); w.Code == http.StatusOK {
					good.Add(1)
				}
				if rnd.IntN(20) == 0 {
					rec.full.Store(!rec.full.Load())
				}
				time.Sleep(time.Duration(rnd.Int64N(int64(8 * time.Second))))
			}
		})
	}
	wg.Wait()
	rec.full.Store(false)
	a.Close()
	received, completed := tr.stages(t)
	var singles, folded, successes int64
	for _, e := range completed {
		x := e.Metadata.Extra
		switch {
		case x.FoldedCount.Set:
			folded += x.FoldedCount.Value
			if x.FirstSeen == "" || x.LastSeen < x.FirstSeen || e.Outcome == emitter.OutcomeSuccess {
				t.Errorf("%s", e.Stored())
			}
			continue
		case e.Outcome == emitter.OutcomeSuccess:
			successes++
		}
		singles++
		if strict != (received[e.AuditID] != nil) {
			t.Errorf("strict %v: received %v", strict, received[e.AuditID])
		}
	}
	if singles+folded != clients*each || successes != good.Load() || uint64(folded) != a.Stats().Folded {
		t.Errorf("%d singles and %d folded of %d; %d of %d successes; stats %+v", singles, folded, clients*each, successes, good.Load(), a.Stats())
	}
	if strict && int64(len(received)) != singles {
		t.Errorf("%d received, %d completed", len(received), singles)
	}
	if folded == 0 || successes == 0 {
		t.Errorf("%d folded, %d successes: nothing was tested", folded, successes)
	}
}
