package redact

import "strings"

const maxLabel = 80 // bytes of a PEM label; "ENCRYPTED PRIVATE KEY" has 21

// pemAt redacts the block of a private key whose leading dashes end at s[i].
// It returns 0 if there is none.
func (sc *scanner) pemAt(i int) int {
	start := pemStart(sc.s, sc.last, i)
	if start < 0 {
		return 0
	}
	return sc.redact(start, pemEnd(sc.s, i), PrivateKey)
}

// pemStart returns where the dashes that end at s[i] begin if they open a
// private key, else -1. Four dashes and a space are the form of RFC 4716.
func pemStart(s string, low, i int) int {
	j := i + 1
	if j < len(s) && is(s[j], clBlank) {
		j++
	}
	if !strings.HasPrefix(s[j:], "BEGIN") {
		return -1
	}
	start := i
	for start > low && i-start < 4 && s[start-1] == '-' {
		start--
	}
	if i-start < 3 {
		return -1
	}
	label := s[j+len("BEGIN"):]
	label = label[:min(len(label), maxLabel)]
	if k := strings.IndexAny(label, "-\n"); k >= 0 {
		label = label[:k]
	}
	if !strings.Contains(label, "PRIVATE") || !strings.Contains(label, "KEY") {
		return -1
	}
	return start
}

// pemEnd returns the end of the block that opens at s[i]: after the dashes of
// its END line, or the end of s.
func pemEnd(s string, i int) int {
	for {
		k := strings.Index(s[i:], "END")
		if k < 0 {
			return len(s)
		}
		dashes := strings.HasSuffix(strings.TrimSuffix(s[:i+k], " "), "----")
		i += k + len("END")
		label := s[i:min(len(s), i+maxLabel)]
		if stop := strings.IndexAny(label, "-\n"); stop >= 0 {
			label = label[:stop]
		}
		if key := strings.Index(label, "KEY"); dashes && key >= 0 {
			return pemTail(s, i+key+len("KEY"))
		}
	}
}

// pemTail returns the end of an END line of which s[i:] is left after KEY.
func pemTail(s string, i int) int {
	if k := strings.Index(s[i:min(len(s), i+len("%20BLOCK"))], "BLOCK"); k >= 0 {
		i += k + len("BLOCK")
	}
	start := i
	if start < len(s) && is(s[start], clBlank) {
		start++
	}
	end := start
	for end < len(s) && s[end] == '-' {
		end++
	}
	if end-start < 4 || pemStart(s, start, end-1) >= 0 { // a flag, or the next block
		return i
	}
	return end
}

// pemOpens reports whether a private key begins at the dashes at s[i], and
// where it ends.
func pemOpens(s string, i int) (end int, ok bool) {
	last := i
	for last < len(s) && last-i < 8 && s[last] == '-' {
		last++
	}
	if last-i < 4 || pemStart(s, i, last-1) < 0 {
		return 0, false
	}
	return pemEnd(s, last-1), true
}
