// Package wire reads and writes JSON-RPC 2.0 messages without decoding what
// they carry: parameters, results and errors stay the bytes that came.
//
// What is read is checked to be one JSON text, and no key that decides
// something may stand twice or in another case: readers disagree on which one
// counts, and then the audit would tell of another call than the one that ran.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Raw is JSON that is passed on as it is.
type Raw = json.RawMessage

// The error codes of JSON-RPC and of MCP that a gateway gives itself.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	CodeNotFound       = -32002 // resource, up to revision 2025-11-25
	CodeHeader         = -32020
	CodeVersion        = -32022
)

// Message is one JSON-RPC message. Of a request ID, Method and Params are set,
// of a notification there is no ID, of a response there is Result or Error.
type Message struct {
	ID     Raw // a string or a number as it came; nil: none
	Method string
	Params Raw // an object; nil: none
	Result Raw
	Error  Raw
}

// Request reports whether m asks for an answer.
func (m *Message) Request() bool { return m.Method != "" && m.ID != nil }

// Notification reports whether m is one.
func (m *Message) Notification() bool { return m.Method != "" && m.ID == nil }

// Response reports whether m answers a request.
func (m *Message) Response() bool { return m.Method == "" && (m.Result != nil || m.Error != nil) }

// ErrSyntax says that bytes are no JSON text; other errors of [Parse] say that
// the text is no message.
var ErrSyntax = errors.New("not JSON")

// Parse reads one message. It keeps b.
func Parse(b []byte) (Message, error) {
	var m Message
	b = bytes.TrimSpace(b)
	if !json.Valid(b) {
		return m, ErrSyntax
	}
	if b[0] != '{' {
		return m, errors.New("a message must be an object")
	}
	fields, err := Pick(b, "jsonrpc", "id", "method", "params", "result", "error")
	if err != nil {
		return m, err
	}
	m = Message{ID: fields[1], Params: fields[3], Result: fields[4], Error: fields[5]}
	if string(m.Params) == "null" {
		m.Params = nil // as some write that there are none
	}
	if string(m.Error) == "null" && m.Result != nil {
		m.Error = nil
	}
	if fields[2] != nil {
		m.Method = Text(fields[2])
	}
	return m, m.check(fields[0], fields[2])
}

func (m *Message) check(version, method Raw) error {
	switch {
	case Text(version) != "2.0":
		return errors.New(`"jsonrpc" must be "2.0"`)
	case method != nil && m.Method == "":
		return errors.New(`"method" must be a string`)
	case m.ID != nil && !ValidID(m.ID):
		return errors.New(`"id" must be a string or a number`)
	case method != nil && (m.Result != nil || m.Error != nil), m.Result != nil && m.Error != nil:
		return errors.New("a message is a request or a response, with a result or an error")
	case method == nil && m.Result == nil && m.Error == nil:
		return errors.New("a message has a method, a result or an error")
	case m.Params != nil && m.Params[0] != '{':
		return errors.New(`"params" must be an object`)
	case m.Error != nil && m.Error[0] != '{':
		return errors.New(`"error" must be an object`)
	}
	return nil
}

const maxID = 256 // bytes of an id

