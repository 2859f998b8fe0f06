package config

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{"configuration.md": WriteMarkdown, "env.example": WriteEnvExample} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			for _, v := range Doc() {
				if !strings.Contains(b.String(), v.Name) || !strings.Contains(b.String(), v.Doc) {
					t.Errorf("%s is missing", v.Name)
				}
			}
			if err := write(brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("error of the writer: got %v", err)
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestEnvExampleLines takes away the # before each name, one at a time.
func TestEnvExampleLines(t *testing.T) {
	var b bytes.Buffer
	if err := WriteEnvExample(&b); err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(b.String()) {
		setting, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "#"+Prefix)
		if !ok {
			continue
		}
		found++
		key, value, _ := strings.Cut(setting, "=")
		v := known[key]
		base := append(beside(v), Prefix+setting)
		if strings.HasSuffix(key, "_FILE") || v.group != "" && v.doc.Secret {
			continue // that file is not here, that secret not public
		}
		if _, _, err := Load(base, LoadOptions{}); err != nil {
			t.Errorf("%s: %v", setting, err)
		}
		if v.doc.Secret && value != "" {
			t.Errorf("%s has a public value", key)
		}
	}
	if diff := cmp.Diff(len(Doc()), found); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
