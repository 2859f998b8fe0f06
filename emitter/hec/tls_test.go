package hec

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

func pool(ids ...*certtest.Identity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, id := range ids {
		p.AddCert(id.Cert)
	}
	return p
}

// serveTLS runs a collector behind TLS and returns its address.
func serveTLS(t *testing.T, c *tls.Config) (*hectest.Collector, string) {
	t.Helper()
	h := hectest.New(hectest.Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = c
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return h, srv.URL
}

func TestTLS(t *testing.T) {
	ca, other := certtest.Issue(t, "ca", nil, nil), certtest.Issue(t, "other", nil, nil)
	good := certtest.Issue(t, "splunk", ca, nil)
	expired := certtest.Issue(t, "splunk", ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	elsewhere := certtest.Issue(t, "splunk", ca, func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"elsewhere.example"} })
	client := certtest.Issue(t, "gateway", ca, nil)
	stranger := certtest.Issue(t, "gateway", other, nil)
	caFile := certtest.TempFile(t, "ca.pem", ca.CertPEM())
	files := func(id *certtest.Identity, o Options) Options {
		o.CertFile, o.KeyFile = certtest.TempFile(t, "tls.crt", id.CertPEM()), certtest.TempFile(t, "tls.key", id.KeyPEM(t))
		return o
	}
	mutual := &tls.Config{Certificates: []tls.Certificate{good.TLS()}, ClientCAs: pool(ca), ClientAuth: tls.RequireAndVerifyClientCert}
	mutual12 := mutual.Clone()
	mutual12.MaxVersion = tls.VersionTLS12
	of := func(id *certtest.Identity) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{id.TLS()}} }
	old := of(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	tests := []struct {
		name   string
		server *tls.Config
		opt    Options
		text   string // of the error, which is a blocked one; empty: none
	}{
		{"own CA", of(good), Options{CAFile: caFile}, ""},
		{"system CAs", of(good), Options{}, "certificate signed by unknown authority"},
		{"wrong CA", of(good), Options{CAFile: certtest.TempFile(t, "other.pem", other.CertPEM())}, "certificate signed by unknown authority"},
		{"expired", of(expired), Options{CAFile: caFile}, "certificate has expired"},
		{"wrong name", of(elsewhere), Options{CAFile: caFile}, "127.0.0.1"},
		{"anything goes", of(expired), Options{InsecureSkipVerify: true}, ""},
		{"TLS 1.1", old, Options{CAFile: caFile}, "protocol version"},
		{"TLS 1.1, even insecure", old, Options{InsecureSkipVerify: true}, "protocol version"},
		{"client certificate", mutual, files(client, Options{CAFile: caFile}), ""},
		{"no client certificate, TLS 1.2", mutual12, Options{CAFile: caFile}, "remote error"},
		{"client certificate of a stranger, TLS 1.2", mutual12, files(stranger, Options{CAFile: caFile}), "remote error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, url := serveTLS(t, tt.server)
			s := newSink(t, url, tt.opt)
			if tt.text == "" {
				mustSend(t, s, numbered(2))
				return
			}
			wantSend(t, s, numbered(2), 0, "blocked", tt.text)
			if c.Count() != 0 || s.Stats().Retries != 0 {
				t.Errorf("%d events, %d retries", c.Count(), s.Stats().Retries)
			}
		})
	}
}

// In TLS 1.3 the refusal of our certificate comes after the handshake, and may
// be overtaken by the end of the connection: then it is a plain error.
func TestRefusedClientCertificate(t *testing.T) {
	ca := certtest.Issue(t, "ca", nil, nil)
	c, url := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{certtest.Issue(t, "splunk", ca, nil).TLS()},
		MinVersion:   tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
	})
	s := newSink(t, url, Options{CAFile: certtest.TempFile(t, "ca.pem", ca.CertPEM())})
	n, err := s.Send(t.Context(), numbered(2))
	if n != 0 || err == nil || emitter.IsPermanent(err) || c.Count() != 0 {
		t.Errorf("%d, %v, %d events", n, err, c.Count())
	}
}

func TestWrongScheme(t *testing.T) {
	_, url := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certtest.Issue(t, "splunk", nil, nil).TLS()}})
	s := newSink(t, strings.Replace(url, "https:", "http:", 1), Options{})
	wantSend(t, s, numbered(1), 0, "blocked", "status 400")

	srv := httptest.NewServer(hectest.New(hectest.Options{}))
	t.Cleanup(srv.Close)
	s = newSink(t, strings.Replace(srv.URL, "http:", "https:", 1), Options{})
	wantSend(t, s, numbered(1), 0, "blocked", "HTTP response to HTTPS client")

	// Neither HTTP nor TLS.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "220 mail.example ESMTP\r\n")
			conn.Close()
		}
	}()
	s = newSink(t, "https://"+l.Addr().String(), Options{})
	wantSend(t, s, numbered(1), 0, "blocked", "TLS handshake")
}

func TestInsecureIsLoud(t *testing.T) {
	log, logged := logTo(t)
	_, url := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certtest.Issue(t, "x", nil, nil).TLS()}})
	s := newSink(t, url, Options{InsecureSkipVerify: true, Log: log})
	mustSend(t, s, numbered(1))
	mustSend(t, s, numbered(1))
	wantLogged(t, logged(), 1, "WARN", "NOT CHECKED")
	if !s.Stats().Insecure {
		t.Error("Stats do not tell")
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	ca1, ca2 := certtest.Issue(t, "one", nil, nil), certtest.Issue(t, "two", nil, nil)
	one, two := certtest.Issue(t, "gateway", ca1, nil), certtest.Issue(t, "gateway", ca2, nil)
	current := &tls.Config{Certificates: []tls.Certificate{certtest.Issue(t, "splunk", ca1, nil).TLS()}, ClientCAs: pool(ca1), ClientAuth: tls.RequireAndVerifyClientCert}
	_, url := serveTLS(t, &tls.Config{
		Certificates:       current.Certificates,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil },
	})
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca"), filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	certtest.Write(t, caFile, ca1.CertPEM())
	certtest.Write(t, certFile, one.CertPEM())
	certtest.Write(t, keyFile, one.KeyPEM(t))
	log, logged := logTo(t)
	s := newSink(t, url, Options{CAFile: caFile, CertFile: certFile, KeyFile: keyFile, Log: log})
	mustSend(t, s, numbered(1))

	// Half of a change: the old pair is used, and that is said once.
	certtest.Write(t, certFile, two.CertPEM())
	mustSend(t, s, numbered(1))
	mustSend(t, s, numbered(1))
	wantLogged(t, logged(), 1, "WARN", "certificates cannot be used")

	certtest.Write(t, keyFile, two.KeyPEM(t))
	certtest.Write(t, caFile, ca1.CertPEM()+ca2.CertPEM())
	current = &tls.Config{Certificates: []tls.Certificate{certtest.Issue(t, "splunk", ca2, nil).TLS()}, ClientCAs: pool(ca2), ClientAuth: tls.RequireAndVerifyClientCert}
	mustSend(t, s, numbered(1))
	wantLogged(t, logged(), 1, "WARN", "")
}
