package formats

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// kind says what a field holds; the getter of that name reads it.
type kind uint8

const (
	kindText   kind = iota // text
	kindAddr               // text: an IP address, or what stands in place of one
	kindList               // item: texts, joined by commas
	kindNumber             // number
	kindBool               // number: true; false is left out
	kindTime               // logged_at
	kindJSON               // raw: only in flat JSON, as a string
	kindLabels             // observer.labels: key=value, joined by commas
)

// field is one field of the event and its name in each format.
type field struct {
	path  string
	kind  kind
	max   int // bytes of a text or of an item, as emitter.Event bounds it
	items int // of a list, likewise

	text   func(e *emitter.Event) string
	item   func(e *emitter.Event, i int) (string, bool)
	number func(e *emitter.Event) (int64, bool)
	raw    func(e *emitter.Event) json.RawMessage

	flat  string // key in flat JSON
	cef   key
	leef  key
	sd    string // parameter of the structured data; empty: not there
	brief bool   // it is in the structured data around other formats too
}

// key is a key of CEF or LEEF. Without a name the format has the field in its
// header, or not at all.
type key struct {
	name  string
	label string // value of the key nameLabel that CEF's custom keys need
	max   int    // most bytes of a text, or largest number, where the key takes less than the field has
	min   int    // least number
	v6    string // the name for an IPv6 address
	host  string // the name for what is no address
}

const maxInteger = math.MaxInt32 // of CEF's type Integer

// labelV6 are the labels that the CEF standard gives to its IPv6 keys.
var labelV6 = map[string]string{"c6a2": "Source IPv6 Address", "c6a3": "Destination IPv6 Address"}

// of returns the name and the label under which text stands.
func (k *key) of(f *field, text string) (name, label string) {
	if f.kind != kindAddr {
		return k.name, k.label
	}
	addr := parseAddr(text)
	switch {
	case !addr.IsValid():
		return k.host, ""
	case addr.Is4() || k.v6 == "":
		return k.name, ""
	}
	return k.v6, labelV6[k.v6]
}

// parseAddr returns the address that s is, without a zone, else none. Whatever has
// another character is not parsed: an error would be allocated.
func parseAddr(s string) netip.Addr {
	v6 := strings.IndexByte(s, ':') >= 0
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && (!v6 || c != ':' && !isAlnum(c)) {
			return netip.Addr{}
		}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

// clamp returns v as far as the key can hold it.
func (k *key) clamp(v int64) int64 {
	if k.max > 0 {
		return min(max(v, int64(k.min)), int64(k.max))
	}
	return v
}

func optional(v emitter.Int) (int64, bool) { return v.Value, v.Set }
func nonZero(v int) (int64, bool)          { return int64(v), v != 0 }
func counted(v uint64) (int64, bool)       { return int64(min(v, math.MaxInt64)), v != 0 }
func yes(v bool) (int64, bool)             { return 1, v }

func at(list []string, i int) (string, bool) {
	if i < len(list) {
		return list[i], true
	}
	return "", false
}

// value returns the text of a field of kind text or addr as the canonical JSON has
// it, without white space around it, within limit bytes.
func (f *field) value(e *emitter.Event, limit int) string {
	s := f.text(e)
	if s == "" {
		return ""
	}
	s = trim(emitter.Bounded(s, f.max))
	if limit > 0 {
		s = emitter.Bounded(s, limit)
	}
	return s
}

// appendItems appends the items of a list, joined by commas; x has to write a comma
// as something else. What is longer than limit bytes before it is escaped ends in
// "…"; 0: no limit.
func (f *field) appendItems(dst []byte, e *emitter.Event, x *syntax, limit int) []byte {
	size := 0
	for i := range f.items {
		s, ok := f.item(e, i)
		if !ok {
			break
		}
		s = trim(emitter.Bounded(s, f.max))
		size += len(s) + 1
		if limit > 0 && size > limit-len(ellipsis) {
			return append(dst, ellipsis...)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = x.append(dst, s)
	}
	return dst
}

// The bounds of observer.labels, as emitter.Event has them.
const (
	maxLabels   = 16
	maxLabelKey = 64
	maxLabel    = 256
)

// appendLabels appends the labels in the order of their keys. It looks for the next
// key again and again, so that nothing is allocated.
func appendLabels(dst []byte, e *emitter.Event, x *syntax) []byte {
	last := ""
	for i := range maxLabels {
		next, found := "", false
		for k := range e.Observer.Labels {
			if (i == 0 || k > last) && (!found || k < next) {
				next, found = k, true
			}
		}
		if !found {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		last = next
		dst = x.append(dst, trim(emitter.Bounded(next, maxLabelKey)))
		dst = x.append(dst, "=")
		dst = x.append(dst, trim(emitter.Bounded(e.Observer.Labels[next], maxLabel)))
	}
	return dst
}
