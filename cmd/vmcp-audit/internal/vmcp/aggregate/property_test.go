package aggregate

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Few names, so that they meet: with underscores, so that prefixes overlap.
var (
	backendNames = rapid.SampledFrom([]string{"a", "b", "a_b", "b_a", "a_"})
	toolNames    = rapid.SampledFrom([]string{"x", "b_x", "a_x", "_x", "b_a_x", "y"})
)

func drawLists(t *rapid.T) lists {
	return rapid.MapOf(backendNames, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) json.RawMessage {
		return tools(toolNames.Draw(t, "tool"))[0]
	}), 0, 6)).Draw(t, "lists")
}

func drawRules(t *rapid.T) Rules {
	r := Rules{
		Strategy:     rapid.SampledFrom([]Strategy{"", Prefix, Priority, Manual}).Draw(t, "strategy"),
		PrefixFormat: rapid.SampledFrom([]string{"", "{workload}", "{workload}.", "x_"}).Draw(t, "format"),
		DenyUnlisted: rapid.Bool().Draw(t, "deny"),
	}
	if r.Strategy == Priority {
		r.Priority = rapid.SliceOfNDistinct(backendNames, 1, 4, rapid.ID).Draw(t, "priority")
	}
	for _, b := range rapid.SliceOfNDistinct(backendNames, 0, 3, rapid.ID).Draw(t, "ruled") {
		override := rapid.Custom(func(t *rapid.T) Override {
			return Override{Name: toolNames.Draw(t, "to"), Description: rapid.StringOf(rapid.Rune()).Draw(t, "description")}
		})
		r.Backends = append(r.Backends, ToolRules{
			Backend: b, ExcludeAll: rapid.Bool().Draw(t, "exclude"),
			Filter:    rapid.SliceOfNDistinct(toolNames, 0, 3, rapid.ID).Draw(t, "filter"),
			Overrides: rapid.MapOfN(toolNames, override, 0, 3).Draw(t, "overrides"),
		})
	}
	return r
}

// A name leads to one back end, and what it executes there is what was listed:
// the exposed bytes, with the back end's own name put back, are the listed ones.
func TestEveryNameLeadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, all := drawRules(t), drawLists(t)
		for kind, list := range map[string]func(lists) ([]Exposed, []Refusal){"tools": rules.Tools, "prompts": rules.Prompts} {
			exposed, refused := list(all)
			seen := make(map[string]bool)
			total := len(refused)
			for _, e := range exposed {
				total++
				if seen[e.Name] {
					t.Fatalf("%s: two are called %s", kind, e.Name)
				}
				seen[e.Name] = true
				checkExposed(t, all[e.Backend], e)
			}
			for _, list := range all {
				total -= len(list)
			}
			if total != 0 {
				t.Fatalf("%s: %d entries more come out than go in", kind, total)
			}
		}
	})
}

func checkExposed(t *rapid.T, listed []json.RawMessage, e Exposed) {
	t.Helper()
	var got, was map[string]any
	if err := json.Unmarshal(e.Raw, &got); err != nil || got["name"] != e.Name {
		t.Fatalf("%s is called otherwise in %s (%v)", e.Name, e.Raw, err)
	}
	i := slices.IndexFunc(listed, func(raw json.RawMessage) bool { return bytes.Equal(raw, tools(e.Executed)[0]) })
	if i < 0 {
		t.Fatalf("%s leads to %s, which %s does not list", e.Name, e.Executed, e.Backend)
	}
	if err := json.Unmarshal(listed[i], &was); err != nil {
		t.Fatal(err)
	}
	got["name"] = e.Executed
	delete(got, "description")
	if diff := cmp.Diff(was, got); diff != "" {
		t.Fatalf("%s: -listed +exposed\n%s", e.Name, diff)
	}
}

