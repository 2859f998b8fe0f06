package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// quotaTest is a spool with a small quota, with what became of each payload, and
// three cursors: one that has nothing left to read, one in the middle, and one
// that has not begun.
type quotaTest struct {
	*testing.T
	dir     string
	opt     Options
	s       *Spool
	acked   []entry
	refused uint64
	cursors map[string]*Cursor
}

func newQuotaTest(t *testing.T, policy Policy) *quotaTest {
	t.Helper()
	q := &quotaTest{T: t, dir: t.TempDir(), cursors: map[string]*Cursor{}}
	q.opt = Options{MaxSize: MinMaxSize, Full: policy, segmentSize: 64 << 10}
	q.s = mustOpen(t, q.dir, q.opt)
	for _, name := range []string{"done", "half", "late"} {
		q.cursors[name] = mustCursor(t, q.s, name)
	}
	return q
}

// try appends n payloads, of about 2,000 bytes each.
func (q *quotaTest) try(p Priority, n int) error {
	var payloads [][]byte
	for range n {
		payloads = append(payloads, fmt.Append(nil, len(q.acked)+len(payloads), strings.Repeat(" x", 1000)))
	}
	seq, err := q.s.Append(q.Context(), p, payloads...)
	if err != nil {
		q.refused += uint64(n)
		if !errors.Is(err, ErrFull) {
			q.Fatalf("Append = %v; want %v", err, ErrFull)
		}
		return err
	}
	for i, payload := range payloads {
		q.acked = append(q.acked, entry{seq + uint64(i), string(payload)})
	}
	return nil
}

// overQuota is what may be used beyond the quota: the last segment's header, and
// a few records of gaps and ends.
const overQuota = recordsFrom + 1000

// fill appends until there is no room for p, and checks that no more than its
// part of the quota is used, and not much less.
func (q *quotaTest) fill(p Priority) {
	q.Helper()
	for range 2 * MinMaxSize / 2000 {
		if q.try(p, 1) != nil {
			st := q.s.Stats()
			if limit := q.s.limit(p); st.Used > limit+overQuota || st.Used < limit-4000 || st.FullSince.IsZero() {
				q.Errorf("%d bytes are used when it is full, the limit is %d; full since %v", st.Used, limit, st.FullSince)
			}
			if err := q.s.Ready(p); !errors.Is(err, ErrFull) {
				q.Errorf("Ready = %v; want %v", err, ErrFull)
			}
			return
		}
	}
	q.Fatal("it is never full")
}

// read lets a cursor read and confirm up to that share of the log.
func (q *quotaTest) read(name string, share float64) {
	q.Helper()
	c := q.cursors[name]
	from := c.Confirmed()
	drain(q.T, c, 100)
	c.Confirm(from + uint64(share*float64(q.s.Stats().Last-from)))
	c.Rewind()
}

// reopen closes and opens the spool, and fails unless it looks as before.
func (q *quotaTest) reopen() {
	q.Helper()
	if err := q.s.Close(); err != nil {
		q.Error(err)
	}
	type look struct {
		First, Last uint64
		Segments    int
		Cursors     []CursorStats
	}
	was := q.s.Stats()
	q.s = mustOpen(q.T, q.dir, q.opt)
	st := q.s.Stats()
	for i := range was.Cursors {
		was.Cursors[i].Open = false
	}
	if d := cmp.Diff(look{was.First, was.Last, was.Segments, was.Cursors}, look{st.First, st.Last, st.Segments, st.Cursors}); d != "" {
		q.Errorf("opened again (-before +after):\n%s", d)
	}
	if st.Damaged+st.TornTails > 0 || st.Used > was.Used+recordSize || st.Used < was.Used-q.opt.segmentSize {
		q.Errorf("opened again: %+v; %d bytes were used before", st, was.Used)
	}
	for name := range q.cursors {
		q.cursors[name] = mustCursor(q.T, q.s, name)
	}
}

func TestDropNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuotaTest(t, DropNewest)
		q.fill(Ordinary)
		if err := q.s.Ready(Preferred); err != nil {
			t.Error(err)
		}
		for range 10 {
			if q.try(Ordinary, 3) == nil || q.try(Preferred, 2) != nil {
				t.Fatal("what is reserved is not for Ordinary, and for Preferred")
			}
		}
		q.read("done", 1)
		q.read("half", 0.5)
		q.fill(Preferred)
		if st := q.s.Stats(); st.Dropped != q.refused || st.Refused > 0 || st.First != 1 {
			t.Errorf("%d refused: %+v", q.refused, st)
		}
		refused := q.refused
		q.reopen()
		if q.try(Preferred, 5) == nil {
			t.Error("there is room after reopening")
		}
		for name := range q.cursors {
			q.read(name, 0.7) // the first segments go
		}
		if err := q.s.Ready(Ordinary); err != nil {
			t.Error(err)
		}
		if err := q.try(Ordinary, 3); err != nil {
			t.Error(err)
		}
		st := q.s.Stats()
		if !st.FullSince.IsZero() || st.Dropped != q.refused-refused {
			t.Errorf("full since %v, %d dropped, want %d", st.FullSince, st.Dropped, q.refused-refused)
		}
		q.tell(st.First, CauseFull, q.refused)
	})
}

