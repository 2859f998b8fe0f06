package redact

import "strings"

const ellipsis = "…"

// kind says how far a value goes.
type kind int

const (
	plain  kind = iota // one word
	auth               // a scheme and its credentials
	cookie             // words that end in a semicolon, and one more
	inURI              // to the next & ; or #
)

func kindOf(name []byte) kind {
	switch {
	case containsFold(name, "cookie"):
		return cookie
	case containsFold(name, "authorization"):
		return auth
	}
	return plain
}

// value finds the end of a secret value.
type value struct {
	sc      *scanner
	encoded bool
	kind    kind
	rule    Rule
}

// skipOperator skips the rest of an operator such as := => ==.
func (v *value) skipOperator(i int) int {
	for most := i + 2; i < len(v.sc.s) && i < most && (v.sc.s[i] == '=' || v.sc.s[i] == '>' && v.kind != inURI); {
		i++
	}
	return i
}

// redact redacts the value that begins at s[start] and returns where to go
// on. A value that is a marker already, or empty, stays.
func (v *value) redact(start int) int {
	sc := v.sc
	if open, end, next, ok := v.quoted(start); ok {
		if open == end || markerAt(sc.s[open:end]) == end-open {
			return next
		}
		return sc.redact(open, end, v.rule)
	}
	end := v.end(start)
	if m := markerAt(sc.s[start:]); m > 0 {
		if word := v.wordEnd(start); v.trim(start+m, word) == start+m {
			return start + m
		}
	}
	if end = v.trim(start, end); end == start {
		return start
	}
	return sc.redact(start, end, v.rule)
}

// quoted returns the inside of the quoted string that begins at s[i] and the
// index after it. Without a closing quote it goes to the end of s.
func (v *value) quoted(i int) (open, end, next int, ok bool) {
	s := v.sc.s
	escapes := 0
	for i < len(s) && s[i] == '\\' {
		escapes++
		i++
	}
	if i == len(s) {
		return 0, 0, 0, false
	}
	quote, n := v.sc.peek(i, v.encoded)
	if !isQuote(quote) {
		return 0, 0, 0, false
	}
	open = i + n
	slashes := 0
	for i = open; i < len(s); i += n {
		var c byte
		c, n = v.sc.peek(i, v.encoded)
		switch {
		case c == '\\':
			slashes++
			continue
		case c == quote && escapes == 0 && slashes%2 == 0:
			return open, i, i + n, true
		case c == quote && escapes > 0 && slashes <= escapes:
			return open, i - slashes, i + n, true
		}
		slashes = 0
	}
	return open, len(s), len(s), true
}

// end returns the end of the value that begins at s[i], which is no quote.
func (v *value) end(i int) int {
	for first := true; ; first = false {
		word := i
		i = v.wordEnd(word)
		next, ok := v.next(word, i, first)
		if !ok {
			return i
		}
		if _, _, after, ok := v.quoted(next); ok {
			return after
		}
		i = next
	}
}

// next returns where the next word of the value begins, after the word
// s[start:end].
func (v *value) next(start, end int, first bool) (i int, ok bool) {
	sc := v.sc
	if v.kind == inURI {
		return 0, false
	}
	semicolon := end < len(sc.s) && sc.s[end] == ';'
	if v.kind == cookie && semicolon {
		i = sc.skipBlanks(end+1, v.encoded)
		return i, i < len(sc.s)
	}
	i = sc.skipBlanks(end, v.encoded)
	if i == end || i == len(sc.s) || is(sc.s[i], clSpace) {
		return 0, false
	}
	word := sc.s[start:end]
	if opensPair(word) {
		return i, true
	}
	if v.kind == auth && !first && word[len(word)-1] == ',' && isParameter(word) {
		return i, true
	}
	opensAuth := schemes.hasWord(lastWord(word)) || v.kind == auth && first && isSchemeLike(word)
	return i, opensAuth && !sc.prose(i)
}

// wordEnd returns the end of the word that begins at s[i]. Brackets and
// quoted strings after a separator are taken whole.
func (v *value) wordEnd(i int) int {
	s := v.sc.s
	if end, ok := pemOpens(s, i); ok {
		return end
	}
	if i < len(s) && (s[i] == '{' || s[i] == '[') && v.kind != inURI && markerAt(s[i:]) == 0 {
		i = balanced(s, i)
	}
	for i < len(s) {
		c, n := v.sc.peek(i, v.encoded)
		if v.stops(c) {
			break
		}
		if c == '-' && strings.HasPrefix(s[i:], "----") {
			if _, ok := pemOpens(s, i); ok {
				break
			}
		}
		i += n
		if (c == '=' || c == ':') && i < len(s) && isQuote(s[i]) && v.kind != inURI {
			_, _, i, _ = v.quoted(i)
		}
	}
	return i
}

// stops reports whether c ends an unquoted value.
func (v *value) stops(c byte) bool {
	switch c {
	case '&', ';':
		return true
	case '#':
		return v.kind == inURI
	}
	if v.sc.whole && v.kind == inURI {
		return false
	}
	return is(c, clSpace) || isQuote(c) || c == '<' || c == '>'
}

// trim moves end back over punctuation that belongs to the sentence around a
// value, not before start.
func (v *value) trim(start, end int) int {
	s := v.sc.s
	for end > start {
		switch {
		case strings.IndexByte(`,.;:)]}\`, s[end-1]) >= 0:
			end--
		case strings.HasSuffix(s[start:end], ellipsis):
			end -= len(ellipsis)
		default:
			return end
		}
	}
	return end
}

// balanced returns the index after the bracket that closes the one at s[i],
// or the end of s. It does not know strings: a bracket in one may make the
// value longer or shorter.
func balanced(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// opensPair reports whether word ends in a secret name and a separator, so
// that the next word is its value.
func opensPair(word string) bool {
	end := len(word) - 1
	if end < 1 || word[end] != '=' && word[end] != ':' {
		return false
	}
	var l label
	l.find(copy(l.text[:], word[max(0, end-maxBack):end]))
	return secretName(l.name())
}

// isSchemeLike reports whether word may be the scheme of an Authorization
// header that is not in the table.
func isSchemeLike(word string) bool {
	return len(word) <= 24 && run(word, 0, clName, len(word)) == len(word)
}

// isParameter reports whether word is name=value, and not base64 with its
// padding.
func isParameter(word string) bool {
	eq := strings.IndexByte(word, '=')
	return eq > 0 && eq+1 < len(word) && word[eq+1] != '=' && word[eq+1] != ','
}

// lastWord returns the letters, digits and dashes at the end of word.
func lastWord(word string) string {
	i := len(word)
	for i > 0 && len(word)-i < 24 && is(word[i-1], clAlnum|clDash) {
		i--
	}
	return word[i:]
}

func containsFold[T ~string | ~[]byte](s T, lower string) bool {
	for i := 0; i+len(lower) <= len(s); i++ {
		if hasFold(s[i:], lower) {
			return true
		}
	}
	return false
}
