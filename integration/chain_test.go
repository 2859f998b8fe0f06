package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// chainTrail returns the lines that the spool's events become on their way to a
// file: with text from everywhere, and a hole where the spool was full.
func chainTrail(t *testing.T) []string {
	t.Helper()
	s, err := spool.Open(t.TempDir(), spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1, Gap: func(g spool.Gap) []byte {
		e := emitter.NewLoss(emitter.Loss{FirstSeq: g.First, LastSeq: g.Last, Count: g.Count, Cause: string(g.Cause), Routes: g.Cursors})
		e.LoggedAt = time.Now()
		return emitter.AppendEvent(nil, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Cursor("file")
	if err != nil {
		t.Fatal(err)
	}
	store := func() error {
		e := emitter.NewEvent(emitter.TypeToolCall)
		e.LoggedAt = time.Now()
		e.Target.Name = "größe 名前 😀 \"\\\u2028\x1b\xff"
		e.Metadata.Extra.ErrorMessage = strings.Repeat("é", 200)
		_, err := s.Append(t.Context(), spool.Ordinary, emitter.AppendEvent(nil, e))
		return err
	}
	var lines []string
	deliver := func() {
		for c.Confirmed() < s.Stats().Last {
			batch, err := c.Next(t.Context(), spool.Limits{Records: 100, Bytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch {
				e, err := emitter.Decode(batch[i].Payload)
				if err != nil {
					t.Fatal(err)
				}
				e.Integrity = emitter.IntegrityOf(s.Stream(), &batch[i])
				lines = append(lines, string(formats.JSON(nil, e)))
			}
			c.Confirm(batch[len(batch)-1].Seq)
		}
	}
	for err = store(); err == nil; err = store() { // until it is full
		continue
	}
	for range 3 {
		_ = store() // lost
	}
	deliver()
	if err := store(); err != nil {
		t.Fatal(err)
	}
	deliver()
	return lines
}

// TestChainByOthers verifies the test vectors and a trail with a program that
// shares no code with ours, and with ours.
func TestChainByOthers(t *testing.T) {
	dir := t.TempDir()
	lines := chainTrail(t)
	n := len(lines)
	file := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	changed := append([]string(nil), lines...)
	changed[7] = strings.Replace(changed[7], "error", "success", 1)
	older, newer := file("audit.jsonl.1", lines[:9]...), file("audit.jsonl", lines[9:]...)
	script := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "node", append([]string{"../docs/verify-chain.mjs"}, args...)...)
	}
	ours := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), binary, append([]string{"verify"}, args...)...)
	}
	for _, tt := range []struct {
		name   string
		cmd    *exec.Cmd
		failed bool
		want   string
	}{
		{"vectors", script("../docs/chain-vectors.json"), false, "ok: 6 records, 2 streams"},
		{"whole", script(older, newer), false, fmt.Sprintf("ok: %d records, 1 streams", n)},
		{"whole, ours", ours(older, newer), false, fmt.Sprintf("%d records, 1 named gaps", n)},
		{"changed", script(file("changed", changed...)), true, "changed:8: changed: seq 8"},
		{"changed, ours", ours(file("changed", changed...)), true, "changed:8: changed: seq 8"},
		{"taken out", script(older, file("cut", lines[10:]...)), true, "cut:1: lost: from seq 10 to 10"},
		{"taken out, ours", ours(older, file("cut", lines[10:]...)), true, "cut:1: lost: seq 10"},
		{"swapped", script(newer, older), true, "moved or added: seq 1"},
		{"no record", script(file("none", "{}")), true, "none:1: added"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tt.cmd.Stdout, tt.cmd.Stderr = &out, &out
			err := tt.cmd.Run()
			if (err != nil) != tt.failed || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%v, want %q:\n%s", err, tt.want, out.String())
			}
		})
	}
}
