package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

func TestGeneratedFilesAreCurrent(t *testing.T) {
	pages, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: run make docs: -want +got\n%s", name, diff)
		}
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	fields, err := eventFields(filepath.Join(root, "emitter"))
	if err != nil {
		t.Fatal(err)
	}
	var check func([]field)
	check = func(fields []field) {
		for _, f := range fields {
			if f.doc == "" {
				t.Errorf("%s has no comment", f.path)
			}
			if strings.Contains(f.kind, "string") && f.max == 0 {
				t.Errorf("%s has no bound", f.path)
			}
			check(f.fields)
		}
	}
	check(fields)
}
