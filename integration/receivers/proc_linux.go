package receivers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the test process dies, be
// it by a time-out, without clean-up.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// listens reports whether this very process has the address, by proc(5): the
// socket that net/tcp, net/udp or net/unix lists is one of its descriptors.
func listens(pid int, transport Transport, addr string) bool {
	var table string
	var row []string
	var inode int // its column
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	local := fmt.Sprintf("0100007F:%04X", number)
	switch transport {
	case UDP: // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
		table, row, inode = "udp", []string{1: local, 3: "07"}, 9 // TCP_CLOSE: not connected
	case Unix: // Num RefCount Protocol Flags Type St Inode Path
		table, row, inode = "unix", []string{3: "00010000", 7: addr}, 6 // __SO_ACCEPTCON
	case Unixgram:
		table, row, inode = "unix", []string{4: "0002", 7: addr}, 6 // SOCK_DGRAM
	default:
		table, row, inode = "tcp", []string{1: local, 3: "0A"}, 9 // TCP_LISTEN
	}
	list, err := os.ReadFile(filepath.Join("/proc/self/net", table))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		if len(f) > inode && matches(f, row) && holds(pid, "socket:["+f[inode]+"]") {
			return true
		}
	}
	return false
}

// matches compares the columns that row sets.
func matches(fields, row []string) bool {
	for i, want := range row {
		if want != "" && (i >= len(fields) || fields[i] != want) {
			return false
		}
	}
	return true
}

// stopped reports whether each thread of the process is stopped by a signal.
func stopped(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is well formed
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		// pid (name) state ...; a name may have parentheses.
		_, state, found := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
		if err != nil || !found || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(tasks) > 0
}

func holds(pid int, socket string) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is well formed
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == socket {
			return true
		}
	}
	return false
}
