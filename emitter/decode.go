package emitter

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Decode reads one event from its canonical JSON. The event keeps a copy of
// line, without white space around it, as its stored bytes, so that fields which
// a newer version added travel on unchanged. An error means that line is no
// event.
func Decode(line []byte) (*Event, error) {
	e := new(Event)
	line = bytes.Trim(line, " \t\r\n")
	if !decodeFast(line, e) {
		*e = Event{}
		if err := json.Unmarshal(line, e); err != nil {
			return nil, fmt.Errorf("decode event: %w", err)
		}
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	e.stored = append([]byte(nil), line...)
	e.sealed = e.Integrity != (Integrity{})
	return e, nil
}

// check reports the first required field that is missing.
func (e *Event) check() error {
	switch {
	case e.Schema == "":
		return errMissing("schema")
	case e.AuditID == "":
		return errMissing("audit_id")
	case e.Type == "":
		return errMissing("type")
	case e.Stage == "":
		return errMissing("stage")
	case e.LoggedAt.IsZero():
		return errMissing("logged_at")
	case e.Outcome == "":
		return errMissing("outcome")
	}
	return nil
}

type errMissing string

func (f errMissing) Error() string { return "no " + string(f) }
