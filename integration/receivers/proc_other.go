//go:build !linux

package receivers

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

// There is no /proc to ask: receivers are for Linux only.
func listens(int, Transport, string) bool { return false }
func stopped(int) bool                    { return false }
