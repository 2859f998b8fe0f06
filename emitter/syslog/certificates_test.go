package syslog

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

// serverOf returns the configuration of a receiver that shows the certificate.
func serverOf(id *certtest.Identity) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{id.TLS()}}
}

// mutual is serverOf for a receiver that takes only clients whose certificate leads
// to ca.
func mutual(id, ca *certtest.Identity, version uint16) *tls.Config {
	c := serverOf(id)
	c.ClientCAs = x509.NewCertPool()
	c.ClientCAs.AddCert(ca.Cert)
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.MinVersion, c.MaxVersion = version, version
	return c
}
