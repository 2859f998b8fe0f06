package formats

import (
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// flat appends e as one JSON object without members inside of members. Keys are the
// paths of the event with _ for the dots; lists are one string, joined by commas, of
// items in which a comma is a semicolon; arguments and results are strings that
// hold JSON.
func flat(dst []byte, e *emitter.Event) []byte {
	dst = append(dst, '{')
	for i := range fields {
		dst = flatMember(dst, e, &fields[i], 0)
	}
	return append(dst, '}')
}

// shortFlat is the bound of a text of flat JSON that has to be cut.
const shortFlat = 64

// cutFlat appends of e what fits in limit bytes.
func cutFlat(dst []byte, e *emitter.Event, limit int, digest string) []byte {
	mark := `,"truncated":"` + digest + `"}`
	end := len(dst) + limit - len(mark)
	dst = append(dst, '{')
	for i := range fields {
		f, from := &fields[i], len(dst)
		if dst = flatMember(dst, e, f, 0); len(dst) <= end {
			continue
		}
		if dst = dst[:from]; f.kind == kindText || f.kind == kindAddr {
			if dst = flatMember(dst, e, f, shortFlat); len(dst) > end {
				dst = dst[:from]
			}
		}
	}
	return append(dst, mark...)
}

// flatMember appends one field, of a text at most limit bytes; 0: its own bound.
func flatMember(dst []byte, e *emitter.Event, f *field, limit int) []byte {
	from := len(dst)
	if f.flat == "" {
		return dst
	}
	if dst[from-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, '"'), f.flat...), '"', ':')
	begin := len(dst)
	if dst = flatValue(dst, e, f, limit); len(dst) == begin {
		return dst[:from]
	}
	return dst
}

func flatValue(dst []byte, e *emitter.Event, f *field, limit int) []byte {
	switch f.kind {
	case kindText, kindAddr:
		if s := f.text(e); s != "" {
			if limit == 0 {
				limit = f.max
			}
			dst = emitter.AppendString(dst, emitter.Bounded(s, f.max), limit)
		}
	case kindList:
		return flatQuoted(dst, f.appendItems(append(dst, '"'), e, flatItem, 0))
	case kindLabels:
		return flatQuoted(dst, appendLabels(append(dst, '"'), e, flatItem))
	case kindTime:
		dst = append(e.LoggedAt.UTC().AppendFormat(append(dst, '"'), timeLayout), '"')
	case kindBool:
		if _, ok := f.number(e); ok {
			dst = append(dst, "true"...)
		}
	case kindNumber:
		if v, ok := f.number(e); ok {
			dst = strconv.AppendInt(dst, v, 10)
		}
	case kindJSON:
		if raw := f.raw(e); len(raw) > 0 {
			dst = emitter.AppendString(dst, string(raw), emitter.MaxData)
		}
	}
	return dst
}

// flatItem is the syntax of an item of a list.
var flatItem = newSyntax(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, ",", ";")

// flatQuoted ends the string that was begun behind dst, or takes back one without a
// character.
func flatQuoted(dst, begun []byte) []byte {
	if len(begun) == len(dst)+1 {
		return begun[:len(dst)]
	}
	return append(begun, '"')
}
