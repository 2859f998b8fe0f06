package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

const tailHelp = `Shows the events of a file in the order in which they were stored.

Without FILE it is the one of VMCP_AUDIT_FILE_PATH; a FILE of - is stdin. Times
are UTC. Text that a stranger chose is quoted where it could lead a terminal
astray. Lines that are no events are named on stderr, and the exit code is 1.`

// tailOptions are the flags of tail.
type tailOptions struct {
	follow   bool
	types    []string
	outcomes []string
	user     string
	since    string
	output   string
	color    string
}

func (p *program) tail() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail [FILE|-]",
		Short: "show events, as they come or from a file",
		Long:  tailHelp,
		Example: `  vmcp-audit tail -f audit.jsonl
  vmcp-audit tail --outcome denied,error --since 1h audit.jsonl
  vmcp-audit tail --type mcp_tool_call --user alice -o json audit.jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("tail takes one file, not %d\nhint: vmcp-audit tail --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.runTail(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on as the file grows, also when it is moved and made anew")
	f.StringSliceVar(&o.types, "type", nil, "only these types of event")
	f.StringSliceVar(&o.outcomes, "outcome", nil, "only these outcomes")
	f.StringVar(&o.user, "user", "", "only this user, by name or id")
	f.StringVar(&o.since, "since", "", "only events since a time (RFC 3339) or for a duration (90s, 2h)")
	outputFlag(cmd, &o.output, outputs()...)
	choiceFlag(cmd, &o.color, "color", "", "colour of the outcome; auto obeys NO_COLOR", "auto", "always", "never")
	return cmd
}

func (p *program) runTail(ctx context.Context, args []string, o tailOptions) error {
	keep, err := o.filter(time.Now())
	if err != nil {
		return err
	}
	in, err := p.openTail(args, o.follow)
	if err != nil {
		return err
	}
	defer in.Close()
	show, err := p.shower(o)
	if err != nil {
		return err
	}
	_, follow := in.(*follower) // stdin ends where it ends
	lines, bad := lineReader{r: in}, 0
	for {
		line, err := lines.next(ctx, follow)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		e, err := emitter.Decode(line)
		if err != nil {
			bad++
			fmt.Fprintf(p.stderr, "vmcp-audit: line %d: %s\n", lines.n, printable(err.Error()))
			continue
		}
		if !keep(e) {
			continue
		}
		if err := show(e); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d lines are no events", bad, lines.n)
	}
	return nil
}

// outputs are the formats, that for people first.
func outputs() []string {
	names, people := words(formats.Names()), string(formats.NameCompact)
	i := slices.Index(names, people)
	return slices.Insert(slices.Delete(names, i, i+1), 0, people)
}

// openTail opens what the arguments name, else the configured file.
func (p *program) openTail(args []string, follow bool) (io.ReadCloser, error) {
	path := ""
	if len(args) > 0 {
		path = args[0]
	}
	if path == "" {
		cfg, _, err := config.Load(p.environ, config.LoadOptions{Known: typeNames()})
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(cfg.Files, func(f config.FileDestination) bool { return f.Path != "-" && f.Format == formats.NameJSON })
		if i < 0 {
			return nil, usagef("no file is named, and none is configured\nhint: vmcp-audit tail FILE, or set %sFILE_PATH", config.Prefix)
		}
		path = cfg.Files[i].Path
	}
	if follow && path != "-" {
		return openFollower(path)
	}
	return p.openInput(path)
}

// filter returns what decides whether an event is shown.
func (o tailOptions) filter(now time.Time) (func(*emitter.Event) bool, error) {
	for _, t := range o.types {
		if !slices.Contains(typeNames(), t) {
			return nil, usagef("--type %s: no such type\nhint: docs/events.md lists them", printable(t))
		}
	}
	for _, v := range o.outcomes {
		if !slices.Contains(emitter.Outcomes(), emitter.Outcome(v)) {
			return nil, usagef("--outcome %s: must be one of %v", printable(v), emitter.Outcomes())
		}
	}
	since, err := sinceTime(o.since, now)
	if err != nil {
		return nil, err
	}
	return func(e *emitter.Event) bool {
		return (len(o.types) == 0 || slices.Contains(o.types, string(e.Type))) &&
			(len(o.outcomes) == 0 || slices.Contains(o.outcomes, string(e.Outcome))) &&
			(o.user == "" || o.user == e.Subjects.User || o.user == e.Subjects.UserID) &&
			!e.LoggedAt.Before(since)
	}, nil
}

func sinceTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--since %s: neither a duration like 2h nor a time like 2026-01-31T12:00:00Z", printable(s))
	}
	return t, nil
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
