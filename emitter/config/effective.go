package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Source says where a value came from.
type Source string

// The sources of values.
const (
	SourceDefault Source = "default"
	SourceEnv     Source = "env"
	SourceFile    Source = "file"
	SourceFlag    Source = "flag"
)

// Value is one variable's value in force.
type Value struct {
	Name   string `json:"name"`            // with the prefix
	Value  string `json:"value,omitempty"` // secrets are redacted, unprintable text is quoted; empty: none
	Source Source `json:"source"`
	From   string `json:"from,omitempty"` // what gave the value: a variable, a flag, a file; empty for a plain default
}

// Effective returns the values that [Load] would answer with, in the order of
// [Doc]; then the numbered destinations that are on. The error is that of
// Load.
func Effective(environ []string, opt LoadOptions) ([]Value, error) {
	l, c, err := load(environ, opt)
	if err != nil {
		return nil, err
	}
	var values []Value
	for _, v := range documented {
		values = append(values, l.effective(v, l.holder(c, v.group)))
	}
	for i, n := range l.numbers {
		if n == 1 {
			continue
		}
		for _, v := range describeGroup(reflect.TypeFor[FileDestination](), "FILE", n) {
			values = append(values, l.effective(v, reflect.ValueOf(c.Files[i])))
		}
	}
	return values, nil
}

// holder returns the struct that has the fields of group, or an invalid value
// if that destination is off.
func (l *loader) holder(c Config, group string) reflect.Value {
	if group == "" {
		return reflect.ValueOf(c)
	}
	for i, n := range l.numbers {
		if groupOf("FILE", n) == group {
			return reflect.ValueOf(c.Files[i])
		}
	}
	return reflect.Value{}
}

func (l *loader) effective(v variable, holder reflect.Value) Value {
	value := Value{Name: v.doc.Name, Value: v.doc.Default, Source: SourceDefault}
	g, set := l.given[v.key]
	if set {
		value.Source, value.From = g.source, printable(g.from)
	}
	switch {
	case v.fileOf != "":
		value.Value = printable(g.text)
	case v.doc.Secret && !set:
	case holder.IsValid():
		value.Value = printable(valueText(holder.FieldByName(v.field).Interface()))
	}
	return value
}

// valueText returns a field's value as its variable would have it.
func valueText(value any) string {
	switch x := value.(type) {
	case *url.URL:
		if x == nil {
			return ""
		}
		return x.String()
	case []string:
		return strings.Join(x, ",")
	case []netip.Prefix:
		return joined(x, netip.Prefix.String)
	case map[string]string:
		return joined(sortedKeys(x), func(key string) string { return key + "=" + x[key] })
	default:
		return fmt.Sprint(x)
	}
}

func joined[T any](items []T, text func(T) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = text(item)
	}
	return strings.Join(texts, ",")
}

func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(text)
	}
	return text
}
