package main

import (
	"encoding/json"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// ordered is a JSON object whose members keep their order.
type ordered []member

type member struct {
	key   string
	value any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, _ := json.Marshal(m.key)
		v, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// schema returns the JSON Schema of the event. Unknown members are allowed, as
// a newer version of 1.x may add some; what is known must be right.
func schema(fields []field) ([]byte, error) {
	s := append(ordered{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "urn:vmcp-audit:event:" + emitter.SchemaVersion},
		{"title", "vmcp-audit event " + emitter.SchemaVersion},
	}, object(fields)...)
	return json.MarshalIndent(s, "", "  ")
}

func object(fields []field) ordered {
	var props ordered
	var need []string
	for _, f := range fields {
		name := f.path[strings.LastIndexByte(f.path, '.')+1:]
		props = append(props, member{name, property(f)})
		if f.required {
			need = append(need, name)
		}
	}
	o := ordered{{"type", "object"}}
	if need != nil {
		o = append(o, member{"required", need})
	}
	return append(o, member{"minProperties", 1}, member{"properties", props})
}

func property(f field) ordered {
	doc := member{"description", f.doc}
	text := ordered{{"type", "string"}, {"minLength", 1}, {"maxLength", f.max}}
	switch f.kind {
	case "object":
		return append(ordered{doc}, object(f.fields)...)
	case "list of objects":
		return ordered{doc, {"type", "array"}, {"minItems", 1}, {"maxItems", f.items}, {"items", object(f.fields)}}
	case "list of strings":
		return ordered{doc, {"type", "array"}, {"minItems", 1}, {"maxItems", f.items}, {"items", ordered{{"type", "string"}, {"maxLength", f.max}}}}
	case "strings by key":
		return ordered{doc, {"type", "object"}, {"maxProperties", f.items}, {"additionalProperties", ordered{{"type", "string"}, {"maxLength", f.max}}}}
	case "time":
		return ordered{doc, {"type", "string"}, {"pattern", `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`}}
	case "boolean":
		return ordered{doc, {"const", true}}
	case "integer":
		if f.path == "severity" {
			return ordered{doc, {"type", "integer"}, {"minimum", 0}, {"maximum", 10}}
		}
		return ordered{doc, {"type", "integer"}}
	case "JSON":
		return ordered{doc}
	}
	if words := enum(f.path); words != nil {
		return ordered{doc, {"enum", words}}
	}
	return append(ordered{doc}, text...)
}

// enum returns the words of a closed set.
func enum(path string) (words []string) {
	switch path {
	case "type":
		for _, t := range emitter.Types() {
			words = append(words, string(t.Type))
		}
	case "stage":
		words = []string{string(emitter.StageReceived), string(emitter.StageCompleted)}
	case "outcome":
		for _, o := range emitter.Outcomes() {
			words = append(words, string(o))
		}
	case "reason":
		for _, r := range emitter.Reasons() {
			words = append(words, string(r.Reason))
		}
	}
	return words
}
