package spool

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// crashLog is all that was ever seen of a spool whose writer is killed again and
// again. A seq has one content, and what was there or was acknowledged stays
// until both cursors have confirmed it.
type crashLog struct {
	t       *testing.T
	dir     string
	stream  string
	links   map[uint64]Hash     // of every record that was ever seen
	live    map[uint64]struct{} // what must be readable
	acks    map[uint64]ack      // by the seq of the first payload; those of this round
	cursors map[string]*crashCursor
	skipped [][2]uint64 // seqs that a cursor has not been given; of this round
	end     uint64      // the last record that is in the chain
	records int         // acknowledged, in all rounds
	torn    int
	closed  bool // and not opened since
	round   int
	last    map[int][2]int    // round and counter of the last Append of each writer that was acknowledged
	stored  map[[3]int]uint64 // seq of what was found in the log, by writer, round and counter; since the last start
}

type ack struct{ parts, writer, counter int }

// crashCursor is what is known of a cursor's position.
type crashCursor struct {
	opened uint64 // confirmed when it was opened last
	read   uint64 // the last record that it was given
	asked  uint64 // the largest seq that it was told to confirm
}

func newCrashLog(t *testing.T, dir string) *crashLog {
	return &crashLog{
		t: t, dir: dir, links: map[uint64]Hash{}, live: map[uint64]struct{}{},
		cursors: map[string]*crashCursor{"fast": {}, "slow": {}}, last: map[int][2]int{}, stored: map[[3]int]uint64{},
	}
}

func (l *crashLog) startRound(round int) { l.acks, l.skipped, l.round = map[uint64]ack{}, nil, round }

// noted checks a note: it tells of the writer's last Append that was acknowledged,
// or of a later one that is in the log all the same.
func (l *crashLog) noted(rest string) error {
	var writer int
	var at [2]int
	if _, err := fmt.Sscan(rest, &writer, &at[0], &at[1]); err != nil {
		return err
	}
	last, ok := l.last[writer]
	newer := !ok || at[0] > last[0] || at[0] == last[0] && at[1] > last[1]
	_, found := l.stored[[3]int{writer, at[0], at[1]}]
	found = found || l.firstSeq() > 1 // it may have been removed since
	if at != last && (!newer || !found) {
		l.t.Errorf("the note of writer %d tells of %v; the last one acknowledged is %v; in the log: %t", writer, at, last, found)
	}
	l.last[writer] = at
	return nil
}

// hear takes in one line of the child's.
func (l *crashLog) hear(line string) {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "noted":
		err = l.noted(rest)
	case "open":
		err = l.opened(rest)
	case "recovered":
		var torn, damaged int
		_, err = fmt.Sscan(rest, &torn, &damaged)
		l.torn += torn
		if damaged > 0 || torn > 0 && l.closed {
			l.t.Errorf("%d ends are torn, closed before: %t; %d places are damaged", torn, l.closed, damaged)
		}
		l.closed = false
	case "ack":
		var seq uint64
		var a ack
		_, err = fmt.Sscan(rest, &seq, &a.parts, &a.writer, &a.counter)
		l.acks[seq] = a
		l.last[a.writer] = [2]int{l.round, a.counter}
		l.records += a.parts
		for i := range a.parts {
			l.live[seq+uint64(i)] = struct{}{}
		}
	case "read":
		err = l.read(rest)
	case "confirm":
		var name string
		var seq uint64
		_, err = fmt.Sscan(rest, &name, &seq)
		c := l.cursors[name]
		c.asked = max(c.asked, seq)
	case "write":
	case "closed":
		l.closed = true
	default:
		err = fmt.Errorf("unknown")
	}
	if err != nil {
		l.t.Fatalf("line %q: %v", line, err)
	}
}

