package aggregate

import (
	"encoding/json"
	"maps"
	"slices"
)

// Rule says how an entry came by its name; the trail records it.
type Rule string

// The rules.
const (
	RuleNone     Rule = "none"     // its own name, which nobody else has
	RulePrefix   Rule = "prefix"   // with the prefix of its back end
	RulePriority Rule = "priority" // several back ends have the name, this one comes first in the order of priority
	RuleManual   Rule = "manual"   // an override renamed it
	RuleFirst    Rule = "first"    // several back ends have the URI, this one comes first
)

// Exposed is an entry of a list as clients see it.
type Exposed struct {
	Name     string // what clients call it, or its URI
	Backend  string
	Executed string // what the back end calls it
	Rule     Rule

	// Raw is what the back end listed, with the exposed name, description and
	// annotations in it. Every other byte is the back end's.
	Raw json.RawMessage
}

// Reason says why an entry is not exposed.
type Reason string

// The reasons. Excluded and Filtered are what the rules ask for, the others
// should be told to somebody.
const (
	Excluded  Reason = "excluded"  // no tool of the back end is shown
	Filtered  Reason = "filtered"  // its name is not in the filter
	Outranked Reason = "outranked" // a back end that comes first has the name or URI
	Ambiguous Reason = "ambiguous" // several entries would have the name, so nobody has it
	Duplicate Reason = "duplicate" // its back end lists the name twice; the first one counts
	Invalid   Reason = "invalid"   // it is no object, or its name is none, see ValidName
)

// Refusal is an entry that is not exposed.
type Refusal struct {
	Name     string // that clients would call it; empty where it has none
	Backend  string
	Executed string // what the back end calls it; likewise
	Reason   Reason
	Detail   string // of Invalid: what is wrong; never text of the back end
}

// Tools returns the catalogue of tools. lists has what each back end lists, by
// the back end's name; it is not changed, and Raw may share its bytes.
//
// Entries come in the order of their back ends (by priority where that is the
// strategy, then by name), those of one back end in the order in which it lists
// them.
func (r *Rules) Tools(lists map[string][]json.RawMessage) ([]Exposed, []Refusal) {
	c := r.read(lists, nameKey, validName)
	c.applyToolRules(r)
	c.resolve(r, r.strategy())
	return c.finish()
}

// Prompts returns the catalogue of prompts, as Tools does. Overrides and filters
// are for tools; under Manual a prompt that several back ends have gets the
// prefix, and the others keep their names.
func (r *Rules) Prompts(lists map[string][]json.RawMessage) ([]Exposed, []Refusal) {
	c := r.read(lists, nameKey, validName)
	if r.strategy() == Manual {
		c.resolve(&Rules{PrefixFormat: r.PrefixFormat}, Priority) // nobody comes first: all of them are prefixed
	} else {
		c.resolve(r, r.strategy())
	}
	return c.finish()
}

// Resources returns the catalogue of resources. A URI is what clients and back
// ends write into messages, so it is never changed: of several back ends that
// have it the first one counts.
func (r *Rules) Resources(lists map[string][]json.RawMessage) ([]Exposed, []Refusal) {
	c := r.read(lists, uriKey, validURI)
	c.first()
	return c.finish()
}

// Templates returns the catalogue of resource templates, by their URI template,
// as Resources does.
func (r *Rules) Templates(lists map[string][]json.RawMessage) ([]Exposed, []Refusal) {
	c := r.read(lists, templateKey, validURI)
	c.first()
	return c.finish()
}

// order returns the back ends in the order in which they count.
func (r *Rules) order(lists map[string][]json.RawMessage) []string {
	var first []string
	if r.strategy() == Priority {
		for _, b := range r.Priority {
			if _, ok := lists[b]; ok {
				first = append(first, b)
			}
		}
	}
	rest := slices.Sorted(maps.Keys(lists))
	return append(first, slices.DeleteFunc(rest, func(b string) bool { return slices.Contains(first, b) })...)
}

// candidate is an entry on its way into a catalogue.
type candidate struct {
	Exposed
	entry    entry
	override Override
}

// catalogue is one list while it is made.
type catalogue struct {
	candidates []candidate
	refused    []Refusal
}

