package emitter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stream is a lagging sink and its far end: what was handed over settles after
// five seconds. It is read as soon as it is handed over, but for what comes after
// closeAfter records of one connection: that is lost, and the connection with it.
type stream struct {
	mu         sync.Mutex
	got        []string // read by the far end
	doubt      []Record // handed over, not settled; without bodies
	times      []time.Time
	up         uint64 // settled
	n          int    // records of this connection
	closeAfter int    // 0: never
	gone       bool   // this connection
	away       bool   // no connection can be opened
	holds      bool   // Settle fails
	refuse     func(Record) bool
	sends      int
	settles    int
}

func (s *stream) Send(_ context.Context, batch []Record) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sends++
	if s.gone {
		return 0, s.lose()
	}
	if s.away {
		return 0, errors.New("connection refused")
	}
	for i, r := range batch {
		if s.refuse != nil && s.refuse(r) {
			return i, Permanent(errors.New("too long"))
		}
		s.doubt = append(s.doubt, Record{Seq: r.Seq})
		s.times = append(s.times, time.Now())
		if s.n++; s.closeAfter > 0 && s.n > s.closeAfter {
			s.gone = true
			continue
		}
		s.got = append(s.got, string(r.Body))
	}
	return len(batch), nil
}

// lose gives the connection up.
func (s *stream) lose() error {
	s.doubt, s.times, s.n, s.gone = nil, nil, 0, false
	return errors.New("the receiver closed the connection")
}

func (s *stream) Settled() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return s.up, s.lose()
	}
	for len(s.doubt) > 0 && time.Since(s.times[0]) >= 5*time.Second {
		s.up = s.doubt[0].Seq
		s.doubt, s.times = s.doubt[1:], s.times[1:]
	}
	return s.up, nil
}

func (s *stream) Settle(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settles++
	if s.gone || s.holds {
		return s.up, s.lose()
	}
	if len(s.doubt) > 0 {
		s.up = s.doubt[len(s.doubt)-1].Seq
	}
	_ = s.lose()
	return s.up, nil
}

func (s *stream) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *stream) bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// once returns all without those that came again, and how many these were.
func once(all []string) (first []string, again int) {
	seen := map[string]bool{}
	for _, s := range all {
		if seen[s] {
			again++
			continue
		}
		seen[s] = true
		first = append(first, s)
	}
	return first, again
}

func emitCalls(t *testing.T, em *Emitter, from, to int) (want []string) {
	t.Helper()
	for i := from; i < to; i++ {
		emit(t, em, call(i))
		want = append(want, fmt.Sprint("mcp_tool_call success 3 ", i))
	}
	return want
}

// TestLagging confirms to the spool only what has settled, also on a route that
// is idle, and settles the rest when it stops.
func TestLagging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stream)
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: s})
		stop := start(t, em)
		want := emitCalls(t, em, 0, 10)
		time.Sleep(4 * time.Second)
		if st := em.Stats().Routes[0]; st.Sent != 0 || st.Confirmed != 0 || st.Pending != 11 || len(s.bodies()) != 11 {
			t.Errorf("after 4 s: %+v, %d arrived", st, len(s.bodies()))
		}
		time.Sleep(3 * time.Second)
		if st := em.Stats().Routes[0]; st.Sent != 11 || st.Pending != 0 || st.State != RouteUp {
			t.Errorf("after 7 s: %+v", st)
		}
		want = append(want, emitCalls(t, em, 10, 20)...)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		st := em.Stats().Routes[0]
		if got := without(s.bodies(), "audit_"); !slices.Equal(got, want) || st.Sent != 22 || st.Pending != 0 || s.settles != 1 {
			t.Errorf("got %v, %d settles, %+v", got, s.settles, st)
		}
	})
}

// TestLaggingComesAgain loses connections: what has not settled is sent again, in
// order, and nothing else.
func TestLaggingComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{closeAfter: 300}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: s, BatchRecords: 100})
		stop := start(t, em)
		want := emitCalls(t, em, 0, 200)
		time.Sleep(10 * time.Second) // these settle
		want = append(want, emitCalls(t, em, 200, 310)...)
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got, again := once(without(s.bodies(), "audit_"))
		if diff := cmp.Diff(want, got); diff != "" || again == 0 || again > 110 {
			t.Errorf("%d came again; -want +got\n%s", again, diff)
		}
		if st := em.Stats().Routes[0]; st.Sent != 312 || st.Pending != 0 || st.Failures != 1 || st.State != RouteUp {
			t.Errorf("%+v", st)
		}
	})
}

