package redact

import (
	"encoding/base64"
	"strings"
)

// credentials are the authorization schemes known in running text, each with
// its test of what follows.
var credentials = []struct {
	scheme string
	known  func(scheme, token string) bool
}{
	{"bearer", bearerToken},
	{"basic", basicToken},
	{"splunk", splunkToken},
}

// scheme redacts the credentials after the blank p if the word before it is a
// known authorization scheme, and returns where to go on.
func (sc *scanner) scheme(p sep) int {
	if p.at == 0 {
		return p.at + 1
	}
	if c := sc.s[p.at-1] | 0x20; c != 'r' && c != 'c' && c != 'k' {
		return p.at + 1
	}
	for i := range credentials {
		name := credentials[i].scheme
		start := p.at - len(name)
		if start < 0 || !hasFold(sc.s[start:p.at], name) || !sc.edge(start) {
			continue
		}
		token := sc.skipBlanks(p.end(), p.encoded)
		if token < len(sc.s) && isQuote(sc.s[token]) {
			token++
		}
		end := sc.tokenEnd(token, p.encoded)
		if end == token || isFlag(sc.s[token:end]) || sc.challenge(token, end) {
			continue
		}
		if credentials[i].known(sc.s[start:p.at], sc.s[token:end]) {
			return sc.redact(token, end, AuthScheme)
		}
	}
	return p.at + 1
}

// tokenEnd returns the end of the token68 of RFC 9110 at s[i].
func (sc *scanner) tokenEnd(i int, encoded bool) int {
	start := i
	for i < len(sc.s) {
		c, n := sc.peek(i, encoded)
		if !is(c, clDotted) && c != '~' && c != '+' && c != '/' && c != '=' {
			break
		}
		if _, pem := pemOpens(sc.s, i); pem {
			break
		}
		i += n
	}
	return trimDots(sc.s, start, i)
}

// challenge reports whether s[start:end] is a parameter of a WWW-Authenticate
// header, such as realm="x", and no token.
func (sc *scanner) challenge(start, end int) bool {
	return sc.s[end-1] == '=' && end < len(sc.s) && isQuote(sc.s[end]) &&
		run(sc.s, start, clWord, end-start) == end-1
}

// bearerToken tells a token from prose: "bearer of news", "Bearer token is
// missing". A single word of letters counts if it is long, or follows a
// scheme with a capital and is no word of an error message.
func bearerToken(scheme, token string) bool {
	if !lettersOnly(token) {
		return len(token) >= 4
	}
	if isLower(scheme[0]) && strings.IndexFunc(token, func(r rune) bool { return isUpper(byte(r)) }) < 0 {
		return len(token) >= 16
	}
	return len(token) >= 6 && !prose.hasWord(token)
}

// basicToken reports whether token is base64 of a text with a colon, or a
// long string that is no word.
func basicToken(_, token string) bool {
	raw := strings.TrimRight(token, "=")
	if len(raw) < 4 || lettersOnly(raw) && isWord(raw) {
		return false
	}
	if len(raw) >= 24 {
		return len(raw) < len(token) || hasDigit(raw) || lettersOnly(raw)
	}
	var buf [24]byte
	n, _ := base64.RawStdEncoding.Decode(buf[:], []byte(raw[:len(raw)&^3]))
	return strings.IndexByte(string(buf[:n]), ':') >= 0
}

// splunkToken knows the GUID of an HTTP Event Collector and a session key.
func splunkToken(_, token string) bool { return len(token) >= 20 && hasDigit(token) }

func lettersOnly(s string) bool { return run(s, 0, clLetter, len(s)) == len(s) }

// isWord reports whether the letters are written as a word is: all of one
// case, or with a capital at most at the start.
func isWord(s string) bool {
	return s[1:] == strings.ToLower(s[1:]) || s == strings.ToUpper(s)
}
