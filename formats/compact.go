package formats

import (
	"cmp"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Compact appends e as one line for people, in UTC:
//
//	13:39:50.678 failure mcp_tool_call     github_create_issue tool_error 12ms alice@203.0.113.9
//
// The outcome is padded to 7 columns and the type to 17. Texts that a stranger
// chose are quoted as Go strings when they hold anything but printable
// characters, or a space where that would look like two fields; so a line on a
// terminal shows what the event says and does nothing.
func Compact(dst []byte, e *emitter.Event) []byte {
	dst = e.LoggedAt.UTC().AppendFormat(dst, "15:04:05.000 ")
	dst = pad(dst, string(e.Outcome), 7)
	dst = append(dst, ' ')
	dst = pad(dst, string(e.Type), 17)
	if name := cmp.Or(e.Target.Name, e.Workflow.Name); name != "" {
		dst = word(append(dst, ' '), name)
	}
	if e.Target.Tool != "" && e.Target.Tool != e.Target.Name {
		dst = word(append(dst, "->"...), e.Target.Tool)
	}
	if e.Reason != "" {
		dst = word(append(dst, ' '), string(e.Reason))
	}
	if l := &e.Loss; l.Count > 0 {
		dst = fmt.Appendf(dst, " %d of seqs %d to %d ", l.Count, l.FirstSeq, l.LastSeq)
		dst = word(dst, l.Cause)
	}
	if d := e.Metadata.Extra.DurationMS; d.Set {
		dst = append(strconv.AppendInt(append(dst, ' '), d.Value, 10), "ms"...)
	}
	dst = word(append(dst, ' '), cmp.Or(e.Subjects.User, e.Subjects.UserID, e.Subjects.Type, "-"))
	if e.Source.Value != "" {
		dst = word(append(dst, '@'), e.Source.Value)
	}
	if msg := e.Metadata.Extra.ErrorMessage; msg != "" {
		dst = strconv.AppendQuote(append(dst, ' '), msg)
	}
	return dst
}

func pad(dst []byte, s string, width int) []byte {
	from := len(dst)
	dst = word(dst, s)
	for len(dst)-from < width {
		dst = append(dst, ' ')
	}
	return dst
}

// word appends s, quoted if it could be taken for anything but one word.
func word(dst []byte, s string) []byte {
	for _, r := range s {
		if r == ' ' || r == '"' || r == utf8.RuneError || !strconv.IsPrint(r) {
			return strconv.AppendQuote(dst, s)
		}
	}
	if s == "" {
		return append(dst, `""`...)
	}
	return append(dst, s...)
}
