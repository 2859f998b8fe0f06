package syslog

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// outq returns how many bytes that were written to a stream the receiver's
// system has not acknowledged (tcp(7) and unix(7), SIOCOUTQ), and whether that
// is known. On a unix socket these are the bytes that its program has not read,
// with what the system needs for them.
func outq(c net.Conn) (int64, bool) {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return 0, false
	}
	n := 0
	ctlErr := rc.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return int64(n), err == nil && ctlErr == nil
}
