package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// Key describes one key to people.
type Key struct {
	Path     string // as backends[].url
	Kind     string // text, number, true/false, duration, list, mapping; empty: not in this version
	Default  string // empty: none
	Allowed  string // which values it takes; empty: any of its kind
	Doc      string // what it means
	ToolHive string // how ToolHive differs; empty: not at all, "-": it has no such key
	Later    bool   // a newer version will know it
	Operator bool   // it is for ToolHive's Kubernetes operator
}

var keys = slices.Concat(describe(reflect.TypeFor[document](), ""), describe(reflect.TypeFor[auditKeys](), "audit."))

// valueKeys are those of a value that stands elsewhere.
var valueKeys = describe(reflect.TypeFor[reference](), "")

// Keys describes every key in the order of the documents.
func Keys() []Key { return slices.Clone(keys) }

// describe lists the keys of a struct, each followed by those below it.
func describe(t reflect.Type, prefix string) []Key {
	var all []Key
	for f := range t.Fields() {
		k := Key{
			Path: prefix + f.Tag.Get("yaml"), Kind: kindName(f.Type), Default: f.Tag.Get("default"), Doc: f.Tag.Get("doc"),
			Allowed: allowed(f), ToolHive: f.Tag.Get("toolhive"), Later: f.Type == laterType, Operator: f.Type == foreignType,
		}
		inner, suffix := f.Type, "."
		if inner.Kind() == reflect.Slice {
			inner, suffix = inner.Elem(), "[]."
		} else if inner.Kind() == reflect.Map {
			inner, suffix = inner.Elem(), ".*."
		}
		if k.Doc != "" || k.Operator {
			all = append(all, k)
		}
		if inner.Kind() == reflect.Struct && !slices.Contains([]reflect.Type{laterType, foreignType, sectionType, textType}, inner) {
			all = append(all, describe(inner, k.Path+suffix)...)
		}
	}
	return all
}

func allowed(f reflect.StructField) string {
	switch {
	case f.Tag.Get("allowed") != "":
		return f.Tag.Get("allowed")
	case f.Tag.Get("oneof") != "":
		return strings.ReplaceAll(f.Tag.Get("oneof"), "|", ", ")
	case f.Tag.Get("limit") != "":
		return f.Tag.Get("min") + " to " + f.Tag.Get("limit")
	case f.Tag.Get("max") != "":
		return "at most " + f.Tag.Get("max") + " bytes"
	}
	return ""
}

func kindName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kindName(t.Elem())
	case t == laterType || t == foreignType:
		return ""
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Bool:
		return "true/false"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return "mapping"
	}
	return "text"
}
