package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is the longest wait for anything: what takes longer has failed.
const patience = 2 * time.Minute

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// process is a child process, killed when its test ends.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has; then err is set
	err   error

	mu  sync.Mutex // guards what follows
	out bytes.Buffer
}

// start starts a program with the given environment and nothing else of ours
// but PATH and HOME; each line of its output is shown to seen.
func start(t testing.TB, env []string, seen func(line string), name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); p.read(r, seen) }()
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close()
		<-read
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

func (p *process) read(r io.Reader, seen func(string)) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.out.WriteString(line)
		p.mu.Unlock()
		if seen != nil && line != "" {
			seen(line)
		}
		if err != nil {
			return
		}
	}
}

// output returns what the process has written to stdout and stderr.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// wait waits for the process to end by itself and well.
func (p *process) wait(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		t.Fatalf("%s does not end:\n%s", p.cmd.Path, p.output())
	}
	if p.err != nil {
		t.Fatalf("%s: %v\n%s", p.cmd.Path, p.err, p.output())
	}
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

const everything = "node_modules/@modelcontextprotocol/server-everything/dist/index.js"

// startEverything starts the reference server on the given port and returns
// when it says that it listens there. It is started again while somebody else has
// the port: a test that runs beside may have it for a moment.
func startEverything(t testing.TB, port int) *process {
	t.Helper()
	return startEverythingOver(t, port, "streamableHttp")
}

// startEverythingOver does so over another transport.
func startEverythingOver(t testing.TB, port int, transport string) *process {
	t.Helper()
	var p *process
	until(t, "server-everything listens", func() bool {
		if p == nil || !p.alive() && strings.Contains(p.output(), "already in use") {
			p = start(t, []string{"PORT=" + strconv.Itoa(port), "MCP_SERVER_TOKEN=" + serverToken}, nil,
				"node", filepath.Join(npmDir, everything), transport)
		}
		if !p.alive() && !strings.Contains(p.output(), "already in use") {
			t.Fatalf("server-everything ended:\n%s", p.output())
		}
		return strings.Contains(p.output(), " on port "+strconv.Itoa(port))
	})
	return p
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort returns a port that nobody listens on, below those that the system
// gives to outgoing connections.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// proxy is a running vmcp-audit proxy.
type proxy struct {
	*process
	url   string // its address, without a path
	trail string // path of its audit file

	discovered chan struct{} // one for each back end that a virtual server has found
}

// startProxy starts a proxy before upstream; settings are variables without
// their prefix.
func startProxy(t testing.TB, upstream string, settings ...string) *proxy {
	t.Helper()
	return startAudited(t, settings, "proxy", "--upstream", upstream, "--listen", "127.0.0.1:0")
}

// startAudited starts a command that listens; settings are as startProxy has
// them.
func startAudited(t testing.TB, settings []string, args ...string) *proxy {
	t.Helper()
	var env []string
	for _, s := range settings {
		env = append(env, "VMCP_AUDIT_"+s)
	}
	return startWith(t, env, args...)
}

// startWith starts a command that listens, with env in its environment.
func startWith(t testing.TB, env []string, args ...string) *proxy {
	t.Helper()
	p := &proxy{trail: filepath.Join(t.TempDir(), "audit.jsonl")}
	env = append([]string{
		"VMCP_AUDIT_FILE_PATH=" + p.trail, "VMCP_AUDIT_SPOOL_DIR=" + t.TempDir(), "GORACE=atexit_sleep_ms=20",
		"VMCP_AUDIT_DRAIN_TIMEOUT=1m", "VMCP_AUDIT_FLUSH_TIMEOUT=1m", // a loaded machine must not cut the trail short
	}, env...)
	address := make(chan string, 1)
	p.discovered = make(chan struct{}, 64)
	p.process = start(t, env, func(line string) {
		var m struct{ Msg, URL string }
		if json.Unmarshal([]byte(line), &m) == nil && m.Msg == "listening" {
			address <- m.URL
		}
		if m.Msg == "back end is there" {
			select {
			case p.discovered <- struct{}{}:
			default: // more than a test waits for
			}
		}
	}, binary, args...)
	select {
	case p.url = <-address:
	case <-p.ended:
		t.Fatalf("%s ended: %v\n%s", args[0], p.err, p.output())
	case <-time.After(patience):
		t.Fatalf("%s does not listen:\n%s", args[0], p.output())
	}
	p.url = strings.TrimSuffix(strings.TrimSuffix(p.url, "/mcp"), "/")
	return p
}

// stop ends the proxy as a service manager does and returns its trail.
func (p *proxy) stop(t testing.TB) trail {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	return readTrail(t, p.trail)
}
