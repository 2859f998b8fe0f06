package redact

import "strings"

// Text removes known secret shapes and the values of known secret names from
// free text: tool names, error messages, user agents, error bodies. It
// returns which rules fired, in the order of [Rules].
//
// It takes and keeps any bytes; mending UTF-8 is the caller's work. When
// nothing matches it returns s itself and allocates nothing. The result may be
// longer than s, up to five times in the worst case.
//
// The text should be whole. Of a text that was cut, the caller drops what
// follows the last white space first, since half a secret may not be known as
// one; [JSON] does so by itself.
func Text(s string) (string, []Rule) {
	return settle(s, false)
}

// settle scans s, and what comes out again, until nothing fires. One pass is
// nearly always enough; another is needed where a removal brings together
// what was apart, such as a URI and the blank inside its private key.
func settle(s string, whole bool) (string, []Rule) {
	const passes = 4
	var fired ruleSet
	for range passes {
		sc := scanner{s: s, whole: whole}
		i := 0
		if whole {
			sc.urlEnd = len(s)
			i = sc.start()
		}
		sc.scan(i)
		if sc.fired == 0 {
			break
		}
		fired |= sc.fired
		s = sc.result()
	}
	return s, fired.list()
}

// scanner goes over a text once, from anchor to anchor. An anchor is a byte
// that is rare in plain text and in each secret shape; what stands before it
// is looked at backward, at most maxBack bytes. A name may lie in what is
// removed already, a secret may not begin there.
type scanner struct {
	s     string
	out   []byte
	fired ruleSet

	last   int  // s[:last] is in out
	whole  bool // s is one URI: white space and quotes do not end it
	urlEnd int  // s[i] with i < urlEnd is part of a URI
	noJWT  int  // no JWT begins before
}

// maxBack is how far back a name may begin from its separator.
const maxBack = maxName

// anchors are the bytes at which scan stops.
var anchors = func() (t [256]bool) {
	for c := range 256 {
		t[c] = len(shapesAt[c]) > 0 || strings.IndexByte("=:% \t+-J", byte(c)) >= 0
	}
	return t
}()

func (sc *scanner) scan(i int) {
	s := sc.s
	for i < len(s) {
		if !anchors[s[i]] {
			i++
			continue
		}
		i = sc.at(i)
	}
}

// at looks at the anchor s[i] and returns where to go on, after i.
func (sc *scanner) at(i int) int {
	switch sc.s[i] {
	case '=':
		return sc.pair(sep{at: i, n: 1, c: '='})
	case ':':
		return sc.colon(sep{at: i, n: 1, c: ':'})
	case ' ', '\t', '+':
		return sc.scheme(sep{at: i, n: 1, c: ' '})
	case '%':
		return sc.percent(i)
	case 'J':
		return sc.jwtAt(i)
	case '-':
		return sc.dash(i)
	default:
		return sc.shapeAt(i)
	}
}

// sep is a separator: '=', ':' or ' ' for any blank.
type sep struct {
	at, n   int
	c       byte
	encoded bool // it, and so what surrounds it, is percent-encoded
}

func (p sep) end() int { return p.at + p.n }

func (sc *scanner) percent(i int) int {
	c, n := unpercent(sc.s, i)
	p := sep{at: i, n: n, c: c, encoded: true}
	switch c {
	case '=':
		return sc.pair(p)
	case ':':
		return sc.colon(p)
	case ' ', '\t':
		return sc.scheme(p)
	}
	return i + 1
}

func (sc *scanner) colon(p sep) int {
	if end := sc.data(p); end > 0 {
		return end
	}
	if end := sc.authority(p); end > 0 {
		return end
	}
	return sc.pair(p)
}

func (sc *scanner) dash(i int) int {
	if end := sc.pemAt(i); end > 0 {
		return end
	}
	if end := sc.shapeAt(i); end > i+1 {
		return end
	}
	return sc.flag(i)
}

// redact replaces s[start:end] by the marker of r and returns end.
func (sc *scanner) redact(start, end int, r Rule) int {
	sc.out = append(sc.out, sc.s[sc.last:start]...)
	sc.out = append(sc.out, markerPrefix...)
	sc.out = append(sc.out, r...)
	sc.out = append(sc.out, ']')
	sc.last = end
	sc.fired.add(r)
	if start < sc.urlEnd && sc.urlEnd < end {
		sc.urlEnd = sc.uriEnd(end)
	}
	return end
}

func (sc *scanner) result() string {
	return string(append(sc.out, sc.s[sc.last:]...))
}

// peek returns the byte at s[i], decoded if encoded is set, and its length.
func (sc *scanner) peek(i int, encoded bool) (c byte, n int) {
	if encoded {
		return unpercent(sc.s, i)
	}
	return sc.s[i], 1
}

// skipBlanks returns the index of the first byte from i that is no blank.
func (sc *scanner) skipBlanks(i int, encoded bool) int {
	for i < len(sc.s) {
		c, n := sc.peek(i, encoded)
		if !is(c, clBlank) {
			break
		}
		i += n
	}
	return i
}
