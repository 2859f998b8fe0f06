package redact

import "strings"

const (
	ellipsis   = "…"
	maxEscapes = 15 // backslashes before a quote: JSON in JSON, four deep
)

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
	words   int // before the one looked at
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
	word := v.wordEnd(start)
	if m := markerAt(sc.s[start:]); m > 0 && v.trim(start+m, word) == start+m {
		return start + m
	}
	end := v.trim(start, v.end(start))
	if end == start || end == word && v.kind == auth && schemes.hasWord(sc.s[start:end]) {
		return max(start, end)
	}
	return sc.redact(start, end, v.rule)
}

// issued reports whether what begins at s[i] looks like a secret that a
// machine issued, and not like a word of a sentence.
func (v *value) issued(i int) bool {
	s := v.sc.s
	if _, _, _, ok := v.quoted(i); ok {
		return true
	}
	end := v.wordEnd(i)
	word := s[i:v.trim(i, end)]
	if word == "" {
		return true
	}
	if end < len(s) && is(s[end], clBlank) && s[end-1] == ':' && run(word, 0, clName, len(word)) == len(word) {
		if _, pair := opensPair(s[i:end]); !pair {
			return false // the next link of a chain of errors
		}
	}
	if lettersOnly(word) && isWord(word) {
		return len(word) >= 12 || schemes.hasWord(word)
	}
	return len(word) >= 6
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
	if i == len(s) || escapes > maxEscapes {
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
	for v.words = 0; ; v.words++ {
		word := i
		i = v.wordEnd(word)
		next, ok := v.next(word, i)
		if !ok {
			return i
		}
		if _, _, after, ok := v.quoted(next); ok {
			return after
		}
		if v.wordEnd(next) == next {
			return i
		}
		i = next
	}
}

// next returns where the next word of the value begins, after the word
// s[start:end].
func (v *value) next(start, end int) (i int, ok bool) {
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
	if word == "" {
		return 0, false
	}
	if nested, ok := opensPair(word); ok {
		v.kind, v.words = nested, -1
		return i, true
	}
	if isFlag(word) {
		return i, true
	}
	if v.kind == auth && v.words > 0 && word[len(word)-1] == ',' && isParameter(word) {
		return i, true
	}
	opensAuth := schemes.hasWord(lastWord(word)) || v.kind == auth && v.words == 0 && isSchemeLike(word)
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
		if v.stops(c) || c == ';' && v.semicolon(i+n) {
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
	case '&':
		return true
	case '#':
		return v.kind == inURI
	}
	if v.sc.whole && v.kind == inURI {
		return false
	}
	return is(c, clSpace) || isQuote(c) || c == '<' || c == '>'
}

// semicolon reports whether the semicolon before s[i] ends the value: another
// pair follows, or nothing of the same word. Those in a data: URI do not.
func (v *value) semicolon(i int) bool {
	const most = 40 // bytes of a name
	s := v.sc.s
	if i == len(s) || v.stops(s[i]) || strings.HasPrefix(s[i:], ellipsis) {
		return true
	}
	if hasFold(s[i:], "charset=") {
		return false
	}
	end := i
	for end < len(s) && end-i < most && (is(s[end], clDotted) || s[end] == ' ') {
		end++
	}
	if end == len(s) || end == i {
		return false
	}
	c, _ := v.sc.peek(end, v.encoded)
	return c == '='
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
