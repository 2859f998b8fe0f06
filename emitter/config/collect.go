package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// collect gathers the values that are set: environment, then flags over it,
// then the files of secrets; and finds unknown names, empty values and words
// that are none of those allowed.
func (l *loader) collect() {
	l.collectEnviron()
	l.collectFlags()
	for _, key := range names {
		l.dropEmpty(key)
	}
	for _, key := range names {
		if v := known[key]; v.fileOf != "" {
			l.collectFile(v)
		}
		l.checkWord(key)
	}
}

func (l *loader) collectEnviron() {
	services := l.services()
	for _, name := range sortedKeys(l.environ) {
		key, ours := strings.CutPrefix(name, Prefix)
		switch _, ok := known[key]; {
		case !ours:
		case ok:
			l.given[key] = given{l.environ[name], SourceEnv, name}
		case injected(key, services):
		case later(key):
			l.mistakes = append(l.mistakes, Mistake{Variable: shownName(name), Problem: "is not in this version yet: take it out"})
		default:
			l.unknown = append(l.unknown, Mistake{Variable: shownName(name), Problem: unknownProblem(key)})
		}
	}
}

func (l *loader) collectFlags() {
	for _, key := range sortedKeys(l.opt.Flags) {
		v, ok := known[key]
		g := given{l.opt.Flags[key], SourceFlag, flagOf(key)}
		switch {
		case !ok:
			l.mistakes = append(l.mistakes, Mistake{Variable: shownName(Prefix + key), Problem: "cannot be set by a flag"})
		case v.doc.Secret:
			l.add(key, "cannot be set by a flag, which other users of the machine can read")
		default:
			l.given[key] = g
		}
	}
}

// services returns how the keys begin that Kubernetes injects: for a Service
// called vmcp-audit, and for vmcp-audit-x if its ..._X_SERVICE_HOST is there.
func (l *loader) services() []string {
	services := []string{""}
	for name := range l.environ {
		key, ours := strings.CutPrefix(name, Prefix)
		service, ok := strings.CutSuffix(key, "SERVICE_HOST")
		if ours && ok && strings.HasSuffix(service, "_") {
			services = append(services, service)
		}
	}
	return services
}

func injected(key string, services []string) bool {
	return slices.ContainsFunc(services, func(service string) bool {
		rest, ok := strings.CutPrefix(key, service)
		rest = strings.TrimPrefix(rest, "SERVICE_")
		return ok && (rest == "PORT" || strings.HasPrefix(rest, "PORT_") || key == service+"SERVICE_HOST")
	})
}

// comesLater are the names, or how the names begin, of what a newer version
// will have. They are never taken for typing errors, nor only warned of: who
// sets them counts on what they do.
var comesLater = []string{"OIDC_", "OPS_ADDR", "PROFILE"}

func later(key string) bool {
	return slices.ContainsFunc(comesLater, func(name string) bool {
		return key == name || strings.HasSuffix(name, "_") && strings.HasPrefix(key, name) && onlyHas(key, isNameByte)
	})
}

var numbered = regexp.MustCompile(`^([A-Z]+_)[0-9]+_([A-Z_]+)$`)

// unknownProblem says what is wrong with an unknown name.
func unknownProblem(key string) string {
	if !onlyHas(key, isNameByte) {
		return "is not a name: it has characters other than letters, digits and _"
	}
	if m := numbered.FindStringSubmatch(key); m != nil {
		if v, ok := known[m[1]+m[2]]; ok && v.group == m[1] {
			return "is not known: the first destination has no number (" + v.doc.Name +
				"), others have 2 to " + strconv.Itoa(MaxDestinations)
		}
	}
	if near := Nearest(strings.ToUpper(key), names); near != "" {
		return "is not known, did you mean " + Prefix + near + "?"
	}
	return "is not known; `vmcp-audit env` lists every variable"
}

// settleUnknown makes mistakes or warnings of the unknown names.
func (l *loader) settleUnknown(policy UnknownEnv) {
	if policy == UnknownWarn {
		l.warnings = append(l.warnings, lines(l.unknown)...)
		return
	}
	l.mistakes = append(l.mistakes, l.unknown...)
}

// dropEmpty takes an empty value for one that is not set. caarlos0/env would
// use the default without a word; where there is one, it is a mistake.
func (l *loader) dropEmpty(key string) {
	g, ok := l.given[key]
	if !ok || g.text != "" {
		return
	}
	if known[key].doc.Default != "" {
		l.add(key, "is set but empty")
	}
	delete(l.given, key)
}

// checkWord compares a value with the words that are allowed, in any case.
func (l *loader) checkWord(key string) {
	v, g := known[key], l.given[key]
	if g.text == "" || v.words == nil {
		return
	}
	if word := strings.ToLower(g.text); slices.Contains(v.words, word) {
		g.text = word
		l.given[key] = g
		return
	}
	l.add(key, "is not one of the allowed words")
	delete(l.given, key)
}

// collectFile reads the secret whose file v names.
func (l *loader) collectFile(v variable) {
	g, ok := l.given[v.key]
	if !ok {
		return
	}
	if _, both := l.given[v.fileOf]; both {
		l.add(v.key, "is set together with "+known[v.fileOf].doc.Name+"; set one of them")
		return
	}
	text, err := ReadSecret(g.text)
	if err != nil {
		l.add(v.key, err.Error())
		return
	}
	l.given[v.fileOf] = given{text, SourceFile, g.text}
}

// ReadSecret returns what a file holds without the end of its last line. Its
// errors never show the content.
func ReadSecret(path string) (string, error) {
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait
	if err == nil && !info.Mode().IsRegular() {
		return "", errors.New("is not a regular file")
	}
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", reason(err))
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", reason(err))
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, MaxSecretFile+1))
	text := strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot be read: %w", reason(err))
	case len(b) > MaxSecretFile:
		return "", errors.New("is a file of more than " + Size(MaxSecretFile).String())
	case text == "":
		return "", errors.New("is an empty file")
	}
	return text, nil
}

// reason strips the path from err: the message shows it already, quoted.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