// opened checks where the cursors begin.
func (l *crashLog) opened(rest string) error {
	f := strings.Fields(strings.ReplaceAll(rest, "=", " "))
	if len(f) != 5 {
		return fmt.Errorf("%d fields", len(f))
	}
	if l.stream == "" {
		l.stream = f[0]
	}
	if f[0] != l.stream {
		l.t.Errorf("the stream was %s and is now %s", l.stream, f[0])
	}
	for i := 1; i < len(f); i += 2 {
		var confirmed uint64
		if _, err := fmt.Sscan(f[i+1], &confirmed); err != nil {
			return err
		}
		c := l.cursors[f[i]]
		if confirmed < c.opened || confirmed > c.asked || confirmed > l.end {
			l.t.Errorf("cursor %s begins at %d: it began at %d before, was told to confirm %d, the log ended with %d",
				f[i], confirmed, c.opened, c.asked, l.end)
		}
		c.opened, c.read = confirmed, confirmed
	}
	return nil
}

// read notes a record that a cursor was given.
func (l *crashLog) read(rest string) error {
	var name, link string
	var seq uint64
	if _, err := fmt.Sscan(rest, &name, &seq, &link); err != nil {
		return err
	}
	c := l.cursors[name]
	if seq <= c.read {
		l.t.Errorf("cursor %s: %d after %d", name, seq, c.read)
	}
	if seq > c.read+1 {
		l.skipped = append(l.skipped, [2]uint64{c.read + 1, seq - 1})
	}
	c.read = seq
	var h Hash
	if _, err := hex.Decode(h[:], []byte(link)); err != nil {
		return err
	}
	l.saw(seq, h)
	l.live[seq] = struct{}{}
	l.end = max(l.end, seq)
	return nil
}

// saw fails if seq had another content or another record before it.
func (l *crashLog) saw(seq uint64, h Hash) {
	if old, ok := l.links[seq]; ok && old != h {
		l.t.Errorf("seq %d was %s and is now %s", seq, old, h)
	}
	l.links[seq] = h
}

