package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// parse reads the YAML. Its own syntax comes first: nothing else is looked at
// where that is wrong.
func (l *loader) parse(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if err == nil {
		err = dec.Decode(&more)
	}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		l.mistakes = append(l.mistakes, Mistake{e.Mark.Line, e.Mark.Column, "", "is not YAML: " + syntaxProblem(e)})
		return
	}
	switch {
	case err == nil:
		l.mistakes = append(l.mistakes, Mistake{more.Line, more.Column, "", "has a second document"})
	case !errors.Is(err, io.EOF):
		l.add(nil, "is not YAML")
	case len(doc.Content) == 1:
		l.root = doc.Content[0]
	}
}

// syntaxProblem returns what the parser says without what it quotes: a text that
// begins with * is taken for an alias, and may be a secret.
func syntaxProblem(e *yaml.LoadError) string {
	if e.Stage == yaml.ComposerStage && strings.Contains(e.Message, "anchor") {
		return "it has an alias of something that is nowhere; a text that begins with * needs quotes"
	}
	if e.Stage == yaml.ScannerStage || e.Stage == yaml.ParserStage || e.Stage == yaml.ReaderStage {
		return printable(e.Message)
	}
	return "its parts do not fit together"
}

var (
	laterType    = reflect.TypeFor[later]()
	foreignType  = reflect.TypeFor[foreign]()
	sectionType  = reflect.TypeFor[section]()
	textType     = reflect.TypeFor[text]()
	durationType = reflect.TypeFor[time.Duration]()

	referenceType = reflect.TypeFor[reference]()
)

