package emitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// TestDown has one destination away for an hour, the other gets everything at
// once; log and trail tell of it once when it begins and once when it ends.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		good, bad := new(far), &far{fail: func([]Record) (int, error) { return 0, errors.New("no route to host") }}
		em := newEmitter(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))},
			Route{Name: "good", Format: brief, Sink: good}, Route{Name: "bad", Format: brief, Sink: bad})
		stop := start(t, em)
		var want []string
		for i := range 60 {
			emit(t, em, call(i))
			want = append(want, fmt.Sprint("mcp_tool_call success 3 ", i))
			time.Sleep(time.Minute)
			if n := len(without(good.bodies(), "audit_")); n != i+1 {
				t.Fatalf("%d events at the good destination after %d", n, i+1)
			}
		}
		st := em.Stats().Routes[1]
		if st.State != RouteRetrying || st.Pending < 60 || st.LastError != "no route to host" || st.Failures < 60 {
			t.Errorf("stats %+v", st)
		}
		bad.set(nil)
		time.Sleep(2 * retryCap)
		if diff := cmp.Diff(want, without(bad.bodies(), "audit_")); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		sinks := without(good.bodies(), "mcp_")
		if diff := cmp.Diff([]string{"audit_start success 3 ", "audit_sink error 7 bad", "audit_sink success 3 bad", "audit_stop success 3 "}, sinks); diff != "" {
			t.Errorf("the audit's own events: -want +got\n%s", diff)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "is down") || !strings.Contains(log.String(), "up again") {
			t.Errorf("one line when it begins and one when it ends, got:\n%s", log.String())
		}
	})
}

// TestRetryTimes looks at when a destination is tried again.
func TestRetryTimes(t *testing.T) {
	tests := []struct {
		name        string
		err         error
		tries       int
		least, most time.Duration
	}{
		{"first", errors.New("x"), 0, 0, retryBase},
		{"third", errors.New("x"), 2, 0, 4 * retryBase},
		{"late", errors.New("x"), 100, 0, retryCap},
		{"asked", RetryAfter(20*time.Second, errors.New("x")), 0, 20 * time.Second, 20 * time.Second},
		{"asked too much", RetryAfter(time.Hour, errors.New("x")), 0, retryCap, retryCap},
		{"asked a negative", RetryAfter(-time.Hour, errors.New("x")), 0, 0, retryBase},
		{"blocked", Blocked(errors.New("x")), 0, 20 * time.Second, 40 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 200 {
				r := retry{tries: tt.tries}
				if d := r.delay(tt.err); d < tt.least || d > tt.most {
					t.Fatalf("wait %v, want %v to %v", d, tt.least, tt.most)
				}
			}
		})
	}
}

// TestPartly has a destination that takes some of each batch.
func TestPartly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fail: func(batch []Record) (int, error) { return min(3, len(batch)), errors.New("enough") }}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: f})
		var want []string
		for i := range 20 {
			emit(t, em, call(i))
			want = append(want, fmt.Sprint("mcp_tool_call success 3 ", i))
		}
		stop := start(t, em)
		time.Sleep(time.Hour)
		_ = stop()
		if diff := cmp.Diff(want, without(f.bodies(), "audit_")); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestDeadLetters finds the records that are refused, wherever they stand, also
// if the destination only refuses the batch as a whole.
func TestDeadLetters(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprint("whole batch ", whole), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				poison := func(r Record) bool { return strings.Contains(string(r.Body), "poison") }
				f := new(far)
				f.fail = func(batch []Record) (int, error) {
					i := slices.IndexFunc(batch, poison)
					switch {
					case i < 0:
						return len(batch), nil
					case whole:
						i = 0
					}
					return i, Permanent(errors.New("invalid data format"))
				}
				em := newEmitter(t, Options{}, Route{Name: "splunk/1", Format: brief, Sink: f})
				var want []string
				for i := range 100 {
					if i%33 == 7 {
						emit(t, em, call(fmt.Sprint("poison", i)))
						continue
					}
					emit(t, em, call(i))
					want = append(want, fmt.Sprint("mcp_tool_call success 3 ", i))
				}
				stop := start(t, em)
				time.Sleep(time.Second)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, without(f.bodies(), "audit_")); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				st := em.Stats().Routes[0]
				if st.Dead != 3 || f.calls > 60 {
					t.Errorf("%d dead letters by %d calls", st.Dead, f.calls)
				}
				checkLetters(t, em)
			})
		})
	}
}

