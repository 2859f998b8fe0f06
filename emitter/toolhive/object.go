package toolhive

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// object is what is left of a line: each value that was moved into a field is
// taken out. Numbers keep their text.
type object map[string]any

// parse reads an object, and as objects what stands at one of containers; any
// other value is kept as its text.
func parse(b []byte, containers ...[]string) (object, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		return nil, err
	}
	if len(b) == 0 || b[0] != '{' {
		return nil, errors.New("it is no object")
	}
	o := split(b)
	for _, path := range containers {
		if v := o.raw(path...); len(v) > 0 && v[0] == '{' {
			o.at(path)[path[len(path)-1]] = split(v)
		}
	}
	return o, nil
}

// at returns the object that holds the last member of path, nil for none.
func (o object) at(path []string) object {
	for _, k := range path[:len(path)-1] {
		o, _ = o[k].(object)
	}
	return o
}

// raw returns the JSON text at path, nil for none and for null.
func (o object) raw(path ...string) json.RawMessage {
	switch v := o.at(path)[path[len(path)-1]].(type) {
	case json.RawMessage:
		if string(v) != "null" {
			return v
		}
	case object:
		return v.json()
	}
	return nil
}

// text returns the string at path, "" for none.
func (o object) text(path ...string) string {
	v := o.raw(path...)
	if len(v) == 0 || v[0] != '"' {
		return ""
	}
	return unquote(v)
}

// take moves the string at path to dst, unless a field of limit bytes would not
// hold it as it is: then what fits stands in both.
func (o object) take(dst *string, limit int, path ...string) {
	s := o.text(path...)
	if s == "" {
		return
	}
	*dst = s
	if fits(s, limit) {
		o.drop(path...)
	}
}

// fits reports whether a field of limit bytes holds s as the line had it.
func fits(s string, limit int) bool {
	return len(s) <= limit && !strings.ContainsRune(s, utf8.RuneError)
}

// takeInt moves the integer at path to dst.
func (o object) takeInt(dst *emitter.Int, path ...string) {
	if v, err := strconv.ParseInt(string(o.raw(path...)), 10, 64); err == nil {
		*dst = emitter.Of(v)
		o.drop(path...)
	}
}

func (o object) drop(path ...string) { delete(o.at(path), path[len(path)-1]) }

// dropIf drops a string that says nothing.
func (o object) dropIf(key, text string) {
	if o.text(key) == text {
		o.drop(key)
	}
}

// rest returns what was not taken, nil for nothing.
func (o object) rest() json.RawMessage {
	o.prune()
	if len(o) == 0 {
		return nil
	}
	return o.json()
}

// prune drops objects without members.
func (o object) prune() {
	for k, v := range o {
		if in, ok := v.(object); ok {
			if in.prune(); len(in) == 0 {
				delete(o, k)
			}
		}
	}
}

func (o object) json() json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(o) != nil {
		return nil // cannot be: all of it was JSON
	}
	return bytes.TrimSpace(b.Bytes())
}
