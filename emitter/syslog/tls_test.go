package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTLS(t *testing.T) {
	ca, other := issue(t, "ca", nil, nil), issue(t, "other", nil, nil)
	good := issue(t, "receiver", ca, nil)
	expired := issue(t, "receiver", ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	elsewhere := issue(t, "receiver", ca, func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"elsewhere.example"} })
	nameless := issue(t, "receiver", ca, func(c *x509.Certificate) { c.IPAddresses = nil })
	client, stranger := issue(t, "gateway", ca, nil), issue(t, "gateway", other, nil)
	old := good.server()
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	caFile := tempFile(t, "ca.pem", ca.certPEM())
	trusting := Options{CAFile: caFile}
	shows := func(id *identity) Options {
		return Options{CAFile: caFile, CertFile: tempFile(t, "cert.pem", id.certPEM()), KeyFile: tempFile(t, "key.pem", id.keyPEM(t))}
	}
	named := trusting
	named.ServerName = "elsewhere.example"
	for _, tt := range []struct {
		name   string
		server *tls.Config
		opt    Options
		text   string // of a Blocked error; empty: it works
	}{
		{"good", good.server(), trusting, ""},
		{"name set", elsewhere.server(), named, ""},
		{"wrong host", elsewhere.server(), trusting, "is for another host: it names elsewhere.example, and not 127.0.0.1"},
		{"no host", nameless.server(), trusting, "names none (a common name does not count)"},
		{"expired", expired.server(), trusting, "has expired or is not valid yet"},
		{"self-signed", issue(t, "receiver", nil, nil).server(), trusting, "is self-signed"},
		{"unknown authority", issue(t, "receiver", other, nil).server(), trusting, "by an authority that is not known"},
		{"TLS 1.1", old, trusting, "speaks no TLS 1.2 or later"},
		{"mutual", good.mutual(ca, tls.VersionTLS13), shows(client), ""},
		{"mutual, TLS 1.2", good.mutual(ca, tls.VersionTLS12), shows(client), ""},
		{"client certificate of a stranger", good.mutual(ca, tls.VersionTLS13), shows(stranger), "refuses our client certificate"},
		{"client certificate of a stranger, TLS 1.2", good.mutual(ca, tls.VersionTLS12), shows(stranger), "refuses our client certificate"},
		{"no client certificate", good.mutual(ca, tls.VersionTLS13), trusting, "wants a client certificate, and none is set"},
		{"no client certificate, TLS 1.2", good.mutual(ca, tls.VersionTLS12), trusting, "wants a client certificate, and none is set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, "tcp", FramingOctet, func(p *peer) { p.tls = tt.server })
			s := newSink(t, p.at(), tt.opt)
			n, err := s.Send(t.Context(), numbered(1, 3))
			if tt.text != "" {
				if err == nil { // the refusal came late: it is seen by the reader
					err = loses(t, s)
				}
				wantError(t, err, "blocked", tt.text)
				if len(p.received()) > 0 {
					t.Errorf("the receiver got %q", p.received())
				}
				return
			}
			if n != 3 || err != nil {
				t.Fatalf("Send = %d, %v", n, err)
			}
			mustSettle(t, s, 3, receiptRead)
			if diff := cmp.Diff(messages(3), p.received()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// garbler is a connection that changes what is read.
type garbler struct {
	net.Conn

	garbles bool
}

func (g *garbler) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if g.garbles && n > 5 { // not in the length of a TLS record
		p[n-1] ^= 1
	}
	return n, err
}

// TestAlertLater has a receiver that gives up a connection that was well: no fault
// of the configuration.
func TestAlertLater(t *testing.T) {
	ca := issue(t, "ca", nil, nil)
	receiver := issue(t, "receiver", ca, nil).server()
	ready := make(chan struct{})
	to := answering(t, func(c net.Conn) {
		g := &garbler{Conn: c}
		server := tls.Server(g, receiver)
		if err := server.Handshake(); err == nil {
			g.garbles = true
			close(ready)
			_, _ = server.Read(make([]byte, 1))
		}
	})
	to.Network = "tls"
	s := newSink(t, to, Options{CAFile: tempFile(t, "ca.pem", ca.certPEM())})
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ready
	mustSend(t, s, numbered(1, 1))
	wantError(t, loses(t, s), "plain", "bad record MAC")
}

// TestNoTLSThere has receivers that speak something else.
func TestNoTLSThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "220 mail.example ESMTP\r\n")
			c.Close()
		}
	}()
	s := newSink(t, Address{Network: "tls", Host: l.Addr().String()}, Options{})
	_, err = s.Send(t.Context(), numbered(1, 1))
	wantError(t, err, "blocked", "does not speak TLS")
}

// TestSilenceInsteadOfTLS has a receiver that waits for lines.
func TestSilenceInsteadOfTLS(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, func(p *peer) { p.holds = true })
	s := newSink(t, Address{Network: "tls", Host: p.l.Addr().String()}, Options{DialTimeout: 500 * time.Millisecond})
	_, err := s.Send(t.Context(), numbered(1, 1))
	wantError(t, err, "plain", "does not answer the TLS handshake: does it speak TLS there?")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err = newSink(t, s.to, Options{}).Probe(ctx)
	wantError(t, err, "plain", "does not answer the TLS handshake: does it speak TLS there?")
}

func TestCertificatesAreReadAgain(t *testing.T) {
	one, two := issue(t, "one", nil, nil), issue(t, "two", nil, nil)
	current := issue(t, "receiver", one, nil).mutual(one, tls.VersionTLS13)
	p := newPeer(t, "tcp", FramingOctet, func(p *peer) {
		p.tls = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return current, nil
		}}
	})
	dir := t.TempDir()
	opt := Options{CAFile: filepath.Join(dir, "ca"), CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
	first, second := issue(t, "gateway", one, nil), issue(t, "gateway", two, nil)
	write(t, opt.CAFile, one.certPEM())
	write(t, opt.CertFile, first.certPEM())
	write(t, opt.KeyFile, first.keyPEM(t))
	log, logged := logTo()
	opt.Log = log
	s := newSink(t, p.at(), opt)
	send := func(seq int) {
		t.Helper()
		mustSend(t, s, numbered(seq, seq))
		mustSettle(t, s, uint64(seq), receiptRead)
	}
	send(1)

	// Half of a change: the old pair is used, and that is said once.
	write(t, opt.CertFile, second.certPEM())
	send(2)
	send(3)
	if n := strings.Count(logged(), "new certificates cannot be used"); n != 1 {
		t.Errorf("said %d times: %s", n, logged())
	}

	write(t, opt.KeyFile, second.keyPEM(t))
	write(t, opt.CAFile, two.certPEM())
	p.set(func() { current = issue(t, "receiver", two, nil).mutual(two, tls.VersionTLS13) })
	send(4)
}

func TestNewTellsOfFiles(t *testing.T) {
	for name, opt := range map[string]Options{
		"CA file":          {CAFile: filepath.Join(t.TempDir(), "none")},
		"no PEM":           {CAFile: tempFile(t, "ca", "nothing")},
		"go together":      {CertFile: "x"},
		"certificate file": {CertFile: filepath.Join(t.TempDir(), "none"), KeyFile: "none"},
	} {
		_, err := New(Address{Network: "tls", Host: "127.0.0.1:6514"}, opt)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
