package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// stopWriter ends a context as soon as something is written.
type stopWriter struct{ stop context.CancelFunc }

func (w stopWriter) Write(b []byte) (int, error) { w.stop(); return len(b), nil }

// TestShipStopped: a run that is stopped ends with 1, also while a destination is
// down.
func TestShipStopped(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	line := `{"schema":"1.0","audit_id":"a","type":"mcp_ping","stage":"completed","logged_at":"2026-01-02T03:04:05.000000Z","outcome":"success"}` + "\n"
	if err := os.WriteFile(log, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p := &program{
		environ: []string{
			"VMCP_AUDIT_SPOOL_DIR=" + filepath.Join(dir, "spool"), "VMCP_AUDIT_HEC_URL=http://127.0.0.1:1",
			"VMCP_AUDIT_HEC_TOKEN=00000000-0000-0000-0000-000000000000", "VMCP_AUDIT_FLUSH_TIMEOUT=1h", "VMCP_AUDIT_LOG_LEVEL=error",
		},
		stderr: stopWriter{stop}, // the first error is that the destination is down
	}
	err := p.runShip(ctx, []string{log}, false, "text")
	if code := exitCode(err); code != exitFailed {
		t.Errorf("code %d: %v", code, err)
	}
}
