package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

const sharingViolation = syscall.Errno(32)

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
