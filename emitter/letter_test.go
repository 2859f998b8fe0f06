package emitter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLetterPath(t *testing.T) {
	for _, route := range []string{"hec", "siem/1", "..", "a b%", "ä"} {
		path := LetterPath(route, 17)
		if got, seq, ok := ParseLetterPath(path); got != route || seq != 17 || !ok {
			t.Errorf("%s: %q, %d, %v", path, got, seq, ok)
		}
	}
	for _, path := range []string{
		"", "dead", "dead/hec", "dead/hec/x.json", "dead/hec/17.json.new", "dead/hec/17", "hash.key", "17.json",
		"quarantine/hec/17.json", "dead/hec/more/17.json", "dead/%zz/17.json", "dead/hec/-1.json",
	} {
		if route, seq, ok := ParseLetterPath(filepath.FromSlash(path)); ok {
			t.Errorf("%s: route %q, seq %d", path, route, seq)
		}
	}
}

func TestReadDeadLetter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.json")
	tests := []struct{ name, content, want string }{
		{"event", `{"route":"hec","seq":1,"event":{"schema":"1.0","audit_id":"a","type":"mcp_ping","stage":"completed","logged_at":"2026-01-01T00:00:00Z","outcome":"success"}}`, ""},
		{"no JSON", "x", "no dead letter"},
		{"cut", `{"route":"hec"`, "no dead letter"},
		{"endless", strings.Repeat(" ", maxLetter) + "{}", "longer than any"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := ReadDeadLetter(path)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rec, err := l.Render(nil)
			if err != nil || rec.Seq != 1 || rec.ID != "a" || string(rec.Body) != string(l.Event) {
				t.Errorf("%+v, %v", rec, err)
			}
		})
	}
	if _, err := (&DeadLetter{Raw: []byte("x")}).Render(nil); err == nil {
		t.Error("what is no event was rendered")
	}
}
