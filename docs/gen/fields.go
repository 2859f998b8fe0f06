package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// field is one field of the event as the documents show it.
type field struct {
	path     string // source.extra.user_agent; [] behind a list
	kind     string // string, integer, boolean, time, JSON, object, list of strings, list of objects, strings by key
	max      int    // bytes of a string
	items    int
	question string
	doc      string
	fields   []field
	required bool
}

var questions = map[string]string{
	"what": "what", "when": "when", "where": "where", "source": "source", "outcome": "outcome", "who": "who",
}

// required are the fields that every event has.
var required = map[string]bool{
	"schema": true, "audit_id": true, "type": true, "stage": true, "logged_at": true,
	"outcome": true, "severity": true, "component": true,
}

// eventFields describes the event from its struct and from the comments in its
// source, which is in dir.
func eventFields(dir string) ([]field, error) {
	comments, err := fieldComments(filepath.Join(dir, "event.go"))
	if err != nil {
		return nil, err
	}
	return describe(reflect.TypeFor[emitter.Event](), "", comments), nil
}

func describe(t reflect.Type, prefix string, comments map[string]string) []field {
	var out []field
	for f := range t.Fields() {
		if !f.IsExported() {
			continue
		}
		d := field{path: prefix + f.Tag.Get("json"), doc: comments[t.Name()+"."+f.Name], question: questions[f.Tag.Get("au3")]}
		d.max, _ = strconv.Atoi(f.Tag.Get("max"))
		d.items, _ = strconv.Atoi(f.Tag.Get("items"))
		d.required = required[d.path]
		in := f.Type
		switch d.kind = kindOf(f.Type); d.kind {
		case "list of objects":
			in = f.Type.Elem()
			d.fields = describe(in, d.path+"[].", comments)
		case "object":
			d.fields = describe(in, d.path+".", comments)
		}
		out = append(out, d)
	}
	return out
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t == reflect.TypeFor[emitter.Int]():
		return "integer"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Map:
		return "strings by key"
	case reflect.Struct:
		return "object"
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.Struct:
			return "list of objects"
		case reflect.String:
			return "list of strings"
		default:
			return "JSON"
		}
	default:
		return "integer"
	}
}

// fieldComments returns the comment above each field of each struct of a file,
// by "Struct.Field".
func fieldComments(path string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			return false
		}
		for _, f := range st.Fields.List {
			for _, name := range f.Names {
				out[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return false
	})
	return out, nil
}
