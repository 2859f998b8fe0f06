//go:build unix

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestBench runs everything once with few lines, but for the collector.
func TestBench(t *testing.T) {
	var out bytes.Buffer
	if err := bench(&out, 2000, 1, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2000 lines", "ship, canonical lines", "ship, ToolHive's lines"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
