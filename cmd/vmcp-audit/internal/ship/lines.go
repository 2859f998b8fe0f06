package ship

import (
	"bytes"
	"errors"
	"io"

	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
)

// Bounds of reading, in bytes.
const (
	MaxLine   = chain.MaxLine // of a line; a longer one is kept aside in pieces
	readChunk = 2 << 20
	headSize  = 1 << 10 // a file is known by so many bytes
)

// piece is a line without its end, or a part of one that is too long. Its text
// is valid until the next read.
type piece struct {
	text   []byte
	offset int64 // of its first byte
	line   int64 // from 1
	long   bool  // it is a part
}

// splitter cuts what is read into lines. It holds one chunk and one line.
type splitter struct {
	buf  []byte
	from int   // buf is used up to here
	off  int64 // of buf[from]
	line int64 // lines that have ended before
	long bool  // in a line that is too long
	nl   int   // no line end stands in buf before this index
}

// fill reads once. The error is the reader's.
func (s *splitter) fill(r io.Reader) (int, error) {
	if s.from > 0 {
		s.nl -= s.from
		s.buf = s.buf[:copy(s.buf, s.buf[s.from:])]
		s.from = 0
	}
	if s.buf == nil {
		s.buf = make([]byte, 0, readChunk+MaxLine)
	}
	n, err := r.Read(s.buf[len(s.buf):min(cap(s.buf), len(s.buf)+readChunk)])
	s.buf = s.buf[:len(s.buf)+n]
	return n, err
}

// next returns the next line that has an end, or the next part of one that is too
// long.
func (s *splitter) next() (p piece, ok bool) {
	s.nl = max(s.nl, s.from)
	i := bytes.IndexByte(s.buf[s.nl:], '\n')
	if i < 0 {
		s.nl = len(s.buf)
		if len(s.buf)-s.from <= MaxLine {
			return p, false
		}
		p = piece{text: s.buf[s.from : s.from+MaxLine], offset: s.off, line: s.line + 1, long: true}
		s.skip(MaxLine)
		s.long = true
		return p, true
	}
	n := s.nl + i - s.from
	if n > MaxLine {
		p = piece{text: s.buf[s.from : s.from+MaxLine], offset: s.off, line: s.line + 1, long: true}
		s.skip(MaxLine)
		s.long = true
		return p, true
	}
	p = piece{text: s.buf[s.from : s.from+n], offset: s.off, line: s.line + 1, long: s.long}
	s.skip(n + 1)
	s.line++
	s.long = false
	return p, true
}

// rest returns a last line that has no end, if there is any of it.
func (s *splitter) rest() (p piece, ok bool) {
	if s.from == len(s.buf) {
		return p, false
	}
	p = piece{text: s.buf[s.from:], offset: s.off, line: s.line + 1, long: s.long}
	s.skip(len(p.text))
	s.line++
	s.long = false
	return p, true
}

func (s *splitter) skip(n int) {
	s.from += n
	s.off += int64(n)
}

// lend gives a splitter that holds nothing a buffer that is not in use, and takeBack
// takes it from one that holds nothing: many files need one.
func (s *splitter) lend(spare *[]byte) {
	if s.buf == nil {
		s.buf, *spare = *spare, nil
	}
}

func (s *splitter) takeBack(spare *[]byte) {
	if s.buf != nil && s.from == len(s.buf) {
		*spare = s.buf[:0]
		s.buf, s.from, s.nl = nil, 0, 0
	}
}

// drop forgets what was read and not returned, and goes on at the offset of what
// was returned last.
func (s *splitter) drop() { s.buf, s.from, s.nl = s.buf[:0], 0, 0 }

// isEnd reports whether err says that there is no more, for now.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }
