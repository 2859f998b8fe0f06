package receivers

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Product is a receiver.
type Product string

// The receivers.
const (
	Rsyslog  Product = "rsyslogd"
	SyslogNG Product = "syslog-ng"
)

// Transport is what a receiver listens on.
type Transport string

// The transports.
const (
	UDP      Transport = "udp"
	TCP      Transport = "tcp"
	TLS      Transport = "tls"
	Unix     Transport = "unix-stream" // syslog-ng only
	Unixgram Transport = "unix-dgram"
)

// Framing of messages on a stream, RFC 6587.
type Framing string

// The framings.
const (
	Octets Framing = "octets" // the length before each message
	LF     Framing = "lf"     // a line feed after each
)

// Options of a receiver. The zero value listens on TCP.
type Options struct {
	Transport Transport  // "": TCP
	TLS       TLSOptions // for TLS
	Framing   Framing    // syslog-ng takes one only, by default Octets; rsyslog takes both
	BSD       bool       // syslog-ng expects RFC 3164 in lines, by network(); rsyslog always takes both headers
	Plain     bool       // a second file is written, in the receiver's own default format: see Receiver.Plain
	Source    string     // further parameters of imtcp or imudp, or of syslog-ng's source driver
	Global    string     // further statements before all others
}

// TLSOptions of a receiver. rsyslog's driver is gtls, since ossl lets wrong
// names pass now and then.
type TLSOptions struct {
	Cert     Cert     // the receiver's own
	ClientCA string   // file of the authority that vouches for clients; empty: no client certificate is needed
	Peers    []string // common or DNS names of clients that are let in (syslog-ng: common names); nil: any that ClientCA vouches for
}

// Receiver is a running receiver. Its methods may be called from anywhere, but
// as they end the test when something goes wrong, only its own goroutine should
// call those that start, stop or wait.
type Receiver struct {
	Addr string // host:port, or the path of a Unix socket; the same after each restart

	tb      testing.TB
	product Product
	opt     Options
	program program
	dir     string

	mu    sync.Mutex // guards what follows
	runs  []*run     // the last one may be running
	found []Message
}

// Names of the files of a run.
const (
	jsonFile   = "messages.jsonl"
	plainFile  = "plain.log"
	configFile = "receiver.conf"
	logFile    = "stderr.log"
)

// patience is how long the receiver may do nothing before the test has failed. A
// sender may wait for a minute before it tries again.
const patience = 3 * time.Minute

// ports is how many ports are tried, should somebody else take the one that was free.
const ports = 10

// Start starts a receiver and returns when it listens. It is killed when the
// test ends; what it said is logged if the test has failed.
func Start(tb testing.TB, product Product, opt Options) *Receiver {
	tb.Helper()
	if opt.Transport == "" {
		opt.Transport = TCP
	}
	r := &Receiver{tb: tb, product: product, opt: opt, program: need(tb, string(product)), dir: tb.TempDir()}
	tb.Cleanup(r.close)
	for range ports {
		r.choose()
		if r.try() {
			return r
		}
	}
	tb.Fatalf("%s does not listen:\n%s", product, r.Log())
	return nil
}

// choose sets the address.
func (r *Receiver) choose() {
	r.tb.Helper()
	if r.opt.Transport != Unix && r.opt.Transport != Unixgram {
		r.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(r.tb, r.opt.Transport)))
		return
	}
	dir, err := os.MkdirTemp("", "") // the path must be short: unix(7) takes 107 bytes
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	r.Addr = filepath.Join(dir, "log")
}

// Restart starts the receiver on its old port, after Stop or Kill.
func (r *Receiver) Restart() {
	r.tb.Helper()
	if r.last().alive() {
		r.tb.Fatalf("%s still runs", r.product)
	}
	for range ports {
		if r.try() {
			return
		}
	}
	r.tb.Fatalf("%s does not listen on %s again:\n%s", r.product, r.Addr, r.Log())
}

// try starts a run and reports whether it listens.
func (r *Receiver) try() bool {
	r.tb.Helper()
	r.mu.Lock()
	dir := filepath.Join(r.dir, strconv.Itoa(len(r.runs)+1))
	r.mu.Unlock()
	if err := os.Mkdir(dir, 0o700); err != nil {
		r.tb.Fatal(err)
	}
	run, err := r.start(dir)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.mu.Lock()
	r.runs = append(r.runs, run)
	r.mu.Unlock()
	if run.ready(r.opt.Transport, r.Addr) {
		return true
	}
	run.end(syscall.SIGKILL)
	return false
}

// start writes the configuration of a run and starts it.
func (r *Receiver) start(dir string) (*run, error) {
	config := filepath.Join(dir, configFile)
	var text string
	var args []string
	switch r.product {
	case Rsyslog:
		text = rsyslogConfig(r.opt, r.Addr, dir)
		args = []string{"-n", "-f", config, "-i", "NONE"}
		if r.program.modules != "" {
			args = append(args, "-M", r.program.modules)
		}
	case SyslogNG:
		text = syslogNGConfig(r.opt, r.Addr, dir)
		file := func(name string) string { return filepath.Join(dir, name) }
		args = []string{"-F", "--no-caps", "--stderr", "-f", config, "-R", file("persist"), "-p", file("pid"), "-c", file("ctl")}
		if r.program.modules != "" {
			args = append(args, "--module-path="+r.program.modules)
		}
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startRun(r.program.command(args...), dir)
}

// Stop asks the receiver to end, as a service manager does, and waits until it
// has.
func (r *Receiver) Stop() {
	r.tb.Helper()
	if !r.last().end(syscall.SIGTERM) {
		r.tb.Fatalf("%s does not stop:\n%s", r.product, r.Log())
	}
}

// Kill ends the receiver without a warning. What it has not written is lost,
// what it has is not: a line of which only a part was written does not count.
func (r *Receiver) Kill() {
	r.tb.Helper()
	if !r.last().end(syscall.SIGKILL) {
		r.tb.Fatalf("%s does not die", r.product)
	}
}

// Stall stops the receiver from running; its connections stay open. It must be
// resumed before it can be stopped.
func (r *Receiver) Stall() {
	r.tb.Helper()
	r.signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); !stopped(r.last().cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.tb.Fatalf("%s does not stall", r.product)
		}
	}
}

// Resume ends a Stall.
func (r *Receiver) Resume() { r.signal(syscall.SIGCONT) }

func (r *Receiver) signal(s syscall.Signal) {
	r.tb.Helper()
	if err := r.last().cmd.Process.Signal(s); err != nil {
		r.tb.Fatal(err)
	}
}

func (r *Receiver) last() *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[len(r.runs)-1]
}

func (r *Receiver) close() {
	r.mu.Lock()
	runs := r.runs
	r.mu.Unlock()
	for _, run := range runs {
		run.end(syscall.SIGKILL)
	}
	if r.tb.Failed() && len(runs) > 0 {
		r.tb.Logf("%s on %s said:\n%s", r.product, r.Addr, r.Log())
	}
}

// freePort returns a port of 127.0.0.1 that nobody has, below those that the
// system gives to outgoing connections, so that it stays free while the
// receiver is down.
func freePort(tb testing.TB, transport Transport) int {
	tb.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if err := bindable(transport, port); err == nil {
			return port
		}
	}
	tb.Fatal("no free port")
	return 0
}

func bindable(transport Transport, port int) error {
	if transport == UDP {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	return l.Close()
}
