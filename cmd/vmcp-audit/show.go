package main

import (
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// outputs are the formats in which tail shows events, that for people first.
func outputs() []string {
	names, people := words(formats.Names()), string(formats.NameCompact)
	i := slices.Index(names, people)
	return slices.Insert(slices.Delete(names, i, i+1), 0, people)
}

// shower returns what writes one event.
func (p *program) shower(o tailOptions) (func(*emitter.Event) error, error) {
	format, err := formats.New(formats.Options{Format: formats.Name(o.output)})
	if err != nil {
		return nil, err
	}
	color := o.output == string(formats.NameCompact) && (o.color == "always" || o.color == "auto" && isTerminal(p.stdout) && !p.has("NO_COLOR"))
	var buf []byte
	return func(e *emitter.Event) error {
		buf = format(buf[:0], e)
		if color {
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
