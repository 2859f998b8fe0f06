//go:build !linux

package syslog

import "net"

// outq is known on Linux only.
func outq(net.Conn) (int64, bool) { return 0, false }
