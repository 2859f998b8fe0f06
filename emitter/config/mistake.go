package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// How many bytes a message shows.
const (
	maxShown     = 64  // of a value or a name
	maxShownPath = 256 // of a path
)

// notShown stands for a value that may hold a password.
const notShown = "(a value that may hold a password, not shown)"

// Mistake is one thing that is wrong with the configuration. Its parts are
// safe for terminals and logs: bounded, without control characters, and
// without secrets.
type Mistake struct {
	Variable string // with the prefix
	Flag     string // as --listen: the flag that gave the value, or that may give it; empty: none
	Given    string // the value, quoted and cut; empty: none, or a secret
	Problem  string // begins with a verb whose subject is the value
	Allowed  string // empty: Problem says it all
	Example  string // as NAME=value or --flag=value
}

// String returns m as one line.
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.Variable)
	if m.Flag != "" {
		b.WriteString(" (" + m.Flag + ")")
	}
	b.WriteString(": ")
	if m.Given != "" {
		b.WriteString(m.Given + " ")
	}
	b.WriteString(m.Problem)
	if m.Allowed != "" {
		b.WriteString("; allowed: " + m.Allowed)
	}
	if m.Example != "" {
		b.WriteString("; example: " + m.Example)
	}
	return b.String()
}

// Error is a configuration that is wrong. It holds at least one mistake.
type Error struct {
	Mistakes []Mistake // in the order of their variables
}

// Error returns one line for each mistake.
func (e *Error) Error() string { return strings.Join(lines(e.Mistakes), "\n") }

func lines(mistakes []Mistake) []string {
	all := make([]string, len(mistakes))
	for i, m := range mistakes {
		all[i] = m.String()
	}
	return all
}

// quote returns text for a message: in quotes, escaped, cut to maxShown bytes.
// An address with a user or a query may hold a password and is not shown.
func quote(text string) string {
	if strings.Contains(text, "@") || strings.Contains(text, "://") && strings.ContainsAny(text, "?#") {
		return notShown
	}
	return quoteCut(text, maxShown)
}

// quoteCut returns text in quotes, escaped, cut to limit bytes.
func quoteCut(text string, limit int) string {
	if len(text) <= limit {
		return strconv.Quote(text)
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strconv.Quote(text[:end]) + "..."
}

// shownName returns the name of a variable, cut to maxShown bytes. It is cut
// too where it stops being a name: who writes NAME: value instead of NAME=value
// has the value in the name.
func shownName(name string) string {
	end := 0
	for end < min(len(name), maxShown) && isNameByte(name[end]) {
		end++
	}
	if end < len(name) {
		return name[:end] + "..."
	}
	return name
}

func isNameByte(c byte) bool { return c == '_' || isAlnum(c) }

func isAlnum(c byte) bool { return isLowerAlnum(c) || 'A' <= c && c <= 'Z' }

func isLowerAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// onlyHas reports whether text has at least one byte and ok holds for all.
func onlyHas(text string, ok func(byte) bool) bool {
	for i := range len(text) {
		if !ok(text[i]) {
			return false
		}
	}
	return text != ""
}
