package hec

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// tlsFiles are the certificates of the configuration.
type tlsFiles struct {
	ca, cert, key watched
	insecure      bool
}

func (f *tlsFiles) changed() bool {
	return f.ca.changed() || f.cert.changed() || f.key.changed()
}

// config reads the files.
func (f *tlsFiles) config() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: f.insecure, // asked for, and said loudly by New
	}
	pem, err := f.ca.read()
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	if f.ca.path != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file: %s holds no PEM certificate", f.ca.path)
		}
	}
	if f.cert.path == "" {
		return c, nil
	}
	cert, err := f.cert.read()
	if err != nil {
		return nil, fmt.Errorf("certificate file: %w", err)
	}
	key, err := f.key.read()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key file: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// newTransport speaks HTTP/1.1, as Splunk does.
func newTransport(c *tls.Config) *http.Transport {
	const dial = 10 * time.Second
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dial}).DialContext,
		TLSClientConfig:        c,
		TLSHandshakeTimeout:    dial,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    1, // one request at a time
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true, // answers are short
	}
}

// refreshTLS uses new certificates from the next connection on. As long as
// they cannot be read or do not fit together the old ones stay.
func (s *Sink) refreshTLS() {
	if !s.tls.changed() {
		return
	}
	c, err := s.tls.config()
	if err != nil {
		if !s.stale {
			s.opt.Log.Warn("new certificates cannot be used, the old ones stay", "destination", s.where, "error", err)
		}
		s.stale = true
		return
	}
	s.stale = false
	s.web.HTTPClient.CloseIdleConnections()
	s.web.HTTPClient.Transport = newTransport(c)
}

// certificateFault reports whether err is about certificates or the kind of
// connection: mended by the configuration, here or there, and not by time.
func certificateFault(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return true // a TLS alert: our certificate is refused, or no version in common
	}
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || errors.Is(err, http.ErrSchemeMismatch)
}
