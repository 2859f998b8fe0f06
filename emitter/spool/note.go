package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// MaxNotes bounds the notes that a spool keeps, in bytes of their keys and values.
const MaxNotes = 64 << 10

// Note is a value that is kept in the log beside the records, so that both are
// there after a crash or neither is: how far an input has been read, say. A power
// loss can tear a write that was not confirmed and leave payloads of it without
// their note, never a note without its payloads. Only the last value of a key is kept. A note is no record: it has no seq, is no part
// of the chain and is shown to no cursor.
type Note struct {
	Key   string // 1 to 255 bytes
	Value []byte // empty: the key is forgotten
}

// The payload of a note record is a list of
//
//	key length u8, key, value length u32, value
const noteOverhead = 5

func appendNotes(dst []byte, notes []Note) []byte {
	for _, n := range notes {
		dst = append(dst, byte(len(n.Key)))
		dst = append(dst, n.Key...)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(n.Value)))
		dst = append(dst, n.Value...)
	}
	return dst
}

// parseNotes is the other way round. What does not parse ends it: the checksum
// has told that it was written so.
func parseNotes(b []byte) (notes []Note) {
	for len(b) > 0 {
		k := int(b[0])
		if len(b) < k+noteOverhead {
			break
		}
		key, rest := string(b[1:1+k]), b[1+k:]
		v := binary.LittleEndian.Uint32(rest)
		if rest = rest[4:]; uint64(v) > uint64(len(rest)) {
			break
		}
		notes = append(notes, Note{key, bytes.Clone(rest[:v])})
		b = rest[v:]
	}
	return notes
}

// measureNotes returns the bytes that a record of notes takes.
func measureNotes(notes []Note) (int, error) {
	if len(notes) == 0 {
		return 0, nil
	}
	size := recordSize
	for _, n := range notes {
		if n.Key == "" || len(n.Key) > 255 {
			return 0, fmt.Errorf("note: a key has 1 to 255 bytes, not %d", len(n.Key))
		}
		size += noteOverhead + len(n.Key) + len(n.Value)
	}
	if size > MaxNotes {
		return 0, fmt.Errorf("%w: notes of %d bytes, the limit is %d", ErrTooLarge, size, MaxNotes)
	}
	return size, nil
}

// noteSet is the last value of each key.
type noteSet map[string][]byte

func (set noteSet) apply(notes []Note) {
	for _, n := range notes {
		if len(n.Value) == 0 {
			delete(set, n.Key)
		} else {
			set[n.Key] = n.Value
		}
	}
}

// list returns the notes by key.
func (set noteSet) list() []Note {
	var notes []Note
	for _, k := range slices.Sorted(maps.Keys(set)) {
		notes = append(notes, Note{k, set[k]})
	}
	return notes
}

// fits reports whether the spool may keep notes beside those that it has; s.mu
// is held.
func (s *Spool) fits(notes []Note) error {
	if len(notes) == 0 {
		return nil
	}
	after := maps.Clone(s.pending)
	after.apply(notes)
	_, err := measureNotes(after.list())
	return err
}

// Note returns the value of a key, as it is on disk; nil if there is none. The
// caller must not change it.
func (s *Spool) Note(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes[key]
}

// Notes returns every note that is on disk, by key. The caller must not change
// the values.
func (s *Spool) Notes() []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes.list()
}

// encodeNotes adds a record of notes to the gathering group; s.mu is held. It
// stands in front of the payloads that it came with, so that it counts only if
// all of them are there.
func (s *Spool) encodeNotes(now int64, notes []Note, more bool) {
	if len(notes) == 0 {
		return
	}
	h := &header{seq: s.seq, time: now, class: classNote, prev: s.head}
	if more {
		h.flags = flagMore
	}
	g := s.gathering
	g.data = appendRecord(g.data, h, appendNotes(nil, notes))
	kept := slices.Clone(notes)
	for i := range kept {
		kept[i].Value = bytes.Clone(kept[i].Value)
	}
	g.notes = append(g.notes, kept...)
	s.pending.apply(kept)
}
