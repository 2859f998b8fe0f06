package syslog

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		name   string
		takes  Framing // of the receiver
		sends  Framing
		found  receipt
		closes bool   // at once
		text   string // of a Blocked error
	}{
		{"lines to lines", FramingLF, FramingLF, receiptLines, false, ""},
		{"octets to lines", FramingLF, FramingOctet, receiptConnected, false, ""},
		{"octets to octets", FramingOctet, FramingOctet, receiptOctet, false, ""},
		{"lines to octets", FramingOctet, FramingLF, "", false, "takes octet counting alone (framing octet)"},
		{"closes at once", FramingLF, FramingLF, "", true, "closed the connection at once"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, "tcp", tt.takes, nil)
			to := p.at()
			if tt.takes == FramingOctet {
				to = strict(t)
			}
			if tt.closes {
				to = closing(t)
			}
			s := newSink(t, to, Options{Framing: tt.sends})
			s.greetTime, s.probeTime = 10*time.Millisecond, 10*time.Millisecond
			if to != p.at() { // these end when the receiver closes
				s.probeTime = patience
			}
			if tt.closes {
				s.greetTime = patience
			}
			err := s.Probe(t.Context())
			if tt.text != "" {
				wantError(t, err, "blocked", tt.text)
			} else if err != nil {
				t.Error(err)
			}
			if s.Receipt() != string(tt.found) {
				t.Errorf("found %q", s.Receipt())
			}
			if got := strings.Join(p.received(), ""); got != "" {
				t.Errorf("a message: %q", got)
			}
		})
	}
}

// strict returns the address of a receiver that closes at a line end.
func strict(t *testing.T) Address {
	return answering(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
}

// closing returns the address of a receiver that closes at once.
func closing(t *testing.T) Address { return answering(t, func(net.Conn) {}) }

func answering(t *testing.T, talk func(net.Conn)) Address {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talk(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return Address{Network: "tcp", Host: l.Addr().String()}
}

func TestProbeOfDatagrams(t *testing.T) {
	d := listenPacket(t, "udp", "127.0.0.1:0")
	to := Address{"udp", d.c.LocalAddr().String()}
	s := newSink(t, to, Options{})
	s.probeTime = 10 * time.Millisecond
	if err := s.Probe(t.Context()); err != nil || s.Receipt() != string(receiptNotRead) {
		t.Errorf("%v, found %q", err, s.Receipt())
	}
	d.c.Close()
	s.probeTime = patience
	wantError(t, s.Probe(t.Context()), "plain", "nobody takes the datagrams")
}
