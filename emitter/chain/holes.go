package chain

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// loss is an audit_loss event that names more seqs than it says are missing:
// which of them it means is settled when all is known.
type loss struct {
	Gap
	left uint64
}

// lossOf returns the loss that the record tells of.
func lossOf(r *Record) (emitter.Loss, bool) {
	if bytes.Contains(r.Payload, []byte(`"type":"audit_loss"`)) {
		if e, err := emitter.Decode(r.Payload); err == nil && e.Type == emitter.TypeAuditLoss {
			return e.Loss, true
		}
	}
	var g spool.Gap
	if !r.gap || json.Unmarshal(r.Payload, &g) != nil {
		return emitter.Loss{}, false
	}
	return emitter.Loss{FirstSeq: g.First, LastSeq: g.Last, Count: g.Count, Cause: string(g.Cause), Routes: g.Cursors}, true
}

// hole holds p, seqs that are missing: a problem, unless an audit_loss event that
// comes later names them.
func (v *Verifier) hole(s *stream, p Problem) {
	p.Stream, p.pos = s.ID, v.pos
	s.holes = append(s.holes, p)
	if v.open++; v.open > MaxHoles {
		v.lose(s)
	}
}

// lose says that nothing names the oldest hole of s.
func (v *Verifier) lose(s *stream) {
	v.count(s)
	p := s.holes[0]
	i, _ := slices.BinarySearchFunc(v.lost, p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.First, b.First))
	})
	v.lost = slices.Insert(v.lost, i, p)
	v.lost = v.lost[:min(len(v.lost), v.limit())]
	s.holes = s.holes[1:]
	v.open--
}

// name closes the holes that the event l at the seq own names, as many of their
// seqs as it has a count for. Only a loss of the same stream counts, and one
// that lies behind: anybody can begin a stream, and nobody can know a loss
// before it happens. One that names a stream came from another trail, even if the
// name is ours: whoever wrote it there cannot know what is missing here.
func (v *Verifier) name(s *stream, at Place, own uint64, l *emitter.Loss) {
	if l.Stream != "" || l.FirstSeq == 0 || l.LastSeq < l.FirstSeq || l.LastSeq >= own {
		return
	}
	missing := s.missing(l.FirstSeq, l.LastSeq)
	if missing == 0 {
		return
	}
	g := gapOf(s, at, l)
	if missing <= l.Count || skipsAhead(l.Cause) {
		g.Missing = min(v.fill(s, l.FirstSeq, l.LastSeq), l.Count)
		v.gap(s, g)
		return
	}
	if s.named = append(s.named, loss{*g, l.Count}); len(s.named) > maxLosses {
		v.settle(s)
	}
}

// skipsAhead reports whether a loss of this cause names more seqs than can have
// been records: after damage at the end of a spool they go on far ahead, and those
// of a write that failed and was tried again were never given.
func skipsAhead(cause string) bool {
	return cause == string(spool.CauseTorn) || cause == string(spool.CauseCut) || cause == string(spool.CauseReturned)
}

// rejoins reports whether r tells that the end of the chain was lost in the
// spool, after it had been delivered, and goes on from the record before that.
func (v *Verifier) rejoins(s *stream, at Place, r *Record) bool {
	l, ok := lossOf(r)
	if !ok || l.Stream != "" || l.LastSeq != r.Seq-1 || l.FirstSeq > l.LastSeq {
		return false
	}
	if before, ok := v.recent.hash(s, l.FirstSeq-1); !ok || before != r.Prev {
		return false
	}
	v.gap(s, gapOf(s, at, &l))
	return true
}

func gapOf(s *stream, at Place, l *emitter.Loss) *Gap {
	g := Gap{At: at, Stream: s.ID, First: l.FirstSeq, Last: l.LastSeq, Cause: brief(l.Cause)}
	for _, r := range l.Routes[:min(len(l.Routes), 32)] {
		g.Routes = append(g.Routes, brief(r))
	}
	return &g
}

// brief bounds what a record says of itself.
func brief(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (v *Verifier) gap(s *stream, g *Gap) {
	s.Gaps++
	s.Missing += g.Missing
	if len(v.gaps) < v.limit() {
		v.gaps = append(v.gaps, *g)
	}
}

// settle gives the holes of s to the events that name them, where there are not
// enough counts for all: each seq to the event whose range ends first, which
// closes as many as can be closed.
func (v *Verifier) settle(s *stream) {
	slices.SortStableFunc(s.named, func(a, b loss) int { return cmp.Compare(a.Last, b.Last) })
	for seq := uint64(1); ; {
		first, last, ok := s.nextMissing(seq)
		if !ok {
			break
		}
		var by *loss
		for i := range s.named {
			switch l := &s.named[i]; {
			case l.First > first:
				last = min(last, l.First-1)
			case by == nil && l.Last >= first && l.left > 0:
				by = l
			}
		}
		if by != nil {
			if last = min(last, by.Last); last-first >= by.left {
				last = first + by.left - 1
			}
			n := v.fill(s, first, last)
			by.left -= n
			by.Missing += n
		}
		seq = last + 1
	}
	for i := range s.named {
		if s.named[i].Missing > 0 {
			v.gap(s, &s.named[i].Gap)
		}
	}
	s.named = nil
}

// find returns the index of the first hole that ends at seq or later.
func (s *stream) find(seq uint64) int {
	i, _ := slices.BinarySearchFunc(s.holes, seq, func(h Problem, seq uint64) int { return cmp.Compare(h.Last, seq) })
	return i
}

// nextMissing returns the part from seq on of the first hole that reaches there.
func (s *stream) nextMissing(seq uint64) (first, last uint64, ok bool) {
	i := s.find(seq)
	if i == len(s.holes) {
		return 0, 0, false
	}
	return max(seq, s.holes[i].First), s.holes[i].Last, true
}

// missing returns how many of the seqs from first to last are.
func (s *stream) missing(first, last uint64) (n uint64) {
	for i := s.find(first); i < len(s.holes) && s.holes[i].First <= last; i++ {
		n += min(last, s.holes[i].Last) - max(first, s.holes[i].First) + 1
	}
	return n
}

// fill closes what is open from first to last, and returns how many seqs it was.
func (v *Verifier) fill(s *stream, first, last uint64) (n uint64) {
	from := s.find(first)
	to := from
	var rest []Problem
	for ; to < len(s.holes) && s.holes[to].First <= last; to++ {
		h := s.holes[to]
		n += min(last, h.Last) - max(first, h.First) + 1
		if h.First < first {
			left := h
			left.Last = first - 1
			rest = append(rest, left)
		}
		if h.Last > last {
			h.First = last + 1
			rest = append(rest, h)
		}
	}
	v.open += len(rest) - (to - from)
	s.holes = slices.Replace(s.holes, from, to, rest...)
	return n
}
