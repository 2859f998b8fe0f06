package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// filter says which events are shown: those that fit all that is set.
type filter struct {
	types    []string
	outcomes []string
	user     string
	tool     string
	server   string
	since    string
}

func (f *filter) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringSliceVar(&f.types, "type", nil, "only these types of event")
	fs.StringSliceVar(&f.outcomes, "outcome", nil, "only these outcomes")
	fs.StringVar(&f.user, "user", "", "only this user, by name or id")
	fs.StringVar(&f.tool, "tool", "", "only this tool, by the name that the client or the back end has for it")
	fs.StringVar(&f.server, "server", "", "only this back end")
	fs.StringVar(&f.since, "since", "", "only events since a time (RFC 3339) or for a duration (90s, 2h)")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(typeNames(), cobra.ShellCompDirectiveNoFileComp))
}

// empty reports whether every event fits.
func (f *filter) empty() bool {
	return len(f.types)+len(f.outcomes) == 0 && f.user+f.tool+f.server+f.since == ""
}

// keep returns what decides whether an event is shown.
func (f *filter) keep(now time.Time) (func(*emitter.Event) bool, error) {
	for _, t := range f.types {
		if !slices.Contains(typeNames(), t) {
			return nil, usagef("--type %s: no such type\nhint: docs/events.md lists them", printable(t))
		}
	}
	for _, v := range f.outcomes {
		if !slices.Contains(emitter.Outcomes(), emitter.Outcome(v)) {
			return nil, usagef("--outcome %s: must be one of %v", printable(v), emitter.Outcomes())
		}
	}
	since, err := timeFlag("since", f.since, now)
	if err != nil {
		return nil, err
	}
	return func(e *emitter.Event) bool {
		return (len(f.types) == 0 || slices.Contains(f.types, string(e.Type))) &&
			(len(f.outcomes) == 0 || slices.Contains(f.outcomes, string(e.Outcome))) &&
			(f.user == "" || f.user == e.Subjects.User || f.user == e.Subjects.UserID) &&
			(f.tool == "" || e.Target.Type == "tool" && (f.tool == e.Target.Name || f.tool == e.Target.Tool)) &&
			(f.server == "" || f.server == e.Target.Server.Name || f.server == e.Metadata.Extra.BackendName) &&
			!e.LoggedAt.Before(since)
	}, nil
}

// timeFlag reads the flag of that name: a time, or how long ago it was. An empty
// text is the zero time.
func timeFlag(name, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--%s %s: neither a duration like 2h nor a time like 2026-01-31T12:00:00Z", name, strconv.Quote(s))
	}
	return t, nil
}
