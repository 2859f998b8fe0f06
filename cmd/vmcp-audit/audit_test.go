package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLoggerShowsUnits(t *testing.T) {
	var out bytes.Buffer
	p := &program{stderr: &out}
	p.logger(slog.LevelInfo).Info("up again", "after", 90*time.Second)
	if got := out.String(); !strings.Contains(got, `"after":"1m30s"`) {
		t.Error(got)
	}
}
