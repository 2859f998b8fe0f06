package core

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// kind is one of the lists that a server has.
type kind int

const (
	tools kind = iota
	prompts
	resources
	templates
	kinds
)

// listing says how a list is asked for.
type listing struct {
	method     string
	member     string // of the result
	capability string
	changed    string // notification
}

var listings = [kinds]listing{
	tools:     {"tools/list", "tools", "tools", "notifications/tools/list_changed"},
	prompts:   {"prompts/list", "prompts", "prompts", "notifications/prompts/list_changed"},
	resources: {"resources/list", "resources", "resources", "notifications/resources/list_changed"},
	templates: {"resources/templates/list", "resourceTemplates", "resources", "notifications/resources/list_changed"},
}

// kindOf returns the list that a method asks for.
func kindOf(method string) (kind, bool) {
	for k := range kinds {
		if listings[k].method == method {
			return k, true
		}
	}
	return 0, false
}

// catalogue is one list over all back ends. It is immutable.
type catalogue struct {
	entries []aggregate.Exposed
	refused []aggregate.Refusal
	byName  map[string]*aggregate.Exposed
	listed  map[string]wire.Raw // definitions as the back ends gave them, by back end and name there
}

func newCatalogue(rules *aggregate.Rules, k kind, lists map[string]*[kinds][]wire.Raw) *catalogue {
	in := make(map[string][]json.RawMessage, len(lists))
	c := &catalogue{listed: make(map[string]wire.Raw)}
	for name, all := range lists {
		in[name] = all[k]
		for _, raw := range all[k] {
			if id := wire.Text(wire.Get(raw, "name")); id != "" && k <= prompts {
				c.listed[name+"\x00"+id] = raw
			}
		}
	}
	switch k {
	case tools:
		c.entries, c.refused = rules.Tools(in)
	case prompts:
		c.entries, c.refused = rules.Prompts(in)
	case resources:
		c.entries, c.refused = rules.Resources(in)
	default:
		c.entries, c.refused = rules.Templates(in)
	}
	c.byName = make(map[string]*aggregate.Exposed, len(c.entries))
	for i := range c.entries {
		c.byName[c.entries[i].Name] = &c.entries[i]
	}
	return c
}

// same reports whether two lists of a kind are the same to clients and to the
// trail.
func (c *catalogue) same(other *catalogue) bool {
	equal := func(a, b wire.Raw) bool { return bytes.Equal(a, b) }
	return slices.EqualFunc(c.entries, other.entries, func(a, b aggregate.Exposed) bool {
		return a.Name == b.Name && a.Backend == b.Backend && equal(a.Raw, b.Raw)
	}) && maps.EqualFunc(c.listed, other.listed, equal)
}

// find returns where a name leads; nil: nowhere.
func (c *catalogue) find(name string) *aggregate.Exposed { return c.byName[name] }

// definition returns an entry as its back end listed it.
func (c *catalogue) definition(x *aggregate.Exposed) wire.Raw {
	return c.listed[x.Backend+"\x00"+x.Executed]
}

// why returns by which rule a name leads nowhere, "" if nobody has it.
func (c *catalogue) why(name string) aggregate.Reason {
	for _, r := range c.refused {
		if r.Name == name && name != "" {
			return r.Reason
		}
	}
	return ""
}

// array returns the list as JSON.
func (c *catalogue) array() wire.Raw {
	size := 2
	for i := range c.entries {
		size += len(c.entries[i].Raw) + 1
	}
	out := append(make(wire.Raw, 0, size), '[')
	for i := range c.entries {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c.entries[i].Raw...)
	}
	return append(out, ']')
}
