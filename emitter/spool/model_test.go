package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// model drives a spool on a memDisk and knows what has to be in it.
type model struct {
	disk    *memDisk
	s       *Spool
	stream  Stream            // once it was opened
	n       int               // payloads made
	noted   int               // of those the last one that was acknowledged
	acked   map[uint64]string // Append returned nil
	seen    map[uint64]string // read or acknowledged: a seq has one content for ever
	cursors map[string]*modelCursor
	floor   uint64 // at some time all cursors had confirmed what is before
}

// passed notes what may have been removed.
func (m *model) passed() {
	low := ^uint64(0)
	for _, mc := range m.cursors {
		low = min(low, mc.confirmed)
	}
	if len(m.cursors) > 0 {
		m.floor = max(m.floor, low)
	}
}

type modelCursor struct {
	c         *Cursor
	pos       uint64 // the last seq read
	confirmed uint64
	saved     uint64 // confirmed when the spool was last closed in order
}

func (m *model) open(t *rapid.T) {
	s, err := Open("/spool", Options{disk: m.disk, segmentSize: 16 << 10, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	if m.stream == (Stream{}) {
		m.stream = s.Stream()
	}
	if s.Stream() != m.stream {
		t.Fatalf("the stream was %s and is %s", m.stream, s.Stream())
	}
	m.s = s
	for name, mc := range m.cursors {
		m.openCursor(t, name, mc)
	}
}

func (m *model) openCursor(t *rapid.T, name string, mc *modelCursor) {
	c, err := m.s.Cursor(name)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Confirmed()
	if got > max(mc.confirmed, m.s.Stats().First-1) || got < mc.saved {
		t.Fatalf("cursor %s has confirmed %d; want %d to %d", name, got, mc.saved, mc.confirmed)
	}
	mc.c, mc.pos, mc.confirmed = c, got, got
}

// read takes a record that a cursor or a Log showed after the seq pos.
func (m *model) read(t *rapid.T, pos uint64, r Record) {
	if r.Seq <= pos {
		t.Fatalf("seq %d after %d", r.Seq, pos)
	}
	for seq := range m.acked {
		if pos < seq && seq < r.Seq {
			t.Fatalf("seq %d was acknowledged; %d comes after %d", seq, r.Seq, pos)
		}
	}
	if want, ok := m.seen[r.Seq]; ok && want != string(r.Payload) {
		t.Fatalf("seq %d is %q, and was %q", r.Seq, r.Payload, want)
	}
	m.seen[r.Seq] = string(r.Payload)
}

// check reads the whole log: acknowledged records that some cursor has not
// confirmed are there, and each hole has a gap record behind it.
func (m *model) check(t *rapid.T) {
	l, err := openLog(m.disk, "/spool")
	if err != nil {
		t.Fatal(err)
	}
	pos, prev, holes := m.s.Stats().First-1, Hash{}, map[uint64]bool{}
	damaged := false
	numbers := map[int]int{} // of the payloads in the log, and how often
	if pos > m.floor {
		t.Fatalf("the log begins after seq %d, and %d is not confirmed by all", pos, m.floor+1)
	}
	for r, err := range l.Records() {
		if d, torn := errors.AsType[*DamageError](err); torn { // of a write that failed
			damaged = damaged || d.Last < d.First // a note: its payload may be there without it
			continue                              // any other hole has to be told
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq > m.s.Stats().Last {
			break // not acknowledged, may be torn
		}
		m.read(t, pos, r)
		if prev != (Hash{}) && r.Prev != prev && r.Seq == pos+1 {
			t.Fatalf("seq %d is not linked", r.Seq)
		}
		for seq := pos + 1; seq < r.Seq; seq++ {
			holes[seq] = true
		}
		if r.Gap {
			var g Gap
			if err := json.Unmarshal(r.Payload, &g); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(holes, func(seq uint64, _ bool) bool { return g.First <= seq && seq <= g.Last })
		}
		if !r.Gap {
			n := 0
			_, _ = fmt.Sscanf(string(r.Payload), "payload %d", &n)
			numbers[n]++
		} else if bytes.Contains(r.Payload, []byte(CauseDamaged)) || bytes.Contains(r.Payload, []byte(CauseTorn)) {
			damaged = true
		}
		pos, prev = r.Seq, r.Link(l.Stream())
	}
	m.checkNote(t, numbers, damaged)
	if len(holes) > 0 {
		t.Fatalf("no gap record behind them tells the holes %v", slices.Sorted(maps.Keys(holes)))
	}
	for seq := range m.acked {
		if seq > pos {
			t.Fatalf("seq %d was acknowledged, and the log ends at %d", seq, pos)
		}
	}
}

// checkNote compares the note, which every Append brings and which says which
// payload was its last, with the payloads in the log: none that it tells of is
// missing, and none comes twice unless the log is damaged.
func (m *model) checkNote(t *rapid.T, numbers map[int]int, damaged bool) {
	noted := 0
	if note := m.s.Note("at"); note != nil {
		_, _ = fmt.Sscan(string(note), &noted)
	}
	if noted < m.noted {
		t.Fatalf("the note tells of payload %d, and %d was acknowledged", noted, m.noted)
	}
	for n := m.noted + 1; n <= noted; n++ {
		if numbers[n] == 0 {
			t.Fatalf("the note tells of payload %d, and %d is not in the log", noted, n)
		}
	}
	for n, times := range numbers {
		if (times > 1 || n > noted) && !damaged {
			t.Fatalf("payload %d is %d times in the log, and the note tells of %d", n, times, noted)
		}
	}
	m.n, m.noted = noted, noted
}

func (m *model) payload(size int) []byte {
	m.n++
	return fmt.Appendf(nil, "payload %d %s", m.n, strings.Repeat("p", size))
}

func (m *model) append(t *rapid.T) {
	var payloads [][]byte
	for range rapid.SampledFrom([]int{1, 1, 1, 2, 5}).Draw(t, "payloads") {
		payloads = append(payloads, m.payload(rapid.SampledFrom([]int{0, 10, 400, 3000, 20000}).Draw(t, "size")))
	}
	first, err := m.s.AppendNoted(t.Context(), Ordinary, []Note{{"at", fmt.Append(nil, m.n)}}, payloads...)
	if err != nil {
		m.n = m.noted // they come again
		return
	}
	m.noted = m.n
	for i, p := range payloads {
		seq := first + uint64(i)
		if was, ok := m.seen[seq]; ok {
			t.Fatalf("seq %d is given to %q, and was %q", seq, p, was)
		}
		m.acked[seq], m.seen[seq] = string(p), string(p)
	}
}

// cursor draws one that is there; it skips the action if there is none.
func (m *model) cursor(t *rapid.T) (string, *modelCursor) {
	if len(m.cursors) == 0 {
		t.Skip("no cursor")
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.cursors))).Draw(t, "cursor")
	return name, m.cursors[name]
}

func (m *model) next(t *rapid.T) {
	_, mc := m.cursor(t)
	if m.s.Stats().Last <= mc.pos {
		t.Skip("nothing to read")
	}
	batch, err := mc.c.Next(t.Context(), Limits{
		Records: rapid.IntRange(1, 30).Draw(t, "records"), Bytes: rapid.IntRange(1, 10000).Draw(t, "size"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range batch {
		m.read(t, mc.pos, r)
		mc.pos = r.Seq
	}
}

func (m *model) confirm(t *rapid.T) {
	_, mc := m.cursor(t)
	seq := rapid.Uint64Range(mc.confirmed, max(mc.pos, mc.confirmed)).Draw(t, "seq")
	mc.c.Confirm(seq)
	mc.confirmed = max(mc.confirmed, seq)
	m.passed()
}

// reopen ends the spool, in order or by a crash, and opens it on a good disk. What
// a cursor has confirmed may be lost with the process.
func (m *model) reopen(t *rapid.T, crash bool) {
	m.disk.failWith(nil)
	if crash {
		m.disk = m.disk.crash()
	} else if err := m.s.Close(); err == nil {
		for _, mc := range m.cursors {
			mc.saved = mc.confirmed
		}
	}
	m.open(t)
	m.check(t)
}

// failNext makes some of the next operations of a kind fail.
func (m *model) failNext(t *rapid.T) {
	op := rapid.SampledFrom([]string{"write", "sync", "create", "allocate", "truncate", "rename", "remove", "syncdir"}).Draw(t, "op")
	after := rapid.IntRange(0, 5).Draw(t, "after")
	times := rapid.SampledFrom([]int{1, 1, 2, 5, 1000}).Draw(t, "times")
	failure := rapid.SampledFrom([]error{errInjected, syscall.ENOSPC}).Draw(t, "error")
	m.disk.failWith(func(did string, _ int) error {
		if did != op {
			return nil
		}
		if after > 0 {
			after--
			return nil
		}
		if times--; times < 0 {
			return nil
		}
		return failure
	})
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":       func(*rapid.T) {},
		"append": m.append, "append again": m.append, "append more": m.append,
		"next": m.next, "next again": m.next,
		"confirm": m.confirm,
		"rewind": func(t *rapid.T) {
			_, mc := m.cursor(t)
			mc.c.Rewind()
			mc.pos = mc.confirmed
		},
		"new cursor": func(t *rapid.T) {
			name := fmt.Sprint("cursor/", rapid.IntRange(0, 2).Draw(t, "name"))
			if m.cursors[name] != nil {
				t.Skip("it is there")
			}
			mc := &modelCursor{confirmed: ^uint64(0)}
			m.openCursor(t, name, mc)
			m.cursors[name] = mc
		},
		"forget": func(t *rapid.T) {
			name, mc := m.cursor(t)
			_ = mc.c.Close()
			if m.s.Forget(name) == nil {
				delete(m.cursors, name)
				m.passed()
				return
			}
			m.openCursor(t, name, mc)
		},
		"close": func(t *rapid.T) { m.reopen(t, false) },
		"crash": func(t *rapid.T) { m.reopen(t, true) },
		"fail":  m.failNext,
		"mend":  func(*rapid.T) { m.disk.failWith(nil) },
		"wait":  func(*rapid.T) { time.Sleep(2 * time.Second) },
		"ready": func(t *rapid.T) {
			if m.s.Ready(Ordinary) == nil {
				m.append(t)
			}
		},
	}
}

// TestModel compares the spool with a map, while operations of the disk fail
// and the power is lost.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) { // a bubble has no deadline to ask for
			m := &model{
				disk: newMemDisk(rapid.Uint64().Draw(t, "seed")), acked: map[uint64]string{},
				seen: map[uint64]string{}, cursors: map[string]*modelCursor{},
			}
			m.open(t)
			t.Repeat(m.actions())
			m.reopen(t, true)
			m.append(t)
			if len(m.acked) == 0 || m.s.Stats().Fault != nil {
				t.Fatal("a spool that was opened on a good disk does not store")
			}
			_ = m.s.Close()
		})
	})
}
