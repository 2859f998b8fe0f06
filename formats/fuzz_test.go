package formats

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

// filler fills an event with what a fuzzer gives it: any bytes in any text.
type filler struct{ rest string }

// next takes a text off: a byte of length, in units of three bytes, and the text.
func (f *filler) next() string {
	if f.rest == "" {
		return ""
	}
	n := min(3*int(f.rest[0]), len(f.rest)-1)
	s := f.rest[1 : 1+n]
	f.rest = f.rest[1+n:]
	return s
}

func (f *filler) number() int64 {
	var v int64
	for _, c := range []byte(f.next()) {
		v = v<<8 | int64(c)
	}
	return v
}

func (f *filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.next())
	case reflect.Int, reflect.Int64:
		v.SetInt(f.number())
	case reflect.Uint64:
		v.SetUint(uint64(f.number()))
	case reflect.Bool:
		v.SetBool(f.number() != 0)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{f.next(): f.next(), f.next(): f.next()}))
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(f.next()))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMicro(f.number())))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
	default:
	}
}

// FuzzFormats renders arbitrary events and reads them again with the strict parsers:
// one line, valid UTF-8, just the values that the event has, and no more bytes than
// the limit.
func FuzzFormats(f *testing.F) {
	f.Add("", uint16(0), false)
	f.Add(strings.Repeat("\x05a=b|c^d\\e\"f]", 90), uint16(0), true)
	f.Add(strings.Repeat("\x04\n\r\t\x00\xff\xc3\u2028\u0085 ", 90), uint16(1), false)
	f.Add(strings.Repeat("\xff"+formatstest.Evil, 70), uint16(700), true)
	f.Add(strings.Repeat("\x03\\\\\\\\\\\\\\\\\\", 300), uint16(3), true)
	f.Add(strings.Repeat("\xff\xf0\x9f\x98\x80", 4000), uint16(77), false)
	f.Add(strings.Repeat("\x01a =", 200), uint16(0), false)
	for size := range uint16(7) { // each header, and the least limits
		f.Add(strings.Repeat("\xff"+strings.Repeat(`"`, 765), 170), size, size > 3)
		f.Add(strings.Repeat("\xff"+strings.Repeat(`\`, 765), 170), size, size > 3)
		f.Add(strings.Repeat("\xff"+strings.Repeat("|", 765), 170), size, size > 3)
	}
	f.Add(strings.Repeat("\x03fe80::1%a", 200), uint16(512), false)
	f.Fuzz(func(t *testing.T, text string, size uint16, stored bool) {
		e := new(emitter.Event)
		in := filler{text}
		in.fill(reflect.ValueOf(e).Elem())
		if year := e.LoggedAt.UTC().Year(); year < 1 || year > 9999 {
			e.LoggedAt = time.UnixMicro(0) // the canonical JSON has no other
		}
		if e.Type == "" { // no event is without these
			e.Type = emitter.TypeToolCall
		}
		if e.AuditID == "" {
			e.AuditID = "a"
		}
		if stored {
			line := emitter.AppendEvent(nil, e)
			if again, err := emitter.Decode(line); err == nil {
				e = again
			}
		}
		for _, name := range Names() {
			limit := 0
			if name != NameCompact && size%4 != 0 {
				limit = MinSize + int(size)
			}
			h := Headers()[int(size)%3]
			if name == NameRFC5424 {
				h = HeaderRFC5424
			}
			check(t, e, name, h, limit)
		}
	})
}
