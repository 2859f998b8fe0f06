package spool

import (
	"encoding/json"
	"slices"
	"time"
)

// Cause says why records are missing.
type Cause string

// The causes of gaps.
const (
	CauseFull       Cause = "spool_full"   // there was no room: the policy or the free-space floor
	CauseWrite      Cause = "write_failed" // the disk took them neither in the old segment nor in a fresh one
	CauseDropOldest Cause = "drop_oldest"  // removed before every cursor had confirmed them, to make room
	CauseTorn       Cause = "torn_tail"    // the last write before a crash, never acknowledged, or damage there
	CauseCut        Cause = "cut_tail"     // the end of the log is gone
	CauseDamaged    Cause = "damaged"      // bytes that do not verify, in front of records that do
)

// Gap tells of records that are missing: of the seqs from First to Last Count are,
// at most where the cause is torn_tail, cut_tail or damaged. After a torn or cut
// tail Last is far ahead, so that no seq which may have been read is used again.
type Gap struct {
	First   uint64   `json:"first_seq"`
	Last    uint64   `json:"last_seq"`
	Count   uint64   `json:"count"`
	Cause   Cause    `json:"cause"`
	Cursors []string `json:"cursors,omitempty"` // those that had not confirmed them; nil: none ever will read them
}

func gapJSON(g Gap) []byte {
	b, _ := json.Marshal(g) // a struct of plain fields always encodes
	return b
}

// gapInterval is the time between two gap records of one cause, so that losses
// in a row are told together.
const gapInterval = time.Second

// gaps holds what is lost and not yet told in the log. Guarded by Spool.mu.
type gaps struct {
	pending []Gap
	told    time.Time // when gap records were last made
}

// add notes a loss; losses of one cause and the same cursors are told together.
func (g *gaps) add(gap Gap) {
	for i := range g.pending {
		p := &g.pending[i]
		if p.Cause == gap.Cause && slices.Equal(p.Cursors, gap.Cursors) {
			p.First, p.Last = min(p.First, gap.First), max(p.Last, gap.Last)
			p.Count += gap.Count
			return
		}
	}
	g.pending = append(g.pending, gap)
}

// due returns the gaps to be told now, and forgets them.
func (g *gaps) due(now time.Time) []Gap {
	if len(g.pending) == 0 || now.Sub(g.told) < gapInterval && now.After(g.told) {
		return nil
	}
	due := g.pending
	g.pending, g.told = nil, now
	return due
}

// again takes back a gap that could not be written.
func (g *gaps) again(failed Gap) {
	g.add(failed)
	g.told = time.Time{}
}