// decode reads n into v; tag is that of the field it is for.
func (l *loader) decode(n *yaml.Node, path []any, v reflect.Value, tag reflect.StructTag) {
	if !l.plain(n, path) || isNull(n) {
		return
	}
	switch v.Type() {
	case laterType:
		l.require(isOff(n), path, "is not in this version yet: "+cmp.Or(tag.Get("hint"), "take it out"))
		return
	case foreignType:
		l.require(isOff(n), path, "is for ToolHive's Kubernetes operator: take it out")
		return
	case sectionType:
		v.Set(reflect.ValueOf(section{n}))
		return
	case textType:
		v.Set(reflect.ValueOf(l.text(n, path)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		l.decodeStruct(n, path, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		l.decode(n, path, v.Elem(), tag)
	case reflect.Slice:
		l.decodeList(n, path, v, tag)
	case reflect.Map:
		l.decodeMap(n, path, v, tag)
	default:
		if l.require(n.Kind == yaml.ScalarNode, path, "is "+kindOf(n)+" instead of "+typeName(v.Type())) {
			if problem := setScalar(n, v, tag); problem != "" {
				l.add(path, problem)
			}
		}
	}
}

// plain refuses what makes YAML hard to read or to bound.
func (l *loader) plain(n *yaml.Node, path []any) bool {
	tag := n.ShortTag()
	return l.require(n.Kind != yaml.AliasNode, path, "is an alias, which are not read here: write it out") &&
		l.require(slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!seq", "!!map", "!!merge"}, tag),
			path, "has a tag, which are not read here")
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isTrue and isFalse know no yes and no, as YAML 1.2.2, section 10.3.2.
func isTrue(n *yaml.Node) bool { return slices.Contains([]string{"true", "True", "TRUE"}, n.Value) }

func isFalse(n *yaml.Node) bool {
	return slices.Contains([]string{"false", "False", "FALSE"}, n.Value)
}

// isOff reports whether n asks for nothing: it is empty, or says enabled: false.
func isOff(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.SequenceNode:
		return len(n.Content) == 0
	case yaml.MappingNode:
		_, enabled := child(n, "enabled")
		return len(n.Content) == 0 || enabled != nil && isFalse(enabled)
	default:
		return isNull(n)
	}
}

func (l *loader) decodeStruct(n *yaml.Node, path []any, v reflect.Value) {
	setDefaults(v)
	var keys []string
	for f := range v.Type().Fields() {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	l.members(n, path, func(key string, value *yaml.Node, path []any) {
		i := slices.Index(keys, key)
		if i < 0 {
			problem := l.unknownKey(key, keys, v.Type())
			if v.Type() == referenceType && problem == unknown { // the key may be the secret: {TOKEN}
				path, problem = path[:len(path)-1], "has a key that is neither valueEnv nor valueFile"
			}
			l.add(path, problem)
			return
		}
		l.decode(value, path, v.Field(i), v.Type().Field(i).Tag)
	})
}

// members calls yield for each key of a mapping. A key that stands there twice
// is a mistake.
func (l *loader) members(n *yaml.Node, path []any, yield func(key string, value *yaml.Node, path []any)) {
	if !l.require(n.Kind == yaml.MappingNode, path, "is "+kindOf(n)+" instead of keys with values") ||
		!l.require(len(n.Content)/2 <= MaxItems, path, fmt.Sprintf("has more than %d keys", MaxItems)) {
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || isNull(key):
			l.mistakes = append(l.mistakes, Mistake{key.Line, key.Column, keyOf(path), "has a key that is no name"})
		case seen[key.Value]:
			l.mistakes = append(l.mistakes, Mistake{key.Line, key.Column, keyOf(below(path, key.Value)), "is there for the second time"})
		default:
			seen[key.Value] = true
			yield(key.Value, n.Content[i+1], below(path, key.Value))
		}
	}
}

func (l *loader) decodeList(n *yaml.Node, path []any, v reflect.Value, tag reflect.StructTag) {
	if !l.require(n.Kind == yaml.SequenceNode, path, "is "+kindOf(n)+" instead of a list") ||
		!l.require(len(n.Content) <= MaxItems, path, fmt.Sprintf("has more than %d items", MaxItems)) {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if isNull(item) {
			l.add(below(path, i), "is empty")
		}
		l.decode(item, below(path, i), v.Index(i), tag)
	}
}

func (l *loader) decodeMap(n *yaml.Node, path []any, v reflect.Value, tag reflect.StructTag) {
	v.Set(reflect.MakeMap(v.Type()))
	l.members(n, path, func(key string, value *yaml.Node, path []any) {
		item := reflect.New(v.Type().Elem()).Elem()
		if item.Kind() == reflect.Struct && item.Type() != textType {
			setDefaults(item)
		}
		if isNull(value) {
			l.add(path, "is empty")
		}
		l.decode(value, path, item, tag)
		v.SetMapIndex(reflect.ValueOf(key), item)
	})
}

// setDefaults gives every field below v its default.
func setDefaults(v reflect.Value) {
	for f, field := range v.Fields() {
		switch {
		case field.Kind() == reflect.Struct && field.NumField() > 0 && field.Type() != sectionType:
			setDefaults(field)
		case f.Tag.Get("default") != "":
			n := &yaml.Node{Kind: yaml.ScalarNode, Value: f.Tag.Get("default")} // its tag is resolved as in a file
			_ = setScalar(n, field, f.Tag)                                      // a test reads every default
		}
	}
}

// setScalar reads the text of n into v and says what is wrong with it.
func setScalar(n *yaml.Node, v reflect.Value, tag reflect.StructTag) (problem string) {
	switch {
	case n.Value == "":
		return "is empty"
	case v.Type() == durationType:
		return setDuration(n.Value, v, tag)
	case v.Kind() == reflect.Bool:
		if !isTrue(n) && !isFalse(n) {
			return "is neither true nor false"
		}
		v.SetBool(isTrue(n))
	case v.Kind() == reflect.Int:
		i, err := strconv.ParseInt(n.Value, 10, 32)
		least, most := bound(tag, "min"), bound(tag, "limit")
		if err != nil || i < least || i > most {
			return fmt.Sprintf("is not a whole number from %d to %d", least, most)
		}
		v.SetInt(i)
	default:
		v.SetString(n.Value)
		return textProblem(n.Value, tag)
	}
	return ""
}

func bound(tag reflect.StructTag, key string) int64 {
	n, _ := strconv.ParseInt(tag.Get(key), 10, 32) // a test reads every bound
	return n
}

func setDuration(value string, v reflect.Value, tag reflect.StructTag) string {
	d, err := time.ParseDuration(value)
	least, _ := time.ParseDuration(tag.Get("min"))
	most, _ := time.ParseDuration(tag.Get("limit"))
	if err != nil || d < least || d > most {
		return fmt.Sprintf("is not a duration from %s to %s, as 500ms, 30s, 5m", tag.Get("min"), tag.Get("limit"))
	}
	v.SetInt(int64(d))
	return ""
}

// textProblem says what is wrong with a text, or a word where a list allows only
// some.
func textProblem(value string, tag reflect.StructTag) string {
	limit := MaxText
	if tag.Get("max") != "" {
		limit, _ = strconv.Atoi(tag.Get("max"))
	}
	words := func(key string) []string {
		return slices.DeleteFunc(strings.Split(tag.Get(key), "|"), func(w string) bool { return w == "" })
	}
	allowed := words("oneof")
	switch {
	case len(value) > limit:
		return fmt.Sprintf("is longer than %d bytes", limit)
	case strings.ContainsFunc(value, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\t' }):
		return "has characters that cannot be seen"
	case len(allowed) == 0 || slices.Contains(allowed, value):
		return ""
	case slices.Contains(words("later"), value):
		return "is not in this version yet; allowed: " + strings.Join(allowed, ", ")
	case slices.Contains(words("operator"), value):
		return "needs ToolHive's Kubernetes operator; allowed: " + strings.Join(allowed, ", ")
	default:
		return "is not one of " + strings.Join(allowed, ", ")
	}
}

const unknown = "is not known"

// unknownKey says what may have been meant by a key that a mapping of this type
// does not have.
func (l *loader) unknownKey(key string, keys []string, t reflect.Type) string {
	if len(l.mistakes) >= maxMistakes { // nobody will see it: a file has room for 100,000 keys
		return unknown
	}
	folded := fold(key)
	for _, k := range keys {
		if fold(k) == folded {
			return "is not known, did you mean " + k + "?"
		}
	}
	if near := config.Nearest(key, keys); near != "" {
		return "is not known, did you mean " + near + "?"
	}
	for _, k := range Keys() {
		if parent, name, ok := cutLast(k.Path); (ok || t != reflect.TypeFor[document]()) && fold(name) == folded {
			return "is not known here; " + name + " belongs " + placeOf(parent)
		}
	}
	if key == "<<" {
		return "merges mappings, which is not read here: write it out"
	}
	return unknown
}

func placeOf(parent string) string {
	if parent == "" {
		return "on the highest level"
	}
	return "below " + parent
}

// cutLast splits a path at its last dot.
func cutLast(path string) (parent, name string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// fold makes conflict_resolution and conflictResolution the same: ToolHive had
// its keys in snake case once.
func fold(key string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a text or number"
	}
}

// typeName says what a value is that v takes.
func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a number"
	default:
		return "a text"
	}
}

// printable replaces what a terminal could take for more than text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// below returns path with steps after it, as a slice of its own.
func below(path []any, steps ...any) []any { return slices.Concat(path, steps) }
