//go:build unix

package inspect_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
)

// TestPipes holds that a named pipe in the folder, of which nobody writes to the
// other end, does not hold up who looks.
func TestPipes(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	store(t, s, 3, 100)
	if err := os.MkdirAll(filepath.Join(dir, "dead", "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dead/a/00000000000000000001.json", "cursors/b.cursor", "0000000009-00000000000000000009.seg"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := inspect.List(dir)
	if err != nil || len(list.DeadLetters) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
