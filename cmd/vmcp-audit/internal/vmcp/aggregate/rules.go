// Package aggregate makes one catalogue of what several MCP servers list: it
// decides under which name a client sees each tool and prompt, which back end a
// name or URI leads to, and what is not shown.
//
// It is pure: the same lists and rules give the same catalogue in the same
// order, whatever order the back ends are given in. No two exposed entries of a
// list have one name, and each leads back to the entry that was listed. Where
// that cannot be, nobody gets the name: a back end must not take the calls that
// are meant for another by choosing its names well.
//
// The rules are those of ToolHive's vMCP (stacklok/toolhive, pkg/vmcp/config
// and pkg/vmcp/aggregator, August 2026); docs/vmcp-config.md says where they
// differ.
package aggregate

import (
	"strconv"
	"strings"
)

// Strategy says what becomes of names that several back ends have.
type Strategy string

// The strategies.
const (
	Prefix   Strategy = "prefix"   // every name begins with the name of its back end
	Priority Strategy = "priority" // the first back end in an order has it, the others do not
	Manual   Strategy = "manual"   // nobody has it: an override must give each its own
)

// Prefixes are made of a format in which Placeholder stands for the name of the
// back end.
const (
	DefaultPrefixFormat = "{workload}_"
	Placeholder         = "{workload}"
)

// Rules say how lists become a catalogue. The zero Rules put the default prefix
// before every name and hide nothing. Rules must have passed [Rules.Check]; they
// are not changed and may be used concurrently.
type Rules struct {
	Strategy     Strategy    // empty: Prefix
	PrefixFormat string      // empty: DefaultPrefixFormat
	Priority     []string    // back ends, the first one wins; for the strategy of that name
	Backends     []ToolRules // in any order, at most one for each back end
	ExcludeAll   bool        // no tool is shown
	DenyUnlisted bool        // no tool of a back end that is not in Backends is shown
}

// ToolRules are those of one back end. They are about tools alone.
type ToolRules struct {
	Backend    string
	Filter     []string            // names of those that are shown, after overrides; empty: all
	Overrides  map[string]Override // by the name that the back end lists
	ExcludeAll bool                // none is shown
}

// Override is what a tool is called and described as instead. An empty field
// changes nothing.
type Override struct {
	Name        string // before the prefix
	Description string
	Annotations Annotations
}

// Annotations are hints for clients (MCP 2025-11-25, schema.ts: ToolAnnotations)
// that stand in the place of the tool's own. A nil one changes nothing.
type Annotations struct {
	Title                                   *string
	ReadOnly, Destructive, Idempotent, Open *bool
}

// values returns those that are set as JSON, by their keys.
func (a Annotations) values() map[string]string {
	values := make(map[string]string)
	if a.Title != nil {
		values["title"] = quoted(*a.Title)
	}
	for key, hint := range map[string]*bool{
		"readOnlyHint": a.ReadOnly, "destructiveHint": a.Destructive, "idempotentHint": a.Idempotent, "openWorldHint": a.Open,
	} {
		if hint != nil {
			values[key] = strconv.FormatBool(*hint)
		}
	}
	return values
}

func (r *Rules) strategy() Strategy {
	if r.Strategy == "" {
		return Prefix
	}
	return r.Strategy
}

// prefixed returns name with the prefix of backend.
func (r *Rules) prefixed(backend, name string) string {
	format := r.PrefixFormat
	if format == "" {
		format = DefaultPrefixFormat
	}
	return strings.ReplaceAll(format, Placeholder, backend) + name
}

// of returns the rules of a back end and whether it has any.
func (r *Rules) of(backend string) (ToolRules, bool) {
	for _, t := range r.Backends {
		if t.Backend == backend {
			return t, true
		}
	}
	return ToolRules{}, false
}
