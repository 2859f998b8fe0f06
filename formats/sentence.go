package formats

import (
	"cmp"
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// sentence is the format rfc5424: the fields as structured data and, for people,
// one line as the message:
//
//	Tool called: "github_create_issue" on "github", failure because of "tool_error", by "alice" from "203.0.113.9", 12 ms
type sentence struct {
	header *header
	limit  int // 0: none
	bom    bool
}

func newSentence(opt Options) *sentence {
	return &sentence{header: newHeader(opt), limit: opt.MaxSize, bom: opt.BOM}
}

func (s *sentence) append(dst []byte, e *emitter.Event) []byte {
	from := len(dst)
	dst = append(append(s.header.fields(dst, e, maxProcID), '['), s.header.sdid...)
	at := len(dst)
	for i := range fields {
		if f := &fields[i]; f.sd != "" {
			dst = appendParam(dst, e, f, 0)
		}
	}
	dst = s.message(append(dst, ']'), e)
	if s.limit == 0 || len(dst)-from <= s.limit {
		return dst
	}
	return s.within(dst[:at], e, from+s.limit, digestOf(dst[from:]))
}

// leastSentence is what is kept free for the message where a record has to be cut.
const leastSentence = 160

// within appends what fits before end, behind the id of the structured data.
func (s *sentence) within(dst []byte, e *emitter.Event, end int, digest string) []byte {
	mark := ` truncated="` + digest + `"]`
	last := end - leastSentence - len(mark)
	for i := range fields {
		f, from := &fields[i], len(dst)
		if f.sd == "" {
			continue
		}
		if dst = appendParam(dst, e, f, 0); len(dst) <= last {
			continue
		}
		dst = dst[:from]
		if room := last - from - len(f.sd) - len(` =""`); f.kind == kindText && room >= shortest {
			dst = appendParam(dst, e, f, room)
		}
	}
	dst = append(dst, mark...)
	at := len(dst)
	dst = s.message(dst, e)
	if len(dst) <= end {
		return dst
	}
	cut := end - len(ellipsis)
	for cut > at && dst[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return append(dst[:cut], ellipsis...)
}

// plain is the text of the message. What a stranger chose stands in quotes, and has
// none in it.
var plain = newSyntax(`"`, "'")

// message appends a space, the byte order mark and the sentence.
func (s *sentence) message(dst []byte, e *emitter.Event) []byte {
	dst = append(dst, ' ')
	if s.bom {
		dst = append(dst, "\xEF\xBB\xBF"...)
	}
	dst = append(append(dst, kindOf(e).Name...), ": "...)
	if name := cmp.Or(e.Target.Name, e.Workflow.Name, e.Target.Tool); name != "" {
		dst = append(quoted(dst, name, 512), ' ')
	}
	if e.Target.Server.Name != "" {
		dst = append(quoted(append(dst, "on "...), e.Target.Server.Name, 128), ' ')
	}
	dst = append(dst, outcomeOf(e)...)
	if e.Reason != "" {
		dst = quoted(append(dst, " because of "...), string(e.Reason), 64)
	}
	dst = quoted(append(dst, ", by "...), cmp.Or(e.Subjects.User, e.Subjects.UserID, e.Subjects.Type, "nobody known"), 256)
	if e.Source.Value != "" {
		dst = quoted(append(dst, " from "...), e.Source.Value, 64)
	}
	if d := e.Metadata.Extra.DurationMS; d.Set {
		dst = append(strconv.AppendInt(append(dst, ", "...), d.Value, 10), " ms"...)
	}
	if l := &e.Loss; l.Count > 0 {
		dst = strconv.AppendUint(append(dst, ", missing "...), l.Count, 10)
		dst = strconv.AppendUint(append(dst, " of seq "...), l.FirstSeq, 10)
		dst = strconv.AppendUint(append(dst, " to "...), l.LastSeq, 10)
	}
	if msg := e.Metadata.Extra.ErrorMessage; msg != "" {
		dst = quoted(append(dst, ", "...), msg, 512)
	}
	return dst
}

func quoted(dst []byte, s string, limit int) []byte {
	dst = plain.append(append(dst, '"'), emitter.Bounded(s, limit))
	return append(dst, '"')
}
