package syslog

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// peer is a receiver over a stream that misbehaves as it is told. It closes when
// the sender does.
type peer struct {
	l       net.Listener
	framing Framing
	tls     *tls.Config // nil: none

	mu     sync.Mutex
	got    []string
	conns  map[net.Conn]bool
	count  int           // connections so far
	after  int           // closes each connection when it has read so many; 0: never
	broken bool          // resets connections
	stalls chan struct{} // nothing is read until it is closed; nil: it does not stall
	holds  bool          // keeps connections open whose sender has closed
	wg     sync.WaitGroup
}

func newPeer(t *testing.T, network string, framing Framing, change func(*peer)) *peer {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "log")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{l: l, framing: framing, conns: map[net.Conn]bool{}}
	if change != nil {
		change(p)
	}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		p.l.Close()
		p.set(func() {
			for c := range p.conns {
				c.Close()
			}
		})
		p.wg.Wait()
	})
	return p
}

// at returns the peer's address for a sink.
func (p *peer) at() Address {
	network := p.l.Addr().Network()
	if p.tls != nil {
		network = "tls"
	}
	return Address{Network: network, Host: p.l.Addr().String()}
}

func (p *peer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *peer) serve() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.count++
		broken := p.broken
		p.conns[c] = true
		p.mu.Unlock()
		if broken {
			p.reset(c)
			continue
		}
		p.wg.Go(func() { p.talk(c) })
	}
}

// reset closes a connection so that the sender is told of a reset.
func (p *peer) reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
	p.set(func() { delete(p.conns, c) })
}

func (p *peer) talk(raw net.Conn) {
	c := raw
	if p.tls != nil {
		c = tls.Server(raw, p.tls)
	}
	p.mu.Lock()
	r := io.Reader(bufio.NewReader(c))
	if p.after > 0 {
		r = c // what it has not read stays with the system
	}
	p.mu.Unlock()
	for n := 0; ; n++ {
		p.mu.Lock()
		stalls, after := p.stalls, p.after
		p.mu.Unlock()
		if stalls != nil {
			<-stalls
		}
		if after > 0 && n == after {
			break
		}
		body, err := readFrame(r, p.framing)
		if err != nil {
			p.mu.Lock()
			holds := p.holds && errors.Is(err, io.EOF)
			p.mu.Unlock()
			if holds {
				return // closed at the end of the test
			}
			break
		}
		p.set(func() { p.got = append(p.got, body) })
	}
	c.Close()
	raw.Close()
	p.set(func() { delete(p.conns, raw) })
}

// readFrame reads one message.
func readFrame(r io.Reader, f Framing) (string, error) {
	if f == FramingLF {
		return readTo(r, '\n')
	}
	text, err := readTo(r, ' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return "", err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(r, body)
	return string(body), err
}

// readTo reads up to end, and no further.
func readTo(r io.Reader, end byte) (string, error) {
	var text []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == end {
			return string(text), nil
		}
		text = append(text, b[0])
	}
}

func (p *peer) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// wait returns what was received, when that is n messages or a while is over.
func (p *peer) wait(n int) []string {
	for end := time.Now().Add(patience); len(p.received()) < n && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return p.received()
}

// waitDifferent is wait for n different messages: what the peer has read and not
// counted yet when its connection is closed comes a little later.
func (p *peer) waitDifferent(n int) []string {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := p.received()
		if different := len(slices.Compact(slices.Sorted(slices.Values(got)))); different >= n || time.Now().After(end) {
			return got
		}
	}
}

// fail breaks all connections, until mend is called.
func (p *peer) fail() (mend func()) {
	p.set(func() { p.broken = true })
	p.mu.Lock()
	conns := []net.Conn{}
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		p.reset(c)
	}
	return func() { p.set(func() { p.broken = false }) }
}

// newSink returns a sink that leaves a receiver so much time to close, unless opt
// says otherwise, that a slow one is not taken for one that does not.
func newSink(t *testing.T, to Address, opt Options) *Sink {
	t.Helper()
	if opt.SettleTime == 0 {
		opt.SettleTime = 2 * patience
	}
	s, err := New(to, opt)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// numbered makes records from seq from to seq to.
func numbered(from, to int) []emitter.Record {
	var batch []emitter.Record
	for i := from; i <= to; i++ {
		batch = append(batch, emitter.Record{Seq: uint64(i), Body: []byte(message(i))})
	}
	return batch
}

func message(i int) string { return fmt.Sprintf("<134>1 - - - - - - message %d", i) }

func messages(to int) []string {
	var all []string
	for i := 1; i <= to; i++ {
		all = append(all, message(i))
	}
	return all
}

func classOf(err error) string {
	switch {
	case err == nil:
		return "none"
	case emitter.IsBlocked(err):
		return "blocked"
	case emitter.IsPermanent(err):
		return "permanent"
	}
	return "plain"
}

func wantError(t *testing.T, err error, class, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || classOf(err) != class {
		t.Fatalf("error is %s: %v\nwant %s: …%s…", classOf(err), err, class, text)
	}
}

func mustSend(t *testing.T, s *Sink, batch []emitter.Record) {
	t.Helper()
	if n, err := s.Send(t.Context(), batch); n != len(batch) || err != nil {
		t.Fatalf("Send of %d = %d, %v", len(batch), n, err)
	}
}

func mustSettle(t *testing.T, s *Sink, seq uint64, how receipt) {
	t.Helper()
	if got, err := s.Settle(t.Context()); got != seq || err != nil || s.Receipt() != string(how) {
		t.Fatalf("Settle = %d, %v, %q; want %d, %q", got, err, s.Receipt(), seq, how)
	}
}

// loses waits until Settled tells that the connection is over.
func loses(t *testing.T, s *Sink) error {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := s.Settled(); err != nil {
			return err
		}
		if time.Now().After(end) {
			t.Fatal("the sink does not notice that the connection is over")
		}
	}
}

// logTo returns a logger and what it has been told so far.
func logTo() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(lockedWriter{&mu, &buf}, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return buf.String()
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}
