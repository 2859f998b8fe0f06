package inspect

import (
	"path/filepath"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Listing is what lies in a spool's folder.
type Listing struct {
	Dir         string       `json:"dir"`
	Stream      string       `json:"stream"`
	Segments    []Segment    `json:"segments"`     // oldest first
	DeadLetters []DeadLetter `json:"dead_letters"` // by route and seq
	Quarantine  []SetAside   `json:"quarantine"`   // by segment and offset
	Aside       []AsideLines `json:"aside"`        // by path
}

// Segment is one file of the log.
type Segment struct {
	Name     string       `json:"name"`
	Number   uint64       `json:"number"`
	FirstSeq uint64       `json:"first_seq"`
	LastSeq  uint64       `json:"last_seq,omitempty"` // 0: it is the newest
	Created  time.Time    `json:"created,omitzero"`   // zero: its header is damaged
	Until    time.Time    `json:"until,omitzero"`     // when the next one was made; zero: it is the newest
	Bytes    int64        `json:"bytes"`
	State    SegmentState `json:"state"`
	HeldBy   []string     `json:"held_by,omitempty"` // routes that have not confirmed all of it
}

// SegmentState says why a segment is there.
type SegmentState string

// The states of segments.
const (
	SegmentNewest    SegmentState = "newest"    // it stays, whoever has it
	SegmentHeld      SegmentState = "held"      // a route has not confirmed all of it
	SegmentDelivered SegmentState = "delivered" // all have it; it goes with the next one that is confirmed
	SegmentKept      SegmentState = "kept"      // the spool has no route, and so keeps everything
)

// DeadLetter is a record that a destination has refused for good.
type DeadLetter struct {
	Route  string       `json:"route"`
	Seq    uint64       `json:"seq"`
	Time   time.Time    `json:"time,omitzero"` // when it was given up
	Type   emitter.Type `json:"type,omitempty"`
	ID     string       `json:"audit_id,omitempty"`
	Bytes  int64        `json:"bytes"`
	Error  string       `json:"error,omitempty"`  // what the destination said
	Unread string       `json:"unread,omitempty"` // why the file cannot be read
	Path   string       `json:"path"`             // below Dir
}

// SetAside is a file of bytes that did not verify.
type SetAside struct {
	Path    string    `json:"path"` // below Dir
	Segment uint64    `json:"segment"`
	Offset  int64     `json:"offset"`
	Bytes   int64     `json:"bytes"`
	Found   time.Time `json:"found"`
}

// AsideLines is a file of lines that ship has read and that are no events.
type AsideLines struct {
	Path  string    `json:"path"` // below Dir
	Bytes int64     `json:"bytes"`
	Last  time.Time `json:"last"` // when the last one was added
}

// List returns what lies in the folder of the spool in dir.
func List(dir string) (*Listing, error) {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return nil, err
	}
	marks, err := l.Marks()
	if err != nil {
		return nil, err
	}
	list := &Listing{
		Dir: dir, Stream: l.Stream().String(),
		Segments: segmentsOf(l, marks), DeadLetters: []DeadLetter{}, Quarantine: []SetAside{}, Aside: []AsideLines{},
	}
	for _, f := range l.Files() {
		if route, seq, ok := emitter.ParseLetterPath(f.Path); ok {
			list.DeadLetters = append(list.DeadLetters, deadLetterOf(dir, f, route, seq))
		}
		if number, offset, ok := spool.Quarantined(f.Path); ok {
			list.Quarantine = append(list.Quarantine, SetAside{Path: f.Path, Segment: number, Offset: offset, Bytes: f.Bytes, Found: f.Modified.UTC()})
		}
		if filepath.Dir(f.Path) == emitter.AsideLines {
			list.Aside = append(list.Aside, AsideLines{Path: f.Path, Bytes: f.Bytes, Last: f.Modified.UTC()})
		}
	}
	return list, nil
}

func segmentsOf(l *spool.Log, marks []spool.MarkInfo) []Segment {
	segments := []Segment{}
	infos := l.Segments()
	for i, info := range infos {
		seg := Segment{
			Name: info.Name, Number: info.Number, FirstSeq: info.First, LastSeq: info.Last,
			Created: utc(info.Created), Bytes: info.Bytes, State: SegmentDelivered,
		}
		newest := i == len(infos)-1
		for _, m := range marks {
			if m.Confirmed < info.Last {
				seg.State, seg.HeldBy = SegmentHeld, append(seg.HeldBy, m.Name)
			}
		}
		switch {
		case newest:
			seg.State = SegmentNewest
		case len(marks) == 0:
			seg.State = SegmentKept
		}
		if !newest {
			seg.Until = utc(infos[i+1].Created)
		}
		segments = append(segments, seg)
	}
	return segments
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func deadLetterOf(dir string, f spool.FileInfo, route string, seq uint64) DeadLetter {
	d := DeadLetter{Route: route, Seq: seq, Bytes: f.Bytes, Path: f.Path}
	letter, err := emitter.ReadDeadLetter(filepath.Join(dir, f.Path))
	if err != nil {
		d.Unread = err.Error()
		return d
	}
	d.Time, d.Error = letter.Time, letter.Error
	if e, err := emitter.Decode(letter.Event); err == nil {
		d.Type, d.ID = e.Type, e.AuditID
	}
	return d
}
