package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Mistake is one thing that is wrong with the file. Its parts are safe for
// terminals and logs: bounded, without control characters, without secrets.
type Mistake struct {
	Line, Column int    // from 1; 0: the file as a whole
	Key          string // as backends[1].url; empty: none
	Problem      string // begins with a verb whose subject is the key's value
}

// Error is a file that is wrong. It holds at least one mistake.
type Error struct {
	File     string
	Mistakes []Mistake // in the order of their lines
}

// Error returns one line for each mistake, as
// vmcp.yaml:12:5: backends[1].url: is not a URL.
func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = line(e.File, m)
	}
	return strings.Join(lines, "\n")
}

func line(file string, m Mistake) string {
	var b strings.Builder
	b.WriteString(shownFile(file))
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", m.Line, m.Column)
	}
	if !strings.HasPrefix(m.Key, "[") { // --backend[1]
		b.WriteString(": ")
	}
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.Problem)
	return b.String()
}

// add notes a mistake at the key or item that path names, or where it would
// stand. Of one key the first mistake is told, and none of what is below it.
func (l *loader) add(path []any, problem string) {
	if l.isTold(path) {
		return
	}
	l.told[fmt.Sprintf("%q", path)] = true
	l.mistakes = append(l.mistakes, l.mistake(path, problem))
}

// isTold reports whether there is a mistake of path or of what it is below.
func (l *loader) isTold(path []any) bool {
	for i := range len(path) + 1 {
		if l.told[fmt.Sprintf("%q", path[:i])] {
			return true
		}
	}
	return false
}

func (l *loader) mistake(path []any, problem string) Mistake {
	m := Mistake{Key: keyOf(path), Problem: problem}
	if n := find(l.root, path); n != nil {
		m.Line, m.Column = n.Line, n.Column
	}
	return m
}

// require adds problem at path if something is not ok, and returns ok.
func (l *loader) require(ok bool, path []any, problem string) bool {
	if !ok {
		l.add(path, problem)
	}
	return ok
}

// warn is add for what is only likely to be wrong.
func (l *loader) warn(path []any, problem string) {
	l.warnings = append(l.warnings, line(l.opt.File, l.mistake(path, problem)))
}

// find returns the key or item that path names; where it is missing, the last
// one above it that is there.
func find(root *yaml.Node, path []any) *yaml.Node {
	found, n := root, root
	for _, step := range path {
		at, value := child(n, step)
		if at == nil {
			return found
		}
		found, n = at, value
	}
	return found
}

// child returns where the step stands in n, and its value.
func child(n *yaml.Node, step any) (at, value *yaml.Node) {
	switch step := step.(type) {
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			return n.Content[step], n.Content[step]
		}
	}
	return nil, nil
}

// keyOf writes a path for people.
func keyOf(path []any) string {
	var b strings.Builder
	for i, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(shownKey(step))
		}
	}
	return b.String()
}

// shownKey returns a key for a message. It is cut where it stops being a name:
// who writes KEY=value instead of KEY: value has the value in the key.
func shownKey(key string) string {
	end := 0
	for end < min(len(key), maxKey) && (isAlnum(key[end]) || strings.IndexByte("_-./", key[end]) >= 0) {
		end++
	}
	if end < len(key) {
		return key[:end] + "..."
	}
	return key
}

func shownFile(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// err returns the mistakes as an error.
func (l *loader) err() error {
	if len(l.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(l.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if n := len(l.mistakes); n > maxMistakes {
		l.mistakes = append(l.mistakes[:maxMistakes], Mistake{Problem: fmt.Sprintf("has %d more mistakes", n-maxMistakes)})
	}
	return &Error{File: l.opt.File, Mistakes: l.mistakes}
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
