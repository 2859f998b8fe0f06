package redact

import "bytes"

// maxName is how many bytes of a name are looked at, at each of its two ends.
const maxName = 96

// SecretKey reports whether a JSON object key, header, variable or flag of
// this name usually holds a secret. Case, digits, separators and camel case
// do not matter: apiKey, API-KEY, x_api_key and apikey are the same. Names
// that talk about a secret without holding one are not secret: max_tokens,
// progressToken, password_policy, hasToken. It allocates nothing; of a name
// longer than 192 bytes only both ends are looked at.
func SecretKey(name string) bool {
	return secretName([]byte(name)) // does not escape, so is not copied
}

func secretName(name []byte) bool {
	if len(name) > maxName && secretWindow(name[:maxName]) {
		return true
	}
	return secretWindow(name[max(0, len(name)-maxName):])
}

func secretWindow(name []byte) bool {
	var w words
	w.split(name)
	return w.secret()
}

// words is a name taken apart: lower-case letters only, with the end of each
// word in them.
type words struct {
	letters [maxName]byte
	ends    [maxName]uint8
	n       int // words
}

// split takes apart a name of at most maxName bytes. A word ends at any byte
// that is no letter, between lower and upper case, and before the last
// capital of a run that goes on in lower case (APIKey).
func (w *words) split(name []byte) {
	n := 0
	open := false // a word has begun
	for i := range len(name) {
		c := name[i]
		if !isLetter(c) {
			open = false
			continue
		}
		if isUpper(c) && i > 0 && open {
			next := i+1 < len(name) && isLower(name[i+1])
			if isLower(name[i-1]) || next {
				open = false
			}
		}
		if !open {
			w.n++
			open = true
		}
		w.letters[n] = c | 0x20
		n++
		w.ends[w.n-1] = uint8(n)
	}
}

// word returns word i, which is valid until the next split.
func (w *words) word(i int) []byte {
	start := 0
	if i > 0 {
		start = int(w.ends[i-1])
	}
	return w.letters[start:w.ends[i]]
}

// all returns all letters without word ends.
func (w *words) all() []byte { return w.letters[:w.ends[w.n-1]] }

func (w *words) secret() bool {
	if w.n == 0 {
		return false
	}
	first, final := roles[string(w.word(0))], roles[string(w.word(w.n-1))]
	if w.n > 1 && (first&head != 0 || final&tail != 0) {
		return false
	}
	if final&last != 0 || w.n > 1 && w.joined() {
		return true
	}
	before := role(0)
	for i := range w.n {
		word := w.word(i)
		r := roles[string(word)]
		if r&strong != 0 || isToken(word, before) || hasSuffix(word, strongSuffixes) {
			return true
		}
		if i > 0 && r&second != 0 && compounds[string(word)].has(w.word(i-1)) {
			return true
		}
		before = r
	}
	return false
}

// joined reports whether the name is secret without its word ends.
func (w *words) joined() bool {
	return roles[string(w.all())]&strong != 0 || string(w.all()) == "token"
}

// isToken reports whether word, after a word of the given role, is a token
// that gives access, and not a cursor (pageToken), a counter or a coin.
func isToken(word []byte, before role) bool {
	const token = "token"
	if !bytes.HasSuffix(word, []byte(token)) {
		return false
	}
	if front := word[:len(word)-len(token)]; len(front) > 0 {
		return !hasSuffix(front, cursorSuffixes)
	}
	return before&cursor == 0
}

// secretParam reports whether a URI parameter of this name holds a secret. It
// knows more names than SecretKey, such as code, state, sig and key.
func secretParam(name []byte) bool {
	var w words
	w.split(name[max(0, len(name)-maxName):])
	if w.n == 0 {
		return false
	}
	return w.secret() || roles[string(w.all())]&param != 0 || roles[string(w.word(w.n-1))]&signed != 0
}

// secretPhrase reports whether the last two words of running text before a
// colon make a secret name ("API key: ..."). Single words do not count here.
func secretPhrase(phrase []byte) bool {
	var w words
	w.split(phrase[max(0, len(phrase)-maxName):])
	if w.n < 2 || roles[string(w.word(w.n-1))]&second == 0 {
		return false
	}
	return roles[string(w.word(0))]&head == 0 && compounds[string(w.word(w.n-1))].has(w.word(w.n-2))
}

// hasSuffix reports whether word ends in one of the list.
func hasSuffix(word []byte, list []string) bool {
	for _, s := range list {
		if len(word) >= len(s) && string(word[len(word)-len(s):]) == s {
			return true
		}
	}
	return false
}
