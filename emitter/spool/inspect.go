package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// SegmentInfo describes one file of a [Log].
type SegmentInfo struct {
	Name    string
	Number  uint64
	First   uint64    // seq of the first record that may stand in it
	Last    uint64    // and of the last one; 0: it is the newest, and who writes adds to it
	Created time.Time // zero: the header is damaged
	Bytes   int64     // that count against the quota: of the newest one, whose blocks were taken in advance, those written
}

// Segments describes the files of the log, oldest first.
func (l *Log) Segments() []SegmentInfo {
	var list []SegmentInfo
	for i, seg := range l.segments {
		info := SegmentInfo{Name: seg.name, Number: seg.number, First: seg.first, Created: seg.created, Bytes: seg.size}
		if i < len(l.segments)-1 {
			info.Last = l.segments[i+1].first - 1
		} else {
			info.Bytes = l.written(seg)
		}
		list = append(list, info)
	}
	return list
}

// MarkInfo is what a cursor's file says.
type MarkInfo struct {
	Name      string
	Confirmed uint64 // seq up to which everything is done with
	Damaged   bool   // no slot verifies, or it is of another stream: the cursor begins with the oldest record
}

// Marks reads how far each cursor has confirmed, by name. Who writes saves that
// within a second or 1,000 records.
func (l *Log) Marks() ([]MarkInfo, error) {
	entries, err := l.disk.ReadDir(filepath.Join(l.dir, cursorDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	var list []MarkInfo
	for _, e := range entries {
		escaped, ok := strings.CutSuffix(e.Name(), markSuffix)
		name, err := url.PathUnescape(escaped)
		if !ok || err != nil {
			continue
		}
		m, err := l.readMark(filepath.Join(l.dir, cursorDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		m.Name = name
		list = append(list, m)
	}
	return list, nil
}

func (l *Log) readMark(path string) (MarkInfo, error) {
	m := MarkInfo{Damaged: true}
	f, err := l.disk.Read(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	newest := uint64(0)
	for slot := range int64(2) {
		b := make([]byte, markSize)
		if _, err := f.ReadAt(b, slot*markBlock); err != nil && !isEnd(err) {
			continue // who opens the spool takes it for damaged too
		}
		stream, generation, seq, ok := decodeMark(b)
		if ok && generation > newest {
			newest = generation
			m.Damaged, m.Confirmed = stream != l.stream, seq
		}
	}
	if m.Damaged && len(l.segments) > 0 {
		m.Confirmed = l.segments[0].first - 1
	}
	return m, nil
}

// FileInfo describes a file in the folder that is no segment.
type FileInfo struct {
	Path     string // below the spool's folder
	Bytes    int64
	Modified time.Time
}

// Files lists the files in the folder but the segments, which count against the
// quota too. What vanishes meanwhile is left out, and what is no regular file: to
// open a pipe would wait for ever.
func (l *Log) Files() []FileInfo { return l.files("") }

func (l *Log) files(folder string) (list []FileInfo) {
	entries, err := l.disk.ReadDir(filepath.Join(l.dir, folder))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if e.IsDir() {
			list = append(list, l.files(path)...)
		} else if info, err := e.Info(); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(e.Name(), segmentSuffix) {
			list = append(list, FileInfo{Path: path, Bytes: info.Size(), Modified: info.ModTime()})
		}
	}
	return list
}

// Quarantined returns the segment and the offset whose damaged bytes the file at
// path, below the spool's folder, keeps; false if it is no such file.
func Quarantined(path string) (segment uint64, offset int64, ok bool) {
	dir, name := filepath.Split(path)
	if filepath.Clean(dir) != asideDir {
		return 0, 0, false
	}
	_, err := fmt.Sscanf(name, "%d-%d.bin", &segment, &offset)
	return segment, offset, err == nil
}

// Dir returns the log's folder.
func (l *Log) Dir() string { return l.dir }

// Free returns the bytes that are free on the file system; only Linux tells.
func (l *Log) Free() (bytes int64, ok bool) {
	free, err := l.disk.Free(l.dir)
	return free, err == nil && free != noFree
}

// Used returns the bytes that count against the quota.
func (l *Log) Used() (sum int64) {
	for _, seg := range l.Segments() {
		sum += seg.Bytes
	}
	for _, f := range l.Files() {
		sum += onDisk(f.Bytes)
	}
	return sum
}

// written returns where the last byte of the segment ends that is not zero.
func (l *Log) written(seg *segment) int64 {
	f, err := l.disk.Read(filepath.Join(l.dir, seg.name))
	if err != nil {
		return 0 // removed since
	}
	defer f.Close()
	end, err := lastByte(f, min(recordsFrom, seg.size), seg.size)
	if err != nil {
		return seg.size
	}
	return end
}

// Writer says whether a process has the spool open for writing, and its pid, 0 if
// that is not known. It looks at the lock, and keeps nobody from taking it.
func (l *Log) Writer() (pid int, running bool) { return lockHolder(l.dir) }
