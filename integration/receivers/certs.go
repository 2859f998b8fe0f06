package receivers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority of one test.
type CA struct {
	File string // its certificate, PEM

	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Cert is a certificate with its key.
type Cert struct {
	CertFile, KeyFile string // PEM
	TLS               tls.Certificate
}

// CertOptions say what a certificate is. The zero value has no name that
// anybody would ask for.
type CertOptions struct {
	Name      string        // common name, and a DNS name unless it is an address
	Addresses []string      // IP addresses it is for
	Life      time.Duration // that is left; 0: an hour; less: it ended so long ago
}

// NewCA makes an authority. One that no receiver was told of is a rogue.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	template, key := certificate(tb, CertOptions{Name: "test authority"})
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	made := sign(tb, template, template, key, key)
	return &CA{File: made.CertFile, tb: tb, cert: made.TLS.Leaf, key: key}
}

// Pool holds the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Server makes a certificate for localhost and 127.0.0.1.
func (ca *CA) Server() Cert {
	ca.tb.Helper()
	return ca.Issue(CertOptions{Name: "localhost", Addresses: []string{"127.0.0.1"}})
}

// Client makes a certificate for a client of that name.
func (ca *CA) Client(name string) Cert {
	ca.tb.Helper()
	return ca.Issue(CertOptions{Name: name})
}

// Expired makes a certificate as Server does that ended an hour ago.
func (ca *CA) Expired() Cert {
	ca.tb.Helper()
	return ca.Issue(CertOptions{Name: "localhost", Addresses: []string{"127.0.0.1"}, Life: -time.Hour})
}

// Issue makes any certificate, good for servers and clients.
func (ca *CA) Issue(opt CertOptions) Cert {
	ca.tb.Helper()
	template, key := certificate(ca.tb, opt)
	return sign(ca.tb, template, ca.cert, key, ca.key)
}

// SelfSigned makes a certificate as [CA.Server] does that no authority vouches for.
func SelfSigned(tb testing.TB) Cert {
	tb.Helper()
	template, key := certificate(tb, CertOptions{Name: "localhost", Addresses: []string{"127.0.0.1"}})
	return sign(tb, template, template, key, key)
}

func certificate(tb testing.TB, opt CertOptions) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatal(err)
	}
	life := opt.Life
	if life == 0 {
		life = time.Hour
	}
	end := time.Now().Add(life)
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: opt.Name},
		NotBefore:             end.Add(-24 * time.Hour),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if opt.Name != "" && net.ParseIP(opt.Name) == nil {
		c.DNSNames = []string{opt.Name}
	}
	for _, a := range opt.Addresses {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
	}
	return c, key
}

// sign writes the certificate and its key to files of the test.
func sign(tb testing.TB, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) Cert {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	c := Cert{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{
		c.CertFile: {Type: "CERTIFICATE", Bytes: der},
		c.KeyFile:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	if c.TLS, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		tb.Fatal(err)
	}
	return c
}
