package receivers

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Normalize runs lines through lognormalizer by the rulebase (version 2 syntax,
// without its version line) and returns what it understood of each. Lines must
// not contain a line feed.
//
// Its cef type (2.0.6) skips the character after the header's last pipe, be it a
// space or the first of a key; it leaves header fields escaped but for \|.
func Normalize(tb testing.TB, rulebase string, lines []string) []map[string]any {
	tb.Helper()
	p := need(tb, "lognormalizer")
	rules := filepath.Join(tb.TempDir(), "rules.rb")
	if err := os.WriteFile(rules, []byte("version=2\n"+rulebase+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := p.command("-r", rules, "-e", "json")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("lognormalizer: %v\n%s", err, stderr.Bytes())
	}
	var all []map[string]any
	for line := range strings.Lines(string(out)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			tb.Fatalf("lognormalizer: %v in %q", err, line)
		}
		all = append(all, m)
	}
	if len(all) != len(lines) {
		tb.Fatalf("lognormalizer gave %d lines for %d:\n%s%s", len(all), len(lines), out, stderr.Bytes())
	}
	return all
}
