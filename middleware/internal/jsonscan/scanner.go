package jsonscan

import "strings"

// Scanner reads one JSON text. Make it with [New]; it is not safe for
// concurrent use.
type Scanner struct {
	root *Node
	mode Mode

	state  state
	depth  int
	arrays []uint64        // bit d: the container at depth d is an array
	path   [maxPath]*Node  // node of the container at each depth, nil: nothing wanted in it
	seen   [maxPath]uint64 // members met in the container at each depth
	next   *Node           // node of the value that comes next, nil: not wanted
	into   *Value          // where the present scalar is kept, nil: nowhere
	max    int             // bytes that it may keep
	isKey  bool            // the present string is a key
	key    [maxKey]byte    // the present key as written
	keyLen int             // its length; more than maxKey: too long to be wanted
	rest   string          // what a literal still needs, or hex digits of an escape
	hex    int             // hex digits that an escape still needs
	values []Value
	dup    bool
	folded bool
}

type state uint8

const (
	beforeValue state = iota
	beforeValueOrEnd
	beforeKey
	beforeKeyOrEnd
	beforeColon
	afterValue
	inString
	inEscape
	inHex
	inLiteral
	inMinus
	inZero
	inInt
	inDot
	inFrac
	inE
	inSign
	inExp
	done
	failed
)

// New returns a scanner for the members of root, whose fields are below n.
func New(root *Node, n int, mode Mode) *Scanner {
	return &Scanner{root: root, mode: mode, next: root, values: make([]Value, n)}
}

// Reset makes the scanner ready for another text.
func (s *Scanner) Reset() {
	s.state, s.depth, s.next, s.into = beforeValue, 0, s.root, nil
	s.isKey, s.dup, s.folded = false, false, false
	for i := range s.values {
		s.values[i].reset(None)
	}
}

// Done reports whether the text has ended: its object or array is closed.
func (s *Scanner) Done() bool { return s.state == done }

// Failed reports whether the text is no JSON object or array.
func (s *Scanner) Failed() bool { return s.state == failed }

// Started reports whether anything but white space has come.
func (s *Scanner) Started() bool { return s.depth > 0 || s.state == done || s.state == failed }

// Value returns what was found for a field so far. It is valid until Reset.
func (s *Scanner) Value(field int) *Value { return &s.values[field] }

// Duplicate reports whether a wanted member came twice in one object.
func (s *Scanner) Duplicate() bool { return s.dup }

// Folded reports whether a wanted member was met only by folding its case.
func (s *Scanner) Folded() bool { return s.folded }

// Write reads the next piece and returns how many of its bytes belong to the
// text: all of them until the text ends or proves invalid.
func (s *Scanner) Write(p []byte) int {
	for i := 0; i < len(p); {
		switch {
		case s.state == inString:
			i += s.text(p[i:])
		case s.state >= done:
			return i
		default:
			if s.step(p[i]) {
				i++
			}
		}
	}
	return len(p)
}

// text consumes the piece of a string up to its end or its next escape.
func (s *Scanner) text(p []byte) int {
	n := plain(p)
	s.keep(p[:n])
	if n == len(p) {
		return n
	}
	switch c := p[n]; c {
	case '"':
		if s.isKey {
			s.endKey()
		} else {
			s.endScalar()
		}
	case '\\':
		s.keep(p[n : n+1])
		s.state = inEscape
	default:
		s.state = failed
	}
	return n + 1
}

// keep adds the bytes of the present key or scalar to what is kept of it.
func (s *Scanner) keep(p []byte) {
	if s.isKey {
		if s.keyLen <= maxKey {
			s.keyLen += copy(s.key[s.keyLen:], p)
			if s.keyLen == maxKey {
				s.keyLen++ // not distinguishable from a longer one
			}
		}
		return
	}
	if s.into != nil {
		s.into.add(p, s.max)
	}
}

// step takes one byte outside of a string's plain text. It returns false when
// the byte ended a number and is to be looked at again.
func (s *Scanner) step(c byte) bool {
	switch s.state {
	case inEscape, inHex:
		s.escape(c)
		return true
	case inLiteral:
		s.literal(c)
		return true
	case inMinus, inZero, inInt, inDot, inFrac, inE, inSign, inExp:
		return s.number(c)
	default:
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			s.token(c)
		}
		return true
	}
}

func (s *Scanner) token(c byte) {
	switch s.state {
	case beforeValueOrEnd:
		if c == ']' {
			s.closeContainer()
			return
		}
		s.beginValue(c)
	case beforeValue:
		s.beginValue(c)
	case beforeKeyOrEnd:
		if c == '}' {
			s.closeContainer()
			return
		}
		s.beginKey(c)
	case beforeKey:
		s.beginKey(c)
	case beforeColon:
		s.state = beforeValue
		if c != ':' {
			s.state = failed
		}
	default:
		s.afterValue(c)
	}
}

