package redact

import "strings"

// balanced returns the index after the bracket that closes the one at s[i],
// or the end of s. Brackets in strings do not count; the first quote of a
// string shows how many backslashes stand before the one that closes it.
func balanced(s string, i int) int {
	var quote byte // of the string s[i] is in
	depth, slashes, escapes := 0, 0, 0
	for ; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			slashes++
			continue
		}
		switch {
		case quote == 0 && (c == '"' || c == '\'' && !is(s[i-1], clAlnum)):
			quote, escapes = c, slashes
		case quote != 0:
			if c == quote && slashes == escapes {
				quote = 0
			}
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		slashes = 0
	}
	return len(s)
}

// opensPair reports whether word ends in a secret name and a separator, so
// that the next word is its value, and of what kind that is.
func opensPair(word string) (kind, bool) {
	end := len(word) - 1
	if end < 1 || word[end] != '=' && word[end] != ':' {
		return plain, false
	}
	var l label
	l.find(copy(l.text[:], word[max(0, end-maxBack):end]))
	return kindOf(l.name()), secretName(l.name())
}

// isFlag reports whether word is a command line flag with a secret name.
func isFlag(word string) bool {
	return word != "" && word[0] == '-' && run(word, 0, clName, maxBack) == len(word) && SecretKey(word)
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
