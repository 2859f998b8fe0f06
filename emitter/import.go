package emitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// unknownStream is where the events are missing from that an audit_loss event
// without a place in a chain names.
const unknownStream = "unknown"

// Import reads one event from a line of another trail, to be emitted in this
// one: its audit_id and what it says stay. Its place in the other chain becomes
// origin_integrity, unless it has one already, which is then that of the first
// trail. What an audit_loss event names is missing from the other chain, not from
// ours. A line that is no canonical JSON is brought into its form: unknown
// members travel on. An error means that line is no event, names a member twice
// or is too large.
func Import(line []byte) (*Event, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("import event: invalid UTF-8")
	}
	e, err := Decode(line)
	if err != nil {
		return nil, err
	}
	given, canonical := e.stored, bytes.Equal(AppendEvent(make([]byte, 0, len(line)), e), e.stored)
	sealed := e.sealed
	if sealed && e.OriginIntegrity == (Integrity{}) {
		e.OriginIntegrity = e.Integrity
	}
	loss := e.Loss.FirstSeq > 0 && e.Loss.Stream == ""
	if loss {
		if e.Loss.Stream = e.Integrity.Stream; e.Loss.Stream == "" {
			e.Loss.Stream = unknownStream
		}
	}
	e.Integrity, e.sealed = Integrity{}, false
	switch {
	case !canonical:
		if e.stored, err = restore(given, e, loss); err != nil {
			return nil, fmt.Errorf("import event: %w", err)
		}
	case sealed || loss:
		e.stored = AppendEvent(make([]byte, 0, len(line)+256), e)
	}
	if len(e.stored) > spool.MaxPayload {
		return nil, fmt.Errorf("import event: %d bytes, the limit is %d", len(e.stored), spool.MaxPayload)
	}
	return e, nil
}

// restore returns the members of object as they are, without white space between
// them and with the escapes of canonical JSON, and the origin of e behind them. With
// loss that member is the one of e.
func restore(object []byte, e *Event, loss bool) ([]byte, error) {
	if err := onceEach(object); err != nil {
		return nil, err
	}
	w := writer{buf: append(make([]byte, 0, len(object)+256), '{')}
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		key, _ := token.(string)
		switch folded := fold(key); {
		case folded == "integrity" || folded == "origin_integrity":
		case folded == "loss" && loss:
			w.loss(&e.Loss)
		default:
			w.member(key, value)
		}
	}
	w.integrity("origin_integrity", &e.OriginIntegrity)
	return append(w.buf, '}'), nil
}

// fold returns what is equal of two names that encoding/json takes for one.
func fold(key string) string { return strings.ToLower(strings.ToUpper(key)) }

// onceEach returns an error if an object in text names a member twice: two readers
// could read two events. What stands in data is somebody else's.
func onceEach(text []byte) error {
	type level struct {
		seen  map[string]bool // nil: it is a list
		key   string          // of the value that comes; "": a key does
		exact bool            // the names are free
	}
	var levels []level
	dec := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := dec.Token()
		if err != nil {
			return nil // the end: it was decoded
		}
		var in level
		if len(levels) > 0 {
			in = levels[len(levels)-1]
		}
		if key, ok := token.(string); ok && in.seen != nil && in.key == "" {
			if !in.exact {
				key = fold(key)
			}
			if in.seen[key] {
				return fmt.Errorf("the member %q stands twice", bounded(key, 64))
			}
			in.seen[key] = true
			if len(levels) == 1 && key == "data" {
				_ = dec.Decode(new(json.RawMessage)) // it was decoded
				continue
			}
			levels[len(levels)-1].key = ":" + key
			continue
		}
		if len(levels) > 0 {
			levels[len(levels)-1].key = ""
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{seen: map[string]bool{}, exact: in.key == ":labels"})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
	}
}

// member appends a member whose key and value are JSON of somebody else.
func (w *writer) member(k string, v json.RawMessage) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(appendString(w.buf, k, len(k)), ':')
	var b bytes.Buffer
	_ = json.Compact(&b, v) // it was decoded
	w.buf = appendRawText(w.buf, b.Bytes())
}
