package aggregate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Members of entries. MCP 2025-11-25, schema.ts: Tool, Prompt, Resource,
// ResourceTemplate.
const (
	nameKey        = "name"
	uriKey         = "uri"
	templateKey    = "uriTemplate"
	descriptionKey = "description"
	annotationsKey = "annotations"
)

// span is where a value stands in the bytes of an entry.
type span struct{ start, end int }

// entry is one listed thing: its bytes and where those stand that may change.
type entry struct {
	raw         json.RawMessage
	id          string // name or URI
	idAt        span
	description span // zero: it has none
	annotations span // likewise
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
	found, described, annotated := 0, 0, 0
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
		case name == annotationsKey:
			annotated++
			e.annotations = at
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
	case annotated > 1:
		return entry{}, "has more than one " + annotationsKey
	}
	return e, ""
}

// rewrite returns the entry with another name and, as far as o has them, another
// description and annotations. All other bytes stay.
func (e entry) rewrite(name string, o Override) json.RawMessage {
	var edits []edit
	if name != e.id {
		edits = append(edits, edit{e.idAt, quoted(name)})
	}
	set := func(at span, key, value string) {
		if at == (span{}) { // a member more, after the name
			at, value = span{e.idAt.end, e.idAt.end}, `,"`+key+`":`+value
		}
		edits = append(edits, edit{at, value})
	}
	if o.Description != "" {
		set(e.description, descriptionKey, quoted(o.Description))
	}
	if o.Annotations != (Annotations{}) {
		set(e.annotations, annotationsKey, annotate(e.raw[e.annotations.start:e.annotations.end], o.Annotations.values()))
	}
	return apply(e.raw, edits)
}

// annotate returns the annotations own, empty for none, with these values, which
// are JSON. All other bytes stay, unless own is no object. A key that is there in
// another case or twice has the value everywhere: readers differ in which one
// counts.
func annotate(own []byte, values map[string]string) string {
	var edits []edit
	missing := maps.Clone(values)
	object := members(own, func(name string, at span) {
		for key, value := range values {
			if strings.EqualFold(name, key) {
				edits = append(edits, edit{at, value})
			}
		}
		delete(missing, name)
	})
	if !object {
		own, edits, missing = []byte("{}"), nil, values
	}
	var more strings.Builder
	for _, key := range slices.Sorted(maps.Keys(missing)) {
		more.WriteString(quoted(key) + ":" + missing[key] + ",")
	}
	start := bytes.IndexByte(own, '{') + 1
	text := more.String()
	if own[skipSpace(own, start)] == '}' {
		text = strings.TrimSuffix(text, ",")
	}
	return string(apply(own, append(edits, edit{span{start, start}, text})))
}

// edit puts text in the place of at.
type edit struct {
	at   span
	text string
}

// apply returns raw with the edits, which do not overlap; raw itself if there are
// none.
func apply(raw []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return raw
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.at.start, b.at.start) })
	size := len(raw)
	for _, d := range edits {
		size += len(d.text)
	}
	out := make([]byte, 0, size)
	last := 0
	for _, d := range edits {
		out = append(append(out, raw[last:d.at.start]...), d.text...)
		last = d.at.end
	}
	return append(out, raw[last:]...)
}

// quoted returns text as a JSON string, with < > & as they are.
func quoted(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}
