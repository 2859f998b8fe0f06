package formats

import (
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// grammar is a format of a header and key=value pairs: CEF or LEEF.
type grammar struct {
	head   func(dst []byte, e *emitter.Event) []byte
	key    func(f *field) *key
	sep    byte    // between two pairs
	text   *syntax // of a value
	item   *syntax // of an item of a list
	millis func(e *emitter.Event) int64
	mark   key // under which a record that was cut has the digest of the whole
}

// shortest is how many bytes of a text are worth keeping where it has to be cut.
const shortest = 32

// whole appends e with all of its fields.
func (g *grammar) whole(dst []byte, e *emitter.Event) []byte {
	dst = g.head(dst, e)
	first := len(dst)
	for i := range fields {
		dst = g.pair(dst, e, &fields[i], first)
	}
	return dst
}

// within appends of e what fits in limit bytes, and the mark. A field is written
// whole if it fits; of a text that does not, the beginning.
func (g *grammar) within(dst []byte, e *emitter.Event, limit int, digest string) []byte {
	end := len(dst) + limit - g.markSize(digest)
	dst = g.head(dst, e)
	first := len(dst)
	for i := range fields {
		f, from := &fields[i], len(dst)
		if dst = g.pair(dst, e, f, first); len(dst) > end {
			dst = g.shortPair(dst[:from], e, f, end)
		}
	}
	return g.markPair(dst, digest)
}

// pair appends one field; first is where the first pair begins. A field without a
// value adds nothing.
func (g *grammar) pair(dst []byte, e *emitter.Event, f *field, first int) []byte {
	k := g.key(f)
	if k.name == "" {
		return dst
	}
	name, label, text := k.name, k.label, ""
	if f.kind == kindText || f.kind == kindAddr {
		if text = f.value(e, k.max); text == "" {
			return dst
		}
		name, label = k.of(f, text)
	}
	from := len(dst)
	if from > first {
		dst = append(dst, g.sep)
	}
	dst = append(append(dst, name...), '=')
	begin := len(dst)
	dst = g.value(dst, e, f, k, text)
	if len(dst) == begin {
		return dst[:from]
	}
	return g.label(dst, name, label)
}

// value appends the value of f; text is that of a text.
func (g *grammar) value(dst []byte, e *emitter.Event, f *field, k *key, text string) []byte {
	switch f.kind {
	case kindText, kindAddr:
		return g.text.append(dst, text)
	case kindList:
		return f.appendItems(dst, e, g.item, k.max)
	case kindLabels:
		return appendLabels(dst, e, g.item)
	case kindTime:
		return strconv.AppendInt(dst, g.millis(e), 10)
	case kindBool:
		if _, ok := f.number(e); ok {
			dst = append(dst, "true"...)
		}
	case kindNumber:
		if v, ok := f.number(e); ok {
			dst = strconv.AppendInt(dst, k.clamp(v), 10)
		}
	case kindJSON: // in no pair
	}
	return dst
}

// label appends the pair that explains the one of name.
func (g *grammar) label(dst []byte, name, label string) []byte {
	if label == "" {
		return dst
	}
	dst = append(append(append(dst, g.sep), name...), "Label="...)
	return append(dst, label...)
}

// shortPair appends the beginning of a text, so that dst ends at end or before.
func (g *grammar) shortPair(dst []byte, e *emitter.Event, f *field, end int) []byte {
	if f.kind != kindText {
		return dst
	}
	k, from := g.key(f), len(dst)
	tail := 0
	if k.label != "" {
		tail = len(g.label(nil, k.name, k.label))
	}
	room := end - tail - len(dst) - len(k.name) - 2
	if room < shortest {
		return dst
	}
	dst = append(append(append(dst, g.sep), k.name...), '=')
	begin := len(dst)
	if dst = g.text.appendWithin(dst, f.value(e, k.max), room); len(dst) == begin {
		return dst[:from]
	}
	return g.label(dst, k.name, k.label)
}

func (g *grammar) markPair(dst []byte, digest string) []byte {
	dst = append(append(append(dst, g.sep), g.mark.name...), '=')
	return g.label(append(dst, digest...), g.mark.name, g.mark.label)
}

func (g *grammar) markSize(digest string) int { return len(g.markPair(nil, digest)) }
