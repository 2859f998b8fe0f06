package main

import (
	"strings"
	"testing"
	"time"
)

// TestRun has rounds too short to measure anything.
func TestRun(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), options{dir: t.TempDir(), rounds: 2, time: 20 * time.Millisecond, records: 3 * perCall, segments: 1}, &out)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		for _, e := range contenders {
			if strings.HasPrefix(line, e.name+" ") {
				rows[e.name]++
			}
		}
	}
	for _, e := range contenders {
		if rows[e.name] != len(e.widths) {
			t.Errorf("%d rows of %s, want %d", rows[e.name], e.name, len(e.widths))
		}
	}
	for _, want := range []string{"bufio.Scanner", "cursor, confirming", "segments"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}
