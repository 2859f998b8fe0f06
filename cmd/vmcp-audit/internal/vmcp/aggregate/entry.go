package aggregate

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Members of entries. MCP 2025-11-25, schema.ts: Tool, Prompt, Resource,
// ResourceTemplate.
const (
	nameKey        = "name"
	uriKey         = "uri"
	templateKey    = "uriTemplate"
	descriptionKey = "description"
)

// span is where a value stands in the bytes of an entry.
type span struct{ start, end int }

// entry is one listed thing: its bytes and where those stand that may change.
type entry struct {
	raw         json.RawMessage
	id          string // name or URI
	idAt        span
	description span // zero: it has none
}

// parseEntry finds the identity of an entry in the member key. The problem is
// empty if there is none.
//
// An entry that has the member twice, or once more in another case, is refused:
// parsers differ in which one counts (encoding/json takes the last, in any
// case), so that a client could be shown another name than the one that is
// routed.
func parseEntry(raw json.RawMessage, key string) (e entry, problem string) {
	e.raw = raw
	found, described := 0, 0
	object := members(raw, func(name string, at span) {
		switch {
		case strings.EqualFold(name, key):
			found++
			if name != key || raw[at.start] != '"' {
				found = 2
			}
			e.id, e.idAt = unquoted(raw[at.start:at.end]), at
		case name == descriptionKey:
			described++
			e.description = at
		}
	})
	switch {
	case !object:
		return entry{}, "is not a JSON object"
	case found == 0:
		return entry{}, "has no " + key
	case found > 1:
		return entry{}, "has not one " + key + " that is text"
	case described > 1:
		return entry{}, "has more than one " + descriptionKey
	}
	return e, ""
}

// rewrite returns the entry with another name and, unless it is empty, another
// description. All other bytes stay.
func (e entry) rewrite(name, description string) json.RawMessage {
	if name == e.id && description == "" {
		return e.raw
	}
	edits := []edit{{e.idAt, quoted(name)}}
	switch {
	case description == "":
	case e.description == span{}: // a member more, after the name
		edits[0].text += `,"` + descriptionKey + `":` + quoted(description)
	case e.description.start < e.idAt.start:
		edits = []edit{{e.description, quoted(description)}, edits[0]}
	default:
		edits = append(edits, edit{e.description, quoted(description)})
	}
	out := make([]byte, 0, len(e.raw)+len(name)+len(description)+len(descriptionKey))
	last := 0
	for _, d := range edits {
		out = append(append(out, e.raw[last:d.at.start]...), d.text...)
		last = d.at.end
	}
	return append(out, e.raw[last:]...)
}

// edit puts text in the place of at.
type edit struct {
	at   span
	text string
}

// quoted returns text as a JSON string, with < > & as they are.
func quoted(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}