func TestRefuse(t *testing.T) {
	q := newQuotaTest(t, Refuse)
	q.fill(Ordinary)
	q.fill(Preferred)
	if q.try(Preferred, 7) == nil || q.try(Ordinary, 7) == nil {
		t.Error("there is room")
	}
	if st := q.s.Stats(); st.Refused != q.refused || st.Dropped+st.Gaps > 0 {
		t.Errorf("%d refused: %+v", q.refused, st)
	}
	q.reopen()
	for name := range q.cursors {
		q.read(name, 1)
	}
	if err := q.try(Ordinary, 7); err != nil {
		t.Error(err)
	}
	if last := q.acked[len(q.acked)-1].Seq; last != uint64(len(q.acked)) {
		t.Errorf("seq %d after %d payloads: what was refused has taken seqs", last, len(q.acked))
	}
	q.tell(q.s.Stats().First, CauseFull, 0)
}

func TestDropOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuotaTest(t, DropOldest)
		q.fill(Ordinary)
		q.read("done", 1)
		q.read("half", 0.5)
		if q.try(Ordinary, 3) == nil || q.s.Stats().First != 1 || q.s.Stats().Dropped != q.refused {
			t.Errorf("an Ordinary record pushes others out: %+v", q.s.Stats())
		}
		for range 2 * MinMaxSize / 2000 / 5 {
			if err := errors.Join(q.try(Preferred, 5), q.s.Ready(Preferred)); err != nil {
				t.Fatal(err)
			}
			if st := q.s.Stats(); st.Used > MinMaxSize+overQuota {
				t.Fatalf("%d bytes are used", st.Used)
			}
			q.read("done", 1)
		}
		q.reopen()
		st := q.s.Stats()
		if st.First < 100 || q.cursors["late"].Confirmed() != st.First-1 || q.cursors["half"].Confirmed() != st.First-1 {
			t.Errorf("the log begins at %d: %+v", st.First, st.Cursors)
		}
		got := drain(t, q.cursors["late"], 50)
		if got[0].Seq != st.First || got[len(got)-1].Seq != st.Last {
			t.Errorf("late was given %d to %d", got[0].Seq, got[len(got)-1].Seq)
		}
		gaps := q.tell(st.First, CauseFull, 0) // what told of those went with the oldest
		q.lagging(gaps, st.First)
	})
}

// lagging fails unless the gap records that are left name the cursors from which
// the oldest records were taken, each one once.
func (q *quotaTest) lagging(gaps []Gap, first uint64) {
	q.Helper()
	upTo, both := uint64(0), false
	for _, g := range gaps {
		if g.Cause != CauseDropOldest {
			continue
		}
		switch strings.Join(g.Cursors, " ") {
		case "half late":
			both = true
		case "late":
			if both {
				q.Errorf("half was told to lag, and then not to: %+v", gaps)
			}
		default:
			q.Errorf("%v lag", g.Cursors)
		}
		if g.First <= upTo || g.Last-g.First+1 != g.Count {
			q.Errorf("told twice: %+v", gaps)
		}
		upTo = g.Last
	}
	if !both || upTo != first-1 {
		q.Errorf("up to %d is gone, up to %d is told: %+v", first-1, upTo, gaps)
	}
}

// tell fails unless the log holds what was acknowledged from first on and tells
// that n are lost for that cause. It returns all gaps.
func (q *quotaTest) tell(first uint64, c Cause, n uint64) []Gap {
	q.Helper()
	if err := q.s.Close(); err != nil {
		q.Error(err)
	}
	for len(q.acked) > 0 && q.acked[0].Seq < first {
		q.acked = q.acked[1:]
	}
	log := readStory(q.T, q.dir)
	if diff := cmp.Diff(q.acked, log.Events); diff != "" {
		q.Errorf("from %d on (-want +got):\n%.2000s", first, diff)
	}
	if got := log.lost(c); got != n {
		q.Errorf("%d are told as lost, want %d: %+v", got, n, log.Gaps)
	}
	return log.Gaps
}

// TestDropOldestCrash has a process that dies right after it made room.
func TestDropOldestCrash(t *testing.T) {
	q := newQuotaTest(t, DropOldest)
	for q.s.Stats().DroppedOldest == 0 {
		if err := q.try(Preferred, 1); err != nil {
			t.Fatal(err)
		}
	}
	first := q.s.Stats().First
	dir := filepath.Join(t.TempDir(), "dead")
	if err := os.CopyFS(dir, os.DirFS(q.dir)); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir, q.opt)
	if st := s.Stats(); st.Damaged > 0 || st.First != first {
		t.Errorf("%d places are damaged, the log begins at %d, want %d", st.Damaged, st.First, first)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	log := readStory(t, dir)
	if !log.tells(Gap{First: 1, Last: first - 1}) {
		t.Errorf("%d were removed: %+v", first-1, log.Gaps)
	}
}
