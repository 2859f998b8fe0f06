package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// FuzzLoad gives Load any file, with a secret in the environment. It must not
// panic, not show the secret, and answer with one clean line for each mistake,
// within the file.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile(filepath.Join(docs, "examples", "vmcp.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("backends: [{name: a, command: x, env: {A: {valueEnv: API_TOKEN}}}]\naudit: {labels: {a: b}, hecUrl: x}")
	f.Add("backends:\n- {name: a, url: http://h, headers: {X: {valueEnv: API_TOKEN}}}\nname: *x")
	f.Add("a: &a [*a]\n? {}\n: !!binary x\n<<: *a\n--- \"\\u202e\"\n...")
	f.Add("aggregation: {tools: [{overrides: {\"\\x1b\": {name: \"\\0\"}}}]}")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "file") || strings.Contains(text, "caBundlePath") || strings.Contains(text, canary[:4]) {
			t.Skip("reads any file, or knows the secret")
		}
		c, warnings, err := Load([]byte(text), testOptions)
		shown := warnings
		if e, ok := errors.AsType[*Error](err); ok {
			shown = append(shown, strings.Split(e.Error(), "\n")...)
			if n := len(shown) - len(warnings); n != len(e.Mistakes) {
				t.Errorf("%d mistakes in %d lines: %q", len(e.Mistakes), n, e.Error())
			}
			for _, m := range e.Mistakes {
				if m.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+strings.Count(text, "\u0085")+strings.Count(text, "\u2028")+strings.Count(text, "\u2029")+2 {
					t.Errorf("line %d is not in the file", m.Line)
				}
			}
		} else if err != nil || len(c.Backends) == 0 || c.HealthInterval <= c.HealthTimeout || c.UnhealthyThreshold < 1 {
			t.Errorf("error %v, Config %+v", err, c)
		}
		for _, b := range c.Backends {
			if (b.URL == nil) == (b.Command == nil) || b.Timeout <= 0 || b.Transport == "" {
				t.Errorf("back end %+v", b)
			}
		}
		for _, line := range shown {
			if strings.Contains(line, canary) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || len(line) > 4096 {
				t.Errorf("line %q", line)
			}
		}
	})
}
