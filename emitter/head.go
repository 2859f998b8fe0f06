package emitter

import (
	"bytes"
	"time"
)

// head reads audit_id and logged_at from where the canonical encoder puts them,
// without decoding the rest. It is false for what does not begin so.
func head(line []byte) (id string, at time.Time, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"schema":"`))
	if !ok {
		return "", at, false
	}
	_, rest, _ = bytes.Cut(rest, []byte(`","`))
	rest, ok = bytes.CutPrefix(rest, []byte(`audit_id":"`))
	if !ok {
		return "", at, false
	}
	first, rest, ok := bytes.Cut(rest, []byte(`","`))
	if !ok || bytes.IndexByte(first, '\\') >= 0 {
		return "", at, false
	}
	for { // type, stage: short words of our own
		value, ok := bytes.CutPrefix(rest, []byte(`logged_at":"`))
		if ok {
			value, _, _ = bytes.Cut(value, []byte{'"'})
			at, err := time.Parse(time.RFC3339Nano, string(value))
			return string(first), at, err == nil
		}
		if !bytes.HasPrefix(rest, []byte(`type":"`)) && !bytes.HasPrefix(rest, []byte(`stage":"`)) {
			return "", at, false
		}
		if _, rest, ok = bytes.Cut(rest, []byte(`","`)); !ok {
			return "", at, false
		}
	}
}
