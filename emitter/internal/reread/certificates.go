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

// Which of the files.
const (
	CA   = "CA"
	Cert = "certificate"
	Key  = "key"
)

// FileError says which file cannot be used.
type FileError struct {
	File string // CA, Cert or Key; Cert also if it does not fit to the key
	Err  error
}

func (e *FileError) Error() string { return e.File + " file: " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// Changed reports whether one of the files is another than at the last read.
func (c *Certificates) Changed() bool {
	return c.CA.Changed() || c.Cert.Changed() || c.Key.Changed()
}

// Config reads the files. The versions of TLS are 1.2 and later; the errors are
// of the type [FileError].
func (c *Certificates) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	pem, err := c.CA.Read()
	if err != nil {
		return nil, &FileError{CA, err}
	}
	if c.CA.Path != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &FileError{CA, fmt.Errorf("%s holds no PEM certificate", c.CA.Path)}
		}
	}
	if c.Cert.Path == "" {
		return config, nil
	}
	cert, err := c.Cert.Read()
	if err != nil {
		return nil, &FileError{Cert, err}
	}
	key, err := c.Key.Read()
	if err != nil {
		return nil, &FileError{Key, err}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &FileError{Cert, fmt.Errorf("with its key: %w", err)}
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
