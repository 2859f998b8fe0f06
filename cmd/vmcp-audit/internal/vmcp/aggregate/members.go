package aggregate

import (
	"bytes"
	"encoding/json"
)

// members calls yield for each member of the object raw, in order, with where
// its value stands. It reports whether raw is an object; else nothing is
// yielded.
//
// A json.Decoder copies every value and takes three times as long (300 tools of
// 2 kB each).
func members(raw []byte, yield func(name string, value span)) bool {
	i := skipSpace(raw, 0)
	if i == len(raw) || raw[i] != '{' || !json.Valid(raw) {
		return false
	}
	// From here on raw is known to be valid: no step can leave it.
	for i = skipSpace(raw, i+1); raw[i] != '}'; {
		end := skipString(raw, i)
		name := unquoted(raw[i:end])
		i = skipSpace(raw, end)      // to the colon
		start := skipSpace(raw, i+1) // after it
		end = skipValue(raw, start)
		yield(name, span{start, end})
		if i = skipSpace(raw, end); raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return true
}

// skipSpace returns where the white space of JSON at i ends.
func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// skipString returns where the string that begins at i ends.
func skipString(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns where the value that begins at i, in an object, ends.
func skipValue(raw []byte, i int) int {
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		return skipNested(raw, i)
	default: // a number or word
		return i + bytes.IndexAny(raw[i:], " \t\n\r,}")
	}
}

// skipNested returns where the object or array that begins at i ends.
func skipNested(raw []byte, i int) int {
	for depth := 0; ; {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}

// unquoted returns the text of a JSON string; empty: it is none.
func unquoted(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 && raw[0] == '"' && isASCII(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

func isASCII(raw []byte) bool {
	for _, c := range raw {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
