package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestSameWork: all write the same.
func TestSameWork(t *testing.T) {
	e := typical()
	var want map[string]any
	if err := json.Unmarshal(emitter.AppendEvent(nil, e), &want); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	all, err := contenders(e, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		out.Reset()
		c.render()
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v: %s", c.name, err, out.Bytes())
		}
		if c.name == "log/slog" {
			delete(got, "level")
			delete(got, "msg")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
	}
}

// TestRun has rounds too short to measure anything.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, 2, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 5 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
