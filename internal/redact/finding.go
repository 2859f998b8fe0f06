package redact

import (
	"strconv"
	"unicode/utf8"
)

const (
	maxFindings = 32  // in one result
	maxPath     = 128 // bytes of Finding.Path
)

// Finding says what was removed from where.
type Finding struct {
	Path string // JSON pointer, itself redacted, at most 128 bytes
	Rule Rule
}

// step is one segment of a path.
type step struct {
	key   string // redacted
	index int    // -1 in an object
}

// find records what fired at the present path.
func (w *walker) find(rules []Rule) {
	for _, r := range rules {
		if len(w.found) == maxFindings {
			return
		}
		w.found = append(w.found, Finding{Path: w.pointer(), Rule: r})
	}
}

// pointer returns the present path as a JSON pointer of at most maxPath bytes.
func (w *walker) pointer() string {
	var p []byte
	for _, s := range w.path {
		if len(p) > maxPath {
			break
		}
		p = append(p, '/')
		if s.index >= 0 {
			p = strconv.AppendInt(p, int64(s.index), 10)
			continue
		}
		for i := range len(s.key) {
			switch c := s.key[i]; c {
			case '~':
				p = append(p, "~0"...)
			case '/':
				p = append(p, "~1"...)
			default:
				p = append(p, c)
			}
		}
	}
	clean, _ := Text(string(p))
	return shorten(clean, maxPath, utf8.RuneLen)
}
