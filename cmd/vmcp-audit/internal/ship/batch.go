package ship

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/toolhive"
)

// Aside is a line that was kept aside, one line of JSON for each.
type Aside struct {
	Input  string    `json:"input"`          // path, or - for standard input
	Offset int64     `json:"offset"`         // of its first byte, uncompressed
	Line   int64     `json:"line"`           // its number, from 1
	Part   bool      `json:"part,omitempty"` // it is a part of a line that is too long
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`           // when it was kept
	Text   string    `json:"text,omitempty"` // without its line end
	Raw    []byte    `json:"raw,omitempty"`  // instead of Text, in base64: it is no UTF-8
}

// What one commit takes at most: so much that a sync costs little for each line,
// and so little that it always fits in one.
const (
	batchEvents = 4000
	batchBytes  = 2 << 20
)

// batch is what is stored at once.
type batch struct {
	input  string
	first  int64 // offset of the first line that is kept aside
	lines  uint64
	events []*emitter.Event
	bytes  int    // about what the events take in the spool
	stamp  int    // bytes that the emitter adds to an event
	most   int    // bytes of events that fill it
	aside  []byte // lines of JSON
	kept   []Aside
}

// newBatch returns an empty batch. In a small spool it takes less: a sixteenth of
// the quota finds room sooner or later.
func (s *Shipper) newBatch(input string) *batch {
	return &batch{input: input, stamp: s.opt.Stamp, most: int(min(batchBytes, s.quota/16))}
}

func (b *batch) full() bool {
	return len(b.events) >= batchEvents || b.bytes >= b.most || len(b.aside) >= b.most
}

// add takes one line. What is no event is kept aside; an empty line is none.
func (b *batch) add(p piece) {
	if !p.long && len(bytes.TrimSpace(p.text)) == 0 {
		return
	}
	b.lines++
	if p.long {
		b.keep(p, fmt.Sprintf("line is longer than %d bytes", MaxLine))
		return
	}
	e, err := decode(p.text)
	if err != nil {
		b.keep(p, err.Error())
		return
	}
	b.events = append(b.events, e)
	if stored := len(e.Stored()); stored > 0 {
		b.bytes += stored
	} else {
		b.bytes += 2*len(p.text) + 5*bytes.Count(p.text, []byte{0x7F}) + b.stamp // which becomes an escape of six
	}
}

// decode reads a canonical line or one of ToolHive's.
func decode(line []byte) (*emitter.Event, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("invalid UTF-8")
	}
	if bytes.Contains(line, []byte(`"schema"`)) {
		e, err := emitter.Import(line)
		if err == nil {
			return e, nil
		}
		if e, toolhiveErr := toolhive.Decode(line); toolhiveErr == nil {
			return e, nil // the word stood in somebody's argument
		}
		return nil, err
	}
	return toolhive.Decode(line)
}

func (b *batch) keep(p piece, reason string) {
	a := Aside{Input: b.input, Offset: p.offset, Line: p.line, Part: p.long, Reason: reason, Time: time.Now().UTC()}
	if utf8.Valid(p.text) {
		a.Text = string(p.text)
	} else {
		a.Raw = p.text
	}
	line, _ := json.Marshal(a) // strings and bytes always encode
	if len(b.kept) == 0 {
		b.first = p.offset
	}
	b.aside = append(append(b.aside, line...), '\n')
	a.Text, a.Raw = "", nil
	b.kept = append(b.kept, a)
}
