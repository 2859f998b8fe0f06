package chain

import (
	"cmp"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Verifier checks records as they come, in the order of the trail. The zero
// value works.
type Verifier struct {
	// Limit is how many problems and named gaps the report lists; the others are
	// counted. 0 means DefaultLimit.
	Limit int

	streams map[spool.Stream]*stream
	order   []*stream
	recent  recent
	pos     uint64 // things seen so far

	problems []Problem // the first of them but for holes, by place
	lost     []Problem // the first holes, by place
	failed   int
	run      run
	gaps     []Gap
	torn     []Place
	open     int    // holes of all streams
	begun    []byte // a line that may be the beginning of the next one
	begunAt  Place
	expected []expectation
}

// run is the problem found last: what follows at once and is the same is told
// with it.
type run struct {
	Problem
	index int // in Verifier.problems, or behind it
}

type expectation struct {
	seq   uint64
	hash  spool.Hash
	found bool
}

// stream is what is known of one chain.
type stream struct {
	Stream
	hash  spool.Hash // that the last record states
	sum   spool.Hash // that its content has; the same, unless it was changed
	blind bool       // what stands in the place of the last record cannot be read
	holes []Problem  // by seq
	named []loss     // that have no count for all holes that they name
}

// Expect says that the trail must have the record seq with this hash.
func (v *Verifier) Expect(seq uint64, hash spool.Hash) {
	v.expected = append(v.expected, expectation{seq: seq, hash: hash})
}

// Add takes the next record.
func (v *Verifier) Add(at Place, r *Record) {
	v.add(at, r, spool.Link(r.Stream, r.Prev, r.Seq, r.Payload))
}

// Reject takes something that is no record, and stands where one could.
func (v *Verifier) Reject(at Place, text string) {
	v.pos++
	v.fail(nil, Problem{Kind: Added, At: at, Text: text})
}

// add takes the next record, whose content has the hash sum.
func (v *Verifier) add(at Place, r *Record, sum spool.Hash) {
	v.pos++
	s := v.streams[r.Stream]
	p := Problem{At: at, Stream: r.Stream.String(), First: r.Seq, Last: r.Seq}
	if r.Seq == 0 {
		p.Kind, p.Text = Added, "seqs begin with 1"
		v.fail(s, p)
		return
	}
	if sum != r.Hash {
		p.Kind, p.Text = Changed, "the content does not have the hash that it states"
		v.fail(s, p)
		if s != nil && r.Seq == s.Last+1 {
			v.advance(s, r, sum)
		}
		return
	}
	v.meet(r)
	switch {
	case s == nil:
		if s = v.begin(r); s == nil {
			p.Kind, p.Text = Added, "there are too many streams to tell them apart"
			v.fail(nil, p)
			return
		}
		if r.Seq == 1 && r.Prev != (spool.Hash{}) {
			p.Kind, p.Text = Relinked, "the first record names one before it"
			v.fail(s, p)
		}
		v.advance(s, r, sum)
	case r.Seq > s.Last:
		v.follow(s, r, &p)
		v.advance(s, r, sum)
	case v.behind(s, r, &p):
		return
	}
	if l, ok := lossOf(r); ok {
		v.name(s, at, r.Seq, &l)
	}
}

// meet notes that an expected record is there.
func (v *Verifier) meet(r *Record) {
	for i := range v.expected {
		e := &v.expected[i]
		e.found = e.found || e.seq == r.Seq && e.hash == r.Hash
	}
}

// begin returns the state of a stream that was not seen before, nil if there are
// too many.
func (v *Verifier) begin(r *Record) *stream {
	if len(v.order) >= MaxStreams {
		return nil
	}
	if v.streams == nil {
		v.streams = map[spool.Stream]*stream{}
	}
	s := &stream{Stream: Stream{ID: r.Stream.String(), First: r.Seq, Last: r.Seq}}
	v.streams[r.Stream] = s
	v.order = append(v.order, s)
	return s
}

// follow takes a record with a seq that was not reached yet.
func (v *Verifier) follow(s *stream, r *Record, p *Problem) {
	linked := r.Prev == s.hash || r.Prev == s.sum
	switch {
	case r.Seq-s.Last > 1:
		text := "missing before this record, and no audit_loss event names them"
		if linked && !s.blind {
			text += "; the chain goes on without them, so they were given up before they were stored"
		}
		v.hole(s, Problem{Kind: Lost, At: p.At, First: s.Last + 1, Last: r.Seq - 1, Text: text})
	case !linked && !s.blind && !v.rejoins(s, p.At, r):
		p.Kind, p.Text = Relinked, "prev is not the hash of the record before"
		v.fail(s, *p)
	}
}

// advance makes r the last record of s.
func (v *Verifier) advance(s *stream, r *Record, sum spool.Hash) {
	s.Last, s.hash, s.sum, s.blind = r.Seq, r.Hash, sum, false
	s.Records++
	v.recent.add(s, r.Seq, r.Hash)
}

// behind takes a record with a seq that was reached already, and reports whether
// it is only a duplicate.
func (v *Verifier) behind(s *stream, r *Record, p *Problem) bool {
	hash, ok := v.recent.hash(s, r.Seq)
	switch {
	case ok && hash == r.Hash:
		s.Duplicates++
		return true
	case ok:
		p.Kind, p.Text = Added, "another record with this seq stands before it"
	default:
		p.Kind, p.Text = Moved, "a record with a higher seq stands before it"
		if v.fill(s, r.Seq, r.Seq) > 0 {
			s.Records++
		}
	}
	v.fail(s, *p)
	return false
}

// fail notes a problem, or makes the one before longer.
func (v *Verifier) fail(s *stream, p Problem) {
	last := &v.run
	if p.pos = v.pos; last.grows(&p) {
		last.Lines, last.Last, last.pos = last.Lines+1, p.Last, p.pos
		if last.index < len(v.problems) {
			first := &v.problems[last.index]
			first.Lines, first.Last = last.Lines, last.Last
		}
		return
	}
	v.count(s)
	p.Lines = 1
	v.run = run{p, v.limit()}
	if len(v.problems) < v.limit() {
		v.run.index = len(v.problems)
		v.problems = append(v.problems, p)
	}
}

// grows reports whether p is the same problem as r, at the next place.
func (r *run) grows(p *Problem) bool {
	return r.Kind == p.Kind && r.pos+1 == p.pos && r.Stream == p.Stream && r.Text == p.Text &&
		r.At.Name == p.At.Name && (p.At.Line == 0 || r.At.Line+r.Lines == p.At.Line) &&
		(p.Last == 0 || r.Last+1 == p.Last)
}

// count counts a problem, of the stream s if it is not nil.
func (v *Verifier) count(s *stream) {
	v.failed++
	if s != nil {
		s.Failed++
	}
}

func (v *Verifier) limit() int { return cmp.Or(max(v.Limit, 0), DefaultLimit) }

// Report returns what was found. No record may be added after it.
func (v *Verifier) Report() *Report {
	v.dropBegun()
	for _, s := range v.order {
		v.settle(s)
		for len(s.holes) > 0 {
			v.lose(s)
		}
	}
	for _, e := range v.expected {
		if !e.found {
			v.pos++
			v.fail(nil, Problem{Kind: Expected, First: e.seq, Last: e.seq, Text: "no record has this seq and the hash " + e.hash.String()})
		}
	}
	r := &Report{Streams: []Stream{}, Gaps: v.gaps, Torn: v.torn, Failed: v.failed}
	for _, s := range v.order {
		s.Head = s.hash.String()
		r.Streams = append(r.Streams, s.Stream)
	}
	r.Problems = slices.Concat(v.problems, v.lost)
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return cmp.Compare(a.pos, b.pos) })
	r.Problems = r.Problems[:min(len(r.Problems), v.limit())]
	for i := range r.Problems {
		if r.Problems[i].Lines == 1 {
			r.Problems[i].Lines = 0
		}
	}
	return r
}

// recent remembers the hashes of the records that came last.
type recent struct {
	hashes map[recentKey]spool.Hash
	keys   []recentKey // a ring
	next   int
}

type recentKey struct {
	stream *stream
	seq    uint64
}

func (r *recent) hash(s *stream, seq uint64) (spool.Hash, bool) {
	h, ok := r.hashes[recentKey{s, seq}]
	return h, ok
}

func (r *recent) add(s *stream, seq uint64, hash spool.Hash) {
	if r.hashes == nil {
		r.hashes = map[recentKey]spool.Hash{}
	}
	k := recentKey{s, seq}
	if len(r.keys) < Recent {
		r.keys = append(r.keys, k)
	} else {
		delete(r.hashes, r.keys[r.next])
		r.keys[r.next] = k
		r.next = (r.next + 1) % Recent
	}
	r.hashes[k] = hash
}
