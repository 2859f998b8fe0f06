package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
)

// FromFlags returns the configuration that the values of --backend ask for, each
// as [ParseBackend] reads it, and warnings, each one line. The error has a line
// for each mistake. Everything else is as in a file that says nothing more, except
// that a single back end's names have no prefix.
func FromFlags(values []string) (Config, []string, error) {
	l := &loader{opt: Options{File: "--backend"}, told: make(map[string]bool), root: new(yaml.Node)}
	var d document
	setDefaults(reflect.ValueOf(&d).Elem())
	l.require(len(values) <= MaxBackends, nil, fmt.Sprintf("is there more than %d times", MaxBackends))
	c := newConfig(d)
	for i, value := range values {
		b, err := ParseBackend(value)
		if err != nil {
			l.add([]any{i}, err.Error())
			continue
		}
		twice := slices.ContainsFunc(c.Backends, func(other Backend) bool { return other.Name == b.Name })
		l.require(!twice, []any{i}, "has the name of another back end")
		c.Backends = append(c.Backends, b)
	}
	l.require(len(values) > 0, nil, "names no back end")
	if len(c.Backends) == 1 {
		c.Rules.Strategy = aggregate.Manual // without conflicts names stay as they are
	}
	l.warnOverlap(c)
	if err := l.err(); err != nil {
		return Config{}, nil, err
	}
	return c, l.warnings, nil
}

// ParseBackend reads NAME=URL or NAME=COMMAND, as --backend takes it: an http or
// https URL is talked to over streamable HTTP, or over SSE if the server knows
// only that; anything else is a program with arguments. They are separated by spaces and may stand in quotes, as in a
// shell, but none is run: variables and patterns stay as they are. Errors begin
// with a verb whose subject is the text, and do not repeat it.
func ParseBackend(text string) (Backend, error) {
	name, target, ok := strings.Cut(text, "=")
	b := Backend{Name: name, Timeout: DefaultTimeout}
	switch {
	case !ok:
		return Backend{}, errors.New("is not NAME=URL or NAME=COMMAND")
	case !isBackendName(name):
		return Backend{}, errors.New(badBackendName)
	}
	scheme, _, isURL := strings.Cut(target, "://")
	if isURL && !strings.ContainsAny(scheme, " \t/'\"\\=") {
		u, problem := parseURL(target)
		if problem != "" {
			return Backend{}, errors.New(problem)
		}
		b.URL = u
		return b, nil
	}
	command, err := splitCommand(target)
	if err != nil {
		return Backend{}, err
	}
	b.Transport, b.Command = Stdio, command
	return b, nil
}

const badBackendName = "has a name that is not 1 to 64 letters, digits, _ . or -, beginning with a letter or digit"

func isBackendName(name string) bool {
	return name != "" && len(name) <= MaxBackend && isAlnum(name[0]) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r > 'z' || !isAlnum(byte(r)) && !strings.ContainsRune("_.-", r) })
}

// parseURL reads the address of an MCP endpoint and says what is wrong with it.
func parseURL(text string) (u *url.URL, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "is not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "does not begin with http:// or https://"
	case u.User != nil:
		return nil, "holds a user name or a password"
	case u.Hostname() == "":
		return nil, "names no host"
	case u.Fragment != "":
		return nil, "has a fragment"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "has a port that is not from 1 to 65535"
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, "has a query that is none"
	}
	for name := range query {
		if speaksOfSecret(name) {
			return nil, "has a secret in its query: use headers"
		}
	}
	return u, ""
}

// splitCommand splits a command line at spaces and tabs. What stands in quotes is
// one word; a backslash takes the meaning from the character after it, in double
// quotes only from " and \, in single quotes from none (POSIX shell, section
// 2.2).
func splitCommand(line string) ([]string, error) {
	if len(line) > MaxArgs {
		return nil, errors.New("is longer than " + strconv.Itoa(MaxArgs) + " bytes")
	}
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == 0:
			return nil, errors.New("has a zero byte")
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			word.WriteByte(c)
		case c == '\\':
			if i++; i == len(line) {
				return nil, errors.New("ends in a backslash")
			}
			if quote == '"' && line[i] != '"' && line[i] != '\\' {
				word.WriteByte(c)
			}
			word.WriteByte(line[i])
			inWord = true
		case c == quote:
			quote = 0
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("has a quote that is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("names neither a URL nor a program")
	}
	return words, nil
}

// inherited are the variables of ours that a program is given: what it needs to
// find itself, its files and its language. The others may be secrets of ours.
// After the client of the MCP TypeScript SDK (DEFAULT_INHERITED_ENV_VARS in
// client/stdio.ts), with those for languages, certificates and folders.
var inherited = []string{
	"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
	"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "SSL_CERT_DIR", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS",
	"APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROCESSOR_ARCHITECTURE", "PROGRAMDATA", "PROGRAMFILES",
	"SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
}

// Environ returns the environment of the program, as NAME=value: a few variables
// of ours, then those of Env. It holds secrets.
func (b Backend) Environ(ours []string) []string {
	var all []string
	for _, pair := range ours {
		name, value, _ := strings.Cut(pair, "=")
		_, set := b.Env[name]
		// A function that bash exported is code: () { ...
		if !set && slices.Contains(inherited, strings.ToUpper(name)) && !strings.HasPrefix(value, "()") {
			all = append(all, pair)
		}
	}
	for _, name := range sortedKeys(b.Env) {
		all = append(all, name+"="+b.Env[name].Reveal())
	}
	return all
}
