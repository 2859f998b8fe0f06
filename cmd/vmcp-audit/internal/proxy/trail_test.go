package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// trail is a sink that keeps events in memory.
type trail struct {
	added chan struct{} // one for each event

	mu     sync.Mutex // guards events
	events []*emitter.Event
}

func (tr *trail) Send(_ context.Context, batch []emitter.Record) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, r := range batch {
		e, err := emitter.Decode(r.Body)
		if err != nil {
			return 0, err
		}
		tr.events = append(tr.events, e)
		select {
		case tr.added <- struct{}{}:
		default: // nobody waits for so many
		}
	}
	return len(batch), nil
}

// lines returns the events in short: type, outcome, reason, HTTP status.
func (tr *trail) lines() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	out := []string{}
	for _, e := range tr.events {
		line := fmt.Sprint(e.Type, " ", e.Outcome, " ", e.Reason)
		if status := e.Metadata.Extra.HTTPStatus; status != 0 {
			line += fmt.Sprint(" ", status)
		}
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}

// await waits for n events in all, which are then those that were recorded.
func (tr *trail) await(t testing.TB, n int) []string {
	t.Helper()
	for range n {
		receive(t, tr.added, "an event")
	}
	return tr.lines()
}

func (tr *trail) want(t testing.TB, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), tr.lines()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func stored(dst []byte, e *emitter.Event) []byte { return append(dst, e.Stored()...) }

// newAuditor returns an auditor and what it records.
func newAuditor(t testing.TB) (*middleware.Auditor, *trail) {
	t.Helper()
	tr := &trail{added: make(chan struct{}, 1000)}
	em, err := emitter.New(emitter.Options{}, emitter.Route{Name: "trail", Format: stored, Sink: tr})
	if err != nil {
		t.Fatal(err)
	}
	return middleware.New(em, middleware.Options{}), tr
}
