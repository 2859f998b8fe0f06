package redact

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// clean redacts a decoded JSON string, as a URI if it is one and nothing else.
func clean(s string) (string, []Rule) {
	if looksLikeURI(s) {
		return URI(s)
	}
	return Text(s)
}

// looksLikeURI reports whether s is "scheme://..." or "data:...,..." without
// anything that ends a URI in running text, so that redaction changes nothing
// about the answer.
func looksLikeURI(s string) bool {
	scheme := run(s, 0, clAlnum|clDash|clDot, 32)
	isData := hasFold(s, "data:") && strings.Contains(s, ",")
	if scheme == 0 || !strings.HasPrefix(s[scheme:], "://") && !isData {
		return false
	}
	for i := range len(s) {
		if c := s[i]; is(c, clSpace) || isQuote(c) || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

// text copies a string, shortened if need be.
func (w *walker) text() bool {
	s, ok := w.str()
	if !ok {
		return w.stop()
	}
	s, rules := clean(s)
	room := w.limit - w.open - len(w.dst) - len(`""`)
	if room < 0 {
		return w.stop()
	}
	if short := shorten(s, room, quotedLen); short != s {
		if short = stable(short); short == "" {
			return w.stop()
		}
		s, w.cut = short, true
	}
	w.dst = appendQuoted(w.dst, s)
	w.find(rules)
	return true
}

// stable cuts a shortened string back until redacting it again changes
// nothing, "" if that leaves hardly anything. A cut can turn plain words into
// what looks like a secret: of "token: expired" it may leave "token: exp".
func stable(s string) string {
	const least = 8 // bytes
	for range 4 {
		if again, _ := clean(s); again == s && len(s) >= least {
			return s
		}
		blank := strings.LastIndexByte(s, ' ')
		if blank < least {
			break
		}
		s = s[:blank] + ellipsis
	}
	return ""
}

// shorten returns s if its runes are not wider than room together, else the
// longest beginning that fits with an ellipsis and does not end in a marker.
// Without room for that it returns "".
func shorten(s string, room int, width func(rune) int) string {
	sum, cut := 0, 0
	for i, r := range s {
		if sum <= room-len(ellipsis) {
			cut = i
		}
		if sum += width(r); sum > room {
			if m := strings.LastIndex(s[:cut], markerPrefix[:1]); m >= 0 && markerAt(s[m:]) > cut-m {
				cut = m
			}
			if room < len(ellipsis) {
				return ""
			}
			return s[:cut] + ellipsis
		}
	}
	return s
}

// str decodes the string ahead and moves past it. It fails if the string is
// not complete or not valid, and then stays.
func (w *walker) str() (string, bool) {
	if w.space() != '"' {
		return "", false
	}
	start := w.pos + 1
	for i := start; i < len(w.src); i++ {
		switch w.src[i] {
		case '"':
			w.pos = i + 1
			return strings.ToValidUTF8(string(w.src[start:i]), "\uFFFD"), true
		case '\\':
			return w.unescape(start, i)
		}
	}
	return "", false
}

// unescape is str for a string at src[start:] with its first escape at
// src[i].
func (w *walker) unescape(start, i int) (string, bool) {
	w.buf = append(w.buf[:0], w.src[start:i]...)
	for i < len(w.src) {
		switch c := w.src[i]; c {
		case '"':
			w.pos = i + 1
			return strings.ToValidUTF8(string(w.buf), "\uFFFD"), true
		case '\\':
			r, n := escaped(w.src[i:])
			if n == 0 {
				return "", false
			}
			w.buf = utf8.AppendRune(w.buf, r)
			i += n
		default:
			w.buf = append(w.buf, c)
			i++
		}
	}
	return "", false
}

// escaped decodes the escape at the start of s and returns its length, 0 if
// it is not valid. Half a surrogate pair is U+FFFD.
func escaped(s []byte) (r rune, n int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, 0
	}
	r, ok := hex4(s[2:])
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) > 7 && s[6] == '\\' && s[7] == 'u' {
		if low, ok := hex4(s[8:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			return utf16.DecodeRune(r, low), 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(unhex(c))
	}
	return r, true
}

// skip moves past the next value without looking into it. Brackets must
// match; more than maxSkip of them stop the walk.
func (w *walker) skip() {
	var closers [maxSkip]byte
	for depth := 0; ; {
		switch c := w.space(); {
		case c == '"':
			w.skipString()
		case (c == '{' || c == '[') && depth < maxSkip:
			closers[depth] = c + 2
			depth++
			w.pos++
		case (c == '}' || c == ']') && depth > 0 && closers[depth-1] == c:
			depth--
			w.pos++
		case (c == ',' || c == ':') && depth > 0:
			w.pos++
		default:
			w.skipScalar()
		}
		if w.cut || depth == 0 {
			return
		}
	}
}

func (w *walker) skipString() {
	for i := w.pos + 1; i < len(w.src); i++ {
		switch w.src[i] {
		case '\\':
			i++
		case '"':
			w.pos = i + 1
			return
		}
	}
	w.cut = true
}

func (w *walker) skipScalar() {
	end := w.scalarEnd()
	if end == w.pos || end == len(w.src) {
		w.cut = true
	}
	w.pos = end
}

// appendQuoted appends s as a JSON string. s is valid UTF-8.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// quotedLen returns how many bytes appendQuoted writes for r.
func quotedLen(r rune) int {
	switch {
	case r == '"' || r == '\\' || r == '\n' || r == '\r' || r == '\t':
		return 2
	case r < ' ':
		return len(`\u0000`)
	}
	return utf8.RuneLen(r)
}
