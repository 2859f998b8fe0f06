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

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

func TestTLS(t *testing.T) {
	ca, other := certtest.Issue(t, "ca", nil, nil), certtest.Issue(t, "other", nil, nil)
	good := certtest.Issue(t, "receiver", ca, nil)
	expired := certtest.Issue(t, "receiver", ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	elsewhere := certtest.Issue(t, "receiver", ca, func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"elsewhere.example"} })
	nameless := certtest.Issue(t, "receiver", ca, func(c *x509.Certificate) { c.IPAddresses = nil })
	client, stranger := certtest.Issue(t, "gateway", ca, nil), certtest.Issue(t, "gateway", other, nil)
	old := serverOf(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	caFile := certtest.TempFile(t, "ca.pem", ca.CertPEM())
	trusting := Options{CAFile: caFile}
	shows := func(id *certtest.Identity) Options {
		return Options{CAFile: caFile, CertFile: certtest.TempFile(t, "cert.pem", id.CertPEM()), KeyFile: certtest.TempFile(t, "key.pem", id.KeyPEM(t))}
	}
	named := trusting
	named.ServerName = "elsewhere.example"
	for _, tt := range []struct {
		name   string
		server *tls.Config
		opt    Options
		text   string // of a Blocked error; empty: it works
	}{
		{"good", serverOf(good), trusting, ""},
		{"name set", serverOf(elsewhere), named, ""},
		{"wrong host", serverOf(elsewhere), trusting, "is for another host: it names elsewhere.example, and not 127.0.0.1"},
		{"no host", serverOf(nameless), trusting, "names none (a common name does not count)"},
		{"expired", serverOf(expired), trusting, "has expired or is not valid yet"},
		{"self-signed", serverOf(certtest.Issue(t, "receiver", nil, nil)), trusting, "is self-signed"},
		{"unknown authority", serverOf(certtest.Issue(t, "receiver", other, nil)), trusting, "by an authority that is not known"},
		{"TLS 1.1", old, trusting, "speaks no TLS 1.2 or later"},
		{"mutual", mutual(good, ca, tls.VersionTLS13), shows(client), ""},
		{"mutual, TLS 1.2", mutual(good, ca, tls.VersionTLS12), shows(client), ""},
		{"client certificate of a stranger", mutual(good, ca, tls.VersionTLS13), shows(stranger), "refuses our client certificate"},
		{"client certificate of a stranger, TLS 1.2", mutual(good, ca, tls.VersionTLS12), shows(stranger), "refuses our client certificate"},
		{"no client certificate", mutual(good, ca, tls.VersionTLS13), trusting, "wants a client certificate, and none is set"},
		{"no client certificate, TLS 1.2", mutual(good, ca, tls.VersionTLS12), trusting, "wants a client certificate, and none is set"},
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

// TestClosedAfterCertificate has a receiver that closes when it has seen our
// certificate: it may be one that is about to end, or one that never takes ours.
func TestClosedAfterCertificate(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	receiver := mutual(certtest.Issue(t, "receiver", ca, nil), ca, tls.VersionTLS13)
	closes := []bool{true, false, true, true} // connection by connection
	to := answering(t, func(c net.Conn) {
		server := tls.Server(c, receiver)
		if err := server.Handshake(); err != nil {
			return
		}
		if !closes[0] {
			_, _ = server.Read(make([]byte, 1)) // until the sink closes
		}
		closes = closes[1:]
		server.Close()
	})
	to.Network = "tls"
	client := certtest.Issue(t, "gateway", ca, nil)
	s := newSink(t, to, Options{CAFile: certtest.TempFile(t, "ca.pem", ca.CertPEM()), CertFile: certtest.TempFile(t, "cert.pem", client.CertPEM()), KeyFile: certtest.TempFile(t, "key.pem", client.KeyPEM(t))})
	const text = "the receiver asked for a client certificate and closed the connection: it may not take ours"
	s.verdictTime = time.Minute
	wantError(t, s.open(t.Context()), "plain", text)
	s.verdictTime = time.Millisecond
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.drop()
	s.verdictTime = time.Minute
	wantError(t, s.open(t.Context()), "plain", text)
	wantError(t, s.open(t.Context()), "blocked", text)
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
	ca := certtest.Issue(t, "ca", nil, nil)
	receiver := serverOf(certtest.Issue(t, "receiver", ca, nil))
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
	s := newSink(t, to, Options{CAFile: certtest.TempFile(t, "ca.pem", ca.CertPEM())})
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
	s := newSink(t, Address{Network: "tls", Host: p.l.Addr().String()}, Options{DialTimeout: 2 * time.Second})
	_, err := s.Send(t.Context(), numbered(1, 1))
	wantError(t, err, "plain", "does not answer the TLS handshake: does it speak TLS there?")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err = newSink(t, s.to, Options{}).Probe(ctx)
	wantError(t, err, "plain", "does not answer the TLS handshake: does it speak TLS there?")
}

func TestCertificatesAreReadAgain(t *testing.T) {
	one, two := certtest.Issue(t, "one", nil, nil), certtest.Issue(t, "two", nil, nil)
	current := mutual(certtest.Issue(t, "receiver", one, nil), one, tls.VersionTLS13)
	p := newPeer(t, "tcp", FramingOctet, func(p *peer) {
		p.tls = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return current, nil
		}}
	})
	dir := t.TempDir()
	opt := Options{CAFile: filepath.Join(dir, "ca"), CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
	first, second := certtest.Issue(t, "gateway", one, nil), certtest.Issue(t, "gateway", two, nil)
	certtest.Write(t, opt.CAFile, one.CertPEM())
	certtest.Write(t, opt.CertFile, first.CertPEM())
	certtest.Write(t, opt.KeyFile, first.KeyPEM(t))
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
	certtest.Write(t, opt.CertFile, second.CertPEM())
	send(2)
	send(3)
	if n := strings.Count(logged(), "new certificates cannot be used"); n != 1 {
		t.Errorf("said %d times: %s", n, logged())
	}

	certtest.Write(t, opt.KeyFile, second.KeyPEM(t))
	certtest.Write(t, opt.CAFile, two.CertPEM())
	p.set(func() { current = mutual(certtest.Issue(t, "receiver", two, nil), two, tls.VersionTLS13) })
	send(4)
}

func TestNewTellsOfFiles(t *testing.T) {
	for name, opt := range map[string]Options{
		"CA file":          {CAFile: filepath.Join(t.TempDir(), "none")},
		"no PEM":           {CAFile: certtest.TempFile(t, "ca", "nothing")},
		"go together":      {CertFile: "x"},
		"certificate file": {CertFile: filepath.Join(t.TempDir(), "none"), KeyFile: "none"},
	} {
		_, err := New(Address{Network: "tls", Host: "127.0.0.1:6514"}, opt)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
