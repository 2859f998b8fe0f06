package main

import (
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

const compact = "compact"

// renderings are the formats in which tail shows events, the default first.
var renderings = []struct {
	name   string
	format emitter.Format
}{{compact, formats.Compact}, {"json", formats.JSON}}

func formatNames() (names []string) {
	for _, r := range renderings {
		names = append(names, r.name)
	}
	return names
}

// formatNamed returns the format of that name.
func formatNamed(name string) (emitter.Format, error) {
	for _, r := range renderings {
		if r.name == name {
			return r.format, nil
		}
	}
	return nil, usagef("--output %s: must be one of %s", printable(name), strings.Join(formatNames(), ", "))
}

// shower returns what writes one event.
func (p *program) shower(o tailOptions) (func(*emitter.Event) error, error) {
	format, err := formatNamed(o.output)
	if err != nil {
		return nil, err
	}
	color := o.color == "always" || o.color == "auto" && isTerminal(p.stdout) && !p.has("NO_COLOR")
	var buf []byte
	return func(e *emitter.Event) error {
		buf = format(buf[:0], e)
		if color && o.output == compact {
			buf = paint(buf, e.Outcome)
		}
		_, err := p.stdout.Write(append(buf, '\n'))
		return err
	}, nil
}

// has reports whether an environment variable is set to anything.
func (p *program) has(name string) bool {
	return slices.ContainsFunc(p.environ, func(kv string) bool {
		k, v, _ := strings.Cut(kv, "=")
		return k == name && v != ""
	})
}

var colors = map[emitter.Outcome]string{
	emitter.OutcomeSuccess: "\x1b[32m",
	emitter.OutcomePending: "\x1b[36m",
	emitter.OutcomeFailure: "\x1b[33m",
	emitter.OutcomeDenied:  "\x1b[35m",
	emitter.OutcomeError:   "\x1b[31m",
}

// paint colours the outcome in a line of formats.Compact.
func paint(line []byte, o emitter.Outcome) []byte {
	const at = len("15:04:05.000 ")
	code := colors[o]
	if code == "" || len(line) < at+len(o) {
		return line
	}
	return slices.Concat(line[:at], []byte(code), line[at:at+len(o)], []byte("\x1b[0m"), line[at+len(o):])
}
