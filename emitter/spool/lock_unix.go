//go:build unix

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const lockName = "lock"

// lockDir locks the folder until release is called or the process ends, however
// it ends. The file stays, with the pid of the last holder.
func lockDir(dir string) (release func(), err error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flockOver(f); err != nil {
		defer func() { _ = f.Close() }()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s, by process %s", ErrInUse, dir, holderName(f))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // for people; the lock holds without
	}
	return func() { _ = f.Close() }, nil
}

// lookers is how often the lock is tried again while others only look whether it
// is taken.
const lookers = 10_000

// flockOver takes the lock of f. Who looks at it has it for a moment, and shared:
// that keeps nobody out.
func flockOver(f *os.File) error {
	for try := 0; ; try++ {
		err := flock(f, syscall.LOCK_EX)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) || try == lookers || flock(f, syscall.LOCK_SH) != nil {
			return err
		}
		_ = flock(f, syscall.LOCK_UN) // it was shared
		time.Sleep(time.Millisecond)
	}
}

func flock(f *os.File, how int) error { return syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB) }

// lockHolder says whether a process has the lock of the folder, and which.
func lockHolder(dir string) (pid int, held bool) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	if !errors.Is(flock(f, syscall.LOCK_SH), syscall.EWOULDBLOCK) {
		return 0, false
	}
	return holder(f), true
}

// holder returns the pid that the process which has the lock left in the file, 0
// if there is none.
func holder(f *os.File) int {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return max(pid, 0)
}

func holderName(f *os.File) string {
	if pid := holder(f); pid > 0 {
		return strconv.Itoa(pid)
	}
	return "unknown"
}
