package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

const sharingViolation = syscall.Errno(32)

// lockHolder says whether a process has the lock of the folder; its pid is not
// known. While it looks, no other process can take the lock.
func lockHolder(dir string) (pid int, held bool) {
	name, err := syscall.UTF16PtrFromString(filepath.Join(dir, "lock"))
	if err != nil {
		return 0, false
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ|syscall.FILE_SHARE_WRITE,
		nil, syscall.OPEN_EXISTING, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return 0, errors.Is(err, sharingViolation)
	}
	_ = syscall.CloseHandle(h)
	return 0, false
}

// lockDir opens a file that nobody else can open for writing then. The system
// closes it when the process ends, however it ends.
func lockDir(dir string) (release func(), err error) {
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
	return func() { _ = syscall.CloseHandle(h) }, nil
}
