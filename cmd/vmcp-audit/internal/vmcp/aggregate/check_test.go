package aggregate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	overrides := func(o ...string) map[string]Override {
		m := make(map[string]Override)
		for i := 0; i < len(o); i += 2 {
			m[o[i]] = Override{Name: o[i+1]}
		}
		return m
	}
	for _, test := range []struct {
		name  string
		rules Rules
		want  []string
	}{
		{"zero", Rules{}, nil},
		{"all of it", Rules{
			Strategy: Priority, Priority: []string{"b", "a"}, PrefixFormat: "{workload}.",
			Backends: []ToolRules{{Backend: "a", Filter: []string{"y", "z"}, Overrides: overrides("x", "y")}, {Backend: "b", ExcludeAll: true}},
		}, nil},
		{"names that change places", Rules{Backends: []ToolRules{{Backend: "a", Filter: []string{"x", "y"}, Overrides: overrides("x", "y", "y", "x")}}}, nil},
		{"strategy", Rules{Strategy: "first"}, []string{"conflictResolution: is none of prefix, priority, manual"}},
		{"no order", Rules{Strategy: Priority}, []string{"conflictResolutionConfig.priorityOrder: is missing: conflictResolution is priority, which needs an order"}},
		{"an order for nothing", Rules{Priority: []string{"a"}}, []string{"conflictResolutionConfig.priorityOrder: does nothing: conflictResolution is prefix"}},
		{"order", Rules{Strategy: Priority, Priority: []string{"a", "c", "a"}}, []string{
			"conflictResolutionConfig.priorityOrder[1]: is c, which is no back end",
			"conflictResolutionConfig.priorityOrder[2]: is a for the second time",
		}},
		{"format", Rules{PrefixFormat: "{backend}_"}, []string{"conflictResolutionConfig.prefixFormat: has braces other than those of {workload}"}},
		{"hidden characters", Rules{PrefixFormat: "a\n"}, []string{"conflictResolutionConfig.prefixFormat: has characters that cannot be seen"}},
		{"long format", Rules{PrefixFormat: strings.Repeat("x", MaxPrefixFormat+1)}, []string{"conflictResolutionConfig.prefixFormat: is longer than 64 bytes"}},
		{"workloads", Rules{Backends: []ToolRules{{Backend: "a"}, {Backend: "A\x1b"}, {Backend: "a"}}}, []string{
			`tools[1].workload: is "A\x1b", which is no back end`, "tools[2].workload: is a for the second time",
		}},
		{"filter", Rules{Backends: []ToolRules{{Backend: "a", Filter: []string{"", "x", "x"}}}}, []string{
			"tools[0].filter[0]: is not the name of a tool", "tools[0].filter[2]: is x for the second time",
		}},
		{"filter with an old name", Rules{Backends: []ToolRules{{Backend: "a", Filter: []string{"x"}, Overrides: overrides("x", "y")}}}, []string{
			"tools[0].filter[0]: is x, which an override renames to y: the filter takes the new name",
		}},
		{"overrides", Rules{Backends: []ToolRules{{Backend: "a", Overrides: overrides("a", "", "b", "\n", "c", "z", "d", "z")}}}, []string{
			"tools[0].overrides.a: has neither name, description nor annotations", "tools[0].overrides.b.name: is not the name of a tool",
			"tools[0].overrides.d.name: is the name of c too",
		}},
		{"one name by the overrides of two", Rules{Strategy: Manual, Backends: []ToolRules{
			{Backend: "a", Overrides: overrides("x", "z")}, {Backend: "b", Overrides: overrides("y", "z")},
		}}, []string{"tools[1].overrides.y.name: is what a tool of a is called too"}},
		{"which prefixes tell apart", Rules{Backends: []ToolRules{
			{Backend: "a", Overrides: overrides("x", "z")}, {Backend: "b", Overrides: overrides("y", "z")},
		}}, nil},
		{"long description", Rules{Backends: []ToolRules{{Backend: "a", Overrides: map[string]Override{"x": {Description: strings.Repeat("x", MaxDescription+1)}}}}}, []string{
			"tools[0].overrides.x.description: is longer than 16384 bytes",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			err := test.rules.Check([]string{"a", "b"})
			if m, ok := errors.AsType[Mistakes](err); ok {
				got = strings.Split(m.Error(), "\n")
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestUnused(t *testing.T) {
	rules := Rules{Backends: []ToolRules{
		{Backend: "a", Filter: []string{"new", "gone"}, Overrides: map[string]Override{"old": {Name: "new"}, "lost": {Name: "x"}}},
		{Backend: "down", Filter: []string{"x"}},
	}}
	var got []string
	for _, m := range rules.Unused(lists{"a": tools("old", "other"), "b": tools("gone", "lost")}) {
		got = append(got, m.String())
	}
	want := []string{
		"tools[0].filter[1]: is gone, but a has no such tool",
		"tools[0].overrides.lost: is for no tool that a has",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAmbiguousNames(t *testing.T) {
	rules := Rules{Strategy: Manual}
	_, refused := rules.Tools(lists{"a": append(tools("x", "y"), json.RawMessage(`7`)), "b": tools("y", "x")})
	want := `the name x is ambiguous: x of a and x of b would have it; rename a tool by aggregation.tools[].overrides, or a back end
the name y is ambiguous: y of a and y of b would have it; rename a tool by aggregation.tools[].overrides, or a back end`
	if err := AmbiguousNames(refused); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, refused = rules.Tools(lists{"a": append(tools("x"), json.RawMessage(`7`))})
	if err := AmbiguousNames(refused); err != nil {
		t.Errorf("got %v for %v", err, refused)
	}
}
