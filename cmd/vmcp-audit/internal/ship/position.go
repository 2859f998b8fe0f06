package ship

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// position is how far one file has been read: a note in the spool.
type position struct {
	key   string    // of the note
	dirty bool      // the note is not what the spool has
	gone  time.Time // since when its file is not found; zero: it is

	Family string `json:"of"`   // path that the user named, of which this file is or was a generation
	Path   string `json:"path"` // where it was found last
	File   fileID `json:"id"`
	Head   string `json:"head"`        // digest of the first bytes
	Size   int    `json:"n"`           // how many these are
	Offset int64  `json:"at"`          // bytes that are done with, uncompressed
	Line   int64  `json:"line"`        // lines among them
	Long   bool   `json:"l,omitempty"` // the offset is within a line that is too long
	Done   bool   `json:"d,omitempty"` // it was rotated, and read to its end
	Looked int64  `json:"t"`           // when the folder was looked through before that, ns since 1970
}

// keyPrefix begins the keys of positions.
const keyPrefix = "file/"

func (p *position) note() spool.Note {
	value, _ := json.Marshal(p) // plain fields always encode
	return spool.Note{Key: p.key, Value: value}
}

func digest(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:16])
}

// begins reports whether p is the position of a file that begins with head.
func (p *position) begins(head []byte) bool {
	return len(head) >= p.Size && digest(head[:p.Size]) == p.Head
}

// sureSize is so many bytes that no two files begin with the same ones: a line of
// either kind has a time or an id by then, and none is shorter.
const sureSize = 64

func (p *position) sure() bool { return p.Size >= sureSize }

// positions are those of all files, by key.
type positions struct {
	all  []*position // oldest first
	next int64       // number of the next key
}

// load reads the positions from the notes. What is no position is left alone. Keys
// are the time, so that none comes again: files of lines kept aside have their names.
func load(notes []spool.Note) positions {
	ps := positions{next: time.Now().UnixNano()}
	for _, n := range notes {
		number, ok := strings.CutPrefix(n.Key, keyPrefix)
		i, err := strconv.ParseInt(number, 10, 64)
		p := &position{key: n.Key}
		if !ok || err != nil || json.Unmarshal(n.Value, p) != nil {
			continue
		}
		ps.all = append(ps.all, p)
		ps.next = max(ps.next, i+1)
	}
	return ps
}

// add makes a position at the beginning of a file.
func (ps *positions) add(c *candidate) *position {
	p := &position{key: keyPrefix + strconv.FormatInt(ps.next, 10), dirty: true, Family: c.family, Path: c.path, File: c.id, Head: digest(nil)}
	ps.next++
	ps.all = append(ps.all, p)
	return p
}

// looked returns when the folders were looked through last, as far as the
// positions tell; zero: never.
func (ps *positions) looked() (at time.Time) {
	for _, p := range ps.all {
		if t := time.Unix(0, p.Looked); p.Looked > 0 && t.After(at) {
			at = t
		}
	}
	return at
}
