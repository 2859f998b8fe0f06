package emitter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memory is a sink that keeps what it is sent and fails while err is set.
type memory struct {
	err  error
	got  []string
	seqs []uint64
}

func (m *memory) Send(_ context.Context, batch []Record) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	for _, r := range batch {
		m.got = append(m.got, string(r.Body))
		m.seqs = append(m.seqs, r.Seq)
	}
	return len(batch), nil
}

func typeFormat(dst []byte, e *Event) []byte {
	return fmt.Append(dst, e.Type, " ", e.Outcome, " ", e.Severity, " ", e.Component)
}

func concluded(t Type, o Outcome) *Event {
	e := NewEvent(t)
	e.Conclude(o, "")
	return e
}

func TestEmit(t *testing.T) {
	a, b := new(memory), new(memory)
	em, err := New(Options{}, Route{"a", typeFormat, a}, Route{"b", typeFormat, b})
	if err != nil {
		t.Fatal(err)
	}
	e := concluded(TypeToolCall, OutcomeSuccess)
	if err := em.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	want := []string{"mcp_tool_call success 3 vmcp-server"}
	if diff := cmp.Diff([][]string{want, want}, [][]string{a.got, b.got}); diff != "" {
		t.Errorf("routes got: -want +got\n%s", diff)
	}
	if e.LoggedAt.IsZero() || e.Stored() == nil {
		t.Error("the event was not stamped or not stored")
	}
	if back, err := Decode(e.Stored()); err != nil || back.Severity != 3 {
		t.Errorf("stored %s: %v", e.Stored(), err)
	}
}

func TestEmitCountsAndTellsLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		good, bad := new(memory), &memory{err: errors.New("no space left")}
		em, err := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, Route{"good", typeFormat, good}, Route{"bad", typeFormat, bad})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := em.Emit(t.Context(), concluded(TypePing, OutcomeSuccess)); err == nil || !strings.Contains(err.Error(), "route bad: no space left") {
				t.Errorf("error %v", err)
			}
			time.Sleep(time.Second)
		}
		bad.err = nil
		if err := em.Emit(t.Context(), concluded(TypePing, OutcomeSuccess)); err != nil {
			t.Error(err)
		}
		want := Stats{Emitted: 1, Failed: 3, Routes: []RouteStats{{"good", 4, 0}, {"bad", 1, 3}}}
		if diff := cmp.Diff(want, em.Stats()); diff != "" {
			t.Errorf("stats: -want +got\n%s", diff)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "lost=3 after=3s") {
			t.Errorf("one line when it begins and one when it ends, got:\n%s", log.String())
		}
		if diff := cmp.Diff([]uint64{4}, bad.seqs); diff != "" {
			t.Errorf("seqs: -want +got\n%s", diff)
		}
	})
}

func TestEmitRefusesIncomplete(t *testing.T) {
	m := new(memory)
	em, _ := New(Options{}, Route{"m", typeFormat, m})
	if err := em.Emit(t.Context(), &Event{Type: TypePing}); err == nil {
		t.Error("an event without an id was taken")
	}
	if s := em.Stats(); s.Invalid != 1 || len(m.got) != 0 {
		t.Errorf("stats %+v, sent %v", s, m.got)
	}
}

func TestFilters(t *testing.T) {
	m := new(memory)
	em, _ := New(Options{Only: []Type{TypeToolCall, TypePing}, Exclude: []Type{TypePing, TypeAuditStart}}, Route{"m", typeFormat, m})
	for _, e := range []*Event{
		concluded(TypeToolCall, OutcomeSuccess),
		concluded(TypePing, OutcomeSuccess),
		concluded(TypePing, OutcomeDenied),
		concluded(TypeToolsList, OutcomeSuccess),
		concluded(TypeToolsList, OutcomeFailure),
		concluded(TypeToolsList, OutcomeError),
		concluded(TypeAuditStart, OutcomeSuccess),
	} {
		if err := em.Emit(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	odd := concluded(TypeToolsList, OutcomeSuccess)
	odd.Anomalies = []string{AnomalyKeyCase}
	if err := em.Emit(t.Context(), odd); err != nil {
		t.Error(err)
	}
	want := []string{
		"mcp_tool_call success 3 vmcp-server", "mcp_ping denied 6 vmcp-server", "mcp_tools_list failure 4 vmcp-server",
		"mcp_tools_list error 7 vmcp-server", "audit_start success 3 vmcp-server", "mcp_tools_list success 2 vmcp-server",
	}
	if diff := cmp.Diff(want, m.got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if s := em.Stats(); s.Filtered != 2 || s.Emitted != 6 {
		t.Errorf("stats %+v", s)
	}
}

func TestRunCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		em, _ := New(Options{}, Route{"m", typeFormat, m})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- em.Run(ctx) }()
		synctest.Wait()
		if err := em.Ready(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := em.Emit(t.Context(), concluded(TypePing, OutcomeSuccess)); !errors.Is(err, ErrClosed) {
			t.Errorf("emit after the end: %v", err)
		}
		if err := em.Ready(); !errors.Is(err, ErrClosed) {
			t.Errorf("ready after the end: %v", err)
		}
		if s := em.Stats(); s.Refused != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// blocking is a sink that does not look at its context.
type blocking struct{ release chan struct{} }

func (b blocking) Send(context.Context, []Record) (int, error) {
	<-b.release
	return 1, nil
}

// TestBlockedSinkIsNoOutage: callers are let go when their context ends, and
// Ready and Stats answer all the while.
func TestBlockedSinkIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := blocking{make(chan struct{})}
		em, _ := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, Route{"b", typeFormat, b})
		first := make(chan error, 1)
		go func() { first <- em.Emit(t.Context(), concluded(TypePing, OutcomeSuccess)) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := em.Emit(ctx, concluded(TypePing, OutcomeSuccess)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second emit: %v", err)
		}
		if err := em.Ready(); err != nil || em.Stats().Failed != 1 {
			t.Errorf("ready %v, stats %+v", err, em.Stats())
		}
		ended, stop := context.WithCancel(t.Context())
		stop()
		if err := em.Run(ended); err == nil {
			t.Error("Run did not tell of the sink that blocks")
		}
		close(b.release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := em.Emit(t.Context(), concluded(TypePing, OutcomeSuccess)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		for _, words := range []string{"destination blocks", "after the end"} {
			if strings.Count(log.String(), words) != 1 {
				t.Errorf("log does not say once %q:\n%s", words, log.String())
			}
		}
	})
}

func TestRoutesNeedNames(t *testing.T) {
	if _, err := New(Options{}, Route{Name: "a"}, Route{Name: "a"}); err == nil {
		t.Error("two routes of one name were taken")
	}
}

func TestEmitConcurrently(t *testing.T) {
	m := new(memory)
	em, _ := New(Options{}, Route{"m", typeFormat, m})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if err := em.Emit(t.Context(), concluded(TypePing, OutcomeSuccess)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, seq := range m.seqs {
		if seq != uint64(i+1) {
			t.Fatalf("record %d has seq %d", i, seq)
		}
	}
	if len(m.seqs) != 400 {
		t.Errorf("%d records, want 400", len(m.seqs))
	}
}

func TestErrorClasses(t *testing.T) {
	base := errors.New("refused")
	wrapped := fmt.Errorf("send: %w", Permanent(base))
	if !IsPermanent(wrapped) || IsBlocked(wrapped) || !errors.Is(wrapped, base) {
		t.Error("a permanent error was not known again")
	}
	if err := Blocked(base); !IsBlocked(err) || IsPermanent(err) || err.Error() != "refused" {
		t.Error("a blocked error was not known again")
	}
	if d, ok := RetryDelay(fmt.Errorf("send: %w", RetryAfter(time.Minute, base))); !ok || d != time.Minute {
		t.Errorf("retry after %v, %v", d, ok)
	}
	if _, ok := RetryDelay(base); ok || IsPermanent(base) || IsBlocked(base) {
		t.Error("a plain error has a class")
	}
}
