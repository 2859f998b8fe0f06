package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is vmcp-audit, built with the race detector.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(spoolChildEnv) != "" {
		os.Exit(runSpoolChild(os.Args[1:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vmcp-audit-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "vmcp-audit")
	build := exec.Command("go", "build", "-race", "-o", binary, "./cmd/vmcp-audit")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build vmcp-audit: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// npmDir holds the clients and the server that are written in TypeScript.
const npmDir = "npm"

// needNode skips the test if the packages of npmDir are not installed; in CI
// that is a failure.
func needNode(t *testing.T) {
	t.Helper()
	const hint = "needs the packages of integration/npm: run 'npm ci' there"
	_, err := os.Stat(filepath.Join(npmDir, everything))
	if err == nil {
		_, err = exec.LookPath("node")
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s: %v", hint, err)
	default:
		t.Skip(hint)
	}
}
