// Package chain checks that the records of a trail are those that were stored,
// in their order, with nothing taken out or put in.
//
// Proved by a trail without a problem: no record was changed, moved, added or
// taken out between the first and the last one, unless somebody computed all
// hashes anew from there on. There is no key in the chain, so who can write the
// whole trail can do that; [Verifier.Expect] finds it, given the hash of one
// later record from where that somebody cannot write. Not proved: that nothing
// is missing before the first record or after the last one, and that the events
// were true to begin with.
//
// A [Verifier] holds the same amount of memory for a trail of any length. It is
// for one goroutine.
package chain

import (
	"fmt"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Bounds of what a [Verifier] holds.
const (
	// Recent is how many records back, of all streams together, a record that
	// comes twice is recognised. One that comes from farther back counts as moved.
	Recent = 1 << 16
	// MaxHoles is how many holes wait for the audit_loss event that names them.
	// With more of them open, the oldest counts as lost.
	MaxHoles = 1 << 12
	// MaxStreams is how many streams are told apart. The records of others count
	// as added.
	MaxStreams = 1 << 14
	// MaxLine is the length of the longest line that can be a record, in bytes,
	// with its end.
	MaxLine = spool.MaxPayload + 512
	// DefaultLimit is how many problems and named gaps a report lists.
	DefaultLimit = 20

	maxLosses = 1 << 8 // audit_loss events of a stream that name more holes than they have a count for
)

// Kind says what is wrong.
type Kind string

// The kinds of problems.
const (
	Changed  Kind = "changed"  // the content does not have the hash that the record states
	Relinked Kind = "relinked" // the record names another one before it than stands there
	Lost     Kind = "lost"     // seqs are missing and no audit_loss event names them
	Moved    Kind = "moved"    // the record stands behind one with a higher seq
	Added    Kind = "added"    // it is no record of a chain, or another one with a seq that is taken
	Expected Kind = "expected" // a record that had to be there is not
)

// Place is where something stands.
type Place struct {
	Name string `json:"file,omitempty"`
	Line int64  `json:"line,omitempty"` // 0: it has no lines
}

// String returns file:line, or what there is of it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.Name
	}
	return fmt.Sprintf("%s:%d", p.Name, p.Line)
}

// Record is what a chain links.
type Record struct {
	Stream  spool.Stream
	Seq     uint64
	Prev    spool.Hash
	Hash    spool.Hash
	Payload []byte

	gap bool // the spool says that it is a gap record
}

// Report is what a [Verifier] has found.
type Report struct {
	Streams  []Stream  `json:"streams"`            // in the order of their first records
	Gaps     []Gap     `json:"gaps,omitempty"`     // the first of them: no problems
	Torn     []Place   `json:"torn,omitempty"`     // the first beginnings of records that were cut short: no problems
	Problems []Problem `json:"problems,omitempty"` // the first of them, by place
	Failed   int       `json:"failed"`             // all problems
}

// OK reports whether there is something to verify, and no problem.
func (r *Report) OK() bool { return r.Failed == 0 && len(r.Streams) > 0 }

// Stream is one chain of the trail.
type Stream struct {
	ID         string `json:"stream"`
	First      uint64 `json:"first_seq"` // what came before, if it is not 1, is not in the trail
	Last       uint64 `json:"last_seq"`
	Head       string `json:"last_hash"`
	Records    uint64 `json:"records"`    // without duplicates
	Duplicates uint64 `json:"duplicates"` // the same record again, as at-least-once delivery allows
	Gaps       uint64 `json:"named_gaps"`
	Missing    uint64 `json:"named_missing"` // seqs in the named gaps
	Failed     int    `json:"failed"`        // problems
}

// Gap is a hole, or several, that an audit_loss event names.
type Gap struct {
	At      Place    `json:"at"` // the event
	Stream  string   `json:"stream"`
	First   uint64   `json:"first_seq"`
	Last    uint64   `json:"last_seq"`
	Missing uint64   `json:"missing"` // seqs between the two that are not in the trail
	Cause   string   `json:"cause,omitempty"`
	Routes  []string `json:"routes,omitempty"` // destinations that will miss them; nil: all
}

// Problem is what is wrong at one place, or at several in a row.
type Problem struct {
	Kind   Kind   `json:"kind"`
	At     Place  `json:"at"`              // the record; behind the hole, for what is lost
	Lines  int64  `json:"lines,omitempty"` // how many in a row, if it is more than one
	Stream string `json:"stream,omitempty"`
	First  uint64 `json:"first_seq,omitempty"` // the lowest seq that it is about
	Last   uint64 `json:"last_seq,omitempty"`
	Text   string `json:"text"`

	pos uint64 // place in the whole trail
}

// String returns the problem as one line for people.
func (p *Problem) String() string {
	s := ""
	if p.At.Name != "" {
		s = p.At.String()
		if p.Lines > 1 && p.At.Line > 0 {
			s = fmt.Sprintf("%s to %d", s, p.At.Line+p.Lines-1)
		}
		s += ": "
	}
	s += string(p.Kind)
	if p.First > 0 {
		s += ": " + seqs(p.First, p.Last)
		if p.Stream != "" {
			s += " of stream " + p.Stream
		}
	}
	return s + ": " + p.Text
}

// String returns the gap as one line for people.
func (g *Gap) String() string {
	at := ""
	if len(g.Routes) > 0 {
		at = " at " + strings.Join(g.Routes, " ")
	}
	return fmt.Sprintf("stream %s, %s, %d missing%s, %s, named at %s", g.Stream, seqs(g.First, g.Last), g.Missing, at, g.Cause, g.At)
}

func seqs(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("seq %d", first)
	}
	return fmt.Sprintf("seqs %d to %d", first, last)
}
