package inspect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string, s *spool.Spool)
		want  []string // findings and problems, each as it begins
	}{
		{"whole", func(*testing.T, string, *spool.Spool) {}, nil},
		{"no event", func(t *testing.T, _ string, s *spool.Spool) {
			if _, err := s.Append(t.Context(), spool.Preferred, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}, []string{"seq 4: no event"}},
		{"damaged cursor", func(t *testing.T, dir string, _ *spool.Spool) {
			write(t, filepath.Join(dir, "cursors", "a.cursor"), 0, "xx")
			write(t, filepath.Join(dir, "cursors", "a.cursor"), 4096, "xx")
		}, []string{"cursor a is damaged"}},
		{"dead letter of another", func(t *testing.T, _ string, s *spool.Spool) {
			if err := s.SetAside("dead/a", "7.json", []byte(`{"route":"b","seq":7}`)); err != nil {
				t.Fatal(err)
			}
		}, []string{"dead/a/7.json: it holds another"}},
		{"broken dead letter", func(t *testing.T, _ string, s *spool.Spool) {
			if err := s.SetAside("dead/a", "7.json", []byte(`{"route":`)); err != nil {
				t.Fatal(err)
			}
		}, []string{"dead/a/7.json: no dead letter"}},
		{"damaged record", func(t *testing.T, dir string, _ *spool.Spool) {
			names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, names[0], 4200, "damage")
		}, []string{"changed: seq 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openSpool(t, dir)
			store(t, s, 3, 100)
			confirm(t, s, "a", 2)
			tt.spoil(t, dir, s)
			c, err := inspect.Check(t.Context(), dir, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range c.Findings {
				got = append(got, c.Findings[i].String())
			}
			for i := range c.Problems {
				p := &c.Problems[i]
				got = append(got, fmt.Sprintf("%s: seq %d", p.Kind, p.First))
			}
			if c.OK != (len(tt.want) == 0) || len(got) != len(tt.want) || c.Found != len(c.Findings) {
				t.Fatalf("ok %v, %q, want %q", c.OK, got, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%q, want %q", got[i], want)
				}
			}
		})
	}
}

// TestCheckCutEnd removes the segment that a cursor has confirmed.
func TestCheckCutEnd(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	store(t, s, 10, 20<<10)
	confirm(t, s, "a", 9)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.Truncate(names[0], 4096+25<<10); err != nil {
		t.Fatal(err)
	}
	c, err := inspect.Check(t.Context(), dir, 0)
	if err != nil || c.OK || len(c.Findings) != 1 || !strings.Contains(c.Findings[0].Text, "the end is missing") {
		t.Errorf("%+v, %v", c, err)
	}
}

func write(t *testing.T, path string, off int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), off); err != nil {
		t.Fatal(err)
	}
}