// ValidID reports whether id is a string or a number of reasonable length.
func ValidID(id Raw) bool {
	return len(id) > 0 && len(id) <= maxID && utf8.Valid(id) && (id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9')
}

// Text returns the string that v is, "" for anything else.
func Text(v Raw) string {
	var s string
	if len(v) == 0 || v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

// Quote returns s as JSON. Unlike [json.Marshal] it leaves <, > and & alone.
func Quote(s string) Raw {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return bytes.TrimRight(buf.Bytes(), "\n")
}

// Pick returns the values of the named members of a JSON object that is known
// to be valid, nil for those that are not there. A name that stands twice or in
// another case is an error.
func Pick(object Raw, names ...string) ([]Raw, error) {
	values := make([]Raw, len(names))
	err := walk(object, func(key string, value Raw, _ int) error {
		for i, name := range names {
			switch {
			case key == name && values[i] != nil:
				return fmt.Errorf("%q stands there twice", name)
			case key == name:
				values[i] = value
			case strings.EqualFold(key, name): // also in other letters that readers fold, as U+017F
				return fmt.Errorf("%q is written %q", name, key)
			}
		}
		return nil
	})
	return values, err
}

// Get returns a member of a valid JSON object, nil if there is none or if v is
// no object. Of a name that stands twice the first counts.
func Get(object Raw, path ...string) Raw {
	for _, name := range path {
		var found Raw
		_ = walk(object, func(key string, value Raw, _ int) error {
			if key == name {
				found = value
				return errStop
			}
			return nil
		})
		if found == nil {
			return nil
		}
		object = found
	}
	return object
}

var errStop = errors.New("stop")

// Set returns a valid JSON object with one member set: in its place if it is
// there, else at the end. Every other byte stays. No object counts as an empty
// one.
func Set(object Raw, name string, value Raw) Raw {
	if len(object) == 0 || object[0] != '{' {
		object = Raw("{}")
	}
	at, length, members := -1, 0, 0
	_ = walk(object, func(key string, v Raw, offset int) error {
		members++
		if key == name {
			at, length = offset, len(v)
			return errStop
		}
		return nil
	})
	out := make(Raw, 0, len(object)+len(name)+len(value)+4)
	if at >= 0 {
		return append(append(append(out, object[:at]...), value...), object[at+length:]...)
	}
	out = append(out, bytes.TrimRight(object[:bytes.LastIndexByte(object, '}')], " \t\r\n")...)
	if members > 0 {
		out = append(out, ',')
	}
	out = append(append(out, Quote(name)...), ':')
	return append(append(out, value...), '}')
}

// SetIn is [Set] for a member of a member: it makes the objects on the way.
func SetIn(object Raw, value Raw, path ...string) Raw {
	if len(path) == 1 {
		return Set(object, path[0], value)
	}
	return Set(object, path[0], SetIn(Get(object, path[0]), value, path[1:]...))
}

// Without returns a valid JSON object without the named members. Every other
// member stays as it is.
func Without(object Raw, names ...string) Raw {
	out, dropped := Raw{'{'}, false
	Members(object, func(key string, value Raw) {
		if slices.Contains(names, key) {
			dropped = true
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, Quote(key)...), ':'), value...)
	})
	if !dropped {
		return object
	}
	return append(out, '}')
}

// maxElements bounds what one array is taken apart into: the bounds of those who
// ask for elements are lower, and millions of them would take much more memory
// than the array.
const maxElements = 100_000

// Elements returns the elements of a valid JSON array, the first 100,000 of
// them; nil for anything else.
func Elements(array Raw) []Raw {
	if len(array) == 0 || array[0] != '[' {
		return nil
	}
	var out []Raw
	for i := space(array, 1); i < len(array) && array[i] != ']' && len(out) < maxElements; {
		end := skip(array, i)
		out = append(out, array[i:end:end])
		if i = space(array, end); array[i] == ',' {
			i = space(array, i+1)
		}
	}
	return out
}

// Members calls f with each member of a valid JSON object, in their order.
func Members(object Raw, f func(key string, value Raw)) {
	_ = walk(object, func(key string, value Raw, _ int) error { f(key, value); return nil })
}

// walk calls f with each member of a valid JSON object, and the place of its
// value, until it returns an error. Of what is no object there are none.
func walk(object Raw, f func(key string, value Raw, at int) error) error {
	if len(object) == 0 || object[0] != '{' {
		return nil
	}
	for i := space(object, 1); i < len(object) && object[i] != '}'; {
		end := skip(object, i)
		key := Text(object[i:end])
		i = space(object, space(object, end)+1) // behind the colon
		end = skip(object, i)
		if err := f(key, object[i:end:end], i); err != nil {
			return err
		}
		if i = space(object, end); object[i] == ',' {
			i = space(object, i+1)
		}
	}
	return nil
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// skip returns the end of the value that begins at b[i], of valid JSON.
func skip(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
			continue // within a value: nothing has ended
		default:
			for i < len(b) && !bytes.ContainsRune([]byte(",:]} \t\r\n"), rune(b[i])) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

func skipString(b []byte, i int) int {
	for i++; ; i += 2 {
		i += bytes.IndexAny(b[i:], `"\`)
		if b[i] == '"' {
			return i + 1
		}
	}
}
