package spool

import (
	"encoding/json"
	"slices"
)

// Cause says why records are missing.
type Cause string

// The causes of gaps.
const (
	CauseFull       Cause = "spool_full"   // there was no room: the policy or the free-space floor
	CauseWrite      Cause = "write_failed" // the disk took them neither in the old segment nor in a fresh one
	CauseReturned   Cause = "returned"     // a write failed, and by the policy Refuse the caller still has what was to be stored: only the seqs are missing
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

// gaps is what is lost and not yet told in the log. It is told in front of the
// next record: a hole in the seqs on disk has a gap record behind it.
type gaps []Gap

// add notes a loss; losses of one cause and the same cursors are told together.
func (g *gaps) add(gap Gap) {
	for i := range *g {
		p := &(*g)[i]
		if p.Cause == gap.Cause && slices.Equal(p.Cursors, gap.Cursors) {
			p.First, p.Last = min(p.First, gap.First), max(p.Last, gap.Last)
			p.Count += gap.Count
			return
		}
	}
	*g = append(*g, gap)
}
