package redact

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
	if w.n > 1 && (aboutHead.has(w.word(0)) || aboutTail.has(w.word(w.n-1))) {
		return false
	}
	if all := w.all(); strong.has(all) || string(all) == "token" {
		return true
	}
	if lastOnly.has(w.word(w.n - 1)) {
		return true
	}
	for i := range w.n {
		if strong.has(w.word(i)) || w.token(i) || hasStrongSuffix(w.word(i)) {
			return true
		}
	}
	return w.compound()
}

// compound reports whether two neighbouring words make a secret name, as in
// "api key".
func (w *words) compound() bool {
	for i := 1; i < w.n; i++ {
		if before, ok := compounds[string(w.word(i))]; ok && before.has(w.word(i-1)) {
			return true
		}
	}
	return false
}

// token reports whether word i is a token that gives access, and not a cursor
// (pageToken), a counter or a coin.
func (w *words) token(i int) bool {
	word := w.word(i)
	if !hasSuffix(word, "token") {
		return false
	}
	if front := word[:len(word)-len("token")]; len(front) > 0 {
		return !endsInCursor(front)
	}
	return i == 0 || !cursors.has(w.word(i-1))
}

// secretParam reports whether a URI parameter of this name holds a secret. It
// knows more names than SecretKey, such as code, state, sig and key.
func secretParam(name []byte) bool {
	var w words
	w.split(name[max(0, len(name)-maxName):])
	if w.n == 0 {
		return false
	}
	return w.secret() || params.has(w.all()) || signatures.has(w.word(w.n-1))
}

// secretPhrase reports whether the last two words of running text before a
// colon make a secret name ("API key: ..."). Single words do not count here.
func secretPhrase(phrase []byte) bool {
	var w words
	w.split(phrase[max(0, len(phrase)-maxName):])
	return w.n >= 2 && !aboutHead.has(w.word(0)) && !aboutTail.has(w.word(w.n-1)) && w.compound()
}

func hasStrongSuffix(word []byte) bool {
	for _, s := range strongSuffixes {
		if hasSuffix(word, s) {
			return true
		}
	}
	return false
}

func endsInCursor(word []byte) bool {
	for _, s := range cursorSuffixes {
		if hasSuffix(word, s) {
			return true
		}
	}
	return false
}

func hasSuffix(b []byte, s string) bool {
	return len(b) >= len(s) && string(b[len(b)-len(s):]) == s
}
