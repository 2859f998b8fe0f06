package chain

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// gapsOf returns the named gaps of a report, short.
func gapsOf(r *Report) []string {
	var out []string
	for _, g := range r.Gaps {
		out = append(out, fmt.Sprintf("%s %d-%d %d %s %s", g.At, g.First, g.Last, g.Missing, g.Cause, strings.Join(g.Routes, "+")))
	}
	return out
}

func TestNamedGaps(t *testing.T) {
	const full, disk = spool.CauseFull, spool.CauseWrite
	tests := []struct {
		name  string
		build func(tr *trail)
		drop  []int // lines taken out, from 1
		want  []string
		gaps  []string
	}{
		{"given up and named", func(tr *trail) { tr.burn(3); tr.loss(3, 5, 3, full) }, nil, nil, []string{"a:3 3-5 3 spool_full "}},
		{"named later", func(tr *trail) {
			tr.burn(3)
			tr.event()
			tr.event()
			tr.loss(3, 5, 3, full, "hec", "siem")
		}, nil, nil, []string{"a:5 3-5 3 spool_full hec+siem"}},
		{"taken out and named", func(tr *trail) { tr.event(); tr.event(); tr.loss(3, 4, 2, spool.CauseDropOldest) }, []int{3, 4}, nil, []string{"a:3 3-4 2 drop_oldest "}},
		{"named, and nothing is missing", func(tr *trail) { tr.event(); tr.loss(3, 3, 1, full, "hec") }, nil, nil, nil},
		{"given up, not named", func(tr *trail) { tr.burn(3); tr.event() }, nil, []string{"a:3 lost 3 to 5"}, nil},
		{"named in part", func(tr *trail) { tr.burn(5); tr.loss(4, 5, 2, full) }, nil, []string{"a:3 lost 3", "a:3 lost 6 to 7"}, []string{"a:3 4-5 2 spool_full "}},
		{"more missing than counted", func(tr *trail) {
			tr.burn(1)
			tr.event()
			tr.event()
			tr.burn(1)
			tr.loss(3, 6, 2, full)
		}, []int{3}, []string{"a:4 lost 6"}, []string{"a:4 3-6 2 spool_full "}},
		{"two causes that overlap", func(tr *trail) {
			tr.burn(1) // 3, the disk
			tr.event()
			tr.burn(1) // 5, full
			tr.event()
			tr.burn(1) // 7, the disk
			tr.loss(3, 7, 2, disk)
			tr.loss(5, 5, 1, full)
		}, nil, nil, []string{"a:6 5-5 1 spool_full ", "a:5 3-7 2 write_failed "}},
		{"of another stream", func(tr *trail) {
			tr.burn(1)
			e := emitter.NewLoss(emitter.Loss{Stream: spool.Stream{15: 2}.String(), FirstSeq: 3, LastSeq: 3, Count: 1})
			e.LoggedAt = someTime
			tr.add(string(emitter.AppendEvent(nil, e)))
		}, nil, []string{"a:3 lost 3"}, nil},
		{"by one who came from elsewhere", func(tr *trail) {
			tr.burn(1)
			e := emitter.NewLoss(emitter.Loss{Stream: spool.Stream{15: 1}.String(), FirstSeq: 3, LastSeq: 3, Count: 1})
			e.LoggedAt = someTime
			tr.add(string(emitter.AppendEvent(nil, e)))
		}, nil, []string{"a:3 lost 3"}, nil},
		{"named before it happened", func(tr *trail) { tr.loss(4, 4, 1, full); tr.burn(1); tr.event() }, nil, []string{"a:4 lost 4"}, nil},
		{"named backwards", func(tr *trail) { tr.burn(1); tr.loss(9, 3, 1, full) }, nil, []string{"a:3 lost 3"}, nil},
		{"named by another type", func(tr *trail) {
			tr.burn(1)
			tr.add(`{"schema":"1.0","audit_id":"x","type":"mcp_ping","stage":"completed","logged_at":"2026-01-01T00:00:00Z","outcome":"success",` +
				`"loss":{"first_seq":3,"last_seq":3,"count":1},"data":{"request":{"type":"audit_loss"}}}`)
		}, nil, []string{"a:3 lost 3"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrail(1, 2)
			tt.build(tr)
			tr.event()
			for _, line := range slices.Backward(tt.drop) {
				tr.lines = without(tr.lines, line-1)
			}
			r := check(t, &Verifier{}, text(tr.lines...))
			wantFound(t, r, tt.want...)
			if diff := cmp.Diff(tt.gaps, gapsOf(r)); diff != "" {
				t.Errorf("gaps: -want +got\n%s", diff)
			}
		})
	}
}

