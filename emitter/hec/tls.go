package hec

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// tlsConfig reads the certificate files.
func (s *Sink) tlsConfig() (*tls.Config, error) {
	c, err := s.tls.Config()
	if err != nil {
		return nil, err
	}
	c.InsecureSkipVerify = s.opt.InsecureSkipVerify // asked for, and said loudly by New
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
	if !s.tls.Changed() {
		return
	}
	c, err := s.tlsConfig()
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