// TestLaggingIsCareful gets by a far end that closes each connection after a few
// records, and goes faster when it does so no more.
func TestLaggingIsCareful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{closeAfter: 5}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: s})
		want := emitCalls(t, em, 0, 3000)
		stop := start(t, em)
		time.Sleep(2 * time.Minute)
		some, again := once(without(s.bodies(), "audit_"))
		if len(some) < 1000 || again > len(some)/4 {
			t.Errorf("%d arrived within two minutes, and %d again", len(some), again)
		}
		s.set(func() { s.closeAfter = 0 })
		time.Sleep(time.Minute)
		settles := s.settles
		want = append(want, emitCalls(t, em, 3000, 6000)...)
		time.Sleep(time.Minute)
		if s.settles > settles+2*careTries {
			t.Errorf("still careful: %d settles", s.settles-settles)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got, _ := once(without(s.bodies(), "audit_"))
		if diff := cmp.Diff(want, got); diff != "" || em.Stats().Routes[0].Pending != 0 {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestLaggingWithDeadLetters sets aside once what is refused or no event, whatever
// connections break meanwhile.
func TestLaggingWithDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{refuse: func(r Record) bool { return strings.Contains(string(r.Body), "long") }}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: s})
		stop := start(t, em)
		want := emitCalls(t, em, 0, 5)
		emit(t, em, call("long"))
		if _, err := em.spool.Append(t.Context(), 0, []byte("no event")); err != nil {
			t.Fatal(err)
		}
		want = append(want, emitCalls(t, em, 5, 10)...)
		time.Sleep(3 * time.Second)
		s.set(func() { s.gone = true })
		time.Sleep(time.Minute)
		if st := em.Stats(); st.Routes[0].Dead != 1 || st.Routes[0].Unread != 1 || st.Routes[0].Pending != 0 || st.Routes[0].Confirmed != st.Spool.Last {
			t.Errorf("%+v, last %d", st.Routes[0], st.Spool.Last)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got, again := once(without(s.bodies(), "audit_"))
		if diff := cmp.Diff(want, got); diff != "" || again != 10 {
			t.Errorf("%d came again; -want +got\n%s", again, diff)
		}
		losses, _ := once(without(s.bodies(), "mcp_"))
		if n := len(slices.DeleteFunc(losses, func(s string) bool { return !strings.HasPrefix(s, "audit_loss") })); n != 1 {
			t.Errorf("%d different losses told: %v", n, losses)
		}
	})
}

// TestLaggingAway says once that the destination is down and once that it is up,
// which it is when something has settled.
func TestLaggingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{away: true}
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: s})
		stop := start(t, em)
		want := emitCalls(t, em, 0, 5)
		time.Sleep(time.Hour)
		if st := em.Stats().Routes[0]; st.State != RouteRetrying || st.Sent != 0 || st.Pending < 5 {
			t.Errorf("%+v", st)
		}
		s.set(func() { s.away = false })
		time.Sleep(2 * time.Minute)
		if st := em.Stats().Routes[0]; st.State != RouteUp || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		_ = stop()
		if diff := cmp.Diff(want, without(s.bodies(), "audit_")); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// TestLaggingThatNeverSettles keeps everything in the spool, and ends in time.
func TestLaggingThatNeverSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{holds: true}
		em := newEmitter(t, Options{FlushTimeout: 5 * time.Second}, Route{Name: "m", Format: brief, Sink: s})
		stop := start(t, em)
		emitCalls(t, em, 0, 5)
		synctest.Wait()
		begin := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if st := em.Stats().Routes[0]; st.Confirmed != 0 || st.Sent != 0 || time.Since(begin) > 6*time.Second {
			t.Errorf("after %v: %+v", time.Since(begin), st)
		}
	})
}

// TestLaggingFailsWhileStopping tells of no fault that begins after audit_stop: the
// other routes have ended, and would leave that event for the next process.
func TestLaggingFailsWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := &stream{holds: true}, new(far)
		em := newEmitter(t, Options{FlushTimeout: time.Minute}, Route{Name: "m", Format: brief, Sink: s}, Route{Name: "other", Format: brief, Sink: other})
		stop := start(t, em)
		emitCalls(t, em, 0, 5)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if st := em.Stats(); st.Routes[0].Failures < 10 || st.Routes[1].Pending != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestConfirming(t *testing.T) {
	far := new(far)
	if Confirming(far) != Sink(far) {
		t.Error("a sink that confirms was wrapped")
	}
	s := new(stream)
	batch := []Record{{Seq: 4, Body: []byte("a")}, {Seq: 7, Body: []byte("b")}}
	if n, err := Confirming(s).Send(t.Context(), batch); n != 2 || err != nil {
		t.Errorf("Send = %d, %v", n, err)
	}
	s.holds = true
	if n, err := Confirming(s).Send(t.Context(), []Record{{Seq: 9}}); n != 0 || err == nil {
		t.Errorf("Send = %d, %v", n, err)
	}
	s.refuse = func(r Record) bool { return r.Seq == 11 }
	s.holds = false
	if n, err := Confirming(s).Send(t.Context(), []Record{{Seq: 10}, {Seq: 11}}); n != 1 || !IsPermanent(err) {
		t.Errorf("Send = %d, %v", n, err)
	}
}

// TestLaggingBreaksAtTheEnd loses the connection just before the emitter stops,
// while an earlier fault has not been forgotten: it is opened once more.
func TestLaggingBreaksAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stream)
		em := newEmitter(t, Options{}, Route{Name: "m", Format: brief, Sink: s})
		stop := start(t, em)
		want := emitCalls(t, em, 0, 5)
		for range 2 {
			synctest.Wait()
			s.set(func() { s.gone = true })
			time.Sleep(2500 * time.Millisecond) // it is up, but nothing has settled
		}
		s.set(func() { s.gone = true })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got, _ := once(without(s.bodies(), "audit_"))
		if st := em.Stats().Routes[0]; !slices.Equal(got, want) || st.Pending != 0 || st.State != RouteUp {
			t.Errorf("got %v, %+v", got, st)
		}
	})
}