// TestChangedLossNamesNothing widens what an audit_loss event names.
func TestChangedLossNamesNothing(t *testing.T) {
	tr := newTrail(1, 3)
	tr.burn(1)
	tr.loss(4, 4, 1, spool.CauseFull)
	tr.event()
	lines := without(tr.lines, 1)
	lines[2] = strings.Replace(lines[2], `"first_seq":4,"last_seq":4,"count":1`, `"first_seq":2,"last_seq":4,"count":3`, 1)
	wantFound(t, check(t, &Verifier{}, text(lines...)), "a:2 lost 2", "a:3 changed 5", "a:4 lost 4 to 5")
}

// TestEndLostInSpool builds a trail whose spool lost its end, which had been
// delivered, and went on from what it had.
func TestEndLostInSpool(t *testing.T) {
	build := func(first uint64) *trail {
		tr := newTrail(1, 5)
		kept := tr.head
		tr.event()
		tr.event()
		tr.head = kept
		tr.loss(first, 7, 8-first, spool.CauseCut)
		tr.event()
		return tr
	}
	r := check(t, &Verifier{}, text(build(6).lines...))
	wantFound(t, r)
	if diff := cmp.Diff([]string{"a:8 6-7 0 cut_tail "}, gapsOf(r)); diff != "" {
		t.Errorf("gaps: -want +got\n%s", diff)
	}
	wantFound(t, check(t, &Verifier{}, text(build(5).lines...)), "a:8 relinked 8")
}

// TestManyHoles holds that what is held is bounded, and that the report says so.
func TestManyHoles(t *testing.T) {
	tr := newTrail(1, 1)
	const n = MaxHoles + 10
	for range n {
		tr.burn(1)
		tr.event()
	}
	tr.loss(2, 2*n, n, spool.CauseFull)
	v := &Verifier{}
	r := check(t, v, text(tr.lines...))
	if r.Failed != 10 || r.Streams[0].Missing != MaxHoles {
		t.Errorf("%d problems, %d seqs named", r.Failed, r.Streams[0].Missing)
	}
	if got := found(r)[0]; got != "a:2 lost 2" {
		t.Errorf("first problem %s", got)
	}
	if v.open != 0 {
		t.Errorf("%d holes are open", v.open)
	}
}

func TestManyStreams(t *testing.T) {
	v := &Verifier{}
	for i := range MaxStreams + 2 {
		r := Record{Stream: spool.Stream{byte(i), byte(i >> 8)}, Seq: 1}
		r.Hash = spool.Link(r.Stream, r.Prev, 1, nil)
		v.Add(Place{Name: "a", Line: int64(i + 1)}, &r)
	}
	if r := v.Report(); r.Failed != 2 || len(r.Streams) != MaxStreams || r.Problems[0].Kind != Added {
		t.Errorf("%d streams, problems %v", len(r.Streams), r.Problems)
	}
}

// TestRecent holds that a record that comes again from too far back is not taken
// for a duplicate on trust.
func TestRecent(t *testing.T) {
	tr := newTrail(1, 0)
	v := &Verifier{}
	var first Record
	for i := range Recent + 1 {
		r := Record{Stream: tr.stream, Seq: uint64(i + 1), Prev: tr.head}
		r.Hash = spool.Link(r.Stream, r.Prev, r.Seq, nil)
		tr.head = r.Hash
		if i == 0 {
			first = r
		}
		v.Add(Place{}, &r)
	}
	v.Add(Place{}, &first)
	wantFound(t, v.Report(), " moved 1")
	if len(v.recent.hashes) != Recent {
		t.Errorf("%d hashes are held", len(v.recent.hashes))
	}
}

