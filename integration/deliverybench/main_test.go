//go:build unix

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestBench runs everything once with few events.
func TestBench(t *testing.T) {
	var out bytes.Buffer
	if err := bench(&out, 3000, 2, 3000); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3000 events, 2 runs", "plain loop over a file, gzip", "3000 events of backlog"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
