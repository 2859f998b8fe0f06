package redact

import "strings"

// Classes of ASCII bytes. Redaction looks at bytes, not runes: every shape it
// knows is ASCII, and a byte of a longer rune is never in a class.
const (
	clUpper = 1 << iota
	clLower
	clDigit
	clUnder // _
	clDash  // -
	clDot   // .
	clBlank // space, tab
	clBreak // other white space and control bytes
)

const (
	clLetter = clUpper | clLower
	clAlnum  = clLetter | clDigit
	clWord   = clAlnum | clUnder
	clName   = clWord | clDash
	clDotted = clName | clDot
	clSpace  = clBlank | clBreak
)

var classes = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c >= 'A' && c <= 'Z':
			t[c] = clUpper
		case c >= 'a' && c <= 'z':
			t[c] = clLower
		case c >= '0' && c <= '9':
			t[c] = clDigit
		case c == '_':
			t[c] = clUnder
		case c == '-':
			t[c] = clDash
		case c == '.':
			t[c] = clDot
		case c == ' ' || c == '\t':
			t[c] = clBlank
		case c < ' ' || c == 0x7f:
			t[c] = clBreak
		}
	}
	return t
}()

func is(c byte, class uint8) bool { return classes[c]&class != 0 }
func isUpper(c byte) bool         { return is(c, clUpper) }
func isLower(c byte) bool         { return is(c, clLower) }
func isLetter(c byte) bool        { return is(c, clLetter) }

// run returns the end of the run of class in s that begins at i, looking at no
// more than most bytes. A run with dashes ends before five of them, so that
// it never swallows the beginning of a PEM block.
func run(s string, i int, class uint8, most int) int {
	end := len(s)
	if most < end-i {
		end = i + most
	}
	for i < end && is(s[i], class) {
		if s[i] == '-' && strings.HasPrefix(s[i:], "-----") {
			break
		}
		i++
	}
	return i
}

// hasFold reports whether s begins with the lower-case prefix, in any case.
func hasFold[T ~string | ~[]byte](s T, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if isUpper(c) {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// hasWord reports whether the ASCII word is in the set, in any case.
func (ws wordSet) hasWord(word string) bool {
	var buf [24]byte
	if len(word) > len(buf) {
		return false
	}
	n := 0
	for i := range len(word) {
		if isLetter(word[i]) {
			buf[n] = word[i] | 0x20
			n++
		}
	}
	return ws.has(buf[:n])
}

// unpercent returns the byte at s[i] with percent-encoding undone, also where
// the percent sign was itself encoded (%253D), and how many bytes it takes.
func unpercent(s string, i int) (c byte, n int) {
	if s[i] != '%' {
		return s[i], 1
	}
	j := i + 1
	for layers := 0; layers < 4 && j+4 <= len(s) && s[j] == '2' && s[j+1] == '5' && isHex(s[j+2]) && isHex(s[j+3]); layers++ {
		j += 2
	}
	if j+2 > len(s) || !isHex(s[j]) || !isHex(s[j+1]) {
		return '%', 1
	}
	return unhex(s[j])<<4 | unhex(s[j+1]), j + 2 - i
}

func isHex(c byte) bool {
	return is(c, clDigit) || (c|0x20 >= 'a' && c|0x20 <= 'f')
}

func unhex(c byte) byte {
	if is(c, clDigit) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
