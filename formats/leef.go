package formats

import (
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// leef1 and leef2 are IBM's Log Event Extended Format, with a TAB or a ^ between the
// attributes:
//
//	LEEF:1.0|vmcp-audit|vmcp-audit|0.3.0|mcp_tool_call|devTime=1763818790678<TAB>cat=success...
//	LEEF:2.0|vmcp-audit|vmcp-audit|0.3.0|mcp_tool_call|^|devTime=1763818790678^cat=success...
//
// There is no escape: TAB and line ends become a space, | and, in 2.0, ^ become an
// underscore. QRadar's map of events has two columns, EventID and cat; they are the
// type and the outcome, two closed sets.
// https://www.ibm.com/docs/en/dsm?topic=overview-predefined-leef-event-attributes
var (
	leef1 = newLEEF("LEEF:1.0|", "", '\t', newSyntax("|", "_"))
	leef2 = newLEEF("LEEF:2.0|", "^|", '^', newSyntax("|", "_", "^", "_"))
)

func newLEEF(begin, delimiter string, sep byte, text *syntax) *grammar {
	head := newSyntax("|", "_", "^", "_")
	return &grammar{
		head: func(dst []byte, e *emitter.Event) []byte {
			dst = append(append(dst, begin...), vendor+"|"+product+"|"...)
			dst = append(head.append(dst, versionOf(e)), '|')
			dst = append(append(dst, kindOf(e).Type...), '|')
			return append(dst, delimiter...)
		},
		key:    func(f *field) *key { return &f.leef },
		sep:    sep,
		text:   text,
		item:   text.with(",", ";"),
		millis: leefMillis,
		mark:   key{name: "truncated"},
	}
}

// leefMillis returns logged_at in milliseconds, of 13 digits: with any other number
// of them QRadar would ask for a format.
func leefMillis(e *emitter.Event) int64 {
	return min(max(e.LoggedAt.UnixMilli(), 1_000_000_000_000), 9_999_999_999_999)
}
