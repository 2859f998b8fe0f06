package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the JSON in docs/commands.md")

const commandsPage = "../../docs/commands.md"

// shown is a command of docs/commands.md and the JSON that the page shows.
type shown struct {
	command  string
	from, to int // where the JSON stands in the page
}

func shownCommands(t *testing.T, page []byte) (list []shown) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```console\n\\$ vmcp-audit ([^\n]*)\n(.*?)^```$").FindAllSubmatchIndex(page, -1) {
		list = append(list, shown{string(page[m[2]:m[3]]), m[4], m[5]})
	}
	if len(list) < 8 {
		t.Fatalf("%d commands in %s", len(list), commandsPage)
	}
	return list
}

// TestCommandsPage runs each command that docs/commands.md shows, and holds that
// its JSON has the members that the page shows, of the same kinds, and no others.
func TestCommandsPage(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	shown := shownCommands(t, page)
	dir := t.TempDir()
	environ := []string{"VMCP_AUDIT_SPOOL_DIR=" + filepath.Join(dir, "spool"), "VMCP_AUDIT_FILE_PATH=" + filepath.Join(dir, "audit.jsonl")}
	if err := writeSpool(filepath.Join(dir, "spool")); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Backward(shown) { // those that destroy come last in the page, and rewriting moves what is behind
		var out, words bytes.Buffer
		args := strings.Fields(strings.ReplaceAll(c.command, "/var/lib/vmcp-audit", dir))
		if slices.Contains(args, "forget") { // the page shows it as an example for all acts
			args = append(args, "--dry-run")
		}
		run(t.Context(), append([]string{"vmcp-audit"}, args...), environ, strings.NewReader(""), &out, &words)
		text := steady(dir, out.Bytes())
		if *update {
			page = slices.Concat(page[:c.from], text, page[c.to:])
			continue
		}
		want, got := shape(t, c.command, page[c.from:c.to]), shape(t, c.command, text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -page +program\n%s\n%s", c.command, diff, words.String())
		}
	}
	if *update {
		if err := os.WriteFile(commandsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// shape returns the paths of a JSON text with the kinds of their values.
func shape(t *testing.T, command string, text []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v in %s", command, err, text)
	}
	paths := map[string]bool{}
	collect(paths, "", v)
	var list []string
	for p := range paths {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

func collect(paths map[string]bool, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			collect(paths, at+"."+name, member)
		}
	case []any:
		for _, element := range v {
			collect(paths, at+"[]", element)
		}
	default:
		paths[fmt.Sprintf("%s %T", at, v)] = true
	}
}

// steady takes out of an output what differs from run to run, and of a long list
// all but the first two.
func steady(dir string, out []byte) []byte {
	for find, put := range map[string]string{
		regexp.QuoteMeta(dir):                                       "/var/lib/vmcp-audit",
		`[0-9a-f]{8}(-[0-9a-f]{4}){3}-\w{12}`:                       "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
		`"(oldest|newest|created|found|oldest_pending)": "[^"]*"`:   `"$1": "2026-11-22T13:40:00Z"`,
		`"disk_free": \d+`:                                          `"disk_free": 68719476736`,
		`"bytes_per_second": [\d.e+]+`:                              `"bytes_per_second": 1024`,
		`"seconds_to_full": \d+`:                                    `"seconds_to_full": 1048553`,
		`"duration_ms": \d+`:                                        `"duration_ms": 2`,
		`"version": "[^"]*"`:                                        `"version": "v0.3.0"`,
		`"last_hash": "[^"]*"`:                                      `"last_hash": "` + strings.Repeat("7", 64) + `"`,
		`(?s)(\[\n  \{.*?\n  \},\n  \{.*?\n  \})(,\n  \{.*\n  \})+`: "$1",
	} {
		out = regexp.MustCompile(find).ReplaceAll(out, []byte(put))
	}
	return out
}
