package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// trail stores events as the emitter does and keeps them in memory.
type trail struct {
	*emitter.Emitter
	added chan struct{} // one for each event

	mu     sync.Mutex // guards events
	events []*emitter.Event
}

func (tr *trail) Emit(ctx context.Context, e *emitter.Event) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err := tr.Emitter.Emit(ctx, e); err != nil {
		return err
	}
	back, err := emitter.Decode(e.Stored())
	if err != nil {
		return err
	}
	tr.events = append(tr.events, back)
	select {
	case tr.added <- struct{}{}:
	default: // nobody waits for so many
	}
	return nil
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

// newAuditor returns an auditor and what it records.
func newAuditor(t testing.TB) (*middleware.Auditor, *trail) {
	t.Helper()
	tr := &trail{added: make(chan struct{}, 1000)}
	s, err := spool.Open(t.TempDir(), spool.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if tr.Emitter, err = emitter.New(s, emitter.Options{}); err != nil {
		t.Fatal(err)
	}
	return middleware.New(tr, middleware.Options{}), tr
}
