package reread

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Certificates are the files of one TLS client, PEM all of them.
type Certificates struct {
	CA        File // what the server's certificate must lead to; none: the system's
	Cert, Key File // what we show; none: nothing
}

// Changed reports whether one of the files is another than at the last read.
func (c *Certificates) Changed() bool {
	return c.CA.Changed() || c.Cert.Changed() || c.Key.Changed()
}

// Config reads the files. The versions of TLS are 1.2 and later.
func (c *Certificates) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	pem, err := c.CA.Read()
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	if c.CA.Path != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file: %s holds no PEM certificate", c.CA.Path)
		}
	}
	if c.Cert.Path == "" {
		return config, nil
	}
	cert, err := c.Cert.Read()
	if err != nil {
		return nil, fmt.Errorf("certificate file: %w", err)
	}
	key, err := c.Key.Read()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key file: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
