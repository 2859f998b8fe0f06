package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// verdictTime is how long a receiver that asked for a client certificate has to
// refuse it: in TLS 1.3 it does so after the handshake. A later refusal is that
// of a connection which breaks.
const verdictTime = 200 * time.Millisecond

// keepAlive finds an idle connection that a firewall has forgotten.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// dial opens a connection.
func (s *Sink) dial(ctx context.Context) (*conn, error) {
	within, cancel := context.WithTimeout(ctx, s.opt.DialTimeout)
	defer cancel()
	network := s.to.Network
	if network == "tls" {
		network = "tcp"
	}
	d := net.Dialer{KeepAliveConfig: keepAlive}
	raw, err := d.DialContext(within, network, s.to.Host)
	if err != nil {
		return nil, s.cannotDial(err)
	}
	socket := &counted{Conn: raw}
	c := &conn{Conn: socket, socket: socket, stream: !s.to.Datagrams(), timeout: s.opt.Timeout, ended: make(chan struct{})}
	if s.to.Network != "tls" {
		c.read()
		return c, nil
	}
	if err := s.handshake(within, c); err != nil {
		return nil, err
	}
	return c, nil
}

// handshake puts TLS over the socket of c, and closes it where that fails.
func (s *Sink) handshake(ctx context.Context, c *conn) error {
	config, err := s.tlsConfig()
	if err != nil {
		_ = c.socket.Close() // there is nothing to be learnt from it
		return s.fault(err)
	}
	certificates := config.Certificates
	config.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c.asked = true
		for i := range certificates {
			if request.SupportsCertificate(&certificates[i]) == nil {
				return &certificates[i], nil
			}
		}
		if len(certificates) > 0 {
			return &certificates[0], nil // the receiver says best why it does not take it
		}
		return new(tls.Certificate), nil
	}
	t := tls.Client(c.socket, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.socket.Close() // there is nothing to be learnt from it
		return s.tlsFault(err, c.asked)
	}
	c.Conn = t
	c.read()
	if !c.asked || t.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	wait := time.NewTimer(s.verdictTime)
	defer wait.Stop()
	select {
	case <-wait.C:
		s.closings = 0
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.ended:
		err = c.end
	}
	_ = c.Close()               // it is over
	if errors.Is(err, io.EOF) { // rsyslog says nothing
		fault := s.faultf(err, "the receiver asked for a client certificate and closed the connection: it may not take %s", s.shown())
		if s.closings++; s.closings == 1 { // so does one that is about to end
			return fault
		}
		return emitter.Blocked(fault)
	}
	return s.tlsFault(err, true)
}

// shown says what the receiver has seen of us.
func (s *Sink) shown() string {
	if s.opt.CertFile == "" {
		return "anybody without one, and none is set"
	}
	return "ours"
}

// tlsConfig reads the certificates if they have changed. As long as they cannot
// be read or do not fit together the old ones stay.
func (s *Sink) tlsConfig() (*tls.Config, error) {
	if s.tls == nil || s.certificates.Changed() {
		c, err := s.certificates.Config()
		switch {
		case err == nil:
			c.ServerName = s.serverName
			s.tls, s.stale = c, false
		case s.tls == nil:
			return nil, err
		case !s.stale:
			s.stale = true
			s.opt.Log.Warn("new certificates cannot be used, the old ones stay", "destination", s.to.String(), "error", err)
		}
	}
	return s.tls.Clone(), nil
}
