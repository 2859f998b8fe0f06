package ship

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// finish takes the last lines that have no end, when all was read. It is false if
// there is more to read by now.
func (s *Shipper) finish(ctx context.Context) (bool, error) {
	if !s.again.IsZero() || slices.ContainsFunc(s.sources, func(src *source) bool { return src.ends.IsZero() }) {
		return false, nil
	}
	for _, src := range s.sources {
		if err := s.end(ctx, src); err != nil {
			return false, err
		}
	}
	return true, nil
}

// drain lets go of rotated files that have not grown for a while.
func (s *Shipper) drain(ctx context.Context) error {
	var kept []*source
	for i, src := range s.sources {
		if src.c.path == src.pos.Family && slices.Contains(s.found, src.c) || src.ends.IsZero() || time.Since(src.ends) < s.opt.drain {
			kept = append(kept, src)
			continue
		}
		if err := s.end(ctx, src); err != nil {
			s.sources = append(kept, s.sources[i:]...)
			return err
		}
		src.close()
	}
	s.sources = kept
	return nil
}

// end takes a last line that has no end: it is a line if it is an event. A file
// that was rotated is done with.
func (s *Shipper) end(ctx context.Context, src *source) error {
	b := s.newBatch(src.c.path)
	p, ok := src.split.rest()
	if ok {
		s.bytes.Add(uint64(len(p.text)))
		b.addLast(p)
	}
	done := src.c.path != src.pos.Family || !slices.Contains(s.found, src.c)
	if !ok && done == src.pos.Done {
		return nil
	}
	src.mark()
	src.pos.Done = done
	return s.store(ctx, b, src.pos)
}

func (b *batch) addLast(p piece) {
	before := len(b.kept)
	b.add(p)
	if len(b.kept) > before && !p.long {
		b.kept, b.aside, b.lines = b.kept[:before], nil, b.lines-1
		b.keepLast(p)
	}
}

func (b *batch) keepLast(p piece) {
	b.lines++
	b.keep(p, "the last line has no end and is no event")
}

// asideName begins the name of the file for lines kept aside of the file of p.
func (s *Shipper) asideName(p *position) string {
	if p == nil {
		return fmt.Sprintf("stdin-%d", s.began.UnixNano())
	}
	return "file-" + p.key[len(keyPrefix):]
}
