//go:build unix

package upstream

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shell starts a server that is a shell script, which has answered an initialize.
// gone is closed when all of its processes have ended, as far as they have kept
// descriptor 9.
func shell(t *testing.T, script string) (conn Conn, gone <-chan struct{}) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = os.ReadFile(fifo)
	}()
	const first = `exec 9>"$FIFO"; read -r m; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}'; read -r m; `
	b := New(Spec{Name: "b", Command: []string{"/bin/sh", "-c", first + script}, Env: []string{"FIFO=" + fifo, "PATH=" + os.Getenv("PATH")}}, nil)
	conn, _, err := b.Open(t.Context(), hello, Nobody)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn, ended
}

// TestCommandEnds has a command whose output ends while a child of it goes on:
// both are gone before anybody closes the session.
func TestCommandEnds(t *testing.T) {
	conn, gone := shell(t, "sleep 600 >/dev/null 2>&1 & exec >&-")
	receive(t, gone, "the end of its processes")
	if _, err := conn.Call(t.Context(), Request{Method: "m"}, Nobody); !errors.As(err, new(*NotRun)) {
		t.Errorf("a call to it: %v", err)
	}
}

// TestCommandsAreBounded has as many processes as there may be: another one can be
// had when one has ended.
func TestCommandsAreBounded(t *testing.T) {
	const server = `read -r m; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}'; cat >/dev/null`
	b := New(Spec{Name: "b", Command: []string{"/bin/sh", "-c", server}, Env: []string{"PATH=" + os.Getenv("PATH")}}, nil)
	b.commands = make(chan struct{}, 1)
	for range 3 {
		conn, _, err := b.Open(t.Context(), hello, Nobody)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Open(t.Context(), hello, Nobody); !errors.Is(err, ErrFull) || !errors.As(err, new(*NotRun)) {
			t.Errorf("one too many: %v", err)
		}
		conn.Close()
	}
}

// TestCommandNoise has a command write what is no message to its output, and much
// to its standard error, around the answer to a call.
func TestCommandNoise(t *testing.T) {
	conn, _ := shell(t, `echo Listening on stdio...; echo; echo '{"jsonrpc":"2.0","id":7,"result":{}}'; echo '[1]'
i=0; while [ $i -lt 3000 ]; do echo 'some text that fills the pipe of the standard error' >&2; i=$((i+1)); done
read -r m; echo '{"jsonrpc":"2.0","id":"2","result":{"wrong":1}}'; echo '{"jsonrpc":"2.0","id":2,"result":{"right":1}}'; echo '{"jsonrpc":"2.0","id":2,"result":{"twice":1}}'; cat >/dev/null`)
	if result, err := conn.Call(t.Context(), Request{Method: "m"}, Nobody); err != nil || string(result) != `{"right":1}` {
		t.Errorf("call: %s %v", result, err)
	}
	if n := conn.(*pipe).b.Garbled(); n != 2 {
		t.Errorf("%d messages garbled, want 2", n)
	}
}

// TestCommandIsKilled has a command and its child that end by nothing but force.
func TestCommandIsKilled(t *testing.T) {
	t.Parallel() // it takes 4 s
	conn, gone := shell(t, `trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & while :; do sleep 1; done`)
	conn.Close()
	receive(t, gone, "the end of its processes")
}

// TestCommandDies has a command die in a call, and one that cannot be started.
func TestCommandDies(t *testing.T) {
	conn, _ := shell(t, "read -r m; exit 3")
	if _, err := conn.Call(t.Context(), Request{Method: "m"}, Nobody); !errors.Is(err, ErrBroken) || errors.As(err, new(*NotRun)) {
		t.Errorf("a call that may have run: %v", err)
	}
	b := New(Spec{Name: "b", Command: []string{"/nonexistent/server"}}, nil)
	if _, _, err := b.Open(t.Context(), hello, Nobody); !errors.As(err, new(*NotRun)) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("open: %v", err)
	}
}
