package receivers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// run is one life of a receiver.
type run struct {
	cmd   *exec.Cmd
	dir   string
	ended chan struct{} // closed when it has
	lines tail
}

// startRun starts a child process that writes its messages to dir.
func startRun(cmd *exec.Cmd, dir string) (*run, error) {
	stderr, err := os.Create(filepath.Join(dir, logFile))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stderr.Close() }()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stderr, stderr
	cmd.SysProcAttr = dieWithParent()
	r := &run{cmd: cmd, dir: dir, ended: make(chan struct{}), lines: tail{path: filepath.Join(dir, jsonFile)}}
	started := make(chan error)
	go func() {
		// The child dies with the thread that started it: this one stays until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(r.ended)
		}
	}()
	return r, <-started
}

func (r *run) alive() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// end sends a signal and reports whether the process has ended.
func (r *run) end(s syscall.Signal) bool {
	_ = r.cmd.Process.Signal(s) // it may have ended by itself
	select {
	case <-r.ended:
		return true
	case <-time.After(patience):
		return false
	}
}

// ready waits until the process listens, and reports false if it has ended or
// could not get the port.
func (r *run) ready(transport Transport, addr string) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if listens(r.cmd.Process.Pid, transport, addr) {
			return true
		}
		if !r.alive() || taken(r.log()) {
			return false
		}
	}
	return false
}

// taken reports whether a receiver has said that it did not get its port.
// rsyslogd then runs on without.
func taken(log string) bool {
	return strings.Contains(log, "in use") || strings.Contains(log, "Could not create udp listener")
}

// log returns what the process said.
func (r *run) log() string {
	text, err := os.ReadFile(filepath.Join(r.dir, logFile))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Log returns what the receiver has said in all its runs.
func (r *Receiver) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for i, run := range r.runs {
		fmt.Fprintf(&b, "[run %d]\n%s", i+1, run.log())
	}
	return b.String()
}
