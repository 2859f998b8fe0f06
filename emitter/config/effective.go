package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
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
	_, c, err := load(environ, opt)
	return c.values, err
}

// values returns the values in force.
func (l *loader) values(c Config) []Value {
	var values []Value
	for _, v := range documented {
		values = append(values, l.effective(v, l.holder(c, v.group)))
	}
	for _, d := range l.on {
		kind, number, _ := strings.Cut(strings.TrimSuffix(d.group, "_"), "_")
		n, err := strconv.Atoi(number)
		if err != nil {
			continue // the first of its kind
		}
		for _, v := range describeGroup(d.fields.Type(), kind, n) {
			values = append(values, l.effective(v, d.fields))
		}
	}
	return values
}

// holder returns the struct that has the fields of group, or an invalid value
// if that destination is off.
func (l *loader) holder(c Config, group string) reflect.Value {
	if group == "" {
		return reflect.ValueOf(c)
	}
	for _, d := range l.on {
		if d.group == group {
			return d.fields
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
	case time.Duration: // 5m, not 5m0s
		text := x.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
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
