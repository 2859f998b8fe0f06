package receivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is a command and what it needs to be run from where it is.
type program struct {
	path    string
	libs    string // LD_LIBRARY_PATH; empty: the system's
	modules string // folder of its loadable modules; empty: the one it was built with
}

// need returns a program of the receivers. Without it the test is skipped, or
// fails in CI.
func need(tb testing.TB, name string) program {
	tb.Helper()
	if root := peers(); root != "" {
		for _, dir := range []string{"usr/sbin", "usr/bin"} {
			if path := filepath.Join(root, dir, name); executable(path) {
				return program{path: path, libs: libraries(root), modules: modules(root, name)}
			}
		}
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path := filepath.Join(dir, name); executable(path) {
			return program{path: path}
		}
	}
	const hint = " is not there: run 'make peers'"
	if os.Getenv("CI") == "true" {
		tb.Fatal(name + hint)
	}
	tb.Skip(name + hint)
	return program{}
}

// peers finds integration/.peers/root from a package below integration;
// empty: nothing was fetched.
func peers() string {
	dir, err := os.Getwd()
	for err == nil {
		root := filepath.Join(dir, ".peers", "root")
		if info, err := os.Stat(root); err == nil && info.IsDir() {
			return root
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// libraries returns the folders of shared libraries below root, by Debian's
// layout: usr/lib/TRIPLET, lib/TRIPLET and syslog-ng's own.
func libraries(root string) string {
	var dirs []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/syslog-ng"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // the pattern is well formed
		dirs = append(dirs, found...)
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

func modules(root, name string) string {
	pattern := map[string]string{"rsyslogd": "usr/lib/*-linux-gnu*/rsyslog", "syslog-ng": "usr/lib/syslog-ng/[0-9]*"}[name]
	found, _ := filepath.Glob(filepath.Join(root, pattern))
	if pattern == "" || len(found) == 0 {
		return ""
	}
	return found[0]
}

// command is the program with its libraries and no other setting of ours.
func (p program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...) //nolint:noctx // ended by signals, since how it ends is what is tested
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if p.libs != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+p.libs)
	}
	return cmd
}
