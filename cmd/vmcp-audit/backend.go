package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
)

var backendName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// parseBackend reads the value of --backend: NAME=URL or NAME=COMMAND.
func parseBackend(value string) (upstream.Spec, error) {
	name, what, ok := strings.Cut(value, "=")
	if !ok || !backendName.MatchString(name) || strings.TrimSpace(what) == "" {
		return upstream.Spec{}, usagef("--backend wants NAME=URL or NAME=COMMAND, a name of letters, digits and ._-")
	}
	spec := upstream.Spec{Name: name}
	if !strings.HasPrefix(what, "http://") && !strings.HasPrefix(what, "https://") {
		words, err := splitWords(what)
		if err != nil {
			return spec, usagef("--backend %s: %w", name, err)
		}
		spec.Command = words
		return spec, nil
	}
	u, err := url.Parse(what)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return spec, usagef("--backend %s: the URL cannot be read", name) // it may hold a secret
	}
	if u.User != nil {
		return spec, usagef("--backend %s: the URL has a user name or a password in it, which is not sent", name)
	}
	spec.URL = u
	return spec, nil
}

// splitWords splits a command line at spaces; quotes and a backslash keep what
// they stand around or before. Nothing is expanded.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, within, escaped := rune(0), false, false
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, within = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, within = c, true
		case c == ' ' || c == '\t':
			if within {
				words = append(words, word.String())
				word.Reset()
				within = false
			}
		default:
			word.WriteRune(c)
			within = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("the command has a quote or a backslash without its end")
	}
	if within {
		words = append(words, word.String())
	}
	return words, nil
}