// check reads the log as the killed process has left it.
func (l *crashLog) check() {
	log, err := OpenLog(l.dir)
	if errors.Is(err, fs.ErrNotExist) && len(l.live) == 0 {
		return // killed before it has made anything
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	clear(l.stored)
	w := crashWalk{crashLog: l, first: l.firstSeq(), there: map[uint64]struct{}{}}
	for r, err := range log.Records() {
		if err != nil {
			l.t.Error(err)
			continue
		}
		w.record(log.Stream(), &r)
	}
	w.finish()
}

// firstSeq returns the first seq that may stand in the oldest segment; all before
// it has been removed.
func (l *crashLog) firstSeq() uint64 {
	names, err := filepath.Glob(filepath.Join(l.dir, "*.seg"))
	if err != nil || len(names) == 0 {
		return math.MaxUint64
	}
	_, first, _ := parseSegmentName(filepath.Base(names[0]))
	return first
}

// crashWalk is one reading of the log.
type crashWalk struct {
	*crashLog
	first uint64
	there map[uint64]struct{}
	last  uint64 // seq before
	link  Hash   // of the record before
	parts []Record
	holes [][2]uint64
	gaps  []Gap
}

func (w *crashWalk) record(stream Stream, r *Record) {
	if w.last == 0 {
		w.last = w.first - 1
		w.link = w.before(r.Seq)
	}
	if r.Seq <= w.last || r.Prev != w.link {
		w.t.Errorf("seq %d comes after %d; before it stands %s, want %s", r.Seq, w.last, r.Prev, w.link)
	}
	if r.Seq > w.last+1 {
		w.holes = append(w.holes, [2]uint64{w.last + 1, r.Seq - 1})
	}
	w.last, w.link = r.Seq, r.Link(stream)
	w.saw(r.Seq, w.link)
	w.there[r.Seq] = struct{}{}
	if r.Gap {
		w.gap(r)
		return
	}
	part := *r
	part.Payload = bytes.Clone(r.Payload)
	w.parts = append(w.parts, part)
	if !r.More {
		w.whole()
	}
}

// before returns the link of the record before seq, which has been removed.
func (w *crashWalk) before(seq uint64) Hash {
	for seq--; seq > 0; seq-- {
		if _, ok := w.live[seq]; ok {
			return w.links[seq]
		}
	}
	return Hash{}
}

func (w *crashWalk) gap(r *Record) {
	var g Gap
	if err := json.Unmarshal(r.Payload, &g); err != nil || g.Cause != CauseTorn || g.First > g.Last || g.Last >= r.Seq {
		w.t.Errorf("gap record %d: %s (%v)", r.Seq, r.Payload, err)
	}
	if len(w.parts) > 0 {
		w.t.Errorf("gap record %d stands in the middle of an Append", r.Seq)
	}
	w.gaps = append(w.gaps, g)
}

// whole checks the payloads of one Append.
func (w *crashWalk) whole() {
	parts := w.parts
	w.parts = w.parts[:0]
	var round, writer, counter int
	if _, err := fmt.Sscan(string(parts[0].Payload[:min(40, len(parts[0].Payload))]), &round, &writer, &counter); err != nil {
		w.t.Errorf("seq %d: payload %.40q: %v", parts[0].Seq, parts[0].Payload, err)
		return
	}
	w.stored[[3]int{writer, round, counter}] = parts[0].Seq
	want := crashPayloads(round, writer, counter)
	for i, r := range parts {
		if i >= len(want) || len(parts) != len(want) || r.Seq != parts[0].Seq+uint64(i) || !bytes.Equal(r.Payload, want[i]) {
			w.t.Errorf("seq %d, %d of %d: payload %.40q; want %d of round %d, writer %d, counter %d",
				r.Seq, i, len(parts), r.Payload, len(want), round, writer, counter)
			return
		}
	}
	if a, ok := w.acks[parts[0].Seq]; ok && a != (ack{len(parts), writer, counter}) {
		w.t.Errorf("seq %d was acknowledged as %+v, and is of writer %d, counter %d", parts[0].Seq, a, writer, counter)
	}
}

// finish compares what was read with what must be there.
func (w *crashWalk) finish() {
	for _, r := range w.parts { // the writer died in the middle of this Append
		if _, ok := w.live[r.Seq]; ok {
			w.t.Errorf("seq %d was there before, or is acknowledged, and the rest of its Append is missing", r.Seq)
		}
		delete(w.there, r.Seq)
	}
	for seq := range w.there {
		w.live[seq] = struct{}{}
		w.end = max(w.end, seq)
	}
	done := min(w.cursors["fast"].asked, w.cursors["slow"].asked)
	removed := 0
	for seq := range w.live {
		if _, ok := w.there[seq]; ok {
			continue
		}
		if seq >= w.first || seq > done {
			w.t.Errorf("seq %d is missing: the log begins at %d, and up to %d is confirmed", seq, w.first, done)
		}
		removed++
	}
	for _, h := range w.holes {
		if !w.covered(h) {
			w.t.Errorf("no gap record tells that %d to %d are missing", h[0], h[1])
		}
	}
	for _, h := range w.skipped {
		for seq := h[0]; seq <= h[1]; seq++ {
			if _, ok := w.live[seq]; ok {
				w.t.Errorf("a cursor was not given %d", seq)
			}
		}
	}
	w.forget(removed)
}

func (w *crashWalk) covered(hole [2]uint64) bool {
	for _, g := range w.gaps {
		if g.First <= hole[0] && g.Last >= hole[1] {
			return true
		}
	}
	return false
}

// forget takes out what has been removed, all but the last record of it: the
// oldest that is left is linked to that.
func (w *crashWalk) forget(removed int) {
	if removed < 2 {
		return
	}
	newest := uint64(0)
	for seq := range w.live {
		if seq < w.first {
			newest = max(newest, seq)
		}
	}
	for seq := range w.live {
		if seq < newest {
			delete(w.live, seq)
		}
	}
}
