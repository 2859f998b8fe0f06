package formats

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// syntax says how text stands in a format: what is written for each ASCII
// character that cannot stand as it is. For control characters beyond ASCII and
// the Unicode line ends the same is written in all of them.
type syntax struct {
	text [utf8.RuneSelf]string
	look [256]bool // bytes at which something may begin that is not written as it is
}

const (
	replacement = "\uFFFD" // for a control character
	ellipsis    = "…"
)

// newSyntax returns a syntax in which line ends and TAB are spaces and any other
// control character is a replacement character, but for the pairs: a character and
// what is written for it.
func newSyntax(pairs ...string) *syntax {
	var x syntax
	for c := range 0x20 {
		x.text[c] = replacement
	}
	x.text['\t'], x.text['\n'], x.text['\r'], x.text[0x7F] = " ", " ", " ", replacement
	return x.with(pairs...)
}

// with returns a syntax with more pairs.
func (x *syntax) with(pairs ...string) *syntax {
	y := *x
	for i := 0; i < len(pairs); i += 2 {
		y.text[pairs[i][0]] = pairs[i+1]
	}
	for c, text := range y.text {
		y.look[c] = text != ""
	}
	y.look[0xC2], y.look[0xE2] = true, true
	return &y
}

// append appends s, which is valid UTF-8.
func (x *syntax) append(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		if !x.look[s[i]] {
			continue
		}
		if text, n := x.next(s, i); text != "" {
			dst = append(append(dst, s[from:i]...), text...)
			from = i + n
			i = from - 1
		}
	}
	return append(dst, s[from:]...)
}

// next returns what is written for the character at s[i], "" for itself, and its
// length.
func (x *syntax) next(s string, i int) (text string, n int) {
	c := s[i]
	if c < utf8.RuneSelf {
		return x.text[c], 1
	}
	switch {
	case c == 0xC2 && s[i+1] < 0xA0:
		return replacement, 2
	case c == 0xE2 && s[i+1] == 0x80 && (s[i+2] == 0xA8 || s[i+2] == 0xA9):
		return " ", 3
	}
	_, n = utf8.DecodeRuneInString(s[i:])
	return "", n
}

// appendWithin appends as much of s as fits in room bytes, and "…" behind it where
// that is not all. It never cuts what is written for one character.
func (x *syntax) appendWithin(dst []byte, s string, room int) []byte {
	from, kept := len(dst), len(dst)
	for i := 0; i < len(s); {
		text, n := x.next(s, i)
		if text == "" {
			text = s[i : i+n]
		}
		if len(dst)-from+len(text) > room {
			return append(dst[:kept], ellipsis...)
		}
		dst = append(dst, text...)
		if len(dst)-from+len(ellipsis) <= room {
			kept = len(dst)
		}
		i += n
	}
	return dst
}

// trim takes white space from both ends, which readers of CEF and LEEF do not keep.
func trim(s string) string { return strings.TrimFunc(s, unicode.IsSpace) }

// digestOf returns the digest by which a record that was cut names the whole.
func digestOf(whole []byte) string {
	sum := sha256.Sum256(whole)
	return "sha256:" + hex.EncodeToString(sum[:])
}
