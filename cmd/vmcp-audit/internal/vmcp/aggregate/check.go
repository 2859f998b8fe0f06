package aggregate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits of rules.
const (
	MaxPrefixFormat = 64       // bytes
	MaxDescription  = 16 << 10 // bytes of an override's description
)

// Mistake is one thing that is wrong with rules.
type Mistake struct {
	// At says where: keys (string) and indexes (int) below aggregation in the
	// configuration, such as "tools", 0, "overrides", "search", "name".
	At      []any
	Problem string // begins with a verb whose subject is the value; safe to show
}

// String returns m as one line.
func (m Mistake) String() string {
	var b strings.Builder
	for i, step := range m.At {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(shown(step))
		}
	}
	return b.String() + ": " + m.Problem
}

// Mistakes is an error that holds at least one.
type Mistakes []Mistake

// Error returns one line for each mistake.
func (all Mistakes) Error() string {
	lines := make([]string, len(all))
	for i, m := range all {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// Check returns what is wrong with the rules for these back ends, as
// [Mistakes]; nil: nothing.
func (r *Rules) Check(backends []string) error {
	c := &checker{backends: backends}
	c.strategy(r)
	c.format(r)
	seen := make(map[string]bool)
	for i, t := range r.Backends {
		at := []any{"tools", i}
		c.backend(t.Backend, seen, at, "workload")
		c.filter(t, at)
		c.overrides(t, at)
	}
	if r.strategy() == Manual {
		c.manual(r)
	}
	if len(c.found) == 0 {
		return nil
	}
	return c.found
}

// checker collects mistakes.
type checker struct {
	backends []string
	found    Mistakes
}

func (c *checker) require(ok bool, at []any, problem string) {
	if !ok {
		c.found = append(c.found, Mistake{at, problem})
	}
}

func (c *checker) strategy(r *Rules) {
	order := []any{"conflictResolutionConfig", "priorityOrder"}
	switch r.strategy() {
	case Priority:
		c.require(len(r.Priority) > 0, order, "is missing: conflictResolution is priority, which needs an order")
	case Prefix, Manual:
		c.require(len(r.Priority) == 0, order, "does nothing: conflictResolution is "+string(r.strategy()))
	default:
		c.require(false, []any{"conflictResolution"}, "is none of prefix, priority, manual")
	}
	seen := make(map[string]bool)
	for i, b := range r.Priority {
		c.backend(b, seen, order, i)
	}
}

// backend checks that name, which stands at the step below at, is the name of a
// back end and new to seen.
func (c *checker) backend(name string, seen map[string]bool, at []any, step any) {
	at = below(at, step)
	c.require(slices.Contains(c.backends, name), at, "is "+shown(name)+", which is no back end")
	c.require(!seen[name], at, "is "+shown(name)+" for the second time")
	seen[name] = true
}

func (c *checker) format(r *Rules) {
	at := []any{"conflictResolutionConfig", "prefixFormat"}
	c.require(len(r.PrefixFormat) <= MaxPrefixFormat, at, fmt.Sprintf("is longer than %d bytes", MaxPrefixFormat))
	rest := strings.ReplaceAll(r.PrefixFormat, Placeholder, "")
	c.require(!strings.ContainsAny(rest, "{}"), at, "has braces other than those of "+Placeholder)
	c.require(!strings.ContainsFunc(rest, hidden), at, "has characters that cannot be seen")
}

func (c *checker) filter(t ToolRules, at []any) {
	made := make(map[string]bool) // by overrides
	for _, o := range t.Overrides {
		made[o.Name] = true
	}
	seen := make(map[string]bool)
	for i, name := range t.Filter {
		at := below(at, "filter", i)
		c.require(ValidName(name), at, "is not the name of a tool")
		c.require(!seen[name], at, "is "+shown(name)+" for the second time")
		seen[name] = true
		to := t.Overrides[name].Name
		c.require(to == "" || made[name], at, "is "+shown(name)+", which an override renames to "+shown(to)+": the filter takes the new name")
	}
}

func (c *checker) overrides(t ToolRules, at []any) {
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(t.Overrides)) {
		o, at := t.Overrides[name], below(at, "overrides", name)
		c.require(ValidName(name), at, "is not the name of a tool")
		c.require(o != Override{}, at, "has neither name, description nor annotations")
		c.require(o.Name == "" || ValidName(o.Name), below(at, "name"), "is not the name of a tool")
		c.require(len(o.Description) <= MaxDescription, below(at, "description"), fmt.Sprintf("is longer than %d bytes", MaxDescription))
		if other, taken := seen[o.Name]; taken && o.Name != "" {
			c.require(false, below(at, "name"), "is the name of "+shown(other)+" too")
		}
		seen[o.Name] = name
	}
}

// manual checks that overrides of different back ends do not give one name.
func (c *checker) manual(r *Rules) {
	seen := make(map[string]string) // back end by name
	for i, t := range r.Backends {
		for _, name := range slices.Sorted(maps.Keys(t.Overrides)) {
			to := t.Overrides[name].Name
			other, taken := seen[to]
			if to == "" || taken && other == t.Backend {
				continue
			}
			c.require(!taken, []any{"tools", i, "overrides", name, "name"}, "is what a tool of "+shown(other)+" is called too")
			seen[to] = t.Backend
		}
	}
}

// Unused returns where the rules name tools that no back end lists, most likely
// by a slip of the pen: a filter that lists no tool hides them all. Back ends
// that are not in lists do not count.
func (r *Rules) Unused(lists map[string][]json.RawMessage) []Mistake {
	c := new(checker)
	listed := r.read(lists, nameKey, validName).candidates
	for i, t := range r.Backends {
		if _, ok := lists[t.Backend]; !ok {
			continue
		}
		own, shownAs := make(map[string]bool), make(map[string]bool)
		for _, k := range listed {
			if k.Backend == t.Backend {
				own[k.Executed] = true
				name := t.Overrides[k.Executed].Name
				if name == "" {
					name = k.Executed
				}
				shownAs[name] = true
			}
		}
		for j, name := range t.Filter {
			c.require(shownAs[name], []any{"tools", i, "filter", j}, "is "+shown(name)+", but "+shown(t.Backend)+" has no such tool")
		}
		for _, name := range slices.Sorted(maps.Keys(t.Overrides)) {
			c.require(own[name], []any{"tools", i, "overrides", name}, "is for no tool that "+shown(t.Backend)+" has")
		}
	}
	return c.found
}

// AmbiguousNames returns an error with one line for each name that nobody has
// because several entries would; nil: there is none. Whoever starts with such
// lists should refuse to.
func AmbiguousNames(refused []Refusal) error {
	who := make(map[string][]string)
	for _, f := range refused {
		if f.Reason == Ambiguous {
			who[f.Name] = append(who[f.Name], shown(f.Executed)+" of "+shown(f.Backend))
		}
	}
	lines := make([]string, 0, len(who))
	for _, name := range slices.Sorted(maps.Keys(who)) {
		lines = append(lines, fmt.Sprintf("the name %s is ambiguous: %s would have it; rename a tool by aggregation.tools[].overrides, or a back end",
			shown(name), strings.Join(who[name], " and ")))
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// below returns at with steps after it, as a slice of its own.
func below(at []any, steps ...any) []any { return slices.Concat(at, steps) }

// maxShown is how many bytes of a name a message shows.
const maxShown = 64

// shown returns a name for a message: as it is if it is plain, else quoted; cut
// to maxShown bytes.
func shown(name string) string {
	special := func(r rune) bool {
		return !strings.ContainsRune("_-./", r) && (r < '0' || '9' < r && r < 'A' || 'Z' < r && r < 'a' || 'z' < r)
	}
	if name != "" && len(name) <= maxShown && !strings.ContainsFunc(name, special) {
		return name
	}
	if len(name) > maxShown {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(name[:maxShown], ""))
	}
	return fmt.Sprintf("%q", name)
}
