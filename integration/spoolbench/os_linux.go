package main

import (
	"os"
	"syscall"
	"time"
)

// syncData is fdatasync: the bytes and the length, without the time stamps.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

// cpuTime returns what the process has used so far, in user and kernel mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for a wrong argument only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// inMemory reports whether dir is on a file system that is no disk.
func inMemory(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	return err == nil && (uint32(s.Type) == tmpfs || uint32(s.Type) == ramfs)
}
