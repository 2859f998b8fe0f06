package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"time"

	"github.com/rs/zerolog"
)

// node is a member of a JSON object. It has one of the values.
type node struct {
	key     string
	value   any // string, int64, bool or []string; nil: an object
	members []node
}

// parse reads an object, the order of its members kept.
func parse(line []byte) ([]node, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	return members(dec)
}

// members reads up to the end of an object that has begun.
func members(dec *json.Decoder) ([]node, error) {
	var all []node
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		n := node{key: key.(string)}
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch v := token.(type) {
		case string, bool:
			n.value = v
		case json.Number:
			if n.value, err = v.Int64(); err != nil {
				return nil, err
			}
		case json.Delim:
			if v == '{' {
				n.members, err = members(dec)
			} else {
				n.value, err = list(dec)
			}
			if err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%s is %v", n.key, v)
		}
		all = append(all, n)
	}
	_, err := dec.Token()
	return all, err
}

func list(dec *json.Decoder) (texts []string, err error) {
	for dec.More() {
		var s string
		if err := dec.Decode(&s); err != nil {
			return nil, err
		}
		texts = append(texts, s)
	}
	_, err = dec.Token()
	return texts, err
}

// withEncodingJSON marshals a struct that has the members as its fields.
func withEncodingJSON(root []node, w io.Writer) func() {
	v := structOf(root).Addr().Interface()
	enc := json.NewEncoder(w)
	return func() { _ = enc.Encode(v) }
}

func structOf(ns []node) reflect.Value {
	var fields []reflect.StructField
	var values []reflect.Value
	for i, n := range ns {
		v := reflect.ValueOf(n.value)
		if n.value == nil {
			v = structOf(n.members)
		}
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: v.Type(), Tag: reflect.StructTag(`json:"` + n.key + `"`),
		})
		values = append(values, v)
	}
	s := reflect.New(reflect.StructOf(fields)).Elem()
	for i, v := range values {
		s.Field(i).Set(v)
	}
	return s
}

// withSlog logs the members as attributes that are ready; it adds level and msg,
// which cannot be left out without making it slower.
func withSlog(root []node, w io.Writer) func() {
	h := slog.NewJSONHandler(w, nil)
	attrs := attrsOf(root)
	ctx := context.Background()
	return func() {
		r := slog.NewRecord(time.Time{}, slog.LevelInfo, "", 0)
		r.AddAttrs(attrs...)
		_ = h.Handle(ctx, r)
	}
}

func attrsOf(ns []node) []slog.Attr {
	var attrs []slog.Attr
	for _, n := range ns {
		if n.value == nil {
			attrs = append(attrs, slog.Attr{Key: n.key, Value: slog.GroupValue(attrsOf(n.members)...)})
		} else {
			attrs = append(attrs, slog.Any(n.key, n.value))
		}
	}
	return attrs
}

// withZerolog builds the members one after the other, as a program would.
func withZerolog(root []node, w io.Writer) func() {
	log := zerolog.New(w)
	return func() { fill(log.Log(), root).Send() }
}

func fill(e *zerolog.Event, ns []node) *zerolog.Event {
	for i := range ns {
		n := &ns[i]
		switch v := n.value.(type) {
		case string:
			e.Str(n.key, v)
		case int64:
			e.Int64(n.key, v)
		case bool:
			e.Bool(n.key, v)
		case []string:
			e.Strs(n.key, v)
		default:
			e.Dict(n.key, fill(zerolog.Dict(), n.members))
		}
	}
	return e
}
