package emitter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// TestSlow has one destination take a minute for each call: the other one is
// not slowed, and the slow one gets everything in order.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, slow := new(far), new(far)
		slow.fail = func(batch []Record) (int, error) {
			time.Sleep(time.Minute)
			return len(batch), nil
		}
		em := newEmitter(t, Options{}, Route{Name: "good", Format: brief, Sink: good}, Route{Name: "slow", Format: brief, Sink: slow, BatchRecords: 10})
		stop := start(t, em)
		var want []string
		for i := range 100 {
			emit(t, em, call(i))
			want = append(want, fmt.Sprint("mcp_tool_call success 3 ", i))
		}
		synctest.Wait()
		if diff := cmp.Diff(want, without(good.bodies(), "audit_")); diff != "" {
			t.Errorf("the other one: -want +got\n%s", diff)
		}
		if st := em.Stats().Routes[1]; st.Pending < 90 || st.State != RouteUp || st.Failures != 0 {
			t.Errorf("stats %+v", st)
		}
		time.Sleep(time.Hour)
		if diff := cmp.Diff(want, without(slow.bodies(), "audit_")); diff != "" {
			t.Errorf("the slow one: -want +got\n%s", diff)
		}
		_ = stop()
	})
}

// hanging is a sink that takes nothing until it is given up.
type hanging struct{}

func (hanging) Send(ctx context.Context, _ []Record) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// TestEndWithBacklog ends in time although a destination hangs, and says what
// is left for the next start.
func TestEndWithBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		em := newEmitter(t, Options{FlushTimeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}, Route{Name: "m", Sink: hanging{}})
		stop := start(t, em)
		emit(t, em, call(1))
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if st := em.Stats().Routes[0]; st.Pending != 3 {
			t.Errorf("stats %+v", st)
		}
		if !strings.Contains(log.String(), "left in the spool for the next start") {
			t.Errorf("log:\n%s", &log)
		}
	})
}

// TestFullSpool fills the spool while the destination is away, by each policy.
func TestFullSpool(t *testing.T) {
	for name, tt := range map[string]struct {
		policy spool.Policy
		cause  string
	}{
		"drop newest": {spool.DropNewest, string(spool.CauseFull)},
		"drop oldest": {spool.DropOldest, string(spool.CauseDropOldest)},
		"refuse":      {spool.Refuse, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			opt := spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1, Full: tt.policy, Gap: GapPayload(Options{}), Log: slog.New(slog.NewTextHandler(&log, nil))}
			s, err := spool.Open(t.TempDir(), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			f := new(far)
			em, err := New(s, Options{FlushTimeout: patience, Refuse: tt.policy == spool.Refuse}, Route{Name: "m", Sink: f})
			if err != nil {
				t.Fatal(err)
			}
			failed := fillUp(t, em)
			if err := em.Ready(); errors.Is(err, spool.ErrFull) != (tt.policy == spool.Refuse) {
				t.Errorf("ready: %v", err)
			}
			stop := start(t, em)
			for em.Stats().Routes[0].Pending > 0 || s.Ready(spool.Ordinary) != nil {
				time.Sleep(time.Millisecond)
			}
			emit(t, em, call("with room again"))
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			checkFull(t, em.Stats(), tt.policy, failed)
			checkLoss(t, f, tt.cause, em.Stats())
			if again := strings.Contains(log.String(), "the spool has room again"); !strings.Contains(log.String(), "the spool is full") || again == (tt.policy == spool.DropOldest) {
				t.Errorf("log:\n%s", &log)
			}
		})
	}
}

// fillUp emits more than the spool holds, and returns how often that failed.
func fillUp(t *testing.T, em *Emitter) (failed uint64) {
	t.Helper()
	for i := range 300 {
		e := call(i)
		e.Data.Request = []byte(`"` + strings.Repeat("x", 6000) + `"`)
		switch err := em.Emit(t.Context(), e); {
		case errors.Is(err, spool.ErrFull):
			failed++
		case err != nil:
			t.Fatal(err)
		}
	}
	return failed
}

func checkFull(t *testing.T, st Stats, policy spool.Policy, failed uint64) {
	t.Helper()
	type counts struct{ failed, dropped, refused, oldest bool }
	want := map[spool.Policy]counts{
		spool.DropNewest: {failed: true, dropped: true},
		spool.DropOldest: {oldest: true},
		spool.Refuse:     {failed: true, refused: true},
	}[policy]
	got := counts{st.Failed > 0, st.Spool.Dropped > 0, st.Spool.Refused > 0, st.Spool.DroppedOldest > 0}
	if got != want || st.Failed < failed || st.Routes[0].Pending != 0 {
		t.Errorf("%+v, want %+v: %+v", got, want, st)
	}
}

// checkLoss finds the audit_loss event that counts what is lost.
func checkLoss(t *testing.T, f *far, cause string, st Stats) {
	t.Helper()
	var told uint64
	for _, line := range f.bodies() {
		e, err := Decode([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != TypeAuditLoss {
			continue
		}
		if e.Loss.Cause != cause {
			t.Errorf("loss %+v, want the cause %q", e.Loss, cause)
		}
		told += e.Loss.Count
	}
	if lost := st.Spool.Dropped + st.Spool.DroppedOldest; told != lost || (told > 0) != (cause != "") {
		t.Errorf("%d lost, %d told", lost, told)
	}
}

// TestOrderIsNotByClock delivers in the order of storing, wherever the clock
// goes meanwhile.
func TestOrderIsNotByClock(t *testing.T) {
	f := new(far)
	em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: f, Linger: time.Minute})
	now := time.Now()
	var want []string
	for i, jump := range []time.Duration{0, time.Hour, -24 * time.Hour, 100 * 24 * time.Hour, 0} {
		e := call(i)
		e.LoggedAt = now.Add(jump)
		emit(t, em, e)
		want = append(want, fmt.Sprint("mcp_tool_call success 3 ", i))
	}
	if err := start(t, em)(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, without(f.bodies(), "audit_")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestDeadLetterCannotBeKept passes over nothing that it could not keep.
func TestDeadLetterCannotBeKept(t *testing.T) {
	f := &far{fail: func(batch []Record) (int, error) {
		if strings.Contains(string(batch[0].Body), "bad") {
			return 0, Permanent(errors.New("no"))
		}
		return len(batch), nil
	}}
	em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: f, BatchRecords: 1})
	obstacle := filepath.Join(em.spool.Dir(), DeadLetters)
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	emit(t, em, call("bad"), call("good"))
	stop := start(t, em)
	for em.Stats().Routes[0].Failures == 0 {
		time.Sleep(time.Millisecond)
	}
	if st := em.Stats().Routes[0]; st.Dead != 0 || st.Confirmed != 0 || st.State != RouteRetrying {
		t.Errorf("stats %+v", st)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	for em.Stats().Routes[0].Dead == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := without(f.bodies(), "audit_"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
