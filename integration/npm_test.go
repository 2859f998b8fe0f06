package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLock checks that the lock file names no registry: npm ci takes the one
// that is configured where it runs.
func TestLock(t *testing.T) {
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		b, err := os.ReadFile(filepath.Join(npmDir, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "://") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