// TestHolesModel compares the holes, and what is settled, with sets of seqs.
func TestHolesModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		tr := newTrail(1, 1)
		missing := map[uint64]bool{}
		var losses []emitter.Loss
		for tr.seq < 60 {
			if rnd.IntN(2) == 0 {
				n := uint64(rnd.IntN(4) + 1)
				for i := range n {
					missing[tr.seq+1+i] = true
				}
				tr.burn(n)
			}
			if rnd.IntN(3) > 0 {
				tr.event()
				continue
			}
			first := max(1, tr.seq-min(tr.seq, uint64(rnd.IntN(20))))
			l := emitter.Loss{FirstSeq: first, LastSeq: min(tr.seq, first+uint64(rnd.IntN(15))), Count: uint64(rnd.IntN(6) + 1)}
			losses = append(losses, l)
			tr.loss(l.FirstSeq, l.LastSeq, l.Count, "x")
		}
		tr.event()
		r := check(t, &Verifier{Limit: 1000}, text(tr.lines...))
		lost := uint64(0)
		for _, p := range r.Problems {
			for seq := p.First; seq <= p.Last; seq++ {
				if !missing[seq] {
					t.Fatalf("seq %d is not missing", seq)
				}
				lost++
			}
		}
		if want := uint64(len(missing)) - matched(missing, losses); lost != want {
			t.Fatalf("%d lost, want %d: missing %v, losses %v", lost, want, missing, losses)
		}
		named := uint64(0)
		for _, g := range r.Gaps {
			named += g.Missing
		}
		if s := r.Streams[0]; lost+named != uint64(len(missing)) || s.Missing != named || s.Gaps != uint64(len(r.Gaps)) {
			t.Fatalf("%d lost and %d named of %d, stream %+v", lost, named, len(missing), s)
		}
	}
}

// matched returns how many of the missing seqs losses can name at most, by
// augmenting paths.
func matched(missing map[uint64]bool, losses []emitter.Loss) (n uint64) {
	var slots []int // one for each that a loss has a count for
	for i, l := range losses {
		for range l.Count {
			slots = append(slots, i)
		}
	}
	owner := map[int]uint64{}
	var try func(seq uint64, seen map[int]bool) bool
	try = func(seq uint64, seen map[int]bool) bool {
		for slot, i := range slots {
			if l := losses[i]; seen[slot] || seq < l.FirstSeq || seq > l.LastSeq {
				continue
			}
			seen[slot] = true
			if held, taken := owner[slot]; !taken || try(held, seen) {
				owner[slot] = seq
				return true
			}
		}
		return false
	}
	for seq := range missing {
		if try(seq, map[int]bool{}) {
			n++
		}
	}
	return n
}

// FuzzRecords verifies records that are well made and in no order. Each byte is
// one: the low nibble is its seq, at either end of what there is, and the high
// one its stream, what it is linked to, and whether it tells of a loss.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{1, 2, 5, 0x86, 3, 3, 0x17, 0x11, 0x42})
	f.Add([]byte{0x4f, 0x40, 0x41, 0xc8, 0x4e, 0})
	f.Add([]byte{0x40, 0x40, 0x40, 0xc7, 0xe7})
	f.Fuzz(func(t *testing.T, ops []byte) {
		v := &Verifier{Limit: 5}
		var head spool.Hash
		for i, op := range ops {
			r := Record{Stream: spool.Stream{op & 0x10}, Seq: uint64(op & 0xf), Payload: []byte{op}}
			if op&0x20 == 0 {
				r.Prev = head
			}
			if op&0x40 != 0 {
				r.Seq -= 8 // behind 0 is the highest
			}
			if op&0x80 != 0 {
				l := emitter.NewLoss(emitter.Loss{FirstSeq: r.Seq - 5, LastSeq: r.Seq - 1, Count: uint64(i)})
				l.LoggedAt = someTime
				r.Payload = emitter.AppendEvent(nil, l)
			}
			r.Hash = spool.Link(r.Stream, r.Prev, r.Seq, r.Payload)
			head = r.Hash
			v.Add(Place{"a", int64(i + 1)}, &r)
		}
		r := v.Report()
		if v.open != 0 || r.Failed < len(r.Problems) || len(r.Problems) > 5 {
			t.Errorf("%d holes open, %d problems, %d listed", v.open, r.Failed, len(r.Problems))
		}
		for i := range r.Problems {
			if p := &r.Problems[i]; p.Last < p.First || i > 0 && p.pos < r.Problems[i-1].pos {
				t.Errorf("problem %d: %s", i, p)
			}
		}
	})
}
