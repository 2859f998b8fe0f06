package jsonscan

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
)

// Value is one wanted value.
type Value struct {
	Kind Kind
	Cut  bool // the text was longer than Node.Max: Text and Raw are its beginning

	raw  []byte // the inside of a string as written, or a number
	text string // what Text has returned, "" for not asked yet
}

// Raw returns a number as written, or the inside of a string with its escapes.
func (v *Value) Raw() []byte { return v.raw }

// Text returns the string that the value is, or a number as written; "" for
// other kinds. Of a string that was cut, an escape at the cut is left out.
func (v *Value) Text() string {
	if v.text != "" || len(v.raw) == 0 {
		return v.text
	}
	if v.Kind == String {
		v.text = unquote(v.raw)
	} else {
		v.text = string(v.raw)
	}
	return v.text
}

func (v *Value) reset(k Kind) { v.Kind, v.Cut, v.raw, v.text = k, false, v.raw[:0], "" }

func (v *Value) add(p []byte, limit int) {
	room := limit - len(v.raw)
	if len(p) > room {
		v.Cut = true
		p = p[:max(room, 0)]
	}
	v.raw, v.text = append(v.raw, p...), ""
}

func escaped(raw []byte) bool { return bytes.IndexByte(raw, '\\') >= 0 }

// unquote decodes the inside of a JSON string, which may be cut anywhere.
func unquote(raw []byte) string {
	if !escaped(raw) {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	for cut := 0; cut <= 6 && cut <= len(raw); cut++ {
		var out string
		quoted := append(append([]byte{'"'}, raw[:len(raw)-cut]...), '"')
		if json.Unmarshal(quoted, &out) == nil {
			return out
		}
	}
	return ""
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns how many bytes of p come before the first quote, backslash or
// control character. It looks at eight bytes at a time.
func plain(p []byte) int {
	i := 0
	for ; i+8 <= len(p); i += 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		hit := (quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x
		if hit&highs != 0 {
			break
		}
	}
	for ; i < len(p); i++ {
		if c := p[i]; c == '"' || c == '\\' || c < 0x20 {
			return i
		}
	}
	return i
}
