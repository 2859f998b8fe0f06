//go:build unix

package file

import (
	"io"
	"os"
	"syscall"
)

// standardOutput returns a duplicate of the process's standard output. Go ends
// the process when a pipe breaks on descriptor 1 or 2 (os/signal, "SIGPIPE");
// on any other it returns the error.
func standardOutput() (io.Writer, error) {
	conn, err := os.Stdout.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = conn.Control(func(n uintptr) {
		syscall.ForkLock.RLock() // no child may be born between the two calls
		defer syscall.ForkLock.RUnlock()
		if fd, dupErr = syscall.Dup(int(n)); dupErr == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, pathError("dup", os.Stdout.Name(), dupErr)
	}
	return os.NewFile(uintptr(fd), os.Stdout.Name()), nil
}
