package aggregate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tools returns a list with tools of these names.
func tools(names ...string) []json.RawMessage {
	list := make([]json.RawMessage, len(names))
	for i, name := range names {
		list[i] = json.RawMessage(fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name))
	}
	return list
}

type lists = map[string][]json.RawMessage

// lines shows a catalogue: "exposed = executed@backend (rule)", and what was
// refused as "! exposed = executed@backend (reason)".
func lines(exposed []Exposed, refused []Refusal) []string {
	var all []string
	for _, e := range exposed {
		all = append(all, fmt.Sprintf("%s = %s@%s (%s)", e.Name, e.Executed, e.Backend, e.Rule))
	}
	for _, f := range refused {
		all = append(all, fmt.Sprintf("! %s = %s@%s (%s%s)", f.Name, f.Executed, f.Backend, f.Reason, f.Detail))
	}
	return all
}

func TestTools(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules Rules
		lists lists
		want  []string
	}{
		{
			"the zero rules put the name of the back end before",
			Rules{},
			lists{"github": tools("search", "create"), "docs": tools("search")},
			[]string{
				"docs_search = search@docs (prefix)",
				"github_search = search@github (prefix)", "github_create = create@github (prefix)",
			},
		},
		{
			"a prefix format",
			Rules{PrefixFormat: "x-{workload}."},
			lists{"a": tools("b")},
			[]string{"x-a.b = b@a (prefix)"},
		},
		{
			"prefixes that overlap give nobody the name",
			Rules{},
			lists{"a": tools("b_c", "d"), "a_b": tools("c", "e")},
			[]string{
				"a_d = d@a (prefix)", "a_b_e = e@a_b (prefix)",
				"! a_b_c = b_c@a (ambiguous)", "! a_b_c = c@a_b (ambiguous)",
			},
		},
		{
			"a fixed prefix does not tell back ends apart",
			Rules{PrefixFormat: "x_"},
			lists{"a": tools("s", "t"), "b": tools("s")},
			[]string{"x_t = t@a (prefix)", "! x_s = s@a (ambiguous)", "! x_s = s@b (ambiguous)"},
		},
		{
			"the first in the order of priority has the name",
			Rules{Strategy: Priority, Priority: []string{"z", "a"}},
			lists{"a": tools("search", "own"), "z": tools("search"), "m": tools("search", "mine")},
			[]string{
				"search = search@z (priority)", "own = own@a (none)", "mine = mine@m (none)",
				"! search = search@a (outranked)", "! search = search@m (outranked)",
			},
		},
		{
			"those outside the order get prefixes",
			Rules{Strategy: Priority, Priority: []string{"z"}},
			lists{"a": tools("search"), "b": tools("search"), "z": tools("other")},
			[]string{"other = other@z (none)", "a_search = search@a (prefix)", "b_search = search@b (prefix)"},
		},
		{
			"such a prefix may make an ambiguous name",
			Rules{Strategy: Priority, Priority: []string{"z"}},
			lists{"a": tools("search"), "b": tools("search"), "z": tools("a_search")},
			[]string{
				"b_search = search@b (prefix)",
				"! a_search = a_search@z (ambiguous)", "! a_search = search@a (ambiguous)",
			},
		},
		{
			"manual leaves a conflict to nobody",
			Rules{Strategy: Manual},
			lists{"a": tools("search", "x"), "b": tools("search")},
			[]string{"x = x@a (none)", "! search = search@a (ambiguous)", "! search = search@b (ambiguous)"},
		},
		{
			"manual with overrides",
			Rules{Strategy: Manual, Backends: []ToolRules{{Backend: "b", Overrides: map[string]Override{"search": {Name: "find"}}}}},
			lists{"a": tools("search"), "b": tools("search")},
			[]string{"search = search@a (none)", "find = search@b (manual)"},
		},
		{
			"an override onto a name that is there",
			Rules{Strategy: Manual, Backends: []ToolRules{{Backend: "a", Overrides: map[string]Override{"x": {Name: "y"}}}}},
			lists{"a": tools("x", "y")},
			[]string{"! y = x@a (ambiguous)", "! y = y@a (ambiguous)"},
		},
		{
			"two names that change places",
			Rules{Strategy: Manual, Backends: []ToolRules{{Backend: "a", Overrides: map[string]Override{"x": {Name: "y"}, "y": {Name: "x"}}}}},
			lists{"a": tools("x", "y")},
			[]string{"y = x@a (manual)", "x = y@a (manual)"},
		},
		{
			"overrides come before the prefix, the filter takes the new name",
			Rules{Backends: []ToolRules{{Backend: "a", Filter: []string{"new"}, Overrides: map[string]Override{"old": {Name: "new"}}}}},
			lists{"a": tools("old", "other")},
			[]string{"a_new = old@a (prefix)", "! a_other = other@a (filtered)"},
		},
		{
			"what is hidden does not conflict",
			Rules{Strategy: Manual, Backends: []ToolRules{{Backend: "a", ExcludeAll: true}, {Backend: "b", Filter: []string{"x"}}}},
			lists{"a": tools("x", "y"), "b": tools("x", "y"), "c": tools("y")},
			[]string{
				"x = x@b (none)", "y = y@c (none)",
				"! x = x@a (excluded)", "! y = y@a (excluded)", "! y = y@b (filtered)",
			},
		},
		{
			"all are hidden",
			Rules{ExcludeAll: true},
			lists{"a": tools("x")},
			[]string{"! a_x = x@a (excluded)"},
		},
		{
			"those of back ends without rules are hidden",
			Rules{DenyUnlisted: true, Backends: []ToolRules{{Backend: "a"}}},
			lists{"a": tools("x"), "b": tools("x")},
			[]string{"a_x = x@a (prefix)", "! b_x = x@b (excluded)"},
		},
		{
			"a name that is listed twice",
			Rules{},
			lists{"a": tools("x", "y", "x")},
			[]string{"a_x = x@a (prefix)", "a_y = y@a (prefix)", "! x = x@a (duplicate)"},
		},
		{
			"a prefix makes a name too long",
			Rules{},
			lists{"a": tools(strings.Repeat("x", MaxName-2), strings.Repeat("y", MaxName-1))},
			[]string{
				"a_" + strings.Repeat("x", MaxName-2) + " = " + strings.Repeat("x", MaxName-2) + "@a (prefix)",
				"! a_" + strings.Repeat("y", MaxName-1) + " = " + strings.Repeat("y", MaxName-1) + "@a (invalidhas a name of more than 512 bytes)",
			},
		},
		{"nothing", Rules{}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(test.rules.Tools(test.lists))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestPrompts(t *testing.T) {
	both := lists{"a": tools("ask", "x"), "b": tools("ask")}
	for _, test := range []struct {
		name  string
		rules Rules
		want  []string
	}{
		{"prefix", Rules{}, []string{"a_ask = ask@a (prefix)", "a_x = x@a (prefix)", "b_ask = ask@b (prefix)"}},
		{
			"priority",
			Rules{Strategy: Priority, Priority: []string{"b"}},
			[]string{"ask = ask@b (priority)", "x = x@a (none)", "! ask = ask@a (outranked)"},
		},
		{
			"manual prefixes what conflicts",
			Rules{Strategy: Manual, PrefixFormat: "{workload}."},
			[]string{"a.ask = ask@a (prefix)", "x = x@a (none)", "b.ask = ask@b (prefix)"},
		},
		{
			"rules of tools do not count",
			Rules{ExcludeAll: true, DenyUnlisted: true, Backends: []ToolRules{{Backend: "a", ExcludeAll: true, Filter: []string{"q"}}}},
			[]string{"a_ask = ask@a (prefix)", "a_x = x@a (prefix)", "b_ask = ask@b (prefix)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(test.rules.Prompts(both))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestResourcesAndTemplates(t *testing.T) {
	list := func(key string, uris ...string) []json.RawMessage {
		var all []json.RawMessage
		for _, uri := range uris {
			all = append(all, json.RawMessage(fmt.Sprintf(`{"name":"same","%s":%q}`, key, uri)))
		}
		return all
	}
	rules := Rules{Strategy: Priority, Priority: []string{"b"}}
	want := []string{
		"file:///x = file:///x@b (first)", "file:///y = file:///y@a (none)",
		"! file:///x = file:///x@a (outranked)",
	}
	got := lines(rules.Resources(lists{"a": list("uri", "file:///x", "file:///y"), "b": list("uri", "file:///x")}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources: -want +got\n%s", diff)
	}
	rules = Rules{}
	want = []string{"x://{y} = x://{y}@a (first)", "! x://{y} = x://{y}@b (outranked)"}
	got = lines(rules.Templates(lists{"b": list("uriTemplate", "x://{y}"), "a": list("uriTemplate", "x://{y}")}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("templates: -want +got\n%s", diff)
	}
}

// A tool that cannot be named for sure is not shown, and nothing of it is in the
// reason.
func TestInvalidEntries(t *testing.T) {
	for raw, want := range map[string]string{
		``:                             "is not a JSON object",
		`[]`:                           "is not a JSON object",
		`null`:                         "is not a JSON object",
		`{"name":"x"`:                  "is not a JSON object",
		`{"name":"x"}{}`:               "is not a JSON object",
		`{}`:                           "has no name",
		`{"title":"x"}`:                "has no name",
		`{"name":7}`:                   "has not one name that is text",
		`{"name":null}`:                "has not one name that is text",
		`{"name":"a","name":"a"}`:      "has not one name that is text",
		`{"name":"a","Name":"b"}`:      "has not one name that is text",
		`{"Name":"b"}`:                 "has not one name that is text",
		`{"name":"a","\u006eame":"b"}`: "has not one name that is text",
		`{"name":"a","description":"","description":""}`: "has more than one description",
		`{"name":"a","annotations":{},"annotations":{}}`: "has more than one annotations",
		`{"name":""}`:              "has an empty name",
		`{"name":"a\nb"}`:          "has a name with characters that cannot be seen",
		`{"name":"a\u200bb"}`:      "has a name with characters that cannot be seen",
		`{"name":"\u202egnp.exe"}`: "has a name with characters that cannot be seen",
		`{"name":"\ud800"}`:        "has a name with characters that cannot be seen",
		"{\"name\":\"\xff\"}":      "has a name with characters that cannot be seen",
		`{"name":"` + strings.Repeat("x", MaxName+1) + `"}`: "has a name of more than 512 bytes",
	} {
		var rules Rules
		exposed, refused := rules.Tools(lists{"a": {json.RawMessage(raw)}})
		if diff := cmp.Diff([]Refusal{{Backend: "a", Reason: Invalid, Detail: want}}, refused); diff != "" || len(exposed) > 0 {
			t.Errorf("%q: exposed %v; -want +got\n%s", raw, exposed, diff)
		}
	}
}

// Only the value of name, and of description where it is overridden, changes.
func TestRewrite(t *testing.T) {
	rules := Rules{Backends: []ToolRules{{Backend: "a", Overrides: map[string]Override{
		"described": {Description: "new \"<b>\" & text"}, "plain": {Description: "new"}, "before": {Name: "after", Description: "new"},
	}}}}
	for raw, want := range map[string]string{
		`{"name":"x","inputSchema":{"name":"x","n":9007199254740993,"$schema":"s"},"_meta":{"<":1e400}}`: `{"name":"a_x","inputSchema":{"name":"x","n":9007199254740993,"$schema":"s"},"_meta":{"<":1e400}}`,
		" { \"z\" : 1 ,\n\"name\"\t:\r\n\"x\" , \"y\":[ ] } ":                                            " { \"z\" : 1 ,\n\"name\"\t:\r\n\"a_x\" , \"y\":[ ] } ",
		`{"n\u0061me":"\u0078","unknown":"\u0000"}`:                                                      `{"n\u0061me":"a_x","unknown":"\u0000"}`,
		`{"name":"a<>&é"}`: `{"name":"a_a<>&é"}`,
		`{"name":"described","description":"old","z":{}}`: `{"name":"a_described","description":"new \"<b>\" & text","z":{}}`,
		`{"name":"plain","z":{}}`:                         `{"name":"a_plain","description":"new","z":{}}`,
		`{"description":"old", "name":"before"}`:          `{"description":"new", "name":"a_after"}`,
		`{"name":"x","description":["not text"]}`:         `{"name":"a_x","description":["not text"]}`,
	} {
		exposed, refused := rules.Tools(lists{"a": {json.RawMessage(raw)}})
		if len(exposed) != 1 || string(exposed[0].Raw) != want {
			t.Errorf("%s\ngot  %s\nwant %s\nrefused %v", raw, exposed, want, refused)
		}
	}
}

// Of the annotations only the hints that are overridden change, wherever they
// stand; a reader that takes another case or the last of two gets the same.
func TestRewriteAnnotations(t *testing.T) {
	yes, no, title := true, false, "A <title>"
	rules := Rules{Strategy: Manual, Backends: []ToolRules{{Backend: "a", Overrides: map[string]Override{
		"x": {Annotations: Annotations{ReadOnly: &no, Destructive: &yes}},
		"y": {Name: "z", Description: "new", Annotations: Annotations{Title: &title, ReadOnly: &yes, Destructive: &no, Idempotent: &yes, Open: &no}},
	}}}}
	for raw, want := range map[string]string{
		`{"name":"x"}`: `{"name":"x","annotations":{"destructiveHint":true,"readOnlyHint":false}}`,
		`{"n\u0061me":"\u0078", "annotations" : { } }`:                                       `{"n\u0061me":"\u0078", "annotations" : {"destructiveHint":true,"readOnlyHint":false } }`,
		`{"annotations":{"readOnlyHint":true,"n":9007199254740993,"title":"t"},"name":"x"}`:  `{"annotations":{"destructiveHint":true,"readOnlyHint":false,"n":9007199254740993,"title":"t"},"name":"x"}`,
		`{"name":"x","annotations":{"destructiveHint": null , "readOnlyHint":{"a":"}"}}}`:    `{"name":"x","annotations":{"destructiveHint": true , "readOnlyHint":false}}`,
		`{"name":"x","annotations":{"readOnlyHint":true,"READONLYHINT":true,"title":"t"}}`:   `{"name":"x","annotations":{"destructiveHint":true,"readOnlyHint":false,"READONLYHINT":false,"title":"t"}}`,
		`{"name":"x","annotations":{"readOnlyHint":true,"readOnlyHint":true}}`:               `{"name":"x","annotations":{"destructiveHint":true,"readOnlyHint":false,"readOnlyHint":false}}`,
		`{"name":"x","annotations":null}`:                                                    `{"name":"x","annotations":{"destructiveHint":true,"readOnlyHint":false}}`,
		`{"name":"x","annotations":["readOnlyHint"],"z":{"annotations":{"readOnlyHint":7}}}`: `{"name":"x","annotations":{"destructiveHint":true,"readOnlyHint":false},"z":{"annotations":{"readOnlyHint":7}}}`,
		`{"annotations":{},"name":"y"}`:                                                      `{"annotations":{"destructiveHint":false,"idempotentHint":true,"openWorldHint":false,"readOnlyHint":true,"title":"A <title>"},"name":"z","description":"new"}`,
		`{"name":"y"}`:                                                                       `{"name":"z","description":"new","annotations":{"destructiveHint":false,"idempotentHint":true,"openWorldHint":false,"readOnlyHint":true,"title":"A <title>"}}`,
	} {
		exposed, refused := rules.Tools(lists{"a": {json.RawMessage(raw)}})
		if len(exposed) != 1 || string(exposed[0].Raw) != want {
			t.Errorf("%s\ngot  %s\nwant %s\nrefused %v", raw, exposed, want, refused)
		}
	}
}

// What keeps its name keeps its bytes, not a copy that was made anew.
func TestSameNameSameBytes(t *testing.T) {
	raw := json.RawMessage(" {\"name\" : \"\\u0078\"}\n")
	rules := Rules{Strategy: Manual}
	exposed, _ := rules.Tools(lists{"a": {raw}})
	if len(exposed) != 1 || &exposed[0].Raw[0] != &raw[0] || len(exposed[0].Raw) != len(raw) {
		t.Errorf("got %q", exposed)
	}
}
