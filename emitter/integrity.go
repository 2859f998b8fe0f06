package emitter

import (
	"bytes"
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// The end of a line that has its place in the chain, behind the payload without
// its last brace, and, unless the payload is {}, a comma:
//
//	"integrity":{"stream":"UUID","seq":N,"prev":"64 hex","hash":"64 hex"}}
const (
	integrityStream = `"integrity":{"stream":"`
	integritySeq    = `","seq":`
	integrityPrev   = `,"prev":"`
	integrityHash   = `","hash":"`
	integrityEnd    = `"}}`

	uuidSize = 36
	hashSize = 2 * len(spool.Hash{})
)

// IntegrityOf returns the place in the chain of the record r of stream.
func IntegrityOf(stream spool.Stream, r *spool.Record) Integrity {
	return Integrity{Stream: stream.String(), Seq: r.Seq, Prev: r.Prev.String(), Hash: r.Link(stream).String()}
}

// SplitIntegrity splits a line of a trail, without its line end, into the
// payload that was hashed and its place in the chain. It is false for a line
// that does not end, to the byte, as one with an integrity ends. That the rest
// is JSON is not checked, nor is the hash. What it splits [AppendIntegrity] puts
// together again. The payload is a copy.
func SplitIntegrity(line []byte) (payload []byte, in Integrity, ok bool) {
	t := tail{rest: line, ok: true}
	t.cut(integrityEnd)
	in.Hash = t.hex()
	t.cut(integrityHash)
	in.Prev = t.hex()
	t.cut(integrityPrev)
	in.Seq = t.number()
	t.cut(integritySeq)
	in.Stream = t.uuid()
	t.cut(integrityStream)
	rest, n := t.rest, len(t.rest)
	switch {
	case t.ok && string(rest) == "{":
		return []byte("{}"), in, true
	case t.ok && n > 2 && rest[0] == '{' && rest[n-1] == ',':
		payload = append(make([]byte, 0, n), rest[:n-1]...)
		return append(payload, '}'), in, true
	}
	return nil, Integrity{}, false
}

// AppendIntegrity appends payload, which is a JSON object, with in as its last
// member. Without an integrity, or to what is no object, it adds nothing.
func AppendIntegrity(dst, payload []byte, in *Integrity) []byte {
	n := len(payload)
	if n < 2 || payload[0] != '{' || payload[n-1] != '}' || *in == (Integrity{}) {
		return append(dst, payload...)
	}
	body := payload[:n-1]
	if n == 2 {
		body = nil
	}
	at := len(dst) + len(body)
	w := writer{buf: append(append(dst, body...), '{')}
	w.integrity("integrity", in)
	if n > 2 {
		w.buf[at] = ','
	}
	return append(w.buf, '}')
}

// AppendStored appends the bytes of e as they were decoded or emitted, with its
// integrity behind them unless they came with one; so fields that a newer
// version added travel on, and the hash of an old record stays what it is. Of an
// event under construction it appends the canonical JSON.
func AppendStored(dst []byte, e *Event) []byte {
	switch {
	case e.stored == nil:
		return AppendEvent(dst, e)
	case e.sealed:
		return append(dst, e.stored...)
	}
	return AppendIntegrity(dst, e.stored, &e.Integrity)
}

// tail takes a line apart from its end.
type tail struct {
	rest []byte
	ok   bool
}

func (t *tail) cut(text string) {
	rest, ok := bytes.CutSuffix(t.rest, []byte(text))
	t.rest, t.ok = rest, t.ok && ok
}

// take returns the last n bytes if form allows each of them.
func (t *tail) take(n int, form func(i int, c byte) bool) string {
	from := len(t.rest) - n
	t.ok = t.ok && from >= 0
	if !t.ok {
		return ""
	}
	s := t.rest[from:]
	for i, c := range s {
		t.ok = t.ok && form(i, c)
	}
	t.rest = t.rest[:from]
	return string(s)
}

func (t *tail) hex() string { return t.take(hashSize, func(_ int, c byte) bool { return isHex(c) }) }

func (t *tail) uuid() string {
	return t.take(uuidSize, func(i int, c byte) bool {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			return c == '-'
		}
		return isHex(c)
	})
}

// number takes a positive integer without leading zeros.
func (t *tail) number() uint64 {
	n := 0
	for n < len(t.rest) && n < 20 && isDigit(t.rest[len(t.rest)-1-n]) {
		n++
	}
	text := t.take(n, func(i int, c byte) bool { return i > 0 || c != '0' })
	v, err := strconv.ParseUint(text, 10, 64)
	t.ok = t.ok && err == nil
	return v
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c && c <= 'f' }
