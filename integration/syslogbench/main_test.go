//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
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
	if _, err := exec.LookPath(rsyslogd().Path); err != nil && os.Getenv("CI") != "true" {
		t.Skip("needs rsyslogd: make peers")
	}
	var out bytes.Buffer
	if err := bench(&out, 2000, 2); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2000 events, 2 runs", "spool to receiver", "the sink alone", "srslog, one by one", "rsyslog, forwarding"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
