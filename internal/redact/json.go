package redact

const (
	maxDepth = 64   // containers around a value that is kept
	maxSkip  = 1024 // containers inside a value that is left out
	minJSON  = 32   // bytes, the smallest limit of JSON
)

// JSON appends to dst a redacted copy of src, which is one JSON value or the
// beginning of one. What it appends is always one valid, compact JSON value
// of at most limit bytes (a limit below 32 counts as 32).
//
// Members with a secret name lose their whole value, other strings and object
// keys go through [Text] or [URI]. Redaction comes before cutting, so no piece
// of a secret is left at a cut. Numbers keep their text and duplicate keys
// stay. Invalid UTF-8 becomes U+FFFD. A value in more than 64 containers is
// replaced by a marker.
//
// truncated reports that something is missing at the end: src stopped early,
// was not JSON from some byte on, or did not fit. Then the rest is left out
// and open containers are closed; a string of which all is known may be
// shortened and ends in "…". If src is no JSON at all, null is appended.
//
// fired has at most 32 findings, in the order of the text. Time is linear in
// len(src); memory is that of the longest string.
func JSON(dst, src []byte, limit int) (out []byte, fired []Finding, truncated bool) {
	w := walker{src: src, dst: dst, limit: len(dst) + max(limit, minJSON)}
	if !w.value() {
		w.dst = append(w.dst[:len(dst)], "null"...)
		w.found = nil
	}
	if w.space(); w.pos < len(w.src) {
		w.cut = true
	}
	return w.dst, w.found, w.cut
}

// walker reads src and writes dst in one go. Each method that writes a value
// reports whether it did. Once cut is set nothing more is read; what is
// written by then gets closed.
type walker struct {
	src []byte
	pos int
	dst []byte

	limit int // of len(dst)
	open  int // containers, each of which still needs a byte
	cut   bool

	path  []step
	found []Finding
	buf   []byte // for decoded strings
}

// stop ends the walk and reports that no value was written.
func (w *walker) stop() bool {
	w.cut = true
	return false
}

// put appends s if it fits.
func (w *walker) put(s string) bool {
	if len(w.dst)+len(s)+w.open > w.limit {
		return w.stop()
	}
	w.dst = append(w.dst, s...)
	return true
}

// putQuoted appends s as a JSON string if it fits.
func (w *walker) putQuoted(s string) bool {
	size := len(w.dst)
	if size+len(s)+len(`""`)+w.open > w.limit {
		return w.stop()
	}
	if w.dst = appendQuoted(w.dst, s); len(w.dst)+w.open > w.limit {
		w.dst = w.dst[:size]
		return w.stop()
	}
	return true
}

// space skips white space and returns the next byte, 0 at the end.
func (w *walker) space() byte {
	for ; w.pos < len(w.src); w.pos++ {
		switch c := w.src[w.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// value copies the next value.
func (w *walker) value() bool {
	c := w.space()
	switch {
	case (c == '{' || c == '[') && len(w.path) >= maxDepth:
		return w.hide(Depth)
	case c == '{':
		return w.container('}', w.member)
	case c == '[':
		return w.container(']', w.element)
	case c == '"':
		return w.text()
	}
	return w.scalar()
}

// container copies an object or array, one item after the other. An item that
// cannot be written leaves no trace.
func (w *walker) container(closer byte, item func(*sibling) bool) bool {
	w.pos++
	w.open++
	if !w.put(string(closer - 2)) { // { and [ are two before } and ]
		w.open--
		return false
	}
	w.path = append(w.path, step{})
	for s := (sibling{}); w.more(closer, s.index); s.index++ {
		size, found := len(w.dst), len(w.found)
		if s.index > 0 {
			w.put(",")
		}
		if w.cut || !item(&s) {
			w.dst, w.found = w.dst[:size], w.found[:found]
		}
		if w.cut {
			break
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.open--
	w.dst = append(w.dst, closer)
	return true
}

// more reports whether another item follows, and moves to it. Otherwise it
// has moved past the closer, or stopped.
func (w *walker) more(closer byte, index int) bool {
	c := w.space()
	if c == closer {
		w.pos++
		return false
	}
	if index > 0 {
		if c != ',' {
			return w.stop()
		}
		w.pos++
		c = w.space()
	}
	if c == 0 || c == closer {
		return w.stop()
	}
	return true
}

// sibling is what an item of a container must know of those before it.
type sibling struct {
	index  int
	secret bool // a "name" member, or the flag before it, is a secret name
}

// member copies a key and its value.
func (w *walker) member(s *sibling) bool {
	key, ok := w.str()
	if !ok {
		return w.stop()
	}
	shown, rules := clean(key)
	w.path[len(w.path)-1] = step{key: shown, index: -1}
	if !w.putQuoted(shown) || w.space() != ':' || !w.put(":") {
		return w.stop()
	}
	w.pos++
	w.find(rules)
	// The shown key counts too: it is what a second redaction will see.
	if SecretKey(key) || SecretKey(shown) || s.secret && valueKeys.hasWord(key) {
		return w.hide(Key)
	}
	if nameKeys.hasWord(key) && w.space() == '"' {
		s.secret = w.secretString()
	}
	return w.value()
}

// nameKeys and valueKeys are the members of an object that spells out a pair:
// {"name":"password","value":"x"}.
var (
	nameKeys  = setOf(`name key header field variable`)
	valueKeys = setOf(`value val values defaultvalue default`)
)

// element copies an item of an array. After a flag, as in
// ["--password","x"], it is a secret.
func (w *walker) element(s *sibling) bool {
	w.path[len(w.path)-1] = step{index: s.index}
	isText := w.space() == '"'
	if s.secret && isText {
		s.secret = false
		return w.hide(Key)
	}
	s.secret = isText && w.pos+1 < len(w.src) && w.src[w.pos+1] == '-' && w.secretString()
	return w.value()
}

// secretString reports whether the string ahead is a secret name.
func (w *walker) secretString() bool {
	pos := w.pos
	s, ok := w.str()
	w.pos = pos
	if !ok {
		return false
	}
	shown, _ := clean(s)
	return SecretKey(s) || SecretKey(shown)
}

// hide writes the marker of r in place of the next value, also of one that is
// not complete.
func (w *walker) hide(r Rule) bool {
	if w.space() == 0 || !w.putQuoted(r.Marker()) {
		return w.stop()
	}
	w.find([]Rule{r})
	w.skip()
	return true
}

// scalar copies a number or a literal.
func (w *walker) scalar() bool {
	end := w.scalarEnd()
	text := string(w.src[w.pos:end])
	if text != "true" && text != "false" && text != "null" && !isNumber(text) {
		return w.stop()
	}
	if end == len(w.src) && len(w.path) > 0 {
		return w.stop() // perhaps the beginning of a longer one
	}
	w.pos = end
	return w.put(text)
}

// scalarEnd returns the end of the number or literal ahead.
func (w *walker) scalarEnd() int {
	end := w.pos
	for end < len(w.src) && (is(w.src[end], clDotted) || w.src[end] == '+') {
		end++
	}
	return end
}

// isNumber reports whether s is a JSON number.
func isNumber(s string) bool {
	i := 0
	digits := func() bool {
		start := i
		i = run(s, i, clDigit, len(s))
		return i > start
	}
	next := func(c byte) bool {
		if i < len(s) && s[i]|0x20 == c|0x20 {
			i++
			return true
		}
		return false
	}
	next('-')
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if next('.') && !digits() {
		return false
	}
	if next('e') {
		if !next('+') {
			next('-')
		}
		if !digits() {
			return false
		}
	}
	return i == len(s)
}
