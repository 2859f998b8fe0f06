package redact

import "strings"

// label is the name before a separator, with percent-encoding undone.
type label struct {
	text       [maxBack + 1]byte
	start, end int  // the name in text
	phrase     int  // start of the word before the name, -1 if there is none
	param      bool // the name follows ?, & or #
	bracket    bool // the name is in brackets: user[password]
}

func (l *label) name() []byte { return l.text[l.start:l.end] }

// pair redacts the value after the separator p if the name before it is
// secret, and returns where to go on.
func (sc *scanner) pair(p sep) int {
	var l label
	sc.labelBefore(&l, p)
	if l.start == l.end || p.c == ':' && (l.bracket || sc.doubled(p)) {
		return p.at + 1
	}
	secret := secretName(l.name())
	if p.c == '=' && (l.param || p.at < sc.urlEnd) {
		if secret || secretParam(l.name()) {
			return sc.param(p, secret)
		}
		return p.at + 1
	}
	if !secret && !secretPhrase(l.words()) {
		return p.at + 1
	}
	v := value{sc: sc, encoded: p.encoded, kind: kindOf(l.name()), rule: Pair}
	loose := v.skipOperator(p.end())
	start := sc.skipBlanks(loose, p.encoded)
	if start == len(sc.s) || (p.c == ':' || start > loose) && sc.prose(start) {
		return p.at + 1
	}
	if p.c == ':' && start > loose && isIssued(l.name()) && !v.issued(start) {
		return p.at + 1
	}
	return v.redact(start)
}

// param is pair for a parameter of a URI. A quote after the separator is more
// likely the end of the URI than the beginning of the value.
func (sc *scanner) param(p sep, secret bool) int {
	v := value{sc: sc, encoded: p.encoded, kind: inURI, rule: URIParam}
	start := v.skipOperator(p.end())
	if start == len(sc.s) {
		return start
	}
	if _, _, next, ok := v.quoted(start); ok && !sc.whole && (!secret || next == len(sc.s)) {
		return start
	}
	return v.redact(start)
}

// flag redacts the value of a command line flag, --token VALUE, whose last
// dash before the name is s[i].
func (sc *scanner) flag(i int) int {
	start := i
	if start > 0 && sc.s[start-1] == '-' {
		start--
	}
	if start > 0 && !is(sc.s[start-1], clSpace) && !isQuote(sc.s[start-1]) {
		return i + 1
	}
	end := run(sc.s, i+1, clName, maxBack)
	if end-i < len("-pwd") || end == len(sc.s) || !is(sc.s[end], clBlank) || !SecretKey(sc.s[i+1:end]) {
		return i + 1
	}
	v := sc.skipBlanks(end, false)
	if v == len(sc.s) || sc.s[v] == '-' && !strings.HasPrefix(sc.s[v:], "---") || sc.prose(v) {
		return i + 1
	}
	val := value{sc: sc, kind: plain, rule: Pair}
	return val.redact(v)
}

// isIssued reports whether secrets of this name are issued by a machine, not
// chosen by a person: token, session id. In "token: oauth2: cannot fetch" a
// plain word is none.
func isIssued(name []byte) bool {
	if containsFold(name, "pass") || containsFold(name, "secret") || containsFold(name, "authorization") {
		return false
	}
	for _, word := range []string{"token", "session", "auth", "assertion", "jwt", "bearer"} {
		if containsFold(name, word) {
			return true
		}
	}
	return false
}

// doubled reports whether p is part of "::", which is no separator.
func (sc *scanner) doubled(p sep) bool {
	return p.end() < len(sc.s) && sc.s[p.end()] == ':' || p.at > 0 && sc.s[p.at-1] == ':'
}

// prose reports whether a word of an error message, and no value, begins at
// s[i]: "token: expired". After it and its punctuation a blank or the end must
// follow.
func (sc *scanner) prose(i int) bool {
	end := run(sc.s, i, clLetter, 24)
	if end == i || !prose.hasWord(sc.s[i:end]) {
		return false
	}
	for end < len(sc.s) && strings.IndexByte(",.;:!?)]}", sc.s[end]) >= 0 {
		end++
	}
	return end == len(sc.s) || is(sc.s[end], clSpace) || isQuote(sc.s[end]) || strings.HasPrefix(sc.s[end:], ellipsis)
}

// labelBefore finds the name that ends before p.
func (sc *scanner) labelBefore(l *label, p sep) {
	low := max(0, p.at-maxBack)
	n := copy(l.text[:], sc.s[low:p.at])
	if l.find(n) {
		return
	}
	start := p.at // the name is percent-encoded, or what is around it
	for start > low && (is(sc.s[start-1], clDotted) || sc.s[start-1] == '%') {
		start--
	}
	n = 0
	if start > low {
		l.text[0] = sc.s[start-1]
		n = 1
	}
	for i := start; i < p.at; n++ {
		c, size := unpercent(sc.s[:p.at], i)
		l.text[n] = c
		i += size
	}
	l.find(n)
}

// find finds the name at the end of text[:n]. It fails if a percent sign
// stands before the name.
func (l *label) find(n int) bool {
	l.phrase, l.param = -1, false
	end := n
	for end > 0 && n-end < 3 && is(l.text[end-1], clBlank) {
		end--
	}
	bare := end
	end = l.unquote(end)
	l.bracket = end > 0 && l.text[end-1] == ']'
	if l.bracket {
		end = l.unquote(end - 1)
	}
	start := end
	for start > 0 && is(l.text[start-1], clDotted) {
		start--
	}
	l.start, l.end = start, end
	if start == 0 {
		return true
	}
	if l.bracket {
		if open := l.unquote(start); open == 0 || l.text[open-1] != '[' {
			l.start = end
		}
	}
	before := l.text[start-1]
	l.param = before == '?' || before == '&' || before == '#'
	if before == ' ' && end == bare {
		l.phrase = start - 1
	}
	return before != '%'
}

// words returns the name and the word before it, nil if there is none.
func (l *label) words() []byte {
	if l.phrase < 0 {
		return nil
	}
	start := l.phrase
	for start > 0 && is(l.text[start-1], clName) {
		start--
	}
	return l.text[start:l.end]
}

// unquote moves end back over quotes and the backslashes that escape them.
func (l *label) unquote(end int) int {
	for k := 0; k < 4 && end > 0 && (isQuote(l.text[end-1]) || l.text[end-1] == '\\'); k++ {
		end--
	}
	return end
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }
