package hectest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
)

// flaw is why a batch is not taken whole.
type flaw struct {
	code   int
	text   string
	number int // of the event; -1: not said
}

// parse returns the events of body that are indexed: those before the first
// one that is not fit.
func parse(body []byte, indexes []string) ([]Event, *flaw) {
	d := json.NewDecoder(bytes.NewReader(body))
	var events []Event
	for i := 0; ; i++ {
		var fields map[string]json.RawMessage
		err := d.Decode(&fields)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return events, &flaw{6, "Invalid data format", i}
		}
		e, strange, f := envelope(fields, indexes)
		if f != nil {
			f.number += i
			return events, f
		}
		if strange { // this and all behind it vanish, without a word if there were others
			if i == 0 && !d.More() {
				return nil, &flaw{5, "No data", -1}
			}
			return events, nil
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil, &flaw{5, "No data", -1}
	}
	return events, nil
}

// decimal is a time that is taken: Splunk refuses exponents.
var decimal = regexp.MustCompile(`^"?-?[0-9]+(\.[0-9]+)?"?$`)

// envelope reads one envelope. The number in the flaw is relative to it.
func envelope(fields map[string]json.RawMessage, indexes []string) (e Event, strange bool, f *flaw) {
	for key, value := range fields {
		switch key {
		case "event":
			e.Body = value
		case "time":
			e.Time = string(value)
			if !decimal.Match(value) {
				return e, false, &flaw{15, "Error in handling indexed fields", 0}
			}
		case "host", "source", "sourcetype", "index":
			var text string
			if json.Unmarshal(value, &text) != nil {
				return e, false, &flaw{6, "Invalid data format", 0}
			}
			*map[string]*string{"host": &e.Host, "source": &e.Source, "sourcetype": &e.Type, "index": &e.Index}[key] = text
		case "fields":
			if !flat(value, &e.Fields) {
				return e, false, &flaw{15, "Error in handling indexed fields", 0}
			}
		default:
			strange = true
		}
	}
	switch {
	case strange:
		return e, true, nil
	case fields["event"] == nil || string(e.Body) == "null":
		return e, false, &flaw{12, "Event field is required", 0}
	case string(e.Body) == `""`:
		return e, false, &flaw{13, "Event field cannot be blank", 0}
	case e.Index != "" && indexes != nil && !slices.Contains(indexes, e.Index):
		return e, false, &flaw{7, "Incorrect index", 1} // it names the one behind
	}
	return e, false, nil
}

// flat reports whether fields is an object of strings, numbers, booleans and
// lists of strings.
func flat(value json.RawMessage, fields *map[string]json.RawMessage) bool {
	if json.Unmarshal(value, fields) != nil {
		return false
	}
	for _, v := range *fields {
		var list []string
		if v[0] == '{' || v[0] == '[' && json.Unmarshal(v, &list) != nil {
			return false
		}
	}
	return true
}
