package middleware

import (
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/internal/redact"
)

// cleaner takes secrets out of the texts of one event and remembers where.
// Every text that a stranger chose passes through it, and before it is cut.
type cleaner struct {
	found []emitter.Redaction
}

const maxRedactions = 32

func (c *cleaner) note(path string, rules []redact.Rule) {
	for _, r := range rules {
		if len(c.found) < maxRedactions {
			c.found = append(c.found, emitter.Redaction{Path: path, Rule: string(r)})
		}
	}
}

func (c *cleaner) text(path, s string) string {
	s, rules := redact.Text(s)
	c.note(path, rules)
	return s
}

// header cleans the value of a header.
func (c *cleaner) header(path, s string) string {
	s, cut := headerText(s)
	return c.name(path, s, cut)
}

// name cleans a name of which no more than the beginning may be there.
func (c *cleaner) name(path, s string, cut bool) string {
	return c.text(path, whole(s, cut))
}

func (c *cleaner) uri(path, s string, cut bool) string {
	s, rules := redact.URI(whole(s, cut))
	c.note(path, rules)
	return s
}

// data cleans a message, or the beginning of one, and cuts it to limit bytes
// of JSON.
func (c *cleaner) data(path string, message []byte, limit int) []byte {
	out, found, cut := redact.JSON(nil, message, limit)
	for _, f := range found {
		c.note(path+f.Path, []redact.Rule{f.Rule})
	}
	if cut {
		c.note(path, []redact.Rule{ruleCut})
	}
	return out
}

// ruleCut says that data was cut, not that a secret was found.
const ruleCut redact.Rule = "cut"

// whole drops the last word of a text that was cut: it may be the beginning of
// a secret that could not be recognised. A text of one word keeps a little.
func whole(s string, cut bool) string {
	if !cut {
		return s
	}
	end := strings.LastIndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("+/=._-%~", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end <= 0 {
		end = min(len(s), 32)
	}
	return strings.ToValidUTF8(s[:end], "") + "…"
}

// Clean takes secrets out of what strangers chose in an event that a program
// made by itself, as from [Child]: the target's names and method and the error
// text.
func Clean(e *emitter.Event) {
	c := cleaner{found: e.Redactions}
	if e.Target.Type == "resource" {
		e.Target.Name = c.uri("target.name", e.Target.Name, false)
	} else {
		e.Target.Name = c.text("target.name", e.Target.Name)
	}
	e.Target.Tool = c.text("target.tool", e.Target.Tool)
	e.Target.Method = c.text("target.method", e.Target.Method)
	e.Metadata.Extra.ErrorMessage = c.text("metadata.extra.error_message", e.Metadata.Extra.ErrorMessage)
	e.Redactions = c.found
}
