//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// forwarding has rsyslog read a file and forward its lines as they are, from a
// queue in memory: it is told of no failure either.
const forwarding = `global(workDirectory=%[1]q)
module(load="imfile")
template(name="line" type="string" string="%%msg%%")
input(type="imfile" File=%[2]q Tag="x" maxLinesPerMinute="0")
action(type="omfwd" target="127.0.0.1" port=%[3]q protocol="tcp" template="line")
`

// forward runs rsyslog until the receiver has all lines.
func (b *table) forward() (result, error) {
	dir, err := os.MkdirTemp(b.dir, "rsyslog-")
	if err != nil {
		return result{}, err
	}
	config := filepath.Join(dir, "rsyslog.conf")
	text := fmt.Sprintf(forwarding, dir, b.path("lines"), port(b.to))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return result{}, err
	}
	cmd := rsyslogd("-n", "-f", config, "-i", "NONE")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	_, err = b.await(result{}, nil)
	took := time.Since(begin)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // ended by our signal
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return result{Events: b.count, Seconds: took.Seconds(), CPU: cpu.Seconds()}, err
}

func port(addr string) string {
	for i := len(addr) - 1; i >= 0; i-- {
		if addr[i] == ':' {
			return addr[i+1:]
		}
	}
	return ""
}

// rsyslogd is Debian's, unpacked in .peers of this module, or that on the PATH.
func rsyslogd(args ...string) *exec.Cmd {
	for _, root := range []string{".peers/root", "../.peers/root"} {
		root, err := filepath.Abs(root)
		if err != nil {
			continue
		}
		program := filepath.Join(root, "usr/sbin/rsyslogd")
		if _, err := os.Stat(program); err != nil {
			continue
		}
		modules, _ := filepath.Glob(filepath.Join(root, "usr/lib/*/rsyslog"))
		libraries, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
		if len(modules) > 0 {
			args = append(args, "-M", modules[0])
		}
		cmd := exec.Command(program, args...)
		for _, l := range libraries {
			cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+l)
		}
		return cmd
	}
	return exec.Command("rsyslogd", args...)
}
