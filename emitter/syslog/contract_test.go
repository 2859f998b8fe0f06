package syslog

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/sinktest"

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

func TestContract(t *testing.T) {
	for _, tt := range []struct {
		name, network string
		framing       Framing
		secret        bool
	}{
		{"TCP, octet counting", "tcp", FramingOctet, false},
		{"TCP, lines", "tcp", FramingLF, false},
		{"TLS", "tcp", FramingOctet, true},
		{"unix socket", "unix", FramingLF, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				opt := Options{Framing: tt.framing, MaxSize: 1 << 20}
				p := newPeer(t, tt.network, tt.framing, func(p *peer) {
					if tt.secret {
						ca := certtest.Issue(t, "ca", nil, nil)
						p.tls = serverOf(certtest.Issue(t, "receiver", ca, nil))
						opt.CAFile = certtest.TempFile(t, "ca.pem", ca.CertPEM())
					}
				})
				return sinktest.Fixture{
					Sink:     newSink(t, p.at(), opt),
					Received: p.waitDifferent,
					Break:    p.fail,
					Hang: func() func() {
						stalls := make(chan struct{})
						p.set(func() { p.stalls = stalls })
						return func() {
							p.set(func() { p.stalls = nil })
							close(stalls)
						}
					},
				}
			})
		})
	}
}

func TestContractOnDatagrams(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		path := filepath.Join(t.TempDir(), "log")
		d := listenPacket(t, "unixgram", path)
		return sinktest.Fixture{
			Sink:     newSink(t, Address{Network: "unixgram", Host: path}, Options{SettleTime: 10 * time.Millisecond}),
			Received: d.wait,
			MaxBody:  DefaultMaxSize,
		}
	})
}

// datagrams is a receiver of datagrams.
type datagrams struct {
	c net.PacketConn

	mu  sync.Mutex
	got []string
}

func listenPacket(t *testing.T, network, address string) *datagrams {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	d := &datagrams{c: c}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			d.mu.Lock()
			d.got = append(d.got, strings.Clone(string(b[:n])))
			d.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return d
}

func (d *datagrams) received() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

func (d *datagrams) wait(n int) []string {
	for end := time.Now().Add(patience); len(d.received()) < n && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return d.received()
}
