package ship

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"time"
)

// source is a file that is being read.
type source struct {
	pos    *position
	c      *candidate // where it was found last
	f      *os.File
	zip    *gzip.Reader // nil: it is not compressed
	at     int64        // offset of the next read, uncompressed
	head   []byte       // first bytes of what was read
	ends   time.Time    // since when there is no more; zero: there may be
	broken bool         // it cannot be read: another try opens it anew
	split  splitter
}

// openSource opens the file at c where p ends.
func openSource(p *position, c *candidate) (*source, error) {
	f, err := c.open()
	if err != nil {
		return nil, err
	}
	s := &source{pos: p, c: c, f: f}
	if err := s.seek(); err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	return s, nil
}

// seek goes to where p ends. It is errCut if the file is not the one of which p
// tells: it may have been cut and written anew since somebody looked.
func (s *source) seek() error {
	p := s.pos
	s.split.off, s.split.line, s.split.long = p.Offset, p.Line, p.Long
	if s.c.compressed() {
		zip, err := gzip.NewReader(s.f)
		if err != nil {
			return err
		}
		s.zip = zip
		if _, err := io.CopyN(io.Discard, readFunc(s.Read), p.Offset); err != nil {
			return err
		}
	} else {
		s.head, _ = headOf(io.NewSectionReader(s.f, 0, headSize), false) // what there is tells enough
		s.at = p.Offset
		if _, err := s.f.Seek(p.Offset, io.SeekStart); err != nil {
			return err
		}
	}
	if unread := s.zip != nil && len(s.head) < p.Size && p.Offset < int64(p.Size); !unread && !p.begins(s.head) {
		return errCut
	}
	s.know()
	return s.intact()
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// know takes over into the position what is known of the first bytes.
func (s *source) know() {
	if p := s.pos; len(s.head) > p.Size {
		p.Size, p.Head, p.dirty = len(s.head), digest(s.head), true
	}
}

// Read reads on. The first bytes are remembered as they were read, not as the file
// has them by then.
func (s *source) Read(b []byte) (n int, err error) {
	if s.zip == nil {
		n, err = s.f.Read(b)
	} else {
		n, err = s.zip.Read(b)
	}
	if from := int64(len(s.head)) - s.at; len(s.head) < headSize && from >= 0 && from < int64(n) {
		s.head = append(s.head, b[from:min(int64(n), from+int64(headSize-len(s.head)))]...)
	}
	s.at += int64(n)
	return n, err
}

// begin returns the first bytes of the file, as it has them now if they were not
// read yet.
func (s *source) begin() []byte {
	switch {
	case len(s.head) >= sureSize:
		return s.head
	case s.zip != nil:
		return s.c.head()
	}
	head, _ := headOf(io.NewSectionReader(s.f, 0, headSize), false) // what there is tells enough
	return head
}

// errCut means that a file is not any more what was read of it.
var errCut = errors.New("the file was cut or written anew")

// intact is errCut if the file is shorter than what was read of it, or begins
// otherwise.
func (s *source) intact() error {
	if s.zip != nil {
		return nil
	}
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	begin := make([]byte, len(s.head))
	if _, err := s.f.ReadAt(begin, 0); info.Size() < s.at || err != nil && !isEnd(err) || !bytes.Equal(begin, s.head) {
		return errCut
	}
	return nil
}

// fill reads on into the splitter. It is false where there is no more for now.
func (s *source) fill() (bool, error) {
	n, err := s.split.fill(readFunc(s.Read))
	if cut := s.intact(); cut != nil {
		s.split.drop() // whose bytes these are nobody knows
		return false, cut
	}
	if err != nil && !isEnd(err) {
		s.split.drop()
		return false, err
	}
	return n > 0, nil
}

// mark takes over into the position what the splitter has returned.
func (s *source) mark() {
	p := s.pos
	p.Offset, p.Line, p.Long, p.dirty = s.split.off, s.split.line, s.split.long, true
	s.know()
}

func (s *source) close() { _ = s.f.Close() } // it was only read
