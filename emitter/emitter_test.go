package emitter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the time to deliver at the end: a slow machine is no fault.
const patience = 5 * time.Minute

// far is the far end of a route: a sink that keeps what it is sent. fail says, for
// each call, how many records it takes and what it answers.
type far struct {
	mu    sync.Mutex
	fail  func(batch []Record) (int, error)
	got   []string
	seqs  []uint64
	calls int
}

func (f *far) Send(_ context.Context, batch []Record) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	n, err := len(batch), error(nil)
	if f.fail != nil {
		n, err = f.fail(batch)
	}
	for _, r := range batch[:n] {
		f.got = append(f.got, string(r.Body))
		f.seqs = append(f.seqs, r.Seq)
	}
	return n, err
}

func (f *far) set(fail func([]Record) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *far) bodies() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

// brief renders what most tests compare, without the audit's own events.
func brief(dst []byte, e *Event) []byte {
	return fmt.Append(dst, e.Type, " ", e.Outcome, " ", e.Severity, " ", e.Target.Name)
}

func concluded(t Type, o Outcome) *Event {
	e := NewEvent(t)
	e.Conclude(o, "")
	return e
}

// call returns an event of its own name.
func call(name any) *Event {
	e := concluded(TypeToolCall, OutcomeSuccess)
	e.Target.Name = fmt.Sprint(name)
	return e
}

func openSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, spool.Options{MinFree: -1, Gap: GapPayload(Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newEmitter(t *testing.T, opt Options, routes ...Route) *Emitter {
	t.Helper()
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if opt.FlushTimeout == 0 {
		opt.FlushTimeout = patience
	}
	em, err := New(openSpool(t, t.TempDir()), opt, routes...)
	if err != nil {
		t.Fatal(err)
	}
	return em
}

// start runs em until stop is called, which returns Run's error.
func start(t *testing.T, em *Emitter) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- em.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func emit(t *testing.T, em *Emitter, events ...*Event) {
	t.Helper()
	for _, e := range events {
		if err := em.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// without leaves out the audit's own events.
func without(got []string, prefix string) []string {
	return slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

func TestEmitThenDeliver(t *testing.T) {
	a, b := new(far), new(far)
	em := newEmitter(t, Options{}, Route{Name: "a", Format: brief, Sink: a}, Route{Name: "b", Sink: b})
	e := call("first")
	emit(t, em, e) // before Run
	stop := start(t, em)
	emit(t, em, call("second"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{"mcp_tool_call success 3 first", "audit_start success 3 ", "mcp_tool_call success 3 second", "audit_stop success 3 "}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(a.bodies()))); diff != "" {
		t.Errorf("a got: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4}, a.seqs); diff != "" {
		t.Errorf("seqs: %s", diff)
	}
	if e.LoggedAt.IsZero() || e.Stored() == nil {
		t.Error("the event was not stamped or not stored")
	}
	for i, line := range b.bodies() {
		payload, in, ok := SplitIntegrity([]byte(line))
		if !ok || in.Seq != uint64(i+1) || in.Stream != em.spool.Stream().String() {
			t.Fatalf("line %d has no place in the chain: %s", i, line)
		}
		if i == 0 && !bytes.Equal(payload, e.Stored()) {
			t.Errorf("delivered %s, stored %s", payload, e.Stored())
		}
	}
	if s := em.Stats(); s.Emitted != 4 || s.Routes[0].Pending != 0 || s.Routes[1].Sent != 4 {
		t.Errorf("stats %+v", s)
	}
}

func TestEmitRefusesIncomplete(t *testing.T) {
	em := newEmitter(t, Options{})
	if err := em.Emit(t.Context(), &Event{Type: TypePing}); err == nil {
		t.Error("an event without an id was taken")
	}
	if s := em.Stats(); s.Invalid != 1 || s.Spool.Last != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestFilters(t *testing.T) {
	m := new(far)
	em := newEmitter(t, Options{Only: []Type{TypeToolCall, TypePing}, Exclude: []Type{TypePing, TypeAuditStart}}, Route{Name: "m", Format: brief, Sink: m})
	odd := concluded(TypeToolsList, OutcomeSuccess)
	odd.Anomalies = []string{AnomalyKeyCase}
	emit(t, em,
		concluded(TypeToolCall, OutcomeSuccess), concluded(TypePing, OutcomeSuccess), concluded(TypePing, OutcomeDenied),
		concluded(TypeToolsList, OutcomeSuccess), concluded(TypeToolsList, OutcomeFailure), concluded(TypeToolsList, OutcomeError),
		concluded(TypeAuditHeartbeat, OutcomeSuccess), odd)
	if err := start(t, em)(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"mcp_tool_call success 3 ", "mcp_ping denied 6 ", "mcp_tools_list failure 4 ",
		"mcp_tools_list error 7 ", "audit_heartbeat success 2 ", "mcp_tools_list success 2 ", "audit_start success 3 ", "audit_stop success 3 ",
	}
	if diff := cmp.Diff(want, m.bodies()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if s := em.Stats(); s.Filtered != 2 || s.Emitted != 8 {
		t.Errorf("stats %+v", s)
	}
}

func TestRunCloses(t *testing.T) {
	em := newEmitter(t, Options{})
	if err := em.Ready(); err != nil {
		t.Error(err)
	}
	if err := start(t, em)(); err != nil {
		t.Error(err)
	}
	if err := em.Emit(t.Context(), call(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("emit after the end: %v", err)
	}
	if err := em.Ready(); !errors.Is(err, ErrClosed) {
		t.Errorf("ready after the end: %v", err)
	}
	if s := em.Stats(); s.Refused != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestRoutesNeedNames(t *testing.T) {
	s := openSpool(t, t.TempDir())
	if _, err := New(s, Options{}, Route{Name: "a"}, Route{Name: "a"}); err == nil {
		t.Error("two routes of one name were taken")
	}
	if _, err := New(s, Options{}, Route{Name: "a"}); err != nil {
		t.Errorf("after an error the name is taken: %v", err)
	}
}

// TestRestart delivers to a destination that was away what was emitted before a
// restart, in order.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "spool")
		f := &far{fail: func([]Record) (int, error) { return 0, errors.New("away") }}
		var want []string
		for round := range 3 {
			s := openSpool(t, dir)
			em, err := New(s, Options{}, Route{Name: "m", Format: brief, Sink: f})
			if err != nil {
				t.Fatal(err)
			}
			if round == 2 {
				f.set(nil)
			}
			stop := start(t, em)
			for i := range 10 {
				emit(t, em, call(fmt.Sprint(round, i)))
				want = append(want, fmt.Sprint("mcp_tool_call success 3 ", round, i))
			}
			time.Sleep(time.Second) // it is known to be away
			began := time.Now()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("round %d took %v to stop", round, took)
			}
			_ = s.Close()
		}
		if diff := cmp.Diff(want, without(f.bodies(), "audit_")); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestReady tells of a spool that cannot store only where that is asked for.
func TestReady(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		s, err := spool.Open(t.TempDir(), spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		em, err := New(s, Options{Refuse: refuse}, Route{Name: "m", Sink: new(far)})
		if err != nil {
			t.Fatal(err)
		}
		e := call("large")
		e.Data.Request = []byte(`"` + strings.Repeat("x", 6000) + `"`)
		lost := error(nil)
		for range 300 {
			c := *e
			if lost = em.Emit(t.Context(), &c); lost != nil {
				break
			}
		}
		if !errors.Is(lost, spool.ErrFull) || em.Stats().Failed != 1 {
			t.Fatalf("emit = %v, stats %+v", lost, em.Stats())
		}
		if err := em.Ready(); refuse != errors.Is(err, spool.ErrFull) {
			t.Errorf("refuse %v: ready = %v", refuse, err)
		}
	}
}

// TestEmitNoted: events and notes are stored together or not at all, and what the
// caller keeps is not counted as lost. The audit's own events have room left.
func TestEmitNoted(t *testing.T) {
	s, err := spool.Open(t.TempDir(), spool.Options{MaxSize: 1 << 20, MinFree: -1, Full: spool.Refuse})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	em, err := New(s, Options{Exclude: []Type{TypePing}}, Route{Name: "m", Sink: new(far)})
	if err != nil {
		t.Fatal(err)
	}
	event := func(t Type) *Event {
		e := NewEvent(t)
		e.Conclude(OutcomeSuccess, "")
		e.Target.Name = strings.Repeat("x", 400)
		return e
	}
	stored := 0
	for err == nil {
		err = em.EmitNoted(t.Context(), []spool.Note{{Key: "at", Value: strconv.AppendInt(nil, int64(stored+1), 10)}}, event(TypeToolCall), event(TypePing))
		if err == nil {
			stored++
		}
	}
	st := em.Stats()
	if !errors.Is(err, spool.ErrFull) || string(s.Note("at")) != strconv.Itoa(stored) || st.Spool.Last != uint64(stored) {
		t.Errorf("%v after %d events, note %s, stats %+v", err, stored, s.Note("at"), st)
	}
	if st.Failed+st.Invalid+st.Spool.Dropped > 0 || st.Emitted != uint64(stored) || st.Filtered != uint64(stored) || st.Spool.Refused == 0 {
		t.Errorf("stats %+v", st)
	}
	if err := em.EmitNoted(t.Context(), nil, new(Event)); err == nil {
		t.Error("an event without a type is stored")
	}
	if err := em.Emit(t.Context(), event(TypeAuditAdmin)); err != nil {
		t.Errorf("no room for the audit itself: %v", err)
	}
}

// TestAsyncEndsDelivered: what is in memory when an async run ends is delivered
// before it does.
func TestAsyncEndsDelivered(t *testing.T) {
	s, err := spool.Open(t.TempDir(), spool.Options{Durability: spool.Async, MaxSize: 8 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := new(far)
	em, err := New(s, Options{FlushTimeout: patience, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, Route{Name: "a", Format: brief, Sink: f})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, em)
	emit(t, em, call("last"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if st := em.Stats().Routes[0]; st.Pending > 0 || len(without(f.bodies(), "audit_")) != 1 {
		t.Errorf("%d pending, got %v", st.Pending, f.bodies())
	}
}
