package spool

import (
	"log/slog"
	"testing"
)

// testLog returns a logger whose lines are shown when the test fails.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