// Neither the order in which back ends answer nor that of the rules matters.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, all := drawRules(t), drawLists(t)
		want, wantRefused := rules.Tools(all)
		shuffled := make(lists)
		for _, b := range rapid.Permutation(slices.Sorted(maps.Keys(all))).Draw(t, "order") {
			shuffled[b] = all[b]
		}
		rules.Backends = rapid.Permutation(rules.Backends).Draw(t, "rules")
		got, gotRefused := rules.Tools(shuffled)
		if diff := cmp.Diff(want, got) + cmp.Diff(wantRefused, gotRefused); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
	})
}

// A back end that lists more or less does not change where the names lead that
// others have: it can only take a name out of the catalogue, or give it back.
func TestNobodyTakesAName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules, all := drawRules(t), drawLists(t)
		if rules.Strategy == Priority {
			t.Skip("whoever comes first in the order takes names: that is what the order says")
		}
		before, _ := rules.Tools(all)
		intruder := backendNames.Draw(t, "intruder")
		all[intruder] = append(slices.Clone(all[intruder]), tools(toolNames.Draw(t, "more"))...)
		after, _ := rules.Tools(all)
		leads := make(map[string]Exposed)
		for _, e := range after {
			leads[e.Name] = e
		}
		for _, e := range before {
			if now, ok := leads[e.Name]; ok && (now.Backend != e.Backend || now.Executed != e.Executed) {
				t.Fatalf("%s led to %s of %s, now to %s of %s", e.Name, e.Executed, e.Backend, now.Executed, now.Backend)
			}
		}
	})
}

// FuzzEntry gives any bytes as a tool. What is exposed differs from them in the
// name alone.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"name":"x"}`), "")
	f.Add([]byte(` { "n\u0061me" : "\u0078" , "description":[1e400,{"name":"y"}]} `), "new <&>")
	f.Add([]byte(`{"description":"old","name":"é","name":"x"}`), "\xff")
	f.Add([]byte(`{"name":"\ud800","Name":7}`), "x")
	f.Add([]byte(`{"annotations":{"ReadonlyHint":"}", "x":{"readOnlyHint":0}} , "name":"x"}`), "hint")
	f.Fuzz(func(t *testing.T, raw []byte, description string) {
		rules := Rules{Backends: []ToolRules{{Backend: "b", Overrides: map[string]Override{}}}}
		var own struct {
			Name json.RawMessage `json:"name"`
		}
		var name string
		if json.Unmarshal(raw, &own) == nil && json.Unmarshal(own.Name, &name) == nil {
			o := Override{Description: description}
			if description == "hint" {
				o.Annotations.ReadOnly = new(bool)
			}
			rules.Backends[0].Overrides[name] = o
		}
		given := bytes.Clone(raw)
		exposed, refused := rules.Tools(lists{"b": {raw}})
		if len(exposed)+len(refused) != 1 || !bytes.Equal(given, raw) {
			t.Fatalf("%d exposed, %d refused, %q", len(exposed), len(refused), raw)
		}
		if len(refused) > 0 {
			return
		}
		e := exposed[0]
		var got, want map[string]json.RawMessage
		if err := json.Unmarshal(e.Raw, &got); err != nil || json.Unmarshal(raw, &want) != nil {
			t.Fatalf("%q: %v", e.Raw, err)
		}
		if string(got["name"]) != quoted("b_"+name) || e.Executed != name || !ValidName(name) {
			t.Fatalf("%q is exposed as %q, executed %q", raw, e.Raw, e.Executed)
		}
		if description != "" {
			if string(got["description"]) != quoted(description) {
				t.Fatalf("description of %q, not %q", e.Raw, description)
			}
			delete(got, "description")
			delete(want, "description")
		}
		if description == "hint" {
			var hints struct{ ReadOnlyHint *bool }
			if err := json.Unmarshal(got["annotations"], &hints); err != nil || hints.ReadOnlyHint == nil || *hints.ReadOnlyHint {
				t.Fatalf("annotations of %q: %v", e.Raw, err)
			}
			delete(got, "annotations")
			delete(want, "annotations")
		}
		delete(got, "name")
		delete(want, "name")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
	})
}