func (s *Scanner) afterValue(c byte) {
	array := s.isArray()
	switch {
	case c == ',' && array:
		s.state, s.next = beforeValue, nil
	case c == ',':
		s.state = beforeKey
	case c == ']' && array, c == '}' && !array:
		s.closeContainer()
	default:
		s.state = failed
	}
}

func (s *Scanner) beginKey(c byte) {
	if c != '"' {
		s.state = failed
		return
	}
	s.state, s.isKey, s.keyLen = inString, true, 0
}

// endKey finds the node of the key that has ended.
func (s *Scanner) endKey() {
	s.state, s.isKey, s.next = beforeColon, false, nil
	if s.depth > maxPath || s.path[s.depth-1] == nil || s.keyLen > maxKey {
		return
	}
	key := s.key[:s.keyLen]
	if i, folded := s.match(s.path[s.depth-1].Members, key); i >= 0 {
		s.next = s.path[s.depth-1].Members[i]
		s.folded = s.folded || folded
		s.dup = s.dup || s.seen[s.depth-1]&(1<<i) != 0
		s.seen[s.depth-1] |= 1 << i
	}
}

// match returns the index of the member that key names, -1 for none, and
// whether only by folding.
func (s *Scanner) match(members []*Node, key []byte) (i int, folded bool) {
	for i, m := range members {
		if string(key) == m.Key {
			return i, false
		}
	}
	if s.mode == Exact && !escaped(key) {
		return -1, false
	}
	name := unquote(key)
	for i, m := range members {
		if name == m.Key {
			return i, false
		}
	}
	if s.mode == Struct {
		for i, m := range members {
			if strings.EqualFold(name, m.Key) {
				return i, true
			}
		}
	}
	return -1, false
}

func (s *Scanner) beginValue(c byte) {
	switch {
	case c == '{':
		s.openContainer(Object, beforeKeyOrEnd)
		return
	case c == '[':
		s.openContainer(Array, beforeValueOrEnd)
		return
	case s.depth == 0:
		s.state = failed
		return
	}
	switch c {
	case '"':
		s.beginScalar(String, inString)
	case 't':
		s.beginLiteral(True, "true")
	case 'f':
		s.beginLiteral(False, "false")
	case 'n':
		s.beginLiteral(Null, "null")
	default:
		s.beginNumber(c)
	}
}

func (s *Scanner) beginLiteral(k Kind, word string) {
	s.beginScalar(k, inLiteral)
	s.rest = word[1:]
}

func (s *Scanner) beginScalar(k Kind, next state) {
	s.state, s.into = next, nil
	if s.next == nil {
		return
	}
	v := &s.values[s.next.Field]
	if s.mode == Struct && k == Null && v.Kind != None {
		return
	}
	s.clear(s.next, k)
	s.into, s.max = v, s.next.Max
}

func (s *Scanner) endScalar() { s.state, s.into = afterValue, nil }

func (s *Scanner) openContainer(k Kind, next state) {
	if s.depth == MaxDepth {
		s.state = failed
		return
	}
	if s.next != nil {
		s.clear(s.next, k)
	}
	d := s.depth
	if d>>6 == len(s.arrays) {
		s.arrays = append(s.arrays, 0)
	}
	s.arrays[d>>6] &^= 1 << (d & 63)
	if k == Array {
		s.arrays[d>>6] |= 1 << (d & 63)
		s.next = nil
	}
	if d < maxPath {
		s.path[d], s.seen[d] = s.next, 0
	}
	s.depth++
	s.state, s.next = next, nil
}

func (s *Scanner) closeContainer() {
	s.depth--
	s.state = afterValue
	if s.depth == 0 {
		s.state = done
	}
}

func (s *Scanner) isArray() bool {
	d := s.depth - 1
	return s.arrays[d>>6]&(1<<(d&63)) != 0
}

// clear begins a new value of n: what an earlier value left goes.
func (s *Scanner) clear(n *Node, k Kind) {
	s.values[n.Field].reset(k)
	if s.mode == Struct {
		return
	}
	for _, m := range n.Members {
		s.clear(m, None)
	}
}

func (s *Scanner) escape(c byte) {
	s.keep([]byte{c})
	if s.state == inHex {
		s.hex--
		switch {
		case !isHex(c):
			s.state = failed
		case s.hex == 0:
			s.state = inString
		}
		return
	}
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.state = inString
	case 'u':
		s.state, s.hex = inHex, 4
	default:
		s.state = failed
	}
}

func (s *Scanner) literal(c byte) {
	if c != s.rest[0] {
		s.state = failed
		return
	}
	if s.rest = s.rest[1:]; s.rest == "" {
		s.endScalar()
	}
}
