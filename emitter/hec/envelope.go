package hec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// envelope is what stands around every event:
//
//	{"time":1763816400.123456,"host":…,"source":…,"sourcetype":…,"index":…,"event":BODY,"fields":{…}}
//
// HEC takes an envelope with a key that it does not know, and then silently
// drops it and all behind it; so there are no others than these.
type envelope struct {
	head []byte // from "host" to "event":
	tail []byte // what comes after the body
	text bool
	json bool // bodies are JSON, whatever they are
}

func newEnvelope(opt Options) envelope {
	var head []byte
	for _, m := range [...]struct{ key, value string }{
		{"host", opt.Host}, {"source", opt.Source}, {"sourcetype", opt.SourceType}, {"index", opt.Index},
	} {
		if m.value != "" {
			head = append(head, `"`+m.key+`":`...)
			head = append(append(head, quote(m.value)...), ',')
		}
	}
	tail := []byte("}")
	if len(opt.Fields) > 0 {
		fields, _ := json.Marshal(opt.Fields) // strings always can
		tail = append(append([]byte(`,"fields":`), fields...), '}')
	}
	return envelope{head: append(head, `"event":`...), tail: tail, text: opt.Text, json: opt.Trusted}
}

// append renders r. A body that cannot be an event is a [emitter.Permanent]
// error: sent with others, it would keep those behind it out.
func (e envelope) append(dst []byte, r emitter.Record) ([]byte, error) {
	body := r.Body
	switch {
	case len(body) == 0:
		return dst, unfit(r, errors.New("it is empty"))
	case e.text:
		body = quote(string(body))
	case !e.json && !json.Valid(body):
		return dst, unfit(r, errors.New("it is not valid JSON"))
	}
	dst = append(dst, '{')
	if !r.Time.IsZero() {
		dst = append(appendTime(append(dst, `"time":`...), r.Time), ',')
	}
	dst = append(dst, e.head...)
	dst = append(dst, body...)
	return append(dst, e.tail...), nil
}

func unfit(r emitter.Record, err error) error {
	return emitter.Permanent(fmt.Errorf("hec: body of seq %d, %d bytes, cannot be sent: %w", r.Seq, len(r.Body), err))
}

// appendTime appends t as seconds since 1970 with six digits after the point.
// It is written as text, since HEC refuses exponents.
func appendTime(dst []byte, t time.Time) []byte {
	micro := t.UnixMicro()
	if micro < 0 {
		dst, micro = append(dst, '-'), -micro
	}
	dst = strconv.AppendInt(dst, micro/1e6, 10)
	digits := strconv.AppendInt(nil, 1e6+micro%1e6, 10)
	return append(append(dst, '.'), digits[1:]...)
}

// quote returns s as a JSON string, as valid UTF-8.
func quote(s string) []byte {
	quoted, _ := json.Marshal(s) // a string always can
	return quoted
}
