// Package sse reads a stream of server-sent events that arrives in pieces,
// without keeping any of it. It follows the WHATWG HTML standard, section
// "Interpreting an event stream": lines end in LF, CR or CRLF, data lines of
// one event are joined by LF, an event without data is none.
package sse

import "bytes"

// Sink takes what a [Reader] finds.
type Sink interface {
	// Data takes a piece of the present event's data, never an empty one. It
	// must not keep p.
	Data(p []byte)
	// EndEvent says that the present event, which had data, is complete.
	EndEvent()
}

// Reader reads one stream. Its zero value with a Sink is ready; it is not safe
// for concurrent use.
type Reader struct {
	Sink Sink

	bom   int // bytes of a byte order mark met so far; beyond 2: past the beginning
	line  lineState
	name  [5]byte // field name as far as it fits; the longest known has 5 bytes
	named int     // its length; more than 5: unknown
	cr    bool    // the last line ended in CR: a LF right behind belongs to it
	data  int     // data lines of the present event
	some  bool    // the present event has data that is not empty
	id    bool
}

type lineState uint8

const (
	inName lineState = iota
	afterColon
	inData
	inID
	skipping
)

// HasID reports whether any event so far had an id: the stream can be resumed.
func (r *Reader) HasID() bool { return r.id }

// Write reads the next piece.
func (r *Reader) Write(p []byte) {
	p = r.skipBOM(p)
	lf := -1 // where the next LF stands in p, len(p) for nowhere, negative for not looked for
	for len(p) > 0 {
		if lf < 0 {
			if lf = bytes.IndexByte(p, '\n'); lf < 0 {
				lf = len(p)
			}
		}
		n := lf
		if cr := bytes.IndexByte(p[:lf], '\r'); cr >= 0 {
			n = cr
		}
		r.piece(p[:n])
		if n == len(p) {
			return
		}
		r.endLine(p[n])
		p = p[n+1:]
		lf -= n + 1
	}
}

var newline = []byte{'\n'}

const byteOrderMark = "\xEF\xBB\xBF"

// skipBOM drops a byte order mark at the beginning of the stream. What looked
// like one and was none is no known field name, so it needs no second look.
func (r *Reader) skipBOM(p []byte) []byte {
	for r.bom < len(byteOrderMark) && len(p) > 0 {
		if p[0] != byteOrderMark[r.bom] {
			if r.bom > 0 {
				r.line = skipping
			}
			r.bom = len(byteOrderMark)
			break
		}
		r.bom++
		p = p[1:]
	}
	return p
}

// piece takes a part of a line.
func (r *Reader) piece(p []byte) {
	for len(p) > 0 {
		switch r.line {
		case inName:
			n := bytes.IndexByte(p, ':')
			if n < 0 {
				r.addName(p)
				return
			}
			r.addName(p[:n])
			p = p[n+1:]
			r.line = afterColon
		case afterColon:
			if p[0] == ' ' {
				p = p[1:]
			}
			r.beginField()
		case inData:
			r.some = true
			r.Sink.Data(p)
			return
		case inID:
			r.id = true
			return
		default:
			return
		}
	}
}

func (r *Reader) addName(p []byte) {
	if r.named+len(p) > len(r.name) {
		r.named = len(r.name) + 1
		return
	}
	r.named += copy(r.name[r.named:], p)
}

// beginField decides by its name what the rest of the line is.
func (r *Reader) beginField() {
	r.line = skipping
	if r.named > len(r.name) {
		return
	}
	switch string(r.name[:r.named]) {
	case "data":
		r.line = inData
		if r.data > 0 {
			r.Sink.Data(newline)
		}
		r.data++
	case "id":
		r.line = inID
	}
}

// endLine ends the line at c, a CR or a LF. A LF behind a CR ends no other line.
func (r *Reader) endLine(c byte) {
	if r.cr && c == '\n' && r.line == inName && r.named == 0 {
		r.cr = false
		return
	}
	r.cr = c == '\r'
	switch {
	case r.line == inName && r.named == 0:
		if r.some {
			r.Sink.EndEvent()
		}
		r.data, r.some = 0, false
	case r.line == inName, r.line == afterColon:
		r.beginField() // a field without a value
	}
	r.line, r.named = inName, 0
}
