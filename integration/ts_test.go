package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// runTS lets a client of the TypeScript SDK, "v1" or "v2", go through a script
// and returns what it saw.
func runTS(t testing.TB, sdk, client, url string, script []operation) view {
	t.Helper()
	header := make(map[string]string)
	for name, values := range clientHeader(client) {
		header[name] = values[0]
	}
	hanging := 0
	for _, op := range script {
		if op.Cancel {
			hanging++
		}
	}
	dir := t.TempDir()
	seen := filepath.Join(dir, "view.jsonl")
	job, err := json.Marshal(map[string]any{
		"sdk": sdk, "client": client, "url": url, "headers": header, "script": script,
		"elicited": elicitedContent(), "hanging": hanging, "view": seen,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "job.json")
	if err := os.WriteFile(file, job, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, nil, "node", filepath.Join(npmDir, "drive.mjs"), file).wait(t)
	return readView(t, seen)
}

// elicitedContent is what the user answers when a server asks.
func elicitedContent() map[string]any { return map[string]any{"name": elicited} }