func checkLetters(t *testing.T, em *Emitter) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(em.spool.Dir(), DeadLetters, "splunk%2F1", "*.json"))
	if err != nil || len(names) != 3 {
		t.Fatalf("dead letters %v, %v", names, err)
	}
	body, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var letter DeadLetter
	if err := json.Unmarshal(body, &letter); err != nil {
		t.Fatal(err)
	}
	payload, in, ok := SplitIntegrity(letter.Event)
	e, err := Decode(payload)
	if err != nil || !ok || e.Target.Name != "poison7" || in.Seq != letter.Seq || letter.Error != "invalid data format" || letter.Route != "splunk/1" {
		t.Errorf("dead letter %s: %v", body, err)
	}
}

// TestEverythingIsRefused has a destination that refuses whatever it is sent: the
// backlog does not go to the dead letters, and no loss tells of another one.
func TestEverythingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fail: func([]Record) (int, error) { return 0, Permanent(errors.New("no")) }}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: f})
		for i := range 100 {
			emit(t, em, call(i))
		}
		stop := start(t, em)
		time.Sleep(time.Minute)
		st := em.Stats()
		if r := st.Routes[0]; r.State != RouteBlocked || r.Dead < maxBuried || r.Dead > maxBuried+3 || r.Pending < 90 {
			t.Errorf("after a minute: %+v", r)
		}
		f.set(nil)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		st = em.Stats()
		if r := st.Routes[0]; r.State != RouteUp || r.Pending != 0 || uint64(len(without(f.bodies(), "audit_")))+r.Dead != 100 {
			t.Errorf("%d delivered, %+v", len(f.bodies()), r)
		}
	})
}

// TestLossesDoNotBreed has nothing but the audit's own events, each of
// which is refused.
func TestLossesDoNotBreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fail: func([]Record) (int, error) { return 0, Permanent(errors.New("no")) }}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: f})
		stop := start(t, em)
		time.Sleep(24 * time.Hour)
		if n := em.Stats().Spool.Last; n > 10 {
			t.Errorf("%d events in a day without any call", n)
		}
		_ = stop()
	})
}

// TestRefusalOnAFullSpool goes on though the dead letter has no room: only so
// there will be some.
func TestRefusalOnAFullSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.Open(t.TempDir(), spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1, Full: spool.Refuse})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		f := &far{fail: func([]Record) (int, error) { return 0, errors.New("away") }}
		em, err := New(s, Options{}, Route{Name: "m", Format: brief, Sink: f})
		if err != nil {
			t.Fatal(err)
		}
		for i, err := 0, error(nil); err == nil; i++ {
			err = em.Emit(t.Context(), call(i))
		}
		f.set(func(batch []Record) (int, error) {
			if strings.HasSuffix(string(batch[0].Body), " 0") {
				return 0, Permanent(errors.New("no"))
			}
			return len(batch), nil
		})
		stop := start(t, em)
		time.Sleep(5 * time.Minute)
		if st := em.Stats(); st.Routes[0].Pending > 0 || st.Routes[0].Dead != 1 || em.Emit(t.Context(), call("more")) != nil {
			t.Errorf("stats %+v", st)
		}
		_ = stop()
	})
}

