package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// text reads a text, or the reference to one.
func (l *loader) text(n *yaml.Node, path []any) text {
	t := text{node: n}
	switch {
	case n.Kind == yaml.MappingNode:
		l.decode(n, path, reflect.ValueOf(&t.ref).Elem(), "")
	case l.require(n.Kind == yaml.ScalarNode, path, "is a list instead of a text, {valueEnv: VARIABLE} or {valueFile: PATH}"):
		t.literal = n.Value
	}
	return t
}

// resolve returns the value of t. The value of a name that speaks of a secret
// must not stand in the file.
func (l *loader) resolve(name string, t text, path []any) config.Secret {
	switch ref := t.ref; {
	case t.node == nil: // it was empty, which has been told
	case t.node.Kind == yaml.ScalarNode:
		l.require(!speaksOfSecret(name), path, "is a secret in the file: write {valueEnv: VARIABLE} or {valueFile: PATH}")
		return config.NewSecret(t.literal)
	case ref.ValueEnv != "" && ref.ValueFile != "":
		l.add(path, "has both valueEnv and valueFile")
	case ref.ValueEnv != "":
		value := l.environ[ref.ValueEnv]
		l.require(value != "", below(path, "valueEnv"), "names a variable that is not set")
		return config.NewSecret(value)
	case ref.ValueFile != "":
		value, err := config.ReadSecret(ref.ValueFile)
		if err != nil {
			l.add(below(path, "valueFile"), err.Error())
		}
		return config.NewSecret(value)
	case t.node.Kind == yaml.MappingNode && len(t.node.Content) == 0:
		l.add(path, "has neither valueEnv nor valueFile")
	}
	return config.Secret{}
}

// secretWords are words in names whose values are secrets.
var secretWords = []string{
	"apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "jwt", "key", "passphrase", "passwd", "password",
	"pat", "pwd", "secret", "token",
}

// plainWords end the names of what is only about a secret: KEY_FILE, TOKEN_URL.
var plainWords = []string{"dir", "file", "header", "id", "limit", "name", "path", "ttl", "type", "uri", "url"}

// speaksOfSecret reports whether a header, variable, argument or query parameter
// of this name is likely to hold a secret: X-Api-Key, GITHUB_TOKEN, accessToken.
func speaksOfSecret(name string) bool {
	all := words(name)
	return slices.ContainsFunc(all, func(word string) bool { return slices.Contains(secretWords, word) }) &&
		!slices.Contains(plainWords, all[len(all)-1])
}

// words splits a name at what is no letter or digit, and before capitals that
// come after small letters.
func words(name string) []string {
	var b strings.Builder
	for i := range len(name) {
		if i > 0 && 'A' <= name[i] && name[i] <= 'Z' && 'a' <= name[i-1] && name[i-1] <= 'z' {
			b.WriteByte(' ')
		}
		if isAlnum(name[i]) {
			b.WriteByte(name[i])
		} else {
			b.WriteByte(' ')
		}
	}
	return strings.Fields(strings.ToLower(b.String()))
}
