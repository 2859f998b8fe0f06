package spool

import (
	"errors"
	"os"
	"syscall"
)

// syncData is fdatasync: the bytes and the length, without the time stamps.
func syncData(f *os.File) error {
	return control(f, "fdatasync", syscall.Fdatasync)
}

// allocate gives f size bytes of its own. Where the file system cannot do that
// the error is [errors.ErrUnsupported].
func allocate(f *os.File, size int64) error {
	return control(f, "fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
}

func control(f *os.File, call string, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if callErr = do(int(fd)); !errors.Is(callErr, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError(call, callErr)
}

func freeSpace(path string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // an int32 on 32-bit systems
}

// Magic numbers of statfs(2) and of the kernel's file systems (linux/magic.h
// and the sources of ceph, lustre, 9p as of Linux 6.12).
var networkTypes = map[uint32]string{
	0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x01021997: "9p",
	0x5346414f: "AFS", 0x00c36400: "Ceph", 0x0bd00bd0: "Lustre", 0x73757245: "Coda", 0x65735546: "FUSE",
}

// networkFS names the file system of path if others may be behind it: there a
// lock or a sync may mean less than it says.
func networkFS(path string) (string, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return "", false
	}
	name, ok := networkTypes[uint32(s.Type)]
	return name, ok
}