// TestLossIsTold has each dead letter named by an event.
func TestLossIsTold(t *testing.T) {
	f := &far{fail: func(batch []Record) (int, error) {
		if strings.Contains(string(batch[0].Body), "mcp_") {
			return 0, Permanent(errors.New("no"))
		}
		return len(batch), nil
	}}
	em := newEmitter(t, Options{}, Route{Name: "m", Sink: f})
	emit(t, em, call("bad"))
	if err := start(t, em)(); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.got, func(s string) bool { return strings.Contains(s, "audit_loss") })
	if i < 0 {
		t.Fatalf("no audit_loss in %v", f.got)
	}
	e, err := Decode([]byte(f.got[i]))
	if err != nil {
		t.Fatal(err)
	}
	want := Loss{FirstSeq: 1, LastSeq: 1, Count: 1, Cause: LossRefused, Routes: []string{"m"}}
	if diff := cmp.Diff(want, e.Loss); diff != "" {
		t.Error(diff)
	}
}

// TestUnreadable passes a record that is no event.
func TestUnreadable(t *testing.T) {
	f := new(far)
	em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: f})
	if _, err := em.spool.Append(t.Context(), 0, []byte("no event")); err != nil {
		t.Fatal(err)
	}
	emit(t, em, call("good"))
	if err := start(t, em)(); err != nil {
		t.Fatal(err)
	}
	if got := without(f.bodies(), "audit_"); len(got) != 1 || em.Stats().Routes[0].Unread != 1 || em.Stats().Routes[0].Pending != 0 {
		t.Errorf("got %v, stats %+v", got, em.Stats())
	}
}

// TestBlocked probes slowly and goes on by itself.
func TestBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fail: func([]Record) (int, error) { return 0, Blocked(errors.New("token refused")) }}
		em := newEmitter(t, Options{Heartbeat: 10 * time.Minute}, Route{Name: "m", Format: brief, Sink: f})
		stop := start(t, em)
		time.Sleep(time.Hour)
		if st := em.Stats().Routes[0]; st.State != RouteBlocked || st.Failures < 80 || st.Failures > 190 || st.Dead != 0 {
			t.Errorf("after an hour: %+v", st)
		}
		f.set(nil)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got := f.bodies()
		beats := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, "audit_heartbeat") }))
		if beats != 6 || got[1] != "audit_sink error 7 m" && !slices.Contains(got, "audit_sink error 7 m") {
			t.Errorf("got %v", got)
		}
	})
}

// TestFlushGoesOn when a destination that was up fails while the emitter stops.
func TestFlushGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(far)
		em := newEmitter(t, Options{FlushTimeout: time.Minute}, Route{Name: "m", Format: brief, Sink: f, BatchRecords: 10})
		for i := range 200 {
			emit(t, em, call(i))
		}
		f.set(func(batch []Record) (int, error) {
			if f.calls%3 == 0 {
				return 0, errors.New("busy")
			}
			return len(batch), nil
		})
		if err := start(t, em)(); err != nil {
			t.Fatal(err)
		}
		if got := without(f.bodies(), "audit_"); len(got) != 200 || em.Stats().Routes[0].Pending != 0 {
			t.Errorf("%d of 200 delivered, %+v", len(got), em.Stats().Routes)
		}
	})
}

func TestHead(t *testing.T) {
	e := call("x")
	e.LoggedAt = time.Date(2026, 11, 22, 13, 39, 50, 678166000, time.UTC)
	e.Stage = "received"
	line := AppendEvent(nil, e)
	id, at, ok := head(line)
	if !ok || id != e.AuditID || !at.Equal(e.LoggedAt) {
		t.Errorf("head of %s = %q, %v, %v", line, id, at, ok)
	}
	for _, bad := range []string{"", "{}", `{"schema":"1.0"}`, `{"schema":"1.0","audit_id":"a\\"b","logged_at":"x"}`, `{"schema":"1.0","audit_id":"a","outcome":"x","logged_at":"2026-11-22T13:39:50Z"}`, `{"schema":"1.0","audit_id":"a","type":"`} {
		if id, at, ok := head([]byte(bad)); ok {
			t.Errorf("head of %s = %q, %v", bad, id, at)
		}
	}
}
