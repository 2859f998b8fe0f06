//go:build unix

package upstream

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a Ctrl-C in the terminal from ending the command before its
// calls have been drained, and lets us end what it starts itself.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
