package middleware

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/middleware/internal/jsonscan"
)

// body is the body of a POST: its beginning, read ahead, then the rest as the
// handler reads it. A handler may read and the event be recorded at the same
// time.
type body struct {
	ahead bytes.Reader  // what was read ahead and not yet handed on
	err   error         // how reading ahead ended: nil for at its limit
	rest  io.ReadCloser // the request's own body

	mu    sync.Mutex // guards what follows
	a     *Auditor
	msg   message
	seen  measure
	ended bool
	bom   bool   // it began with a byte order mark
	more  bool   // something follows the message
	kept  []byte // the beginning, where data is recorded
}

const firstRead = 16 << 10 // bytes made room for on the word of Content-Length alone

// readAhead reads the first PeekLimit bytes of rest.
func readAhead(a *Auditor, rest io.ReadCloser, length int64) *body {
	b := &body{rest: rest, a: a, msg: newMessage()}
	a.digests.start(&b.seen)
	buf := bytes.NewBuffer(make([]byte, 0, min(max(length, 0), firstRead)+bytes.MinRead))
	_, err := io.CopyN(buf, rest, PeekLimit)
	if err != nil {
		b.err = err
	}
	b.scan(buf.Bytes(), errors.Is(err, io.EOF))
	b.ahead.Reset(buf.Bytes())
	return b
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

// scan takes the next bytes of the body.
func (b *body) scan(p []byte, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.msg.scan.Started() {
		p = bytes.TrimLeft(p, " \t\r\n")
		if q, ok := bytes.CutPrefix(p, byteOrderMark); ok {
			p, b.bom = q, true
		}
	}
	n := b.msg.scan.Write(p)
	b.more = b.more || b.msg.scan.Done() && len(bytes.TrimLeft(p[n:], " \t\r\n")) > 0
	if b.msg.object() {
		p = p[:n] // white space behind the message is no part of it
	}
	b.seen.add(p)
	if b.a.opt.RequestData && len(b.kept) < dataCapture {
		b.kept = append(b.kept, p[:min(len(p), dataCapture-len(b.kept))]...)
	}
	b.ended = b.ended || ended
}

// Read hands on what the client sent, byte for byte.
func (b *body) Read(p []byte) (int, error) {
	if b.ahead.Len() > 0 {
		return b.ahead.Read(p)
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.rest.Read(p)
	b.scan(p[:n], errors.Is(err, io.EOF))
	return n, err
}

// Close closes the request's own body.
func (b *body) Close() error { return b.rest.Close() }

// read calls f with the message as far as it was read.
func (b *body) read(f func(m message)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.msg)
}

func (b *body) method() (s string) {
	b.read(func(m message) { s = m.method() })
	return s
}

func (b *body) batch() (is bool) {
	b.read(func(m message) { is = m.batch() })
	return is
}

// whole reports whether all that a handler can read has been seen. It reads on
// to find out: a body that is not whole must not be handed to a handler.
func (b *body) whole() bool {
	if b.err == nil {
		n, err := io.ReadFull(b.rest, make([]byte, 1))
		if n > 0 {
			return false
		}
		b.err = err
		b.scan(nil, errors.Is(err, io.EOF))
	}
	return true
}

// incidental reports whether the body is a notification or a client's response
// and nothing else, however a server reads it: nothing that could be run.
func (b *body) incidental() (is bool) {
	b.read(func(m message) {
		if m.scan.Done() && !m.scan.Duplicate() && !m.scan.Folded() && !b.more {
			is = m.notification() && m.kind(qID) == jsonscan.None || m.response() && m.kind(qMethod) == jsonscan.None
		}
	})
	return is
}

// id returns what the response will be recognised by, "" if none is asked for
// or the id has not come yet.
func (b *body) id() (key string) {
	b.read(func(m message) {
		if m.wantsResponse() {
			key = m.idKey()
		}
	})
	return key
}

// cancels returns the id of the request that the message cancels, "" for none.
func (b *body) cancels() (key string) {
	b.read(func(m message) {
		if m.method() == "notifications/cancelled" {
			key = idKey(m.scan.Value(qRequestID))
		}
	})
	return key
}
