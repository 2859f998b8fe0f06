package spool

import (
	"encoding/json"
	"testing"
)

// story is what the log in a folder tells: what is there and what is missing.
type story struct {
	Events  []entry
	Gaps    []Gap
	Missing uint64 // seqs between the first record and the last
}

// readStory reads the log in dir. It fails unless the records are linked and
// each hole in their seqs is told by a gap record.
func readStory(t *testing.T, dir string) (st story) {
	t.Helper()
	l, err := OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	var holes []Gap
	var last uint64
	var link Hash
	for r, err := range l.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if last > 0 && r.Prev != link || r.Seq <= last {
			t.Fatalf("seq %d after %d: before it stands %s, want %s", r.Seq, last, r.Prev, link)
		}
		if last > 0 && r.Seq > last+1 {
			holes = append(holes, Gap{First: last + 1, Last: r.Seq - 1})
			st.Missing += r.Seq - 1 - last
		}
		last, link = r.Seq, r.Link(l.Stream())
		if !r.Gap {
			st.Events = append(st.Events, entry{r.Seq, string(r.Payload)})
			continue
		}
		var g Gap
		if err := json.Unmarshal(r.Payload, &g); err != nil {
			t.Fatal(err)
		}
		st.Gaps = append(st.Gaps, g)
	}
	for _, h := range holes {
		if !st.tells(h) {
			t.Errorf("no gap record tells that %d to %d are missing: %+v", h.First, h.Last, st.Gaps)
		}
	}
	return st
}

func (st *story) tells(hole Gap) bool {
	for _, g := range st.Gaps {
		if g.First <= hole.First && g.Last >= hole.Last {
			return true
		}
	}
	return false
}

// lost sums up the gap records of a cause.
func (st *story) lost(c Cause) (n uint64) {
	for _, g := range st.Gaps {
		if g.Cause == c {
			n += g.Count
		}
	}
	return n
}
