package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/caarlos0/env/v11"
)

// Need says what a command cannot do without. The zero Need asks for nothing.
type Need struct {
	Upstream    bool // UPSTREAM is set
	Destination bool // at least one destination is on, unless ENABLED is false
}

// LoadOptions say what Load is to know beside the environment. The zero value
// works.
type LoadOptions struct {
	Known    []string          // names of the event types; empty: every well-formed name is taken
	Flags    map[string]string // values of flags by variable name without the prefix (LISTEN); they win
	Need     Need
	HostName string // default of INSTANCE and HOST; empty: the system's
	StateDir string // folder in which SPOOL_DIR is by default; empty: the system's
	SpoolDir string // name of SPOOL_DIR in it by default; empty: spool
}

// Load returns the configuration that environ ("NAME=value", the last of two
// with one name counts) and the flags ask for, and warnings, each one line. A
// configuration that is wrong is an [*Error] with every mistake; the Config is
// the zero one then.
//
// An empty value counts as not set where the default is empty, and is a
// mistake elsewhere. Load reads the files that hold secrets and certificates
// and nothing else.
func Load(environ []string, opt LoadOptions) (Config, []string, error) {
	l, c, err := load(environ, opt)
	return c, l.warnings, err
}

func load(environ []string, opt LoadOptions) (*loader, Config, error) {
	l := &loader{opt: opt, environ: env.ToMap(environ), given: make(map[string]given), wrong: make(map[string]int)}
	l.collect()
	c := parse[Config](l, "")
	c.Files = destinations(l, "FILE", l.checkFile)
	c.HECs = destinations(l, "HEC", l.checkHEC)
	l.fillPresets()
	c.Syslogs = destinations(l, "SYSLOG", l.checkSyslog)
	l.check(&c)
	l.resolve(&c)
	l.need(&c)
	l.settleUnknown(c.UnknownEnv)
	if len(l.mistakes) > 0 {
		sortMistakes(l.mistakes)
		return l, Config{}, &Error{Mistakes: l.mistakes}
	}
	c.values = l.values(c)
	return l, c, nil
}

// loader is one run of Load.
type loader struct {
	opt      LoadOptions
	environ  map[string]string
	given    map[string]given // what was set, by key; empty values are not in it
	on       []destination
	unknown  []Mistake
	mistakes []Mistake
	wrong    map[string]int // mistakes by key
	warnings []string
}

// destination is one that is on.
type destination struct {
	group  string // how its variables begin
	name   string
	fields reflect.Value // of its struct
}

// given is one value before it is parsed.
type given struct {
	text   string
	source Source
	from   string // full name of the variable, flag or path of the file
}

// maxMistakes is how many mistakes one variable is told of.
const maxMistakes = 10

// add notes what is wrong with the value of key; problem must be safe to show.
func (l *loader) add(key, problem string) {
	l.wrong[key]++
	if l.wrong[key] > maxMistakes {
		return
	}
	if l.wrong[key] == maxMistakes {
		problem = "has more mistakes, which are not listed"
	}
	v, g := known[key], l.given[key]
	m := Mistake{
		Variable: v.doc.Name, Given: v.show(g.text), Problem: problem,
		Allowed: v.doc.Allowed, Example: v.doc.Name + "=" + v.doc.Example,
	}
	switch g.source {
	case SourceFlag:
		m.Flag, m.Example = g.from, g.from+"="+v.doc.Example
	case SourceFile:
		m.Problem = "in " + quoteCut(g.from, maxShownPath) + " " + problem
	case SourceDefault, SourceEnv:
	}
	l.mistakes = append(l.mistakes, m)
}

// addAll adds err, or each of the errors that it joins.
func (l *loader) addAll(key string, err error) {
	all := []error{err}
	if joined, ok := errors.AsType[joinedError](err); ok {
		all = joined.Unwrap()
	}
	for _, e := range all {
		l.add(key, e.Error())
	}
}

// joinedError is what errors.Join returns.
type joinedError interface {
	error
	Unwrap() []error
}

// show returns the value of v for a message.
func (v variable) show(text string) string {
	switch {
	case text == "" || v.doc.Secret:
		return ""
	case v.url:
		return quoteURL(text)
	case v.fileOf != "" || v.address:
		return quoteCut(text, maxShownPath)
	default:
		return quote(text)
	}
}

// parse fills in the settings whose names begin with group.
func parse[T any](l *loader, group string) T {
	var t T
	values := make(map[string]string, len(l.given)) // never nil: env would take the process's environment
	for key, g := range l.given {
		values[Prefix+key] = g.text
	}
	if key := group + "NAME"; group != "" && l.given[key].text == "" {
		values[Prefix+key] = known[key].doc.Default // which has the number
	}
	err := env.ParseWithOptions(&t, env.Options{Prefix: Prefix + group, Environment: values, FuncMap: parsers})
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, e := range all.Errors {
			l.parseError(group, e)
		}
	}
	return t
}

// parseError notes an error of caarlos0/env under the variable's name. The
// texts of our own parsers are safe; others may hold the value.
func (l *loader) parseError(group string, err error) {
	pe, ok := errors.AsType[env.ParseError](err)
	for _, key := range names {
		if v := known[key]; ok && v.group == group && v.field == pe.Name {
			l.addAll(key, pe.Err)
			delete(l.given, key) // no other rule has a value to look at
			return
		}
	}
	l.mistakes = append(l.mistakes, Mistake{Variable: Prefix + group, Problem: fmt.Sprintf("cannot be parsed (%T)", err)})
}

func sortMistakes(all []Mistake) {
	slices.SortStableFunc(all, func(a, b Mistake) int { return cmp.Compare(a.Variable, b.Variable) })
}
