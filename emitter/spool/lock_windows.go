package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

// dirLock keeps other processes from writing to a spool, by a file that nobody
// else can open for writing. The system gives it back when the process ends.
type dirLock struct{ h syscall.Handle }

const sharingViolation = syscall.Errno(32)

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, "lock")
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ,
		nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, fmt.Errorf("%w: %s, by another process", ErrInUse, dir)
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &dirLock{h: h}, nil
}

func (l *dirLock) release() { _ = syscall.CloseHandle(l.h) }