// read takes the entries of all lists. Those that cannot be read, and the
// second of one name, are refused.
func (r *Rules) read(lists map[string][]json.RawMessage, key string, valid func(string) string) *catalogue {
	c := new(catalogue)
	for _, backend := range r.order(lists) {
		seen := make(map[string]bool, len(lists[backend]))
		for _, raw := range lists[backend] {
			e, problem := parseEntry(raw, key)
			if problem == "" {
				problem = valid(e.id)
			}
			switch {
			case problem != "":
				c.refused = append(c.refused, Refusal{Backend: backend, Reason: Invalid, Detail: problem})
			case seen[e.id]:
				c.refused = append(c.refused, Refusal{e.id, backend, e.id, Duplicate, ""})
			default:
				seen[e.id] = true
				c.candidates = append(c.candidates, candidate{
					Exposed: Exposed{Name: e.id, Backend: backend, Executed: e.id, Rule: RuleNone}, entry: e,
				})
			}
		}
	}
	return c
}

// keep drops the candidates for which why gives a reason.
func (c *catalogue) keep(why func(*candidate) (Reason, string)) {
	kept := c.candidates[:0]
	for _, k := range c.candidates {
		if reason, detail := why(&k); reason != "" {
			c.refused = append(c.refused, Refusal{k.Name, k.Backend, k.Executed, reason, detail})
			continue
		}
		kept = append(kept, k)
	}
	c.candidates = kept
}

// applyToolRules renames, describes and hides tools.
func (c *catalogue) applyToolRules(r *Rules) {
	c.keep(func(k *candidate) (Reason, string) {
		rules, listed := r.of(k.Backend)
		o := rules.Overrides[k.Executed]
		if o.Name != "" && o.Name != k.Name {
			k.Name, k.Rule = o.Name, RuleManual
		}
		k.override = o
		hidden := Reason("")
		switch {
		case r.ExcludeAll || rules.ExcludeAll || r.DenyUnlisted && !listed:
			hidden = Excluded
		case len(rules.Filter) > 0 && !slices.Contains(rules.Filter, k.Name):
			hidden = Filtered
		}
		if hidden != "" && r.strategy() == Prefix { // by this name a client would call it
			k.Name = r.prefixed(k.Backend, k.Name)
		}
		return hidden, ""
	})
}

// byName counts the candidates of each name.
func (c *catalogue) byName() map[string]int {
	n := make(map[string]int, len(c.candidates))
	for _, k := range c.candidates {
		n[k.Name]++
	}
	return n
}

// resolve gives each candidate its last name. Where no name can be given, the
// candidate is refused.
func (c *catalogue) resolve(r *Rules, s Strategy) {
	switch s {
	case Priority:
		c.resolvePriority(r)
	case Manual:
	default:
		for i := range c.candidates {
			k := &c.candidates[i]
			k.Name, k.Rule = r.prefixed(k.Backend, k.Name), RulePrefix
		}
	}
	count := c.byName()
	c.keep(func(k *candidate) (Reason, string) {
		if problem := validName(k.Name); problem != "" { // the prefix may have made it too long
			return Invalid, problem
		}
		if count[k.Name] > 1 {
			return Ambiguous, ""
		}
		return "", ""
	})
}

// resolvePriority leaves a name that several back ends have to the first of
// them that is in the order. If none is, each gets its prefix: nothing said
// which of them is to be hidden.
func (c *catalogue) resolvePriority(r *Rules) {
	count := c.byName()
	winner := make(map[string]string) // back end by name
	for _, b := range r.Priority {
		for _, k := range c.candidates {
			if _, taken := winner[k.Name]; k.Backend == b && !taken {
				winner[k.Name] = b
			}
		}
	}
	c.keep(func(k *candidate) (Reason, string) {
		w, decided := winner[k.Name]
		switch {
		case count[k.Name] == 1:
		case !decided:
			k.Name, k.Rule = r.prefixed(k.Backend, k.Name), RulePrefix
		case k.Backend != w:
			return Outranked, ""
		default:
			k.Rule = RulePriority
		}
		return "", ""
	})
}

// first leaves each URI to the first back end that has it.
func (c *catalogue) first() {
	count := c.byName()
	seen := make(map[string]bool, len(c.candidates))
	c.keep(func(k *candidate) (Reason, string) {
		if seen[k.Name] {
			return Outranked, ""
		}
		seen[k.Name] = true
		if count[k.Name] > 1 {
			k.Rule = RuleFirst
		}
		return "", ""
	})
}

// finish writes the names into the entries.
func (c *catalogue) finish() ([]Exposed, []Refusal) {
	exposed := make([]Exposed, len(c.candidates))
	for i, k := range c.candidates {
		exposed[i] = k.Exposed
		exposed[i].Raw = k.entry.rewrite(k.Name, k.override)
	}
	return exposed, c.refused
}
