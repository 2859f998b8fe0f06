package file

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestDevFull(t *testing.T) {
	s := mustOpen(t, "/dev/full", Options{})
	for range 2 {
		n, err := s.Send(t.Context(), records("a"))
		if n != 0 || !errors.Is(err, syscall.ENOSPC) || emitter.IsPermanent(err) || emitter.IsBlocked(err) {
			t.Fatalf("Send = %d, %v; want 0 and a plain %v", n, err, syscall.ENOSPC)
		}
	}
}

// smallDisk mounts a file system of 64 KiB. It needs root: elsewhere the test
// is skipped, except in CI, where it must not be.
func smallDisk(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small tmpfs: %v", err)
		}
		t.Skipf("mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func TestFullDisk(t *testing.T) {
	folder := smallDisk(t)
	path := filepath.Join(folder, "audit.log")
	ballast := filepath.Join(folder, "ballast")
	writeFile(t, ballast, strings.Repeat("x", 32<<10))
	s := mustOpen(t, path, Options{})

	body := strings.Repeat("r", 2999)
	bodies := make([]string, 20)
	for i := range bodies {
		bodies[i] = body
	}
	n, err := s.Send(t.Context(), records(bodies...))
	if n == 0 || n == len(bodies) || !errors.Is(err, syscall.ENOSPC) || emitter.IsBlocked(err) {
		t.Fatalf("Send = %d, %v; want some and a plain %v", n, err, syscall.ENOSPC)
	}
	wantFile(t, path, strings.Repeat(body+"\n", n)) // the half line is gone
	rest := bodies[n:]
	if more, err := s.Send(t.Context(), records(rest...)); more != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Send = %d, %v; want 0, %v", more, err, syscall.ENOSPC)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, rest...)
	wantFile(t, path, strings.Repeat(body+"\n", len(bodies)))
}

func TestReadOnlyDisk(t *testing.T) {
	folder := smallDisk(t)
	path := filepath.Join(folder, "audit.log")
	const remount = syscall.MS_REMOUNT
	if err := syscall.Mount("", folder, "", remount|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, syscall.EROFS) || !emitter.IsBlocked(err) {
		t.Fatalf("Open = %v; want a blocked %v", err, syscall.EROFS)
	}
	if err := syscall.Mount("", folder, "", remount, ""); err != nil {
		t.Fatal(err)
	}
	mustSend(t, mustOpen(t, path, Options{}), "a")
	wantFile(t, path, "a\n")
}
