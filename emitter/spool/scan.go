package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

const (
	scanWindow = 256 << 10 // bytes read at a time
	// maxResync bounds the bytes checksummed in the search for the next whole
	// record behind damage, as a multiple of the bytes searched: bytes that were
	// chosen to look like many long records cannot make it long.
	maxResync = 8
)

// errInvalid means that no whole record stands at the scanner's offset.
var errInvalid = errors.New("no valid record")

// scanner reads the records of one segment, one after the other. It holds one
// window or one record, whichever is larger.
type scanner struct {
	f    file
	seed uint32
	off  int64 // where the next record begins
	end  int64 // records are read up to here

	buf []byte // the bytes from at on
	at  int64
}

// next returns the next record; the payload is valid until the next call. The
// error is io.EOF at the end, errInvalid at bytes that do not verify, or one of
// reading; after an error the scanner stands where it stood.
func (s *scanner) next() (header, []byte, error) {
	if s.off >= s.end {
		return header{}, nil, io.EOF
	}
	b, err := s.peek(recordSize)
	if err != nil {
		return header{}, nil, err
	}
	h, ok := parseHeader(b)
	if !ok {
		return header{}, nil, errInvalid
	}
	if b, err = s.peek(recordSize + h.length); err != nil {
		return header{}, nil, err
	}
	if crc32.Update(s.seed, castagnoli, b[4:]) != h.crc {
		return header{}, nil, errInvalid
	}
	s.off += int64(len(b))
	return h, b[recordSize:], nil
}

// peek returns the n bytes at off, or errInvalid if there are not so many.
func (s *scanner) peek(n int) ([]byte, error) {
	if s.off < s.at || s.off+int64(n) > s.at+int64(len(s.buf)) {
		if err := s.fill(n); err != nil {
			return nil, err
		}
	}
	from := int(s.off - s.at)
	if len(s.buf)-from < n {
		return nil, errInvalid
	}
	return s.buf[from : from+n], nil
}

// fill reads a window from off on, of n bytes at least where there are so many. A
// segment that another process is just making ends before its first record.
func (s *scanner) fill(n int) error {
	size := int(max(0, min(int64(max(n, scanWindow)), s.end-s.off)))
	if cap(s.buf) < size {
		s.buf = make([]byte, size)
	}
	s.at = s.off
	got, err := s.f.ReadAt(s.buf[:size], s.at)
	s.buf = s.buf[:got]
	if err != nil && !isEnd(err) && got < n {
		return err // what stands before it can be read
	}
	return nil
}

// resync moves the scanner from bytes that do not verify to the next record
// that does, with a seq from first to before limit, and returns that seq: all
// before it that have not been read are lost. A record that repeats a seq counts
// as the one after it. If there is no record, the
// scanner stands at its end and the result is 0.
func (s *scanner) resync(first, limit uint64) (uint64, error) {
	budget := maxResync * (s.end - s.off)
	for s.off++; s.off+recordSize <= s.end && budget > 0; s.off++ {
		b, err := s.peek(recordSize)
		if errors.Is(err, errInvalid) {
			break // the file is shorter than it should be
		}
		if err != nil {
			return 0, err
		}
		if n := zeros(s.buf[s.off-s.at:]); n > recordSize {
			s.off += int64(n - recordSize)
			continue
		}
		h, ok := parseHeader(b)
		next := h.seq
		if h.repeats() {
			next++
		}
		if !ok || next < first || h.seq >= limit {
			continue
		}
		budget -= int64(h.length)
		start := s.off
		switch _, _, err := s.next(); {
		case err == nil:
			s.off = start
			return next, nil
		case !errors.Is(err, errInvalid):
			return 0, err
		}
	}
	s.off = s.end
	return 0, nil
}

// unreadable is how many bytes are passed where the disk cannot read.
const unreadable = 4096

// resyncPast is resync that steps over what the disk cannot read.
func (s *scanner) resyncPast(first, limit uint64) uint64 {
	for s.off < s.end {
		next, err := s.resync(first, limit)
		if err == nil {
			return next
		}
		s.off = (s.off/unreadable+1)*unreadable - 1 // resync begins with the byte behind
	}
	s.off = s.end
	return 0
}

// zeros returns how many zero bytes b begins with.
func zeros(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:]) == 0 {
		n += 8
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

// lastByte returns where the last byte that is not zero ends, from off on; off
// itself if there is none.
func lastByte(f file, off, end int64) (int64, error) {
	buf, last := make([]byte, min(scanWindow, max(end-off, 0))), off
	for off < end {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), end-off)], off)
		for i := n; i > 0; i-- {
			if buf[i-1] != 0 {
				last = off + int64(i)
				break
			}
		}
		off += int64(n)
		if isEnd(err) || n == 0 && err == nil {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return last, nil
}
