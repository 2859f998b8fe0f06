package spool

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// streamFile holds the stream's id in hex, for the case that the headers of all
// segments are damaged. unusedWord stands behind it until the first segment is
// made: after that a folder without segments has lost them.
const (
	streamFile = "stream"
	unusedWord = "unused"
)

// recover brings the books in line with the folder. Sealed segments are not
// read: the next one's first seq tells where they must end. s is not shared yet.
func (s *Spool) recover() error {
	if err := s.loadSegments(); err != nil {
		return err
	}
	s.loadStream()
	if err := s.loadMarks(); err != nil {
		return err
	}
	s.aside = measureAside(s.disk, s.dir)
	s.checkHead()
	return s.recoverTail()
}

// loadSegments lists the segments, by number.
func (s *Spool) loadSegments() error {
	segments, stream, _, err := listSegments(s.disk, s.dir)
	if err != nil {
		return err
	}
	s.segments, s.stream = segments, stream
	for _, seg := range segments {
		s.stats.SegmentBytes += seg.size
		s.number = seg.number
	}
	return nil
}

// listSegments lists the segments in dir by number, with the stream that their
// headers name: zero if none does. A segment that vanishes meanwhile is left out;
// stale says that the newest one did, so that there is a newer one.
func listSegments(d disk, dir string) (list []*segment, stream Stream, stale bool, err error) {
	entries, err := d.ReadDir(dir) // by name, which is by number
	if err != nil {
		return nil, Stream{}, false, err
	}
	for _, e := range entries {
		number, first, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		seg := &segment{name: e.Name(), number: number, first: first}
		h, err := seg.inspect(d, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			stale = true
			continue
		case errors.Is(err, errHeader):
		case err != nil:
			return nil, Stream{}, false, fmt.Errorf("%s: %w", e.Name(), err)
		case h.number == number && h.first == first:
			stream = h.stream
		}
		list, stale = append(list, seg), false
	}
	slices.SortFunc(list, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	for _, seg := range list {
		seg.seed = seedOf(stream, seg.number)
	}
	return list, stream, stale, nil
}

// inspect reads the segment's size and header.
func (seg *segment) inspect(d disk, dir string) (*segmentHeader, error) {
	f, err := d.Read(filepath.Join(dir, seg.name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if seg.size, err = f.Size(); err != nil {
		return nil, err
	}
	seg.end = seg.size
	h, err := readSegmentHeader(f)
	switch {
	case err == nil:
		seg.room, seg.created = h.size, h.created
	case !errors.Is(err, ErrVersion):
		err = errHeader // also if the disk cannot read it
	}
	return h, err
}

// loadStream settles which stream this is: the segments' or, if their headers
// are all damaged, the one that the stream file names.
func (s *Spool) loadStream() {
	saved, used, ok := readStream(s.disk, filepath.Join(s.dir, streamFile))
	if s.stream == (Stream{}) && ok {
		s.stream = saved
		for _, seg := range s.segments {
			seg.seed = seedOf(saved, seg.number)
		}
	}
	if s.stream == (Stream{}) {
		s.stream = newStream()
	}
	s.begun = ok && used && saved == s.stream
	switch {
	case len(s.segments) > 0 && !s.begun:
		s.saveStream(true)
	case !ok:
		s.saveStream(false)
	}
}

// saveStream writes the stream file; used says that there are segments. Without it
// their headers name the stream, and while there are none the next start makes
// another.
func (s *Spool) saveStream(used bool) {
	line := hex.EncodeToString(s.stream[:])
	if !used {
		line += " " + unusedWord
	}
	_, err := s.replace(s.dir, streamFile, strings.NewReader(line+"\n"))
	if err != nil {
		s.opt.Log.Warn("the spool's id cannot be saved beside it", "dir", s.dir, "error", err)
	}
	s.begun = used && err == nil
}

// readStream reads a stream file.
func readStream(d disk, path string) (stream Stream, used, ok bool) {
	f, err := d.Read(path)
	if err != nil {
		return stream, false, false
	}
	defer f.Close()
	b := make([]byte, 64) // more than it is long
	n, _ := f.ReadAt(b, 0)
	words := strings.Fields(string(b[:n]))
	if len(words) == 0 || len(words[0]) != 2*len(stream) {
		return stream, false, false
	}
	_, err = hex.Decode(stream[:], []byte(words[0]))
	return stream, len(words) < 2 || words[1] != unusedWord, err == nil
}

// checkHead compares the beginning of the log with what the cursors have
// confirmed: a segment goes only when they have passed it. s is not shared yet.
func (s *Spool) checkHead() {
	low, ok := s.lowest()
	if len(s.segments) > 0 {
		if first := s.segments[0].first; ok && first > low+1 {
			s.vanished(low+1, first-1)
		}
		return
	}
	if s.begun { // it may have used any seq
		s.opt.Log.Error("the spool has no segments any more; a new stream begins", "dir", s.dir)
		s.restart()
	}
}

// vanished notes records that no cursor dropped and that are not there.
func (s *Spool) vanished(first, last uint64) {
	var lagging []string
	for _, m := range s.sortedMarks() {
		if m.confirmed < last {
			lagging = append(lagging, m.name)
			m.move(last)
		}
	}
	n := last - first + 1
	s.stats.Damaged++
	s.stats.DamagedRecords += n
	s.gaps.add(Gap{First: first, Last: last, Count: n, Cause: CauseDamaged, Cursors: lagging})
	s.opt.Log.Error("segments of the spool are gone", "dir", s.dir, "first_seq", first, "last_seq", last, "cursors", lagging)
}

// restart begins a new stream in an empty folder.
func (s *Spool) restart() {
	s.stream = newStream()
	for _, m := range s.marks {
		m.confirmed, m.saved = 0, 0
	}
	s.saveStream(false)
}
