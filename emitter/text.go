package emitter

import (
	"strings"
	"unicode/utf8"
)

const (
	maxLabels   = 16
	maxLabelKey = 64

	ellipsis = "…"
	hexdigit = "0123456789abcdef"
)

// bounded returns s as valid UTF-8 of at most limit bytes; what was cut ends
// in "…". Applied twice it changes nothing.
func bounded(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
		cut = cut || len(s) > limit
	}
	if !cut {
		return s
	}
	end := min(len(s), max(limit-len(ellipsis), 0))
	for end > 0 && end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// Bounded returns s as the canonical JSON has it in a field of limit bytes: valid
// UTF-8, and with "…" at its end where it was cut. It allocates only if it changes
// something.
func Bounded(s string, limit int) string {
	if len(s) <= limit && utf8.ValidString(s) {
		return s
	}
	return bounded(s, limit)
}

// AppendString appends s as a JSON string, as the canonical JSON has it in a field
// of limit bytes.
func AppendString(dst []byte, s string, limit int) []byte { return appendString(dst, s, limit) }

// appendString appends s as a JSON string within limit bytes. Besides what
// JSON asks for it escapes DEL, the C1 controls and the Unicode line ends, so
// that no tool which splits lines at those can be led astray.
func appendString(dst []byte, s string, limit int) []byte {
	if len(s) <= limit && plain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	if len(s) > limit || !utf8.ValidString(s) {
		s = bounded(s, limit)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, s, &suspect)
	return append(dst, '"')
}

// plain reports whether s is ASCII that needs no escape; it may be false for such.
// It looks at eight bytes at a time: x - each of 1 borrows in the bytes of x that
// are 0, and so finds, with x the difference to a character, that character.
func plain(s string) bool {
	const (
		each = 0x0101010101010101
		high = 0x80 * each
	)
	for ; len(s) >= 8; s = s[8:] {
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, slash, del := v^'"'*each, v^'\\'*each, v^0x7F*each
		if (v|(v-0x20*each)|(quote-each)|(slash-each)|(del-each))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c >= 0x7F || suspect[c] {
			return false
		}
	}
	return true
}

// appendEscaped appends s with escapes for what must not stand in a string as
// it is, as far as it begins at a byte of marks.
func appendEscaped(dst []byte, s string, marks *[256]bool) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		if !marks[s[i]] {
			continue
		}
		n := unsafeLen(s, i)
		if n == 0 {
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, s[i:i+n])
		from = i + n
		i = from - 1
	}
	return append(dst, s[from:]...)
}

// suspect marks the bytes at which something that must be escaped may begin;
// suspectInJSON those at which JSON itself sees no need.
var (
	suspectInJSON = [256]bool{0x7F: true, 0xC2: true, 0xE2: true}
	suspect       = func() [256]bool {
		t := suspectInJSON
		for c := range 0x20 {
			t[c] = true
		}
		t['"'], t['\\'] = true, true
		return t
	}()
)

// unsafeLen returns the length of what begins at s[i] and must be escaped in
// any string, 0 for nothing.
func unsafeLen(s string, i int) int {
	switch c := s[i]; {
	case c < 0x20 || c == '"' || c == '\\' || c == 0x7F:
		return 1
	case c == 0xC2 && i+1 < len(s) && s[i+1] < 0xA0:
		return 2
	case c == 0xE2 && i+2 < len(s) && s[i+1] == 0x80 && (s[i+2] == 0xA8 || s[i+2] == 0xA9):
		return 3
	}
	return 0
}

func appendEscape(dst []byte, s string) []byte {
	switch s[0] {
	case '"', '\\':
		return append(dst, '\\', s[0])
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	r, _ := utf8.DecodeRuneInString(s)
	return append(dst, '\\', 'u', hexdigit[r>>12&15], hexdigit[r>>8&15], hexdigit[r>>4&15], hexdigit[r&15])
}

// appendRawText appends compact JSON, with the characters that appendString
// escapes beyond JSON's own rules escaped too: in JSON they stand in strings
// only.
func appendRawText(dst, b []byte) []byte {
	s := string(b)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return appendEscaped(dst, s, &suspectInJSON)
}
