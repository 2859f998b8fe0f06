package config

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// auditKeys are the keys of the section audit that have names of their own, or
// mean nothing here.
type auditKeys struct {
	LogFile                 string `yaml:"logFile" doc:"file that takes the events, - is stdout; as VMCP_AUDIT_FILE_PATH" toolhive:"without it stdout"`
	DetectApplicationErrors bool   `yaml:"detectApplicationErrors" default:"true" doc:"the outcome is always taken from the answer, so only true is allowed"`
	MaxDelegationDepth      later  `yaml:"maxDelegationDepth" doc:"bound of the delegation chain"`
}

// own has variables that another key or no server of ours has a use for.
var own = []string{"CONFIG", "UPSTREAM", "UNKNOWN_ENV", "LOG_LEVEL", "FILE_PATH"}

// auditVariables are those that a key of the section audit sets, by that key:
// maxDataSize for VMCP_AUDIT_MAX_DATA_SIZE.
var auditVariables = func() map[string]config.Variable {
	m := make(map[string]config.Variable)
	for _, v := range config.Doc() {
		if name := strings.TrimPrefix(v.Name, config.Prefix); !slices.Contains(own, name) {
			m[camel(name)] = v
		}
	}
	return m
}()

// camel writes MAX_DATA_SIZE as maxDataSize.
func camel(name string) string {
	words := strings.Split(strings.ToLower(name), "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// audit returns what the section audit, and logLevel, set.
func (l *loader) audit(d document) []string {
	a := &auditReader{loader: l, paths: make(map[string][]any)}
	if level := d.Operational.LogLevel; level != "" {
		a.set(config.Prefix+"LOG_LEVEL", level, []any{"operational", "logLevel"})
	}
	if n := d.Audit.node; n != nil {
		special := auditKeys{DetectApplicationErrors: true}
		fields := reflect.ValueOf(&special).Elem()
		l.members(n, []any{"audit"}, func(key string, value *yaml.Node, path []any) { a.read(key, value, path, fields) })
		l.require(special.DetectApplicationErrors, []any{"audit", "detectApplicationErrors"}, "cannot be switched off: the outcome is always taken from the answer")
		if special.LogFile != "" {
			a.set(config.Prefix+"FILE_PATH", special.LogFile, []any{"audit", "logFile"})
		}
	}
	a.tell()
	return a.pairs
}

// auditReader makes variables of keys.
type auditReader struct {
	*loader
	pairs []string         // NAME=value, in the order of the file
	paths map[string][]any // where a variable was set, by its name
}

func (a *auditReader) read(key string, n *yaml.Node, path []any, special reflect.Value) {
	var names []string
	for f := range special.Type().Fields() {
		if names = append(names, f.Tag.Get("yaml")); key == f.Tag.Get("yaml") {
			a.decode(n, path, special.FieldByIndex(f.Index), f.Tag)
			return
		}
	}
	v, ok := auditVariables[key]
	switch {
	case !ok:
		a.add(path, a.unknownKey(key, append(names, sortedKeys(auditVariables)...), reflect.TypeFor[auditKeys]()))
	case v.Secret:
		a.add(path, "is a secret in the file: use "+key+"File, or the variable "+v.Name)
	default:
		if value, ok := a.flatten(n, path, v.Unit); ok {
			a.set(v.Name, value, path)
		}
	}
}

// pairsUnit is the unit of variables that a mapping sets.
const pairsUnit = "list of key=value"

// flatten writes a value as a variable of this unit has it: lists and mappings
// with commas.
func (a *auditReader) flatten(n *yaml.Node, path []any, unit string) (string, bool) {
	pairs, list := unit == pairsUnit, strings.HasPrefix(unit, "list of ")
	if !a.plain(n, path) || isNull(n) ||
		!a.require(n.Kind != yaml.SequenceNode || list && !pairs, path, "is a list, which it does not take") ||
		!a.require(n.Kind != yaml.MappingNode || pairs, path, "is keys with values, which it does not take") {
		return "", false
	}
	mistakes := len(a.mistakes)
	var items []string
	add := func(prefix string, n *yaml.Node, path []any) {
		if a.plain(n, path) && a.require(n.Kind == yaml.ScalarNode && !isNull(n) && !strings.ContainsAny(n.Value, ",\n"), path, "is not a text without commas and line breaks") {
			items = append(items, prefix+n.Value)
		}
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			add("", item, below(path, i))
		}
	case yaml.MappingNode:
		a.members(n, path, func(key string, value *yaml.Node, path []any) {
			a.require(!strings.ContainsAny(key, ",=\n"), path, "is a key with a comma, = or a line break")
			add(key+"=", value, path)
		})
	default:
		problem := textProblem(n.Value, "")
		if problem == "" && strings.Contains(n.Value, "\n") {
			problem = "has more than one line"
		}
		return n.Value, a.require(problem == "", path, problem)
	}
	return strings.Join(items, ","), len(items) > 0 && len(a.mistakes) == mistakes
}

// set sets a variable. The environment wins, also where it has a secret that the
// section has in a file.
func (a *auditReader) set(name, value string, path []any) {
	if _, taken := a.environ[name]; taken {
		return
	}
	if secret, ok := strings.CutSuffix(name, "_FILE"); ok {
		if _, taken := a.environ[secret]; taken {
			return
		}
	}
	a.pairs = append(a.pairs, name+"="+value)
	a.paths[name] = path
}

// tell turns what the variables' own rules find into mistakes of the file, as far
// as it is about what the file set.
func (a *auditReader) tell() {
	if len(a.pairs) == 0 {
		return
	}
	_, _, err := config.Load(slices.Concat(a.pairs, a.opt.Environ), config.LoadOptions{Known: a.opt.Known})
	e, ok := errors.AsType[*config.Error](err)
	if !ok {
		return
	}
	for _, m := range e.Mistakes {
		if path, ours := a.paths[m.Variable]; ours && !a.isTold(path) {
			m.Example = "" // which is one of the variable
			a.mistakes = append(a.mistakes, a.mistake(path, strings.TrimPrefix(m.String(), m.Variable+": ")))
		}
	}
}
