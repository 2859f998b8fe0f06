package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/admin"
	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestForget(t *testing.T) {
	dir := fill(t, 20, map[string]int{"hec": 2, "file": 18})
	plan, err := admin.PlanForget(t.Context(), dir, "hec", false)
	if err != nil {
		t.Fatal(err)
	}
	want := &admin.Plan{Act: admin.ActForget, Dir: dir, Route: "hec", FirstSeq: 3, LastSeq: 20, Events: 18, FreedBytes: plan.FreedBytes}
	if diff := cmp.Diff(want, plan, cmpopts.IgnoreUnexported(admin.Plan{})); diff != "" {
		t.Errorf("plan: -want +got\n%s", diff)
	}
	segments := func() (sum int64) {
		list, err := inspect.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list.Segments[:len(list.Segments)-1] {
			sum += s.Bytes
		}
		return sum
	}
	before := segments()
	s := open(t, dir)
	if err := s.Forget(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantTold(t, dir, emitter.OutcomeSuccess, plan)
	list, err := inspect.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if after := segments(); plan.FreedBytes == 0 || list.Segments[0].FirstSeq <= 12 || before-after <= 0 {
		t.Errorf("planned to free %d bytes, %d before, %d after, first segment %+v", plan.FreedBytes, before, after, list.Segments[0])
	}
	if c, err := inspect.Check(t.Context(), dir, 0); err != nil || !c.OK {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := admin.PlanForget(t.Context(), dir, "hec", false); err == nil || !strings.Contains(err.Error(), "it has file") {
		t.Errorf("twice: %v", err)
	}
}

// TestForgetFully deletes dead letters, of a route with and without a cursor.
func TestForgetFully(t *testing.T) {
	dir := fill(t, 1, map[string]int{"hec": 1})
	letters(t, dir, "hec", 1, 2)
	letters(t, dir, "other", 3)
	for _, route := range []string{"hec", "other"} {
		plan, err := admin.PlanForget(t.Context(), dir, route, true)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if err := s.Forget(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantTold(t, dir, emitter.OutcomeSuccess, plan)
		if left := seqsOf(t, dir, route); left != nil {
			t.Errorf("%s: %v are left", route, left)
		}
	}
}

// letters writes dead letters with these seqs; seq 0 is no event.
func letters(t *testing.T, dir, route string, seqs ...uint64) {
	t.Helper()
	for _, seq := range seqs {
		l := emitter.DeadLetter{Route: route, Seq: seq, Raw: []byte("x")}
		if seq > 0 {
			e := emitter.NewEvent(emitter.TypeToolCall)
			e.LoggedAt = time.Now().UTC()
			e.Integrity = emitter.Integrity{Stream: "s", Seq: seq, Prev: "p", Hash: "h"}
			l.Event, l.Raw = emitter.AppendEvent(nil, e), nil
		}
		body, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, emitter.LetterPath(route, seq))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func seqsOf(t *testing.T, dir, route string) (seqs []uint64) {
	t.Helper()
	list, err := inspect.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list.DeadLetters {
		if d.Route == route {
			seqs = append(seqs, d.Seq)
		}
	}
	return seqs
}

func TestReplay(t *testing.T) {
	future := time.Now().Add(time.Hour)
	tests := []struct {
		name   string
		seq    uint64
		since  time.Time
		from   uint64 // 0: nothing
		events uint64
	}{
		{"a part", 15, time.Time{}, 15, 4},
		{"not confirmed", 19, time.Time{}, 0, 0},
		{"since the beginning", 0, time.Unix(1, 0), 1, 18},
		{"in the future", 0, future, 0, 0},
		{"all", 0, time.Time{}, 1, 18},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := fill(t, 20, map[string]int{"hec": 18, "late": 0}) // late keeps all segments
			plan, err := admin.PlanReplay(t.Context(), dir, "hec", tt.seq, tt.since)
			if err != nil {
				t.Fatal(err)
			}
			if plan.FirstSeq != tt.from || plan.Events != tt.events || plan.RemovedLast != 0 {
				t.Errorf("plan %+v", plan)
			}
			s := open(t, dir)
			err = s.Replay(t.Context(), plan)
			if tt.from == 0 {
				if !errors.Is(err, admin.ErrNothing) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
			wantTold(t, dir, emitter.OutcomeSuccess, plan)
			sp, err := spool.Open(dir, spool.Options{MinFree: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer sp.Close()
			c, err := sp.Cursor("hec")
			if err != nil {
				t.Fatal(err)
			}
			batch, err := c.Next(t.Context(), spool.Limits{Records: 100, Bytes: 1 << 30})
			if err != nil || batch[0].Seq != tt.from || len(batch) != int(23-tt.from) {
				t.Errorf("%d records from %d, %v", len(batch), batch[0].Seq, err)
			}
		})
	}
}

// TestReplayOfWhatIsGone asks for records that were removed.
func TestReplayOfWhatIsGone(t *testing.T) {
	dir := fill(t, 20, map[string]int{"hec": 15})
	plan, err := admin.PlanReplay(t.Context(), dir, "hec", 2, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if plan.FirstSeq <= 2 || plan.RemovedFirst != 2 || plan.RemovedLast != plan.FirstSeq-1 || plan.Events != 16-plan.FirstSeq {
		t.Errorf("plan %+v", plan)
	}
	if _, err := admin.PlanReplay(t.Context(), dir, "nobody", 0, time.Time{}); err == nil || !strings.Contains(err.Error(), `no route "nobody"; it has hec`) {
		t.Errorf("error %v", err)
	}
}

// sink refuses some seqs for good, and everything from one seq on for now.
type sink struct {
	refuse map[uint64]bool
	down   uint64
	got    []uint64
	calls  int
}

func (s *sink) Send(_ context.Context, batch []emitter.Record) (int, error) {
	s.calls++
	for i, r := range batch {
		switch {
		case s.down > 0 && r.Seq >= s.down:
			return i, emitter.Blocked(errors.New("status 403"))
		case s.refuse[r.Seq]:
			return i, emitter.Permanent(errors.New("status 400"))
		}
		if !strings.Contains(string(r.Body), fmt.Sprintf(`"integrity":{"stream":"s","seq":%d,"prev":"p","hash":"h"}`, r.Seq)) {
			return i, emitter.Permanent(fmt.Errorf("another integrity: %s", r.Body))
		}
		s.got = append(s.got, r.Seq)
	}
	return len(batch), nil
}

func TestReplayDead(t *testing.T) {
	many := make([]uint64, 250)
	for i := range many {
		many[i] = uint64(i + 1)
	}
	tests := []struct {
		name    string
		letters []uint64
		sink    *sink
		want    admin.Sent
		left    []uint64
		fails   bool
	}{
		{"all", []uint64{3, 5, 7}, &sink{}, admin.Sent{Accepted: 3}, nil, false},
		{"many", many, &sink{}, admin.Sent{Accepted: 250}, nil, false},
		{
			"one is refused",
			[]uint64{3, 5, 7, 9},
			&sink{refuse: map[uint64]bool{5: true}},
			admin.Sent{Accepted: 3, Refused: []uint64{5}, Refusal: "status 400"},
			[]uint64{5},
			false,
		},
		{"no event among them", []uint64{0, 3}, &sink{}, admin.Sent{Accepted: 1, Unreadable: []uint64{0}}, []uint64{0}, false},
		{"down from the second on", []uint64{3, 5, 7}, &sink{down: 5}, admin.Sent{Accepted: 1, Left: 2}, []uint64{5, 7}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := fill(t, 1, map[string]int{"hec": 1})
			letters(t, dir, "hec", tt.letters...)
			letters(t, dir, "other", 1)
			plan, err := admin.PlanReplayDead(dir, "hec")
			if err != nil || plan.DeadLetters != len(tt.letters) {
				t.Fatalf("plan %+v, %v", plan, err)
			}
			s := open(t, dir)
			sent, err := s.ReplayDead(t.Context(), plan, emitter.Route{Name: "hec", Sink: tt.sink})
			if (err != nil) != tt.fails {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(&tt.want, sent); diff != "" {
				t.Errorf("sent: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(tt.left, seqsOf(t, dir, "hec")); diff != "" {
				t.Errorf("left: -want +got\n%s", diff)
			}
			if diff := cmp.Diff([]uint64{1}, seqsOf(t, dir, "other")); diff != "" {
				t.Errorf("of another route: -want +got\n%s", diff)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			outcome := emitter.OutcomeSuccess
			if len(tt.left) > 0 {
				outcome = emitter.OutcomeFailure
			}
			wantTold(t, dir, outcome, plan)
		})
	}
}

// handsOver is a sink whose far end closes before it has read anything.
type handsOver struct{ sink }

func (*handsOver) Settled() (uint64, error) { return 0, nil }

func (*handsOver) Settle(context.Context) (uint64, error) {
	return 0, emitter.Blocked(errors.New("the receiver closed the connection"))
}

// TestReplayDeadThatDoesNotSettle keeps dead letters that were handed over alone.
func TestReplayDeadThatDoesNotSettle(t *testing.T) {
	dir := fill(t, 1, map[string]int{"syslog": 1})
	letters(t, dir, "syslog", 3, 5)
	plan, err := admin.PlanReplayDead(dir, "syslog")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	sent, err := s.ReplayDead(t.Context(), plan, emitter.Route{Name: "syslog", Sink: new(handsOver)})
	if err == nil || sent.Accepted != 0 || sent.Left != 2 {
		t.Errorf("sent %+v, %v", sent, err)
	}
	if diff := cmp.Diff([]uint64{3, 5}, seqsOf(t, dir, "syslog")); diff != "" {
		t.Errorf("left: -want +got\n%s", diff)
	}
}

// TestNothingUntold holds that nothing is done that cannot be told first.
func TestNothingUntold(t *testing.T) {
	dir := fill(t, 3, map[string]int{"hec": 1})
	plan, err := admin.PlanForget(t.Context(), dir, "hec", false)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Forget(ctx, plan); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.PlanForget(t.Context(), dir, "hec", false); err != nil {
		t.Errorf("the cursor is gone: %v", err)
	}
}

// TestFullSpool relieves a spool whose quota is used up.
func TestFullSpool(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir, spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1, Full: spool.Refuse, Reserved: -1})
	if err != nil {
		t.Fatal(err)
	}
	confirm(t, s, "old", 0)
	for err == nil {
		_, err = s.Append(t.Context(), spool.Preferred, make([]byte, 4000))
	}
	if !errors.Is(err, spool.ErrFull) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	plan, err := admin.PlanForget(t.Context(), dir, "old", false)
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, dir)
	if err := errors.Join(a.Forget(t.Context(), plan), a.Close()); err != nil {
		t.Fatal(err)
	}
	l, err := spool.OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	v := &chain.Verifier{}
	if err := v.Spool(t.Context(), "spool", l); err != nil {
		t.Fatal(err)
	}
	if r := v.Report(); !r.OK() {
		t.Errorf("%+v", r)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := admin.Open(t.TempDir(), emitter.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no spool: %v", err)
	}
	dir := fill(t, 1, nil)
	s, err := spool.Open(dir, spool.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Open(dir, emitter.Options{}); !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("the rest needs root")
		}
		t.Skip("the rest needs root")
	}
	if err := os.Chown(dir, 54321, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Open(dir, emitter.Options{}); !errors.Is(err, admin.ErrOwner) || !strings.Contains(err.Error(), "54321") {
		t.Errorf("of another user: %v", err)
	}
}
